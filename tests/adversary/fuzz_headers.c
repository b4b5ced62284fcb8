/* The files that a user imports: the checks of an image's and a kernel's header and size in the
 * controller, the copy that it makes, and the search for the ELF kernel in a bzImage, which the
 * command line does.  The first byte says which file the input is.
 *
 * Checked: no read outside of the file; an accepted file has its magic where the checks say; a copy
 * has the same bytes, and its digest does not depend on holes. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "controller/cli/vmlinux.h"
#include "controller/storage/image_kinds.h"
#include "controller/storage/slot_folder.h"
#include "tests/adversary/fuzz.h"

#define DISK_MAX_MIB 4

/* Of slot_folder.c, whose other functions need the whole controller. */
int storage_fail(const char *what, struct error *e)
{
	return error_set(e, FAIL_GENERAL, what, "an error of the file");
}

int storage_new_file(int dir, const char *name, mode_t mode, struct error *e)
{
	(void)dir;
	(void)mode;
	(void)e;
	return memfd_create(name, MFD_CLOEXEC);
}

static long pretended; /* the magic of a file system; 0: the file's own */

/* A file of memory may pretend to be on FUSE, whose server could let us wait, or on an overlay. */
int __real_fstatfs(int fd, struct statfs *fs);
int __wrap_fstatfs(int fd, struct statfs *fs);
int __wrap_fstatfs(int fd, struct statfs *fs)
{
	const int r = __real_fstatfs(fd, fs);

	if (pretended)
		fs->f_type = pretended;
	return r;
}

static int file_of(const uint8_t *data, size_t size, size_t length)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	MUST(fd >= 0 && ftruncate(fd, (off_t)length) == 0);
	MUST(pwrite(fd, data, size, 0) == (ssize_t)size);
	return fd;
}

static void check_magic(const struct ctl *c, const struct file_demand *want, int fd, size_t size)
{
	struct error e;
	char found[8];
	uint64_t bytes;

	pretended = 0x794c7630; /* OVERLAYFS_SUPER_MAGIC: it depends on where this runs */
	(void)file_check(c, fd, want, &bytes, &e);
	pretended = 0x65735546; /* fs/fuse/inode.c */
	MUST(file_check(c, fd, want, &bytes, &e) < 0 && e.hint[0]);
	pretended = 0;
	const int sized = file_check(c, fd, want, &bytes, &e);
	if (sized == 0)
		MUST(bytes == size && size >= want->min && size % want->unit == 0);
	if (!want->magic || file_check_magic(fd, want, &e) < 0)
		return;
	MUST(pread(fd, found, want->magic_bytes, (off_t)want->magic_at) ==
	     (ssize_t)want->magic_bytes);
	MUST(memcmp(found, want->magic, want->magic_bytes) == 0);
}

static void check_same(int a, int b, size_t size)
{
	char *x = malloc(size + 1), *y = malloc(size + 1);

	MUST(x && y);
	MUST(pread(a, x, size, 0) == (ssize_t)size && pread(b, y, size + 1, 0) == (ssize_t)size);
	MUST(memcmp(x, y, size) == 0);
	free(x);
	free(y);
}

/* Kinds of descriptors that are no file to copy. */
static void check_kind(const struct ctl *c, const struct file_demand *want)
{
	static const char *const paths[] = { "/dev/zero", "/", "/proc/self/mem", "/dev/null" };
	struct error e;
	uint64_t bytes;

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		const int fd = open(paths[i], O_RDONLY | O_CLOEXEC),
			  path = open(paths[i], O_PATH | O_CLOEXEC);
		MUST(fd < 0 || file_check(c, fd, want, &bytes, &e) < 0);
		MUST(file_check(c, path, want, &bytes, &e) < 0);
		if (want->magic)
			MUST(file_check_magic(path, want, &e) < 0);
		(void)close(fd);
		(void)close(path);
	}
	MUST(file_check(c, -1, want, &bytes, &e) < 0);
}

static void copy_cancelled(const struct copy_file *f)
{
	atomic_bool cancelled = true;
	const struct operation o = { .cancelled = &cancelled };
	struct copy *k = copy_begin(&o);
	struct error e;

	MUST(k && copy_sparse(k, f, &e) < 0 && e.code == FAIL_STATE);
	free(k);
}

