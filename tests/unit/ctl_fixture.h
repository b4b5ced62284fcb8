/* ctl_fixture.h - a whole controller in a temporary folder, for one test program: store, workers
 * and watch are real; the roles are fake_helper.c; disks, seeds and monitors are the few lines
 * below.
 *
 * Included once by a test.  The tables fake_disks, fake_seed and fake_vmm stand in struct ctl where
 * main.c puts the real ones; nothing here has the name of a function of the program. */
#ifndef BANGER_TESTS_CTL_FIXTURE_H
#define BANGER_TESTS_CTL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants these first. */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/pidfd.h"
#include "controller/db/db.h"
#include "controller/helper/client.h"
#include "controller/helper/tap_sweep.h"
#include "controller/lifecycle/drain.h"
#include "controller/lifecycle/exit.h"
#include "controller/lifecycle/lifecycle.h"
#include "controller/lifecycle/vm_lock.h"
#include "controller/loop.h"
#include "controller/paths.h"
#include "controller/storage/seed.h"
#include "controller/storage/slot_owner.h"
#include "controller/storage/disk.h"
#include "controller/vmm/driver.h"
#include "controller/vmm/watch.h"
#include "controller/workers.h"
#include "tests/unit/fake_helper.h"

#define OWNER 1001
#define SLOTS 4

struct fixture {
	struct ctl c;
	struct fake_helper *fake;
	struct caller caller;
	char dir[64], db[96];
	int epoll_fd;
};

/* ---- fakes of disks, seeds and monitors ---- */

static struct {
	bool create_fails, seed_fails, remove_fails;
	bool choose_fails, boot_fails, boot_dies, boot_waits, shutdown_fails, guest_obeys,
		firecracker;
	bool goes_down; /* while a start is on its way */
	bool files;     /* disks are files, which take their time to be made */
	/* a monitor of a VM "hung" holds up a shutdown until @let_go; @late: not for ever */
	_Atomic bool let_go, late;
	unsigned boots, shutdowns, removes, flushes, missing;
	struct fixture *f;
} host;

#define COUNT(n) (void)__atomic_add_fetch(&(n), 1, __ATOMIC_RELAXED)

static void make_owner(struct ctl *c, const struct vm *vm)
{
	char path[200], id[ID_HEX];

	path_slot_state(&c->config, vm->slot, "", path);
	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	(void)poll(NULL, 0, 5);
	path_slot_state(&c->config, vm->slot, STORAGE_OWNER, path);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	format_id(vm->id, id);
	assert_true(dprintf(fd, "%s %u %u\n", id, vm->generation, vm->owner) > 0);
}

/* Return: with `files`, whether the VM's files exist and are its own. */
static bool has_files(struct ctl *c, const struct vm *vm)
{
	struct storage_owner o;

	return storage_owner(&c->config, vm->slot, &o) == STORAGE_MARKED &&
	       memcmp(o.vm, vm->id, ID_LEN) == 0;
}

static int fake_create(struct ctl *c, const struct vm *vm, struct error *e)
{
	if (host.files)
		make_owner(c, vm);
	return host.create_fails ? error_set(e, FAIL_HOST, vm->name, "no room for its disk") : 0;
}

static const enum object fake_objects[] = { OBJ_LOOP_BASE, OBJ_LOOP_COW, OBJ_DM };
/* It has the name of the real driver, because storage_by_name() finds the kinds of objects by that
 * name. */
static const struct storage_driver fake_storage = {
	.name = "dm-snapshot",
	.disk = DISK_DM,
	.create = fake_create,
	.objects = fake_objects,
	.n_objects = 3,
};

static int fake_remove(struct ctl *c, uint32_t slot, struct error *e)
{
	char path[200];

	COUNT(host.removes);
	path_slot_state(&c->config, slot, STORAGE_OWNER, path);
	if (host.files)
		(void)unlink(path);
	return host.remove_fails
		       ? error_set(e, FAIL_HOST, "disk", "slot %u: read-only file system", slot)
		       : 0;
}

