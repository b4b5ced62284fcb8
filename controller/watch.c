/* Theory of operation.  Each slot has one entry in an array that stays for ever, so an event that is already on its
 * way when a worker gives the VM up finds an unused entry, not freed memory.  One mutex guards all of it.
 *
 * The VMM is hostile and holds the FIFO it was given: it shares that open file description and may clear its
 * O_NONBLOCK.  So we read from a description of our own, opened by path in a folder that only we can enter; being
 * open for both directions, neither side ever sees end of file (fifo(7)).
 *
 * A console is one or two files, <slot>.log.1 (older) and <slot>.log, half of CONSOLE_MAX each.  Both begin with a
 * header: whose console it is, and the offset of its first byte.  A slot's next VM can therefore never be shown the
 * console of the one before, and offsets survive a restart of the controller. */
#include "controller/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/fdio.h"
#include "common/log.h"
#include "controller/lifecycle.h"
#include "controller/loop.h"
#include "controller/worker.h"

#define HALF (CONSOLE_MAX / 2)
#define LAST_WORDS (64 * 1024)
#define HEADER (ID_HEX - 1 + 1 + 16 + 1) /* "<id> <offset, 16 digits>\n" */
#define CHUNK 16384
#define CHUNKS_PER_EVENT 4               /* one full pipe; then the others have their turn */

struct entry {
	struct loop_source pid_source, console_source;
	struct watch *watch;
	uint32_t slot;
	bool used, ended, reported, warned;
	uint8_t vm[ID_LEN];
	int pidfd, fifo, file;
	uint64_t base; /* offset of the first byte of <slot>.log */
	size_t size;   /* of <slot>.log, with its header */
};

struct watch {
	struct ctl *ctl;
	pthread_mutex_t lock;
	int epoll_fd, dir;
	bool unreported; /* an end found the workers' queue full */
	struct entry entries[SLOT_MAX];
};

static void unlock(pthread_mutex_t **m)
{
	(void)pthread_mutex_unlock(*m);
}

/* Hold the watch's mutex until the end of the scope. */
#define LOCKED(w)                                                                                       \
	pthread_mutex_t *locked_ __attribute__((cleanup(unlock), unused)) = &(w)->lock;                 \
	(void)pthread_mutex_lock(locked_)

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

