/* conn.h - one request to the controller and its answer, on a connection of its own. */
#ifndef BANGER_CLI_CONN_H
#define BANGER_CLI_CONN_H

#include "controller/cli/cli.h"

/* Takes an event.  Return: 0 to go on, or -1 with @e to end the call. */
typedef int (*event_fn)(void *arg, const struct event *event, const union control_body *body,
			struct error *e);

struct reply_to {
	event_fn event; /* NULL: stages are shown, other events ignored */
	void *arg;
	bool uncut;     /* a held signal does not end it */
	int timeout_ms; /* silence that ends it; 0: no bound */
};

/* $BANGER_SOCKET, or where the service puts it. */
const char *conn_path(void);

/* A connected socket, or -1 with @e: which of no socket, refused, no permission it is. */
int conn_open(struct error *e);

/**
 * conn_call() - ask and wait for the answer
 * @args:	the call's struct call_<name>
 * @fds:	its descriptors, as many as its row says
 * @to:		what to do with what comes before the answer, or NULL
 * @result:	out: the call's struct res_<name>
 *
 * Stages are shown as --progress says.  Return: 0, or -1 with @e.
 */
int conn_call(struct cli *c, enum call_id id, const void *args, const int *fds,
	      const struct reply_to *to, void *result, struct error *e);

#endif
