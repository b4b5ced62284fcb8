/* watch.h - the main loop's eyes on running VMs: their pidfds and their consoles. */
#ifndef BANGER_CONTROLLER_WATCH_H
#define BANGER_CONTROLLER_WATCH_H

#include "controller/ctl.h"

/* The console file of a VM never grows beyond this; the older half goes first. */
#define CONSOLE_MAX (1024 * 1024)

struct watch *watch_open(struct ctl *c, int epoll_fd);
void watch_close(struct watch *w);

/* The slot's console FIFO (made if absent in the private folder of the controller), open for both; -1 with errno. */
int watch_console_open(struct watch *w, const struct vm *vm);

/* From now on @pidfd is watched and @console is read into the bounded file; both are the watch's.  Thread-safe. */
int watch_add(struct watch *w, const struct vm *vm, int pidfd, int console);

/* Forget the VM; a pidfd that fires later is not reported.  Thread-safe. */
void watch_remove(struct watch *w, const uint8_t vm[ID_LEN]);

/* A copy of the pidfd, to wait for the end of the VMM; -1 when it is not watched. */
int watch_pidfd(struct watch *w, const uint8_t vm[ID_LEN]);

/* Read what the console has; returns bytes from @offset of everything ever written (older than the file: from its start). */
ssize_t watch_console_read(struct watch *w, const struct vm *vm, uint64_t *offset, char *buf, size_t size);

/* An event of the epoll loop with data.ptr inside the watch. */
void watch_event(struct watch *w, void *ptr, uint32_t events);

#endif
