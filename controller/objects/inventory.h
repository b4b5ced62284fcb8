/* inventory.h - what the roles say that the kernel holds of ours. */
#ifndef BANGER_CONTROLLER_OBJECTS_INVENTORY_H
#define BANGER_CONTROLLER_OBJECTS_INVENTORY_H

#include "controller/ctl.h"

struct listed {
	enum object kind;
	uint32_t slot, generation, owner;
	int64_t ident;
	bool claimed; /* a VM of ours has it */
};

struct inventory {
	struct listed *v;
	size_t n, room;
};

/* LIST of each role that is there.  Return: 0, or -1 with the error. */
int inventory_take(struct ctl *c, struct inventory *inv, struct error *e);
void inventory_free(struct inventory *inv);

/* The kinds that are listed under @vm's slot and generation, as 1u << kind; they count as
 * claimed from now on. */
unsigned inventory_claim(struct inventory *inv, const struct vm *vm);

/* The identity that was listed, or -1. */
int64_t inventory_ident(const struct inventory *inv, const struct vm *vm, enum object kind);

/* It is listed, but of no use: a tap that is no port of the bridge, a disk that the kernel has
 * given up (ops.def: both have the identity 0). */
bool inventory_is_broken(const struct inventory *inv, const struct vm *vm, enum object kind);

#endif
