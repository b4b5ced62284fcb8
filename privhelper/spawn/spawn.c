/* The spawn role starts each VMM under a uid of its own, and can do little else.
 *
 * It holds CAP_SETUID and CAP_SETGID; the filter bounds the ids to the slots'
 * range.  It can name no file: its own root is the VMMs' (jail.c), the
 * programs come from root's configuration and their arguments are numbers
 * (argv.c).  It can signal no process: a VMM is ended through its cgroup
 * (cgroup.c), which is also the only record of who started it. */
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

/* What a VMM needs beside the guest's memory: its own heap and stacks, the page tables, and QEMU's translations. */
#define OVERHEAD_KVM_MIB 256
#define OVERHEAD_TCG_MIB 512
#define WORKER_TASKS 128 /* QEMU's aio pool has up to 64 threads */

struct spawn_state {
	int vm_dir;   /* <cgroup_dir>/vm, a detached clone of its mount: nothing above it can be reached from here */
	int proc_dir; /* a procfs of our own with processes only: their start times are nowhere else */
	int null_fd;  /* /dev/null, the standard input of every VMM */
	struct label_vmm label;
	struct programs programs;
	struct sock_fprog filters[VMM_KINDS]; /* what each kind of VMM loads before it is executed */
	int landlock_abi;                     /* 0: the kernel has none */
};

static struct spawn_state *state(const struct role *r)
{
	return r->state;
}

/* ---- before the lock-down, as root ---- */

static int enter_own_cgroup(const char *cgroup_dir)
{
	char path[PATH_MAX];

	/* The common ancestor of the role's cgroup and a VMM's decides whether clone3 may place it there
	 * (cgroups(7), delegation), so the role has to be inside cgroup_dir. */
	(void)snprintf(path, sizeof(path), "%s/spawn/cgroup.procs", cgroup_dir);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || write(fd, "0", 1) != 1) {
		log_errno("spawn: %s", path);
		return -1;
	}
	return 0;
}

/* A clone of the mount with vm/ as its root, so that ".." of it is itself (open_tree(2)). */
static int open_vm_dir(const char *cgroup_dir)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/vm", cgroup_dir);
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (fd < 0)
		log_errno("spawn: %s", path);
	return fd;
}

/* A procfs that shows processes and nothing else (subset=pid, Linux 5.8), to everybody: the host's own may be
 * mounted with hidepid, and then the start time of another uid's process could not be read. */
static int open_proc(void)
{
	_cleanup_close_ int fs = fsopen("proc", FSOPEN_CLOEXEC);
	int fd = -1;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_SET_STRING, "hidepid", "0", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fs, FSMOUNT_CLOEXEC,
			     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		log_errno("spawn: a procfs for start times");
	return fd;
}

/* VMMs inherit oom_score_adj (proc_pid_oom_score_adj(5)) from this role, and the role from the service, which protects
 * itself: out of memory, the kernel would then end the host's other processes before the VMMs.  EACCES: it is above 0
 * already, and lowering it takes CAP_SYS_RESOURCE. */
static int protect_no_vmm(void)
{
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && (write(fd, "0", 1) == 1 || errno == EACCES))
		return 0;
	log_errno("spawn: /proc/self/oom_score_adj");
	return -1;
}

/* Ended VMMs are nobody's to wait for: the pidfd says it.  So they must not stay as zombies. */
static int no_zombies(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };

	return sigaction(SIGCHLD, &sa, NULL);
}

static int make_filters(struct spawn_state *s)
{
	for (int kind = 0; kind < VMM_KINDS; kind++)
		if (spawn_filter_vmm((enum vmm_kind)kind, s->landlock_abi > 0, &s->filters[kind]) < 0)
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
	if (s->vm_dir < 0 || s->proc_dir < 0 || enter_own_cgroup(r->config.cgroup_dir) < 0 || protect_no_vmm() < 0)
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

/* Append the objects of one slot.  Return: false when the reply is full. */
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

/* The cursor is a slot, so what comes and goes between two calls moves nothing else.  A slot that fills a whole reply
 * (only a broken tree has so many generations of one) is shown in part. */
static enum status list(struct role *r, const struct request *q, int *fds_in, struct reply *reply, int *fds_out)
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

/* Open for reading and writing, a FIFO never raises SIGPIPE nor blocks its opener while the controller restarts. */
static bool is_console(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) == O_RDWR && fstat(fd, &st) == 0 &&
	       S_ISFIFO(st.st_mode);
}

/* A process of a VMM, as the controller is told of it; pidfd: -1 until there is one. */
struct running {
	int pidfd;
	uint64_t pid, start;
};

/**
 * watch() - a pidfd of the process in a cgroup
 *
 * The pid is read again once the pidfd is there: had the process ended and its
 * number been given to another one, that one would not be in this cgroup.
 */
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
	*out = (struct running){ steal_fd(&fd), (uint64_t)found, proc_start_time(s->proc_dir, found) };
	return ST_OK;
}

static struct limits limits_of(const struct req_vmm_spawn *v)
{
	return (struct limits){
		.memory = (v->mem_mib + (v->accel == ACCEL_TCG ? OVERHEAD_TCG_MIB : OVERHEAD_KVM_MIB)) << 20,
		.tasks = (uint32_t)v->vcpus + WORKER_TASKS,
		.cpu_us = (uint32_t)v->vcpus * 100000 + 50000,
	};
}

static enum status start(struct role *r, const struct request *q, int console, struct running *out)
{
	static const enum child_api apis[VMM_KINDS] = {
		[VMM_QEMU] = API_MADE, [VMM_FIRECRACKER] = API_OWN, [VMM_PROBE] = API_NONE,
	};
	static struct argv argv;
	struct spawn_state *s = state(r);
	const struct limits l = limits_of(&q->vmm_spawn);
	const struct tag t = tag_of(q);
	const struct child c = {
		.argv = &argv, .filter = &s->filters[q->vmm_spawn.vmm], .api = apis[q->vmm_spawn.vmm],
		.id = slot_uid(&r->config, q->slot), .slot = q->slot, .null_fd = s->null_fd, .console = console,
		.landlock_abi = s->landlock_abi, .disk_max = (uint64_t)r->config.max_disk_mib << 20,
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

static enum status vmm_spawn(struct role *r, const struct request *q, int *fds_in, struct reply *reply, int *fds_out)
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

static enum status vmm_watch(struct role *r, const struct request *q, int *fds_in, struct reply *reply, int *fds_out)
{
	const struct tag t = tag_of(q);
	struct running vmm = { .pidfd = -1 };

	(void)fds_in;
	enum status s = watch(state(r), &t, &vmm);
	fds_out[0] = vmm.pidfd;
	reply->vmm_watch = (struct rep_vmm_watch){ vmm.pid, vmm.start };
	return s;
}

static enum status vmm_kill(struct role *r, const struct request *q, int *fds_in, struct reply *reply, int *fds_out)
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
