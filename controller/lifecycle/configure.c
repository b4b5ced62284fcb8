/* configure.c - the sizes and policies that a VM may have, and their change. */
#include "controller/lifecycle/configure.h"

#include <string.h>

#include "controller/lifecycle/operation.h"
#include "controller/objects/nat.h"
#include "controller/db/preflight.h"
#include "controller/db/db.h"

#define MIN_MEM_MIB 64
#define MIN_AUTO_STOP_S 60u

static int check_size(const char *what, const char *unit, uint64_t v, uint64_t min, uint64_t max,
		      struct error *e)
{
	if (v < min)
		return error_set(e, FAIL_USAGE, what, "%llu%s is too little, the least is %llu%s",
				 (unsigned long long)v, unit, (unsigned long long)min, unit);
	if (v > max)
		return error_set(e, FAIL_LIMIT, what,
				 "%llu%s is too much, this host allows up to %llu%s",
				 (unsigned long long)v, unit, (unsigned long long)max, unit);
	return 0;
}

int vm_check_size(const struct config *k, uint64_t vcpus, uint64_t mem_mib, struct error *e)
{
	if (check_size("vcpus", "", vcpus, 1, k->max_vcpus, e) < 0)
		return -1;
	return check_size("memory", " MiB", mem_mib, MIN_MEM_MIB, k->max_mem_mib, e);
}

int vm_check_disk(const struct config *k, uint64_t disk_mib, uint64_t image_mib, struct error *e)
{
	return check_size("disk", " MiB", disk_mib, image_mib, k->max_disk_mib, e);
}

int vm_choose_policy(struct vm *vm, uint64_t restart, uint64_t restart_max, uint64_t auto_stop_s,
		     struct error *e)
{
	if (auto_stop_s > 1 && auto_stop_s < MIN_AUTO_STOP_S)
		return error_set(e, FAIL_USAGE, "auto-stop",
				 "%llu s is too little, the least is %u s",
				 (unsigned long long)auto_stop_s, MIN_AUTO_STOP_S);
	if (restart) {
		vm->restart = (enum restart_policy)(restart - 1);
		vm->restart_max = vm->restart == RESTART_NO ? 0 : (uint32_t)restart_max;
		/* A new policy does not restart a VM that was at rest before the change. */
		vm->wanted &= !vm_at_rest(vm) || vm->rebooted;
	}
	if (auto_stop_s)
		vm->auto_stop_s = auto_stop_s == 1 ? 0 : (uint32_t)auto_stop_s;
	return 0;
}

static int set_locked(struct ctl *c, const struct operation *o, const struct call_vm_set *a,
		      const struct vm *before, struct error *e)
{
	struct vm after = *before;

	after.vcpus = a->vcpus ? (uint32_t)a->vcpus : before->vcpus;
	after.mem_mib = a->mem_mib ? (uint32_t)a->mem_mib : before->mem_mib;
	after.nat = a->nat ? a->nat == 2 : before->nat;
	if (vm_choose_policy(&after, a->restart, a->restart_max, a->auto_stop_s, e) < 0)
		return -1;
	memcpy(after.op, o->hex, sizeof(after.op));
	/* Check only the sizes in the request.  An unchanged size may exceed a limit that was
	 * lowered later, and must not prevent other changes. */
	if (vm_check_size(&c->config, a->vcpus ?: 1, a->mem_mib ?: MIN_MEM_MIB, e) < 0)
		return -1;
	/* On a nearly full disk the free space is reserved for stops and deletes. */
	if (work_check(c, before->name, e) < 0 ||
	    operation_begin(c, o, OPERATION_SET, before, e) < 0)
		return -1;
	operation_stage(o, "set", "");
	int r = nat_apply_config_change(c, before, &after, o, e);
	if (r == 0 && !nat_is_applied(before, &after))
		r = db_vm_update(c->db, &after, e);
	return operation_end(c, o, r, e);
}

int vm_set(struct ctl *c, struct operation *o, const struct call_vm_set *args, struct error *e)
{
	struct vm vm;

	if (operation_enter(c, o, args->vm, false, &vm, e) < 0)
		return -1;
	return operation_leave(c, o, &vm, set_locked(c, o, args, &vm, e), e);
}
