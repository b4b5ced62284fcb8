/* hold.h - `run` holds its VM by a connection, so that the service ends the VM when this program
 * ends in whatever way. */
#ifndef BANGER_CLI_HOLD_H
#define BANGER_CLI_HOLD_H

#include <pthread.h>

#include "controller/cli/cli.h"

/* What the service does with the VM when the connection ends; the numbers of control.def. */
enum hold_end { HOLD_END_NONE, HOLD_END_STOP, HOLD_END_DELETE };

/* A held VM; { .fd = -1 } is none.  A thread watches the connection: when the service ends, it
 * takes the hold again at the service's next start. */
struct hold {
	char vm[33];
	enum hold_end end;
	int fd; /* the thread's while it runs; -1: not connected */
	int quit;
	bool watched; /* the thread runs */
	pthread_t thread;
};

/**
 * hold_begin() - watch a connection that holds a VM
 * @fd:		the connection that created the VM with a hold; owned from here on
 * @id:		of the VM
 *
 * Without memory for the thread the connection holds the VM, until the service ends.
 */
void hold_begin(struct hold *h, int fd, const char *id, enum hold_end end);

/* Let the VM go: it goes on without this program.  Return: 0, or -1 with @e: it ends with the
 * connection. */
int hold_let_go(struct cli *c, struct hold *h, struct error *e);

/* Close the connection, after which the service ends the VM unless hold_let_go() came before. */
void hold_end(struct hold *h);

#endif
