/* crash.c - the exhaustive crash test: every verb, stopped at every failpoint on its way, with
 * every victim.
 *
 *	crash CONFIG DIR             everything; CRASH_FULL=1 in the environment: the whole product
 *	crash CONFIG DIR part K N    the Kth of N parts of it, K from 0; prints lines
 *	                             "verb NAME CASES POINTS FAULTS MS MISSED LATE PRODUCT";
 *	                             CRASH_WAYS: an empty folder in which all N share recordings
 *	crash CONFIG DIR VERB        one verb
 *	crash CONFIG DIR ways        no cases: the failpoints on the way of each verb
 *	crash CONFIG DIR VERB PROGRAM:NAME[:N] VICTIM EFFECT
 *	                             one case, as a failing one prints itself
 *
 * Theory of operation.  A first run of a verb is not disturbed; its trace is the list of the
 * failpoints on the verb's way.  The verb then runs again for each failpoint and each victim.  It
 * is stopped there, the victim is killed (or the step fails, or the VMM misbehaves), and it goes
 * on.  The test starts the set anew as a service manager would.  crash_world.c compares the kernel,
 * the files and the database.  A second start must change nothing, the VM must start again, and its
 * deletion must leave nothing.  A bystander VM and objects of other programs exist all the time and
 * must never be touched. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/crash.h"

#define POINTS 4096
#define WAY 512 /* failpoints on the way of one verb */
#define ROLES 3
#define HUNGERS 24         /* samples of the allocations of a program on the way of one verb */
#define TRIES 4            /* of a case whose failpoint is not reached */
#define RECORDINGS_MORE 10 /* at most, to find out whether a missed allocation is on the way */
#define RETRY_MS 10000     /* what the keeper tries again, every second in this build */
#define WAYS_MS 300000     /* another part's recordings of its share of the verbs */
#define SETTLE_MS 15000    /* what the kernel or a worker does a little later */

struct config config;
const char *conf_path, *work_dir;

static const char *const victim_names[VICTIMS] = { "controller", "net", "blk", "spawn",
						   "supervisor", "all", "vmm" };
static const char *const effect_names[EFFECTS] = { "kill",    "fail", "hang",
						   "garbage", "half", "starve" };

/* What a verb needs, does and promises. */
struct verb {
	const char *name;
	const char *like; /* verbs before it whose way it mostly goes */
	const char *conf; /* suffix of the configuration */
	enum { NO_VM, CREATED, RUNNING } needs;
	bool nat;                   /* of the VM that it needs */
	void (*prepare)(void);      /* further, with the set up */
	void (*before_start)(void); /* for verbs that are a start of the set: with the set down */
	void (*calm)(void);         /* once it has ended: nothing is to happen by itself any more */
	enum { BY_CALL, BY_START, BY_STOP } how;
	void (*call)(struct ask *a);
	void (*trigger)(void); /* once the request is under way */
	const char *until; /* SQL that has a row once it is over, for what comes by itself behind
			      the answer */
	bool again;        /* a failed step is made good by asking again */
	void (*repeat)(struct text *faults); /* in whatever way it ended: this makes it good */
	bool last;                           /* nothing is asked of that set any more */
	bool tells_late; /* nobody is told that a step has failed, but for the state */
	bool fails;      /* an error is the right answer */
	enum failpoint_program signalled; /* BY_STOP: whom, and by what */
	int signal;
	const char *after;   /* state of the VM when the verb succeeded; "": none, NULL: any */
	const char *never;   /* state that it must not have after an error was answered */
	const char *not_yet; /* likewise, at the moment of the answer: it may be tried again by
				itself */
	const char *table;   /* that is to have "second" in it when the verb succeeded, or @takes it
				away */
	bool takes;
	void (*restore)(void); /* at the end of a case */
};

static unsigned cases, leaks, lies, twices;
static unsigned missed, late; /* not reached: a failure each; those that may be */
static unsigned product;      /* with every victim and effect at every point */
static unsigned tests, failed_tests;
static bool one_case;       /* tell more */
static uint64_t verb_until; /* no case begins later */
static bool thorough;       /* every victim everywhere, every look behind every case */
static pid_t bystander;
static struct {
	unsigned generation;
	char id[40];
} newest[64]; /* of each slot */
static struct point seen_points[POINTS];
static size_t n_seen;

/* ---- requests ---- */

static struct ask *request(enum call_id id)
{
	static struct ask a;

	memset(&a, 0, sizeof(a));
	a.id = id;
	return &a;
}

static int call_vm(enum call_id id, const char *name)
{
	struct ask *a = request(id);

	switch (id) {
	case CALL_VM_START:
		SET(a->args.vm_start.vm, name);
		break;
	case CALL_VM_KILL:
		SET(a->args.vm_kill.vm, name);
		break;
	case CALL_VM_DELETE:
		SET(a->args.vm_delete.vm, name);
		break;
	case CALL_VM_SHOW:
		SET(a->args.vm_show.vm, name);
		break;
	default:
		bail("no such request");
	}
	int r = ask(a);
	if (r != 0 && id != CALL_VM_SHOW)
		printf("# %s %s: %d %s: %s\n", control_call(id)->name, name, r, a->error.what,
		       a->error.why);
	return r;
}

/* The state as the control socket tells it; "" when there is no such VM. */
static const char *state_of(const char *name)
{
	static char state[16];
	struct ask *a = request(CALL_VM_SHOW);

	SET(a->args.vm_show.vm, name);
	int r = ask(a);
	SET(state, r == 0 ? a->vm.state : "");
	return state;
}

static int create(const char *name, bool nat)
{
	struct ask *a = request(CALL_VM_CREATE);

	create_args(a, name, nat);
	int r = ask(a);
	if (r != 0)
		printf("# create %s: %d %s: %s\n", name, r, a->error.what, a->error.why);
	return r;
}

/* ---- images ---- */

static void drop_second(void)
{
	struct ask *a = request(CALL_IMAGE_DELETE);

	SET(a->args.image_delete.image, "second");
	(void)ask(a);
	a = request(CALL_KERNEL_DELETE);
	SET(a->args.kernel_delete.kernel, "second");
	(void)ask(a);
	a = request(CALL_VOLUME_DELETE);
	SET(a->args.volume_delete.volume, "second");
	(void)ask(a);
}

/* ---- what misbehaves ---- */

static pid_t vmm_of_v(void)
{
	struct seen s = world_vm("v");

	return s.state[0] ? s.vmm : 0;
}

static void kill_vmm_of_v(void)
{
	pid_t p = vmm_of_v();

	if (p > 0)
		(void)kill(p, SIGKILL);
}

/* ---- verbs ---- */

static void do_create(struct ask *a)
{
	create_args(a, "v", true);
}
static void do_start(struct ask *a)
{
	a->id = CALL_VM_START;
	SET(a->args.vm_start.vm, "v");
}
static void do_stop(struct ask *a)
{
	a->id = CALL_VM_STOP;
	SET(a->args.vm_stop.vm, "v");
	a->args.vm_stop.timeout_ms = 300;
}
/* As `banger vm restart` does it. */
static void do_restart(struct ask *a)
{
	do_stop(a);
	a->then = do_start;
}
static void do_kill(struct ask *a)
{
	a->id = CALL_VM_KILL;
	SET(a->args.vm_kill.vm, "v");
}
static void do_delete(struct ask *a)
{
	a->id = CALL_VM_DELETE;
	SET(a->args.vm_delete.vm, "v");
}
static void do_nat(struct ask *a, unsigned nat)
{
	a->id = CALL_VM_SET;
	SET(a->args.vm_set.vm, "v");
	a->args.vm_set.nat = nat;
}
static void do_nat_on(struct ask *a)
{
	do_nat(a, 2);
}
static void do_nat_off(struct ask *a)
{
	do_nat(a, 1);
}
static void do_image_delete(struct ask *a)
{
	a->id = CALL_IMAGE_DELETE;
	SET(a->args.image_delete.image, "second");
}
static void do_volume_delete(struct ask *a)
{
	a->id = CALL_VOLUME_DELETE;
	SET(a->args.volume_delete.volume, "second");
}
static void do_kernel_delete(struct ask *a)
{
	a->id = CALL_KERNEL_DELETE;
	SET(a->args.kernel_delete.kernel, "second");
}
static void do_wait(struct ask *a)
{
	a->id = CALL_VM_WAIT;
	SET(a->args.vm_wait.vm, "v");
	a->args.vm_wait.timeout_ms = 5000;
}

