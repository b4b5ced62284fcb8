/* client.c - sends requests to the roles over their socketpairs, one at a time to each role. */
#include "controller/helper/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/failpoint.h"
#include "common/fdio.h"
#include "proto/ops_failpoint.h"

/* Timeout of an answer.  The slowest request takes a few hundred milliseconds. */
#define ANSWER_SECONDS 30

struct helper {
	struct peer {
		pthread_mutex_t lock;
		int fd;
		uint64_t seq;
		/* an answer was lost, so the next one could belong to an earlier request */
		bool broken;
	} peers[ROLE_COUNT];
};

static int fail(int e)
{
	errno = e;
	return -1;
}

/* Set the timeouts of the socket.  A call that exceeds them fails with EAGAIN (socket(7),
 * SO_RCVTIMEO). */
static int bound_waits(int fd)
{
	const struct timeval t = { .tv_sec = ANSWER_SECONDS };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) < 0)
		return -1;
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

struct helper *helper_open(int net, int blk, int spawn)
{
	const int fds[ROLE_COUNT] = {
		[ROLE_ANY] = -1, [ROLE_NET] = net, [ROLE_BLK] = blk, [ROLE_SPAWN] = spawn
	};
	struct helper *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	for (int i = 0; i < ROLE_COUNT; i++) {
		h->peers[i].fd = fds[i];
		(void)pthread_mutex_init(&h->peers[i].lock, NULL);
	}
	for (int i = 0; i < ROLE_COUNT; i++)
		if (fds[i] >= 0 && bound_waits(fds[i]) < 0) {
			int saved = errno;
			helper_close(h);
			errno = saved;
			return NULL;
		}
	return h;
}

void helper_close(struct helper *h)
{
	if (!h)
		return;
	for (int i = 0; i < ROLE_COUNT; i++) {
		fdio_close_all(&h->peers[i].fd, 1);
		(void)pthread_mutex_destroy(&h->peers[i].lock);
	}
	free(h);
}

int helper_fd(struct helper *h, enum role_id role)
{
	return (unsigned)role < ROLE_COUNT ? h->peers[role].fd : -1;
}

static int receive(struct peer *p, const struct request *q, struct reply *reply, int *fds_out)
{
	uint8_t buf[OPS_PACKET_MAX];
	int fds[FDIO_MAX];
	size_t nfds;
	ssize_t n = fdio_recv(p->fd, buf, sizeof(buf), fds, &nfds);

	if (n < 0)
		return errno == EAGAIN ? fail(ETIMEDOUT) : -1;
	if (n == 0)
		return fail(EPIPE);
	if (ops_decode_reply(q->op, buf, (size_t)n, reply) < 0 || reply->seq != q->seq ||
	    nfds != (reply->status == ST_OK ? q->op->fds_out : 0)) {
		fdio_close_all(fds, nfds);
		return fail(EBADMSG);
	}
	memcpy(fds_out, fds, nfds * sizeof(fds[0]));
	return 0;
}

/* Send a request and receive its answer, with the peer's lock held.  The connection stays usable
 * when nothing was sent: a request that can not be encoded is a bug of the caller, and ETOOMANYREFS
 * says that the kernel has queued no descriptor, nor the packet (unix_scm_to_skb() in
 * net/unix/af_unix.c comes before the queue).  Any other failure shuts the socket down, since a
 * late answer could be taken for that of a later request.  The main loop sees the shutdown and ends
 * the service. */
static int exchange(struct peer *p, struct request *q, const int *fds_in, struct reply *reply,
		    int *fds_out)
{
	uint8_t buf[OPS_PACKET_MAX];

	if (p->broken || p->fd < 0)
		return fail(EPIPE);
	q->seq = ++p->seq;
	int n = ops_encode_request(q, buf);
	if (n < 0)
		return -1;
	int r = fdio_send(p->fd, buf, (size_t)n, fds_in, q->op->fds_in);
	if (r < 0 && errno == ETOOMANYREFS)
		return -1;
	if (r == 0 && receive(p, q, reply, fds_out) == 0)
		return 0;
	int saved = errno == EAGAIN ? ETIMEDOUT : errno;
	p->broken = true;
	(void)shutdown(p->fd, SHUT_RDWR);
	return fail(saved);
}

/* Failpoint: return ST_KERNEL instead of the role's answer. */
static int fake_refusal(struct reply *reply, int *fds)
{
	fdio_close_all(fds, FDIO_MAX);
	*reply = (struct reply){ .status = ST_KERNEL };
	return 0;
}

static int call(struct helper *h, enum role_id role, struct request *q, const int *fds_in,
		struct reply *reply, int *fds_out)
{
	struct peer *p = &h->peers[role];
	int fds[FDIO_MAX] = { -1, -1, -1, -1 };

	if (FAILPOINT_OF_FAILS("request.%s.before", ops_failpoint_each, q->op->name))
		return fake_refusal(reply, fds);
	(void)pthread_mutex_lock(&p->lock);
	int r = exchange(p, q, fds_in, reply, fds);
	int saved = errno;
	(void)pthread_mutex_unlock(&p->lock);
	if (FAILPOINT_OF_FAILS("request.%s.after", ops_failpoint_each, q->op->name) && r == 0)
		return fake_refusal(reply, fds);
	for (unsigned i = 0; i < q->op->fds_out; i++)
		fds_out[i] = fds[i];
	errno = saved;
	return r;
}

int helper_call(struct helper *h, struct request *q, const int *fds_in, struct reply *reply,
		int *fds_out)
{
	if (q->op->role == ROLE_ANY || (q->op->fds_in && !fds_in) || (q->op->fds_out && !fds_out))
		return fail(EINVAL);
	return call(h, q->op->role, q, fds_in, reply, fds_out);
}

int helper_explain(int err, const char *what, const char *role, struct error *e)
{
	if (err == ETOOMANYREFS) {
		error_set(e, FAIL_LIMIT, what,
			  "too many descriptors are in flight between processes");
		error_hint(e, "clients have not read the answers that carry them; try again");
		return -1;
	}
	error_set(e, FAIL_HOST, what, "the %s role is gone", role);
	error_hint(e, "the service restarts it by itself: try again in some seconds");
	return -1;
}

int helper_call_role(struct helper *h, enum role_id role, struct request *q, struct reply *reply)
{
	if (q->op->role != ROLE_ANY || role <= ROLE_ANY || role >= ROLE_COUNT)
		return fail(EINVAL);
	return call(h, role, q, NULL, reply, NULL);
}

int helper_hello(struct helper *h)
{
	for (enum role_id i = ROLE_NET; i < ROLE_COUNT; i++) {
		struct request q = { .op = op_find(OP_HELLO) };
		struct reply reply;

		if (h->peers[i].fd < 0)
			continue;
		q.hello.version = OPS_VERSION;
		if (helper_call_role(h, i, &q, &reply) < 0)
			return -1;
		if (reply.status != ST_OK || reply.hello.role != i)
			return fail(EPROTO);
	}
	return 0;
}

struct request helper_request(enum op_code op, const struct vm *vm, const struct operation *o)
{
	struct request q = { .op = op_find(op) };

	if (o)
		memcpy(q.op_id, o->id, ID_LEN);
	if (vm && q.op->scope == SCOPE_SLOT) {
		q.slot = vm->slot;
		q.generation = vm->generation;
		q.owner = vm->owner;
		memcpy(q.vm, vm->id, ID_LEN);
	}
	return q;
}
