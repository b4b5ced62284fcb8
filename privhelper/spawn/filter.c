/* filter.c - makes the filter that CHILD loads before it executes a VMM; policy.c has the
 * tables. */
#include "privhelper/spawn/filter.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "privhelper/policies.h"

#define FILTER_MAX 2048 /* instructions; the kernel's limit is 4,096 (BPF_MAXINSNS) */
#define FILTER_BYTES ((ssize_t)(FILTER_MAX * sizeof(struct sock_filter)))

int spawn_filter_bind(const struct config *c, struct binding *bound)
{
	const uint64_t above = ~(uint64_t)(config_slot_span(c) - 1);

	/* One mask covers the slots' ids, because config_load() accepts only a uid_base that is a
	 * multiple of the span. */
	if (c->uid_base == 0 || c->uid_base & ~above) {
		log_error("spawn: no mask covers the slots' ids");
		return -1;
	}
	bound[SLOT_IDS] = (struct binding){ above, c->uid_base };
	/* Also on a kernel without Landlock: the VMM's own filter then refuses. */
	bound[LANDLOCK] = VMM_SINK;
	return 0;
}

/* Copy the filter into memory, through a memfd, because libseccomp exports to a descriptor only.
 * CHILD then loads it by one system call. */
static int export(scmp_filter_ctx ctx, struct sock_filter code[FILTER_MAX], struct sock_fprog *out)
{
	_cleanup_close_ int fd = memfd_create("filter", MFD_CLOEXEC);

	if (fd < 0 || seccomp_export_bpf(ctx, fd) < 0)
		return -1;
	ssize_t n = pread(fd, code, FILTER_BYTES, 0);
	if (n <= 0 || n == FILTER_BYTES || n % (ssize_t)sizeof(code[0]) != 0)
		return -1;
	*out = (struct sock_fprog){ (unsigned short)((size_t)n / sizeof(code[0])), code };
	return 0;
}

int spawn_filter_vmm(enum vmm_kind kind, bool landlock, struct sock_fprog *out)
{
	static struct sock_filter code[VMM_KINDS][FILTER_MAX];
	struct binding bound[LAUNCHER_VARS] = { [LANDLOCK] = { 0 } };

	bound[landlock ? LANDLOCK : NO_LANDLOCK] = VMM_SINK;
	scmp_filter_ctx ctx = policy_filter(&policy_vmm[kind], bound);
	int r = ctx ? export(ctx, code[kind], out) : -1;
	if (r < 0)
		log_error("spawn: the VMMs' system call filter could not be made");
	if (ctx)
		seccomp_release(ctx);
	return r;
}
