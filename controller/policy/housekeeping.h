/* housekeeping.h - the schedule of restarts, stops of idle VMs, repeated releases, repairs and
 * backups. */
#ifndef BANGER_CONTROLLER_POLICY_HOUSEKEEPING_H
#define BANGER_CONTROLLER_POLICY_HOUSEKEEPING_H

#include "controller/ctl.h"

struct housekeeping;

/**
 * housekeeping_open() - make a schedule whose policy state is empty
 * @c:	borrowed until housekeeping_close(); @c->idle is open
 * Return: the schedule, or NULL when there is no memory.
 */
struct housekeeping *housekeeping_open(struct ctl *c);

/* Free it.  The workers must have ended. */
void housekeeping_close(struct housekeeping *k);

/* Queue a cycle for a worker when one is due.  The main loop calls this in each round. */
void housekeeping_tick(struct housekeeping *k);

/* Plan a repair for the next cycle, at most one a second.  The net role has reported that an object
 * was removed. */
void housekeeping_hurry(struct housekeeping *k);

/**
 * housekeeping_pass() - run one cycle in the calling thread
 * @now_ns:	of clock_boot_ns(); tests pass times of their own
 */
void housekeeping_pass(struct housekeeping *k, uint64_t now_ns);

#endif
