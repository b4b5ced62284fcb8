/* vm_calls.h - the handlers of the requests about VMs; each is a row of control.def. */
#ifndef BANGER_CONTROLLER_API_VM_CALLS_H
#define BANGER_CONTROLLER_API_VM_CALLS_H

#include "controller/api/exchange.h"

/* Each handler reads x->args and fills in x->result or x->error.  Return: see EXCHANGE_DONE in
 * exchange.h. */
int api_vm_create(struct exchange *x);
int api_vm_start(struct exchange *x);
int api_vm_stop(struct exchange *x);
int api_vm_kill(struct exchange *x);
int api_vm_delete(struct exchange *x);
int api_vm_hold(struct exchange *x);
int api_vm_set(struct exchange *x);
int api_vm_list(struct exchange *x);
int api_vm_show(struct exchange *x);
int api_vm_stats(struct exchange *x);
int api_vm_logs(struct exchange *x);
int api_vm_type(struct exchange *x);
int api_vm_wait(struct exchange *x);
int api_vm_agent(struct exchange *x);
int api_vm_disk(struct exchange *x);
int api_vm_read(struct exchange *x);

#endif
