/* print.c - prints the policies of all processes; it needs no privilege and reads no file. */
#include "privhelper/supervisor/print.h"

#include <cap-ng.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/cleanup.h"
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

static void print_compare(const struct policy *p, const struct compare *c)
{
	printf(" arg%u", c->arg);
	if (c->var) {
		printf(" = <%s>", p->vars[c->var]);
		return;
	}
	if (c->mask != UINT32_MAX && c->mask != UINT64_MAX)
		printf(" & %#" PRIx64, c->mask);
	printf(" = %#" PRIx64 " (%s)", c->value, c->meaning);
}

/* Print a rule on one line: the call, the values of its arguments, what it is for. */
static void print_rule(const struct policy *p, const struct rule *rule)
{
	_cleanup_free_ char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, rule->call);

	printf("    %s", name ? name : "?");
	for (int i = 0; i < POLICY_ARGS && rule->args[i].mask; i++)
		print_compare(p, &rule->args[i]);
	if (rule->error)
		printf(" -> %s", strerrorname_np(rule->error));
	printf(": %s\n", rule->why);
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
	printf("  system calls; any other, or one of another architecture, kills the process:\n");
	for (int i = 0; i < POLICY_LISTS && p->lists[i]; i++)
		for (const struct rule *rule = p->lists[i]; rule->why; rule++)
			print_rule(p, rule);
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
