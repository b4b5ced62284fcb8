/* store.h - the state database: SQLite in WAL mode, STRICT tables, foreign keys, numbered migrations.
 *
 * One connection behind one mutex; every function is one short transaction
 * and thread-safe.  A function that fails returns -1 and fills in the error:
 * FAIL_GENERAL with SQLite's words, FAIL_HOST for want of room or memory, or
 * the finer code stated.  A function that succeeds does not touch it.  Where a
 * callback ends a list, the error is the callback's to fill in. */
#ifndef BANGER_CONTROLLER_STORE_H
#define BANGER_CONTROLLER_STORE_H

#include "controller/ctl.h"

/* Open or create; migrates.  Refused and left as it is: a newer schema, another's (FAIL_STATE), a damaged one (FAIL_HOST).
 * @path may be ":memory:". */
struct store *store_open(const char *path, struct error *e);
void store_close(struct store *s);

/**
 * store_in_place() - is what is written here still what the next start will open?
 *
 * A file that was removed, or another put in its place, goes on to be written to by whoever has it open, for nothing.
 * Return: 0, or -1 (FAIL_HOST).
 */
int store_in_place(struct store *s, const char *what, struct error *e);

/* All that it holds as <path>.rescued, for a person to put back.  Return: 0, or -1. */
int store_rescue(struct store *s, struct error *e);

/* A copy as <path>.backup, when the last one is older than @age_s.  Return: 1 made, 0 not due, -1. */
int store_backup(struct store *s, unsigned age_s, struct error *e);

/**
 * store_group_begin(), store_group_end() - what is written between them is one durable commit, or nothing
 * @r:	negative: something between has failed, the caller has its error, and all is undone; @e is not touched
 *
 * The store is held in between: no waiting, no helper.  Return: 0, or -1; after a begin that fails no end is due.
 */
int store_group_begin(struct store *s, struct error *e);
int store_group_end(struct store *s, int r, struct error *e);

/* ---- vms ---- */
/**
 * store_vm_create() - reserve name, slot and generation in one transaction
 * @vm:	name, owner, image_digest, sizes, nat and key given; id, slot, generation and created are filled in
 * @config:	slots and the cap per owner
 * Errors: FAIL_STATE the owner has that name; FAIL_LIMIT no free slot, or the owner's cap; FAIL_NOT_FOUND the image.
 */
int store_vm_create(struct store *s, struct vm *vm, const struct config *config, const struct operation *o,
		    struct error *e);
int store_vm_by_id(struct store *s, const uint8_t id[ID_LEN], struct vm *vm, struct error *e);
/**
 * store_vm_find() - a reference of the caller's: name, id, unique id prefix of 4+ digits, or (root) "uid/name"
 * What the caller may not see is FAIL_NOT_FOUND, like what is not there; FAIL_USAGE an ambiguous prefix.
 */
int store_vm_find(struct store *s, const struct caller *c, const char *ref, struct vm *vm, struct error *e);
/* Calls @fn for each VM that @c may see (root with @all: everybody's), by name.  @c NULL: all.  No lock is held: @fn may call the store. */
int store_vm_each(struct store *s, const struct caller *c, bool all, int (*fn)(void *arg, const struct vm *vm),
		  void *arg,
		  struct error *e);
/* Writes spec (vcpus, mem_mib, nat), state, reason, runtime and op of the row in one transaction. */
int store_vm_update(struct store *s, const struct vm *vm, struct error *e);
/* Removes row and slot; FAIL_STATE while the ledger still has objects of it. */
int store_vm_delete(struct store *s, const struct vm *vm, struct error *e);
/* The host has something of ours in @slot with that generation that this database does not know: the slot's next one is
 * higher, and it is given out last. */
int store_slot_floor(struct store *s, uint32_t slot, uint32_t generation, struct error *e);
/* Which VM has it.  Return: 1 and @vm filled, 0 none, -1. */
int store_slot_used(struct store *s, uint32_t slot, uint8_t vm[ID_LEN], struct error *e);

/* ---- the ledger: one row a kernel object, written before the helper is asked ---- */
enum ledger_state { LEDGER_PLANNED, LEDGER_PRESENT, LEDGER_RELEASING };

