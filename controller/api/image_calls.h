/* image_calls.h - the handlers of the requests about images, kernels and volumes; each is a row of
 * control.def. */
#ifndef BANGER_CONTROLLER_API_IMAGE_CALLS_H
#define BANGER_CONTROLLER_API_IMAGE_CALLS_H

#include "controller/api/exchange.h"

/* Each has the arguments in x->args, and fills in x->result or x->error.  Return: see
 * exchange_fn. */
int api_image_import(struct exchange *x);
int api_image_tag(struct exchange *x);
int api_image_read(struct exchange *x);
int api_image_delete(struct exchange *x);
int api_kernel_import(struct exchange *x);
int api_kernel_delete(struct exchange *x);
int api_image_list(struct exchange *x);
int api_kernel_list(struct exchange *x);
int api_volume_create(struct exchange *x);
int api_volume_delete(struct exchange *x);
int api_volume_list(struct exchange *x);

#endif
