/* Tests the Firecracker driver against a fake that is as strict as the published schema: its
 * requests, and the end of each fault. */
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "controller/vmm/peer.h"

/* The driver with times that a test can wait for. */
#undef VMM_BOOT_MS
#define VMM_BOOT_MS 3000
#undef VMM_TALK_MS
#define VMM_TALK_MS 2500
#include "controller/vmm/firecracker.c"

#include "tests/unit/fake_firecracker.h"

struct fix {
	char dir[64], slot[96], socket[128];
	struct ctl c;
	struct vm vm;
	struct operation o;
	atomic_bool cancelled;
	struct fake_firecracker *f;
};

static int set_up(void **state)
{
	static struct fix x;

	memset(&x, 0, sizeof(x));
	(void)snprintf(x.dir, sizeof(x.dir), "/tmp/banger-fc-XXXXXX");
	assert_non_null(mkdtemp(x.dir));
	(void)snprintf(x.slot, sizeof(x.slot), "%s/slots", x.dir);
	assert_int_equal(mkdir(x.slot, 0700), 0);
	(void)snprintf(x.slot, sizeof(x.slot), "%s/slots/0", x.dir);
	assert_int_equal(mkdir(x.slot, 0700), 0);
	(void)snprintf(x.socket, sizeof(x.socket), "%s/api.sock", x.slot);
	(void)snprintf(x.c.config.run_dir, sizeof(x.c.config.run_dir), "%s", x.dir);
	x.c.config.uid_base = getuid();
	x.c.config.subnet = 0x0a000000;
	x.c.config.agent_ports = 1;
	x.vm.vcpus = 2;
	x.vm.mem_mib = 512;
	x.o.cancelled = &x.cancelled;
	x.f = fake_firecracker_start(x.socket);
	assert_non_null(x.f);
	*state = &x;
	return 0;
}

static int tear_down(void **state)
{
	struct fix *x = *state;
	char path[160];

	if (x->f)
		fake_firecracker_stop(x->f);
	(void)unlink(x->socket);
	(void)rmdir(x->slot);
	(void)snprintf(path, sizeof(path), "%s/slots", x->dir);
	(void)rmdir(path);
	return rmdir(x->dir);
}

static int boot(struct fix *x, struct error *e)
{
	memset(e, 0, sizeof(*e));
	return vmm_firecracker.boot(&x->c, &x->vm, &x->o, -1, e);
}

static void check_member(struct fix *x, const char *path, const char *name, const char *want)
{
	json_t *j = json_loads(fake_firecracker_body(x->f, path), 0, NULL);
	const json_t *v = json_object_get(j, name);
	char got[300];

	assert_non_null(v);
	if (json_is_string(v))
		(void)snprintf(got, sizeof(got), "%s", json_string_value(v));
	else if (json_is_integer(v))
		(void)snprintf(got, sizeof(got), "%lld", (long long)json_integer_value(v));
	else
		(void)snprintf(got, sizeof(got), "%s", json_is_true(v) ? "true" : "false");
	assert_string_equal(got, want);
	json_decref(j);
}

