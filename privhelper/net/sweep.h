/* sweep.h - removes all retired taps at once. */
#ifndef BANGER_PRIVHELPER_NET_SWEEP_H
#define BANGER_PRIVHELPER_NET_SWEEP_H

#include <stdint.h>

#include "privhelper/net/net.h"

/**
 * net_tap_sweep() - remove the taps of all retired slots, then delete their flows
 * @taps:	out: the number of taps
 *
 * Many taps take little longer than one: the kernel waits for RCU once, and walks through its table
 * of flows once. After an error every slot stays retired.  The controller then retires each slot
 * again, and each answer is about that slot alone.
 * Return: ST_OK; ST_BUSY: interfaces appeared or vanished during the scan, or a retired tap is
 * left: ask again; or ST_KERNEL.
 */
enum status net_tap_sweep(struct net_state *n, uint64_t *taps);

#endif
