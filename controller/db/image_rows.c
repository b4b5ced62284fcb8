/* image_rows.c - reads and writes the rows of images, kernels and volumes: tables of one shape. */
#include "controller/db/image_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "controller/db/connection.h"

/* Whole seconds: people read these. */
static void now_text(char out[32])
{
	time_text(clock_wall_ns() / 1000000000u * 1000000000u, out);
	(void)memcpy(out + 19, "Z", 2);
}

/* ?1 is the asker: of the VMs that use an image of root's, a user is told the number of his own
 * alone. */
#define IMAGE_SELECT                                                             \
	"SELECT i.name, i.digest, k.name, k.digest, i.created, i.owner, i.size," \
	" (SELECT count(*) FROM vms v WHERE v.image = i.id"                      \
	" AND (access_vm(?1, v.owner) OR access_remove(?1, i.owner))),"          \
	" '', i.origin, i.config, i.layers"                                      \
	" FROM images i JOIN kernels k ON k.id = i.kernel "
#define KERNEL_SELECT                                                       \
	"SELECT k.name, k.digest, '', '', k.created, k.owner, k.size,"      \
	" (SELECT count(*) FROM images i WHERE i.kernel = k.id"             \
	" AND (access_remove(?1, i.owner) OR access_remove(?1, k.owner)))," \
	" '', '', '', ''"                                                   \
	" FROM kernels k "
#define VOLUME_SELECT                                                                \
	"SELECT o.name, o.digest, '', '', o.created, o.owner, o.size,"               \
	" (SELECT count(*) FROM mounts m WHERE m.volume = o.id),"                    \
	" (SELECT group_concat(v.name, ' ') FROM mounts m JOIN vms v ON v.id = m.vm" \
	" WHERE m.volume = o.id), '', '', ''"                                        \
	" FROM volumes o "

/* What differs between the tables. */
static const struct table {
	const char *noun;
	enum access_verb see; /* who may see and use a row, as `visible` says */
	const char *by_name;  /* ?1 asker, ?2 owner, ?3 name */
	const char *visible;  /* ?1 uid; ids */
	const char *by_id;    /* ?1 asker, ?2 id */
	const char *owned;    /* ?1 owner; how many */
	/* ?1 owner, ?2 name, ?3 digest, ?4 size, ?5 created; of an image also ?6 kernel's id,
	 * ?7 origin, ?8 config, ?9 layers */
	const char *insert;
	const char *last; /* ?1 digest; rows of it */
	/* ?1 owner, ?2 name, ?3 digest: since it was found the name may have got another content */
	const char *remove;
} tables[ARTIFACT_TYPES] = {
	[ARTIFACT_IMAGE] = {
		.noun = "image",
		.see = ACCESS_USE,
		.by_name = IMAGE_SELECT "WHERE i.owner = ?2 AND i.name = ?3",
		.visible = "SELECT id FROM images WHERE access_use(?1, owner) ORDER BY name, owner",
		.by_id = IMAGE_SELECT "WHERE i.id = ?2",
		.owned = "SELECT count(*) FROM images WHERE owner = ?1",
		.insert = "INSERT INTO images(owner, name, digest, size, created, kernel, origin,"
			  " config, layers) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
		.last = "SELECT count(*) FROM images WHERE digest = ?1",
		.remove = "DELETE FROM images WHERE owner = ?1 AND name = ?2 AND digest = ?3"
			  " RETURNING 1",
	},
	[ARTIFACT_KERNEL] = {
		.noun = "kernel",
		.see = ACCESS_USE,
		.by_name = KERNEL_SELECT "WHERE k.owner = ?2 AND k.name = ?3",
		.visible = "SELECT id FROM kernels WHERE access_use(?1, owner)"
			   " ORDER BY name, owner",
		.by_id = KERNEL_SELECT "WHERE k.id = ?2",
		.owned = "SELECT count(*) FROM kernels WHERE owner = ?1",
		.insert = "INSERT INTO kernels(owner, name, digest, size, created)"
			  " VALUES (?1, ?2, ?3, ?4, ?5)",
		.last = "SELECT count(*) FROM kernels WHERE digest = ?1",
		.remove = "DELETE FROM kernels WHERE owner = ?1 AND name = ?2 AND digest = ?3"
			  " RETURNING 1",
	},
	[ARTIFACT_VOLUME] = {
		.noun = "volume",
		.see = ACCESS_VM,
		.by_name = VOLUME_SELECT "WHERE ?1 IS NOT NULL AND o.owner = ?2 AND o.name = ?3",
		.visible = "SELECT id FROM volumes WHERE access_vm(?1, owner)"
			   " ORDER BY name, owner",
		.by_id = VOLUME_SELECT "WHERE ?1 IS NOT NULL AND o.id = ?2",
		.owned = "SELECT count(*) FROM volumes WHERE owner = ?1",
		.insert = "INSERT INTO volumes(owner, name, digest, size, created)"
			  " VALUES (?1, ?2, ?3, ?4, ?5)",
		.last = "SELECT count(*) FROM volumes WHERE digest = ?1",
		.remove = "DELETE FROM volumes WHERE owner = ?1 AND name = ?2 AND digest = ?3"
			  " RETURNING 1",
	},
};

