/* images.c - images and kernels: they are listed, deleted, and imported from finished files. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/conn.h"
#include "controller/cli/each.h"
#include "controller/cli/images.h"
#include "controller/cli/out.h"

/* ---- lists ---- */

struct list {
	struct cli *c;
	json_t *json;
	struct table table;
};

static void image_row(struct table *t, const struct ev_image *i)
{
	char size[16], age[16], used[24];

	format_size(i->size, size);
	format_age(i->created, age);
	(void)snprintf(used, sizeof(used), "%u", (unsigned)i->used_by);
	(void)table_add(t, (const char *const[TABLE_COLUMNS]){ i->name, i->kernel, size, used, age, i->digest });
}

static void kernel_row(struct table *t, const struct ev_kernel *k)
{
	char size[16], age[16], used[24];

	format_size(k->size, size);
	format_age(k->created, age);
	(void)snprintf(used, sizeof(used), "%u", (unsigned)k->used_by);
	(void)table_add(t, (const char *const[TABLE_COLUMNS]){ k->name, size, used, age, k->digest });
}

static int list_one(void *arg, const struct event *event, const union control_body *body, struct error *e)
{
	struct list *l = arg;

	(void)e;
	if (event->id != EVENT_IMAGE && event->id != EVENT_KERNEL)
		return 0;
	if (l->c->opt.format == FORMAT_JSON)
		json_array_append_new(l->json, out_event_json(event, body));
	else if (l->c->opt.format == FORMAT_NAME)
		fprintf(l->c->out, "%s\n", event->id == EVENT_IMAGE ? body->ev_image.name : body->ev_kernel.name);
	else if (event->id == EVENT_IMAGE)
		image_row(&l->table, &body->ev_image);
	else
		kernel_row(&l->table, &body->ev_kernel);
	return 0;
}

static int list(struct cli *c, enum call_id id, struct list *l)
{
	const struct reply_to to = { .event = list_one, .arg = l };
	union control_body r;
	struct error e;
	int ret = 0;

	l->c = c;
	l->json = json_array();
	if (conn_call(c, id, NULL, NULL, &to, &r, &e) < 0)
		ret = out_error(c, &e);
	else if (c->opt.format == FORMAT_JSON)
		ret = out_json(c, json_incref(l->json));
	else if (c->opt.format == FORMAT_TABLE)
		table_print(&l->table, c->out);
	json_decref(l->json);
	table_free(&l->table);
	return ret;
}

int cmd_image_list(struct cli *c)
{
	struct list l = { .table = { .head = { "NAME", "KERNEL", "SIZE", "VMS", "AGE", "DIGEST" } } };

	return list(c, CALL_IMAGE_LIST, &l);
}

int cmd_kernel_list(struct cli *c)
{
	struct list l = { .table = { .head = { "NAME", "SIZE", "IMAGES", "AGE", "DIGEST" } } };

	return list(c, CALL_KERNEL_LIST, &l);
}

/* ---- the default image ---- */

struct names {
	size_t n;
	char first[64], list[160];
};

static int note_name(void *arg, const struct event *event, const union control_body *body, struct error *e)
{
	struct names *l = arg;
	size_t at = strlen(l->list), room = sizeof(l->list) - at;

	(void)e;
	if (event->id != EVENT_IMAGE)
		return 0;
	if (l->n++ == 0)
		(void)snprintf(l->first, sizeof(l->first), "%s", body->ev_image.name);
	if (snprintf(l->list + at, room, "%s%s", at ? ", " : "", body->ev_image.name) >= (int)room)
		(void)strcpy(l->list + at, room > 4 ? "..." : ""); /* no part of a name */
	return 0;
}

int image_default(struct cli *c, char name[64], struct error *e)
{
	struct names l = { 0 };
	const struct reply_to to = { .event = note_name, .arg = &l };
	struct res_image_list r;

	if (conn_call(c, CALL_IMAGE_LIST, NULL, NULL, &to, &r, e) < 0)
		return -1;
	if (l.n == 1) {
		(void)strcpy(name, l.first);
		return 0;
	}
	if (l.n) {
		error_set(e, FAIL_USAGE, "image", "there are %zu images, so one has to be named: %s", l.n, l.list);
		error_hint(e, "--image %s", l.first);
		return -1;
	}
	error_set(e, FAIL_NOT_FOUND, "image", "there is no image to make a VM from");
	error_hint(e, "banger kernel import debian debian && banger image build debian bookworm --kernel debian");
	return -1;
}

/* ---- delete ---- */

static int delete_image(struct cli *c, const char *ref, const char **said, json_t **result, struct error *e)
{
	struct call_image_delete a = { 0 };
	struct res_image_delete r;

	if (text_put(a.image, sizeof(a.image), "image", ref, e) < 0 ||
	    conn_call(c, CALL_IMAGE_DELETE, &a, NULL, NULL, &r, e) < 0)
		return -1;
	*said = "deleted";
	*result = out_fields_json(control_call(CALL_IMAGE_DELETE)->result(), &r);
	return 0;
}

static int delete_kernel(struct cli *c, const char *ref, const char **said, json_t **result, struct error *e)
{
	struct call_kernel_delete a = { 0 };
	struct res_kernel_delete r;

	if (text_put(a.kernel, sizeof(a.kernel), "kernel", ref, e) < 0 ||
	    conn_call(c, CALL_KERNEL_DELETE, &a, NULL, NULL, &r, e) < 0)
		return -1;
	*said = "deleted";
	*result = out_fields_json(control_call(CALL_KERNEL_DELETE)->result(), &r);
	return 0;
}

int cmd_image_delete(struct cli *c)
{
	return each_target(c, delete_image);
}

int cmd_kernel_delete(struct cli *c)
{
	return each_target(c, delete_kernel);
}

/* ---- import ---- */

int open_input(const char *path, struct error *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(e, errno == ENOENT ? FAIL_NOT_FOUND : FAIL_GENERAL, path, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(e, FAIL_USAGE, path, "not a regular file");
	return steal_fd(&fd);
}

int image_import_fd(struct cli *c, const char *name, int fd, struct error *e)
{
	struct call_image_import a = { 0 };
	struct res_image_import r;

	if (text_put(a.name, sizeof(a.name), "name", name, e) < 0 ||
	    text_put(a.kernel, sizeof(a.kernel), "kernel", c->opt.kernel, e) < 0 ||
	    conn_call(c, CALL_IMAGE_IMPORT, &a, &fd, NULL, &r, e) < 0)
		return -1;
	return print_import(c, name, out_fields_json(control_call(CALL_IMAGE_IMPORT)->result(), &r));
}

int print_import(struct cli *c, const char *name, json_t *result)
{
	if (c->opt.format == FORMAT_JSON) {
		json_object_set_new(result, "name", json_string(name));
		return out_json(c, result);
	}
	json_decref(result);
	fprintf(c->out, "%s\n", name);
	return 0;
}

/* Without --kernel the daemon would have to guess; say it before a gigabyte is copied. */
int need_kernel(struct cli *c, struct error *e)
{
	if (c->opt.kernel)
		return 0;
	error_set(e, FAIL_USAGE, "image", "which kernel is it started with? --kernel KERNEL");
	error_hint(e, "banger kernel list; banger kernel import debian debian");
	return -1;
}

int cmd_image_import(struct cli *c)
{
	struct error e = { 0 };

	if (need_kernel(c, &e) < 0)
		return out_error(c, &e);
	_cleanup_close_ int fd = open_input(c->pos[1], &e);
	if (fd < 0 || image_import_fd(c, c->pos[0], fd, &e) < 0)
		return out_error(c, &e);
	return 0;
}
