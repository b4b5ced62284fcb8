/* cgroup.c - makes, lists and removes the VMs' cgroups, the role's only record of its VMMs.
 *
 * The role makes vm/<slot>.<generation>.<owner>, and the launcher clones the VMM into it
 * (clone3(2), CLONE_INTO_CGROUP).  The VMM can not leave it, because its uid may write no
 * cgroup.procs.  So a restarted role finds every VMM and its owner by reading one directory.  It
 * ends a VMM by writing to cgroup.kill, and needs no right to send signals.  vm/ is the working
 * folder, because the role's filter lets it open files by name from there alone: a peer may have
 * sent any other descriptor.  The role alone changes vm/, so that the name of a cgroup is as good
 * as a descriptor of it. */
#include "privhelper/spawn/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/parse.h"

#define CPU_PERIOD_US 100000
#define END_WAIT_MS 100

/* Read the tags in one buffer of getdents64(2).  *end is set at the end of the directory.
 * Return: their number, or -1 with errno. */
static int read_tags(int dir, struct tag *tags, size_t room, bool *end)
{
	_Alignas(struct dirent64) char buf[8192];
	ssize_t have = getdents64(dir, buf, sizeof(buf));
	size_t n = 0;

	if (have < 0)
		return -1;
	*end = have == 0;
	for (ssize_t at = 0; at < have;) {
		const struct dirent64 *d = (const struct dirent64 *)(buf + at);

		if (n < room && d->d_type == DT_DIR &&
		    tag_parse(TAG_GROUP, d->d_name, TAG_TEXT, &tags[n]))
			n++;
		at += d->d_reclen;
	}
	return (int)n;
}

int cgroup_tags(struct tag tags[TAGS_MAX])
{
	_cleanup_close_ int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	bool end = false;
	size_t n = 0;

	if (dir < 0)
		return -1;
	while (!end) {
		int got = read_tags(dir, tags + n, TAGS_MAX - n, &end);
		if (got < 0)
			return -1;
		n += (size_t)got;
	}
	return (int)n;
}

/* Open a file of the tag's cgroup, or with @name "" its directory.
 * Return: a descriptor, or -1 with errno. */
static int open_in(const struct tag *t, const char *name, int flags)
{
	char path[TAG_TEXT + 32];

	tag_format(TAG_GROUP, t, path);
	(void)snprintf(path + strlen(path), 32, "/%s", name);
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW);
}

static int write_file(const struct tag *t, const char *name, const char *text)
{
	_cleanup_close_ int fd = open_in(t, name, O_WRONLY);

	if (fd < 0)
		return -1;
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* Read the whole of a small file into @out, with a NUL, and close @fd.
 * Return: 0, or -1 with errno; also if @fd is -1. */
static int read_file(int fd, char *out, size_t size)
{
	_cleanup_close_ int file = fd;
	ssize_t n = file < 0 ? -1 : read(file, out, size - 1);

	if (n < 0)
		return -1;
	out[n] = '\0';
	return 0;
}

/* A cgroup controller that is not enabled has no file.  The VM then has no such limit, which
 * `banger doctor` reports. */
static int set_limit(const struct tag *t, const char *name, const char *value)
{
	return write_file(t, name, value) == 0 || errno == ENOENT ? 0 : -1;
}

static int set_limits(const struct tag *t, const struct limits *l)
{
	char memory[24], tasks[16], cpu[32];

	(void)snprintf(memory, sizeof(memory), "%llu", (unsigned long long)l->memory);
	(void)snprintf(tasks, sizeof(tasks), "%u", l->tasks);
	(void)snprintf(cpu, sizeof(cpu), "%u %u", l->cpu_us, CPU_PERIOD_US);
	if (set_limit(t, "memory.max", memory) < 0 || set_limit(t, "memory.swap.max", "0") < 0 ||
	    set_limit(t, "pids.max", tasks) < 0)
		return -1;
	return set_limit(t, "cpu.max", cpu);
}

int cgroup_make(const struct tag *t, const struct limits *l)
{
	char name[TAG_TEXT];

	tag_format(TAG_GROUP, t, name);
	if (mkdirat(AT_FDCWD, name, 0755) < 0 && errno != EEXIST)
		return -1;
	if (FAILPOINT_FAILS("cgroup.made") || set_limits(t, l) < 0)
		return -1;
	return open_in(t, "", O_RDONLY | O_DIRECTORY);
}

int cgroup_populated(const struct tag *t)
{
	char text[256];

	if (read_file(open_in(t, "cgroup.events", O_RDONLY), text, sizeof(text)) < 0)
		return -1;
	return strstr(text, "populated 1") ? 1 : 0;
}

int cgroup_pid(const struct tag *t)
{
	char text[256];
	uint64_t pid;

	if (read_file(open_in(t, "cgroup.procs", O_RDONLY), text, sizeof(text)) < 0)
		return errno == ENOENT ? 0 : -1;
	text[strcspn(text, "\n")] = '\0';
	if (!*text)
		return 0;
	return parse_uint(text, 2, INT32_MAX, &pid) < 0 ? -1 : (int)pid;
}

enum status cgroup_remove(const struct tag *t)
{
	char name[TAG_TEXT];

	tag_format(TAG_GROUP, t, name);
	if (FAILPOINT_FAILS("cgroup.remove"))
		return ST_KERNEL;
	if (unlinkat(AT_FDCWD, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return ST_OK;
	return errno == EBUSY ? ST_BUSY : ST_KERNEL;
}

enum status cgroup_end(const struct tag *t)
{
	if (FAILPOINT_FAILS("cgroup.kill") ||
	    (write_file(t, "cgroup.kill", "1") < 0 && errno != ENOENT))
		return ST_KERNEL;
	FAILPOINT("cgroup.killed");
	for (int ms = 0; ms < END_WAIT_MS; ms++) {
		if (cgroup_populated(t) <= 0)
			return cgroup_remove(t);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return ST_BUSY;
}

/* The last ')' ends field 2, the program's name, which may hold spaces and parentheses. */
uint64_t stat_start_time(const char *stat)
{
	const char *p = strrchr(stat, ')');
	char number[24];
	uint64_t ticks;

	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return 0;
	size_t n = strspn(p + 1, "0123456789");
	if (n >= sizeof(number))
		return 0;
	memcpy(number, p + 1, n);
	number[n] = '\0';
	return parse_uint(number, 0, INT64_MAX, &ticks) < 0 ? 0 : ticks;
}

uint64_t proc_start_time(int pid)
{
	char path[32], text[1024];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return read_file(fd, text, sizeof(text)) < 0 ? 0 : stat_start_time(text);
}
