/* Theory of operation.  Everything here runs as root in places that root's configuration names, and some of these
 * folders belong to the controller or to VMMs, who may be hostile and may run right now (VMs outlive us).  So each
 * folder is opened once, without following a link, its owner is checked before it is changed, and what is in it is
 * made by openat(2) and friends relative to that descriptor. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/label.h"
#include "privhelper/supervisor/places.h"
#include "proto/slot.h"

#define LISTEN_BACKLOG 64

/* What a folder is to be. */
struct shape {
	uint32_t uid, gid;
	mode_t mode;
};

static int failed(const char *what, const char *name)
{
	log_errno("%s: %s", what, name);
	return -1;
}

/* An entry beside "." and "..", and beside what mkfs.ext4(8) leaves in the top of a file system. */
static bool is_entry(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "lost+found") != 0;
}

/* True when nothing is in the folder @fd.  Control files are always in a control group, so there its subgroups count:
 * its number of links is two more (fs/kernfs/inode.c, kernfs_refresh_inode()). */
static bool is_empty(int fd, const struct stat *st)
{
	struct statfs f;
	const struct dirent *e;

	if (fstatfs(fd, &f) == 0 && f.f_type == CGROUP2_SUPER_MAGIC)
		return st->st_nlink == 2;
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	if (!d)
		return false;
	do
		e = readdir(d);
	while (e && !is_entry(e->d_name));
	(void)closedir(d);
	return !e;
}

/* True for a folder that an earlier start, or the installation, made: its owners are an account of ours, or what only
 * run_dir, state_dir and cgroup_dir have is in it. */