/* The connection of a request is closed behind its answer, so its holder is lost. */
static void do_hold(struct ask *a, unsigned hold)
{
	a->id = CALL_VM_HOLD;
	SET(a->args.vm_hold.vm, "v");
	a->args.vm_hold.hold = hold;
}
static void do_hold_delete(struct ask *a)
{
	do_hold(a, 2);
}
static void do_hold_stop(struct ask *a)
{
	do_hold(a, 1);
}
static void do_create_held(struct ask *a)
{
	create_args(a, "v", true);
	a->args.vm_create.hold = 2;
}

static void do_host_reconcile(struct ask *a)
{
	a->id = CALL_HOST_RECONCILE;
	a->args.host_reconcile.restore = true;
}
static void answer_garbage(void)
{
	vmm_fault('g');
}
static void ignore_button(void)
{
	vmm_fault('i');
}

static void have_second_image(void)
{
	struct ask *a = request(CALL_IMAGE_IMPORT);

	image_import_call(a);
	(void)pwrite(a->fds[0], "other", 5, 4096);
	if (ask(a) != 0)
		bail("image import: %s", a->error.why);
	close_fds(a);
}

static void have_second_kernel(void)
{
	struct ask *a = request(CALL_KERNEL_IMPORT);

	kernel_import_call(a);
	(void)pwrite(a->fds[1], "other", 5, 100);
	if (ask(a) != 0)
		bail("kernel import: %s", a->error.why);
	close_fds(a);
}

static void do_image_import(struct ask *a)
{
	image_import_call(a);
	(void)pwrite(a->fds[0], "other", 5, 4096);
}

static void do_kernel_import(struct ask *a)
{
	kernel_import_call(a);
	(void)pwrite(a->fds[1], "other", 5, 100);
}

static void have_second_volume(void)
{
	struct ask *a = request(CALL_VOLUME_CREATE);

	volume_create_call(a);
	if (ask(a) != 0)
		bail("volume create: %s", a->error.why);
	close_fds(a);
}

/* The kernel of this test is no file that names an init, so a create would refuse the volume. */
static void give_volume(void)
{
	have_second_volume();
	world_sql("INSERT INTO mounts SELECT v.id, 0, o.id, '/srv', 1 FROM vms v, volumes o "
		  "WHERE v.name = 'v' AND o.name = 'second'");
}

/* An administrator's flush, while nobody looks. */
static void flush_rules(void)
{
	shell("nft flush ruleset; nft add table inet decoy; nft 'add set inet decoy nat4 { type "
	      "ipv4_addr; elements = { 10.97.0.2 }; }'");
}

static void lose_rows(void)
{
	world_sql("DELETE FROM ledger WHERE vm = (SELECT id FROM vms WHERE name = 'v'); DELETE "
		  "FROM vms WHERE name = 'v'");
	/* Whoever lost the rows has not lost the files; a person would remove them. */
	char command[500];
	(void)snprintf(command, sizeof(command),
		       "cd %s/slots && for i in *; do sqlite3 %s/banger.db \"SELECT slot FROM "
		       "vms\" | grep -qx $i || "
		       "rm -f $i/* ../consoles/$i.*; done",
		       config.state_dir, config.state_dir);
	shell(command);
}

/* Leave an operation half done: stop it at a failpoint and kill all but the VMMs. */
static void cut(void (*call)(struct ask *a), const char *name, uint32_t nth)
{
	struct point p = { .program = FP_CONTROLLER, .nth = nth };
	struct ask *a = request(0);

	SET(p.name, name);
	call(a);
	page_arm(&p);
	ask_start(a);
	if (wait_outcome(false) != O_PAUSED)
		bail("%s is not on the way", name);
	set_kill();
	page_disarm();
	(void)ask_join(a);
}

/* No request takes so few seconds.  Once the case is over, the VM is not to be stopped while it is
 * judged. */
static void be_idle(void)
{
	world_sql("UPDATE vms SET auto_stop_s = 1 WHERE name = 'v'");
	page_shift_clocks(11 * 1000000000ll,
			  0); /* the keeper looks every ten seconds whether a guest is used */
}
static void be_seen(void)
{
	(void)nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 200000000 }, NULL);
} /* by it, once */
static void be_busy(void)
{
	world_sql("UPDATE vms SET auto_stop_s = 0 WHERE name = 'v'");
}

static void cut_start(void)
{
	cut(do_start, "vmm.qmp.after", 1);
}
static void cut_stop(void)
{
	cut(do_stop, "release.objects", 1);
}
static void cut_delete(void)
{
	cut(do_delete, "request.guest_deny.after", 1);
}
static void cut_create(void)
{
	cut(do_create, "seed.before", 1);
}
static void cut_nat(void)
{
	cut(do_nat_on, "request.nat_add.after", 1);
}

/* ---- what a keeper does ---- */

static void set_policy(unsigned restart, unsigned most)
{
	struct ask *a = request(CALL_VM_SET);

	SET(a->args.vm_set.vm, "v");
	a->args.vm_set.restart = restart; /* see control.def: 1 no, 2 on failure, 3 always */
	a->args.vm_set.restart_max = most;
	if (ask(a) != 0)
		bail("vm set: %s", a->error.why);
}

static bool comes_soon(const char *sql, unsigned seconds)
{
	for (unsigned i = 0; i < 50 && !world_is(sql); i++) {
		(void)nanosleep(&(struct timespec){ .tv_nsec = 150000000 },
				NULL); /* a pass, which plans it */
		page_shift_clocks(seconds * 1000000000ll, 0);
	}
	return world_is(sql);
}

#define RUNS "SELECT 1 FROM vms WHERE name = 'v' AND state = 'running'"
#define RESTS "SELECT 1 FROM vms WHERE name = 'v' AND state = 'stopped'"
#define GIVEN_UP RESTS " AND wanted = 0"

#define GONE "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM vms WHERE name = 'v')"
#define UNHELD "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM vms WHERE name = 'v' AND hold <> 0)"
#define HOLD_MS 30000

/* A VM whose holder is lost ends, at the latest when the grace of a new start is over. */
static void hold_is_over(struct text *faults)
{
	uint64_t end = now_ms() + HOLD_MS;

	while (!world_is(UNHELD) && now_ms() < end)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	if (!world_is(UNHELD))
		text_add(faults, "lie its holder is lost, and v is \"%s\" for %d s\n",
			 world_vm("v").state, HOLD_MS / 1000);
}

static void restart_always(void)
{
	set_policy(3, 0);
}

/* It has ended once, and will not be started a second time. */
static void restart_once(void)
{
	set_policy(2, 1);
	kill_vmm_of_v();
	if (!comes_soon(RESTS " OR wanted = 0", 0) || !comes_soon(RUNS, 1))
		bail("the VM is not started again");
}

/* What a policy does is over: nothing is to start while it is judged. */
static void restart_never(void)
{
	if (!*world_vm("v").state)
		return;
	if (set_whole() && set_ready())
		set_policy(1, 0);
	else
		world_sql("UPDATE vms SET restart = 'no', wanted = 0 WHERE name = 'v'");
}

/* A stop that could not give everything back. */
static void be_degraded(void)
{
	struct point p = { .program = FP_NET, .name = "nat_remove.before", .nth = 1 };
	struct ask *a = request(0);

	do_stop(a);
	page_arm(&p);
	ask_start(a);
	if (wait_outcome(false) != O_PAUSED)
		bail("%s is not on the way", p.name);
	page_go(FP_FAIL);
	(void)ask_join(a);
	page_disarm();
	if (strcmp(world_vm("v").state, "degraded") != 0)
		bail("what can not be given back is not said to be there");
}

static void do_show(struct ask *a)
{
	a->id = CALL_VM_SHOW;
	SET(a->args.vm_show.vm, "v");
}

/* It is tried until it works. */
static void release_at_last(struct text *faults)
{
	if (!comes_soon(RESTS, 1))
		text_add(faults, "lie what is left is not tried again: v is \"%s\"\n",
			 world_vm("v").state);
}

/* ---- the host ---- */

/* Files of a VM, an image and a kernel that no row names. */
static void have_strays(void)
{
	char command[500];

	(void)snprintf(command, sizeof(command),
		       "cd %s; d=$(printf 'c%%.0s' {1..64}); for i in disk initrd owner; do echo x "
		       ">slots/%u/$i; done;"
		       "echo x >images/$d.ext4; mkdir -p kernels/$d; echo x >kernels/$d/kernel; "
		       "chown -R --reference kernels images kernels",
		       config.state_dir, (world_vm("bystander").slot + 3) % config.slots);
	shell(command);
}

static void do_gc(struct ask *a)
{
	a->id = CALL_HOST_RECONCILE;
}

static void gc_again(struct text *faults)
{
	struct ask *a = request(CALL_HOST_RECONCILE);

	if (ask(a) != 0)
		text_add(faults, "lie what no row names can not be removed any more: %d %s\n",
			 a->code, a->error.why);
}

