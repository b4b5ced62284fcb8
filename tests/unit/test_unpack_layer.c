/* Tests the image that layers make: layers are tars made here, the image is read by debugfs and
 * checked by e2fsck. */
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/unpack/layer.h"

#define MIB (1u << 20)

static struct {
	char dir[64], path[96];
	int fd;
	struct image im;
	struct error e;
	/* the tar that is made */
	int tar;
	struct archive *a;
	char out[65536];
} t;

/* ---- the file system ---- */

static void make_empty(const char *path)
{
	char cmd[600];

	(void)snprintf(cmd, sizeof(cmd),
		       "rm -f %s; E2FSPROGS_FAKE_TIME=946684800 PATH=$PATH:/sbin:/usr/sbin "
		       "mke2fs -q "
		       "-F -t ext4 -b 4096 -U 00112233-4455-8677-8899-aabbccddeeff -E "
		       "hash_seed=00112233-4455-8677-8899-aabbccddeeff,root_owner=0:0,"
		       "assume_storage_prezeroed=1 %s 32M >/dev/null",
		       path, path);
	assert_int_equal(system(cmd), 0);
}

static void begin(void)
{
	make_empty(t.path);
	t.fd = open(t.path, O_RDWR | O_CLOEXEC);
	assert_true(t.fd >= 0);
	assert_int_equal(image_begin(&t.im, t.fd, 1ull << 32, &t.e), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	(void)strcpy(t.dir, "/tmp/banger-unpack-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	(void)snprintf(t.path, sizeof(t.path), "%s/image", t.dir);
	begin();
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	image_abandon(&t.im);
	(void)close(t.fd);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", t.dir);
	return system(cmd);
}

/* Run debugfs.  Return: what it prints. */
static const char *debugfs(const char *request)
{
	char cmd[600];

	(void)snprintf(cmd, sizeof(cmd),
		       "PATH=$PATH:/sbin:/usr/sbin debugfs -R '%s' %s 2>/dev/null", request,
		       t.path);
	FILE *f = popen(cmd, "r");
	assert_non_null(f);
	t.out[fread(t.out, 1, sizeof(t.out) - 1, f)] = '\0';
	(void)pclose(f);
	return t.out;
}

static void finish(void)
{
	char cmd[600];

	if (image_finish(&t.im, &t.e) < 0)
		fail_msg("%s: %s", t.e.what, t.e.why);
	(void)snprintf(cmd, sizeof(cmd), "PATH=$PATH:/sbin:/usr/sbin e2fsck -fn %s >%s/fsck 2>&1",
		       t.path, t.dir);
	if (system(cmd) != 0) {
		(void)snprintf(cmd, sizeof(cmd), "cat %s/fsck >&2", t.dir);
		fail_msg("e2fsck finds faults (%d)", system(cmd));
	}
}

static void has(const char *request, const char *part)
{
	if (!strstr(debugfs(request), part))
		fail_msg("%s: no \"%s\" in:\n%s", request, part, t.out);
}

static void is_missing(const char *path)
{
	char request[300];

	(void)snprintf(request, sizeof(request), "stat %s", path);
	if (strstr(debugfs(request), "Inode:"))
		fail_msg("%s is there:\n%s", path, t.out);
}

/* ---- layers ---- */

static void layer_new(void)
{
	t.tar = memfd_create("tar", MFD_CLOEXEC);
	t.a = archive_write_new();
	(void)archive_write_set_format_pax(t.a);
	(void)archive_write_set_options(t.a, "hdrcharset=BINARY");
	assert_int_equal(archive_write_open_fd(t.a, t.tar), ARCHIVE_OK);
}

static struct archive_entry *entry_new(const char *path, mode_t mode)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_set_pathname(e, path);
	archive_entry_set_mode(e, mode);
	archive_entry_set_mtime(e, 1000000000, 5);
	return e;
}

static void put(struct archive_entry *e, const void *data, size_t n)
{
	archive_entry_set_size(e, (la_int64_t)n);
	assert_true(archive_write_header(t.a, e) >= ARCHIVE_WARN);
	if (n)
		assert_int_equal(archive_write_data(t.a, data, n), (la_ssize_t)n);
	archive_entry_free(e);
}

static void put_file(const char *path, mode_t mode, const char *text)
{
	put(entry_new(path, S_IFREG | mode), text, strlen(text));
}

static void put_folder(const char *path)
{
	put(entry_new(path, S_IFDIR | 0755), NULL, 0);
}

static void put_link(const char *path, const char *target)
{
	struct archive_entry *e = entry_new(path, S_IFLNK | 0777);

	archive_entry_set_symlink(e, target);
	put(e, NULL, 0);
}

static void put_hard(const char *path, const char *target)
{
	struct archive_entry *e = entry_new(path, S_IFREG | 0644);

	archive_entry_set_hardlink(e, target);
	put(e, NULL, 0);
}

/* Apply the layer that was made. */
static int apply(void)
{
	struct stream file = { 0 }, plain = { 0 };

	assert_int_equal(archive_write_close(t.a), ARCHIVE_OK);
	archive_write_free(t.a);
	assert_int_equal(stream_file(&file, t.tar, &t.e), 0);
	assert_int_equal(stream_plain(&plain, &file, t.im.left, &t.e), 0);
	int r = layer_apply(&t.im, &plain, &t.e);
	stream_end(&plain);
	stream_end(&file);
	(void)close(t.tar);
	return r;
}

static void applies(void)
{
	if (apply() < 0)
		fail_msg("%s: %s", t.e.what, t.e.why);
}

static void refuses(const char *why)
{
	assert_int_equal(apply(), -1);
	if (!strstr(t.e.why, why))
		fail_msg("no \"%s\" in: %s: %s", why, t.e.what, t.e.why);
}

/* ---- tests ---- */

static void put_special(void)
{
	struct archive_entry *e = entry_new("dev/null", S_IFCHR | 0666);

	archive_entry_set_rdevmajor(e, 1);
	archive_entry_set_rdevminor(e, 3);
	put(e, NULL, 0);
	e = entry_new("dev/large", S_IFBLK | 0600);
	archive_entry_set_rdevmajor(e, 259);
	archive_entry_set_rdevminor(e, 70000);
	put(e, NULL, 0);
	put(entry_new("dev/fifo", S_IFIFO | 0600), NULL, 0);
	e = entry_new("bin/ping", S_IFREG | 0755);
	archive_entry_xattr_add_entry(e, "security.capability",
				      "\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	archive_entry_xattr_add_entry(e, "user.note", "value", 5);
	archive_entry_xattr_add_entry(e, "security.selinux", "label", 5);
	archive_entry_xattr_add_entry(e, "trusted.overlay.opaque", "y", 1);
	put(e, "ping", 4);
	e = entry_new("bin/su", S_IFREG | 06755);
	archive_entry_set_uid(e, 100000);
	archive_entry_set_gid(e, 42);
	put(e, "su", 2);
}

static void test_kinds_of_files(void **state)
{
	char *zeros = calloc(1, 8 * MIB), slow[200];

	(void)state;
	memset(slow, 's', sizeof(slow) - 1);
	slow[sizeof(slow) - 1] = '\0';
	zeros[5 * MIB] = 'x';
	layer_new();
	put_special();
	put_link("short", "bin/ping");
	put_link("long", slow);
	put(entry_new("sparse", S_IFREG | 0), zeros, 8 * MIB);
	put(entry_new("tmp", S_IFDIR | 01777), NULL, 0);
	put_file("name with \xff\xfe and \n", 0644, "bytes");
	applies();
	free(zeros);
	finish();
	has("stat dev/null", "Type: character special    Mode:  0666");
	has("stat dev/null", "Device major/minor number: 01:03");
	has("stat dev/large", "Device major/minor number: 259:70000");
	has("stat dev/fifo", "Type: FIFO");
	has("ea_list bin/ping", "user.note (5) = \"value\"");
	has("ea_list bin/ping", "security.capability (20)");
	assert_null(strstr(t.out, "selinux"));
	assert_null(strstr(t.out, "trusted"));
	has("stat bin/su", "Mode:  06755");
	has("stat bin/su", "User: 100000   Group:    42");
	has("stat bin/su", "mtime: 0x3b9aca00:00000014");
	has("stat short", "Fast link dest: \"bin/ping\"");
	has("stat long", "Size: 199");
	has("stat sparse", "Mode:  0000");
	has("stat sparse", "Size: 8388608");
	has("stat sparse", "Blockcount: 8\n");
	has("stat tmp", "Mode:  01777");
	has("ls -l /", "name with \\xff\\xfe and \\x0a"); /* as debugfs spells bytes */
}

static void test_hard_links(void **state)
{
	(void)state;
	layer_new();
	put_file("a/one", 0644, "first");
	put_hard("a/two", "a/one");
	put_file("gone", 0644, "gone");
	applies();
	layer_new();
	put_hard("b/three", "./a/two");
	put_hard("/b/kept", "gone");
	put_hard("a/one", "a/one");
	put_file(".wh.gone", 0, "");
	put_file("a/two", 0644, "second");
	applies();
	finish();
	has("stat a/one", "Links: 2");
	has("cat b/three", "first");
	has("cat a/two", "second");
	has("stat b/kept", "Links: 1");
	has("cat b/kept", "gone");
	is_missing("gone");
}

static void test_whiteouts(void **state)
{
	(void)state;
	layer_new();
	put_file("file", 0644, "1");
	put_file("tree/deep/file", 0644, "1");
	put_file("opaque/old", 0644, "1");
	put_file("opaque/sub/old", 0644, "1");
	put_file("again/old", 0644, "1");
	put_file("same/a", 0644, "1");
	applies();
	layer_new();
	put_file(".wh.file", 0, "");
	put_file(".wh.tree", 0, "");
	put_file(".wh.nothing", 0, "");
	put_file("opaque/new", 0644, "2");
	put_file("opaque/sub/new", 0644, "2");
	put_file("opaque/.wh..wh..opq", 0, ""); /* behind its siblings */
	put_folder("again");
	put_file("again/new", 0644, "2");
	put_file(".wh.again", 0, "");
	put_file("same/a", 0644, "2");
	put_file("same/.wh.a", 0, "");
	put_file(".wh..wh.plnk", 0, "");
	put_hard(".wh.lost+found", "same/a");
	applies();
	finish();
	is_missing("file");
	is_missing("tree");
	is_missing("opaque/old");
	is_missing("opaque/sub/old");
	has("cat opaque/new", "2");
	has("cat opaque/sub/new", "2");
	is_missing("again/old");
	has("cat again/new", "2");
	has("cat same/a", "2");
	assert_null(strstr(debugfs("ls /"), ".wh."));
}

static void test_an_entry_replaces(void **state)
{
	(void)state;
	layer_new();
	put_folder("usr/bin");
	put_link("bin", "usr/bin");
	put_link("abs", "/usr/bin");
	put_file("folder/inside", 0644, "1");
	put_file("file", 0644, "1");
	put_folder("linked");
	put_file("linked/inside", 0644, "1");
	put_link("tolink", "linked");
	applies();
	layer_new();
	put_file("bin/x", 0644, "through a link");
	put_file("abs/y", 0644, "through an absolute link");
	put_file("folder", 0644, "a file now");
	put_file("file/inside", 0644, "never");
	refuses("it is no folder");
	layer_new();
	put_link("linked", "/etc");
	put_folder("tolink");
	put_folder("file");
	put_file("file/inside", 0644, "a folder now");
	put_file("linked/passwd", 0644, "in the image's etc");
	put_file("lost+found/x", 0644, "x");
	applies();
	finish();
	has("cat usr/bin/x", "through a link");
	has("cat usr/bin/y", "through an absolute link");
	has("stat bin", "Type: symlink");
	has("cat folder", "a file now");
	has("cat file/inside", "a folder now");
	has("cat etc/passwd", "in the image's etc");
	has("stat tolink", "Type: directory");
	has("cat lost+found/x", "x");
}

static void test_links_stay_in_the_image(void **state)
{
	(void)state;
	layer_new();
	put_link("up", "../../../../tmp");
	put_file("up/banger-evil", 0644, "inside");
	put_link("dangling", "/new/place");
	put_file("dangling/file", 0644, "made");
	applies();
	finish();
	has("cat tmp/banger-evil", "inside");
	has("cat new/place/file", "made");
	assert_int_equal(access("/tmp/banger-evil", F_OK), -1);
}

/* Each is a layer of its own on an empty image. */
static void test_hostile_entries(void **state)
{
	static const struct {
		const char *path, *why;
	} bad[] = {
		{ "../pwn", "has \"..\" in it" },     { "a/../../pwn", "has \"..\" in it" },
		{ "a/..", "has \"..\" in it" },       { ".wh.", "a whiteout of no name" },
		{ ".wh..", "a whiteout of no name" }, { "a/.wh...", "a whiteout of no name" },
	};
	char longest[400];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		layer_new();
		put_file(bad[i].path, 0644, "x");
		refuses(bad[i].why);
	}
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	layer_new();
	put_file(longest, 0644, "x");
	refuses("more than 255 bytes");
	layer_new();
	put_hard("link", "../../etc/passwd");
	refuses("has \"..\" in it");
	layer_new();
	put_hard("link", "/etc/passwd");
	refuses("a hard link leads there, but no file is there");
	layer_new();
	put_link("loop", "loop");
	put_file("loop/x", 0644, "x");
	refuses("leads through 40 links");
}

static void test_deep_folders(void **state)
{
	char path[1200];

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(path); i += 2)
		memcpy(path + i, "d/", 3);
	layer_new();
	put_folder(path);
	refuses("more than 512 folders in one another");
}

