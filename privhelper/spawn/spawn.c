/* spawn.c - the spawn role: keeps the VMMs' cgroups, and has VMMs started and ended.
 *
 * ROLE spawn decodes what the controller sends, and holds no capability.  LAUNCHER behind it
 * (launcher.c) starts each VMM under a uid of its own.  The VMs' cgroups are ROLE's whole root, so
 * it can name no other file.  It can signal no process: it ends a VMM through its cgroup
 * (cgroup.c), whose name is also the only record of the VM that the VMM belongs to. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/policies.h"
#include "privhelper/role/role.h"
#include "privhelper/root.h"
#include "privhelper/spawn/cgroup.h"
#include "privhelper/spawn/launcher.h"

/* Memory of a VMM beside the guest's: its heap and stacks, page tables, and QEMU's translated
 * code. */
#define OVERHEAD_KVM_MIB 256
#define OVERHEAD_TCG_MIB 512
#define WORKER_TASKS 128 /* QEMU's aio pool has up to 64 threads */

#define ROOT_OPTIONS "mode=755,size=4k,nr_inodes=8"

struct spawn_state {
	int launcher; /* the socket to the launcher */
};

/* ---- before the lock-down, as root ---- */

/* Mount a procfs that shows processes only (subset=pid, Linux 5.8), with hidepid=0.  The host's own
 * may be mounted with another hidepid, and would then hide the start time of a VMM, a process of
 * another uid.  Its links are not followed: /proc/PID/fd would lead to a folder that a peer has
 * sent.
 * Return: a descriptor, or -1 with errno. */
static int open_proc(void)
{
	_cleanup_close_ int fs = fsopen("proc", FSOPEN_CLOEXEC);
	int fd = -1;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_SET_STRING, "hidepid", "0", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fs, FSMOUNT_CLOEXEC,
			     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				     MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW);
	return fd;
}

/* Make a root with nothing in it but /vm, the VMs' cgroups, and /proc: no name leads to another
 * file. */
static int enter_root(const struct config *c)
{
	static char vm[PATH_MAX];
	struct part parts[] = { { vm, "vm", PART_TO_WRITE, 0, 0 }, { "", "proc", 0, 0, -1 } };

	FAILPOINT("root.before");
	(void)snprintf(vm, sizeof(vm), "%s/vm", c->cgroup_dir);
	if (root_unshare(0) == 0 && parts_clone(parts, ARRAY_SIZE(parts)) == 0 &&
	    (parts[1].tree = open_proc()) >= 0 &&
	    root_make(c->run_dir, MS_NODEV, ROOT_OPTIONS) == 0 &&
	    parts_attach(parts, ARRAY_SIZE(parts)) == 0 && root_enter() == 0 && chdir("/vm") == 0)
		return 0;
	log_errno("spawn: a root of its own");
	return -1;
}

static int prepare(struct role *r)
{
	struct spawn_state *s = r->state;

	s->launcher = launcher_start(&r->config);
	return s->launcher < 0 ? -1 : enter_root(&r->config);
}

static int bind_policy(struct role *r, struct binding *bound)
{
	const struct spawn_state *s = r->state;

	bound[SPAWN_LAUNCHER] = policy_fd(s->launcher);
	return 0;
}

/* ---- what the kernel shows ---- */

static struct tag tags[TAGS_MAX];

static int scan(struct role *r)
{
	int n = cgroup_tags(tags);

	for (int i = 0; i < n; i++)
		role_adopt(r, tags[i].slot, tags[i].generation, tags[i].owner);
	return n < 0 ? -1 : 0;
}

static bool holds(struct role *r, uint32_t slot)
{
	int n = cgroup_tags(tags);

	(void)r;
	for (int i = 0; i < n; i++)
		if (tags[i].slot == slot)
			return true;
	return n < 0;
}

/* Append the objects of one slot.  Return: true, or false: the reply is full. */
static bool list_slot(int n, uint32_t slot, struct rep_list *l)
{
	for (int i = 0; i < n; i++) {
		if (tags[i].slot != slot)
			continue;
		uint64_t live = cgroup_populated(&tags[i]) == 1;
		if (!role_list_add(l, OBJ_VMM, slot, tags[i].generation, tags[i].owner, live))
			return false;
	}
	return true;
}

/* The cursor is the next slot, so VMs that start or exit between two calls shift no other.  If one
 * slot has more objects than a reply holds, which needs very many generations, some of them are
 * left out. */
