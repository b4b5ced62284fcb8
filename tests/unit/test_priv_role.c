/* Tests the checks that a request passes before a handler gets it, with a role that makes
 * nothing. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "privhelper/lockdown.c"
#include "privhelper/role/reqlog.c"
#include "privhelper/role/role.c"

/* The objects that the kernel would show. */
static struct {
	bool there[SLOT_MAX], stays;
	unsigned calls;
	enum status next;
} fake;

static bool fake_holds(struct role *r, uint32_t slot)
{
	(void)r;
	return fake.there[slot];
}

static enum status fake_create(struct role *r, struct call *c)
{
	(void)r;
	fake.calls++;
	if (fake.next == ST_OK)
		fake.there[c->q.slot] = true;
	c->reply.tap_create.ifindex = 1;
	return fake.next;
}

static enum status fake_remove(struct role *r, struct call *c)
{
	(void)r;
	fake.calls++;
	fake.there[c->q.slot] = fake.there[c->q.slot] && fake.stays;
	return ST_OK;
}

static enum status fake_sweep(struct role *r, struct call *c)
{
	(void)c;
	(void)r;
	fake.calls++;
	return ST_OK;
}

static const struct handler handlers[] = {
	{ OP_TAP_CREATE, fake_create }, { OP_GUEST_ALLOW, fake_create },
	{ OP_TAP_RETIRE, fake_remove }, { OP_TAP_SWEEP, fake_sweep },
	{ OP_VMM_KILL, fake_remove },   { 0, NULL },
};

static struct role role;
static struct serve serve;
static char log_path[40];

static int set_up(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&serve, 0, sizeof(serve));
	role = (struct role){
		.id = ROLE_NET,
		.name = "net",
		.handlers = handlers,
		.holds = fake_holds,
		.phase = P_RUN,
		.config = { .slots = 8, .creates_per_second = 1000 },
	};
	serve.role = &role;
	serve.credit_ns = 2 * NSEC;
	serve.refilled_ns = clock_boot_ns();
	strcpy(log_path, "/tmp/banger-role.XXXXXX");
	int fd = mkstemp(log_path);
	char key[] = "/tmp/banger-role.XXXXXX";
	int key_fd = mkstemp(key);
	(void)unlink(key);
	return fd < 0 || reqlog_init(&serve.log, fd, key_fd, "net") < 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)close(serve.log.fd);
	(void)close(serve.log.key_fd);
	return unlink(log_path);
}

static struct request about(enum op_code op, uint32_t slot, uint32_t generation, uint32_t owner)
{
	struct request q = {
		.op = op_find(op), .seq = 1, .slot = slot, .generation = generation, .owner = owner
	};

	q.vm[0] = (uint8_t)(slot + 1);
	q.vm[1] = (uint8_t)generation;
	return q;
}

static struct request about_seq(enum op_code op, uint32_t slot, uint64_t seq)
{
	struct request q = about(op, slot, 1, 1000);

	q.seq = seq;
	return q;
}

static enum status ask(struct request q)
{
	struct call c = { .q = q, .fds_in = { -1, -1, -1, -1 }, .fds_out = { -1, -1, -1, -1 } };

	handle(&serve, &c);
	return c.reply.status;
}

static enum status ask_about(enum op_code op, uint32_t slot, uint32_t generation, uint32_t owner)
{
	return ask(about(op, slot, generation, owner));
}

static void another_owner_or_vm_is_denied(void **state)
{
	struct request q = about(OP_TAP_RETIRE, 1, 1, 1000);

	(void)state;
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 1, 1000), ST_OK);
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 1, 1000), ST_OK);
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 1, 1001), ST_DENIED);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 1, 1, 1001), ST_DENIED);
	q.vm[0] ^= 1;
	assert_int_equal(ask(q), ST_DENIED);
	assert_int_equal(fake.calls, 2);
	assert_true(fake.there[1]);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 1, 1, 1000), ST_OK);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 1, 1, 1000), ST_OK);
}

static void another_generation_is_denied(void **state)
{
	(void)state;
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 5, 1000), ST_OK);
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 4, 1000), ST_DENIED);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 1, 4, 1000), ST_DENIED);
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 6, 1000), ST_BUSY);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 1, 6, 1000), ST_DENIED);
	assert_true(fake.there[1]);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 1, 5, 1000), ST_OK);
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 6, 1001), ST_OK);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 1, 5, 1000), ST_DENIED);
	assert_true(fake.there[1]);
}

