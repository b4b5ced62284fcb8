/* start.c - starts a VM; a start that fails leaves no object.
 *
 * A first commit plans all objects in the ledger.  Then the roles make them, in the order of the
 * object table.  A second commit records them as present.  If the start ends between the commits (a
 * refusal, a cancellation, a crash of the controller), the ledger has the whole plan.  vm_release()
 * walks it backwards, and needs not know how far the start came. */
#include "controller/lifecycle/start.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "controller/db/db.h"
#include "controller/lifecycle/configure.h"
#include "controller/lifecycle/operation.h"
#include "controller/lifecycle/reader.h"
#include "controller/objects/object.h"
#include "controller/objects/release.h"
#include "controller/db/preflight.h"
#include "controller/storage/disk.h"
#include "controller/storage/seed.h"
#include "controller/storage/slot_owner.h"
#include "controller/storage/volume.h"
#include "controller/vmm/driver.h"
#include "controller/vmm/watch.h"

#define RUN_LEAST (64u << 10)
#define RUN_LEAST_FILES 8

struct start {
	enum object kinds[OBJ_COUNT];
	struct ledger_row rows[OBJ_COUNT];
	size_t n;
	int pidfd; /* a copy, closed when the start has ended */
};

static int not_drained(struct ctl *c, const struct vm *vm, struct error *e)
{
	if (!c->draining)
		return 0;
	error_set(e, FAIL_STATE, vm->name, "the host is being shut down");
	error_hint(e, "if it is not: systemctl restart banger banger-vms");
	return -1;
}

/* Check for a cancellation of the operation, and for a drain.  The drain does not see a VM whose
 * row said "at rest" when the drain began. */
static int not_cancelled(struct ctl *c, const struct vm *vm, const struct operation *o,
			 struct error *e)
{
	if (operation_cancelled(o))
		return error_set(e, FAIL_STATE, "start",
				 "interrupted by a later command for this VM");
	if (c->stopping)
		return error_set(e, FAIL_STATE, "start", "the service is stopping");
	return not_drained(c, vm, e);
}

/* ---- the plan ---- */

static void fill_runtime(struct ctl *c, struct vm *vm)
{
	vm_clear_runtime(vm);
	memcpy(vm->runtime.boot_id, c->boot_id, sizeof(vm->runtime.boot_id));
	if (!vm->runtime.storage[0])
		(void)snprintf(vm->runtime.storage, sizeof(vm->runtime.storage), "%s",
			       c->storage->name);
}

static int plan_objects(struct ctl *c, struct vm *vm, struct start *s, const struct operation *o,
			struct error *e)
{
	fill_runtime(c, vm);
	vm->state = VM_STARTING;
	vm->wanted = true;
	vm->reason[0] = '\0';
	memcpy(vm->op, o->hex, sizeof(vm->op));
	s->n = objects_planned(vm, s->kinds);
	if (db_group_begin(c->db, e) < 0)
		return -1;
	int r = db_volumes_free(c->db, vm, e);
	if (r == 0)
		r = operation_begin(c, o, OPERATION_START, vm, e);
	if (r == 0)
		r = db_ledger_plan(c->db, vm, s->kinds, s->n, o, e);
	return db_group_end(c->db, r, e);
}

/* ---- making the objects ---- */

static const char *stage_of(enum object kind)
{
	static const char *const names[ROLE_COUNT] = {
		[ROLE_NET] = "network",
		[ROLE_BLK] = "disk",
		[ROLE_SPAWN] = "vmm",
	};

	return names[object_role(kind)];
}

/* Pass @pidfd to the watch, which owns it, reports the VMM's exit, and reads the console. */
static int hand_to_watch(struct ctl *c, const struct vm *vm, struct start *s, int pidfd,
			 struct error *e)
{
	FAILPOINT("watch.before");
	if (watch_add(c->watch, vm, pidfd) < 0)
		return error_set(e, FAIL_GENERAL, "vmm",
				 "its end and its console can not be watched");
	FAILPOINT("watch.after");
	s->pidfd = watch_pidfd(c->watch, vm->id);
	return 0;
}

static int make_one(struct ctl *c, struct vm *vm, struct start *s, size_t i,
		    const struct operation *o, struct error *e)
{
	struct made m;

	if (object_make(c, vm, s->kinds[i], o, &m, e) < 0)
		return -1;
	s->rows[i] = (struct ledger_row){ .kind = s->kinds[i],
					  .state = LEDGER_PRESENT,
					  .ident = m.ident };
	return m.pidfd < 0 ? 0 : hand_to_watch(c, vm, s, m.pidfd, e);
}

