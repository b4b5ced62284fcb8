/* policy.c - turns the tables of a policy into a filter and limits. */
#include "common/policy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/failpoint.h"
#include "common/log.h"

/* ---- the filter ---- */

static int refused(int r, int call)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

	log_error("filter rule for %s: %s", name ? name : "?", strerrordesc_np(-r));
	free(name);
	return -1;
}

/* Return: the number of comparisons in @out; -1: a variable is not bound. */
static int comparisons(const struct rule *rule, const struct binding *bound,
		       struct scmp_arg_cmp out[POLICY_ARGS])
{
	int n = 0;

	for (; n < POLICY_ARGS && rule->args[n].mask; n++) {
		const struct compare *c = &rule->args[n];
		struct binding b = { c->mask, c->value };

		if (c->var)
			b = bound ? bound[c->var] : (struct binding){ 0 };
		if (!b.mask)
			return -1;
		out[n] = (struct scmp_arg_cmp){ c->arg, SCMP_CMP_MASKED_EQ, b.mask, b.value };
	}
	return n;
}

int policy_add(scmp_filter_ctx ctx, const struct rule *rules, const struct binding *bound)
{
	for (const struct rule *rule = rules; rule->why; rule++) {
		struct scmp_arg_cmp cmp[POLICY_ARGS];
		int n = comparisons(rule, bound, cmp);

		if (n < 0)
			continue;
		uint32_t then = rule->error ? SCMP_ACT_ERRNO(rule->error) : SCMP_ACT_ALLOW;
		int r = seccomp_rule_add_array(ctx, then, rule->call, (unsigned)n, cmp);
		if (r < 0)
			return refused(r, rule->call);
	}
	return 0;
}

scmp_filter_ctx policy_filter(const struct policy *p, const struct binding *bound)
{
	/* libseccomp's default for a call of another architecture kills the thread alone.  Its
	 * binary tree (2) makes long tables quick. */
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int bad = SETUP_FAILS("filter") || !ctx ||
		  seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0 ||
		  seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0;

	for (int i = 0; i < POLICY_LISTS && p->lists[i] && !bad; i++)
		bad = policy_add(ctx, p->lists[i], bound) < 0;
	if (!bad)
		return ctx;
	log_error("%s: the filter can not be made", p->process);
	if (ctx)
		seccomp_release(ctx);
	return NULL;
}

/* ---- limits ---- */

static int set_limit(const struct policy_limit *l)
{
	__rlimit_resource_t what = (__rlimit_resource_t)l->resource;
	struct rlimit old, now;

	if (getrlimit(what, &old) < 0)
		return -1;
	rlim_t max = old.rlim_max < l->max ? old.rlim_max : l->max;
	if (setrlimit(what, &(struct rlimit){ max, max }) < 0 || getrlimit(what, &now) < 0)
		return -1;
	return now.rlim_cur == max && now.rlim_max == max ? 0 : -1;
}

int policy_limit(const struct policy_limit *limits)
{
	for (; limits->resource >= 0; limits++)
		if (SETUP_FAILS("limits") || set_limit(limits) < 0) {
			log_errno("limit %d", limits->resource);
			return -1;
		}
	return 0;
}
