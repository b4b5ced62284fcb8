/* peer.h - connections to the API socket of a monitor that may be hostile, and waits with a
 * deadline; for both drivers. */
#ifndef BANGER_CONTROLLER_VMM_PEER_H
#define BANGER_CONTROLLER_VMM_PEER_H

#include "controller/ctl.h"

/* Maximum size of an answer, in bytes. */
#define VMM_ANSWER_MAX 65536

/* Time for a whole start, and for any later exchange.  On a loaded host under TCG the first answer
 * takes seconds. */
#ifndef BANGER_FAILPOINTS
#define VMM_BOOT_MS 30000
#define VMM_TALK_MS 5000
#else /* the crash test makes many monitors hang */
#define VMM_BOOT_MS 5000
#define VMM_TALK_MS 1000
#endif

/* A wait ends at the deadline, when the monitor exits, or by a cancellation. */
struct vmm_wait {
	const char *who;              /* name of the monitor for messages: "QEMU" */
	uint64_t deadline_ns;         /* of clock_boot_ns() */
	unsigned ms;                  /* the whole time, for messages */
	int pidfd;                    /* of the monitor; -1: its exit does not end the wait */
	const atomic_bool *cancelled; /* NULL: the wait can not be cancelled */
};

/**
 * vmm_wait_start() - begin a wait of @ms milliseconds
 * @who:	name of the monitor, a literal
 * @pidfd:	borrowed, or -1
 * @o:		its cancellation ends the wait; NULL: none
 *
 * Return: the wait; there is nothing to free.
 */
struct vmm_wait vmm_wait_start(const char *who, unsigned ms, int pidfd, const struct operation *o);

/* Return: milliseconds until the deadline, 0 after it. */
unsigned vmm_wait_left(const struct vmm_wait *w);

/* Check whether the wait is over.  Return: 0 if it is not, or -1 with the error: FAIL_TIMEOUT,
 * FAIL_STATE cancelled, FAIL_GENERAL the monitor has exited. */
int vmm_wait_check(const struct vmm_wait *w, struct error *e);

/**
 * vmm_wait_fd() - wait until @fd is ready
 * @fd:		-1: only sleep
 * @events:	as in poll(2)
 * @ms:		return after this time in any case
 *
 * Return: 1 ready, 0 after @ms, -1 with the error as vmm_wait_check().
 */
int vmm_wait_fd(const struct vmm_wait *w, int fd, short events, unsigned ms, struct error *e);

#define VMM_PEER_PATH 108 /* sun_path of unix(7) */

/**
 * vmm_peer_connect() - connect to a socket of the monitor
 * @name:	the socket's name in the slot's run folder
 * @path:	out: its path
 *
 * Return: a non-blocking descriptor, or -1 with errno: EPERM it is not the monitor's socket; EAGAIN
 * its queue is full (unix(7)); ENOENT, ECONNREFUSED there is none.
 */
int vmm_peer_connect(const struct ctl *c, const struct vm *vm, const char *name,
		     char path[VMM_PEER_PATH]);

/**
 * vmm_peer_find() - wait until the monitor's API socket accepts connections
 * @path:	out: its path, which fits into struct sockaddr_un
 * @sock:	out: a non-blocking connection, owned by the caller; may be NULL
 *
 * The folder belongs to the monitor's uid.  The monitor's filter only lets it make sockets there.
 * A link to the socket of another VM would be refused all the same: the entry must be a socket
 * owned by the slot's uid, and a process with this uid must listen on it.  A path through
 * /proc/self/fd would name one certain socket, but the controller's view of /proc has no such links
 * (privhelper/supervisor/view.c).
 * Return: 0, or -1 with the error.
 */
int vmm_peer_find(const struct ctl *c, const struct vm *vm, const struct vmm_wait *w,
		  char path[VMM_PEER_PATH], int *sock, struct error *e);

/* Copy a text of the monitor for a message.  Control bytes and bytes outside of ASCII become '?'.
 * The copy is cut to @size - 1 bytes and ends with a NUL. */
void vmm_peer_text(char *out, size_t size, const char *text);

#endif
