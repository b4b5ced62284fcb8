/* places.c - makes folders, control groups, request logs and the control socket, as root before
 * lock-down.
 *
 * Theory of operation.  SUPERVISOR works as root in folders that the configuration names.  Some
 * belong to the controller or to VMMs, which may be hostile and may run now, because VMs outlive
 * the supervisor.  So each folder is opened once, without following a link.  Its owner is checked
 * before it is changed.  Its entries are made relative to that descriptor (openat(2)). */
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
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/label.h"
#include "privhelper/supervisor/places.h"
#include "privhelper/tag.h"
#include "proto/slot.h"

#define LISTEN_BACKLOG 64
#define VMS "the sum of all VMs"
#define LAUNCHER_BYTES (UINT64_C(256) << 20)
#define STUCK "stuck" /* the control group of killed processes of launchers that do not exit */

/* The owner, group and mode that a folder gets. */
struct shape {
	uint32_t uid, gid;
	mode_t mode;
};

static int failed(const char *what, const char *name)
{
	log_errno("%s: %s", what, name);
	return -1;
}

/* True for any entry except ".", ".." and "lost+found", which mkfs.ext4(8) makes. */
static bool is_entry(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "lost+found") != 0;
}

/* True if the folder @fd has no entries.  A control group always has control files, so there the
 * number of subgroups counts, which is the number of links less two (fs/kernfs/inode.c,
 * kernfs_refresh_inode()). */
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

/* True for a folder of an earlier start or of the installation: it belongs to an account of ours,
 * or has an entry that only run_dir, state_dir and cgroup_dir have. */
