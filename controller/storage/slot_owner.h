/* slot_owner.h - the owner file of a slot's folder: which VM the files belong to. */
#ifndef BANGER_CONTROLLER_STORAGE_SLOT_OWNER_H
#define BANGER_CONTROLLER_STORAGE_SLOT_OWNER_H

#include "controller/ctl.h"

#define STORAGE_OWNER "owner"
#define STORAGE_OLDER \
	"its slot has the files of another VM: the state database is older than they are"

/* The contents of a slot's folder. */
enum storage_mark {
	STORAGE_EMPTY,
	/* files without an owner file: of an older banger, or the rest of a removal */
	STORAGE_UNMARKED,
	STORAGE_MARKED,  /* files with an owner file */
	STORAGE_UNKNOWN, /* the folder can not be read now: the files must be left alone */
};

/* The contents of an owner file. */
struct storage_owner {
	uint8_t vm[ID_LEN];
	uint32_t generation, uid;
};

/**
 * storage_owner() - read the owner file of a slot
 * @o:	out; zeros unless the result is STORAGE_MARKED
 *
 * Return: the contents of the folder; STORAGE_UNKNOWN with errno.
 */
enum storage_mark storage_owner(const struct config *c, uint32_t slot, struct storage_owner *o);

/* Check that the owner file of @vm's slot names @vm, or that there is none.  Return: 0, or -1:
 * FAIL_STATE it names another VM, FAIL_HOST it can not be read. */
int storage_check_owner(const struct config *c, const struct vm *vm, struct error *e);

#endif