static void do_drain(struct ask *a)
{
	a->id = CALL_HOST_DRAIN;
	a->args.host_drain.timeout_ms = 1000;
}

static void drop_bystander(void)
{
	(void)call_vm(CALL_VM_DELETE, "bystander");
	bystander = 0;
}

/* As on a host that has never seen us; the bystander goes too. */
static void first_time(void)
{
	char command[1000];

	drop_bystander();
	set_kill();
	(void)snprintf(
		command, sizeof(command),
		"rm -rf %s/{banger.db*,images,kernels,volumes,slots,consoles}; umount %s/slots; ip "
		"link del %s; "
		"nft delete table inet banger; nft delete table bridge banger; rmdir %s/vm "
		"%s/spawn %s; true",
		config.state_dir, config.run_dir, config.bridge, config.cgroup_dir,
		config.cgroup_dir, config.cgroup_dir);
	shell(command);
}

static void make_bystander(void)
{
	if (create("bystander", true) != 0 || call_vm(CALL_VM_START, "bystander") != 0)
		bail("the bystander does not start");
	bystander = world_vm("bystander").vmm;
}

static void second_time(void)
{
	import_first();
	memset(newest, 0, sizeof(newest));
	make_bystander();
}

static void forget_facts(void)
{
	world_sql("DELETE FROM facts");
}

static const struct verb verbs[] = {
	{ .name = "create", .call = do_create, .after = "created", .never = "created" },
	{ .name = "start",
	  .needs = CREATED,
	  .nat = true,
	  .call = do_start,
	  .after = "running",
	  .never = "running" },
	{ .name = "start-fails",
	  .like = "start",
	  .needs = CREATED,
	  .nat = true,
	  .prepare = answer_garbage,
	  .call = do_start,
	  .fails = true,
	  .never = "running" },
	{ .name = "start-firecracker",
	  .like = "start",
	  .conf = ".fc",
	  .needs = CREATED,
	  .call = do_start,
	  .after = "running",
	  .never = "running" },
	{ .name = "start-probe",
	  .like = "start",
	  .conf = ".auto",
	  .needs = CREATED,
	  .prepare = forget_facts,
	  .call = do_start,
	  .after = "running",
	  .never = "running" },
	{ .name = "start-volume",
	  .like = "start",
	  .needs = CREATED,
	  .prepare = give_volume,
	  .call = do_start,
	  .after = "running",
	  .never = "running",
	  .restore = drop_second },
	{ .name = "stop",
	  .needs = RUNNING,
	  .nat = true,
	  .call = do_stop,
	  .after = "stopped",
	  .not_yet = "stopped" },
	{ .name = "stop-ignored",
	  .like = "stop",
	  .needs = RUNNING,
	  .prepare = ignore_button,
	  .call = do_stop,
	  .after = "stopped",
	  .not_yet = "stopped" },
	{ .name = "stop-firecracker",
	  .like = "stop",
	  .conf = ".fc",
	  .needs = RUNNING,
	  .call = do_stop,
	  .after = "stopped",
	  .not_yet = "stopped" },
	{ .name = "restart",
	  .like = "start stop",
	  .needs = RUNNING,
	  .nat = true,
	  .call = do_restart,
	  .after = "running" },
	{ .name = "auto-stop",
	  .like = "stop",
	  .needs = RUNNING,
	  .nat = true,
	  .prepare = be_seen,
	  .call = do_wait,
	  .trigger = be_idle,
	  .calm = be_busy,
	  .tells_late = true,
	  .until = RESTS,
	  .after = "stopped" },
	{ .name = "kill",
	  .needs = RUNNING,
	  .nat = true,
	  .call = do_kill,
	  .after = "stopped",
	  .not_yet = "stopped" },
	{ .name = "delete",
	  .needs = RUNNING,
	  .nat = true,
	  .call = do_delete,
	  .after = "",
	  .not_yet = "" },
	{ .name = "delete-created",
	  .needs = CREATED,
	  .call = do_delete,
	  .after = "",
	  .not_yet = "" },
	{ .name = "nat-on", .needs = RUNNING, .call = do_nat_on, .after = "running" },
	{
		.name = "nat-off",
		.needs = RUNNING,
		.nat = true,
		.call = do_nat_off,
		.after = "running",
	},
	{ .name = "ended",
	  .needs = RUNNING,
	  .nat = true,
	  .call = do_wait,
	  .trigger = kill_vmm_of_v,
	  .tells_late = true,
	  .after = "stopped" },
	{ .name = "host-reconcile",
	  .needs = RUNNING,
	  .nat = true,
	  .prepare = flush_rules,
	  .call = do_host_reconcile,
	  .again = true,
	  .after = "running" },
	{ .name = "revive",
	  .like = "ended start",
	  .needs = RUNNING,
	  .nat = true,
	  .prepare = restart_always,
	  .call = do_wait,
	  .trigger = kill_vmm_of_v,
	  .calm = restart_never,
	  .until = RUNS },
	{ .name = "give-up",
	  .like = "ended revive",
	  .needs = RUNNING,
	  .prepare = restart_once,
	  .call = do_wait,
	  .trigger = kill_vmm_of_v,
	  .calm = restart_never,
	  .until = GIVEN_UP },
	{ .name = "release-again",
	  .like = "kill",
	  .needs = RUNNING,
	  .nat = true,
	  .prepare = be_degraded,
	  .call = do_show,
	  .until = RESTS,
	  .repeat = release_at_last },
	{ .name = "hold-lost",
	  .like = "delete",
	  .needs = RUNNING,
	  .nat = true,
	  .call = do_hold_delete,
	  .until = GONE,
	  .repeat = hold_is_over,
	  .tells_late = true,
	  .after = "" },
	{ .name = "hold-lost-stop",
	  .like = "stop",
	  .needs = RUNNING,
	  .nat = true,
	  .call = do_hold_stop,
	  .until = RESTS " AND hold = 0",
	  .repeat = hold_is_over,
	  .tells_late = true,
	  .after = "stopped" },
	{ .name = "create-lost",
	  .like = "create delete-created",
	  .call = do_create_held,
	  .until = GONE,
	  .repeat = hold_is_over,
	  .tells_late = true,
	  .after = "" },
	{ .name = "gc", .prepare = have_strays, .call = do_gc, .repeat = gc_again },
	{ .name = "drain",
	  .like = "stop kill",
	  .needs = RUNNING,
	  .nat = true,
	  .prepare = drop_bystander,
	  .call = do_drain,
	  .last = true,
	  .after = "stopped",
	  .restore = make_bystander },
	{ .name = "image-import",
	  .call = do_image_import,
	  .table = "images",
	  .restore = drop_second },
	{ .name = "image-delete",
	  .prepare = have_second_image,
	  .call = do_image_delete,
	  .table = "images",
	  .takes = true,
	  .restore = drop_second },
	{ .name = "kernel-import",
	  .call = do_kernel_import,
	  .table = "kernels",
	  .restore = drop_second },
	{ .name = "kernel-delete",
	  .prepare = have_second_kernel,
	  .call = do_kernel_delete,
	  .table = "kernels",
	  .takes = true,
	  .restore = drop_second },
	{ .name = "volume-create",
	  .like = "image-import",
	  .call = volume_create_call,
	  .table = "volumes",
	  .restore = drop_second },
	{ .name = "volume-delete",
	  .like = "image-delete",
	  .prepare = have_second_volume,
	  .call = do_volume_delete,
	  .table = "volumes",
	  .takes = true,
	  .restore = drop_second },
	{ .name = "reconcile-plain", .how = BY_START },
	{ .name = "reconcile-adopt",
	  .like = "reconcile-plain",
	  .needs = RUNNING,
	  .nat = true,
	  .before_start = flush_rules,
	  .again = true,
	  .how = BY_START,
	  .tells_late = true,
	  .after = "running" },
	{ .name = "reconcile-dead",
	  .like = "reconcile-plain",
	  .needs = RUNNING,
	  .nat = true,
	  .before_start = kill_vmm_of_v,
	  .how = BY_START,
	  .tells_late = true,
	  .after = "stopped" },
	{ .name = "reconcile-orphan",
	  .like = "reconcile-plain",
	  .needs = RUNNING,
	  .nat = true,
	  .before_start = lose_rows,
	  .again = true,
	  .how = BY_START,
	  .tells_late = true,
	  .after = "" },
	{ .name = "reconcile-start",
	  .like = "reconcile-plain",
	  .needs = CREATED,
	  .nat = true,
	  .prepare = cut_start,
	  .how = BY_START,
	  .tells_late = true,
	  .after = "created" },
	{ .name = "reconcile-stop",
	  .like = "reconcile-plain",
	  .needs = RUNNING,
	  .nat = true,
	  .prepare = cut_stop,
	  .how = BY_START,
	  .tells_late = true,
	  .after = "stopped" },
	{ .name = "reconcile-delete",
	  .like = "reconcile-plain",
	  .needs = RUNNING,
	  .nat = true,
	  .prepare = cut_delete,
	  .how = BY_START,
	  .tells_late = true,
	  .after = "" },
	{ .name = "reconcile-create",
	  .like = "reconcile-plain",
	  .prepare = cut_create,
	  .how = BY_START,
	  .tells_late = true,
	  .after = "" },
	{ .name = "reconcile-nat",
	  .like = "reconcile-plain",
	  .needs = RUNNING,
	  .prepare = cut_nat,
	  .how = BY_START,
	  .tells_late = true,
	  .after = "running" },
	{ .name = "first-start",
	  .like = "reconcile-plain",
	  .prepare = first_time,
	  .how = BY_START,
	  .tells_late = true,
	  .restore = second_time },
	{ .name = "shutdown",
	  .needs = RUNNING,
	  .nat = true,
	  .how = BY_STOP,
	  .signalled = FP_SUPERVISOR,
	  .signal = SIGTERM,
	  .after = "running" },
	{ .name = "role-dies",
	  .needs = RUNNING,
	  .nat = true,
	  .how = BY_STOP,
	  .signalled = FP_NET,
	  .signal = SIGKILL,
	  .after = "running" },
};
#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* ---- one case ---- */

