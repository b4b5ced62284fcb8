/* volume_rows.h - which VM has which volume; image_rows.h has the volumes themselves. */
#ifndef BANGER_CONTROLLER_DB_VOLUME_ROWS_H
#define BANGER_CONTROLLER_DB_VOLUME_ROWS_H

#include "controller/ctl.h"

/* Both run within a read or a transaction.  Return: 0, or -1 with the database's `why`. */

/* Read the volumes of @vm, whose id is set, in the order of its disks. */
int volume_rows_load(struct db *s, struct vm *vm);

/* Write the volumes of a new VM.  FAIL_NOT_FOUND: one has been deleted meanwhile. */
int volume_rows_add(struct db *s, const struct vm *vm);

/**
 * db_volumes_free() - refuse a start of @vm while another VM has one of its volumes
 *
 * A VM has its volumes while the ledger has its VMM.  Several VMs may have a volume at a time if
 * none of them can write it.  The caller plans the objects of @vm in the same group (group.h), so
 * that of two starts one is refused.
 * Return: 0, or -1: FAIL_STATE names the volume and the other VM.
 */
int db_volumes_free(struct db *s, const struct vm *vm, struct error *e);

#endif