const char *artifact_noun(enum artifact_type type)
{
	return tables[type].noun;
}

static void load(struct query *q, struct artifact *a)
{
	*a = (struct artifact){ .type = a->type };
	q_get_text(q, a->name, sizeof(a->name));
	q_get_text(q, a->digest, sizeof(a->digest));
	q_get_text(q, a->kernel, sizeof(a->kernel));
	q_get_text(q, a->kernel_digest, sizeof(a->kernel_digest));
	q_get_text(q, a->created, sizeof(a->created));
	a->owner = (uint32_t)q_get_int(q);
	a->size = (uint64_t)q_get_int(q);
	a->used_by = (uint32_t)q_get_int(q);
	q_get_text(q, a->users, sizeof(a->users));
	q_get_text(q, a->from.origin, sizeof(a->from.origin));
	q_get_text(q, a->from.config, sizeof(a->from.config));
	q_get_text(q, a->from.layers, sizeof(a->from.layers));
}

/* ---- find ---- */

/* 1 and @a filled, 0 none, -1. */
static int find_owned(struct db *s, uint32_t asker, uint32_t owner, const char *name,
		      struct artifact *a)
{
	struct query q = query(s, tables[a->type].by_name);

	q_int(&q, asker);
	q_int(&q, owner);
	q_text(&q, name);
	int r = q_row(&q);
	if (r > 0)
		load(&q, a);
	return q_end(&q, r);
}

/* The caller's own, then root's, if these are everybody's to use; root may also say "uid/name". */
static int find(struct db *s, const struct caller *c, const char *name, struct artifact *a)
{
	const enum access_verb see = tables[a->type].see;
	const char *slash = strchr(name, '/');
	char number[16];
	uint64_t uid;

	if (!slash) {
		int r = find_owned(s, c->uid, c->uid, name, a);
		return r || !access_allows(c, see, 0) ? r : find_owned(s, c->uid, 0, name, a);
	}
	if ((size_t)(slash - name) >= sizeof(number))
		return 0;
	memcpy(number, name, (size_t)(slash - name));
	number[slash - name] = '\0';
	if (parse_uint(number, 0, UINT32_MAX - 1, &uid) < 0 || !access_allows(c, see, (uid_t)uid))
		return 0;
	return find_owned(s, c->uid, (uint32_t)uid, slash + 1, a);
}

int db_artifact_find(struct db *s, const struct caller *c, const char *name, struct artifact *a,
		     struct error *e)
{
	read_begin(s);
	int r = find(s, c, name, a);
	if (r == 0)
		r = error_set(&s->why, FAIL_NOT_FOUND, name, "there is no such %s",
			      artifact_noun(a->type));
	return read_end(s, r < 0 ? -1 : 0, name, e);
}

/* ---- list ---- */

static int take_visible(struct db *s, const struct artifact_walk *w, struct rowids *ids,
			struct error *e)
{
	read_begin(s);
	struct query q = query(s, tables[w->type].visible);
	q_int(&q, w->asker ? w->asker->uid : 0);
	return read_end(s, rowids_take(&q, ids), artifact_noun(w->type), e);
}

/* 1 and @a filled, 0 deleted meanwhile, -1. */
static int load_id(struct db *s, const struct caller *c, int64_t id, struct artifact *a,
		   struct error *e)
{
	read_begin(s);
	struct query q = query(s, tables[a->type].by_id);
	q_int(&q, c ? c->uid : 0);
	q_int(&q, id);
	int r = q_row(&q);
	if (r > 0)
		load(&q, a);
	return read_end(s, q_end(&q, r), artifact_noun(a->type), e);
}