/* A request without a VM says nothing about the VM in slot 0. */
static void a_sweep_changes_no_slot(void **state)
{
	(void)state;
	fake.there[0] = true;
	assert_int_equal(ask((struct request){ .op = op_find(OP_TAP_SWEEP), .seq = 1 }), ST_OK);
	assert_int_equal(fake.calls, 1);
	assert_false(role.ledger[0].live);
}

/* The role does not know the slot: a release is harmless and must work, a create makes the slot
 * known. */
static void an_unknown_slot_can_be_released_and_made_known(void **state)
{
	(void)state;
	assert_int_equal(ask_about(OP_TAP_RETIRE, 3, 9, 1000), ST_OK);
	assert_int_equal(role.ledger[3].generation, 0);
	fake.there[4] = true; /* of an unknown VM */
	assert_int_equal(ask_about(OP_TAP_CREATE, 4, 9, 1000), ST_BUSY);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 4, 9, 1000), ST_DENIED);
	assert_int_equal(ask_about(OP_TAP_CREATE, 8, 1, 1000), ST_DENIED); /* config.slots is 8 */
}

static void adopted_slots_have_their_owners(void **state)
{
	(void)state;
	fake.there[2] = fake.there[3] = true;
	role_adopt(&role, 2, 7, 1000);
	role_adopt(&role, 2, 6, 2000);
	role_adopt(&role, 3, 7, OWNER_UNKNOWN);
	role_adopt(&role, SLOT_MAX, 7, 1);
	assert_int_equal(role.ledger[2].owner, 1000);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 2, 7, 2000), ST_DENIED);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 2, 7, 1000), ST_OK);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 3, 7, 4000), ST_OK);
}

/* The role can not check the owner that its peer names; only the number of slots is a limit. */
static void slots_are_the_bound(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(ask_about(OP_TAP_CREATE, i, 1, 1000), ST_OK);
	assert_int_equal(ask_about(OP_TAP_CREATE, 8, 1, 1000), ST_DENIED);
}

/* Send @op @n times.  Return: the bytes that the log grew by. */
static off_t grows(enum op_code op, uint32_t slot, unsigned n)
{
	off_t before = lseek(serve.log.fd, 0, SEEK_END);

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(ask(op == OP_TAP_SWEEP
					     ? (struct request){ .op = op_find(op), .seq = i + 2 }
					     : about_seq(op, slot, i + 2)),
				 ST_OK);
	return lseek(serve.log.fd, 0, SEEK_END) - before;
}

/* Removals of missing objects are always served, and add no more than a burst of lines to the
 * log. */
static void removals_of_nothing_are_bounded(void **state)
{
	const off_t line = 600;

	(void)state;
	serve.log.cheap_ns = 10 * (uint64_t)REQLOG_CHEAP_NS;
	assert_true(grows(OP_TAP_RETIRE, 1, 1000) < (10 + 20) * 2 * line);
	assert_true(grows(OP_TAP_SWEEP, 0, 1000) < 20 * 2 * line);
	assert_true(serve.log.skipped > 1000);
	assert_int_equal(fake.calls, 2000); /* each was done all the same */
}

/* Return: how often @what is in the log. */
static unsigned in_log(const char *what)
{
	char text[4096];
	unsigned n = 0;
	FILE *f = fopen(log_path, "re");

	assert_non_null(f);
	while (fgets(text, sizeof(text), f))
		n += strstr(text, what) != NULL;
	(void)fclose(f);
	return n;
}

/* A VMM beyond the slots, or older than the slot's VM, belongs to no VM.  It can be ended, but
 * nothing else can be done there. */
static void vmms_of_no_vm(void **state)
{
	(void)state;
	fake.there[9] = fake.there[2] = true; /* config.slots is 8 */
	role_adopt(&role, 9, 3, 1000);
	role_adopt(&role, 2, 5, 1000);
	assert_int_equal(ask_about(OP_TAP_CREATE, 9, 3, 1000), ST_DENIED);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 9, 3, 1000), ST_DENIED);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 2, 4, 1000), ST_DENIED);
	assert_int_equal(ask_about(OP_VMM_KILL, 2, 5, 1001), ST_DENIED);
	assert_int_equal(ask_about(OP_VMM_KILL, 2, 6, 1000), ST_DENIED);
	assert_int_equal(fake.calls, 0);
	assert_int_equal(ask_about(OP_VMM_KILL, 9, 3, 1000), ST_OK);
	assert_int_equal(ask_about(OP_VMM_KILL, 2, 4, 1001), ST_OK);
	assert_int_equal(fake.calls, 2);
	assert_int_equal(in_log("\"intent\""), 2);
}

