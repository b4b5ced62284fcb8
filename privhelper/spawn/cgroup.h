/* cgroup.h - one cgroup a VM, its name is the tag. */
#ifndef BANGER_PRIVHELPER_SPAWN_CGROUP_H
#define BANGER_PRIVHELPER_SPAWN_CGROUP_H

#include <stdint.h>

#include "privhelper/role/role.h"

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

#endif
