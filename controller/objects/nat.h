/* nat.h - NAT of one VM: prepare, apply a change, clean up. */
#ifndef BANGER_CONTROLLER_OBJECTS_NAT_H
#define BANGER_CONTROLLER_OBJECTS_NAT_H

#include "controller/ctl.h"

/* Before the VMM starts, when the VM has NAT. */
int nat_prepare(struct ctl *c, const struct vm *vm, const struct operation *o, struct error *e);

/* The flag may have changed on a VM that may be alive: asks the helper only when both are true;
 * keeps the ledger. */
/* is it a change that is made at once, with @after's row? */
bool nat_is_applied(const struct vm *before, const struct vm *after);
int nat_apply_config_change(struct ctl *c, const struct vm *before, const struct vm *after,
			    const struct operation *o, struct error *e);

/* Undo; asks nothing when the VM never had NAT, or when neither ledger nor runtime knows of a
 * tap. */
int nat_cleanup(struct ctl *c, const struct vm *vm, const struct operation *o, struct error *e);

#endif
