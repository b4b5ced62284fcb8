/* model.h - what the parts of the model test share.
 *
 * model.c        steps as text, sequences from a seed, the shortest one that still fails
 * model_do.c     doing a step: requests of users, kills, an administrator's vandalism
 * model_truth.c  the model: what may be so, and what may be answered
 * (and crash_set.c, crash_world.c: see crash.h) */
#ifndef BANGER_TESTS_MODEL_H
#define BANGER_TESTS_MODEL_H

#include "tests/integration/crash.h"

#define USERS 4 /* the first is root */
#define NAMES 3 /* of VMs, the same for each user */
#define SLOTS_HERE 8
#define PER_OWNER 3

/* ---- steps ---- */

struct step;

enum what {
	W_NONE,
	W_CREATE,
	W_START,
	W_STOP,
	W_KILL,
	W_DELETE,
	W_NAT,
	W_POLICY,
	W_HOLD,
	W_LOGS,
	W_IMAGE,
	W_IMAGE_DELETE,
	W_SPY,
	W_LIST,
	W_ROOTS
};

struct verb {
	const char *name;
	const char *args;     /* u a user, m a VM's name, w who, n a number below @most */
	unsigned most, often; /* @often: its share among all */
	enum {
		SWARM_ALWAYS,
		SWARM_KILLS,
		SWARM_STOPS,
		SWARM_CLOCKS,
		SWARM_NET,
		SWARM_FILES,
		SWARM_DB,
		SWARM_MANY
	} swarm;
	void (*go)(const struct step *s, struct text *faults);
	void (*fill)(const struct step *s, struct ask *a); /* of a request */
	enum what what; /* that the model knows of; W_ROOTS: one that is root's */
};

struct step {
	const struct verb *verb;
	bool behind, as_root; /* nobody waits for its answer; root does it for the user */
	unsigned u, m, w, n;
};

extern const struct verb verbs[];
extern const unsigned n_verbs;
extern const char *const who_names[];
extern const unsigned n_who;

/* What came to pass, that a sequence which only got refusals is not taken for a test. */
extern struct tally {
	unsigned done, refused, lost, starts, cuts, settled, disturbances;
} * tally;

/* ---- model_do.c ---- */

void world_begin(void); /* a fresh one, with nothing of an earlier one in it */
void world_wipe(void);
void step_do(const struct step *s, struct text *faults);
void steps_end(struct text *faults); /* settle, delete all, and nothing is left */
int request(struct ask *a);          /* answered while what was armed happens */
uint32_t uid_of(unsigned u);
const char *vm_name(unsigned m);

/* ---- model_truth.c ---- */

/* What a VM can be in; more than one when an answer was lost. */
enum can { NONE = 1, CREATED = 2, STOPPED = 4, RUNNING = 8, DEGRADED = 16, FAILED = 32, ANY = 63 };

void truth_begin(void);
void truth_asked(const struct step *s); /* before the request goes out */
void truth_answered(const struct step *s, const struct ask *a, struct text *faults);
void truth_disturbed(void); /* until the next settling, a step may fail that should not */
void truth_settled(struct text *faults); /* against what each user sees and what is written */

/* Where it is; false: it is nowhere. */
bool truth_slot(unsigned u, unsigned m, unsigned *slot);
const char *truth_id(unsigned u, unsigned m); /* "": not known */
void truth_vmm_died(unsigned u, unsigned m);
void truth_unheld(unsigned u, unsigned m);   /* its holder is lost, and it has ended */
void truth_tap_gone(unsigned u, unsigned m); /* it can not be given back to one that runs */
void truth_all(void (*fn)(unsigned u, unsigned m));
void truth_files_gone(unsigned u, unsigned m);
void truth_image_gone(unsigned u); /* USERS: the one of all */
void truth_kernel_gone(void);
void truth_db_gone(void);
void truth_images_back(void);
bool truth_collected(void); /* files that no row names are gone; false: there were none */
bool truth_is_calm(void);   /* nothing has been disturbed since all was in order */
bool truth_waits_for_policy(void);
bool truth_any_restless(void); /* a restart policy may be at work */

#endif
