/* keeper.h - the controller's own initiative, every two seconds: restart what is to be restarted, stop what is idle,
 * release again what could not be released. */
#ifndef BANGER_CONTROLLER_KEEPER_H
#define BANGER_CONTROLLER_KEEPER_H

#include "controller/ctl.h"

struct keeper;

/* @c->idle must be open.  Return: NULL when there is no memory for it. */
struct keeper *keeper_open(struct ctl *c);
void keeper_close(struct keeper *k); /* after the workers have ended */

/* From the main loop, as often as it comes round: begins a pass in a worker when one is due. */
void keeper_tick(struct keeper *k);

/* Something was taken away: kernel and records are compared soon, at most once a second. */
void keeper_hurry(struct keeper *k);

/* One pass, here, at @now_ns of clock_boot_ns(): what a worker does, and tests. */
void keeper_pass(struct keeper *k, uint64_t now_ns);

#endif
