/* bpf_walk.h - walks every path of a compiled seccomp filter, and compares what it lets through
 * with a table of rules, in both directions.
 *
 * Nothing here knows how the filter was made.  The program is split into all its paths, for each
 * architecture and each number of a call that it can tell apart.  A path has the known bits of the
 * arguments (from comparisons that held) and values that they do not have (from comparisons that
 * did not).  The table must have the same answer for every value of the arguments on the path: a
 * solver for "equal under a mask" looks for one where the answers differ, and prints it.  As the
 * paths of one call cover all its arguments, nothing passes that the table lacks, and nothing of
 * the table is refused.
 *
 * The instructions are in Documentation/networking/filter.rst of the kernel; a filter sees struct
 * seccomp_data. */
#ifndef BANGER_TESTS_BPF_WALK_H
#define BANGER_TESTS_BPF_WALK_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/policy.h"

#define WALK_WORDS 12 /* six arguments of 64 bits, low word first */
#define WALK_REFUSALS 128
#define WALK_CODE 4096
/* Steps of the solver, in all: the largest filter of ours needs under a million.  A program that
 * needs more is at fault. */
#define WALK_WORK 2000000

struct known {
	uint32_t mask, value;
};

struct refusal {
	unsigned word;
	struct known not ; /* the word does not have these bits */
};

/* The arguments on a path. */
struct region {
	struct known word[WALK_WORDS];
	struct refusal not [WALK_REFUSALS];
	unsigned n;
};

struct walk {
	const struct sock_filter *code;
	size_t len;
	uint32_t arch, nr;
	const struct rule *const *lists; /* the table */
	const struct binding *bound;
	unsigned long paths;
	char fault[512]; /* "": none yet */
};

static unsigned long walk_work;

__attribute__((format(printf, 2, 3))) static void walk_fault(struct walk *w, const char *format,
							     ...)
{
	va_list ap;

	if (w->fault[0])
		return;
	va_start(ap, format);
	(void)vsnprintf(w->fault, sizeof(w->fault), format, ap);
	va_end(ap);
}

/* ---- the solver ---- */

static bool know(struct region *r, unsigned word, struct known k)
{
	struct known *have = &r->word[word];

	if (have->mask & k.mask & (have->value ^ k.value))
		return false;
	have->mask |= k.mask;
	have->value |= k.value & k.mask;
	return true;
}

static bool refuse(struct region *r, unsigned word, struct known k)
{
	if (r->n == WALK_REFUSALS)
		abort();
	r->not [r->n++] = (struct refusal){ word, k };
	return true;
}

/* Return: true if any arguments are in @r.  @r: out: some of them, with all bits of `word` that
 * matter known.  The refusal with the fewest unknown bits is handled by trying each of its bits in
 * turn: the bits before it as in the refusal, that bit different. */
static bool satisfy(struct region *r)
{
	const struct refusal *best = NULL;
	int fewest = 33;

	if (++walk_work > WALK_WORK)
		return false; /* walk_filter() calls it a fault */
	for (unsigned i = 0; i < r->n; i++) {
		const struct refusal *f = &r->not [i];
		const struct known *k = &r->word[f->word];
		int open = __builtin_popcount(f->not .mask & ~k->mask);

		if (k->mask & f->not .mask & (k->value ^ f->not .value))
			continue;
		if (open < fewest) {
			fewest = open;
			best = f;
		}
	}
	if (!best)
		return true;
	uint32_t open = best->not .mask & ~r->word[best->word].mask;
	for (struct region copy; open; open &= open - 1) {
		uint32_t bit = open & -open;

		copy = *r;
		copy.word[best->word].mask |= bit;
		copy.word[best->word].value |= ~best->not .value & bit;
		if (satisfy(&copy)) {
			*r = copy;
			return true;
		}
		r->word[best->word].mask |= bit;
		r->word[best->word].value |= best->not .value & bit;
	}
	return false;
}

/* ---- the table ---- */

/* The words of a rule.  Return: how many; -1: the rule is left out. */
static int rule_words(const struct walk *w, const struct rule *rule,
		      struct refusal out[2 * POLICY_ARGS])
{
	int n = 0;

	for (int i = 0; i < POLICY_ARGS && rule->args[i].mask; i++) {
		const struct compare *c = &rule->args[i];
		uint64_t mask = c->mask, value = c->value;

		if (c->var && (!w->bound || !w->bound[c->var].mask))
			return -1;
		if (c->var) {
			mask = w->bound[c->var].mask;
			value = w->bound[c->var].value;
		}
		for (unsigned high = 0; high < 2; high++)
			if ((uint32_t)(mask >> 32 * high))
				out[n++] = (struct refusal){ 2u * c->arg + high,
							     { (uint32_t)(mask >> 32 * high),
							       (uint32_t)(value >> 32 * high) } };
	}
	return n;
}

static uint32_t rule_answer(const struct rule *rule)
{
	return rule->error ? SECCOMP_RET_ERRNO | (uint32_t)rule->error : SECCOMP_RET_ALLOW;
}

