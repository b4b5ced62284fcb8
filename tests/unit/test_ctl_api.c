/* Tests the control socket: which clients are served, which are dropped, what goes on when a client
 * leaves, and that no client delays another.  The test is the main loop; it includes server.c to
 * look at the connections and to move their deadlines. */
#include <errno.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "controller/api/server.c"
#include "controller/db/connection.h"
#include "controller/lifecycle/drain.h"
#include "controller/policy/actions.h"
#include "controller/policy/housekeeping.h"
#include "controller/policy/idle.h"
#include "controller/policy/unheld.h"
#include "proto/slot.h"
#include "tests/unit/ctl_fixture.h"

#define OTHER 1002
#define PATIENCE_NS UINT64_C(60000000000) /* the longest wait on a busy machine */

static struct {
	struct fixture *f;
	struct api *api;
	int listener;
	struct caller next; /* the caller of the next connection */
	unsigned stages;    /* EVENT stage, seen by ask() */
	size_t bytes, rows; /* EVENT bytes, EVENT vm */
	uint64_t bytes_from,
		bytes_to; /* the place of the last ones that have no gap between them */
	struct ev_vm vm;
	/* the fake agent's listener, 0: none; and its connections, which stay open */
	int agent, agent_fds[256];
	size_t agent_conns;
	bool agent_waits;          /* it accepts, and does not answer */
	const struct vm *agent_vm; /* the row that its VM gets when it has answered */
} t;

static int identify(int fd, struct caller *who)
{
	(void)fd;
	*who = t.next;
	return 0;
}

static struct sockaddr_un address(const struct fixture *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/control.sock", f->dir);
	return a;
}

static int api_setup(void **state)
{
	(void)setup(state);
	t.f = *state;
	struct sockaddr_un a = address(t.f);
	t.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(t.listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(t.listener, 128), 0);
	t.api = api_open(&t.f->c, t.f->epoll_fd, t.listener, identify);
	assert_non_null(t.api);
	return 0;
}

static int api_teardown(void **state)
{
	/* The fixture stops the workers; the connections go after that, and before what they point
	 * to. */
	workers_stop(t.f->c.workers);
	t.f->c.workers = NULL;
	api_close(t.api);
	(void)close(t.listener);
	fdio_close_all(t.agent_fds, t.agent_conns);
	t.agent_conns = 0;
	if (t.agent > 0)
		(void)close(t.agent);
	t.agent = 0;
	t.agent_waits = false;
	t.agent_vm = NULL;
	return teardown(state);
}

/* The fake agent: it accepts on one port of a VM, and answers each connection with a byte. */
static void agent_turn(void)
{
	int fd = t.agent > 0 ? accept4(t.agent, NULL, NULL, SOCK_CLOEXEC) : -1;
	struct error e = { 0 };

	if (fd < 0)
		return;
	/* The database is locked, so the answer is there before a worker can read the row. */
	if (t.agent_vm)
		assert_int_equal(tx_begin(t.f->c.db, &e), 0);
	if (!t.agent_waits)
		assert_int_equal(write(fd, "x", 1), 1);
	if (t.agent_vm)
		assert_int_equal(tx_end(t.f->c.db, db_vm_update(t.f->c.db, t.agent_vm, &e), "", &e),
				 0);
	t.agent_vm = NULL;
	assert_true(t.agent_conns < ARRAY_SIZE(t.agent_fds));
	t.agent_fds[t.agent_conns++] = fd;
}

static void turn(int ms)
{
	struct epoll_event ev;

	agent_turn();

	(void)api_tick(t.api);
	unheld_tick(&t.f->c);
	if (epoll_wait(t.f->epoll_fd, &ev, 1, ms) == 1) {
		struct loop_source *s = ev.data.ptr;
		s->ready(s, ev.events);
	}
}

/* Run the main loop for this time. */
static void run_for(unsigned ms)
{
	uint64_t end = after_ms(ms);

	while (clock_boot_ns() < end)
		turn(1);
}

/* Run the main loop until @condition holds; fail when it takes too long. */
#define RUN_UNTIL(condition)                                   \
	do {                                                   \
		uint64_t end_ = clock_boot_ns() + PATIENCE_NS; \
		while (!(condition) && clock_boot_ns() < end_) \
			turn(1);                               \
		assert_true(condition);                        \
	} while (0)

static struct control client(uint32_t uid)
{
	struct sockaddr_un a = address(t.f);
	struct control c;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	control_init(&c, fd);
	t.next = (struct caller){ .uid = uid, .pid = 1 };
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	/* Wait until the connection is accepted, so that no other one is taken for @uid's; a
	 * refused one is closed. */
	size_t before = t.api->n_conns;
	for (int i = 0; i < 100 && t.api->n_conns == before; i++)
		turn(0);
	return c;
}

/* No connection that waits for its request is closed as late, however long the test takes. */
static void none_is_late(void)
{
	for (struct conn *c = t.api->conns; c; c = c->next)
		if (c->state == READING)
			c->due_ns = UINT64_MAX;
}

static void note_event(const struct message *m)
{
	t.stages += m->event->id == EVENT_STAGE;
	t.rows += m->event->id == EVENT_VM;
	if (m->event->id == EVENT_BYTES) {
		if (m->body.ev_bytes.at != t.bytes_to)
			t.bytes_from = m->body.ev_bytes.at;
		t.bytes += m->body.ev_bytes.data.n;
		t.bytes_to = m->body.ev_bytes.at + m->body.ev_bytes.data.n;
	}
	t.bytes += m->event->id == EVENT_PIECE ? m->body.ev_piece.data.n : 0;
	if (m->event->id == EVENT_VM)
		t.vm = m->body.ev_vm;
}

/* Wait for the answer.  Return: 1, or 0 when the connection was closed without one. */
static int hear(struct control *c, enum call_id id, struct message *m)
{
	for (uint64_t end = clock_boot_ns() + PATIENCE_NS; clock_boot_ns() < end;) {
		int r;
		while ((r = control_next(c, control_call(id), m)) == 1) {
			if (m->kind != MSG_EVENT)
				return 1;
			note_event(m);
		}
		assert_int_equal(r, 0);
		r = control_fill(c);
		if (r == 0 || (r < 0 && errno == ECONNRESET))
			return 0;
		if (r < 0) {
			assert_int_equal(errno, EAGAIN);
			turn(1);
		}
	}
	fail_msg("no answer to %s", control_call(id)->name);
	return 0;
}

static size_t running_of(uid_t uid)
{
	size_t n = 0;

	for (const struct conn *c = t.api->conns; c; c = c->next)
		n += c->x.caller.uid == uid && c->state == RUNNING;
	return n;
}

static void say(struct control *c, enum call_id id, const union control_body *args)
{
	static const union control_body none;

	assert_int_equal(control_send_request(c->fd, 7, control_call(id), args ? args : &none, NULL,
					      0),
			 0);
}

static struct message ask(struct control *c, enum call_id id, const union control_body *args)
{
	struct message m;

	t.stages = 0;
	t.rows = t.bytes = 0;
	say(c, id, args);
	if (!hear(c, id, &m))
		fail_msg("closed without an answer to %s", control_call(id)->name);
	assert_int_equal(m.id, 7);
	return m;
}

static void assert_works(uint32_t uid)
{
	struct control c = client(uid);
	struct message m = ask(&c, CALL_VERSION, NULL);

	assert_int_equal(m.kind, MSG_RESULT);
	assert_int_equal(m.body.res_version.protocol, CONTROL_VERSION);
	size_t before = t.api->n_conns;
	control_close(&c);
	RUN_UNTIL(t.api->n_conns < before);
}

static bool is_closed(struct control *c)
{
	for (uint64_t end = clock_boot_ns() + PATIENCE_NS; clock_boot_ns() < end;) {
		int r = control_fill(c);
		if (r == 0 || (r < 0 && errno == ECONNRESET))
			return true;
		turn(1);
	}
	return false;
}

static union control_body about(const char *vm)
{
	union control_body b = {};

	COPY(b.vm_show.vm, vm); /* the reference is the first argument of all calls about a VM */
	return b;
}

/* ---- answers ---- */

static void a_connection_serves_many_requests(void **state)
{
	struct control c = client(OWNER);

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(ask(&c, CALL_VERSION, NULL).kind, MSG_RESULT);
	assert_int_equal(t.api->n_conns, 1);
	control_close(&c);
}

static void users_see_their_own(void **state)
{
	struct control mine = client(OWNER), theirs = client(OTHER), root = client(0);
	union control_body web = about("web"), all = { .vm_list = { .all = true } };

	(void)create(*state, "web", false);
	assert_int_equal(ask(&mine, CALL_VM_SHOW, &web).kind, MSG_RESULT);
	assert_int_equal(t.vm.owner, OWNER);
	assert_string_equal(t.vm.state, "created");
	assert_int_equal(ask(&theirs, CALL_VM_SHOW, &web).error.code, FAIL_NOT_FOUND);
	assert_int_equal(ask(&mine, CALL_VM_LIST, NULL).body.res_vm_list.count, 1);
	assert_int_equal(t.rows, 1);
	assert_int_equal(ask(&theirs, CALL_VM_LIST, NULL).body.res_vm_list.count, 0);
	assert_int_equal(ask(&mine, CALL_VM_LIST, &all).error.code, FAIL_NOT_ALLOWED);
	assert_int_equal(ask(&root, CALL_VM_LIST, &all).body.res_vm_list.count, 1);
	assert_int_equal(ask(&root, CALL_VM_LIST, NULL).body.res_vm_list.count, 0);
	assert_int_equal(ask(&theirs, CALL_VM_DELETE, &web).error.code, FAIL_NOT_FOUND);
	control_close(&mine);
	control_close(&theirs);
	control_close(&root);
}

static void an_operation_tells_its_stages_and_its_id(void **state)
{
	struct control c = client(OWNER);
	union control_body web = about("web"), none = about("none");

	(void)create(*state, "web", false);
	struct message m = ask(&c, CALL_VM_START, &web);
	assert_int_equal(m.kind, MSG_RESULT);
	assert_true(t.stages > 0);
	assert_int_equal(strlen(m.body.res_vm_start.op), ID_HEX - 1);
	assert_string_equal(row(*state, "web").op, m.body.res_vm_start.op);
	m = ask(&c, CALL_VM_START, &none);
	assert_int_equal(m.error.code, FAIL_NOT_FOUND);
	assert_int_equal(strlen(m.error.op), ID_HEX - 1);
	control_close(&c);
}

static void descriptors_must_be_as_many_as_the_table_says(void **state)
{
	struct control c = client(OWNER);
	union control_body args = {};
	struct message m;
	int pipes[2];
	char byte;

	(void)state;
	COPY(args.image_import.name, "img");
	assert_int_equal(ask(&c, CALL_IMAGE_IMPORT, &args).error.code, FAIL_USAGE);
	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(control_send_request(c.fd, 7, control_call(CALL_VERSION), &args, &pipes[1],
					      1),
			 0);
	(void)close(pipes[1]);
	assert_int_equal(hear(&c, CALL_VERSION, &m), 1);
	assert_int_equal(m.error.code, FAIL_USAGE);
	RUN_UNTIL(read(pipes[0], &byte, 1) == 0); /* the server closed its end */
	(void)close(pipes[0]);
	assert_int_equal(ask(&c, CALL_VERSION, NULL).kind, MSG_RESULT);
	control_close(&c);
}

/* A connection becomes blocking for a worker, and is not after it; its other flags stay (fcntl(2),
 * F_SETFL sets all). */
static void a_connection_keeps_its_other_flags(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	int was = fcntl(ends[0], F_GETFL) | O_APPEND;
	assert_int_equal(fcntl(ends[0], F_SETFL, was), 0);
	set_blocking(ends[0], true);
	assert_int_equal(fcntl(ends[0], F_GETFL), was & ~O_NONBLOCK);
	set_blocking(ends[0], false);
	assert_int_equal(fcntl(ends[0], F_GETFL), was);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* ---- clients that break the rules ---- */

static void a_malformed_message_drops_that_client_alone(void **state)
{
	struct control good = client(OWNER), bad = client(OWNER);

	(void)state;
	assert_int_equal(write(bad.fd, "GET / HTTP/1.0\r\n\r\n", 18), 18);
	assert_true(is_closed(&bad));
	assert_int_equal(ask(&good, CALL_VERSION, NULL).kind, MSG_RESULT);
	assert_int_equal(t.api->n_conns, 1);
	control_close(&good);
	control_close(&bad);
}

static void two_requests_at_once_drop_the_client(void **state)
{
	struct control c = client(OWNER);

	(void)state;
	say(&c, CALL_VERSION, NULL);
	say(&c, CALL_VERSION, NULL);
	assert_true(is_closed(&c));
	control_close(&c);
	assert_works(OWNER);
}

static void random_bytes_drop_their_client_alone(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 300; i++) {
		struct control c = client(OWNER);
		uint8_t bytes[64] = { 0x94, 0x00 };
		size_t n = 2 + (size_t)rand_r(&seed) % (sizeof(bytes) - 2);
		for (size_t k = i & 1 ? 2 : 0; k < n; k++)
			bytes[k] = (uint8_t)rand_r(&seed);
		(void)!write(c.fd, bytes, n);
		turn(0);
		control_close(&c);
		RUN_UNTIL(t.api->n_conns == 0);
	}
	assert_works(OWNER);
}

static void a_silent_client_is_dropped_when_its_time_is_over(void **state)
{
	struct control silent = client(OWNER), slow = client(OWNER), idle = client(OWNER);

	(void)state;
	assert_int_equal(ask(&idle, CALL_VERSION, NULL).kind, MSG_RESULT);
	uint64_t now = clock_boot_ns();
	assert_int_equal(write(slow.fd, "\x94", 1), 1);
	run_for(20);
	uint64_t soon = after_ms(500);
	for (struct conn *c = t.api->conns; c; c = c->next) {
		uint64_t ms = c->x.call ? API_IDLE_MS : API_MESSAGE_MS;
		assert_in_range(c->due_ns, now, clock_boot_ns() + ms * 1000000u);
		if (!c->x.call)
			c->due_ns = soon;
	}
	/* More of the same message does not buy more time. */
	assert_int_equal(write(slow.fd, "\0", 1), 1);
	run_for(50);
	for (struct conn *c = t.api->conns; c; c = c->next)
		assert_true(c->x.call || c->due_ns == soon);
	assert_true(is_closed(&silent));
	assert_true(is_closed(&slow));
	assert_int_equal(ask(&idle, CALL_VERSION, NULL).kind, MSG_RESULT);
	control_close(&silent);
	control_close(&slow);
	control_close(&idle);
}

