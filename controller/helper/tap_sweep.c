/* tap_sweep.c - removes taps in two steps: a retirement for each tap, and a sweep that threads
 * share. */
#include "controller/helper/tap_sweep.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "controller/helper/client.h"

struct tap_sweep {
	pthread_mutex_t lock;
	pthread_cond_t done;
	uint64_t asked, answered; /* numbers of retirements asked for, and of those answered */
	uint64_t retired, swept;  /* numbers of taps retired, and of those removed by a sweep */
	bool busy;                /* a thread waits for the answer of a sweep */
};

struct tap_sweep *tap_sweep_open(void)
{
	struct tap_sweep *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->done, NULL);
	return s;
}

void tap_sweep_close(struct tap_sweep *s)
{
	if (!s)
		return;
	(void)pthread_mutex_destroy(&s->lock);
	(void)pthread_cond_destroy(&s->done);
	free(s);
}

static int status_of(struct helper *h, struct request *q)
{
	struct reply r;

	return helper_call(h, q, NULL, &r, NULL) < 0 ? -1 : (int)r.status;
}

/* Send a sweep.  The lock is held on entry and on return, and released during the request. */
static int send_sweep(struct tap_sweep *s, struct helper *h, const uint8_t op_id[ID_LEN])
{
	struct request q = helper_request(OP_TAP_SWEEP, NULL, NULL);

	memcpy(q.op_id, op_id, ID_LEN);
	s->busy = true;
	const uint64_t all = s->retired;
	(void)pthread_mutex_unlock(&s->lock);
	int status = status_of(h, &q);
	(void)pthread_mutex_lock(&s->lock);
	s->busy = false;
	if (status == ST_OK)
		s->swept = all;
	(void)pthread_cond_broadcast(&s->done);
	return status;
}

/* Send a retirement.  The lock is held on entry and on return, and released during the request. */
static int send_retirement(struct tap_sweep *s, struct helper *h, struct request *q)
{
	s->asked++;
	(void)pthread_mutex_unlock(&s->lock);
	int status = status_of(h, q);
	(void)pthread_mutex_lock(&s->lock);
	s->answered++;
	(void)pthread_cond_broadcast(&s->done);
	return status;
}

/* Wait for a sweep that covers the first @mine retired taps, or until this thread has to send it:
 * no other sweep is on its way, and as many retirements are answered as were asked for.  Those that
 * are asked for meanwhile do not prolong the wait. */
static void await_turn(struct tap_sweep *s, uint64_t mine)
{
	const uint64_t all = s->asked;

	while (s->swept < mine && (s->busy || s->answered < all))
		(void)pthread_cond_wait(&s->done, &s->lock);
}

int tap_sweep_remove(struct tap_sweep *s, struct helper *h, struct request *q)
{
	(void)pthread_mutex_lock(&s->lock);
	int status = send_retirement(s, h, q);
	if (status == ST_OK) {
		const uint64_t mine = ++s->retired;
		await_turn(s, mine);
		if (s->swept < mine)
			status = send_sweep(s, h, q->op_id);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return status;
}
