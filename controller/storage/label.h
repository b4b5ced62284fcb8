/* label.h - SELinux levels of files in slot folders. */
#ifndef BANGER_CONTROLLER_STORAGE_LABEL_H
#define BANGER_CONTROLLER_STORAGE_LABEL_H

#include "common/error.h"

/**
 * storage_label() - give a file the SELinux level of its slot's folder
 * @dir:	the folder
 * @fd:		the file
 *
 * Does nothing without SELinux, or with a policy without levels.
 * Return: 0, or -1 with the error.
 */
int storage_label(int dir, int fd, struct error *e);

#endif
