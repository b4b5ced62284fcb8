/* host_calls.h - the handlers of the requests about the host: version, request log, doctor,
 * reconcile, drain. */
#ifndef BANGER_CONTROLLER_API_SERVER_HOST_H
#define BANGER_CONTROLLER_API_SERVER_HOST_H

#include "controller/api/exchange.h"

/* Each handler reads x->args and fills in x->result or x->error.  Return: see EXCHANGE_DONE in
 * exchange.h. */
int api_version(struct exchange *x);
int api_audit_show(struct exchange *x);
int api_doctor(struct exchange *x);
int api_doctor_db(struct exchange *x);
int api_host_drain(struct exchange *x);
int api_host_reconcile(struct exchange *x);

#endif
