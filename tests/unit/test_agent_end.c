/* How the agent ends a guest, without one: each kind of process 1 is told in its own way, and an
 * init that does not end the guest does not keep it.  /proc is a folder of the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
	char dir[32], did[512]; /* the calls in order */
	int proc;
	unsigned slept_ms, sync_ms;
	unsigned late_ms; /* each pause takes so much longer */
	bool without_acpi;
	const char *busy; /* a folder whose file system has an open file, so many times */
	int busy_times;
	jmp_buf ends;
} fx;

static void did(const char *what, long n)
{
	size_t have = strlen(fx.did);

	(void)snprintf(fx.did + have, sizeof(fx.did) - have, "%s:%ld ", what, n);
}

static int fake_kill(pid_t pid, int sig)
{
	did(pid == 1 ? "init" : "all", sig);
	return 0;
}

static int fake_poll(struct pollfd *p, nfds_t n, int ms)
{
	assert_true(n == 0 && !p && ms >= 0);
	fx.slept_ms += (unsigned)ms + (ms ? fx.late_ms : 0);
	return 0;
}

static int fake_mount(const char *a, const char *b, const char *c, unsigned long flags,
		      const void *d)
{
	(void)a, (void)c, (void)d;
	if (strcmp(b, fx.busy) == 0 && fx.busy_times-- > 0) {
		errno = EBUSY;
		return -1;
	}
	did(strcmp(b, "/") == 0 ? "mount" : b, (long)(flags & MS_RDONLY));
	return 0;
}

static int fake_reboot(int how)
{
	(void)how;
	did("reboot", (long)fx.slept_ms);
	longjmp(fx.ends, 1);
}

/* A slow disk: a sync takes its time, as a sleep does. */
static void fake_sync(void)
{
	did("sync", 0);
	fx.slept_ms += fx.sync_ms;
}

static int fake_clock_gettime(clockid_t clock, struct timespec *t)
{
	assert_int_equal(clock, CLOCK_MONOTONIC);
	*t = (struct timespec){ fx.slept_ms / 1000, fx.slept_ms % 1000 * 1000000L };
	return 0;
}

static int fake_access(const char *path, int mode)
{
	assert_string_equal(path, "/sys/firmware/acpi");
	assert_int_equal(mode, F_OK);
	return fx.without_acpi ? -1 : 0;
}

#define access fake_access
#define kill fake_kill
#define poll fake_poll
#define mount fake_mount
#define reboot fake_reboot
#define sync fake_sync
#define clock_gettime fake_clock_gettime
#include "controller/agent/end.c"
#undef access
#undef kill
#undef poll
#undef mount
#undef reboot
#undef sync
#undef clock_gettime

/* A process of the guest: its program, and its command line with | for NUL. */
static void process(const char *pid, const char *exe, const char *line)
{
	char path[128], text[128];

	(void)snprintf(path, sizeof(path), "%s/%s", fx.dir, pid);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/%s/exe", fx.dir, pid);
	(void)unlink(path);
	assert_int_equal(symlink(exe, path), 0);
	(void)snprintf(path, sizeof(path), "%s/%s/cmdline", fx.dir, pid);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	(void)snprintf(text, sizeof(text), "%s", line);
	for (char *p = text; (p = strchr(p, '|'));)
		*p++ = '\0';
	(void)fwrite(text, 1, strlen(line), f);
	(void)fclose(f);
}

static int before(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof(fx));
	fx.busy = "";
	(void)strcpy(fx.dir, "/tmp/banger-end-XXXXXX");
	if (!mkdtemp(fx.dir))
		return -1;
	fx.proc = open(fx.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fx.proc < 0 ? -1 : 0;
}

static int after(void **state)
{
	char line[64];

	(void)state;
	(void)close(fx.proc);
	(void)snprintf(line, sizeof(line), "rm -r %s", fx.dir);
	return system(line);
}

/* Return: what was done until the machine ended. */
static const char *ends(unsigned grace_ms)
{
	fx.did[0] = '\0';
	fx.slept_ms = 0;
	if (setjmp(fx.ends) == 0)
		end_asked(fx.proc, grace_ms);
	return fx.did;
}

/* The calls behind the time of init, with the time of all. */
#define FORCED "sync:0 all:15 all:18 all:9 sync:0 mount:1 reboot:"

static void test_each_init_is_told(void **state)
{
	(void)state;
	process("1", "/usr/lib/systemd/systemd", "/sbin/init|");
	assert_string_equal(ends(8000), "init:38 " FORCED "8000 ");
	process("1", "/bin/busybox", "init|");
	assert_string_equal(ends(8000), "init:12 " FORCED "8000 ");
	process("1", "/bin/busybox", "/sbin/init|");
	assert_string_equal(ends(100), "init:12 " FORCED "100 ");
	process("1", "/banger-agent", "@banger-agent|");
	assert_string_equal(ends(8000), "init:30 " FORCED "8000 ");
}