static void a_request_in_pieces_is_served(void **state)
{
	struct control c = client(OWNER);
	static const char version[] = "\x94\x00\x07\xa7version\x90";
	struct message m;

	(void)state;
	for (size_t i = 0; i < sizeof(version) - 1; i++) {
		assert_int_equal(write(c.fd, version + i, 1), 1);
		turn(10);
	}
	assert_int_equal(hear(&c, CALL_VERSION, &m), 1);
	assert_int_equal(m.kind, MSG_RESULT);
	control_close(&c);
}

static void one_user_can_not_take_all_connections(void **state)
{
	struct control many[API_CONNECTIONS_PER_UID + 1];
	struct message m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = client(OWNER);
	assert_int_equal(t.api->n_conns, API_CONNECTIONS_PER_UID);
	struct control *last = &many[API_CONNECTIONS_PER_UID];
	assert_int_equal(hear(last, CALL_VERSION, &m), 1);
	assert_int_equal(m.error.code, FAIL_LIMIT);
	assert_true(is_closed(last));
	assert_works(OTHER);
	control_close(&many[0]);
	RUN_UNTIL(t.api->n_conns < API_CONNECTIONS_PER_UID);
	assert_works(OWNER);
	for (size_t i = 1; i < ARRAY_SIZE(many); i++)
		control_close(&many[i]);
}

/* Four users have all connections.  A fifth user gets some of them, the first from the user with
 * the most, and never more than these have. */
static void few_users_can_not_take_all_connections(void **state)
{
	static struct control many[API_CONNECTIONS_MAX], others[API_CONNECTIONS_PER_UID];

	(void)state;
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++) {
		many[i] = client(2000 + (uint32_t)(i / API_CONNECTIONS_PER_UID));
		none_is_late();
	}
	assert_int_equal(t.api->n_conns, API_CONNECTIONS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = client(OTHER);
		none_is_late();
	}
	const size_t n = count_of(t.api, OTHER);
	assert_int_equal(t.api->n_conns, API_CONNECTIONS_MAX);
	assert_in_range(n, API_CONNECTIONS_MAX / 5 - 1, API_CONNECTIONS_MAX / 5 + 1);
	for (uint32_t uid = 2000; uid < 2004; uid++)
		assert_true(count_of(t.api, uid) >= n - 1);
	/* The oldest connections were closed; the newest are served. */
	assert_int_equal(ask(&many[API_CONNECTIONS_PER_UID - 1], CALL_VERSION, NULL).kind,
			 MSG_RESULT);
	assert_true(is_closed(&many[0]));
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++)
		control_close(&many[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		control_close(&others[i]);
}

static void all_users_together_leave_room_for_root(void **state)
{
	static struct control many[API_CONNECTIONS_MAX];

	(void)state;
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++) {
		many[i] = client(2000 + (uint32_t)i);
		none_is_late();
	}
	assert_int_equal(t.api->n_conns, API_CONNECTIONS_MAX);
	struct control one_more = client(OTHER);
	assert_true(is_closed(&one_more));
	control_close(&one_more);
	assert_works(0);
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++)
		control_close(&many[i]);
}

static void assert_refused(struct control *c, const char *why)
{
	struct message m;

	assert_int_equal(hear(c, CALL_VERSION, &m), 1);
	assert_int_equal(m.error.code, FAIL_NOT_ALLOWED);
	if (!strstr(m.error.why, why))
		fail_msg("%s", m.error.why);
	assert_true(is_closed(c));
	control_close(c);
}

/* A VM runs under its slot's ids.  A caller with such an id would own the VM's disk and console. */
static void callers_with_the_ids_of_slots_are_refused(void **state)
{
	const struct config *config = &t.f->c.config;
	uint32_t base = config->uid_base, last = base + config_slot_span(config) - 1;
	const gid_t groups[100] = { [0 ... 98] = 500, [99] = last };
	struct control c;

	(void)state;
	c = client(base);
	assert_refused(&c, "lies in the range");
	c = client(last);
	assert_refused(&c, "lies in the range");
	assert_works(base - 1);
	assert_works(last + 1);
	if (getuid() != 0) {
		print_message("SKIP: not root, so no groups can be had\n");
		skip();
	}
	/* The kernel keeps groups for each thread, and connect(2) records those of the calling
	 * thread; glibc's setgroups would change all threads. */
	assert_int_equal(syscall(SYS_setgroups, ARRAY_SIZE(groups), groups), 0);
	c = client(OWNER);
	struct control root = client(0);
	assert_int_equal(syscall(SYS_setgroups, 0, NULL), 0);
	assert_refused(&c, "group");
	assert_int_equal(ask(&root, CALL_VERSION, NULL).kind, MSG_RESULT);
	control_close(&root);
	assert_works(OWNER);
}

/* ---- waiting clients, and clients that leave ---- */

/* No descriptor is left for one more connection: it waits, the loop does not spin, and no other
 * client is delayed. */
