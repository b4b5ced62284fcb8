/* vm_rows.h - the rows of VMs. */
#ifndef BANGER_CONTROLLER_DB_VM_ROWS_H
#define BANGER_CONTROLLER_DB_VM_ROWS_H

#include "controller/ctl.h"

/**
 * db_vm_create() - reserve name, slot and generation of a new VM, and write its row
 * @vm:		in: name, owner, image_digest, sizes, nat, policies and key; out: id, slot,
 *		generation, created_ns
 * @config:	the number of slots and the cap of VMs per owner
 * @o:		the operation to name in the row
 *
 * Return: 0, or -1: FAIL_STATE the owner has a VM of that name, FAIL_LIMIT no free slot or the
 * owner's cap, FAIL_NOT_FOUND the image.
 */
int db_vm_create(struct db *s, struct vm *vm, const struct config *config,
		 const struct operation *o, struct error *e);

/* Read the row of a VM.  Return: 0, or -1: FAIL_NOT_FOUND. */
int db_vm_by_id(struct db *s, const uint8_t id[ID_LEN], struct vm *vm, struct error *e);

/**
 * db_vm_find() - find the VM that a caller's reference names
 * @c:		sees its own VMs; root sees all
 * @ref:	a name, an id, a unique prefix of an id with at least 4 digits, or for root
 *		"uid/name"
 *
 * Return: 0, or -1: FAIL_NOT_FOUND the VM does not exist or @c may not see it, FAIL_USAGE the
 * prefix is ambiguous.
 */
int db_vm_find(struct db *s, const struct caller *c, const char *ref, struct vm *vm,
	       struct error *e);

/**
 * db_vm_each() - call @fn for each VM that @c may see, in the order of names
 * @c:		NULL: all VMs, for the controller itself
 * @all:	root: the VMs of all users; false: only its own
 * @fn:		a negative result ends the list; it may use the database, since no lock is held
 *
 * Return: 0, or -1 with the error.
 */
int db_vm_each(struct db *s, const struct caller *c, bool all,
	       int (*fn)(void *arg, const struct vm *vm), void *arg, struct error *e);

/* Write the columns of a VM that can change: sizes, policies, desired state, hold, state,
 * reason, runtime, op.  Return: 0, or -1. */
int db_vm_update(struct db *s, const struct vm *vm, struct error *e);

/* Delete the row, and free the slot.  Return: 0, or -1: FAIL_STATE the ledger still has objects of
 * the VM. */
int db_vm_delete(struct db *s, const struct vm *vm, struct error *e);

/* As db_vm_update(), within a transaction; the ledger commits it together with its rows.  @op:
 * the operation to name in the row.  Return: 0, or -1 with the database's `why`. */
int vm_row_write(struct db *s, const struct vm *vm, const char *op);

#endif