struct what {
	const struct verb *verb;
	const struct point *point; /* NULL: a recording */
	enum victim victim;
	enum harm effect;
};

static bool step_fails(const struct what *w)
{
	return w->effect == E_FAIL || w->effect == E_STARVE;
}

static char conf_base[200], conf_now[220];

static void up(const struct verb *v)
{
	char want[220];

	(void)snprintf(want, sizeof(want), "%s%s", conf_base, v->conf ? v->conf : "");
	if (strcmp(want, conf_now) != 0) {
		SET(conf_now, want);
		conf_path = conf_now;
		set_kill();
	}
	if (!set_up())
		bail("the set does not come up; see %s/set.err", work_dir);
}

static void remove_v(void)
{
	if (strcmp(state_of("v"), "") != 0)
		(void)call_vm(CALL_VM_DELETE, "v");
}

static void note_generation(struct text *faults)
{
	struct seen s = world_vm("v");

	if (!s.state[0] || s.slot >= 64)
		return;
	bool same = strcmp(newest[s.slot].id, s.id) == 0;
	if (same ? s.generation != newest[s.slot].generation
		 : s.generation <= newest[s.slot].generation)
		text_add(faults, "twice generation %u of slot %u, after %u\n", s.generation, s.slot,
			 newest[s.slot].generation);
	newest[s.slot].generation = s.generation;
	SET(newest[s.slot].id, s.id);
}

static void ready_for(const struct verb *v)
{
	page_disarm();
	up(v);
	vmm_fault('n');
	if (v->needs != NO_VM && create("v", v->nat) != 0)
		bail("%s: the VM can not be created", v->name);
	if (v->needs == RUNNING && call_vm(CALL_VM_START, "v") != 0)
		bail("%s: the VM can not be started", v->name);
	if (v->prepare)
		v->prepare();
	if (v->how != BY_START)
		return;
	set_kill();
	if (v->before_start)
		v->before_start();
}

static enum victim own(const struct point *p)
{
	static const enum victim victims[FP_PROGRAMS] = { V_SUPERVISOR, V_CONTROLLER, V_NET, V_BLK,
							  V_SPAWN };

	return victims[p->program];
}

static void kill_victim(enum victim victim, pid_t vmm)
{
	static const enum failpoint_program programs[] = { FP_CONTROLLER, FP_NET, FP_BLK, FP_SPAWN,
							   FP_SUPERVISOR };

	for (int i = 0; i < V_ALL; i++)
		if (victim == (enum victim)i || victim == V_ALL) {
			pid_t p = set_pid(programs[i]);
			if (p > 0)
				(void)kill(p, SIGKILL);
		}
	if ((victim == V_VMM || victim == V_ALL) && vmm > 0)
		(void)kill(vmm, SIGKILL);
}

/* A victim that is not there yet, or any more, is no case. */
static bool has_victim(enum victim victim)
{
	static const enum failpoint_program programs[] = { FP_CONTROLLER, FP_NET, FP_BLK, FP_SPAWN,
							   FP_SUPERVISOR };

	if (victim == V_ALL)
		return true;
	if (victim == V_VMM)
		return vmm_of_v() > 0;
	return process_lives(set_pid(programs[victim]));
}

static void apply(const struct what *w)
{
	static const char faults[EFFECTS] = { [E_HANG] = 'h', [E_GARBAGE] = 'g', [E_HALF] = 'p' };

	if (w->effect == E_KILL)
		kill_victim(w->victim, w->victim == V_ALL || w->victim == V_VMM ? vmm_of_v() : 0);
	else if (w->effect != E_FAIL)
		vmm_fault(faults[w->effect]);
	page_go(w->effect == E_FAIL ? FP_FAIL : FP_GO);
}

static enum outcome begin(const struct verb *v, struct ask *a)
{
	switch (v->how) {
	case BY_CALL:
		v->call(a);
		a->until = v->until;
		ask_start(a);
		if (v->trigger)
			v->trigger();
		return wait_outcome(false);
	case BY_START:
		set_start();
		return wait_outcome(true);
	case BY_STOP:
		set_signal(v->signalled, v->signal);
		return wait_outcome(false);
	}
	return O_LATE;
}

/* Wait until the verb has ended in whatever way. */
static bool end(const struct verb *v, struct ask *a)
{
	if (v->how == BY_CALL) {
		bool in_time = ask_join(a);
		close_fds(a);
		return in_time;
	}
	enum outcome o = wait_outcome(v->how == BY_START);
	a->code = o == O_DONE || (v->how == BY_STOP && o == O_DEAD) ? 0 : -1;
	return o != O_LATE && (v->how != BY_STOP || set_wait_gone());
}

static void print_what(const struct what *w, const char *before)
{
	printf("%s%s %s:%s:%u %s %s", before, w->verb->name,
	       w->point ? program_name(w->point->program) : "-", w->point ? w->point->name : "-",
	       w->point ? w->point->nth : 0, victim_names[w->victim], effect_names[w->effect]);
}

static unsigned count_lines(const struct text *t, const char *word)
{
	unsigned n = 0;

	for (const char *p = t->v; *p; p = strchr(p, '\n') + 1)
		n += strncmp(p, word, strlen(word)) == 0;
	return n;
}

/* Judge until there is no fault, for what comes a little later. */
static void judge(struct text *faults, enum strictness how, const char *when)
{
	static struct text t;
	uint64_t until = now_ms() + (how == J_RESTED ? RETRY_MS : SETTLE_MS);
	/* A look is a process and ten milliseconds of work: the later, the fewer. */
	long nap_ns = 2000000;

	for (;;) {
		t = (struct text){ 0 };
		world_judge(&t, how);
		if (!t.n || now_ms() > until)
			break;
		(void)nanosleep(&(struct timespec){ .tv_nsec = nap_ns }, NULL);
		nap_ns = nap_ns < 20000000 ? nap_ns * 2 : nap_ns;
	}
	if (t.n)
		text_add(faults, "%s", t.v);
	if (t.n && one_case)
		printf("# (%s)\n", when);
}

static bool one_of(const char *state, const char *list)
{
	return *state && strstr(list, state);
}

/* An error that was answered, before anybody can have tried again. */
static void judge_refusal(const struct verb *v, const struct ask *a, struct text *faults)
{
	if (!v->not_yet || a->code <= 0)
		return;
	struct seen s = world_vm("v");
	/* The end of its VMM was noticed, and what the request could not do was done then. */
	if (strcmp(s.state, v->not_yet) == 0 && !s.reason[0])
		text_add(faults,
			 "lie it was said to have failed (%s: %s), and v is \"%s\" at once\n",
			 a->error.what, a->error.why, v->not_yet);
}

