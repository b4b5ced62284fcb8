/* See model.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/model.h"

#define STARTS 6        /* of the set, until it has to be up */
#define BEHIND 4        /* requests that nobody waits for */
#define SETTLE_MS 15000 /* a busy machine stands still for seconds */
#define SECOND 1000000000ll

const char *const who_names[] = { "supervisor", "controller", "net",  "blk",
				  "spawn",      "all",        "self", "fail" };
const unsigned n_who = sizeof(who_names) / sizeof(who_names[0]);
enum { WHO_ALL = FP_PROGRAMS, WHO_SELF, WHO_FAIL };

uint32_t uid_of(unsigned u)
{
	return u ? 70000 + u : 0;
}

const char *vm_name(unsigned m)
{
	static const char *const names[NAMES] = { "a", "b", "c" };

	return names[m];
}

__attribute__((format(printf, 1, 2))) static void shellf(const char *fmt, ...)
{
	char command[2000];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	shell(command);
}

/* ---- what is about to happen while a request is under way ---- */

static struct point cut_at;
static unsigned cut_who;
static bool cut_armed;

/* Stopped for a while. */
static struct {
	pid_t pid;
	uint64_t until;
	bool vmm;
} frozen[8];
enum thawed { T_DUE, T_SET, T_ALL };

/* A start of the set waits for those of the last one, and meets VMMs that stand still. */
static void thaw(enum thawed which)
{
	for (size_t i = 0; i < 8; i++)
		if (frozen[i].pid && (which == T_ALL || (which == T_SET && !frozen[i].vmm) ||
				      now_ms() >= frozen[i].until)) {
			(void)kill(frozen[i].pid, SIGCONT);
			frozen[i].pid = 0;
		}
}

static void freeze_one(pid_t pid, unsigned ms, bool vmm)
{
	for (size_t i = 0; i < 8 && pid > 0; i++)
		if (!frozen[i].pid) {
			(void)kill(pid, SIGSTOP);
			frozen[i].pid = pid;
			frozen[i].until = now_ms() + ms;
			frozen[i].vmm = vmm;
			return;
		}
}

static void freeze(pid_t pid, unsigned ms)
{
	freeze_one(pid, ms, false);
}

static void signal_who(unsigned who, void (*fn)(pid_t pid, unsigned n), unsigned n)
{
	for (unsigned i = 0; i < FP_PROGRAMS; i++)
		if ((who == i || who == WHO_ALL) && set_pid((enum failpoint_program)i) > 0)
			fn(set_pid((enum failpoint_program)i), n);
}

