/* object.c - the table of kernel objects, and the requests that make and remove them. */
#include "controller/objects/object.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/fdio.h"
#include "common/pidfd.h"
#include "controller/helper/client.h"
#include "controller/helper/tap_sweep.h"
#include "controller/paths.h"
#include "controller/storage/disk.h"
#include "controller/tsc.h"
#include "controller/vmm/watch.h"
#include "proto/slot.h"

/* The properties of one kind of object.  A hook may be NULL: there is nothing to do then. */
struct object_row {
	enum op_code make_op, remove_op;
	uint64_t part; /* of a loop device: 0 the image, 1 the CoW store */
	/* the kind whose runtime field names this kind too; 0: it has a field of its own */
	enum object named_by;
	unsigned release_ms; /* time in which a removal is retried while busy; 0: RELEASE_MS */
	/* True if a running VM has such an object.  NULL: always. */
	bool (*planned)(const struct vm *vm, enum object kind);
	/* Fill in the request that makes it, and open the descriptors that go with it, FDIO_MAX at
	 * most; the caller closes them, also after a failure. */
	int (*args)(struct ctl *c, const struct vm *vm, const struct object_row *row,
		    struct request *q, int *fds, struct error *e);
	/* Write the identity in the answer to the runtime.  Return: the identity. */
	int64_t (*note)(struct ctl *c, struct vm *vm, const struct reply *r);
	bool (*named)(const struct vm *vm);
	void (*forget)(struct vm *vm);
	/* Send the request that removes it, once.  Return: a status, or -1: no role is
	 * connected. */
	int (*remove)(struct ctl *c, const struct object_row *row, struct request *q);
	/* Return: a copy of the pidfd of the process that holds the object, or -1.  The object can
	 * be removed when this process has exited. */
	int (*exit_of)(struct ctl *c, const struct vm *vm);
};

static int remove_once(struct ctl *c, const struct object_row *row, struct request *q)
{
	struct reply r;

	(void)row;
	if (helper_call(c->helper, q, NULL, &r, NULL) < 0)
		return -1;
	return r.status == ST_ABSENT ? ST_OK : (int)r.status;
}

/* ---- net ---- */

static int64_t note_tap(struct ctl *c, struct vm *vm, const struct reply *r)
{
	(void)c;
	slot_tap(vm->slot, vm->runtime.tap);
	return (int64_t)r->tap_create.ifindex;
}

static bool tap_named(const struct vm *vm)
{
	return vm->runtime.tap[0];
}

static bool nat_named(const struct vm *vm)
{
	return vm->nat && vm->runtime.tap[0];
}

static bool nat_planned(const struct vm *vm, enum object kind)
{
	(void)kind;
	return vm->nat;
}

static void forget_tap(struct vm *vm)
{
	vm->runtime.tap[0] = '\0';
}

/* Retire the tap, then wait for a sweep, which other VMs share. */
static int remove_tap(struct ctl *c, const struct object_row *row, struct request *q)
{
	(void)row;
	return tap_sweep_remove(c->tap_sweep, c->helper, q);
}

/* ---- blk ---- */

static bool disk_planned(const struct vm *vm, enum object kind)
{
	const struct storage_driver *d = storage_by_name(vm->runtime.storage);

	for (size_t i = 0; d && i < d->n_objects; i++)
		if (d->objects[i] == kind)
			return true;
	return false;
}

static int loop_args(struct ctl *c, const struct vm *vm, const struct object_row *row,
		     struct request *q, int *fds, struct error *e)
{
	q->loop_attach.part = row->part;
	fds[0] = c->disks->open_part(c, vm, (unsigned)row->part, e);
	return fds[0] < 0 ? -1 : 0;
}

static int remove_loop(struct ctl *c, const struct object_row *row, struct request *q)
{
	q->loop_detach.part = row->part;
	return remove_once(c, row, q);
}

static int64_t note_loop_base(struct ctl *c, struct vm *vm, const struct reply *r)
{
	(void)c;
	return vm->runtime.loop_base = (int64_t)r->loop_attach.loop;
}

static int64_t note_loop_cow(struct ctl *c, struct vm *vm, const struct reply *r)
{
	(void)c;
	return vm->runtime.loop_cow = (int64_t)r->loop_attach.loop;
}

static int64_t note_dm(struct ctl *c, struct vm *vm, const struct reply *r)
{
	(void)c;
	slot_dm_name(vm->slot, vm->runtime.dm);
	return (int64_t)r->snapshot_create.minor;
}

