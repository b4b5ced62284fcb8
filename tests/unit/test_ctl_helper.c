/* Tests the controller's end of the helper protocol, against roles that answer, refuse, lie and
 * die. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/fdio.h"
#include "controller/helper/client.h"
#include "controller/helper/tap_sweep.h"
#include "tests/unit/fake_helper.h"

struct bench {
	struct fake_helper *fake;
	struct helper *h;
	struct tap_sweep *sweep;
};

static const struct vm a_vm = { .slot = 7, .generation = 3, .owner = 1000, .id = { 1, 2, 3 } };
static const struct operation an_op = { .id = { 9 }, .hex = "09" };

static int setup(void **state)
{
	static struct bench b;
	int fds[3];

	b.fake = fake_helper_start(fds);
	b.h = helper_open(fds[0], fds[1], fds[2]);
	b.sweep = tap_sweep_open();
	*state = &b;
	return b.h ? 0 : -1;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	helper_close(b->h);
	tap_sweep_close(b->sweep);
	fake_helper_stop(b->fake);
	return 0;
}

static void to_run(struct bench *b)
{
	struct reply a;

	assert_int_equal(helper_hello(b->h), 0);
	for (enum role_id r = ROLE_NET; r < ROLE_COUNT; r++) {
		struct request q = helper_request(OP_RECONCILE_DONE, NULL, NULL);
		assert_int_equal(helper_call_role(b->h, r, &q, &a), 0);
		assert_int_equal(a.status, ST_OK);
	}
}

/* A role that never answers: the call ends, no later answer is taken for another request's, and the
 * main loop sees the end of the connection.  helper_open() waits for longer than the spawn role
 * waits for its launcher (20 s), so the role ends first and says why. */
static void test_mute_role(void **state)
{
	struct request q = helper_request(OP_PING, NULL, NULL);
	struct timeval t = { 0 };
	socklen_t len = sizeof(t);
	struct reply a;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	struct helper *h = helper_open(pair[0], -1, -1);
	assert_non_null(h);
	assert_int_equal(getsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, &len), 0);
	assert_in_range(t.tv_sec, 25, 60);
	t = (struct timeval){ .tv_usec = 50000 };
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)), 0);
	assert_int_equal(helper_call_role(h, ROLE_NET, &q, &a), -1);
	assert_int_equal(errno, ETIMEDOUT);
	struct pollfd p = { .fd = helper_fd(h, ROLE_NET), .events = POLLRDHUP };
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(helper_call_role(h, ROLE_NET, &q, &a), -1);
	assert_int_equal(errno, EPIPE);
	helper_close(h);
	(void)close(pair[1]);
}

static void test_envelope(void **state)
{
	struct bench *b = *state;
	struct request q = helper_request(OP_TAP_CREATE, &a_vm, &an_op), seen;
	struct reply a;

	to_run(b);
	fake_helper_forget(b->fake);
	assert_int_equal(helper_call(b->h, &q, NULL, &a, NULL), 0);
	assert_int_equal(a.status, ST_OK);
	assert_int_equal(a.tap_create.ifindex, 107);
	assert_true(fake_helper_request(b->fake, 0, &seen));
	assert_int_equal(seen.op->code, OP_TAP_CREATE);
	assert_int_equal(seen.slot, 7);
	assert_int_equal(seen.generation, 3);
	assert_int_equal(seen.owner, 1000);
	assert_memory_equal(seen.vm, a_vm.id, ID_LEN);
	assert_memory_equal(seen.op_id, an_op.id, ID_LEN);
	assert_true(fake_helper_has(b->fake, 7, OBJ_TAP));
	assert_int_equal(fake_helper_violations(b->fake), 0);
}

static void test_status_is_not_an_error(void **state)
{
	struct bench *b = *state;
	struct request q = helper_request(OP_TAP_CREATE, &a_vm, &an_op);
	struct reply a;

	to_run(b);
	fake_helper_fail(b->fake, OP_TAP_CREATE, ST_LIMIT, 1);
	assert_int_equal(helper_call(b->h, &q, NULL, &a, NULL), 0);
	assert_int_equal(a.status, ST_LIMIT);
	assert_int_equal(helper_call(b->h, &q, NULL, &a, NULL), 0);
	assert_int_equal(a.status, ST_OK);
}

