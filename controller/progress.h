/* progress.h - struct operation as all rooms see it: caller, id, reports of stages,
 * cancellation. */
#ifndef BANGER_CONTROLLER_PROGRESS_H
#define BANGER_CONTROLLER_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/parse.h"
#include "controller/access.h"

/* A running operation. */
struct operation {
	uint8_t id[ID_LEN];
	char hex[ID_HEX];
	const struct caller *caller;
	uint64_t connection; /* number of the client's connection; 0: there is none */
	/* Report a stage to the client; @detail may be "".  NULL: there is no client. */
	void (*stage)(void *arg, const char *stage, const char *detail);
	void *stage_arg;
	atomic_bool *cancelled; /* set by a later operation; NULL: it can not be interrupted */
};

/* Report that @o has reached @stage; @detail may be "".  Does nothing if @o is NULL or has no
 * receiver of stages. */
void operation_stage(const struct operation *o, const char *stage, const char *detail);

/* Return: uid of the caller of @o; root for an operation of the controller itself. */
uid_t operation_asker(const struct operation *o);

/* True if a later operation on the same VM has cancelled @o. */
bool operation_cancelled(const struct operation *o);

#endif
