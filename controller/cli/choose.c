/* choose.c - the image that a user means by a name, a reference or nothing, and `image pull`. */
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/parse.h"
#include "controller/cli/cli.h"
#include "controller/cli/conn.h"
#include "controller/cli/images.h"
#include "controller/cli/out.h"

/* What is made on a host that has neither an image nor a catalogue. */
static const struct catalogue_entry without_catalogue = { "debian", BUILD "debian" };

/* ---- what is there? ---- */

/* An image that is there, of the caller or of root. */
struct found {
	bool there, own;
	char name[64], origin[ORIGIN_SIZE];
	char ref[80]; /* of image_reference_of() */
};

struct look {
	const char *name, *origin; /* wanted; origin NULL: none */
	struct found any, by_name, by_origin;
	struct names all;
};

/* The caller's own image comes before root's, as the daemon has it. */
static void take(struct found *f, const struct ev_image *i)
{
	bool own = i->owner == geteuid();

	if (f->there && !own)
		return;
	f->there = true;
	f->own = own;
	(void)snprintf(f->name, sizeof(f->name), "%s", i->name);
	(void)snprintf(f->origin, sizeof(f->origin), "%s", i->origin);
	image_reference_of(i, f->ref);
}

static int look_at(void *arg, const struct event *event, const union control_body *body,
		   struct error *e)
{
	const struct ev_image *i = &body->ev_image;
	struct look *l = arg;

	(void)e;
	if (event->id != EVENT_IMAGE || !goes_by_name(i->owner))
		return 0;
	names_add(&l->all, i->name);
	take(&l->any, i);
	if (strcmp(i->name, l->name) == 0)
		take(&l->by_name, i);
	if (l->origin && strcmp(i->origin, l->origin) == 0)
		take(&l->by_origin, i);
	return 0;
}

static int look(struct cli *c, struct look *l, struct error *e)
{
	const struct reply_to to = { .event = look_at, .arg = l };
	struct res_image_list r;

	return conn_call(c, CALL_IMAGE_LIST, NULL, NULL, &to, &r, e);
}

/* ---- make it ---- */

/* The release behind "build:debian/". */
static int read_build(struct cli *c, const char *origin, struct error *e)
{
	const char *what = origin + strlen(BUILD);
	size_t n = strcspn(what, "/");

	if (strlen("debian") != n || strncmp(what, "debian", n) != 0)
		return error_set(e, FAIL_USAGE, origin, "only " BUILD "debian can be built");
	if (what[n])
		c->opt.suite = what + n + 1;
	return 0;
}

/* Make the image of an entry under the name @name, and say what was done. */
static int make(struct cli *c, const struct catalogue_entry *entry, const char *name,
		json_t **result, struct error *e)
{
	bool build = strncmp(entry->origin, BUILD, strlen(BUILD)) == 0;

	if (build ? read_build(c, entry->origin, e) < 0 ||
			    image_build(c, name, entry->origin, result, e) < 0
		  : image_pull(c, name, entry->origin, result, e) < 0)
		return -1;
	out_note(c, "made the image %s of %s, for the kernel %s", name, entry->origin,
		 c->opt.kernel);
	return 0;
}

static int make_for_vm(struct cli *c, const struct catalogue_entry *entry, char name[64],
		       struct error *e)
{
	json_t *result;

	(void)snprintf(name, 64, "%s", entry->name);
	if (make(c, entry, name, &result, e) < 0)
		return -1;
	json_decref(result);
	return 0;
}

/* ---- no word ---- */

static int find_default(struct cli *c, char name[80], struct error *e)
{
	struct catalogue_entry entry = without_catalogue;
	int has = catalogue_find(NULL, &entry, e);
	struct look l = { .name = entry.name, .origin = entry.origin };

	if (has < 0 || look(c, &l, e) < 0)
		return -1;
	if (l.all.n == 0) {
		out_note(c, "there is no image yet: making %s of %s", entry.name, entry.origin);
		return make_for_vm(c, &entry, name, e);
	}
	const char *of_several = !has                ? NULL
				 : l.by_name.there   ? l.by_name.ref
				 : l.by_origin.there ? l.by_origin.ref
						     : NULL;
	if (l.all.n == 1 || of_several) {
		(void)snprintf(name, 80, "%s", l.all.n == 1 ? l.any.ref : of_several);
		return 0;
	}
	error_set(e, FAIL_USAGE, "image", "there are %zu images; name one of them: %s", l.all.n,
		  l.all.list);
	error_hint(e, "--image %s", l.all.first);
	return -1;
}

