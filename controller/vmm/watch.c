/* watch.c - watches the pidfds of running VMs, and serializes the access to their streams.
 *
 * Each slot has one entry in an array that is never freed.  An event that arrives after a worker
 * has removed the VM finds an unused entry.  One mutex guards all entries. */
#include "controller/vmm/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/fdio.h"
#include "common/lock.h"
#include "common/pidfd.h"
#include "controller/loop.h"
#include "controller/workers.h"

struct entry {
	struct loop_source pid_source;
	struct streams streams;
	struct watch *watch;
	bool used, ended, reported, ready;
	uint8_t vm[ID_LEN];
	int pidfd;
};

struct watch {
	struct ctl *ctl;
	pthread_mutex_t lock;
	struct streams_folder folder;
	watch_on_exit *on_exit;
	bool unreported; /* an exit is not reported yet: the workers' queue was full */
	struct entry entries[SLOT_MAX];
};

static void source_ready(struct loop_source *s, uint32_t events)
{
	watch_event(((struct entry *)s->owner)->watch, s, events);
}

struct watch *watch_open(struct ctl *c, int epoll_fd, watch_on_exit *on_exit)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	if (streams_folder_open(&w->folder, &c->config, epoll_fd) < 0) {
		free(w);
		return NULL;
	}
	w->ctl = c;
	w->on_exit = on_exit;
	(void)pthread_mutex_init(&w->lock, NULL);
	for (uint32_t i = 0; i < SLOT_MAX; i++) {
		struct entry *e = &w->entries[i];
		*e = (struct entry){ .watch = w, .pidfd = -1, .pid_source = { source_ready, e } };
		streams_init(&e->streams, &w->folder, i, e->pid_source);
	}
	return w;
}

static void forget(struct entry *e)
{
	if (!e->used)
		return;
	loop_drop(e->watch->folder.epoll_fd, &e->pidfd);
	streams_close(&e->streams);
	e->used = false;
}

void watch_discard(struct watch *w, uint32_t slot)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	(void)streams_discard(&w->folder, slot);
}

int watch_console_open(struct watch *w, const struct vm *vm)
{
	if (vm->slot >= SLOT_MAX) {
		errno = EINVAL;
		return -1;
	}
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	FAILPOINT("console.open");
	streams_folder_check(&w->folder);
	if (!vm_keeps_console(vm)) {
		forget(&w->entries[vm->slot]);
		if (streams_begin(&w->folder, vm) < 0)
			return -1;
	}
	return streams_console_open(&w->folder, vm->slot);
}

int watch_input_open(struct watch *w, const struct vm *vm)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	FAILPOINT("input.open");
	return streams_input_open(&w->folder, vm->slot);
}

int watch_add(struct watch *w, const struct vm *vm, int pidfd)
{
	if (vm->slot >= SLOT_MAX) {
		fdio_close_all(&pidfd, 1);
		errno = EINVAL;
		return -1;
	}
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	struct entry *e = &w->entries[vm->slot];
	forget(e);
	e->used = true;
	e->ended = e->reported = e->ready = false;
	memcpy(e->vm, vm->id, ID_LEN);
	e->pidfd = pidfd;
	if (streams_open(&e->streams, vm) < 0 ||
	    loop_add(w->folder.epoll_fd, pidfd, &e->pid_source) < 0) {
		int saved = errno;
		forget(e);
		errno = saved;
		return -1;
	}
	return 0;
}

static struct entry *find(struct watch *w, const uint8_t vm[ID_LEN])
{
	for (uint32_t i = 0; i < SLOT_MAX; i++)
		if (w->entries[i].used && memcmp(w->entries[i].vm, vm, ID_LEN) == 0)
			return &w->entries[i];
	return NULL;
}

void watch_remove(struct watch *w, const uint8_t vm[ID_LEN])
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	struct entry *e = find(w, vm);
	if (e)
		forget(e);
}

int watch_pidfd(struct watch *w, const uint8_t vm[ID_LEN])
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	struct entry *e = find(w, vm);
	return e && e->pidfd >= 0 ? fcntl(e->pidfd, F_DUPFD_CLOEXEC, 0) : -1;
}

