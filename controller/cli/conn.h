/* conn.h - one request to the controller and its answer, mostly on a connection of its own. */
#ifndef BANGER_CLI_CONN_H
#define BANGER_CLI_CONN_H

#include <poll.h>

#include "controller/cli/cli.h"

/* Called for each event before the answer.  Return: 0, or -1 with @e to end the call. */
typedef int (*event_fn)(void *arg, const struct event *event, const union control_body *body,
			struct error *e);

/* Called before each wait for the daemon.  @p: CONN_BESIDE entries that the wait takes along,
 * with the revents of the last wait (0 before the first); an fd of -1 is left out.  @ms: the
 * longest wait, -1 at the call: no bound.  Return: 0, or -1 with @e to end the call. */
#define CONN_BESIDE 2
typedef int (*beside_fn)(void *arg, struct pollfd p[CONN_BESIDE], int *ms, struct error *e);

struct reply_to {
	event_fn event;   /* NULL: stages are shown, other events ignored */
	beside_fn beside; /* NULL: nothing is done beside */
	void *arg;
	bool uncut;     /* a held signal does not end it */
	int timeout_ms; /* silence that ends it, without `beside`; 0: no bound */
	int *fd;        /* out: the descriptor of an answer that has one, owned by the caller */
	/* out: after a result the connection stays open, and is the caller's; else -1.  NULL: it is
	 * closed */
	int *keep;
};

/* Return: the path of the control socket: $BANGER_SOCKET, or the service's default. */
const char *conn_path(void);

/* Connect to the daemon.  Return: a socket, or -1 with @e, which tells a missing socket, a refused
 * connection and a missing permission apart. */
int conn_open(struct error *e);

/**
 * conn_call() - send a request and wait for its answer
 * @args:	the call's struct call_<name>
 * @fds:	its descriptors, as many as its row in control.def has; NULL for none
 * @to:		receives the events before the answer; NULL: they are dropped
 * @result:	out: the call's struct res_<name>
 *
 * Stages are shown as --progress says.  Return: 0, or -1 with @e.
 */
int conn_call(struct cli *c, enum call_id id, const void *args, const int *fds,
	      const struct reply_to *to, void *result, struct error *e);

/* As conn_call(), on the connection @fd of conn_open(), which it owns. */
int conn_call_on(struct cli *c, int fd, enum call_id id, const void *args, const int *fds,
		 const struct reply_to *to, void *result, struct error *e);

#endif
