/* launcher.h - the process behind the spawn role: starts VMMs, and does nothing else. */
#ifndef BANGER_PRIVHELPER_SPAWN_LAUNCHER_H
#define BANGER_PRIVHELPER_SPAWN_LAUNCHER_H

#include "common/config.h"
#include "proto/ops.h"

/* What the role asks for, numbers alone.  Three descriptors come with it: the VMM's standard
 * input, its console and the directory of its cgroup. */
struct launch {
	struct req_vmm_spawn vmm;
	uint64_t slot;
};

/* The answer.  With ST_OK one descriptor comes with it, a pidfd of the VMM. */
struct launched {
	uint32_t status; /* enum status */
	int32_t pid;
};

/**
 * launcher_start() - fork the launcher, while this process is still root
 * @c:	the launcher has a copy
 *
 * Returns after the launcher has locked itself down.  From then on this process exits at once if
 * the launcher does, and the launcher is killed if this process exits (PR_SET_PDEATHSIG).
 * Return: this process's end of the socket, or -1 (logged).
 */
int launcher_start(const struct config *c);

/**
 * launcher_ask() - have the launcher start one VMM
 * @fd:		from launcher_start()
 * @fds:	the input, the console and the cgroup, which stay the caller's
 * @pid:	out, with ST_OK
 * @pidfd:	out, with ST_OK; the caller closes it
 *
 * Exits if the launcher is gone, sends anything but an answer, or is silent for 20 s.
 * Return: ST_OK, ST_LIMIT or ST_KERNEL.
 */
enum status launcher_ask(int fd, const struct launch *l, const int fds[3], int *pid, int *pidfd);

#endif
