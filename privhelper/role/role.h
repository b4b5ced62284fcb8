/* role.h - the interface between role.c and the three privileged roles. */
#ifndef BANGER_PRIVHELPER_ROLE_H
#define BANGER_PRIVHELPER_ROLE_H

#include <stdbool.h>

#include "common/config.h"
#include "common/fdio.h"
#include "common/policy.h"
#include "proto/ops.h"

/* A row of the ledger: the VM that a slot belongs to.  A restarted role reads the rows from the
 * kernel's tags. */
struct owner_row {
	uint32_t generation; /* 0: no VM had the slot yet */
	uint32_t owner;
	uint8_t vm[ID_LEN]; /* zeros: unknown, because tags do not hold it */
	bool live;          /* the slot held objects after the last change */
	uint32_t removals;  /* since the last create, in a slot that held objects */
};

/* A release needs at most three removals of each role; the others are for those that were answered
 * with ST_BUSY. */
#define REMOVALS_RECORDED 8

/* role_adopt(): the object has lost the tag with its owner, so any owner may remove it.  No request
 * can carry this. */
#define OWNER_UNKNOWN UINT32_MAX

struct role;
struct reqlog;

/* A request and its answer. */
struct call {
	struct request q;
	struct reply reply; /* zeroed; the handler fills in its struct; sent with ST_OK alone */
	/* Descriptors of the request; role.c closes them afterwards, except those that the handler
	 * sets to -1. */
	int fds_in[FDIO_MAX];
	/* Descriptors of the answer, all -1 at first; role.c closes them after sending. */
	int fds_out[FDIO_MAX];
};

/* Serve one operation.  role.c has checked phase, owner, generation, rate and the number of
 * descriptors, and has written the intent.
 * Return: the status of the answer. */
typedef enum status (*handler_fn)(struct role *r, struct call *c);

struct handler {
	enum op_code op;
	handler_fn fn;
};

/* The one state struct of a role's process. */
struct role {
	enum role_id id;
	/* "net", for the program name banger-role-net and the log net.log */
	const char *name;
	const struct account *account;  /* uid and gid of the role; points into config */
	const struct policy *policy;    /* what it may do after its lock-down */
	const struct handler *handlers; /* ended by a NULL fn */

	/* Open every privileged descriptor and make host objects, as root before lock-down.
	 * Return: 0, or -1 (logged). */
	int (*prepare)(struct role *r);
	/* Bind the policy's variables, after prepare().  @bound: POLICY_VARS of them, all unbound.
	 * Return: 0, or -1 (logged). */
	int (*bind)(struct role *r, struct binding *bound);
	/* Adopt the kernel objects of earlier starts into the ledger, after lock-down.  Return: 0,
	 * or -1 (logged). */
	int (*scan)(struct role *r);
	/* True if @slot holds objects of ours, or the kernel does not say; a newer generation is
	 * refused meanwhile. */
	bool (*holds)(struct role *r, uint32_t slot);
	/* Wait until RPC_FD is readable, for a role that listens to other descriptors too, and has
	 * WAKE_FD.  May be NULL. */
	void (*wait)(struct role *r);
	/* LIST: the objects from @cursor on. */
	handler_fn list;

	struct config config;
	enum phase phase;
	struct owner_row ledger[SLOT_MAX];
	void *state;        /* the role's own: struct net_state, ... */
	struct reqlog *log; /* set before prepare() */
};

/* Run the whole life of a role's process.  main() of each role calls it with its struct, which it
 * has filled in. */
_Noreturn void role_main(struct role *r);

/* Note in the ledger that @slot holds an object with this tag.  The newest generation is kept;
 * generation 0 is ignored. */
void role_adopt(struct role *r, uint32_t slot, uint32_t generation, uint32_t owner);

/* True if @q names the VM of the ledger's row for that slot. */
bool role_owns(const struct role *r, const struct request *q);

/* Append an object to a LIST reply; @id: its identity, see OP_LIST in proto/ops.def.  Return: true,
 * or false: the reply is full. */
bool role_list_add(struct rep_list *l, enum object kind, uint32_t slot, uint32_t generation,
		   uint32_t owner, uint64_t id);

#endif
