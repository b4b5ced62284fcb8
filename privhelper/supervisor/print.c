/* print.c - prints the policies of all processes; it needs no privilege and reads no file. */
#include "privhelper/supervisor/print.h"

#include <cap-ng.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/policy_print.h"
#include "controller/sandbox_policy.h"
#include "privhelper/policies.h"

static void print_limits(const struct policy_limit *l)
{
	static const char *const names[] = {
		[RLIMIT_CORE] = "CORE",       [RLIMIT_NPROC] = "NPROC",
		[RLIMIT_FSIZE] = "FSIZE",     [RLIMIT_NOFILE] = "NOFILE",
		[RLIMIT_MEMLOCK] = "MEMLOCK", [RLIMIT_MSGQUEUE] = "MSGQUEUE",
	};

	printf("  limits:");
	for (; l->resource >= 0; l++)
		if (l->max == POLICY_DISK)
			printf(" %s=a-disk", names[l->resource]);
		else
			printf(" %s=%" PRIu64, names[l->resource], l->max);
	printf("\n");
}

static void print_caps(const unsigned *caps)
{
	printf("  capabilities:");
	if (*caps == UINT_MAX)
		printf(" none");
	for (; *caps != UINT_MAX; caps++)
		printf(" %s", capng_capability_to_name(*caps));
	printf("\n");
}

static void print_policy(const struct policy *p)
{
	printf("%s\n  account: %s\n", p->process, p->account);
	print_caps(p->caps);
	printf("  namespaces: %s\n  files: %s\n", p->namespaces[0] ? p->namespaces : "of the host",
	       p->files);
	printf("  writable mounts: %s\n  descriptors: %s\n",
	       !p->writes     ? "of its parent"
	       : p->writes[0] ? p->writes
			      : "none",
	       p->holds);
	print_limits(p->limits);
	policy_print_calls(p);
	printf("\n");
}

int print_policies(void)
{
	const struct policy *all[] = {
		&policy_supervisor,
		&policy_net,
		&policy_blk,
		&policy_spawn,
		&policy_launcher,
		&policy_vmm[VMM_QEMU],
		&policy_vmm[VMM_FIRECRACKER],
		&policy_vmm[VMM_PROBE],
		&policy_controller[SANDBOX_SERVICE],
		&policy_controller[SANDBOX_FILES],
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		print_policy(all[i]);
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -1;
}
