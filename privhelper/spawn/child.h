/* child.h - from the clone to execve. */
#ifndef BANGER_PRIVHELPER_SPAWN_CHILD_H
#define BANGER_PRIVHELPER_SPAWN_CHILD_H

#include <linux/filter.h>
#include <stdint.h>

#include "privhelper/spawn/argv.h"

#define API_FD 3 /* where API_MADE puts the listening socket */

/* Its API socket: the probe has none; QEMU is given one that listens already, and so need not write in its folder;
 * Firecracker makes its own. */
enum child_api { API_NONE, API_MADE, API_OWN };

struct child {
	const struct argv *argv;
	const struct sock_fprog *filter;
	enum child_api api;
	uint32_t id;       /* uid and gid to become */
	uint32_t slot;
	int null_fd;       /* /dev/null, the standard input */
	int console;       /* standard output and error */
	int landlock_abi;  /* 0: the kernel has none */
	uint64_t disk_max; /* bytes: the largest disk of a VM, and so the largest file that a VMM may make of it */
};

/**
 * spawn_child() - start a process inside a cgroup
 * @cgroup:	descriptor of its directory
 * @c:		what to run
 * @pidfd:	out, close-on-exec, the caller's
 *
 * Return: the pid, or -1 with errno.  What fails after that is said on the
 * console, and the process ends with status 127.
 */
int spawn_child(int cgroup, const struct child *c, int *pidfd);

#endif
