/* client.h - requests to the three roles: one call sends a request and waits for its answer. */
#ifndef BANGER_CONTROLLER_HELPER_CLIENT_H
#define BANGER_CONTROLLER_HELPER_CLIENT_H

#include "controller/ctl.h"

/**
 * helper_open() - take over the socketpairs of the roles
 * @net, @blk, @spawn:	descriptors, owned by the helper, also on failure; -1: the role is absent
 * (tests)
 *
 * Return: NULL with errno on failure.
 */
struct helper *helper_open(int net, int blk, int spawn);

/* Close the sockets and free @h.  NULL does nothing. */
void helper_close(struct helper *h);

/* Return: the descriptor of a role, owned by @h, to poll for its end; -1 if the role is absent. */
int helper_fd(struct helper *h, enum role_id role);

/* Exchange HELLO with each role.  Return: 0, or -1 with errno: EPROTO another version or another
 * role. */
int helper_hello(struct helper *h);

/**
 * helper_call() - send a request to its role, and wait for the answer
 * @q:		op, slot, generation, owner, vm, op_id and arguments are filled in; seq is set here
 * @fds_in:	q->op->fds_in descriptors, kept by the caller
 * @reply:	out
 * @fds_out:	out: q->op->fds_out descriptors if the status is ST_OK, owned by the caller
 *
 * Thread-safe; calls to the same role wait for one another.  If the role exits, sends an invalid
 * answer, or takes more than 30 s, the connection is shut down and all later calls fail.  The main
 * loop sees that on helper_fd(), ends the controller, and the supervisor restarts the set.
 * Return: 0 with reply->status set, or -1 with errno: EPIPE, ETIMEDOUT, EBADMSG, EINVAL;
 * ETOOMANYREFS: too many descriptors of the controller's account are in flight (unix(7)), nothing
 * was sent, and later calls may succeed.
 */
int helper_call(struct helper *h, struct request *q, const int *fds_in, struct reply *reply,
		int *fds_out);

/**
 * helper_explain() - say why helper_call() has failed
 * @err:	its errno
 * @what:	the subject of the error
 * @role:	name of the role
 *
 * Return: -1.
 */
int helper_explain(int err, const char *what, const char *role, struct error *e);

/* As helper_call(), for an operation of all roles (ROLE_ANY) without descriptors. */
int helper_call_role(struct helper *h, enum role_id role, struct request *q, struct reply *reply);

/**
 * helper_request() - make a request with its envelope filled in; the caller fills in the arguments
 * @vm:	slot, generation, owner and id are taken from it; NULL: a request about no slot
 * @o:	its id is sent for the request logs; NULL: zeros
 */
struct request helper_request(enum op_code op, const struct vm *vm, const struct operation *o);

#endif
