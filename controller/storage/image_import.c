/* image_import.c - takes in an image or a kernel: from descriptors to a named, synced file.
 *
 * An import writes under a temporary name, syncs, then publishes: final name, row.  The name is the
 * digest of the content, so that what two users bring is there once.  image_gc.c takes back. */
#include "controller/storage/image_import.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "controller/db/db.h"
#include "controller/db/preflight.h"
#include "controller/storage/image_files.h"
#include "controller/storage/image_gc.h"

static int check_new_name(const char *name, struct error *e)
{
	if (parse_is_label(name))
		return 0;
	(void)error_set(e, FAIL_USAGE, "name", "\"%s\" can not be a name", name);
	error_hint(e, "1 to 63 of a-z, 0-9 and '-', no '-' at either end");
	return -1;
}

static int choose_kernel(struct ctl *c, const char *name, struct artifact *image, struct error *e)
{
	const struct caller caller = { .uid = image->owner };
	struct artifact k = { .type = ARTIFACT_KERNEL };

	if (db_artifact_find(c->db, &caller, name, &k, e) < 0)
		return -1;
	memcpy(image->kernel, k.name, sizeof(image->kernel));
	memcpy(image->kernel_digest, k.digest, sizeof(image->kernel_digest));
	return 0;
}

static int check_files(const struct ctl *c, enum artifact_type type, struct artifact_source *s,
		       struct error *e)
{
	const struct artifact_kind *kind = &artifact_kinds[type];

	for (size_t i = 0; i < kind->n_files; i++)
		if (file_check(c, s->fds[i], &kind->files[i], &s->sizes[i], e) < 0)
			return -1;
	for (size_t i = 0; i < kind->n_files; i++)
		if (s->sizes[i] < kind->files[i].magic_at + kind->files[i].magic_bytes)
			return error_set(e, FAIL_USAGE, kind->files[i].name,
					 "it is too short for a %s", artifact_noun(type));
	for (size_t i = 0; i < kind->n_files; i++)
		if (kind->files[i].magic && file_check_magic(s->fds[i], &kind->files[i], e) < 0)
			return -1;
	return 0;
}

/* Fill in @a but its digest. */
static int check(struct ctl *c, const struct artifact_import *im, struct artifact_source *s,
		 struct artifact *a, struct error *e)
{
	if (check_new_name(im->name, e) < 0 || work_check(c, im->name, e) < 0 ||
	    (im->kernel && choose_kernel(c, im->kernel, a, e) < 0))
		return -1;
	(void)snprintf(a->name, sizeof(a->name), "%s", im->name);
	if (im->from)
		a->from = *im->from;
	/* Told now rather than after the copy; the row's insertion tells it again. */
	if (db_artifact_check(c->db, a, c->config.max_images_per_owner, e) < 0 ||
	    check_files(c, im->type, s, e) < 0)
		return -1;
	for (size_t i = 0; i < artifact_kinds[im->type].n_files; i++)
		a->size += s->sizes[i];
	return 0;
}

static int publish(struct ctl *c, int dir, const char *temp, const struct artifact *a,
		   struct error *e)
{
	const uint32_t max = c->config.max_images_per_owner;

	if (artifact_folder_lock(dir, e) < 0)
		return -1;
	/* What is there under that digest has the same bytes; loops, or a newer database, may know
	 * of it. */
	if (artifact_is_there(dir, a->type, a->digest))
		return db_artifact_add(c->db, a, max, e);
	if (artifact_mark(dir, a->digest, e) < 0)
		return -1;
	int r = artifact_kinds[a->type].publish(dir, temp, a->digest, e);
	if (r == 0)
		r = db_artifact_add(c->db, a, max, e);
	artifact_settle(c, dir, a->type, a->digest);
	return r;
}

int artifact_import(struct ctl *c, const struct operation *o, struct artifact_import *im,
		    struct error *e)
{
	const struct artifact_kind *kind = &artifact_kinds[im->type];
	struct artifact_source s = { .o = o, .fds = im->fds };
	struct artifact a = { .type = im->type, .owner = operation_asker(o) };
	char temp[64];

	operation_stage(o, "check", "");
	if (check(c, im, &s, &a, e) < 0)
		return -1;
	_cleanup_close_ int dir = artifact_folder(&c->config, im->type, e);
	if (dir < 0)
		return -1;
	(void)snprintf(temp, sizeof(temp), ARTIFACT_TEMP "%s", o->hex);
	operation_stage(o, "copy", "");
	int r = kind->copy(&s, dir, temp, a.digest, e);
	operation_stage(o, "publish", "");
	if (r == 0)
		r = publish(c, dir, temp, &a, e);
	kind->discard(dir, temp);
	memcpy(im->digest, a.digest, sizeof(im->digest));
	return r;
}

int image_tag(struct ctl *c, const struct operation *o, const char *image, const char *name,
	      struct error *e)
{
	const struct caller caller = { .uid = operation_asker(o) };
	struct artifact a = { .type = ARTIFACT_IMAGE };

	if (check_new_name(name, e) < 0 || work_check(c, name, e) < 0 ||
	    db_artifact_find(c->db, &caller, image, &a, e) < 0)
		return -1;
	_cleanup_close_ int dir = artifact_folder(&c->config, ARTIFACT_IMAGE, e);
	if (dir < 0 || artifact_folder_lock(dir, e) < 0)
		return -1;
	/* Under the lock no delete is between its row and its file. */
	if (!artifact_is_there(dir, ARTIFACT_IMAGE, a.digest))
		return error_set(e, FAIL_NOT_FOUND, image, "it was deleted meanwhile");
	a.owner = caller.uid;
	(void)snprintf(a.name, sizeof(a.name), "%s", name);
	return db_artifact_add(c->db, &a, c->config.max_images_per_owner, e);
}
