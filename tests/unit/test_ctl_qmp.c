/* Tests the QEMU driver against a fake monitor: what it sends, what it accepts, and the end of each
 * fault.  Then tests the choice of the monitor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "controller/helper/client.h"
#include "controller/db/db.h"
#include "controller/vmm/choose.h"
#include "controller/vmm/peer.h"

/* The driver with times that a test can wait for. */
#undef VMM_BOOT_MS
#define VMM_BOOT_MS 3000
#undef VMM_TALK_MS
#define VMM_TALK_MS 2500
#include "controller/vmm/qemu.c"

#include "tests/unit/fake_helper.h"
#include "tests/unit/fake_qmp.h"

struct fix {
	char dir[64], slot[96], socket[128];
	struct ctl c;
	struct vm vm;
	struct operation o;
	atomic_bool cancelled;
	struct fake_qmp *f;
};

static int set_up(void **state)
{
	static struct fix x;

	memset(&x, 0, sizeof(x));
	(void)snprintf(x.dir, sizeof(x.dir), "/tmp/banger-qmp-XXXXXX");
	assert_non_null(mkdtemp(x.dir));
	(void)snprintf(x.slot, sizeof(x.slot), "%s/slots", x.dir);
	assert_int_equal(mkdir(x.slot, 0700), 0);
	(void)snprintf(x.slot, sizeof(x.slot), "%s/slots/0", x.dir);
	assert_int_equal(mkdir(x.slot, 0700), 0);
	(void)snprintf(x.socket, sizeof(x.socket), "%s/api.sock", x.slot);
	(void)snprintf(x.c.config.run_dir, sizeof(x.c.config.run_dir), "%s", x.dir);
	(void)snprintf(x.c.config.state_dir, sizeof(x.c.config.state_dir), "%s", x.dir);
	x.c.config.uid_base = getuid();
	x.c.config.slots = 4;
	x.vm.generation = 1;
	x.vm.owner = 1000;
	x.vm.id[0] = 1;
	x.o.cancelled = &x.cancelled;
	x.f = fake_qmp_start(x.socket);
	assert_non_null(x.f);
	*state = &x;
	return 0;
}

static int tear_down(void **state)
{
	struct fix *x = *state;
	char path[160];

	if (x->f)
		fake_qmp_stop(x->f);
	(void)unlink(x->socket);
	(void)rmdir(x->slot);
	(void)snprintf(path, sizeof(path), "%s/slots", x->dir);
	(void)rmdir(path);
	(void)snprintf(path, sizeof(path), "%s/consoles", x->dir);
	(void)rmdir(path);
	return rmdir(x->dir);
}

static int boot(struct fix *x, struct error *e)
{
	memset(e, 0, sizeof(*e));
	return vmm_qemu.boot(&x->c, &x->vm, &x->o, -1, e);
}

static void test_boot(void **state)
{
	struct fix *x = *state;
	struct error e;

	assert_int_equal(boot(x, &e), 0);
	fake_qmp_status(x->f, "prelaunch", 3);
	assert_int_equal(boot(x, &e), 0);
	fake_qmp_fault(x->f, QMP_SLOW);
	assert_int_equal(boot(x, &e), 0);
}

static void test_never_runs(void **state)
{
	struct fix *x = *state;
	struct error e;

	fake_qmp_status(x->f, "pau\x1bsed", 0);
	assert_int_equal(boot(x, &e), -1);
	assert_int_equal(e.code, FAIL_GENERAL); /* a raw control byte is no JSON */
	fake_qmp_status(x->f, "paused", 0);
	assert_int_equal(boot(x, &e), -1);
	assert_int_equal(e.code, FAIL_TIMEOUT);
	assert_non_null(strstr(e.why, "it is \"paused\""));
}

static void test_shutdown(void **state)
{
	struct fix *x = *state;
	struct error e = { 0 };

	assert_false(fake_qmp_powerdown(x->f));
	assert_int_equal(vmm_qemu.shutdown(&x->c, &x->vm, -1, &e), 0);
	assert_true(fake_qmp_powerdown(x->f));
	fake_qmp_fault(x->f, QMP_MUTE);
	assert_int_equal(vmm_qemu.shutdown(&x->c, &x->vm, -1, &e), -1);
	assert_int_equal(e.code, FAIL_TIMEOUT);
}