static void without_a_descriptor_a_client_waits(void **state)
{
	struct control first = client(OWNER), second;
	struct sockaddr_un a = address(t.f);
	struct rlimit was, few;

	(void)state;
	control_init(&second, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	t.next = (struct caller){ .uid = OTHER, .pid = 1 };
	assert_int_equal(connect(second.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(fcntl(second.fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = (struct rlimit){ (rlim_t)second.fd, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	int turns = 0;
	for (uint64_t end = after_ms(300); clock_boot_ns() < end; turns++)
		turn(50);
	assert_in_range(turns, 1, 20);
	assert_int_equal(t.api->n_conns, 1);
	assert_true(t.api->paused);
	assert_int_equal(ask(&first, CALL_VERSION, NULL).kind, MSG_RESULT);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(ask(&second, CALL_VERSION, NULL).kind, MSG_RESULT);
	assert_int_equal(t.api->n_conns, 2);
	control_close(&first);
	control_close(&second);
}

static void waiting_requests_hold_no_worker(void **state)
{
	struct control waiting[3 * API_WORKERS_PER_UID];
	union control_body web = about("web");
	struct message m;

	(void)create(*state, "web", false);
	must_start(*state, "web");
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
		web = about("web");
		if (i & 1)
			web.vm_logs.follow = true;
		else
			web.vm_wait.timeout_ms = 60000;
		waiting[i] = client(OWNER);
		say(&waiting[i], i & 1 ? CALL_VM_LOGS : CALL_VM_WAIT, &web);
	}
	run_for(300);
	assert_works(OWNER);
	assert_works(OTHER);
	struct control c = client(OWNER);
	web = about("web");
	assert_int_equal(ask(&c, CALL_VM_STOP, &web).kind, MSG_RESULT);
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
		assert_int_equal(hear(&waiting[i], i & 1 ? CALL_VM_LOGS : CALL_VM_WAIT, &m), 1);
		assert_int_equal(m.kind, MSG_RESULT);
		if (!(i & 1))
			assert_string_equal(m.body.res_vm_wait.state, "stopped");
		control_close(&waiting[i]);
	}
	control_close(&c);
}

static void a_wait_ends_with_its_time(void **state)
{
	struct control c = client(OWNER);
	union control_body web = about("web");

	(void)create(*state, "web", false);
	must_start(*state, "web");
	web.vm_wait.timeout_ms = 150;
	assert_string_equal(ask(&c, CALL_VM_WAIT, &web).body.res_vm_wait.state, "running");
	control_close(&c);
}

static void a_follower_gets_later_output(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	union control_body web = about("web");
	struct message m;

	struct vm vm = create(f, "web", false);
	must_start(f, "web");
	t.bytes = 0;
	web.vm_logs.follow = true;
	say(&c, CALL_VM_LOGS, &web);
	run_for(200);
	vm.state = VM_RUNNING;
	_cleanup_close_ int console = watch_console_open(f->c.watch, &vm);
	assert_int_equal(write(console, "later\n", 6), 6);
	run_for(50);
	fake_helper_vmm_exit(f->fake, vm.slot);
	assert_int_equal(hear(&c, CALL_VM_LOGS, &m), 1);
	uint64_t offset = 0;
	char all[4096];
	ssize_t n = watch_read(f->c.watch, &vm, STREAM_CONSOLE, &offset, all, sizeof(all));
	assert_int_equal(t.bytes, n);
	assert_non_null(memmem(all, (size_t)n, "later\n", 6));
	control_close(&c);
}

/* Return: true if the one connection waits, and has been sent the stream up to @at. */
static bool has_followed_to(uint64_t at)
{
	const struct conn *c = t.api->conns;

	return c && c->state == PARKED && c->x.cursor >= at;
}

/* The times of its sends add up for as long as it follows: it has sent for hours, and never
 * waited. */
static void a_follower_that_reads_is_not_given_up(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	union control_body web = about("web");
	struct message m;

	struct vm vm = create(f, "web", false);
	must_start(f, "web");
	web.vm_logs.follow = true;
	say(&c, CALL_VM_LOGS, &web);
	RUN_UNTIL(has_followed_to(1));
	t.api->conns->x.waited_ns = API_SEND_MS * 1000000ull;
	const uint64_t at = t.api->conns->x.cursor;
	vm.state = VM_RUNNING;
	_cleanup_close_ int console = watch_console_open(f->c.watch, &vm);
	assert_int_equal(write(console, "later\n", 6), 6);
	RUN_UNTIL(t.api->n_conns == 0 || has_followed_to(at + 6));
	assert_int_equal(t.api->n_conns, 1);
	fake_helper_vmm_exit(f->fake, vm.slot);
	assert_int_equal(hear(&c, CALL_VM_LOGS, &m), 1);
	assert_int_equal(m.body.res_vm_logs.at, at + 6);
	control_close(&c);
}

/* The older half of a console is dropped at its bound: what is left begins later. */
static void the_place_of_the_output_is_told(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	union control_body web = about("web");
	char page[4096];

	struct vm vm = create(f, "web", false);
	must_start(f, "web");
	vm.state = VM_RUNNING;
	_cleanup_close_ int console = watch_console_open(f->c.watch, &vm);
	memset(page, 'x', sizeof(page));
	for (size_t n = 0; n < CONSOLE_MAX + CONSOLE_MAX / 2; n += sizeof(page)) {
		assert_int_equal(write(console, page, sizeof(page)), sizeof(page));
		watch_catch_up(f->c.watch, &vm, STREAM_CONSOLE);
	}
	t.bytes = t.bytes_to = 0;
	const uint64_t end = ask(&c, CALL_VM_LOGS, &web).body.res_vm_logs.at;
	assert_true(end > CONSOLE_MAX);
	assert_true(t.bytes > 0 && t.bytes <= CONSOLE_MAX);
	assert_int_equal(t.bytes_to, end);
	assert_int_equal(t.bytes_from, end - t.bytes);
	control_close(&c);
}

static void a_part_of_the_output_can_be_asked_for(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	union control_body web = about("web");
	char line[1000];

	struct vm vm = create(f, "web", false);
	must_start(f, "web");
	vm.state = VM_RUNNING;
	_cleanup_close_ int console = watch_console_open(f->c.watch, &vm);
	memset(line, 'x', sizeof(line));
	assert_int_equal(write(console, line, sizeof(line)), sizeof(line));
	t.bytes = 0;
	const uint64_t end = ask(&c, CALL_VM_LOGS, &web).body.res_vm_logs.at;
	assert_int_equal(t.bytes, end);
	assert_true(end > sizeof(line)); /* the line of the start, too */

	web.vm_logs.tail = 100;
	t.bytes = 0;
	assert_int_equal(ask(&c, CALL_VM_LOGS, &web).body.res_vm_logs.at, end);
	assert_int_equal(t.bytes, 100);
	web.vm_logs.from = end - 10; /* the later one of both counts */
	t.bytes = 0;
	assert_int_equal(ask(&c, CALL_VM_LOGS, &web).body.res_vm_logs.at, end);
	assert_int_equal(t.bytes, 10);
	web = about("web");
	web.vm_logs.from = end;
	assert_int_equal(write(console, "later\n", 6), 6);
	t.bytes = 0;
	assert_int_equal(ask(&c, CALL_VM_LOGS, &web).body.res_vm_logs.at, end + 6);
	assert_int_equal(t.bytes, 6);
	web.vm_logs.from = INT64_MAX; /* of an earlier start that said more */
	t.bytes = 0;
	assert_int_equal(ask(&c, CALL_VM_LOGS, &web).body.res_vm_logs.at, end + 6);
	assert_int_equal(t.bytes, end + 6);
	control_close(&c);
}

static struct message typed(struct control *c, const char *vm, const char *text)
{
	union control_body a = about(vm);

	a.vm_type.data.n = strlen(text);
	memcpy(a.vm_type.data.v, text, a.vm_type.data.n);
	return ask(c, CALL_VM_TYPE, &a);
}

static void what_is_typed_goes_to_the_owners_running_vm(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER), other = client(OTHER);
	union control_body web = about("web");
	char path[200], got[16] = "", id[ID_HEX];
	struct message m;

	struct vm vm = create(f, "web", false);
	m = typed(&c, "web", "");
	assert_int_equal(m.error.code, FAIL_STATE);
	assert_string_equal(m.error.why, "it is created");
	must_start(f, "web");
	_cleanup_close_ int input = watch_input_open(f->c.watch, &vm);
	assert_true(typed(&c, "web", "").body.res_vm_type.took);
	assert_true(typed(&c, "web", "root\r").body.res_vm_type.took);
	assert_int_equal(typed(&other, "web", "evil").error.code, FAIL_NOT_FOUND);
	format_id(vm.id, id);
	m = typed(&other, id, "evil");
	assert_int_equal(m.error.code, FAIL_NOT_FOUND);
	assert_null(strstr(m.error.why, "web"));
	assert_int_equal(read(input, got, sizeof(got)), 5);
	assert_string_equal(got, "root\r");

	(void)snprintf(path, sizeof(path), "%s/consoles/%u.in", f->c.config.state_dir, vm.slot);
	assert_int_equal(unlink(path), 0);
	m = typed(&c, "web", "");
	assert_int_equal(m.error.code, FAIL_STATE);
	assert_non_null(strstr(m.error.why, "no console input"));
	assert_non_null(strstr(m.error.hint, "vm restart web"));
	assert_int_equal(ask(&c, CALL_VM_KILL, &web).kind, MSG_RESULT);
	m = typed(&c, "web", "");
	assert_string_equal(m.error.why, "it is stopped");
	assert_string_equal(m.error.hint, "banger vm start web");
	control_close(&c);
	control_close(&other);
}

static void a_guest_that_does_not_read_takes_nothing(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	char chunk[1025];

	(void)create(f, "web", false);
	must_start(f, "web");
	memset(chunk, 'x', sizeof(chunk));
	chunk[1024] = '\0';
	for (int i = 0; i < 4; i++)
		assert_true(typed(&c, "web", chunk).body.res_vm_type.took);
	struct message m = typed(&c, "web", "x");
	assert_int_equal(m.kind, MSG_RESULT);
	assert_false(m.body.res_vm_type.took);
	control_close(&c);
}

static void a_monitors_log_and_metrics_are_asked_for_by_number(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	union control_body web = about("web");

	(void)create(f, "web", false);
	for (web.vm_logs.what = STREAM_VMM; web.vm_logs.what <= STREAM_METRICS;
	     web.vm_logs.what++) {
		struct message m = ask(&c, CALL_VM_LOGS, &web);
		assert_int_equal(m.kind, MSG_ERROR);
		assert_int_equal(m.error.code, FAIL_STATE);
	}
	must_start(f, "web"); /* by QEMU */
	web.vm_logs.what = STREAM_METRICS;
	assert_non_null(strstr(ask(&c, CALL_VM_LOGS, &web).error.why,
			       "no metrics: only Firecracker writes them"));
	assert_int_equal(host.flushes, 0);
	web.vm_logs.what = STREAM_CONSOLE;
	assert_int_equal(ask(&c, CALL_VM_STOP, &web).kind, MSG_RESULT);
	host.firecracker = true;
	must_start(f, "web");
	char path[200];
	path_slot_run(&f->c.config, row(f, "web").slot, "metrics", path);
	_cleanup_close_ int metrics = open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600);
	assert_int_equal(write(metrics, "{\"vcpu\":1}\n", 11), 11);
	t.bytes = 0;
	web.vm_logs.what = STREAM_METRICS;
	assert_int_equal(ask(&c, CALL_VM_LOGS, &web).kind,
			 MSG_RESULT); /* the monitor does not answer: the old metrics are sent */
	assert_int_equal(t.bytes, 11);
	assert_int_equal(host.flushes, 1);
	control_close(&c);
}

static void a_client_that_goes_leaves_its_start_running(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	union control_body web = about("web");

	(void)create(f, "web", false);
	fake_helper_delay(f->fake, OP_VMM_SPAWN, 1000);
	say(&c, CALL_VM_START, &web);
	RUN_UNTIL(row(f, "web").state == VM_STARTING);
	control_close(&c);
	RUN_UNTIL(row(f, "web").state == VM_RUNNING);
	RUN_UNTIL(t.api->n_conns == 0);
}

/* ---- clients that leave at each stage of each verb ---- */

/* Each verb, the state before it, and that after it ("": no such VM). */
static const struct {
	enum call_id call;
	bool exists, runs;
	const char *then;
} verbs[] = {
	{ CALL_VM_CREATE, false, false, "created" }, { CALL_VM_START, true, false, "running" },
	{ CALL_VM_STOP, true, true, "stopped" },     { CALL_VM_KILL, true, true, "stopped" },
	{ CALL_VM_DELETE, true, true, "" },          { CALL_VM_SET, true, true, "running" },
};

static const char *state_of(struct fixture *f)
{
	struct error e = { 0 };
	struct vm vm;

	return db_vm_find(f->c.db, &f->caller, "web", &vm, &e) == 0 ? vm_state_name(vm.state) : "";
}

static union control_body args_of(enum call_id call)
{
	union control_body b = about("web");

	if (call == CALL_VM_CREATE) {
		b = (union control_body){ .vm_create = { .nat = true } };
		COPY(b.vm_create.name, "web");
		COPY(b.vm_create.image, "debian");
	} else if (call == CALL_VM_SET) {
		b.vm_set.nat = 1;
	}
	return b;
}

static void bring_to(struct fixture *f, bool is, bool runs)
{
	struct operation o = operation(f);
	struct error e = { 0 };

	if (vm_delete(&f->c, &o, "web", &e) < 0)
		assert_int_equal(e.code, FAIL_NOT_FOUND);
	if (is)
		(void)create(f, "web", true);
	if (runs)
		must_start(f, "web");
}

/* Read @n stages.  Return: false when the answer came first. */
static bool hear_stages(struct control *c, enum call_id call, unsigned n)
{
	struct message m;

	for (uint64_t end = clock_boot_ns() + PATIENCE_NS; n && clock_boot_ns() < end;) {
		int r = control_next(c, control_call(call), &m);
		assert_true(r >= 0);
		if (r == 1 && m.kind != MSG_EVENT)
			return false;
		if (r == 1)
			n -= m.event->id == EVENT_STAGE;
		else if (control_fill(c) <= 0)
			turn(1);
	}
	assert_int_equal(n, 0);
	return true;
}

/* Run a verb whose client leaves after @stages stages.  Return: false when the verb has fewer. */
static bool goes_after(struct fixture *f, size_t verb, unsigned stages)
{
	enum call_id call = verbs[verb].call;
	union control_body args = args_of(call);

	bring_to(f, verbs[verb].exists, verbs[verb].runs);
	struct control c = client(OWNER);
	say(&c, call, &args);
	if (!stages) /* after the request was taken, and before any stage */
		RUN_UNTIL(t.api->conns->state == RUNNING);
	bool heard = hear_stages(&c, call, stages);
	control_close(&c);
	RUN_UNTIL(t.api->n_conns == 0);
	assert_string_equal(state_of(f), verbs[verb].then);
	if (!verbs[verb].then[0])
		assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	else if (call == CALL_VM_SET)
		assert_false(row(f, "web").nat);
	return heard;
}

static void a_client_may_go_at_any_stage(void **state)
{
	struct fixture *f = *state;
	unsigned all = 0;

	for (size_t v = 0; v < ARRAY_SIZE(verbs); v++) {
		unsigned n = 0;
		while (goes_after(f, v, n))
			n++;
		assert_true(n > 1); /* each verb has stages */
		all += n;
	}
	assert_in_range(all, 15, 40);
	assert_int_equal(fake_helper_violations(f->fake), 0);
}

/* A client that leaves in the middle of its request starts nothing. */
static void a_client_that_goes_within_its_request_starts_nothing(void **state)
{
	struct fixture *f = *state;
	uint8_t whole[4096];
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	for (size_t v = 0; v < ARRAY_SIZE(verbs); v++) {
		union control_body args = args_of(verbs[v].call);
		assert_int_equal(control_send_request(ends[0], 7, control_call(verbs[v].call),
						      &args, NULL, 0),
				 0);
		ssize_t size = recv(ends[1], whole, sizeof(whole), 0);
		assert_in_range(size, 5, sizeof(whole) - 1);
		bring_to(f, verbs[v].exists, verbs[v].runs);
		size_t before = fake_helper_total(f->fake);
		const char *was = state_of(f);
		for (ssize_t n = 1; n < size; n++) {
			struct control c = client(OWNER);
			assert_int_equal(send(c.fd, whole, (size_t)n, MSG_NOSIGNAL), n);
			if (n % 2)
				turn(0);
			control_close(&c);
			RUN_UNTIL(t.api->n_conns == 0);
		}
		assert_string_equal(state_of(f), was);
		assert_int_equal(fake_helper_total(f->fake), before);
	}
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* The request waited for its user's share of the workers; the operation is not begun any more. */
static void a_client_that_goes_while_its_request_waits_starts_nothing(void **state)
{
	struct control many[API_WORKERS_PER_UID], late;
	struct fixture *f = *state;
	union control_body web = about("web"), other = about("other");
	atomic_bool *cancelled;
	struct message m;

	struct vm vm = create(f, "web", false);
	(void)create(f, "other", false);
	vm_lock_take(f->c.vm_locks, vm.id, VM_LOCK_WAIT, &cancelled);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		many[i] = client(OWNER);
		say(&many[i], CALL_VM_STOP, &web);
		RUN_UNTIL(running_of(OWNER) == i + 1);
	}
	late = client(OWNER);
	say(&late, CALL_VM_START, &other);
	run_for(20);
	assert_int_equal(running_of(OWNER), ARRAY_SIZE(many));
	control_close(&late);
	RUN_UNTIL(t.api->n_conns == ARRAY_SIZE(many));
	vm_lock_give(f->c.vm_locks, vm.id);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		assert_int_equal(hear(&many[i], CALL_VM_STOP, &m), 1);
		control_close(&many[i]);
	}
	RUN_UNTIL(t.api->n_conns == 0);
	assert_int_equal(row(f, "other").state, VM_CREATED);
	assert_int_equal(host.boots, 0);
}

static void a_client_that_goes_ends_its_own_wait(void **state)
{
	struct control c = client(OWNER);
	union control_body web = about("web");

	(void)create(*state, "web", false);
	must_start(*state, "web");
	web.vm_wait.timeout_ms = 3600000;
	say(&c, CALL_VM_WAIT, &web);
	run_for(50);
	assert_int_equal(t.api->n_conns, 1);
	control_close(&c);
	RUN_UNTIL(t.api->n_conns == 0);
}

/* 1 MiB does not fit a socket, so the worker waits for a client that never reads. */
static void a_client_that_does_not_read_is_given_up(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	union control_body web = about("web");
	static char page[4096];

	struct vm vm = create(f, "web", false);
	must_start(f, "web");
	vm.state = VM_RUNNING;
	_cleanup_close_ int console = watch_console_open(f->c.watch, &vm);
	for (int i = 0; i < 256; i++) {
		(void)!write(console, page, sizeof(page));
		turn(0);
	}
	run_for(50);
	say(&c, CALL_VM_LOGS, &web);
	uint64_t since = clock_boot_ns();
	turn(10);
	assert_works(OWNER);
	assert_true(clock_boot_ns() - since < API_SEND_MS * 1000000ull / 2);
	RUN_UNTIL(t.api->n_conns == 0);
	control_close(&c);
}

static sem_t gate;

static void wait_at_gate(struct ctl *c, void *arg)
{
	(void)c, (void)arg;
	(void)sem_wait(&gate);
}

/* The client's end is noticed while a worker has the connection, and is not reported again. */
static void a_client_that_goes_while_a_worker_has_it_is_dropped_later(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	union control_body web = about("web");

	(void)create(f, "web", false);
	must_start(f, "web");
	assert_int_equal(sem_init(&gate, 0, 0), 0);
	for (int i = 0; i < WORKER_THREADS; i++)
		assert_int_equal(workers_run(f->c.workers, wait_at_gate, NULL), 0);
	(void)poll(NULL, 0, 50);
	web.vm_wait.timeout_ms = 3600000;
	say(&c, CALL_VM_WAIT, &web);
	RUN_UNTIL(running_of(OWNER) == 1);
	control_close(&c);
	run_for(20);
	assert_int_equal(t.api->n_conns, 1);
	for (int i = 0; i < WORKER_THREADS; i++)
		(void)sem_post(&gate);
	RUN_UNTIL(t.api->n_conns == 0);
	(void)sem_destroy(&gate);
}

static void a_full_queue_is_reported(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	unsigned jobs = 0;

	assert_int_equal(sem_init(&gate, 0, 0), 0);
	for (int quiet = 0; quiet < 20; quiet++) {
		while (workers_run(f->c.workers, wait_at_gate, NULL) == 0) {
			jobs++;
			quiet = 0;
		}
		(void)poll(NULL, 0, 5);
	}
	assert_int_equal(ask(&c, CALL_VERSION, NULL).error.code, FAIL_LIMIT);
	for (unsigned i = 0; i < jobs; i++)
		(void)sem_post(&gate);
	(void)poll(NULL, 0, 100);
	assert_int_equal(ask(&c, CALL_VERSION, NULL).kind, MSG_RESULT);
	(void)sem_destroy(&gate);
	control_close(&c);
}

static void one_user_can_not_take_all_workers(void **state)
{
	struct fixture *f = *state;
	struct control many[2 * API_WORKERS_PER_UID];
	union control_body web = about("web");
	struct vm vm = create(f, "web", false);
	atomic_bool *cancelled;

	vm_lock_take(f->c.vm_locks, vm.id, VM_LOCK_WAIT, &cancelled);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		many[i] = client(OWNER);
		say(&many[i], CALL_VM_START, &web); /* all wait for the operation lock */
	}
	run_for(50);
	assert_int_equal(running_of(OWNER), API_WORKERS_PER_UID);
	assert_works(OTHER);
	vm_lock_give(f->c.vm_locks, vm.id);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		struct message m;
		assert_int_equal(hear(&many[i], CALL_VM_START, &m), 1);
		assert_int_equal(m.kind, MSG_RESULT);
		control_close(&many[i]);
	}
	assert_int_equal(fake_helper_count(f->fake, OP_VMM_SPAWN), 1);
}

/* A user's loop of start and kill is limited.  Root and other users are not; kills and stops are
 * never limited. */
