/* label.h - SELinux levels of the files in slot folders. */
#ifndef BANGER_CONTROLLER_STORAGE_LABEL_H
#define BANGER_CONTROLLER_STORAGE_LABEL_H

#include "common/error.h"

/* Give a file in a slot's folder the folder's SELinux level, where there are levels.  Return: 0, or -1. */
int storage_label(int dir, int fd, struct error *e);

#endif