/* One that is still on its way out would be taken for alive, by right. */
static void kill_and_wait(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	for (int ms = 0; ms < 1000 && process_lives(pid); ms++)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void kill_one(pid_t pid, unsigned n)
{
	(void)n;
	kill_and_wait(pid);
}

static void cut_now(enum failpoint_program at)
{
	truth_disturbed();
	tally->cuts++;
	cut_armed = false;
	if (cut_who == WHO_FAIL) {
		page_go(FP_FAIL);
		return;
	}
	signal_who(cut_who == WHO_SELF ? at : cut_who, kill_one, 0);
	page_disarm();
}

static void while_waiting(void)
{
	enum failpoint_program at = page_paused();

	if (at != FP_PROGRAMS)
		cut_now(at);
	thaw(T_DUE);
}

static bool wait_answer(struct ask *a)
{
	const uint64_t end = now_ms() + SECONDS_MOST * 1000;

	while (!a->done) {
		uint32_t seen = news_now();
		while_waiting();
		if (now_ms() > end)
			return false;
		if (!a->done)
			news_wait(seen);
	}
	return ask_join(a);
}

/* As the service manager does it. */
static void up(void)
{
	for (int i = 0; i < STARTS; i++) {
		if (set_whole() && set_ready())
			return;
		while_waiting();
		thaw(T_SET);
		truth_disturbed();
		page_disarm(); /* on its way out nobody is to stop; on the way in again */
		if (!set_wait_gone())
			bail("a process of the set does not end");
		if (cut_armed)
			page_arm(&cut_at);
		set_start();
		tally->starts++;
		while (wait_outcome(true) == O_PAUSED)
			while_waiting();
	}
	bail("the set does not come up");
}

int request(struct ask *a)
{
	ask_start(a);
	if (!wait_answer(a))
		bail("no answer to %s within %d s", control_call(a->id)->name, SECONDS_MOST);
	return a->code;
}

/* ---- requests of users ---- */

static struct behind {
	struct step s;
	struct ask a;
	bool used;
} behind[BEHIND];

static void ended(struct behind *b, struct text *faults)
{
	if (!wait_answer(&b->a))
		bail("no answer to %s within %d s", b->s.verb->name, SECONDS_MOST);
	close_fds(&b->a);
	tally->done += b->a.code == 0;
	tally->refused += b->a.code > 0;
	tally->lost += b->a.code < 0;
	truth_answered(&b->s, &b->a, faults);
	b->used = false;
}

static void all_ended(struct text *faults)
{
	for (size_t i = 0; i < BEHIND; i++)
		if (behind[i].used)
			ended(&behind[i], faults);
}

static struct behind *room(struct text *faults)
{
	for (size_t i = 0; i < BEHIND; i++)
		if (behind[i].used && behind[i].a.done)
			ended(&behind[i], faults);
	for (size_t i = 0; i < BEHIND; i++)
		if (!behind[i].used)
			return &behind[i];
	ended(&behind[0], faults);
	return &behind[0];
}

static void do_request(const struct step *s, struct text *faults)
{
	up();
	struct behind *b = room(faults);
	memset(b, 0, sizeof(*b));
	b->used = true;
	b->s = *s;
	b->a.uid = s->as_root ? 0 : uid_of(s->u);
	s->verb->fill(s, &b->a);
	truth_asked(s);
	ask_start(&b->a);
	if (!s->behind)
		ended(b, faults);
}

/* The owner says "a", root "70001/a". */
static void name_of(const struct step *s, char out[76])
{
	if (s->as_root)
		(void)snprintf(out, 76, "%u/%s", uid_of(s->u), vm_name(s->m));
	else
		(void)snprintf(out, 76, "%s", vm_name(s->m));
}

static void fill_create(const struct step *s, struct ask *a)
{
	create_args(a, vm_name(s->m), s->n & 1);
	if (s->n == 6 || s->n == 7)
		(void)snprintf(a->args.vm_create.image, sizeof(a->args.vm_create.image), "own%u",
			       s->u);
}

static void fill_start(const struct step *s, struct ask *a)
{
	a->id = CALL_VM_START;
	name_of(s, a->args.vm_start.vm);
}

static void fill_stop(const struct step *s, struct ask *a)
{
	a->id = CALL_VM_STOP;
	a->args.vm_stop.timeout_ms = 300;
	name_of(s, a->args.vm_stop.vm);
}

static void fill_kill(const struct step *s, struct ask *a)
{
	a->id = CALL_VM_KILL;
	name_of(s, a->args.vm_kill.vm);
}

static void fill_delete(const struct step *s, struct ask *a)
{
	a->id = CALL_VM_DELETE;
	name_of(s, a->args.vm_delete.vm);
}

static void fill_nat(const struct step *s, struct ask *a)
{
	a->id = CALL_VM_SET;
	a->args.vm_set.nat = 1 + s->n;
	name_of(s, a->args.vm_set.vm);
}

static void fill_policy(const struct step *s, struct ask *a)
{
	static const unsigned most[] = { 0, 2, 0 };

	a->id = CALL_VM_SET;
	a->args.vm_set.restart = 1 + s->n; /* no, on-failure:2, always */
	a->args.vm_set.restart_max = most[s->n];
	name_of(s, a->args.vm_set.vm);
}

static void fill_hold(const struct step *s, struct ask *a)
{
	a->id = CALL_VM_HOLD;
	a->args.vm_hold.hold = 1 + s->n; /* stop, delete */
	name_of(s, a->args.vm_hold.vm);
}

static void fill_logs(const struct step *s, struct ask *a)
{
	a->id = CALL_VM_LOGS;
	name_of(s, a->args.vm_logs.vm);
}

static void fill_list(const struct step *s, struct ask *a)
{
	(void)s;
	a->id = CALL_VM_LIST;
}

static void fill_list_all(const struct step *s, struct ask *a)
{
	(void)s;
	a->id = CALL_VM_LIST;
	a->args.vm_list.all = true;
}

static void fill_reconcile(const struct step *s, struct ask *a)
{
	(void)s;
	a->id = CALL_HOST_RECONCILE;
	a->args.host_reconcile.restore = true;
}

static void fill_gc(const struct step *s, struct ask *a)
{
	(void)s;
	a->id = CALL_HOST_RECONCILE;
}

static void fill_look(const struct step *s, struct ask *a)
{
	fill_reconcile(s, a);
	a->args.host_reconcile.dry_run = true;
}

static void fill_image(const struct step *s, struct ask *a)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "own%u", s->u);
	a->id = CALL_IMAGE_IMPORT;
	SET(a->args.image_import.name, name);
	SET(a->args.image_import.kernel, "debian");
	a->fds[0] = make_file(name, 1 << 20, 1024 + 56, "\x53\xef", 2);
	if (s->n && pwrite(a->fds[0], "one of all", 10, (1 << 20) - 64) != 10)
		bail("%s: %s", name, strerror(errno));
}

