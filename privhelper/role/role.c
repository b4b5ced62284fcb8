/* role.c - the life of a role's process: prepare as root, lock down, serve requests through the
 * same gates.
 *
 * Theory of operation.  ROLE opens its privileged descriptors as root (prepare) and gives up root
 * (lockdown.c).  Then it serves one datagram after another, each through these gates:
 *
 *   shape       strictly decoded, an operation of this role, allowed in this phase, with a new
 *               sequence number and the right number of descriptors; any other packet is a
 *               VIOLATION: our only peer is broken or hostile, so the packet is recorded and the
 *               role exits
 *   belonging   slot, generation, owner and VM, compared with the ledger
 *   rate        for creates alone, so that no release ever has to wait
 *   record      the intent, on the disk
 *   handler     the only part of the role's own
 *   record      the result, then the answer
 *
 * The ledger names the VM that each slot belongs to.  A row is never deleted: its generation
 * refuses late requests of an earlier VM.  `live` is the last result of holds().  The number of VMs
 * of one owner is no gate, because the owner in a request is our peer's claim, and a hostile peer
 * would name another owner each time.  Nothing here allocates. */
#include "privhelper/role/role.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/lockdown.h"
#include "privhelper/role/reqlog.h"
#include "proto/ops_failpoint.h"

/* Exit statuses, of sysexits.h.  EX_SOFTWARE: a bug of the role or its peer, or a hostile peer. */
#define EXIT_VIOLATION 70
#define EXIT_START 71 /* EX_OSERR: the role did not become ready */

/* Twice the longest packet, so that a longer one is received and hashed too, up to this length. */
#define RECEIVE_MAX (2 * OPS_PACKET_MAX)

#define NSEC UINT64_C(1000000000)

/* The state of serving. */
struct serve {
	struct role *role;
	struct reqlog log;
	uint64_t last_seq;
	/* the token bucket of creates, in time: a create costs NSEC / rate */
	uint64_t credit_ns, refilled_ns;
	bool swept; /* since the last removal without a slot, nothing was removed in any */
};

/* One datagram on its way through the gates. */
struct packet {
	uint8_t bytes[RECEIVE_MAX];
	size_t len, nfds;
	struct call c;
};

/* ---- the ledger ---- */

void role_adopt(struct role *r, uint32_t slot, uint32_t generation, uint32_t owner)
{
	if (slot >= SLOT_MAX || generation == 0)
		return;
	struct owner_row *w = &r->ledger[slot];
	if (generation < w->generation)
		return;
	if (generation > w->generation)
		*w = (struct owner_row){ .generation = generation, .owner = owner };
	else if (w->owner == OWNER_UNKNOWN)
		w->owner = owner;
	w->live = true;
}

static bool vm_unknown(const struct owner_row *w)
{
	static const uint8_t none[ID_LEN];

	return memcmp(w->vm, none, ID_LEN) == 0;
}

bool role_owns(const struct role *r, const struct request *q)
{
	const struct owner_row *w = &r->ledger[q->slot];

	return w->generation == q->generation &&
	       (w->owner == q->owner || w->owner == OWNER_UNKNOWN) &&
	       (vm_unknown(w) || memcmp(w->vm, q->vm, ID_LEN) == 0);
}

bool role_list_add(struct rep_list *l, enum object kind, uint32_t slot, uint32_t generation,
		   uint32_t owner, uint64_t id)
{
	const uint64_t row[LIST_FIELDS] = { kind, slot, generation, owner, id };

	if (l->objects.n + LIST_FIELDS > LIST_MAX * LIST_FIELDS)
		return false;
	memcpy(&l->objects.v[l->objects.n], row, sizeof(row));
	l->objects.n += LIST_FIELDS;
	return true;
}

/* Give the slot to the VM of its first create, unless an object of an earlier VM is left there. */
static enum status take_slot(struct role *r, const struct request *q)
{
	struct owner_row *w = &r->ledger[q->slot];

	if (r->holds(r, q->slot))
		return ST_BUSY;
	*w = (struct owner_row){ .generation = q->generation, .owner = q->owner };
	memcpy(w->vm, q->vm, ID_LEN);
	return ST_OK;
}

