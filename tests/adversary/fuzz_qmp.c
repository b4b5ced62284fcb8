/* The answers of a hostile QEMU.  An input is the call to make, the size of the parts in which its
 * bytes arrive, and the bytes.  With the top bit of the call they come again and again.
 *
 * Checked: each call ends; an error has a text that is safe on a terminal; nothing leaks; a running
 * guest is believed only after an answer with the right id. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "controller/vmm/driver.h"
#include "controller/vmm/peer.h"
#include "tests/adversary/fuzz.h"

#define SOCK 1001
#define WAITS_MAX 500000
#define REPEATED_MAX 6000
#define STATUS_ASKED 4 /* times that a boot may ask for the state of the guest */

static struct input from;
static size_t step;
static unsigned waits, slept, odd;
static const uint8_t *again; /* NULL: the bytes come once */
static size_t repeated;
static char sent[4096];
static size_t sent_n;

int __wrap_vmm_peer_find(const struct ctl *c, const struct vm *vm, const struct vmm_wait *w,
			 char path[VMM_PEER_PATH], int *sock, struct error *e);
int __wrap_vmm_peer_find(const struct ctl *c, const struct vm *vm, const struct vmm_wait *w,
			 char path[VMM_PEER_PATH], int *sock, struct error *e)
{
	(void)c;
	(void)vm;
	(void)w;
	(void)e;
	path[0] = '\0';
	*sock = SOCK;
	return 0;
}

/* The time is over when the monitor has no more bytes. */
int __wrap_vmm_wait_fd(const struct vmm_wait *w, int fd, short events, unsigned ms,
		       struct error *e);
int __wrap_vmm_wait_fd(const struct vmm_wait *w, int fd, short events, unsigned ms, struct error *e)
{
	(void)ms;
	MUST(++waits < WAITS_MAX);
	if (fd == SOCK && (events & POLLOUT || from.p < from.end || step % 8 != 5))
		return 1;
	if (fd < 0 && ++slept < STATUS_ASKED)
		return 0;
	return error_set(e, FAIL_TIMEOUT, w->who, "no answer on its API socket within %u ms",
			 w->ms);
}

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags)
{
	if (again && from.p == from.end && ++repeated < REPEATED_MAX)
		from.p = again;
	const size_t left = (size_t)(from.end - from.p);

	(void)flags;
	MUST(fd == SOCK && n);
	/* Odd sizes: the socket has nothing now and then, and ends with an error. */
	errno = left ? EAGAIN : step % 4 == 1 ? ECONNRESET : EIO;
	if (step != SIZE_MAX && step % 2 && (!left || ++odd % 3 == 0))
		return -1;
	n = n < step ? n : step;
	n = n < left ? n : left;
	(void)input_take(&from, buf, n);
	return (ssize_t)n;
}

ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags)
{
	MUST(fd == SOCK && flags == MSG_NOSIGNAL);
	errno = step % 4 == 3 ? EPIPE : EAGAIN;
	if (step != SIZE_MAX && step % 2 && ++odd % 5 == 0)
		return -1;
	n = n < step ? n : step;
	MUST(sent_n + n < sizeof(sent));
	memcpy(sent + sent_n, buf, n);
	sent_n += n;
	sent[sent_n] = '\0';
	return (ssize_t)n;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	return fd == SOCK ? 0 : __real_close(fd);
}

static void check_error(const struct error *e)
{
	MUST(e->code > FAIL_NONE && e->code < FAIL_COUNT);
	MUST(strnlen(e->why, sizeof(e->why)) < sizeof(e->why));
	for (const char *c = e->why; *c; c++)
		MUST(*c >= ' ' && *c <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ctl c;
	static const struct operation o = { .cancelled = NULL };
	const struct vm vm = { .name = "fuzz" };
	struct error e = { .code = FAIL_NONE };
	int r;

	from = (struct input){ data, data + size };
	const uint8_t call = input_byte(&from), part = input_byte(&from);
	step = part ? part : SIZE_MAX;
	waits = slept = odd = 0;
	sent_n = repeated = 0;
	again = call & 0x80 ? from.p : NULL;
	if (call % 3 == 1)
		r = vmm_qemu.shutdown(&c, &vm, -1, &e);
	else
		r = vmm_qemu.boot(&c, &vm, &o, -1, &e);
	MUST(r == 0 || r == -1);
	if (r < 0)
		check_error(&e);
	else
		MUST(strstr(sent, "qmp_capabilities") && memmem(data, size, "\"QMP\"", 5));
	return 0;
}
