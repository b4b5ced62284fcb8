/* policy_print.c - prints the system calls of a policy. */
#include "common/policy_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

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

void policy_print_calls(const struct policy *p)
{
	printf("  system calls; any other, or one of another architecture, kills the process:\n");
	for (int i = 0; i < POLICY_LISTS && p->lists[i]; i++)
		for (const struct rule *rule = p->lists[i]; rule->why; rule++)
			print_rule(p, rule);
}