static void fill_image_delete(const struct step *s, struct ask *a)
{
	a->id = CALL_IMAGE_DELETE;
	if (s->as_root)
		(void)snprintf(a->args.image_delete.image, sizeof(a->args.image_delete.image),
			       "%u/own%u", uid_of(s->u), s->u);
	else
		(void)snprintf(a->args.image_delete.image, sizeof(a->args.image_delete.image),
			       "own%u", s->u);
}

/* Somebody else's VM: by its id where that is known, or as "uid/name". */
static void fill_spy(const struct step *s, struct ask *a)
{
	static const enum call_id calls[] = { CALL_VM_START,  CALL_VM_STOP, CALL_VM_KILL,
					      CALL_VM_DELETE, CALL_VM_SET,  CALL_VM_SHOW,
					      CALL_VM_LOGS,   CALL_VM_WAIT };
	unsigned other = (s->u + 1 + s->n / 16 % (USERS - 1)) % USERS;
	char ref[76];

	(void)snprintf(ref, sizeof(ref), "%u/%s", uid_of(other), vm_name(s->m));
	if (s->n & 8 && truth_id(other, s->m)[0])
		(void)snprintf(ref, sizeof(ref), "%s", truth_id(other, s->m));
	a->id = calls[s->n % 8];
	switch (a->id) {
	case CALL_VM_START:
		SET(a->args.vm_start.vm, ref);
		break;
	case CALL_VM_STOP:
		SET(a->args.vm_stop.vm, ref);
		break;
	case CALL_VM_KILL:
		SET(a->args.vm_kill.vm, ref);
		break;
	case CALL_VM_DELETE:
		SET(a->args.vm_delete.vm, ref);
		break;
	case CALL_VM_SET:
		SET(a->args.vm_set.vm, ref);
		a->args.vm_set.nat = 2;
		break;
	case CALL_VM_SHOW:
		SET(a->args.vm_show.vm, ref);
		break;
	case CALL_VM_LOGS:
		SET(a->args.vm_logs.vm, ref);
		break;
	default:
		SET(a->args.vm_wait.vm, ref);
		a->args.vm_wait.timeout_ms = 100;
		break;
	}
}

/* ---- settling ---- */

static bool judged(struct text *faults)
{
	static struct text t;

	t = (struct text){ 0 };
	world_judge(&t, J_SETTLED);
	if (t.n)
		*faults = t;
	return !t.n;
}

/* A connection that takes the hold of a VM, and ends: so does the VM, whatever happens
 * meanwhile. */
static void do_hold(const struct step *s, struct text *faults)
{
	const char *over = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM vms WHERE hold <> 0)";
	const uint64_t end = now_ms() + 2 * SETTLE_MS;
	struct step alone = *s;

	alone.behind = false;
	all_ended(faults);
	do_request(&alone, faults);
	while (!world_is(over)) {
		if (now_ms() > end) {
			text_add(faults, "lie the holder of %u/%s is lost, and it is not ended\n",
				 uid_of(s->u), vm_name(s->m));
			return;
		}
		while_waiting();
		up();
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	truth_unheld(s->u, s->m);
}

