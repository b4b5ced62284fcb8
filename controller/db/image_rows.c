/* image_rows.c - the rows of images and kernels: two tables of the same shape, a name of an owner for a content. */
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

/* ?1 is the asker: of the VMs that use an image of root's, a user is told the number of his own alone. */
#define IMAGE_SELECT                                                                                   \
	"SELECT i.name, i.digest, k.name, k.digest, i.created, i.owner, i.size,"                       \
	" (SELECT count(*) FROM vms v WHERE v.image = i.id AND (access_vm(?1, v.owner) OR access_remove(?1, i.owner)))" \
	" FROM images i JOIN kernels k ON k.id = i.kernel "
#define KERNEL_SELECT                                                                                  \
	"SELECT k.name, k.digest, k.created, k.owner, k.size,"                                         \
	" (SELECT count(*) FROM images i WHERE i.kernel = k.id AND (access_remove(?1, i.owner) OR access_remove(?1, k.owner)))" \
	" FROM kernels k "

static void image_load(struct query *q, void *out)
{
	struct image *i = out;

	memset(i, 0, sizeof(*i));
	q_get_text(q, i->name, sizeof(i->name));
	q_get_text(q, i->digest, sizeof(i->digest));
	q_get_text(q, i->kernel, sizeof(i->kernel));
	q_get_text(q, i->kernel_digest, sizeof(i->kernel_digest));
	q_get_text(q, i->created, sizeof(i->created));
	i->owner = (uint32_t)q_get_int(q);
	i->size = (uint64_t)q_get_int(q);
	i->used_by = (uint32_t)q_get_int(q);
}

static void kernel_load(struct query *q, void *out)
{
	struct kernel *k = out;

	memset(k, 0, sizeof(*k));
	q_get_text(q, k->name, sizeof(k->name));
	q_get_text(q, k->digest, sizeof(k->digest));
	q_get_text(q, k->created, sizeof(k->created));
	k->owner = (uint32_t)q_get_int(q);
	k->size = (uint64_t)q_get_int(q);
	k->used_by = (uint32_t)q_get_int(q);
}

/* What differs between the two tables. */
struct table {
	const char *noun;
	void (*load)(struct query *q, void *out);
	const char *by_name; /* ?1 asker, ?2 owner, ?3 name */
	const char *visible; /* ?1 uid; ids */
	const char *by_id;   /* ?1 asker, ?2 id */
	const char *owned;   /* ?1 owner; how many */
	const char *last;    /* ?1 digest; rows of it */
	const char *remove;  /* ?1 owner, ?2 name, ?3 digest: since it was found the name may have got another content */
};

static const struct table images = {
	.noun = "image",
	.load = image_load,
	.by_name = IMAGE_SELECT "WHERE i.owner = ?2 AND i.name = ?3",
	.visible = "SELECT id FROM images WHERE access_use(?1, owner) ORDER BY name, owner",
	.by_id = IMAGE_SELECT "WHERE i.id = ?2",
	.owned = "SELECT count(*) FROM images WHERE owner = ?1",
	.last = "SELECT count(*) FROM images WHERE digest = ?1",
	.remove = "DELETE FROM images WHERE owner = ?1 AND name = ?2 AND digest = ?3 RETURNING 1",
};

static const struct table kernels = {
	.noun = "kernel",
	.load = kernel_load,
	.by_name = KERNEL_SELECT "WHERE k.owner = ?2 AND k.name = ?3",
	.visible = "SELECT id FROM kernels WHERE access_use(?1, owner) ORDER BY name, owner",
	.by_id = KERNEL_SELECT "WHERE k.id = ?2",
	.owned = "SELECT count(*) FROM kernels WHERE owner = ?1",
	.last = "SELECT count(*) FROM kernels WHERE digest = ?1",
	.remove = "DELETE FROM kernels WHERE owner = ?1 AND name = ?2 AND digest = ?3 RETURNING 1",
};

/* ---- find ---- */

/* 1 and @out filled, 0 none, -1. */
static int find_owned(struct store *s, const struct table *t, uint32_t asker, uint32_t owner, const char *name,
		      void *out)
{
	struct query q = query(s, t->by_name);

	q_int(&q, asker);
	q_int(&q, owner);
	q_text(&q, name);
	int r = q_row(&q);
	if (r > 0)
		t->load(&q, out);
	return q_end(&q, r);
}

