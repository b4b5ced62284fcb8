/* Tests that the filter of each process of the helper, and of each kind of VMM, lets through what
 * its table says, and nothing else.  The program that would be loaded is walked path by path
 * (bpf_walk.h), without root or system calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include "bpf_walk.h"

/* The filter of the release, without the sanitizers' calls.  The test catches it where lockdown.c
 * loads it. */
#undef BANGER_SANITIZED
static int catch (scmp_filter_ctx ctx);
#define seccomp_load catch
#include "privhelper/lockdown.c"
#undef seccomp_load
#include "privhelper/spawn/filter.c"

/* libseccomp forgets a rule that a wider one of the same call makes needless. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libseccomp";
}

static struct sock_filter code[WALK_CODE];
static struct sock_fprog caught;
static struct walk w;

static int catch (scmp_filter_ctx ctx)
{
	caught = walk_export(ctx, code);
	seccomp_release(ctx);
	return caught.len ? 0 : -1;
}

/* Each descriptor has a number of its own. */
static void bind_numbers(const struct policy *p, struct binding *bound)
{
	for (int i = 1; i < POLICY_VARS && p->vars[i]; i++)
		bound[i] = policy_fd(1000 + i);
}

/* Compare the numbers of calls and rules, so that each change of a policy shows here. */
static void count(const struct policy *p, const struct binding *bound, unsigned *calls,
		  unsigned *rules)
{
	bool seen[1024] = { false };

	*calls = *rules = 0;
	for (int i = 0; i < POLICY_LISTS && p->lists[i]; i++)
		for (const struct rule *rule = p->lists[i]; rule->why; rule++) {
			bool absent = false;
			for (int a = 0; a < POLICY_ARGS; a++)
				absent |= rule->args[a].var && !bound[rule->args[a].var].mask;
			if (absent)
				continue;
			assert_in_range(rule->call, 0, 1023);
			*calls += !seen[rule->call];
			seen[rule->call] = true;
			++*rules;
		}
}

static void exact(const struct policy *p, const struct sock_fprog *f, const struct binding *bound,
		  unsigned calls, unsigned rules)
{
	unsigned n, m;

	if (!walk_filter(&w, f, p->lists, bound))
		fail_msg("%s: %s", p->process, w.fault);
	count(p, bound, &n, &m);
	print_message("%s: %u calls, %u rules, %u instructions, %lu paths\n", p->process, n, m,
		      f->len, w.paths);
	assert_int_equal(n, calls);
	assert_int_equal(m, rules);
}

static void exact_process(const struct policy *p, const struct binding *bound, unsigned calls,
			  unsigned rules)
{
	const struct lockdown l = { .policy = p, .bound = bound };

	assert_int_equal(load_filter(&l), 0);
	exact(p, &caught, bound, calls, rules);
}

static void the_supervisor(void **state)
{
	struct binding bound[POLICY_VARS] = { { 0 } };

	(void)state;
	bind_numbers(&policy_supervisor, bound);
	exact_process(&policy_supervisor, bound, 12, 15);
	bound[SUP_NOTIFY] = policy_fd(-1); /* without a service manager */
	exact_process(&policy_supervisor, bound, 12, 14);
}

static void the_net_role(void **state)
{
	struct binding bound[POLICY_VARS] = { { 0 } };

	(void)state;
	bind_numbers(&policy_net, bound);
	exact_process(&policy_net, bound, 16, 31);
}

static void the_blk_role(void **state)
{
	struct binding bound[POLICY_VARS] = { { 0 } };

	(void)state;
	bind_numbers(&policy_blk, bound);
	exact_process(&policy_blk, bound, 18, 33);
	bound[BLK_DM_CONTROL] = policy_fd(-1); /* dm = off */
	exact_process(&policy_blk, bound, 18, 27);
}

static const struct config config = { .slots = 600, .uid_base = 0x40000 };

static void the_spawn_role(void **state)
{
	struct binding bound[POLICY_VARS] = { { 0 } };

	(void)state;
	bind_numbers(&policy_spawn, bound);
	exact_process(&policy_spawn, bound, 22, 31);
}

static void the_launcher(void **state)
{
	struct binding bound[POLICY_VARS] = { { 0 } };

	(void)state;
	assert_int_equal(spawn_filter_bind(&config, bound), 0);
	assert_int_equal(bound[SLOT_IDS].mask, ~1023ull);
	exact_process(&policy_launcher, bound, 116, 166);
}

/* Compare the filter of a kind of VMM with its table, with Landlock and without. */
static void vmms(enum vmm_kind kind, unsigned calls, unsigned rules)
{
	struct binding bound[POLICY_VARS] = { { 0 } };
	struct sock_fprog f;

	bound[LANDLOCK] = VMM_SINK;
	assert_int_equal(spawn_filter_vmm(kind, true, &f), 0);
	exact(&policy_vmm[kind], &f, bound, calls, rules);
	bound[LANDLOCK].mask = 0;
	bound[NO_LANDLOCK] = VMM_SINK;
	if (kind == VMM_FIRECRACKER && walk_filter(&w, &f, policy_vmm[kind].lists, bound))
		fail_msg("Landlock makes no difference");
	assert_int_equal(spawn_filter_vmm(kind, false, &f), 0);
	exact(&policy_vmm[kind], &f, bound, calls, rules);
}