static void test_an_image_that_is_full(void **state)
{
	char *data = malloc(40 * MIB);

	(void)state;
	memset(data, 'x', 40 * MIB);
	layer_new();
	put(entry_new("big", S_IFREG | 0644), data, 40 * MIB);
	assert_int_equal(apply(), -1);
	assert_int_equal(t.e.code, FAIL_LIMIT);
	assert_string_equal(t.e.hint, "a larger one: --size 8G");
	free(data);
}

static void test_many_files(void **state)
{
	char path[64];

	(void)state;
	layer_new();
	for (int i = 0; i < 6000; i++) {
		(void)snprintf(path, sizeof(path), "many/file-with-a-long-name-%05d", i);
		put(entry_new(path, S_IFREG | 0644), NULL, 0);
	}
	applies();
	finish();
	has("stat many/file-with-a-long-name-05999", "Type: regular");
	assert_int_equal(teardown(state) + setup(state), 0);
	layer_new();
	for (int i = 0; i < 20000; i++) {
		(void)snprintf(path, sizeof(path), "many/%05d", i);
		put(entry_new(path, S_IFREG | 0644), NULL, 0);
	}
	refuses("more files than the file system has inodes");
}

static void test_a_truncated_tar(void **state)
{
	static const char text[4000] = "x";
	struct stream file = { 0 }, plain = { 0 };

	(void)state;
	layer_new();
	put(entry_new("file", S_IFREG | 0644), text, sizeof(text));
	assert_int_equal(archive_write_close(t.a), ARCHIVE_OK);
	archive_write_free(t.a);
	assert_int_equal(ftruncate(t.tar, 3000), 0);
	assert_int_equal(stream_file(&file, t.tar, &t.e), 0);
	assert_int_equal(stream_plain(&plain, &file, t.im.left, &t.e), 0);
	assert_int_equal(layer_apply(&t.im, &plain, &t.e), -1);
	assert_non_null(strstr(t.e.why, "runcated"));
	stream_end(&plain);
	stream_end(&file);
	(void)close(t.tar);
}

static void test_a_bomb(void **state)
{
	struct stream file = { 0 }, plain = { 0 };
	char *zeros = calloc(1, 9 * MIB);

	(void)state;
	layer_new();
	put(entry_new("bomb", S_IFREG | 0644), zeros, 9 * MIB);
	assert_int_equal(archive_write_close(t.a), ARCHIVE_OK);
	archive_write_free(t.a);
	assert_int_equal(stream_file(&file, t.tar, &t.e), 0);
	assert_int_equal(stream_plain(&plain, &file, 8 * MIB, &t.e), 0);
	assert_int_equal(layer_apply(&t.im, &plain, &t.e), -1);
	assert_non_null(strstr(t.e.why, "more than 8 MiB when unpacked"));
	stream_end(&plain);
	stream_end(&file);
	(void)close(t.tar);
	free(zeros);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_kinds_of_files),
		T(test_hard_links),
		T(test_whiteouts),
		T(test_an_entry_replaces),
		T(test_links_stay_in_the_image),
		T(test_hostile_entries),
		T(test_deep_folders),
		T(test_an_image_that_is_full),
		T(test_many_files),
		T(test_a_truncated_tar),
		T(test_a_bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