static void a_users_starts_and_kills_are_limited(void **state)
{
	enum { BURST = 50 };
	struct control c = client(OWNER), other = client(OTHER), root = client(0);
	union control_body none = about("none"), web = about("web"),
			   change = { .vm_set = { .auto_stop_s = 60 } };
	struct message m;
	unsigned n = 0;

	t.api->rate = (struct rate){ .burst = BURST, .interval_ns = 60000000000u };
	(void)create(*state, "web", false);
	must_start(*state, "web");
	do
		m = ask(&c, CALL_VM_START, &none);
	while (m.error.code == FAIL_NOT_FOUND && ++n < 10 * BURST);
	assert_int_equal(n, BURST);
	assert_int_equal(m.error.code, FAIL_LIMIT);
	assert_string_equal(m.error.what, "vm_start");
	assert_non_null(
		strstr(m.error.hint, "one more is allowed in ")); /* 60 s, less what this took */
	COPY(change.vm_set.vm, "web");
	assert_int_equal(ask(&c, CALL_VM_SET, &change).error.code, FAIL_LIMIT);
	assert_int_equal(ask(&c, CALL_VM_KILL, &web).kind, MSG_RESULT);
	assert_int_equal(ask(&other, CALL_VM_START, &none).error.code, FAIL_NOT_FOUND);
	for (unsigned i = 0; i < 2 * BURST; i++)
		assert_int_equal(ask(&root, CALL_VM_START, &none).error.code, FAIL_NOT_FOUND);
	memset(t.api->rate.buckets, 0, sizeof(t.api->rate.buckets)); /* time went by */
	assert_int_equal(ask(&c, CALL_VM_START, &web).kind, MSG_RESULT);
	control_close(&c);
	control_close(&other);
	control_close(&root);
}

/* The operations take as long as `vm stop --timeout 1h`, here for ever: all wait for the operation
 * lock of their user's VM. */
static void few_users_can_not_take_all_workers(void **state)
{
	enum { USERS = 3 };
	struct control many[USERS][API_WORKERS_PER_UID];
	struct fixture *f = *state;
	union control_body web = about("web");
	atomic_bool *cancelled;
	struct message m;
	struct vm vm[USERS];

	for (uint32_t u = 0; u < USERS; u++) {
		f->caller.uid = 3000 + u;
		vm[u] = create(f, "web", false);
		vm_lock_take(f->c.vm_locks, vm[u].id, VM_LOCK_WAIT, &cancelled);
		for (size_t i = 0; i < API_WORKERS_PER_UID; i++) {
			many[u][i] = client(3000 + u);
			say(&many[u][i], CALL_VM_STOP, &web);
		}
	}
	run_for(100);
	assert_int_equal(running_of(3000 + USERS - 1), API_WORKERS_PER_UID);
	assert_works(OTHER);
	for (uint32_t u = 0; u < USERS; u++) {
		vm_lock_give(f->c.vm_locks, vm[u].id);
		for (size_t i = 0; i < API_WORKERS_PER_UID; i++) {
			assert_int_equal(hear(&many[u][i], CALL_VM_STOP, &m), 1);
			control_close(&many[u][i]);
		}
	}
}

static void when_most_workers_are_busy_each_user_has_one(void **state)
{
	struct api a = { .ctl = NULL };
	static struct conn busy[API_WORKERS_SHARED + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++) {
		busy[i].x.caller.uid = 3000 + (uint32_t)(i / API_WORKERS_PER_UID);
		busy[i].x.call = control_call(CALL_VERSION);
		busy[i].state = RUNNING;
	}
	struct conn *one = &busy[API_WORKERS_SHARED], *two = &busy[API_WORKERS_SHARED + 1];
	one->x.caller.uid = two->x.caller.uid = OTHER;
	one->state = two->state = WAITING;
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++)
		list_append(&a, &busy[i]);
	assert_true(has_share(&a, one));
	one->state = RUNNING;
	assert_false(has_share(&a, two));
	for (size_t i = 0; i < API_WORKERS_PER_UID; i++)
		busy[i].state = READING;
	assert_true(has_share(&a, two));
}

static void imports_are_few_at_a_time(void **state)
{
	struct api a = { .ctl = NULL };
	static struct conn c[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		c[i].x.caller.uid = 3000 + (uint32_t)i;
		c[i].x.call = control_call(i & 1 ? CALL_KERNEL_IMPORT : CALL_IMAGE_IMPORT);
		c[i].state = WAITING;
		list_append(&a, &c[i]);
	}
	c[0].state = RUNNING;
	assert_true(has_share(&a, &c[1]));
	c[1].x.caller.uid = 3000; /* a second one of the same user */
	assert_false(has_share(&a, &c[1]));
	c[2].state = RUNNING;
	assert_false(has_share(&a, &c[3]));
	c[3].x.call = control_call(CALL_VERSION);
	assert_true(has_share(&a, &c[3]));
}

/* Make a TCP socket whose close(2) waits for half a minute, because its peer does not take all
 * data.  @peer: the other end. */
static int lingering(int *peer)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 30 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	static char bytes[65536];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) < 0 ||
	    connect(s, (struct sockaddr *)&a, len) < 0) {
		(void)close(listener);
		(void)close(s);
		return -1;
	}
	*peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	(void)close(listener);
	while (send(s, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return s;
}

/* The descriptors that a client sends may take long to close; no other client waits for that. */
static void descriptors_that_are_slow_to_close_delay_no_other_client(void **state)
{
	static const char *const ways[] = { "with a request", "with half of one",
					    "behind a request", "too many" };
	union control_body none = {};

	(void)state;
	for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
		struct control bad = client(OWNER);
		int peer = -1, fds[FDIO_MAX] = { lingering(&peer), 0, 0, 0 };
		uint64_t since = clock_boot_ns();
		if (fds[0] < 0)
			skip(); /* no loopback interface here */
		if (way == 1)
			assert_int_equal(fdio_send(bad.fd, "\x94", 1, fds, 1), 0);
		else if (way == 3) /* each fits, together they do not */
			for (int i = 0; i < 2; i++)
				assert_int_equal(fdio_send(bad.fd, "\x94\x00", 1 + (size_t)i, fds,
							   3),
						 0);
		else
			assert_int_equal(control_send_request(bad.fd, 7, control_call(CALL_VERSION),
							      &none, fds, way == 0),
					 0);
		if (way == 2)
			assert_int_equal(fdio_send(bad.fd, "\x94", 1, fds, 1), 0);
		(void)close(fds[0]);
		if (way)
			control_close(&bad);
		assert_works(OTHER);
		assert_true(clock_boot_ns() - since < 5000000000u);
		if (!way) { /* the client's own connection continues when that is done */
			struct message m;
			assert_int_equal(hear(&bad, CALL_VERSION, &m), 1);
			assert_int_equal(m.error.code, FAIL_USAGE);
			control_close(&bad);
		}
		RUN_UNTIL(t.api->n_conns == 0);
		(void)close(peer);
		assert_true(clock_boot_ns() - since < 10000000000u);
	}
}

static size_t held_of(uint32_t uid)
{
	size_t n = 0;

	for (const struct conn *c = t.api->conns; c; c = c->next)
		n += c->x.caller.uid == uid && c->state == CLOSING ? c->held : 0;
	return n;
}

/* Send one message with as many descriptors as the kernel takes (SCM_MAX_FD, unix(7)). */
static void send_253(struct control *c, int what)
{
	enum { MANY = 253 };
	int fds[MANY];
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(fds))];
	} u = { .h = { .cmsg_len = CMSG_LEN(sizeof(fds)),
		       .cmsg_level = SOL_SOCKET,
		       .cmsg_type = SCM_RIGHTS } };
	struct iovec v = { (char[]){ '\x94' }, 1 };
	const struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u.room)
	};

	for (int i = 0; i < MANY; i++)
		fds[i] = what;
	memcpy(CMSG_DATA(&u.h), fds, sizeof(fds));
	assert_int_equal(sendmsg(c->fd, &m, MSG_NOSIGNAL), 1);
}

/* Every connection of a user sends as many descriptors as it can, all slow to close.  That must not
 * use up the descriptors of the service. */
static void a_user_whose_descriptors_are_slow_to_close_is_refused(void **state)
{
	enum { CLIENTS = 12 };
	struct control bad[CLIENTS];
	int peer[CLIENTS];
	struct message m;

	(void)state;
	for (size_t i = 0; i < CLIENTS; i++)
		bad[i] = client(OWNER);
	for (size_t i = 0; i < CLIENTS; i++) {
		int slow = lingering(&peer[i]);
		if (slow < 0)
			skip(); /* no loopback interface here */
		send_253(&bad[i], slow);
		(void)close(slow);
	}
	RUN_UNTIL(held_of(OWNER) > API_CLOSING_FDS);
	run_for(100);
	assert_in_range(held_of(OWNER), API_CLOSING_FDS + 1, API_CLOSING_FDS + 253);
	struct control late = client(OWNER);
	say(&late, CALL_VERSION, NULL);
	assert_int_equal(hear(&late, CALL_VERSION, &m), 1);
	assert_int_equal(m.error.code, FAIL_LIMIT);
	assert_works(OTHER);
	assert_works(0);
	for (size_t i = 0; i < CLIENTS; i++) {
		(void)close(peer[i]);
		control_close(&bad[i]);
	}
	control_close(&late);
	RUN_UNTIL(t.api->n_conns == 0);
	assert_works(OWNER);
}

/* All descriptors are taken: connected clients are served, new ones wait, and the loop does not
 * spin. */
static void without_a_descriptor_new_clients_wait(void **state)
{
	struct control old = client(OWNER), late;
	struct sockaddr_un a = address(t.f);
	struct rlimit was, none;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    probe = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	(void)state;
	(void)close(probe);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = (rlim_t)probe; /* the lowest free number */
	t.next = (struct caller){ .uid = OTHER, .pid = 1 };
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	control_init(&late, fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	unsigned turns = 0;
	for (uint64_t end = after_ms(300); clock_boot_ns() < end; turns++)
		turn(20);
	assert_in_range(turns, 1, 100);
	assert_int_equal(t.api->n_conns, 1);
	assert_int_equal(ask(&old, CALL_VERSION, NULL).kind, MSG_RESULT);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(ask(&late, CALL_VERSION, NULL).kind, MSG_RESULT);
	control_close(&old);
	control_close(&late);
}

/* A hundred starts, and Ctrl-C on all of their command lines: each VM is started once, and
 * stays. */
static void a_hundred_clients_that_go_leave_what_they_started(void **state)
{
	enum { USERS = 2, EACH = 50 };
	static const char *const names[] = { "a", "b" };
	static struct control many[USERS][EACH];
	struct fixture *f = *state;

	fake_helper_delay(f->fake, OP_TAP_CREATE, 50);
	for (uint32_t u = 0; u < USERS; u++) {
		f->caller.uid = 3000 + u;
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			(void)create(f, names[i], true);
		for (size_t i = 0; i < EACH; i++) {
			union control_body b = about(names[i % ARRAY_SIZE(names)]);
			many[u][i] = client(f->caller.uid);
			say(&many[u][i], CALL_VM_START, &b);
		}
	}
	run_for(50);
	for (size_t i = 0; i < USERS * EACH; i++)
		control_close(&many[i % USERS][i / USERS]);
	RUN_UNTIL(t.api->n_conns == 0);
	for (uint32_t u = 0; u < USERS; u++) {
		f->caller.uid = 3000 + u;
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			struct vm vm = row(f, names[i]);
			assert_int_equal(vm.state, VM_RUNNING);
			assert_int_equal(ledger(f, &vm, NULL), OBJ_COUNT - 1);
		}
	}
	assert_int_equal(fake_helper_count(f->fake, OP_VMM_SPAWN), USERS * ARRAY_SIZE(names));
}

/* ---- answers with a descriptor ---- */

static struct sockaddr_un port_address(const struct fixture *f, const struct vm *vm, unsigned port)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/slots/%u/" AGENT_PORT, f->dir,
		       vm->slot, port);
	return a;
}

/* Start a VM of which one port has an agent that answers; its slot's uid becomes that of the test,
 * which owns the port.  Clients must have connected before (check_ids()). */
static struct vm start_with_agent(struct fixture *f)
{
	struct vm vm = create(f, "web", false);
	struct sockaddr_un a = port_address(f, &vm, 0);

	must_start(f, "web");
	f->c.config.agent_ports = 1;
	f->c.config.uid_base = getuid() - vm.slot;
	t.agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(t.agent, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(t.agent, 128), 0);
	return row(f, "web");
}

static void say_agent(struct control *c)
{
	union control_body web = about("web");

	web.vm_agent.timeout_ms = 60000;
	say(c, CALL_VM_AGENT, &web);
}

/* Wait until something can be received, and leave it in the queue. */
static void await_answer(struct control *c)
{
	char byte;

	RUN_UNTIL(recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1);
}

static unsigned unread(void)
{
	unsigned n = 0;

	for (struct conn *c = t.api->conns; c; c = c->next)
		n += c->state == UNREAD;
	return n;
}

/* A client looks at its answer, leaves it in the queue and shuts its end down: the descriptor is
 * still in flight, so the connection still counts against its user.  It goes with the client's
 * end. */
static void a_connection_stays_while_a_descriptor_is_unread(void **state)
{
	struct control c = client(OWNER), d = client(OWNER);
	struct message m;

	(void)start_with_agent(*state);
	say_agent(&c);
	await_answer(&c);
	say_agent(&d);
	await_answer(&d);
	RUN_UNTIL(unread() == 2);
	assert_int_equal(shutdown(c.fd, SHUT_RDWR), 0);
	assert_int_equal(shutdown(d.fd, SHUT_WR), 0);
	run_for(300);
	assert_int_equal(t.api->n_conns, 2);
	assert_int_equal(unread(), 2);
	/* it has received the answer: its end of file counts now */
	assert_int_equal(hear(&d, CALL_VM_AGENT, &m), 1);
	assert_int_equal(m.kind, MSG_RESULT);
	assert_int_equal(d.nfds, 1);
	RUN_UNTIL(t.api->n_conns == 1);
	control_close(&c);
	RUN_UNTIL(t.api->n_conns == 0);
	control_close(&d);
}

