/* Tests that the controller's filters let through what sandbox_policy.c says, and nothing else.
 * The program that would be loaded is walked path by path (bpf_walk.h), without root or system
 * calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bpf_walk.h"

/* The filter of the release, without the sanitizers' calls.  The test catches it where sandbox.c
 * loads it. */
#undef BANGER_SANITIZED
static int catch (scmp_filter_ctx ctx);
#define seccomp_load catch
#include "controller/sandbox.c"
#undef seccomp_load

static struct sock_filter code[WALK_CODE];
static struct sock_fprog caught;

static int catch (scmp_filter_ctx ctx)
{
	caught = walk_export(ctx, code);
	return caught.len ? 0 : -1;
}

static void exact(enum sandbox_kind kind, unsigned calls, unsigned rules)
{
	const struct policy *p = &policy_controller[kind];
	bool seen[1024] = { false };
	unsigned n = 0, m = 0;
	struct walk w;

	assert_int_equal(filter_calls(kind), 0);
	if (!walk_filter(&w, &caught, p->lists, NULL))
		fail_msg("%s: %s", p->process, w.fault);
	for (int i = 0; i < POLICY_LISTS && p->lists[i]; i++)
		for (const struct rule *rule = p->lists[i]; rule->why; rule++, m++) {
			n += !seen[rule->call];
			seen[rule->call] = true;
		}
	print_message("%s: %u calls, %u rules, %u instructions, %lu paths\n", p->process, n, m,
		      caught.len, w.paths);
	assert_int_equal(n, calls);
	assert_int_equal(m, rules);
}

static void the_filter_of_the_service_is_its_table(void **state)
{
	(void)state;
	exact(SANDBOX_SERVICE, 84, 87);
}

static void the_filter_of_a_database_check_is_its_table(void **state)
{
	(void)state;
	exact(SANDBOX_FILES, 34, 35);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_filter_of_the_service_is_its_table),
		cmocka_unit_test(the_filter_of_a_database_check_is_its_table),
	};

	return cmocka_run_group_tests_name("ctl_policy", tests, NULL, NULL);
}
