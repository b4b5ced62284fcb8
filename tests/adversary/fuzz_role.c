/* The state machine of a role (privhelper/role/role.c) over a kernel that this file plays: phases,
 * sequence numbers, belonging, rate, record, starts after a crash.
 *
 * An input is a list of steps of eight bytes: a request with fields that look valid, perhaps with
 * one byte changed and with any number of descriptors; or raw bytes; or time that passes; or a full
 * log; or a new start of the role, which adopts what the kernel shows.
 *
 * Checked, when a handler runs: the phase and the role are those of the table; the slot exists; the
 * slot's object has the generation, owner and VM of the request; the intent of a create is in the
 * log and synced; creates are no more than the rate allows; the number of descriptors is the
 * table's.  Checked afterwards: each descriptor is closed exactly once, a violation is recorded and
 * ends the process by status 70. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/types.h>
#include <time.h>
#include <sys/mman.h>
#include <unistd.h>

#include "privhelper/role/role.c"
#include "tests/adversary/fuzz.h"

#define SLOTS 3u
#define FD_FIRST 1000 /* of descriptors that this file plays */
#define FDS 8
#define LOG 77
#define RATE 4u

/* The object that the kernel shows in a slot. */
struct thing {
	bool there, foreign; /* foreign: without a tag */
	bool nameless;       /* its tag has lost the owner */
	bool vm_known;
	uint32_t generation, owner;
	uint8_t vm[ID_LEN];
};

static struct {
	bool running;
	jmp_buf ended;
	int status;
	uint64_t now_ns;
	struct thing things[SLOTS];
	/* the packet on its way, and what came of it */
	uint8_t packet[RECEIVE_MAX];
	size_t len, nfds;
	bool cut, over;
	unsigned closed[FDS], handled, violations;
	/* the log */
	bool log_full;
	uint64_t intent_seq, synced_seq;
	uint64_t served_seq; /* the last number that reached a handler */
	/* creates since the last start, and its time */
	uint64_t creates, started_ns;
	uint8_t stays; /* the next removal removes nothing */
} world;

static struct role role;
static struct serve serve;
static struct packet packet;

/* ---- the kernel, instead of libc ---- */

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
	if (!world.running)
		return __real_clock_gettime(id, t);
	t->tv_sec = (time_t)(world.now_ns / NSEC);
	t->tv_nsec = (long)(world.now_ns % NSEC);
	return 0;
}

_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
_Noreturn void __wrap__exit(int status)
{
	if (!world.running)
		__real__exit(status);
	world.status = status;
	longjmp(world.ended, 1);
}

/* Note which line of the log was written. */
static void read_line(const char *line, size_t n)
{
	char copy[2048];
	unsigned long long seq = 0;

	MUST(n < sizeof(copy) && line[n - 1] == '\n');
	memcpy(copy, line, n);
	copy[n] = '\0';
	const char *at = strstr(copy, "\"seq\":");
	if (at)
		(void)sscanf(at, "\"seq\":%llu", &seq);
	if (strstr(copy, "\"type\":\"intent\""))
		world.intent_seq = seq;
	if (strstr(copy, "\"type\":\"violation\""))
		world.violations++;
}

ssize_t __real_write(int fd, const void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
	if (world.running && fd == STDERR_FILENO)
		return (ssize_t)n; /* checkpoints */
	if (!world.running || fd != LOG)
		return __real_write(fd, buf, n);
	if (world.log_full) {
		errno = ENOSPC;
		return n > 9 ? 9 : -1; /* a torn line */
	}
	read_line(buf, n);
	return (ssize_t)n;
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	if (!world.running || fd != LOG)
		return __real_fdatasync(fd);
	world.synced_seq = world.intent_seq;
	return 0;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	if (!world.running || fd < FD_FIRST || fd >= FD_FIRST + FDS)
		return __real_close(fd);
	world.closed[fd - FD_FIRST]++;
	return 0;
}

/* As fdio_recv(): what does not fit is closed, and the message is bad. */
ssize_t __wrap_fdio_recv(int sock, void *buf, size_t size, int fds[FDIO_MAX], size_t *nfds);
ssize_t __wrap_fdio_recv(int sock, void *buf, size_t size, int fds[FDIO_MAX], size_t *nfds)
{
	const bool bad = world.cut || world.len > size || world.nfds > FDIO_MAX;

	MUST(sock == RPC_FD);
	*nfds = 0;
	if (bad) {
		for (size_t i = 0; i < world.nfds; i++)
			world.closed[i]++;
		errno = EBADMSG;
		return -1;
	}
	for (; *nfds < world.nfds; ++*nfds)
		fds[*nfds] = FD_FIRST + (int)*nfds;
	memcpy(buf, world.packet, world.len);
	return (ssize_t)world.len;
}

int __wrap_fdio_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds);
int __wrap_fdio_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds)
{
	struct reply r;

	MUST(sock == RPC_FD);
	MUST(ops_decode_reply(packet.c.q.op, buf, len, &r) == 0 && r.seq == packet.c.q.seq);
	MUST(nfds == (r.status == ST_OK ? packet.c.q.op->fds_out : 0));
	for (size_t i = 0; i < nfds; i++)
		MUST(fds[i] >= 0);
	errno = EPIPE; /* the controller may be gone by now */
	return packet.c.q.op_id[0] == 0xfd ? -1 : 0;
}