/* Refuse a removal in a slot that belongs to another VM now, or has belonged to a newer one.  The
 * exception is VMM_KILL: the name of a VMM's cgroup has slot, generation and owner, so it can end
 * no other.  A taken-over spawn role could leave a process in one that is older than the slot's VM,
 * or beyond the slots. */
static enum status check_remove(struct role *r, const struct request *q)
{
	const struct owner_row *w = &r->ledger[q->slot];

	if ((q->generation < w->generation && q->op->code != OP_VMM_KILL) ||
	    (q->generation > w->generation && r->holds(r, q->slot)))
		return ST_DENIED;
	return ST_OK;
}

static enum status check_belonging(struct role *r, const struct request *q)
{
	struct owner_row *w = &r->ledger[q->slot];

	if (q->op->scope == SCOPE_HOST)
		return ST_OK;
	if (q->slot >= r->config.slots)
		return q->op->code == OP_VMM_KILL ? ST_OK : ST_DENIED;
	if (q->generation == w->generation) {
		if (!role_owns(r, q))
			return ST_DENIED;
		if (q->op->effect == EFFECT_CREATE)
			memcpy(w->vm, q->vm, ID_LEN);
		return ST_OK;
	}
	switch (q->op->effect) {
	case EFFECT_CREATE:
		return q->generation < w->generation ? ST_DENIED : take_slot(r, q);
	case EFFECT_REMOVE:
		return check_remove(r, q);
	case EFFECT_READ:
		break;
	}
	return w->generation == 0 ? ST_ABSENT : ST_DENIED;
}

/* ---- rate ---- */

/* Take a token from the bucket of creates_per_second, which holds those of two seconds. */
static bool take_token(struct serve *s)
{
	uint64_t rate = s->role->config.creates_per_second, now = clock_boot_ns();
	uint64_t full = 2 * NSEC, cost = NSEC / rate;

	s->credit_ns += now - s->refilled_ns;
	s->refilled_ns = now;
	if (s->credit_ns > full)
		s->credit_ns = full;
	if (s->credit_ns < cost)
		return false;
	s->credit_ns -= cost;
	return true;
}

/* ---- operations of every role ---- */

static enum status do_hello(struct role *r, struct call *c)
{
	if (c->q.hello.version != OPS_VERSION)
		return ST_DENIED;
	r->phase = P_RECONCILE;
	c->reply.hello.role = r->id;
	return ST_OK;
}

static enum status do_ping(struct role *r, struct call *c)
{
	(void)c;
	(void)r;
	return ST_OK;
}

static enum status do_reconcile_done(struct role *r, struct call *c)
{
	(void)c;
	r->phase = P_RUN;
	return ST_OK;
}

static handler_fn find_handler(const struct role *r, enum op_code op)
{
	static const struct handler everyone[] = {
		{ OP_HELLO, do_hello },
		{ OP_PING, do_ping },
		{ OP_RECONCILE_DONE, do_reconcile_done },
	};

	if (op == OP_LIST)
		return r->list;
	for (size_t i = 0; i < ARRAY_SIZE(everyone); i++)
		if (everyone[i].op == op)
			return everyone[i].fn;
	for (const struct handler *h = r->handlers; h->fn; h++)
		if (h->op == op)
			return h->fn;
	return NULL;
}

/* ---- one request ---- */

_Noreturn static void violation(struct serve *s, const struct packet *p, const char *why)
{
	log_error("violation: %s, %zu bytes, %zu descriptors", why, p->len, p->nfds);
	(void)reqlog_violation(&s->log, why, p->bytes, p->len);
	_exit(EXIT_VIOLATION);
}

/* Decode the packet.  Return: NULL, or the error in its shape. */
static const char *shape(struct serve *s, struct packet *p)
{
	const struct request *q = &p->c.q;

	if (p->len > OPS_PACKET_MAX || ops_decode_request(p->bytes, p->len, &p->c.q) < 0)
		return "undecodable";
	if (q->op->role != ROLE_ANY && q->op->role != s->role->id)
		return "another role's operation";
	if (!(q->op->phases & s->role->phase))
		return "wrong phase";
	if (q->seq <= s->last_seq)
		return "sequence number used before";
	if (p->nfds != q->op->fds_in)
		return "wrong number of descriptors";
	s->last_seq = q->seq;
	return NULL;
}

