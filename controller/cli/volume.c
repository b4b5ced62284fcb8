/* volume.c - `volume create`, `list`, `show` and `delete`, and the volumes of --volume.
 *
 * A volume begins as an empty ext4 file system.  mke2fs makes it here, as the calling user, in a
 * temporary folder; the daemon gets a descriptor, and copies the file. */
#include "controller/cli/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/conn.h"
#include "controller/cli/each.h"
#include "controller/cli/out.h"
#include "controller/cli/proc.h"

#define DEFAULT_MIB 4096

/* ---- making one ---- */

/* The file is new, so its holes are zeros already, and mke2fs writes none.  A root that the guest's
 * init finds empty but for lost+found gets what the image has at its place (in_guest/init). */
static int make_empty(struct cli *c, const char *file, uint64_t mib, struct error *e)
{
	const struct proc_io io = { .quiet_out = true };
	char size[24];

	(void)snprintf(size, sizeof(size), "%lluM", (unsigned long long)mib);
	const char *const argv[] = {
		"mke2fs", "-q", "-t", "ext4", "-b",
		"4096",   "-m", "0",  "-E",   "root_owner=0:0,assume_storage_prezeroed=1",
		"-F",     file, size, NULL
	};
	return proc_must(c, argv, &io, "e2fsprogs", e);
}

static int send_file(struct cli *c, const char *name, const char *file, struct res_volume_create *r,
		     struct error *e)
{
	struct call_volume_create a = { 0 };
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_set(e, FAIL_GENERAL, file, "%s", strerror(errno));
	if (text_put(a.name, sizeof(a.name), "name", name, e) < 0)
		return -1;
	return conn_call(c, CALL_VOLUME_CREATE, &a, &fd, NULL, r, e);
}

static int create(struct cli *c, const char *name, uint64_t mib, struct res_volume_create *r,
		  struct error *e)
{
	char dir[4096], file[4120];

	if (signals_hold(c, e) < 0 || tempdir_make(dir, sizeof(dir), e) < 0)
		return -1;
	(void)snprintf(file, sizeof(file), "%s/volume.ext4", dir);
	int ret = make_empty(c, file, mib, e) < 0 ? -1 : send_file(c, name, file, r, e);
	tempdir_remove(c, dir);
	return ret;
}

int cmd_volume_create(struct cli *c)
{
	const uint64_t mib = c->opt.size_mib ? c->opt.size_mib : DEFAULT_MIB;
	struct error e = { 0 };
	struct res_volume_create r;

	if (create(c, c->pos[0], mib, &r, &e) < 0) {
		int code = out_error(c, &e);
		return c->signal ? 128 + c->signal : code;
	}
	if (c->opt.format == FORMAT_JSON) {
		json_t *o = out_fields_json(control_call(CALL_VOLUME_CREATE)->result(), &r);
		json_object_set_new(o, "name", json_string(c->pos[0]));
		return out_json(c, o);
	}
	fprintf(c->out, "%s\n", c->pos[0]);
	return 0;
}

/* ---- list, show, delete ---- */

static void add_row(struct table *t, const struct ev_volume *v)
{
	char size[16], age[16], owner[24];

	format_size(v->size, size);
	format_age(v->created, age);
	(void)snprintf(owner, sizeof(owner), "%u", (unsigned)v->owner);
	(void)table_add(t, (const char *const[TABLE_COLUMNS]){
				   v->name, size, v->vms[0] ? v->vms : "-", age, owner });
}

static int list_one(void *arg, const struct event *event, const union control_body *body,
		    struct error *e)
{
	struct listing *l = arg;

	(void)e;
	if (event->id == EVENT_VOLUME &&
	    listing_take(l, event, &body->ev_volume, body->ev_volume.name))
		add_row(&l->table, &body->ev_volume);
	return 0;
}

int cmd_volume_list(struct cli *c)
{
	struct listing l = { .c = c,
			     .json = json_array(),
			     .table = { .head = { "NAME", "SIZE", "VMS", "AGE", "OWNER" } } };
	const struct reply_to to = { .event = list_one, .arg = &l };
	struct res_volume_list r;
	struct error e;

	return listing_end(&l, conn_call(c, CALL_VOLUME_LIST, NULL, NULL, &to, &r, &e), &e);
}

struct wanted {
	const char *ref;
	struct ev_volume found;
	bool is_found;
};

/* A name means the caller's own volume; root writes UID/NAME for another user's. */
static int note_wanted(void *arg, const struct event *event, const union control_body *body,
		       struct error *e)
{
	const struct ev_volume *v = &body->ev_volume;
	struct wanted *w = arg;
	char full[80];

