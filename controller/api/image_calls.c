/* Requests about images and kernels: finished files that came as descriptors, and the rows about them. */
#include "controller/api/image_calls.h"

#include <string.h>

#include "controller/db/db.h"
#include "controller/storage/images.h"

int api_image_import(struct exchange *x)
{
	const struct call_image_import *a = &x->args.image_import;
	struct res_image_import *res = &x->result.res_image_import;

	memcpy(res->op, x->op.hex, ID_HEX);
	return image_import(x->ctl, &x->op, a->name, a->kernel, x->fds[0], res->digest, &x->error);
}

int api_image_delete(struct exchange *x)
{
	memcpy(x->result.res_image_delete.op, x->op.hex, ID_HEX);
	return image_delete(x->ctl, &x->op, x->args.image_delete.image, &x->error);
}

int api_kernel_import(struct exchange *x)
{
	struct res_kernel_import *res = &x->result.res_kernel_import;

	memcpy(res->op, x->op.hex, ID_HEX);
	return kernel_import(x->ctl, &x->op, x->args.kernel_import.name, x->fds, res->digest, &x->error);
}

int api_kernel_delete(struct exchange *x)
{
	memcpy(x->result.res_kernel_delete.op, x->op.hex, ID_HEX);
	return kernel_delete(x->ctl, &x->op, x->args.kernel_delete.kernel, &x->error);
}

static int gather_image(void *arg, const struct image *i)
{
	struct ev_image *ev = api_rows_add(arg);

	if (!ev)
		return -1;
	COPY(ev->name, i->name);
	COPY(ev->digest, i->digest);
	COPY(ev->kernel, i->kernel);
	COPY(ev->created, i->created);
	ev->owner = i->owner;
	ev->size = i->size;
	ev->used_by = i->used_by;
	return 0;
}

int api_image_list(struct exchange *x)
{
	struct api_rows rows = { .x = x, .size = sizeof(struct ev_image) };
	int r = store_image_each(x->ctl->store, &x->caller, gather_image, &rows, &x->error);

	return api_rows_send(x, &rows, r, EVENT_IMAGE, &x->result.res_image_list.count);
}

static int gather_kernel(void *arg, const struct kernel *k)
{
	struct ev_kernel *ev = api_rows_add(arg);

	if (!ev)
		return -1;
	COPY(ev->name, k->name);
	COPY(ev->digest, k->digest);
	COPY(ev->created, k->created);
	ev->owner = k->owner;
	ev->size = k->size;
	ev->used_by = k->used_by;
	return 0;
}

int api_kernel_list(struct exchange *x)
{
	struct api_rows rows = { .x = x, .size = sizeof(struct ev_kernel) };
	int r = store_kernel_each(x->ctl->store, &x->caller, gather_kernel, &rows, &x->error);

	return api_rows_send(x, &rows, r, EVENT_KERNEL, &x->result.res_kernel_list.count);
}
