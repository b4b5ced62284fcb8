/* failpoint.h - named places where the crash test can stop a process, kill it there, or make a step fail.
 *
 * Only the build of MODE=fail has them: elsewhere each is nothing at all.  A
 * site is one line, and registers itself: `banger-role-net --failpoints`
 * prints the list, so the test knows of a new one without being told.
 *
 * The processes and the test share one page of memory (struct failpoint_page
 * in a file that BANGER_FAILPOINTS names), mapped before anything is locked
 * down; after that a hit needs no system call but futex(2).  A hit that is not
 * the one waited for is written to the trace and goes on.  The one waited for
 * stops until the test says go on, or fail. */
#ifndef BANGER_COMMON_FAILPOINT_H
#define BANGER_COMMON_FAILPOINT_H

#ifdef BANGER_FAILPOINTS

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAILPOINT_NAME 48
#define FAILPOINT_TRACE 16384
#define FAILPOINT_MAGIC 0x62677266u

enum failpoint_program { FP_SUPERVISOR, FP_CONTROLLER, FP_NET, FP_BLK, FP_SPAWN, FP_PROGRAMS };
enum failpoint_action { FP_WAIT, FP_GO, FP_FAIL };

struct failpoint_page {
	uint32_t magic;
	_Atomic uint32_t armed;   /* nothing is recorded, and nothing stops, while it is 0 */
	_Atomic uint32_t news;    /* futex: counts whatever the test may wait for */
	_Atomic uint32_t paused;  /* 1 + enum failpoint_program of the process that waits at the stop */
	_Atomic uint32_t action;  /* futex: what it is to do, enum failpoint_action */
	_Atomic uint32_t matched; /* hits of the stop since it was armed */
	/* Written while it is not armed.  nth 0: stop nowhere; program FP_PROGRAMS: at the nth of all, whatever its name. */
	uint32_t stop_program, stop_nth;
	char stop_name[FAILPOINT_NAME];
	_Atomic int32_t pid[FP_PROGRAMS];
	_Atomic int64_t boot_shift_ns, wall_shift_ns; /* what common/clock.h adds */
	/* Allocations while armed (failpoint_alloc.c), and which of whose fail; counted from 1, from 0: none. */
	_Atomic uint32_t allocations[FP_PROGRAMS];
	uint32_t starve_program, starve_from, starve_to;
	_Atomic uint32_t hits;
	struct {
		uint32_t program;
		char name[FAILPOINT_NAME];
	} trace[FAILPOINT_TRACE];
};

/* One site, or one a name that @each gives: then the "%s" of its own name stands for that. */
struct failpoint {
	const char *name;
	const char *(*each)(size_t i); /* NULL past the end */
	bool fails;
};

/* Return: true when the step is to fail; errno is then EIO. */
bool failpoint_hit(const struct failpoint *f, const char *of);

/* Count an allocation.  Return: true when it is to fail. */
bool failpoint_starves(void);

/* The variable for a process that is executed; NULL: nobody tests us. */
char *failpoint_env(void);

/* The path of the page; "": nobody tests us. */
const char *failpoint_file(void);

#define FAILPOINT_HIT(name_, each_, fails_, of_)                                                         \
	__extension__({                                                                                  \
		static struct failpoint site_ __attribute__((section("banger_failpoints"), used, aligned(8))) = \
			{ name_, each_, fails_ };                                                        \
		failpoint_hit(&site_, of_);                                                              \
	})

#define FAILPOINT(name) ((void)FAILPOINT_HIT(name, NULL, false, ""))
#define FAILPOINT_FAILS(name) FAILPOINT_HIT(name, NULL, true, "")
#define FAILPOINT_OF(name, each, of) ((void)FAILPOINT_HIT(name, each, false, of))
#define FAILPOINT_OF_FAILS(name, each, of) FAILPOINT_HIT(name, each, true, of)
#define FAILPOINT_ENV failpoint_env(),
#define FAILPOINT_CALLS SCMP_SYS(futex),

#else

#define FAILPOINT(name) ((void)0)               /* stops */
#define FAILPOINT_FAILS(name) false             /* stops, or is true: the step fails here */
#define FAILPOINT_OF(name, each, of) ((void)0)  /* the same, one for each operation */
#define FAILPOINT_OF_FAILS(name, each, of) false
#define FAILPOINT_ENV                           /* first in an environment */
#define FAILPOINT_CALLS                         /* first in a list of system calls */

#endif
#endif
