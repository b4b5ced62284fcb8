/* forward.h - connections to servers in a guest, by the agent. */
#ifndef BANGER_CLI_FORWARD_H
#define BANGER_CLI_FORWARD_H

#include <sys/types.h>

#include "controller/cli/cli.h"

/**
 * forward_begin() - connect to a TCP port of the guest's loopback, in a process of its own
 * @tcp:	the port
 * @pid:	out: the process, for forward_end()
 *
 * The connection ends when the guest refuses it, or when its agent does not answer within
 * login_ms(); no error is printed.
 * Return: a socket that the caller closes, or -1 with errno.
 */
int forward_begin(struct cli *c, const struct ev_vm *vm, uint16_t tcp, pid_t *pid);

/* Kill the process, which ends the connection. */
void forward_end(pid_t pid);

#endif