/* What the client was told, against what is so. */
static void judge_answer_once(const struct what *w, const struct ask *a, struct text *faults)
{
	const struct verb *v = w->verb;
	bool vmm_too = w->victim == V_VMM || (w->victim == V_ALL && w->effect == E_KILL);
	const char *state = state_of("v");

	if (a->code == 0 && v->after && strcmp(state, v->after) != 0 &&
	    !(vmm_too && one_of(state, "created stopped")) &&
	    !(step_fails(w) && v->tells_late && one_of(state, "degraded failed")))
		text_add(faults, "lie it was said to be done, and v is \"%s\"\n", state);
	if (a->code > 0 && v->never && strcmp(state, v->never) == 0)
		text_add(faults, "lie it was said to have failed (%s: %s), and v is \"%s\"\n",
			 a->error.what, a->error.why, state);
	if (v->table && a->code >= 0 &&
	    world_has(v->table, 0, "second") != ((a->code == 0) != v->takes))
		text_add(faults, "lie it was said to %s, and %s has %s row\n",
			 a->code ? "have failed" : "be done", v->table,
			 (a->code == 0) != v->takes ? "no" : "a");
	if (a->code > 0 && (v->call == do_nat_on || v->call == do_nat_off) &&
	    world_vm("v").nat != v->nat)
		text_add(faults, "lie the change of NAT was said to have failed, and is made\n");
	if ((v->call == do_nat_on || v->call == do_nat_off || v->how == BY_STOP) && !vmm_too &&
	    strcmp(state, "running") != 0)
		text_add(faults, "lie the guest is lost: v is \"%s\"\n", state);
}

/* A VMM that was killed is noticed a little later. */
static void judge_answer(const struct what *w, const struct ask *a, struct text *faults)
{
	static struct text t;
	uint64_t until = now_ms() + SETTLE_MS;

	do {
		t = (struct text){ 0 };
		judge_answer_once(w, a, &t);
	} while (t.n && now_ms() < until &&
		 nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL) == 0);
	text_add(faults, "%s", t.v);
}

/* Where the time of a case goes. */
static void lap(const char *what)
{
	static uint64_t last;
	uint64_t now = now_ms();

	if (one_case && last)
		printf("# %4llu ms: %s\n", (unsigned long long)(now - last), what);
	last = now;
}

static void judge_bystander(struct text *faults)
{
	if (bystander && !process_lives(bystander))
		text_add(faults, "lie the bystander's VMM is dead\n");
	if (bystander && !process_lives(bystander))
		bystander = call_vm(CALL_VM_START, "bystander") == 0 ? world_vm("bystander").vmm
								     : 0;
}

/* What the controller does by itself every ten seconds. */
static int host_reconcile(void)
{
	struct ask *a = request(CALL_HOST_RECONCILE);

	do_host_reconcile(a);
	return ask(a);
}

/* Without memory nothing could be put on record either: whoever looks later does, and a new start
 * makes it whole. */
static void judge_hungry(const struct verb *v, struct text *faults)
{
	(void)host_reconcile();
	if (v->repeat)
		v->repeat(faults);
	judge(faults, J_FAILED, "with memory again");
	judge(faults, J_RESTED, "with memory again for a while");
	set_kill();
}

/* Add the lines of @text that @other does not have. */
static void add_lines_without(struct text *to, const char *head, const char *text,
			      const char *other)
{
	static char line[TEXT_MAX];

	for (; *text; text += strcspn(text, "\n") + 1) {
		(void)snprintf(line, sizeof(line), "\n%.*s\n", (int)strcspn(text, "\n"), text);
		if (!strstr(other, line) && strncmp(other, line + 1, strlen(line + 1)) != 0)
			text_add(to, "%s%s", head, line + 1);
	}
}

/* A further start of the set changes nothing. */
static void judge_second_start(struct text *faults)
{
	static struct text before, after;

	before = after = (struct text){ 0 };
	world_read(&before);
	set_kill();
	if (!set_up()) {
		text_add(faults, "lie the set does not come up a second time\n");
		return;
	}
	world_read(&after);
	if (strcmp(before.v, after.v) == 0)
		return;
	text_add(faults, "lie a second reconcile has changed something\n");
	add_lines_without(faults, "  before: ", before.v, after.v);
	add_lines_without(faults, "  after: ", after.v, before.v);
}

/* Nor does a further look, where the set has not died.  Loops are the host's: where a set makes
 * none, those of another test do not count. */
static void judge_second_look(struct text *faults)
{
	struct ask *a = request(CALL_HOST_RECONCILE);

	do_host_reconcile(a);
	int code = ask(a);
	uint64_t found = a->result.res_host_reconcile.found - (world_has_dm() ? 0 : a->loops);
	if (code != 0 || found)
		text_add(faults, "lie a second look finds %u more, with %d %s\n", (unsigned)found,
			 a->code, a->error.why);
}

/* It starts again, and its deletion leaves nothing. */
static void judge_next_start(const struct verb *v, struct text *faults)
{
	(void)v;
	/* What says of itself that it can only be deleted is not asked for more. */
	if (one_of(state_of("v"), "failed creating") && call_vm(CALL_VM_DELETE, "v") != 0)
		text_add(faults, "lie it can not be deleted any more\n");
	if (!*state_of("v") && create("v", false) != 0)
		text_add(faults, "lie it can not be created any more\n");
	note_generation(faults);
	if (call_vm(CALL_VM_START, "v") != 0)
		text_add(faults, "lie it does not start any more\n");
	judge(faults, J_SETTLED, "after its next start");
	if (call_vm(CALL_VM_DELETE, "v") != 0)
		text_add(faults, "lie it can not be deleted any more\n");
	judge(faults, J_SETTLED, "after its deletion");
}

static unsigned crashed_again; /* recoveries */

/* The recovery is stopped and killed in turn, and so is the recovery of that. */
static void crash_recovery(unsigned turn)
{
	static const struct point points[] = {
		{ FP_CONTROLLER, "reconcile.inventory", 1 },
		{ FP_CONTROLLER, "request.vmm_kill.after", 1 },
		{ FP_SPAWN, "cgroup.killed", 1 },
		{ FP_CONTROLLER, "request.nat_remove.after", 1 },
		{ FP_NET, "element.after", 1 },
		{ FP_CONTROLLER, "request.tap_retire.before", 1 },
		{ FP_NET, "tap.delete", 1 },
		{ FP_CONTROLLER, "release.objects", 1 },
		{ FP_CONTROLLER, "release.swept", 1 },
		{ FP_CONTROLLER, "commit.before", 2 },
		{ FP_CONTROLLER, "commit.after", 2 },
		{ FP_CONTROLLER, "files.unlink", 2 },
		{ FP_CONTROLLER, "console.remove", 1 },
		{ FP_CONTROLLER, "commit.before", 3 },
		{ FP_CONTROLLER, "reconcile.settled", 1 },
		{ FP_SPAWN, "vmm_watch.after", 1 },
		{ FP_CONTROLLER, "reconcile.done", 1 },
		{ FP_CONTROLLER, "commit.after", 3 },
		{ FP_CONTROLLER, "ready.before", 1 },
		{ FP_BLK, "prepare.after", 1 },
		{ FP_SUPERVISOR, "places.alone", 1 },
		{ FP_BLK, "reconcile_done.before", 1 },
		{ FP_SUPERVISOR, "child.forked", 3 },
		{ FP_SUPERVISOR, "ready", 1 },
	};
	const unsigned n = sizeof(points) / sizeof(points[0]);

	for (unsigned k = 0; k < 2; k++) {
		const struct point *p = &points[(turn + k * 7) % n];
		page_arm(p);
		set_start();
		bool reached = wait_outcome(true) == O_PAUSED;
		if (reached)
			kill_victim(turn % 2 ? V_ALL : own(p), 0);
		page_disarm();
		if (!reached)
			return;
		crashed_again++;
		if (!set_wait_gone())
			bail("a set whose recovery was crashed does not end");
	}
}

/* What the set said last. */
static void tell_log(void)
{
	static char out[8192];
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/set.err", work_dir);
	(void)run(out, sizeof(out), (const char *const[]){ "tail", "-n", "30", path, NULL });
	for (const char *p = out; *p; p += strcspn(p, "\n") + (strchr(p, '\n') != NULL))
		printf("#   | %.*s\n", (int)strcspn(p, "\n"), p);
}

static void tell(const struct what *w, const struct text *faults)
{
	static unsigned told;
	unsigned l = count_lines(faults, "leak"), t = count_lines(faults, "twice");

	leaks += l;
	twices += t;
	lies += count_lines(faults, "lie");
	if (!faults->n)
		return;
	print_what(w, "# FAULT ");
	printf("\n");
	for (const char *p = faults->v; *p; p = strchr(p, '\n') + 1)
		printf("#   %.*s\n", (int)strcspn(p, "\n"), p);
	if (told++ < 5 || getenv("CRASH_TELL"))
		tell_log();
	(void)fflush(stdout);
}

static bool is_allocation(const struct point *p)
{
	return strcmp(p->name, ALLOCATION) == 0;
}

static void arm(const struct what *w)
{
	if (is_allocation(w->point))
		page_arm_hunger(w->point, w->effect == E_STARVE);
	else
		page_arm(w->point);
}

