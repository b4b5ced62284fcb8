/* label.c - gives files in a slot's folder the SELinux level of the folder, which has the slot's
 * category. */
#include "controller/storage/label.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#define LABEL_MAX 256

/* Read the SELinux context of a file: user:role:type:level.
 * Return: the level in @context, or NULL: no SELinux, or a policy without levels. */
static char *level_of(int fd, char context[LABEL_MAX])
{
	ssize_t n = fgetxattr(fd, "security.selinux", context, LABEL_MAX - 1);
	char *at = context;

	if (n < 0)
		return NULL;
	context[n] = '\0';
	for (int colons = 0; at && colons < 3; colons++)
		at = strchr(at + (colons > 0), ':');
	return at ? at + 1 : NULL;
}

int storage_label(int dir, int fd, struct error *e)
{
	char folder[LABEL_MAX], file[LABEL_MAX], want[2 * LABEL_MAX];
	const char *theirs = level_of(dir, folder), *own = level_of(fd, file);

	if (!theirs || !own || strcmp(theirs, own) == 0)
		return 0;
	(void)snprintf(want, sizeof(want), "%.*s%s", (int)(own - file), file, theirs);
	if (fsetxattr(fd, "security.selinux", want, strlen(want) + 1, 0) == 0)
		return 0;
	return error_set(e, FAIL_GENERAL, "SELinux label", "%s", strerror(errno));
}
