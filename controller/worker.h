/* worker.h - the threads that run operations, and the rule that a VM has one at a time. */
#ifndef BANGER_CONTROLLER_WORKER_H
#define BANGER_CONTROLLER_WORKER_H

#include "controller/ctl.h"

#define WORKER_THREADS 64 /* most of them wait: for a guest to end, for a VM's turn, for a disk */
#define WORKER_QUEUE_MAX 256

struct workers *workers_start(struct ctl *c);
void workers_stop(struct workers *w); /* waits for what runs, drops what waits */

/* Queue fn(c, arg).  Return: 0, or -1 when the queue is full. */
int workers_run(struct workers *w, void (*fn)(struct ctl *c, void *arg), void *arg);

/**
 * vm_turn_take() - wait until no other operation has this VM
 * @interrupt:	cancel the one that runs, if it can be (delete, kill)
 * @cancelled:	out: a flag that another operation may set while we have the turn
 */
void vm_turn_take(struct workers *w, const uint8_t vm[ID_LEN], bool interrupt, atomic_bool **cancelled);
void vm_turn_give(struct workers *w, const uint8_t vm[ID_LEN]);

/* Whether somebody has it, or waits for it, at this moment. */
bool vm_turn_is_taken(struct workers *w, const uint8_t vm[ID_LEN]);

#endif
