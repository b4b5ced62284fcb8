/* housekeeping.h - what the controller does without being asked: every two seconds it restarts,
 * stops and releases VMs that their policies or failed releases call for. */
#ifndef BANGER_CONTROLLER_POLICY_HOUSEKEEPING_H
#define BANGER_CONTROLLER_POLICY_HOUSEKEEPING_H

#include "controller/ctl.h"

struct housekeeping;

/* @c->idle must be open.  Return: NULL when there is no memory for it. */
struct housekeeping *housekeeping_open(struct ctl *c);
void housekeeping_close(struct housekeeping *k); /* after the workers have ended */

/* From the main loop, as often as it comes round: begins a pass in a worker when one is due. */
void housekeeping_tick(struct housekeeping *k);

/* Something was taken away: kernel and records are compared soon, at most once a second. */
void housekeeping_hurry(struct housekeeping *k);

/* One pass, here, at @now_ns of clock_boot_ns(): what a worker does, and tests. */
void housekeeping_pass(struct housekeeping *k, uint64_t now_ns);

#endif
