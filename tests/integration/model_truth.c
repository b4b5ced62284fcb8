/* See model.h.
 *
 * Theory of operation.  The model does not follow the set step by step; it keeps, for each VM, what
 * it may be by now.  An answer that comes narrows that, one that got lost widens it, and a
 * settling, when all is said to be in order, leaves one.  While nothing has been disturbed each
 * answer is known beforehand. */
#include <string.h>

#include "tests/integration/model.h"

#define CODE(c) (1u << (c))
#define LOST CODE(FAIL_COUNT) /* no answer */
#define TROUBLE                                                                                 \
	(LOST | CODE(FAIL_GENERAL) | CODE(FAIL_STATE) | CODE(FAIL_LIMIT) | CODE(FAIL_TIMEOUT) | \
	 CODE(FAIL_UNREACHABLE) | CODE(FAIL_HOST) | CODE(FAIL_PARTLY))
#define REST (CREATED | STOPPED)
enum { OFF = 1, ON = 2 };
enum { POLICY_NO = 1, POLICY_FAILURE = 2, POLICY_ALWAYS = 4 };

static struct truth {
	unsigned can, nat, policy; /* sets */
	unsigned before, asked;    /* when the newest request went out; how many are under way */
	bool loose;                /* two at once: anything may have come of it */
	bool hurt;                 /* what runs may lack its tap */
	bool restless;             /* it may be started by its policy */
	bool spoiled;              /* files of its are gone */
	char id[40];
} vms[USERS][NAMES];

static unsigned images[USERS + 1]; /* NONE, CREATED */
static bool images_spoiled[USERS + 1], kernel_spoiled, images_loose[USERS + 1];
static bool disturbed, uncounted;
static struct {
	unsigned generation;
	char id[40];
} newest[SLOTS_HERE];

static const char *const states[] = { "", "created", "stopped", "running", "degraded", "failed" };

static unsigned bit_of(const char *state)
{
	for (unsigned i = 1; i < 6; i++)
		if (strcmp(states[i], state) == 0)
			return 1u << i;
	return 0;
}

static const char *set_text(unsigned can)
{
	static char out[80];
	size_t n = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < 6; i++)
		if (can & 1u << i)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s", n ? "|" : "",
					      i ? states[i] : "none");
	return out;
}

/* What a restart policy, or a look at what it lacks, may make of it meanwhile. */
static unsigned widened(const struct truth *v, unsigned can)
{
	can |= v->restless && can & REST ? REST | RUNNING : 0;
	return v->hurt && can & RUNNING ? can | DEGRADED : can;
}

static bool may_be(uint32_t owner, const char *name, const char *state)
{
	for (unsigned u = 0; u < USERS; u++)
		for (unsigned m = 0; m < NAMES; m++)
			if (uid_of(u) == owner && strcmp(vm_name(m), name) == 0)
				return vms[u][m].loose ||
				       widened(&vms[u][m], vms[u][m].can) & bit_of(state);
	return false;
}

void truth_begin(void)
{
	memset(vms, 0, sizeof(vms));
	memset(newest, 0, sizeof(newest));
	memset(images_spoiled, 0, sizeof(images_spoiled));
	memset(images_loose, 0, sizeof(images_loose));
	memset(&world_excuse, 0, sizeof(world_excuse));
	world_excuse.may_be = may_be;
	for (unsigned u = 0; u < USERS; u++) {
		images[u] = NONE;
		for (unsigned m = 0; m < NAMES; m++)
			vms[u][m] = (struct truth){ .can = NONE, .nat = OFF, .policy = POLICY_NO };
	}
	images[USERS] = CREATED;
	disturbed = uncounted = kernel_spoiled = false;
}

static struct truth *vm_of_step(const struct step *s)
{
	return strchr(s->verb->args, 'm') && s->verb->what != W_SPY && s->verb->what != W_NONE
		       ? &vms[s->u][s->m]
		       : NULL;
}

/* ---- what may be answered ---- */

/* Of a request for one that is in @state: what may be said, and what it is then. */
struct after {
	unsigned codes, next;
};

static struct after after_create(const struct step *s, unsigned state)
{
	const unsigned image = images[s->n >= 6 ? s->u : USERS];
	unsigned least = 0, most = 0, all_least = 0, all_most = 0;
	struct after a = { 0, CREATED };

