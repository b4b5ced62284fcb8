/* client.h - the controller's end of the three socketpairs: one call, one answer. */
#ifndef BANGER_CONTROLLER_HELPER_CLIENT_H
#define BANGER_CONTROLLER_HELPER_CLIENT_H

#include "controller/ctl.h"

/**
 * helper_open() - take over the socketpairs
 * @net, @blk, @spawn:	descriptors; the helper owns them.  -1: that role is not there (tests)
 * Return: NULL with errno on failure.
 */
struct helper *helper_open(int net, int blk, int spawn);
void helper_close(struct helper *h);

/* The descriptor of a role, to poll for its end; -1 when absent. */
int helper_fd(struct helper *h, enum role_id role);

/* HELLO to each role that is there.  Return: 0, or -1 with errno. */
int helper_hello(struct helper *h);

/**
 * helper_call() - ask a role, wait for its answer
 * @q:		op, slot, generation, owner, vm, op_id and arguments filled in; seq is set here
 * @fds_in:	q->op->fds_in descriptors, stay the caller's
 * @reply:	out
 * @fds_out:	out, q->op->fds_out descriptors when the status is OK; the caller's
 *
 * Thread-safe, one call at a time a role.  For ROLE_ANY ops name the role by
 * helper_call_role().  A role that dies, answers nonsense or takes more than
 * 30 s is fatal to the controller by design (its set is restarted), which the
 * main loop sees on helper_fd(); here it is -1.
 * Return: 0 with reply->status set, or -1 with errno.
 */
int helper_call(struct helper *h, struct request *q, const int *fds_in, struct reply *reply,
		int *fds_out);
int helper_call_role(struct helper *h, enum role_id role, struct request *q, struct reply *reply);

/* A request about a VM, its envelope filled in. */
struct request helper_request(enum op_code op, const struct vm *vm, const struct operation *o);

#endif