/* The next rule of the table for the call, after @at; NULL: the first. */
static const struct rule *next_rule(const struct walk *w, const struct rule *at)
{
	bool found = !at;

	if (w->arch != AUDIT_ARCH_X86_64)
		return NULL;
	for (const struct rule *const *list = w->lists; *list; list++)
		for (const struct rule *rule = *list; rule->why; rule++) {
			if (found && rule->call == (int)w->nr)
				return rule;
			found |= rule == at;
		}
	return NULL;
}

/* Return: true if @r and @rule have arguments in common; @r: out: some of them. */
static bool overlaps(const struct walk *w, struct region *r, const struct rule *rule)
{
	struct refusal words[2 * POLICY_ARGS];
	int n = rule_words(w, rule, words);

	for (int i = 0; i < n; i++)
		if (!know(r, words[i].word, words[i].not ))
			return false;
	return n >= 0 && satisfy(r);
}

/* Return: true if @r has arguments that no rule after @at with this answer takes; @r: out: some of
 * them. */
static bool escapes(const struct walk *w, struct region *r, const struct rule *at, uint32_t answer)
{
	struct refusal words[2 * POLICY_ARGS];
	const struct rule *rule = next_rule(w, at);
	struct region copy = *r;

	if (!satisfy(&copy))
		return false;
	if (!rule) {
		*r = copy;
		return true;
	}
	int n = rule_answer(rule) == answer ? rule_words(w, rule, words) : -1;
	if (n < 0)
		return escapes(w, r, rule, answer);
	for (int i = 0; i < n; i++) {
		copy = *r;
		if (refuse(&copy, words[i].word, words[i].not ) &&
		    escapes(w, &copy, rule, answer)) {
			*r = copy;
			return true;
		}
	}
	return false;
}

/* ---- the paths ---- */

static void tell(struct walk *w, const struct region *r, uint32_t answer, const char *what)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)w->nr), args[256] = "";
	size_t n = 0;

	for (unsigned i = 0; i < 6; i++)
		n += (size_t)snprintf(args + n, sizeof(args) - n, " %#llx",
				      (unsigned long long)r->word[2 * i + 1].value << 32 |
					      r->word[2 * i].value);
	walk_fault(w, "architecture %#x call %#x (%s) with%s: the filter answers %#x, and %s",
		   w->arch, w->nr, name ? name : "?", args, answer, what);
	free(name);
}

/* A path ends with @answer: the table must say the same for all of @r. */
static void judge(struct walk *w, const struct region *r, uint32_t answer)
{
	struct region copy = *r;

	if (!satisfy(&copy))
		return; /* no arguments take this path */
	w->paths++;
	for (const struct rule *rule = NULL; (rule = next_rule(w, rule));) {
		copy = *r;
		if (rule_answer(rule) != answer && overlaps(w, &copy, rule)) {
			tell(w, &copy, answer, "the table has another answer");
			return;
		}
	}
	copy = *r;
	if (answer != SECCOMP_RET_KILL_PROCESS && escapes(w, &copy, NULL, answer))
		tell(w, &copy, answer, "no rule of the table says so");
}

/* The content of the accumulator. */
struct held {
	enum { NOTHING, ARCH, NR, WORD } what;
	unsigned word;
	uint32_t mask;
};

static struct held load_word(struct walk *w, uint32_t at)
{
	const uint32_t args = offsetof(struct seccomp_data, args);

	if (at == offsetof(struct seccomp_data, arch))
		return (struct held){ ARCH, 0, UINT32_MAX };
	if (at == offsetof(struct seccomp_data, nr))
		return (struct held){ NR, 0, UINT32_MAX };
	if (at % 4 == 0 && at >= args && at < args + 4 * WALK_WORDS)
		return (struct held){ WORD, (at - args) / 4, UINT32_MAX };
	walk_fault(w, "a load of offset %u", at);
	return (struct held){ NOTHING, 0, 0 };
}

static bool jumps(struct walk *w, const struct sock_filter *i, uint32_t a)
{
	switch (BPF_OP(i->code)) {
	case BPF_JEQ:
		return a == i->k;
	case BPF_JGT:
		return a > i->k;
	case BPF_JGE:
		return a >= i->k;
	default:
		walk_fault(w, "a jump of kind %#x", i->code);
		return false;
	}
}

static void walk_from(struct walk *w, size_t at, struct held a, struct region r);

/* Follow both ways of a jump that depends on an argument. */
static void branch(struct walk *w, size_t at, struct held a, const struct region *r)
{
	const struct sock_filter *i = &w->code[at];
	struct known k = { a.mask, i->k };
	struct region equal = *r, other = *r;

	if (BPF_OP(i->code) != BPF_JEQ || BPF_SRC(i->code) != BPF_K) {
		walk_fault(w, "call %#x: a comparison of an argument that is not EQ: %#x", w->nr,
			   i->code);
		return;
	}
	if (!(i->k & ~a.mask) && know(&equal, a.word, k))
		walk_from(w, at + 1 + i->jt, a, equal);
	if (!(i->k & ~a.mask) && !refuse(&other, a.word, k))
		return;
	walk_from(w, at + 1 + i->jf, a, other);
}

