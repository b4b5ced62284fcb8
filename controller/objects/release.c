/* release.c - releases all objects that a VM may hold, in reverse order of making.
 *
 * The candidates are the rows of the ledger, the objects that the runtime names (a VM row of an
 * older schema has no ledger rows), and the objects that a caller found in the inventory.  A
 * needless removal costs one request, a missed object stays on the host. */
#include "controller/objects/release.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "controller/db/db.h"
#include "controller/objects/object.h"
#include "controller/paths.h"
#include "controller/vmm/watch.h"

#define SWEEP_MOST 20000 /* entries that one call removes, in about a third of a second */

struct pass {
	struct ledger_row held[OBJ_COUNT]; /* indexed by kind; kind 0: not held */
	struct ledger_row left[OBJ_COUNT];
	size_t n_left;
	bool unswept;        /* files are left in the run folder */
	struct error joined; /* code FAIL_NONE: nothing failed */
};

static void join(struct pass *p, const char *what, const struct error *e)
{
	size_t n = strlen(p->joined.why);

	(void)snprintf(p->joined.why + n, sizeof(p->joined.why) - n, "%s%s: %s", n ? "; " : "",
		       what, e->why);
	if (p->joined.code == FAIL_NONE) {
		p->joined.code = e->code;
		memcpy(p->joined.hint, e->hint, sizeof(p->joined.hint));
	}
}

/* Collect the candidates of a release.  If the ledger can not be read, every kind is a candidate:
 * the roles answer whether the object exists. */
static void collect(struct ctl *c, const struct vm *vm, unsigned listed, struct pass *p)
{
	struct ledger_row rows[OBJ_COUNT];
	struct error e = { 0 };
	size_t n = 0;
	bool blind = db_ledger_rows(c->db, vm->id, rows, &n, &e) < 0;

	/* The release goes on: the roles tell which objects are left, and the rows are written
	 * anew. */
	if (blind)
		log_warn("%s: its ledger can not be read: %s", vm->name, e.why);
	for (size_t i = 0; !blind && i < n; i++)
		p->held[rows[i].kind] = rows[i];
	for_each_object(kind)
	{
		bool held = blind || (listed & 1u << kind) || object_named(vm, kind);
		if (!p->held[kind].kind && held)
			p->held[kind] = (struct ledger_row){ .kind = kind,
							     .state = LEDGER_PRESENT,
							     .ident = -1 };
	}
}

static void give_back(struct ctl *c, const struct vm *vm, struct ledger_row *row,
		      const struct operation *o, struct pass *p)
{
	struct error e = { 0 };

	if (object_release(c, vm, row->kind, o, &e) == 0)
		return;
	row->state = LEDGER_RELEASING;
	(void)snprintf(row->error, sizeof(row->error), "%.*s", (int)sizeof(row->error) - 1, e.why);
	p->left[p->n_left++] = *row;
	join(p, object_name(row->kind), &e);
}

static bool is_left(const struct pass *p, enum object kind)
{
	for (size_t i = 0; i < p->n_left; i++)
		if (p->left[i].kind == kind)
			return true;
	return false;
}

/* The folder belongs to the VMM's uid and can contain anything.  Entries are removed by their last
 * component, and never opened or followed.  Their number is only limited by the size of the file
 * system, so one call removes SWEEP_MOST at most. */
bool release_sweep(struct ctl *c, uint32_t slot)
{
	char path[200];
	struct dirent *d;
	unsigned kept = 0, seen = 0;

	path_slot_run(&c->config, slot, "", path);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		close_and_reset(&fd);
		return true;
	}
	while ((d = readdir(dir)) && seen < SWEEP_MOST) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		seen++;
		kept += unlinkat(dirfd(dir), d->d_name, 0) < 0 &&
			unlinkat(dirfd(dir), d->d_name, AT_REMOVEDIR) < 0;
	}
	if (kept)
		log_warn("slot %u: %u entries of its run folder can not be removed", slot, kept);
	(void)closedir(dir);
	return !d;
}

