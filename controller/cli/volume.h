/* volume.h - the volumes that --volume names. */
#ifndef BANGER_CLI_VOLUME_H
#define BANGER_CLI_VOLUME_H

#include "controller/cli/cli.h"

/* Check the values of --volume, before anything is made.  Return: 0, or -1 with @e (FAIL_USAGE). */
int volumes_check(const struct values *v, struct error *e);

/**
 * volumes_make() - make each volume of --volume that the caller does not have yet
 *
 * Return: 0, or -1 with @e; volumes that were made stay.
 */
int volumes_make(struct cli *c, struct error *e);

/* Write the values of --volume, which volumes_check() has taken, as CALL_VM_CREATE takes them.
 * Return: 0, or -1 with @e. */
int volumes_put(const struct values *v, char *out, size_t size, struct error *e);

#endif
