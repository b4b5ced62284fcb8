/* Tests the socket between the spawn role and its launcher: the requests of a taken-over role, and
 * the answers of a taken-over launcher. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "privhelper/spawn/launcher.c"
#include "tests/unit/no_landlock.h"

static const struct config config = { .slots = 8, .uid_base = 1u << 20 };

static struct launch good(void)
{
	return (struct launch){ .vmm = { .vmm = VMM_QEMU,
					 .accel = ACCEL_TCG,
					 .disk = DISK_FILE,
					 .vcpus = 1,
					 .mem_mib = 64,
					 .disk_mib = 1 },
				.slot = 7 };
}

/* Each argument of the request is one step outside the bounds of its table.  The launcher must not
 * rely on the role's checks. */
static void each_number_has_its_bounds(void **unused)
{
	struct launch q = good();
	unsigned n = 0;

	(void)unused;
	assert_true(in_bounds(&config, &q));
	for (const struct field *f = op_find(OP_VMM_SPAWN)->args(); f->name; f++, n++) {
		uint64_t *v = (uint64_t *)((char *)&q.vmm + f->offset);
		assert_int_equal(f->type, FIELD_U); /* in_bounds() knows no other */
		for (int high = 0; high < 2; high++) {
			q = good();
			*v = high ? f->max : f->min;
			if (!in_bounds(&config, &q))
				fail_msg("%s: %s is refused", f->name, high ? "max" : "min");
			*v += high ? 1 : UINT64_MAX;
			if (in_bounds(&config, &q))
				fail_msg("%s: outside of %s passes", f->name, high ? "max" : "min");
		}
		*v = UINT64_C(1) << 32 | f->min; /* a narrower type would not see it */
		assert_false(in_bounds(&config, &q));
	}
	assert_int_equal(n * sizeof(uint64_t), sizeof(q.vmm));
	q = good();
	q.slot = config.slots;
	assert_false(in_bounds(&config, &q));
	q.slot = UINT64_C(1) << 32;
	assert_false(in_bounds(&config, &q));
}

/* Send a message to a launcher with no program to start.  Return: its exit status, or -1: it has
 * answered. */
static int serve(const void *message, size_t len, size_t fds, struct launched *a)
{
	static struct launcher l = { .config = &config, .label = { -1, -1, "" } };
	const int some[FDIO_MAX] = { STDIN_FILENO, STDIN_FILENO, STDIN_FILENO, STDIN_FILENO };
	int pair[2], status, got;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)dup2(pair[1], LAUNCH_FD);
		(void)close_range(LAUNCH_FD + 1, UINT_MAX, 0);
		serve_one(&l);
		_exit(99);
	}
	(void)close(pair[1]);
	assert_int_equal(len ? fdio_send(pair[0], message, len, some, fds) : 0, 0);
	if (!len)
		(void)shutdown(pair[0], SHUT_WR);
	bool answered = receive(pair[0], a, &got) == 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(pair[0]);
	assert_true(WIFEXITED(status));
	assert_int_equal(answered, WEXITSTATUS(status) == 99);
	return answered ? -1 : WEXITSTATUS(status);
}

static void a_message_that_no_role_sends_ends_the_launcher(void **unused)
{
	struct launch q = good(), bad = good(), two[2] = { q, q };
	struct launched a = { 0 };

	(void)unused;
	assert_int_equal(serve(&q, sizeof(q), FDS_IN, &a), -1);
	assert_int_equal(a.status, ST_KERNEL); /* there is no such program */
	assert_int_equal(serve(&q, sizeof(q) - 1, FDS_IN, &a), EXIT_PEER);
	assert_int_equal(serve(two, sizeof(two), FDS_IN, &a), EXIT_PEER);
	for (size_t fds = 0; fds <= FDIO_MAX; fds++)
		if (fds != FDS_IN)
			assert_int_equal(serve(&q, sizeof(q), fds, &a), EXIT_PEER);
	bad.slot = config.slots;
	assert_int_equal(serve(&bad, sizeof(bad), FDS_IN, &a), EXIT_PEER);
	assert_int_equal(serve(NULL, 0, 0, &a), 0); /* the role has exited */
}

/* Answer a request of the role's.  Return: the role's exit status, or 99: it has taken the
 * answer. */
