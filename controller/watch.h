/* watch.h - the main loop's eyes on running VMs: their pidfds and their consoles. */
#ifndef BANGER_CONTROLLER_WATCH_H
#define BANGER_CONTROLLER_WATCH_H

#include "controller/ctl.h"

/* The console of a VM never takes more than this on disk; the older half goes first. */
#define CONSOLE_MAX (1024 * 1024)

/* @epoll_fd stays the caller's; its data.ptr is a struct loop_source.  Return: NULL with errno on failure. */
struct watch *watch_open(struct ctl *c, int epoll_fd);
void watch_close(struct watch *w);

/**
 * watch_console_open() - the slot's console FIFO, open for both, to be handed to the VMM
 *
 * A VM that is being started gets a new FIFO and an empty console file with
 * one line that marks the start; one that runs (adopted) goes on with both.
 * Return: a descriptor of the caller's, or -1 with errno.
 */
int watch_console_open(struct watch *w, const struct vm *vm);

/* From now on @pidfd is watched and the slot's console is read into the bounded file.  Both descriptors are the
 * watch's, even on failure.  Thread-safe.  Return: 0, or -1 with errno. */
int watch_add(struct watch *w, const struct vm *vm, int pidfd, int console);

/* Forget the VM, after the last of its console was taken; a pidfd that fires later is not reported.  Thread-safe. */
void watch_remove(struct watch *w, const uint8_t vm[ID_LEN]);

/* A copy of the pidfd, to wait for the end of the VMM; -1 when it is not watched. */
int watch_pidfd(struct watch *w, const uint8_t vm[ID_LEN]);

/**
 * watch_console_read() - what the VM's console said at its latest start, running or not
 * @offset:	in and out, of everything written since that start; older than the files: their beginning
 *
 * Guest bytes as they came: whoever shows them cleans them.  Thread-safe.
 * Return: bytes, 0 when there is nothing more now, or -1 with errno.
 */
ssize_t watch_console_read(struct watch *w, const struct vm *vm, uint64_t *offset, char *buf, size_t size);

/* An event of the epoll loop with data.ptr inside the watch. */
void watch_event(struct watch *w, void *ptr, uint32_t events);

/* Now and then: report the ends that found the workers' queue full. */
void watch_tick(struct watch *w);

#endif
