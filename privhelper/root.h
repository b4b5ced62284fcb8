/* root.h - gives a process a root of its own, with parts of the host in it, as root before
 * lock-down.
 *
 * The order of the calls: root_unshare(), parts_clone(), root_make(), then the caller makes files
 * in the working folder, parts_attach(), root_enter().  After an error the caller must exit: the
 * process may see a part of both roots. */
#ifndef BANGER_PRIVHELPER_ROOT_H
#define BANGER_PRIVHELPER_ROOT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>

/* The attributes of a part with programs, and of one with data (mount_setattr(2)). */
#define PART_PROGRAMS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define PART_TO_READ (PART_PROGRAMS | MOUNT_ATTR_NOEXEC)
#define PART_TO_WRITE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* One mount of the new root. */
struct part {
	const char *path; /* on the host; "": no mount */
	const char *at;   /* in the new root, relative; NULL: as on the host */
	uint64_t attr;    /* MOUNT_ATTR_* */
	unsigned how;     /* PART_DEEP and the others below */
	int tree;         /* the detached mount, of parts_clone() or the caller; 0: none */
};

enum {
	PART_DEEP = 1,     /* with the mounts below it */
	PART_MAY_LACK = 2, /* a host may lack it */
	PART_FILE = 4,     /* a file; else a folder */
	PART_ROOTS = 8,    /* must belong to root and be no link */
};

/* Give the process a mount namespace of its own, and those of @flags (unshare(2), CLONE_NEW*).
 * Return: 0, or -1 with errno. */
int root_unshare(int flags);

/* Clone each part as a detached mount (open_tree(2)).  Return: 0, or -1 (logged). */
int parts_clone(struct part *parts, size_t n);

/* Mount a tmpfs on @over, and change to it.
 * @flags: MS_NODEV, or 0 for a root with nodes
 * @options: of the tmpfs (tmpfs(5))
 * Return: 0, or -1 with errno. */
int root_make(const char *over, unsigned long flags, const char *options);

/* Attach each part below the working folder, and make its mount point and the folders above.
 * Return: 0, or -1 (logged). */
int parts_attach(struct part *parts, size_t n);

/* Make the working folder, a mount, the root, and unmount the old one.  Return: 0, or -1 with
 * errno. */
int root_pivot(void);

/* root_pivot() to a root that can not be written.  Return: 0, or -1 with errno. */
int root_enter(void);

#endif