static void sweep(struct ctl *c, uint32_t slot, struct pass *p)
{
	struct error e = { 0 };

	if (release_sweep(c, slot))
		return;
	p->unswept = true;
	(void)error_set(&e, FAIL_HOST, "", "its VMM left more than %u files there", SWEEP_MOST);
	join(p, "run folder", &e);
}

/* Clear the runtime fields of objects that are gone.  A field stays while another object that it
 * implies is left: in a VM row of an older schema only the field leads to that object. */
static void forget_gone(struct vm *vm, const struct pass *p)
{
	bool names_left[OBJ_COUNT] = { false };

	for (size_t i = 0; i < p->n_left; i++)
		names_left[object_named_by(p->left[i].kind)] = true;
	for_each_object(kind) if (!names_left[kind]) object_forget(vm, kind);
	if (p->n_left == 0)
		vm_clear_runtime(vm);
}

static int finish(struct pass *p, const struct vm *vm, struct error *e)
{
	if (p->joined.code == FAIL_NONE)
		return 0;
	*e = p->joined;
	(void)snprintf(e->what, sizeof(e->what), "%s", vm->name);
	if (!e->hint[0])
		error_hint(e, "what is left stays on record: stop or delete the VM again to retry");
	return -1;
}

int vm_release_listed(struct ctl *c, struct vm *vm, unsigned listed, enum vm_state to,
		      const struct operation *o, struct error *e)
{
	/* A VM with incomplete files becomes failed, never degraded, since a degraded VM can be
	 * started.  A delete releases it again. */
	const enum vm_state bad = vm_is_incomplete(vm) ? VM_FAILED : VM_DEGRADED;
	struct pass p = { 0 };
	struct error failed = { 0 };

	collect(c, vm, listed, &p);
	for_each_object_reverse(kind) if (p.held[kind].kind) give_back(c, vm, &p.held[kind], o, &p);
	FAILPOINT("release.objects");
	if (!is_left(&p, OBJ_VMM)) {
		if (c->watch)
			watch_remove(c->watch, vm->id);
		sweep(c, vm->slot, &p);
	}
	FAILPOINT("release.swept");
	forget_gone(vm, &p);
	const bool whole = !p.n_left && !p.unswept;
	vm->state = whole ? to : bad;
	if (!whole)
		(void)snprintf(vm->reason, sizeof(vm->reason), "%.*s", (int)sizeof(vm->reason) - 1,
			       p.joined.why);
	if (o)
		memcpy(vm->op, o->hex, sizeof(vm->op));
	if (db_ledger_settle(c->db, vm, p.left, p.n_left, &failed) < 0) {
		join(&p, "state", &failed);
		/* The ledger still has all rows.  The VM's row must agree, so that housekeeping
		 * releases it again. */
		vm->state = bad;
		(void)snprintf(vm->reason, sizeof(vm->reason), "%.*s", (int)sizeof(vm->reason) - 1,
			       p.joined.why);
		(void)db_vm_update(c->db, vm, &failed);
	}
	return finish(&p, vm, e);
}

int vm_release(struct ctl *c, struct vm *vm, enum vm_state to, const struct operation *o,
	       struct error *e)
{
	return vm_release_listed(c, vm, 0, to, o, e);
}

bool vm_release_failed(struct ctl *c, const struct vm *vm)
{
	struct ledger_row rows[OBJ_COUNT];
	struct error e = { 0 };
	size_t n;

	if (db_ledger_rows(c->db, vm->id, rows, &n, &e) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (rows[i].kind == OBJ_VMM && rows[i].state == LEDGER_RELEASING)
			return true;
	return false;
}

bool vm_release_due(struct ctl *c, const struct vm *vm)
{
	if (vm->state == VM_DEGRADED)
		return watch_life(c->watch, vm->id) != WATCH_LIVES || vm_release_failed(c, vm);
	return vm_is_changing(vm);
}
