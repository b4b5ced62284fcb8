/* image_gc.c - removes files of images, kernels and volumes that no row names.
 *
 * A delete takes back what an import did, in the opposite order: row, files.  Between the two steps
 * of either, the files may be without a row.  A marker says so, and a start that finds it asks the
 * database whether the files stay.  Without a marker nothing but `host gc`, which a person asks
 * for, removes them, so that a lost database does not take the images with it. */
#include "controller/storage/image_gc.h"

#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/storage/image_files.h"
#include "controller/storage/slot_folder.h"

/* ---- does any row have this digest? ---- */

struct wanted {
	const char *digest;
	bool found;
};

static int match(void *arg, const struct artifact *a)
{
	struct wanted *w = arg;

	w->found |= strcmp(a->digest, w->digest) == 0;
	return 0;
}

/* 1, 0, or -1: then nothing may be removed. */
static int has_row(struct ctl *c, enum artifact_type type, const char *digest)
{
	struct wanted w = { digest, false };
	const struct artifact_walk walk = { .type = type, .fn = match, .arg = &w };
	struct error e = { 0 };

	return db_artifact_each(c->db, &walk, &e) < 0 ? -1 : w.found;
}

/* Return: whether nothing is left under that name.  Of a kernel's files the next start removes what
 * could not be now. */
static bool retire(int dir, enum artifact_type type, const char *digest)
{
	artifact_kinds[type].retire(dir, digest);
	return !artifact_is_there(dir, type, digest);
}

void artifact_settle(struct ctl *c, int dir, enum artifact_type type, const char *digest)
{
	int found = has_row(c, type, digest);

	/* Else the marker stays, for the next start. */
	if (found > 0 || (found == 0 && retire(dir, type, digest)))
		artifact_unmark(dir, digest);
}

/* ---- delete ---- */

static int used(const struct artifact *a, const char *name, struct error *e)
{
	(void)error_set(e, FAIL_STATE, name, "it is in use by %u %s%s%s%s", a->used_by,
			artifact_kinds[a->type].user, a->used_by == 1 ? "" : "s",
			a->users[0] ? ": " : "", a->users);
	error_hint(e, "delete %s first", a->used_by == 1 ? "it" : "them");
	return -1;
}

/* A disk without room for a marker must not keep anything from being deleted: a crash then leaves
 * what `host gc` finds. */
static int mark_if_room(int dir, const char *digest, struct error *e)
{
	return artifact_mark(dir, digest, e) == 0 || e->code == FAIL_HOST ? 0 : -1;
}

int artifact_delete(struct ctl *c, const struct operation *o, enum artifact_type type,
		    const char *name, struct error *e)
{
	const struct caller caller = { .uid = operation_asker(o) };
	struct artifact a = { .type = type };
	bool last;

	if (db_artifact_find(c->db, &caller, name, &a, e) < 0)
		return -1;
	if (!access_allows(&caller, ACCESS_REMOVE, a.owner))
		return error_set(e, FAIL_NOT_ALLOWED, name, "the %s is not yours",
				 artifact_noun(type));
	if (a.used_by)
		return used(&a, name, e);
	_cleanup_close_ int dir = artifact_folder(&c->config, type, e);
	if (dir < 0 || artifact_folder_lock(dir, e) < 0 || mark_if_room(dir, a.digest, e) < 0)
		return -1;
	int r = db_artifact_delete(c->db, &a, &last, e);
	artifact_settle(c, dir, type, a.digest);
	return r;
}

/* ---- at start ---- */

static void sweep_entry(struct ctl *c, int dir, enum artifact_type type, const char *name)
{
	if (strncmp(name, ARTIFACT_MARKER, strlen(ARTIFACT_MARKER)) == 0)
		artifact_settle(c, dir, type, name + strlen(ARTIFACT_MARKER));
	else if (strncmp(name, ARTIFACT_TEMP, strlen(ARTIFACT_TEMP)) == 0)
		artifact_kinds[type].discard(dir, name);
}

static int sweep(struct ctl *c, enum artifact_type type, struct error *e)
{
	DIR *d = artifact_folder_list(&c->config, type, e);
	struct dirent *entry;

	if (!d)
		return -1;
	while ((entry = readdir(d)))
		sweep_entry(c, dirfd(d), type, entry->d_name);
	(void)closedir(d);
	return 0;
}

int images_sweep(struct ctl *c, struct error *e)
{
	for (enum artifact_type type = 0; type < ARTIFACT_TYPES; type++)
		if (sweep(c, type, e) < 0)
			return -1;
	return 0;
}

/* ---- by a person ---- */

struct gc {
	struct ctl *c;
	int dir; /* another open file than the walk's, for the lock */
	enum artifact_type type;
	bool dry_run;
	void (*tell)(void *arg, const char *line);
	void *arg;
	int failed;
	struct error *e; /* why a look failed; FAIL_NONE: none has */
};

/* Under the folder's lock, so that nothing is between its file and its row.  Return: whether no row
 * names it. */
static bool take_away(struct gc *g, const char *digest)
{
	int named = artifact_is_there(g->dir, g->type, digest) ? has_row(g->c, g->type, digest) : 1;

	if (named < 0)
		(void)error_set(g->e, FAIL_HOST, "images", "the state database can not be read");
	if (named)
		return false;
	if (g->dry_run)
		return true;
	/* No marker: what is cut in the middle no row names either, and the next one finds it. */
	if (retire(g->dir, g->type, digest))
		artifact_unmark(g->dir, digest);
	else
		g->failed++;
	return true;
}

/* A marker of this digest does not matter: under the lock its import or delete has ended. */
static void collect(void *arg, int dir, const char *digest)
{
	struct gc *g = arg;
	char line[96];

	(void)dir;
	if (g->e->code != FAIL_NONE || artifact_folder_lock(g->dir, g->e) < 0)
		return;
	bool took = take_away(g, digest);
	(void)flock(g->dir, LOCK_UN); /* who is told may be slow */
	(void)snprintf(line, sizeof(line), "%s %.12s: files that no row names",
		       artifact_noun(g->type), digest);
	if (took)
		g->tell(g->arg, line);
}

static int collect_all(struct gc *g)
{
	struct error why = { 0 };
	_cleanup_close_ int dir = artifact_folder(&g->c->config, g->type, &why);

	g->dir = dir;
	if (dir >= 0 && artifact_files_each(&g->c->config, g->type, collect, g, &why) == 0 &&
	    (g->dry_run || fsync(dir) == 0))
		return 0;
	if (why.code == FAIL_NONE)
		return storage_fail(artifact_kinds[g->type].folder, g->e);
	*g->e = why;
	return -1;
}

int images_gc(struct ctl *c, bool dry_run, void (*tell)(void *arg, const char *line), void *arg,
	      struct error *e)
{
	struct gc g = { .c = c, .dry_run = dry_run, .tell = tell, .arg = arg, .e = e };

	e->code = FAIL_NONE;
	for (g.type = ARTIFACT_IMAGE; g.type < ARTIFACT_TYPES; g.type++)
		if (collect_all(&g) < 0)
			return -1;
	return e->code == FAIL_NONE ? g.failed : -1;
}