/* ---- the handlers ---- */

static bool fake_holds(struct role *r, uint32_t slot)
{
	(void)r;
	return slot < SLOTS && world.things[slot].there;
}

/* The name of a VMM's cgroup says whose it is: VMM_KILL can not mean another. */
static bool is_named(const struct request *q)
{
	const struct thing *t = &world.things[q->slot % SLOTS];

	return q->slot < SLOTS && t->there && !t->foreign && t->generation == q->generation &&
	       (t->nameless || t->owner == q->owner);
}

/* May the request @q touch what is in its slot? */
static void check_belongs(const struct request *q)
{
	const struct thing *t = &world.things[q->slot];

	if (!t->there)
		return;
	MUST(!t->foreign);
	MUST(t->generation == q->generation);
	MUST(t->nameless || t->owner == q->owner);
	MUST(!t->vm_known || memcmp(t->vm, q->vm, ID_LEN) == 0);
}

static void check_create(const struct request *q)
{
	const uint64_t seconds_ns = world.now_ns - world.started_ns;

	MUST(role.phase == P_RUN);
	MUST(world.synced_seq == q->seq);
	world.creates++;
	MUST(world.creates <= 2 * RATE + seconds_ns / (NSEC / RATE) + 1);
}

static void change(const struct request *q)
{
	struct thing *t = &world.things[q->slot];

	if (q->op->effect == EFFECT_CREATE) {
		*t = (struct thing){ .there = true,
				     .vm_known = true,
				     .generation = q->generation,
				     .owner = q->owner };
		memcpy(t->vm, q->vm, ID_LEN);
	} else if (q->op->effect == EFFECT_REMOVE && !world.stays) {
		t->there = false;
	}
}

/* The answer: the least value of each field, or no success. */
static enum status answer_of(struct call *c)
{
	for (const struct field *f = c->q.op->reply(); f->name; f++)
		if (f->type == FIELD_U)
			*(uint64_t *)((char *)&c->reply.hello + f->offset) = f->min;
	for (unsigned i = 0; i < c->q.op->fds_out; i++)
		c->fds_out[i] = FD_FIRST + FDS - 1;
	return ST_OK;
}

static enum status serve_any(struct role *r, struct call *c)
{
	const struct request *q = &c->q;

	world.handled++;
	MUST(q->op->role == ROLE_ANY || q->op->role == r->id);
	MUST(q->op->phases & (unsigned)r->phase);
	MUST(q->seq > world.served_seq);
	world.served_seq = q->seq;
	for (unsigned i = 0; i < q->op->fds_in; i++)
		MUST(c->fds_in[i] >= FD_FIRST);
	if (q->op->scope == SCOPE_HOST)
		return answer_of(c);
	MUST(q->generation);
	if (q->op->code == OP_VMM_KILL && !is_named(q))
		return answer_of(c);
	MUST(q->slot < SLOTS);
	check_belongs(q);
	if (q->op->effect == EFFECT_CREATE)
		check_create(q);
	/* The kernel refuses sometimes; a controller's bytes decide when. */
	if (q->op_id[0] == 0xfe)
		return q->op_id[1] % (ST_COUNT - 1) + 1;
	change(q);
	return answer_of(c);
}

static enum status list(struct role *r, struct call *c)
{
	(void)serve_any(r, c);
	for (uint32_t i = 0; i < 5 * SLOTS; i++)
		if (world.things[i % SLOTS].there)
			(void)role_list_add(&c->reply.list, OBJ_TAP, i % SLOTS, 1, 1000, 1);
	MUST(c->reply.list.objects.n <= LIST_MAX * LIST_FIELDS);
	c->reply.list.next = 0;
	return ST_OK;
}

/* ---- starts ---- */

static const struct handler *handlers_of(enum role_id id)
{
	static struct handler all[32];
	const struct op *op;
	size_t n = 0;

	for (size_t i = 0; (op = op_each(i)) && n + 1 < ARRAY_SIZE(all); i++)
		if (op->role == id)
			all[n++] = (struct handler){ op->code, serve_any };
	all[n] = (struct handler){ 0, NULL };
	return all;
}

static void fake_wait(struct role *r)
{
	MUST(r == &role);
}

/* Begin the log with real files, which reqlog_init() reads, and continue with the one of this
 * world. */
static void open_log(void)
{
	static int log, key;

	if (!log) {
		log = memfd_create("log", 0);
		key = memfd_create("key", 0);
	}
	if (log < 0 || key < 0 || ftruncate(key, 0) < 0 ||
	    reqlog_init(&serve.log, log, key, role.name) < 0)
		abort();
	serve.log.fd = LOG;
}

