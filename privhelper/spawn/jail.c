/* jail.c - builds the root that the launcher and all VMMs share, as root before lock-down.
 *
 *   /usr         the host's, read-only; bin, lib, lib64, sbin as on the host
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
 * The sources are cloned as detached mounts (open_tree(2)) first.  Then a tmpfs is mounted on
 * run_dir, a folder that surely exists and is ours, and becomes the root. */
#include "privhelper/spawn/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"

#define ROOT_OPTIONS "mode=755,size=64k,nr_inodes=64"

/* One mount of the new root. */
struct source {
	char path[PATH_MAX]; /* on the host; "": no mount */
	const char *at;      /* in the new root, relative */
	uint64_t attr;       /* MOUNT_ATTR_* */
	bool file;
	int tree; /* the detached mount, or -1 */
};

enum { SRC_USR, SRC_BIN, SRC_SBIN, SRC_LIB, SRC_LIB64, SRC_RUN, SRC_STATE, SRC_PROBE, SRC_COUNT };

#define READ_ONLY (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static int make_node(const char *path, unsigned major_no, unsigned minor_no)
{
	return mknod(path, S_IFCHR | 0666, makedev(major_no, minor_no));
}

/* The device numbers are from the kernel's Documentation/admin-guide/devices.txt. */
static int make_devices(bool kvm)
{
	if (mkdir("dev", 0755) < 0 || mkdir("dev/net", 0755) < 0)
		return -1;
	if (make_node("dev/null", 1, 3) < 0 || make_node("dev/zero", 1, 5) < 0 ||
	    make_node("dev/urandom", 1, 9) < 0 || make_node("dev/net/tun", 10, 200) < 0)
		return -1;
	return kvm ? make_node("dev/kvm", 10, 232) : 0;
}

/* Below /usr the probe keeps its path, and an upgrade of the file is seen.  Elsewhere the file is
 * mounted at a fixed path. */
static void place_probe(const char *libexec, struct programs *p, struct source *src)
{
	bool inside = strncmp(libexec, "/usr/", 5) == 0;
	char *program = p->path[VMM_PROBE];

	*src = (struct source){
		.at = "libexec/banger-kvmprobe", .attr = READ_ONLY, .file = true, .tree = -1
	};
	(void)snprintf(inside ? program : src->path, PROGRAM_PATH, "%s/banger-kvmprobe", libexec);
	if (!inside)
		(void)snprintf(program, PROGRAM_PATH, "/%s", src->at);
}

/* Mount bin, sbin, lib and lib64 if they are folders on the host; copy_link() copies those that are
 * links. */
static void place_tops(struct source *src)
{
	static const char *const tops[] = { "bin", "sbin", "lib", "lib64" };

	for (int i = 0; i < 4; i++) {
		struct source *t = &src[SRC_BIN + i];
		struct stat st;

		*t = (struct source){ .at = tops[i], .attr = READ_ONLY, .tree = -1 };
		(void)snprintf(t->path, sizeof(t->path), "/%s", tops[i]);
		if (lstat(t->path, &st) < 0 || !S_ISDIR(st.st_mode))
			t->path[0] = '\0';
	}
}

static void place_sources(const struct config *c, struct programs *p, struct source *src)
{
	place_tops(src);
	src[SRC_USR] = (struct source){ "/usr", "usr", READ_ONLY, false, -1 };
	src[SRC_RUN] = (struct source){ .at = "run",
					.attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
					.tree = -1 };
	(void)snprintf(src[SRC_RUN].path, PATH_MAX, "%s/slots", c->run_dir);
	src[SRC_STATE] = (struct source){
		.at = "state",
		.attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
		.tree = -1,
	};
	(void)snprintf(src[SRC_STATE].path, PATH_MAX, "%s/slots", c->state_dir);
	place_probe(c->libexec_dir, p, &src[SRC_PROBE]);
	(void)snprintf(p->path[VMM_QEMU], PROGRAM_PATH, "%s", c->qemu);
	(void)snprintf(p->path[VMM_FIRECRACKER], PROGRAM_PATH, "%s", c->firecracker);
}

