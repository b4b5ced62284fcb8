/* progress.c - reports the stages of an operation, and tells whether it is cancelled. */
#include "controller/progress.h"

void operation_stage(const struct operation *o, const char *stage, const char *detail)
{
	if (o && o->stage)
		o->stage(o->stage_arg, stage, detail);
}

uid_t operation_asker(const struct operation *o)
{
	return o->caller ? o->caller->uid : 0;
}

bool operation_cancelled(const struct operation *o)
{
	return o->cancelled && *o->cancelled;
}