/* The caller's own, then root's, which are everybody's to use; root may also say "uid/name". */
static int find(struct store *s, const struct table *t, const struct caller *c, const char *name, void *out)
{
	const char *slash = strchr(name, '/');
	char number[16];
	uint64_t uid;

	if (!slash) {
		int r = find_owned(s, t, c->uid, c->uid, name, out);
		return r ? r : find_owned(s, t, c->uid, 0, name, out);
	}
	if ((size_t)(slash - name) >= sizeof(number))
		return 0;
	memcpy(number, name, (size_t)(slash - name));
	number[slash - name] = '\0';
	if (parse_uint(number, 0, UINT32_MAX - 1, &uid) < 0 || !access_allows(c, ACCESS_USE, (uid_t)uid))
		return 0;
	return find_owned(s, t, c->uid, (uint32_t)uid, slash + 1, out);
}

static int find_locked(struct store *s, const struct table *t, const struct caller *c, const char *name, void *out,
		       struct error *e)
{
	read_begin(s);
	int r = find(s, t, c, name, out);
	if (r == 0)
		r = error_set(&s->why, FAIL_NOT_FOUND, name, "there is no such %s", t->noun);
	return read_end(s, r < 0 ? -1 : 0, name, e);
}

int store_image_find(struct store *s, const struct caller *c, const char *name, struct image *i, struct error *e)
{
	return find_locked(s, &images, c, name, i, e);
}

int store_kernel_find(struct store *s, const struct caller *c, const char *name, struct kernel *k, struct error *e)
{
	return find_locked(s, &kernels, c, name, k, e);
}

/* ---- list ---- */

static int take_visible(struct store *s, const struct table *t, const struct caller *c, struct rowids *ids,
			struct error *e)
{
	read_begin(s);
	struct query q = query(s, t->visible);
	q_int(&q, c ? c->uid : 0);
	return read_end(s, rowids_take(&q, ids), t->noun, e);
}

/* 1 and @out filled, 0 deleted meanwhile, -1. */
static int load_id(struct store *s, const struct table *t, const struct caller *c, int64_t id, void *out,
		   struct error *e)
{
	read_begin(s);
	struct query q = query(s, t->by_id);
	q_int(&q, c ? c->uid : 0);
	q_int(&q, id);
	int r = q_row(&q);
	if (r > 0)
		t->load(&q, out);
	return read_end(s, q_end(&q, r), t->noun, e);
}

int store_image_each(struct store *s, const struct caller *c, int (*fn)(void *arg, const struct image *i),
		     void *arg, struct error *e)
{
	struct rowids ids;
	struct image row;
	int r = take_visible(s, &images, c, &ids, e);

	for (size_t i = 0; i < ids.n && r >= 0; i++)
		if ((r = load_id(s, &images, c, ids.v[i], &row, e)) > 0)
			r = fn(arg, &row);
	free(ids.v);
	return r < 0 ? -1 : 0;
}

int store_kernel_each(struct store *s, const struct caller *c, int (*fn)(void *arg, const struct kernel *k),
		      void *arg, struct error *e)
{
	struct rowids ids;
	struct kernel row;
	int r = take_visible(s, &kernels, c, &ids, e);

	for (size_t i = 0; i < ids.n && r >= 0; i++)
		if ((r = load_id(s, &kernels, c, ids.v[i], &row, e)) > 0)
			r = fn(arg, &row);
	free(ids.v);
	return r < 0 ? -1 : 0;
}

/* ---- add ---- */

/* FAIL_STATE when the owner has something of that name in the table, FAIL_LIMIT when there is no room for more. */
static int check_new(struct store *s, const struct table *t, uint32_t owner, const char *name, uint32_t max)
{
	struct error *e = &s->why;
	union { struct image i; struct kernel k; } scratch;
	int64_t has;
	int r = find_owned(s, t, owner, owner, name, &scratch);

	if (r > 0) {
		(void)error_set(e, FAIL_STATE, name, "you have one of that name already");
		error_hint(e, "delete it first, or choose another name");
	}
	struct query q = query(s, t->owned);
	q_int(&q, owner);
	if (r || q_one_int(&q, 0, &has) < 0)
		return -1;
	if (has < max)
		return 0;
	(void)error_set(e, FAIL_LIMIT, name, "you have %lld %ss, and %u are allowed", (long long)has, t->noun, max);
	error_hint(e, "delete one, or ask the administrator to raise max_images_per_owner");
	return -1;
}

