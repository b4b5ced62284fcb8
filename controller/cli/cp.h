/* cp.h - the sides of `banger cp` that are tar streams. */
#ifndef BANGER_CLI_CP_H
#define BANGER_CLI_CP_H

#include "controller/copy/copy.h"

/* Send the entries of the tar stream @in as records.  What can not be copied is reported. */
enum copy_end tar_send(const struct copy *c, int in);

/* Write the entries of a stream of records as a tar stream (pax) to @out. */
enum copy_end tar_receive(const struct copy *c, int out);

#endif
