/* tap_sweep.h - removal of taps, which the kernel makes slow: threads that wait for it wait
 * together. */
#ifndef BANGER_CONTROLLER_HELPER_TAP_SWEEP_H
#define BANGER_CONTROLLER_HELPER_TAP_SWEEP_H

#include "controller/ctl.h"

/* Return: NULL when there is no memory for it. */
struct tap_sweep *tap_sweep_open(void);
void tap_sweep_close(struct tap_sweep *s); /* after the workers have ended */

/**
 * tap_sweep_remove() - have a tap retired, then swept
 * @q:	TAP_RETIRE, filled in
 *
 * One sweep serves all whose tap is retired by then: threads that release
 * their VMs at the same time wait for the kernel together.  After one that
 * fails each asks for itself, so the answer is always the caller's own.
 * Return: a status, or -1: the role is gone.
 */
int tap_sweep_remove(struct tap_sweep *s, struct helper *h, struct request *q);

#endif