static void qemu(void **state)
{
	(void)state;
	vmms(VMM_QEMU, 89, 116);
}

static void firecracker(void **state)
{
	(void)state;
	vmms(VMM_FIRECRACKER, 85, 103);
}

static void the_kvm_probe(void **state)
{
	(void)state;
	vmms(VMM_PROBE, 28, 30);
}

/* ---- faults that the walk must find ---- */

static const struct rule table[] = {
	{ SCMP_SYS(read), 0, ANY, "test" },
	{ SCMP_SYS(write), 0, { IS(0, 2) }, "test" },
	{ SCMP_SYS(ioctl), 0, { IS(0, 2), IS(1, 0xc138fd03u) }, "test" },
	{ SCMP_SYS(fcntl), 0, { MASKED(1, 0xf0u, 0x10) }, "test" },
	{ SCMP_SYS(clone3), 38, ANY, "test" },
	{ 0 },
};
static const struct policy small = { .process = "small", .lists = { table } };

typedef int (*change)(scmp_filter_ctx ctx);

/* Return: true if the filter of the table, after a change, still counts as the table's. */
static bool passes(change add)
{
	scmp_filter_ctx ctx = policy_filter(&small, NULL);

	assert_non_null(ctx);
	assert_int_equal(add(ctx), 0);
	assert_int_equal(catch (ctx), 0);
	return walk_filter(&w, &caught, small.lists, NULL) != 0;
}

static int nothing(scmp_filter_ctx ctx)
{
	(void)ctx;
	return 0;
}

static int one_more_call(scmp_filter_ctx ctx)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
}

static int one_more_value(scmp_filter_ctx ctx)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
				SCMP_A0_64(SCMP_CMP_MASKED_EQ, UINT32_MAX, 3));
}

static int any_value(scmp_filter_ctx ctx)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(write), 0);
}

static int not_equal(scmp_filter_ctx ctx)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(dup), 1, SCMP_A0_64(SCMP_CMP_NE, 7));
}

static int by_order(scmp_filter_ctx ctx)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				SCMP_A1_64(SCMP_CMP_GT, 3));
}

static int other_error(scmp_filter_ctx ctx)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(1), SCMP_SYS(dup), 0);
}

static int thread_alone(scmp_filter_ctx ctx)
{
	return seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL);
}

static void a_filter_with_more_is_found(void **state)
{
	static const struct {
		const char *name;
		change add;
	} changes[] = {
		{ "a call", one_more_call },
		{ "a value", one_more_value },
		{ "any value", any_value },
		{ "NE", not_equal },
		{ "GT", by_order },
		{ "another error", other_error },
		{ "another architecture ends the thread alone", thread_alone },
	};

	(void)state;
	if (!passes(nothing))
		fail_msg("unchanged: %s", w.fault);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		if (passes(changes[i].add))
			fail_msg("not found: %s", changes[i].name);
}

/* A second architecture has the same rules.  Its calls have other numbers, or are made in another
 * way. */
static void another_architecture_is_found(void **state)
{
	static const uint32_t archs[] = { SCMP_ARCH_X86, SCMP_ARCH_X32, SCMP_ARCH_AARCH64 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
		assert_int_equal(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
						  SCMP_ACT_KILL_PROCESS),
				 0);
		assert_int_equal(seccomp_arch_add(ctx, archs[i]), 0);
		assert_int_equal(policy_add(ctx, table, NULL), 0);
		assert_int_equal(catch (ctx), 0);
		if (walk_filter(&w, &caught, small.lists, NULL))
			fail_msg("architecture %#x is let through", archs[i]);
	}
}

static void a_filter_with_less_is_found(void **state)
{
	const struct rule more[] = { { SCMP_SYS(connect), 0, ANY, "test" }, { 0 } };
	const struct rule value[] = { { SCMP_SYS(write), 0, { IS(0, 3) }, "test" }, { 0 } };
	const struct rule *const with_call[] = { table, more, NULL }, *const with_value[] = {
		table, value, NULL
	};

	(void)state;
	assert_true(passes(nothing));
	assert_int_equal(walk_filter(&w, &caught, with_call, NULL), 0);
	assert_int_equal(walk_filter(&w, &caught, with_value, NULL), 0);
}

