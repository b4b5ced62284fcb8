/* role.h - what every privileged role is: prepare as root, lock down, serve typed requests. */
#ifndef BANGER_PRIVHELPER_ROLE_H
#define BANGER_PRIVHELPER_ROLE_H

#include <seccomp.h>
#include <stdbool.h>

#include "common/config.h"
#include "proto/ops.h"

/* What the role made, one row a slot: who owns it and in which generation.  Rebuilt from the kernel's tags. */
struct owner_row {
	uint32_t generation; /* 0: free */
	uint32_t owner;
	uint8_t vm[ID_LEN];  /* zeros when only the kernel's tag was left to learn from */
	bool live;           /* holds() said so after the last change */
	uint8_t removals;    /* recorded since the last create; at most REMOVALS_RECORDED */
};

/* A VM is released by three requests at most of each role; the rest is for those that are BUSY. */
#define REMOVALS_RECORDED 8

/* role_adopt(): the tag that would tell is gone; any owner may remove what is there.  No request can carry it. */
#define OWNER_UNKNOWN UINT32_MAX

struct role;

/**
 * A handler serves one operation.  role.c has already checked phase, ownership, generation, rate and the
 * number of descriptors, and has written the intent.
 * @fds_in:	the descriptors that came, closed by role.c afterwards unless set to -1
 * @fds_out:	-1s, filled with the ones to send back, closed by role.c after sending
 * @reply:	the operation's reply struct to fill, meaningful with ST_OK
 */
typedef enum status (*handler_fn)(struct role *r, const struct request *q, int *fds_in, struct reply *reply,
				  int *fds_out);

struct handler {
	enum op_code op;
	handler_fn fn;
};

/* The one state struct of a role's process. */
struct role {
	enum role_id id;
	const char *name;               /* "net": program name banger-role-net, log net.log */
	const struct account *account;  /* uid and gid to become (points into config) */
	const unsigned *caps;           /* CAP_* numbers it keeps, ended by UINT_MAX */
	const struct handler *handlers; /* ended by a NULL fn */

	/* Opens every privileged descriptor and makes host objects while still root.  Return: 0, or -1 (logged). */
	int (*prepare)(struct role *r);
	/* Adds the role's own system calls to the filter.  Return: 0, or -1 (logged). */
	int (*filter)(struct role *r, scmp_filter_ctx ctx);
	/* Fills the ledger from what the kernel shows, at start, already locked down.  Return: 0, or -1 (logged). */
	int (*scan)(struct role *r);
	/* True while the kernel has anything of ours in @slot; a newer generation is refused until it is false. */
	bool (*holds)(struct role *r, uint32_t slot);
	/* Waits until RPC_FD is readable, for a role that has something else to listen to; it then has WAKE_FD.  May be NULL. */
	void (*wait)(struct role *r);
	/* LIST: the objects from @cursor on.  Return: as a handler. */
	handler_fn list;

	struct config config;
	enum phase phase;
	struct owner_row ledger[SLOT_MAX];
	void *state;                    /* the role's own: struct net_state, ... */
};

/* The whole life of a role's process; never returns.  main() of each role calls it with its struct. */
_Noreturn void role_main(struct role *r);

/* Learn from a kernel tag that @slot belongs to @generation and @owner.  Keeps the newest generation. */
void role_adopt(struct role *r, uint32_t slot, uint32_t generation, uint32_t owner);

/* True when @q names the VM that the ledger has in that slot. */
bool role_owns(const struct role *r, const struct request *q);

/* Append an object to a LIST reply.  Return: false when it is full. */
bool role_list_add(struct rep_list *l, enum object kind, uint32_t slot, uint32_t generation, uint32_t owner,
		   uint64_t id);

#endif
