/* ops.h - the structs, the table and the codec of the helper protocol, made from ops.def. */
#ifndef BANGER_PROTO_OPS_H
#define BANGER_PROTO_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/parse.h"
#include "proto/slot.h"

#define OPS_VERSION 4
#define OPS_PACKET_MAX 512 /* bytes of a request or a reply */
#define LIST_MAX 12        /* objects in a LIST reply: 12 * 23 bytes and the head fit a packet */
#define LIST_FIELDS 5

enum role_id { ROLE_ANY, ROLE_NET, ROLE_BLK, ROLE_SPAWN, ROLE_COUNT };
enum phase { P_HELLO = 1, P_RECONCILE = 2, P_RUN = 4 };
enum scope { SCOPE_HOST, SCOPE_SLOT };
enum effect { EFFECT_READ, EFFECT_CREATE, EFFECT_REMOVE };

/* The kinds of objects that roles make, in LIST and in the controller's ledger. */
enum object {
	OBJ_TAP = 1,
	OBJ_GUEST,
	OBJ_NAT, /* net */
	OBJ_LOOP_BASE,
	OBJ_LOOP_COW,
	OBJ_DM,  /* blk */
	OBJ_VMM, /* spawn: a cgroup with processes in it */
	OBJ_COUNT
};

/* VMM_PROBE: the program that tests whether this host can run a guest under KVM. */
enum vmm_kind { VMM_QEMU, VMM_FIRECRACKER, VMM_PROBE, VMM_KINDS };
/* The root disk in the VMMs' root: DISK_DM is the device node of the slot, DISK_FILE a file in its
 * state folder. */
enum disk_kind { DISK_DM, DISK_FILE, DISK_KINDS };
#define VOLUMES_MAX 4 /* disks of a VM beside the root disk: vol0 to vol3 in its state folder */

/* The status of an answer, which has no errno and no text; the service's log has the details. */
enum status {
	ST_OK,     /* done; also if an earlier CREATE of the same VM made the object */
	ST_ABSENT, /* the object, or one that it needs, does not exist */
	ST_BUSY,   /* still in use; ask again */
	ST_LIMIT,  /* a configured limit, the rate, or a resource of the kernel is used up */
	ST_DENIED, /* another VM's slot, an old generation, or a descriptor of the wrong kind */
	ST_NOLOG,  /* the request log can not be written: creates are refused */
	ST_KERNEL, /* the kernel refused the call or does not support it */
	ST_COUNT
};

enum op_code {
#define OP(NAME, name, code, ...) OP_##NAME = (code),
#include "proto/ops.def"
};

enum field_type { FIELD_U, FIELD_F, FIELD_B, FIELD_A, FIELD_S, FIELD_V };

/* One field of a struct.  Only the control protocol has FIELD_S and FIELD_V. */
struct field {
	const char *name; /* NULL ends a list */
	enum field_type type;
	/* U: uint64_t; F: bool; B: bytes; A: struct uints; S: char[max + 1]; V: size_t, then
	 * bytes */
	size_t offset;
	/* U: bounds; B, A, S, V: max is the number of bytes or elements that fit */
	uint64_t min, max;
};

/* FIELD_A: a list of up to @n_ integers. */
#define UINTS(n_)               \
	struct {                \
		size_t n;       \
		uint64_t v[n_]; \
	}

#define ARGS(...) __VA_ARGS__
#define REPLY(...)
#define U(f, lo, hi) uint64_t f;
#define A(f, n) UINTS(n) f;
#define OP(NAME, name, code, role, phases, scope, effect, in, out, args, reply) \
	struct req_##name {                                                     \
		args                                                            \
	};
#include "proto/ops.def"

#define ARGS(...)
#define REPLY(...) __VA_ARGS__
#define U(f, lo, hi) uint64_t f;
#define A(f, n) UINTS(n) f;
#define OP(NAME, name, code, role, phases, scope, effect, in, out, args, reply) \
	struct rep_##name {                                                     \
		reply                                                           \
	};
#include "proto/ops.def"

/* A row of the table. */
struct op {
	const char *name;
	enum op_code code;
	enum role_id role;
	unsigned phases;
	enum scope scope;
	enum effect effect;
	unsigned fds_in, fds_out;
	const struct field *(*args)(void), *(*reply)(void); /* each list ends with a NULL name */
};

/* A request of the controller. */
struct request {
	const struct op *op;
	uint64_t seq;
	uint32_t slot, generation; /* SCOPE_SLOT: generation counts from 1 */
	uint32_t owner;            /* uid of the VM's owner */
	uint8_t op_id[ID_LEN];     /* id of the user's operation, for the request log */
	uint8_t vm[ID_LEN];        /* id of the VM */
	union {
#define OP(NAME, name, ...) struct req_##name name;
#include "proto/ops.def"
	};
};

/* A role's answer. */
struct reply {
	uint64_t seq;
	enum status status;
	union { /* valid with ST_OK alone */
#define OP(NAME, name, ...) struct rep_##name name;
#include "proto/ops.def"
	};
};

/* Return: the row of a code, or the row at index @i; NULL: there is none. */
const struct op *op_find(uint64_t code);
const struct op *op_each(size_t i);

/* Return: a name for logs; "?" for an unknown value. */
const char *status_name(enum status s);
const char *object_name(enum object o);
const char *role_name(enum role_id r);

/**
 * ops_encode_request(), ops_encode_reply() - encode one packet
 *
 * A value out of bounds is refused here too, so that a bug shows at its origin.
 * Return: the number of bytes, or -1 with EINVAL: a value is out of bounds, or the packet is too
 * long.
 */
int ops_encode_request(const struct request *r, uint8_t buf[OPS_PACKET_MAX]);
int ops_encode_reply(const struct op *op, const struct reply *r, uint8_t buf[OPS_PACKET_MAX]);

/**
 * ops_decode_request(), ops_decode_reply() - decode one packet strictly
 * @buf, @len:	one complete datagram
 *
 * A packet is accepted only with the right version, number and types of values, integers and
 * lengths in their shortest form, values within the table's bounds, and no trailing byte.  The wire
 * format is the subset of msgpack in wire.h.  Nothing is allocated.
 * Return: 0, or -1 with errno EBADMSG; *r is unusable then.
 */
int ops_decode_request(const uint8_t *buf, size_t len, struct request *r);
int ops_decode_reply(const struct op *op, const uint8_t *buf, size_t len, struct reply *r);

/**
 * ops_audit() - write the arguments of a request, or the values of a reply, as JSON members
 * @fields:	op->args() or op->reply()
 * @base:	the struct of these fields
 * @out, @size:	a buffer and its bytes; it gets a NUL in any case
 *
 * Writes for example `"vcpus":2,"mem_mib":512`.  The values are numbers, booleans, hexadecimal
 * strings and lists of numbers, so nothing needs quoting.
 * Return: the length, or -1 with EMSGSIZE.
 */
int ops_audit(const struct field *fields, const void *base, char *out, size_t size);

#endif
