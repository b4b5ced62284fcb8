/* actions.h - policy actions on one VM: restart, cancel a restart, stop an idle VM, release again,
 * end a VM without its holder.
 *
 * A worker runs them.  Each function takes the operation lock of the VM @id, reads its row, and
 * does nothing when the row no longer calls for the action, or is gone.  A failure is logged and
 * recorded in the row. */
#ifndef BANGER_CONTROLLER_POLICY_ACTIONS_H
#define BANGER_CONTROLLER_POLICY_ACTIONS_H

#include "controller/ctl.h"

#define VM_REBOOTS_MOST 10u /* in a row, none of them followed by a minute of work */

/* Start a VM at rest whose desired state is running, if its restart policy allows it, or its guest
 * has rebooted. */
void vm_revive(struct ctl *c, const uint8_t id[ID_LEN]);
/* Clear the desired state of a VM that reached its maximum of restarts, or of reboots, in a row.
 */
void vm_give_up(struct ctl *c, const uint8_t id[ID_LEN]);
/* Stop a running VM that has been idle for its auto_stop_s. */
void vm_auto_stop(struct ctl *c, const uint8_t id[ID_LEN]);
/* Ask the agent in the guest of a running VM whether it answers, and record that it does.  Without
 * the operation lock: it changes nothing of the VM. */
void vm_probe(struct ctl *c, const uint8_t id[ID_LEN]);
/* Release a VM for which vm_release_due() holds. */
void vm_release_again(struct ctl *c, const uint8_t id[ID_LEN]);
/* Stop or delete a VM that is held and has no holder, as its row says.  A running operation is
 * interrupted, as by a kill; but not a stop, a delete or a drain of a VM that is kept, or that has
 * a volume which its guest writes.
 * Return: 0, also when nothing is to be done; 1: it goes down, look again; -1: it failed. */
int vm_end_unheld(struct ctl *c, const uint8_t id[ID_LEN]);

#endif