static bool loop_base_named(const struct vm *vm)
{
	return vm->runtime.loop_base >= 0;
}

static bool loop_cow_named(const struct vm *vm)
{
	return vm->runtime.loop_cow >= 0;
}

static bool dm_named(const struct vm *vm)
{
	return vm->runtime.dm[0];
}

static void forget_loop_base(struct vm *vm)
{
	vm->runtime.loop_base = -1;
}

static void forget_loop_cow(struct vm *vm)
{
	vm->runtime.loop_cow = -1;
}

static void forget_dm(struct vm *vm)
{
	vm->runtime.dm[0] = '\0';
}

/* ---- spawn ---- */

/* Return: bit i for a volume i that the guest can not write. */
static uint64_t read_only(const struct vm *vm)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < vm->n_volumes; i++)
		mask |= (uint64_t)vm->volumes[i].read_only << i;
	return mask;
}

static int vmm_args(struct ctl *c, const struct vm *vm, const struct object_row *row,
		    struct request *q, int *fds, struct error *e)
{
	const struct storage_driver *storage = storage_by_name(vm->runtime.storage);

	(void)row;
	if (!storage)
		return error_set(e, FAIL_GENERAL, "disk", "no storage driver is called \"%s\"",
				 vm->runtime.storage);
	q->vmm_spawn = (struct req_vmm_spawn){
		.vmm = vm->runtime.vmm,
		.accel = vm->runtime.accel,
		.disk = storage->disk,
		.vcpus = vm->vcpus,
		.mem_mib = vm->mem_mib,
		.disk_mib = vm_largest_disk_mib(vm),
		.volumes = vm->n_volumes,
		.read_only = read_only(vm),
		.tsc_khz = vm->runtime.accel == ACCEL_TCG ? tsc_khz() : 0,
	};
	/* in this order: the call makes both FIFOs */
	fds[1] = watch_console_open(c->watch, vm);
	if (fds[1] >= 0)
		fds[0] = watch_input_open(c->watch, vm);
	if (fds[0] < 0)
		return error_set(e, FAIL_HOST, "console", "its FIFOs can not be opened: %s",
				 strerror(errno));
	return 0;
}

static int64_t note_vmm(struct ctl *c, struct vm *vm, const struct reply *r)
{
	char path[200];

	path_slot_run(&c->config, vm->slot, "api.sock", path);
	(void)snprintf(vm->runtime.api_socket, sizeof(vm->runtime.api_socket), "%.*s",
		       (int)sizeof(vm->runtime.api_socket) - 1, path);
	vm->runtime.pid = (int64_t)r->vmm_spawn.pid;
	vm->runtime.pid_start = (int64_t)r->vmm_spawn.start;
	return 1;
}

static bool vmm_named(const struct vm *vm)
{
	return vm->runtime.pid > 0;
}

static void forget_vmm(struct vm *vm)
{
	vm->runtime.pid = vm->runtime.pid_start = 0;
	vm->runtime.api_socket[0] = '\0';
}

static int vmm_exit_of(struct ctl *c, const struct vm *vm)
{
	return c->watch ? watch_pidfd(c->watch, vm->id) : -1;
}

static const struct object_row rows[OBJ_COUNT] = {
	[OBJ_TAP] = { .make_op = OP_TAP_CREATE,
		      .remove_op = OP_TAP_RETIRE,
		      .note = note_tap,
		      .named = tap_named,
		      .forget = forget_tap,
		      .remove = remove_tap },
	[OBJ_GUEST] = { .make_op = OP_GUEST_ALLOW,
			.remove_op = OP_GUEST_DENY,
			.named_by = OBJ_TAP,
			.named = tap_named,
			.remove = remove_once },
	[OBJ_NAT] = { .make_op = OP_NAT_ADD,
		      .remove_op = OP_NAT_REMOVE,
		      .named_by = OBJ_TAP,
		      .planned = nat_planned,
		      .named = nat_named,
		      .remove = remove_once },
	[OBJ_LOOP_BASE] = { .make_op = OP_LOOP_ATTACH,
			    .remove_op = OP_LOOP_DETACH,
			    .part = 0,
			    .planned = disk_planned,
			    .args = loop_args,
			    .note = note_loop_base,
			    .named = loop_base_named,
			    .forget = forget_loop_base,
			    .remove = remove_loop },
	[OBJ_LOOP_COW] = { .make_op = OP_LOOP_ATTACH,
			   .remove_op = OP_LOOP_DETACH,
			   .part = 1,
			   .planned = disk_planned,
			   .args = loop_args,
			   .note = note_loop_cow,
			   .named = loop_cow_named,
			   .forget = forget_loop_cow,
			   .remove = remove_loop },
	[OBJ_DM] = { .make_op = OP_SNAPSHOT_CREATE,
		     .remove_op = OP_SNAPSHOT_REMOVE,
		     .planned = disk_planned,
		     .note = note_dm,
		     .named = dm_named,
		     .forget = forget_dm,
		     .remove = remove_once },
	[OBJ_VMM] = { .make_op = OP_VMM_SPAWN,
		      .remove_op = OP_VMM_KILL,
		      .release_ms = RELEASE_VMM_MS,
		      .args = vmm_args,
		      .note = note_vmm,
		      .named = vmm_named,
		      .forget = forget_vmm,
		      .remove = remove_once,
		      .exit_of = vmm_exit_of },
};

