/* streams.h - what the VM of a slot says: its guest's console, its monitor's log and metrics,
 * each in bounded files.
 *
 * Nothing here locks: watch.c, which embeds struct streams in its entries, holds its mutex
 * around every call. */
#ifndef BANGER_CONTROLLER_VMM_STREAMS_H
#define BANGER_CONTROLLER_VMM_STREAMS_H

#include <sys/types.h>

#include "controller/ctl.h"
#include "controller/loop.h"

/* The last two are Firecracker's; CALL vm_logs asks by these numbers. */
enum stream_kind { STREAM_CONSOLE, STREAM_VMM, STREAM_METRICS, STREAM_COUNT };

/* They never take more than this on disk; the older half goes first. */
#define CONSOLE_MAX (1024 * 1024)
#define VMM_STREAM_MAX (256 * 1024) /* the monitor's log; its metrics */

struct sink; /* where a stream is kept */

/* The folder of all files and of the consoles' FIFOs. */
struct streams_folder {
	const struct config *config;
	int dir;
	int epoll_fd; /* the caller's */
};

struct stream {
	struct loop_source source;
	const struct sink *sink;
	int fifo, file;
	bool warned, mid_line;
	uint64_t base; /* offset of the first byte of the newer file */
	size_t size;   /* of that file, with its header */
};

/* The streams of one slot. */
struct streams {
	const struct streams_folder *folder;
	uint32_t slot;
	uint8_t vm[ID_LEN];
	struct stream each[STREAM_COUNT];
};

/* Make the folder if it is not there.  Return: 0, or -1 with errno. */
int streams_folder_open(struct streams_folder *f, const struct config *config, int epoll_fd);
void streams_folder_close(struct streams_folder *f);

/* Make the folder anew if it was removed. */
void streams_folder_check(struct streams_folder *f);

/* No stream is open.  @source: what epoll's data.ptr points to for each of them, once one is. */
void streams_init(struct streams *all, const struct streams_folder *f, uint32_t slot,
		  struct loop_source source);

/* A start of @vm: new FIFOs, and an empty console file with one line that marks it.  Return: 0,
 * or -1 with errno. */
int streams_begin(const struct streams_folder *f, const struct vm *vm);

/* The slot's console FIFO, made if there is none, open for both directions.  Return: a
 * descriptor of the caller's, or -1 with errno. */
int streams_console_open(const struct streams_folder *f, uint32_t slot);

/* Read the streams of @vm into its files from now on.  One of the monitor's own that can not be
 * had is left out.
 * Return: 0, or -1 with errno: there is no console; streams_close() is due then too. */
int streams_open(struct streams *all, const struct vm *vm);

/* Take what is in the FIFOs, and close them.  Nothing happens to those that are closed. */
void streams_close(struct streams *all);

/* An event of @s, if it is one of these streams. */
void streams_event(struct streams *all, const struct loop_source *s);

/* Take what is in the FIFO now. */
void streams_catch_up(struct streams *all, enum stream_kind kind);

/* Reading the files back: as watch_has() and watch_read(). */
bool streams_has(const struct streams_folder *f, const struct vm *vm, enum stream_kind kind);
ssize_t streams_read(const struct streams_folder *f, const struct vm *vm, enum stream_kind kind,
		     uint64_t *offset, char *buf, size_t size);

/* Remove the slot's files and FIFOs.  Return: 0, or -1 with errno. */
int streams_discard(const struct streams_folder *f, uint32_t slot);

#endif
