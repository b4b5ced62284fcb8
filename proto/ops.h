/* ops.h - the helper protocol as types: one struct a request, one a reply, and the table behind them. */
#ifndef BANGER_PROTO_OPS_H
#define BANGER_PROTO_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/parse.h"
#include "proto/slot.h"

#define OPS_VERSION 2
#define OPS_PACKET_MAX 512 /* bytes of a request or a reply */
#define LIST_MAX 12        /* objects in one LIST reply: 12 * 23 bytes and the envelope fit a packet */
#define LIST_FIELDS 5

enum role_id { ROLE_ANY, ROLE_NET, ROLE_BLK, ROLE_SPAWN, ROLE_COUNT };
enum phase { P_HELLO = 1, P_RECONCILE = 2, P_RUN = 4 };
enum scope { SCOPE_HOST, SCOPE_SLOT };
enum effect { EFFECT_READ, EFFECT_CREATE, EFFECT_REMOVE };

/* What a role can make; the kinds of LIST, of the roles' ledgers and of the controller's. */
enum object {
	OBJ_TAP = 1, OBJ_GUEST, OBJ_NAT,   /* net */
	OBJ_LOOP_BASE, OBJ_LOOP_COW, OBJ_DM, /* blk */
	OBJ_VMM,                           /* spawn: a cgroup with processes in it */
	OBJ_COUNT
};

/* VMM_PROBE: the program that runs a tiny guest under KVM, to see whether this host can. */
enum vmm_kind { VMM_QEMU, VMM_FIRECRACKER, VMM_PROBE, VMM_KINDS };
/* Where the root disk is in the VMM's world: the premade device node, or the file in the slot's state folder. */
enum disk_kind { DISK_DM, DISK_FILE, DISK_KINDS };

/* The whole vocabulary of an answer.  No errno, no text: details are in the request log. */
enum status {
	ST_OK,      /* done; for a CREATE that the same owner made before: it is there */
	ST_ABSENT,  /* nothing there to read, or to build on */
	ST_BUSY,    /* still in use; ask again */
	ST_LIMIT,   /* a cap, the rate, or the kernel's own room */
	ST_DENIED,  /* another VM's slot, an old generation, a descriptor of the wrong kind */
	ST_NOLOG,   /* the request log can not be written: creates are refused */
	ST_KERNEL,  /* the kernel refused or lacks it */
	ST_COUNT
};

enum op_code {
#define OP(NAME, name, code, ...) OP_##NAME = (code),
#include "proto/ops.def"
};

enum field_type { FIELD_U, FIELD_F, FIELD_B, FIELD_A, FIELD_S, FIELD_V };

/* One field of a struct; FIELD_S and FIELD_V are the control protocol's alone. */
struct field {
	const char *name; /* NULL ends a list */
	enum field_type type;
	size_t offset;       /* U: uint64_t; F: bool; B: bytes; A: struct uints; S: char[max + 1]; V: size_t, then bytes */
	uint64_t min, max;   /* U: bounds; B, A, S, V: max is the room */
};

/* FIELD_A: a counted list; v has the field's max elements. */
#define UINTS(n_) struct { size_t n; uint64_t v[n_]; }

#define ARGS(...) __VA_ARGS__
#define REPLY(...)
#define U(f, lo, hi) uint64_t f;
#define F(f) bool f;
#define B(f, n) uint8_t f[n];
#define A(f, n) UINTS(n) f;
#define OP(NAME, name, code, role, phases, scope, effect, in, out, args, reply) struct req_##name { args };
#include "proto/ops.def"

#define ARGS(...)
#define REPLY(...) __VA_ARGS__
#define U(f, lo, hi) uint64_t f;
#define F(f) bool f;
#define B(f, n) uint8_t f[n];
#define A(f, n) UINTS(n) f;
#define OP(NAME, name, code, role, phases, scope, effect, in, out, args, reply) struct rep_##name { reply };
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

struct request {
	const struct op *op;
	uint64_t seq;
	uint32_t slot, generation; /* generation is 1.. for SCOPE_SLOT */
	uint32_t owner;            /* uid of the VM's owner */
	uint8_t op_id[ID_LEN];     /* the operation that the user sees */
	uint8_t vm[ID_LEN];
	union {
#define OP(NAME, name, ...) struct req_##name name;
#include "proto/ops.def"
	};
};

struct reply {
	uint64_t seq;
	enum status status;
	union { /* meaningful with ST_OK alone */
#define OP(NAME, name, ...) struct rep_##name name;
#include "proto/ops.def"
	};
};

/* The row of a code, or NULL.  op_each(0..) walks the table; NULL ends it. */
const struct op *op_find(uint64_t code);
const struct op *op_each(size_t i);

const char *status_name(enum status s);
const char *object_name(enum object o);
const char *role_name(enum role_id r);

/**
 * ops_encode_request(), ops_encode_reply() - to bytes
 * @buf:	OPS_PACKET_MAX bytes
 *
 * Refuses what the decoder would refuse, so that a bug on our side shows at
 * its origin.  Return: bytes written, or -1 with errno (EINVAL a value out of
 * bounds, EMSGSIZE too long).
 */
int ops_encode_request(const struct request *r, uint8_t buf[OPS_PACKET_MAX]);
int ops_encode_reply(const struct op *op, const struct reply *r, uint8_t buf[OPS_PACKET_MAX]);

/**
 * ops_decode_request(), ops_decode_reply() - from bytes, strictly
 * @buf, @len:	one whole datagram
 *
 * Takes only: the right version, arity and types, integers and lengths in
 * their shortest form, values within the table's bounds, and no trailing byte
 * (wire format: msgpack specification, the subset in wire.h).  Never
 * allocates.  Return: 0, or -1 with errno EBADMSG and an unusable *r.
 */
int ops_decode_request(const uint8_t *buf, size_t len, struct request *r);
int ops_decode_reply(const struct op *op, const uint8_t *buf, size_t len, struct reply *r);

/**
 * ops_audit() - the arguments of a request, or the values of a reply, as JSON members
 * @fields:	op->args() or op->reply()
 * @base:	the struct they live in
 * @out, @size:	room; always NUL-terminated
 *
 * Writes `"vcpus":2,"mem_mib":512`: numbers, booleans, hexadecimal and lists
 * of numbers only, so nothing needs quoting.
 * Return: the length, or -1 with EMSGSIZE.
 */
int ops_audit(const struct field *fields, const void *base, char *out, size_t size);

#endif
