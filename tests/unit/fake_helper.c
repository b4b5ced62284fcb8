#include "tests/unit/fake_helper.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdio.h"

#define OPS_MAX 256
#define RECORDS_MAX 65536

struct thing {
	bool there;
	uint32_t generation, owner;
	uint64_t ident;
	bool retired;
};

struct fake_role {
	struct fake_helper *f;
	enum role_id id;
	int fd;
	pthread_t thread;
	enum phase phase;
	uint8_t nonsense[OPS_PACKET_MAX];
	size_t nonsense_len;
};

struct fake_helper {
	pthread_mutex_t lock;
	struct fake_role roles[ROLE_COUNT];
	struct request *records;
	size_t total, counts[OPS_MAX], violations;
	struct {
		enum status status;
		uint32_t times;
		unsigned delay_ms;
	} plan[OPS_MAX];
	struct thing things[OBJ_COUNT][SLOT_MAX];
	pid_t vmm[SLOT_MAX];
	char kvm;
	bool silent; /* its VMMs write nothing to their consoles */
	void (*hook)(void *arg, const struct request *q);
	void *hook_arg;
};

static const enum role_id object_role[OBJ_COUNT] = {
	[OBJ_TAP] = ROLE_NET,       [OBJ_GUEST] = ROLE_NET,    [OBJ_NAT] = ROLE_NET,
	[OBJ_LOOP_BASE] = ROLE_BLK, [OBJ_LOOP_COW] = ROLE_BLK, [OBJ_DM] = ROLE_BLK,
	[OBJ_VMM] = ROLE_SPAWN,
};

static uint64_t ident_of(enum object kind, uint32_t slot)
{
	static const uint64_t base[OBJ_COUNT] = { [OBJ_TAP] = 100, [OBJ_DM] = SLOT_DM_MINOR };

	if (kind == OBJ_LOOP_BASE || kind == OBJ_LOOP_COW)
		return 2 * slot + (kind == OBJ_LOOP_COW);
	return kind == OBJ_VMM ? 1 : base[kind] + slot;
}

static void put(struct fake_helper *f, enum object kind, const struct request *q)
{
	f->things[kind][q->slot] = (struct thing){
		.there = true,
		.generation = q->generation,
		.owner = q->owner,
		.ident = ident_of(kind, q->slot),
	};
}

static void drop(struct fake_helper *f, enum object kind, uint32_t slot)
{
	f->things[kind][slot] = (struct thing){ 0 };
}

/* Start a child that sleeps until it is killed, or writes @answer to its output and ends.
 * @fifos: its standard input and its output. */
static pid_t child(const int *fifos, char answer)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(fifos[0], 0);
	(void)dup2(fifos[1], 2);
	(void)syscall(SYS_close_range, 3u, ~0u, 0u);
	if (answer) {
		(void)!write(2, &answer, 1);
		_exit(0);
	}
	for (;;)
		(void)pause();
}

static int pidfd_of(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0u);
}

static void reap(struct fake_helper *f, uint32_t slot)
{
	if (f->vmm[slot] > 0) {
		(void)kill(f->vmm[slot], SIGKILL);
		(void)waitpid(f->vmm[slot], NULL, 0);
	}
	f->vmm[slot] = 0;
}

static enum status serve_vmm(struct fake_helper *f, const struct request *q, const int *fds,
			     struct reply *a, int *fd_out)
{
	bool probe = q->op->code == OP_VMM_SPAWN && q->vmm_spawn.vmm == VMM_PROBE;
	pid_t pid;

	switch (q->op->code) {
	case OP_VMM_SPAWN:
		if (f->things[OBJ_VMM][q->slot].there)
			return ST_DENIED;
		pid = child(fds, probe ? f->kvm : 0);
		if (!probe && !f->silent)
			/* whenever the child is killed */
			(void)!write(fds[1], FAKE_GREETING, sizeof(FAKE_GREETING) - 1);
		f->vmm[q->slot] = probe ? 0 : pid;
		put(f, OBJ_VMM, q);
		break;
	case OP_VMM_WATCH:
		pid = f->vmm[q->slot];
		if (!pid)
			return ST_ABSENT;
		break;
	default: /* VMM_KILL */
		reap(f, q->slot);
		drop(f, OBJ_VMM, q->slot);
		return ST_OK;
	}
	a->vmm_spawn = (struct rep_vmm_spawn){ (uint64_t)pid, 4711 };
	*fd_out = pidfd_of(pid);
	if (probe)
		(void)waitpid(pid, NULL, 0);
	return *fd_out < 0 ? ST_KERNEL : ST_OK;
}