static void test_boot(void **state)
{
	static const char *const order[] = {
		"PUT /logger",
		"PUT /metrics",
		"PUT /machine-config",
		"PUT /boot-source",
		"PUT /drives/rootfs",
		"PUT /network-interfaces/eth0",
		"PUT /vsock",
		"PUT /actions",
		"GET /",
		"",
	};
	struct fix *x = *state;
	struct error e;

	assert_int_equal(boot(x, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		assert_string_equal(fake_firecracker_request(x->f, i), order[i]);
	check_member(x, "/logger", "log_path", "/run/0/log");
	check_member(x, "/logger", "level", "Info");
	check_member(x, "/logger", "show_level", "true");
	check_member(x, "/metrics", "metrics_path", "/run/0/metrics");
	check_member(x, "/machine-config", "vcpu_count", "2");
	check_member(x, "/machine-config", "mem_size_mib", "512");
	check_member(x, "/boot-source", "kernel_image_path", "/state/0/vmlinux");
	check_member(x, "/boot-source", "initrd_path", "/state/0/initrd");
	check_member(x, "/drives/rootfs", "path_on_host", "/state/0/disk");
	check_member(x, "/drives/rootfs", "is_read_only", "false");
	check_member(x, "/drives/rootfs", "cache_type", "Writeback");
	check_member(x, "/network-interfaces/eth0", "host_dev_name", "bgr0");
	check_member(x, "/network-interfaces/eth0", "guest_mac", "02:fc:00:00:00:00");
	check_member(x, "/vsock", "guest_cid", "3");
	check_member(x, "/vsock", "uds_path", "/run/0/vsock");
	assert_true(fake_firecracker_running(x->f));
}

/* The guest counts its disks in the order of the requests. */
static void test_volumes(void **state)
{
	struct fix *x = *state;
	struct error e;

	x->vm.n_volumes = 2;
	x->vm.volumes[1].read_only = true;
	assert_int_equal(boot(x, &e), 0);
	assert_string_equal(fake_firecracker_request(x->f, 4), "PUT /drives/rootfs");
	assert_string_equal(fake_firecracker_request(x->f, 5), "PUT /drives/vol0");
	assert_string_equal(fake_firecracker_request(x->f, 6), "PUT /drives/vol1");
	check_member(x, "/drives/vol0", "drive_id", "vol0");
	check_member(x, "/drives/vol0", "path_on_host", "/state/0/vol0");
	check_member(x, "/drives/vol0", "is_root_device", "false");
	check_member(x, "/drives/vol0", "is_read_only", "false");
	check_member(x, "/drives/vol0", "cache_type", "Writeback");
	check_member(x, "/drives/vol1", "path_on_host", "/state/0/vol1");
	check_member(x, "/drives/vol1", "is_read_only", "true");
}

/* agent_ports = 0: root wants no way to the agent. */
static void test_no_vsock(void **state)
{
	struct fix *x = *state;
	struct error e;

	x->c.config.agent_ports = 0;
	assert_int_equal(boot(x, &e), 0);
	assert_string_equal(fake_firecracker_body(x->f, "/vsock"), "");
}

static void test_dm_disk(void **state)
{
	struct fix *x = *state;
	struct error e;

	/* The driver that made the files is used, not the one that this host would choose today. */
	x->c.storage = storage_by_name("copy");
	(void)strcpy(x->vm.runtime.storage, "dm-snapshot");
	assert_int_equal(boot(x, &e), 0);
	check_member(x, "/drives/rootfs", "path_on_host", "/run/vda0");
}

static void test_shutdown(void **state)
{
	struct fix *x = *state;
	struct error e = { 0 };

	assert_int_equal(vmm_firecracker.shutdown(&x->c, &x->vm, -1, &e), -1);
	assert_non_null(strstr(e.why, "not supported before starting"));
	assert_int_equal(boot(x, &e), 0);
	assert_int_equal(vmm_firecracker.shutdown(&x->c, &x->vm, -1, &e), 0);
	assert_true(fake_firecracker_ctrl_alt_del(x->f));
}

/* Without log and metrics the VM runs too. */
static void test_no_log(void **state)
{
	struct fix *x = *state;
	struct error e;

	fake_firecracker_no_sinks(x->f);
	assert_int_equal(boot(x, &e), 0);
	assert_string_equal(fake_firecracker_request(x->f, 0), "PUT /machine-config");
	assert_true(fake_firecracker_running(x->f));
}

static void test_flush(void **state)
{
	struct fix *x = *state;
	struct error e = { 0 };

	assert_int_equal(vmm_firecracker.flush(&x->c, &x->vm, -1, &e), -1);
	assert_int_equal(boot(x, &e), 0);
	assert_int_equal(vmm_firecracker.flush(&x->c, &x->vm, -1, &e), 0);
	assert_int_equal(fake_firecracker_flushes(x->f), 1);
	fake_firecracker_fault(x->f, FC_HANG, 0);
	uint64_t began = clock_boot_ns();
	assert_int_equal(vmm_firecracker.flush(&x->c, &x->vm, -1, &e), -1);
	assert_true(clock_boot_ns() - began < 30000000000u);
}

/* A refusal of the API is reported in its own words. */
static void test_refused(void **state)
{
	struct fix *x = *state;
	struct error e;

	x->vm.vcpus = 64;
	assert_int_equal(boot(x, &e), -1);
	assert_int_equal(e.code, FAIL_GENERAL);
	assert_string_equal(e.what, "Firecracker");
	assert_non_null(strstr(e.why, "/machine-config: status 400: The vCPU number is invalid!"));
	x->vm.vcpus = 1;
	assert_int_equal(boot(x, &e), 0);
	assert_int_equal(boot(x, &e), -1);
	assert_non_null(strstr(e.why, "not supported after starting"));
}

/* The fake itself refuses what it must catch. */
static void test_fake_is_strict(void **state)
{
	static const struct {
		const char *path, *body, *want;
	} bad[] = {
		{ "/boot-source", "{\"kernel_image_path\":\"/k\",\"kernel\":\"/k\"}",
		  "unknown field `kernel`" },
		{ "/boot-source", "{\"boot_args\":\"x\"}", "missing field `kernel_image_path`" },
		{ "/machine-config", "{\"vcpu_count\":\"2\",\"mem_size_mib\":1}",
		  "invalid type for `vcpu_count`" },
		{ "/drives/rootfs", "{\"drive_id\":\"other\",\"is_root_device\":true}",
		  "do not match" },
		{ "/drives/rootfs", "{\"drive_id\":\"rootfs\",\"is_root_device\":1}",
		  "invalid type for `is_root_device`" },
		{ "/drives/rootfs",
		  "{\"drive_id\":\"rootfs\",\"is_root_device\":true,\"cache_type\":\"None\"}",
		  "unknown variant" },
		{ "/actions", "{\"action_type\":\"InstanceStart\"}", "without kernel" },
		{ "/actions", "{\"action_type\":\"Reboot\"}", "unknown variant `Reboot`" },
		{ "/nothing", "{}", "status 404" },
		{ "/actions", "[]", "no object" },
	};
	struct fix *x = *state;
	const struct vmm_wait w = vmm_wait_start(WHO, 5000, -1, NULL);
	struct answer *a;
	struct error e = { 0 };
	char socket[VMM_PEER_PATH];

	assert_int_equal(begin(&x->c, &x->vm, &w, socket, &a, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(request(socket, bad[i].path, bad[i].body, 204, a, &e), -1);
		assert_non_null(strstr(e.why, bad[i].want));
	}
	assert_string_equal(fake_firecracker_request(x->f, 0), "");
	free(a);
}

static void test_faults_end(void **state)
{
	static const struct {
		enum fc_fault fault;
		enum fail code;
		const char *want;
	} faults[] = {
		{ FC_HANG, FAIL_TIMEOUT, "answer on its API socket" },
		{ FC_TRICKLE, FAIL_TIMEOUT, "answer on its API socket" },
		{ FC_HALF_HANG, FAIL_TIMEOUT, "answer on its API socket" },
		{ FC_GARBAGE, FAIL_GENERAL, "/" },
		{ FC_CLOSE, FAIL_GENERAL, "/" },
		{ FC_503, FAIL_GENERAL, "status 503: out of ?[31mservice" },
		{ FC_NO_JSON, FAIL_GENERAL, "status 400: it does not say why" },
		{ FC_ENDLESS, FAIL_GENERAL, "more than 65536 bytes" },
		{ FC_WRONG, FAIL_GENERAL, "" },
	};
	struct fix *x = *state;
	struct error e;

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		for (unsigned nth = 0; nth < 8; nth += 7) {
			fake_firecracker_stop(x->f);
			x->f = fake_firecracker_start(x->socket);
			fake_firecracker_fault(x->f, faults[i].fault, nth);
			uint64_t began = clock_boot_ns();
			assert_int_equal(boot(x, &e), -1);
			assert_true(clock_boot_ns() - began < 30000000000u);
			assert_int_equal(e.code, faults[i].code);
			if (!strstr(e.why, faults[i].want))
				fail_msg("fault %d at request %u: %s", faults[i].fault, nth, e.why);
		}
}

/* Half an answer, and headers without end: what libcurl calls them differs, but they end. */
static void test_odd_faults_end(void **state)
{
	struct fix *x = *state;
	struct error e;

	fake_firecracker_fault(x->f, FC_HALF, 7);
	assert_int_equal(boot(x, &e), -1);
	fake_firecracker_stop(x->f);
	x->f = fake_firecracker_start(x->socket);
	fake_firecracker_fault(x->f, FC_HEADERS, 0);
	uint64_t began = clock_boot_ns();
	assert_int_equal(boot(x, &e), -1);
	assert_true(clock_boot_ns() - began < 30000000000u);
}

/* Slow is not wrong. */
static void test_slow(void **state)
{
	struct fix *x = *state;
	struct error e;

	fake_firecracker_fault(x->f, FC_SLOW, 7);
	assert_int_equal(boot(x, &e), 0);
}

static void test_cancelled(void **state)
{
	struct fix *x = *state;
	struct error e;

	x->cancelled = true;
	assert_int_equal(boot(x, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_string_equal(fake_firecracker_request(x->f, 0), "");
}

static void test_monitor_ends(void **state)
{
	struct fix *x = *state;
	struct error e = { 0 };
	pid_t pid = fork();

	if (pid == 0)
		_exit(1);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(pidfd >= 0);
	fake_firecracker_stop(x->f);
	x->f = NULL;
	uint64_t began = clock_boot_ns();
	assert_int_equal(vmm_firecracker.boot(&x->c, &x->vm, &x->o, pidfd, &e), -1);
	assert_non_null(strstr(e.why, "the monitor ended"));
	assert_true(clock_boot_ns() - began < 2400000000u);
	(void)close(pidfd);
	(void)waitpid(pid, NULL, 0);
}

static void test_no_socket(void **state)
{
	struct fix *x = *state;
	struct error e;

	fake_firecracker_stop(x->f);
	x->f = NULL;
	assert_int_equal(boot(x, &e), -1); /* the socket's node exists, but no process listens */
	assert_int_equal(e.code, FAIL_TIMEOUT);
	assert_int_equal(unlink(x->socket), 0);
	assert_int_equal(boot(x, &e), -1);
	assert_int_equal(e.code, FAIL_TIMEOUT);
	assert_non_null(strstr(e.why, "no answer on its API socket within 3000 ms"));
}

/* A monitor replaces its socket by something else: the controller does not follow it. */
static void test_not_its_socket(void **state)
{
	struct fix *x = *state;
	char other[160];
	struct error e;

	(void)snprintf(other, sizeof(other), "%s/other.sock", x->dir);
	assert_int_equal(rename(x->socket, other), 0);
	assert_int_equal(symlink(other, x->socket), 0);
	assert_int_equal(boot(x, &e), -1);
	assert_non_null(strstr(e.why, "not the monitor's own"));
	assert_int_equal(unlink(x->socket), 0);
	assert_int_equal(rename(other, x->socket), 0);
	x->c.config.uid_base++;
	assert_int_equal(boot(x, &e), -1);
	assert_non_null(strstr(e.why, "not the monitor's own"));
	assert_string_equal(fake_firecracker_request(x->f, 0), "");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_volumes),        T(test_no_vsock),       T(test_boot),
		T(test_dm_disk),        T(test_shutdown),       T(test_refused),
		T(test_fake_is_strict), T(test_faults_end),     T(test_odd_faults_end),
		T(test_slow),           T(test_cancelled),      T(test_monitor_ends),
		T(test_no_socket),      T(test_not_its_socket), T(test_no_log),
		T(test_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