/* Check that the source belongs to root.  The controller owns state_dir: since the supervisor's
 * check it may have put another folder of the host in place of "slots", which would be mounted for
 * the VMMs. */
static int check_source(const struct source *s)
{
	struct stat st;

	if (fstat(s->tree, &st) < 0) {
		log_errno("spawn: %s", s->path);
		return -1;
	}
	if (st.st_uid == 0 && (s->file ? S_ISREG(st.st_mode) : S_ISDIR(st.st_mode)))
		return 0;
	log_error("spawn: %s: must be a %s of root's, and no link", s->path,
		  s->file ? "file" : "folder");
	return -1;
}

static int clone_source(struct source *s)
{
	unsigned recursive = s->file ? 0 : AT_RECURSIVE;
	struct mount_attr attr = { .attr_set = s->attr };

	s->tree = open_tree(AT_FDCWD, s->path,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | recursive);
	if (s->tree < 0) {
		log_errno("spawn: %s", s->path);
		return -1;
	}
	if (check_source(s) < 0)
		return -1;
	if (mount_setattr(s->tree, "", AT_EMPTY_PATH | recursive, &attr, sizeof(attr)) == 0)
		return 0;
	log_errno("spawn: %s", s->path);
	return -1;
}

static int clone_sources(struct source *src)
{
	for (int i = 0; i < SRC_COUNT; i++)
		if (*src[i].path && clone_source(&src[i]) < 0)
			return -1;
	return 0;
}

static int attach(struct source *s)
{
	_cleanup_close_ int fd = -1;

	if (s->tree < 0)
		return 0;
	if (s->file)
		fd = open(s->at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	else if (mkdir(s->at, 0755) < 0)
		return -1;
	if (s->file && fd < 0)
		return -1;
	if (move_mount(s->tree, "", AT_FDCWD, s->at, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -1;
	return close(steal_fd(&s->tree));
}

/* Make the same link as the host's, such as bin -> usr/bin. */
static int copy_link(const char *name)
{
	char host[16], to[PATH_MAX];

	(void)snprintf(host, sizeof(host), "/%s", name);
	ssize_t n = readlink(host, to, sizeof(to) - 1);
	if (n < 0)
		return errno == ENOENT || errno == EINVAL ? 0 : -1;
	to[n] = '\0';
	return symlink(to, name);
}

static int fill_root(struct source *src, bool kvm)
{
	if (mkdir("libexec", 0755) < 0 || make_devices(kvm) < 0)
		return -1;
	for (int i = SRC_BIN; i <= SRC_LIB64; i++)
		if (src[i].tree < 0 && copy_link(src[i].at) < 0)
			return -1;
	for (int i = 0; i < SRC_COUNT; i++)
		if (attach(&src[i]) < 0)
			return -1;
	return 0;
}

/* Pivot to the working folder, and unmount the old root, which pivot_root(2) has mounted there. */
static int enter(void)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					     MOUNT_ATTR_NOEXEC };

	FAILPOINT("jail.filled");
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -1;
	return mount_setattr(AT_FDCWD, "/", 0, &ro, sizeof(ro));
}

static int build(const struct config *c, struct programs *p, struct source *src)
{
	bool kvm = access("/dev/kvm", F_OK) == 0;

	place_sources(c, p, src);
	if (clone_sources(src) < 0)
		return -1;
	if (mount("tmpfs", c->run_dir, "tmpfs", MS_NOSUID | MS_NOEXEC, ROOT_OPTIONS) < 0 ||
	    chdir(c->run_dir) < 0 || fill_root(src, kvm) < 0 || enter() < 0) {
		log_errno("spawn: the VMMs' root");
		return -1;
	}
	return 0;
}

int spawn_jail_enter(const struct config *c, struct programs *p)
{
	static struct source src[SRC_COUNT];
	mode_t mask = umask(0);

	FAILPOINT("jail.before");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		log_errno("spawn: a mount namespace");
		return -1;
	}
	int r = build(c, p, src);
	for (int i = 0; i < SRC_COUNT; i++)
		if (src[i].tree >= 0)
			(void)close(src[i].tree);
	(void)umask(mask);
	return r;
}