struct ledger_row {
	enum object kind;
	enum ledger_state state;
	int64_t ident;    /* as in LIST; -1 unknown */
	char error[128];  /* why the last release failed; "" */
};

/* Plan @n objects of @vm and write its row (state, op), in one durable commit. */
int store_ledger_plan(struct store *s, const struct vm *vm, const enum object *kinds, size_t n,
		      const struct operation *o,
		      struct error *e);
/* The end of a start: every planned object of @vm is present with its identity, and the row is written; one commit. */
int store_ledger_present(struct store *s, const struct vm *vm, const struct ledger_row *rows, size_t n,
			 struct error *e);
/* The rows of a VM in the order of their making. */
int store_ledger_rows(struct store *s, const uint8_t vm[ID_LEN], struct ledger_row rows[OBJ_COUNT], size_t *n,
		      struct error *e);
/* After a release pass: drop the confirmed, keep the failed with their errors, and write the row; one commit. */
int store_ledger_settle(struct store *s, const struct vm *vm, const struct ledger_row *left, size_t n,
			struct error *e);

/* ---- operations: an unfinished one at start-up is rolled back (start) or forward (stop, kill, delete) ---- */
int store_op_begin(struct store *s, const struct operation *o, const char *verb,
		   const uint8_t *vm /* or NULL */, struct error *e);
int store_op_end(struct store *s, const struct operation *o, const struct error *result /* NULL: success */,
		 struct error *e);
/* @vm of @fn is NULL when the operation had none.  No lock is held, @fn may call the store. */
int store_op_unfinished(struct store *s, int (*fn)(void *arg, const uint8_t op[ID_LEN], const char *verb,
			const uint8_t vm[ID_LEN]),
			void *arg, struct error *e);
/* May @c read the audit of this operation? (its own, or root).  Return: 1, 0, or -1. */
int store_op_visible(struct store *s, const struct caller *c, const char *op_hex, struct error *e);

/* ---- images and kernels: content-addressed, immutable, undeletable while used ---- */
struct image {
	char name[64], digest[65], kernel[64], kernel_digest[65], created[32];
	uint32_t owner; /* root's are everybody's to use */
	uint64_t size;  /* bytes of the disk */
	uint32_t used_by; /* of root's: those of the asker's VMs, which alone are the asker's to know */
};
struct kernel {
	char name[64], digest[65], created[32];
	uint32_t owner;
	uint64_t size;
	uint32_t used_by;
};
/* FAIL_STATE: name taken; FAIL_LIMIT: the owner has @max already. */
int store_image_add(struct store *s, const struct image *i, uint32_t max, struct error *e);
/* What store_image_add() would say now of name and limit, before the work of a copy. */
int store_image_check(struct store *s, uint32_t owner, const char *name, uint32_t max, struct error *e);
int store_image_find(struct store *s, const struct caller *c, const char *name, struct image *i, struct error *e);
int store_image_each(struct store *s, const struct caller *c, int (*fn)(void *arg, const struct image *i),
		     void *arg, struct error *e);
/* FAIL_STATE while a VM uses it.  *last: no other row has this digest, so the files may go. */
int store_image_delete(struct store *s, const struct image *i, bool *last, struct error *e);
int store_kernel_add(struct store *s, const struct kernel *k, uint32_t max, struct error *e);
int store_kernel_check(struct store *s, uint32_t owner, const char *name, uint32_t max, struct error *e);
int store_kernel_find(struct store *s, const struct caller *c, const char *name, struct kernel *k, struct error *e);
int store_kernel_each(struct store *s, const struct caller *c, int (*fn)(void *arg, const struct kernel *k),
		      void *arg, struct error *e);
int store_kernel_delete(struct store *s, const struct kernel *k, bool *last, struct error *e);

/* ---- small facts, e.g. "kvm:<boot id>:<kernel release>" -> "yes" ---- */
int store_fact_get(struct store *s, const char *key, char *out, size_t size); /* 1 found, 0 not, -1 */
int store_fact_set(struct store *s, const char *key, const char *value);

#endif
