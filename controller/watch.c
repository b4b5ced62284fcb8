/* Theory of operation.  Each slot has one entry in an array that stays for ever, so an event that is already on its
 * way when a worker gives the VM up finds an unused entry, not freed memory.  One mutex guards all of it.
 *
 * A VM says something in up to three places: its guest's console, and, by Firecracker, the monitor's own log and its
 * metrics.  Each is a stream: a FIFO that the VMM writes to, and a bounded file that we read it into.
 *
 * The VMM is hostile and holds the console's FIFO that it was given: it shares that open file description and may clear
 * its O_NONBLOCK.  So we read from a description of our own, opened by path in a folder that only we can enter; being
 * open for both directions, neither side ever sees end of file (fifo(7)).  The VMM opens the FIFOs of log and metrics
 * itself, so they lie in its own folder, where it can put anything in their place: they are opened without following or
 * waiting and looked at, and a VM whose log can not be had is watched without it.
 *
 * A stream's file is one or two: for the console <slot>.log.1 (older) and <slot>.log, each half of its limit.  Both
 * begin with a header: whose it is, and the offset of its first byte.  A slot's next VM can therefore never be shown
 * what the one before said, and offsets survive a restart of the controller. */
#include "controller/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/fdio.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/pidfd.h"
#include "controller/loop.h"
#include "controller/storage.h"
#include "controller/worker.h"

#define LAST_WORDS (64 * 1024)
#define HEADER (ID_HEX - 1 + 1 + 16 + 1) /* "<id> <offset, 16 digits>\n" */
#define CHUNK 16384
#define CHUNKS_PER_EVENT 4               /* one full pipe; then the others have their turn */

#define FIFO_MODE 0606                   /* the slot's uid is neither owner nor group; Firecracker opens for both */

/* Where a stream is kept.  slack: so much before it is full, a file ends with the next whole line. */
struct sink {
	const char *suffix, *older;
	const char *fifo; /* its name in the slot's run folder; NULL: <slot>.fifo beside the files */
	size_t half, slack;
};

static const struct sink sinks[STREAM_COUNT] = {
	[STREAM_CONSOLE] = { "log", "log.1", NULL, CONSOLE_MAX / 2, 0 },
	[STREAM_VMM] = { "vmm", "vmm.1", "log", VMM_STREAM_MAX / 2, VMM_STREAM_MAX / 8 },
	[STREAM_METRICS] = { "metrics", "metrics.1", "metrics", VMM_STREAM_MAX / 2, VMM_STREAM_MAX / 8 },
};

struct stream {
	struct loop_source source; /* its owner: the entry */
	const struct sink *sink;
	int fifo, file;
	bool warned, mid_line;
	uint64_t base; /* offset of the first byte of the newer file */
	size_t size;   /* of that file, with its header */
};

struct entry {
	struct loop_source pid_source;
	struct stream streams[STREAM_COUNT];
	struct watch *watch;
	uint32_t slot;
	bool used, ended, reported;
	uint8_t vm[ID_LEN];
	int pidfd;
};

struct watch {
	struct ctl *ctl;
	pthread_mutex_t lock;
	int epoll_fd, dir;
	watch_on_exit *on_exit;
	bool unreported; /* an end found the workers' queue full */
	struct entry entries[SLOT_MAX];
};

static void name_of(uint32_t slot, const char *suffix, char out[32])
{
	(void)snprintf(out, 32, "%u.%s", slot, suffix);
}

static void source_ready(struct loop_source *s, uint32_t events)
{
	watch_event(((struct entry *)s->owner)->watch, s, events);
}

static int folder_open(struct ctl *c)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/consoles", c->config.state_dir);
	FAILPOINT("console.folder");
	(void)mkdir(path, 0700);
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Somebody may have removed it: nothing can be made in what we hold then. */
static void folder_check(struct watch *w)
{
	struct stat st;

	if (fstat(w->dir, &st) == 0 && st.st_nlink > 0)
		return;
	int fd = folder_open(w->ctl);
	if (fd < 0)
		return;
	log_warn("the folder of the consoles was gone and is made again");
	(void)close(w->dir);
	w->dir = fd;
}

