/* ssh.h - into a guest with the user's own ssh: keys, known hosts of ours, waiting for the server. */
#ifndef BANGER_CLI_SSH_H
#define BANGER_CLI_SSH_H

#include "controller/cli/cli.h"

struct ssh {
	char known_hosts[4096];
	char keys[3][4096]; /* private halves to offer; "" ends them */
	char line[4001]; /* the public half that a new VM is given; "" when there is none to be made
			  */
};

/**
 * ssh_prepare() - find the user's keys, or make one
 * @new_vm:	one is to be made, with s->line; else nothing is asked of ssh-keygen, and no key made
 *
 * Offered are ~/.ssh/id_ed25519 and id_rsa, and our own in the state folder
 * ($XDG_STATE_HOME or ~/.local/state, then banger/id_ed25519).  A new VM gets
 * the public half of the first that works without a question: one that has no
 * passphrase, or that the agent holds; else ours is made.  The public half is
 * derived from the private one, or is the agent's; .pub files are not believed.
 * Return: 0, or -1 with @e.
 */
int ssh_prepare(struct cli *c, struct ssh *s, bool new_vm, struct error *e);

/**
 * ssh_wait() - wait until the ssh server of @vm answers with its banner (RFC 4253, 4.2)
 *
 * The end of the VM ends the wait too.
 * Return: 0, or -1 with @e (FAIL_TIMEOUT; FAIL_STATE: the VM ended; or interrupted by a held
 * signal).
 */
int ssh_wait(struct cli *c, const struct ev_vm *vm, uint64_t timeout_ms, struct error *e);

/* Is the command line @guest too long for ssh, whose one argument it becomes?  Return: 0, or -1
 * with @e. */
int ssh_check_length(char *const *guest, struct error *e);

/**
 * ssh_run() - run c->guest in @vm, or a shell when it is NULL
 * @batch:	never ask anything
 *
 * One word is a line for the guest's shell; several are arguments, kept apart.
 * The options --tty and --no-stdin hold.
 * The host key is kept under the VM's id, so another VM at the same address is never taken for it.
 * Return: ssh's exit status, the guest's as a rule; -1 with @e.
 */
int ssh_run(struct cli *c, const struct ssh *s, const struct ev_vm *vm, bool batch,
	    struct error *e);

/**
 * ssh_host_key() - compare the host key that is kept of @vm with the one that its server shows now
 *
 * Prints both fingerprints; with --accept the new key takes the place of the old.
 * Return: 0, or -1 with @e (FAIL_STATE: they differ and the new one was not accepted).
 */
int ssh_host_key(struct cli *c, const struct ssh *s, const struct ev_vm *vm, struct error *e);

/* Forget the host key of a VM that is deleted. */
void ssh_forget(const char *id);

/* @words as one line for a shell: quoted, unless there is only one.  Return: malloc, or NULL. */
char *ssh_line(char *const *words);

#endif
