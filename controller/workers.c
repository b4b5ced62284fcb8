/* workers.c - a thread pool: a fixed number of threads, and a ring of jobs. */
#include "controller/workers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "common/log.h"

struct job {
	void (*fn)(struct ctl *c, void *arg);
	void *arg;
};

struct workers {
	struct ctl *ctl;
	pthread_mutex_t lock;
	pthread_cond_t jobs_cond;
	struct job queue[WORKER_QUEUE_MAX];
	size_t head, n;
	bool stopping;
	pthread_t threads[WORKER_THREADS];
	size_t n_threads;
};

static bool take_job(struct workers *w, struct job *job)
{
	bool got = false;

	(void)pthread_mutex_lock(&w->lock);
	while (!w->stopping && w->n == 0)
		(void)pthread_cond_wait(&w->jobs_cond, &w->lock);
	if (!w->stopping) {
		*job = w->queue[w->head];
		w->head = (w->head + 1) % WORKER_QUEUE_MAX;
		w->n--;
		got = true;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return got;
}

static void *worker_thread(void *arg)
{
	struct workers *w = arg;
	struct job job;

	while (take_job(w, &job))
		job.fn(w->ctl, job.arg);
	return NULL;
}

/* Start the threads with all signals blocked, so that the main thread receives them. */
static int start_threads(struct workers *w)
{
	sigset_t all, old;
	int e = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	while (w->n_threads < WORKER_THREADS && !e) {
		e = pthread_create(&w->threads[w->n_threads], NULL, worker_thread, w);
		w->n_threads += !e;
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!e)
		return 0;
	errno = e;
	return -1;
}

struct workers *workers_start(struct ctl *c)
{
	struct workers *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->ctl = c;
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->jobs_cond, NULL);
	if (start_threads(w) < 0) {
		int e = errno;
		workers_stop(w);
		errno = e;
		return NULL;
	}
	return w;
}

void workers_stop(struct workers *w)
{
	if (!w)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->stopping = true;
	if (w->n)
		log_warn("%zu queued operations are dropped", w->n);
	(void)pthread_cond_broadcast(&w->jobs_cond);
	(void)pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < w->n_threads; i++)
		(void)pthread_join(w->threads[i], NULL);
	(void)pthread_cond_destroy(&w->jobs_cond);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

int workers_run(struct workers *w, void (*fn)(struct ctl *c, void *arg), void *arg)
{
	int r = -1;

	(void)pthread_mutex_lock(&w->lock);
	if (!w->stopping && w->n < WORKER_QUEUE_MAX) {
		w->queue[(w->head + w->n++) % WORKER_QUEUE_MAX] = (struct job){ fn, arg };
		(void)pthread_cond_signal(&w->jobs_cond);
		r = 0;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return r;
}