static void test_descriptors(void **state)
{
	struct bench *b = *state;
	struct request q = helper_request(OP_VMM_SPAWN, &a_vm, &an_op);
	struct reply a;
	int p[2], pidfd = -1;
	char text[16] = "";

	to_run(b);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	q.vmm_spawn = (struct req_vmm_spawn){ .accel = ACCEL_TCG, .vcpus = 1, .mem_mib = 128 };
	assert_int_equal(helper_call(b->h, &q, NULL, &a, &pidfd),
			 -1); /* its descriptor is missing */
	assert_int_equal(errno, EINVAL);
	assert_int_equal(helper_call(b->h, &q, p, &a, &pidfd), 0);
	assert_int_equal(a.status, ST_OK);
	assert_int_equal(a.vmm_spawn.pid, fake_helper_vmm(b->fake, 7));
	assert_true(pidfd >= 0);
	assert_int_equal(read(p[0], text, sizeof(text) - 1), 11);
	assert_string_equal(text, "fake guest\n");
	fake_helper_vmm_exit(b->fake, 7);
	struct pollfd fd = { .fd = pidfd, .events = POLLIN };
	assert_int_equal(poll(&fd, 1, 5000), 1);
	(void)close(pidfd);

	q = helper_request(OP_VMM_WATCH, &a_vm, &an_op);
	assert_int_equal(helper_call(b->h, &q, NULL, &a, &pidfd), 0);
	assert_int_equal(a.status, ST_ABSENT);
	assert_int_equal(pidfd, -1); /* never a stale number for a caller to close */
	(void)close(p[0]);
	(void)close(p[1]);
}

static void test_kvm_probe(void **state)
{
	struct bench *b = *state;
	struct request q = helper_request(OP_VMM_SPAWN, &a_vm, &an_op);
	struct reply a;
	int p[2], pidfd;
	char answer = 0;

	to_run(b);
	fake_helper_kvm(b->fake, 'y');
	q.vmm_spawn = (struct req_vmm_spawn){
		.vmm = VMM_PROBE, .accel = ACCEL_KVM, .vcpus = 1, .mem_mib = 32
	};
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(helper_call(b->h, &q, p, &a, &pidfd), 0);
	assert_int_equal(a.status, ST_OK);
	assert_int_equal(read(p[0], &answer, 1), 1);
	assert_int_equal(answer, 'y');
	(void)close(pidfd);
	(void)close(p[0]);
	(void)close(p[1]);
}

static void test_list_pages(void **state)
{
	struct bench *b = *state;
	struct reply a;
	size_t seen = 0;
	uint64_t cursor = 0;

	to_run(b);
	for (uint32_t s = 0; s < 40; s++)
		fake_helper_put(b->fake, OBJ_TAP, s, 1, 1000);
	do {
		struct request q = helper_request(OP_LIST, NULL, NULL);
		q.list.cursor = cursor;
		assert_int_equal(helper_call_role(b->h, ROLE_NET, &q, &a), 0);
		seen += a.list.objects.n / LIST_FIELDS;
		cursor = a.list.next;
	} while (cursor);
	assert_int_equal(seen, 40);
}

