/* actions.h - what is done to a VM without being asked, by its policy.
 *
 * Each takes the VM's lock, and does nothing when its row no longer calls for it.  A failure is
 * logged, and is in the row. */
#ifndef BANGER_CONTROLLER_POLICY_ACTIONS_H
#define BANGER_CONTROLLER_POLICY_ACTIONS_H

#include "controller/ctl.h"

/* start it again, as its restart policy says */
void vm_revive(struct ctl *c, const uint8_t id[ID_LEN]);
/* it ended too often: cancel its restart */
void vm_give_up(struct ctl *c, const uint8_t id[ID_LEN]);
void vm_auto_stop(struct ctl *c, const uint8_t id[ID_LEN]);     /* stop it, since it is idle */
/* its release failed, or was not even recorded */
void vm_release_again(struct ctl *c, const uint8_t id[ID_LEN]);

#endif
