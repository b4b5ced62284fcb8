/* spawn.c - the spawn role: starts, watches and ends VMMs, each under a uid of its own.
 *
 * ROLE spawn keeps CAP_SETUID and CAP_SETGID, and its filter bounds the ids to the slots' range.  A
 * request can name no file: the role's root is the VMMs' (jail.c), the programs are configured, and
 * their arguments are numbers (argv.c).  The role can signal no process.  It ends a VMM through its
 * cgroup (cgroup.c), whose name is also the only record of the VM that the VMM belongs to. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "privhelper/label.h"
#include "privhelper/role/role.h"
#include "privhelper/spawn/argv.h"
#include "privhelper/spawn/cgroup.h"
#include "privhelper/spawn/child.h"
#include "privhelper/spawn/filter.h"
#include "privhelper/spawn/jail.h"
#include "proto/slot.h"

/* Memory of a VMM beside the guest's: its heap and stacks, page tables, and QEMU's translated
 * code. */
#define OVERHEAD_KVM_MIB 256
#define OVERHEAD_TCG_MIB 512
#define WORKER_TASKS 128 /* QEMU's aio pool has up to 64 threads */

struct spawn_state {
	/* <cgroup_dir>/vm, a detached clone of its mount, from which no folder above is
	 * reachable */
	int vm_dir;
	int proc_dir; /* a procfs of our own that shows processes only, for their start times */
	int null_fd;  /* /dev/null, the standard input of every VMM */
	struct label_vmm label;
	struct programs programs;
	/* the filter that CHILD loads before it executes the VMM */
	struct sock_fprog filters[VMM_KINDS];
	int landlock_abi; /* 0: the kernel has no Landlock */
};

static struct spawn_state *state(const struct role *r)
{
	return r->state;
}

/* ---- before the lock-down, as root ---- */

static int enter_own_cgroup(const char *cgroup_dir)
{
	char path[PATH_MAX];

	/* clone3(2) may place a VMM into a cgroup only if the role may write the common ancestor of
	 * that cgroup and its own (cgroups(7), delegation).  So the role has to be inside
	 * cgroup_dir. */
	(void)snprintf(path, sizeof(path), "%s/spawn/cgroup.procs", cgroup_dir);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || write(fd, "0", 1) != 1) {
		log_errno("spawn: %s", path);
		return -1;
	}
	return 0;
}

/* Clone the mount with vm/ as its root, so that ".." of vm/ is vm/ itself (open_tree(2)).
 * Return: a descriptor, or -1 (logged). */
static int open_vm_dir(const char *cgroup_dir)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/vm", cgroup_dir);
	int fd = open_tree(AT_FDCWD, path,
			   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (fd < 0)
		log_errno("spawn: %s", path);
	return fd;
}

/* Mount a procfs that shows processes only (subset=pid, Linux 5.8), with hidepid=0.  The host's own
 * may be mounted with another hidepid, and would then hide the start time of a VMM, a process of
 * another uid.
 * Return: a descriptor, or -1 (logged). */
static int open_proc(void)
{
	_cleanup_close_ int fs = fsopen("proc", FSOPEN_CLOEXEC);
	int fd = -1;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_SET_STRING, "hidepid", "0", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fs, FSMOUNT_CLOEXEC,
			     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				     MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		log_errno("spawn: a procfs for start times");
	return fd;
}

/* Set oom_score_adj (proc_pid_oom_score_adj(5)) to 0, because VMMs inherit it from this role.  The
 * service protects itself by a negative value: with it, the kernel would kill other processes of
 * the host before the VMMs.  EACCES: the value is above 0, and lowering it needs CAP_SYS_RESOURCE;
 * it may stay. */
static int protect_no_vmm(void)
{
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && (write(fd, "0", 1) == 1 || errno == EACCES))
		return 0;
	log_errno("spawn: /proc/self/oom_score_adj");
	return -1;
}

/* The role never waits for a VMM, because the controller notices the exit by the pidfd.  With
 * SA_NOCLDWAIT an exited VMM leaves no zombie (sigaction(2)). */
static int no_zombies(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };

	return sigaction(SIGCHLD, &sa, NULL);
}

static int make_filters(struct spawn_state *s)
{
	for (int kind = 0; kind < VMM_KINDS; kind++)
		if (spawn_filter_vmm((enum vmm_kind)kind, s->landlock_abi > 0, &s->filters[kind]) <
		    0)
			return -1;
	return 0;
}

