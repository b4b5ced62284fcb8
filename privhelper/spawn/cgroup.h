/* cgroup.h - makes, lists and removes the cgroup of each VM, whose name is the VM's tag.  All of
 * them are in the working folder. */
#ifndef BANGER_PRIVHELPER_SPAWN_CGROUP_H
#define BANGER_PRIVHELPER_SPAWN_CGROUP_H

#include <stdint.h>

#include "privhelper/tag.h"
#include "proto/slot.h"

#define TAGS_MAX (2 * SLOT_MAX)

/* The limits of one VM's cgroup. */
struct limits {
	uint64_t memory; /* bytes */
	uint32_t tasks;  /* processes and threads */
	uint32_t cpu_us; /* microseconds of processor time in each 100,000 */
};

/* Read the tags of all cgroups, in no order; those beyond TAGS_MAX are left out.
 * Return: their number, or -1 with errno. */
int cgroup_tags(struct tag tags[TAGS_MAX]);

/**
 * cgroup_make() - make the tag's cgroup, or find it, and set its limits
 *
 * A limit is left out if its cgroup controller is not enabled.
 * Return: a descriptor of the directory, which the caller closes, or -1 with errno.
 */
int cgroup_make(const struct tag *t, const struct limits *l);

/* Return: 1 if the cgroup has live processes (cgroups(7), cgroup.events), 0 if not, or -1 with
 * errno; ENOENT: there is no cgroup. */
int cgroup_populated(const struct tag *t);

/* Return: the pid of the cgroup's first process; 0: there is no cgroup, or it has none; or -1 with
 * errno. */
int cgroup_pid(const struct tag *t);

/**
 * cgroup_end() - kill all processes in the tag's cgroup and remove it
 *
 * Waits at most 100 ms for the processes to exit.
 * Return: ST_OK (also if there is no cgroup); ST_BUSY: a process lives on; or ST_KERNEL.
 */
enum status cgroup_end(const struct tag *t);

/* Remove the tag's cgroup if it has no process.  Return: ST_OK (also if there is no cgroup),
 * ST_BUSY or ST_KERNEL. */
enum status cgroup_remove(const struct tag *t);

/* Return: the clock ticks from boot to the start of a process, field 22 of /proc/<pid>/stat
 * (proc(5)); 0: it can not be read. */
uint64_t proc_start_time(int pid);

/* Return: field 22 of the text of a /proc/<pid>/stat; 0: it has no such field. */
uint64_t stat_start_time(const char *stat);

#endif