/* Return: false when the point was not reached. */
static bool run_case(const struct what *w)
{
	static struct text faults;
	static struct ask a;
	const struct verb *v = w->verb;

	faults = (struct text){ 0 };
	memset(&a, 0, sizeof(a));
	lap("");
	ready_for(v);
	note_generation(&faults);
	lap("prepared");
	arm(w);
	enum outcome o = begin(v, &a);
	bool reached = o == O_PAUSED || page_hungered();
	bool there = reached && (step_fails(w) || has_victim(w->victim));
	if (o == O_PAUSED && there)
		apply(w);
	else
		page_go(FP_GO);
	if (!end(v, &a))
		text_add(&faults, "lie it does not end within %d s\n", SECONDS_MOST);
	page_disarm();
	judge_refusal(v, &a, &faults);
	lap("done");
	vmm_fault('n');
	if (there) {
		cases++;
		bool died = (w->effect == E_KILL && w->victim != V_VMM) || !set_whole() ||
			    v->how == BY_STOP;
		if (w->effect == E_STARVE && !died && !v->last) {
			died = true;
			judge_hungry(v, &faults);
		}
		if (v->last && !died) {
			set_kill();
			died = true;
		}
		if (died && !set_wait_gone())
			text_add(&faults, "lie a process of the set does not end\n");
		if (v->calm && (died || v->until))
			v->calm();
		if (died && w->effect == E_KILL && (one_case || thorough || cases % 4 == 1))
			crash_recovery(cases / 4);
		if (!set_up())
			text_add(&faults, "lie the set does not come up again\n");
		lap("up again");
		if (step_fails(w) && v->again)
			(void)host_reconcile();
		if (v->repeat)
			v->repeat(&faults);
		judge(&faults,
		      died                  ? J_STARTED
		      : w->effect == E_KILL ? J_SETTLED
					    : J_FAILED,
		      "after the case");
		lap("judged");
		if (step_fails(w) && host_reconcile() != 0)
			text_add(&faults, "lie it can not be reconciled\n");
		if (step_fails(w) && !died)
			judge(&faults, J_RESTED, "a while later");
		judge_answer(w, &a, &faults);
		if (died && (one_case || thorough || cases % 4 == 0))
			judge_second_start(&faults);
		if (!died)
			judge_second_look(&faults);
		lap("second start");
		if (v->calm)
			v->calm();
		judge_bystander(&faults);
		if (v->restore == second_time) /* there is no image */
			second_time();
		judge_next_start(v, &faults);
		lap("next start and deletion");
	} else {
		if (v->last)
			set_kill();
		(void)set_up();
	}
	tell(w, &faults);
	remove_v();
	if (v->restore && !(there && v->restore == second_time))
		v->restore();
	return reached;
}

/* ---- a verb ---- */

static bool known(const struct point *p)
{
	for (size_t i = 0; i < n_seen; i++)
		if (seen_points[i].program == p->program &&
		    strcmp(seen_points[i].name, p->name) == 0)
			return true;
	return false;
}

/* The way of each verb, once it has been recorded. */
static struct way {
	struct point points[WAY];
	size_t n;
	unsigned allocations[FP_PROGRAMS]; /* the fewest in a recording */
} ways[N_VERBS];

static struct way *way_of(const struct verb *v)
{
	return &ways[v - verbs];
}

/* A case is disarmed at its answer, so its allocations are those that come before the answer. */
static void note_allocations(const struct verb *v)
{
	unsigned *fewest = way_of(v)->allocations;

	for (int i = 0; i < FP_PROGRAMS; i++)
		if (page_allocations(i) < fewest[i])
			fewest[i] = page_allocations(i);
}

static void note_seen(const struct point *points, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!known(&points[i]) && n_seen < POINTS)
			seen_points[n_seen++] = points[i];
}

static size_t record_once(const struct verb *v, struct point *points)
{
	static struct ask a;

	memset(&a, 0, sizeof(a));
	ready_for(v);
	page_arm(NULL);
	(void)begin(v, &a);
	if (!end(v, &a) || (a.code != 0) != v->fails)
		bail("%s does not succeed: %d %s: %s", v->name, a.code, a.error.what, a.error.why);
	note_allocations(v);
	(void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 },
			NULL); /* what comes behind the answer */
	size_t n = page_trace(points, POINTS);
	page_disarm();
	if (v->calm)
		v->calm();
	if (v->last)
		set_kill();
	note_seen(points, n);
	up(v);
	remove_v();
	if (v->restore)
		v->restore();
	return n;
}

static bool has(const struct point *points, size_t n, const struct point *p)
{
	for (size_t i = 0; i < n; i++)
		if (points[i].program == p->program && points[i].nth == p->nth &&
		    strcmp(points[i].name, p->name) == 0)
			return true;
	return false;
}

/*
 * The way of a verb is what two of three recordings saw: what two threads do at the end may not
 * come in time in one, and what the keeper does beside it may come in one.
 */
static void record(const struct verb *v)
{
	static struct point seen[3][POINTS];
	struct way *way = way_of(v);
	size_t n[3];

	way->n = 0;
	memset(way->allocations, 0xff, sizeof(way->allocations));
	for (int i = 0; i < 3; i++)
		n[i] = record_once(v, seen[i]);
	for (int i = 0; i < 2; i++)
		for (size_t j = 0; j < n[i]; j++) {
			const struct point *p = &seen[i][j];
			bool again = (i == 0 && has(seen[1], n[1], p)) || has(seen[2], n[2], p);
			if (!again || has(way->points, way->n, p))
				continue;
			if (way->n == WAY)
				bail("the way of %s has more than %d failpoints", v->name, WAY);
			way->points[way->n++] = *p;
		}
}

static struct {
	struct point p;
	bool fails;
} listed[1024];
static size_t n_listed;

static void list_points(void)
{
	static const char *const programs[FP_PROGRAMS] = {
		"banger-privhelper", "banger-controller", "banger-role-net",
		"banger-role-blk",   "banger-role-spawn",
	};
	static char out[65536];
	char path[300], word[16];

	for (int i = 0; i < FP_PROGRAMS; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", config.libexec_dir, programs[i]);
		if (run(out, sizeof(out), (const char *const[]){ path, "--failpoints", NULL }) != 0)
			bail("%s --failpoints", path);
		for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n")) {
			word[0] = '\0';
			listed[n_listed].p.program = i;
			(void)sscanf(line, "%47s %15s", listed[n_listed].p.name, word);
			listed[n_listed++].fails = word[0];
		}
	}
}

static bool can_fail(const struct point *p)
{
	for (size_t i = 0; i < n_listed; i++)
		if (listed[i].p.program == p->program && strcmp(listed[i].p.name, p->name) == 0)
			return listed[i].fails;
	bail("%s:%s is not in the program's own list", program_name(p->program), p->name);
}

static unsigned part, parts = 1;
static bool in_part;

/* Is one of the words of @list the beginning of PROGRAM:NAME:N? */
static bool begins_like_one(const struct point *p, const char *list)
{
	char full[80], words[400];

	(void)snprintf(full, sizeof(full), "%s:%s:%u", program_name(p->program), p->name, p->nth);
	(void)snprintf(words, sizeof(words), "%s", list);
	for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
		if (strncmp(full, w, strlen(w)) == 0)
			return true;
	return false;
}

/* Every sample has this case of a verb, so that each verb is tested. */
static bool is_first_case(const struct verb *v, const struct point *p, enum victim victim,
			  enum harm effect)
{
	return has(way_of(v)->points, 1, p) && victim == own(p) && effect == E_KILL;
}

/* The same part whatever else was recorded: FNV-1a over the case. */
static bool is_ours(const struct verb *v, const struct point *p, enum victim victim,
		    enum harm effect)
{
	const char *only = getenv("CRASH_POINTS"), *sample = getenv("CRASH_SAMPLE");
	unsigned one_of = sample ? (unsigned)atoi(sample) : 1;
	uint32_t h = 2166136261u;
	char text[200];

	if (only && !begins_like_one(p, only))
		return false;
	(void)snprintf(text, sizeof(text), "%s %d %s %u %d %d", v->name, (int)p->program, p->name,
		       p->nth, (int)victim, (int)effect);
	for (const char *c = text; *c; c++)
		h = (h ^ (unsigned char)*c) * 16777619u;
	h >>= 8;
	return h % parts == part &&
	       (h / parts % one_of == 0 || is_first_case(v, p, victim, effect));
}

static bool is_word(const char *list, const char *word)
{
	char a[400], b[80];

	(void)snprintf(a, sizeof(a), " %s ", list);
	(void)snprintf(b, sizeof(b), " %s ", word);
	return strstr(a, b);
}