int db_artifact_each(struct db *s, const struct artifact_walk *w, struct error *e)
{
	struct artifact row = { .type = w->type };
	struct rowids ids;
	int r = take_visible(s, w, &ids, e);

	for (size_t i = 0; i < ids.n && r >= 0; i++)
		if ((r = load_id(s, w->asker, ids.v[i], &row, e)) > 0)
			r = w->fn(w->arg, &row);
	free(ids.v);
	return r < 0 ? -1 : 0;
}

/* ---- add ---- */

/* FAIL_STATE when the owner has something of that name in the table, FAIL_LIMIT when there is no
 * room for more. */
static int check_new(struct db *s, const struct artifact *a, uint32_t max)
{
	struct artifact scratch = { .type = a->type };
	struct error *e = &s->why;
	int64_t has;
	int r = find_owned(s, a->owner, a->owner, a->name, &scratch);

	if (r > 0) {
		(void)error_set(e, FAIL_STATE, a->name, "you have one of that name already");
		error_hint(e, "delete it first, or choose another name");
	}
	struct query q = query(s, tables[a->type].owned);
	q_int(&q, a->owner);
	if (r || q_one_int(&q, 0, &has) < 0)
		return -1;
	if (has < max)
		return 0;
	(void)error_set(e, FAIL_LIMIT, a->name, "you have %lld %ss, and %u are allowed",
			(long long)has, artifact_noun(a->type), max);
	error_hint(e, "delete one, or ask the administrator to raise max_images_per_owner");
	return -1;
}

int db_artifact_check(struct db *s, const struct artifact *a, uint32_t max, struct error *e)
{
	read_begin(s);
	return read_end(s, check_new(s, a, max), a->name, e);
}

static int find_kernel(struct db *s, const struct artifact *image, int64_t *kernel)
{
	struct query q = query(s,
			       "SELECT id FROM kernels WHERE digest = ?1 AND access_use(?2, owner)"
			       " ORDER BY name = ?3 DESC, owner = ?2 DESC, id LIMIT 1");
	q_text(&q, image->kernel_digest);
	q_int(&q, image->owner);
	q_text(&q, image->kernel);
	if (q_one_int(&q, -1, kernel) < 0)
		return -1;
	return *kernel < 0 ? error_set(&s->why, FAIL_NOT_FOUND, image->kernel,
				       "there is no such kernel")
			   : 0;
}

static int add(struct db *s, const struct artifact *a, uint32_t max)
{
	char now[32];
	int64_t kernel = 0;

	if (check_new(s, a, max) < 0 ||
	    (a->type == ARTIFACT_IMAGE && find_kernel(s, a, &kernel) < 0))
		return -1;
	now_text(now);
	struct query q = query(s, tables[a->type].insert);
	q_int(&q, a->owner);
	q_text(&q, a->name);
	q_text(&q, a->digest);
	q_int(&q, (int64_t)a->size);
	q_text(&q, now);
	if (a->type == ARTIFACT_IMAGE) {
		q_int(&q, kernel);
		q_text(&q, a->from.origin);
		q_text(&q, a->from.config);
		q_text(&q, a->from.layers);
	}
	return q_run(&q);
}

int db_artifact_add(struct db *s, const struct artifact *a, uint32_t max, struct error *e)
{
	if (tx_begin(s, e) < 0)
		return -1;
	return tx_end(s, add(s, a, max), a->name, e);
}

/* ---- delete ---- */

static int delete_row(struct db *s, const struct artifact *a, bool *last)
{
	int64_t gone, left;
	struct query q = query(s, tables[a->type].remove);

	q_int(&q, a->owner);
	q_text(&q, a->name);
	q_text(&q, a->digest);
	int r = q_one_int(&q, 0, &gone);
	if (r < 0 && sqlite3_errcode(s->sqlite) == SQLITE_CONSTRAINT) /* ON DELETE RESTRICT */
		return error_set(&s->why, FAIL_STATE, a->name, "it is in use");
	if (r < 0)
		return -1;
	if (!gone)
		return error_set(&s->why, FAIL_NOT_FOUND, a->name, "there is no such %s",
				 artifact_noun(a->type));
	struct query rest = query(s, tables[a->type].last);
	q_text(&rest, a->digest);
	r = q_one_int(&rest, 0, &left);
	*last = r == 0 && left == 0;
	return r;
}

int db_artifact_delete(struct db *s, const struct artifact *a, bool *last, struct error *e)
{
	*last = false;
	if (tx_begin(s, e) < 0)
		return -1;
	return tx_end(s, delete_row(s, a, last), a->name, e);
}
