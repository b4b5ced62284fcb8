/* Tests config_load(): defaults, every key, every refusal; and the sealed memory file. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/config.h"

#define ACCOUNTS                                                                                   \
	"[accounts]\nnet=101:101\nblk=102:102\nspawn=103:103\ncontroller=104:104\nsupervisor=105:" \
	"105\n"

static char folder[] = "/tmp/banger-config.XXXXXX", path[64];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/banger.conf", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

static void write_text(const char *text, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

/* Load a file without its messages; only the result counts. */
static int load_as(uint32_t owner, struct config *c)
{
	int err = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);

	(void)dup2(null, STDERR_FILENO);
	int r = config_load(path, owner, c);
	(void)dup2(err, STDERR_FILENO);
	(void)close(err);
	(void)close(null);
	return r;
}

static int load(const char *text, struct config *c)
{
	write_text(text, strlen(text));
	return load_as(geteuid(), c);
}

static void defaults(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(load(ACCOUNTS, &c), 0);
	assert_int_equal(c.magic, CONFIG_MAGIC);
	assert_int_equal(c.slots, 250);
	assert_int_equal(c.uid_base % 256, 0);
	assert_string_equal(c.bridge, "banger0");
	assert_string_equal(c.uplink, "");
	assert_int_equal(c.subnet, 0x0a620000);
	assert_int_equal(c.prefix, 20);
	assert_int_equal(c.users_gid, UINT32_MAX);
	assert_string_equal(c.run_dir, "/run/banger");
	assert_string_equal(c.cgroup_dir, "");
	assert_int_equal(c.spawn.uid, 103);
	assert_int_equal(c.supervisor.gid, 105);
	assert_int_equal(c.accel, ACCEL_AUTO);
	assert_int_equal(c.landlock, LANDLOCK_REQUIRE);
}

static void every_key(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(
		load(ACCOUNTS
		     "users = 100 ; a comment\n"
		     "[slots]\ncount = 8\nuid_base = 65536\n"
		     "[network]\nbridge = br-x.1\nuplink = eth0\nsubnet = 192.168.7.0/24\ndns = "
		     "9.9.9.9\n"
		     "[places]\nstate_dir = /a\nrun_dir = /b/c\nlog_dir = /d\ncgroup_dir = "
		     "/e\nlibexec_dir = /f\n"
		     "[vmm]\nqemu =\nfirecracker = /usr/bin/fc\naccel = tcg\n[storage]\ndm = off\n"
		     "[security]\nlandlock = auto\n"
		     "[limits]\ntotal_mem_percent = 50\ntotal_tasks = 64\nmax_vcpus = "
		     "1\nmax_mem_mib = 64\nmax_disk_mib = 10\nmax_vms_per_owner = 2\n"
		     "max_images_per_owner = 5\nmax_flows_per_vm = 64\ncreates_per_second = 3\n"
		     "hold_grace_s = 7",
		     &c),
		0);
	assert_int_equal(c.slots, 8);
	assert_int_equal(c.uid_base, 65536);
	assert_string_equal(c.bridge, "br-x.1");
	assert_string_equal(c.uplink, "eth0");
	assert_int_equal(c.subnet, 0xc0a80700);
	assert_int_equal(c.dns, 0x09090909);
	assert_int_equal(c.users_gid, 100);
	assert_string_equal(c.state_dir, "/a");
	assert_string_equal(c.run_dir, "/b/c");
	assert_string_equal(c.qemu, "");
	assert_string_equal(c.firecracker, "/usr/bin/fc");
	assert_int_equal(c.accel, ACCEL_TCG);
	assert_int_equal(c.dm, DM_OFF);
	assert_int_equal(c.landlock, LANDLOCK_AUTO);
	assert_int_equal(c.total_mem_percent, 50);
	assert_int_equal(c.total_tasks, 64);
	assert_int_equal(c.max_vms_per_owner, 2);
	assert_int_equal(c.max_images_per_owner, 5);
	assert_int_equal(c.max_flows_per_vm, 64);
	assert_int_equal(c.creates_per_second, 3);
	assert_int_equal(c.hold_grace_s, 7);
}

