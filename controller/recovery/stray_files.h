/* stray_files.h - files in slot folders that no row names, or whose slot another VM has: the
 * database is older than they are. */
#ifndef BANGER_CONTROLLER_RECOVERY_STRAY_FILES_H
#define BANGER_CONTROLLER_RECOVERY_STRAY_FILES_H

#include "controller/ctl.h"

/* At start-up: log them, and see that their slots are given out last, in a higher generation.
 * They stay: a newer database may still be put back. */
void stray_files_note(struct ctl *c);

/**
 * stray_files_remove() - remove those in slots that no VM has
 * @dry_run:	only report
 * @tell:	called with each finding as one line
 * Return: how many could not be removed, or -1.
 */
int stray_files_remove(struct ctl *c, bool dry_run, void (*tell)(void *arg, const char *line),
		       void *arg);

#endif
