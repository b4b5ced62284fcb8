/* slot_owner.h - which VM owns the files of a slot's folder. */
#ifndef BANGER_CONTROLLER_STORAGE_SLOT_OWNER_H
#define BANGER_CONTROLLER_STORAGE_SLOT_OWNER_H

#include "controller/ctl.h"

#define STORAGE_OWNER "owner"
#define STORAGE_OLDER "its slot has the files of another VM: the state database is older than they are"

/* Whose files a slot has.  UNMARKED: a VM's of a banger that wrote no mark, or what is left of one.  UNKNOWN, with errno:
 * it can not be told now, so nothing may be done to them. */
enum storage_mark { STORAGE_EMPTY, STORAGE_UNMARKED, STORAGE_MARKED, STORAGE_UNKNOWN };
struct storage_owner {
	uint8_t vm[ID_LEN];
	uint32_t generation, uid;
};
enum storage_mark storage_owner(const struct config *c, uint32_t slot, struct storage_owner *o);

/* Are the files of its slot its own?  Return: 0, or -1 with FAIL_STATE: another VM's; FAIL_HOST: it can not be told. */
int storage_check_owner(const struct config *c, const struct vm *vm, struct error *e);

#endif
