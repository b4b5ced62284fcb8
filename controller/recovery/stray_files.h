/* stray_files.h - stray files: files in a slot folder whose VM has no row.  They appear when an
 * older database was restored. */
#ifndef BANGER_CONTROLLER_RECOVERY_STRAY_FILES_H
#define BANGER_CONTROLLER_RECOVERY_STRAY_FILES_H

#include "controller/ctl.h"

/* At start-up: log stray files, and raise the generation of their slots, which are then given out
 * last.  The files stay, since an administrator may still restore the newer database. */
void stray_files_note(struct ctl *c);

/**
 * stray_files_remove() - remove stray files in slots without a VM
 * @dry_run:	only report
 * @report:	called with each finding as one line of text
 *
 * Return: number of slots whose files could not be removed, or -1 when the database can not be
 * locked.
 */
int stray_files_remove(struct ctl *c, bool dry_run, void (*report)(void *arg, const char *line),
		       void *arg);

#endif
