/* tsc.c - measures the rate of the time stamp counter.
 *
 * The counter and the clock are read together, twice, 20 ms apart.  Each time the pair with the
 * shortest distance of 16 readings is used, since the scheduler may interrupt a reading between
 * counter and clock. */
#include "controller/tsc.h"

#include <pthread.h>
#include <time.h>

#include "common/clock.h"

#define MEASURE_NS 20000000
#define KHZ_MAX 10000000 /* upper bound of VMM_SPAWN's argument (proto/ops.def) */

#ifdef __x86_64__
static void read_clocks(uint64_t *ticks, uint64_t *ns)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 16; i++) {
		uint64_t before = __builtin_ia32_rdtsc(), now = clock_boot_ns(),
			 after = __builtin_ia32_rdtsc();
		if (after - before >= best)
			continue;
		best = after - before;
		*ticks = before + best / 2;
		*ns = now;
	}
}

static uint64_t measure(void)
{
	uint64_t t0 = 0, n0 = 0, t1 = 0, n1 = 0;

	read_clocks(&t0, &n0);
	(void)nanosleep(&(struct timespec){ .tv_nsec = MEASURE_NS }, NULL);
	read_clocks(&t1, &n1);
	return n1 > n0 ? (t1 - t0) * 1000000 / (n1 - n0) : 0;
}
#else
static uint64_t measure(void)
{
	return 0;
}
#endif

static uint32_t rate;

static void measure_once(void)
{
	uint64_t khz = measure();

	rate = khz <= KHZ_MAX ? (uint32_t)khz : 0;
}

uint32_t tsc_khz(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, measure_once);
	return rate;
}