static bool is_ours(int fd, const struct stat *st, const struct shape *want)
{
	if ((want->uid || want->gid) && st->st_uid == want->uid && st->st_gid == want->gid)
		return true;
	return faccessat(fd, "slots", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       (faccessat(fd, "vm", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		faccessat(fd, "spawn", F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

/**
 * folder() - make a folder, or check the one that is there, and give it its shape
 * @parent:	where; AT_FDCWD with an absolute @name, which the configuration gave
 *
 * An existing one must belong to root or to the account that it is meant for.  One of root's that the configuration
 * names must be empty or ours, so that a wrong line never hands over /srv or /run.
 * Return: a descriptor of it, or -1 (logged).
 */
static int folder(int parent, const char *name, const struct shape *want)
{
	struct stat st;

	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return failed("can not make", name);
	_cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return failed("can not open", name);
	if (st.st_uid != 0 && st.st_uid != want->uid) {
		log_error("%s: belongs to uid %u, not to root or uid %u; remove it", name, st.st_uid, want->uid);
		return -1;
	}
	if (parent == AT_FDCWD && !is_ours(fd, &st, want) && !is_empty(fd, &st)) {
		log_error("%s: has something in it and is not banger's; name a folder that is empty or missing", name);
		return -1;
	}
	/* The mode after the owner: chown(2) clears the set-group-id bit. */
	if (fchown(fd, want->uid, want->gid) < 0 || fchmod(fd, want->mode) < 0)
		return failed("can not hand over", name);
	return steal_fd(&fd);
}

static int folder_once(int parent, const char *name, const struct shape *want)
{
	int fd = folder(parent, name, want);

	return fd < 0 ? -1 : close(fd);
}

/* ---- slots ---- */

static int slot_folders(const struct config *c, int parent, bool run)
{
	char name[12];

	for (uint32_t i = 0; i < c->slots; i++) {
		uint32_t id = slot_uid(c, i);
		struct shape state = { c->controller.uid, id, 02750 }, vmm = { id, c->controller.gid, 02770 };
		(void)snprintf(name, sizeof(name), "%u", i);
		_cleanup_close_ int fd = folder(parent, name, run ? &vmm : &state);
		if (fd < 0)
			return -1;
		if (label_slot(fd, i) < 0)
			return failed("can not label", name);
	}
	return 0;
}

/* Device nodes work in it, whatever the mount options above (a /run is nodev): VMMs open their disks here.  Files without
 * a limit: a VMM may make sockets, and each counts against its own control group's memory (mm/shmem.c, SLAB_ACCOUNT); from
 * a pool for all, one VMM could keep every other from starting. */
static int mount_slots(const char *path)
{
	static const char options[] = "size=16M,nr_inodes=0,mode=0711";

	FAILPOINT("places.mount");
	if (mount("banger-slots", path, "tmpfs", MS_NOSUID | MS_NOEXEC, options) < 0)
		return failed("can not mount a tmpfs at", path);
	return 0;
}

/* Our own tmpfs from an earlier start has VMs' sockets in it and stays. */
static int slots_mounted(int run, int slots)
{
	struct stat above, here;
	struct statvfs v;
	struct statfs f;

	if (fstat(run, &above) < 0 || fstat(slots, &here) < 0 || fstatfs(slots, &f) < 0 || fstatvfs(slots, &v) < 0)
		return failed("can not look at", "slots");
	if (above.st_dev == here.st_dev)
		return 0;
	if (f.f_type == TMPFS_MAGIC && !(v.f_flag & ST_NODEV))
		return 1;
	log_error("slots: something else than our tmpfs is mounted there");
	return -1;
}

static int make_run_dir(const struct config *c)
{
	const struct shape open_to_all = { 0, 0, 0755 }, passage = { 0, 0, 0711 };
	char path[sizeof(c->run_dir) + 8];

	_cleanup_close_ int run = folder(AT_FDCWD, c->run_dir, &open_to_all);
	if (run < 0)
		return -1;
	_cleanup_close_ int under = folder(run, "slots", &passage);
	int mounted = under < 0 ? -1 : slots_mounted(run, under);
	(void)snprintf(path, sizeof(path), "%s/slots", c->run_dir);
	if (mounted < 0 || (mounted == 0 && mount_slots(path) < 0))
		return -1;
	/* Again, to be on the mount and not below it. */
	_cleanup_close_ int slots = folder(run, "slots", &passage);
	return slots < 0 ? -1 : slot_folders(c, slots, true);
}

static int make_state_dir(const struct config *c)
{
	const struct account *a = &c->controller;
	const struct shape outer = { a->uid, a->gid, 0711 }, private = { a->uid, a->gid, 0700 };
	const struct shape roots = { 0, 0, 0711 };

	_cleanup_close_ int state = folder(AT_FDCWD, c->state_dir, &outer);
	if (state < 0 || folder_once(state, "images", &private) < 0 || folder_once(state, "kernels", &private) < 0 ||
	    folder_once(state, "consoles", &private) < 0)
		return -1;
	/* The controller owns the folder around it and could put another one here, but not one of root's. */
	_cleanup_close_ int slots = folder(state, "slots", &roots);
	return slots < 0 ? -1 : slot_folders(c, slots, false);
}

/* ---- control groups ---- */

/* The first cgroup v2 mount of /proc/self/mountinfo (proc_pid_mountinfo(5)): the fifth field is the place, the file
 * system's type follows " - ". */
static int find_cgroup_mount(char *out, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], place[256];

	while (f && fgets(line, sizeof(line), f)) {
		const char *type = strstr(line, " - ");
		if (!type || strncmp(type, " - cgroup2 ", 11) != 0 ||
		    sscanf(line, "%*s %*s %*s %*s %255s", place) != 1)
			continue;
		if (snprintf(out, size, "%s/banger", place) < (int)size)
			return 0;
	}
	log_error("no cgroup v2 is mounted: VMMs can not be kept apart nor ended");
	return -1;
}

/* Controllers are enabled one by one: a host may lack some, and then has no such limit. */
static void enable_controllers(int group)
{
	static const char *const names[] = { "+memory", "+pids", "+cpu" };
	_cleanup_close_ int fd = openat(group, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(names); i++)
		(void)!write(fd, names[i], strlen(names[i]));
}

/* Delegation to the spawn role (cgroups(7), "Cgroup delegation"): the folder and its list of processes, no more. */
static int delegate(int group, const struct account *a)
{
	if (fchown(group, a->uid, a->gid) < 0 ||
	    fchownat(group, "cgroup.procs", a->uid, a->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return failed("can not hand over", "a control group");
	return 0;
}

/* A limit of a control group.  Where the controller is not enabled there is no file, and so no limit. */
static int write_limit(int group, const char *name, uint64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	_cleanup_close_ int fd = openat(group, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT) {
		log_warn("%s: the kernel has it not for the VMs' control group: their sum is not bounded", name);
		return 0;
	}
	return fd < 0 || write(fd, text, (size_t)n) != n ? failed("can not set", name) : 0;
}

/* Bounds the sum of all VMs (cgroup-v2.rst, "memory.max", "pids.max"), so that what they use up is never the host's. */
static int limit_vms(int vm, const struct config *c)
{
	struct sysinfo i;

	if (sysinfo(&i) < 0)
		return failed("can not read", "the size of memory");
	uint64_t total = (uint64_t)i.totalram * i.mem_unit;
	/* In this order the product has room: 64 bits hold a hundredth of any memory, times a hundred. */
	if (write_limit(vm, "memory.max", total / 100 * c->total_mem_percent) < 0)
		return -1;
	return write_limit(vm, "pids.max", c->total_tasks);
}

/**
 * end_earlier() - kill what an earlier set left in the spawn role's control group, and remove the group
 *
 * A spawn role that was taken over can leave a process beside itself, which no service manager would end: the group is
 * not the unit's.  We are the only supervisor, so what is in it is an earlier set's.
 *
 * The group is removed and made again because of its count of kills: some kernels (6.18 is one) compare the parent's
 * count with that of the group that a child is born into (kernel/cgroup/cgroup.c, cgroup_post_fork()), so that each
 * VMM that is cloned from a group where cgroup.kill was ever written is killed at once.
 * Waits up to a second for the processes to end.  Return: 0, or -1 (logged).
 */
static int end_earlier(int top)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	FAILPOINT("places.left");
	for (int i = 0; i < 1000; i++) {
		if (unlinkat(top, "spawn", AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			break;
		_cleanup_close_ int fd = openat(top, "spawn/cgroup.kill", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 || write(fd, "1", 1) != 1)
			break;
		(void)nanosleep(&ms, NULL);
	}
	return failed("can not end what an earlier start left in", "spawn");
}

static int make_cgroups(struct config *c)
{
	const struct shape d = { c->spawn.uid, c->spawn.gid, 0755 };
	char above[sizeof(c->cgroup_dir)];
	struct statfs f;

	if (!c->cgroup_dir[0] && find_cgroup_mount(c->cgroup_dir, sizeof(c->cgroup_dir)) < 0)
		return -1;
	const char *slash = strrchr(c->cgroup_dir, '/');
	(void)snprintf(above, sizeof(above), "%.*s", (int)(slash - c->cgroup_dir), c->cgroup_dir);
	_cleanup_close_ int parent = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0 || fstatfs(parent, &f) < 0)
		return failed("can not open", above);
	if (f.f_type != CGROUP2_SUPER_MAGIC) {
		log_error("%s: is not in a cgroup v2 file system", above);
		return -1;
	}
	enable_controllers(parent);
	_cleanup_close_ int top = folder(AT_FDCWD, c->cgroup_dir, &d);
	if (top < 0)
		return -1;
	enable_controllers(top);
	if (end_earlier(top) < 0)
		return -1;
	_cleanup_close_ int spawn = folder(top, "spawn", &d), vm = folder(top, "vm", &d);
	if (spawn < 0 || vm < 0)
		return -1;
	enable_controllers(vm);
	if (limit_vms(vm, c) < 0)
		return -1;
	return delegate(top, &c->spawn) | delegate(spawn, &c->spawn) | delegate(vm, &c->spawn);
}

/* A lock that this process alone has, by a file that root alone can open; held until we end.  That somebody listens
 * at the old socket proves nothing: a controller whose thread hangs in a user's FUSE server can not even be killed. */
static int be_the_only_one(struct supervisor *s)
{
	const char *run = s->config.run_dir;
	char path[sizeof(s->config.run_dir) + 16];

	(void)snprintf(path, sizeof(path), "%s/supervisor.lock", run);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return failed("can not open", path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	log_error("%s: another banger is running", run);
	return -1;
}

int places_make(struct supervisor *s)
{
	struct config *c = &s->config;
	const struct shape logs = { 0, c->controller.gid, 0750 };

	if (folder_once(AT_FDCWD, c->log_dir, &logs) < 0)
		return -1;
	FAILPOINT("places.before");
	if (make_run_dir(c) < 0 || be_the_only_one(s) < 0)
		return -1;
	FAILPOINT("places.alone");
	if (make_state_dir(c) < 0)
		return -1;
	FAILPOINT("places.state");
	int r = make_cgroups(c);
	FAILPOINT("places.cgroups");
	return r < 0 ? -1 : 0;
}

/* ---- logs ---- */

/* A line that a crash or a full disk cut short is ended here, so that the next one starts a line of its own. */
static int end_last_line(int dir, const char *name, int log)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	char last = '\n';

	if (size < 0)
		return -1;
	if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
		return -1;
	/* On a full disk it stays torn; the role refuses creates there anyway. */
	if (last != '\n')
		(void)!write(log, "\n", 1);
	return 0;
}

static int open_log(const struct config *c, int dir, const char *name)
{
	struct stat st;

	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0 || fstat(fd, &st) < 0)
		return failed("can not open", name);
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || st.st_nlink != 1) {
		log_error("%s: is not a log of root's", name);
		return -1;
	}
	if (fchown(fd, 0, c->controller.gid) < 0 || fchmod(fd, 0640) < 0 || end_last_line(dir, name, fd) < 0)
		return failed("can not prepare", name);
	return steal_fd(&fd);
}

int places_open_logs(struct supervisor *s)
{
	static const char *const names[] = {
		[CHILD_NET] = "net.log", [CHILD_BLK] = "blk.log", [CHILD_SPAWN] = "spawn.log",
	};
	_cleanup_close_ int dir = open(s->config.log_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return failed("can not open", s->config.log_dir);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		s->logs[i] = open_log(&s->config, dir, names[i]);
		if (s->logs[i] < 0)
			return -1;
	}
	return 0;
}

/* ---- the control socket ---- */

int places_listen(struct supervisor *s)
{
	const struct config *c = &s->config;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	bool all = c->users_gid == UINT32_MAX;

	if (snprintf(a.sun_path, sizeof(a.sun_path), "%s/control.sock", c->run_dir) >= (int)sizeof(a.sun_path)) {
		log_error("%s: too long for a socket's address", c->run_dir);
		return -1;
	}
	FAILPOINT("places.listen.before");
	if (unlink(a.sun_path) < 0 && errno != ENOENT)
		return failed("can not remove", a.sun_path);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
	    chown(a.sun_path, 0, all ? 0 : c->users_gid) < 0 || chmod(a.sun_path, all ? 0666 : 0660) < 0 ||
	    listen(fd, LISTEN_BACKLOG) < 0)
		return failed("can not listen at", a.sun_path);
	FAILPOINT("places.listen.after");
	s->listen_fd = steal_fd(&fd);
	return 0;
}
