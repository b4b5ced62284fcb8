/* image_records.c - `image show`, `tag`, `prune` and `export`, and the digest of an image in the
 * place of its name. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/conn.h"
#include "controller/cli/export.h"
#include "controller/cli/images.h"
#include "controller/cli/out.h"
#include "controller/cli/pieces.h"

#define DIGEST "sha256:"
#define DIGITS_LEAST 12

/* ---- one image ---- */

struct wanted {
	const char *ref, *digest; /* digest: the begin of one, or "" */
	struct ev_image named, hashed;
	bool is_named, is_hashed, many;
};

/* Return: the digits of a reference that may be a digest, or "". */
static const char *digits_of(const char *ref)
{
	const char *digits = strncmp(ref, DIGEST, strlen(DIGEST)) == 0 ? ref + strlen(DIGEST) : ref;
	size_t n = strlen(digits);

	return n >= DIGITS_LEAST && n <= 64 && strspn(digits, "0123456789abcdef") == n ? digits
										       : "";
}

/* UID/NAME is a reference to the image of that user. */
static bool is_name_of(const struct ev_image *i, const char *ref)
{
	char full[80];

	(void)snprintf(full, sizeof(full), "%u/%s", (unsigned)i->owner, i->name);
	return strcmp(ref, full) == 0 || (goes_by_name(i->owner) && strcmp(ref, i->name) == 0);
}

static int note_wanted(void *arg, const struct event *event, const union control_body *body,
		       struct error *e)
{
	const struct ev_image *i = &body->ev_image;
	struct wanted *w = arg;
	const bool own = i->owner == geteuid();

	(void)e;
	if (event->id != EVENT_IMAGE)
		return 0;
	if (is_name_of(i, w->ref) && (own || !w->is_named)) {
		w->named = *i;
		w->is_named = true;
	}
	if (!w->digest[0] || strncmp(i->digest, w->digest, strlen(w->digest)) != 0)
		return 0;
	w->many |= w->is_hashed && strcmp(i->digest, w->hashed.digest) != 0;
	if (own || !w->is_hashed)
		w->hashed = *i;
	w->is_hashed = true;
	return 0;
}

/* Find the image that has the name @ref, else the one that has this digest. */
static int look_up(struct cli *c, const char *ref, struct ev_image *out, struct error *e)
{
	struct wanted w = { .ref = ref, .digest = digits_of(ref) };
	const struct reply_to to = { .event = note_wanted, .arg = &w };
	struct res_image_list r;

	if (conn_call(c, CALL_IMAGE_LIST, NULL, NULL, &to, &r, e) < 0)
		return -1;
	if (!w.is_named && w.many)
		return error_set(e, FAIL_USAGE, ref, "several images have a digest that begins so");
	if (!w.is_named && !w.is_hashed)
		return error_set(e, FAIL_NOT_FOUND, ref, "there is no such image");
	*out = w.is_named ? w.named : w.hashed;
	return 0;
}

void image_reference_of(const struct ev_image *i, char ref[80])
{
	if (i->owner == geteuid())
		(void)snprintf(ref, 80, "%s", i->name);
	else
		(void)snprintf(ref, 80, "%u/%s", (unsigned)i->owner, i->name);
}

int image_reference(struct cli *c, const char *ref, char name[80], struct error *e)
{
	struct ev_image i;

	if (!digits_of(ref)[0]) {
		if (snprintf(name, 80, "%s", ref) < 80)
			return 0;
		return error_set(e, FAIL_USAGE, "image", "the name is longer than 79 bytes");
	}
	if (look_up(c, ref, &i, e) < 0)
		return -1;
	image_reference_of(&i, name);
	return 0;
}

/* ---- show ---- */

static void show_line(struct cli *c, const char *key, const char *value)
{
	fprintf(c->out, "%-20s  %s\n", key, *value ? value : "-");
}

static void show_layers(struct cli *c, char *layers)
{
	unsigned n = 0;
	char key[24], *save;

	for (char *l = strtok_r(layers, " ", &save); l; l = strtok_r(NULL, " ", &save)) {
		(void)snprintf(key, sizeof(key), "layer %u", ++n);
		show_line(c, key, l);
	}
}

static void show_table(struct cli *c, struct ev_image *i)
{
	char size[16], number[24];

	format_size(i->size, size);
	show_line(c, "name", i->name);
	show_line(c, "digest", i->digest);
	show_line(c, "origin", i->origin);
	show_line(c, "config", i->config);
	show_line(c, "imported", i->created);
	show_line(c, "size", size);
	show_line(c, "kernel", i->kernel);
	(void)snprintf(number, sizeof(number), "%u", (unsigned)i->used_by);
	show_line(c, "vms", number);
	(void)snprintf(number, sizeof(number), "%u", (unsigned)i->owner);
	show_line(c, "owner", number);
	show_layers(c, i->layers);
}

int cmd_image_show(struct cli *c)
{
	struct error e = { 0 };
	struct ev_image i;

	if (look_up(c, c->pos[0], &i, &e) < 0)
		return out_error(c, &e);
	if (c->opt.format == FORMAT_JSON)
		return out_json(c, out_event_json(control_event(EVENT_IMAGE), &i));
	if (c->opt.format == FORMAT_NAME)
		fprintf(c->out, "%s\n", i.name);
	else
		show_table(c, &i);
	return 0;
}

