#include "controller/observe/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "proto/slot.h"

/* 1,000 taps, with a line of about 120 bytes of /proc/net/dev each, and others */
#define NETWORK_MAX (256 * 1024)

/* The controller's network namespace is empty.  The supervisor has opened this descriptor of
 * /proc/net/dev in the host's namespace, and it shows that namespace (proc_pid_net(5)). */
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
	while (n < NETWORK_MAX - 1 &&
	       (got = pread(c->host.net_dev, text + n, NETWORK_MAX - 1 - n, (off_t)n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	return text;
}

/* Find the line of the slot's tap.  Its fields are "name: bytes packets errs drop fifo frame
 * compressed multicast bytes ...": eight of received data, then those of sent data
 * (proc_pid_net(5)). */
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
			(void)sscanf(line + n, "%" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64,
				     &out->sent, &out->received);
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
	(void)snprintf(path, sizeof(path), "%s/vm/%u.%u.%u", c->config.cgroup_dir, vm->slot,
		       vm->generation, vm->owner);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || read_file(dir, "cpu.stat", text, sizeof(text)) < 0)
		return -1;
	/* first line of cpu.stat (cgroup v2) */
	(void)sscanf(text, "usage_usec %" SCNu64, &out->cpu_us);
	if (read_file(dir, "memory.current", text, sizeof(text)) == 0)
		out->resident = strtoull(text, NULL, 10);
	if (read_file(dir, "pids.current", text, sizeof(text)) == 0)
		out->processes = strtoull(text, NULL, 10);
	if (network)
		read_tap(network, vm->slot, out);
	return 0;
}
