/* tsc.h - the rate of the host's time stamp counter, for guests under TCG. */
#ifndef BANGER_CONTROLLER_TSC_H
#define BANGER_CONTROLLER_TSC_H

#include <stdint.h>

/**
 * tsc_khz() - rate of the time stamp counter in kHz
 *
 * The first call measures for 20 ms; later calls return its result.  Thread-safe.
 * Return: kHz, or 0: the processor has no such counter, or the result is out of range.
 */
uint32_t tsc_khz(void);

#endif