struct watch *watch_open(struct ctl *c, int epoll_fd, watch_on_exit *on_exit)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->dir = folder_open(c);
	if (w->dir < 0) {
		free(w);
		return NULL;
	}
	w->ctl = c;
	w->epoll_fd = epoll_fd;
	w->on_exit = on_exit;
	(void)pthread_mutex_init(&w->lock, NULL);
	for (uint32_t i = 0; i < SLOT_MAX; i++) {
		struct entry *e = &w->entries[i];
		*e = (struct entry){ .watch = w, .slot = i, .pidfd = -1, .pid_source = { source_ready, e } };
		for (int k = 0; k < STREAM_COUNT; k++)
			e->streams[k] = (struct stream){ { source_ready, e }, &sinks[k], .fifo = -1, .file = -1 };
	}
	return w;
}

/* ---- the bounded file ---- */

static int write_header(int fd, const uint8_t vm[ID_LEN], uint64_t base)
{
	char id[ID_HEX], header[HEADER + 1];

	format_id(vm, id);
	(void)snprintf(header, sizeof(header), "%s %016" PRIx64 "\n", id, base);
	return fdio_write_all(fd, header, HEADER);
}

/* Return: 0 with the offset of the file's first byte, or -1 when it is not @vm's. */
static int read_header(int fd, const uint8_t vm[ID_LEN], uint64_t *base)
{
	char id[ID_HEX], header[HEADER + 1] = "";

	format_id(vm, id);
	if (pread(fd, header, HEADER, 0) != HEADER || strncmp(header, id, ID_HEX - 1) != 0)
		return -1;
	*base = strtoull(header + ID_HEX, NULL, 16);
	return 0;
}

/* A new, empty file.  Return: a descriptor that appends, or -1 with errno. */
static int file_make(struct watch *w, uint32_t slot, const struct sink *k, const uint8_t vm[ID_LEN], uint64_t base)
{
	char name[32];

	name_of(slot, k->suffix, name);
	int fd = openat(w->dir, name, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd >= 0 && write_header(fd, vm, base) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* Go on with the file of the entry's VM, or begin one. */
static int file_continue(struct entry *e, struct stream *s)
{
	struct stat st;
	char name[32];

	name_of(e->slot, s->sink->suffix, name);
	s->file = openat(e->watch->dir, name, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (s->file >= 0 && fstat(s->file, &st) == 0 && read_header(s->file, e->vm, &s->base) == 0) {
		s->size = (size_t)st.st_size;
		return 0;
	}
	fdio_close_all(&s->file, 1);
	s->base = 0;
	s->size = HEADER;
	s->file = file_make(e->watch, e->slot, s->sink, e->vm, 0);
	return s->file < 0 ? -1 : 0;
}

static int file_rotate(struct entry *e, struct stream *s)
{
	char name[32], older[32];

	name_of(e->slot, s->sink->suffix, name);
	name_of(e->slot, s->sink->older, older);
	if (renameat(e->watch->dir, name, e->watch->dir, older) < 0)
		return -1;
	int fd = file_make(e->watch, e->slot, s->sink, e->vm, s->base + s->size - HEADER);
	fdio_close_all(&s->file, 1);
	s->file = fd;
	s->base += s->size - HEADER;
	s->size = HEADER;
	return fd < 0 ? -1 : 0;
}

static bool is_full(const struct stream *s)
{
	return s->size >= s->sink->half || (!s->mid_line && s->size >= s->sink->half - s->sink->slack);
}

/* What can not be written (a full disk) is dropped: what a VM says must not hold up anything. */
static void file_append(struct entry *e, struct stream *s, const char *buf, size_t n)
{
	while (n) {
		if (s->file < 0 || (is_full(s) && file_rotate(e, s) < 0))
			break;
		size_t room = s->sink->half - s->size;
		ssize_t w = write(s->file, buf, n < room ? n : room);
		if (w <= 0)
			break;
		s->size += (size_t)w;
		buf += w;
		n -= (size_t)w;
		s->mid_line = buf[-1] != '\n';
	}
	if (n && !s->warned)
		log_errno("slot %u: what it says (%s) is lost", e->slot, s->sink->suffix);
	s->warned = n > 0;
}

static void drain(struct entry *e, struct stream *s)
{
	char buf[CHUNK];

	for (int i = 0; i < CHUNKS_PER_EVENT && s->fifo >= 0; i++) {
		ssize_t n = read(s->fifo, buf, sizeof(buf));
		if (n <= 0)
			return;
		file_append(e, s, buf, (size_t)n);
	}
}

/* ---- FIFOs ---- */

static void fifo_path(const struct watch *w, uint32_t slot, const struct sink *k, char out[200])
{
	const struct config *c = &w->ctl->config;

	if (k->fifo)
		path_slot_run(c, slot, k->fifo, out);
	else
		(void)snprintf(out, 200, "%s/consoles/%u.fifo", c->state_dir, slot);
}

static int fifo_open(const struct watch *w, uint32_t slot, const struct sink *k)
{
	struct stat st;
	char path[200];

	fifo_path(w, slot, k, path);
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))) {
		(void)close(fd);
		errno = EEXIST;
		return -1;
	}
	return fd;
}