/* The gate record.  The record of a removal takes a token of the log if the removal can change
 * nothing (an empty slot, or a sweep after which nothing was removed), and after REMOVALS_RECORDED
 * removals since the slot's last create; so the rate of creates bounds all other records.  Without
 * a token, a removal that can change nothing is served without a record; any other waits. */
static enum status record(struct serve *s, const struct request *q)
{
	struct owner_row *w = &s->role->ledger[q->slot];
	bool create = q->op->effect == EFFECT_CREATE, sweep = q->op->scope == SCOPE_HOST;

	if (q->op->effect == EFFECT_REMOVE) {
		bool idle = sweep ? s->swept : !w->live;
		bool counted = !idle && (sweep || w->removals++ < REMOVALS_RECORDED);
		if (!counted && !reqlog_has_room(&s->log))
			return idle ? ST_OK : ST_BUSY;
	}
	if (create)
		w->removals = 0;
	bool full = FAILPOINT_OF_FAILS("%s.intent", ops_failpoint_each, q->op->name);
	return (full || reqlog_intent(&s->log, q) < 0) && create ? ST_NOLOG : ST_OK;
}

/* The gates belonging, rate and record.  Return: ST_OK if the handler may run. */
static enum status admit(struct serve *s, const struct request *q)
{
	enum status st = check_belonging(s->role, q);

	if (st == ST_OK && q->op->effect == EFFECT_CREATE && !take_token(s))
		st = ST_LIMIT;
	return st == ST_OK ? record(s, q) : st;
}

/* Exit if the handler returned ST_OK without all descriptors of its operation, or an error with
 * one: that is a bug. */
static void check_fds_out(const struct call *c)
{
	for (unsigned i = 0; i < FDIO_MAX; i++) {
		bool owed = c->reply.status == ST_OK && i < c->q.op->fds_out;
		if (owed != (c->fds_out[i] >= 0))
			die(EXIT_VIOLATION, "%s: wrong number of descriptors to send",
			    c->q.op->name);
	}
}

/* Failpoint: the operation succeeded; report a failure. */
static void fail_after(struct call *c)
{
	fdio_close_all(c->fds_out, FDIO_MAX);
	c->reply.status = ST_KERNEL;
}

/* Note what a change has left: whether the slot holds objects, and whether a sweep finds any. */
static void look_again(struct serve *s, const struct request *q, enum status done)
{
	struct owner_row *w = &s->role->ledger[q->slot];

	if (q->op->scope == SCOPE_HOST) {
		s->swept = done == ST_OK;
		return;
	}
	if (w->live)
		s->swept = false;
	w->live = s->role->holds(s->role, q->slot);
}

static void handle(struct serve *s, struct call *c)
{
	handler_fn fn = find_handler(s->role, c->q.op->code);
	uint64_t began = clock_boot_ns();

	memset(&c->reply, 0, sizeof(c->reply));
	c->reply.seq = c->q.seq;
	c->reply.status = fn ? admit(s, &c->q) : ST_KERNEL;
	if (c->reply.status == ST_OK) {
		bool fails = FAILPOINT_OF_FAILS("%s.before", ops_failpoint_each, c->q.op->name);
		c->reply.status = fails ? ST_KERNEL : fn(s->role, c);
		if (FAILPOINT_OF_FAILS("%s.after", ops_failpoint_each, c->q.op->name))
			fail_after(c);
		if (c->q.op->effect != EFFECT_READ)
			look_again(s, &c->q, c->reply.status);
	}
	check_fds_out(c);
	(void)reqlog_result(&s->log, &c->q, &c->reply, (clock_boot_ns() - began) / 1000);
	FAILPOINT_OF("%s.logged", ops_failpoint_each, c->q.op->name);
}

static void answer(const struct call *c)
{
	uint8_t buf[OPS_PACKET_MAX];
	int n = ops_encode_reply(c->q.op, &c->reply, buf);

	if (n < 0)
		die(EXIT_VIOLATION, "%s: an answer that the table does not allow", c->q.op->name);
	if (fdio_send(RPC_FD, buf, (size_t)n, c->fds_out,
		      c->reply.status == ST_OK ? c->q.op->fds_out : 0) < 0 &&
	    errno != EPIPE)
		die_errno(EXIT_VIOLATION, "answer");
}

