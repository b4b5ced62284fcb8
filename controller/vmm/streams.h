/* streams.h - the streams of a slot's VM: console, monitor's log and metrics in bounded files; the
 * input of the guest's serial line.
 *
 * The functions do not lock.  watch.c embeds struct streams in its entries, and holds its mutex
 * around every call. */
#ifndef BANGER_CONTROLLER_VMM_STREAMS_H
#define BANGER_CONTROLLER_VMM_STREAMS_H

#include <sys/types.h>

#include "controller/ctl.h"
#include "controller/loop.h"

/* The kinds of streams.  Only Firecracker has STREAM_VMM and STREAM_METRICS.  The call vm_logs of
 * control.def uses these numbers. */
enum stream_kind { STREAM_CONSOLE, STREAM_VMM, STREAM_METRICS, STREAM_COUNT };

/* Maximum of bytes on disk for one stream.  When it is reached, the older half is dropped. */
#define CONSOLE_MAX (1024 * 1024)
#define VMM_STREAM_MAX (256 * 1024) /* log and metrics of the monitor, each */

/* Maximum of bytes for one streams_type(), and of vm_type in control.def.  A FIFO takes up to
 * PIPE_BUF bytes as a whole, or not at all (pipe(7)). */
#define INPUT_MAX 1024

struct sink; /* names and limits of one kind of stream (streams.c) */

/* The folder of all streams' files and of the consoles' FIFOs. */
struct streams_folder {
	const struct config *config;
	int dir;
	int epoll_fd; /* borrowed */
};

struct stream {
	struct loop_source source;
	const struct sink *sink;
	int fifo, file; /* -1: closed */
	bool warned;    /* a failed write has been logged */
	bool mid_line;  /* the newest byte is no newline */
	uint64_t base;  /* offset of the first byte of the newer file */
	size_t size;    /* of the newer file, with its header */
};

/* The streams of one slot. */
struct streams {
	const struct streams_folder *folder;
	uint32_t slot;
	uint8_t vm[ID_LEN];
	struct stream each[STREAM_COUNT];
};

/* Open the folder, and make it if it does not exist.  @config and @epoll_fd are borrowed.  Return:
 * 0, or -1 with errno. */
int streams_folder_open(struct streams_folder *f, const struct config *config, int epoll_fd);
void streams_folder_close(struct streams_folder *f);

/* Make the folder again if it was removed. */
void streams_folder_check(struct streams_folder *f);

/* Initialize the streams of @slot as closed.  @source is the event source of each stream while it
 * is open. */
void streams_init(struct streams *all, const struct streams_folder *f, uint32_t slot,
		  struct loop_source source);

/* Prepare a start of @vm: new FIFOs, and a new console file whose first line marks the start.  The
 * FIFO of the input is a new one at each start, so that no descriptor of an earlier one leads to
 * this VM.  Return: 0, or -1 with errno. */
int streams_begin(const struct streams_folder *f, const struct vm *vm);

/* Open the slot's console FIFO for both directions, and make it if it does not exist.  Return: a
 * descriptor, owned by the caller, or -1 with errno. */
int streams_console_open(const struct streams_folder *f, uint32_t slot);

/* Open the FIFO of the slot's input for both directions, for the VMM.  Return: a descriptor, owned
 * by the caller, or -1 with errno. */
int streams_input_open(const struct streams_folder *f, uint32_t slot);

/* Write @n bytes, at most INPUT_MAX, to the slot's input: all or none.  @n 0: test whether it
 * can be written to.  Return: the bytes written; 0: the VMM has not read enough of the earlier
 * ones; -1 with errno: ENOENT, the VM was started without an input, or ENXIO or EPIPE, nothing
 * reads it. */
ssize_t streams_type(const struct streams_folder *f, uint32_t slot, const uint8_t *buf, size_t n);

/* Begin to read the streams of @vm into its files.  A monitor's stream that can not be opened is
 * left out.  Return: 0, or -1 with errno: the console can not be opened; streams_close() is due
 * then too. */
int streams_open(struct streams *all, const struct vm *vm);

/* Read the rest of the FIFOs, and close them.  Closed streams are skipped. */
void streams_close(struct streams *all);

/* Handle an event of @s, if it is the source of one of these streams. */
void streams_event(struct streams *all, const struct loop_source *s);

/* Read the data that is in the FIFO now. */
void streams_catch_up(struct streams *all, enum stream_kind kind);

/* Read the files of a stream: see watch_has(), watch_end() and watch_read(). */
uint64_t streams_end(const struct streams_folder *f, const struct vm *vm, enum stream_kind kind);
bool streams_has(const struct streams_folder *f, const struct vm *vm, enum stream_kind kind);
ssize_t streams_read(const struct streams_folder *f, const struct vm *vm, enum stream_kind kind,
		     uint64_t *offset, char *buf, size_t size);

/* Remove the slot's files and FIFOs.  Return: 0, or -1 with errno. */
int streams_discard(const struct streams_folder *f, uint32_t slot);

#endif