/* Failpoints that a verb may not reach, even when it is tried again, and why. */
static const struct {
	const char *verbs; /* "*": all */
	const char *point; /* the beginning of PROGRAM:NAME */
	uint32_t beyond;   /* those alone that come after so many of that name */
	const char *why;
} may_be_late[] = {
	{ "start-fails stop stop-ignored stop-firecracker restart auto-stop kill delete ended "
	  "revive give-up release-again hold-lost hold-lost-stop drain",
	  "net:tap_sweep.answered", 0,
	  "the sweep is the last request of the verb, which may be over before the role has come "
	  "so far" },
	{ "host-reconcile", "net:list.", 1,
	  "the keeper, told of the flush, looks too, or finds that the request was first" },
	{ "host-reconcile", "blk:list.", 1, "likewise" },
	{ "host-reconcile", "spawn:list.", 1, "likewise" },
	{ "host-reconcile", "controller:request.list.", ROLES, "likewise" },
	{ "host-reconcile", "net:reqlog.", 5, "likewise: each look is a record" },
	{ "host-reconcile", "blk:reqlog.", 5, "likewise" },
	{ "host-reconcile", "spawn:reqlog.", 5, "likewise" },
	{ "shutdown role-dies", "controller:answer.after", 0,
	  "it belongs to the request that prepared the case: its client has the answer before the "
	  "controller comes to this point" },
	{ "restart", "controller:answer.after", 2,
	  "a third answer is that of the request that prepared the case" },
	{ "*", "controller:answer.after", 1,
	  "a second answer is that of the request that prepared the case" },
};

/*
 * A recording can count allocations of other threads, such as a cycle of the keeper.  So a missed
 * allocation is no fault when it is in the last tenth of the shortest recording.  Further
 * recordings are made for each missed one: they are armed in another way than a case, so a case
 * that should have reached the allocation still fails.
 */
static bool is_beyond_recordings(const struct verb *v, const struct point *p)
{
	static struct point points[POINTS];

	for (int i = 0; is_allocation(p) && i < RECORDINGS_MORE; i++) {
		const unsigned least = way_of(v)->allocations[p->program];
		if (p->nth > least - least / 10)
			return true;
		(void)record_once(v, points);
	}
	return false;
}

/* Returns the reason why @p may stay unreached, or NULL when that is a failure. */
static const char *excuse_for_late(const struct verb *v, const struct point *p)
{
	char full[80];

	(void)snprintf(full, sizeof(full), "%s:%s", program_name(p->program), p->name);
	for (size_t i = 0; i < sizeof(may_be_late) / sizeof(may_be_late[0]); i++)
		if (strncmp(full, may_be_late[i].point, strlen(may_be_late[i].point)) == 0 &&
		    (*may_be_late[i].verbs == '*' || is_word(may_be_late[i].verbs, v->name))) {
			if (p->nth > may_be_late[i].beyond)
				return may_be_late[i].why;
			break; /* the first row of a verb and a point counts */
		}
	return is_beyond_recordings(v, p) ? "a run of the verb may make fewer allocations" : NULL;
}

static void note_missed(const struct what *w)
{
	const char *why = excuse_for_late(w->verb, w->point);

	if (why)
		late++;
	else
		missed++;
	print_what(w, "# not reached: ");
	printf("%s%s\n", why ? ", as may be: " : "", why ? why : "");
}

static void case_of(const struct verb *v, const struct point *p, enum victim victim,
		    enum harm effect, bool due)
{
	const struct what w = { v, p, victim, effect };

	if (!is_ours(v, p, victim, effect))
		return;
	product++;
	if ((!due && !thorough) || now_ms() > verb_until)
		return;
	for (int i = 0; i < TRIES;
	     i++) /* what races with the end of a verb comes one time in some */
		if (run_case(&w))
			return;
	note_missed(&w);
}

static bool is_common(const struct verb *v, const struct point *p)
{
	for (size_t i = 0; v->like && i < N_VERBS; i++)
		if (is_word(v->like, verbs[i].name) && has(ways[i].points, ways[i].n, p))
			return true;
	return false;
}

static bool is_look(const struct point *p)
{
	bool role = p->program != FP_CONTROLLER;

	return strncmp(p->name, role ? "list." : "request.list.", role ? 5 : 13) == 0;
}

/* A look changes nothing: the first at each role is tested in full, the others of the same way in
 * samples. */
static bool is_look_again(const struct point *p)
{
	return is_look(p) && p->nth > (p->program != FP_CONTROLLER ? 1 : ROLES);
}

/* Its own process always; the controller and the VMM, or all at once and another, in turn; with
 * CRASH_FULL everybody. */
static bool is_due(const struct point *p, size_t i, enum victim victim)
{
	static const enum victim turns[] = { V_NET, V_SPAWN, V_SUPERVISOR, V_BLK };
	bool odd = i % 2;

	if (thorough || victim == own(p))
		return true;
	if (victim == V_CONTROLLER || victim == V_VMM)
		return !odd;
	return odd && (victim == V_ALL || victim == turns[i / 2 % 4]);
}

static void cases_of(const struct verb *v, const struct point *p, size_t i)
{
	/* What it has in common with another verb is tested there, and here in samples. */
	bool sample = is_common(v, p) || is_look_again(p);

	if (v->until && is_look(p))
		return; /* the keeper's, which comes when it comes */
	for (int victim = 0; victim < VICTIMS; victim++)
		case_of(v, p, (enum victim)victim, E_KILL,
			sample ? i % 6 == 0 && victim == (int)own(p)
			       : is_due(p, i, (enum victim)victim));
	if (can_fail(p))
		case_of(v, p, own(p), E_FAIL, !sample);
	if (p->program == FP_CONTROLLER && strncmp(p->name, "vmm.", 4) == 0)
		for (int e = E_HANG; e <= E_HALF; e++)
			case_of(v, p, V_VMM, (enum harm)e, !sample);
}

/* Memory that runs out: at one allocation, or from there on.  Samples, at other places for each
 * verb. */
static void hunger_cases_of(const struct verb *v)
{
	for (int i = 0; i < FP_PROGRAMS; i++) {
		unsigned n = way_of(v)->allocations[i], most = v->like ? HUNGERS / 4 : HUNGERS,
			 step = n < most ? 1 : n / most;
		for (unsigned nth = 1; nth <= n; nth++) {
			struct point p = { .program = i, .name = ALLOCATION, .nth = nth };
			bool due = (nth - 1) % step == (unsigned)(v - verbs) % step;
			case_of(v, &p, own(&p), E_FAIL, due);
			case_of(v, &p, own(&p), E_STARVE, due && (nth / step) % 2);
		}
	}
}

/* ---- recordings, of which each part makes some for all ---- */

static bool is_chosen(const struct verb *v)
{
	const char *only = getenv("CRASH_VERBS");

	return !only || is_word(only, v->name);
}

/* Chosen, or @like a chosen one. */
static bool is_needed(const struct verb *v)
{
	for (size_t i = 0; i < N_VERBS; i++)
		if (is_chosen(&verbs[i]) &&
		    (v == &verbs[i] || (verbs[i].like && is_word(verbs[i].like, v->name))))
			return true;
	return false;
}

static void way_path(char *out, size_t size, const struct verb *v, const char *suffix)
{
	if (snprintf(out, size, "%s/%s%s", getenv("CRASH_WAYS"), v->name, suffix) >= (int)size)
		bail("CRASH_WAYS is too long a path");
}

/* The file has the way, and all points that the part has seen so far. */
static void way_write(const struct verb *v)
{
	char path[300], new[310];

	way_path(path, sizeof(path), v, "");
	way_path(new, sizeof(new), v, ".new");
	FILE *f = fopen(new, "wxe");
	if (!f || fwrite(way_of(v), sizeof(struct way), 1, f) != 1 ||
	    fwrite(seen_points, sizeof(*seen_points), n_seen, f) != n_seen || fclose(f) != 0 ||
	    rename(new, path) < 0)
		bail("%s: %s", path, strerror(errno));
}

static void way_read(const struct verb *v)
{
	static struct point seen[POINTS];
	uint64_t until = now_ms() + WAYS_MS;
	char path[300];
	FILE *f;

	way_path(path, sizeof(path), v, "");
	while (!(f = fopen(path, "re")) && now_ms() < until)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	if (!f || fread(way_of(v), sizeof(struct way), 1, f) != 1)
		bail("no other part has recorded %s", v->name);
	note_seen(seen, fread(seen, sizeof(*seen), POINTS, f));
	(void)fclose(f);
}

/* Record this part's share of the verbs. */
static void share_ways(void)
{
	unsigned n = 0;

	for (size_t i = 0; getenv("CRASH_WAYS") && i < N_VERBS; i++)
		if (is_needed(&verbs[i]) && n++ % parts == part) {
			record(&verbs[i]);
			way_write(&verbs[i]);
		}
}

