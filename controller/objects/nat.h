/* nat.h - NAT of one VM: prepare, change while it runs, clean up. */
#ifndef BANGER_CONTROLLER_OBJECTS_NAT_H
#define BANGER_CONTROLLER_OBJECTS_NAT_H

#include "controller/ctl.h"

/* Make the NAT element of a VM whose flag is set; nothing happens otherwise.  The ledger has
 * planned it.  Return: 0, or -1 with the error. */
int nat_prepare(struct ctl *c, const struct vm *vm, const struct operation *o, struct error *e);

/* True if the change from @before to @after changes NAT of a running VM, so that
 * nat_apply_config_change() writes the row of @after. */
bool nat_is_applied(const struct vm *before, const struct vm *after);

/**
 * nat_apply_config_change() - make or remove the NAT element of a running VM
 * @before:	the VM as its row is
 * @after:	the VM as its row becomes; written in the commit that records the change
 *
 * Does nothing unless nat_is_applied().  Updates the ledger.
 * Return: 0, or -1 with the error, and @before still in force.
 */
int nat_apply_config_change(struct ctl *c, const struct vm *before, const struct vm *after,
			    const struct operation *o, struct error *e);

/* Remove the NAT element.  No request is sent if neither ledger nor runtime suggest that it exists.
 * Return: 0, or -1 with the error. */
int nat_cleanup(struct ctl *c, const struct vm *vm, const struct operation *o, struct error *e);

#endif
