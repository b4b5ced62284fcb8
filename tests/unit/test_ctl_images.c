/* Tests the files of images and kernels, and the disks made from them: which are accepted, which
 * are refused, and what is left. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/cleanup.h"
#include "controller/db/connection.h"
#include "controller/db/db.h"
#include "controller/paths.h"
#include "controller/storage/disk.h"
#include "controller/storage/image_gc.h"
#include "controller/storage/image_import.h"
#include "controller/storage/file_part.h"
#include "controller/storage/volume.h"
#include "controller/storage/image_read.h"
#include "controller/storage/slot_folder.h"
#include "controller/storage/slot_owner.h"

#define MIB (1u << 20)

static struct ctl ctl;
static _Thread_local struct error e;
static char folder[64];
static const struct caller root = { .uid = 0 }, ann = { .uid = 1000 }, bob = { .uid = 1001 };

static struct operation operation(const struct caller *c)
{
	static unsigned n;
	unsigned id = __atomic_add_fetch(&n, 1, __ATOMIC_RELAXED);
	struct operation o = { .caller = c, .id = { (uint8_t)(id >> 8), (uint8_t)id } };

	format_id(o.id, o.hex);
	return o;
}

static const char nobodys[] =
	"images/00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff.ext4";

static const char *path(const char *sub)
{
	static _Thread_local char p[256];

	(void)snprintf(p, sizeof(p), "%s/%s", folder, sub);
	return p;
}

static int setup(void **state)
{
	static const char *const folders[] = { "images",  "kernels", "volumes",   "slots",
					       "slots/3", "run",     "run/slots", "run/slots/3" };

	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/banger-images-XXXXXX");
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		assert_int_equal(mkdir(path(folders[i]), 0700), 0);
	ctl.config = (struct config){
		.slots = 10, .max_disk_mib = 64, .max_vms_per_owner = 10, .max_images_per_owner = 3
	};
	(void)snprintf(ctl.config.state_dir, sizeof(ctl.config.state_dir), "%s", folder);
	(void)snprintf(ctl.config.run_dir, sizeof(ctl.config.run_dir), "%s/run", folder);
	ctl.db = db_open(":memory:", &e);
	return ctl.db ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	db_close(ctl.db);
	(void)snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

/* Return: how many entries a folder has. */
static unsigned entries(const char *sub)
{
	DIR *d = opendir(path(sub));
	unsigned n = 0;

	assert_non_null(d);
	for (struct dirent *x; (x = readdir(d));)
		n += x->d_name[0] != '.';
	(void)closedir(d);
	return n;
}

static int file(size_t size, size_t at, const char *bytes, size_t n)
{
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (n)
		assert_int_equal(pwrite(fd, bytes, n, (off_t)at), n);
	return fd;
}

/* Make a file with the magic number of ext4, and @text in its middle. */
static int ext4(size_t size, const char *text)
{
	int fd = file(size, 1080, "\x53\xef", 2);

	assert_int_equal(pwrite(fd, text, strlen(text), (off_t)size / 2), strlen(text));
	return fd;
}

static int image_import(struct operation *o, const char *name, const char *kernel, int fd,
			char digest[65])
{
	static const struct artifact_origin from = { .origin = "registry.example/a:1",
						     .config = "c0ffee",
						     .layers = "01 02" };
	struct artifact_import im = {
		.type = ARTIFACT_IMAGE, .name = name, .kernel = kernel, .from = &from, .fds = &fd
	};
	int r = artifact_import(&ctl, o, &im, &e);

	memcpy(digest, im.digest, sizeof(im.digest));
	return r;
}

static int kernel_import(struct operation *o, const char *name, const int fds[3], char digest[65])
{
	struct artifact_import im = { .type = ARTIFACT_KERNEL, .name = name, .fds = fds };
	int r = artifact_import(&ctl, o, &im, &e);

	memcpy(digest, im.digest, sizeof(im.digest));
	return r;
}

static int import_kernel(const struct caller *c, const char *name, const char *head,
			 const char *elf, char digest[65])
{
	struct operation o = operation(c);
	int fds[3] = { file(4096, 0x202, head, strlen(head)), file(10, 0, "initramfs", 9),
		       file(100, 0, elf, strlen(elf)) };
	int r = kernel_import(&o, name, fds, digest);

	fdio_close_all(fds, 3);
	return r;
}

static int import(const struct caller *c, const char *name, int fd, char digest[65])
{
	struct operation o = operation(c);
	int r = image_import(&o, name, "k", fd, digest);

	(void)close(fd);
	return r;
}

static void have_kernel(void)
{
	char digest[65];

	if (import_kernel(&root, "k", "HdrS", "\177ELF", digest) < 0)
		fail_msg("%s: %s", e.what, e.why);
}

static int delete_image(const struct caller *c, const char *name)
{
	struct operation o = operation(c);

	return artifact_delete(&ctl, &o, ARTIFACT_IMAGE, name, &e);
}

static int delete_kernel(const struct caller *c, const char *name)
{
	struct operation o = operation(c);

	return artifact_delete(&ctl, &o, ARTIFACT_KERNEL, name, &e);
}

/* ---- images ---- */

static void test_import(void **state)
{
	char digest[65], name[256];
	struct stat st;
	struct artifact i = { .type = ARTIFACT_IMAGE };

	(void)state;
	have_kernel();
	if (import(&ann, "debian", ext4(16 * MIB, "hello"), digest) < 0)
		fail_msg("%s: %s", e.what, e.why);
	path_image(&ctl.config, digest, name);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_size, 16 * MIB);
	assert_true(st.st_blocks * 512 < MIB); /* two blocks of 64 KiB */
	assert_int_equal(db_artifact_find(ctl.db, &ann, "debian", &i, &e), 0);
	assert_string_equal(i.digest, digest);
	assert_int_equal(i.size, 16 * MIB);
	assert_string_equal(i.kernel, "k");
	assert_string_equal(i.from.origin, "registry.example/a:1");
	assert_string_equal(i.from.config, "c0ffee");
	assert_string_equal(i.from.layers, "01 02");
	assert_int_equal(entries("images"), 1);

	int fd = open(name, O_RDONLY | O_CLOEXEC);
	char text[6] = "";
	assert_int_equal(pread(fd, text, 5, 8 * MIB), 5);
	assert_string_equal(text, "hello");
	(void)close(fd);
}

