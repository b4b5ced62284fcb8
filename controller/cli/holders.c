/* holders.c - finds the users of a disk.  The daemon can not look into processes.  The caller of
 * `banger` can, as far as the kernel permits. */
#include "controller/cli/holders.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"

#define _cleanup_closedir_ __attribute__((cleanup(cleanup_closedir)))

struct list {
	char text[160];
};

static void cleanup_closedir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static void add(struct list *l, const char *what, const char *name)
{
	size_t n = strlen(l->text), left = sizeof(l->text) - n;

	if (snprintf(l->text + n, left, "%s%s %s", n ? ", " : "", what, name) >= (int)left)
		l->text[n] = '\0'; /* no half names */
}

/* Read the first line of a small file.  Return: false if it is empty or can not be read. */
static bool read_line(int dir, const char *path, char *out, size_t size)
{
	_cleanup_close_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	if (n <= 0)
		return false;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return true;
}

/* Find the block device with the device-mapper name @dm. sysfs has the name also without udev,
 * which would make a link. */
static bool find_device(const char *dm, dev_t *dev, char name[NAME_MAX + 1])
{
	_cleanup_closedir_ DIR *d = opendir("/sys/block");
	char path[300], text[160];
	unsigned major, minor;
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		(void)snprintf(path, sizeof(path), "%s/dm/name", entry->d_name);
		if (!read_line(dirfd(d), path, text, sizeof(text)) || strcmp(text, dm) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/dev", entry->d_name);
		if (!read_line(dirfd(d), path, text, sizeof(text)) ||
		    sscanf(text, "%u:%u", &major, &minor) != 2)
			return false;
		*dev = makedev(major, minor);
		(void)snprintf(name, NAME_MAX + 1, "%s", entry->d_name);
		return true;
	}
	return false;
}

static void find_devices_above(const char *name, struct list *l)
{
	char path[300];
	struct dirent *entry;

	(void)snprintf(path, sizeof(path), "/sys/block/%s/holders", name);
	_cleanup_closedir_ DIR *d = opendir(path);
	while (d && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			add(l, "the device", entry->d_name);
}

/* Find the mounts of @dev.  The third field of a line is the device, the fifth the mount point
 * (proc_pid_mountinfo(5)). */
static void find_mounts(dev_t dev, struct list *l)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], place[256];
	unsigned ma, mi;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %u:%u %*s %255s", &ma, &mi, place) == 3 &&
		    makedev(ma, mi) == dev)
			add(l, "the mount at", place);
}

static bool has_open(int process, dev_t dev)
{
	_cleanup_close_ int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (d)
		(void)steal_fd(&fd);
	while (d && (entry = readdir(d)))
		if (fstatat(dirfd(d), entry->d_name, &st, 0) == 0 && S_ISBLK(st.st_mode) &&
		    st.st_rdev == dev)
			return true;
	return false;
}

static void find_processes(dev_t dev, struct list *l)
{
	_cleanup_closedir_ DIR *d = opendir("/proc");
	char comm[32], text[64];
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		_cleanup_close_ int process = openat(dirfd(d), entry->d_name,
						     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process < 0 || !has_open(process, dev) ||
		    !read_line(process, "comm", comm, sizeof(comm)))
			continue;
		(void)snprintf(text, sizeof(text), "%.16s (pid %.10s)", comm, entry->d_name);
		add(l, "the process", text);
	}
}

void holders_hint(const char *dm, struct error *e)
{
	struct list l = { { 0 } };
	char name[NAME_MAX + 1];
	dev_t dev;

	if (!dm[0] || !find_device(dm, &dev, name))
		return;
	find_devices_above(name, &l);
	find_mounts(dev, &l);
	find_processes(dev, &l);
	if (l.text[0])
		error_hint(e,
			   "its disk %s is in use by %s; end it, then stop or delete the VM again",
			   dm, l.text);
}