enum role_id object_role(enum object kind)
{
	return op_find(rows[kind].make_op)->role;
}

size_t objects_planned(const struct vm *vm, enum object kinds[OBJ_COUNT])
{
	size_t n = 0;

	for_each_object(kind) if (!rows[kind].planned || rows[kind].planned(vm, kind))
		kinds[n++] = kind;
	return n;
}

enum object object_named_by(enum object kind)
{
	return rows[kind].named_by ? rows[kind].named_by : kind;
}

bool object_named(const struct vm *vm, enum object kind)
{
	return rows[kind].named(vm);
}

void object_forget(struct vm *vm, enum object kind)
{
	if (rows[kind].forget)
		rows[kind].forget(vm);
}

/* Explain ST_LIMIT as a full table.  It is not the rate limit: call_patiently() has waited longer
 * than that lasts. */
static int explain_limit(enum object kind, struct error *e)
{
	static const struct {
		const char *why, *hint;
	} full[OBJ_COUNT] = {
		[OBJ_TAP] = { "the bridge has no free port, or the owner has reached the cap of "
			      "taps",
			      "`bridge link` shows the ports, 1,023 at most; the caps are in "
			      "banger.conf" },
		[OBJ_GUEST] = { "the nftables set of guests is full",
				"`nft list table bridge banger` shows its elements" },
		[OBJ_NAT] = { "the nftables set of NAT is full",
			      "`nft list table inet banger` shows its elements" },
		[OBJ_LOOP_BASE] = { "no loop device is free", "`losetup -l` shows their files" },
		[OBJ_LOOP_COW] = { "no loop device is free", "`losetup -l` shows their files" },
		[OBJ_DM] = { "there are too many disks", "the caps are in banger.conf" },
		[OBJ_VMM] = { "the host has no room for its processes",
			      "see TasksMax of the service, pids.max of its control group, and the "
			      "caps in banger.conf" },
	};

	error_set(e, FAIL_LIMIT, object_name(kind), "%s", full[kind].why);
	error_hint(e, "%s", full[kind].hint);
	return -1;
}

int object_explain(enum object kind, int status, struct error *e)
{
	const char *role = role_name(object_role(kind)), *name = object_name(kind);

	switch (status) {
	case ST_ABSENT:
		return error_set(e, FAIL_GENERAL, name, "what it is built on is not there");
	case ST_BUSY:
		return error_set(e, FAIL_GENERAL, name, "still in use");
	case ST_LIMIT:
		return explain_limit(kind, e);
	case ST_DENIED:
		error_set(e, FAIL_GENERAL, name, "the %s role refused it", role);
		error_hint(e, "`banger audit show` with the operation's id says why");
		return -1;
	case ST_NOLOG:
		error_set(e, FAIL_HOST, name, "the %s role can not write its request log", role);
		error_hint(e, "free some space where the logs are; removing things still works");
		return -1;
	case ST_KERNEL:
		error_set(e, FAIL_HOST, name, "the kernel refused it");
		error_hint(e, "`banger doctor` says what this host lacks");
		return -1;
	default:
		return helper_explain(EPIPE, name, role, e);
	}
}

/* Send a request, and send it again for MAKE_MS while the answer is ST_BUSY or ST_LIMIT.  Both may
 * be temporary: the rate limit of creations, and objects of the slot's last VM that are being
 * freed. */