static enum status serve_list(struct fake_helper *f, enum role_id role, const struct request *q,
			      struct reply *a)
{
	for (uint64_t at = q->list.cursor; at < (uint64_t)OBJ_COUNT * SLOT_MAX; at++) {
		uint32_t kind = (uint32_t)(at / SLOT_MAX), slot = (uint32_t)(at % SLOT_MAX);
		const struct thing *t = &f->things[kind][slot];
		if (object_role[kind] != role || !t->there)
			continue;
		if (a->list.objects.n == (size_t)LIST_MAX * LIST_FIELDS) {
			a->list.next = at;
			break;
		}
		uint64_t *v = &a->list.objects.v[a->list.objects.n];
		v[0] = kind;
		v[1] = slot;
		v[2] = t->generation;
		v[3] = t->owner;
		v[4] = kind == OBJ_VMM ? f->vmm[slot] > 0 : t->ident;
		a->list.objects.n += LIST_FIELDS;
	}
	return ST_OK;
}

static enum status serve_blk(struct fake_helper *f, const struct request *q, struct reply *a)
{
	switch (q->op->code) {
	case OP_LOOP_ATTACH:
		put(f, q->loop_attach.part ? OBJ_LOOP_COW : OBJ_LOOP_BASE, q);
		a->loop_attach.loop = 2 * q->slot + q->loop_attach.part;
		break;
	case OP_LOOP_DETACH:
		drop(f, q->loop_detach.part ? OBJ_LOOP_COW : OBJ_LOOP_BASE, q->slot);
		break;
	case OP_SNAPSHOT_CREATE:
		if (!f->things[OBJ_LOOP_BASE][q->slot].there ||
		    !f->things[OBJ_LOOP_COW][q->slot].there)
			return ST_ABSENT;
		put(f, OBJ_DM, q);
		a->snapshot_create.minor = SLOT_DM_MINOR + q->slot;
		break;
	default: /* SNAPSHOT_REMOVE: its loops clear themselves with their last user */
		for (enum object k = OBJ_LOOP_BASE; k <= OBJ_DM; k++)
			drop(f, k, q->slot);
	}
	return ST_OK;
}

static enum status serve_net(struct fake_helper *f, const struct request *q, struct reply *a)
{
	switch (q->op->code) {
	case OP_TAP_CREATE:
		put(f, OBJ_TAP, q);
		a->tap_create.ifindex = ident_of(OBJ_TAP, q->slot);
		break;
	case OP_TAP_RETIRE:
		f->things[OBJ_TAP][q->slot].retired = true;
		break;
	case OP_TAP_SWEEP:
		for (uint32_t i = 0; i < SLOT_MAX; i++)
			if (f->things[OBJ_TAP][i].retired)
				drop(f, OBJ_TAP, i);
		break;
	case OP_GUEST_ALLOW:
		put(f, OBJ_GUEST, q);
		break;
	case OP_GUEST_DENY:
		drop(f, OBJ_GUEST, q->slot);
		break;
	case OP_NAT_ADD:
		put(f, OBJ_NAT, q);
		break;
	case OP_NAT_REMOVE:
		drop(f, OBJ_NAT, q->slot);
		break;
	default:
		break;
	}
	return ST_OK;
}

/* Return: true if a real role would refuse the request, because another VM or another generation
 * has objects in that slot. */
static bool foreign(struct fake_helper *f, const struct fake_role *r, const struct request *q)
{
	for (int k = 1; k < OBJ_COUNT; k++) {
		const struct thing *t = &f->things[k][q->slot];
		if (object_role[k] == r->id && t->there && t->generation != q->generation)
			return true;
	}
	return false;
}

static enum status serve(struct fake_role *r, const struct request *q, const int *fds,
			 struct reply *a, int *fd_out)
{
	struct fake_helper *f = r->f;

