/* cli.h - `banger`: the one state struct of the program, its table of commands and its options. */
#ifndef BANGER_CLI_CLI_H
#define BANGER_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/control.h"

enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_NAME };
enum progress { PROGRESS_AUTO, PROGRESS_NONE, PROGRESS_PLAIN, PROGRESS_JSON };

/* Exit status of run, exec and ssh if banger itself fails.  Any other status is the guest's. */
#define EXIT_OURS 125

/* The options of all commands, in the order of cli.c's table.  A command's row lists its own. */
enum option_id {
	O_HELP,
	O_OUTPUT,
	O_QUIET,
	O_PROGRESS,
	O_NAME,
	O_IMAGE,
	O_KERNEL,
	O_VCPUS,
	O_MEMORY,
	O_DISK,
	O_NAT,
	O_NO_NAT,
	O_RESTART,
	O_AUTO_STOP,
	O_RM,
	O_DETACH,
	O_TIMEOUT,
	O_ALL,
	O_FOLLOW,
	O_VMM,
	O_METRICS,
	O_JOURNAL,
	O_TTY,
	O_IF_EXISTS,
	O_DEB,
	O_VMLINUZ,
	O_MODULES,
	O_SIZE,
	O_INCLUDE,
	O_SUITE,
	O_OUTPUT_FILE,
	O_DRY_RUN,
	O_DB,
	O_POLICY,
	O_CONFIG,
	O_NO_STDIN,
	O_ACCEPT,
	O_KEY,
	O_CHECKPOINTS,
	O_ROLE,
	O_LOGS,
	O_VM,
	O_USER,
	O_OP,
	O_STATUS,
	O_SINCE,
	O_UNTIL,
	O_LINES,
	O_SSH,
	O_ENV,
	O_AS,
	O_WORKDIR,
	O_COPY,
	O_ARCHIVE,
	O_FOLLOW_LINK,
	O_SILENT,
	O_FOR,
	O_ENTRYPOINT,
	O_ESCAPE,
	O_VOLUME,
	O_COUNT
};

#define O(x) (UINT64_C(1) << O_##x)

/* The values of an option that may be given several times. */
#define VALUES_MAX 100
struct values {
	const char *v[VALUES_MAX];
	size_t n;
};

struct options {
	enum format format;
	enum progress progress;
	const char *name, *image, *kernel, *deb, *vmlinuz, *modules, *include, *suite, *output,
		*config;
	const char *key, *checkpoints, *role, *logs, *vm, *user, *op, *status, *since, *until;
	const char *as, *workdir; /* the guest's user and folder for a command */
	const char *entrypoint;   /* in the place of the image's; "": none */
	const char *escape;       /* the character that leaves a console; NULL: the default */
	uint64_t wait_for;        /* vm_wait's: enum wait_until + 1; 0: not given */
	struct values env, copies, volumes;
	uint64_t lines;
	uint64_t vcpus, mem_mib, disk_mib, size_mib, timeout_ms; /* 0: not given */
	uint64_t nat;                               /* vm_set's: 0 not given, 1 off, 2 on */
	uint64_t restart, restart_max, auto_stop_s; /* as in control.def */
	uint64_t what; /* vm_logs': 0 console, 1 monitor, 2 metrics; 3: the guest's journal */
	bool clean;    /* of a command's output, on a terminal: no control bytes */
	bool db, policy, dry_run, rm, detach, all, follow, tty, if_exists, help, no_stdin, accept,
		ssh;
	bool archive, follow_link, silent;
};

struct command;

struct cli {
	FILE *out, *err;
	bool out_tty, err_tty; /* the stream is a terminal */
	bool stage_open;       /* a line on the terminal waits to be redrawn */
	bool output_told;      /* the error about standard output was printed */
	int sigfd;             /* signalfd(2) of signals_hold(); -1: not held */
	/* the first held signal that arrived, or SIGPIPE: the output of the guest's command can not
	 * be written; 0: none */
	int signal;
	/* the socket of a client that waits for the guest: the wait ends when it is gone; NULL:
	 * none */
	const int *client;
	const struct command *table;   /* all commands; a NULL noun ends it */
	const struct command *command; /* the one that runs */
	struct options opt;
	char only_kernel[64]; /* the value of opt.kernel that need_kernel() has chosen */
	char **pos;           /* positional arguments */
	int npos;
	char **guest; /* words after "--", NULL-terminated; NULL: no "--" */
	int nguest;
};

/* A row of the table of commands; the help and the parser are made from the table.  The verbs of
 * the first row's noun, and their aliases, are also commands without the noun. */
