/* policy.h - describes what a confined process may do: tables that its code enters, that a test
 * compares with the compiled filter, and that `banger-privhelper --print-policy` prints.
 *
 * A system call passes if one rule of the policy has its number, and each comparison of that rule
 * holds.  Each other call kills the process, and so does each call of another architecture, x32
 * included.  Comparisons are "equal under a mask" alone.  A filter sees 64 bits of each argument,
 * but the kernel uses 32 bits of most: a comparison by "not equal" or by order would accept a
 * forbidden value with a high bit set. */
#ifndef BANGER_COMMON_POLICY_H
#define BANGER_COMMON_POLICY_H

#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_ARGS 3  /* comparisons of one rule */
#define POLICY_LISTS 8 /* lists of one policy */
#define POLICY_VARS 16 /* variables of one policy, with the unused number 0 */

/* One comparison: argument @arg (0 to 5) under @mask is @value.  With @var, mask and value are
 * known only when the process enters its policy. */
struct compare {
	uint8_t arg;
	uint8_t var;         /* index of struct policy's vars; 0: none */
	uint64_t mask;       /* 0: there is no comparison */
	uint64_t value;      /* no bit outside of mask */
	const char *meaning; /* the value as the source writes it */
};

struct rule {
	int call;  /* SCMP_SYS() */
	int error; /* 0: the call is allowed; else it fails with this errno */
	struct compare args[POLICY_ARGS];
	const char *why; /* the use of the call in this process; NULL ends a list */
};

/* Parts of a table.  A rule without a comparison is { SCMP_SYS(x), 0, ANY, "..." }. */
/* clang-format off */
#define ANY { { 0 } }
#define MASKED(arg, mask, value) { arg, 0, mask, (value) & (mask), #value }
#define IS(arg, value) { arg, 0, UINT32_MAX, (uint32_t)(value), #value }
#define BOUND(arg, var) { arg, var, UINT64_MAX, 0, NULL }
/* clang-format on */

/* A limit of setrlimit(2), soft and hard. */
struct policy_limit {
	int resource; /* RLIMIT_* */
	uint64_t max; /* POLICY_DISK: the size of the VM's disk */
};

#define POLICY_DISK UINT64_MAX

struct policy {
	const char *process;
	const char *account;    /* the account, as the sample configuration names it */
	const unsigned *caps;   /* CAP_* numbers that it keeps, ended by UINT_MAX */
	const char *namespaces; /* those of its own, as in /proc/PID/ns */
	const char *files;      /* the files that it can open */
	/* Mount points below which its mounts are writable; words of banger.conf for places of the
	 * configuration; "": none; NULL: those of its parent. */
	const char *writes;
	/* Kinds of descriptors that it may hold besides its log, as doctor_proc.c names them; a
	 * leading "not" lists those that it may not. */
	const char *holds;
	const struct policy_limit *limits;      /* ended by the resource -1 */
	const struct rule *lists[POLICY_LISTS]; /* each is ended by a rule without a why */
	const char *vars[POLICY_VARS];          /* the meaning of each variable */
};

/* The mask and the value of a variable; mask 0: rules that use the variable are left out. */
struct binding {
	uint64_t mask, value;
};

/* Return: the binding of a descriptor's number, which the kernel takes from 32 bits; of a negative
 * number: none. */
static inline struct binding policy_fd(int fd)
{
	return (struct binding){ fd < 0 ? 0 : UINT32_MAX, (uint32_t)fd };
}

/**
 * policy_filter() - make the filter of a policy
 * @p:	the policy
 * @bound:	the variables of the policy, by number; NULL: it has none
 *
 * Return: the filter, which the caller releases by seccomp_release(3), or NULL (logged).
 */
scmp_filter_ctx policy_filter(const struct policy *p, const struct binding *bound);

/* Add a list of rules to a filter.  @bound: as above.  Return: 0, or -1 (logged). */
int policy_add(scmp_filter_ctx ctx, const struct rule *rules, const struct binding *bound);

/* Set the limits of a policy, but none above the hard limit that the process has already, and read
 * them back.  Return: 0, or -1 (logged). */
int policy_limit(const struct policy_limit *limits);

#endif