static void no_tokens(void)
{
	serve.log.cheap_ns = 0;
	serve.log.looked_ns = clock_boot_ns();
}

/* In a slot with objects each removal has a record, or is not served.  That holds for any number of
 * removals, and for a full log. */
static void removals_of_something_are_recorded(void **state)
{
	unsigned served = 0;

	(void)state;
	assert_int_equal(ask_about(OP_TAP_CREATE, 2, 1, 1000), ST_OK);
	fake.stays = true;
	no_tokens();
	const uint64_t began = clock_boot_ns();
	for (unsigned i = 0; i < 1000; i++) {
		enum status st = ask(about_seq(OP_TAP_RETIRE, 2, i + 2));
		assert_true(st == ST_OK || st == ST_BUSY);
		served += st == ST_OK;
	}
	assert_in_range(served, REMOVALS_RECORDED,
			REMOVALS_RECORDED + (clock_boot_ns() - began) / REQLOG_CHEAP_NS + 1);
	assert_int_equal(fake.calls, 1 + served);
	assert_int_equal(in_log("\"intent\""), 1 + served);
	assert_int_equal(in_log("\"result\""), 1 + served);
	/* Once there is room again, it is served. */
	fake.stays = false;
	serve.log.cheap_ns = REQLOG_CHEAP_NS;
	assert_int_equal(ask(about_seq(OP_TAP_RETIRE, 2, 2000)), ST_OK);
	assert_int_equal(in_log("\"intent\""), 2 + served);
	/* The slot is empty now: nothing waits. */
	no_tokens();
	assert_int_equal(ask(about_seq(OP_TAP_RETIRE, 2, 2001)), ST_OK);
	assert_int_equal(fake.calls, 3 + served);
}

static void sweep(uint64_t seq)
{
	no_tokens();
	assert_int_equal(ask((struct request){ .op = op_find(OP_TAP_SWEEP), .seq = seq }), ST_OK);
}

/* A sweep may remove retired taps, so it has a record then.  A second sweep removes nothing. */
static void sweeps_of_something_are_recorded(void **state)
{
	(void)state;
	sweep(1); /* what was there before this role came */
	assert_int_equal(in_log("tap_sweep"), 2);
	sweep(2);
	assert_int_equal(in_log("tap_sweep"), 2);
	assert_int_equal(ask_about(OP_TAP_CREATE, 2, 1, 1000), ST_OK);
	assert_int_equal(ask(about_seq(OP_TAP_RETIRE, 2, 4)), ST_OK);
	sweep(5);
	assert_int_equal(in_log("tap_sweep"), 4);
	sweep(6);
	assert_int_equal(in_log("tap_sweep"), 4);
	assert_int_equal(fake.calls, 6); /* each was served */
}

static void creates_are_limited_by_rate(void **state)
{
	unsigned made = 0;

	(void)state;
	role.config.creates_per_second = 1;
	for (int i = 0; i < 20; i++)
		made += ask_about(OP_TAP_CREATE, 1, 1, 1000) == ST_OK;
	assert_int_equal(made, 2);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 1, 1, 1000), ST_OK);
	serve.refilled_ns -= NSEC;
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 1, 1000), ST_OK);
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 1, 1000), ST_LIMIT);
}

static void a_full_log_refuses_creates_alone(void **state)
{
	int good = serve.log.fd;

	(void)state;
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 1, 1000), ST_OK);
	serve.log.fd = open("/dev/full", O_WRONLY);
	assert_true(serve.log.fd >= 0);
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 1, 1000), ST_NOLOG);
	assert_int_equal(fake.calls, 1);
	assert_int_equal(ask_about(OP_TAP_RETIRE, 1, 1, 1000), ST_OK);
	assert_int_equal(fake.calls, 2);
	(void)close(serve.log.fd);
	serve.log.fd = good;
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 1, 1000), ST_OK);
}

/* A failed create counts for nothing. */
static void a_failed_create_makes_no_slot_live(void **state)
{
	(void)state;
	fake.next = ST_KERNEL;
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 1, 1000), ST_KERNEL);
	assert_false(role.ledger[1].live);
	fake.next = ST_OK;
	assert_int_equal(ask_about(OP_TAP_CREATE, 1, 1, 1000), ST_OK);
	assert_true(role.ledger[1].live);
}

/* ---- the shape, over a real socket, in a process that may end ---- */

