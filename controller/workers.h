/* workers.h - the threads that run operations. */
#ifndef BANGER_CONTROLLER_WORKERS_H
#define BANGER_CONTROLLER_WORKERS_H

#include "controller/ctl.h"

#define WORKER_THREADS 64 /* most of them wait: for a guest to end, for a VM's lock, for a disk */
#define WORKER_QUEUE_MAX 256

/* Start the threads.  Return: NULL with errno on failure. */
struct workers *workers_start(struct ctl *c);

/* Wait for the jobs that run, drop those that wait, free @w; NULL does nothing. */
void workers_stop(struct workers *w);

/**
 * workers_run() - queue fn(c, arg)
 * @arg:	the caller's, until @fn has run; a job that workers_stop() drops never runs
 *
 * From any thread.  Return: 0, or -1 when the queue is full or the workers stop.
 */
int workers_run(struct workers *w, void (*fn)(struct ctl *c, void *arg), void *arg);

#endif
