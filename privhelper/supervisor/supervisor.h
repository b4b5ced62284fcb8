/* supervisor.h - the state of the supervisor, the first process. */
#ifndef BANGER_PRIVHELPER_SUPERVISOR_H
#define BANGER_PRIVHELPER_SUPERVISOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/config.h"

enum child_id { CHILD_NET, CHILD_BLK, CHILD_SPAWN, CHILD_CONTROLLER, CHILDREN };

/* The one state struct of the supervisor. */
struct supervisor {
	struct config config;
	int config_fd; /* sealed memfd; the children's CONFIG_FD */
	/* held until exit, so that no second supervisor uses the same folders */
	int lock_fd;
	int listen_fd;      /* the control socket */
	int logs[CHILDREN]; /* request logs of the roles ... */
	int keys[CHILDREN]; /* ... and their key files */
	int life_fd;        /* the supervisor's end of the controller's CTL_SUP_FD */
	int notify_fd;      /* connected to the service manager; -1: there is none */
	int signal_fd;      /* SIGTERM and SIGINT */
	struct child {
		const char *program; /* below libexec_dir */
		pid_t pid;           /* 0: it has exited and was waited for */
		int pidfd;           /* -1: not started */
	} children[CHILDREN];
};

#endif