static bool is_ours(int fd, const struct stat *st, const struct shape *want)
{
	if ((want->uid || want->gid) && st->st_uid == want->uid && st->st_gid == want->gid)
		return true;
	return faccessat(fd, "slots", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       (faccessat(fd, "vm", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		faccessat(fd, "spawn", F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

/* Take the access control lists (acl(5)) from a folder: those of a controller that was taken over
 * would let other accounts into what later VMs get.  Return: 0, or -1 with errno. */
static int drop_lists(int fd)
{
	static const char *const lists[] = { "system.posix_acl_access",
					     "system.posix_acl_default" };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (fremovexattr(fd, lists[i]) < 0 && errno != ENODATA && errno != EOPNOTSUPP)
			return -1;
	return 0;
}

/**
 * folder() - make a folder or check an existing one, and give it its owner, group and mode
 * @parent:	descriptor of the folder above; AT_FDCWD for an absolute @name of the configuration
 *
 * An existing folder must belong to root or to the account that gets it.  A folder that the
 * configuration names must also be empty or ours, so that a wrong line never gives /srv or /run
 * away.
 * Return: a descriptor of the folder, which the caller closes, or -1 (logged).
 */
static int folder(int parent, const char *name, const struct shape *want)
{
	struct stat st;

	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return failed("can not make", name);
	_cleanup_close_ int fd = openat(parent, name,
					O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return failed("can not open", name);
	if (st.st_uid != 0 && st.st_uid != want->uid) {
		log_error("%s: belongs to uid %u, not to root or uid %u; remove it", name,
			  st.st_uid, want->uid);
		return -1;
	}
	if (parent == AT_FDCWD && !is_ours(fd, &st, want) && !is_empty(fd, &st)) {
		log_error("%s: is not empty and was not made by banger; "
			  "name a folder that is empty or missing",
			  name);
		return -1;
	}
	/* Those of root, such as that of the request logs, root has given (tmpfiles.conf). The
	 * mode is set after the owner, because chown(2) clears the set-group-id bit. */
	if ((want->uid != 0 && drop_lists(fd) < 0) || fchown(fd, want->uid, want->gid) < 0 ||
	    fchmod(fd, want->mode) < 0)
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
		struct shape state = { c->controller.uid, id, 02750 },
			     vmm = { id, c->controller.gid, 02770 };
		(void)snprintf(name, sizeof(name), "%u", i);
		_cleanup_close_ int fd = folder(parent, name, run ? &vmm : &state);
		if (fd < 0)
			return -1;
		if (label_slot(fd, i) < 0)
			return failed("can not label", name);
	}
	return 0;
}

/* Mount the slots' tmpfs.  It has no nodev, unlike most /run, because VMMs open their disk nodes
 * here.  It has no limit of inodes, because one VMM could use up a common pool and keep the others
 * from starting.  Each inode counts against the memory of its VMM's control group (mm/shmem.c,
 * SLAB_ACCOUNT). */
static int mount_slots(const char *path)
{
	static const char options[] = "size=16M,nr_inodes=0,mode=0711";

	FAILPOINT("places.mount");
	if (mount("banger-slots", path, "tmpfs", MS_NOSUID | MS_NOEXEC, options) < 0)
		return failed("can not mount a tmpfs at", path);
	return 0;
}

/* Check for the tmpfs of an earlier start, which stays, because it holds sockets of running VMs.
 * Return: 1: it is mounted; 0: nothing is mounted there; -1: another file system is (logged). */
static int slots_mounted(int run, int slots)
{
	struct stat above, here;
	struct statvfs v;
	struct statfs f;

	if (fstat(run, &above) < 0 || fstat(slots, &here) < 0 || fstatfs(slots, &f) < 0 ||
	    fstatvfs(slots, &v) < 0)
		return failed("can not read the state of", "slots");
	if (above.st_dev == here.st_dev)
		return 0;
	if (f.f_type == TMPFS_MAGIC && !(v.f_flag & ST_NODEV))
		return 1;
	log_error("slots: another file system than our tmpfs is mounted there");
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
	/* Open it again: the first descriptor is the folder below the mount. */
	_cleanup_close_ int slots = folder(run, "slots", &passage);
	return slots < 0 ? -1 : slot_folders(c, slots, true);
}

static int make_state_dir(const struct config *c)
{
	const struct account *a = &c->controller;
	const struct shape outer = { a->uid, a->gid, 0711 }, private = { a->uid, a->gid, 0700 };
	const struct shape roots = { 0, 0, 0711 };

	_cleanup_close_ int state = folder(AT_FDCWD, c->state_dir, &outer);
	if (state < 0 || folder_once(state, "images", &private) < 0 ||
	    folder_once(state, "kernels", &private) < 0 ||
	    folder_once(state, "volumes", &private) < 0 ||
	    folder_once(state, "consoles", &private) < 0)
		return -1;
	/* The controller owns state_dir and could replace slots/, but its own folder would not
	 * belong to root. */
	_cleanup_close_ int slots = folder(state, "slots", &roots);
	return slots < 0 ? -1 : slot_folders(c, slots, false);
}

/* ---- control groups ---- */

/* Find the first cgroup v2 mount in /proc/self/mountinfo (proc_pid_mountinfo(5)): the fifth field
 * is the mount point, and the type of the file system follows " - ".  @out gets the folder "banger"
 * in it. */
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
	log_error("no cgroup v2 is mounted: VMMs need it");
	return -1;
}

/* Enable cgroup controllers one by one, because a host may lack some.  VMs then have no such
 * limit. */
static void enable_controllers(int group)
{
	static const char *const names[] = { "+memory", "+pids", "+cpu" };
	_cleanup_close_ int fd = openat(group, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(names); i++)
		(void)!write(fd, names[i], strlen(names[i]));
}

/* Set a limit of a control group.  If the cgroup controller is not enabled, there is no file and no
 * limit. */
static int write_limit(int group, const char *name, uint64_t value, const char *of)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	_cleanup_close_ int fd = openat(group, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT) {
		log_warn("%s: the control group lacks this file: %s has no limit", name, of);
		return 0;
	}
	return fd < 0 || write(fd, text, (size_t)n) != n ? failed("can not set", name) : 0;
}

/* Limit memory and tasks of all VMs together (cgroup-v2.rst, "memory.max", "pids.max"), so that the
 * host keeps the rest.  A VM's group gets no groups in it (cgroup-v2.rst, "cgroup.max.depth").  The
 * spawn role may make groups, and reads two for each slot (TAGS_MAX): it gets no more than that. */
static int limit_vms(int vm, const struct config *c)
{
	struct sysinfo i;

	if (sysinfo(&i) < 0)
		return failed("can not read", "the size of memory");
	uint64_t total = (uint64_t)i.totalram * i.mem_unit;
	/* Divide first, so that the product can not overflow. */
	return write_limit(vm, "memory.max", total / 100 * c->total_mem_percent, VMS) |
	       write_limit(vm, "pids.max", c->total_tasks, VMS) |
	       write_limit(vm, "cgroup.max.depth", 1, VMS) |
	       write_limit(vm, "cgroup.max.descendants", UINT64_C(2) * SLOT_MAX, VMS);
}

/* Make the launcher's group.  It gets no process but the launcher: a VMM counts where it is cloned
 * into (kernel/cgroup/pids.c, pids_can_fork()).  The kernel charges the launcher up to 80 KiB for
 * each VMM that runs, such as its kernel stacks. */
static int make_launchers(int top, const struct shape *root)
{
	_cleanup_close_ int spawn = folder(top, "spawn", root);

	return spawn < 0 ? -1
			 : write_limit(spawn, "pids.max", 1, "the launcher") |
				   write_limit(spawn, "memory.max", LAUNCHER_BYTES, "the launcher");
}

static int end_group(int parent, const char *name);

/* Call @fn for each group directly in @group.  Return: the results by OR; -1 also if the groups
 * can not be read. */
static int each_group(int group, int (*fn)(int parent, const char *name))
{
	int again = openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = again < 0 ? NULL : fdopendir(again);

	if (!d)
		return failed("can not read", "a control group");
	for (const struct dirent *e; (e = readdir(d));)
		if (e->d_type == DT_DIR && is_entry(e->d_name))
			r |= fn(group, e->d_name);
	(void)closedir(d);
	return r;
}

/* Remove a control group of an earlier start and those in it, or kill the processes in them.
 * Return: 0: there is no such group any more; 1: its processes are killed, and have not exited yet;
 * -1: they can not be killed (logged). */
static int end_group(int parent, const char *name)
{
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	_cleanup_close_ int group = openat(parent, name,
					   O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_close_ int fd = openat(group, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		return failed("can not kill the processes of an earlier start in control group",
			      name);
	return 1 | each_group(group, end_group);
}

/* End a group in vm/ that is no VM's, and each group in a VM's: no VMM makes one. */
static int end_foreign(int vm, const char *name)
{
	struct tag t;

	if (!tag_parse(TAG_GROUP, name, TAG_TEXT, &t))
		return end_group(vm, name);
	_cleanup_close_ int group = openat(vm, name,
					   O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return group < 0 ? failed("can not open control group", name)
			 : each_group(group, end_group);
}

/* Move the processes of spawn/, if it is there, to the group STUCK, and remove spawn/. */
static int set_aside(int top, const struct shape *root)
{
	char pid[16];
	int fd = openat(top, "spawn/cgroup.procs", O_RDONLY | O_CLOEXEC);
	_cleanup_fclose_ FILE *from = fd < 0 ? NULL : fdopen(fd, "r");
	_cleanup_close_ int stuck = folder(top, STUCK, root);
	_cleanup_close_ int to = openat(stuck, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	while (from && fgets(pid, sizeof(pid), from))
		if (write(to, pid, strlen(pid)) < 0)
			log_errno("%.*s: can not move it to " STUCK, (int)strcspn(pid, "\n"), pid);
	return end_group(top, "spawn") == 0 ? 0 : failed("can not remove", "spawn");
}

/**
 * end_earlier() - kill the processes of an earlier start that are no VMMs
 * @top:	descriptor of cgroup_dir
 * @vm:		descriptor of vm/ in it
 * @root:	the shape of a group of root's
 *
 * A taken-over launcher can leave a process in its group, and with the role's help in groups below
 * vm/.  The service manager would not kill it, because these groups are outside the unit's.  We
 * hold the supervisor's lock, so every process in them belongs to an earlier start.
 *
 * A killed process executes nothing of its own any more, but does not exit while the kernel waits
 * for a device in its name (state D of proc_pid_stat(5)).  After a second such processes are left,
 * and the start goes on.  Those in a VM's group keep the slot in use: VMM_KILL answers ST_BUSY.
 *
 * spawn/ is removed and made again because of its counter of kills.  Some kernels (6.18 is one)
 * compare the counter of the parent's group with that of the group that a child is cloned into
 * (kernel/cgroup/cgroup.c, cgroup_post_fork()).  From a group where cgroup.kill was ever written,
 * each cloned VMM would be killed at once.
 * Return: 0, or -1 (logged).
 */
static int end_earlier(int top, int vm, const struct shape *root)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	FAILPOINT("places.left");
	for (int i = 0; i < 1000; i++) {
		int r = end_group(top, "spawn") | each_group(vm, end_foreign) |
			end_group(top, STUCK);
		if (r <= 0)
			return r;
		(void)nanosleep(&ms, NULL);
	}
	log_error("processes of an earlier start were killed and do not exit: going on beside "
		  "them; they are in control groups spawn, then " STUCK ", or below vm");
	return set_aside(top, root);
}

static int make_cgroups(struct config *c)
{
	const struct shape d = { c->spawn.uid, c->spawn.gid, 0755 }, root = { 0, 0, 0755 };
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
	_cleanup_close_ int vm = folder(top, "vm", &d);
	if (vm < 0 || end_earlier(top, vm, &root) < 0 || make_launchers(top, &root) < 0)
		return -1;
	enable_controllers(vm);
	if (limit_vms(vm, c) < 0)
		return -1;
	/* clone3(2) into a group of vm/ needs the right to write this file of the group above both
	 * (cgroups(7), "Cgroup delegation").  No other is the spawn role's: so no process enters
	 * vm/, or comes back to spawn/.  Nor is the folder: only root makes or removes a group
	 * beside the two. */
	if (fchownat(top, "cgroup.procs", c->spawn.uid, c->spawn.gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchown(top, 0, 0) < 0)
		return failed("can not hand over", "cgroup.procs");
	return 0;
}

/* Take the lock of the only supervisor, on a file that root alone can open, and hold it until
 * exit.  A listener on the old control socket proves no other supervisor: a controller with a
 * thread that hangs in a user's FUSE server can not even be killed. */
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

/* Append a newline if a crash or a full disk has cut the last line short, so that the next record
 * begins a line. */
static int end_last_line(int dir, const char *name, int log)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	char last = '\n';

	if (size < 0)
		return -1;
	if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
		return -1;
	/* On a full disk the line stays cut; the role then refuses creates anyway. */
	if (last != '\n')
		(void)!write(log, "\n", 1);
	return 0;
}

/* Open or make a file of @role that belongs to root.  @mode: 0640 for the group of the controller,
 * or 0600. */
static int open_file(const struct config *c, int dir, const char *name, int flags, mode_t mode)
{
	struct stat st;

	_cleanup_close_ int fd = openat(dir, name, flags | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0 || fstat(fd, &st) < 0)
		return failed("can not open", name);
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || st.st_nlink != 1) {
		log_error("%s: must be a regular file that belongs to root and has one link", name);
		return -1;
	}
	if (fchown(fd, 0, mode & S_IRGRP ? c->controller.gid : 0) < 0 || fchmod(fd, mode) < 0)
		return failed("can not prepare", name);
	return steal_fd(&fd);
}

static int open_log(struct supervisor *s, int dir, const char *role, int i)
{
	char log[16], key[16];

	(void)snprintf(log, sizeof(log), "%s.log", role);
	(void)snprintf(key, sizeof(key), "%s.key", role);
	s->logs[i] = open_file(&s->config, dir, log, O_WRONLY | O_APPEND, 0640);
	s->keys[i] = open_file(&s->config, dir, key, O_RDWR, 0600);
	if (s->logs[i] < 0 || s->keys[i] < 0)
		return -1;
	return end_last_line(dir, log, s->logs[i]) < 0 ? failed("can not prepare", log) : 0;
}

int places_open_logs(struct supervisor *s)
{
	static const char *const roles[] = {
		[CHILD_NET] = "net",
		[CHILD_BLK] = "blk",
		[CHILD_SPAWN] = "spawn",
	};
	_cleanup_close_ int dir = open(s->config.log_dir,
				       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return failed("can not open", s->config.log_dir);
	for (int i = CHILD_NET; i <= CHILD_SPAWN; i++)
		if (open_log(s, dir, roles[i], i) < 0)
			return -1;
	return 0;
}

/* ---- the control socket ---- */

int places_listen(struct supervisor *s)
{
	const struct config *c = &s->config;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	bool all = c->users_gid == UINT32_MAX;

	if (snprintf(a.sun_path, sizeof(a.sun_path), "%s/control.sock", c->run_dir) >=
	    (int)sizeof(a.sun_path)) {
		log_error("%s: too long for a socket's address", c->run_dir);
		return -1;
	}
	FAILPOINT("places.listen.before");
	if (unlink(a.sun_path) < 0 && errno != ENOENT)
		return failed("can not remove", a.sun_path);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
	    chown(a.sun_path, 0, all ? 0 : c->users_gid) < 0 ||
	    chmod(a.sun_path, all ? 0666 : 0660) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return failed("can not listen at", a.sun_path);
	FAILPOINT("places.listen.after");
	s->listen_fd = steal_fd(&fd);
	return 0;
}
