/* doctor.h - checks of host, service and state database, for `banger doctor`. */
#ifndef BANGER_CONTROLLER_OBSERVE_DOCTOR_H
#define BANGER_CONTROLLER_OBSERVE_DOCTOR_H

#include "controller/ctl.h"

/* Read files that the confined controller can not read, into c->host.  Call it before
 * sandbox_enter(). */
void doctor_prepare(struct ctl *c);

/**
 * doctor_run() - check the host, the roles and the service
 * @tell:	called with the result of each check; its own result is ignored
 *
 * Return: number of failed checks.
 */
unsigned doctor_run(struct ctl *c, int (*tell)(void *arg, const struct ev_check *row), void *arg);

/**
 * doctor_db() - check the state database; it needs no running service
 * @config:	state_dir is used
 * @all:	report numbers of all users' VMs, images and kernels
 * @tell:	as in doctor_run()
 *
 * Return: number of failed checks.
 */
unsigned doctor_db(const struct config *config, bool all,
		   int (*tell)(void *arg, const struct ev_check *row), void *arg);

#endif