static enum status list(struct role *r, struct call *c)
{
	int n = cgroup_tags(tags);

	(void)r;
	if (n < 0)
		return ST_KERNEL;
	for (uint64_t slot = c->q.list.cursor; slot < SLOT_MAX; slot++) {
		if (list_slot(n, (uint32_t)slot, &c->reply.list))
			continue;
		c->reply.list.next = slot == c->q.list.cursor ? slot + 1 : slot;
		return ST_OK;
	}
	c->reply.list.next = 0;
	return ST_OK;
}

/* ---- operations ---- */

/* True if @fd is a FIFO that is open for reading and writing.  Such a FIFO has a reader and a
 * writer while the controller restarts, so the VMM gets no SIGPIPE, and reads no end of file. */
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
static enum status watch(const struct tag *t, struct running *out)
{
	int found = cgroup_pid(t);

	if (found <= 0)
		return found == 0 ? ST_ABSENT : ST_KERNEL;
	_cleanup_close_ int fd = pidfd_open(found, 0);
	if (fd < 0)
		return errno == ESRCH ? ST_ABSENT : ST_KERNEL;
	if (cgroup_pid(t) != found)
		return ST_ABSENT;
	*out = (struct running){ steal_fd(&fd), (uint64_t)found, proc_start_time(found) };
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

static enum status start(struct role *r, const struct request *q, const int fifos[2],
			 struct running *out)
{
	struct spawn_state *s = r->state;
	const struct limits l = limits_of(&q->vmm_spawn);
	const struct launch ask = { .vmm = q->vmm_spawn, .slot = q->slot };
	const struct tag t = tag_of(q);
	int pid;

	_cleanup_close_ int dir = cgroup_make(&t, &l);
	if (dir < 0)
		return errno == EAGAIN ? ST_LIMIT : ST_KERNEL;
	enum status st = launcher_ask(s->launcher, &ask, (const int[]){ fifos[0], fifos[1], dir },
				      &pid, &out->pidfd);
	if (st != ST_OK) {
		(void)cgroup_remove(&t); /* empty, because there is no VMM */
		return st;
	}
	out->pid = (uint64_t)pid;
	out->start = proc_start_time(pid);
	return ST_OK;
}

static enum status vmm_spawn(struct role *r, struct call *c)
{
	const struct req_vmm_spawn *v = &c->q.vmm_spawn;
	const struct tag t = tag_of(&c->q);
	struct running vmm = { .pidfd = -1 };

	if (v->vcpus > r->config.max_vcpus || v->mem_mib > r->config.max_mem_mib ||
	    v->disk_mib > r->config.max_disk_mib)
		return ST_LIMIT;
	if (!is_console(c->fds_in[0]) || !is_console(c->fds_in[1]))
		return ST_DENIED;
	enum status s = watch(&t, &vmm);
	if (s == ST_ABSENT)
		s = start(r, &c->q, c->fds_in, &vmm);
	c->fds_out[0] = vmm.pidfd;
	c->reply.vmm_spawn = (struct rep_vmm_spawn){ vmm.pid, vmm.start };
	return s;
}

static enum status vmm_watch(struct role *r, struct call *c)
{
	const struct tag t = tag_of(&c->q);
	struct running vmm = { .pidfd = -1 };

	(void)r;
	enum status s = watch(&t, &vmm);
	c->fds_out[0] = vmm.pidfd;
	c->reply.vmm_watch = (struct rep_vmm_watch){ vmm.pid, vmm.start };
	return s;
}

static enum status vmm_kill(struct role *r, struct call *c)
{
	const struct tag t = tag_of(&c->q);

	(void)r;
	return cgroup_end(&t);
}

static const struct handler handlers[] = {
	{ OP_VMM_SPAWN, vmm_spawn },
	{ OP_VMM_WATCH, vmm_watch },
	{ OP_VMM_KILL, vmm_kill },
	{ 0, NULL },
};

int main(void)
{
	static struct spawn_state spawn = { .launcher = -1 };
	static struct role role = {
		.id = ROLE_SPAWN,
		.name = "spawn",
		.account = &role.config.spawn,
		.policy = &policy_spawn,
		.handlers = handlers,
		.prepare = prepare,
		.bind = bind_policy,
		.scan = scan,
		.holds = holds,
		.list = list,
		.state = &spawn,
	};

	role_main(&role);
}
