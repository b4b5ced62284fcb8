/* workers.h - the thread pool that runs operations. */
#ifndef BANGER_CONTROLLER_WORKERS_H
#define BANGER_CONTROLLER_WORKERS_H

#include "controller/ctl.h"

/* many, since most of them wait: for a guest, an operation lock, a disk */
#define WORKER_THREADS 64
#define WORKER_QUEUE_MAX 256

/* Start the threads.  @c is passed to all jobs.  Return: NULL with errno on failure. */
struct workers *workers_start(struct ctl *c);

/* Wait for running jobs, drop queued jobs, and free @w.  NULL does nothing. */
void workers_stop(struct workers *w);

/**
 * workers_run() - queue the call fn(c, arg)
 * @arg:	owned by the caller; it must live until @fn has run.  A job that workers_stop()
 *		drops never runs.
 *
 * Thread-safe.  Return: 0, or -1 when the queue is full or the workers stop.
 */
int workers_run(struct workers *w, void (*fn)(struct ctl *c, void *arg), void *arg);

#endif