	(void)e;
	if (event->id != EVENT_VOLUME)
		return 0;
	(void)snprintf(full, sizeof(full), "%u/%s", (unsigned)v->owner, v->name);
	if (strcmp(w->ref, full) != 0 && (v->owner != geteuid() || strcmp(w->ref, v->name) != 0))
		return 0;
	w->found = *v;
	w->is_found = true;
	return 0;
}

static int look_up(struct cli *c, struct wanted *w, struct error *e)
{
	const struct reply_to to = { .event = note_wanted, .arg = w };
	struct res_volume_list r;

	return conn_call(c, CALL_VOLUME_LIST, NULL, NULL, &to, &r, e);
}

static void show_table(struct cli *c, const struct ev_volume *v)
{
	char size[16];

	format_size(v->size, size);
	fprintf(c->out, "%-20s  %s\n", "name", v->name);
	fprintf(c->out, "%-20s  %u\n", "owner", (unsigned)v->owner);
	fprintf(c->out, "%-20s  %s\n", "size", size);
	fprintf(c->out, "%-20s  %s\n", "created", v->created);
	fprintf(c->out, "%-20s  %s\n", "vms", v->vms[0] ? v->vms : "-");
}

int cmd_volume_show(struct cli *c)
{
	struct wanted w = { .ref = c->pos[0] };
	struct error e = { 0 };

	if (look_up(c, &w, &e) < 0)
		return out_error(c, &e);
	if (!w.is_found)
		return out_error(c,
				 (error_set(&e, FAIL_NOT_FOUND, w.ref, "there is no such volume"),
				  &e));
	if (c->opt.format == FORMAT_JSON)
		return out_json(c, out_event_json(control_event(EVENT_VOLUME), &w.found));
	if (c->opt.format == FORMAT_NAME)
		fprintf(c->out, "%s\n", w.found.name);
	else
		show_table(c, &w.found);
	return 0;
}

static int delete_one(struct cli *c, const char *ref, const char **said, json_t **result,
		      struct error *e)
{
	struct call_volume_delete a = { 0 };
	struct res_volume_delete r;

	if (text_put(a.volume, sizeof(a.volume), "volume", ref, e) < 0 ||
	    conn_call(c, CALL_VOLUME_DELETE, &a, NULL, NULL, &r, e) < 0)
		return -1;
	*said = "deleted";
	*result = out_fields_json(control_call(CALL_VOLUME_DELETE)->result(), &r);
	return 0;
}

int cmd_volume_delete(struct cli *c)
{
	return each_target(c, delete_one);
}

/* ---- the volumes of a new VM ---- */

static int check_one(const char *value, struct error *e)
{
	const size_t name = strcspn(value, ":");

	if (name == 0 || !value[name] || value[name + 1] != '/' || strchr("/.~", value[0])) {
		(void)error_set(e, FAIL_USAGE, "--volume",
				strchr("/.~", value[0]) && value[0]
					? "\"%s\" begins with a folder of this host, which no "
					  "guest sees"
					: "\"%s\" is not understood",
				value);
		error_hint(e, "NAME:/PATH or NAME:/PATH:ro; for files of this host: run --copy, or "
			      "cp");
		return -1;
	}
	if (strchr(value, ' '))
		return error_set(e, FAIL_USAGE, "--volume", "\"%s\" has a blank", value);
	return 0;
}

int volumes_check(const struct values *v, struct error *e)
{
	char words[sizeof(((struct call_vm_create *)0)->volumes)];

	for (size_t i = 0; i < v->n; i++)
		if (text_put(words, sizeof(words), "--volume", v->v[i], e) < 0 ||
		    check_one(v->v[i], e) < 0)
			return -1;
	return volumes_put(v, words, sizeof(words), e);
}

int volumes_put(const struct values *v, char *out, size_t size, struct error *e)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < v->n && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s", i ? " " : "", v->v[i]);
	if (v->n > VOLUMES_MAX)
		return error_set(e, FAIL_USAGE, "--volume", "a VM has up to %d volumes",
				 VOLUMES_MAX);
	return n < size ? 0 : error_set(e, FAIL_USAGE, "--volume", "the values are too long");
}

static int make_one(struct cli *c, const char *value, struct error *e)
{
	char name[80];
	struct wanted w = { .ref = name };
	struct res_volume_create r;

	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(value, ":"), value);
	if (look_up(c, &w, e) < 0)
		return -1;
	if (w.is_found)
		return 0;
	if (create(c, name, DEFAULT_MIB, &r, e) == 0)
		return 0;
	if (e->code == FAIL_LIMIT && !e->hint[0])
		error_hint(e, "banger volume create %s --size SIZE", name);
	return -1;
}

int volumes_make(struct cli *c, struct error *e)
{
	for (size_t i = 0; i < c->opt.volumes.n; i++)
		if (make_one(c, c->opt.volumes.v[i], e) < 0)
			return -1;
	return 0;
}