static int fake_open_part(struct ctl *c, const struct vm *vm, unsigned part, struct error *e)
{
	(void)c, (void)vm, (void)part, (void)e;
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static const struct disk_ops fake_disks = { .remove = fake_remove, .open_part = fake_open_part };

static int fake_seed_write(struct ctl *c, const struct vm *vm, struct error *e)
{
	(void)c;
	return host.seed_fails ? error_set(e, FAIL_HOST, vm->name, "no room for its seed") : 0;
}

static const struct seed_ops fake_seed = { .write = fake_seed_write };

static void wait_for_cancel(const struct operation *o)
{
	for (int i = 0; i < 5000 && !(o->cancelled && *o->cancelled); i++)
		(void)poll(NULL, 0, 1);
}

static int fake_boot(struct ctl *c, const struct vm *vm, const struct operation *o, int pidfd,
		     struct error *e)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	COUNT(host.boots);
	if (host.files && !has_files(c, vm))
		COUNT(host.missing);
	assert_true(pidfd >= 0);
	if (host.boot_dies) {
		fake_helper_vmm_exit(host.f->fake, vm->slot);
		assert_int_equal(poll(&p, 1, 5000), 1);
		return error_set(e, FAIL_GENERAL, "vmm", "it ended while it started");
	}
	if (host.boot_waits)
		wait_for_cancel(o);
	return host.boot_fails ? error_set(e, FAIL_TIMEOUT, "vmm", "no answer within 30 s") : 0;
}

static int fake_shutdown(struct ctl *c, const struct vm *vm, int pidfd, struct error *e)
{
	(void)c, (void)pidfd;
	if (strncmp(vm->name, "stuck", 5) == 0)
		return (void)poll(NULL, 0, 500), error_set(e, FAIL_TIMEOUT, "vmm", "no answer");
	if (strncmp(vm->name, "hung", 4) == 0) {
		for (int ms = 0; !host.let_go && !host.late; ms += 10, (void)poll(NULL, 0, 10))
			host.late = ms >= 60000;
		return error_set(e, FAIL_TIMEOUT, "vmm", "no answer");
	}
	COUNT(host.shutdowns);
	if (host.shutdown_fails)
		return error_set(e, FAIL_GENERAL, "vmm", "no answer");
	if (host.guest_obeys)
		fake_helper_vmm_exit(host.f->fake, vm->slot);
	return 0;
}

static int fake_flush(struct ctl *c, const struct vm *vm, int pidfd, struct error *e)
{
	(void)c, (void)vm, (void)pidfd;
	COUNT(host.flushes);
	return error_set(e, FAIL_TIMEOUT, "vmm", "no answer");
}

static const struct vmm_driver fake_driver = {
	.name = "fake",
	.kind = VMM_QEMU,
	.boot = fake_boot,
	.shutdown = fake_shutdown,
	.flush = fake_flush,
};
static const struct vmm_driver *const fake_drivers[VMM_KINDS] = {
	[VMM_QEMU] = &fake_driver,
	[VMM_FIRECRACKER] = &fake_driver,
};

static int fake_choose(struct ctl *c, const struct vm *vm, const struct operation *o,
		       enum vmm_kind *kind, uint32_t *accel, struct error *e)
{
	(void)vm, (void)o;
	if (host.goes_down)
		c->draining = true;
	*kind = host.firecracker ? VMM_FIRECRACKER : VMM_QEMU;
	*accel = ACCEL_TCG;
	return host.choose_fails ? error_set(e, FAIL_HOST, "vmm", "this host has none") : 0;
}

static const struct vmm_ops fake_vmm = { .drivers = fake_drivers, .choose = fake_choose };

/* ---- a controller ---- */

static void make_dir(const char *path)
{
	assert_true(mkdir(path, 0700) == 0);
}