static void know_way(const struct verb *v)
{
	if (way_of(v)->n)
		return;
	if (getenv("CRASH_WAYS"))
		way_read(v);
	else
		record(v);
}

static void run_verb(const struct verb *v)
{
	for (size_t i = 0; v->like && i < N_VERBS; i++)
		if (is_word(v->like, verbs[i].name))
			know_way(&verbs[i]);
	know_way(v);
	const struct way *way = way_of(v);
	const struct what none = { .verb = v };
	unsigned cases0 = cases, faults0 = leaks + lies + twices, missed0 = missed, late0 = late,
		 product0 = product;
	uint64_t t0 = now_ms();
	static struct text foreign;

	for (size_t i = 0; i < way->n; i++)
		cases_of(v, &way->points[i], i);
	hunger_cases_of(v);
	foreign = (struct text){ 0 };
	decoys_judge(&foreign);
	tell(&none, &foreign);
	unsigned faults = leaks + lies + twices - faults0, lost = missed - missed0;
	bool good = !faults && !lost;
	if (in_part) {
		printf("verb %s %u %zu %u %llu %u %u %u\n", v->name, cases - cases0, way->n, faults,
		       (unsigned long long)(now_ms() - t0), lost, late - late0, product - product0);
		return;
	}
	tests++;
	failed_tests += !good;
	printf("%s %u - %s: %u of %u cases at %zu failpoints\n", good ? "ok" : "not ok", tests,
	       v->name, cases - cases0, product - product0, way->n);
	printf("# %llu ms a case, %u not reached, %u more as may be\n",
	       (unsigned long long)(now_ms() - t0) / (cases - cases0 ? cases - cases0 : 1), lost,
	       late - late0);
	(void)fflush(stdout);
}

/* With CRASH_SECONDS, each verb has its share of what is left of them. */
static void run_verbs(void)
{
	const char *seconds = getenv("CRASH_SECONDS");
	uint64_t end = now_ms() + (seconds ? (uint64_t)atoi(seconds) : 1000000u) * 1000;
	unsigned left = 0;

	share_ways();
	for (size_t i = 0; i < N_VERBS; i++)
		left += is_chosen(&verbs[i]);
	for (size_t i = 0; i < N_VERBS; i++) {
		if (!is_chosen(&verbs[i]))
			continue;
		verb_until = now_ms() < end ? now_ms() + (end - now_ms()) / left : 0;
		left--;
		run_verb(&verbs[i]);
	}
}

/* On the way of no verb, and why. */
static const struct {
	const char *name; /* the beginning of PROGRAM:NAME */
	bool only_without_dm;
	const char *why;
} excused[] = {
	{ "*:request.ping", false, "nobody asks for it yet" },
	{ "*:request.seal", false, "likewise" },
	{ "*:ping.", false, "likewise" },
	{ "*:seal.", false, "likewise" },
	{ "blk:loop", true, "no device-mapper here: disks are copies" },
	{ "blk:snapshot", true, "likewise" },
	{ "blk:dm.", true, "likewise" },
	{ "blk:disknode", true, "likewise" },
	{ "*:request.loop", true, "likewise" },
	{ "*:request.snapshot", true, "likewise" },
	{ "controller:disk.cow", true, "likewise" },
	{ "controller:vmm.port.", false,
	  "changes nothing but connections, which end with the process; agent.sh kills clients" },
};

/* @dm: with device-mapper; @that_need_it: those alone that want it. */
static bool is_excused(const struct point *p, bool dm, bool that_need_it)
{
	char full[80];

	(void)snprintf(full, sizeof(full), "%s:%s", program_name(p->program), p->name);
	for (size_t i = 0; i < sizeof(excused) / sizeof(excused[0]); i++) {
		const char *want = excused[i].name, *have = *want == '*' ? strchr(full, ':') : full;
		want += *want == '*';
		if (strncmp(have, want, strlen(want)) == 0 && !(dm && excused[i].only_without_dm) &&
		    (excused[i].only_without_dm || !that_need_it))
			return true;
	}
	return false;
}

/* @disks: of those points alone that want device-mapper. */
static void judge_coverage(bool disks)
{
	bool dm = access("/sys/class/misc/device-mapper", F_OK) == 0;
	size_t reached = 0, exempt = 0, forgotten = 0;

	for (size_t i = 0; i < n_listed; i++) {
		const struct point *p = &listed[i].p;
		if (disks && !is_excused(p, false, true))
			continue;
		if (known(p)) {
			reached++;
		} else if (is_excused(p, dm || disks, false)) {
			exempt++;
		} else {
			printf("# on the way of no verb: %s:%s\n", program_name(p->program),
			       p->name);
			forgotten++;
		}
	}
	tests++;
	failed_tests += forgotten != 0;
	printf("%s %u - of %zu failpoints in the programs' own lists, %zu are on the way of a "
	       "verb, %zu are excused\n",
	       forgotten ? "not ok" : "ok", tests, n_listed, reached, exempt);
}

static const struct verb *verb_of(const char *name)
{
	for (size_t i = 0; i < N_VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	bail("there is no verb \"%s\"", name);
}

static void print_ways(void)
{
	for (size_t v = 0; v < N_VERBS; v++) {
		const struct way *way = &ways[v];
		record(&verbs[v]);
		for (size_t i = 0; i < way->n; i++)
			printf("# %s %zu %s:%s:%u\n", verbs[v].name, i,
			       program_name(way->points[i].program), way->points[i].name,
			       way->points[i].nth);
		for (int i = 0; i < FP_PROGRAMS; i++)
			printf("# %s %u allocations of %s\n", verbs[v].name, way->allocations[i],
			       program_name(i));
	}
	judge_coverage(false);
}

static void run_one(char **argv)
{
	struct what w = { .verb = verb_of(argv[0]), .victim = VICTIMS, .effect = EFFECTS };
	struct point p = { .nth = 1, .program = FP_PROGRAMS };
	char *colon = strchr(argv[1], ':');

	for (int i = 0; colon && i < FP_PROGRAMS; i++)
		if (strncmp(argv[1], program_name(i), (size_t)(colon - argv[1])) == 0)
			p.program = i;
	if (!colon || sscanf(colon + 1, "%47[^:]:%u", p.name, &p.nth) < 1 ||
	    p.program == FP_PROGRAMS)
		bail("a failpoint is PROGRAM:NAME[:N]");
	for (int i = 0; i < VICTIMS; i++)
		if (strcmp(argv[2], victim_names[i]) == 0)
			w.victim = (enum victim)i;
	for (int i = 0; i < EFFECTS; i++)
		if (strcmp(argv[3], effect_names[i]) == 0)
			w.effect = (enum harm)i;
	if (w.victim == VICTIMS || w.effect == EFFECTS)
		bail("no such victim or effect");
	w.point = &p;
	one_case = true;
	if (!run_case(&w))
		printf("# not reached\n");
}

int main(int argc, char **argv)
{
	if (argc < 3)
		bail("usage: crash CONFIG DIR [VERB [PROGRAM:NAME[:N] VICTIM EFFECT]]");
	thorough = getenv("CRASH_FULL");
	verb_until = UINT64_MAX;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	SET(conf_base, argv[1]);
	SET(conf_now, argv[1]);
	conf_path = conf_now;
	work_dir = argv[2];
	if (config_load(conf_path, 0, &config) < 0)
		bail("%s", conf_path);
	list_points();
	set_prepare();
	decoys_make();
	vmm_fault('n');
	if (!set_up())
		bail("the set does not come up; see %s/set.err", work_dir);
	import_first();
	make_bystander();
	if (argc == 6) {
		part = (unsigned)atoi(argv[4]);
		parts = (unsigned)atoi(argv[5]);
		in_part = true;
	}
	if (argc == 7)
		run_one(argv + 3);
	else if (argc == 4 && strcmp(argv[3], "ways") == 0)
		print_ways();
	else if (argc == 4)
		run_verb(verb_of(argv[3]));
	else {
		const char *only = getenv("CRASH_VERBS");
		run_verbs();
		if (!only || getenv("CRASH_DM"))
			judge_coverage(only);
	}
	printf("# %u of %u cases (verb, failpoint, victim, effect): %u leaks, %u lies, %u double "
	       "allocations\n",
	       cases, product, leaks, lies, twices);
	if (in_part)
		printf("total %u %u %u %u %u %u\n", cases, leaks, lies, twices, crashed_again,
		       product);
	(void)call_vm(CALL_VM_DELETE, "bystander");
	set_kill();
	decoys_remove();
	return leaks + lies + twices || failed_tests ? 1 : 0;
}