/* Serve the next request.  Return: true, or false: the controller has closed the connection. */
static bool serve_one(struct serve *s, struct packet *p)
{
	if (s->role->wait)
		s->role->wait(s->role);
	ssize_t n = fdio_recv(RPC_FD, p->bytes, sizeof(p->bytes), p->c.fds_in, &p->nfds);

	if (n == 0 || (n < 0 && errno == ECONNRESET)) {
		fdio_close_all(p->c.fds_in, p->nfds);
		return false;
	}
	p->len = n > 0 ? (size_t)n : 0;
	if (n < 0)
		violation(s, p,
			  errno == EBADMSG ? "cut short, or with what is no descriptor"
					   : "receive");
	for (size_t i = 0; i < FDIO_MAX; i++)
		p->c.fds_out[i] = -1;
	const char *wrong = shape(s, p);
	if (wrong)
		violation(s, p, wrong);
	handle(s, &p->c);
	fdio_close_all(p->c.fds_in, p->nfds);
	answer(&p->c);
	FAILPOINT_OF("%s.answered", ops_failpoint_each, p->c.q.op->name);
	fdio_close_all(p->c.fds_out, FDIO_MAX);
	return true;
}

/* ---- the life ---- */

/* Check the descriptors that the supervisor has passed, since a wrong one is its bug, and read the
 * state of the request log, because no filter lets the role ask for it later. */
static void check_boot_fds(struct reqlog *l, const char *name)
{
	int flags = fcntl(REQLOG_FD, F_GETFL);

	if (flags < 0 || !(flags & O_APPEND) || (flags & O_ACCMODE) != O_WRONLY)
		die(EXIT_START, "descriptor %d is no log to append to", REQLOG_FD);
	if (reqlog_init(l, REQLOG_FD, REQKEY_FD, name) < 0)
		die_errno(EXIT_START, "the key file of the request log");
	if (fcntl(RPC_FD, F_GETFD) < 0)
		die(EXIT_START, "descriptor %d is no socket", RPC_FD);
}

static void become(struct serve *s, pid_t parent)
{
	struct role *r = s->role;
	struct binding bound[POLICY_VARS] = { { 0 } };
	struct lockdown l = { .policy = r->policy, .bound = bound, .parent = parent };

	if (SETUP_FAILS("config") || config_from_memfd(CONFIG_FD, &r->config) < 0)
		die_errno(EXIT_START, "the configuration at descriptor %d", CONFIG_FD);
	l.status_fd = lockdown_begin((r->wait ? WAKE_FD : REQKEY_FD) + 1);
	/* A full log must not keep the role from starting: releases have to work, creates are
	 * refused. */
	(void)reqlog_start(&s->log, getpid(), r->account->uid);
	FAILPOINT("prepare.before");
	if (l.status_fd < 0 || SETUP_FAILS("prepare") || r->prepare(r) < 0)
		_exit(EXIT_START);
	FAILPOINT("prepare.after");
	if (reqlog_resume(&s->log) < 0)
		die_errno(EXIT_START, "the key file of the request log");
	l.account = *r->account;
	if (SETUP_FAILS("bind") || r->bind(r, bound) < 0 || lockdown_apply(&l) < 0)
		_exit(EXIT_START);
}

void role_main(struct role *r)
{
	static struct serve s;
	static struct packet p;
	static char name[32];
	pid_t parent = getppid();

	(void)snprintf(name, sizeof(name), "banger-role-%s", r->name);
	log_name(name);
	check_boot_fds(&s.log, r->name);
	s.role = r;
	r->log = &s.log;
	become(&s, parent);
	r->phase = P_HELLO;
	s.credit_ns = 2 * NSEC;
	s.refilled_ns = clock_boot_ns();
	FAILPOINT("locked");
	if (SETUP_FAILS("scan") || r->scan(r) < 0)
		die(EXIT_START, "can not read the objects of earlier starts");
	(void)reqlog_ready(&s.log);
	while (serve_one(&s, &p))
		;
	(void)reqlog_stop(&s.log);
	_exit(0);
}
