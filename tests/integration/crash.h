/* crash.h - what the parts of the crash test share.
 *
 * crash.c        verbs, cases, the count
 * crash_set.c    the set under test: started, asked, stopped at a failpoint, killed
 * crash_world.c  what the kernel, the files and the database hold, read without any of the set's code, and judged */
#ifndef BANGER_TESTS_CRASH_H
#define BANGER_TESTS_CRASH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/failpoint.h"
#include "proto/control.h"

#define SECONDS_MOST 40 /* for anything that is waited for */

extern struct config config;
extern const char *conf_path, *work_dir; /* work_dir: ours to write in */

_Noreturn void bail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- crash_set.c ---- */

/* A failpoint on the way of a verb. */
struct point {
	enum failpoint_program program;
	char name[FAILPOINT_NAME];
	uint32_t nth; /* how often it has come on this way, counted from 1 */
};

enum victim { V_CONTROLLER, V_NET, V_BLK, V_SPAWN, V_SUPERVISOR, V_ALL, V_VMM, VICTIMS };
enum harm { E_KILL, E_FAIL, E_HANG, E_GARBAGE, E_HALF, EFFECTS };

/* What became of it. */
enum outcome { O_PAUSED, O_DONE, O_DEAD, O_LATE };

/* A request of ours, in a thread. */
struct ask {
	enum call_id id;
	union control_body args, result;
	int fds[4];
	void (*then)(struct ask *a); /* what follows when it has succeeded, of the same client */
	int code; /* enum fail; -1: the connection ended first */
	struct error error;
	struct ev_vm vm;
};

void set_prepare(void);               /* the shared page, the notify socket */
void set_start(void);
bool set_ready(void);
bool set_up(void);                    /* start it if it is down, and wait; false with a reason on stdout */
bool set_whole(void);                 /* all five processes are there */
bool set_wait_gone(void);             /* every process of it has ended */
void set_kill(void);                  /* all of it, and wait */
void set_signal(enum failpoint_program p, int signal); /* then wait_outcome(false) */
bool process_lives(pid_t pid);         /* one that nobody has waited for yet does not */
pid_t set_pid(enum failpoint_program p);
const char *program_name(enum failpoint_program p);

void page_arm(const struct point *stop); /* NULL: only trace */
void page_disarm(void);
void page_go(enum failpoint_action a);
size_t page_trace(struct point *out, size_t room);

void ask_start(struct ask *a);        /* not while another is under way */
bool ask_done(void);
bool ask_join(void);                  /* false: not in time */
int ask(struct ask *a);               /* both */

enum outcome wait_outcome(bool starting); /* @starting: until the set is ready, not until a request is answered */

/* Run a program, its output into @out (NUL-terminated).  Return: its exit status. */
int run(char *out, size_t size, const char *const argv[]);

uint64_t now_ms(void);

/* ---- crash_world.c ---- */

#define TEXT_MAX 65536

struct text {
	char v[TEXT_MAX];
	size_t n;
};

void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Everything, sorted, one thing a line; equal texts are equal worlds. */
void world_read(struct text *t);

enum strictness {
	J_FAILED,  /* a step has failed: what is left over must be on record, and said */
	J_SETTLED, /* nothing may be left over; the end of an operation may have got lost */
	J_STARTED, /* the set has been started anew: nor that */
};

/* What is wrong with it, one line a fault that begins with leak, lie or twice; empty: nothing. */
void world_judge(struct text *faults, enum strictness how);

/* Foreign things beside ours: made once, and looked at. */
void decoys_make(void);
void decoys_remove(void);
void decoys_judge(struct text *faults);

/* The VM of that name: state ("" when there is none), slot, the VMM's process (0: none). */
struct seen {
	char state[16];
	unsigned slot, generation;
	pid_t vmm;
	bool nat;
};
struct seen world_vm(const char *name);
pid_t world_vmm(unsigned slot);

/* Run SQL on the state database, for what an older or broken program could have left. */
void world_sql(const char *sql);

#endif
