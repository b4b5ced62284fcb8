/* supervisor.h - the first process: root for some milliseconds, then a watcher that can only end its set. */
#ifndef BANGER_PRIVHELPER_SUPERVISOR_H
#define BANGER_PRIVHELPER_SUPERVISOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/config.h"

enum child_id { CHILD_NET, CHILD_BLK, CHILD_SPAWN, CHILD_CONTROLLER, CHILDREN };

/* The one state struct of the supervisor. */
struct supervisor {
	struct config config;
	int config_fd;        /* sealed; the children's CONFIG_FD */
	int lock_fd;          /* held for as long as we live: one set at these places */
	int listen_fd;        /* the control socket */
	int logs[CHILDREN];   /* of the roles */
	int life_fd;          /* our end of the controller's CTL_SUP_FD */
	int notify_fd;        /* connected to the service manager; -1: there is none */
	int signal_fd;        /* SIGTERM and SIGINT */
	struct child {
		const char *program; /* below libexec_dir */
		pid_t pid;
		int pidfd;           /* -1: ended, and waited for */
	} children[CHILDREN];
};

#endif