static int check_locked(struct store *s, const struct table *t, uint32_t owner, const char *name, uint32_t max,
			struct error *e)
{
	read_begin(s);
	return read_end(s, check_new(s, t, owner, name, max), name, e);
}

int store_image_check(struct store *s, uint32_t owner, const char *name, uint32_t max, struct error *e)
{
	return check_locked(s, &images, owner, name, max, e);
}

int store_kernel_check(struct store *s, uint32_t owner, const char *name, uint32_t max, struct error *e)
{
	return check_locked(s, &kernels, owner, name, max, e);
}

static int find_kernel(struct store *s, const struct image *i, int64_t *kernel)
{
	struct query q = query(s, "SELECT id FROM kernels WHERE digest = ?1 AND access_use(?2, owner)"
				  " ORDER BY name = ?3 DESC, owner = ?2 DESC, id LIMIT 1");
	q_text(&q, i->kernel_digest);
	q_int(&q, i->owner);
	q_text(&q, i->kernel);
	if (q_one_int(&q, -1, kernel) < 0)
		return -1;
	return *kernel < 0 ? error_set(&s->why, FAIL_NOT_FOUND, i->kernel, "there is no such kernel") : 0;
}

static int add_image(struct store *s, const struct image *i, uint32_t max)
{
	char now[32];
	int64_t kernel;

	if (check_new(s, &images, i->owner, i->name, max) < 0 || find_kernel(s, i, &kernel) < 0)
		return -1;
	now_text(now);
	struct query q = query(s, "INSERT INTO images(owner, name, digest, kernel, size, created)"
				  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
	q_int(&q, i->owner);
	q_text(&q, i->name);
	q_text(&q, i->digest);
	q_int(&q, kernel);
	q_int(&q, (int64_t)i->size);
	q_text(&q, now);
	return q_run(&q);
}

int store_image_add(struct store *s, const struct image *i, uint32_t max, struct error *e)
{
	if (tx_begin(s, e) < 0)
		return -1;
	return tx_end(s, add_image(s, i, max), i->name, e);
}

static int add_kernel(struct store *s, const struct kernel *k, uint32_t max)
{
	char now[32];

	if (check_new(s, &kernels, k->owner, k->name, max) < 0)
		return -1;
	now_text(now);
	struct query q = query(s, "INSERT INTO kernels(owner, name, digest, size, created) VALUES (?1, ?2, ?3, ?4, ?5)");
	q_int(&q, k->owner);
	q_text(&q, k->name);
	q_text(&q, k->digest);
	q_int(&q, (int64_t)k->size);
	q_text(&q, now);
	return q_run(&q);
}

int store_kernel_add(struct store *s, const struct kernel *k, uint32_t max, struct error *e)
{
	if (tx_begin(s, e) < 0)
		return -1;
	return tx_end(s, add_kernel(s, k, max), k->name, e);
}

/* ---- delete ---- */

static int delete_row(struct store *s, const struct table *t, uint32_t owner, const char *name, const char *digest,
		      bool *last)
{
	int64_t gone, left;
	struct query q = query(s, t->remove);

	q_int(&q, owner);
	q_text(&q, name);
	q_text(&q, digest);
	int r = q_one_int(&q, 0, &gone);
	if (r < 0 && sqlite3_errcode(s->db) == SQLITE_CONSTRAINT) /* ON DELETE RESTRICT */
		return error_set(&s->why, FAIL_STATE, name, "it is in use");
	if (r < 0)
		return -1;
	if (!gone)
		return error_set(&s->why, FAIL_NOT_FOUND, name, "there is no such %s", t->noun);
	struct query rest = query(s, t->last);
	q_text(&rest, digest);
	r = q_one_int(&rest, 0, &left);
	*last = r == 0 && left == 0;
	return r;
}

int store_image_delete(struct store *s, const struct image *i, bool *last, struct error *e)
{
	*last = false;
	if (tx_begin(s, e) < 0)
		return -1;
	return tx_end(s, delete_row(s, &images, i->owner, i->name, i->digest, last), i->name, e);
}

int store_kernel_delete(struct store *s, const struct kernel *k, bool *last, struct error *e)
{
	*last = false;
	if (tx_begin(s, e) < 0)
		return -1;
	return tx_end(s, delete_row(s, &kernels, k->owner, k->name, k->digest, last), k->name, e);
}
