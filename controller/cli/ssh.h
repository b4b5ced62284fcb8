/* ssh.h - into a guest with the user's own ssh: keys, known hosts of ours, waiting for the server. */
#ifndef BANGER_CLI_SSH_H
#define BANGER_CLI_SSH_H

#include "controller/cli/cli.h"

struct ssh {
	char known_hosts[4096];
	char keys[3][4096]; /* private halves to offer; "" ends them */
	char line[4001];    /* the public half that a new VM is given; "" when there is none to be made */
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
 * ssh_wait() - wait until a server answers with its banner (RFC 4253, 4.2)
 *
 * Return: 0, or -1 with @e (FAIL_TIMEOUT, or interrupted by a held signal).
 */
int ssh_wait(struct cli *c, const char *ip, uint64_t timeout_ms, struct error *e);

/**
 * ssh_run() - run a command in @vm, or a shell
 * @guest:	NULL for a shell.  One word is a line for the guest's shell; several are arguments, kept apart
 * @tty:	give the command a terminal
 * @batch:	never ask anything
 *
 * The host key is kept under the VM's id, so another VM at the same address is never taken for it.
 * Return: ssh's exit status, the guest's as a rule; -1 with @e.
 */
int ssh_run(struct cli *c, const struct ssh *s, const struct ev_vm *vm, char *const *guest, bool tty, bool batch,
	    struct error *e);

/* Forget the host key of a VM that is deleted. */
void ssh_forget(const char *id);

/* @words as one line for a shell: quoted, unless there is only one.  Return: malloc, or NULL. */
char *ssh_line(char *const *words);

#endif