/* What the keeper does by itself every ten seconds, and what it waits for. */
static void reconcile_now(struct ask *a)
{
	up();
	memset(a, 0, sizeof(*a));
	fill_reconcile(NULL, a);
	(void)request(a);
}

/* Until kernel, ledger and state agree; what is tried again only after a while is given that while.
 */
static bool needs_restart; /* as the error that people see says */
static bool needs_backup;  /* images and kernels are put back from one */

static void put_in_order(void)
{
	if (needs_restart || needs_backup)
		set_kill();
	if (needs_backup) {
		shellf("cp -a --remove-destination %s/backup/. %s", work_dir, config.state_dir);
		truth_images_back();
	}
	needs_restart = needs_backup = false;
}

/* Where nothing went wrong there is nothing to put right. */
static void judge_calm(struct text *faults, const char *when)
{
	static struct text t;
	const uint64_t end = now_ms() + SETTLE_MS;

	do
		t = (struct text){ 0 };
	while (!judged(&t) && now_ms() < end &&
	       nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL) == 0);
	if (t.n)
		text_add(faults, "%s# (%s)\n", t.v, when);
}

/* With rows and kernel in order, what no row names goes, and nothing is excused any more that was
 * only left over. */
static void collect_garbage(bool calm, struct text *faults)
{
	static struct ask a;

	for (int i = 0; i < 2; i++) {
		up();
		memset(&a, 0, sizeof(a));
		fill_gc(NULL, &a);
		if (request(&a) != 0 || (a.result.res_host_reconcile.found && (calm || i)))
			text_add(faults, "lie what no row names is looked for: %d, and %u found\n",
				 a.code, (unsigned)a.result.res_host_reconcile.found);
	}
	if (truth_collected())
		judge_calm(faults, "with what no row names gone");
}

static void settle(const struct step *s, struct text *faults)
{
	static struct text t;
	static struct ask a;
	static unsigned times;
	const uint64_t end = now_ms() + SETTLE_MS;

	(void)s;
	cut_armed = false;
	page_disarm();
	all_ended(faults);
	thaw(T_ALL);
	put_in_order();
	bool calm = truth_is_calm();
	if (calm)
		judge_calm(faults, "with nothing disturbed, before any reconcile");
	for (unsigned i = 0;; i++) {
		reconcile_now(&a);
		if (calm && i == 0 && a.code == 0 && a.result.res_host_reconcile.found)
			text_add(faults, "lie nothing was disturbed, and a reconcile finds %u\n",
				 (unsigned)a.result.res_host_reconcile.found);
		t = (struct text){ 0 };
		if (a.code == 0 && judged(&t))
			break;
		if (now_ms() > end) {
			text_add(faults, "%s", t.n ? t.v : "lie the host can not be reconciled\n");
			return;
		}
		if (i >= 3)
			page_shift_clocks(8 * SECOND, 0);
		(void)nanosleep(&(struct timespec){ .tv_nsec = i < 5 ? 3000000 : 50000000 }, NULL);
	}
	tally->settled++;
	truth_settled(faults);
	collect_garbage(calm, faults);
	if (!truth_any_restless()) {
		reconcile_now(&a);
		if (a.code != 0 || a.result.res_host_reconcile.found)
			text_add(faults, "lie a second reconcile finds %u more\n",
				 (unsigned)a.result.res_host_reconcile.found);
	}
	if (times++ % 4 == 0)
		decoys_judge(faults);
}