static int prepare(struct role *r)
{
	struct spawn_state *s = state(r);

	if (label_vmm_open(&s->label) < 0) {
		log_errno("spawn: SELinux");
		return -1;
	}
	s->vm_dir = open_vm_dir(r->config.cgroup_dir);
	s->proc_dir = open_proc();
	if (s->vm_dir < 0 || s->proc_dir < 0 || enter_own_cgroup(r->config.cgroup_dir) < 0 ||
	    protect_no_vmm() < 0)
		return -1;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	s->landlock_abi = abi > 0 ? (int)abi : 0;
	if (spawn_jail_enter(&r->config, &s->programs) < 0 || make_filters(s) < 0)
		return -1;
	s->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (s->null_fd < 0 || no_zombies() < 0) {
		log_errno("spawn: /dev/null or SIGCHLD");
		return -1;
	}
	return 0;
}

/* ---- what the kernel shows ---- */

static struct tag tags[TAGS_MAX];

static int scan(struct role *r)
{
	int n = cgroup_tags(state(r)->vm_dir, tags);

	for (int i = 0; i < n; i++)
		role_adopt(r, tags[i].slot, tags[i].generation, tags[i].owner);
	return n < 0 ? -1 : 0;
}

static bool holds(struct role *r, uint32_t slot)
{
	int n = cgroup_tags(state(r)->vm_dir, tags);

	for (int i = 0; i < n; i++)
		if (tags[i].slot == slot)
			return true;
	return n < 0;
}

/* Append the objects of one slot.  Return: true, or false: the reply is full. */
static bool list_slot(struct role *r, int n, uint32_t slot, struct rep_list *l)
{
	for (int i = 0; i < n; i++) {
		if (tags[i].slot != slot)
			continue;
		_cleanup_close_ int dir = cgroup_open(state(r)->vm_dir, &tags[i]);
		uint64_t live = dir >= 0 && cgroup_populated(dir) == 1;
		if (!role_list_add(l, OBJ_VMM, slot, tags[i].generation, tags[i].owner, live))
			return false;
	}
	return true;
}

/* The cursor is the next slot, so VMs that start or exit between two calls shift no other.  If one
 * slot has more objects than a reply holds, which needs very many generations, some of them are
 * left out. */
static enum status list(struct role *r, const struct request *q, int *fds_in, struct reply *reply,
			int *fds_out)
{
	int n = cgroup_tags(state(r)->vm_dir, tags);

	(void)fds_in;
	(void)fds_out;
	if (n < 0)
		return ST_KERNEL;
	for (uint64_t slot = q->list.cursor; slot < SLOT_MAX; slot++) {
		if (list_slot(r, n, (uint32_t)slot, &reply->list))
			continue;
		reply->list.next = slot == q->list.cursor ? slot + 1 : slot;
		return ST_OK;
	}
	reply->list.next = 0;
	return ST_OK;
}

/* ---- operations ---- */

/* True if @fd is a FIFO that is open for reading and writing.  Such a FIFO has a reader while the
 * controller restarts, so the VMM gets no SIGPIPE. */
static bool is_console(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) == O_RDWR &&
	       fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* A VMM's process, as the reply describes it. */
struct running {
	int pidfd;           /* -1: none yet */
	uint64_t pid, start; /* start: clock ticks since boot */
};

/* Open a pidfd of the process in the tag's cgroup.  The pid is read again afterwards: if the
 * process had exited and the kernel had reused the pid, the new process would not be in this
 * cgroup.
 * Return: ST_OK, ST_ABSENT: no cgroup or no process, or ST_KERNEL. */
static enum status watch(const struct spawn_state *s, const struct tag *t, struct running *out)
{
	_cleanup_close_ int dir = cgroup_open(s->vm_dir, t);

	if (dir < 0)
		return errno == ENOENT ? ST_ABSENT : ST_KERNEL;
	int found = cgroup_pid(dir);
	if (found <= 0)
		return found == 0 ? ST_ABSENT : ST_KERNEL;
	_cleanup_close_ int fd = pidfd_open(found, 0);
	if (fd < 0)
		return errno == ESRCH ? ST_ABSENT : ST_KERNEL;
	if (cgroup_pid(dir) != found)
		return ST_ABSENT;
	*out = (struct running){ steal_fd(&fd), (uint64_t)found,
				 proc_start_time(s->proc_dir, found) };
	return ST_OK;
}