	if (state != NONE)
		a.codes |= CODE(FAIL_STATE);
	if (image & NONE)
		a.codes |= CODE(FAIL_NOT_FOUND);
	for (unsigned u = 0; u < USERS; u++)
		for (unsigned m = 0; m < NAMES; m++) {
			const struct truth *v = &vms[u][m];
			bool surely = !(v->can & NONE) && !v->loose,
			     maybe = v->can != NONE || v->loose;
			all_least += surely;
			all_most += maybe;
			least += surely && u == s->u;
			most += maybe && u == s->u;
		}
	if (uncounted || most >= PER_OWNER || all_most >= SLOTS_HERE)
		a.codes |= CODE(FAIL_LIMIT);
	if (state == NONE && image & CREATED &&
	    (uncounted || (least < PER_OWNER && all_least < SLOTS_HERE)))
		a.codes |= CODE(FAIL_NONE);
	if (kernel_spoiled || images_spoiled[s->n >= 6 ? s->u : USERS] || images_loose[s->u])
		a.codes |= TROUBLE | CODE(FAIL_NONE) | CODE(FAIL_NOT_FOUND);
	return a;
}

static struct after after(const struct step *s, unsigned state)
{
	const struct truth *v = &vms[s->u][s->m];
	const unsigned ok = CODE(FAIL_NONE), none = CODE(FAIL_NOT_FOUND);

	if (s->verb->what == W_CREATE)
		return after_create(s, state);
	if (state == NONE)
		return (struct after){ none, NONE };
	switch (s->verb->what) {
	case W_START:
		if (state == FAILED || state == DEGRADED)
			return (struct after){ CODE(FAIL_STATE), state };
		return (struct after){ v->spoiled ? ok | TROUBLE | none : ok, RUNNING };
	case W_STOP:
	case W_KILL:
		return (struct after){ ok, state & (RUNNING | DEGRADED) ? STOPPED : state };
	case W_DELETE:
		return (struct after){ ok, NONE };
	case W_HOLD: /* and the loss of the holder */
		return (struct after){ ok, s->n                           ? NONE
					   : state & (RUNNING | DEGRADED) ? STOPPED
									  : state };
	case W_NAT:
		return (struct after){ state == DEGRADED ? ok | TROUBLE : ok, state };
	default:
		return (struct after){ ok, state };
	}
}

/* Of all that it may be in. */
static struct after after_any(const struct step *s, unsigned can)
{
	struct after all = { 0, 0 };

	for (unsigned state = 1; state < ANY; state <<= 1)
		if (can & state) {
			struct after a = after(s, state);
			all.codes |= a.codes;
			all.next |= a.next;
		}
	return all;
}

static unsigned codes_of_image(const struct step *s)
{
	const unsigned is = images[s->u];
	bool used = false;
	unsigned codes = 0;

	if (images_loose[s->u])
		return TROUBLE | CODE(FAIL_NONE) | CODE(FAIL_NOT_FOUND);
	if (s->verb->what == W_IMAGE)
		return (is & CREATED ? CODE(FAIL_STATE) : 0) | (is & NONE ? CODE(FAIL_NONE) : 0) |
		       (images_spoiled[s->u] || !(images[USERS] & CREATED)
				? TROUBLE | CODE(FAIL_NOT_FOUND)
				: 0);
	for (unsigned m = 0; m < NAMES; m++)
		used |= vms[s->u][m].can != NONE ||
			vms[s->u][m].loose; /* or it uses the other one */
	codes |= is & NONE ? CODE(FAIL_NOT_FOUND) : 0;
	codes |= is & CREATED ? CODE(FAIL_NONE) : 0;
	return used && is & CREATED ? codes | CODE(FAIL_STATE) : codes;
}

static unsigned allowed(const struct step *s)
{
	const struct truth *v = vm_of_step(s);
	unsigned codes = 0;

	if (v)
		codes = after_any(s, widened(v, v->before)).codes;
	else if (s->verb->what == W_IMAGE || s->verb->what == W_IMAGE_DELETE)
		codes = codes_of_image(s);
	else if (s->verb->what == W_SPY)
		codes = s->u ? CODE(FAIL_NOT_FOUND)
			     : ~0u; /* root may; the generator does not ask him to */
	else if (s->verb->what == W_LIST)
		codes = CODE(FAIL_NONE);
	else
		codes = s->u && !s->as_root ? CODE(FAIL_NOT_ALLOWED) : CODE(FAIL_NONE);
	if (v && v->loose)
		codes |= TROUBLE | CODE(FAIL_NONE) | CODE(FAIL_NOT_FOUND);
	return disturbed ? codes | TROUBLE : codes;
}

