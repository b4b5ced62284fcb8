/* unheld.c - hands the VMs without a holder to workers, one job for each. */
#include "controller/policy/unheld.h"

#include "common/clock.h"
#include "controller/lifecycle/hold.h"
#include "controller/policy/actions.h"
#include "controller/workers.h"

#define SECOND 1000000000ull
#define AGAIN_S 1 /* while it goes down by another operation */
#ifndef BANGER_FAILPOINTS
#define RETRY_S 15
#else
#define RETRY_S 1
#endif

static void end_job(struct ctl *c, void *arg)
{
	struct held *s = arg;

	int r = vm_end_unheld(c, hold_id(s));
	const uint64_t wait_s = r < 0 ? RETRY_S : AGAIN_S;
	hold_done(c->holds, s, r ? clock_boot_ns() + wait_s * SECOND : 0);
}

void unheld_tick(struct ctl *c)
{
	for (struct held *s; (s = hold_due(c->holds, clock_boot_ns()));)
		if (workers_run(c->workers, end_job, s) < 0) {
			/* The queue is full. */
			hold_done(c->holds, s, clock_boot_ns() + SECOND / 10);
			return;
		}
}
