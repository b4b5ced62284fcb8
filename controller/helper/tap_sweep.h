/* tap_sweep.h - removal of taps, which is slow in the kernel: threads share one sweep. */
#ifndef BANGER_CONTROLLER_HELPER_TAP_SWEEP_H
#define BANGER_CONTROLLER_HELPER_TAP_SWEEP_H

#include "controller/ctl.h"

/* Return: the state that threads share, or NULL when there is no memory. */
struct tap_sweep *tap_sweep_open(void);

/* Free it.  The workers must have ended.  NULL does nothing. */
void tap_sweep_close(struct tap_sweep *s);

/**
 * tap_sweep_remove() - have the net role retire a tap, and wait until a sweep has removed it
 * @q:	a TAP_RETIRE request, filled in
 *
 * A sweep removes all taps that are retired when it begins, so threads that release VMs at the same
 * time wait for one sweep: it is sent when their retirements are answered.  If a sweep fails, each
 * waiting thread sends its own, and returns the status of that one.
 * Return: a status, or -1: the role is not connected.
 */
int tap_sweep_remove(struct tap_sweep *s, struct helper *h, struct request *q);

#endif
