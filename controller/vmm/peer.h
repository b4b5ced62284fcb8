/* peer.h - how both drivers reach a monitor that may be hostile: its own socket and no other, in
 * bounded time. */
#ifndef BANGER_CONTROLLER_VMM_PEER_H
#define BANGER_CONTROLLER_VMM_PEER_H

#include "controller/ctl.h"

/* No answer of a monitor is read beyond this. */
#define VMM_ANSWER_MAX 65536

/* How long a start, and any later exchange, may take; a loaded host under TCG needs seconds for
 * the first word. */
#ifndef BANGER_FAILPOINTS
#define VMM_BOOT_MS 30000
#define VMM_TALK_MS 5000
#else /* the crash test makes many monitors hang */
#define VMM_BOOT_MS 2000
#define VMM_TALK_MS 1000
#endif

/* What ends a wait: the deadline, the monitor's own end, a cancellation. */
struct vmm_wait {
	const char *who;              /* "QEMU", for messages */
	uint64_t deadline_ns;         /* CLOCK_MONOTONIC */
	unsigned ms;                  /* the whole of it, for messages */
	int pidfd;                    /* -1: not watched */
	const atomic_bool *cancelled; /* NULL: can not be */
};

struct vmm_wait vmm_wait_start(const char *who, unsigned ms, int pidfd, const struct operation *o);

/* Milliseconds left; 0 when it is over. */
unsigned vmm_wait_left(const struct vmm_wait *w);

/* Is it over?  Return: 0, or -1 with the error: FAIL_TIMEOUT, FAIL_STATE cancelled, FAIL_GENERAL
 * the monitor ended. */
int vmm_wait_check(const struct vmm_wait *w, struct error *e);

/**
 * vmm_wait_fd() - wait until @fd is ready
 * @fd:	-1: only sleep
 * @ms:	return after so long in any case
 * Return: 1 ready, 0 @ms have passed, -1 with the error as vmm_wait_check().
 */
int vmm_wait_fd(const struct vmm_wait *w, int fd, short events, unsigned ms, struct error *e);

#define VMM_PEER_PATH 108 /* sun_path of unix(7) */

/**
 * vmm_peer_find() - the monitor's API socket, once it accepts connections
 * @path:	out: its path, which fits into struct sockaddr_un
 * @sock:	out, or NULL: a connection, not blocking
 *
 * The folder belongs to the monitor, whose filter lets it make nothing but sockets.  Were there a
 * link to another VM's socket all the same, it would not be used: what is at the path must be a
 * socket that the slot's uid made, and a process with this uid must listen at its other end.
 * (/proc/self/fd would be a path to one socket for sure.  But the controller has no such links, as
 * they would lead it to sockets of the host by folders that users can hand to it: see view.c of the
 * supervisor.)  Waits while there is no socket, or no process listens on it.
 * Return: 0, or -1 with the error.
 */
int vmm_peer_find(const struct ctl *c, const struct vm *vm, const struct vmm_wait *w,
		  char path[VMM_PEER_PATH], int *sock, struct error *e);

/* A text of the monitor's for people: control bytes and what is not ASCII become '?', cut at
 * @size - 1. */
void vmm_peer_text(char *out, size_t size, const char *text);

#endif
