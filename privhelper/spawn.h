/* spawn.h - the role that starts, watches and ends VMMs: the state and the parts of its one process.
 *
 * Only privhelper/spawn*.c include this. */
#ifndef BANGER_PRIVHELPER_SPAWN_H
#define BANGER_PRIVHELPER_SPAWN_H

#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>

#include "privhelper/label.h"
#include "privhelper/role.h"

#define SPAWN_PATH 160

struct spawn_state {
	int vm_dir;   /* <cgroup_dir>/vm, a detached clone of its mount: nothing above it can be reached from here */
	int proc_dir; /* a procfs of our own with processes only: their start times are nowhere else */
	int null_fd;  /* /dev/null, the standard input of every VMM */
	struct label_vmm label;

	char programs[VMM_KINDS][SPAWN_PATH]; /* as the VMMs' root shows them; "": none */

	struct sock_fprog filters[VMM_KINDS]; /* what each kind of VMM loads before it is executed */
	int landlock_abi;                     /* 0: the kernel has none */
	uint64_t disk_max;        /* bytes: the largest disk of a VM, and so the largest file that a VMM may make of it */
};

/* ---- spawn_jail.c: the VMMs' root ---- */

/**
 * spawn_jail_enter() - build the root that all VMMs share, and move this process into it
 * @c:	places and programs
 * @s:	the program paths are filled in
 *
 * Takes root and CAP_SYS_ADMIN; afterwards the host's files are out of reach.
 * Return: 0, or -1 (logged).
 */
int spawn_jail_enter(const struct config *c, struct spawn_state *s);

/* ---- spawn_cgroup.c: one cgroup a VM, its name is the tag ---- */

/* What a cgroup's name says: "<slot>.<generation>.<owner>". */
struct tag {
	uint32_t slot, generation, owner;
};

#define TAG_NAME 48
#define TAGS_MAX (2 * SLOT_MAX)

struct tag tag_of(const struct request *q);
void tag_name(const struct tag *t, char out[TAG_NAME]);

/* Return: 0, or -1 with EINVAL: not a name that tag_name() writes. */
int tag_parse(const char *name, struct tag *t);

struct limits {
	uint64_t memory;    /* bytes */
	uint32_t tasks;     /* processes and threads */
	uint32_t cpu_us;    /* microseconds of processor time in each 100,000 */
};

/* Every tag that is there, in no order.  Return: how many, or -1 with errno. */
int cgroup_tags(int vm_dir, struct tag tags[TAGS_MAX]);

/**
 * cgroup_make() - make the tag's cgroup, or take the one that is there, and set its limits
 *
 * Limits of controllers that are not enabled below vm/ are left out.
 * Return: a descriptor of the directory, or -1 with errno.
 */
int cgroup_make(int vm_dir, const struct tag *t, const struct limits *l);

/* A descriptor of the tag's cgroup.  Return: it, or -1 with errno (ENOENT: none). */
int cgroup_open(int vm_dir, const struct tag *t);

/* Are there live processes in it (cgroups(7), cgroup.events)?  Return: 1, 0, or -1 with errno. */
int cgroup_populated(int dir);

/* The first process in it.  Return: its pid, 0 when there is none, or -1 with errno. */
int cgroup_pid(int dir);

/**
 * cgroup_end() - kill all that is in the tag's cgroup and remove it
 *
 * Waits up to 100 ms for the kernel.
 * Return: ST_OK (also when there was none), ST_BUSY, or ST_KERNEL.
 */
enum status cgroup_end(int vm_dir, const struct tag *t);

/* Remove the tag's cgroup when nothing runs in it.  Return: ST_OK (also when there was none), ST_BUSY, or ST_KERNEL. */
enum status cgroup_remove(int vm_dir, const struct tag *t);

/* Field 22 of /proc/<pid>/stat: clock ticks from boot to the process's start (proc(5)); 0 when it can not be read. */
uint64_t proc_start_time(int proc_dir, int pid);

/* The number that proc_start_time() takes out of the file's text; 0 when it has no such field. */
uint64_t stat_start_time(const char *stat);

/* ---- spawn_argv.c: command lines ---- */

#define ARGV_MAX 64
#define ARGV_TEXT 3072

struct argv {
	char *v[ARGV_MAX + 1];
	char text[ARGV_TEXT];
	size_t n, used;
	bool full; /* something did not fit: not to be used */
};

/**
 * argv_vmm() - the command line of a VMM, out of numbers and root's configuration alone
 * @s:	where the programs are
 * @q:	a VMM_SPAWN
 * @a:	out; a->v ends with NULL
 *
 * Return: 0, or -1 with errno: ENOENT this host has no such VMM, ENOSPC it does not fit.
 */
int argv_vmm(const struct spawn_state *s, const struct request *q, struct argv *a);

/* ---- spawn_filter.c: system calls ---- */

/* The role's own calls, and, because a filter outlives execve, those of the VMMs.  Return: 0, or -1 (logged). */
int spawn_filter_role(struct role *r, scmp_filter_ctx ctx);

/**
 * spawn_filter_vmm() - the narrower filter that a VMM loads on top of the role's
 * @kind:	which VMM: they differ in what they may do with sockets
 * @landlock:	the VMM has a Landlock domain below it, which refuses files that it has no business to make
 * @out:	out; its instructions stay in one buffer for each kind, which the next call for @kind overwrites
 *
 * Return: 0, or -1 (logged).
 */
int spawn_filter_vmm(enum vmm_kind kind, bool landlock, struct sock_fprog *out);

/* ---- spawn_child.c: from the clone to execve ---- */

#define API_FD 3 /* where API_MADE puts the listening socket */

/* Its API socket: the probe has none; QEMU is given one that listens already, and so need not write in its folder;
 * Firecracker makes its own. */
enum child_api { API_NONE, API_MADE, API_OWN };

struct child {
	const struct spawn_state *state;
	const struct argv *argv;
	const struct sock_fprog *filter;
	enum child_api api;
	uint32_t id;   /* uid and gid to become */
	uint32_t slot;
	int console;
};

/**
 * spawn_child() - start a process inside a cgroup
 * @cgroup:	descriptor of its directory
 * @c:		what to run
 * @pidfd:	out, close-on-exec, the caller's
 *
 * Return: the pid, or -1 with errno.  What fails after that is said on the
 * console, and the process ends with status 127.
 */
int spawn_child(int cgroup, const struct child *c, int *pidfd);

#endif
