/* usage.h - what a running VM uses, as the kernel counts it: its control group and its tap. */
#ifndef BANGER_CONTROLLER_HOST_USAGE_H
#define BANGER_CONTROLLER_HOST_USAGE_H

#include "controller/ctl.h"

/* Counters since the start of the VMM, but for what it has now; 0 where the kernel does not count. */
struct stats {
	uint64_t cpu_us;                /* cpu.stat, usage_usec */
	uint64_t resident, processes;   /* memory.current in bytes, pids.current */
	uint64_t received, sent;        /* bytes, from the guest's side: what its tap sent, and received */
};

/* Before the controller is confined: what it could not open later. */
void stats_prepare(struct ctl *c);

/* The interfaces' counters of this moment, for many stats_read().  Return: text of the caller's (free), or NULL. */
char *stats_network(const struct ctl *c);

/* @network may be NULL.  Return: 0, or -1 with errno (ENOENT: it has no control group, so it does not run). */
int stats_read(const struct ctl *c, const struct vm *vm, const char *network, struct stats *out);

#endif
