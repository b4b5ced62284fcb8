/* inventory.h - the inventory: all kernel objects that the roles list. */
#ifndef BANGER_CONTROLLER_OBJECTS_INVENTORY_H
#define BANGER_CONTROLLER_OBJECTS_INVENTORY_H

#include "controller/ctl.h"

/* One object of a LIST answer. */
struct listed {
	enum object kind;
	uint32_t slot, generation, owner;
	int64_t ident; /* as the role lists it (ops.def): 0: broken */
	bool claimed;  /* a row names its VM; an unclaimed object is an orphan */
};

struct inventory {
	struct listed *v;
	size_t n, room;
};

/**
 * inventory_take() - have each connected role list its objects
 * @inv:	zeroed; the caller frees it with inventory_free(), also after a failure
 *
 * Return: 0, or -1 with the error: a role does not answer, the kernel refuses, no memory.
 */
int inventory_take(struct ctl *c, struct inventory *inv, struct error *e);

/* Free the array.  A zeroed inventory is allowed. */
void inventory_free(struct inventory *inv);

/* Mark the objects with @vm's slot and generation as claimed.  Return: their kinds, a set of
 * 1u << kind. */
unsigned inventory_claim(struct inventory *inv, const struct vm *vm);

/* Return: the listed identity of @vm's object of @kind, or -1 if it is not listed. */
int64_t inventory_ident(const struct inventory *inv, const struct vm *vm, enum object kind);

/* True if the object is listed with the identity 0, which means broken (ops.def): a tap that is no
 * port of the bridge, or a disk that the kernel has invalidated. */
bool inventory_is_broken(const struct inventory *inv, const struct vm *vm, enum object kind);

#endif