static void make_folders(struct fixture *f)
{
	static const char *const names[] = { "state",        "state/slots",   "state/consoles",
					     "state/images", "state/kernels", "state/volumes",
					     "run",          "run/slots" };
	char path[160];

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/banger-ctl-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		make_dir(path);
	}
	for (int i = 0; i < SLOTS; i++) {
		(void)snprintf(path, sizeof(path), "%s/run/slots/%d", f->dir, i);
		make_dir(path);
	}
	(void)snprintf(f->c.config.state_dir, sizeof(f->c.config.state_dir), "%s/state", f->dir);
	(void)snprintf(f->c.config.run_dir, sizeof(f->c.config.run_dir), "%s/run", f->dir);
	(void)snprintf(f->db, sizeof(f->db), "%s/state/banger.db", f->dir);
}

/* Open all parts, as a start of the controller does; the roles may already have objects. */
static void open_all(struct fixture *f)
{
	struct error e = { 0 };

	f->c.db = db_open(f->db, &e);
	assert_non_null(f->c.db);
	f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	f->c.vm_locks = vm_locks_open();
	assert_non_null(f->c.vm_locks);
	f->c.holds = holds_open();
	assert_non_null(f->c.holds);
	f->c.readers = readers_open();
	assert_non_null(f->c.readers);
	f->c.workers = workers_start(&f->c);
	assert_non_null(f->c.workers);
	f->c.watch = watch_open(&f->c, f->epoll_fd, vm_on_exit);
	assert_non_null(f->c.watch);
	f->c.storage = &fake_storage;
	f->c.disks = &fake_disks;
	f->c.seed = &fake_seed;
	f->c.vmm = &fake_vmm;
}

static void close_all(struct fixture *f)
{
	workers_stop(f->c.workers);
	host_drain_wait(&f->c);
	/* The main thread does not end operations once the workers are gone. */
	vm_locks_close(f->c.vm_locks);
	holds_close(f->c.holds);
	readers_close(f->c.readers);
	watch_close(f->c.watch);
	db_close(f->c.db);
	(void)close(f->epoll_fd);
}

static void roles_start(struct fixture *f)
{
	int fds[3];

	f->fake = fake_helper_start(fds);
	f->c.helper = helper_open(fds[0], fds[1], fds[2]);
	assert_non_null(f->c.helper);
	f->c.tap_sweep = tap_sweep_open();
	assert_non_null(f->c.tap_sweep);
	assert_int_equal(helper_hello(f->c.helper), 0);
}

static void roles_run(struct fixture *f)
{
	for (enum role_id role = ROLE_NET; role < ROLE_COUNT; role++) {
		struct request q = helper_request(OP_RECONCILE_DONE, NULL, NULL);
		struct reply r;
		assert_int_equal(helper_call_role(f->c.helper, role, &q, &r), 0);
	}
	fake_helper_forget(f->fake);
}