/* A new process finds what the last one has left, and knows no VM by its id. */
static void start(uint8_t which)
{
	role = (struct role){
		.id = (enum role_id)(ROLE_NET + which % 3),
		.name = "fuzz",
		.holds = fake_holds,
		.list = list,
		.phase = P_HELLO,
		.config = { .slots = SLOTS, .creates_per_second = RATE },
	};
	role.handlers = handlers_of(role.id);
	role.wait = which & 8 ? fake_wait : NULL;
	if (which & 16) /* a role that lacks its operations */
		role.handlers = handlers_of(ROLE_COUNT);
	role_adopt(&role, SLOT_MAX, 1, 0);
	role_adopt(&role, 0, 0, 0);
	memset(&serve, 0, sizeof(serve));
	serve.role = &role;
	serve.credit_ns = 2 * NSEC;
	serve.refilled_ns = world.started_ns = world.now_ns;
	open_log();
	world.creates = 0;
	world.intent_seq = world.synced_seq = world.served_seq = 0;
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct thing *t = &world.things[i];
		t->vm_known = false;
		if (t->there && !t->foreign) {
			/* Several objects of a slot: an older one, one without its owner, the
			 * newest. */
			role_adopt(&role, i, t->generation, OWNER_UNKNOWN);
			role_adopt(&role, i, t->generation, t->nameless ? OWNER_UNKNOWN : t->owner);
			role_adopt(&role, i, t->generation - 1, 4242);
		}
	}
}

/* ---- the steps ---- */

/* Build a request out of six bytes: operation, slot and generation, owner and VM, sequence,
 * descriptors, a change. */
static void build(const uint8_t b[7])
{
	static const uint64_t steps[] = { 1, 1, 1, 2, 0, 1000 };
	struct request q = { .op = op_each(b[0] % 32) };

	world.len = 0;
	if (!q.op)
		return;
	q.seq = serve.last_seq + steps[b[1] % ARRAY_SIZE(steps)];
	q.seq = q.seq ? q.seq : 1;
	if (q.op->scope == SCOPE_SLOT) {
		q.slot = b[2] % (SLOTS + 1);
		q.generation = 1 + (b[2] >> 4) % 4;
		q.owner = 1000 + b[3] % 2;
		q.vm[0] = (uint8_t)(1 + (b[3] >> 4) % 2);
	}
	q.op_id[0] = b[4];
	q.op_id[1] = b[5];
	for (const struct field *f = q.op->args(); f->name; f++)
		if (f->type == FIELD_U)
			*(uint64_t *)((char *)&q.hello + f->offset) = f->min;
	if (q.op->code == OP_HELLO)
		q.hello.version = b[5] & 1 ? 1 : OPS_VERSION;
	int n = ops_encode_request(&q, world.packet);
	world.len = n > 0 ? (size_t)n : 0;
	world.nfds = b[6] & 0x80 ? (b[6] & 7) : q.op->fds_in;
	if (b[6] & 0x40 && n > 0)
		world.packet[b[5] % (unsigned)n] ^= (uint8_t)(1u << b[4] % 8);
	if (b[6] & 0x20 && n > 0)
		world.len = b[5] % (unsigned)n;
	world.cut = (b[6] & 0x18) == 0x18;
}

/* Let the role take the packet.  Return: false when it has ended. */
static bool serve_packet(void)
{
	const unsigned violations = world.violations;
	const bool full = world.log_full;

	memset(world.closed, 0, sizeof(world.closed));
	world.handled = 0;
	if (setjmp(world.ended) == 0) {
		bool goes_on = serve_one(&serve, &packet);
		for (size_t i = 0; i < world.nfds && (goes_on || world.len); i++)
			MUST(world.closed[i] == 1);
		MUST(goes_on || world.len == 0);
		return goes_on;
	}
	MUST(world.status == EXIT_VIOLATION && world.handled == 0);
	MUST(full || world.violations == violations + 1);
	return false;
}

static bool step(struct input *in)
{
	uint8_t kind = input_byte(in), b[7];

	(void)input_take(in, b, sizeof(b));
	switch (kind % 16) {
	case 0:
		world.now_ns += (uint64_t)b[0] * 20000000 + 1;
		return true;
	case 1:
		world.log_full = b[0] & 1;
		world.stays = b[1] & 1;
		return true;
	case 2:
		start(b[0]);
		return true;
	case 3: /* objects that an administrator, or an older release, has left */
		if (role.phase == P_HELLO && !serve.last_seq) {
			struct thing *t = &world.things[b[0] % SLOTS];
			*t = (struct thing){ .there = true,
					     .foreign = b[1] & 1,
					     .nameless = b[1] & 2,
					     .generation = 1 + b[2] % 4,
					     .owner = 1000 + b[3] % 2 };
			start(b[4]);
		}
		return true;
	case 4:
		world.len = input_take(in, world.packet, input_word(in) % sizeof(world.packet));
		world.nfds = b[0] % FDS;
		world.cut = b[1] & 1;
		return serve_packet();
	default:
		build(b);
		return serve_packet();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };

	memset(&world, 0, sizeof(world));
	world.now_ns = 1000 * NSEC;
	world.running = true;
	start(input_byte(&in));
	while (in.p < in.end)
		if (!step(&in))
			start((uint8_t)(role.id - ROLE_NET));
	world.running = false;
	return 0;
}