/* ---- a name or a reference ---- */

/* Read @ref as a name of the catalogue, else as a reference.  Return: 1: of the catalogue; 0; or -1
 * with @e. */
static int resolve(const char *ref, struct catalogue_entry *entry, struct error *e)
{
	int known = parse_is_label(ref) ? catalogue_find(ref, entry, e) : 0;

	if (known)
		return known;
	if (reference_origin(ref, entry->origin, e) < 0)
		return -1;
	reference_name(entry->origin, entry->name);
	return 0;
}

static int refuse_other(const char *ref, const struct found *f, struct error *e)
{
	error_set(e, FAIL_STATE, ref, "the image %s that is here is %s%s", f->name,
		  f->origin[0] ? "of " : "of an unknown origin", f->origin);
	error_hint(e, "banger image pull %s NAME; then banger run NAME", ref);
	return -1;
}

static int find_named(struct cli *c, const char *ref, char name[80], struct error *e)
{
	struct catalogue_entry entry;
	char full[80];

	if (image_reference(c, ref, full, e) < 0)
		return -1;
	if (strcmp(full, ref) != 0)
		return text_put(name, 80, "image", full, e);
	int known = resolve(ref, &entry, e);
	struct look l = { .name = entry.name, .origin = entry.origin };

	if (known < 0 || look(c, &l, e) < 0)
		return -1;
	/* Whoever says the name of an image means it, whatever it is of. */
	bool meant = l.by_name.there && strcmp(ref, l.by_name.name) == 0;
	if (meant && known && strcmp(l.by_name.origin, entry.origin) != 0)
		out_note(c, "the image %s is of %s; the catalogue has %s for that name now", ref,
			 l.by_name.origin[0] ? l.by_name.origin : "an unknown origin",
			 entry.origin);
	const struct found *f = meant ? &l.by_name : &l.by_origin;
	if (f->there) {
		(void)snprintf(name, 80, "%s", f->ref);
		return 0;
	}
	if (l.by_name.there)
		return refuse_other(ref, &l.by_name, e);
	out_note(c, "there is no image %s yet: making it of %s", entry.name, entry.origin);
	return make_for_vm(c, &entry, name, e);
}

/* The value of --image, whose digest may be given. */
static int find_given(struct cli *c, char name[80], struct error *e)
{
	char full[80];

	if (image_reference(c, c->opt.image, full, e) < 0)
		return -1;
	if (strcmp(full, c->opt.image) == 0)
		return 0;
	c->opt.image = name;
	return text_put(name, 80, "image", full, e);
}

int image_for_vm(struct cli *c, const char *ref, char name[80], struct error *e)
{
	if (!ref && c->opt.image)
		return find_given(c, name, e);
	if ((ref ? find_named(c, ref, name, e) : find_default(c, name, e)) < 0)
		return -1;
	c->opt.image = name;
	return 0;
}

/* ---- image pull ---- */

int image_check_free(struct cli *c, const char *name, const char *instead, struct error *e)
{
	struct look l = { .name = name };

	if (look(c, &l, e) < 0)
		return -1;
	if (!l.by_name.there || !l.by_name.own)
		return 0;
	error_set(e, FAIL_STATE, name, "you have an image of that name already, of %s",
		  l.by_name.origin[0] ? l.by_name.origin : "an unknown origin");
	error_hint(e, "banger image delete %s, or another name: %s", name, instead);
	return -1;
}

#define AGAIN "banger image pull REFERENCE NAME"

int cmd_image_pull(struct cli *c)
{
	struct catalogue_entry entry;
	struct error e = { 0 };
	json_t *result;

	int known = resolve(c->pos[0], &entry, &e);
	const char *name = c->npos > 1 ? c->pos[1] : entry.name;
	if (known >= 0 && image_check_free(c, name, AGAIN, &e) == 0 &&
	    make(c, &entry, name, &result, &e) == 0)
		return print_import(c, name, result);
	int code = out_error(c, &e);
	return c->signal ? 128 + c->signal : code;
}