/* The digest covers the bytes and their places; holes make no difference. */
static int tag_image(const struct caller *c, const char *image, const char *name)
{
	struct operation o = operation(c);

	return image_tag(&ctl, &o, image, name, &e);
}

static void test_tag(void **state)
{
	struct artifact i = { .type = ARTIFACT_IMAGE };
	char digest[65];

	(void)state;
	have_kernel();
	assert_int_equal(import(&root, "debian", ext4(2 * MIB, "hello"), digest), 0);
	assert_int_equal(tag_image(&ann, "debian", "mine"), 0);
	assert_int_equal(db_artifact_find(ctl.db, &ann, "mine", &i, &e), 0);
	assert_string_equal(i.digest, digest);
	assert_string_equal(i.kernel, "k");
	assert_string_equal(i.from.origin, "registry.example/a:1");
	assert_int_equal(i.owner, ann.uid);
	assert_int_equal(entries("images"), 1);

	assert_int_equal(tag_image(&ann, "debian", "mine"), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_int_equal(tag_image(&ann, "debian", "no name"), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	assert_int_equal(tag_image(&bob, "mine", "his"), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(tag_image(&ann, "mine", "two"), 0);
	assert_int_equal(tag_image(&ann, "mine", "three"), 0);
	assert_int_equal(tag_image(&ann, "mine", "four"), -1);
	assert_int_equal(e.code, FAIL_LIMIT);

	/* The content stays until its last name goes. */
	assert_int_equal(delete_image(&root, "debian"), 0);
	assert_int_equal(delete_image(&ann, "mine"), 0);
	assert_int_equal(delete_image(&ann, "two"), 0);
	assert_int_equal(entries("images"), 1);
	assert_int_equal(delete_image(&ann, "three"), 0);
	assert_int_equal(entries("images"), 0);
}

/* The next start would not find the new name. */
static void test_no_tag_without_the_database(void **state)
{
	char digest[65], file[256];

	(void)state;
	(void)snprintf(file, sizeof(file), "%s", path("banger.db"));
	db_close(ctl.db);
	ctl.db = db_open(file, &e);
	assert_non_null(ctl.db);
	have_kernel();
	assert_int_equal(import(&root, "debian", ext4(2 * MIB, "hello"), digest), 0);
	assert_int_equal(tag_image(&ann, "debian", "one"), 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(tag_image(&ann, "debian", "two"), -1);
	assert_int_equal(e.code, FAIL_HOST);
}

static int read_at(const struct caller *c, const char *digest, uint64_t offset, struct file_part *p)
{
	static uint8_t buf[1000];

	*p = (struct file_part){
		.offset = offset, .end = UINT64_MAX, .buf = buf, .room = sizeof(buf)
	};
	_cleanup_close_ int fd = image_open(&ctl, c, "debian", digest, &e);
	return fd < 0 ? -1 : file_part_read(fd, p);
}

static void test_read(void **state)
{
	struct file_part p;
	char digest[65], other[65];
	uint64_t at = 0, seen = 0;

	(void)state;
	have_kernel();
	assert_int_equal(import(&ann, "debian", ext4(16 * MIB, "hello"), digest), 0);
	do {
		assert_int_equal(read_at(&ann, digest, at, &p), 0);
		assert_int_equal(p.size, 16 * MIB);
		if (p.at <= 8 * MIB && p.at + p.n >= 8 * MIB + 5)
			assert_memory_equal(p.buf + (8 * MIB - p.at), "hello", 5);
		at = p.at + p.n;
		seen += p.n;
	} while (at < p.size);
	assert_int_equal(at, 16 * MIB);
	assert_true(seen < MIB); /* holes are left out */
	assert_int_equal(read_at(&ann, digest, INT64_MAX, &p), 0);
	assert_int_equal(p.at, 16 * MIB);
	assert_int_equal(p.n, 0);
	assert_int_equal(read_at(&bob, digest, 0, &p), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	memcpy(other, digest, sizeof(other));
	other[0] = other[0] == '0' ? '1' : '0';
	assert_int_equal(read_at(&ann, other, 0, &p), -1);
	assert_int_equal(e.code, FAIL_STATE);
}

static void test_digest(void **state)
{
	char a[65], b[65], zeros[65536] = "";
	int fd = ext4(16 * MIB, "hello");

	(void)state;
	have_kernel();
	for (off_t at = 65536; at < 8 * (off_t)MIB; at += 65536)
		assert_int_equal(pwrite(fd, zeros, sizeof(zeros), at), sizeof(zeros));
	assert_int_equal(import(&ann, "full", fd, a), 0);
	assert_int_equal(import(&bob, "sparse", ext4(16 * MIB, "hello"), b), 0);
	assert_string_equal(a, b);
	assert_int_equal(entries("images"), 1);
	assert_int_equal(import(&ann, "moved", ext4(17 * MIB, "hello"), b), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(import(&ann, "other", ext4(16 * MIB, "hellp"), b), 0);
	assert_string_not_equal(a, b);
}

static void refuse(int fd, enum fail code)
{
	char digest[65];

	assert_int_equal(import(&ann, "bad", fd, digest), -1);
	assert_int_equal(e.code, code);
	assert_int_equal(entries("images"), 0);
}

static void test_refusals(void **state)
{
	char digest[65];
	int p[2];

	(void)state;
	have_kernel();
	refuse(file(MIB, 0, "", 0), FAIL_USAGE);                  /* no magic */
	refuse(file(MIB - 512, 1080, "\x53\xef", 2), FAIL_USAGE); /* too small */
	refuse(file(65 * (size_t)MIB, 1080, "\x53\xef", 2), FAIL_LIMIT);
	refuse(file(MIB + 1, 1080, "\x53\xef", 2), FAIL_USAGE); /* not of sectors */
	refuse(open("/dev/zero", O_RDONLY | O_CLOEXEC), FAIL_USAGE);
	refuse(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), FAIL_USAGE);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	refuse(p[0], FAIL_USAGE);
	(void)close(p[1]);
	int fd = ext4(MIB, "x");
	char self[32];
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	refuse(open(self, O_WRONLY | O_CLOEXEC), FAIL_GENERAL); /* can not be read */
	refuse(open(self, O_PATH | O_CLOEXEC), FAIL_GENERAL);
	(void)close(fd);
	assert_int_equal(import(&ann, "Bad Name", ext4(MIB, "x"), digest), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	assert_int_equal(import(&ann, "../x", ext4(MIB, "x"), digest), -1);
	assert_int_equal(e.code, FAIL_USAGE);

	assert_int_equal(import(&ann, "taken", ext4(MIB, "x"), digest), 0);
	assert_int_equal(import(&ann, "taken", ext4(MIB, "y"), digest), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_int_equal(entries("images"), 1);
	struct operation o = operation(&ann);
	fd = ext4(MIB, "z");
	assert_int_equal(image_import(&o, "z", "no-kernel", fd, digest), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	(void)close(fd);
}

static void test_interrupted(void **state)
{
	atomic_bool cancelled = true;
	struct operation o = operation(&ann);
	char digest[65];
	int fd = ext4(MIB, "x");

	(void)state;
	have_kernel();
	o.cancelled = &cancelled;
	assert_int_equal(image_import(&o, "x", "k", fd, digest), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_int_equal(entries("images"), 0);
	(void)close(fd);
}

static void shrink(void *arg, const char *stage, const char *detail)
{
	(void)detail;
	if (strcmp(stage, "copy") == 0)
		assert_int_equal(ftruncate(*(int *)arg, 4096), 0);
}

/* The caller keeps a descriptor and can shorten the file during the import. */
static void test_shrinks_while_read(void **state)
{
	struct operation o = operation(&ann);
	int fd = ext4(4 * MIB, "x");
	char digest[65];

	(void)state;
	have_kernel();
	o.stage = shrink;
	o.stage_arg = &fd;
	assert_int_equal(image_import(&o, "x", "k", fd, digest), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	assert_int_equal(entries("images"), 0);
	(void)close(fd);
}

static void test_delete(void **state)
{
	char digest[65];

	(void)state;
	have_kernel();
	assert_int_equal(import(&root, "shared", ext4(MIB, "x"), digest), 0);
	assert_int_equal(import(&ann, "mine", ext4(MIB, "x"), digest), 0);
	assert_int_equal(entries("images"), 1);
	assert_int_equal(delete_image(&ann, "shared"), -1);
	assert_int_equal(e.code, FAIL_NOT_ALLOWED);
	assert_int_equal(delete_image(&bob, "mine"), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(delete_image(&ann, "mine"), 0);
	assert_int_equal(entries("images"), 1); /* root still has that content */
	assert_int_equal(delete_kernel(&root, "k"), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_non_null(strstr(e.why, "1 image"));
	assert_int_equal(delete_image(&root, "shared"), 0);
	assert_int_equal(entries("images"), 0);
	assert_int_equal(delete_kernel(&root, "k"), 0);
	assert_int_equal(entries("kernels"), 0);
}

static void *import_and_delete(void *arg)
{
	const struct caller c = { .uid = 2000 + (uid_t)(uintptr_t)arg };
	char digest[65], name[256];
	uintptr_t bad = 0;

	for (int i = 0; i < 20; i++) {
		bad += import(&c, "x", ext4(MIB, "same"), digest) < 0;
		path_image(&ctl.config, digest, name);
		bad += access(name, F_OK) != 0; /* while other threads delete their images */
		bad += delete_image(&c, "x") < 0;
	}
	return (void *)bad;
}

static void test_same_content_at_once(void **state)
{
	pthread_t t[6];
	void *bad;

	(void)state;
	have_kernel();
	for (uintptr_t i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&t[i], NULL, import_and_delete, (void *)i), 0);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
	assert_int_equal(entries("images"), 0);
}

/* ---- several at once ---- */

static bool refused(void)
{
	return e.code == FAIL_STATE || e.code == FAIL_NOT_FOUND;
}

static void *many_contents_of_one_name(void *arg)
{
	static unsigned n;
	char digest[65], text[16];
	uintptr_t bad = 0;

	(void)arg;
	for (int i = 0; i < 40; i++) {
		(void)snprintf(text, sizeof(text), "%u",
			       __atomic_add_fetch(&n, 1, __ATOMIC_RELAXED));
		bad += import(&ann, "x", ext4(MIB, text), digest) < 0 && !refused();
		bad += delete_image(&ann, "x") < 0 && !refused();
	}
	return (void *)bad;
}

/* A thread may find that its name has another content by now.  Then it deletes neither content, and
 * at the end no file is left without a row. */
static void test_one_name_at_once(void **state)
{
	enum { THREADS = 4 };
	pthread_t t[THREADS];
	void *bad;

	(void)state;
	have_kernel();
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, many_contents_of_one_name, NULL), 0);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
	(void)delete_image(&ann, "x");
	assert_int_equal(entries("images"), 0);
}

/* One thread makes and deletes what another thread needs, until the other has met it forty times or
 * a minute is over.  Each artifact lives for zero to seven milliseconds: less than the other thread
 * takes, and more. */
static bool enough;

static bool goes_on(unsigned made, uint64_t since_ns)
{
	return made < 40 && clock_boot_ns() - since_ns < 60000000000u;
}

static void *delete_and_import(void *arg)
{
	uintptr_t bad = 0;
	char digest[65];

	for (unsigned i = 0; !__atomic_load_n(&enough, __ATOMIC_RELAXED); i++) {
		bad += arg ? delete_image(&ann, "x") < 0 && !refused()
			   : delete_kernel(&root, "k") < 0 && !refused();
		bad += arg ? import(&ann, "x", ext4(MIB, i % 2 ? "one" : "two"), digest) < 0 &&
				       !refused()
			   : import_kernel(&root, "k", "HdrS", "\177ELF", digest) < 0 && !refused();
		(void)usleep(i % 8 * 1000);
	}
	return (void *)bad;
}

static void begin(pthread_t *t, void *images)
{
	__atomic_store_n(&enough, false, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(t, NULL, delete_and_import, images), 0);
}

static void end(pthread_t t)
{
	void *bad;

	__atomic_store_n(&enough, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(t, &bad), 0);
	assert_null(bad);
}

/* A VM with a row has the file of its image. */
static void test_a_disk_and_the_deletion_of_its_image(void **state)
{
	uint64_t since_ns = clock_boot_ns();
	unsigned made = 0;
	pthread_t t;

	have_kernel();
	begin(&t, state);
	while (goes_on(made, since_ns)) {
		struct operation o = operation(&ann);
		struct vm vm = {
			.owner = 1000, .name = "web", .disk_mib = 2, .vcpus = 1, .mem_mib = 128
		};
		struct artifact x = { .type = ARTIFACT_IMAGE };
		if (db_artifact_find(ctl.db, &ann, "x", &x, &e) < 0)
			continue;
		memcpy(vm.image_digest, x.digest, sizeof(x.digest));
		if (db_vm_create(ctl.db, &vm, &ctl.config, &o, &e) < 0) {
			assert_int_equal(e.code, FAIL_NOT_FOUND);
			continue;
		}
		struct vm disk = vm;
		disk.slot = 3; /* the slot that has a folder */
		if (storage_by_name("copy")->create(&ctl, &disk, &e) < 0)
			fail_msg("%s: %s", e.what, e.why);
		assert_int_equal(storage_remove(&ctl, 3, &e), 0);
		assert_int_equal(db_vm_delete(ctl.db, &vm, &e), 0);
		made++;
	}
	end(t);
	assert_true(made > 0);
}

/* An image with a row has the files of its kernel. */
static void test_an_image_and_the_deletion_of_its_kernel(void **state)
{
	uint64_t since_ns = clock_boot_ns();
	unsigned made = 0;
	pthread_t t;

	(void)state;
	have_kernel();
	begin(&t, NULL);
	while (goes_on(made, since_ns)) {
		char digest[65], file_name[256];
		struct artifact x = { .type = ARTIFACT_IMAGE };
		if (import(&ann, "x", ext4(MIB, "x"), digest) < 0) {
			assert_int_equal(e.code, FAIL_NOT_FOUND);
			continue;
		}
		made++;
		assert_int_equal(db_artifact_find(ctl.db, &ann, "x", &x, &e), 0);
		path_kernel(&ctl.config, x.kernel_digest, "kernel", file_name);
		assert_int_equal(access(file_name, F_OK), 0);
		assert_int_equal(delete_image(&ann, "x"), 0);
	}
	end(t);
	assert_true(made > 0);
}

/* Mount a small file system at @sub.  That needs root; the mount namespace keeps it from the other
 * tests. */
static void small(const char *sub, const char *options)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("small", path(sub), "tmpfs", 0, options) < 0) {
		print_message("SKIP: can not mount a tmpfs\n");
		skip();
	}
}

static int full_of_data(size_t size)
{
	static char block[65536];
	int fd = ext4(size, "x");

	memset(block, 'd', sizeof(block));
	for (off_t at = 65536; at < (off_t)size; at += 65536)
		assert_int_equal(pwrite(fd, block, sizeof(block), at), sizeof(block));
	return fd;
}

static void test_no_room(void **state)
{
	char digest[65];

	(void)state;
	small("images", "size=2m");
	have_kernel();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(import(&ann, "big", full_of_data(4 * MIB), digest), -1);
		assert_int_equal(e.code, FAIL_HOST);
		assert_non_null(strstr(e.why, "no room"));
		assert_true(e.hint[0]);
		assert_int_equal(entries("images"), 0);
	}
	assert_int_equal(import(&ann, "small", full_of_data(MIB), digest), 0);
	assert_int_equal(umount2(path("images"), MNT_DETACH), 0);
	small("kernels", "size=2m");
	struct operation o = operation(&ann);
	int fds[3] = { file(4096, 0x202, "HdrS", 4), full_of_data(3 * MIB),
		       file(100, 0, "\177ELF", 4) };
	assert_int_equal(kernel_import(&o, "k2", fds, digest), -1);
	assert_int_equal(e.code, FAIL_HOST);
	assert_int_equal(entries("kernels"), 0);
	fdio_close_all(fds, 3);
	assert_int_equal(umount2(path("kernels"), MNT_DETACH), 0);
}

static void test_no_room_for_a_disk(void **state)
{
	static const char *const folders[] = { "images",  "kernels", "volumes",   "slots",
					       "slots/3", "run",     "run/slots", "run/slots/3" };
	static const char *const drivers[] = { "copy", "reflink" };
	struct operation o = operation(&ann);
	struct vm vm = { .owner = 1000, .name = "web", .disk_mib = 8, .vcpus = 1, .mem_mib = 128 };
	struct artifact i = { .type = ARTIFACT_IMAGE };

	(void)state;
	small(".", "size=72m");
	for (size_t d = 0; d < sizeof(folders) / sizeof(*folders); d++)
		assert_int_equal(mkdir(path(folders[d]), 0700), 0);
	have_kernel();
	assert_int_equal(import(&ann, "x", full_of_data(4 * MIB), vm.image_digest), 0);
	assert_int_equal(db_artifact_find(ctl.db, &ann, "x", &i, &e), 0);
	assert_int_equal(db_vm_create(ctl.db, &vm, &ctl.config, &o, &e), 0);
	vm.slot = 3;
	int ballast = full_of_data(66 * MIB);
	for (size_t d = 0; d < 2; d++) {
		assert_int_equal(storage_by_name(drivers[d])->create(&ctl, &vm, &e), -1);
		assert_int_equal(e.code, FAIL_HOST);
		assert_non_null(strstr(e.why, "no room"));
	}
	assert_int_equal(storage_remove(&ctl, 3, &e), 0);
	assert_int_equal(entries("slots/3"), 0);
	(void)close(ballast);
	assert_int_equal(storage_by_name("copy")->create(&ctl, &vm, &e), 0);
	assert_int_equal(umount2(folder, MNT_DETACH), 0);
}

/* The kernel makes a file system read-only when its disk fails. */
static void test_read_only(void **state)
{
	char digest[65];
	struct artifact i = { .type = ARTIFACT_IMAGE };

	(void)state;
	small("images", "size=8m");
	have_kernel();
	assert_int_equal(import(&ann, "x", full_of_data(MIB), digest), 0);
	assert_int_equal(mount(NULL, path("images"), NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(import(&ann, "y", full_of_data(2 * MIB), digest), -1);
	assert_non_null(strstr(e.why, "Read-only"));
	assert_int_equal(delete_image(&ann, "x"), -1);
	assert_non_null(strstr(e.why, "Read-only"));
	assert_int_equal(db_artifact_find(ctl.db, &ann, "x", &i, &e),
			 0); /* its row stays with its file */
	assert_int_equal(entries("images"), 1);
	assert_int_equal(mount(NULL, path("images"), NULL, MS_REMOUNT, NULL), 0);
	assert_int_equal(delete_image(&ann, "x"), 0);
	assert_int_equal(entries("images"), 0);
	assert_int_equal(umount2(path("images"), MNT_DETACH), 0);
}

/* ---- kernels ---- */

static void test_kernel(void **state)
{
	char digest[65], other[65], name[256];
	struct stat st;
	static const char *const files[] = { "kernel", "initramfs", "vmlinux" };

	(void)state;
	assert_int_equal(import_kernel(&ann, "k", "HdrS", "\177ELF", digest), 0);
	for (size_t i = 0; i < 3; i++) {
		path_kernel(&ctl.config, digest, files[i], name);
		assert_int_equal(stat(name, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0444);
	}
	assert_int_equal(import_kernel(&bob, "k", "HdrS", "\177ELF", other), 0);
	assert_string_equal(digest, other);
	assert_int_equal(import_kernel(&bob, "k2", "HdrS", "\177ELFx", other), 0);
	assert_string_not_equal(digest, other);
	assert_int_equal(entries("kernels"), 2);
	assert_int_equal(import_kernel(&bob, "k", "HdrS", "\177ELF", other), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_int_equal(import_kernel(&bob, "k3", "hdrS", "\177ELF", other), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	assert_int_equal(import_kernel(&bob, "k3", "HdrS", "ELF", other), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	assert_int_equal(entries("kernels"), 2);
	assert_int_equal(delete_kernel(&ann, "k"), 0);
	assert_int_equal(entries("kernels"), 2);
	assert_int_equal(delete_kernel(&bob, "k"), 0);
	assert_int_equal(entries("kernels"), 1);
}

static void test_kernel_too_large(void **state)
{
	struct operation o = operation(&ann);
	char digest[65];
	int fds[3] = { file(4096, 0x202, "HdrS", 4), file((256u << 20) + 1, 0, "", 0),
		       file(100, 0, "\177ELF", 4) };

	(void)state;
	assert_int_equal(kernel_import(&o, "k", fds, digest), -1);
	assert_int_equal(e.code, FAIL_LIMIT);
	fdio_close_all(fds, 3);
}

/* ---- volumes ---- */

static int volume_create(const struct caller *c, const char *name, int fd, char digest[65])
{
	struct operation o = operation(c);
	struct artifact_import im = { .type = ARTIFACT_VOLUME, .name = name, .fds = &fd };
	int r = artifact_import(&ctl, &o, &im, &e);

	(void)close(fd);
	memcpy(digest, im.digest, sizeof(im.digest));
	return r;
}

static int delete_volume(const struct caller *c, const char *name)
{
	struct operation o = operation(c);

	return artifact_delete(&ctl, &o, ARTIFACT_VOLUME, name, &e);
}

/* Two volumes share no file, even with the same bytes on them. */
static void test_volume(void **state)
{
	char one[65], two[65], name[256];
	struct stat st;

	(void)state;
	assert_int_equal(volume_create(&ann, "data", ext4(MIB, "x"), one), 0);
	assert_int_equal(volume_create(&ann, "more", ext4(MIB, "x"), two), 0);
	assert_string_not_equal(one, two);
	assert_int_equal(entries("volumes"), 2);
	path_volume(&ctl.config, one, name);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_size, MIB);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(volume_create(&ann, "data", ext4(MIB, "x"), two), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_int_equal(volume_create(&ann, "no", file(MIB, 0, "", 0), two), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	assert_int_equal(volume_create(&ann, "big", ext4(65 * MIB, "x"), two), -1);
	assert_int_equal(e.code, FAIL_LIMIT);
	assert_int_equal(volume_create(&ann, "third", ext4(MIB, "x"), two), 0);
	assert_int_equal(volume_create(&ann, "fourth", ext4(MIB, "x"), two), -1);
	assert_int_equal(e.code, FAIL_LIMIT);
	assert_int_equal(delete_volume(&bob, "data"), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(delete_volume(&ann, "data"), 0);
	assert_int_equal(access(name, F_OK), -1);
	assert_int_equal(entries("volumes"), 2);
}

static void has_link(const char *name, mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(path(name), &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_nlink, 2);
}

static void test_volume_links(void **state)
{
	struct vm vm = { .name = "web", .slot = 3, .n_volumes = 2 };
	char file[256];

	(void)state;
	assert_int_equal(volume_create(&ann, "a", ext4(MIB, "x"), vm.volumes[0].digest), 0);
	assert_int_equal(volume_create(&ann, "b", ext4(MIB, "x"), vm.volumes[1].digest), 0);
	vm.volumes[1].read_only = true;
	assert_int_equal(storage_link_volumes(&ctl, &vm, &e), 0);
	has_link("slots/3/vol0", 0666);
	has_link("slots/3/vol1", 0444);
	/* Those of an earlier start are replaced. */
	vm.volumes[0].read_only = true;
	vm.volumes[1].read_only = false;
	assert_int_equal(storage_link_volumes(&ctl, &vm, &e), 0);
	has_link("slots/3/vol0", 0444);
	has_link("slots/3/vol1", 0666);
	path_volume(&ctl.config, vm.volumes[1].digest, file);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(storage_link_volumes(&ctl, &vm, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(access(path("slots/3/vol1"), F_OK), -1);
	/* The end of a VM takes the links, not the volumes. */
	assert_int_equal(storage_remove(&ctl, 3, &e), 0);
	assert_int_equal(entries("volumes"), 1);
}

/* ---- sweep ---- */

static void touch(const char *sub)
{
	int fd = open(path(sub), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
}

static void test_sweep(void **state)
{
	char digest[65], marker[128];

	(void)state;
	have_kernel();
	assert_int_equal(import(&ann, "x", ext4(MIB, "x"), digest), 0);
	(void)snprintf(marker, sizeof(marker), "images/pending-%s", digest);
	touch(marker);                /* cut short behind the row's insertion */
	touch("images/pending-0123"); /* cut short before it */
	touch("images/0123.ext4");
	touch("images/4567.ext4"); /* no row, no marker: the database may have been lost */
	touch("images/import-00ff");
	assert_int_equal(mkdir(path("kernels/import-00ee"), 0700), 0);
	touch("kernels/import-00ee/kernel");
	touch("kernels/pending-89ab");
	assert_int_equal(mkdir(path("kernels/89ab"), 0700), 0);
	touch("kernels/89ab/vmlinux");
	touch("volumes/import-00dd");
	touch("volumes/pending-cdef");
	touch("volumes/cdef.ext4");
	assert_int_equal(images_sweep(&ctl, &e), 0);
	assert_int_equal(entries("images"), 2);
	assert_int_equal(access(path("images/4567.ext4"), F_OK), 0);
	assert_int_equal(entries("kernels"), 1);
	assert_int_equal(entries("volumes"), 0);
	assert_int_equal(images_sweep(&ctl, &e), 0);
	assert_int_equal(entries("images"), 2);
}

struct told {
	unsigned n;
	char last[96];
};

static void hear(void *arg, const char *line)
{
	struct told *t = arg;

	t->n++;
	(void)snprintf(t->last, sizeof(t->last), "%s", line);
}

static void test_gc(void **state)
{
	struct told t = { 0 };
	char digest[65];

	(void)state;
	have_kernel();
	assert_int_equal(import(&ann, "x", ext4(MIB, "x"), digest), 0);
	assert_int_equal(images_gc(&ctl, false, hear, &t, &e), 0);
	assert_int_equal(t.n, 0);
	touch(nobodys);
	touch("images/import-00ff"); /* an import that goes on */
	touch("images/README");      /* not ours */
	assert_int_equal(images_gc(&ctl, true, hear, &t, &e), 0);
	assert_int_equal(t.n, 1);
	assert_string_equal(t.last, "image 001122334455: files that no row names");
	assert_int_equal(entries("images"), 4);
	assert_int_equal(images_gc(&ctl, false, hear, &t, &e), 0);
	assert_int_equal(t.n, 2);
	assert_int_equal(access(path(nobodys), F_OK), -1);
	assert_int_equal(entries("images"), 3);
	/* Files that can not be removed are counted; here a folder stands for one. */
	assert_int_equal(mkdir(path(nobodys), 0700), 0);
	assert_int_equal(images_gc(&ctl, false, hear, &t, &e), 1);
	assert_int_equal(rmdir(path(nobodys)), 0);
	/* If the rows can not be read, no file counts as unnamed. */
	touch(nobodys);
	assert_int_equal(sqlite3_exec(ctl.db->sqlite, "ALTER TABLE images RENAME TO away", NULL,
				      NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(images_gc(&ctl, false, hear, &t, &e), -1);
	assert_non_null(strstr(e.why, "can not be read"));
	assert_int_equal(access(path(nobodys), F_OK), 0);
}

/* A deletion must not need room, but an import marker would be a new file. */
static void test_deleting_needs_no_room(void **state)
{
	struct told t = { 0 };
	char digest[65];

	(void)state;
	small("images", "size=8m,nr_inodes=4");
	have_kernel();
	assert_int_equal(import(&ann, "x", full_of_data(MIB), digest), 0);
	touch(nobodys);
	touch("images/more");
	assert_int_equal(open(path("images/none"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600), -1);
	assert_int_equal(delete_image(&ann, "x"), 0);
	touch("images/again");
	assert_int_equal(images_gc(&ctl, false, hear, &t, &e), 0);
	assert_int_equal(access(path(nobodys), F_OK), -1);
	assert_int_equal(entries("images"), 2);
	assert_int_equal(umount2(path("images"), MNT_DETACH), 0);
}

/* Existing bytes, of a row that this database does not know, survive a failed import. */
static void test_a_failed_import_takes_nothing(void **state)
{
	char digest[65], name[256];

	(void)state;
	have_kernel();
	assert_int_equal(import(&ann, "x", ext4(MIB, "x"), digest), 0);
	assert_int_equal(sqlite3_exec(ctl.db->sqlite, "DELETE FROM images", NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(import(&ann, "y", ext4(MIB, "y"), digest), 0);
	assert_int_equal(sqlite3_exec(ctl.db->sqlite,
				      "CREATE TEMP TRIGGER no BEFORE INSERT ON images BEGIN SELECT "
				      "RAISE(ABORT, 'no'); END",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(import(&ann, "z", ext4(MIB, "x"), digest), -1);
	path_image(&ctl.config, digest, name);
	assert_int_equal(access(name, F_OK), 0);
	assert_int_equal(entries("images"), 2);
}

/* Under a kernel's name there are all its files, or none. */
static void test_a_kernel_that_is_removed_only_in_part(void **state)
{
	char digest[65], name[256];

	(void)state;
	assert_int_equal(import_kernel(&root, "k", "HdrS", "\177ELF", digest), 0);
	path_kernel(&ctl.config, digest, "vmlinux", name);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(mkdir(name, 0700), 0); /* which no unlink() takes */
	assert_int_equal(delete_kernel(&root, "k"), 0);
	assert_int_equal(import_kernel(&root, "k", "HdrS", "\177ELF", digest), 0);
	for (size_t i = 0; i < 3; i++) {
		static const char *const files[] = { "kernel", "initramfs", "vmlinux" };
		path_kernel(&ctl.config, digest, files[i], name);
		assert_int_equal(access(name, R_OK), 0);
	}
	assert_int_equal(delete_kernel(&root, "k"), 0);
	path_kernel(&ctl.config, digest, "kernel", name);
	assert_int_equal(access(name, F_OK), -1);
}

/* ---- disks ---- */

static struct vm a_vm(uint32_t disk_mib)
{
	struct operation o = operation(&ann);
	struct vm vm = {
		.owner = 1000, .name = "web", .disk_mib = disk_mib, .vcpus = 1, .mem_mib = 128
	};
	struct artifact i = { .type = ARTIFACT_IMAGE };

	have_kernel();
	assert_int_equal(import(&ann, "x", ext4(4 * MIB, "hello"), vm.image_digest), 0);
	assert_int_equal(db_artifact_find(ctl.db, &ann, "x", &i, &e), 0);
	assert_int_equal(db_vm_create(ctl.db, &vm, &ctl.config, &o, &e), 0);
	vm.slot = 3;
	return vm;
}

static void check_disk(const char *driver)
{
	struct vm vm = a_vm(8);
	struct stat st;
	char text[6] = "";

	umask(077);
	touch("slots/3/leftover");
	touch("run/slots/3/api.sock");
	touch("run/slots/3/vsock");
	if (storage_by_name(driver)->create(&ctl, &vm, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	assert_int_equal(entries("slots/3"), 4); /* disk, kernel, vmlinux and the owner file */
	assert_int_equal(entries("run/slots/3"), 0);
	assert_int_equal(stat(path("slots/3/disk"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_size, 8 * MIB);
	assert_true(st.st_blocks * 512 < MIB);
	int fd = open(path("slots/3/disk"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, text, 5, 2 * MIB), 5);
	assert_string_equal(text, "hello");
	(void)close(fd);
	assert_int_equal(stat(path("slots/3/kernel"), &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(storage_remove(&ctl, 3, &e), 0);
	assert_int_equal(entries("slots/3"), 0);
	assert_int_equal(storage_remove(&ctl, 3, &e), 0);
	assert_int_equal(storage_remove(&ctl, 4, &e), 0); /* has no folder */
}

static void test_copy(void **state)
{
	(void)state;
	check_disk("copy");
}

static void test_reflink_or_copy(void **state)
{
	(void)state;
	check_disk("reflink");
}

static void test_dm(void **state)
{
	struct vm vm = a_vm(4);
	const struct storage_driver *d = storage_by_name("dm-snapshot");
	struct stat st;
	int fd;

	(void)state;
	(void)snprintf(vm.runtime.storage, sizeof(vm.runtime.storage), "dm-snapshot");
	assert_int_equal(d->n_objects, 3);
	assert_int_equal(d->create(&ctl, &vm, &e), 0);
	assert_int_equal(stat(path("slots/3/cow"), &st), 0);
	/* 1,024 chunks of 4 KiB: a header, four areas of metadata, and the one that the kernel
	 * clears beyond them. */
	assert_int_equal(st.st_size, (1 + 1024 + 4 + 1) * 4096);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	fd = storage_open_part(&ctl, &vm, 0, &e);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	(void)close(fd);
	fd = storage_open_part(&ctl, &vm, 1, &e);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	(void)close(fd);
	(void)snprintf(vm.runtime.storage, sizeof(vm.runtime.storage), "copy");
	assert_int_equal(storage_open_part(&ctl, &vm, 0, &e),
			 -1); /* the role has nothing to do with copies */
	vm.disk_mib = 8;
	assert_int_equal(d->create(&ctl, &vm, &e), -1);
	assert_int_equal(e.code, FAIL_HOST);
	assert_true(e.hint[0]);
	assert_null(storage_by_name("floppy"));
}

/* The mark by which the kernel gives up a snapshot is removed at the next start, and nothing else
 * changes. */
static void test_dm_is_used_again(void **state)
{
	static const uint32_t given_up[4] = { 0x70416e53, 0, 1, 8 },
			      other[4] = { 0x12345678, 0, 1, 8 };
	struct vm vm = a_vm(4);
	uint32_t header[4];

	(void)state;
	(void)snprintf(vm.runtime.storage, sizeof(vm.runtime.storage), "dm-snapshot");
	assert_int_equal(storage_by_name("dm-snapshot")->create(&ctl, &vm, &e), 0);
	for (size_t i = 0; i < 2; i++) {
		int fd = storage_open_part(&ctl, &vm, 1, &e);
		assert_int_equal(pwrite(fd, i ? other : given_up, sizeof(header), 0),
				 sizeof(header));
		(void)close(fd);
		fd = storage_open_part(&ctl, &vm, 1, &e);
		assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
		assert_int_equal(header[1], i ? 0 : 1);
		assert_int_equal(header[0], i ? other[0] : given_up[0]);
		assert_int_equal(header[3], 8);
		(void)close(fd);
	}
}

/* A VM whose row is older than the files in its slot has no access to them. */
static void test_files_of_another_vm_are_refused(void **state)
{
	struct vm vm = a_vm(4), other = vm;
	struct storage_owner o;

	(void)state;
	assert_int_equal(storage_owner(&ctl.config, 4, &o), STORAGE_EMPTY);
	assert_int_equal(storage_owner(&ctl.config, 3, &o), STORAGE_EMPTY);
	assert_int_equal(storage_check_owner(&ctl.config, &vm, &e), 0);
	touch("slots/3/disk");
	assert_int_equal(storage_owner(&ctl.config, 3, &o), STORAGE_UNMARKED);
	assert_int_equal(storage_check_owner(&ctl.config, &vm, &e),
			 0); /* of a banger that wrote no owner file */
	assert_int_equal(storage_by_name("copy")->create(&ctl, &vm, &e), 0);
	assert_int_equal(storage_owner(&ctl.config, 3, &o), STORAGE_MARKED);
	assert_memory_equal(o.vm, vm.id, ID_LEN);
	assert_int_equal(o.generation, vm.generation);
	assert_int_equal(o.uid, vm.owner);
	assert_int_equal(storage_check_owner(&ctl.config, &vm, &e), 0);
	other.id[0] ^= 1;
	assert_int_equal(storage_check_owner(&ctl.config, &other, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	/* The removal was interrupted: the owner file stays until all other files are gone. */
	assert_int_equal(mkdir(path("slots/3/stuck"), 0700), 0);
	assert_int_equal(storage_remove(&ctl, 3, &e), -1);
	assert_int_equal(entries("slots/3"), 2);
	assert_int_equal(storage_owner(&ctl.config, 3, &o), STORAGE_MARKED);
	assert_int_equal(rmdir(path("slots/3/stuck")), 0);
	assert_int_equal(storage_remove(&ctl, 3, &e), 0);
	assert_int_equal(entries("slots/3"), 0);
	/* No descriptor is left to read the owner file: no VM gets the files, and they do not count
	 * as unowned. */
	assert_int_equal(storage_by_name("copy")->create(&ctl, &vm, &e), 0);
	for (int spare = 0; spare < 2; spare++) {
		struct rlimit was, now;
		int next = dup(0);
		(void)close(next);
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
		now = was;
		now.rlim_cur = (rlim_t)(next + spare);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
		int r = storage_check_owner(&ctl.config, &other, &e);
		(void)setrlimit(RLIMIT_NOFILE, &was);
		assert_int_equal(r, -1);
		assert_int_equal(e.code, FAIL_HOST);
	}
	assert_int_equal(storage_remove(&ctl, 3, &e), 0);
	/* A FIFO without a writer in place of the owner file must not be waited for. */
	assert_int_equal(mkfifo(path("slots/3/owner"), 0600), 0);
	assert_int_equal(storage_owner(&ctl.config, 3, &o), STORAGE_UNMARKED);
	assert_int_equal(storage_remove(&ctl, 3, &e), 0);
}

static void test_links_are_not_followed(void **state)
{
	struct vm vm = a_vm(4);

	(void)state;
	assert_int_equal(storage_by_name("dm-snapshot")->create(&ctl, &vm, &e), 0);
	assert_int_equal(unlink(path("slots/3/cow")), 0);
	char target[256];
	(void)snprintf(target, sizeof(target), "%s", path("images"));
	assert_int_equal(symlink(target, path("slots/3/cow")), 0);
	(void)snprintf(vm.runtime.storage, sizeof(vm.runtime.storage), "dm-snapshot");
	assert_int_equal(storage_open_part(&ctl, &vm, 1, &e), -1);
	/* A folder that a VMM made in place of its socket is no obstacle. */
	assert_int_equal(mkdir(path("run/slots/3/api.sock"), 0700), 0);
	assert_int_equal(storage_remove(&ctl, 3, &e), 0);
	assert_int_equal(entries("run/slots/3"), 0);
	assert_int_equal(entries("images"), 1);
	vm.slot = 7;
	assert_int_equal(storage_by_name("copy")->create(&ctl, &vm, &e), -1);
	assert_int_equal(e.code, FAIL_HOST);
}

static void test_choice(void **state)
{
	const struct storage_driver *d = storage_choose(&ctl);

	(void)state;
	assert_non_null(d);
	assert_string_not_equal(d->name, "dm-snapshot"); /* there is no blk role */
}

/* An overlay may lie on FUSE, and its own type does not tell. */
static void test_overlay_is_refused(void **state)
{
	char options[300], digest[65];

	(void)state;
	have_kernel();
	assert_int_equal(mkdir(path("below"), 0700) | mkdir(path("below2"), 0700) |
				 mkdir(path("over"), 0700),
			 0);
	(void)snprintf(options, sizeof(options), "lowerdir=%s/below:%s/below2", folder, folder);
	int fd = open(path("below/image"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 2 * MIB), 0);
	assert_int_equal(pwrite(fd, "\x53\xef", 2, 1080), 2);
	(void)close(fd);
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("overlay", path("over"), "overlay", MS_RDONLY, options) < 0) {
		print_message("SKIP: can not mount an overlay\n");
		skip();
	}
	fd = open(path("over/image"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(umount2(path("over"), MNT_DETACH), 0);
	assert_int_equal(import(&ann, "over", fd, digest), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	assert_true(e.hint[0]);
	assert_int_equal(entries("images"), 0);
}

#define FILES(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILES(test_no_room),
		FILES(test_no_room_for_a_disk),
		FILES(test_read_only),
		FILES(test_overlay_is_refused),
		FILES(test_import),
		FILES(test_tag),
		FILES(test_no_tag_without_the_database),
		FILES(test_read),
		FILES(test_digest),
		FILES(test_refusals),
		FILES(test_interrupted),
		FILES(test_shrinks_while_read),
		FILES(test_delete),
		FILES(test_same_content_at_once),
		FILES(test_one_name_at_once),
		FILES(test_a_disk_and_the_deletion_of_its_image),
		FILES(test_an_image_and_the_deletion_of_its_kernel),
		FILES(test_kernel),
		FILES(test_kernel_too_large),
		FILES(test_volume),
		FILES(test_volume_links),
		FILES(test_sweep),
		FILES(test_gc),
		FILES(test_a_failed_import_takes_nothing),
		FILES(test_a_kernel_that_is_removed_only_in_part),
		FILES(test_deleting_needs_no_room),
		FILES(test_copy),
		FILES(test_reflink_or_copy),
		FILES(test_dm),
		FILES(test_dm_is_used_again),
		FILES(test_files_of_another_vm_are_refused),
		FILES(test_links_are_not_followed),
		FILES(test_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