static struct limits limits_of(const struct req_vmm_spawn *v)
{
	return (struct limits){
		.memory =
			(v->mem_mib + (v->accel == ACCEL_TCG ? OVERHEAD_TCG_MIB : OVERHEAD_KVM_MIB))
			<< 20,
		.tasks = (uint32_t)v->vcpus + WORKER_TASKS,
		.cpu_us = (uint32_t)v->vcpus * 100000 + 50000,
	};
}

static enum status start(struct role *r, const struct request *q, int console, struct running *out)
{
	static const enum child_api apis[VMM_KINDS] = {
		[VMM_QEMU] = API_MADE,
		[VMM_FIRECRACKER] = API_OWN,
		[VMM_PROBE] = API_NONE,
	};
	static struct argv argv;
	struct spawn_state *s = state(r);
	const struct limits l = limits_of(&q->vmm_spawn);
	const struct tag t = tag_of(q);
	const struct child c = {
		.argv = &argv,
		.filter = &s->filters[q->vmm_spawn.vmm],
		.api = apis[q->vmm_spawn.vmm],
		.id = slot_uid(&r->config, q->slot),
		.slot = q->slot,
		.null_fd = s->null_fd,
		.console = console,
		.landlock_abi = s->landlock_abi,
		.disk_max = (uint64_t)r->config.max_disk_mib << 20,
	};

	if (argv_vmm(&s->programs, q, &argv) < 0)
		return ST_KERNEL;
	if (label_vmm_set(&s->label, q->slot) < 0) {
		log_errno("spawn: the VMM's SELinux context");
		return ST_KERNEL;
	}
	_cleanup_close_ int dir = cgroup_make(s->vm_dir, &t, &l);
	if (dir < 0)
		return errno == EAGAIN ? ST_LIMIT : ST_KERNEL;
	int pid = spawn_child(dir, &c, &out->pidfd);
	if (pid < 0)
		return errno == EAGAIN || errno == ENOMEM ? ST_LIMIT : ST_KERNEL;
	out->pid = (uint64_t)pid;
	out->start = proc_start_time(s->proc_dir, pid);
	return ST_OK;
}

static enum status vmm_spawn(struct role *r, const struct request *q, int *fds_in,
			     struct reply *reply, int *fds_out)
{
	const struct req_vmm_spawn *v = &q->vmm_spawn;
	const struct tag t = tag_of(q);
	struct running vmm = { .pidfd = -1 };

	if (v->vcpus > r->config.max_vcpus || v->mem_mib > r->config.max_mem_mib)
		return ST_LIMIT;
	if (!is_console(fds_in[0]))
		return ST_DENIED;
	enum status s = watch(state(r), &t, &vmm);
	if (s == ST_ABSENT)
		s = start(r, q, fds_in[0], &vmm);
	fds_out[0] = vmm.pidfd;
	reply->vmm_spawn = (struct rep_vmm_spawn){ vmm.pid, vmm.start };
	return s;
}

static enum status vmm_watch(struct role *r, const struct request *q, int *fds_in,
			     struct reply *reply, int *fds_out)
{
	const struct tag t = tag_of(q);
	struct running vmm = { .pidfd = -1 };

	(void)fds_in;
	enum status s = watch(state(r), &t, &vmm);
	fds_out[0] = vmm.pidfd;
	reply->vmm_watch = (struct rep_vmm_watch){ vmm.pid, vmm.start };
	return s;
}

static enum status vmm_kill(struct role *r, const struct request *q, int *fds_in,
			    struct reply *reply, int *fds_out)
{
	const struct tag t = tag_of(q);

	(void)fds_in;
	(void)reply;
	(void)fds_out;
	return cgroup_end(state(r)->vm_dir, &t);
}

static const struct handler handlers[] = {
	{ OP_VMM_SPAWN, vmm_spawn },
	{ OP_VMM_WATCH, vmm_watch },
	{ OP_VMM_KILL, vmm_kill },
	{ 0, NULL },
};

int main(void)
{
	static const unsigned caps[] = { CAP_SETUID, CAP_SETGID, UINT_MAX };
	static struct spawn_state spawn = { .vm_dir = -1, .proc_dir = -1, .null_fd = -1 };
	static struct role role = {
		.id = ROLE_SPAWN,
		.name = "spawn",
		.account = &role.config.spawn,
		.caps = caps,
		.handlers = handlers,
		.prepare = prepare,
		.filter = spawn_filter_role,
		.scan = scan,
		.holds = holds,
		.list = list,
		.state = &spawn,
	};

	role_main(&role);
}
