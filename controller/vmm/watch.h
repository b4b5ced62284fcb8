/* watch.h - watches running VMs in the main loop: the exit of the VMM, and the output streams. */
#ifndef BANGER_CONTROLLER_VMM_WATCH_H
#define BANGER_CONTROLLER_VMM_WATCH_H

#include "controller/ctl.h"
#include "controller/vmm/streams.h"

/* Exit handler, called in a worker when the VMM of a watched VM has exited.  The VM may have been
 * released, deleted or started again since, so the handler must check the row. */
typedef void watch_on_exit(struct ctl *c, const uint8_t vm[ID_LEN]);

/**
 * watch_open() - make a watch without VMs
 * @epoll_fd:	borrowed; its data.ptr are struct loop_source
 * @on_exit:	exit handler of all VMs
 *
 * Return: the watch, or NULL with errno.
 */
struct watch *watch_open(struct ctl *c, int epoll_fd, watch_on_exit *on_exit);
void watch_close(struct watch *w);

/**
 * watch_console_open() - open the slot's console FIFO for both directions, for the VMM
 * @vm:	a VM that is being started gets new FIFOs and a new console file; an adopted VM keeps them
 *
 * A start with Firecracker also makes the FIFOs `log` and `metrics` in the slot's run folder, which
 * Firecracker opens itself.
 * Return: a descriptor, owned by the caller, or -1 with errno.
 */
int watch_console_open(struct watch *w, const struct vm *vm);

/* Open the FIFO of the slot's input for both directions, for the VMM, after watch_console_open().
 * Return: a descriptor, owned by the caller, or -1 with errno. */
int watch_input_open(struct watch *w, const struct vm *vm);

/**
 * watch_type() - write to the serial line of the guest of a watched VM
 * @vm:		its id
 * @buf, @n:	at most INPUT_MAX bytes, which are written together or not at all; none: only test
 *
 * Thread-safe; never blocks.  The FIFO is that of this VM: while the VM is watched, no other one
 * has its slot.
 * Return: the bytes written, 0 if there is no room now, or -1 with errno: ESRCH, the VM is not
 * watched; ENOENT, ENXIO, EPIPE: its VMM takes no input.
 */
ssize_t watch_type(struct watch *w, const uint8_t vm[ID_LEN], const uint8_t *buf, size_t n);

/**
 * watch_add() - watch a pidfd, and read the VM's streams into their files
 * @pidfd:	of the VMM; the watch owns it, even on failure
 *
 * Thread-safe.  Return: 0, or -1 with errno.
 */
int watch_add(struct watch *w, const struct vm *vm, int pidfd);

/* Stop watching the VM, after its FIFOs are read to the end.  A later exit is not reported.
 * Thread-safe. */
void watch_remove(struct watch *w, const uint8_t vm[ID_LEN]);

/* Return: a copy of the pidfd, owned by the caller; -1 if the VM is not watched.  Thread-safe. */
int watch_pidfd(struct watch *w, const uint8_t vm[ID_LEN]);

/* Tell whether the VMM lives.  The call needs no free descriptor, so that a lack of descriptors
 * does not make a VMM look dead.  Thread-safe. */
enum watch_life { WATCH_NOT, WATCH_LIVES, WATCH_ENDED };
enum watch_life watch_life(struct watch *w, const uint8_t vm[ID_LEN]);

/* Record that the agent in the guest of a watched VM has answered since this start; tell whether it
 * has.  A VMM that was adopted has not.  Thread-safe. */
void watch_set_ready(struct watch *w, const uint8_t vm[ID_LEN]);
bool watch_is_ready(struct watch *w, const uint8_t vm[ID_LEN]);

/* True if the latest start of the VM has such a stream, empty or not.  Thread-safe. */
bool watch_has(struct watch *w, const struct vm *vm, enum stream_kind kind);

/* Read the data that is in the FIFO now, so that watch_read() returns all output before this call.
 * Thread-safe. */
void watch_catch_up(struct watch *w, const struct vm *vm, enum stream_kind kind);

/* Return: the offset behind the last byte of the output of the VM's latest start.  Thread-safe. */
uint64_t watch_end(struct watch *w, const struct vm *vm, enum stream_kind kind);

/**
 * watch_read() - read the output of the VM's latest start; the VM may be at rest
 * @offset:	in and out: position in the output since that start; a position before the beginning
 *		of the files is moved there
 * @buf:	out: raw bytes of guest or monitor; a client must filter them before it shows them
 *
 * Thread-safe.
 * Return: number of bytes, 0 at the end of the output, or -1 with errno.
 */
ssize_t watch_read(struct watch *w, const struct vm *vm, enum stream_kind kind, uint64_t *offset,
		   char *buf, size_t size);

/* Remove files and FIFOs of the slot's streams, so that the slot's next VM does not find them. */
void watch_discard(struct watch *w, uint32_t slot);

/* Handle an event of the epoll loop.  @ptr: its data.ptr, inside the watch. */
void watch_event(struct watch *w, void *ptr, uint32_t events);

/* Report the exits that could not be reported because the workers' queue was full.  The main loop
 * calls this about once a second. */
void watch_tick(struct watch *w);

#endif
