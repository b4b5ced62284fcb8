/* init.h - process 1 of a guest whose image has no init. */
#ifndef BANGER_AGENT_INIT_H
#define BANGER_AGENT_INIT_H

#include <stdbool.h>

#define NEW_ROOT "/newroot" /* where guest/init has mounted the image */

/**
 * init_run() - be process 1
 * @entry:	start the image's entry point, if it has one
 *
 * Makes NEW_ROOT the root, reaps orphans, and ends the guest when its power button is pressed or by
 * one of the signals of an init: SIGUSR1, SIGUSR2 and SIGPWR power off, SIGTERM and SIGINT restart.
 * Never returns, but when the root can not be changed.
 * Return: the exit status of the process.
 */
int init_run(bool entry);

#endif
