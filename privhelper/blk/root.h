/* root.h - makes the disk nodes of the VMs and the blk role's own root, as root before
 * lock-down. */
#ifndef BANGER_PRIVHELPER_BLK_ROOT_H
#define BANGER_PRIVHELPER_BLK_ROOT_H

#include "privhelper/blk/blk.h"

/* Make run_dir/slots/vda<i>, the disk node of each slot.  Return: 0, or -1 (logged). */
int blk_make_disk_nodes(const struct blk_state *b);

/* Enter new mount, network, IPC and UTS namespaces, and a read-only root that holds loop nodes
 * alone.
 * Return: 0, or -1 (logged). */
int blk_enter_root(const struct blk_state *b);

#endif
