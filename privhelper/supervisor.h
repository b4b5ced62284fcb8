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

/* supervisor_places.c: makes every folder, the slots' tmpfs, the cgroup subtree, the logs and the control socket, or
 * checks what an earlier start made.  Fills cgroup_dir when it is empty.  Return: 0, or -1 (logged). */
int places_make(struct supervisor *s);
int places_open_logs(struct supervisor *s);
int places_listen(struct supervisor *s);

/**
 * view_enter() - the controller's process leaves the host's network and mount namespaces (supervisor_view.c)
 *
 * As root, before the change of ids: it needs CAP_SYS_ADMIN.
 * Return: 0; -1 with errno or logged.
 */
int view_enter(const struct config *c);

/* supervisor_children.c: forks and executes the roles and the controller.  Return: 0, or -1 (logged). */
int children_start(struct supervisor *s);

#endif