static void refuses_values(void **state)
{
	static const char *const bad[] = {
		"[slots]\ncount = 0\n",
		"[slots]\ncount = 1001\n",
		"[slots]\ncount = 1k\n",
		"[slots]\ncount =\n",
		"[slots]\nuid_base = 1000\n",
		"[slots]\nuid_base = 65537\n",
		"[slots]\nuid_base = 4294967295\n",
		"[slots]\ncount = 200\nuid_base = 65664\n" /* a multiple of 128, not of 256 */,
		"[network]\nbridge =\n",
		"[network]\nbridge = a/b\n",
		"[network]\nbridge = sixteen-letters-\n",
		"[network]\nbridge = -x\n",
		"[network]\nuplink = a b\n",
		"[network]\nsubnet = 10.0.0.1/24\n",
		"[network]\nsubnet = 10.0.0.0/25\n",
		"[slots]\ncount = 254\n[network]\nsubnet = 10.0.0.0/24\n",
		"[network]\ndns = x\n",
		"[places]\nstate_dir = relative\n",
		"[places]\nstate_dir = /a/../b\n",
		"[places]\nstate_dir = /a//b\n",
		"[places]\nstate_dir = /a/\n",
		"[places]\nstate_dir = /\n",
		"[places]\nstate_dir =\n",
		"[places]\nstate_dir = /a/.\n",
		"[places]\nstate_dir = /a$b\n",
		"[places]\nrun_dir = /012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789\n",
		"[vmm]\nqemu = /opt/qemu\n",
		"[vmm]\nqemu = /usr/../opt/qemu\n",
		"[vmm]\nqemu =\n",
		"[vmm]\naccel = hvf\n",
		"[storage]\ndm = on\n",
		"[storage]\ndm = kvm\n",
		"[security]\nlandlock = off\n",
		"[security]\nlandlock =\n",
		"[limits]\nmax_vcpus = 257\n",
		"[limits]\nmax_mem_mib = 31\n",
		"[limits]\nmax_vms_per_owner = 0\n",
		"[limits]\nmax_images_per_owner = 0\n",
		"[limits]\ncreates_per_second = 0\n",
		"[limits]\nhold_grace_s = 0\n",
		"[limits]\nhold_grace_s = 3601\n",
		"[limits]\ntotal_mem_percent = 0\n",
		"[limits]\ntotal_mem_percent = 101\n",
		"[limits]\ntotal_tasks = 63\n",
		"[limits]\nmax_flows_per_vm = 63\n",
		"[limits]\nmax_flows_per_vm = 1000001\n",
	};
	char text[1024];
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)snprintf(text, sizeof(text), "%s%s", ACCOUNTS, bad[i]);
		if (load(text, &c) == 0)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void refuses_shape(void **state)
{
	static const char *const bad[] = {
		"[slots]\nslots = 3\n",
		"count = 3\n",
		"[slot]\ncount = 3\n",
		"[slot]\n",
		"  [slot]\n",
		"[slots\ncount = 3\n",
		"[slots]\ncount\n",
		"[slots]\ncount = 3\ncount = 3\n",
		"[slots]\ncount = 3\n  4\n",
		"[slots]\nCount = 3\n",
		"[slots]\nuid_base = 1879048192\n[network]\ncount = 8\n",
	};
	char text[1024];
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)snprintf(text, sizeof(text), "%s%s", ACCOUNTS, bad[i]);
		if (load(text, &c) == 0)
			fail_msg("accepted: %s", bad[i]);
	}
	/* inih would silently cut this line in two. */
	(void)snprintf(text, sizeof(text), "%s[slots]\n;%0250d\n", ACCOUNTS, 0);
	assert_int_equal(load(text, &c), -1);
	write_text(ACCOUNTS "\0[slots]\n", sizeof(ACCOUNTS "\0[slots]\n") - 1);
	assert_int_equal(load_as(geteuid(), &c), -1);
}

static void refuses_accounts(void **state)
{
	static const char *const bad[] = {
		"0:5",
		"5:0",
		"5",
		"5:",
		":5",
		"5:6:7",
		"-1:5",
		"4294967295:5",
		"05:5",
		"no-such-user-here",
		"root",
		"102:200" /* blk's uid */,
		"200:102" /* blk's gid */,
		"1879048192:5",
		"5:1879048200" /* slots' */,
		"1879048447:5" /* no slot's, but within the power of two */,
	};
	char text[256];
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)snprintf(text, sizeof(text),
			       "[accounts]\nnet=%s\nblk=102:102\nspawn=103:103\ncontroller=104:"
			       "104\nsupervisor=105:105\n",
			       bad[i]);
		if (load(text, &c) == 0)
			fail_msg("accepted: net=%s", bad[i]);
	}
	/* The standard accounts may be missing on the test machine, or have other ids. */
	assert_int_equal(load("[accounts]\nnet=101:101\nblk=101:101\n", &c), -1);
}

