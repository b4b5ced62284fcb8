/* guest_init.h - the mark at the begin of an initramfs, by which the controller knows what the init
 * in it can do.
 *
 * A kernel stays as it was imported, with the init of the banger of that day.  An older init would
 * leave out what it does not know, and the guest would write into its root disk what belongs on a
 * volume.
 *
 * The mark is a whole cpio archive (newc) without members, whose trailer has a number in a field
 * that nothing reads, the inode.  The kernel unpacks archive after archive; the next one begins at
 * a multiple of four bytes (Documentation/driver-api/early-userspace/buffer-format.rst). */
#ifndef BANGER_COMMON_GUEST_INIT_H
#define BANGER_COMMON_GUEST_INIT_H

/* 1: the init mounts the volumes of seed/volumes. */
#define GUEST_INIT_MARK                                                     \
	"070701"                                                            \
	"00000001"                                              /* inode */ \
	"00000000" /* mode */ "00000000" /* uid */ "00000000"   /* gid */   \
	"00000001" /* links */ "00000000" /* time */ "00000000" /* size */  \
	"00000000"                                                          \
	"00000000"                                                          \
	"00000000"                                                          \
	"00000000"                                    /* devices */         \
	"0000000b" /* bytes of the name */ "00000000" /* check */           \
	"TRAILER!!!\0\0\0\0"
#define GUEST_INIT_MARK_BYTES 124

_Static_assert(sizeof(GUEST_INIT_MARK) == GUEST_INIT_MARK_BYTES + 1 &&
		       GUEST_INIT_MARK_BYTES % 4 == 0,
	       "a whole archive");

#endif