static void test_faults_end(void **state)
{
	static const struct {
		enum qmp_fault fault;
		enum fail code;
		const char *want;
	} faults[] = {
		{ QMP_MUTE, FAIL_TIMEOUT, "no answer on its API socket" },
		{ QMP_HANG, FAIL_TIMEOUT, "no answer" },
		{ QMP_TRICKLE, FAIL_TIMEOUT, "no answer" },
		{ QMP_DRIP, FAIL_TIMEOUT, "no answer" },
		{ QMP_GARBAGE, FAIL_GENERAL, "not QMP" },
		{ QMP_NO_GREETING, FAIL_GENERAL, "greeting is not QMP" },
		{ QMP_HALF, FAIL_GENERAL, "in the middle of an answer" },
		{ QMP_CLOSE, FAIL_GENERAL, "closed" },
		{ QMP_LONG, FAIL_GENERAL, "more than 65536 bytes" },
		{ QMP_EVENTS, FAIL_GENERAL, "more than 65536 bytes" },
		{ QMP_ERROR, FAIL_GENERAL, "qmp_capabilities: no ?[31mway" },
		{ QMP_WRONG_ID, FAIL_GENERAL, "not QMP" },
		{ QMP_DEEP, FAIL_GENERAL, "not QMP" },
	};
	struct fix *x = *state;
	struct error e;

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		fake_qmp_fault(x->f, faults[i].fault);
		uint64_t began = clock_boot_ns();
		assert_int_equal(boot(x, &e), -1);
		assert_true(clock_boot_ns() - began < 30000000000u);
		if (e.code != faults[i].code || !strstr(e.why, faults[i].want))
			fail_msg("fault %d: %d %s", faults[i].fault, e.code, e.why);
		assert_string_equal(e.what, "QEMU");
	}
	fake_qmp_fault(x->f, QMP_NONE);
	assert_int_equal(boot(x, &e), 0);
}