static int make_objects(struct ctl *c, struct vm *vm, struct start *s, const struct operation *o,
			struct error *e)
{
	const char *last = "";

	for (size_t i = 0; i < s->n; i++) {
		const char *stage = stage_of(s->kinds[i]);
		if (not_cancelled(c, vm, o, e) < 0)
			return -1;
		if (stage != last)
			operation_stage(o, stage, "");
		last = stage;
		if (make_one(c, vm, s, i, o, e) < 0)
			return -1;
	}
	return not_cancelled(c, vm, o, e);
}

static int boot_vmm(struct ctl *c, struct vm *vm, struct start *s, const struct operation *o,
		    struct error *e)
{
	const struct vmm_driver *d = vmm_driver(c, vm->runtime.vmm);

	if (!d)
		return error_set(e, FAIL_GENERAL, "vmm", "no driver for this kind");
	operation_stage(o, "boot", d->name);
	if (d->boot(c, vm, o, s->pidfd, e) < 0)
		return -1;
	return not_cancelled(c, vm, o, e);
}

static int record_running(struct ctl *c, struct vm *vm, const struct start *s,
			  const struct operation *o, struct error *e)
{
	vm->state = VM_RUNNING;
	vm->rebooted =
		false; /* not before: a start that the service's end cuts off is made again */
	vm->started_ns = clock_wall_ns();
	if (db_group_begin(c->db, e) < 0)
		return -1;
	int r = db_ledger_present(c->db, vm, s->rows, s->n, e);
	if (r == 0)
		r = db_op_end(c->db, o, NULL, e);
	return db_group_end(c->db, r, e);
}

/* ---- rollback ---- */

#define LINE_MAX_SHOWN 120

/* Copy the last line of a console for a message.  Control bytes and bytes outside of ASCII become
 * '?'. */
static void last_line(char *buf, size_t n, char out[LINE_MAX_SHOWN + 1])
{
	size_t from;

	while (n && (unsigned char)buf[n - 1] <= ' ')
		n--;
	for (from = n; from && buf[from - 1] != '\n'; from--)
		if (buf[from - 1] < ' ' || buf[from - 1] > '~')
			buf[from - 1] = '?';
	if (n == 0 || strncmp(buf + from, "--- banger:", 11) == 0)
		return;
	bool long_line = n - from > LINE_MAX_SHOWN; /* show its end, which has the reason */
	if (long_line)
		from = n - LINE_MAX_SHOWN + 3;
	(void)snprintf(out, LINE_MAX_SHOWN + 1, "%s%.*s", long_line ? "..." : "", (int)(n - from),
		       buf + from);
}

static void append_why(struct error *e, const char *before, const char *text)
{
	size_t n = strlen(e->why);

	(void)snprintf(e->why + n, sizeof(e->why) - n, "%s%s", before, text);
}

/* Add the last console line, or the last line of the monitor's log, to the error: it says why the
 * monitor exited. */
static void add_last_words(struct ctl *c, const struct vm *vm, struct error *e)
{
	char buf[4096], line[LINE_MAX_SHOWN + 1] = "";
	ssize_t n;

	for (int kind = STREAM_CONSOLE; kind <= STREAM_VMM && !line[0]; kind++)
		for (uint64_t at = 0;
		     (n = watch_read(c->watch, vm, kind, &at, buf, sizeof(buf))) > 0;)
			last_line(buf, (size_t)n, line);
	if (line[0])
		append_why(e, "; its last line: ", line);
	if (strstr(line, "jit buffer"))
		error_hint(e, "SELinux forbids emulation here: install banger's policy module "
			      "(make install-selinux)");
}

/* Release the VM after a failed start.  @e keeps the reason of the failure; errors of the release
 * are appended. */
static void undo_start(struct ctl *c, struct vm *vm, const struct start *s, enum vm_state back,
		       const struct operation *o, struct error *e)
{
	bool died = vmm_leaves(s->pidfd);
	struct error failed = { 0 };

	operation_stage(o, "undo", "");
	int r = vm_release(c, vm, back, o, &failed);
	if (died)
		/* The release has read the rest of the FIFO. */
		add_last_words(c, vm, e);
	if (r < 0)
		append_why(e, "; and left behind: ", failed.why);
	(void)operation_end(c, o, -1, e);
}

