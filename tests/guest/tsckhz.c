/* tsckhz.c - print this host's TSC frequency in kHz.  Emulated guests get the host's counter, and
 * on a busy host they may hang for ever when they measure it themselves: they are told instead
 * (tsc_early_khz=). */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	uint64_t ns = now_ns(), ticks = __rdtsc();

	(void)nanosleep(&pause, NULL);
	ticks = __rdtsc() - ticks;
	ns = now_ns() - ns;
	printf("%llu\n", (unsigned long long)((__uint128_t)ticks * 1000000u / ns));
	return 0;
}
