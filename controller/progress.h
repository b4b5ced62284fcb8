/* progress.h - an operation as all rooms see it: its caller, its id, its stages, and whether it
 * is to end early. */
#ifndef BANGER_CONTROLLER_PROGRESS_H
#define BANGER_CONTROLLER_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/parse.h"
#include "controller/access.h"

/* An operation under way: its id, the receiver of its stages, and whether it is to end early. */
struct operation {
	uint8_t id[ID_LEN];
	char hex[ID_HEX];
	const struct caller *caller;
	/* Report a stage to the caller; @detail may be "".  NULL: no one listens. */
	void (*stage)(void *arg, const char *stage, const char *detail);
	void *stage_arg;
	atomic_bool *cancelled; /* NULL: can not be interrupted */
};

/* Report that @o has reached @stage; @detail may be "".  Nothing happens when @o is NULL or no
 * one listens. */
void operation_stage(const struct operation *o, const char *stage, const char *detail);

/* Return: the uid that asks for @o; root when it is an operation of our own. */
uid_t operation_asker(const struct operation *o);

/* Has a later operation of the same VM asked @o to end early? */
bool operation_cancelled(const struct operation *o);

#endif
