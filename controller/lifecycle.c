#include "controller/lifecycle.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "controller/lifecycle_internal.h"
#include "controller/network.h"
#include "controller/operation.h"
#include "controller/preflight.h"
#include "controller/seed.h"
#include "controller/storage.h"
#include "controller/store.h"
#include "controller/worker.h"

#define DEFAULT_VCPUS 1
#define DEFAULT_MEM_MIB 512
#define MIN_MEM_MIB 64
#define MIN_AUTO_STOP_S 60u

/* ---- sizes and names ---- */

static int check_size(const char *what, const char *unit, uint64_t v, uint64_t min, uint64_t max, struct error *e)
{
	if (v < min)
		return error_set(e, FAIL_USAGE, what, "%llu%s is too little, the least is %llu%s",
				 (unsigned long long)v, unit, (unsigned long long)min, unit);
	if (v > max)
		return error_set(e, FAIL_LIMIT, what, "%llu%s is too much, this host allows up to %llu%s",
				 (unsigned long long)v, unit, (unsigned long long)max, unit);
	return 0;
}

static int check_cpu_and_memory(const struct config *k, uint64_t vcpus, uint64_t mem_mib, struct error *e)
{
	if (check_size("vcpus", "", vcpus, 1, k->max_vcpus, e) < 0)
		return -1;
	return check_size("memory", " MiB", mem_mib, MIN_MEM_MIB, k->max_mem_mib, e);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int choose_sizes(const struct config *k, const struct call_vm_create *a, const struct image *i,
			struct vm *vm, struct error *e)
{
	const uint64_t image_mib = (i->size + (1 << 20) - 1) >> 20;
	uint64_t vcpus = a->vcpus ? a->vcpus : DEFAULT_VCPUS;
	uint64_t mem_mib = a->mem_mib ? a->mem_mib : least(DEFAULT_MEM_MIB, k->max_mem_mib);
	uint64_t disk_mib = a->disk_mib ? a->disk_mib : image_mib;

	if (check_cpu_and_memory(k, vcpus, mem_mib, e) < 0 ||
	    check_size("disk", " MiB", disk_mib, image_mib, k->max_disk_mib, e) < 0)
		return -1;
	vm->vcpus = (uint32_t)vcpus;
	vm->mem_mib = (uint32_t)mem_mib;
	vm->disk_mib = (uint32_t)disk_mib;
	return 0;
}

static void make_name(char out[64])
{
	uint8_t random[3];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		die_errno(1, "getrandom");
	(void)snprintf(out, 64, "vm-%02x%02x%02x", random[0], random[1], random[2]);
}

static int choose_name(const char *wanted, struct vm *vm, struct error *e)
{
	if (!wanted[0]) {
		make_name(vm->name);
		return 0;
	}
	if (!parse_is_label(wanted)) {
		error_set(e, FAIL_USAGE, "name", "\"%s\" can not be a host name", wanted);
		error_hint(e, "1 to 63 of a-z, 0-9 and '-', no '-' at either end");
		return -1;
	}
	(void)snprintf(vm->name, sizeof(vm->name), "%s", wanted);
	return 0;
}

/* Of create and set: what was asked for; zero leaves it. */
static int choose_policy(struct vm *vm, uint64_t restart, uint64_t restart_max, uint64_t auto_stop_s, struct error *e)
{
	if (auto_stop_s > 1 && auto_stop_s < MIN_AUTO_STOP_S)
		return error_set(e, FAIL_USAGE, "auto-stop", "%llu s is too little, the least is %u s",
				 (unsigned long long)auto_stop_s, MIN_AUTO_STOP_S);
	if (restart) {
		vm->restart = (enum restart_policy)(restart - 1);
		vm->restart_max = vm->restart == RESTART_NO ? 0 : (uint32_t)restart_max;
		/* One that rests now is not started by a policy that it did not have when it ended. */
		vm->wanted &= !vm_at_rest(vm);
	}
	if (auto_stop_s)
		vm->auto_stop_s = auto_stop_s == 1 ? 0 : (uint32_t)auto_stop_s;
	return 0;
}

/* ---- create ---- */

static int describe(struct ctl *c, const struct operation *o, const struct call_vm_create *a, struct vm *vm,
		    struct error *e)
{
	struct image i;

	*vm = (struct vm){ .owner = o->caller->uid, .nat = a->nat, .state = VM_CREATING };
	vm->runtime.loop_base = vm->runtime.loop_cow = -1;
	(void)snprintf(vm->runtime.storage, sizeof(vm->runtime.storage), "%s", c->storage->name);
	if (choose_name(a->name, vm, e) < 0 || choose_policy(vm, a->restart, a->restart_max, a->auto_stop_s, e) < 0 || store_image_find(c->store, o->caller, a->image, &i, e) < 0 ||
	    work_check(c, vm->name, e) < 0)
		return -1;
	(void)snprintf(vm->image, sizeof(vm->image), "%s", i.name);
	memcpy(vm->image_digest, i.digest, sizeof(vm->image_digest));
	memcpy(vm->kernel_digest, i.kernel_digest, sizeof(vm->kernel_digest));
	(void)snprintf(vm->ssh_key, sizeof(vm->ssh_key), "%s", a->ssh_key);
	memcpy(vm->op, o->hex, sizeof(vm->op));
	return choose_sizes(&c->config, a, &i, vm, e);
}

static int make_files(struct ctl *c, const struct operation *o, const struct vm *vm, struct error *e)
{
	operation_stage(o, "disk", c->storage->name);
	if (FAILPOINT_FAILS("disk.before"))
		return error_set(e, FAIL_HOST, "disk", "no room left for it");
	if (c->storage->create(c, vm, e) < 0)
		return -1;
	FAILPOINT("disk.after");
	operation_stage(o, "seed", "");
	return c->seed->write(c, vm, e);
}

/* The row goes with its files; if even that fails it stays, failed, for its owner to delete. */
static void undo_create(struct ctl *c, struct vm *vm, const struct operation *o, const struct error *why)
{
	struct error e = { 0 };

	if (vm_remove(c, vm, 0, o, &e) == 0)
		return;
	log_error("%s: can not be removed again: %s", vm->name, e.why);
	vm->state = VM_FAILED;
	(void)snprintf(vm->reason, sizeof(vm->reason), "%.*s", (int)sizeof(vm->reason) - 1, why->why);
	(void)store_vm_update(c->store, vm, &e);
}

/* Row and operation come together: a row without files and without a sign of why must not be.  And who sees the row
 * finds its turn taken, until the files are there; a new id's turn is nobody's, so this waits for no one. */
static int reserve(struct ctl *c, struct operation *o, struct vm *vm, struct error *e)
{
	operation_stage(o, "reserve", "");
	if (store_group_begin(c->store, e) < 0)
		return -1;
	int r = store_vm_create(c->store, vm, &c->config, o, e);
	if (r == 0)
		r = operation_begin(c, o, "create", vm, e);
	const bool made = r == 0;
	if (made)
		vm_turn_take(c->workers, vm->id, false, &o->cancelled);
	r = store_group_end(c->store, r, e);
	return made && r < 0 ? operation_leave(c, o, vm, r, e) : r;
}

static int record_created(struct ctl *c, const struct operation *o, struct vm *vm, struct error *e)
{
	if (store_group_begin(c->store, e) < 0)
		return -1;
	vm->state = VM_CREATED;
	int r = store_vm_update(c->store, vm, e) < 0 || store_op_end(c->store, o, NULL, e) < 0 ? -1 : 0;
	return store_group_end(c->store, r, e);
}

static int create(struct ctl *c, const struct operation *o, struct vm *vm, struct error *e)
{
	/* Without its end on record it would be rolled back at the next start-up: better now, and told. */
	if (make_files(c, o, vm, e) == 0 && record_created(c, o, vm, e) == 0)
		return 0;
	undo_create(c, vm, o, e);
	return operation_end(c, o, -1, e);
}

int vm_create(struct ctl *c, struct operation *o, const struct call_vm_create *args, struct vm *out,
	      struct error *e)
{
	if (describe(c, o, args, out, e) < 0)
		return -1;
	if (reserve(c, o, out, e) < 0)
		return -1;
	return operation_leave(c, o, out, create(c, o, out, e), e);
}

/* ---- set ---- */

static int set(struct ctl *c, const struct operation *o, const struct call_vm_set *a, const struct vm *before,
	       struct error *e)
{
	struct vm after = *before;

	after.vcpus = a->vcpus ? (uint32_t)a->vcpus : before->vcpus;
	after.mem_mib = a->mem_mib ? (uint32_t)a->mem_mib : before->mem_mib;
	after.nat = a->nat ? a->nat == 2 : before->nat;
	if (choose_policy(&after, a->restart, a->restart_max, a->auto_stop_s, e) < 0)
		return -1;
	memcpy(after.op, o->hex, sizeof(after.op));
	/* Only what is asked for is judged: a limit that was lowered since must not be in the way of the rest. */
	if (check_cpu_and_memory(&c->config, a->vcpus ?: 1, a->mem_mib ?: MIN_MEM_MIB, e) < 0)
		return -1;
	/* On a full disk the room that is kept is for ends. */
	if (work_check(c, before->name, e) < 0 || operation_begin(c, o, "set", before, e) < 0)
		return -1;
	operation_stage(o, "set", "");
	int r = nat_apply_config_change(c, before, &after, o, e);
	if (r == 0 && !nat_is_applied(before, &after))
		r = store_vm_update(c->store, &after, e);
	return operation_end(c, o, r, e);
}

int vm_set(struct ctl *c, struct operation *o, const struct call_vm_set *args, struct error *e)
{
	struct vm vm;

	if (operation_enter(c, o, args->vm, false, &vm, e) < 0)
		return -1;
	return operation_leave(c, o, &vm, set(c, o, args, &vm, e), e);
}
