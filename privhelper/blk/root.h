/* root.h - what the blk role makes as root: disk nodes of the VMs, and its own root. */
#ifndef BANGER_PRIVHELPER_BLK_ROOT_H
#define BANGER_PRIVHELPER_BLK_ROOT_H

#include "privhelper/blk/blk.h"

/* Make slots/vda<i> for each slot, while still root.  Return: 0, or -1 (logged). */
int blk_make_disk_nodes(const struct blk_state *b);

/* Become alone: namespaces of our own and a root that holds nothing but loop nodes.  Return: 0, or -1 (logged). */
int blk_enter_root(const struct blk_state *b);

#endif
