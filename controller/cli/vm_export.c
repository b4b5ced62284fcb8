/* vm_export.c - `vm export` and `vm commit`: the disk of a VM as a file, or as an image. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/conn.h"
#include "controller/cli/images.h"
#include "controller/cli/out.h"
#include "controller/cli/vm_disk.h"

/* Return: the exit status after a failure. */
static int give_up(struct cli *c, const struct error *e)
{
	int code = out_error(c, e);

	return c->signal ? 128 + c->signal : code;
}

/* ---- export ---- */

int cmd_vm_export(struct cli *c)
{
	struct error e = { 0 };
	struct vm_disk d = { .conn = -1 };
	const struct export_source from = { .copy = vm_disk_copy, .arg = &d, .mode = 0600 };
	int r = export_check(c, c->pos[1], &e);

	if (r == 0)
		r = vm_disk_open(c, c->pos[0], &d, &e);
	if (r == 0)
		r = export_to(c, c->pos[1], &from, &e);
	vm_disk_close(&d);
	return r < 0 ? give_up(c, &e) : 0;
}

/* ---- commit ---- */

struct commit {
	struct cli *c;
	struct vm_disk disk;
	struct image_made made;
	char kernel[80]; /* a reference, or "" */
	json_t *result;  /* the daemon's answer */
};

/* Note the kernel of the VM.  One of the caller's own goes before another's of that content. */
static int note_kernel(void *arg, const struct event *event, const union control_body *body,
		       struct error *e)
{
	const struct ev_kernel *k = &body->ev_kernel;
	struct commit *m = arg;

	(void)e;
	if (event->id != EVENT_KERNEL || strcmp(k->digest, m->disk.info.kernel_digest) != 0)
		return 0;
	if (k->owner == geteuid())
		(void)snprintf(m->kernel, sizeof(m->kernel), "%s", k->name);
	else if (!m->kernel[0])
		(void)snprintf(m->kernel, sizeof(m->kernel), "%u/%s", (unsigned)k->owner, k->name);
	return 0;
}

/* Choose the kernel of the VM, unless the user named one. */
static int choose_kernel(struct commit *m, struct error *e)
{
	const struct reply_to to = { .event = note_kernel, .arg = m };
	struct res_kernel_list r;

	if (m->c->opt.kernel)
		return 0;
	if (conn_call(m->c, CALL_KERNEL_LIST, NULL, NULL, &to, &r, e) < 0)
		return -1;
	m->c->opt.kernel = m->kernel;
	if (m->kernel[0])
		return 0;
	(void)error_set(e, FAIL_NOT_FOUND, m->disk.info.name,
			"none of the kernels that you may use is its own");
	error_hint(e, "--kernel NAME; banger kernel list");
	return -1;
}

/* Note the layers of the image that the VM was made from. */
static int note_layers(void *arg, const struct event *event, const union control_body *body,
		       struct error *e)
{
	struct commit *m = arg;

	(void)e;
	if (event->id == EVENT_IMAGE &&
	    strcmp(body->ev_image.digest, m->disk.info.image_digest) == 0)
		memcpy(m->made.layers, body->ev_image.layers, sizeof(m->made.layers));
	return 0;
}

/* Describe the new image: the VM, and the image that it was made from. */
static int describe(struct commit *m, struct error *e)
{
	const struct res_vm_disk *i = &m->disk.info;
	const struct reply_to to = { .event = note_layers, .arg = m };
	struct res_image_list r;

	(void)snprintf(m->made.origin, sizeof(m->made.origin), "vm:%s %.12s of %s %.12s", i->name,
		       i->id, i->image, i->image_digest);
	return conn_call(m->c, CALL_IMAGE_LIST, NULL, NULL, &to, &r, e);
}

/* Copy the disk to an unnamed file.  The VM is free after that.  Return: a descriptor for reading,
 * or -1 with @e. */
static int copy_disk(struct commit *m, struct error *e)
{
	_cleanup_close_ int file = unnamed_file(e);
	struct sink to = { .c = m->c,
			   .name = "temporary file",
			   .hint = "TMPDIR names a folder with more room",
			   .fd = file,
			   .sparse = true };

	if (file < 0)
		return -1;
	out_note(m->c, "reading the disk of %s", m->disk.info.name);
	int r = vm_disk_copy(&m->disk, &to, e);
	vm_disk_close(&m->disk);
	if (r < 0)
		return -1;
	int fd = reopen_input(file);
	return fd < 0 ? error_set(e, FAIL_GENERAL, to.name, "%s", strerror(errno)) : fd;
}

static int commit(struct commit *m, struct error *e)
{
	if (image_check_free(m->c, m->made.name, "banger vm commit VM NAME", e) < 0 ||
	    signals_hold(m->c, e) < 0 || vm_disk_open(m->c, m->c->pos[0], &m->disk, e) < 0 ||
	    choose_kernel(m, e) < 0 || describe(m, e) < 0)
		return -1;
	_cleanup_close_ int fd = copy_disk(m, e);
	if (fd < 0 || image_check(fd, m->disk.info.name, e) < 0)
		return -1;
	return image_send(m->c, &m->made, fd, &m->result, e);
}

int cmd_vm_commit(struct cli *c)
{
	struct commit m = { .c = c, .disk.conn = -1, .made.name = c->pos[1] };
	struct error e = { 0 };
	int r = commit(&m, &e);

	vm_disk_close(&m.disk);
	return r < 0 ? give_up(c, &e) : print_import(c, m.made.name, m.result);
}
