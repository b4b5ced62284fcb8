/* tsc.h - the rate of the host's time stamp counter, which guests under TCG are told. */
#ifndef BANGER_CONTROLLER_TSC_H
#define BANGER_CONTROLLER_TSC_H

#include <stdint.h>

/**
 * tsc_khz() - ticks of the time stamp counter in a millisecond
 *
 * The first call measures for 20 ms; later ones, of any thread, have its answer.
 * Return: kHz, or 0: this processor has no such counter, or it made no sense.
 */
uint32_t tsc_khz(void);

#endif