struct command {
	const char *noun, *verb; /* verb NULL: the noun is the command */
	const char *alias;       /* more words for the verb, with blanks between them, or NULL */
	const char *args;        /* the positional part of the usage line */
	int min, max;            /* positional arguments; max -1: any number */
	bool guest;              /* takes "-- command" */
	uint64_t options;
	const char *help;          /* the first line is the summary */
	int (*run)(struct cli *c); /* returns the exit status */
};

/* commands.c has the program's table; it ends with a NULL noun. */
extern const struct command commands[];

/**
 * cli_main() - parse the words, run the command, print its error
 * @table:	the commands; the last row has a NULL noun
 *
 * Return: the exit status.
 */
int cli_main(int argc, char **argv, const struct command *table);

/* Block the signals that end a program, until clean-up is done; c->sigfd reads them.  Signals that
 * the caller ignores stay ignored. */
int signals_hold(struct cli *c, struct error *e);
/* Unblock the signals of signals_hold(): in a child before exec(), and after clean-up. */
void signals_release(void);
/* Return: true if a held signal has arrived; c->signal has its number.  Does not wait. */
bool signals_pending(struct cli *c);
/* Fill in the error "interrupted".  Return: -1. */
int signals_error(struct cli *c, const char *what, struct error *e);

/* Copy @src into a field of the protocol.  Return: 0, or -1 with @e when it is too long or no
 * UTF-8. */
int text_put(char *dst, size_t size, const char *what, const char *src, struct error *e);

/* Copy @src, cut at @size.  If @src is not UTF-8, each byte from 0x80 on becomes '?'.  @dst may be
 * @src. */
void text_printable(const char *src, char *dst, size_t size);

/* ---- the commands, by file ---- */
int cmd_vm_create(struct cli *c);
int cmd_vm_start(struct cli *c);
int cmd_vm_stop(struct cli *c);
int cmd_vm_restart(struct cli *c);
int cmd_vm_kill(struct cli *c);
int cmd_vm_delete(struct cli *c);
int cmd_vm_list(struct cli *c);
int cmd_vm_show(struct cli *c);
int cmd_vm_set(struct cli *c);
int cmd_vm_logs(struct cli *c);
int cmd_vm_run(struct cli *c);
int cmd_vm_ssh(struct cli *c);
int cmd_vm_ssh_config(struct cli *c);
int cmd_vm_exec(struct cli *c);
int cmd_vm_shell(struct cli *c);
int cmd_vm_wait(struct cli *c);
int cmd_vm_cp(struct cli *c);
int cmd_vm_forward(struct cli *c);
int cmd_vm_host_key(struct cli *c);
int cmd_vm_console(struct cli *c);
int cmd_vm_export(struct cli *c);
int cmd_vm_commit(struct cli *c);
int cmd_image_import(struct cli *c);
int cmd_image_pull(struct cli *c);
int cmd_image_list(struct cli *c);
int cmd_image_show(struct cli *c);
int cmd_image_tag(struct cli *c);
int cmd_image_prune(struct cli *c);
int cmd_image_export(struct cli *c);
int cmd_image_delete(struct cli *c);
int cmd_image_build(struct cli *c);
int cmd_volume_create(struct cli *c);
int cmd_volume_list(struct cli *c);
int cmd_volume_show(struct cli *c);
int cmd_volume_delete(struct cli *c);
int cmd_kernel_import(struct cli *c);
int cmd_kernel_list(struct cli *c);
int cmd_kernel_delete(struct cli *c);
int cmd_audit_show(struct cli *c);
int cmd_audit_tail(struct cli *c);
int cmd_audit_stats(struct cli *c);
int cmd_audit_diff(struct cli *c);
int cmd_audit_verify(struct cli *c);
int cmd_audit_key(struct cli *c);
int cmd_vm_stats(struct cli *c);
int cmd_host_reconcile(struct cli *c);
int cmd_host_drain(struct cli *c);
int cmd_doctor(struct cli *c);
int cmd_version(struct cli *c);
int cmd_help(struct cli *c);

/* ---- shared by the vm commands ---- */

/* Ask the daemon for the VM that @ref names.  Return: 0, or -1 with @e. */
int vm_lookup(struct cli *c, const char *ref, struct ev_vm *vm, struct error *e);
/* The same, from a service that is silent for less than @timeout_ms; 0: without a bound. */
int vm_lookup_within(struct cli *c, const char *ref, int timeout_ms, struct ev_vm *vm,
		     struct error *e);
/* Refuse a name that no request can hold, before an image is made for the VM.  @name: or NULL.
 * Return: 0, or -1 with @e. */
int vm_check_name(const char *name, struct error *e);
/* Make the request for a new VM from the options.  @key: a line for authorized_keys, or "". */
int vm_create_args(struct cli *c, struct call_vm_create *a, const char *name, const char *key,
		   struct error *e);

#endif
