/* failpoint.h - declares sites where the crash test can stop or kill a process, or make a step
 * fail.
 *
 * Only the build of MODE=fail has sites; elsewhere each macro is empty.  A site is one line and
 * registers itself: `banger-role-net --failpoints` prints the list, from which the test learns of
 * new sites.
 *
 * The processes and the test share one page of memory, struct failpoint_page, in the file that
 * BANGER_FAILPOINTS names.  It is mapped before lock-down, and a hit then needs no system call but
 * futex(2).  A hit is written to the trace.  The hit that the test waits for stops the process
 * until the test sets an action: continue or fail. */
#ifndef BANGER_COMMON_FAILPOINT_H
#define BANGER_COMMON_FAILPOINT_H

#include <stdbool.h>

#ifdef BANGER_FAILPOINTS

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FAILPOINT_NAME 48
#define FAILPOINT_SETUP 64
#define FAILPOINT_TRACE 16384
#define FAILPOINT_MAGIC 0x62677266u

enum failpoint_program { FP_SUPERVISOR, FP_CONTROLLER, FP_NET, FP_BLK, FP_SPAWN, FP_PROGRAMS };
enum failpoint_action { FP_WAIT, FP_GO, FP_FAIL };

struct failpoint_page {
	uint32_t magic;
	/* "PROGRAM STEP": this step of the lock-down fails, see SETUP_FAILS(); "": none.  The test
	 * writes it into the file before it starts the programs. */
	char setup[FAILPOINT_SETUP];
	_Atomic uint32_t armed;   /* 0: no hit is recorded or stops */
	_Atomic uint32_t news;    /* futex: counts the events that the test waits for */
	_Atomic uint32_t paused;  /* 1 + enum failpoint_program of the stopped process; 0: none */
	_Atomic uint32_t action;  /* futex: enum failpoint_action of the stopped process */
	_Atomic uint32_t matched; /* hits of the stop since it was armed */
	/* The stop; the test writes it while armed is 0.  nth 0: no stop.  program FP_PROGRAMS: the
	 * nth hit of any site. */
	uint32_t stop_program, stop_nth;
	char stop_name[FAILPOINT_NAME];
	_Atomic int32_t pid[FP_PROGRAMS];
	_Atomic int64_t boot_shift_ns, wall_shift_ns; /* added to the clocks by common/clock.h */
	/* The number of allocations of each program while armed (failpoint_alloc.c).  Those of one
	 * program from starve_from to starve_to fail, counted from 1; starve_from 0: none. */
	_Atomic uint32_t allocations[FP_PROGRAMS];
	uint32_t starve_program, starve_from, starve_to;
	_Atomic uint32_t hits;
	struct {
		uint32_t program;
		char name[FAILPOINT_NAME];
	} trace[FAILPOINT_TRACE];
};

/* One site.  With @each, it stands for one site per name that each(i) returns, which replaces the
 * "%s" in @name. */
struct failpoint {
	const char *name;
	const char *(*each)(size_t i); /* NULL past the end */
	bool fails;                    /* the site can make its step fail */
};

/* Count a hit of @f, and stop if the test waits for it.  @of: the name for "%s".
 * Return: true if the step is to fail; errno is then EIO. */
bool failpoint_hit(const struct failpoint *f, const char *of);

/* Return: true if the step @name of the lock-down is to fail in this program; errno is then EIO. */
bool failpoint_setup(const char *name);

/* Call this program @name in the test's choice of a step. */
void failpoint_setup_as(const char *name);

/* Count an allocation.  Return: true if it is to fail. */
bool failpoint_starves(void);

/* Return: the environment variable for an executed process; NULL: no test runs. */
char *failpoint_env(void);

/* Return: the path of the page; "": no test runs. */
const char *failpoint_file(void);

#define FAILPOINT_HIT(name_, each_, fails_, of_)                                \
	__extension__({                                                         \
		static struct failpoint site_                                   \
			__attribute__((section("banger_failpoints"), used,      \
				       aligned(8))) = { name_, each_, fails_ }; \
		failpoint_hit(&site_, of_);                                     \
	})

#define FAILPOINT(name) ((void)FAILPOINT_HIT(name, NULL, false, ""))
#define FAILPOINT_FAILS(name) FAILPOINT_HIT(name, NULL, true, "")
#define FAILPOINT_OF(name, each, of) ((void)FAILPOINT_HIT(name, each, false, of))
#define FAILPOINT_OF_FAILS(name, each, of) FAILPOINT_HIT(name, each, true, of)
#define SETUP_FAILS(name_)                                                      \
	__extension__({                                                         \
		static const char *const step_                                  \
			__attribute__((section("banger_setup"), used)) = name_; \
		failpoint_setup(step_);                                         \
	})
#define SETUP_AS(name) failpoint_setup_as(name)
#define FAILPOINT_ENV failpoint_env(),
#define FAILPOINT_RULE { SCMP_SYS(futex), 0, { { 0 } }, "failpoints" },

#else

#define FAILPOINT(name) ((void)0)              /* can stop the process */
#define FAILPOINT_FAILS(name) false            /* can stop it; true: the step fails here */
#define FAILPOINT_OF(name, each, of) ((void)0) /* the same, one site for each operation */
#define FAILPOINT_OF_FAILS(name, each, of) false
/* A step of a process's lock-down, which a test makes fail once: true.  It stops nothing, and
 * `banger-role-net --setup-steps` prints the list. */
#define SETUP_FAILS(name) false
#define SETUP_AS(name) ((void)0) /* a forked process has a name of its own in that choice */
#define FAILPOINT_ENV            /* the first entry of an environment */
#define FAILPOINT_RULE           /* the first rule of a policy */

#endif
#endif
