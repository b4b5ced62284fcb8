/* ssh.h - runs the user's own ssh into a guest: chooses keys, keeps host keys, waits for the
 * server. */
#ifndef BANGER_CLI_SSH_H
#define BANGER_CLI_SSH_H

#include "controller/cli/cli.h"

/* The way to the ssh server of a guest. */
enum ssh_way {
	SSH_BY_NETWORK, /* port 22 of the VM's address */
	SSH_BY_AGENT,   /* port 22 of the guest's loopback, through `vm forward` */
};

struct ssh {
	enum ssh_way way;
	char known_hosts[4096];
	char keys[3][4096]; /* private halves to offer; "" ends them */
	char line[4001];    /* the public half for a new VM; "" without @new_vm */
};

/**
 * ssh_prepare() - find the user's keys, or make one
 * @new_vm:	the keys are for a VM to be created, which gets s->line.  Otherwise no key is made
 *		and ssh-keygen is not run.
 *
 * The keys are ~/.ssh/id_ed25519, ~/.ssh/id_rsa, and banger's own: banger/id_ed25519 in
 * $XDG_STATE_HOME or ~/.local/state.  A new VM gets the public half of the first key that works
 * without a prompt, because it has no passphrase or the agent holds it.  If there is none, banger's
 * own key is made.  The public half comes from the private key or the agent, never from a .pub
 * file, which may belong to another key.  s->way is SSH_BY_NETWORK.
 * Return: 0, or -1 with @e.
 */
int ssh_prepare(struct cli *c, struct ssh *s, bool new_vm, struct error *e);

/**
 * ssh_wait() - wait until the ssh server of @vm answers with its banner (RFC 4253, 4.2)
 *
 * The wait also ends when the VM ends.
 * Return: 0, or -1 with @e (FAIL_TIMEOUT; FAIL_STATE: the VM ended; or interrupted by a held
 * signal).
 */
int ssh_wait(struct cli *c, const struct ev_vm *vm, enum ssh_way way, uint64_t timeout_ms,
	     struct error *e);

/* Check that the command line @guest fits into one argument of ssh.  Return: 0, or -1 with @e. */
int ssh_check_length(char *const *guest, struct error *e);

/**
 * ssh_run() - run c->guest in @vm, or a shell if it is NULL
 * @batch:	never prompt
 *
 * One word is a line for the guest's shell; several words are a command and its arguments.  --tty
 * and --no-stdin apply.  The host key is stored by the VM's id, so that another VM at the same
 * address is not mistaken for @vm.
 * Return: ssh's exit status, which is the guest's unless it is 255; -1 with @e.
 */
int ssh_run(struct cli *c, const struct ssh *s, const struct ev_vm *vm, bool batch,
	    struct error *e);

/**
 * ssh_host_key() - compare the stored host key of @vm with the key that its server shows now
 *
 * Prints both fingerprints.  --accept stores the new key.
 * Return: 0, or -1 with @e (FAIL_STATE: they differ and the new one was not accepted).
 */
int ssh_host_key(struct cli *c, const struct ssh *s, const struct ev_vm *vm, struct error *e);

/**
 * ssh_config() - print a block for ssh_config(5) by which ssh, scp and others reach @vm
 *
 * The host is NAME.banger.  The block names the VM by its id, so that it never leads to another VM.
 * Return: 0, or -1 with @e (FAIL_HOST: a path has bytes that such a block can not have).
 */
int ssh_config(struct cli *c, const struct ssh *s, const struct ev_vm *vm, struct error *e);

/* Remove the stored host key of a deleted VM. */
void ssh_forget(const char *id);

/* Join @words to one line for a shell.  Several words are quoted, a single one is not.  Return: a
 * string that the caller frees, or NULL without memory. */
char *ssh_line(char *const *words);

#endif
