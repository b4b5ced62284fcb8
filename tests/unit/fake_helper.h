/* fake_helper.h - three roles in threads, for tests of the controller: they record, remember and
 * answer.
 *
 * Each keeps what it was asked to make, so that LIST, a second create and a
 * delete of what is absent answer as the real roles do.  A VMM is a child
 * process that sleeps; it ends with the fake. */
#ifndef BANGER_TESTS_FAKE_HELPER_H
#define BANGER_TESTS_FAKE_HELPER_H

#include <sys/types.h>

#include "proto/ops.h"

struct fake_helper;

/* Start the roles; @fds are the controller's ends (net, blk, spawn), the caller's, as helper_open()
 * takes them. */
struct fake_helper *fake_helper_start(int fds[3]);

/* End the roles and every VMM.  The controller must have closed its ends, or see end of file. */
void fake_helper_stop(struct fake_helper *f);

/* How many requests of @op came (whatever was answered), and all of them in the order of their
 * coming. */
size_t fake_helper_count(struct fake_helper *f, enum op_code op);
size_t fake_helper_total(struct fake_helper *f);
bool fake_helper_request(struct fake_helper *f, size_t i, struct request *q);
void fake_helper_forget(struct fake_helper *f);

/* Requests outside of their phase, or with a wrong number of descriptors: the real role would have
 * exited. */
size_t fake_helper_violations(struct fake_helper *f);

/* Objects that exist now: of one kind, or of all (kind 0). */
size_t fake_helper_objects(struct fake_helper *f, enum object kind);
bool fake_helper_has(struct fake_helper *f, uint32_t slot, enum object kind);

/* Add an object that no request made (an orphan for reconciliation to find), or remove one. */
void fake_helper_put(struct fake_helper *f, enum object kind, uint32_t slot, uint32_t generation,
		     uint32_t owner);
void fake_helper_drop(struct fake_helper *f, enum object kind, uint32_t slot);

/* Mark the slot's disk as given up by the kernel. */
void fake_helper_spoil_disk(struct fake_helper *f, uint32_t slot);

/* List the slot's tap as outside of the bridge, or as in order again. */
void fake_helper_connect(struct fake_helper *f, uint32_t slot, bool connected);

/* Answer the next @times requests of @op with @status, without a change; UINT32_MAX: for ever; 0:
 * no more. */
void fake_helper_fail(struct fake_helper *f, enum op_code op, enum status status, uint32_t times);

/* Delay each request of @op by this time. */
void fake_helper_delay(struct fake_helper *f, enum op_code op, unsigned ms);

/* Answer the next request of that role with these bytes instead. */
void fake_helper_nonsense(struct fake_helper *f, enum role_id role, const void *bytes, size_t n);

/* Set the byte that the KVM probe writes: 'y' or 'n' (the default).  The probe has ended when its
 * VMM_SPAWN is answered, and its object stays until VMM_KILL. */
void fake_helper_kvm(struct fake_helper *f, char answer);

/* Have the role's thread call @fn with each request before it is served, for example to play a
 * VMM's monitor. */
void fake_helper_hook(struct fake_helper *f, void (*fn)(void *arg, const struct request *q),
		      void *arg);

/* Return the pid of the slot's VMM (0: none), and end that VMM as by itself. */
pid_t fake_helper_vmm(struct fake_helper *f, uint32_t slot);
void fake_helper_vmm_exit(struct fake_helper *f, uint32_t slot);

/* Each VMM writes this to its console before the role answers VMM_SPAWN, until
 * fake_helper_silence() ends that. */
#define FAKE_GREETING "fake guest\n"
void fake_helper_silence(struct fake_helper *f);

/* Close the role's end of its socketpair: the role "died". */
void fake_helper_die(struct fake_helper *f, enum role_id role);

#endif
