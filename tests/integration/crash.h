/* crash.h - what the parts of the crash test share.
 *
 * crash.c        verbs, cases, the count
 * crash_set.c    the set under test: started, asked, stopped at a failpoint, killed
 * crash_ask.c    what it is asked for
 * crash_world.c  what the kernel, the files and the database hold, read without any of the set's
 * code, and judged */
#ifndef BANGER_TESTS_CRASH_H
#define BANGER_TESTS_CRASH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/failpoint.h"
#include "proto/control.h"
#include "proto/slot.h"

#define SECONDS_MOST 40 /* for anything that is waited for */

extern struct config config;
extern const char *conf_path, *work_dir; /* work_dir: ours to write in */

_Noreturn void bail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- crash_set.c ---- */

#define ALLOCATION \
	"allocation" /* the name of a point that is no failpoint: the nth allocation of the \
			program */

/* A failpoint on the way of a verb; program FP_PROGRAMS: whichever is the nth. */
struct point {
	enum failpoint_program program;
	char name[FAILPOINT_NAME];
	uint32_t nth; /* how often it has come on this way, counted from 1 */
};

enum victim { V_CONTROLLER, V_NET, V_BLK, V_SPAWN, V_SUPERVISOR, V_ALL, V_VMM, VICTIMS };
enum harm { E_KILL, E_FAIL, E_HANG, E_GARBAGE, E_HALF, E_STARVE, EFFECTS };

/* What became of it. */
enum outcome { O_PAUSED, O_DONE, O_DEAD, O_LATE };

/* A request of ours, in a thread. */
struct ask {
	enum call_id id;
	union control_body args, result;
	int fds[4];
	void (*then)(struct ask *a); /* what follows when it has succeeded, of the same client */
	const char *until;  /* SQL: behind the answer, until it has a row; else -1 is the answer */
	uint32_t uid;       /* who asks */
	struct ev_vm *rows; /* EVENT vm: the first @room of them; @vm: the last */
	size_t room, n_rows;
	unsigned loops; /* EVENT line: those about a loop that belongs to no VM */
	_Atomic bool done;
	pthread_t thread;
	int code; /* enum fail; -1: the connection ended first */
	struct error error;
	struct ev_vm vm;
};

void set_prepare(void); /* the shared page, the notify socket */
void set_start(void);
bool set_ready(void);
bool set_up(void);        /* start it if it is down, and wait; false with a reason on stdout */
bool set_whole(void);     /* all five processes are there */
bool set_wait_gone(void); /* every process of it has ended */
void set_kill(void);      /* all of it, and wait */
void set_signal(enum failpoint_program p, int signal); /* then wait_outcome(false) */
bool process_lives(pid_t pid); /* one that nobody has waited for yet does not */
pid_t set_pid(enum failpoint_program p);
const char *program_name(enum failpoint_program p);

void page_arm(const struct point *stop); /* NULL: only trace */
void page_arm_hunger(const struct point *from,
		     bool on); /* that allocation fails; @on: and all that follow */
bool page_hungered(void);      /* it has come to that */
uint32_t page_allocations(enum failpoint_program p);
void page_disarm(void);
void page_go(enum failpoint_action a);
enum failpoint_program page_paused(void); /* who waits at the stop; FP_PROGRAMS: nobody */
void page_shift_clocks(int64_t boot_ns, int64_t wall_ns); /* of the whole set, as of now */
uint32_t news_now(void);
void news_wait(uint32_t seen); /* until anything is new since, at most 10 ms */
size_t page_trace(struct point *out, size_t room);

void ask_start(struct ask *a); /* wait_outcome() waits for the newest one */
bool ask_join(struct ask *a);  /* false: not in time */
int ask(struct ask *a);        /* both */

enum outcome wait_outcome(
	bool starting); /* @starting: until the set is ready, not until a request is answered */

/* Run a program, its output into @out (NUL-terminated).  Return: its exit status. */
int run(char *out, size_t size, const char *const argv[]);

uint64_t now_ms(void);

/* ---- crash_ask.c ---- */

void text_copy(char *out, size_t size, const char *v);
#define SET(field, v) text_copy(field, sizeof(field), v)

void create_args(struct ask *a, const char *name, bool nat);
/* A file below work_dir with @magic at @at; its descriptor, for reading and writing. */
int make_file(const char *name, off_t size, off_t at, const char *magic, size_t n);
void kernel_import_call(
	struct ask *a); /* "second"; the caller may name it otherwise, and write to its files */
void image_import_call(struct ask *a);
void volume_create_call(struct ask *a);
void close_fds(struct ask *a);
void import_first(void);         /* kernel "debian" and image "tiny", root's */
void vmm_fault(char c);          /* crash_vmm.c */
void shell(const char *command); /* bash's; it must succeed */

/* ---- crash_world.c ---- */

#define TEXT_MAX 65536

struct text {
	char v[TEXT_MAX];
	size_t n;
};

void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Everything, sorted, one thing a line; equal texts are equal worlds. */
void world_read(struct text *t);
bool world_has_dm(void); /* device-mapper: without it a set makes no loop */

enum strictness {
	J_FAILED,  /* a step has failed: what is left over must be on record, and said */
	J_RESTED,  /* that is a while ago: nothing is on its way any more */
	J_SETTLED, /* nothing may be left over; the end of an operation may have got lost */
	J_STARTED, /* the set has been started anew: nor that */
};

/* What somebody has done to it, and what can therefore not be asked of it. */
extern struct world_excuse {
	bool (*may_be)(uint32_t owner, const char *name,
		       const char *state); /* degraded, failed; NULL: none may */
	bool images;       /* files of images may be missing, or there without a row */
	bool files[64];    /* likewise those of a slot */
	bool consoles[64]; /* likewise: `host gc` takes the files of a slot's VM, not what it has
			      said */
} world_excuse;

/* What is wrong with it, one line a fault that begins with leak, lie or twice; empty: nothing. */
void world_judge(struct text *faults, enum strictness how);

/* Foreign things beside ours: made once, and looked at. */
void decoys_make(void);
void decoys_remove(void);
void decoys_judge(struct text *faults);

/* The VM of that name: state ("" when there is none), slot, the VMM's process (0: none). */
struct seen {
	char id[40], state[16], reason[256];
	unsigned slot, generation;
	pid_t vmm;
	bool nat;
};
struct seen world_vm(const char *name);

/* A VM as its row has it, and two things that the kernel has. */
struct known_vm {
	char id[40], name[64], state[16], reason[256], restart[16]; /* id: upper case */
	uint32_t owner;
	unsigned slot, generation, processes, taps;
	bool nat, wanted;
};
size_t world_vms(struct known_vm *out, size_t room);
/* @table: "images", "kernels" or "volumes". */
bool world_has(const char *table, uint32_t owner, const char *name);

pid_t world_vmm(unsigned slot);

bool world_is(const char *sql); /* it has a row; of any thread */

/* Run SQL on the state database, for what an older or broken program could have left. */
void world_sql(const char *sql);

#endif