/* A copy that can not be written. */
static void copy_refused(int from, size_t size)
{
	atomic_bool cancelled = false;
	const struct operation o = { .cancelled = &cancelled };
	const struct copy_file f = { "copy", from, open("/dev/null", O_RDONLY | O_CLOEXEC), size };
	struct copy *k = copy_begin(&o);
	struct error e;

	MUST(k && f.to >= 0);
	MUST(copy_sparse(k, &f, &e) < 0 && copy_whole(k, &f, &e) < 0);
	free(k);
	(void)close(f.to);
}

static void copy_once(int from, size_t size, int sparse, char digest[65])
{
	atomic_bool cancelled = false;
	const struct operation o = { .cancelled = &cancelled };
	struct copy *k = copy_begin(&o);
	const struct copy_file f = { "copy", from, memfd_create("copy", MFD_CLOEXEC), size };
	struct error e;

	MUST(k && f.to >= 0);
	MUST((sparse ? copy_sparse(k, &f, &e) : copy_whole(k, &f, &e)) == 0);
	copy_end(k, digest);
	check_same(from, f.to, size);
	/* A file that has become shorter since it was looked at. */
	const struct copy_file longer = { "copy", from, f.to, size + 1 };
	MUST(copy_whole(k, &longer, &e) < 0);
	free(k);
	copy_cancelled(&f);
	copy_refused(from, size);
	(void)close(f.to);
}

/* The input twice, and between them @hole bytes of zeros, which one file has as a hole and the
 * other written. */
static void check_copy(const uint8_t *data, size_t size, size_t hole)
{
	char a[65], b[65];
	uint8_t *zeros = calloc(1, hole + 1);
	const int holed = file_of(data, size, size + hole), whole = file_of(data, size, size);
	const size_t all = 2 * size + hole;

	MUST(zeros && pwrite(whole, zeros, hole, (off_t)size) == (ssize_t)hole);
	MUST(pwrite(whole, data, size, (off_t)(size + hole)) == (ssize_t)size);
	MUST(pwrite(holed, data, size, (off_t)(size + hole)) == (ssize_t)size);
	MUST(ftruncate(holed, (off_t)(all + hole)) == 0 &&
	     ftruncate(whole, (off_t)(all + hole)) == 0);
	copy_once(holed, all + hole, 1, a);
	copy_once(whole, all + hole, 1, b);
	MUST(strcmp(a, b) == 0);
	copy_once(whole, all + hole, 0, b);
	free(zeros);
	(void)close(holed);
	(void)close(whole);
}

static void check_kernel(const uint8_t *data, size_t size)
{
	const struct blob image = { (uint8_t *)data, size };
	struct blob out = { NULL, 0 };
	struct error e;

	if (vmlinux_extract(&image, &out, &e) == 0)
		MUST(out.len >= 64 && memcmp(out.data, "\177ELF", 4) == 0);
	blob_free(&out);
}

/* An image is at least 1 MiB, nearly all of it a hole; one is too large, and one is odd. */
static size_t length_of(uint8_t which, size_t size)
{
	const size_t length = which == 252 ? 5u << 20 : (1u << 20) + which / 7u * 256u;

	return which % 6 == 0 && which > 6 && length > size ? length : size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ctl c = { .config = { .state_dir = "/", .max_disk_mib = DISK_MAX_MIB } };

	if (size < 2)
		return 0;
	const uint8_t which = data[0];
	if (which % 6 == 4) {
		check_copy(data + 1, size - 1, which * 1000u);
		return 0;
	}
	if (which % 6 == 5) {
		check_kernel(data + 1, size - 1);
		return 0;
	}
	const size_t length = length_of(which, size - 1);
	const int fd = file_of(data + 1, size - 1, length);
	const struct artifact_kind *k =
		&artifact_kinds[which % 6 == 0 ? ARTIFACT_IMAGE : ARTIFACT_KERNEL];
	if (size % 64 == 1)
		check_kind(&c, &k->files[0]);
	check_magic(&c, &k->files[which % 6 == 0 ? 0 : which % 6 - 1u], fd, length);
	(void)close(fd);
	return 0;
}