static int role_takes(const void *answer, size_t len, size_t fds)
{
	const struct launch q = good();
	const int some[FDIO_MAX] = { STDIN_FILENO, STDIN_FILENO };
	int pair[2], status;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t pid = fork();
	if (pid == 0) {
		int pid_out, pidfd = -1;
		(void)close(pair[1]);
		(void)launcher_ask(pair[0], &q, (const int[]){ 0, 0, 0 }, &pid_out, &pidfd);
		_exit(99);
	}
	(void)close(pair[0]);
	if (len)
		assert_int_equal(fdio_send(pair[1], answer, len, some, fds), 0);
	else
		(void)close(pair[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (len)
		(void)close(pair[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void an_answer_that_no_launcher_sends_ends_the_role(void **unused)
{
	const struct launched ok = { ST_OK, 4711 }, no = { ST_LIMIT, -1 }, wrong = { ST_COUNT, 1 };
	const struct launched two[2] = { no, no };

	(void)unused;
	assert_int_equal(role_takes(&ok, sizeof(ok), 1), 99);
	assert_int_equal(role_takes(&no, sizeof(no), 0), 99);
	assert_int_equal(role_takes(&ok, sizeof(ok), 0), EXIT_PEER);
	assert_int_equal(role_takes(&ok, sizeof(ok), 2), EXIT_PEER);
	assert_int_equal(role_takes(&no, sizeof(no), 1), EXIT_PEER);
	assert_int_equal(role_takes(&wrong, sizeof(wrong), 0), EXIT_PEER);
	assert_int_equal(role_takes(&no, sizeof(no) - 1, 0), EXIT_PEER);
	assert_int_equal(role_takes(two, sizeof(two), 0), EXIT_PEER);
	assert_int_equal(role_takes(NULL, 0, 0), EXIT_PEER); /* the launcher is gone */
}

/* Open @name below @folder, in a process whose root is @root and whose files are bounded.  Return:
 * 0, or the errno. */
static int bounded_open(const char *root, int folder, const char *name)
{
	const int abi = landlock_abi();
	int status;

	if (abi <= 0 || geteuid() != 0)
		skip();
	pid_t pid = fork();
	if (pid == 0) {
		if (chroot(root) < 0 || chdir("/") < 0 || spawn_bound_files((int)abi) < 0)
			_exit(255);
		_exit(openat(folder, name, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* A folder that the role sent in place of a cgroup gives no access above or below it. */
static void a_sent_folder_leads_nowhere(void **unused)
{
	char root[] = "/tmp/banger-launcher.XXXXXX", own[64];
	int etc = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)unused;
	assert_non_null(mkdtemp(root));
	(void)snprintf(own, sizeof(own), "%s/own", root);
	(void)close(open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	int results[] = { bounded_open(root, AT_FDCWD, "own"), bounded_open(root, etc, "passwd"),
			  bounded_open(root, etc, "../etc/passwd"), bounded_open(root, etc, ".") };
	(void)unlink(own);
	(void)rmdir(root);
	(void)close(etc);
	assert_int_equal(results[0], 0);
	for (size_t i = 1; i < ARRAY_SIZE(results); i++)
		assert_int_equal(results[i], EACCES);
}

/* On a kernel without Landlock, LAUNCHER starts only where the configuration says so. */
static void landlock_is_required(void **unused)
{
	static const enum landlock_use uses[] = { LANDLOCK_REQUIRE, LANDLOCK_AUTO };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
		struct config c = { .landlock = uses[i] };
		struct launcher l = { .config = &c, .landlock_abi = 7 };
		int status;
		pid_t pid = fork();
		if (pid == 0)
			_exit(take_landlock_away() < 0 ? 99
			      : find_landlock(&l) < 0  ? 1
						       : 2 + l.landlock_abi);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), uses[i] == LANDLOCK_REQUIRE ? 1 : 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_number_has_its_bounds),
		cmocka_unit_test(a_sent_folder_leads_nowhere),
		cmocka_unit_test(landlock_is_required),
		cmocka_unit_test(a_message_that_no_role_sends_ends_the_launcher),
		cmocka_unit_test(an_answer_that_no_launcher_sends_ends_the_role),
	};

	return cmocka_run_group_tests_name("launcher", tests, NULL, NULL);
}
