/* config.h - what root decided about this host, and how it reaches every process.
 *
 * Only the supervisor reads the text (/etc/banger/banger.conf), while it is
 * root, and only when root alone can have written it.  Everybody else gets the
 * struct below in a sealed memory file (memfd_create(2)) at CONFIG_FD. */
#ifndef BANGER_COMMON_CONFIG_H
#define BANGER_COMMON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_DEFAULT_PATH "/etc/banger/banger.conf"

/* Where an executed process finds what the supervisor gives it. */
enum boot_fd {
	CONFIG_FD = 3,   /* all: the sealed struct config */
	RPC_FD = 4,      /* a role: its socketpair to the controller */
	REQLOG_FD = 5,   /* a role: its request log, append only */
	WAKE_FD = 6,     /* role net: an eventfd(2) to say that something of ours was taken away */
	CTL_NET_FD = 4,  /* the controller: the other ends */
	CTL_BLK_FD = 5,
	CTL_SPAWN_FD = 6,
	CTL_LISTEN_FD = 7, /* the controller: the listening control socket */
	CTL_SUP_FD = 8,    /* the controller: one byte out says ready; end of file in says stop */
	CTL_WAKE_FD = 9,   /* the controller: the same eventfd, to read */
	CTL_NET_DEV_FD = 10, /* the controller: /proc/net/dev of the host's network namespace, to read */
	BOOT_FDS = 11,
};

struct account {
	uint32_t uid, gid;
};

struct config {
	uint32_t magic, size; /* CONFIG_MAGIC, sizeof(struct config): same build on both sides */

	/* Slots: uid and gid of slot i are uid_base + i; uid_base is a multiple of the power of two at or above slots. */
	uint32_t slots;    /* 1..1000; a bridge has 1,023 ports */
	uint32_t uid_base;

	/* Network: the bridge holds subnet + 1, slot i holds subnet + 2 + i (host byte order). */
	char bridge[16];   /* IFNAMSIZ */
	char uplink[16];   /* "": whatever the route says, except the bridge itself */
	uint32_t subnet, prefix;
	uint32_t dns;      /* what guests are told; 0: none */

	/* Accounts. */
	struct account net, blk, spawn, controller, supervisor;
	uint32_t users_gid; /* who may open the control socket; UINT32_MAX: everybody */

	/* Places; absolute, made by the supervisor. */
	char state_dir[128];  /* database, images, kernels, slots/<i> */
	char run_dir[89];     /* control.sock, slots/<i>; slots/999/api.sock below it fits into sun_path, unix(7) */
	char log_dir[128];    /* net.log, blk.log, spawn.log */
	char cgroup_dir[128]; /* our cgroup v2 subtree */
	char libexec_dir[128]; /* the programs of the roles and the controller */

	/* VMMs. */
	char qemu[128];        /* absolute, below /usr; "": none */
	char firecracker[128]; /* likewise */
	uint32_t accel;        /* enum accel */

	/* Disks. */
	uint32_t dm;           /* enum dm_use */

	/* Limits of all VMs together: the control group around them has memory.max and pids.max. */
	uint32_t total_mem_percent; /* of the host's memory, 1..100 */
	uint32_t total_tasks;       /* processes and threads */

	/* Limits that a taken-over controller can not pass. */
	uint32_t max_vcpus, max_mem_mib, max_disk_mib;
	uint32_t max_flows_per_vm; /* open at once through NAT; 64..1000000 */
	uint32_t creates_per_second; /* token bucket of each role, burst twice that */

	/* Limits that the controller alone keeps: who a VM or an image belongs to is its word. */
	uint32_t max_vms_per_owner;
	uint32_t max_images_per_owner; /* and as many kernels */
};

enum accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };

/* DM_OFF: role blk does not open device-mapper's control node, through which it could change any device of the host's. */
enum dm_use { DM_AUTO, DM_OFF };

#define CONFIG_MAGIC 0x62677231u

/**
 * config_load() - read and check the text
 * @path:	absolute path
 * @owner:	the uid that must own the file and its folder: 0, except in tests
 * @c:		out
 *
 * Refuses a file or folder that others can write or that a link leads to,
 * unknown or repeated sections and keys, and any value out of bounds; every
 * refusal is logged with the line.  Missing keys have defaults.  An empty
 * cgroup_dir is left for the supervisor to fill in.
 * Return: 0, or -1 (already logged).
 */
int config_load(const char *path, uint32_t owner, struct config *c);

/* A sealed memory file with @c in it.  Return: a descriptor, or -1 with errno. */
int config_to_memfd(const struct config *c);

/**
 * config_slot_span() - how many ids from uid_base on are the slots'
 *
 * The power of two at or above slots, 1 to 1024.  It is not slots itself: the spawn role's system call filter
 * compares ids under a mask, so that role can become each id of the span, also the few that no slot has.
 */
static inline uint32_t config_slot_span(const struct config *c)
{
	uint32_t span = 1;

	while (span < c->slots)
		span <<= 1;
	return span;
}

/* True when @id, a uid or a gid, lies in the slots' span: a VMM may run under it, so no account, group or caller may
 * have it. */
static inline bool config_in_slot_range(const struct config *c, uint32_t id)
{
	return id >= c->uid_base && id - c->uid_base < config_slot_span(c);
}

/* Read it back at CONFIG_FD and check magic, size and seals.  Return: 0, or -1 with errno. */
int config_from_memfd(int fd, struct config *c);

#endif
