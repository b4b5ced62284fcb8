/* watch.h - the main loop's eyes on running VMs: their pidfds, and what they say. */
#ifndef BANGER_CONTROLLER_VMM_WATCH_H
#define BANGER_CONTROLLER_VMM_WATCH_H

#include "controller/ctl.h"
#include "controller/vmm/streams.h"

/* Called in a worker when the VMM of a watched VM has exited.  The VM may have been released,
 * deleted or started again since: the handler has to ask. */
typedef void watch_on_exit(struct ctl *c, const uint8_t vm[ID_LEN]);

/**
 * watch_open() - watch no VM yet
 * @epoll_fd:	stays the caller's; its data.ptr is a struct loop_source
 * @on_exit:	the exit handler of all VMs that are added
 * Return: NULL with errno on failure.
 */
struct watch *watch_open(struct ctl *c, int epoll_fd, watch_on_exit *on_exit);
void watch_close(struct watch *w);

/**
 * watch_console_open() - the slot's console FIFO, open for both, to be handed to the VMM
 *
 * A VM that is being started gets a new FIFO and an empty console file with
 * one line that marks the start; one that runs (adopted) goes on with both.
 * A start by Firecracker also gets the FIFOs that it is to open itself, `log`
 * and `metrics` in the slot's run folder.
 * Return: a descriptor of the caller's, or -1 with errno.
 */
int watch_console_open(struct watch *w, const struct vm *vm);

/* From now on @pidfd is watched and the slot's streams are read into their bounded files, by
 * descriptors of our own.
 * @pidfd is the watch's, even on failure.  Thread-safe.  Return: 0, or -1 with errno. */
int watch_add(struct watch *w, const struct vm *vm, int pidfd);

/* Forget the VM, after the last that it said was taken; a pidfd that fires later is not
 * reported.  Thread-safe. */
void watch_remove(struct watch *w, const uint8_t vm[ID_LEN]);

/* A copy of the pidfd, to wait for the end of the VMM; -1 when it is not watched. */
int watch_pidfd(struct watch *w, const uint8_t vm[ID_LEN]);

/* Whether its VMM lives.  Takes no descriptor: a controller that has none left takes no guest
 * for dead.  Thread-safe. */
enum watch_life { WATCH_NOT, WATCH_LIVES, WATCH_ENDED };
enum watch_life watch_life(struct watch *w, const uint8_t vm[ID_LEN]);

/* Whether there is such a stream of the VM's latest start, be it empty.  Thread-safe. */
bool watch_has(struct watch *w, const struct vm *vm, enum stream_kind kind);

/* Take what is in the pipe now, so that a reader gets all that was said before it asked.
 * Thread-safe. */
void watch_catch_up(struct watch *w, const struct vm *vm, enum stream_kind kind);

/**
 * watch_read() - what the VM has said since its latest start, running or not
 * @offset:	in and out, of everything written since that start; older than the files: their
 *		beginning
 *
 * Bytes of a guest or a monitor as they came: the client that shows them has to clean them.
 * Thread-safe.
 * Return: bytes, 0 when there is nothing more now, or -1 with errno.
 */
ssize_t watch_read(struct watch *w, const struct vm *vm, enum stream_kind kind, uint64_t *offset,
		   char *buf, size_t size);

/* Remove the slot's files and FIFOs: they are named after the slot, and its next holder must not
 * find this one's. */
void watch_discard(struct watch *w, uint32_t slot);

/* An event of the epoll loop with data.ptr inside the watch. */
void watch_event(struct watch *w, void *ptr, uint32_t events);

/* Now and then: report the ends that found the workers' queue full. */
void watch_tick(struct watch *w);

#endif
