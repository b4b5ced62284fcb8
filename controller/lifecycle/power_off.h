/* power_off.h - asks a guest to power off: by the agent in it, and by its power button. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_POWER_OFF_H
#define BANGER_CONTROLLER_LIFECYCLE_POWER_OFF_H

#include "controller/ctl.h"

/**
 * power_off_ask() - ask the guest of a VM to power off
 * @vm:		its VMM lives
 * @pidfd:	of the VMM
 * @left_ms:	time until the VMM is killed, more than 0.  The guest's init has that time but for
 *		2.5 s, or half of a short one: then the agent ends the guest itself.
 * @agent:	in and out: a connection to the agent that was told; -1: none was yet.  The caller
 *		closes it after the end of the guest, with the care of vmm_ports_close().
 *
 * It is called again every VMM_SHUTDOWN_AGAIN_MS: a guest that boots may have no agent yet, and
 * mind no button.  It takes 50 ms, and as long as the monitor takes to answer.
 * Return: 0, or -1: neither an agent was told, nor does the monitor press the button (logged).
 */
int power_off_ask(struct ctl *c, const struct vm *vm, int pidfd, uint64_t left_ms, int *agent);

#endif