	if (f->plan[q->op->code].times) {
		f->plan[q->op->code].times -= f->plan[q->op->code].times != UINT32_MAX;
		return f->plan[q->op->code].status;
	}
	if (q->op->scope == SCOPE_SLOT && foreign(f, r, q))
		return ST_DENIED;
	switch (q->op->code) {
	case OP_HELLO:
		r->phase = P_RECONCILE;
		a->hello.role = r->id;
		return ST_OK;
	case OP_RECONCILE_DONE:
		r->phase = P_RUN;
		return ST_OK;
	case OP_PING:
		return ST_OK;
	case OP_LIST:
		return serve_list(f, r->id, q, a);
	default:
		break;
	}
	if (r->id == ROLE_SPAWN)
		return serve_vmm(f, q, fds, a, fd_out);
	return r->id == ROLE_BLK ? serve_blk(f, q, a) : serve_net(f, q, a);
}

static void record(struct fake_role *r, const struct request *q, size_t nfds)
{
	struct fake_helper *f = r->f;

	if (f->total < RECORDS_MAX)
		f->records[f->total++] = *q;
	f->counts[q->op->code]++;
	if (nfds != q->op->fds_in || !(q->op->phases & r->phase) ||
	    (q->op->role != ROLE_ANY && q->op->role != r->id))
		f->violations++;
}

static void answer(struct fake_role *r, const struct request *q, const int *fds, size_t nfds)
{
	struct fake_helper *f = r->f;
	uint8_t buf[OPS_PACKET_MAX];
	struct reply a = { .seq = q->seq };
	int fd_out = -1;

	(void)pthread_mutex_lock(&f->lock);
	record(r, q, nfds);
	unsigned delay_ms = f->plan[q->op->code].delay_ms;
	void (*hook)(void *, const struct request *) = f->hook;
	void *hook_arg = f->hook_arg;
	(void)pthread_mutex_unlock(&f->lock);

	if (delay_ms)
		(void)poll(NULL, 0, (int)delay_ms);
	if (hook)
		hook(hook_arg, q);

	(void)pthread_mutex_lock(&f->lock);
	a.status = serve(r, q, fds, &a, &fd_out);
	int n = ops_encode_reply(q->op, &a, buf);
	assert(n > 0);
	if (r->nonsense_len) {
		n = (int)r->nonsense_len;
		memcpy(buf, r->nonsense, r->nonsense_len);
		r->nonsense_len = 0;
	}
	(void)pthread_mutex_unlock(&f->lock);
	(void)fdio_send(r->fd, buf, (size_t)n, &fd_out, fd_out >= 0);
	fdio_close_all(&fd_out, 1);
}

static void *role_thread(void *arg)
{
	struct fake_role *r = arg;
	uint8_t buf[OPS_PACKET_MAX + 1];
	int fds[FDIO_MAX] = { -1, -1, -1, -1 };
	size_t nfds;

	for (;;) {
		struct request q;
		ssize_t n = fdio_recv(r->fd, buf, sizeof(buf), fds, &nfds);
		if (n <= 0)
			break;
		if (ops_decode_request(buf, (size_t)n, &q) < 0) {
			(void)pthread_mutex_lock(&r->f->lock);
			r->f->violations++;
			(void)pthread_mutex_unlock(&r->f->lock);
			fdio_close_all(fds, nfds);
			break;
		}
		answer(r, &q, fds, nfds);
		fdio_close_all(fds, nfds);
	}
	(void)shutdown(r->fd, SHUT_RDWR);
	return NULL;
}

struct fake_helper *fake_helper_start(int fds[3])
{
	struct fake_helper *f = calloc(1, sizeof(*f));

	assert(f);
	f->kvm = 'n';
	f->records = calloc(RECORDS_MAX, sizeof(*f->records));
	assert(f->records);
	assert(pthread_mutex_init(&f->lock, NULL) == 0);
	for (int i = 0; i < 3; i++) {
		struct fake_role *r = &f->roles[ROLE_NET + i];
		int sv[2];
		int failed = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv);
		assert(!failed);
		*r = (struct fake_role){
			.f = f, .id = ROLE_NET + (enum role_id)i, .fd = sv[1], .phase = P_HELLO
		};
		fds[i] = sv[0];
		failed = pthread_create(&r->thread, NULL, role_thread, r);
		assert(!failed);
	}
	return f;
}

void fake_helper_stop(struct fake_helper *f)
{
	for (enum role_id i = ROLE_NET; i < ROLE_COUNT; i++) {
		(void)shutdown(f->roles[i].fd, SHUT_RDWR);
		(void)pthread_join(f->roles[i].thread, NULL);
		(void)close(f->roles[i].fd);
	}
	for (uint32_t s = 0; s < SLOT_MAX; s++)
		reap(f, s);
	(void)pthread_mutex_destroy(&f->lock);
	free(f->records);
	free(f);
}