/* Whoever is to run always does, however often it ended: after a minute's wait at most. */
static void do_keep(const struct step *s, struct text *faults)
{
	const uint64_t end = now_ms() + 2 * SETTLE_MS;

	settle(s, faults);
	while (!faults->n && truth_waits_for_policy()) {
		if (now_ms() > end) {
			text_add(faults, "lie one that is to run always is not started again\n");
			return;
		}
		up();
		page_shift_clocks(62 * SECOND, 0);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
}

/* ---- what goes wrong ---- */

static void do_cut(const struct step *s, struct text *faults)
{
	(void)faults;
	page_disarm();
	cut_at = (struct point){ .program = FP_PROGRAMS, .nth = 1 + s->n };
	cut_who = s->w;
	cut_armed = true;
	page_arm(&cut_at);
}

static void do_kill(const struct step *s, struct text *faults)
{
	(void)faults;
	truth_disturbed();
	if (s->w <= WHO_ALL)
		signal_who(s->w, kill_one, 0);
}

static void do_freeze(const struct step *s, struct text *faults)
{
	(void)faults;
	if (s->w <= WHO_ALL)
		signal_who(s->w, freeze, 1 + s->n);
}

static pid_t vmm_of(unsigned u, unsigned m)
{
	unsigned slot;

	return truth_slot(u, m, &slot) ? world_vmm(slot) : 0;
}

static void do_vmm_dies(const struct step *s, struct text *faults)
{
	pid_t p = vmm_of(s->u, s->m);

	(void)faults;
	if (p <= 0)
		return;
	truth_vmm_died(s->u, s->m);
	kill_and_wait(p);
}

static void do_vmm_freezes(const struct step *s, struct text *faults)
{
	(void)faults;
	freeze_one(vmm_of(s->u, s->m), 20 * (1 + s->n), true); /* a restart of the set takes less */
}

/* ---- clocks: that of the boot never goes back (a suspended host's goes on), the other one does
 * ---- */

static void do_boot_clock(const struct step *s, struct text *faults)
{
	static const int64_t seconds[] = { 1, 3, 20, 70, 600, 86400 };

	(void)faults;
	truth_disturbed(); /* what has a bound may be over it */
	page_shift_clocks(seconds[s->n] * SECOND, 0);
}

static void do_wall_clock(const struct step *s, struct text *faults)
{
	static const int64_t seconds[] = { -1,         3600,        -3600,
					   86400 * 30, -86400 * 30, -86400 * 365 * 10 };

	(void)faults;
	page_shift_clocks(0, seconds[s->n] * SECOND);
}

/* ---- an administrator who does not know better: the network ---- */

static const char decoy_table[] = "nft add table inet decoy; nft 'add set inet decoy nat4 { type "
				  "ipv4_addr; elements = { 10.97.0.2 }; }'";

static void do_flush(const struct step *s, struct text *faults)
{
	(void)s;
	(void)faults;
	truth_disturbed();
	shellf("nft flush ruleset; %s", decoy_table);
}

static void do_rules(const struct step *s, struct text *faults)
{
	static const char *const commands[] = {
		"delete table inet banger",        "delete table bridge banger",
		"flush set inet banger nat4",      "flush set bridge banger guest",
		"flush chain inet banger forward", "add rule inet banger forward accept",
		"flush table bridge banger",
	};

	(void)faults;
	truth_disturbed();
	shellf("nft %s 2>/dev/null || true", commands[s->n]);
}

static void do_tap(const struct step *s, struct text *faults)
{
	static const char *const commands[] = {
		"ip link del $tap",
		"ip link set $tap down",
		"ip link set $tap nomaster",
		"bridge link set dev $tap isolated off",
	};
	unsigned slot;

	(void)faults;
	if (!truth_slot(s->u, s->m, &slot))
		return;
	truth_disturbed();
	if (s->n == 0)
		truth_tap_gone(s->u, s->m);
	shellf("exec 2>/dev/null; tap=bgr%u; %s || true", slot, commands[s->n]);
}

static void do_bridge(const struct step *s, struct text *faults)
{
	static const char *const commands[] = { "link del", "link set down", "addr flush" };

	(void)faults;
	truth_disturbed();
	shellf("ip %s dev %s 2>/dev/null || true", commands[s->n], config.bridge);
}

/* ---- files ---- */

static void do_run_gone(const struct step *s, struct text *faults)
{
	static const char *const commands[] = { "rm -f control.sock", "rm -rf *",
						"umount -l slots" };

	(void)faults;
	truth_disturbed();
	shellf("exec 2>/dev/null; cd %s; %s || true", config.run_dir, commands[s->n]);
	needs_restart = true;
}

static void do_files_gone(const struct step *s, struct text *faults)
{
	static const char *const commands[] = {
		"rm -f disk",
		"rm -f initrd",
		"rm -f kernel",
		"rm -f *",
		"truncate -s 100 disk initrd",
		"rm -rf ../$i",
		"rm -f ../../consoles/$i.*",
		"echo garbage >../../consoles/$i.log",
		"rm -rf $run/slots/$i/*",
		"for f in disk cow; do [ ! -e $f ] || head -c 9000 /dev/urandom | dd of=$f "
		"conv=notrunc; done",
		"for f in disk cow; do [ ! -e $f ] || truncate -s 5000 $f; done",
	};
	unsigned slot;

	(void)faults;
	if (!truth_slot(s->u, s->m, &slot))
		return;
	truth_disturbed();
	truth_files_gone(s->u, s->m);
	needs_restart |= s->n == 5;
	shellf("exec 2>/dev/null; i=%u run=%s; cd %s/slots/$i && %s || true", slot, config.run_dir,
	       config.state_dir, commands[s->n]);
}

static void do_images_gone(const struct step *s, struct text *faults)
{
	static const char *const commands[] = {
		"rm -f images/*",
		"rm -rf kernels/*",
		"rm -rf consoles",
		"rm -rf slots/*",
		"for i in images/*.ext4; do [ ! -e $i ] || head -c 9000 /dev/urandom | dd of=$i "
		"conv=notrunc; done",
		"for i in images/*.ext4; do [ ! -e $i ] || truncate -s 5000 $i; done",
	};

	(void)faults;
	truth_disturbed();
	for (unsigned u = 0; u <= USERS && (s->n == 0 || s->n > 3); u++)
		truth_image_gone(u);
	if (s->n == 1)
		truth_kernel_gone();
	if (s->n == 3) {
		/* also of one whose creation was not answered */
		memset(world_excuse.files, true, sizeof(world_excuse.files));
		truth_all(truth_files_gone);
	}
	needs_backup |= s->n < 2 || s->n > 3;
	needs_restart |= s->n == 3;
	shellf("exec 2>/dev/null; cd %s && { cp -an images kernels %s/backup; %s; }",
	       config.state_dir, work_dir, commands[s->n]);
}

/* Of running VMs, where there is device-mapper: the kernel keeps them for as long as they are in
 * use. */
static void do_loops(const struct step *s, struct text *faults)
{
	(void)s;
	(void)faults;
	shellf("losetup -n -O NAME,BACK-FILE | awk -v s=%s/ 'index($2, s) == 1 { print $1 }' | "
	       "xargs -r losetup -d; true",
	       config.state_dir);
}

static void do_logs(const struct step *s, struct text *faults)
{
	static const char *const commands[] = {
		"rm -f *", "truncate -s 100 *", "for i in *; do head -c 200 /dev/urandom >>$i; done"
	};

	(void)faults;
	shellf("cd %s && %s", config.log_dir, commands[s->n]);
}

/* ---- the database: with it all VMs are gone, and nothing of them stays in the kernel ---- */

static void do_db_gone(const struct step *s, struct text *faults)
{
	all_ended(faults);
	if (s->n)
		set_kill();
	shellf("rm -f %s/banger.db*", config.state_dir);
	set_kill();
	truth_db_gone();
	up();
	import_first();
	truth_images_back();
}

/* A database that is none is refused and left as it is, VMs run on, and with the backup all is as
 * before. */
static void do_db_garbage(const struct step *s, struct text *faults)
{
	static const char *const commands[] = { "head -c 50000 /dev/urandom >banger.db",
						"truncate -s 6000 banger.db",
						"echo garbage >banger.db" };
	char out[1000], check[400];

	all_ended(faults);
	cut_armed = false;
	page_disarm();
	thaw(T_SET);
	set_kill();
	truth_disturbed();
	shellf("cd %s && sqlite3 banger.db 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null && rm -f "
	       "banger.db-* && cp -a banger.db %s/db && %s && "
	       "sha256sum banger.db >%s/db.sum",
	       config.state_dir, work_dir, commands[s->n], work_dir);
	set_start();
	if (wait_outcome(true) != O_DEAD)
		text_add(faults, "lie a state database that is none is not refused\n");
	set_kill();
	(void)snprintf(check, sizeof(check), "cd %s && sha256sum -c --status %s/db.sum",
		       config.state_dir, work_dir);
	if (run(out, sizeof(out), (const char *const[]){ "bash", "-c", check, NULL }) != 0)
		text_add(faults, "lie a state database that is refused is changed\n");
	shellf("cd %s && rm -f banger.db* && cp -a %s/db banger.db", config.state_dir, work_dir);
	up();
}

const struct verb verbs[] = {
	{ "create", "umn", 8, 200, SWARM_ALWAYS, do_request, fill_create, W_CREATE },
	{ "start", "um", 0, 160, SWARM_ALWAYS, do_request, fill_start, W_START },
	{ "stop", "um", 0, 60, SWARM_ALWAYS, do_request, fill_stop, W_STOP },
	{ "kill", "um", 0, 50, SWARM_ALWAYS, do_request, fill_kill, W_KILL },
	{ "delete", "um", 0, 40, SWARM_ALWAYS, do_request, fill_delete, W_DELETE },
	{ "nat", "umn", 2, 60, SWARM_ALWAYS, do_request, fill_nat, W_NAT },
	{ "policy", "umn", 3, 45, SWARM_ALWAYS, do_request, fill_policy, W_POLICY },
	{ "hold-lost", "umn", 2, 40, SWARM_ALWAYS, do_hold, fill_hold, W_HOLD },
	{ "image", "un", 2, 15, SWARM_ALWAYS, do_request, fill_image, W_IMAGE },
	{ "image-delete", "u", 0, 15, SWARM_ALWAYS, do_request, fill_image_delete, W_IMAGE_DELETE },
	{ "spy", "umn", 64, 50, SWARM_ALWAYS, do_request, fill_spy, W_SPY },
	{ "list", "u", 0, 10, SWARM_ALWAYS, do_request, fill_list, W_LIST },
	{ "list-all", "u", 0, 10, SWARM_ALWAYS, do_request, fill_list_all, W_ROOTS },
	{ "logs", "um", 0, 20, SWARM_ALWAYS, do_request, fill_logs, W_LOGS },
	{ "reconcile", "u", 0, 15, SWARM_ALWAYS, do_request, fill_reconcile, W_ROOTS },
	{ "gc", "u", 0, 8, SWARM_ALWAYS, do_request, fill_gc, W_ROOTS },
	{ "look", "u", 0, 5, SWARM_ALWAYS, do_request, fill_look, W_ROOTS },
	{ "settle", "", 0, 60, SWARM_ALWAYS, settle, NULL, W_NONE },
	{ "keep", "", 0, 15, SWARM_ALWAYS, do_keep, NULL, W_NONE },
	{ "cut", "wn", 60, 80, SWARM_KILLS, do_cut, NULL, W_NONE },
	{ "kill-one", "w", 0, 20, SWARM_KILLS, do_kill, NULL, W_NONE },
	{ "vmm-dies", "um", 0, 40, SWARM_KILLS, do_vmm_dies, NULL, W_NONE },
	{ "freeze", "wn", 40, 25, SWARM_STOPS, do_freeze, NULL, W_NONE },
	{ "vmm-freezes", "umn", 40, 25, SWARM_STOPS, do_vmm_freezes, NULL, W_NONE },
	{ "boot-clock", "n", 6, 30, SWARM_CLOCKS, do_boot_clock, NULL, W_NONE },
	{ "wall-clock", "n", 6, 15, SWARM_CLOCKS, do_wall_clock, NULL, W_NONE },
	{ "flush-rules", "", 0, 15, SWARM_NET, do_flush, NULL, W_NONE },
	{ "rules", "n", 7, 15, SWARM_NET, do_rules, NULL, W_NONE },
	{ "tap", "umn", 4, 20, SWARM_NET, do_tap, NULL, W_NONE },
	{ "bridge", "n", 3, 10, SWARM_NET, do_bridge, NULL, W_NONE },
	{ "run-gone", "n", 3, 10, SWARM_FILES, do_run_gone, NULL, W_NONE },
	{ "files-gone", "umn", 11, 20, SWARM_FILES, do_files_gone, NULL, W_NONE },
	{ "images-gone", "n", 6, 10, SWARM_FILES, do_images_gone, NULL, W_NONE },
	{ "logs-gone", "n", 3, 10, SWARM_FILES, do_logs, NULL, W_NONE },
	{ "loops", "", 0, 10, SWARM_FILES, do_loops, NULL, W_NONE },
	{ "db-gone", "n", 2, 10, SWARM_DB, do_db_gone, NULL, W_NONE },
	{ "db-garbage", "n", 3, 8, SWARM_DB, do_db_garbage, NULL, W_NONE },
};
const unsigned n_verbs = sizeof(verbs) / sizeof(verbs[0]);

void step_do(const struct step *s, struct text *faults)
{
	while_waiting();
	tally->disturbances += s->verb->swarm != SWARM_ALWAYS;
	s->verb->go(s, faults);
}

/* ---- the world ---- */

static bool named_banger(const char *pid)
{
	char path[300], name[32] = "";

	(void)snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	FILE *f = fopen(path, "re");
	bool is = f && fgets(name, sizeof(name), f) && strncmp(name, "banger-", 7) == 0;
	if (f)
		(void)fclose(f);
	return is;
}

/* Of this process namespace: the set, and VMMs by their uid.  Return: how many there were. */
static unsigned kill_all(void)
{
	DIR *d = opendir("/proc");
	unsigned n = 0;
	struct stat st;

	for (struct dirent *e; d && (e = readdir(d));) {
		pid_t pid = atoi(e->d_name);
		char path[300];
		(void)snprintf(path, sizeof(path), "/proc/%s", e->d_name);
		if (pid <= 1 || stat(path, &st) < 0 || !process_lives(pid))
			continue;
		if (!named_banger(e->d_name) &&
		    (st.st_uid < config.uid_base || st.st_uid >= config.uid_base + config.slots))
			continue;
		(void)kill(pid, SIGKILL);
		n++;
	}
	if (d)
		(void)closedir(d);
	return n;
}

void world_wipe(void)
{
	const uint64_t end = now_ms() + 5000;

	while (kill_all() && now_ms() < end)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	shellf("exec 2>/dev/null; rm -rf %s; while umount %s/slots; do :; done; rm -rf %s; for i "
	       "in $(seq 0 %u); do ip link del bgr$i; done; ip link del %s;"
	       "nft delete table inet banger; nft delete table bridge banger; rmdir %s/vm/*/ %s/vm "
	       "%s/spawn %s; rm -f %s/{notify,failpoints,set.err}; true",
	       config.state_dir, config.run_dir, config.run_dir, config.slots - 1, config.bridge,
	       config.cgroup_dir, config.cgroup_dir, config.cgroup_dir, config.cgroup_dir,
	       work_dir);
}

void world_begin(void)
{
	world_wipe();
	set_prepare();
	vmm_fault('n');
	if (!set_up())
		bail("the set does not come up");
	import_first();
	shellf("rm -rf %s/backup; mkdir %s/backup", work_dir, work_dir);
	truth_begin();
}

void steps_end(struct text *faults)
{
	static struct text t;
	const struct verb *del = NULL;

	settle(NULL, faults);
	for (unsigned i = 0; i < n_verbs; i++)
		if (strcmp(verbs[i].name, "delete") == 0)
			del = &verbs[i];
	for (unsigned u = 0; u < USERS && !faults->n; u++)
		for (unsigned m = 0; m < NAMES; m++)
			step_do(&(struct step){ .verb = del, .u = u, .m = m }, faults);
	if (!faults->n)
		settle(NULL, faults);
	t = (struct text){ 0 };
	world_read(&t);
	for (const char *line = t.v; *line && !faults->n; line = strchr(line, '\n') + 1)
		if (strncmp(line, "vm ", 3) == 0 || strncmp(line, "tap ", 4) == 0)
			text_add(faults, "leak %.*s\n", (int)strcspn(line, "\n"), line);
}