enum watch_life watch_life(struct watch *w, const uint8_t vm[ID_LEN])
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	struct entry *e = find(w, vm);
	if (!e || e->pidfd < 0)
		return WATCH_NOT;
	return pidfd_alive(e->pidfd) ? WATCH_LIVES : WATCH_ENDED;
}

void watch_set_ready(struct watch *w, const uint8_t vm[ID_LEN])
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	struct entry *e = find(w, vm);
	if (e)
		e->ready = true;
}

bool watch_is_ready(struct watch *w, const uint8_t vm[ID_LEN])
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	const struct entry *e = find(w, vm);
	return e && e->ready;
}

void watch_close(struct watch *w)
{
	if (!w)
		return;
	for (uint32_t i = 0; i < SLOT_MAX; i++)
		forget(&w->entries[i]);
	streams_folder_close(&w->folder);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

/* ---- events ---- */

/* Call the exit handler, in a worker.  The entry may have been removed, or reused for another VM,
 * since the job was queued. */
static void report_end(struct ctl *c, void *arg)
{
	struct entry *e = arg;
	uint8_t vm[ID_LEN];
	bool still;

	(void)pthread_mutex_lock(&e->watch->lock);
	still = e->used && e->ended;
	memcpy(vm, e->vm, ID_LEN);
	(void)pthread_mutex_unlock(&e->watch->lock);
	if (still)
		e->watch->on_exit(c, vm);
}

static void report(struct entry *e)
{
	e->reported = workers_run(e->watch->ctl->workers, report_end, e) == 0;
	e->watch->unreported |= !e->reported;
}

/* Handle an event of a pidfd.  The event may belong to the slot's last VM, so the pidfd is
 * polled. */
static void on_pidfd(struct entry *e)
{
	if (e->ended || !pidfd_wait(e->pidfd, 0))
		return;
	e->ended = true;
	(void)epoll_ctl(e->watch->folder.epoll_fd, EPOLL_CTL_DEL, e->pidfd, NULL);
	report(e);
}

void watch_event(struct watch *w, void *ptr, uint32_t events)
{
	struct loop_source *s = ptr;
	struct entry *e = s->owner;

	(void)events;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	if (!e->used)
		return;
	if (s == &e->pid_source)
		on_pidfd(e);
	else
		streams_event(&e->streams, s);
}

void watch_tick(struct watch *w)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	if (!w->unreported)
		return;
	w->unreported = false;
	for (uint32_t i = 0; i < SLOT_MAX; i++) {
		struct entry *e = &w->entries[i];
		if (e->used && e->ended && !e->reported)
			report(e);
	}
}

bool watch_has(struct watch *w, const struct vm *vm, enum stream_kind kind)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);

	return vm->slot < SLOT_MAX && streams_has(&w->folder, vm, kind);
}

void watch_catch_up(struct watch *w, const struct vm *vm, enum stream_kind kind)
{
	if (vm->slot >= SLOT_MAX)
		return;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	struct entry *e = &w->entries[vm->slot];
	if (e->used && memcmp(e->vm, vm->id, ID_LEN) == 0)
		streams_catch_up(&e->streams, kind);
}

uint64_t watch_end(struct watch *w, const struct vm *vm, enum stream_kind kind)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);

	return vm->slot < SLOT_MAX ? streams_end(&w->folder, vm, kind) : 0;
}

ssize_t watch_type(struct watch *w, const uint8_t vm[ID_LEN], const uint8_t *buf, size_t n)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	const struct entry *e = find(w, vm);

	if (!e) {
		errno = ESRCH;
		return -1;
	}
	return streams_type(&w->folder, e->streams.slot, buf, n);
}

ssize_t watch_read(struct watch *w, const struct vm *vm, enum stream_kind kind, uint64_t *offset,
		   char *buf, size_t size)
{
	if (vm->slot >= SLOT_MAX)
		return 0;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	return streams_read(&w->folder, vm, kind, offset, buf, size);
}