/* 250 slots span 256 ids. */
static void slot_range(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(load(ACCOUNTS, &c), 0);
	assert_int_equal(config_slot_span(&c), 256);
	assert_false(config_in_slot_range(&c, c.uid_base - 1));
	assert_true(config_in_slot_range(&c, c.uid_base));
	assert_true(config_in_slot_range(&c, c.uid_base + 249));
	assert_true(config_in_slot_range(&c, c.uid_base + 255));
	assert_false(config_in_slot_range(&c, c.uid_base + 256));
	assert_false(config_in_slot_range(&c, 0));
	assert_false(config_in_slot_range(&c, UINT32_MAX));
	c.slots = 1;
	assert_int_equal(config_slot_span(&c), 1);
	assert_false(config_in_slot_range(&c, c.uid_base + 1));
	assert_int_equal(load(ACCOUNTS "users = 1879048192\n", &c), -1);
	assert_int_equal(load(ACCOUNTS "users = 1879048448\n", &c), 0);
}

static void refuses_files(void **state)
{
	struct config c;
	char link[80];

	(void)state;
	assert_int_equal(load(ACCOUNTS, &c), 0);
	assert_int_equal(load_as(geteuid() + 1, &c), -1);
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(load_as(geteuid(), &c), -1);
	assert_int_equal(chmod(path, 0646), 0);
	assert_int_equal(load_as(geteuid(), &c), -1);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(load_as(geteuid(), &c), 0);
	assert_int_equal(chmod(folder, 0770), 0);
	assert_int_equal(load_as(geteuid(), &c), -1);
	assert_int_equal(chmod(folder, 0700), 0);
	(void)snprintf(link, sizeof(link), "%s.real", path);
	assert_int_equal(rename(path, link), 0);
	assert_int_equal(symlink(link, path), 0);
	assert_int_equal(load_as(geteuid(), &c), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(load_as(geteuid(), &c), -1);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(load_as(geteuid(), &c), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(link, path), 0);
}

static void the_sample_is_the_defaults(void **state)
{
	struct config sample, plain;
	char text[65536], *p = text;
	FILE *f = fopen("privhelper/banger.conf", "r");

	(void)state;
	if (!f) {
		print_message("SKIP: not run from the top of the tree\n");
		skip();
	}
	/* Uncomment every key; the accounts of the sample need not exist here. */
	memset(text, 0, sizeof(text));
	while (p < text + sizeof(text) - 512 && fgets(p, 512, f)) {
		bool key = p[0] == ';' && p[1] >= 'a' && p[1] <= 'z' && strstr(p, " =");
		if (key && !strstr(p, "= banger-") && strcmp(p, ";controller = banger\n") != 0)
			p[0] = ' ', memmove(p, p + 1, strlen(p));
		p += strlen(p);
	}
	(void)fclose(f);
	p = strstr(text, "[accounts]");
	assert_non_null(p);
	memmove(p + sizeof(ACCOUNTS) - 1, p + sizeof("[accounts]"),
		strlen(p + sizeof("[accounts]")) + 1);
	memcpy(p, ACCOUNTS, sizeof(ACCOUNTS) - 1);
	assert_int_equal(config_load(path, geteuid(), &plain), 0);
	assert_int_equal(load(ACCOUNTS, &plain), 0);
	write_text(text, strlen(text));
	assert_int_equal(config_load(path, geteuid(), &sample), 0);
	assert_memory_equal(&sample, &plain, sizeof(plain));
}

static void through_memory(void **state)
{
	struct config c, back;

	(void)state;
	assert_int_equal(load(ACCOUNTS, &c), 0);
	int fd = config_to_memfd(&c);
	assert_true(fd >= 0);
	assert_int_equal(config_from_memfd(fd, &back), 0);
	assert_memory_equal(&c, &back, sizeof(c));
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	(void)close(fd);
}

static void refuses_memory(void **state)
{
	struct config c, back;

	(void)state;
	assert_int_equal(load(ACCOUNTS, &c), 0);
	int open_fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(write(open_fd, &c, sizeof(c)), sizeof(c));
	assert_int_equal(config_from_memfd(open_fd, &back), -1); /* not sealed */
	(void)close(open_fd);
	c.magic ^= 1;
	int fd = config_to_memfd(&c);
	assert_int_equal(config_from_memfd(fd, &back), -1);
	assert_int_equal(errno, EBADMSG);
	(void)close(fd);
	fd = open("/dev/null", O_RDONLY);
	assert_int_equal(config_from_memfd(fd, &back), -1);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),         cmocka_unit_test(every_key),
		cmocka_unit_test(refuses_values),   cmocka_unit_test(refuses_shape),
		cmocka_unit_test(refuses_accounts), cmocka_unit_test(slot_range),
		cmocka_unit_test(refuses_files),    cmocka_unit_test(the_sample_is_the_defaults),
		cmocka_unit_test(through_memory),   cmocka_unit_test(refuses_memory),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