static int call_patiently(struct ctl *c, struct request *q, const int *fds,
			  const struct operation *o, struct reply *r, int *fd_out)
{
	const uint64_t end = clock_boot_ns() + MAKE_MS * UINT64_C(1000000);

	for (;;) {
		if (helper_call(c->helper, q, fds, r, fd_out) < 0)
			return -1;
		bool passes = r->status == ST_BUSY || r->status == ST_LIMIT;
		if (!passes || clock_boot_ns() >= end || operation_cancelled(o))
			return (int)r->status;
		(void)poll(NULL, 0, 20);
	}
}

int object_make(struct ctl *c, struct vm *vm, enum object kind, const struct operation *o,
		struct made *m, struct error *e)
{
	const struct object_row *row = &rows[kind];
	struct request q = helper_request(row->make_op, vm, o);
	int fds[FDIO_MAX] = { -1, -1, -1, -1 }, status = -1;
	struct reply r;

	*m = (struct made){ .ident = -1, .pidfd = -1 };
	bool asks = !row->args || row->args(c, vm, row, &q, fds, e) == 0;
	if (asks)
		status = call_patiently(c, &q, fds, o, &r, &m->pidfd);
	int saved = errno;
	fdio_close_all(fds, FDIO_MAX);
	errno = saved;
	if (!asks)
		return -1;
	if (status < 0)
		return helper_explain(errno, object_name(kind), role_name(object_role(kind)), e);
	if (status != ST_OK)
		return object_explain(kind, status, e);
	FAILPOINT("object.made");
	if (row->note)
		m->ident = row->note(c, vm, &r);
	return 0;
}

/* Return: the slot of the object.  A VM row of an older schema may name the tap and have another
 * slot; the tap's name has the number of the slot then. */
static uint32_t slot_for(const struct vm *vm, enum object kind)
{
	int slot = -1;

	if (object_role(kind) == ROLE_NET && vm->runtime.tap[0])
		slot = slot_of_tap(vm->runtime.tap);
	return slot < 0 ? vm->slot : (uint32_t)slot;
}

int object_remove(struct ctl *c, const struct vm *vm, enum object kind, const struct operation *o)
{
	struct request q = helper_request(rows[kind].remove_op, vm, o);

	q.slot = slot_for(vm, kind);
	return rows[kind].remove(c, &rows[kind], &q);
}

#define HOLDER_MS 100 /* interval of looks at the clock */

/* Wait before the role is asked again: until the process that holds the object has exited, or for
 * @ms where there is no such process.
 * Return: false if it has not exited at @end: no question can help. */
static bool wait_for_holder(struct ctl *c, const struct vm *vm, enum object kind, int ms,
			    uint64_t end)
{
	_cleanup_close_ int pidfd = rows[kind].exit_of ? rows[kind].exit_of(c, vm) : -1;

	while (pidfd >= 0 && !pidfd_wait(pidfd, HOLDER_MS))
		if (clock_boot_ns() >= end)
			return false;
	/* A process that has exited leaves its cgroup some microseconds later. */
	(void)poll(NULL, 0, ms);
	return true;
}

int object_release(struct ctl *c, const struct vm *vm, enum object kind, const struct operation *o,
		   struct error *e)
{
	const unsigned longest = rows[kind].release_ms ? rows[kind].release_ms : RELEASE_MS;
	uint64_t end = clock_boot_ns() + longest * UINT64_C(1000000);
	int status, ms = 1;

	if (c->release_by && c->release_by < end)
		end = c->release_by;
	/* The role itself waits 100 ms for each VMM, and serves no other request meanwhile.  So it
	 * is not asked again before the VMM has exited. */
	if (kind == OBJ_VMM && clock_boot_ns() >= end)
		return object_explain(kind, ST_BUSY, e);
	while ((status = object_remove(c, vm, kind, o)) == ST_BUSY && clock_boot_ns() < end &&
	       wait_for_holder(c, vm, kind, ms, end))
		ms = ms < 100 ? 2 * ms : 100;
	return status == ST_OK ? 0 : object_explain(kind, status, e);
}

int object_vmm(struct ctl *c, const struct vm *vm, const struct operation *o, int64_t *pid,
	       int64_t *start)
{
	struct request q = helper_request(OP_VMM_WATCH, vm, o);
	struct reply r;
	int pidfd = -1;

	if (helper_call(c->helper, &q, NULL, &r, &pidfd) < 0) {
		errno = EPIPE;
		return -1;
	}
	if (r.status != ST_OK) {
		errno = r.status == ST_KERNEL ? EAGAIN : ENOENT;
		return -1;
	}
	*pid = (int64_t)r.vmm_watch.pid;
	*start = (int64_t)r.vmm_watch.start;
	return pidfd;
}
