/* streams.c - the streams of VMs: FIFOs that a VMM writes to, bounded files with their data, and a
 * FIFO that a VMM reads.
 *
 * A VM has up to three streams: the guest's console, and with Firecracker the monitor's log and its
 * metrics.
 *
 * The VMM may be hostile.  It holds the console's FIFO, shares this open file description, and may
 * clear its O_NONBLOCK.  Therefore the controller reads from an open file description of its own.
 * It opens the FIFO by path, in a folder that no other account can enter, for both directions, so
 * that neither side ever sees end of file (fifo(7)).
 *
 * What a user types goes into a second FIFO, <slot>.in, which is the VMM's standard input.  The VMM
 * has it open for both directions, and nothing else keeps it open.  Each write opens it by path, so
 * a start of the service does not matter.  It has one page, since all FIFOs together count against
 * the account's limit (pipe(7), pipe-user-pages-soft).  No client gets a descriptor of it: with one
 * it could enlarge the FIFO, and write to it after its VM's end.
 *
 * The VMM opens the FIFOs of log and metrics itself, so they are in its own folder, where it can
 * replace them by anything.  They are opened without following links and without blocking, and then
 * checked.  A VM without a usable log is watched without it.
 *
 * A stream has up to two files, each half of its limit: for the console <slot>.log.1 (older) and
 * <slot>.log.  A file begins with a header: the VM's id, and the offset of the first byte in the
 * stream.  The id keeps the output of a slot's last VM from its next VM.  The offset makes
 * positions in the stream survive a restart of the controller. */
#include "controller/vmm/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/fdio.h"
#include "common/log.h"
#include "controller/paths.h"
#include "controller/storage/label.h"

#define LAST_WORDS (64 * 1024)
#define HEADER (ID_HEX - 1 + 1 + 16 + 1) /* "<id> <offset, 16 digits>\n" */
#define CHUNK 16384
#define INPUT_SIZE 4096    /* of the FIFO of the input: the least that the kernel has */
#define CHUNKS_PER_EVENT 4 /* a full pipe, before other streams have their turn */

/* Mode of FIFOs that Firecracker opens, for both directions.  The slot's uid is neither owner nor
 * group. */
#define FIFO_MODE 0606

/* Names and limits of one kind of stream. */
struct sink {
	const char *suffix, *older;
	/* name of the FIFO in the slot's run folder; NULL: <slot>.fifo beside the files */
	const char *fifo;
	size_t half;  /* maximum size of one file, bytes */
	size_t slack; /* a file within so many bytes of its maximum ends with the next whole line */
};

static const struct sink sinks[STREAM_COUNT] = {
	[STREAM_CONSOLE] = { "log", "log.1", NULL, CONSOLE_MAX / 2, 0 },
	[STREAM_VMM] = { "vmm", "vmm.1", "log", VMM_STREAM_MAX / 2, VMM_STREAM_MAX / 8 },
	[STREAM_METRICS] = { "metrics", "metrics.1", "metrics", VMM_STREAM_MAX / 2,
			     VMM_STREAM_MAX / 8 },
};

static void name_of(uint32_t slot, const char *suffix, char out[32])
{
	(void)snprintf(out, 32, "%u.%s", slot, suffix);
}

