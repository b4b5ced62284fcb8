/* vm_rows.h - the rows of VMs. */
#ifndef BANGER_CONTROLLER_DB_VM_ROWS_H
#define BANGER_CONTROLLER_DB_VM_ROWS_H

#include "controller/ctl.h"

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

/* Write what may change of a VM's row, within a transaction; the ledger commits it together with its own rows.
 * Return: 0, or -1 with the store's `why`. */
int vm_row_write(struct store *s, const struct vm *vm, const char *op);

#endif