/* A request behind an unread answer is read when the answer is received. */
static void the_next_request_waits_for_the_descriptor_to_be_received(void **state)
{
	struct control c = client(OWNER);
	struct message m;

	(void)start_with_agent(*state);
	say_agent(&c);
	await_answer(&c);
	RUN_UNTIL(unread() == 1);
	say(&c, CALL_VERSION, NULL);
	run_for(300);
	assert_int_equal(unread(), 1);
	assert_int_equal(hear(&c, CALL_VM_AGENT, &m), 1);
	assert_int_equal(hear(&c, CALL_VERSION, &m), 1);
	assert_int_equal(m.kind, MSG_RESULT);
	control_close(&c);
}

/* ---- waits for a state ---- */

static void say_wait(struct control *c, enum wait_until until)
{
	union control_body web = about("web");

	web.vm_wait.timeout_ms = 60000;
	web.vm_wait.until = until;
	say(c, CALL_VM_WAIT, &web);
}

/* Check that the answer of a wait is this state. */
static void hear_wait(struct control *c, const char *state, bool reached)
{
	struct message m;

	assert_int_equal(hear(c, CALL_VM_WAIT, &m), 1);
	assert_int_equal(m.kind, MSG_RESULT);
	assert_string_equal(m.body.res_vm_wait.state, state);
	assert_int_equal(m.body.res_vm_wait.reached, reached);
}

static bool is_parked(void)
{
	for (struct conn *c = t.api->conns; c; c = c->next)
		if (c->state == PARKED)
			return true;
	return false;
}

static bool is_shown_ready(struct control *c)
{
	union control_body web = about("web");
	struct message m;

	say(c, CALL_VM_SHOW, &web);
	assert_int_equal(hear(c, CALL_VM_SHOW, &m), 1);
	return watch_is_ready(t.f->c.watch, row(t.f, "web").id);
}

static void a_wait_for_the_agent(void **state)
{
	struct control c = client(OWNER), d = client(OWNER);
	union control_body web = about("web");

	/* A client that says nothing is dropped meanwhile. */
	assert_int_equal(ask(&d, CALL_VERSION, NULL).kind, MSG_RESULT);
	(void)start_with_agent(*state);
	t.agent_waits = true;
	say_wait(&c, WAIT_READY);
	RUN_UNTIL(t.agent_conns == 1 && is_parked());
	assert_false(is_shown_ready(&d));
	assert_int_equal(write(t.agent_fds[0], "x", 1), 1);
	hear_wait(&c, "running", true);
	assert_true(is_shown_ready(&d));
	/* the agent is not asked again */
	say_wait(&c, WAIT_READY);
	hear_wait(&c, "running", true);
	assert_int_equal(t.agent_conns, 1);
	/* the next start begins anew */
	assert_int_equal(ask(&d, CALL_VM_KILL, &web).kind, MSG_RESULT);
	assert_false(is_shown_ready(&d));
	assert_int_equal(ask(&d, CALL_VM_START, &web).kind, MSG_RESULT);
	assert_false(is_shown_ready(&d));
	control_close(&c);
	control_close(&d);
}

static void a_session_of_the_agent_makes_a_vm_ready(void **state)
{
	struct control c = client(OWNER), d = client(OWNER);

	(void)start_with_agent(*state);
	assert_false(is_shown_ready(&d));
	say_agent(&c);
	await_answer(&c);
	assert_true(is_shown_ready(&d));
	control_close(&c);
	control_close(&d);
}

static void a_wait_for_the_agent_ends_with_its_vm(void **state)
{
	struct control c = client(OWNER), d = client(OWNER);
	union control_body web = about("web");
	struct message m;

	/* A client that says nothing is dropped meanwhile. */
	assert_int_equal(ask(&d, CALL_VERSION, NULL).kind, MSG_RESULT);
	(void)start_with_agent(*state);
	t.agent_waits = true;
	say_wait(&c, WAIT_READY);
	RUN_UNTIL(t.agent_conns == 1 && is_parked());
	assert_int_equal(ask(&d, CALL_VM_KILL, &web).kind, MSG_RESULT);
	hear_wait(&c, "stopped", false);
	say_wait(&c, WAIT_READY);
	hear_wait(&c, "stopped", false);
	assert_int_equal(ask(&d, CALL_VM_START, &web).kind, MSG_RESULT);
	t.f->c.config.agent_ports = 0;
	say_wait(&c, WAIT_READY);
	assert_int_equal(hear(&c, CALL_VM_WAIT, &m), 1);
	assert_int_equal(m.kind, MSG_ERROR);
	assert_int_equal(m.error.code, FAIL_STATE);
	control_close(&c);
	control_close(&d);
}

static void waits_for_states(void **state)
{
	struct control c = client(OWNER), d = client(OWNER);
	union control_body web = about("web");

	(void)create(*state, "web", false);
	say_wait(&c, WAIT_RUNNING);
	hear_wait(&c, "created", false);
	say_wait(&c, WAIT_REST);
	hear_wait(&c, "created", true);
	say_wait(&c, WAIT_EXIT);
	hear_wait(&c, "created", true);
	must_start(*state, "web");
	say_wait(&c, WAIT_RUNNING);
	hear_wait(&c, "running", true);
	say_wait(&c, WAIT_EXIT);
	RUN_UNTIL(is_parked());
	assert_int_equal(ask(&d, CALL_VM_KILL, &web).kind, MSG_RESULT);
	hear_wait(&c, "stopped", true);
	control_close(&c);
	control_close(&d);
}

static void store(const struct vm *vm)
{
	struct error e = { 0 };

	assert_int_equal(tx_begin(t.f->c.db, &e), 0);
	assert_int_equal(tx_end(t.f->c.db, db_vm_update(t.f->c.db, vm, &e), "", &e), 0);
}

/* A VM whose guest has rebooted is at rest for a moment. */
static void a_wait_for_a_state_goes_on_over_a_reboot(void **state)
{
	struct control c = client(OWNER), d = client(OWNER);
	union control_body web = about("web");

	(void)create(*state, "web", false);
	struct vm vm = row(*state, "web");
	vm.wanted = vm.rebooted = true;
	store(&vm);
	say_wait(&c, WAIT_RUNNING);
	RUN_UNTIL(is_parked());
	assert_int_equal(ask(&d, CALL_VM_START, &web).kind, MSG_RESULT);
	hear_wait(&c, "running", true);
	assert_int_equal(ask(&d, CALL_VM_KILL, &web).kind, MSG_RESULT);
	/* The service goes down: it starts none again. */
	vm = row(*state, "web");
	vm.wanted = vm.rebooted = true;
	store(&vm);
	t.f->c.draining = true;
	say_wait(&c, WAIT_RUNNING);
	hear_wait(&c, "stopped", false);
	t.f->c.draining = false;
	control_close(&c);
	control_close(&d);
}

/* The wait is over although the VM runs again when it is looked at. */
static void a_wait_for_an_exit_sees_a_restart(void **state)
{
	struct control c = client(OWNER);

	(void)create(*state, "web", false);
	must_start(*state, "web");
	say_wait(&c, WAIT_EXIT);
	RUN_UNTIL(is_parked());
	struct vm vm = row(*state, "web");
	vm.started_ns++;
	store(&vm);
	hear_wait(&c, "running", true);
	control_close(&c);
}

/* An agent that does not answer at once: the request waits without a worker, its connection is the
 * same from pass to pass, and it is behind its user's other requests. */
static void a_search_for_a_port_keeps_its_connection(void **state)
{
	struct control c = client(OWNER), later = client(OWNER);
	struct message m;

	(void)start_with_agent(*state);
	struct conn *searching = t.api->conns;
	t.agent_waits = true;
	say_agent(&c);
	RUN_UNTIL(searching->state == PARKED);
	assert_ptr_equal(searching->next, NULL);
	RUN_UNTIL(searching->state == PARKED && searching->x.passes >= 4); /* no worker has it */
	assert_int_equal(t.agent_conns, 1);
	assert_int_equal(ask(&later, CALL_VERSION, NULL).kind, MSG_RESULT);
	assert_int_equal(write(t.agent_fds[0], "x", 1), 1);
	assert_int_equal(hear(&c, CALL_VM_AGENT, &m), 1);
	assert_int_equal(m.kind, MSG_RESULT);
	assert_int_equal(c.nfds, 1);
	assert_int_equal(t.agent_conns, 1);
	control_close(&c);
	control_close(&later);
	RUN_UNTIL(t.api->n_conns == 0);
}

/* The client goes: the connections of its search are closed. */
static void a_search_ends_with_its_client(void **state)
{
	struct control c = client(OWNER);
	char bytes[64];

	(void)start_with_agent(*state);
	t.agent_waits = true;
	say_agent(&c);
	RUN_UNTIL(t.agent_conns == 1 && t.api->conns->state == PARKED);
	control_close(&c);
	RUN_UNTIL(t.api->n_conns == 0);
	assert_int_equal(recv(t.agent_fds[0], bytes, sizeof(bytes), MSG_DONTWAIT), AGENT_GREETING);
	assert_int_equal(recv(t.agent_fds[0], bytes, sizeof(bytes), MSG_DONTWAIT), 0);
}

/* A pass is short, with any number of ports of which none answers.  One of many passes must be: the
 * machine may be busy. */
static void a_pass_of_a_search_is_short(void **state)
{
	struct fixture *f = *state;
	struct vm vm = start_with_agent(f);
	struct vmm_ports s;
	struct error e = { 0 };
	uint64_t took = UINT64_MAX, end = clock_boot_ns() + PATIENCE_NS;
	int fd = -1;

	f->c.config.agent_ports = 16;
	while (took > 200 * 1000000u && clock_boot_ns() < end) {
		uint64_t since = clock_boot_ns();
		vmm_ports_init(&s);
		assert_int_equal(vmm_port_take(&f->c, &vm, &s, &fd, &e), 0);
		took = clock_boot_ns() - since;
		assert_true(vmm_ports_open(&s)); /* one of 16 has a socket, and is found */
		vmm_ports_close(&s);
	}
	assert_true(took <= 200 * 1000000u);
}

/* A port may still hold the start of an earlier connection of the same search: the nonces differ,
 * and the client gets that of its own connection. */
static void each_connection_of_a_search_has_its_nonce(void **state)
{
	struct fixture *f = *state;
	struct vm vm = start_with_agent(f);
	uint8_t got[2][AGENT_GREETING];
	struct error e = { 0 };
	struct vmm_ports s;
	int fd = -1, r = 0;

	t.agent_waits = true;
	vmm_ports_init(&s);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(vmm_port_take(&f->c, &vm, &s, &fd, &e), 0);
		agent_turn();
		assert_int_equal(recv(t.agent_fds[i], got[i], sizeof(got[i]), MSG_WAITALL),
				 AGENT_GREETING);
		if (i == 0)
			vmm_ports_close(&s);
	}
	assert_memory_not_equal(got[0], got[1], AGENT_GREETING);
	assert_int_equal(write(t.agent_fds[1], "x", 1), 1);
	for (int i = 0; i < 100 && r == 0; i++)
		r = vmm_port_take(&f->c, &vm, &s, &fd, &e);
	assert_int_equal(r, 1);
	assert_memory_equal(s.nonce, got[1] + AGENT_MARK_LEN, AGENT_NONCE);
	(void)close(fd);
	vmm_ports_close(&s);
}

