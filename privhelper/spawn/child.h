/* child.h - clones a child into a VM's cgroup and executes the VMM in it. */
#ifndef BANGER_PRIVHELPER_SPAWN_CHILD_H
#define BANGER_PRIVHELPER_SPAWN_CHILD_H

#include <linux/filter.h>
#include <stdint.h>

#include "privhelper/spawn/argv.h"

#define API_FD 3  /* the descriptor of the listening API socket with API_MADE */
#define PORT_FD 4 /* the first descriptor of the sockets of the agent's ports, likewise */

/* The process that makes the API socket.  API_NONE: the probe has none.  API_MADE: the child makes
 * it, so that QEMU needs no right to write in its folder.  API_OWN: Firecracker makes it. */
enum child_api { API_NONE, API_MADE, API_OWN };

/* The arguments of spawn_child(). */
struct child {
	const struct argv *argv;
	const struct sock_fprog *filter; /* the VMM's own, from spawn_filter_vmm() */
	enum child_api api;
	uint32_t id; /* uid and gid of the VMM */
	uint32_t slot;
	uint32_t ports;    /* of the guest's agent; API_MADE alone has them */
	int input;         /* standard input: what the guest reads from its serial line */
	int console;       /* standard output and error */
	int landlock_abi;  /* 0: the kernel has no Landlock */
	uint64_t disk_max; /* bytes of the largest file that a VMM may write (RLIMIT_FSIZE) */
};

/* Leave this process and its children no files but those below its root, by Landlock: a folder that
 * a peer sends leads nowhere.  @abi: Landlock's; 0: the kernel has none, and nothing is done.
 * Return: 0, or -1 with errno. */
int spawn_bound_files(int abi);

/**
 * spawn_child() - start a VMM inside a cgroup
 * @cgroup:	descriptor of the cgroup's directory
 * @c:		used until the return
 * @pidfd:	out, close-on-exec, which the caller closes
 *
 * Return: the pid, or -1 with errno.  The child reports a later error on the console and exits with
 * status 127.
 */
int spawn_child(int cgroup, const struct child *c, int *pidfd);

#endif
