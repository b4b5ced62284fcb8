/* loop.h - loop devices, by a tag in their name. */
#ifndef BANGER_PRIVHELPER_BLK_LOOP_H
#define BANGER_PRIVHELPER_BLK_LOOP_H

#include "privhelper/blk/blk.h"

/* Who made a loop, from its lo_file_name. */
struct blk_tag {
	bool base; /* then nothing below has a meaning */
	uint32_t slot, generation, owner;
};

/* The tag of @t into @out (64 bytes, LO_NAME_SIZE), and back.  Return: false when it is not one of ours. */
void blk_tag_format(const struct blk_tag *t, char out[64]);
bool blk_tag_parse(const char *name, struct blk_tag *out);

/**
 * blk_loop_descriptor() - is this a file that may be put behind a loop?
 * @size: out, in bytes
 * Regular, owned by the controller, on the state folder's file system, whole sectors, in bounds, and opened
 * for what @part needs.  Return: ST_OK or ST_DENIED.
 */
enum status blk_loop_descriptor(const struct blk_state *b, int fd, enum blk_part part, uint64_t *size);

/* Bind @fd (checked by the function above) for the VM of @q, or find what is already there.  Idempotent. */
enum status blk_loop_attach(struct blk_state *b, const struct request *q, enum blk_part part, int fd, uint64_t size);

/* Let go of the slot's loop; ST_BUSY while somebody else (a snapshot) keeps it bound. */
enum status blk_loop_detach(struct blk_state *b, uint32_t slot, enum blk_part part);

/* Close our descriptor of the loop and keep its number: device-mapper holds it now. */
void blk_loop_hand_over(struct blk_state *b, uint32_t slot);

/* Is the loop that we know for the slot still bound and still ours? */
bool blk_loop_bound(const struct blk_state *b, uint32_t slot, enum blk_part part);

/* Size in sectors of a loop that we hold open; 0 on failure. */
uint64_t blk_loop_sectors(const struct blk_loop *l);

/* Call @fn for each bound loop that carries a tag of ours.  Return: 0, or -1 with errno. */
int blk_loop_each(struct blk_state *b, void (*fn)(void *arg, const struct blk_tag *t, const struct blk_loop *l),
		  void *arg);

/* After a restart: loop @index is what the slot's snapshot reads from; remembered when it is a base of ours. */
void blk_loop_learn_base(struct blk_state *b, uint32_t slot, int32_t index);

uint32_t blk_loop_minor(const struct blk_state *b, int32_t index);

#endif
