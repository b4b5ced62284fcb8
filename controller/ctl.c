#include "controller/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

#include "controller/store.h"

const char *restart_policy_name(enum restart_policy p)
{
	static const char *const names[RESTART_POLICIES] = {
		[RESTART_NO] = "no", [RESTART_ON_FAILURE] = "on-failure", [RESTART_ALWAYS] = "always",
	};

	return p < RESTART_POLICIES ? names[p] : "no";
}

const char *vm_state_name(enum vm_state s)
{
	static const char *const names[VM_STATES] = {
		[VM_CREATING] = "creating", [VM_CREATED] = "created", [VM_STARTING] = "starting",
		[VM_RUNNING] = "running", [VM_STOPPING] = "stopping", [VM_STOPPED] = "stopped",
		[VM_DEGRADED] = "degraded", [VM_FAILED] = "failed",
	};

	return (unsigned)s < VM_STATES ? names[s] : "unknown";
}

void operation_stage(const struct operation *o, const char *stage, const char *detail)
{
	if (o && o->stage)
		o->stage(o->stage_arg, stage, detail);
}

int room_mib(const struct config *c, uint64_t *mib)
{
	struct statvfs v;

	if (statvfs(c->state_dir, &v) < 0)
		return -1;
	*mib = (uint64_t)v.f_bavail * v.f_frsize >> 20;
	return 0;
}

int room_check(const struct config *c, const char *what, struct error *e)
{
	uint64_t mib;

	if (room_mib(c, &mib) < 0)
		return error_set(e, FAIL_HOST, what, "%s: %s", c->state_dir, strerrordesc_np(errno));
	if (mib >= ROOM_LEAST_MIB)
		return 0;
	(void)error_set(e, FAIL_HOST, what, "no space: %" PRIu64 " MiB are free in %s, and at least %u are needed", mib,
			c->state_dir, ROOM_LEAST_MIB);
	error_hint(e, "delete VMs or images, or make room there; stop, kill and delete work all the same");
	return -1;
}

int work_check(const struct ctl *c, const char *what, struct error *e)
{
	return room_check(&c->config, what, e) < 0 ? -1 : store_in_place(c->store, what, e);
}