static int fifo_make(const struct watch *w, uint32_t slot, const struct sink *k)
{
	char path[200];

	fifo_path(w, slot, k, path);
	FAILPOINT("stream.fifo");
	return mkfifo(path, 0600);
}

/* One that the VMM is to open itself, whatever our umask and our own SELinux level. */
static int fifo_make_open_to(const struct watch *w, uint32_t slot, const struct sink *k)
{
	struct error ignored;
	char path[200];

	if (fifo_make(w, slot, k) < 0)
		return -1;
	path_slot_run(&w->ctl->config, slot, "", path);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int fd = fifo_open(w, slot, k);
	return dir < 0 || fd < 0 || storage_label(dir, fd, &ignored) < 0 ? -1 : fchmod(fd, FIFO_MODE);
}

static int discard(struct watch *w, uint32_t slot)
{
	char name[32], path[200];

	for (const struct sink *k = sinks; k < sinks + STREAM_COUNT; k++) {
		const char *const ends[] = { k->older, k->suffix };
		for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
			name_of(slot, ends[i], name);
			FAILPOINT("console.remove");
			if (unlinkat(w->dir, name, 0) < 0 && errno != ENOENT)
				return -1;
		}
		fifo_path(w, slot, k, path);
		FAILPOINT("console.remove.fifo");
		if (unlink(path) < 0 && errno != ENOENT)
			return -1;
	}
	return 0;
}

void watch_discard(struct watch *w, uint32_t slot)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	(void)discard(w, slot);
}

static int begin_console(struct watch *w, const struct vm *vm)
{
	time_t now = (time_t)(clock_wall_ns() / 1000000000u);
	char line[96];
	struct tm tm;

	_cleanup_close_ int fd = file_make(w, vm->slot, &sinks[STREAM_CONSOLE], vm->id, 0);
	if (fd < 0)
		return -1;
	(void)gmtime_r(&now, &tm);
	/* On a full disk the last words of a guest are what people look for: they have their room from the start. */
	(void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LAST_WORDS);
	size_t n = strftime(line, sizeof(line), "--- banger: started %Y-%m-%dT%H:%M:%SZ ---\n", &tm);
	return fdio_write_all(fd, line, n);
}

/* Whoever still holds a FIFO of an earlier start keeps a pipe that nobody reads. */
static int begin_streams(struct watch *w, const struct vm *vm)
{
	if (discard(w, vm->slot) < 0 || begin_console(w, vm) < 0)
		return -1;
	for (int k = STREAM_VMM; vm->runtime.vmm == VMM_FIRECRACKER && k < STREAM_COUNT; k++)
		if (fifo_make_open_to(w, vm->slot, &sinks[k]) < 0)
			log_errno("slot %u: no FIFO for the monitor's %s", vm->slot, sinks[k].fifo);
	return 0;
}

static void forget(struct entry *e);

int watch_console_open(struct watch *w, const struct vm *vm)
{
	if (vm->slot >= SLOT_MAX) {
		errno = EINVAL;
		return -1;
	}
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	FAILPOINT("console.open");
	folder_check(w);
	if (!vm_keeps_console(vm)) {
		forget(&w->entries[vm->slot]);
		if (begin_streams(w, vm) < 0)
			return -1;
	}
	if (fifo_make(w, vm->slot, &sinks[STREAM_CONSOLE]) < 0 && errno != EEXIST)
		return -1;
	return fifo_open(w, vm->slot, &sinks[STREAM_CONSOLE]);
}

/* ---- entries ---- */

static void unwatch(struct watch *w, int *fd)
{
	/* Copies of a pidfd keep its epoll entry alive (epoll(7), question 6), so a close is not enough. */
	if (*fd >= 0)
		(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, *fd, NULL);
	fdio_close_all(fd, 1);
}

static void stream_close(struct entry *e, struct stream *s)
{
	drain(e, s);
	unwatch(e->watch, &s->fifo);
	fdio_close_all(&s->file, 1);
}

static void forget(struct entry *e)
{
	if (!e->used)
		return;
	unwatch(e->watch, &e->pidfd);
	for (int k = 0; k < STREAM_COUNT; k++)
		stream_close(e, &e->streams[k]);
	e->used = false;
}

