#include "controller/host/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "proto/slot.h"

#define NETWORK_MAX (256 * 1024) /* a line of /proc/net/dev has about 120 bytes, and a host of ours up to 1,000 taps */

/* Our own network namespace is empty; the descriptor shows the one in which it was opened (proc_pid_net(5)). */
void stats_prepare(struct ctl *c)
{
	c->host.net_dev = CTL_NET_DEV_FD;
}

char *stats_network(const struct ctl *c)
{
	char *text = c->host.net_dev < 0 ? NULL : malloc(NETWORK_MAX);
	size_t n = 0;
	ssize_t got;

	if (!text)
		return NULL;
	while (n < NETWORK_MAX - 1 && (got = pread(c->host.net_dev, text + n, NETWORK_MAX - 1 - n, (off_t)n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	return text;
}

/* proc_pid_net(5): "name: bytes packets errs drop fifo frame compressed multicast bytes ...", received, then sent. */
static void read_tap(const char *network, uint32_t slot, struct stats *out)
{
	char name[20];

	slot_tap(slot, name);
	size_t n = strlen(name);
	name[n++] = ':';
	name[n] = '\0';
	for (const char *line = network; line; line = strchr(line, '\n')) {
		line += strspn(line, "\n ");
		if (strncmp(line, name, n) == 0) {
			(void)sscanf(line + n, "%" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &out->sent, &out->received);
			return;
		}
	}
}

static int read_file(int dir, const char *name, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	return n < 0 ? -1 : 0;
}

int stats_read(const struct ctl *c, const struct vm *vm, const char *network, struct stats *out)
{
	char path[200], text[1024];

	*out = (struct stats){ 0 };
	(void)snprintf(path, sizeof(path), "%s/vm/%u.%u.%u", c->config.cgroup_dir, vm->slot, vm->generation, vm->owner);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || read_file(dir, "cpu.stat", text, sizeof(text)) < 0)
		return -1;
	(void)sscanf(text, "usage_usec %" SCNu64, &out->cpu_us); /* its first line (cgroup v2, "cpu.stat") */
	if (read_file(dir, "memory.current", text, sizeof(text)) == 0)
		out->resident = strtoull(text, NULL, 10);
	if (read_file(dir, "pids.current", text, sizeof(text)) == 0)
		out->processes = strtoull(text, NULL, 10);
	if (network)
		read_tap(network, vm->slot, out);
	return 0;
}