/* ---- tag ---- */

int cmd_image_tag(struct cli *c)
{
	struct call_image_tag a = { 0 };
	struct error e = { 0 };
	struct res_image_tag r;
	char image[80];

	if (image_reference(c, c->pos[0], image, &e) < 0 ||
	    text_put(a.image, sizeof(a.image), "image", image, &e) < 0 ||
	    text_put(a.name, sizeof(a.name), "name", c->pos[1], &e) < 0 ||
	    conn_call(c, CALL_IMAGE_TAG, &a, NULL, NULL, &r, &e) < 0)
		return out_error(c, &e);
	return print_import(c, a.name, out_fields_json(control_call(CALL_IMAGE_TAG)->result(), &r));
}

/* ---- prune ---- */

/* The caller's own images that no VM uses, as an array of objects. */
static int note_unused(void *arg, const struct event *event, const union control_body *body,
		       struct error *e)
{
	(void)e;
	if (event->id == EVENT_IMAGE && body->ev_image.owner == geteuid() &&
	    body->ev_image.used_by == 0)
		json_array_append_new(arg, out_event_json(event, &body->ev_image));
	return 0;
}

/* Delete one.  What a VM uses since it was listed, or what has gone, is passed over.  Return: 1:
 * deleted; 0; or -1 with @e. */
static int prune_one(struct cli *c, const char *name, struct error *e)
{
	struct call_image_delete a = { 0 };
	struct res_image_delete r;

	if (c->opt.dry_run)
		return 1;
	if (text_put(a.image, sizeof(a.image), "image", name, e) < 0)
		return -1;
	if (conn_call(c, CALL_IMAGE_DELETE, &a, NULL, NULL, &r, e) == 0)
		return 1;
	return e->code == FAIL_STATE || e->code == FAIL_NOT_FOUND ? 0 : -1;
}

static int prune(struct cli *c, const json_t *unused, json_t *done, struct error *e)
{
	json_t *image;
	size_t i;

	json_array_foreach(unused, i, image)
	{
		const char *name = json_string_value(json_object_get(image, "name"));
		int r = prune_one(c, name, e);
		if (r < 0)
			return -1;
		if (r == 0)
			continue;
		json_array_append(done, image);
		if (c->opt.format != FORMAT_JSON)
			fprintf(c->out, "%s\n", name);
	}
	return 0;
}

int cmd_image_prune(struct cli *c)
{
	json_t *unused = json_array(), *done = json_array();
	const struct reply_to to = { .event = note_unused, .arg = unused };
	struct res_image_list list;
	struct error e = { 0 };

	int r = conn_call(c, CALL_IMAGE_LIST, NULL, NULL, &to, &list, &e);
	if (r == 0)
		r = prune(c, unused, done, &e);
	json_decref(unused);
	if (r == 0 && c->opt.format != FORMAT_JSON)
		out_note(c, "%zu image%s %s", json_array_size(done),
			 json_array_size(done) == 1 ? "" : "s",
			 c->opt.dry_run ? "would be deleted" : "deleted");
	if (r == 0 && c->opt.format == FORMAT_JSON)
		return out_json(c, done);
	json_decref(done);
	return r < 0 ? out_error(c, &e) : 0;
}

/* ---- export ---- */

struct reading {
	struct cli *c;
	struct ev_image image;
	union control_body args; /* of CALL_IMAGE_READ */
	int conn;
};

static int to_sink(void *arg, uint64_t at, const uint8_t *data, size_t n, struct error *e)
{
	return sink_put(arg, at, data, n, e);
}

static int copy_out(void *arg, struct sink *to, struct error *e)
{
	struct reading *x = arg;
	struct pieces p = { .c = x->c,
			    .conn = &x->conn,
			    .name = x->args.image_read.image,
			    .size = x->image.size,
			    .end = x->image.size,
			    .call = CALL_IMAGE_READ,
			    .args = &x->args,
			    .take = to_sink,
			    .arg = to };

	if (x->conn < 0)
		x->conn = conn_open(e);
	if (x->conn < 0 || pieces_read(&p, e) < 0)
		return -1;
	return sink_end(to, x->image.size, e);
}

static int export(struct reading *x, const char *path, struct error *e)
{
	const struct export_source from = { .copy = copy_out, .arg = x, .mode = 0666 };
	struct call_image_read *a = &x->args.image_read;
	char ref[80];

	if (export_check(x->c, path, e) < 0 || look_up(x->c, x->c->pos[0], &x->image, e) < 0 ||
	    image_reference(x->c, x->c->pos[0], ref, e) < 0 ||
	    text_put(a->image, sizeof(a->image), "image", ref, e) < 0)
		return -1;
	memcpy(a->digest, x->image.digest, sizeof(a->digest));
	return export_to(x->c, path, &from, e);
}

int cmd_image_export(struct cli *c)
{
	struct reading x = { .c = c, .conn = -1 };
	struct error e = { 0 };
	int r = export(&x, c->pos[1], &e);

	if (x.conn >= 0)
		(void)close(x.conn);
	if (r == 0)
		return 0;
	int code = out_error(c, &e);
	return c->signal ? 128 + c->signal : code;
}
