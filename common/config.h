/* config.h - the configuration of this host, and its way to every process.
 *
 * The supervisor alone reads the text (/etc/banger/banger.conf), as root, and only if no account
 * but root can write it.  The other processes get the struct below in a sealed memfd
 * (memfd_create(2)) at CONFIG_FD. */
#ifndef BANGER_COMMON_CONFIG_H
#define BANGER_COMMON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_DEFAULT_PATH "/etc/banger/banger.conf"

/* The descriptors that the supervisor passes to an executed process. */
enum boot_fd {
	CONFIG_FD = 3, /* all: the sealed struct config */
	RPC_FD = 4,    /* a role: its socketpair to the controller */
	REQLOG_FD = 5, /* a role: its request log, append only */
	REQKEY_FD = 6, /* a role: the key file of its request log */
	/* role net: an eventfd(2), written after a foreign change of our objects */
	WAKE_FD = 7,
	CTL_NET_FD = 4, /* the controller: the other ends of the roles' socketpairs */
	CTL_BLK_FD = 5,
	CTL_SPAWN_FD = 6,
	CTL_LISTEN_FD = 7,   /* the controller: the listening control socket */
	CTL_SUP_FD = 8,      /* the controller: one byte out when ready; end of file in: stop */
	CTL_WAKE_FD = 9,     /* the controller: the same eventfd as WAKE_FD, to read */
	CTL_NET_DEV_FD = 10, /* the controller: /proc/net/dev of the host's network namespace */
	BOOT_FDS = 11,
};

struct account {
	uint32_t uid, gid;
};

struct config {
	uint32_t magic, size; /* CONFIG_MAGIC, sizeof(struct config): same build on both sides */

	/* Slots: uid and gid of slot i are uid_base + i.  uid_base is a multiple of
	 * config_slot_span(). */
	uint32_t slots; /* 1..1000; a bridge has 1,023 ports */
	uint32_t uid_base;

	/* Network: the bridge holds subnet + 1, slot i holds subnet + 2 + i (host byte order). */
	char bridge[16]; /* IFNAMSIZ */
	char uplink[16]; /* "": any interface but the bridge, by the host's routes */
	uint32_t subnet, prefix;
	uint32_t dns; /* name server of the guests; 0: none */

	/* Accounts. */
	struct account net, blk, spawn, controller, supervisor;
	uint32_t users_gid; /* group that may open the control socket; UINT32_MAX: every user */

	/* Folders: absolute paths, made by the supervisor. */
	char state_dir[128]; /* database, images, kernels, volumes, slots/<i> */
	/* control.sock, slots/<i>; fits slots/999/api.sock into sun_path (unix(7)) */
	char run_dir[89];
	char log_dir[128];     /* net.log, blk.log, spawn.log */
	char cgroup_dir[128];  /* folder in a cgroup v2 file system */
	char libexec_dir[128]; /* the programs of the roles and the controller */

	/* VMMs. */
	char qemu[128];        /* absolute, below /usr; "": none */
	char firecracker[128]; /* likewise */
	uint32_t accel;        /* enum accel */
	uint32_t agent_ports;  /* of each VM: commands that its agent serves at once; 0..30 */

	/* Disks. */
	uint32_t dm; /* enum dm_use */

	uint32_t landlock; /* enum landlock_use */

	/* Limits of all VMs together: the control group around them has memory.max and pids.max. */
	uint32_t total_mem_percent; /* of the host's memory, 1..100 */
	uint32_t total_tasks;       /* processes and threads */

	/* Limits that the roles enforce, against a taken-over controller too. */
	uint32_t max_vcpus, max_mem_mib, max_disk_mib;
	uint32_t max_flows_per_vm;   /* open at once through NAT; 64..1000000 */
	uint32_t creates_per_second; /* token bucket of each role, burst twice that */

	/* Limits that the controller alone enforces, because the roles can not check the owner that
	 * it names. */
	uint32_t max_vms_per_owner;
	uint32_t max_images_per_owner; /* and as many kernels, and volumes */

	/* Seconds after a start of the service in which the holder of a VM may take its hold
	 * again. */
	uint32_t hold_grace_s;
};

enum accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };

/* DM_OFF: role blk does not open device-mapper's control node, by which it could change any device
 * of the host. */
enum dm_use { DM_AUTO, DM_OFF };

/* What follows from a kernel without Landlock.  LANDLOCK_AUTO: the processes do without it.
 * LANDLOCK_REQUIRE: supervisor, launcher and controller each refuse to start. */
enum landlock_use { LANDLOCK_AUTO, LANDLOCK_REQUIRE };

#define CONFIG_MAGIC 0x62677231u

/**
 * config_load() - read and check the text of the configuration
 * @path:	absolute path
 * @owner:	the uid that must own the file and its folder: 0, except in tests
 * @c:		out
 *
 * A file or folder that another account can write, and a link in the path, are errors.  So are an
 * unknown section or key, a repeated key, and a value out of bounds, which are logged with their
 * lines.  Missing keys have defaults.  An empty cgroup_dir stays empty; places_make() fills it in.
 * Return: 0, or -1 (logged).
 */
int config_load(const char *path, uint32_t owner, struct config *c);

/* Copy @c into a new sealed memfd.  Return: a descriptor, which the caller closes, or -1 with
 * errno. */
int config_to_memfd(const struct config *c);

/**
 * config_slot_span() - return the number of ids from uid_base on that are reserved for slots
 *
 * It is the power of two at or above the number of slots, 1 to 1024.  The launcher's system call
 * filter compares ids under a mask, so it can take each id of the span, even one that no slot has.
 */
static inline uint32_t config_slot_span(const struct config *c)
{
	uint32_t span = 1;

	while (span < c->slots)
		span <<= 1;
	return span;
}

/* True if @id, a uid or gid, is reserved for slots.  A VMM may run under it, so no account, group
 * or caller may have it. */
static inline bool config_in_slot_range(const struct config *c, uint32_t id)
{
	return id >= c->uid_base && id - c->uid_base < config_slot_span(c);
}

/* Read the configuration from the memfd @fd, and check its magic, size and seals.  Return: 0, or -1
 * with errno. */
int config_from_memfd(int fd, struct config *c);

#endif