static int folder_open(const struct config *c)
{
	char path[200];

	path_consoles(c, path);
	FAILPOINT("console.folder");
	(void)mkdir(path, 0700);
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A folder that an administrator has removed is unlinked: no file can be made in it. */
void streams_folder_check(struct streams_folder *f)
{
	struct stat st;

	if (fstat(f->dir, &st) == 0 && st.st_nlink > 0)
		return;
	int fd = folder_open(f->config);
	if (fd < 0)
		return;
	log_warn("the folder of the consoles was gone and is made again");
	(void)close(f->dir);
	f->dir = fd;
}

int streams_folder_open(struct streams_folder *f, const struct config *config, int epoll_fd)
{
	*f = (struct streams_folder){ .config = config, .epoll_fd = epoll_fd };
	f->dir = folder_open(config);
	return f->dir < 0 ? -1 : 0;
}

void streams_folder_close(struct streams_folder *f)
{
	fdio_close_all(&f->dir, 1);
}

void streams_init(struct streams *all, const struct streams_folder *f, uint32_t slot,
		  struct loop_source source)
{
	*all = (struct streams){ .folder = f, .slot = slot };
	for (int k = 0; k < STREAM_COUNT; k++)
		all->each[k] = (struct stream){
			.source = source, .sink = &sinks[k], .fifo = -1, .file = -1
		};
}

/* ---- the bounded file ---- */

static int write_header(int fd, const uint8_t vm[ID_LEN], uint64_t base)
{
	char id[ID_HEX], header[HEADER + 1];

	format_id(vm, id);
	(void)snprintf(header, sizeof(header), "%s %016" PRIx64 "\n", id, base);
	return fdio_write_all(fd, header, HEADER);
}

/* Return: 0 with the offset of the file's first byte, or -1 when the file is not @vm's. */
static int read_header(int fd, const uint8_t vm[ID_LEN], uint64_t *base)
{
	char id[ID_HEX], header[HEADER + 1] = "";

	format_id(vm, id);
	if (pread(fd, header, HEADER, 0) != HEADER || strncmp(header, id, ID_HEX - 1) != 0)
		return -1;
	*base = strtoull(header + ID_HEX, NULL, 16);
	return 0;
}

/* Make a new file with a header, in place of an old one.  Return: a descriptor in append mode, or
 * -1 with errno. */
static int file_make(const struct streams_folder *f, uint32_t slot, const struct sink *k,
		     const uint8_t vm[ID_LEN], uint64_t base)
{
	char name[32];

	name_of(slot, k->suffix, name);
	int fd = openat(f->dir, name,
			O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK |
				O_CLOEXEC,
			0600);
	if (fd >= 0 && write_header(fd, vm, base) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* Open the stream's file if it belongs to the VM, else make a new one. */
static int file_continue(struct streams *all, struct stream *s)
{
	struct stat st;
	char name[32];

	name_of(all->slot, s->sink->suffix, name);
	s->file = openat(all->folder->dir, name,
			 O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (s->file >= 0 && fstat(s->file, &st) == 0 &&
	    read_header(s->file, all->vm, &s->base) == 0) {
		s->size = (size_t)st.st_size;
		return 0;
	}
	fdio_close_all(&s->file, 1);
	s->base = 0;
	s->size = HEADER;
	s->file = file_make(all->folder, all->slot, s->sink, all->vm, 0);
	return s->file < 0 ? -1 : 0;
}

static int file_rotate(struct streams *all, struct stream *s)
{
	char name[32], older[32];

	name_of(all->slot, s->sink->suffix, name);
	name_of(all->slot, s->sink->older, older);
	if (renameat(all->folder->dir, name, all->folder->dir, older) < 0)
		return -1;
	int fd = file_make(all->folder, all->slot, s->sink, all->vm, s->base + s->size - HEADER);
	fdio_close_all(&s->file, 1);
	s->file = fd;
	s->base += s->size - HEADER;
	s->size = HEADER;
	return fd < 0 ? -1 : 0;
}

static bool is_full(const struct stream *s)
{
	return s->size >= s->sink->half ||
	       (!s->mid_line && s->size >= s->sink->half - s->sink->slack);
}

/* Append data to the stream's file.  Data that can not be written, for example on a full disk, is
 * dropped, so that a stream never blocks the main loop. */
static void file_append(struct streams *all, struct stream *s, const char *buf, size_t n)
{
	while (n) {
		if (s->file < 0 || (is_full(s) && file_rotate(all, s) < 0))
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
		log_errno("slot %u: output (%s) is lost", all->slot, s->sink->suffix);
	s->warned = n > 0;
}

static void drain(struct streams *all, struct stream *s)
{
	char buf[CHUNK];

	for (int i = 0; i < CHUNKS_PER_EVENT && s->fifo >= 0; i++) {
		ssize_t n = read(s->fifo, buf, sizeof(buf));
		if (n <= 0)
			return;
		file_append(all, s, buf, (size_t)n);
	}
}

/* ---- FIFOs ---- */

static void fifo_path(const struct streams_folder *f, uint32_t slot, const struct sink *k,
		      char out[200])
{
	const struct config *c = f->config;

	if (k->fifo)
		path_slot_run(c, slot, k->fifo, out);
	else
		path_console(c, slot, "fifo", out);
}

static int fifo_open_at(const char *path, int mode)
{
	struct stat st;

	int fd = open(path, mode | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))) {
		(void)close(fd);
		errno = EEXIST;
		return -1;
	}
	return fd;
}

static int fifo_open(const struct streams_folder *f, uint32_t slot, const struct sink *k)
{
	char path[200];

	fifo_path(f, slot, k, path);
	return fifo_open_at(path, O_RDWR);
}

static int fifo_make(const struct streams_folder *f, uint32_t slot, const struct sink *k)
{
	char path[200];

	fifo_path(f, slot, k, path);
	FAILPOINT("stream.fifo");
	return mkfifo(path, 0600);
}

/* Make a FIFO that the VMM opens itself.  Mode and SELinux level are set explicitly, since umask
 * and level of the controller do not fit. */
static int fifo_make_open_to(const struct streams_folder *f, uint32_t slot, const struct sink *k)
{
	struct error ignored;
	char path[200];

	if (fifo_make(f, slot, k) < 0)
		return -1;
	path_slot_run(f->config, slot, "", path);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int fd = fifo_open(f, slot, k);
	return dir < 0 || fd < 0 || storage_label(dir, fd, &ignored) < 0 ? -1
									 : fchmod(fd, FIFO_MODE);
}

/* ---- the input ---- */

static int input_make(const struct streams_folder *f, uint32_t slot)
{
	char path[200];

	path_console(f->config, slot, "in", path);
	FAILPOINT("stream.input");
	if (mkfifo(path, 0600) < 0)
		return -1;
	FAILPOINT("stream.input.made");
	return 0;
}

int streams_input_open(const struct streams_folder *f, uint32_t slot)
{
	char path[200];

	path_console(f->config, slot, "in", path);
	int fd = fifo_open_at(path, O_RDWR);
	if (fd >= 0)
		(void)fcntl(fd, F_SETPIPE_SZ, INPUT_SIZE);
	return fd;
}

ssize_t streams_type(const struct streams_folder *f, uint32_t slot, const uint8_t *buf, size_t n)
{
	char path[200];

	path_console(f->config, slot, "in", path);
	_cleanup_close_ int fd = fifo_open_at(path, O_WRONLY);
	if (fd < 0)
		return -1;
	ssize_t w = n ? write(fd, buf, n) : 0;
	return w < 0 && errno == EAGAIN ? 0 : w;
}

static int input_discard(const struct streams_folder *f, uint32_t slot)
{
	char path[200];

	path_console(f->config, slot, "in", path);
	FAILPOINT("stream.input.remove");
	return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

int streams_discard(const struct streams_folder *f, uint32_t slot)
{
	char name[32], path[200];

	for (const struct sink *k = sinks; k < sinks + STREAM_COUNT; k++) {
		const char *const ends[] = { k->older, k->suffix };
		for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
			name_of(slot, ends[i], name);
			FAILPOINT("console.remove");
			if (unlinkat(f->dir, name, 0) < 0 && errno != ENOENT)
				return -1;
		}
		fifo_path(f, slot, k, path);
		FAILPOINT("console.remove.fifo");
		if (unlink(path) < 0 && errno != ENOENT)
			return -1;
	}
	return input_discard(f, slot);
}

static int begin_console(const struct streams_folder *f, const struct vm *vm)
{
	time_t now = (time_t)(clock_wall_ns() / 1000000000u);
	char line[96];
	struct tm tm;

	_cleanup_close_ int fd = file_make(f, vm->slot, &sinks[STREAM_CONSOLE], vm->id, 0);
	if (fd < 0)
		return -1;
	(void)gmtime_r(&now, &tm);
	/* Reserve space for the last lines of the guest: they are needed most when the disk is
	 * full. */
	(void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LAST_WORDS);
	size_t n = strftime(line, sizeof(line), "--- banger: started %Y-%m-%dT%H:%M:%SZ ---\n",
			    &tm);
	return fdio_write_all(fd, line, n);
}

/* The files and FIFOs of an earlier start are unlinked.  Output of a process that still holds such
 * a FIFO is lost. */
int streams_begin(const struct streams_folder *f, const struct vm *vm)
{
	if (streams_discard(f, vm->slot) < 0 || begin_console(f, vm) < 0 ||
	    input_make(f, vm->slot) < 0)
		return -1;
	for (int k = STREAM_VMM; vm->runtime.vmm == VMM_FIRECRACKER && k < STREAM_COUNT; k++)
		if (fifo_make_open_to(f, vm->slot, &sinks[k]) < 0)
			log_errno("slot %u: no FIFO for the monitor's %s", vm->slot, sinks[k].fifo);
	return 0;
}

int streams_console_open(const struct streams_folder *f, uint32_t slot)
{
	if (fifo_make(f, slot, &sinks[STREAM_CONSOLE]) < 0 && errno != EEXIST)
		return -1;
	return fifo_open(f, slot, &sinks[STREAM_CONSOLE]);
}

/* ---- from FIFO to file ---- */

static void stream_close(struct streams *all, struct stream *s)
{
	drain(all, s);
	loop_drop(all->folder->epoll_fd, &s->fifo);
	fdio_close_all(&s->file, 1);
}

static int stream_open(struct streams *all, enum stream_kind kind)
{
	struct stream *s = &all->each[kind];

	s->warned = s->mid_line = false;
	s->fifo = fifo_open(all->folder, all->slot, s->sink);
	if (s->fifo >= 0 && file_continue(all, s) == 0 &&
	    loop_add(all->folder->epoll_fd, s->fifo, &s->source) == 0)
		return 0;
	int saved = errno;
	stream_close(all, s);
	errno = saved;
	return -1;
}

/* Open a stream whose FIFO is in the VMM's own folder.  A failure is logged, and the other streams
 * are read. */
static void stream_try(struct streams *all, enum stream_kind kind)
{
	if (stream_open(all, kind) < 0)
		log_errno("slot %u: the monitor's %s can not be read", all->slot, sinks[kind].fifo);
}

int streams_open(struct streams *all, const struct vm *vm)
{
	memcpy(all->vm, vm->id, ID_LEN);
	if (stream_open(all, STREAM_CONSOLE) < 0)
		return -1;
	if (vm->runtime.vmm == VMM_FIRECRACKER) {
		stream_try(all, STREAM_VMM);
		stream_try(all, STREAM_METRICS);
	}
	return 0;
}

void streams_close(struct streams *all)
{
	for (int k = 0; k < STREAM_COUNT; k++)
		stream_close(all, &all->each[k]);
}

void streams_event(struct streams *all, const struct loop_source *s)
{
	for (int k = 0; k < STREAM_COUNT; k++)
		if (s == &all->each[k].source)
			drain(all, &all->each[k]);
}

void streams_catch_up(struct streams *all, enum stream_kind kind)
{
	drain(all, &all->each[kind]);
}

/* ---- reading back ---- */

/* Read from one file of a stream at *@offset.  If the file begins later, reading begins at its
 * first byte. */
static ssize_t read_part(const struct streams_folder *f, const struct vm *vm, const char *suffix,
			 uint64_t *offset, char *buf, size_t size)
{
	char name[32];
	uint64_t base;

	name_of(vm->slot, suffix, name);
	_cleanup_close_ int fd = openat(f->dir, name,
					O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
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

/* Find the bounds of the newer file: the offset of its first byte, and the offset behind its last
 * one.  Return: true if the file exists and belongs to the VM. */
static bool find_end(const struct streams_folder *f, const struct vm *vm, const struct sink *k,
		     uint64_t *base, uint64_t *end)
{
	struct stat st;
	char name[32];

	*base = *end = 0;
	name_of(vm->slot, k->suffix, name);
	_cleanup_close_ int fd = openat(f->dir, name,
					O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || read_header(fd, vm->id, base) < 0 || fstat(fd, &st) < 0)
		return false;
	*end = *base + (uint64_t)st.st_size - HEADER;
	return true;
}

uint64_t streams_end(const struct streams_folder *f, const struct vm *vm, enum stream_kind kind)
{
	uint64_t base, end;

	(void)find_end(f, vm, &sinks[kind], &base, &end);
	return end;
}

bool streams_has(const struct streams_folder *f, const struct vm *vm, enum stream_kind kind)
{
	uint64_t base, end;

	return find_end(f, vm, &sinks[kind], &base, &end);
}

ssize_t streams_read(const struct streams_folder *f, const struct vm *vm, enum stream_kind kind,
		     uint64_t *offset, char *buf, size_t size)
{
	uint64_t base, end;
	ssize_t n = 0;

	(void)find_end(f, vm, &sinks[kind], &base, &end);
	if (*offset > end)
		*offset = 0; /* the VM has been started again since the last call */
	if (*offset < base)
		n = read_part(f, vm, sinks[kind].older, offset, buf, size);
	return n ? n : read_part(f, vm, sinks[kind].suffix, offset, buf, size);
}