/* An agent that answers at once, and keeps what it is sent behind the greeting. */
static void *agent_that_is_asked(void *arg)
{
	uint8_t greeting[AGENT_GREETING];
	struct pollfd p = { t.agent, POLLIN, 0 };
	bool *asked = arg;

	while (!*asked && poll(&p, 1, 60000) == 1) {
		uint8_t frame[AGENT_HEAD + 4];
		int fd = accept4(t.agent, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		if (recv(fd, greeting, sizeof(greeting), MSG_WAITALL) == sizeof(greeting) &&
		    send(fd, "x", 1, MSG_NOSIGNAL) == 1 &&
		    recv(fd, frame, sizeof(frame), MSG_WAITALL) == sizeof(frame))
			*asked = frame[0] == AGENT_END && agent_u32(frame + AGENT_HEAD) == 4321;
		(void)close(fd);
	}
	return NULL;
}

static void an_agent_is_asked_to_end_its_guest(void **state)
{
	struct fixture *f = *state;
	struct vm vm = start_with_agent(f);
	uint64_t end = clock_boot_ns() + PATIENCE_NS;
	bool asked = false;
	pthread_t agent;
	int fd = -1;

	assert_int_equal(pthread_create(&agent, NULL, agent_that_is_asked, &asked), 0);
	while (fd < 0 && clock_boot_ns() < end)
		fd = vmm_port_end(&f->c, &vm, 4321);
	(void)pthread_join(agent, NULL);
	assert_true(fd >= 0);
	assert_true(asked);
	(void)close(fd);
	f->c.config.agent_ports = 0;
	assert_int_equal(vmm_port_end(&f->c, &vm, 4321), -1);
}

struct obedient_agent {
	struct fixture *f;
	uint32_t slot, grace_ms; /* grace_ms: out: the time that the guest's init has */
};

/* An agent that ends its guest when it is asked to; it has a minute for that. */
static void *agent_that_obeys(void *arg)
{
	struct obedient_agent *o = arg;
	uint8_t bytes[AGENT_GREETING], frame[AGENT_HEAD + 4];
	struct pollfd p = { t.agent, POLLIN, 0 };

	while (!o->grace_ms && poll(&p, 1, 60000) == 1) {
		int fd = accept4(t.agent, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		if (recv(fd, bytes, sizeof(bytes), MSG_WAITALL) == sizeof(bytes) &&
		    send(fd, "x", 1, MSG_NOSIGNAL) == 1 &&
		    recv(fd, frame, sizeof(frame), MSG_WAITALL) == sizeof(frame) &&
		    frame[0] == AGENT_END) {
			o->grace_ms = agent_u32(frame + AGENT_HEAD);
			fake_helper_vmm_exit(o->f->fake, o->slot);
		}
		(void)close(fd);
	}
	return NULL;
}

/* The guest does not mind its button. */
static void a_drain_asks_the_agents(void **state)
{
	struct fixture *f = *state;
	struct vm vm = start_with_agent(f);
	struct obedient_agent agent = { .f = f, .slot = vm.slot };
	struct error e = { 0 };
	struct drained d;
	pthread_t thread;

	host.guest_obeys = false;
	assert_int_equal(pthread_create(&thread, NULL, agent_that_obeys, &agent), 0);
	assert_int_equal(host_drain(&f->c, 60000, &d, &e), 0);
	(void)pthread_join(thread, NULL);
	assert_in_range(agent.grace_ms, 1, 57500);
	assert_int_equal(d.vms * 100 + d.killed * 10 + d.left, 100);
	assert_nothing_left(f, "web", VM_STOPPED);
}

/* One port on which no monitor listens does not end the search. */
static void a_refused_port_is_passed_over(void **state)
{
	struct fixture *f = *state;
	struct vm vm = start_with_agent(f);
	struct sockaddr_un a = port_address(f, &vm, 1);
	int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = -1, r = 0;
	struct error e = { 0 };
	struct vmm_ports s;

	assert_int_equal(bind(dead, (struct sockaddr *)&a, sizeof(a)), 0);
	(void)close(dead);
	f->c.config.agent_ports = 2;
	f->c.next_port = 1;
	vmm_ports_init(&s);
	for (int i = 0; i < 100 && r == 0; i++) {
		r = vmm_port_take(&f->c, &vm, &s, &fd, &e);
		agent_turn();
	}
	assert_int_equal(r, 1);
	(void)close(fd);
	vmm_ports_close(&s);
}

static void assert_no_port(struct ctl *c, const struct vm *vm, const char *why, const char *hint)
{
	struct error e = { 0 };
	struct vmm_ports s;
	int fd = -1;

	vmm_ports_init(&s);
	assert_int_equal(vmm_port_take(c, vm, &s, &fd, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_non_null(strstr(e.why, why));
	assert_non_null(strstr(e.hint, hint));
	assert_non_null(strstr(e.hint, "--ssh"));
}

/* A restart gives ports to a VM that was started without them, and to no other. */
static void a_vm_without_ports_says_why(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", false);

	must_start(f, "web");
	vm = row(f, "web");
	f->c.config.agent_ports = 2;
	assert_no_port(&f->c, &vm, "it was started without ports", "restart it");
	f->c.config.agent_ports = 0;
	assert_no_port(&f->c, &vm, "this host", "agent_ports");
	vm.runtime.vmm = VMM_FIRECRACKER;
	assert_no_port(&f->c, &vm, "this host", "agent_ports");
	f->c.config.agent_ports = 2;
	assert_no_port(&f->c, &vm, "it was started without ports", "restart it");
}

/* Firecracker's one socket: the first line names the guest's port.  The connection is closed while
 * nothing listens in the guest, and made again. */
static void a_search_by_vsock_names_the_port_and_comes_again(void **state)
{
	struct fixture *f = *state;
	struct vm vm = start_with_agent(f);
	struct sockaddr_un was = port_address(f, &vm, 0), a = was;
	const char line[] = "CONNECT 1023\n";
	char got[64];
	struct error e = { 0 };
	struct vmm_ports s;
	int fd = -1, r = 0;

	memcpy(strrchr(a.sun_path, '/'), "/vsock", sizeof("/vsock"));
	assert_int_equal(rename(was.sun_path, a.sun_path), 0);
	f->c.config.agent_ports = 4;
	vm.runtime.vmm = VMM_FIRECRACKER;
	t.agent_waits = true;
	vmm_ports_init(&s);
	assert_int_equal(vmm_port_take(&f->c, &vm, &s, &fd, &e), 0);
	agent_turn();
	agent_turn();
	assert_int_equal(t.agent_conns, 1);
	(void)close(t.agent_fds[0]);
	assert_int_equal(vmm_port_take(&f->c, &vm, &s, &fd, &e), 0);
	agent_turn();
	assert_int_equal(t.agent_conns, 2);
	assert_int_equal(recv(t.agent_fds[1], got, sizeof(got), 0), strlen(line) + AGENT_GREETING);
	assert_memory_equal(got, line, strlen(line));
	assert_memory_equal(got + strlen(line), AGENT_MARK, AGENT_MARK_LEN);
	assert_int_equal(write(t.agent_fds[1], "OK 7\n", 5), 5);
	for (int i = 0; i < 100 && r == 0; i++)
		r = vmm_port_take(&f->c, &vm, &s, &fd, &e);
	assert_int_equal(r, 1);
	assert_memory_equal(s.nonce, got + strlen(line) + AGENT_MARK_LEN, AGENT_NONCE);
	(void)close(fd);
	t.agent_fds[0] = t.agent_fds[1];
	t.agent_conns = 1;
	vmm_ports_close(&s);
}

/* An agent that never answers: the error names ssh. */
static void a_late_agent_names_ssh(void **state)
{
	struct control c = client(OWNER);
	union control_body web = about("web");
	struct message m;

	(void)start_with_agent(*state);
	t.agent_waits = true;
	web.vm_agent.timeout_ms = 100;
	say(&c, CALL_VM_AGENT, &web);
	assert_int_equal(hear(&c, CALL_VM_AGENT, &m), 1);
	assert_int_equal(m.error.code, FAIL_TIMEOUT);
	assert_non_null(strstr(m.error.hint, "--ssh"));
	control_close(&c);
}

/* The log names user, VM and operation of a session. */
static void a_session_leaves_a_line(void **state)
{
	struct control c = client(OWNER);
	char line[512] = "";
	struct message m;
	int log[2];

	(void)start_with_agent(*state);
	assert_int_equal(pipe2(log, O_CLOEXEC | O_NONBLOCK), 0);
	_cleanup_close_ int was = fcntl(2, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(dup2(log[1], 2), 2);
	say_agent(&c);
	int r = hear(&c, CALL_VM_AGENT, &m);
	(void)dup2(was, 2);
	assert_int_equal(r, 1);
	assert_true(read(log[0], line, sizeof(line) - 1) > 0);
	assert_non_null(strstr(line, "web: uid 1001 gets a session"));
	assert_non_null(strstr(line, "(op "));
	(void)close(log[0]);
	(void)close(log[1]);
	control_close(&c);
}

/* A search of more ports than it has places tries each of them. */
static void a_search_tries_all_ports(void **state)
{
	struct fixture *f = *state;
	struct vm vm = start_with_agent(f);
	struct error e = { 0 };
	struct vmm_ports s;
	int fd = -1, r = 0;

	f->c.config.agent_ports = AGENT_PORTS_MAX;
	for (uint32_t first = 0; first < AGENT_PORTS_MAX; first++, r = 0) {
		f->c.next_port = first;
		vmm_ports_init(&s);
		for (int i = 0; i < 2 * AGENT_PORTS_MAX && r == 0; i++) {
			r = vmm_port_take(&f->c, &vm, &s, &fd, &e);
			agent_turn();
		}
		assert_int_equal(r, 1);
		(void)close(fd);
		vmm_ports_close(&s);
	}
}

/* The slot of a VM may be given to another user while a search waits for the answer of its agent:
 * no connection to that VM is handed out. */
static void a_port_of_a_vm_that_has_ended_is_not_handed_out(void **state)
{
	struct control c = client(OWNER);
	struct message m;

	struct vm vm = start_with_agent(*state);
	vm.state = VM_STOPPED;
	t.agent_vm = &vm;
	say_agent(&c);
	assert_int_equal(hear(&c, CALL_VM_AGENT, &m), 1);
	assert_int_equal(m.kind, MSG_ERROR);
	assert_int_equal(m.error.code, FAIL_STATE);
	assert_int_equal(c.nfds, 0);
	control_close(&c);
}

/* Return: the first of @n connections that has an answer, or @n. */
static size_t answered_one(const struct control *c, size_t n)
{
	char byte;
	size_t i = 0;

	while (i < n && recv(c[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
		i++;
	return i;
}

/* A user's unread answers are as many as the shares of the workers: further requests wait. */
static void a_users_unread_descriptors_are_few(void **state)
{
	struct control many[2 * API_WORKERS_PER_UID];
	struct message m;

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = client(OWNER);
	struct control other = client(OWNER);
	(void)start_with_agent(*state);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		say_agent(&many[i]);
	RUN_UNTIL(unread() == API_WORKERS_PER_UID);
	run_for(300);
	assert_int_equal(unread(), API_WORKERS_PER_UID);
	assert_int_equal(ask(&other, CALL_VERSION, NULL).kind, MSG_RESULT);
	/* In any order: a request whose port did not answer at once is behind the others. */
	for (size_t heard = 0; heard < ARRAY_SIZE(many); heard++) {
		size_t i = 0;
		RUN_UNTIL((i = answered_one(many, ARRAY_SIZE(many))) < ARRAY_SIZE(many));
		assert_int_equal(hear(&many[i], CALL_VM_AGENT, &m), 1);
		assert_int_equal(m.kind, MSG_RESULT);
		control_close(&many[i]);
		many[i].fd = -1;
	}
	control_close(&other);
}

/* ---- connections that hold a VM ---- */

static bool is_there(struct fixture *f, const char *name)
{
	struct error e = { 0 };
	struct vm vm;

	return db_vm_find(f->c.db, &f->caller, name, &vm, &e) == 0;
}

/* Create "web" with a hold, on the connection @c. */
static void create_held(struct control *c, enum hold hold)
{
	union control_body b = args_of(CALL_VM_CREATE);

	b.vm_create.hold = hold;
	assert_int_equal(ask(c, CALL_VM_CREATE, &b).kind, MSG_RESULT);
}

static struct message ask_hold(struct control *c, enum hold hold)
{
	union control_body b = { .vm_hold = { .hold = hold } };

	COPY(b.vm_hold.vm, "web");
	return ask(c, CALL_VM_HOLD, &b);
}

/* Assert that the VM ends with the connection @c, as @hold says. */
static void assert_ends_with(struct fixture *f, struct control *c, enum hold hold)
{
	control_close(c);
	if (hold == HOLD_DELETE) {
		RUN_UNTIL(!is_there(f, "web"));
		return;
	}
	RUN_UNTIL(row(f, "web").state != VM_RUNNING && row(f, "web").state != VM_STOPPING &&
		  row(f, "web").hold == HOLD_NONE);
	RUN_UNTIL(!vm_lock_is_taken(f->c.vm_locks, row(f, "web").id));
	assert_int_equal(row(f, "web").wanted, false);
}

static void the_end_of_the_holder_ends_the_vm(void **state)
{
	struct fixture *f = *state;

	for (enum hold h = HOLD_STOP; h <= HOLD_DELETE; h++)
		for (int runs = 0; runs < 2; runs++) {
			bring_to(f, false, false);
			struct control c = client(OWNER);
			create_held(&c, h);
			assert_int_equal(row(f, "web").hold, h);
			if (runs)
				must_start(f, "web");
			run_for(20);
			assert_string_equal(state_of(f), runs ? "running" : "created");
			assert_ends_with(f, &c, h);
			if (h == HOLD_STOP)
				assert_nothing_left(f, "web", runs ? VM_STOPPED : VM_CREATED);
			if (h == HOLD_STOP && runs)
				assert_string_equal(row(f, "web").reason,
						    "the command that held it ended");
		}
	RUN_UNTIL(t.api->n_conns == 0);
	assert_int_equal(hold_count(f->c.holds), 0);
}

/* A guest that ignores the power button has a second, not the ten of a stop. */
static void a_guest_that_is_deaf_ends_all_the_same(void **state)
{
	struct control c = client(OWNER);

	host.guest_obeys = false;
	create_held(&c, HOLD_STOP);
	must_start(*state, "web");
	assert_ends_with(*state, &c, HOLD_STOP);
	assert_true(__atomic_load_n(&host.shutdowns, __ATOMIC_RELAXED) > 0);
	assert_nothing_left(*state, "web", VM_STOPPED);
}

/* A stop that another client has asked for keeps the time that it gave to the guest, and so does a
 * drain. */
static void the_end_of_the_holder_does_not_cut_a_stop(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER), stopper = client(OWNER);
	union control_body b = about("web");
	struct message m;

	host.guest_obeys = false;
	create_held(&c, HOLD_STOP);
	must_start(f, "web");
	const struct vm vm = row(f, "web");
	b.vm_stop.timeout_ms = 3600000;
	say(&stopper, CALL_VM_STOP, &b);
	RUN_UNTIL(__atomic_load_n(&host.shutdowns, __ATOMIC_RELAXED) > 0);
	control_close(&c);
	RUN_UNTIL(t.api->n_conns == 1);
	assert_int_equal(vm_end_unheld(&f->c, vm.id), 1);
	assert_int_equal(row(f, "web").state, VM_STOPPING);
	fake_helper_vmm_exit(f->fake, vm.slot);
	assert_int_equal(hear(&stopper, CALL_VM_STOP, &m), 1);
	assert_false(m.body.res_vm_stop.forced);
	RUN_UNTIL(row(f, "web").hold == HOLD_NONE);
	control_close(&stopper);

	c = client(OWNER);
	assert_int_equal(ask_hold(&c, HOLD_STOP).kind, MSG_RESULT);
	must_start(f, "web");
	f->c.draining = true;
	assert_int_equal(vm_end_unheld(&f->c, vm.id), 1);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
	f->c.draining = false;
	assert_ends_with(f, &c, HOLD_STOP);
}

/* A volume of the owner's, with its file. */
static void add_volume(struct fixture *f, const char *name)
{
	struct artifact v = { .type = ARTIFACT_VOLUME, .owner = OWNER, .size = 1 << 20 };
	struct error e = { 0 };
	char path[256];

	(void)snprintf(v.name, sizeof(v.name), "%s", name);
	memset(v.digest, '1', 64);
	assert_int_equal(db_artifact_add(f->c.db, &v, 8, &e), 0);
	path_volume(&f->c.config, v.digest, path);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
}

/* The volume stays, so a deletion has its time too: the command in the guest, and with it the
 * holder, ends when the deletion powers the guest off. */
static void the_end_of_the_holder_does_not_cut_a_delete_that_waits_for_a_volume(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER), deleter = client(OWNER);
	union control_body b = args_of(CALL_VM_CREATE), web = about("web");
	struct message m;

	host.files = true; /* the slots have folders */
	host.guest_obeys = false;
	add_volume(f, "data");
	b.vm_create.hold = HOLD_DELETE;
	COPY(b.vm_create.volumes, "data:/srv");
	assert_int_equal(ask(&c, CALL_VM_CREATE, &b).kind, MSG_RESULT);
	must_start(f, "web");
	const struct vm vm = row(f, "web");
	say(&deleter, CALL_VM_DELETE, &web);
	RUN_UNTIL(__atomic_load_n(&host.shutdowns, __ATOMIC_RELAXED) > 0);
	control_close(&c);
	RUN_UNTIL(t.api->n_conns == 1);
	assert_int_equal(vm_end_unheld(&f->c, vm.id), 1);
	assert_int_equal(row(f, "web").state, VM_STOPPING);
	fake_helper_vmm_exit(f->fake, vm.slot);
	assert_int_equal(hear(&deleter, CALL_VM_DELETE, &m), 1);
	assert_false(is_there(f, "web"));
	control_close(&deleter);

	c = client(OWNER);
	assert_int_equal(ask(&c, CALL_VM_CREATE, &b).kind, MSG_RESULT);
	must_start(f, "web");
	f->c.draining = true;
	assert_int_equal(vm_end_unheld(&f->c, row(f, "web").id), 1);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
	f->c.draining = false;
	assert_ends_with(f, &c, HOLD_DELETE);
}

static void a_vm_has_one_holder_and_it_is_its_owners(void **state)
{
	struct fixture *f = *state;
	struct control first = client(OWNER), second = client(OWNER), other = client(OTHER);

	create_held(&first, HOLD_DELETE);
	must_start(f, "web");
	assert_int_equal(ask_hold(&other, HOLD_DELETE).error.code, FAIL_NOT_FOUND);
	assert_int_equal(ask_hold(&second, HOLD_DELETE).error.code, FAIL_STATE);
	assert_int_equal(ask_hold(&second, HOLD_NONE).error.code, FAIL_STATE);
	control_close(&second);
	control_close(&other);
	run_for(50);
	assert_string_equal(state_of(f), "running");
	assert_int_equal(row(f, "web").hold, HOLD_DELETE);
	assert_int_equal(ask_hold(&first, HOLD_STOP).kind, MSG_RESULT);
	assert_int_equal(row(f, "web").hold, HOLD_STOP);
	assert_ends_with(f, &first, HOLD_STOP);
}

static void a_vm_that_was_let_go_goes_on(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);

	create_held(&c, HOLD_DELETE);
	must_start(f, "web");
	assert_int_equal(ask_hold(&c, HOLD_NONE).kind, MSG_RESULT);
	assert_int_equal(row(f, "web").hold, HOLD_NONE);
	control_close(&c);
	RUN_UNTIL(t.api->n_conns == 0);
	run_for(50);
	assert_string_equal(state_of(f), "running");
	c = client(OWNER); /* a VM that never was held can be */
	assert_int_equal(ask_hold(&c, HOLD_DELETE).kind, MSG_RESULT);
	assert_ends_with(f, &c, HOLD_DELETE);
}

/* The holder goes while it is served: its create is finished first, another client's start is
 * interrupted. */
static void a_holder_may_go_at_any_time(void **state)
{
	struct fixture *f = *state;
	union control_body b = args_of(CALL_VM_CREATE), web = about("web");

	for (unsigned stages = 0; stages < 4; stages++) {
		bring_to(f, false, false);
		struct control c = client(OWNER);
		b.vm_create.hold = HOLD_DELETE;
		say(&c, CALL_VM_CREATE, &b);
		RUN_UNTIL(t.api->conns && t.api->conns->state != READING);
		if (stages)
			(void)hear_stages(&c, CALL_VM_CREATE, stages);
		control_close(&c);
		RUN_UNTIL(t.api->n_conns == 0 && !is_there(f, "web"));
	}
	host.boot_waits = true;
	struct control c = client(OWNER), starter = client(OWNER);
	struct message m;
	create_held(&c, HOLD_DELETE);
	say(&starter, CALL_VM_START, &web);
	RUN_UNTIL(__atomic_load_n(&host.boots, __ATOMIC_RELAXED) > 0);
	assert_ends_with(f, &c, HOLD_DELETE);
	assert_int_equal(hear(&starter, CALL_VM_START, &m), 1);
	assert_int_equal(m.error.code, FAIL_STATE);
	control_close(&starter);
}

/* A holder may be silent for as long as the VM is there, and is not closed for another user. */
static void a_holder_rests_for_as_long_as_it_holds(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	struct control c = client(OWNER), more = client(OWNER);

	create_held(&c, HOLD_DELETE);
	RUN_UNTIL(t.api->conns->state == READING && t.api->conns->next->state == READING);
	for (struct conn *conn = t.api->conns; conn; conn = conn->next)
		conn->due_ns = 1;
	assert_true(is_closed(&more));
	RUN_UNTIL(t.api->n_conns == 1);
	run_for(50);
	assert_int_equal(t.api->n_conns, 1);
	struct control two = client(OWNER), three = client(OWNER);
	assert_non_null(to_give_up(t.api, OTHER));
	assert_false(hold_has(f->c.holds, to_give_up(t.api, OTHER)->x.connection));
	control_close(&two);
	control_close(&three);
	RUN_UNTIL(t.api->n_conns == 1);
	assert_int_equal(vm_delete(&f->c, &o, "web", &e), 0);
	assert_int_equal(hold_count(f->c.holds), 0);
	t.api->conns->due_ns = 1;
	assert_true(is_closed(&c));
	control_close(&c);
	control_close(&more);
}

/* After a restart of the controller the table is empty, and the rows have their holds. */
static void a_holder_may_come_back_within_the_grace(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);

	f->c.idle = idle_open();
	struct housekeeping *k = housekeeping_open(&f->c);
	create_held(&c, HOLD_DELETE);
	must_start(f, "web");
	(void)ask_hold(&c, HOLD_NONE);
	struct vm vm = row(f, "web");
	struct error e = { 0 };
	vm.hold = HOLD_DELETE;
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0); /* as the last controller left it */
	f->c.config.hold_grace_s = 3600;
	housekeeping_pass(k, clock_boot_ns());
	run_for(50);
	assert_string_equal(state_of(f), "running");
	assert_int_equal(ask_hold(&c, HOLD_DELETE).kind, MSG_RESULT);
	assert_int_equal(hold_count(f->c.holds), 1);
	housekeeping_pass(k, clock_boot_ns() + 7200 * 1000000000ull);
	run_for(50);
	assert_string_equal(state_of(f), "running");
	hold_forget(f->c.holds, &vm); /* once more; and this time it does not come back */
	f->c.config.hold_grace_s = 0;
	housekeeping_pass(k, clock_boot_ns());
	RUN_UNTIL(!is_there(f, "web"));
	control_close(&c);
	/* The end is a job of a worker, which must not outlive the schedule. */
	workers_stop(f->c.workers);
	f->c.workers = workers_start(&f->c);
	housekeeping_close(k);
	idle_close(f->c.idle);
	f->c.idle = NULL;
}

/* A deletion that fails is tried again, and the row keeps the hold until then. */
static void an_end_that_fails_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);

	create_held(&c, HOLD_DELETE);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	host.remove_fails = true;
	control_close(&c);
	RUN_UNTIL(row(f, "web").state == VM_FAILED);
	RUN_UNTIL(!vm_lock_is_taken(f->c.vm_locks, vm.id));
	assert_int_equal(row(f, "web").hold, HOLD_DELETE);
	host.remove_fails = false;
	run_for(20); /* the job gives the entry back */
	hold_set(f->c.holds, &vm, 1000000);
	hold_lost(f->c.holds, 1000000); /* it is due at once, not after RETRY_S */
	RUN_UNTIL(!is_there(f, "web"));
}

/* A VM that gets a holder, and loses it again, while a worker decides about it. */
static void a_loss_during_a_decision_is_not_lost(void **state)
{
	struct holds *h = holds_open();
	const struct vm vm = { .id = { 1 }, .slot = 2, .hold = HOLD_STOP };

	(void)state;
	assert_null(hold_due(h, UINT64_MAX));
	hold_note(h, &vm, 100);
	assert_null(hold_due(h, 99));
	struct held *s = hold_due(h, 100);
	assert_non_null(s);
	assert_memory_equal(hold_id(s), vm.id, ID_LEN);
	assert_null(hold_due(h, UINT64_MAX)); /* busy */
	hold_set(h, &vm, 5);
	hold_done(h, s, 0);
	assert_int_equal(hold_holder(h, &vm), 5);
	hold_note(h, &vm, 100); /* it has a holder */
	assert_null(hold_due(h, UINT64_MAX));
	hold_lost(h, 5);
	s = hold_due(h, clock_boot_ns());
	assert_non_null(s);
	hold_set(h, &vm, 6);
	hold_lost(h, 6);
	hold_done(h, s, 0);
	s = hold_due(h, clock_boot_ns());
	assert_non_null(s);
	hold_done(h, s, UINT64_MAX); /* failed: again, later */
	assert_null(hold_due(h, clock_boot_ns()));
	s = hold_due(h, UINT64_MAX);
	assert_non_null(s);
	hold_done(h, s, 0);
	assert_null(hold_due(h, UINT64_MAX));
	holds_close(h);
}

/* A holder is no command of its user's: its connection comes on top of theirs. */
static void holders_take_no_place_of_their_users_commands(void **state)
{
	static struct control many[API_CONNECTIONS_PER_UID];
	struct fixture *f = *state;
	struct control holder = client(OWNER);

	create_held(&holder, HOLD_DELETE);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = client(OWNER);
	assert_int_equal(t.api->n_conns, API_CONNECTIONS_PER_UID + 1);
	assert_int_equal(ask(&many[API_CONNECTIONS_PER_UID - 1], CALL_VERSION, NULL).kind,
			 MSG_RESULT);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		control_close(&many[i]);
	assert_ends_with(f, &holder, HOLD_DELETE);
}

/* A holder that has asked within the grace has come back in time, however long its request waits
 * for a worker or for the VM. */
static void a_holder_that_asks_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	union control_body b = { .vm_hold = { .hold = HOLD_DELETE } };
	atomic_bool *cancelled;
	struct error e = { 0 };

	create_held(&c, HOLD_DELETE);
	(void)ask_hold(&c, HOLD_NONE);
	/* The worker gives the connection back after the answer: else it would pass for the next
	 * request, which is asked for below. */
	RUN_UNTIL(t.api->conns->state == READING);
	struct vm vm = row(f, "web");
	vm.hold = HOLD_DELETE;
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0); /* as the last controller left it */
	vm_lock_take(f->c.vm_locks, vm.id, VM_LOCK_WAIT, &cancelled);
	COPY(b.vm_hold.vm, "web");
	say(&c, CALL_VM_HOLD, &b);
	RUN_UNTIL(t.api->conns->state == RUNNING);
	hold_note(f->c.holds, &vm, 1);
	assert_null(hold_due(f->c.holds, UINT64_MAX));
	vm_lock_give(f->c.vm_locks, vm.id);
	RUN_UNTIL(hold_count(f->c.holds) == 1);
	/* The grace of a user who does not ask ends, as a hold that is lost does at once. */
	RUN_UNTIL(t.api->conns->state == READING);
	hold_forget(f->c.holds, &vm);
	hold_note(f->c.holds, &vm, clock_boot_ns() + 3600000000000u);
	struct held *s = hold_due(f->c.holds, UINT64_MAX);
	assert_non_null(s);
	hold_done(f->c.holds, s, 0);
	assert_int_equal(ask_hold(&c, HOLD_DELETE).kind, MSG_RESULT);
	assert_ends_with(f, &c, HOLD_DELETE);
}