static int source_add(struct watch *w, int fd, struct loop_source *s)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static int stream_open(struct entry *e, enum stream_kind kind)
{
	struct stream *s = &e->streams[kind];

	s->warned = s->mid_line = false;
	s->fifo = fifo_open(e->watch, e->slot, s->sink);
	if (s->fifo >= 0 && file_continue(e, s) == 0 && source_add(e->watch, s->fifo, &s->source) == 0)
		return 0;
	int saved = errno;
	stream_close(e, s);
	errno = saved;
	return -1;
}

/* Its folder is the VMM's own: what it did there does not keep us from watching the rest. */
static void stream_try(struct entry *e, enum stream_kind kind)
{
	if (stream_open(e, kind) < 0)
		log_errno("slot %u: the monitor's %s can not be read", e->slot, sinks[kind].fifo);
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
	e->ended = e->reported = false;
	memcpy(e->vm, vm->id, ID_LEN);
	e->pidfd = pidfd;
	if (stream_open(e, STREAM_CONSOLE) < 0 || source_add(w, pidfd, &e->pid_source) < 0) {
		int saved = errno;
		forget(e);
		errno = saved;
		return -1;
	}
	if (vm->runtime.vmm == VMM_FIRECRACKER) {
		stream_try(e, STREAM_VMM);
		stream_try(e, STREAM_METRICS);
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

void watch_close(struct watch *w)
{
	if (!w)
		return;
	for (uint32_t i = 0; i < SLOT_MAX; i++)
		forget(&w->entries[i]);
	(void)close(w->dir);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

/* ---- events ---- */

/* In a worker: the entry may have been given up, or given to another VM, since it was queued. */
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

/* The event may be one of the slot's VM before: ask the pidfd itself. */
static void on_pidfd(struct entry *e)
{
	if (e->ended || !pidfd_wait(e->pidfd, 0))
		return;
	e->ended = true;
	(void)epoll_ctl(e->watch->epoll_fd, EPOLL_CTL_DEL, e->pidfd, NULL);
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
	for (int k = 0; k < STREAM_COUNT; k++)
		if (s == &e->streams[k].source)
			drain(e, &e->streams[k]);
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

/* ---- reading back ---- */

/* Read at *@offset from one file of a stream; before its first byte: from there. */
static ssize_t read_part(struct watch *w, const struct vm *vm, const char *suffix, uint64_t *offset, char *buf,
			 size_t size)
{
	char name[32];
	uint64_t base;

	name_of(vm->slot, suffix, name);
	_cleanup_close_ int fd = openat(w->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (read_header(fd, vm->id, &base) < 0)
		return 0;
	if (*offset < base)
		*offset = base;
	ssize_t n = pread(fd, buf, size, (off_t)(HEADER + *offset - base));
	if (n > 0)
		*offset += (uint64_t)n;
	return n;
}

/* The offset just behind the newest byte, and that of the first byte of the newer file.  Return: is there one? */
static bool find_end(struct watch *w, const struct vm *vm, const struct sink *k, uint64_t *base, uint64_t *end)
{
	struct stat st;
	char name[32];

	*base = *end = 0;
	name_of(vm->slot, k->suffix, name);
	_cleanup_close_ int fd = openat(w->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || read_header(fd, vm->id, base) < 0 || fstat(fd, &st) < 0)
		return false;
	*end = *base + (uint64_t)st.st_size - HEADER;
	return true;
}

bool watch_has(struct watch *w, const struct vm *vm, enum stream_kind kind)
{
	uint64_t base, end;

	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	return vm->slot < SLOT_MAX && find_end(w, vm, &sinks[kind], &base, &end);
}

void watch_catch_up(struct watch *w, const struct vm *vm, enum stream_kind kind)
{
	if (vm->slot >= SLOT_MAX)
		return;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	struct entry *e = &w->entries[vm->slot];
	if (e->used && memcmp(e->vm, vm->id, ID_LEN) == 0)
		drain(e, &e->streams[kind]);
}

ssize_t watch_read(struct watch *w, const struct vm *vm, enum stream_kind kind, uint64_t *offset, char *buf,
		   size_t size)
{
	uint64_t base, end;
	ssize_t n = 0;

	if (vm->slot >= SLOT_MAX)
		return 0;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&w->lock);
	(void)find_end(w, vm, &sinks[kind], &base, &end);
	if (*offset > end)
		*offset = 0; /* started again since */
	if (*offset < base)
		n = read_part(w, vm, sinks[kind].older, offset, buf, size);
	return n ? n : read_part(w, vm, sinks[kind].suffix, offset, buf, size);
}
