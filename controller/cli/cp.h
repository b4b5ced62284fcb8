/* cp.h - copies files into guests and out of them, and the sides of `banger cp` that are tar
 * streams. */
#ifndef BANGER_CLI_CP_H
#define BANGER_CLI_CP_H

#include "controller/cli/cli.h"
#include "controller/copy/copy.h"

/* Check the words PATH[:GUEST] of --copy: each PATH is there, and GUEST fits into the protocol.
 * A word that is itself a path has no GUEST.  Return: 0, or -1 with @e (FAIL_USAGE,
 * FAIL_NOT_FOUND). */
int cp_check(const struct values *words, struct error *e);

/**
 * cp_into() - copy what --copy says into a VM that runs
 *
 * @timeout_ms:	the longest pause of the guest, while the agent is connected to and answers
 *
 * It is `banger cp PATH VM:GUEST`, but a relative GUEST begins where a command starts: --workdir,
 * the folder of the image's configuration, or the home of its user.
 *
 * The signals are held.  Problems with single files are told.
 * Return: 0, or -1 with @e: not all was copied.
 */
int cp_into(struct cli *c, const struct ev_vm *vm, uint64_t timeout_ms, struct error *e);

/* Send the entries of the tar stream @in as records.  What can not be copied is reported. */
enum copy_end tar_send(const struct copy *c, int in);

/* Write the entries of a stream of records as a tar stream (pax) to @out. */
enum copy_end tar_receive(const struct copy *c, int out);

#endif
