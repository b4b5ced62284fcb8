#include "controller/cli/initramfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/cleanup.h"
#include "common/fdio.h"
#include "common/guest_init.h"
#include "controller/cli/guest.h"
#include "controller/cli/unpack.h"

#define WHAT "initramfs"
#define MODULE_MAX (16u << 20)
#define LOAD_MAX 64

/* The driver of Firecracker's way to the agent. */
#define VSOCK "vmw_vsock_virtio_transport"

/* What a guest needs to mount its disk and to find its network in both VMMs, and to hear its power
 * button.  What is needed may be built in as well. */
static const struct {
	const char *name;
	bool needed;
} drivers[] = {
	/* A kernel of distribution has ext4 as a module, and ext4 asks for crc32c by a name that
	   modules.dep does not have. */
	{ "crc32c_generic", false }, { "ext4", true },
	{ "virtio_pci", true },      { "virtio_mmio", true },
	{ "virtio_blk", true },      { "virtio_net", true },
	{ "button", false },         { "evdev", false },
	{ "virtio_console", false }, { VSOCK, false },
};

/* What guest/init calls. */
static const char *const applets[] = {
	"sh",   "mount",    "umount", "mkdir",       "insmod", "ip", "hostname",
	"cat",  "grep",     "chmod",  "chroot",      "rm",     "od", "sleep",
	"sync", "poweroff", "reboot", "switch_root", "cp",     "ls", "rmdir",
};

/* Paths below the modules folder, in the order of insertion. */
struct plan {
	char *path[LOAD_MAX];
	size_t n;
};

static void plan_free(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->path[i]);
}

/* The driver's name of "kernel/.../virtio-rng.ko.xz", as modprobe spells it: with underscores. */
static void driver_name(const char *path, size_t len, char out[64])
{
	size_t n = 0;

	for (size_t i = len; i > 0; i--)
		if (path[i - 1] == '/') {
			path += i;
			len -= i;
			break;
		}
	for (; n < len && n < 63 && path[n] != '.'; n++)
		out[n] = path[n] == '-' ? '_' : path[n];
	out[n] = '\0';
}

static int plan_add(struct plan *p, const char *path, size_t len)
{
	for (size_t i = 0; i < p->n; i++)
		if (strlen(p->path[i]) == len && memcmp(p->path[i], path, len) == 0)
			return 0;
	if (p->n == LOAD_MAX || !(p->path[p->n] = strndup(path, len)))
		return -1;
	p->n++;
	return 0;
}

/* One line of modules.dep, "path: deps": insertion goes from its right end to its left
 * (modules.dep(5)). */
static int plan_line(struct plan *p, const char *line, const char *end)
{
	const char *colon = memchr(line, ':', (size_t)(end - line));

	while (end > colon + 1) {
		const char *word = end;
		while (word > colon + 1 && word[-1] != ' ')
			word--;
		if (end > word && plan_add(p, word, (size_t)(end - word)) < 0)
			return -1;
		end = word > colon + 1 ? word - 1 : word;
	}
	return plan_add(p, line, (size_t)(colon - line));
}

/* Find @name in modules.dep and plan it.  Return: 1 found, 0 not there, -1 too much of it. */
static int plan_driver(struct plan *p, const struct blob *dep, const char *name)
{
	const char *line = (const char *)dep->data, *stop = line ? line + dep->len : NULL;

	for (; line < stop; line++) {
		const char *end = memchr(line, '\n', (size_t)(stop - line));
		char found[64];
		if (!end)
			end = stop;
		const char *colon = memchr(line, ':', (size_t)(end - line));
		if (colon) {
			driver_name(line, (size_t)(colon - line), found);
			if (strcmp(found, name) == 0)
				return plan_line(p, line, end) < 0 ? -1 : 1;
		}
		line = end;
	}
	return 0;
}

/* Is it built into the kernel?  modules.builtin has a path a line. */
static bool is_builtin(const char *modules, const char *name)
{
	char path[4096], line[512], found[64];
	bool yes = false;

	(void)snprintf(path, sizeof(path), "%s/modules.builtin", modules);
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	while (f && !yes && fgets(line, sizeof(line), f)) {
		driver_name(line, strcspn(line, "\n"), found);
		yes = strcmp(found, name) == 0;
	}
	return yes;
}

