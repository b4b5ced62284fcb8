/* policy.c - what the blk role may do after its lock-down.
 *
 * Rules compare whole request numbers of ioctl(2).  Any other (LOOP_CLR_FD, LOOP_SET_FD,
 * DM_REMOVE_ALL, DM_TARGET_MSG ...) ends the role. */
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include "privhelper/policies.h"

/* A loop's node is opened when it is needed, so its rules compare no descriptor.  openat(2) needs
 * no check of the path: the role's root holds loop nodes alone. */
/* clang-format off */
static const struct rule rules[] = {
	{ SCMP_SYS(ioctl), 0, { IS(1, LOOP_CTL_GET_FREE), BOUND(0, BLK_LOOP_CONTROL) },
	  "finds a free loop" },
	{ SCMP_SYS(ioctl), 0, { IS(1, LOOP_CONFIGURE) }, "attaches a file that was handed over" },
	{ SCMP_SYS(ioctl), 0, { IS(1, LOOP_GET_STATUS64) }, "reads a loop's tag" },
	{ SCMP_SYS(ioctl), 0, { IS(1, BLKGETSIZE64) }, "reads a loop's size" },
	{ SCMP_SYS(ioctl), 0, { IS(1, DM_DEV_CREATE), BOUND(0, BLK_DM_CONTROL) },
	  "a snapshot, by name" },
	{ SCMP_SYS(ioctl), 0, { IS(1, DM_DEV_REMOVE), BOUND(0, BLK_DM_CONTROL) }, "removes it" },
	{ SCMP_SYS(ioctl), 0, { IS(1, DM_DEV_SUSPEND), BOUND(0, BLK_DM_CONTROL) }, "activates it" },
	{ SCMP_SYS(ioctl), 0, { IS(1, DM_DEV_STATUS), BOUND(0, BLK_DM_CONTROL) },
	  "reads its uuid" },
	{ SCMP_SYS(ioctl), 0, { IS(1, DM_TABLE_LOAD), BOUND(0, BLK_DM_CONTROL) },
	  "loads its table" },
	{ SCMP_SYS(ioctl), 0, { IS(1, DM_TABLE_STATUS), BOUND(0, BLK_DM_CONTROL) },
	  "reads its table" },
	{ SCMP_SYS(openat), 0, { IS(0, AT_FDCWD), IS(2, O_RDONLY | O_CLOEXEC) },
	  "a loop of an image" },
	{ SCMP_SYS(openat), 0, { IS(0, AT_FDCWD), IS(2, O_RDWR | O_CLOEXEC) },
	  "a loop of a CoW store" },
	{ SCMP_SYS(newfstatat), 0, { IS(3, AT_EMPTY_PATH) }, "fstat(3) of newer C libraries" },
	{ SCMP_SYS(fstat), 0, ANY, "checks files that were handed over" },
	{ SCMP_SYS(fcntl), 0, { IS(1, F_GETFL) }, "checks their modes" },
	{ SCMP_SYS(getdents64), 0, { BOUND(0, BLK_DISKS) }, "finds loops of earlier starts" },
	{ SCMP_SYS(lseek), 0, { BOUND(0, BLK_DISKS) }, "and looks for them again" },
	{ 0 },
};
/* clang-format on */

static const unsigned caps[] = { CAP_SYS_ADMIN, UINT_MAX };

const struct policy policy_blk = {
	.process = "banger-role-blk",
	.account = "banger-blk",
	.caps = caps,
	.namespaces = "ipc mnt net uts",
	.files = "a read-only root with nodes of loops alone",
	.writes = "",
	.holds = "null config socket reqlog reqkey loop-control dm-control loop sys proc state",
	.limits = lockdown_limits,
	.lists = { lockdown_rules, role_rules, rules },
	.vars = { [BLK_LOOP_CONTROL] = "/dev/loop-control",
		  [BLK_DM_CONTROL] = "/dev/mapper/control, unless dm = off",
		  [BLK_DISKS] = "/sys/block" },
};