/* ---- requests ---- */

void truth_asked(const struct step *s)
{
	struct truth *v = vm_of_step(s);

	/* Its image may come or go before a request that nobody waits for is looked at. */
	if (s->verb->what == W_IMAGE || s->verb->what == W_IMAGE_DELETE ||
	    (s->verb->what == W_CREATE && s->n >= 6))
		images_loose[s->u] |= s->behind;
	if (!v)
		return;
	v->loose |= v->asked++ > 0;
	v->before = v->can;
	if (s->verb->what == W_CREATE || s->verb->what == W_DELETE)
		uncounted |= s->behind;
	if (s->verb->what == W_START || s->verb->what == W_POLICY)
		v->restless |= (v->policy | (s->verb->what == W_POLICY ? 1u << s->n : 0)) &
			       ~POLICY_NO;
	if (s->behind)
		v->can |= after_any(s, v->can).next;
}

static void note_change(struct truth *v, const struct step *s, bool done)
{
	unsigned nat = s->verb->what == W_NAT || s->verb->what == W_CREATE ? (s->n & 1 ? ON : OFF)
									   : 0;
	unsigned policy = s->verb->what == W_POLICY   ? 1u << s->n
			  : s->verb->what == W_CREATE ? POLICY_NO
						      : 0;

	if (nat)
		v->nat = done ? nat : v->nat | nat;
	if (policy)
		v->policy = done ? policy : v->policy | policy;
	if (done && (s->verb->what == W_STOP || s->verb->what == W_KILL ||
		     s->verb->what == W_DELETE || s->verb->what == W_HOLD ||
		     s->verb->what == W_CREATE || (s->verb->what == W_POLICY && s->n == 0)))
		v->restless = false;
}

static void vm_answered(struct truth *v, const struct step *s, const struct ask *a, unsigned code)
{
	unsigned can = 0, was = widened(v, v->before);

	for (unsigned state = 1; state < ANY; state <<= 1) {
		struct after x = after(s, state);
		if (was & state && x.codes & code)
			can |= code == CODE(FAIL_NONE) ? x.next : state;
	}
	if (code != CODE(FAIL_NONE) && disturbed)
		can |= was | after_any(s, was).next |
		       (was & (RUNNING | DEGRADED) || s->verb->what == W_START ? REST : 0) |
		       (s->verb->what == W_DELETE || s->verb->what == W_HOLD ||
					s->verb->what == W_CREATE
				? FAILED | NONE
				: 0);
	v->can = v->loose ? ANY : can;
	if (code == CODE(FAIL_NONE) &&
	    (s->verb->what == W_STOP || s->verb->what == W_KILL || s->verb->what == W_DELETE ||
	     s->verb->what == W_HOLD ||
	     (s->verb->what == W_START && !a->result.res_vm_start.already)))
		v->hurt = false;
	if (s->verb->what == W_CREATE && code == CODE(FAIL_NONE)) {
		SET(v->id, a->result.res_vm_create.id);
		v->spoiled &= s->behind; /* then they may be gone again since */
		world_excuse.files[a->result.res_vm_create.slot] &= s->behind;
	}
	if (code == CODE(FAIL_NONE) || code & TROUBLE)
		note_change(v, s, code == CODE(FAIL_NONE) && !v->loose);
}

void truth_answered(const struct step *s, const struct ask *a, struct text *faults)
{
	struct truth *v = vm_of_step(s);
	const unsigned code = a->code < 0 ? LOST : CODE(a->code), may = allowed(s);
	const enum what w = s->verb->what;

	if (!(code & may) && !(v && v->asked > 1))
		text_add(faults,
			 "lie %s is answered %d (%s: %s), and the model has %#x for one that is "
			 "%s\n",
			 s->verb->name, a->code, a->error.what, a->error.why, may,
			 v ? set_text(v->before) : "no VM");
	if (code != LOST && code != CODE(FAIL_NONE) && (!a->error.what[0] || !a->error.why[0]))
		text_add(faults, "lie %s fails without a reason\n", s->verb->name);
	if (v) {
		vm_answered(v, s, a, code);
		v->asked--;
	}
	if (w == W_IMAGE || w == W_IMAGE_DELETE) {
		unsigned done = w == W_IMAGE ? CREATED : NONE;
		if (code == CODE(FAIL_NONE) && !images_loose[s->u])
			images[s->u] = done;
		else if (code & TROUBLE && disturbed)
			images[s->u] |= done;
		if (code == CODE(FAIL_NONE) && w == W_IMAGE)
			images_spoiled[s->u] = false;
	}
}