static int plan_all(struct plan *p, const char *modules, struct error *e)
{
	_cleanup_blob_ struct blob dep = { 0 };
	char path[4096];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/modules.dep", modules);
	/* Of a kernel with all built in it is there and empty. */
	if ((stat(path, &st) < 0 || st.st_size > 0) && blob_read(path, 64u << 20, &dep, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		int r = plan_driver(p, &dep, drivers[i].name);
		if (r < 0)
			return error_set(e, FAIL_GENERAL, WHAT, "too many drivers");
		if (r == 0 && drivers[i].needed && !is_builtin(modules, drivers[i].name))
			return error_set(
				e, FAIL_USAGE, WHAT,
				"this kernel has no driver %s, neither built in nor as a module",
				drivers[i].name);
	}
	return 0;
}

static int put(struct archive *a, const char *name, mode_t mode, const void *data, size_t len,
	       struct error *e)
{
	struct archive_entry *entry = archive_entry_new();

	if (!entry)
		return error_set(e, FAIL_GENERAL, WHAT, "out of memory");
	archive_entry_set_pathname(entry, name);
	archive_entry_set_mode(entry, mode);
	archive_entry_set_mtime(entry, 0, 0);
	archive_entry_set_nlink(entry, 1);
	if (S_ISLNK(mode))
		archive_entry_set_symlink(entry, data);
	archive_entry_set_size(entry, (la_int64_t)len);
	if (S_ISCHR(mode))
		archive_entry_set_rdev(entry, makedev(5, 1)); /* console: admin-guide/devices.txt */
	bool ok = archive_write_header(a, entry) == ARCHIVE_OK &&
		  (!S_ISREG(mode) || archive_write_data(a, data, len) == (la_ssize_t)len);
	archive_entry_free(entry);
	return ok ? 0 : error_set(e, FAIL_GENERAL, WHAT, "%s: %s", name, archive_error_string(a));
}

static int put_module(struct archive *a, const char *modules, const char *rel, size_t index,
		      struct error *e)
{
	_cleanup_blob_ struct blob packed = { 0 }, ko = { 0 };
	char path[4096], driver[64], name[96];

	(void)snprintf(path, sizeof(path), "%s/%s", modules, rel);
	if (blob_read(path, MODULE_MAX, &packed, e) < 0 ||
	    blob_unpack(path, packed.data, packed.len, MODULE_MAX, &ko, e) < 0)
		return -1;
	driver_name(rel, strlen(rel), driver);
	(void)snprintf(name, sizeof(name), "modules/%02zu-%s.ko", index, driver);
	return put(a, name, S_IFREG | 0644, ko.data, ko.len, e);
}

static int put_base(struct archive *a, const char *busybox, struct error *e)
{
	static const char *const dirs[] = { "bin",     "dev",  "proc",    "sys",   "run",
					    "modules", "seed", "newroot", "volume" };
	_cleanup_blob_ struct blob bb = { 0 };
	char name[32];

	if (blob_read(busybox, MODULE_MAX, &bb, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (put(a, dirs[i], S_IFDIR | 0755, NULL, 0, e) < 0)
			return -1;
	if (put(a, "dev/console", S_IFCHR | 0600, NULL, 0, e) < 0 ||
	    put(a, "bin/busybox", S_IFREG | 0755, bb.data, bb.len, e) < 0 ||
	    put(a, "bin/@banger-agent", S_IFREG | 0755, guest_agent,
		(size_t)(guest_agent_end - guest_agent), e) < 0 ||
	    put(a, "init", S_IFREG | 0755, guest_init, (size_t)(guest_init_end - guest_init), e) <
		    0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(applets); i++) {
		(void)snprintf(name, sizeof(name), "bin/%s", applets[i]);
		if (put(a, name, S_IFLNK | 0777, "busybox", 0, e) < 0)
			return -1;
	}
	return 0;
}

static int pad(int fd, struct error *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || ftruncate(fd, (st.st_size + 511) & ~(off_t)511) < 0)
		return error_set(e, FAIL_GENERAL, WHAT, "%s", strerror(errno));
	return 0;
}

int initramfs_build(int fd, const char *modules, const char *busybox, struct error *e)
{
	__attribute__((cleanup(plan_free))) struct plan plan = { 0 };
	struct archive *a;
	int ret;

	if (plan_all(&plan, modules, e) < 0)
		return -1;
	if (fdio_write_all(fd, GUEST_INIT_MARK, GUEST_INIT_MARK_BYTES) < 0)
		return error_set(e, FAIL_GENERAL, WHAT, "%s", strerror(errno));
	a = archive_write_new();
	if (!a)
		return error_set(e, FAIL_GENERAL, WHAT, "out of memory");
	archive_write_set_format_cpio_newc(a);
	archive_write_add_filter_gzip(a);
	archive_write_set_options(a, "gzip:!timestamp");
	if (archive_write_open_fd(a, fd) == ARCHIVE_OK)
		ret = put_base(a, busybox, e);
	else
		ret = error_set(e, FAIL_GENERAL, WHAT, "%s", archive_error_string(a));
	for (size_t i = 0; i < plan.n && ret == 0; i++)
		ret = put_module(a, modules, plan.path[i], i, e);
	if (ret == 0 && archive_write_close(a) != ARCHIVE_OK)
		ret = error_set(e, FAIL_GENERAL, WHAT, "%s", archive_error_string(a));
	archive_write_free(a);
	return ret < 0 ? -1 : pad(fd, e);
}
