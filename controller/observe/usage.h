/* usage.h - the resources that a running VM uses, from the counters of its control group and its
 * tap. */
#ifndef BANGER_CONTROLLER_OBSERVE_USAGE_H
#define BANGER_CONTROLLER_OBSERVE_USAGE_H

#include "controller/ctl.h"

/* Resources of one VM; 0 where the kernel does not count.  The names are those of cgroup v2
 * (Documentation/admin-guide/cgroup-v2.rst). */
struct stats {
	/* since the start of the VMM, microseconds: cpu.stat, usage_usec */
	uint64_t cpu_us;
	uint64_t resident;  /* now, bytes: memory.current */
	uint64_t processes; /* now: pids.current */
	/* since the start, bytes, by the guest: its tap counts them as sent and received */
	uint64_t received, sent;
};

/* Take over the descriptor of the host's /proc/net/dev.  Call it before sandbox_enter(). */
void stats_prepare(struct ctl *c);

/* Read the counters of all interfaces, for many stats_read().  Return: a text that the caller
 * frees, or NULL. */
char *stats_network(const struct ctl *c);

/**
 * stats_read() - read the resources that a running VM uses
 * @network:	result of stats_network(); NULL: received and sent are 0
 *
 * Return: 0, or -1 with errno: ENOENT the VM has no control group, so it does not run.
 */
int stats_read(const struct ctl *c, const struct vm *vm, const char *network, struct stats *out);

#endif