static void add_image(struct fixture *f)
{
	struct artifact k = { .type = ARTIFACT_KERNEL, .name = "linux", .size = 1, .owner = 0 };
	struct artifact i = { .type = ARTIFACT_IMAGE,
			      .name = "debian",
			      .kernel = "linux",
			      .size = 64 << 20,
			      .owner = 0 };
	struct error e = { 0 };

	memset(k.digest, 'a', 64);
	memset(i.digest, 'b', 64);
	memcpy(i.kernel_digest, k.digest, sizeof(k.digest));
	assert_int_equal(db_artifact_add(f->c.db, &k, 8, &e), 0);
	assert_int_equal(db_artifact_add(f->c.db, &i, 8, &e), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	memset(&host, 0, sizeof(host));
	host.f = f;
	host.guest_obeys = true;
	f->caller = (struct caller){ .uid = OWNER };
	f->c.config = (struct config){ .slots = SLOTS,
				       .uid_base = 65536,
				       .max_vcpus = 4,
				       .max_mem_mib = 4096,
				       .max_disk_mib = 8192,
				       .max_vms_per_owner = 8,
				       .max_images_per_owner = 8,
				       .creates_per_second = 1000 };
	(void)snprintf(f->c.boot_id, sizeof(f->c.boot_id), "11111111-2222-3333-4444-555555555555");
	make_folders(f);
	open_all(f);
	roles_start(f);
	roles_run(f);
	add_image(f);
	*state = f;
	return 0;
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)st, (void)type, (void)w;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_all(f);
	helper_close(f->c.helper);
	tap_sweep_close(f->c.tap_sweep);
	fake_helper_stop(f->fake);
	(void)nftw(f->dir, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

/* ---- shorthands for the tests ---- */

static struct operation operation(struct fixture *f)
{
	static unsigned n;
	struct operation o = { .caller = &f->caller };
	unsigned v = __atomic_add_fetch(&n, 1, __ATOMIC_RELAXED);

	memcpy(o.id, &v, sizeof(v));
	format_id(o.id, o.hex);
	return o;
}

static struct vm create(struct fixture *f, const char *name, bool nat)
{
	struct operation o = operation(f);
	struct call_vm_create a = { .nat = nat };
	struct error e = { 0 };
	struct vm vm;

	(void)snprintf(a.name, sizeof(a.name), "%s", name);
	(void)snprintf(a.image, sizeof(a.image), "debian");
	if (vm_create(&f->c, &o, &a, &vm, &e) < 0)
		fail_msg("create: %s: %s", e.what, e.why);
	return vm;
}

static int start(struct fixture *f, const char *name, bool *already, struct error *e)
{
	struct operation o = operation(f);
	struct vm vm;
	bool ignored;

	return vm_start(&f->c, &o, name, already ? already : &ignored, &vm, e);
}

static void must_start(struct fixture *f, const char *name)
{
	struct error e = { 0 };

	if (start(f, name, NULL, &e) < 0)
		fail_msg("start: %s: %s", e.what, e.why);
}

static struct vm row(struct fixture *f, const char *name)
{
	struct error e = { 0 };
	struct vm vm;

	if (db_vm_find(f->c.db, &f->caller, name, &vm, &e) < 0)
		fail_msg("find: %s: %s", e.what, e.why);
	return vm;
}

static size_t ledger(struct fixture *f, const struct vm *vm, struct ledger_row rows[OBJ_COUNT])
{
	struct ledger_row ignored[OBJ_COUNT];
	struct error e = { 0 };
	size_t n = 0;

	assert_int_equal(db_ledger_rows(f->c.db, vm->id, rows ? rows : ignored, &n, &e), 0);
	return n;
}

static bool runtime_is_empty(const struct vm *vm)
{
	const struct vm_runtime *r = &vm->runtime;

	return !r->tap[0] && !r->dm[0] && !r->boot_id[0] && !r->api_socket[0] && r->loop_base < 0 &&
	       r->loop_cow < 0 && !r->pid && !r->pid_start;
}

/* Assert that the VM has nothing left in the kernel, in the ledger and in its runtime. */
__attribute__((unused)) static void assert_nothing_left(struct fixture *f, const char *name,
							enum vm_state state)
{
	struct vm vm = row(f, name);

	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	assert_int_equal(ledger(f, &vm, NULL), 0);
	assert_true(runtime_is_empty(&vm));
	assert_string_equal(vm_state_name(vm.state), vm_state_name(state));
	assert_int_equal(fake_helper_violations(f->fake), 0);
}

/* Run one turn of the main loop, in which the watch handles its events. */
__attribute__((unused)) static void pump(struct fixture *f, int ms)
{
	struct epoll_event ev[8];
	int n = epoll_wait(f->epoll_fd, ev, 8, ms);

	for (int i = 0; i < n; i++) {
		struct loop_source *s = ev[i].data.ptr;
		s->ready(s, ev[i].events);
	}
}

#endif
