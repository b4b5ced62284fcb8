/* doctor.h - what the daemon knows of this host, as checks with a verdict and a hint. */
#ifndef BANGER_CONTROLLER_HOST_DOCTOR_H
#define BANGER_CONTROLLER_HOST_DOCTOR_H

#include "controller/ctl.h"

/* Learn what can only be read before sandbox_enter(). */
void doctor_prepare(struct ctl *c);

/* Run every check; @tell gets one row each.  Return: how many failed. */
unsigned doctor_run(struct ctl *c, int (*tell)(void *arg, const struct ev_check *row), void *arg);

/* Likewise of the state database alone; needs config.state_dir and no service. */
unsigned doctor_db(const struct config *config, bool all, int (*tell)(void *arg, const struct ev_check *row), void *arg);

#endif