static void test_cancelled(void **state)
{
	struct fix *x = *state;
	struct error e;

	x->cancelled = true;
	fake_qmp_fault(x->f, QMP_HANG);
	assert_int_equal(boot(x, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	fake_qmp_fault(x->f, QMP_DRIP);
	assert_int_equal(boot(x, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
}

static void test_monitor_ends(void **state)
{
	struct fix *x = *state;
	struct error e = { 0 };
	pid_t pid = fork();

	if (pid == 0) {
		(void)usleep(100000);
		_exit(1);
	}
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(pidfd >= 0);
	fake_qmp_fault(x->f, QMP_HANG);
	uint64_t began = clock_boot_ns();
	assert_int_equal(vmm_qemu.boot(&x->c, &x->vm, &x->o, pidfd, &e), -1);
	assert_non_null(strstr(e.why, "the monitor ended"));
	assert_true(clock_boot_ns() - began < 2400000000u);
	(void)close(pidfd);
	(void)waitpid(pid, NULL, 0);
}

/* ---- which monitor ---- */

struct choice {
	struct fake_helper *roles;
	enum vmm_kind kind;
	uint32_t accel;
};

static void open_choice(struct fix *x, struct choice *h)
{
	char path[160];
	int fds[3];
	struct error e;

	(void)snprintf(path, sizeof(path), "%s/consoles", x->dir);
	(void)mkdir(path, 0700);
	h->roles = fake_helper_start(fds);
	assert_non_null(h->roles);
	x->c.helper = helper_open(fds[0], fds[1], fds[2]);
	assert_non_null(x->c.helper);
	assert_int_equal(helper_hello(x->c.helper), 0);
	struct request q = { .op = op_find(OP_RECONCILE_DONE) };
	struct reply reply;
	for (enum role_id r = ROLE_NET; r < ROLE_COUNT; r++)
		assert_int_equal(helper_call_role(x->c.helper, r, &q, &reply), 0);
	x->c.db = db_open(":memory:", &e);
	assert_non_null(x->c.db);
	(void)snprintf(x->c.boot_id, sizeof(x->c.boot_id), "boot-1");
	(void)snprintf(x->c.config.qemu, sizeof(x->c.config.qemu), "/usr/bin/qemu");
}

static void close_choice(struct fix *x, struct choice *h)
{
	db_close(x->c.db);
	helper_close(x->c.helper);
	fake_helper_stop(h->roles);
}

static int choose(struct fix *x, struct choice *h, struct error *e)
{
	memset(e, 0, sizeof(*e));
	return vmm_choose(&x->c, &x->vm, &x->o, &h->kind, &h->accel, e);
}

static void test_probe_is_remembered(void **state)
{
	struct fix *x = *state;
	struct choice h;
	struct utsname u;
	char key[160], value[8];
	struct error e;

	open_choice(x, &h);
	assert_int_equal(choose(x, &h, &e), 0);
	assert_int_equal(h.kind, VMM_QEMU);
	assert_int_equal(h.accel, ACCEL_TCG);
	assert_int_equal(fake_helper_count(h.roles, OP_VMM_SPAWN), 1);
	assert_int_equal(fake_helper_objects(h.roles, OBJ_VMM), 0);
	(void)uname(&u);
	(void)snprintf(key, sizeof(key), "kvm:boot-1:%s", u.release);
	assert_int_equal(db_fact_get(x->c.db, key, value, sizeof(value)), 1);
	assert_string_equal(value, "no");
	assert_int_equal(choose(x, &h, &e), 0);
	assert_int_equal(fake_helper_count(h.roles, OP_VMM_SPAWN), 1);

	/* After another boot the probe is made again. */
	(void)snprintf(x->c.boot_id, sizeof(x->c.boot_id), "boot-2");
	fake_helper_kvm(h.roles, 'y');
	assert_int_equal(choose(x, &h, &e), 0);
	assert_int_equal(h.kind, VMM_QEMU);
	assert_int_equal(h.accel, ACCEL_KVM);
	(void)snprintf(x->c.config.firecracker, sizeof(x->c.config.firecracker),
		       "/usr/bin/firecracker");
	assert_int_equal(choose(x, &h, &e), 0);
	assert_int_equal(h.kind, VMM_FIRECRACKER);
	assert_int_equal(fake_helper_count(h.roles, OP_VMM_SPAWN), 2);
	close_choice(x, &h);
}

static void test_forced(void **state)
{
	struct fix *x = *state;
	struct choice h;
	struct error e;

	open_choice(x, &h);
	(void)snprintf(x->c.config.firecracker, sizeof(x->c.config.firecracker),
		       "/usr/bin/firecracker");
	x->c.config.accel = ACCEL_TCG;
	assert_int_equal(choose(x, &h, &e), 0);
	assert_int_equal(h.kind, VMM_QEMU);
	x->c.config.accel = ACCEL_KVM;
	assert_int_equal(choose(x, &h, &e), 0);
	assert_int_equal(h.kind, VMM_FIRECRACKER);
	assert_int_equal(h.accel, ACCEL_KVM);
	assert_int_equal(fake_helper_count(h.roles, OP_VMM_SPAWN), 0);
	close_choice(x, &h);
}

static void test_no_choice(void **state)
{
	struct fix *x = *state;
	struct choice h;
	struct error e;

	open_choice(x, &h);
	x->c.config.qemu[0] = '\0';
	assert_int_equal(choose(x, &h, &e), -1);
	assert_int_equal(e.code, FAIL_HOST);
	assert_string_not_equal(e.hint, "");
	(void)snprintf(x->c.config.firecracker, sizeof(x->c.config.firecracker),
		       "/usr/bin/firecracker");
	assert_int_equal(choose(x, &h, &e), -1); /* KVM runs nothing here */
	assert_int_equal(e.code, FAIL_HOST);
	assert_string_not_equal(e.hint, "");
	close_choice(x, &h);
}

/* A failed probe tells nothing about KVM: it is made again. */
static void test_probe_refused(void **state)
{
	struct fix *x = *state;
	struct choice h;
	struct error e;

	open_choice(x, &h);
	fake_helper_kvm(h.roles, 'y');
	fake_helper_fail(h.roles, OP_VMM_SPAWN, ST_KERNEL, 1);
	assert_int_equal(choose(x, &h, &e), 0);
	assert_int_equal(h.accel, ACCEL_TCG);
	assert_int_equal(choose(x, &h, &e), 0);
	assert_int_equal(h.accel, ACCEL_KVM);
	close_choice(x, &h);
}

/* The role answers VMM_SPAWN with the process that lives in the slot: no VM is started beside a
 * probe. */
static void test_probe_that_stays(void **state)
{
	struct fix *x = *state;
	struct choice h;
	struct error e;

	open_choice(x, &h);
	fake_helper_kvm(h.roles, 'y');
	fake_helper_fail(h.roles, OP_VMM_KILL, ST_KERNEL, 1);
	assert_int_equal(choose(x, &h, &e), -1);
	assert_int_equal(e.code, FAIL_HOST);
	struct request end = helper_request(OP_VMM_KILL, &x->vm, &x->o);
	struct reply reply;
	assert_int_equal(helper_call(x->c.helper, &end, NULL, &reply, NULL), 0);
	assert_int_equal(reply.status, ST_OK);
	fake_helper_fail(h.roles, OP_VMM_KILL, ST_BUSY, 5); /* the kernel takes its time */
	assert_int_equal(choose(x, &h, &e), 0);
	assert_int_equal(h.accel, ACCEL_KVM);
	assert_int_equal(fake_helper_objects(h.roles, OBJ_VMM), 0);
	close_choice(x, &h);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_boot),
		T(test_never_runs),
		T(test_shutdown),
		T(test_faults_end),
		T(test_cancelled),
		T(test_monitor_ends),
		T(test_probe_is_remembered),
		T(test_forced),
		T(test_no_choice),
		T(test_probe_refused),
		T(test_probe_that_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