/* ---- disturbances ---- */

void truth_disturbed(void)
{
	disturbed = uncounted = true;
	/* What was asked for before may fail too. */
}

bool truth_is_calm(void)
{
	return !disturbed && !truth_any_restless();
}

/* One that is to run always, and could, and does not. */
bool truth_waits_for_policy(void)
{
	static struct known_vm known[64];
	size_t n = world_vms(known, 64);

	for (size_t i = 0; i < n; i++)
		for (unsigned u = 0; u < USERS; u++)
			for (unsigned m = 0; m < NAMES; m++)
				if (known[i].owner == uid_of(u) &&
				    strcmp(known[i].name, vm_name(m)) == 0 && known[i].wanted &&
				    strcmp(known[i].restart, "always") == 0 &&
				    bit_of(known[i].state) & REST && !vms[u][m].spoiled)
					return true;
	return false;
}

/* By its row: an answer that got lost told nobody. */
bool truth_slot(unsigned u, unsigned m, unsigned *slot)
{
	static struct known_vm known[64];
	size_t n = world_vms(known, 64);

	for (size_t i = 0; i < n; i++)
		if (known[i].owner == uid_of(u) && strcmp(known[i].name, vm_name(m)) == 0) {
			*slot = known[i].slot;
			return true;
		}
	return false;
}

const char *truth_id(unsigned u, unsigned m)
{
	return vms[u][m].id;
}

void truth_vmm_died(unsigned u, unsigned m)
{
	struct truth *v = &vms[u][m];

	if (widened(v, v->can) & (RUNNING | DEGRADED) || v->asked)
		v->can = (v->can & ~(unsigned)(RUNNING | DEGRADED)) | REST;
	v->loose |= v->asked > 0;
}

/* What a stop could not give back is tried again, and is settled later. */
void truth_unheld(unsigned u, unsigned m)
{
	vms[u][m].loose |= disturbed;
}

void truth_tap_gone(unsigned u, unsigned m)
{
	struct truth *v = &vms[u][m];

	v->loose |= v->asked > 0;
	v->hurt |= widened(v, v->can) & RUNNING;
}

void truth_all(void (*fn)(unsigned u, unsigned m))
{
	for (unsigned u = 0; u < USERS; u++)
		for (unsigned m = 0; m < NAMES; m++)
			fn(u, m);
}

void truth_files_gone(unsigned u, unsigned m)
{
	unsigned slot;

	vms[u][m].spoiled = true;
	vms[u][m].loose |= vms[u][m].asked > 0;
	if (truth_slot(u, m, &slot))
		world_excuse.files[slot] = true;
}

void truth_kernel_gone(void)
{
	kernel_spoiled = true;
	world_excuse.images = true;
}

void truth_image_gone(unsigned u)
{
	images_spoiled[u] = true;
	world_excuse.images = true;
}

void truth_db_gone(void)
{
	for (unsigned u = 0; u < USERS; u++) {
		images[u] = NONE;
		for (unsigned m = 0; m < NAMES; m++)
			vms[u][m] = (struct truth){ .can = NONE, .nat = OFF, .policy = POLICY_NO };
	}
	images[USERS] = NONE;
	memset(newest, 0, sizeof(newest));
	world_excuse.images = true;
	memset(world_excuse.files, true, sizeof(world_excuse.files));
}

void truth_images_back(void)
{
	images[USERS] = CREATED;
	memset(images_spoiled, 0, sizeof(images_spoiled));
	kernel_spoiled = false;
}

/* Files without a row are gone.  Return: whether any had been excused. */
bool truth_collected(void)
{
	static struct known_vm known[64];
	size_t n = world_vms(known, 64);
	bool any = world_excuse.images, has_row[64] = { false };

	world_excuse.images = false;
	for (size_t i = 0; i < n; i++)
		has_row[known[i].slot % 64] = true;
	for (unsigned i = 0; i < 64; i++) {
		any |= world_excuse.files[i] && !has_row[i];
		world_excuse.consoles[i] |= world_excuse.files[i];
		world_excuse.files[i] &= has_row[i];
	}
	return any;
}

bool truth_any_restless(void)
{
	for (unsigned u = 0; u < USERS; u++)
		for (unsigned m = 0; m < NAMES; m++)
			if (vms[u][m].restless)
				return true;
	return false;
}

/* ---- settled ---- */

