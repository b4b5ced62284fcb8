/* terminal.h - the user's terminal: raw mode and back, writes that do not wait. */
#ifndef BANGER_CLI_TERMINAL_H
#define BANGER_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Put the terminal on standard input into raw mode (cfmakeraw(3)).  Return: false if standard input
 * is no terminal, or it can not be changed: it is as before then. */
bool terminal_make_raw(void);

/* Undo terminal_make_raw(), which has returned true. */
void terminal_restore(void);

/* As terminal_make_raw(), and fork a process that undoes it if this one is killed.  That process
 * leaves the terminal alone if another program has changed it since.  terminal_restore() ends
 * it. */
bool terminal_make_raw_guarded(void);

/* Bytes that a writable terminal takes for sure in one write(2), with a CR for each LF. */
#define TERMINAL_CHUNK 64

/**
 * terminal_open_output() - prepare to write to @fd without waiting
 * @chunk:	out: the bytes that one write(2) takes at most, after poll(2) has said that there is
 *		room: PIPE_BUF, which a writable pipe takes for sure (pipe(7)), or TERMINAL_CHUNK
 *
 * Other programs share the open file description of @fd, whose flags stay as they are.  A terminal
 * is opened anew, which the owner of the login may do, but not a user who came by su(1).
 * Return: a descriptor of the terminal that does not block, which the caller closes; -1: write to
 * @fd itself.
 */
int terminal_open_output(int fd, size_t *chunk);

#endif
