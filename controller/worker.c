/* Two things behind one mutex: a ring of jobs that the threads empty, and the turns.
 *
 * A turn is a VM's from the first who wants it to the last who leaves; no thread wants two, so there are enough, and an
 * end needs no memory.  Tickets keep it fair: whoever came first is served first, and one who interrupts only asks the
 * holders before it to hurry. */
#include "controller/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define TURNS (WORKER_THREADS + 8) /* and the main thread's, before there are workers */

struct job {
	void (*fn)(struct ctl *c, void *arg);
	void *arg;
};

struct turn {
	uint8_t vm[ID_LEN];
	uint64_t serving, tickets; /* who has it; how many were given out; equal: it is nobody's */
	atomic_bool cancelled;
};

struct workers {
	struct ctl *ctl;
	pthread_mutex_t lock;
	pthread_cond_t jobs_cond, turns_cond;
	struct job queue[WORKER_QUEUE_MAX];
	size_t head, n;
	bool stopping;
	struct turn turns[TURNS];
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

/* Threads start with every signal blocked: signals are the main loop's. */
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
	(void)pthread_cond_init(&w->turns_cond, NULL);
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
	(void)pthread_cond_destroy(&w->turns_cond);
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

static bool is_of(const struct turn *t, const uint8_t vm[ID_LEN])
{
	return t->serving != t->tickets && memcmp(t->vm, vm, ID_LEN) == 0;
}

static struct turn *turn_of(struct workers *w, const uint8_t vm[ID_LEN])
{
	struct turn *free = NULL;

	for (size_t i = 0; i < TURNS; i++) {
		struct turn *t = &w->turns[i];
		if (is_of(t, vm))
			return t;
		if (t->serving == t->tickets)
			free = t;
	}
	if (!free)
		die(1, "more turns than threads");
	memcpy(free->vm, vm, ID_LEN);
	return free;
}

void vm_turn_take(struct workers *w, const uint8_t vm[ID_LEN], bool interrupt, atomic_bool **cancelled)
{
	(void)pthread_mutex_lock(&w->lock);
	struct turn *t = turn_of(w, vm);
	uint64_t mine = t->tickets++;
	while (t->serving != mine) {
		if (interrupt)
			t->cancelled = true;
		(void)pthread_cond_wait(&w->turns_cond, &w->lock);
	}
	*cancelled = &t->cancelled;
	(void)pthread_mutex_unlock(&w->lock);
}

void vm_turn_give(struct workers *w, const uint8_t vm[ID_LEN])
{
	(void)pthread_mutex_lock(&w->lock);
	struct turn *t = turn_of(w, vm);
	t->serving++;
	t->cancelled = false;
	(void)pthread_cond_broadcast(&w->turns_cond);
	(void)pthread_mutex_unlock(&w->lock);
}

bool vm_turn_is_taken(struct workers *w, const uint8_t vm[ID_LEN])
{
	bool taken = false;

	(void)pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < TURNS && !taken; i++)
		taken = is_of(&w->turns[i], vm);
	(void)pthread_mutex_unlock(&w->lock);
	return taken;
}
