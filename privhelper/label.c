/* label.c - sets the SELinux category of a slot's files and nodes, and the domain of its VMM. */
#include "privhelper/label.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/cleanup.h"

#define XATTR "security.selinux"
#define SPAWN_TYPE "banger_spawn_t"
#define VMM_TYPE "banger_vm_t"

int label_derive(const char *context, const char *from, const char *to, uint32_t slot,
		 char out[LABEL_MAX])
{
	char head[128], type[64], level[16] = "";
	int end = 0;

	const char *colon = strchr(context, ':');
	colon = colon ? strchr(colon + 1, ':') : NULL;
	if (!colon || sscanf(colon + 1, "%63[^:]%n", type, &end) != 1 || strcmp(type, from) != 0)
		return -1;
	if (colon[1 + end] == ':')
		(void)snprintf(level, sizeof(level), ":s0:c%u", slot);
	if (snprintf(head, sizeof(head), "%.*s", (int)(colon - context), context) >=
	    (int)sizeof(head))
		return -1;
	(void)snprintf(out, LABEL_MAX, "%s:%s%s", head, to, level);
	return 0;
}

int label_slot(int fd, uint32_t slot)
{
	static const char *const types[] = { "banger_slot_t", "banger_disk_device_t" };
	char path[32], now[LABEL_MAX], want[LABEL_MAX];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = getxattr(path, XATTR, now, sizeof(now) - 1);
	if (n < 0)
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -1;
	now[n] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (label_derive(now, types[i], types[i], slot, want) == 0 &&
		    strcmp(now, want) != 0)
			return setxattr(path, XATTR, want, strlen(want) + 1, 0);
	return 0;
}

/* Read the context of this process.  Without SELinux the file is missing, or another security
 * module answers in its own format; @own is then "" or has no type that we know. */
static int read_own(char own[LABEL_MAX])
{
	_cleanup_close_ int fd = open("/proc/thread-self/attr/current", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, own, LABEL_MAX - 1);

	own[n > 0 ? n : 0] = '\0';
	return n < 0 && errno != ENOENT && errno != EINVAL ? -1 : 0;
}

int label_vmm_open(struct label_vmm *l)
{
	char vmm[LABEL_MAX];

	l->exec = l->socket = -1;
	if (read_own(l->own) < 0)
		return -1;
	if (label_derive(l->own, SPAWN_TYPE, VMM_TYPE, 0, vmm) < 0)
		return 0;
	l->exec = open("/proc/thread-self/attr/exec", O_WRONLY | O_CLOEXEC);
	l->socket = open("/proc/thread-self/attr/sockcreate", O_WRONLY | O_CLOEXEC);
	return l->exec < 0 || l->socket < 0 ? -1 : 0;
}

/* The kernel accepts a context only in one write at offset 0. */
static int tell(int fd, const char *context)
{
	size_t n = strlen(context);

	return pwrite(fd, context, n, 0) == (ssize_t)n ? 0 : -1;
}

int label_vmm_set(const struct label_vmm *l, uint32_t slot)
{
	char vmm[LABEL_MAX];

	if (l->exec < 0)
		return 0;
	if (label_derive(l->own, SPAWN_TYPE, VMM_TYPE, slot, vmm) < 0) {
		errno = EINVAL;
		return -1;
	}
	return tell(l->exec, vmm) < 0 || tell(l->socket, vmm) < 0 ? -1 : 0;
}
