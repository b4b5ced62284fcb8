#include "controller/ctl.h"

const char *vm_state_name(enum vm_state s)
{
	static const char *const names[VM_STATES] = {
		[VM_CREATED] = "created", [VM_STARTING] = "starting", [VM_RUNNING] = "running",
		[VM_STOPPING] = "stopping", [VM_STOPPED] = "stopped", [VM_DEGRADED] = "degraded",
		[VM_FAILED] = "failed",
	};

	return (unsigned)s < VM_STATES ? names[s] : "unknown";
}

void operation_stage(const struct operation *o, const char *stage, const char *detail)
{
	if (o && o->stage)
		o->stage(o->stage_arg, stage, detail);
}