static int start_checked(struct ctl *c, struct vm *vm, const struct operation *o, struct error *e)
{
	struct start s = { .pidfd = -1 };
	const enum vm_state back = vm_rest_state(vm);
	const uint64_t started_ns = vm->started_ns;
	const bool wanted = vm->wanted;

	int r = plan_objects(c, vm, &s, o, e);
	if (r == 0)
		r = storage_link_volumes(c, vm, e);
	if (r == 0)
		r = c->vmm->choose(c, vm, o, &vm->runtime.vmm, &vm->runtime.accel, e);
	if (r == 0)
		r = make_objects(c, vm, &s, o, e);
	if (r == 0)
		r = boot_vmm(c, vm, &s, o, e);
	if (r == 0)
		r = record_running(c, vm, &s, o, e);
	if (r < 0) {
		vm->started_ns = started_ns;
		vm->wanted = wanted;
		undo_start(c, vm, &s, back, o, e);
	}
	close_and_reset(&s.pidfd);
	return r;
}

/* Release objects that an earlier stop or exit has left, before new ones are made. */
static int finish_earlier_release(struct ctl *c, struct vm *vm, const struct operation *o,
				  struct error *e)
{
	if (vm_is_incomplete(vm)) {
		error_set(e, FAIL_STATE, vm->name, "it is not complete: %s",
			  vm->state == VM_FAILED ? vm->reason : "its creation has not ended");
		error_hint(e, "delete it and create it again");
		return -1;
	}
	if (vm_at_rest(vm))
		return 0;
	vm->reason[0] = '\0';
	return vm_release(c, vm, vm_rest_state(vm), o, e);
}

/* Check the free space of the run folder, where the VMM makes its socket.  A VMM that can not make
 * it exits without a useful message. */
static int check_run_room(const struct ctl *c, const struct vm *vm, struct error *e)
{
	char path[200];
	struct statvfs v;

	(void)snprintf(path, sizeof(path), "%s/slots", c->config.run_dir);
	if (statvfs(path, &v) < 0)
		return error_set(e, FAIL_HOST, vm->name, "%s: %s", path, strerrordesc_np(errno));
	/* f_files is 0 on a file system that does not count inodes (statvfs(3)). */
	if ((uint64_t)v.f_bavail * v.f_frsize >= RUN_LEAST &&
	    (!v.f_files || v.f_favail >= RUN_LEAST_FILES))
		return 0;
	(void)error_set(e, FAIL_HOST, vm->name, "no room for its sockets in %s", path);
	error_hint(e, "remove what is not banger's there; a VM that fills it is killed with "
		      "`banger vm kill`");
	return -1;
}

/* Empty the slot's run folder: an orphaned VMM may have left files that no release removed. */
static int check_swept(struct ctl *c, const struct vm *vm, struct error *e)
{
	if (release_sweep(c, vm->slot))
		return 0;
	(void)error_set(
		e, FAIL_HOST, vm->name,
		"a VMM that had its slot before left very many files, which are being removed");
	error_hint(e, "try again");
	return -1;
}

/* Refuse disks that are larger than max_disk_mib, as the spawn role would, which gives no
 * reason. */
static int check_disk(const struct ctl *c, const struct vm *vm, struct error *e)
{
	if (vm_check_disk(&c->config, vm_largest_disk_mib(vm), 0, e) == 0)
		return 0;
	error_hint(e, "max_disk_mib in banger.conf was larger when the VM was created; "
		      "root can raise it");
	return -1;
}

int vm_start_locked(struct ctl *c, struct vm *vm, const struct operation *o, bool *already,
		    struct error *e)
{
	const bool lives = watch_life(c->watch, vm->id) == WATCH_LIVES;

	if (not_drained(c, vm, e) < 0)
		return -1;
	if (vm->state == VM_RUNNING && lives) {
		*already = true;
		return 0;
	}
	if (vm->state == VM_DEGRADED && lives && !vm_release_failed(c, vm)) {
		error_set(e, FAIL_STATE, vm->name, "it runs, but is degraded: %s", vm->reason);
		error_hint(e, "stop it first");
		return -1;
	}
	if (reader_refuse(c->readers, vm, e) < 0 || check_disk(c, vm, e) < 0 ||
	    storage_check_owner(&c->config, vm, e) < 0 || check_run_room(c, vm, e) < 0 ||
	    finish_earlier_release(c, vm, o, e) < 0 || check_swept(c, vm, e) < 0 ||
	    work_check(c, vm->name, e) < 0)
		return -1;
	return start_checked(c, vm, o, e);
}

int vm_start(struct ctl *c, struct operation *o, const char *ref, bool *already, struct vm *out,
	     struct error *e)
{
	*already = false;
	if (operation_enter(c, o, ref, false, out, e) < 0)
		return -1;
	return operation_leave(c, o, out, vm_start_locked(c, out, o, already, e), e);
}