/* Send @n requests (seq as given) to a role in @phase.  Return: its exit status. */
static int serve_in_child(enum phase phase, const struct request *q, size_t n, int fd)
{
	uint8_t buf[OPS_PACKET_MAX];
	int pair[2], status;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	for (size_t i = 0; i < n; i++) {
		int len = ops_encode_request(&q[i], buf);
		assert_true(len > 0);
		assert_int_equal(fdio_send(pair[0], buf, (size_t)len, &fd, fd >= 0), 0);
	}
	pid_t pid = fork();
	if (pid == 0) {
		static struct packet p;
		role.phase = phase;
		int log = fcntl(serve.log.fd, F_DUPFD, 20), sock = fcntl(pair[1], F_DUPFD, 20),
		    key = fcntl(serve.log.key_fd, F_DUPFD, 20);
		(void)close_range(STDERR_FILENO, 19, 0);
		serve.log.fd = log;
		serve.log.key_fd = key;
		if (dup2(sock, RPC_FD) < 0)
			_exit(99);
		for (size_t i = 0; i < n; i++)
			if (!serve_one(&serve, &p))
				_exit(98);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(pair[0]);
	(void)close(pair[1]);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int serve_one_in_child(enum phase phase, struct request q)
{
	return serve_in_child(phase, &q, 1, -1);
}

static void a_request_outside_its_phase_ends_the_role(void **state)
{
	struct request hello = { .op = op_find(OP_HELLO),
				 .seq = 1,
				 .hello = { .version = OPS_VERSION } };
	struct request ping = { .op = op_find(OP_PING), .seq = 1 };

	(void)state;
	assert_int_equal(serve_one_in_child(P_HELLO, hello), 0);
	assert_int_equal(serve_one_in_child(P_RECONCILE, hello), EXIT_VIOLATION);
	assert_int_equal(serve_one_in_child(P_HELLO, ping), EXIT_VIOLATION);
	assert_int_equal(serve_one_in_child(P_RECONCILE, ping), 0);
	assert_int_equal(serve_one_in_child(P_RECONCILE, about(OP_TAP_CREATE, 1, 1, 1)),
			 EXIT_VIOLATION);
	assert_int_equal(serve_one_in_child(P_RECONCILE, about(OP_TAP_RETIRE, 1, 1, 1)), 0);
	assert_int_equal(serve_one_in_child(P_RUN, about(OP_TAP_CREATE, 1, 1, 1)), 0);
	assert_int_equal(serve_one_in_child(P_RUN, about(OP_VMM_KILL, 1, 1, 1)),
			 EXIT_VIOLATION); /* spawn's */
}

static void a_wrong_number_or_descriptor_ends_the_role(void **state)
{
	struct request q[2] = { { .op = op_find(OP_PING), .seq = 4 },
				{ .op = op_find(OP_PING), .seq = 5 } };

	(void)state;
	assert_int_equal(serve_in_child(P_RUN, q, 2, -1), 0);
	q[1].seq = 4;
	assert_int_equal(serve_in_child(P_RUN, q, 2, -1), EXIT_VIOLATION);
	assert_int_equal(serve_in_child(P_RUN, q, 1, STDIN_FILENO), EXIT_VIOLATION);
}

static void a_violation_is_recorded(void **state)
{
	char text[4096] = "";

	(void)state;
	assert_int_equal(serve_one_in_child(P_RUN, about(OP_VMM_KILL, 1, 1, 1)), EXIT_VIOLATION);
	assert_true(pread(serve.log.fd, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "\"type\":\"violation\""));
	assert_non_null(strstr(text, "\"why\":\"another role's operation\""));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(another_owner_or_vm_is_denied),
		TEST(another_generation_is_denied),
		TEST(an_unknown_slot_can_be_released_and_made_known),
		TEST(a_sweep_changes_no_slot),
		TEST(adopted_slots_have_their_owners),
		TEST(slots_are_the_bound),
		TEST(vmms_of_no_vm),
		TEST(removals_of_nothing_are_bounded),
		TEST(removals_of_something_are_recorded),
		TEST(sweeps_of_something_are_recorded),
		TEST(creates_are_limited_by_rate),
		TEST(a_full_log_refuses_creates_alone),
		TEST(a_failed_create_makes_no_slot_live),
		TEST(a_request_outside_its_phase_ends_the_role),
		TEST(a_wrong_number_or_descriptor_ends_the_role),
		TEST(a_violation_is_recorded),
	};

	log_name("test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