static void test_wrong_use(void **state)
{
	struct bench *b = *state;
	struct request ping = helper_request(OP_PING, NULL, NULL),
		       tap = helper_request(OP_TAP_CREATE, &a_vm, &an_op);
	struct reply a;

	assert_int_equal(helper_call(b->h, &ping, NULL, &a, NULL), -1); /* which role? */
	assert_int_equal(errno, EINVAL);
	assert_int_equal(helper_call_role(b->h, ROLE_BLK, &tap, &a), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(fake_helper_total(b->fake), 0);
	/* A value out of bounds does not leave the process and does not break the line. */
	struct request q = helper_request(OP_LOOP_DETACH, &a_vm, &an_op);
	q.loop_detach.part = 9;
	assert_int_equal(helper_call(b->h, &q, NULL, &a, NULL), -1);
	assert_int_equal(errno, EINVAL);
	to_run(b);
}

/* After an invalid answer the socket is closed for good: a late answer must not be taken for that
 * to the next request. */
static void refuse(struct bench *b, const void *bytes, size_t n)
{
	struct request q = helper_request(OP_TAP_RETIRE, &a_vm, &an_op);
	struct reply a;

	to_run(b);
	fake_helper_nonsense(b->fake, ROLE_NET, bytes, n);
	assert_int_equal(helper_call(b->h, &q, NULL, &a, NULL), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(helper_call(b->h, &q, NULL, &a, NULL), -1);
	assert_int_equal(errno, EPIPE);
	struct pollfd fd = { .fd = helper_fd(b->h, ROLE_NET), .events = POLLIN };
	assert_int_equal(poll(&fd, 1, 5000), 1); /* which is how the main loop learns of it */
	q = helper_request(OP_SNAPSHOT_REMOVE, &a_vm, &an_op);
	assert_int_equal(helper_call(b->h, &q, NULL, &a, NULL), 0); /* the other roles still work */
}

static void test_garbage(void **state)
{
	refuse(*state, "\xff\xff", 2);
}

static void test_trailing_byte(void **state)
{
	refuse(*state, "\x93\x01\x03\x00\x00", 5);
}

static void test_wrong_seq(void **state)
{
	refuse(*state, "\x93\x01\x07\x00", 4);
}

static void test_death(void **state)
{
	struct bench *b = *state;
	struct request q = helper_request(OP_TAP_RETIRE, &a_vm, &an_op);
	struct reply a;

	to_run(b);
	fake_helper_die(b->fake, ROLE_NET);
	assert_int_equal(helper_call(b->h, &q, NULL, &a, NULL), -1);
	assert_int_equal(errno, EPIPE);
}

static void test_unexpected_descriptor(void **state)
{
	int sv[2], out = -1;
	struct request q = helper_request(OP_TAP_RETIRE, &a_vm, &an_op);
	struct reply a;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	/* The answer arrives before the request: seq 1, ok, with a descriptor that the row does not
	 * have. */
	assert_int_equal(fdio_send(sv[1], "\x93\x01\x01\x00", 4, &sv[1], 1), 0);
	struct helper *h = helper_open(sv[0], -1, -1);
	assert_int_equal(helper_fd(h, ROLE_BLK), -1);
	assert_int_equal(helper_call(h, &q, NULL, &a, &out), -1);
	assert_int_equal(errno, EBADMSG);
	helper_close(h);
	(void)close(sv[1]);
}

static void test_missing_descriptor(void **state)
{
	int sv[2], out = -1;
	struct request q = helper_request(OP_VMM_WATCH, &a_vm, &an_op);
	struct reply a;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(fdio_send(sv[1], "\x95\x01\x01\x00\x02\x00", 6, NULL, 0), 0);
	struct helper *h = helper_open(-1, -1, sv[0]);
	assert_int_equal(helper_call(h, &q, NULL, &a, &out), -1);
	assert_int_equal(errno, EBADMSG);
	helper_close(h);
	(void)close(sv[1]);
}

#define IN_FLIGHT 40
/* of no account, and of this process alone: the kernel counts descriptors in flight by uid */
#define FULL_UID (1000000u + (uid_t)getppid())

/* Send descriptors that are not received until the socket is closed.  Return: 0. */
static int fill_flight(int pair[2])
{
	int fds[FDIO_MAX];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	for (int i = 0; i < FDIO_MAX; i++)
		fds[i] = pair[0];
	for (int i = 0; i < IN_FLIGHT / FDIO_MAX; i++)
		if (fdio_send(pair[0], "x", 1, fds, FDIO_MAX) < 0)
			return -1;
	return 0;
}

/* The child's part: an account without privileges, whose descriptors in flight are more than its
 * limit.  Return: 0, or the number of the step that went wrong. */
static int spawn_with_a_full_flight(struct bench *b, const int fifos[2])
{
	const struct rlimit limit = { IN_FLIGHT / 2, IN_FLIGHT / 2 };
	struct request q = helper_request(OP_VMM_SPAWN, &a_vm, &an_op);
	struct error e = { 0 };
	struct reply a;
	int pair[2], pidfd = -1;

	q.vmm_spawn = (struct req_vmm_spawn){ .accel = ACCEL_TCG, .vcpus = 1, .mem_mib = 128 };
	if (geteuid() == 0 && setresuid(FULL_UID, FULL_UID, FULL_UID) < 0)
		return 1;
	if (fill_flight(pair) < 0 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 2;
	if (helper_call(b->h, &q, fifos, &a, &pidfd) != -1 || errno != ETOOMANYREFS)
		return 3;
	if (helper_explain(errno, "vmm", "spawn", &e) != -1 || e.code != FAIL_LIMIT || !e.hint[0])
		return 4;
	q = helper_request(OP_PING, NULL, NULL);
	if (helper_call_role(b->h, ROLE_SPAWN, &q, &a) < 0 || a.status != ST_OK)
		return 5;
	(void)close(pair[0]);
	(void)close(pair[1]);
	q = helper_request(OP_VMM_SPAWN, &a_vm, &an_op);
	q.vmm_spawn = (struct req_vmm_spawn){ .accel = ACCEL_TCG, .vcpus = 1, .mem_mib = 128 };
	return helper_call(b->h, &q, fifos, &a, &pidfd) == 0 && a.status == ST_OK ? 0 : 6;
}

/* unix(7), ETOOMANYREFS: the kernel refuses to send a descriptor when those in flight are more than
 * RLIMIT_NOFILE.  Nothing was sent then: the role is not broken. */
static void test_a_full_flight_breaks_no_role(void **state)
{
	struct bench *b = *state;
	int p[2], status;

	to_run(b);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(spawn_with_a_full_flight(b, p));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(fake_helper_count(b->fake, OP_VMM_SPAWN), 1);
	(void)close(p[0]);
	(void)close(p[1]);
}

static void *hammer(void *arg)
{
	struct bench *b = arg;
	static uint32_t next;
	struct vm vm = a_vm;
	uintptr_t bad = 0;

	vm.slot = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 200; i++) {
		struct request q = helper_request(i % 2 ? OP_GUEST_DENY : OP_TAP_CREATE, &vm,
						  &an_op);
		struct reply a;
		if (helper_call(b->h, &q, NULL, &a, NULL) < 0 || a.status != ST_OK ||
		    (i % 2 == 0 && a.tap_create.ifindex != 100 + vm.slot))
			bad++;
	}
	return (void *)bad;
}

static void test_threads_do_not_mix(void **state)
{
	struct bench *b = *state;
	pthread_t t[8];
	void *bad;

	to_run(b);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, b), 0);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
	assert_int_equal(fake_helper_count(b->fake, OP_TAP_CREATE), 800);
	assert_int_equal(fake_helper_objects(b->fake, 0), 8);
	assert_int_equal(fake_helper_violations(b->fake), 0);
}