static void judge_generation(const struct known_vm *k, struct text *faults)
{
	if (k->slot >= SLOTS_HERE) {
		text_add(faults, "lie slot %u is beyond the last\n", k->slot);
		return;
	}
	bool same = strcmp(newest[k->slot].id, k->id) == 0;
	if (same ? k->generation != newest[k->slot].generation
		 : k->generation <= newest[k->slot].generation)
		text_add(faults, "twice generation %u of slot %u, after %u\n", k->generation,
			 k->slot, newest[k->slot].generation);
	newest[k->slot].generation = k->generation;
	SET(newest[k->slot].id, k->id);
}

static void judge_vm(unsigned u, unsigned m, const struct known_vm *k, struct text *faults)
{
	struct truth *v = &vms[u][m];
	unsigned is = k ? bit_of(k->state) : NONE, policy = POLICY_NO;

	if (!v->loose && !(is & widened(v, v->can)))
		text_add(faults, "lie %u/%s is %s (%s), and the model has %s\n", uid_of(u),
			 vm_name(m), k ? k->state : "not there", k ? k->reason : "",
			 set_text(v->can));
	if (!k) {
		*v = (struct truth){ .can = NONE, .nat = OFF, .policy = POLICY_NO };
		return;
	}
	policy = strcmp(k->restart, "always") == 0 ? POLICY_ALWAYS
		 : strcmp(k->restart, "no") == 0   ? POLICY_NO
						   : POLICY_FAILURE;
	if (!v->loose && !(v->nat & (k->nat ? ON : OFF)))
		text_add(faults, "lie %u/%s has NAT %d\n", uid_of(u), vm_name(m), k->nat);
	if (!v->loose && !(v->policy & policy))
		text_add(faults, "lie %u/%s has the policy %s\n", uid_of(u), vm_name(m),
			 k->restart);
	judge_generation(k, faults);
	v->can = is;
	v->nat = k->nat ? ON : OFF;
	v->policy = policy;
	v->hurt = is == DEGRADED;
	v->restless = k->wanted && policy != POLICY_NO;
	v->loose = false;
	for (size_t i = 0; i < sizeof(v->id); i++)
		v->id[i] = k->id[i] >= 'A' && k->id[i] <= 'F' ? (char)(k->id[i] - 'A' + 'a')
							      : k->id[i];
}

/* What a user sees is what is written of theirs, and nothing else. */
static void judge_list(unsigned u, const struct known_vm *known, size_t n, struct text *faults)
{
	static struct ev_vm rows[64];
	static struct ask a;
	size_t theirs = 0;

	memset(&a, 0, sizeof(a));
	a.id = CALL_VM_LIST;
	a.uid = uid_of(u);
	a.rows = rows;
	a.room = 64;
	if (request(&a) != 0) {
		text_add(faults, "lie uid %u can not list its VMs: %s\n", a.uid, a.error.why);
		return;
	}
	for (size_t i = 0; i < n; i++)
		theirs += known[i].owner == a.uid;
	if (theirs != a.n_rows && !truth_any_restless())
		text_add(faults, "lie uid %u has %zu VMs and is told of %zu\n", a.uid, theirs,
			 a.n_rows);
	for (size_t i = 0; i < a.n_rows; i++)
		if (rows[i].owner != a.uid)
			text_add(faults, "lie uid %u is told of a VM of uid %u\n", a.uid,
				 (unsigned)rows[i].owner);
}

void truth_settled(struct text *faults)
{
	static struct known_vm known[64];
	size_t n = world_vms(known, 64), found = 0;
	char name[16];

	for (unsigned u = 0; u < USERS; u++) {
		for (unsigned m = 0; m < NAMES; m++) {
			const struct known_vm *k = NULL;
			for (size_t i = 0; i < n; i++)
				if (known[i].owner == uid_of(u) &&
				    strcmp(known[i].name, vm_name(m)) == 0)
					k = &known[i];
			found += k != NULL;
			judge_vm(u, m, k, faults);
		}
		judge_list(u, known, n, faults);
		(void)snprintf(name, sizeof(name), "own%u", u);
		bool is = world_has("images", uid_of(u), name);
		if (!images_loose[u] && !(images[u] & (is ? CREATED : NONE)))
			text_add(faults, "lie image %s is %sthere\n", name, is ? "" : "not ");
		images[u] = is ? CREATED : NONE;
		images_loose[u] = false;
	}
	if (found != n)
		text_add(faults, "lie there are VMs that nobody made\n");
	disturbed = uncounted = false;
}