/* The time for it is short: nothing may come of it but of the power button. */
static void test_an_unknown_init_is_not_told(void **state)
{
	(void)state;
	process("1", "/bin/busybox", "/bin/busybox|sh|/sbin/init|");
	assert_string_equal(ends(8000), FORCED "3000 ");
	process("1", "/sbin/runit", "runit|");
	assert_string_equal(ends(500), FORCED "500 ");
	(void)unlinkat(fx.proc, "1/exe", 0);
	(void)unlinkat(fx.proc, "1/cmdline", 0);
	assert_string_equal(ends(0), FORCED "0 ");
	assert_string_equal(ends(UINT32_MAX), FORCED "3000 ");
}

/* An open file of a process. */
static void has_open(const char *pid, const char *fd, const char *file)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s/fd", fx.dir, pid);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/%s/fd/%s", fx.dir, pid, fd);
	assert_int_equal(symlink(file, path), 0);
}

/* It has the time of one that is told, if the button may end the guest. */
static void test_an_unknown_init_whose_button_is_minded(void **state)
{
	(void)state;
	process("1", "/bin/busybox", "/bin/busybox|sh|/sbin/init|");
	has_open("1", "0", "/dev/console");
	process("70", "/usr/sbin/acpid", "");
	has_open("70", "3", "socket:[77]");
	assert_string_equal(ends(8000), FORCED "3000 ");
	has_open("70", "4", "/dev/input/event0");
	assert_string_equal(ends(8000), FORCED "8000 ");
	fx.without_acpi = true; /* then there is no button */
	assert_string_equal(ends(8000), FORCED "3000 ");
}

static void ctrl_alt_del(const char *value)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/sys", fx.dir);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/sys/kernel", fx.dir);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/sys/kernel/ctrl-alt-del", fx.dir);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	fputs(value, f);
	(void)fclose(f);
}

static void test_an_unknown_init_that_takes_ctrl_alt_del(void **state)
{
	(void)state;
	fx.without_acpi = true;
	process("1", "/sbin/init", "init|");
	ctrl_alt_del("1\n");
	assert_string_equal(ends(8000), FORCED "3000 ");
	ctrl_alt_del("0\n");
	assert_string_equal(ends(8000), FORCED "8000 ");
	fx.without_acpi = false; /* it is not pressed */
	assert_string_equal(ends(8000), FORCED "3000 ");
}

/* Threads of the kernel, agents and process 1 are not waited for; a program has two seconds. */
static void test_a_program_that_stays_is_killed(void **state)
{
	(void)state;
	process("1", "/bin/busybox", "init|");
	process("2", "/nosuch", "");
	process("50", "/banger-agent", "@banger-agent|");
	assert_string_equal(ends(0), "init:12 " FORCED "0 ");
	process("60", "/bin/sleep", "sleep|99|");
	assert_string_equal(ends(0), "init:12 " FORCED "2000 ");
	fx.late_ms = 180; /* nor more in a slow guest */
	assert_string_equal(ends(0), "init:12 " FORCED "2000 ");
}

/* Volumes are remounted, so that a guest that can not write them needs no journal. */
static void test_volumes_are_closed(void **state)
{
	char path[128];

	(void)state;
	process("1", "/bin/busybox", "init|");
	(void)snprintf(path, sizeof(path), "%s/1/mounts", fx.dir);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	fputs("/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\n"
	      "/dev/vdb /srv/data ext4 rw 0 0\n/dev/vdc /db ext4 ro 0 0\n",
	      f);
	(void)fclose(f);
#define CLOSED "/srv/data:1 /db:1 mount:1 reboot:"
	assert_string_equal(ends(0), "init:12 sync:0 all:15 all:18 all:9 sync:0 " CLOSED "0 ");
	fx.busy = "/srv/data"; /* what was killed has not ended yet */
	fx.busy_times = 2;
	assert_string_equal(ends(0), "init:12 sync:0 all:15 all:18 all:9 sync:0 " CLOSED "40 ");
	fx.busy_times = 1000000; /* nor ever does */
	assert_string_equal(ends(0), "init:12 sync:0 all:15 all:18 all:9 sync:0 /db:1 mount:1 "
				     "reboot:500 ");
}

/* What is written first takes no time from the programs: the monitor is killed when init has not
 * ended the guest in its time, and a volume would keep its journal. */
static void test_a_slow_disk_counts(void **state)
{
	(void)state;
	process("1", "/bin/busybox", "init|");
	fx.sync_ms = 1500;
	/* 1500 of the 4000 are spent; the second sync */
	assert_string_equal(ends(4000), "init:12 " FORCED "5500 ");
	assert_string_equal(ends(1000), "init:12 " FORCED "3000 ");
}

#define T(f) cmocka_unit_test_setup_teardown(f, before, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_each_init_is_told),
		T(test_an_unknown_init_is_not_told),
		T(test_an_unknown_init_whose_button_is_minded),
		T(test_an_unknown_init_that_takes_ctrl_alt_del),
		T(test_a_program_that_stays_is_killed),
		T(test_volumes_are_closed),
		T(test_a_slow_disk_counts),
	};

	return cmocka_run_group_tests_name("agent_end", tests, NULL, NULL);
}