/* Evaluates one expression under the lock. */
#define LOCKED(f, expr)                                 \
	({                                              \
		(void)pthread_mutex_lock(&(f)->lock);   \
		__typeof__(expr) v_ = (expr);           \
		(void)pthread_mutex_unlock(&(f)->lock); \
		v_;                                     \
	})

size_t fake_helper_count(struct fake_helper *f, enum op_code op)
{
	return LOCKED(f, f->counts[op]);
}

size_t fake_helper_total(struct fake_helper *f)
{
	return LOCKED(f, f->total);
}

bool fake_helper_request(struct fake_helper *f, size_t i, struct request *q)
{
	return LOCKED(f, i < f->total && (*q = f->records[i], true));
}

void fake_helper_forget(struct fake_helper *f)
{
	(void)pthread_mutex_lock(&f->lock);
	f->total = 0;
	memset(f->counts, 0, sizeof(f->counts));
	(void)pthread_mutex_unlock(&f->lock);
}

size_t fake_helper_violations(struct fake_helper *f)
{
	return LOCKED(f, f->violations);
}

size_t fake_helper_objects(struct fake_helper *f, enum object kind)
{
	size_t n = 0;

	(void)pthread_mutex_lock(&f->lock);
	for (int k = 1; k < OBJ_COUNT; k++)
		for (uint32_t s = 0; s < SLOT_MAX; s++)
			n += f->things[k][s].there && (!kind || (int)kind == k);
	(void)pthread_mutex_unlock(&f->lock);
	return n;
}

bool fake_helper_has(struct fake_helper *f, uint32_t slot, enum object kind)
{
	return LOCKED(f, f->things[kind][slot].there);
}

void fake_helper_put(struct fake_helper *f, enum object kind, uint32_t slot, uint32_t generation,
		     uint32_t owner)
{
	const struct request q = { .slot = slot, .generation = generation, .owner = owner };

	(void)pthread_mutex_lock(&f->lock);
	put(f, kind, &q);
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_helper_drop(struct fake_helper *f, enum object kind, uint32_t slot)
{
	(void)pthread_mutex_lock(&f->lock);
	drop(f, kind, slot);
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_helper_spoil_disk(struct fake_helper *f, uint32_t slot)
{
	(void)pthread_mutex_lock(&f->lock);
	f->things[OBJ_DM][slot].ident = 0;
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_helper_connect(struct fake_helper *f, uint32_t slot, bool connected)
{
	(void)pthread_mutex_lock(&f->lock);
	f->things[OBJ_TAP][slot].ident = connected ? ident_of(OBJ_TAP, slot) : 0;
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_helper_fail(struct fake_helper *f, enum op_code op, enum status status, uint32_t times)
{
	(void)pthread_mutex_lock(&f->lock);
	f->plan[op].status = status;
	f->plan[op].times = times;
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_helper_delay(struct fake_helper *f, enum op_code op, unsigned ms)
{
	(void)pthread_mutex_lock(&f->lock);
	f->plan[op].delay_ms = ms;
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_helper_nonsense(struct fake_helper *f, enum role_id role, const void *bytes, size_t n)
{
	assert(n && n <= OPS_PACKET_MAX);
	(void)pthread_mutex_lock(&f->lock);
	memcpy(f->roles[role].nonsense, bytes, n);
	f->roles[role].nonsense_len = n;
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_helper_kvm(struct fake_helper *f, char answer)
{
	(void)pthread_mutex_lock(&f->lock);
	f->kvm = answer;
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_helper_hook(struct fake_helper *f, void (*fn)(void *arg, const struct request *q),
		      void *arg)
{
	(void)pthread_mutex_lock(&f->lock);
	f->hook = fn;
	f->hook_arg = arg;
	(void)pthread_mutex_unlock(&f->lock);
}

pid_t fake_helper_vmm(struct fake_helper *f, uint32_t slot)
{
	return LOCKED(f, f->vmm[slot]);
}

void fake_helper_silence(struct fake_helper *f)
{
	(void)pthread_mutex_lock(&f->lock);
	f->silent = true;
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_helper_vmm_exit(struct fake_helper *f, uint32_t slot)
{
	(void)pthread_mutex_lock(&f->lock);
	reap(f, slot);
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_helper_die(struct fake_helper *f, enum role_id role)
{
	(void)shutdown(f->roles[role].fd, SHUT_RDWR);
}