/* All connections may be slow to close at once, those of the holders too; without a thread of its
 * own a close blocks the main loop. */
static void the_unit_has_tasks_for_all_threads(void **state)
{
	const unsigned long others = 64; /* watch, housekeeping, libraries; roles and supervisor */
	FILE *f = fopen("privhelper/install/banger.service", "r");
	unsigned long tasks = 0;
	char line[256];

	(void)state;
	assert_non_null(f);
	while (!tasks && fgets(line, sizeof(line), f))
		(void)sscanf(line, "TasksMax=%lu", &tasks);
	(void)fclose(f);
	assert_true(tasks >=
		    API_CONNECTIONS_MAX + API_CLOSING_MORE + SLOT_MAX + WORKER_THREADS + others);
}

/* A user may lose the holders of all VMs at once, when a session ends.  Their ends must not take
 * all workers, nor the places in their queue. */
static void many_ends_at_once_leave_workers_for_requests(void **state)
{
	struct holds *h = holds_open();
	struct held *s = NULL, *last = NULL;
	size_t busy = 0;

	(void)state;
	for (uint32_t i = 0; i < SLOT_MAX; i++) {
		const struct vm vm = { .id = { (uint8_t)(i >> 8), (uint8_t)i },
				       .slot = i,
				       .hold = HOLD_STOP };
		hold_note(h, &vm, 1);
	}
	for (; (s = hold_due(h, UINT64_MAX)); busy++)
		last = s;
	assert_int_equal(busy, WORKER_THREADS / 2);
	hold_done(h, last, 0);
	s = hold_due(h, UINT64_MAX);
	assert_non_null(s);
	assert_ptr_not_equal(s, last);
	assert_null(hold_due(h, UINT64_MAX));
	hold_done(h, s, UINT64_MAX - 1);
	assert_non_null(hold_due(h, UINT64_MAX - 2));
	holds_close(h);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, api_setup, api_teardown)

/* ---- readers of disks ---- */

/* Write a file of @size bytes with @word at @at. */
static void put_file(const char *path, off_t size, const char *word, off_t at)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(pwrite(fd, word, strlen(word), at), strlen(word));
}

/* A VM at rest, whose disk is a snapshot: an image and a CoW store. */
static struct vm have_disk(struct fixture *f)
{
	const struct vm vm = create(f, "web", true);
	char path[256];

