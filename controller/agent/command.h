/* command.h - starts a command in the image's root, as one of its users. */
#ifndef BANGER_AGENT_COMMAND_H
#define BANGER_AGENT_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/agent.h"

#define COMMAND_TEXT 262144 /* bytes of all arguments and variables */
#define OWN_VARIABLES 5     /* variables that the agent adds */
#define IMAGE_WORDS 1024    /* words that the image adds, and variables */

/* What a client wants to be run. */
struct command {
	char text[COMMAND_TEXT]; /* each word with its NUL */
	size_t used;
	/* pointers into @text, or into the image's configuration */
	char *args[AGENT_WORDS + IMAGE_WORDS + 1];
	char *env[AGENT_WORDS + IMAGE_WORDS + OWN_VARIABLES + 1];
	size_t nargs, nenv;
	const char *folder, *user; /* into @text; NULL: not given */
	bool line;                 /* args[0] is a line for the user's shell */
	bool entry;                /* for the image's entry point */
	bool tty;
	unsigned rows, cols;
	bool copies;        /* no program: the agent copies the files that the arguments name */
	uint8_t copy;       /* enum agent_copy_flags */
	bool connects;      /* no program: the agent connects to a port, or to a socket */
	unsigned port;      /* of TCP; 0: @socket */
	const char *socket; /* the path of a Unix socket, into @text */
	int proc;           /* a descriptor of /proc, for a connection */
};

/* A running command.  Descriptors are non-blocking; -1: closed. */
struct running {
	pid_t pid; /* also its process group */
	int in, out, err;
};

/* Add a word of @n bytes.  Return: its copy, or NULL: it holds a NUL, or does not fit. */
char *command_word(struct command *c, const void *data, size_t n);

/**
 * command_start() - start @c in the root of this process
 * @why:	out: the reason of a failure, for the user
 *
 * The image's configuration fills in what @c does not say: variables, user and folder; with
 * @c->entry the arguments are for its entry point, and the image's command without any.  No
 * argument then: a login shell.  With a terminal, in and out are its master and err is -1.  A copy
 * and a connection run in the child too, and do not ask the image.
 * Return: 0, or the exit status for the user: 127 no such program, 126 any other reason.
 */
int command_start(struct command *c, struct running *r, char why[200]);

/**
 * command_start_entry() - start the image's entry point, or its command, with given streams
 * @c:		zeroed
 * @streams:	input, output and errors; they stay the caller's
 * @pid:	out: 0: the image has neither
 *
 * Return: as command_start().
 */
int command_start_entry(struct command *c, const int streams[3], pid_t *pid, char why[200]);

#endif