/* ---- one sweep for all waiting threads ---- */

static pthread_barrier_t all_have_taps;

static void *make_and_remove(void *arg)
{
	struct bench *b = arg;
	static uint32_t next = 100;
	struct vm vm = a_vm;
	struct reply a;

	vm.slot = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 20; i++) {
		struct request make = helper_request(OP_TAP_CREATE, &vm, &an_op),
			       retire = helper_request(OP_TAP_RETIRE, &vm, &an_op);
		if (helper_call(b->h, &make, NULL, &a, NULL) < 0)
			return "no tap was made";
		if (i == 0)
			(void)pthread_barrier_wait(&all_have_taps);
		if (tap_sweep_remove(b->sweep, b->h, &retire) != ST_OK)
			return "no tap was removed";
		if (fake_helper_has(b->fake, vm.slot, OBJ_TAP))
			return "swept, and still there";
	}
	return NULL;
}

static void at_once(struct bench *b, void *(*fn)(void *), size_t n)
{
	pthread_t t[8];
	void *wrong;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(pthread_create(&t[i], NULL, fn, b), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(pthread_join(t[i], &wrong), 0);
		if (wrong)
			fail_msg("%s", (const char *)wrong);
	}
}

static void test_one_sweep_serves_many(void **state)
{
	struct bench *b = *state;

	to_run(b);
	fake_helper_delay(b->fake, OP_TAP_SWEEP, 2);
	assert_int_equal(pthread_barrier_init(&all_have_taps, NULL, 8), 0);
	at_once(b, make_and_remove, 8);
	(void)pthread_barrier_destroy(&all_have_taps);
	print_message("%zu sweeps of 160 taps\n", fake_helper_count(b->fake, OP_TAP_SWEEP));
	assert_int_equal(fake_helper_count(b->fake, OP_TAP_RETIRE), 160);
	assert_in_range(fake_helper_count(b->fake, OP_TAP_SWEEP), 20, 159);
	assert_int_equal(fake_helper_objects(b->fake, 0), 0);
}

static void *sweep_in_vain(void *arg)
{
	struct bench *b = arg;
	struct request q = helper_request(OP_TAP_RETIRE, &a_vm, &an_op);

	return tap_sweep_remove(b->sweep, b->h, &q) == ST_KERNEL ? NULL : "an error was not told";
}

/* A failed sweep concerns only the thread that asked: each thread asks and gets its own result. */
static void test_a_failed_sweep_fails_only_its_caller(void **state)
{
	struct bench *b = *state;
	struct request q = helper_request(OP_TAP_RETIRE, &a_vm, &an_op);

	to_run(b);
	fake_helper_delay(b->fake, OP_TAP_SWEEP, 2);
	fake_helper_fail(b->fake, OP_TAP_SWEEP, ST_KERNEL, 8);
	at_once(b, sweep_in_vain, 8);
	assert_int_equal(fake_helper_count(b->fake, OP_TAP_SWEEP), 8);
	assert_int_equal(tap_sweep_remove(b->sweep, b->h, &q), ST_OK);
	fake_helper_die(b->fake, ROLE_NET);
	assert_int_equal(tap_sweep_remove(b->sweep, b->h, &q), -1);
}

#define BENCH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(test_envelope),
		BENCH(test_status_is_not_an_error),
		BENCH(test_descriptors),
		BENCH(test_kvm_probe),
		BENCH(test_list_pages),
		BENCH(test_wrong_use),
		BENCH(test_garbage),
		BENCH(test_trailing_byte),
		BENCH(test_wrong_seq),
		BENCH(test_death),
		cmocka_unit_test(test_mute_role),
		cmocka_unit_test(test_unexpected_descriptor),
		cmocka_unit_test(test_missing_descriptor),
		BENCH(test_a_full_flight_breaks_no_role),
		BENCH(test_threads_do_not_mix),
		BENCH(test_one_sweep_serves_many),
		BENCH(test_a_failed_sweep_fails_only_its_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
