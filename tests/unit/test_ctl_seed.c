/* Tests the seed: the initramfs is unchanged, our archive follows it aligned, and its members have
 * what the guest needs. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/fdio.h"
#include "common/guest_init.h"
#include "controller/paths.h"
#include "controller/storage/seed.h"

#define DIGEST "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"

static struct ctl ctl;
static struct error e;
static char folder[64], got[65536];
static size_t got_len;

static void path_make(const char *sub)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, sub);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fdio_write_all(fd, bytes, n), 0);
	(void)close(fd);
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/banger-seed-XXXXXX");
	assert_non_null(mkdtemp(folder));
	ctl.config = (struct config){
		.subnet = 10u << 24, .prefix = 16, .dns = 1u << 24 | 1, .slots = 10
	};
	(void)snprintf(ctl.config.state_dir, sizeof(ctl.config.state_dir), "%s", folder);
	(void)snprintf(ctl.config.run_dir, sizeof(ctl.config.run_dir), "%s/run", folder);
	path_make("kernels");
	path_make("kernels/" DIGEST);
	path_make("slots");
	path_make("slots/5");
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static struct vm a_vm(void)
{
	return (struct vm){ .name = "web",
			    .slot = 5,
			    .id = { 0xab },
			    .kernel_digest = DIGEST,
			    .ssh_key = "ssh-ed25519 AAAA ann@example" };
}

/* Write the seed after an initramfs of @n bytes and read the result back. */
static void seed(const struct vm *vm, const char *initramfs, size_t n)
{
	char path[256], out[200];

	path_kernel(&ctl.config, DIGEST, "initramfs", path);
	write_file(path, initramfs, n);
	if (seed_write(&ctl, vm, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	path_slot_state(&ctl.config, 5, "initrd", out);
	int fd = open(out, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	got_len = (size_t)read(fd, got, sizeof(got));
	(void)close(fd);
}

static unsigned hex(size_t at, unsigned number)
{
	char digits[9] = "";
	char *end;

	memcpy(digits, got + at + 6 + 8 * number, 8);
	unsigned v = (unsigned)strtoul(digits, &end, 16);
	assert_ptr_equal(end, digits + 8);
	return v;
}

static size_t align(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* Walk the archive at @at as the kernel does, and copy the data of member @name to @out.  Return:
 * its mode, 0 when absent. */
static unsigned member(size_t at, const char *name, char *out, size_t size)
{
	unsigned mode = 0;

	out[0] = '\0';
	for (;;) {
		assert_int_equal(at % 4, 0);
		assert_true(at + 110 < got_len);
		assert_memory_equal(got + at, "070701", 6);
		size_t bytes = hex(at, 6), name_len = hex(at, 11),
		       data = align(at + 110 + name_len);
		const char *this = got + at + 110;
		assert_true(data + bytes <= got_len);
		assert_int_equal(this[name_len - 1], 0);
		assert_int_equal(strlen(this), name_len - 1);
		if (strcmp(this, "TRAILER!!!") == 0) {
			assert_int_equal(align(data + bytes), got_len); /* nothing behind it */
			return mode;
		}
		if (strcmp(this, name) == 0) {
			mode = hex(at, 1);
			assert_true(bytes < size);
			memcpy(out, got + data, bytes);
			out[bytes] = '\0';
		}
		at = align(data + bytes);
	}
}

static void test_members(void **state)
{
	struct vm vm = a_vm();
	char text[8192];

	(void)state;
	seed(&vm, "INIT", 4);
	assert_memory_equal(got, "INIT", 4);
	assert_int_equal(member(4, "seed", text, sizeof(text)), S_IFDIR | 0700);
	assert_int_equal(member(4, "seed/hostname", text, sizeof(text)), S_IFREG | 0600);
	assert_string_equal(text, "web\n");
	(void)member(4, "seed/network", text, sizeof(text));
	assert_string_equal(text, "address=10.0.0.7\nprefix=16\ngateway=10.0.0.1\ndns=1.0.0.1\n");
	(void)member(4, "seed/authorized_keys", text, sizeof(text));
	assert_string_equal(text, "ssh-ed25519 AAAA ann@example\n");
	assert_int_equal(member(4, "seed/entry", text, sizeof(text)), S_IFREG | 0600);
	assert_string_equal(text, "always\n");
	(void)member(4, "seed/id", text, sizeof(text));
	assert_string_equal(text, "ab000000000000000000000000000000\n");
	vm.hold = HOLD_DELETE; /* `run` starts the entry point of its image itself */
	seed(&vm, "INIT", 4);
	(void)member(4, "seed/entry", text, sizeof(text));
	assert_string_equal(text, "later\n");
}

static void test_volumes(void **state)
{
	struct vm vm = a_vm();
	const size_t at = GUEST_INIT_MARK_BYTES;
	char text[8192], old[GUEST_INIT_MARK_BYTES];

	(void)state;
	vm.n_volumes = 2;
	(void)strcpy(vm.volumes[0].path, "/srv/data");
	(void)strcpy(vm.volumes[1].path, "/var/log");
	vm.volumes[1].read_only = true;
	seed(&vm, GUEST_INIT_MARK, at);
	assert_int_equal(member(at, "seed/volumes", text, sizeof(text)), S_IFREG | 0600);
	assert_string_equal(text, "rw /srv/data\nro /var/log\n");
	/* An init that would leave them out. */
	memcpy(old, GUEST_INIT_MARK, at);
	old[13] = '0';
	char path[256];
	path_kernel(&ctl.config, DIGEST, "initramfs", path);
	write_file(path, old, at);
	assert_int_equal(seed_write(&ctl, &vm, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_non_null(strstr(e.why, "earlier banger"));
	write_file(path, "INIT", 4);
	assert_int_equal(seed_write(&ctl, &vm, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	vm.n_volumes = 0;
	seed(&vm, "INIT", 4);
	assert_int_equal(member(4, "seed/volumes", text, sizeof(text)), S_IFREG | 0600);
	assert_string_equal(text, "");
}

static void test_alignment(void **state)
{
	struct vm vm = a_vm();
	char text[64];

	(void)state;
	for (size_t n = 0; n < 9; n++) {
		memset(got, 0xee, sizeof(got));
		seed(&vm, "abcdefghi", n);
		assert_memory_equal(got, "abcdefghi", n);
		for (size_t i = n; i < align(n); i++)
			assert_int_equal(got[i], 0);
		assert_true(member(align(n), "seed/hostname", text, sizeof(text)));
	}
}

static void test_long_key_and_none(void **state)
{
	struct vm vm = a_vm();
	char text[8192];

	(void)state;
	memset(vm.ssh_key, 'k', 4000);
	memset(vm.name, 'n', 63);
	seed(&vm, "", 0);
	(void)member(0, "seed/authorized_keys", text, sizeof(text));
	assert_int_equal(strlen(text), 4001);
	vm.ssh_key[0] = '\0';
	ctl.config.dns = 0;
	seed(&vm, "", 0); /* a second time replaces the first */
	assert_true(member(0, "seed/authorized_keys", text, sizeof(text)));
	assert_string_equal(text, "");
	(void)member(0, "seed/network", text, sizeof(text));
	assert_non_null(strstr(text, "\ndns=\n"));
}

static void test_bad_keys(void **state)
{
	static const char *const bad[] = { "a\nb", "a\rb", "\t", "a\177", "x\033[0m" };
	struct vm vm = a_vm();
	char out[200];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		(void)snprintf(vm.ssh_key, sizeof(vm.ssh_key), "%s", bad[i]);
		assert_int_equal(seed_write(&ctl, &vm, &e), -1);
		assert_int_equal(e.code, FAIL_USAGE);
	}
	path_slot_state(&ctl.config, 5, "initrd", out);
	assert_int_equal(access(out, F_OK), -1);
}

static void test_mode_and_failures(void **state)
{
	struct vm vm = a_vm();
	struct stat st;
	char out[200];
	mode_t old = umask(077);

	(void)state;
	seed(&vm, "x", 1);
	path_slot_state(&ctl.config, 5, "initrd", out);
	assert_int_equal(stat(out, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	(void)umask(old);
	vm.slot = 6; /* has no folder */
	assert_int_equal(seed_write(&ctl, &vm, &e), -1);
	assert_int_equal(e.code, FAIL_HOST);
	assert_true(e.hint[0]);
	vm.slot = 5;
	vm.kernel_digest[0] = 'e';
	assert_int_equal(seed_write(&ctl, &vm, &e), -1);
}

#define SEED(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEED(test_members),           SEED(test_volumes),  SEED(test_alignment),
		SEED(test_long_key_and_none), SEED(test_bad_keys), SEED(test_mode_and_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
