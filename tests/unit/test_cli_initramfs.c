/* Tests the initramfs (read back with libarchive and with cpio), the order of its drivers, and the
 * extraction of the kernel from a bzImage. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/guest_init.h"
#include "controller/cli/guest.h"
#include "controller/cli/initramfs.h"
#include "controller/cli/vmlinux.h"

static char dir[64];

static const char *in_dir(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void put_file(const char *name, const void *data, size_t n)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), (ssize_t)n);
	(void)close(fd);
}

static void put_text(const char *name, const char *text)
{
	put_file(name, text, strlen(text));
}

/* Compress @n bytes with a filter of libarchive's, as one raw file. */
static size_t squeeze(int (*filter)(struct archive *), const void *in, size_t n, uint8_t *out,
		      size_t size)
{
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	size_t used = 0;

	assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
	assert_true(filter(a) == ARCHIVE_OK || filter(a) == ARCHIVE_WARN);
	archive_write_set_bytes_in_last_block(a, 1);
	assert_int_equal(archive_write_open_memory(a, out, size, &used), ARCHIVE_OK);
	archive_entry_set_filetype(e, AE_IFREG);
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, in, n), (la_ssize_t)n);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_entry_free(e);
	archive_write_free(a);
	return used;
}

static int setup(void **state)
{
	uint8_t packed[4096];

	(void)state;
	(void)strcpy(dir, "/tmp/banger-initramfs-XXXXXX");
	assert_non_null(mkdtemp(dir));
	/* modules.dep as depmod writes it: a line lists the modules to load before, the first
	 * needed one last. */
	put_text("modules.dep", "x/other.ko:\n"
				"x/virtio_ring.ko:\n"
				"x/virtio.ko: x/virtio_ring.ko\n"
				"x/virtio_pci.ko: x/virtio.ko x/virtio_ring.ko\n"
				"x/virtio_mmio.ko: x/virtio.ko x/virtio_ring.ko\n"
				"x/virtio_blk.ko.xz: x/virtio.ko x/virtio_ring.ko\n"
				"x/virtio-net.ko: x/net-failover.ko x/virtio.ko x/virtio_ring.ko\n"
				"x/net-failover.ko:");
	put_text("modules.builtin", "kernel/a/b.ko\nkernel/fs/ext4/ext4.ko\n");
	(void)mkdir(in_dir("x"), 0755);
	static const char *const names[] = { "other",       "virtio_ring", "virtio",
					     "virtio_pci",  "virtio_mmio", "virtio-net",
					     "net-failover" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char name[64];
		(void)snprintf(name, sizeof(name), "x/%s.ko", names[i]);
		put_text(name, names[i]);
	}
	size_t n = squeeze(archive_write_add_filter_xz, "virtio_blk", 10, packed, sizeof(packed));
	put_file("x/virtio_blk.ko.xz", packed, n);
	put_text("busybox", "BUSYBOX");
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static int build(struct error *e)
{
	int fd = open(in_dir("initrd"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	memset(e, 0, sizeof(*e));
	if (initramfs_build(fd, dir, in_dir("busybox"), e) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* The file without the mark before it, which to cpio readers is an archive that ends. */
static const char *without_mark(void)
{
	static char path[128];
	char cmd[512];

	(void)snprintf(path, sizeof(path), "%s/unmarked", dir);
	(void)snprintf(cmd, sizeof(cmd), "tail -c +%d %s/initrd >%s", GUEST_INIT_MARK_BYTES + 1,
		       dir, path);
	assert_int_equal(system(cmd), 0);
	return path;
}

/* Read the archive back: @names gets its "name name ...", and the content of @want is compared. */
static void read_back(char *names, size_t size, const char *want, char *content, size_t room)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e;

	names[0] = content[0] = '\0';
	archive_read_support_format_cpio(a);
	archive_read_support_filter_gzip(a);
	assert_int_equal(archive_read_open_filename(a, without_mark(), 4096), ARCHIVE_OK);
	while (archive_read_next_header(a, &e) == ARCHIVE_OK) {
		assert_true(strlen(names) + strlen(archive_entry_pathname(e)) + 2 < size);
		(void)strcat(strcat(names, archive_entry_pathname(e)), " ");
		assert_int_equal(archive_entry_uid(e), 0);
		if (strcmp(archive_entry_pathname(e), want) == 0)
			content[archive_read_data(a, content, room - 1)] = '\0';
	}
	archive_read_free(a);
}

static void test_content(void **state)
{
	static char names[8192], content[65536];
	struct error e;
	struct stat st;
	int fd = build(&e);

	(void)state;
	if (fd < 0)
		fail_msg("%s: %s", e.what, e.why);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size % 512, 0);
	assert_int_equal(pread(fd, content, GUEST_INIT_MARK_BYTES, 0), GUEST_INIT_MARK_BYTES);
	assert_memory_equal(content, GUEST_INIT_MARK, GUEST_INIT_MARK_BYTES);
	(void)close(fd);
	read_back(names, sizeof(names), "init", content, sizeof(content));
	assert_string_equal(content, guest_init);
	assert_int_equal(strncmp(content, "#!/bin/sh\n", 10), 0);
	static const char order[] =
		"modules/00-virtio_ring.ko modules/01-virtio.ko modules/02-virtio_pci.ko "
		"modules/03-virtio_mmio.ko "
		"modules/04-virtio_blk.ko modules/05-net_failover.ko modules/06-virtio_net.ko ";
	if (!strstr(names, order))
		fail_msg("another order: %s", names);
	assert_null(strstr(names, "other"));
	assert_non_null(strstr(names, "bin/switch_root "));
	assert_non_null(strstr(names, " seed "));
	read_back(names, sizeof(names), "modules/04-virtio_blk.ko", content, sizeof(content));
	assert_string_equal(content, "virtio_blk");
	read_back(names, sizeof(names), "bin/busybox", content, sizeof(content));
	assert_string_equal(content, "BUSYBOX");
}

/* Every applet that guest/init calls must be a link in the archive: the words that start a command
 * of it. */
static void test_init_has_its_tools(void **state)
{
	static const char *const used[] = {
		"mount", "insmod",   "sleep",  "cat",    "ip", "hostname",    "grep",
		"rm",    "chmod",    "mkdir",  "chroot", "od", "switch_root", "umount",
		"sync",  "poweroff", "reboot", "cp",     "ls", "rmdir"
	};
	static char names[8192], content[64];
	struct error e;

	(void)state;
	(void)close(build(&e));
	read_back(names, sizeof(names), "", content, sizeof(content));
	for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++) {
		char link[64];
		(void)snprintf(link, sizeof(link), " bin/%s ", used[i]);
		assert_non_null(strstr(guest_init, used[i]));
		assert_non_null(strstr(names, link));
	}
}

/* cpio reads the archive too, also with a second cpio after it, as the daemon appends one. */
static void test_cpio_reads_it(void **state)
{
	char cmd[512], line[256] = "";
	struct error e;

	(void)state;
	if (system("command -v cpio >/dev/null") != 0) {
		fprintf(stderr, "SKIP: no cpio on this machine\n");
		skip();
	}
	(void)close(build(&e));
	(void)snprintf(cmd, sizeof(cmd),
		       "gzip -dc <%s 2>/dev/null | cpio -itv --quiet 2>/dev/null | grep -E "
		       "' dev/console$'",
		       without_mark());
	FILE *p = popen(cmd, "r");
	assert_non_null(fgets(line, sizeof(line), p));
	assert_int_equal(pclose(p), 0);
	assert_int_equal(strncmp(line, "crw-------", 10), 0);
	assert_non_null(strstr(line, "5,   1"));
}

static void test_same_input_same_bytes(void **state)
{
	static char one[65536], two[65536];
	struct error e;
	int fd = build(&e);
	ssize_t n = pread(fd, one, sizeof(one), 0);

	(void)state;
	(void)close(fd);
	(void)sleep(1); /* a time stamp would show */
	fd = build(&e);
	assert_int_equal(pread(fd, two, sizeof(two), 0), n);
	assert_memory_equal(one, two, (size_t)n);
	(void)close(fd);
}

static void test_missing(void **state)
{
	struct error e;
	int fd;

	(void)state;
	put_text("modules.dep", "x/virtio_pci.ko:\nx/virtio_mmio.ko:\nx/virtio_blk.ko.xz:\n");
	assert_int_equal(build(&e), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	assert_non_null(strstr(e.why, "no driver virtio_net"));
	put_text("modules.builtin", "kernel/drivers/net/virtio_net.ko\nkernel/fs/ext4/ext4.ko\n");
	fd = build(&e);
	assert_true(fd >= 0);
	(void)close(fd);
	put_text("modules.dep",
		 "x/virtio_pci.ko: x/absent.ko\nx/virtio_mmio.ko:\nx/virtio_blk.ko.xz:\n");
	assert_int_equal(build(&e), -1);
	assert_non_null(strstr(e.what, "x/absent.ko"));
	(void)unlink(in_dir("modules.dep"));
	assert_int_equal(build(&e), -1);
}

/* Debian's generic kernel has ext4 as a module; crc32c is asked for by name alone. */
static void test_ext4_as_a_module(void **state)
{
	static char names[8192], content[64];
	struct error e;

	(void)state;
	put_text("modules.builtin",
		 "kernel/drivers/x/virtio_pci.ko\nkernel/x/virtio_mmio.ko\nkernel/x/"
		 "virtio_blk.ko\nkernel/x/virtio_net.ko\n");
	put_text("modules.dep", "x/ext4.ko: x/jbd2.ko "
				"x/mbcache.ko\nx/jbd2.ko:\nx/mbcache.ko:\nx/crc32c_generic.ko:\n");
	put_text("x/ext4.ko", "e");
	put_text("x/jbd2.ko", "j");
	put_text("x/mbcache.ko", "m");
	put_text("x/crc32c_generic.ko", "c");
	int fd = build(&e);
	assert_true(fd >= 0);
	(void)close(fd);
	read_back(names, sizeof(names), "", content, sizeof(content));
	assert_non_null(strstr(names, "modules/00-crc32c_generic.ko modules/01-mbcache.ko "
				      "modules/02-jbd2.ko modules/03-ext4.ko "));
	put_text("modules.dep", "x/other.ko:\n");
	assert_int_equal(build(&e), -1);
	assert_non_null(
		strstr(e.why, "this kernel has no driver ext4, neither built in nor as a module"));
}

static void test_all_built_in(void **state)
{
	struct error e;

	(void)state;
	put_text("modules.builtin",
		 "kernel/x/virtio_pci.ko\nkernel/x/virtio_mmio.ko\nkernel/x/virtio_blk.ko\n"
		 "kernel/x/virtio_net.ko\nkernel/fs/ext4/ext4.ko\n");
	put_text("modules.dep", "");
	int fd = build(&e);
	if (fd < 0)
		fail_msg("%s: %s", e.what, e.why);
	(void)close(fd);
}

/* ---- bzImage ---- */

static uint8_t elf[5000], image[16384], machine = 62; /* x86-64 */

static void le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* Make a bzImage with this payload and 4 setup sectors.  The payload starts 100 bytes after
 * them. */
static struct blob make_image(int (*filter)(struct archive *), bool gzip)
{
	size_t start = 5 * 512 + 100, n;

	memset(image, 0, sizeof(image));
	for (size_t i = 0; i < sizeof(elf); i++)
		elf[i] = (uint8_t)(i * 7 + i / 256);
	memcpy(elf, "\177ELF\2", 5); /* 64 bits */
	elf[18] = machine;
	elf[19] = 0;
	image[0x1f1] = 4;
	image[0x1fe] = 0x55;
	image[0x1ff] = 0xaa;
	memcpy(image + 0x202, "HdrS", 4);
	image[0x206] = 0x0f;
	image[0x207] = 0x02;
	n = squeeze(filter, elf, sizeof(elf), image + start, sizeof(image) - start - 8);
	if (!gzip) {
		le32(image + start + n, sizeof(elf));
		n += 4;
	}
	le32(image + 0x248, 100);
	le32(image + 0x24c, (uint32_t)n);
	return (struct blob){ image, start + n };
}

static void test_vmlinux(void **state)
{
	static const struct {
		int (*filter)(struct archive *);
		bool gzip;
	} kinds[] = { { archive_write_add_filter_gzip, true },
		      { archive_write_add_filter_xz, false },
		      { archive_write_add_filter_zstd, false },
		      { archive_write_add_filter_lz4, false },
		      { archive_write_add_filter_bzip2, false } };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct blob out = { 0 }, in = make_image(kinds[i].filter, kinds[i].gzip);
		struct error e = { 0 };
		if (vmlinux_extract(&in, &out, &e) < 0)
			fail_msg("kind %zu: %s: %s", i, e.what, e.why);
		assert_int_equal(out.len, sizeof(elf));
		assert_memory_equal(out.data, elf, sizeof(elf));
		blob_free(&out);
	}
}

static void refused(const struct blob *in)
{
	struct blob out = { 0 };
	struct error e = { 0 };

	assert_int_equal(vmlinux_extract(in, &out, &e), -1);
	assert_true(e.code != FAIL_NONE && e.why[0]);
	assert_null(out.data);
}

static void test_vmlinux_of_another_machine(void **state)
{
	struct blob out = { 0 };
	struct error e = { 0 };

	(void)state;
	machine = 183; /* AArch64 */
	struct blob in = make_image(archive_write_add_filter_xz, false);
	machine = 62;
	assert_int_equal(vmlinux_extract(&in, &out, &e), -1);
	assert_non_null(strstr(e.why, "it has 64 bits and is for machine 183"));
}

/* The bzImage is hostile: headers that point anywhere, every truncation, every byte of the payload
 * flipped. */
static void test_vmlinux_hostile(void **state)
{
	struct blob in = make_image(archive_write_add_filter_xz, false);
	size_t whole = in.len;

	(void)state;
	for (size_t n = 0; n < whole; n += n < 0x260 ? 1 : 97) {
		/* A heap copy of exactly this size, so that the sanitizer sees every byte too
		 * far. */
		struct blob cut = { malloc(n ? n : 1), n };
		memcpy(cut.data, in.data, n);
		refused(&cut);
		blob_free(&cut);
	}
	le32(image + 0x248, UINT32_MAX);
	refused(&in);
	le32(image + 0x248, 100);
	le32(image + 0x24c, UINT32_MAX);
	refused(&in);
	le32(image + 0x24c, 3);
	refused(&in);
	in = make_image(archive_write_add_filter_xz, false);
	le32(image + in.len - 4, sizeof(elf) + 1);
	refused(&in);
	in = make_image(archive_write_add_filter_xz, false);
	image[0x202] = 'h';
	refused(&in);
	in = make_image(archive_write_add_filter_xz, false);
	image[0x206] = 7;
	refused(&in);
	for (size_t at = 5 * 512 + 100; at < whole; at += 41) {
		struct blob out = { 0 };
		struct error e = { 0 };
		in = make_image(archive_write_add_filter_xz, false);
		image[at] ^= 0x40;
		if (vmlinux_extract(&in, &out, &e) == 0)
			blob_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_content, setup, teardown),
		cmocka_unit_test_setup_teardown(test_init_has_its_tools, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cpio_reads_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_input_same_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ext4_as_a_module, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_built_in, setup, teardown),
		cmocka_unit_test(test_vmlinux),
		cmocka_unit_test(test_vmlinux_of_another_machine),
		cmocka_unit_test(test_vmlinux_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
