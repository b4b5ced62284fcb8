/* loop.h - binds files to loop devices, which a tag in lo_file_name names. */
#ifndef BANGER_PRIVHELPER_BLK_LOOP_H
#define BANGER_PRIVHELPER_BLK_LOOP_H

#include "privhelper/blk/blk.h"
#include "privhelper/tag.h"

/**
 * blk_loop_descriptor() - check that a file may be bound to a loop
 * @fd:		descriptor of the file, from the controller
 * @size:	out: bytes
 *
 * The file must be regular, belong to the controller, lie on the state folder's file system, and
 * have a size of whole sectors within the configured bounds.  It must be open for reading (base) or
 * for both (CoW), without O_APPEND.
 * Return: ST_OK or ST_DENIED.
 */
enum status blk_loop_descriptor(const struct blk_state *b, int fd, enum blk_part part,
				uint64_t *size);

/**
 * blk_loop_attach() - bind a file to a loop for the VM of @q, or find the loop that has it already
 * @fd:		descriptor that blk_loop_descriptor() has accepted; stays the caller's
 * @size:	bytes, from blk_loop_descriptor()
 *
 * A base is shared: all slots with the same file use one loop.
 * Return: ST_OK; ST_BUSY: the slot has a loop of another file, or other programs took each free
 * loop; ST_DENIED; ST_LIMIT: no loop is left; or ST_KERNEL (logged).
 */
enum status blk_loop_attach(struct blk_state *b, const struct request *q, enum blk_part part,
			    int fd, uint64_t size);

/* Close the slot's loop, which unbinds it at its last close.  Return: ST_OK, or ST_BUSY: a CoW loop
 * is still bound, because a snapshot or another process has it open. */
enum status blk_loop_detach(struct blk_state *b, uint32_t slot, enum blk_part part);

/* Close our descriptors of the slot's loops and remember their indexes: the snapshot keeps the
 * loops bound now. */
void blk_loop_hand_over(struct blk_state *b, uint32_t slot);

/* True if the loop that we know for the slot is still bound to the same file with the same tag. */
bool blk_loop_bound(const struct blk_state *b, uint32_t slot, enum blk_part part);

/* Return: the size in sectors of a loop that we hold open, or 0 on failure. */
uint64_t blk_loop_sectors(const struct blk_loop *l);

/* Call @fn with @arg for each bound loop with a tag of ours; @t and @l live as long as the call,
 * and l->fd is -1.
 * Return: 0, or -1 with errno. */
int blk_loop_each(struct blk_state *b,
		  void (*fn)(void *arg, const struct tag *t, const struct blk_loop *l), void *arg);

/* Remember loop @index as the slot's base, if it is a base of ours.  Called after a restart, with
 * the index in the table of the slot's snapshot. */
void blk_loop_learn_base(struct blk_state *b, uint32_t slot, int32_t index);

/* Return: the minor number of loop @index. */
uint32_t blk_loop_minor(const struct blk_state *b, int32_t index);
/* Return: the index of the loop with this device number, or -1: it is no loop of ours. */
int32_t blk_loop_of(const struct blk_state *b, unsigned major, unsigned minor);

#endif