/* Return: the program's answer to one call with the value @arg in all arguments. */
static uint32_t answer(const struct sock_fprog *f, uint32_t arch, uint32_t nr, uint64_t arg)
{
	struct seccomp_data d = { .nr = (int)nr,
				  .arch = arch,
				  .args = { arg, arg, arg, arg, arg, arg } };
	uint32_t a = 0;

	for (const struct sock_filter *i = f->filter; i < f->filter + f->len; i++) {
		if (i->code == (BPF_LD | BPF_W | BPF_ABS))
			memcpy(&a, (const uint8_t *)&d + i->k, sizeof(a));
		else if (i->code == (BPF_ALU | BPF_AND | BPF_K))
			a &= i->k;
		else if (i->code == (BPF_JMP | BPF_JA))
			i += i->k;
		else if (BPF_CLASS(i->code) == BPF_JMP)
			i += (BPF_OP(i->code) == BPF_JEQ   ? a == i->k
			      : BPF_OP(i->code) == BPF_JGT ? a > i->k
							   : a >= i->k)
				     ? i->jt
				     : i->jf;
		else
			return i->k;
	}
	return 0;
}

/* Return: true if two programs differ in some call. */
static bool differ(const struct sock_fprog *a, const struct sock_fprog *b)
{
	static const uint64_t args[] = { 0,          1,         2,    3,
					 0x10,       0x11,      0x20, 1ull << 32 | 2,
					 0xc138fd03, UINT64_MAX };
	static const uint32_t archs[] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_X86_64 ^ 1,
					  AUDIT_ARCH_I386 };

	for (size_t arch = 0; arch < ARRAY_SIZE(archs); arch++)
		for (uint32_t nr = 0; nr < 1000; nr++)
			for (size_t i = 0; i < ARRAY_SIZE(args); i++)
				for (unsigned x32 = 0; x32 < 2; x32++)
					if (answer(a, archs[arch], nr | x32 << 30, args[i]) !=
					    answer(b, archs[arch], nr | x32 << 30, args[i]))
						return true;
	return false;
}

/* Change an instruction: its constant (0), or a jump that is always or never taken (1, 2).  Return:
 * whether it is changed. */
static bool change_instruction(struct sock_filter *at, int way)
{
	bool jump = BPF_CLASS(at->code) == BPF_JMP && BPF_OP(at->code) != BPF_JA &&
		    at->jt != at->jf;

	if (way == 0)
		at->k ^= 1;
	else if (jump && way == 1)
		at->jt = at->jf;
	else if (jump)
		at->jf = at->jt;
	return way == 0 || jump;
}

/* Each instruction of the program is changed.  Where a change makes a difference to a call that was
 * tried, the walk finds it. */
static void a_changed_instruction_is_found(void **state)
{
	static struct sock_filter changed[WALK_CODE];
	unsigned found = 0, tried = 0;

	(void)state;
	assert_true(passes(nothing));
	const struct sock_fprog f = { caught.len, changed };
	for (unsigned short i = 0; i < caught.len; i++)
		for (int way = 0; way < 3; way++) {
			memcpy(changed, code, caught.len * sizeof(code[0]));
			if (!change_instruction(&changed[i], way) ||
			    (changed[i].code == (BPF_LD | BPF_W | BPF_ABS)))
				continue;
			bool same = walk_filter(&w, &f, small.lists, NULL) != 0;
			tried++;
			found += !same;
			if (same && differ(&caught, &f))
				fail_msg("instruction %u, way %d: not found", i, way);
		}
	print_message("%u of %u changed programs differ\n", found, tried);
	assert_true(found * 10 >= tried * 7);
}

/* A value with a high bit must not slip past a comparison of 64 bits. */
static void a_high_bit_is_found(void **state)
{
	const struct rule wide[] = { { SCMP_SYS(dup), 38, { IS(0, 7) }, "test" }, { 0 } };
	const struct rule *const lists[] = { wide, NULL };
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);

	(void)state;
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	assert_int_equal(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(38), SCMP_SYS(dup), 1,
					  SCMP_A0_64(SCMP_CMP_EQ, 7)),
			 0);
	assert_int_equal(catch (ctx), 0);
	assert_int_equal(walk_filter(&w, &caught, lists, NULL), 0);
}

static void a_table_that_contradicts_itself_is_found(void **state)
{
	const struct rule two[] = { { SCMP_SYS(write), 38, { MASKED(0, 1u, 0) }, "test" }, { 0 } };
	const struct rule *const lists[] = { table, two, NULL };

	(void)state;
	assert_true(passes(nothing));
	assert_int_equal(walk_filter(&w, &caught, lists, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_filter_with_more_is_found),
		cmocka_unit_test(another_architecture_is_found),
		cmocka_unit_test(a_filter_with_less_is_found),
		cmocka_unit_test(a_changed_instruction_is_found),
		cmocka_unit_test(a_high_bit_is_found),
		cmocka_unit_test(a_table_that_contradicts_itself_is_found),
		cmocka_unit_test(the_supervisor),
		cmocka_unit_test(the_net_role),
		cmocka_unit_test(the_blk_role),
		cmocka_unit_test(the_spawn_role),
		cmocka_unit_test(the_launcher),
		cmocka_unit_test(qemu),
		cmocka_unit_test(firecracker),
		cmocka_unit_test(the_kvm_probe),
	};

	return cmocka_run_group_tests_name("priv_policy", tests, NULL, NULL);
}
