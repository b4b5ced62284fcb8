/* image_calls.c - answers requests about images, kernels and volumes.
 *
 * They bring finished files as descriptors.  The protocol has calls and events of its own for each
 * of the two; behind them is one way. */
#include "controller/api/image_calls.h"

#include <string.h>

#include "common/cleanup.h"
#include "controller/db/db.h"
#include "controller/storage/image_gc.h"
#include "controller/storage/image_import.h"
#include "controller/storage/image_read.h"
#include "controller/storage/slot_folder.h"

/* ---- import and delete ---- */

static int import(struct exchange *x, struct artifact_import *im, char op[ID_HEX], char digest[65])
{
	memcpy(op, x->op.hex, ID_HEX);
	im->fds = x->fds;
	int r = artifact_import(x->ctl, &x->op, im, &x->error);
	memcpy(digest, im->digest, sizeof(im->digest));
	return r;
}

int api_image_import(struct exchange *x)
{
	const struct call_image_import *a = &x->args.image_import;
	struct res_image_import *res = &x->result.res_image_import;
	struct artifact_origin from;
	struct artifact_import im = {
		.type = ARTIFACT_IMAGE, .name = a->name, .kernel = a->kernel, .from = &from
	};

	COPY(from.origin, a->origin);
	COPY(from.config, a->config);
	COPY(from.layers, a->layers);
	return import(x, &im, res->op, res->digest);
}

int api_kernel_import(struct exchange *x)
{
	struct res_kernel_import *res = &x->result.res_kernel_import;
	struct artifact_import im = { .type = ARTIFACT_KERNEL, .name = x->args.kernel_import.name };

	return import(x, &im, res->op, res->digest);
}

int api_volume_create(struct exchange *x)
{
	struct artifact_import im = { .type = ARTIFACT_VOLUME, .name = x->args.volume_create.name };
	char digest[65];

	return import(x, &im, x->result.res_volume_create.op, digest);
}

int api_image_tag(struct exchange *x)
{
	const struct call_image_tag *a = &x->args.image_tag;

	memcpy(x->result.res_image_tag.op, x->op.hex, ID_HEX);
	return image_tag(x->ctl, &x->op, a->image, a->name, &x->error);
}

int api_image_read(struct exchange *x)
{
	const struct call_image_read *a = &x->args.image_read;
	struct res_image_read *res = &x->result.res_image_read;
	struct file_part part = { .offset = a->offset,
				  .end = UINT64_MAX,
				  .buf = res->data.v,
				  .room = sizeof(res->data.v) };
	_cleanup_close_ int fd = image_open(x->ctl, &x->caller, a->image, a->digest, &x->error);

	if (fd < 0)
		return EXCHANGE_FAILED;
	if (api_send_pieces(x, fd, &part) < 0)
		return storage_fail(a->image, &x->error);
	res->size = part.size;
	res->at = part.at;
	res->data.n = part.n;
	return EXCHANGE_DONE;
}

int api_image_delete(struct exchange *x)
{
	memcpy(x->result.res_image_delete.op, x->op.hex, ID_HEX);
	return artifact_delete(x->ctl, &x->op, ARTIFACT_IMAGE, x->args.image_delete.image,
			       &x->error);
}

int api_kernel_delete(struct exchange *x)
{
	memcpy(x->result.res_kernel_delete.op, x->op.hex, ID_HEX);
	return artifact_delete(x->ctl, &x->op, ARTIFACT_KERNEL, x->args.kernel_delete.kernel,
			       &x->error);
}

int api_volume_delete(struct exchange *x)
{
	memcpy(x->result.res_volume_delete.op, x->op.hex, ID_HEX);
	return artifact_delete(x->ctl, &x->op, ARTIFACT_VOLUME, x->args.volume_delete.volume,
			       &x->error);
}

/* ---- lists ---- */

/* The members that all three events have. */
#define FILL(ev, a)                                \
	do {                                       \
		COPY((ev)->name, (a)->name);       \
		COPY((ev)->created, (a)->created); \
		(ev)->owner = (a)->owner;          \
		(ev)->size = (a)->size;            \
		(ev)->used_by = (a)->used_by;      \
	} while (0)

static void fill_image(struct ev_image *ev, const struct artifact *a)
{
	FILL(ev, a);
	COPY(ev->digest, a->digest);
	COPY(ev->kernel, a->kernel);
	COPY(ev->origin, a->from.origin);
	COPY(ev->config, a->from.config);
	COPY(ev->layers, a->from.layers);
}

static void fill_kernel(struct ev_kernel *ev, const struct artifact *a)
{
	FILL(ev, a);
	COPY(ev->digest, a->digest);
}

static void fill_volume(struct ev_volume *ev, const struct artifact *a)
{
	FILL(ev, a);
	COPY(ev->vms, a->users);
}

static int gather(void *arg, const struct artifact *a)
{
	void *ev = api_rows_add(arg);

	if (!ev)
		return -1;
	if (a->type == ARTIFACT_IMAGE)
		fill_image(ev, a);
	else if (a->type == ARTIFACT_KERNEL)
		fill_kernel(ev, a);
	else
		fill_volume(ev, a);
	return 0;
}

static int list(struct exchange *x, enum artifact_type type, uint64_t *count)
{
	static const enum event_id ids[ARTIFACT_TYPES] = { EVENT_IMAGE, EVENT_KERNEL,
							   EVENT_VOLUME };
	struct api_rows rows = { .x = x, .size = control_event(ids[type])->size };
	const struct artifact_walk walk = {
		.type = type, .asker = &x->caller, .fn = gather, .arg = &rows
	};
	int r = db_artifact_each(x->ctl->db, &walk, &x->error);

	return api_rows_send(x, &rows, r, ids[type], count);
}

int api_image_list(struct exchange *x)
{
	return list(x, ARTIFACT_IMAGE, &x->result.res_image_list.count);
}

int api_kernel_list(struct exchange *x)
{
	return list(x, ARTIFACT_KERNEL, &x->result.res_kernel_list.count);
}

int api_volume_list(struct exchange *x)
{
	return list(x, ARTIFACT_VOLUME, &x->result.res_volume_list.count);
}
