/* jail.c - builds the root that the launcher and all VMMs share, as root before lock-down.
 *
 *   /usr         the host's, read-only; likewise bin, lib, lib64, sbin
 *   /dev         nodes of our own, open to all: null, zero, urandom, net/tun, kvm if the host
 *                has it
 *   /run/<i>     run_dir/slots/<i>: API socket, FIFOs for log and metrics; slot i's alone
 *   /run/vda<i>  disk node of slot i, if disks are device-mapper snapshots
 *   /state/<i>   state_dir/slots/<i>: kernel, initrd, disk; readable by slot i alone
 *   /libexec     the KVM probe, if libexec_dir is not below /usr (VMMs are: config_load() checks
 *                that)
 *
 * The root has no /proc, /sys or /etc.  It is made once, so a start of a VMM needs no mount.  Two
 * VMMs are kept apart by their uids, the modes of their folders and Landlock.
 *
 * A tmpfs is mounted on run_dir, a folder that surely exists and is ours, and becomes the root
 * (root.h). */
#include "privhelper/spawn/jail.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/root.h"

#define ROOT_OPTIONS "mode=755,size=64k,nr_inodes=64"

/* The device numbers are from the kernel's Documentation/admin-guide/devices.txt. */
static const struct {
	const char *path;
	unsigned major, minor;
} nodes[] = {
	{ "dev/null", 1, 3 },       { "dev/zero", 1, 5 },   { "dev/urandom", 1, 9 },
	{ "dev/net/tun", 10, 200 }, { "dev/kvm", 10, 232 }, /* the last: a host may lack it */
};

static int make_devices(void)
{
	const size_t n = ARRAY_SIZE(nodes) - (access("/dev/kvm", F_OK) != 0);

	if (mkdir("dev", 0755) < 0 || mkdir("dev/net", 0755) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) <
		    0)
			return -1;
	return 0;
}

/* Below /usr the probe keeps its path, and an upgrade of the file is seen.  Elsewhere the file is
 * mounted at a fixed path. */
static void place_programs(const struct config *c, struct programs *p, char probe[PATH_MAX])
{
	bool inside = strncmp(c->libexec_dir, "/usr/", 5) == 0;

	(void)snprintf(p->path[VMM_QEMU], PROGRAM_PATH, "%s", c->qemu);
	(void)snprintf(p->path[VMM_FIRECRACKER], PROGRAM_PATH, "%s", c->firecracker);
	(void)snprintf(p->path[VMM_PROBE], PROGRAM_PATH, "%s/banger-kvmprobe",
		       inside ? c->libexec_dir : "/libexec");
	(void)snprintf(probe, PATH_MAX, "%s%s", inside ? "" : c->libexec_dir,
		       inside ? "" : "/banger-kvmprobe");
}

/* The controller owns state_dir: since the supervisor's check it may have put another folder of the
 * host in place of "slots", hence PART_ROOTS. */
static int build(const struct config *c, struct programs *p)
{
	static char run[PATH_MAX], state[PATH_MAX], probe[PATH_MAX];
	const uint64_t with_nodes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	struct part parts[] = {
		{ .path = "/usr", .attr = PART_PROGRAMS, .how = PART_DEEP | PART_ROOTS },
		{ .path = "/bin", .attr = PART_PROGRAMS, .how = PART_DEEP | PART_MAY_LACK },
		{ .path = "/sbin", .attr = PART_PROGRAMS, .how = PART_DEEP | PART_MAY_LACK },
		{ .path = "/lib", .attr = PART_PROGRAMS, .how = PART_DEEP | PART_MAY_LACK },
		{ .path = "/lib64", .attr = PART_PROGRAMS, .how = PART_DEEP | PART_MAY_LACK },
		{ run, "run", with_nodes, PART_DEEP | PART_ROOTS, 0 },
		{ state, "state", PART_TO_WRITE, PART_DEEP | PART_ROOTS, 0 },
		{ probe, "libexec/banger-kvmprobe", PART_PROGRAMS, PART_FILE | PART_ROOTS, 0 },
	};

	(void)snprintf(run, PATH_MAX, "%s/slots", c->run_dir);
	(void)snprintf(state, PATH_MAX, "%s/slots", c->state_dir);
	place_programs(c, p, probe);
	if (parts_clone(parts, ARRAY_SIZE(parts)) < 0 || root_make(c->run_dir, 0, ROOT_OPTIONS) < 0)
		return -1;
	if (make_devices() < 0 || parts_attach(parts, ARRAY_SIZE(parts)) < 0)
		return -1;
	FAILPOINT("jail.filled");
	return root_enter();
}

int spawn_jail_enter(const struct config *c, struct programs *p)
{
	(void)umask(0); /* the launcher makes no other file, and CHILD sets its own */
	FAILPOINT("jail.before");
	if (root_unshare(0) == 0 && build(c, p) == 0)
		return 0;
	log_errno("the VMMs' root");
	return -1;
}