static void walk_from(struct walk *w, size_t at, struct held a, struct region r)
{
	for (; !w->fault[0] && walk_work <= WALK_WORK; at++) {
		const struct sock_filter *i = &w->code[at];

		if (at >= w->len) {
			walk_fault(w, "call %#x: a path leaves the program", w->nr);
		} else if (i->code == (BPF_LD | BPF_W | BPF_ABS)) {
			a = load_word(w, i->k);
		} else if (i->code == (BPF_ALU | BPF_AND | BPF_K) && a.what == WORD) {
			a.mask &= i->k;
		} else if (i->code == (BPF_JMP | BPF_JA)) {
			at += i->k;
		} else if (BPF_CLASS(i->code) == BPF_JMP && a.what == WORD) {
			branch(w, at, a, &r);
			return;
		} else if (BPF_CLASS(i->code) == BPF_JMP && a.what != NOTHING) {
			at += jumps(w, i, a.what == ARCH ? w->arch : w->nr) ? i->jt : i->jf;
		} else if (i->code == (BPF_RET | BPF_K)) {
			judge(w, &r, i->k);
			return;
		} else {
			walk_fault(w, "an instruction %#x", i->code);
		}
	}
}

/* ---- all of it ---- */

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Choose one number out of each range that neither the program nor the table can tell apart.  Both
 * compare with constants: the ranges begin at 0, at each constant, and after it. */
static size_t representatives(const struct walk *w, uint32_t **out)
{
	size_t n = 0, rules = 0;

	for (const struct rule *const *list = w->lists; *list; list++)
		for (const struct rule *rule = *list; rule->why; rule++)
			rules++;
	uint32_t *all = calloc(2 * (w->len + rules) + 5, sizeof(*all));
	all[n++] = 0;
	all[n++] = AUDIT_ARCH_X86_64;
	all[n++] = AUDIT_ARCH_X86_64 + 1;
	all[n++] = 0x40000000; /* x32: __X32_SYSCALL_BIT */
	for (size_t i = 0; i < w->len; i++) {
		all[n++] = w->code[i].k;
		all[n++] = w->code[i].k + 1;
	}
	for (const struct rule *const *list = w->lists; *list; list++)
		for (const struct rule *rule = *list; rule->why; rule++) {
			all[n++] = (uint32_t)rule->call;
			all[n++] = (uint32_t)rule->call + 1;
		}
	qsort(all, n, sizeof(*all), by_value);
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (!kept || all[kept - 1] != all[i])
			all[kept++] = all[i];
	*out = all;
	return kept;
}

/* Two rules of a call with different answers must have no arguments in common, because no order
 * decides between them. */
static void check_table(struct walk *w)
{
	for (const struct rule *const *list = w->lists; *list; list++)
		for (const struct rule *rule = *list; rule->why; rule++) {
			w->nr = (uint32_t)rule->call;
			w->arch = AUDIT_ARCH_X86_64;
			if (rule->call < 0 || rule->call >= 0x40000000)
				walk_fault(w, "a rule for a call that this architecture lacks: %d",
					   rule->call);
			for (const struct rule *other = NULL; (other = next_rule(w, other));) {
				struct region r = { .n = 0 };
				if (rule_answer(other) != rule_answer(rule) &&
				    overlaps(w, &r, rule) && overlaps(w, &r, other))
					tell(w, &r, rule_answer(rule),
					     "another rule has another answer");
			}
		}
}

/**
 * walk_filter() - compare a program with the rules of a policy
 * @f:	the program
 * @lists:	lists of rules, ended by NULL
 * @bound:	the variables
 *
 * Return: the number of paths; 0: they differ, and w->fault says where.
 */
static unsigned long walk_filter(struct walk *w, const struct sock_fprog *f,
				 const struct rule *const *lists, const struct binding *bound)
{
	uint32_t *values;

	*w = (struct walk){ .code = f->filter, .len = f->len, .lists = lists, .bound = bound };
	walk_work = 0;
	check_table(w);
	size_t n = representatives(w, &values);
	for (size_t arch = 0; arch < n; arch++)
		for (size_t nr = 0; nr < n && !w->fault[0]; nr++) {
			w->arch = values[arch];
			w->nr = values[nr];
			walk_from(w, 0, (struct held){ NOTHING, 0, 0 }, (struct region){ .n = 0 });
		}
	free(values);
	if (walk_work > WALK_WORK)
		walk_fault(w, "the paths are too many, or their conditions too entangled");
	return w->fault[0] ? 0 : w->paths;
}

/* Export @ctx into @code.  Return: the program; its length is 0 after an error. */
static struct sock_fprog walk_export(scmp_filter_ctx ctx, struct sock_filter code[WALK_CODE])
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	struct sock_fprog f = { 0, code };

	if (fd < 0 || seccomp_export_bpf(ctx, fd) < 0)
		return f;
	ssize_t n = pread(fd, code, WALK_CODE * sizeof(code[0]), 0);
	(void)close(fd);
	if (n > 0)
		f.len = (unsigned short)((size_t)n / sizeof(code[0]));
	return f;
}

#endif