struct watch *watch_open(struct ctl *c, int epoll_fd)
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
	(void)pthread_mutex_init(&w->lock, NULL);
	for (uint32_t i = 0; i < SLOT_MAX; i++) {
		struct entry *e = &w->entries[i];
		*e = (struct entry){ .watch = w, .slot = i, .pidfd = -1, .fifo = -1, .file = -1 };
		e->pid_source = e->console_source = (struct loop_source){ source_ready, e };
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

/* Return: 0 with the offset of the file's first byte, or -1 when it is not a console of @vm. */
static int read_header(int fd, const uint8_t vm[ID_LEN], uint64_t *base)
{
	char id[ID_HEX], header[HEADER + 1] = "";

	format_id(vm, id);
	if (pread(fd, header, HEADER, 0) != HEADER || strncmp(header, id, ID_HEX - 1) != 0)
		return -1;
	*base = strtoull(header + ID_HEX, NULL, 16);
	return 0;
}

/* A new, empty <slot>.log.  Return: a descriptor that appends, or -1 with errno. */
static int file_make(struct watch *w, uint32_t slot, const uint8_t vm[ID_LEN], uint64_t base)
{
	char name[32];

	name_of(slot, "log", name);
	int fd = openat(w->dir, name, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && write_header(fd, vm, base) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* Go on with the file of @vm, or begin one. */
static int file_continue(struct entry *e, const uint8_t vm[ID_LEN])
{
	struct stat st;
	char name[32];

	name_of(e->slot, "log", name);
	e->file = openat(e->watch->dir, name, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	if (e->file >= 0 && fstat(e->file, &st) == 0 && read_header(e->file, vm, &e->base) == 0) {
		e->size = (size_t)st.st_size;
		return 0;
	}
	fdio_close_all(&e->file, 1);
	e->base = 0;
	e->size = HEADER;
	e->file = file_make(e->watch, e->slot, vm, 0);
	return e->file < 0 ? -1 : 0;
}

static int file_rotate(struct entry *e)
{
	char name[32], older[32];

	name_of(e->slot, "log", name);
	name_of(e->slot, "log.1", older);
	if (renameat(e->watch->dir, name, e->watch->dir, older) < 0)
		return -1;
	int fd = file_make(e->watch, e->slot, e->vm, e->base + e->size - HEADER);
	fdio_close_all(&e->file, 1);
	e->file = fd;
	e->base += e->size - HEADER;
	e->size = HEADER;
	return fd < 0 ? -1 : 0;
}

/* What can not be written (a full disk) is dropped: a console must not hold up anything. */
static void file_append(struct entry *e, const char *buf, size_t n)
{
	while (n) {
		if (e->file < 0 || (e->size >= HALF && file_rotate(e) < 0))
			break;
		size_t room = HALF - e->size;
		ssize_t w = write(e->file, buf, n < room ? n : room);
		if (w <= 0)
			break;
		e->size += (size_t)w;
		buf += w;
		n -= (size_t)w;
	}
	if (n && !e->warned)
		log_errno("console of slot %u: output is lost", e->slot);
	e->warned = n > 0;
}

static void drain(struct entry *e)
{
	char buf[CHUNK];

	for (int i = 0; i < CHUNKS_PER_EVENT && e->fifo >= 0; i++) {
		ssize_t n = read(e->fifo, buf, sizeof(buf));
		if (n <= 0)
			return;
		file_append(e, buf, (size_t)n);
	}
}

/* ---- the FIFO ---- */

static int fifo_open(struct watch *w, uint32_t slot)
{
	struct stat st;
	char name[32];

	name_of(slot, "fifo", name);
	if (mkfifoat(w->dir, name, 0600) < 0 && errno != EEXIST)
		return -1;
	int fd = openat(w->dir, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))) {
		(void)close(fd);
		errno = EEXIST;
		return -1;
	}
	return fd;
}

/* Whoever still holds the FIFO of an earlier start keeps a pipe that nobody reads. */
static int begin_console(struct watch *w, const struct vm *vm)
{
	static const char *const stale[] = { "fifo", "log.1", "log" };
	time_t now = (time_t)(clock_wall_ns() / 1000000000u);
	char name[32], line[96];
	struct tm tm;

	for (size_t i = 0; i < ARRAY_SIZE(stale); i++) {
		name_of(vm->slot, stale[i], name);
		if (unlinkat(w->dir, name, 0) < 0 && errno != ENOENT)
			return -1;
	}
	_cleanup_close_ int fd = file_make(w, vm->slot, vm->id, 0);
	if (fd < 0)
		return -1;
	(void)gmtime_r(&now, &tm);
	/* On a full disk the last words of a guest are what people look for: they have their room from the start. */
	(void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LAST_WORDS);
	size_t n = strftime(line, sizeof(line), "--- banger: started %Y-%m-%dT%H:%M:%SZ ---\n", &tm);
	return fdio_write_all(fd, line, n);
}

static bool is_alive(const struct vm *vm)
{
	return vm->state == VM_RUNNING || vm->state == VM_STOPPING || vm->state == VM_DEGRADED;
}

static void forget(struct entry *e);

int watch_console_open(struct watch *w, const struct vm *vm)
{
	if (vm->slot >= SLOT_MAX) {
		errno = EINVAL;
		return -1;
	}
	LOCKED(w);
	FAILPOINT("console.open");
	folder_check(w);
	if (!is_alive(vm)) {
		forget(&w->entries[vm->slot]);
		if (begin_console(w, vm) < 0)
			return -1;
	}
	return fifo_open(w, vm->slot);
}

/* ---- entries ---- */

static void unwatch(struct watch *w, int *fd)
{
	/* Copies of a pidfd keep its epoll entry alive (epoll(7), question 6), so a close is not enough. */
	if (*fd >= 0)
		(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, *fd, NULL);
	fdio_close_all(fd, 1);
}

static void forget(struct entry *e)
{
	if (!e->used)
		return;
	drain(e);
	unwatch(e->watch, &e->pidfd);
	unwatch(e->watch, &e->fifo);
	fdio_close_all(&e->file, 1);
	e->used = false;
}

static int source_add(struct watch *w, int fd, struct loop_source *s)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

int watch_add(struct watch *w, const struct vm *vm, int pidfd, int console)
{
	fdio_close_all(&console, 1); /* what the VMM has is not what we read from */
	if (vm->slot >= SLOT_MAX) {
		fdio_close_all(&pidfd, 1);
		errno = EINVAL;
		return -1;
	}
	LOCKED(w);
	struct entry *e = &w->entries[vm->slot];
	forget(e);
	e->used = true;
	e->ended = e->reported = e->warned = false;
	memcpy(e->vm, vm->id, ID_LEN);
	e->pidfd = pidfd;
	e->fifo = fifo_open(w, vm->slot);
	if (e->fifo < 0 || file_continue(e, vm->id) < 0 || source_add(w, pidfd, &e->pid_source) < 0 ||
	    source_add(w, e->fifo, &e->console_source) < 0) {
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
	LOCKED(w);
	struct entry *e = find(w, vm);
	if (e)
		forget(e);
}

int watch_pidfd(struct watch *w, const uint8_t vm[ID_LEN])
{
	LOCKED(w);
	struct entry *e = find(w, vm);
	return e && e->pidfd >= 0 ? fcntl(e->pidfd, F_DUPFD_CLOEXEC, 0) : -1;
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

	{
		LOCKED(e->watch);
		still = e->used && e->ended;
		memcpy(vm, e->vm, ID_LEN);
	}
	if (still)
		vm_ended(c, vm);
}

static void report(struct entry *e)
{
	e->reported = workers_run(e->watch->ctl->workers, report_end, e) == 0;
	e->watch->unreported |= !e->reported;
}

/* The event may be one of the slot's VM before: ask the pidfd itself. */
static void on_pidfd(struct entry *e)
{
	struct pollfd p = { .fd = e->pidfd, .events = POLLIN };

	if (e->ended || e->pidfd < 0 || poll(&p, 1, 0) != 1)
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
	LOCKED(w);
	if (!e->used)
		return;
	if (s == &e->pid_source)
		on_pidfd(e);
	else
		drain(e);
}

void watch_tick(struct watch *w)
{
	LOCKED(w);
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

/* Read at *@offset from one file of the console; before its first byte: from there. */
static ssize_t read_part(struct watch *w, const struct vm *vm, const char *suffix, uint64_t *offset, char *buf,
			 size_t size)
{
	char name[32];
	uint64_t base;

	name_of(vm->slot, suffix, name);
	_cleanup_close_ int fd = openat(w->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
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

/* The offset just behind the newest byte, and that of the first byte of <slot>.log; zeros without a console. */
static void console_end(struct watch *w, const struct vm *vm, uint64_t *base, uint64_t *end)
{
	struct stat st;
	char name[32];

	name_of(vm->slot, "log", name);
	_cleanup_close_ int fd = openat(w->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	*base = *end = 0;
	if (fd >= 0 && read_header(fd, vm->id, base) == 0 && fstat(fd, &st) == 0)
		*end = *base + (uint64_t)st.st_size - HEADER;
}

ssize_t watch_console_read(struct watch *w, const struct vm *vm, uint64_t *offset, char *buf, size_t size)
{
	uint64_t base, end;
	ssize_t n = 0;

	if (vm->slot >= SLOT_MAX)
		return 0;
	LOCKED(w);
	console_end(w, vm, &base, &end);
	if (*offset > end)
		*offset = 0; /* started again since */
	if (*offset < base)
		n = read_part(w, vm, "log.1", offset, buf, size);
	return n ? n : read_part(w, vm, "log", offset, buf, size);
}
