/* sweep.h - the removal of retired taps, all at once. */
#ifndef BANGER_PRIVHELPER_NET_SWEEP_H
#define BANGER_PRIVHELPER_NET_SWEEP_H

#include <stdint.h>

#include "privhelper/net/net.h"

/**
 * net_tap_sweep() - remove the taps of all retired slots, then forget their flows
 * @taps:	out: how many there were
 *
 * However many: the kernel waits little longer than for one (RCU), and walks
 * through its table of flows once.  What fails leaves all of them retired:
 * whoever retires its slot again hears of its own alone.
 * ST_BUSY: interfaces came or went as we looked; ask again.
 */
enum status net_tap_sweep(struct net_state *n, uint64_t *taps);

#endif