	path_image(&f->c.config, vm.image_digest, path);
	put_file(path, 1 << 20, "base", 1 << 19);
	path_slot_state(&f->c.config, vm.slot, "", path);
	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	path_slot_state(&f->c.config, vm.slot, "cow", path);
	put_file(path, 1 << 16, "store", 0);
	return vm;
}

static struct message ask_disk(struct control *c)
{
	const union control_body b = about("web");

	return ask(c, CALL_VM_DISK, &b);
}

static struct message ask_part(struct control *c, unsigned part, uint64_t offset, uint64_t end)
{
	union control_body b = about("web");

	b.vm_read.part = part;
	b.vm_read.offset = offset;
	b.vm_read.end = end;
	return ask(c, CALL_VM_READ, &b);
}

static enum fail start_fails(struct fixture *f)
{
	struct error e = { 0 };

	return start(f, "web", NULL, &e) < 0 ? e.code : FAIL_NONE;
}

static enum fail delete_fails(struct fixture *f)
{
	struct operation o = operation(f);
	struct error e = { 0 };

	return vm_delete(&f->c, &o, "web", &e) < 0 ? e.code : FAIL_NONE;
}

static void a_reader_reads_the_parts_of_a_disk(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);

	(void)have_disk(f);
	const struct vm vm = row(f, "web");
	const struct res_vm_disk d = ask_disk(&c).body.res_vm_disk;
	assert_int_equal(d.size, 1 << 20);
	assert_int_equal(d.store, 1 << 16);
	assert_string_equal(d.image, "debian");
	assert_string_equal(d.image_digest, vm.image_digest);
	assert_string_equal(d.kernel_digest, vm.kernel_digest);
	const uint64_t word = 1 << 19;
	struct res_vm_read r = ask_part(&c, 0, 4096, word + 4).body.res_vm_read;
	assert_int_equal(r.size, 1 << 20);
	assert_true(r.at <= word);
	assert_int_equal(r.at + r.data.n, word + 4); /* no byte behind the end */
	assert_memory_equal(r.data.v + (word - r.at), "base", 4);
	r = ask_part(&c, 0, 4096, word - 4096).body.res_vm_read; /* a hole */
	assert_int_equal(r.at, word - 4096);
	assert_int_equal(r.data.n, 0);
	r = ask_part(&c, 1, 0, 4096).body.res_vm_read;
	assert_int_equal(r.size, 1 << 16);
	assert_memory_equal(r.data.v, "store", 5);
	r = ask_part(&c, 1, INT64_MAX, INT64_MAX).body.res_vm_read;
	assert_int_equal(r.at, 1 << 16);
	assert_int_equal(r.data.n, 0);
	control_close(&c);
}

/* All pieces of a request fit into the socket's buffer: the worker waits for no client. */
static void a_reader_that_stands_still_keeps_no_worker(void **state)
{
	static char data[1 << 18];
	struct fixture *f = *state;
	struct control c = client(OWNER);
	union control_body b = about("web");
	struct message m;
	char path[256];

	const struct vm vm = have_disk(f);
	memset(data, 'x', sizeof(data));
	path_image(&f->c.config, vm.image_digest, path);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, data, sizeof(data), 0), sizeof(data));
	assert_int_equal(ask_disk(&c).kind, MSG_RESULT);
	RUN_UNTIL(t.api->conns->state == READING); /* its request is over */
	b.vm_read.end = sizeof(data);
	say(&c, CALL_VM_READ, &b);
	RUN_UNTIL(t.api->conns->state != READING);
	/* Nothing is received meanwhile; a send that waits too long would close the connection. */
	RUN_UNTIL(!t.api->conns || t.api->conns->state == READING);
	assert_non_null(t.api->conns);
	t.bytes = 0;
	assert_int_equal(hear(&c, CALL_VM_READ, &m), 1);
	const struct res_vm_read *r = &m.body.res_vm_read;
	assert_int_equal(t.bytes, (API_PIECES - 1) * sizeof(r->data.v));
	assert_int_equal(r->at, t.bytes);
	assert_int_equal(r->data.n, sizeof(r->data.v));
	control_close(&c);
}

static void a_vm_with_a_reader_neither_starts_nor_goes(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER), second = client(OWNER);

	(void)have_disk(f);
	assert_int_equal(ask_disk(&c).kind, MSG_RESULT);
	assert_int_equal(ask_disk(&c).kind, MSG_RESULT); /* once more, by its reader */
	assert_int_equal(start_fails(f), FAIL_STATE);
	assert_int_equal(delete_fails(f), FAIL_STATE);
	assert_int_equal(row(f, "web").state, VM_CREATED);
	assert_int_equal(ask_disk(&second).error.code, FAIL_STATE);
	assert_int_equal(ask_part(&second, 0, 0, 4096).error.code, FAIL_STATE);
	control_close(&second);
	RUN_UNTIL(t.api->n_conns == 1);
	assert_int_equal(start_fails(f), FAIL_STATE); /* the other connection was not the reader */
	control_close(&c);
	RUN_UNTIL(t.api->n_conns == 0);
	must_start(f, "web");
	assert_int_equal(delete_fails(f), FAIL_NONE);
}

/* Root can not delete the VM of a user whose reader never ends: the refusal names the process. */
static void a_reader_is_named_to_those_it_keeps_waiting(void **state)
{
	struct control c = client(OWNER), root = client(0);
	union control_body b = {};
	char process[64];

	const struct vm vm = have_disk(*state);
	assert_int_equal(ask_disk(&c).kind, MSG_RESULT);
	format_id(vm.id, b.vm_delete.vm);
	const struct error e = ask(&root, CALL_VM_DELETE, &b).error;
	assert_int_equal(e.code, FAIL_STATE);
	(void)snprintf(process, sizeof(process), "end it: process 1 of uid %u", OWNER);
	assert_non_null(strstr(e.hint, process));
	control_close(&root);
	control_close(&c);
	RUN_UNTIL(t.api->n_conns == 0);
}

/* The client goes while its request is served. */
static void a_reader_may_go_at_any_time(void **state)
{
	struct fixture *f = *state;
	const union control_body b = about("web");

	(void)have_disk(f);
	for (int i = 0; i < 20; i++) {
		struct control c = client(OWNER);
		say(&c, CALL_VM_DISK, &b);
		RUN_UNTIL(t.api->conns && t.api->conns->state != READING);
		control_close(&c);
		RUN_UNTIL(t.api->n_conns == 0);
		assert_int_equal(start_fails(f), FAIL_NONE);
		bring_to(f, false, false);
		(void)have_disk(f);
	}
}

static void a_disk_is_read_by_its_owner_and_root(void **state)
{
	struct control other = client(OTHER), root = client(0);
	union control_body b = {};

	const struct vm vm = have_disk(*state);
	format_id(vm.id, b.vm_disk.vm);
	assert_int_equal(ask(&other, CALL_VM_DISK, &b).error.code, FAIL_NOT_FOUND);
	assert_int_equal(ask(&other, CALL_VM_READ, &b).error.code, FAIL_NOT_FOUND);
	assert_int_equal(ask(&root, CALL_VM_DISK, &b).kind, MSG_RESULT);
	assert_int_equal(ask(&root, CALL_VM_READ, &b).kind, MSG_RESULT);
	assert_int_equal(ask(&other, CALL_VM_READ, &b).error.code, FAIL_NOT_FOUND);
	control_close(&other);
	control_close(&root);
}

static void a_disk_that_may_change_is_not_read(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	struct error e = { 0 };

	struct vm vm = have_disk(f);
	assert_int_equal(ask_part(&c, 0, 0, 4096).error.code, FAIL_STATE); /* not before VM_DISK */
	must_start(f, "web");
	assert_string_equal(ask_disk(&c).error.hint, "banger vm stop web");
	vm = row(f, "web");
	vm.state = VM_STOPPED; /* at rest, but its restart policy starts it */
	vm.wanted = true;
	vm.restart = RESTART_ALWAYS;
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	assert_int_equal(ask_disk(&c).error.code, FAIL_STATE);
	vm.state = VM_FAILED;
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	assert_int_equal(ask_disk(&c).error.code, FAIL_STATE);
	vm.state = VM_RUNNING;
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	bring_to(f, false, false);
	control_close(&c);
}

/* The files of a slot may be those of another VM, after a backup of the database. */
static void files_of_another_vm_are_not_read(void **state)
{
	struct fixture *f = *state;
	struct control c = client(OWNER);
	char path[256];

	const struct vm vm = have_disk(f);
	path_slot_state(&f->c.config, vm.slot, STORAGE_OWNER, path);
	put_file(path, 0, "0123456789abcdef0123456789abcdef 1 1\n", 0);
	assert_int_equal(ask_disk(&c).error.code, FAIL_STATE);
	assert_int_equal(start_fails(f), FAIL_STATE); /* for the same reason */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(start_fails(f), FAIL_NONE); /* the refused request made no reader */
	control_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connection_serves_many_requests),
		TEST(users_see_their_own),
		TEST(an_operation_tells_its_stages_and_its_id),
		TEST(descriptors_must_be_as_many_as_the_table_says),
		TEST(a_connection_keeps_its_other_flags),
		TEST(a_malformed_message_drops_that_client_alone),
		TEST(two_requests_at_once_drop_the_client),
		TEST(random_bytes_drop_their_client_alone),
		TEST(a_silent_client_is_dropped_when_its_time_is_over),
		TEST(a_request_in_pieces_is_served),
		TEST(one_user_can_not_take_all_connections),
		TEST(few_users_can_not_take_all_connections),
		TEST(all_users_together_leave_room_for_root),
		TEST(callers_with_the_ids_of_slots_are_refused),
		TEST(without_a_descriptor_a_client_waits),
		TEST(waiting_requests_hold_no_worker),
		TEST(a_wait_ends_with_its_time),
		TEST(a_wait_for_the_agent),
		TEST(a_session_of_the_agent_makes_a_vm_ready),
		TEST(a_wait_for_the_agent_ends_with_its_vm),
		TEST(waits_for_states),
		TEST(a_wait_for_a_state_goes_on_over_a_reboot),
		TEST(a_wait_for_an_exit_sees_a_restart),
		TEST(a_follower_gets_later_output),
		TEST(the_place_of_the_output_is_told),
		TEST(a_follower_that_reads_is_not_given_up),
		TEST(a_part_of_the_output_can_be_asked_for),
		TEST(what_is_typed_goes_to_the_owners_running_vm),
		TEST(a_guest_that_does_not_read_takes_nothing),
		TEST(a_monitors_log_and_metrics_are_asked_for_by_number),
		TEST(a_client_that_goes_leaves_its_start_running),
		TEST(a_client_may_go_at_any_stage),
		TEST(a_client_that_goes_within_its_request_starts_nothing),
		TEST(a_client_that_goes_while_its_request_waits_starts_nothing),
		TEST(a_client_that_goes_ends_its_own_wait),
		TEST(a_client_that_does_not_read_is_given_up),
		TEST(a_client_that_goes_while_a_worker_has_it_is_dropped_later),
		TEST(a_full_queue_is_reported),
		TEST(one_user_can_not_take_all_workers),
		TEST(a_users_starts_and_kills_are_limited),
		TEST(few_users_can_not_take_all_workers),
		TEST(when_most_workers_are_busy_each_user_has_one),
		TEST(imports_are_few_at_a_time),
		TEST(descriptors_that_are_slow_to_close_delay_no_other_client),
		TEST(a_user_whose_descriptors_are_slow_to_close_is_refused),
		TEST(without_a_descriptor_new_clients_wait),
		TEST(a_hundred_clients_that_go_leave_what_they_started),
		TEST(a_connection_stays_while_a_descriptor_is_unread),
		TEST(the_next_request_waits_for_the_descriptor_to_be_received),
		TEST(a_users_unread_descriptors_are_few),
		TEST(a_search_for_a_port_keeps_its_connection),
		TEST(a_search_ends_with_its_client),
		TEST(a_pass_of_a_search_is_short),
		TEST(a_search_tries_all_ports),
		TEST(each_connection_of_a_search_has_its_nonce),
		TEST(a_refused_port_is_passed_over),
		TEST(an_agent_is_asked_to_end_its_guest),
		TEST(a_drain_asks_the_agents),
		TEST(a_vm_without_ports_says_why),
		TEST(a_search_by_vsock_names_the_port_and_comes_again),
		TEST(a_late_agent_names_ssh),
		TEST(a_session_leaves_a_line),
		TEST(a_port_of_a_vm_that_has_ended_is_not_handed_out),
		TEST(the_end_of_the_holder_ends_the_vm),
		TEST(a_guest_that_is_deaf_ends_all_the_same),
		TEST(the_end_of_the_holder_does_not_cut_a_stop),
		TEST(the_end_of_the_holder_does_not_cut_a_delete_that_waits_for_a_volume),
		TEST(a_vm_has_one_holder_and_it_is_its_owners),
		TEST(a_vm_that_was_let_go_goes_on),
		TEST(a_holder_may_go_at_any_time),
		TEST(a_holder_rests_for_as_long_as_it_holds),
		TEST(a_holder_may_come_back_within_the_grace),
		TEST(holders_take_no_place_of_their_users_commands),
		TEST(a_holder_that_asks_is_waited_for),
		cmocka_unit_test(the_unit_has_tasks_for_all_threads),
		TEST(many_ends_at_once_leave_workers_for_requests),
		TEST(an_end_that_fails_is_tried_again),
		TEST(a_loss_during_a_decision_is_not_lost),
		TEST(a_reader_reads_the_parts_of_a_disk),
		TEST(a_reader_that_stands_still_keeps_no_worker),
		TEST(a_vm_with_a_reader_neither_starts_nor_goes),
		TEST(a_reader_may_go_at_any_time),
		TEST(a_disk_is_read_by_its_owner_and_root),
		TEST(a_disk_that_may_change_is_not_read),
		TEST(files_of_another_vm_are_not_read),
		TEST(a_reader_is_named_to_those_it_keeps_waiting),
	};

	return cmocka_run_group_tests_name("ctl_api", tests, NULL, NULL);
}
