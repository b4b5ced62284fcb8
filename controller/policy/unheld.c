/* unheld.c - hands the VMs without a holder to workers, one job for each. */
#include "controller/policy/unheld.h"

#include "common/clock.h"
#include "controller/lifecycle/hold.h"
#include "controller/policy/actions.h"
#include "controller/workers.h"

#define SECOND 1000000000ull
#ifndef BANGER_FAILPOINTS
#define RETRY_S 15
#else
#define RETRY_S 1
#endif

static void end_job(struct ctl *c, void *arg)
{
	struct held *s = arg;

	int r = vm_end_unheld(c, hold_id(s));
	hold_done(c->holds, s, r < 0 ? clock_boot_ns() + RETRY_S * SECOND : 0);
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
