/* doctor.c - `banger doctor`: checks the host with the caller's rights, then has the daemon check
 * it. */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/landlock.h"
#include "controller/cli/conn.h"
#include "controller/cli/doctor.h"
#include "controller/cli/proc.h"

static void check_kvm(struct doctor *d)
{
	_cleanup_close_ int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		doctor_say(d, "kvm", "PASS", "/dev/kvm opens", "");
	else if (errno == ENOENT)
		doctor_say(d, "kvm", "WARN",
			   "no /dev/kvm: guests are emulated, several times slower",
			   "enable virtualization, load kvm_intel or kvm_amd");
	else
		doctor_say(d, "kvm", "SKIP",
			   "this user can not open /dev/kvm; the daemon's check counts", "");
}

/* Check for the programs that `banger` runs.  No command needs all of them. */
static void check_programs(struct doctor *d)
{
	static const struct {
		const char *program, *package, *for_what, *verdict;
	} list[] = {
		{ "ssh", "openssh-client", "vm run, ssh, exec", "FAIL" },
		{ "ssh-keygen", "openssh-client", "vm run, create", "FAIL" },
		{ "qemu-system-x86_64", "qemu-system-x86", "running guests without Firecracker",
		  "WARN" },
		{ "mmdebstrap", "mmdebstrap", "image build", "WARN" },
		{ "mke2fs", "e2fsprogs", "image build", "WARN" },
		{ "busybox", "busybox-static", "kernel import", "WARN" },
		{ "depmod", "kmod", "kernel import", "WARN" },
	};
	char text[128], hint[96];

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		bool there = proc_exists(list[i].program);
		(void)snprintf(text, sizeof(text), "%s (for: %s)", there ? "installed" : "missing",
			       list[i].for_what);
		(void)snprintf(hint, sizeof(hint), "install the package %s", list[i].package);
		doctor_say(d, list[i].program, there ? "PASS" : list[i].verdict, text,
			   there ? "" : hint);
	}
}

/* The account's home must be /; privhelper/install/sysusers.conf tells which programs read
 * files in a home. activate.sh can not change the home of an account in use. */
static void check_home(struct doctor *d)
{
	const struct passwd *controller = getpwnam("banger");
	char text[256];

	if (!controller)
		return;
	(void)snprintf(text, sizeof(text), "the home of the account banger is %.200s",
		       controller->pw_dir);
	doctor_say(d, "account", strcmp(controller->pw_dir, "/") == 0 ? "PASS" : "WARN", text,
		   "systemctl stop banger; usermod --home / banger; systemctl start banger (VMs "
		   "continue to run)");
}

/* ---- what the service needs to start: checked here if the daemon can not check it ---- */

static bool has_cgroup2(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	bool found = false;

	while (mounts && !found && (m = getmntent(mounts)))
		found = strcmp(m->mnt_type, "cgroup2") == 0;
	if (mounts)
		(void)endmntent(mounts);
	return found;
}

/* Return: true if the kernel has the module @name, loaded or built in.  A built-in module has a
 * folder in /sys/module only if it has parameters, but modules.builtin always lists it.  Where that
 * file can not be read, as in a container, the module counts as there. */
static bool has_module(const char *name)
{
	char path[160], line[256], file[64];
	struct utsname u;

	(void)snprintf(path, sizeof(path), "/sys/module/%s", name);
	if (access(path, F_OK) == 0)
		return true;
	(void)uname(&u);
	(void)snprintf(path, sizeof(path), "/lib/modules/%.65s/modules.builtin", u.release);
	(void)snprintf(file, sizeof(file), "/%s.ko\n", name);
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, file))
			return true;
	return !f;
}

/* Whether Landlock is in use is for the daemon to say; without a daemon this says whether the lack
 * of it is the reason. */
static void check_landlock(struct doctor *d)
{
	if (!d->config || d->config->landlock != LANDLOCK_REQUIRE)
		return;
	const bool lacks = !landlock_suffices(d->config);
	doctor_say(d, "landlock", lacks ? "FAIL" : "PASS",
		   lacks ? "not in use by this kernel, and [security] landlock = require"
			 : "available",
		   lacks ? "boot with landlock in the kernel's lsm= list, or set auto in "
			   "banger.conf"
			 : "");
}

static void check_needs(struct doctor *d)
{
	const struct {
		const char *name, *lack, *hint;
		bool there;
	} needs[] = {
		{ "cgroup v2", "none is mounted: VMMs could be neither limited nor ended",
		  "boot with systemd.unified_cgroup_hierarchy=1", has_cgroup2() },
		{ "nftables", "nf_tables is not in the kernel: guests could not be isolated",
		  "modprobe nf_tables", has_module("nf_tables") },
		{ "bridge", "not in the kernel: guests could have no network", "modprobe bridge",
		  has_module("bridge") },
		{ "tun", "/dev/net/tun is missing: guests could have no network", "modprobe tun",
		  access("/dev/net/tun", F_OK) == 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		doctor_say(d, needs[i].name, needs[i].there ? "PASS" : "FAIL",
			   needs[i].there ? "available" : needs[i].lack,
			   needs[i].there ? "" : needs[i].hint);
	check_landlock(d);
}

static int daemon_check(void *arg, const struct event *event, const union control_body *body,
			struct error *e)
{
	(void)e;
	if (event->id == EVENT_CHECK)
		doctor_say(arg, body->ev_check.name, body->ev_check.verdict, body->ev_check.text,
			   body->ev_check.hint);
	return 0;
}

static void check_daemon(struct doctor *d)
{
	const struct reply_to to = { .event = daemon_check, .arg = d, .timeout_ms = 60000 };
	struct res_doctor r;
	struct error e;

	int fd = conn_open(&e);
	if (fd < 0) {
		doctor_say(d, "daemon", "FAIL", e.why, e.hint);
		check_needs(d);
		return;
	}
	(void)close(fd);
	doctor_say(d, "daemon", "PASS", conn_path(), "");
	doctor_network(d);
	d->where = "daemon";
	if (conn_call(d->c, CALL_DOCTOR, NULL, NULL, &to, &r, &e) == 0)
		return;
	doctor_say(d, "answer", "FAIL", e.why, e.hint);
	d->where = "here"; /* the daemon listens but does not answer: find what it lacks */
	check_needs(d);
}

/* ---- the state database ---- */

/* Add the checks that banger-controller printed, one JSON object a line. */
static void check_lines(struct doctor *d, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *name, *verdict, *found, *hint;
		json_t *o = json_loads(line, 0, NULL);
		if (json_unpack(o, "{s:s, s:s, s:s, s:s}", "name", &name, "verdict", &verdict,
				"text", &found, "hint", &hint) == 0)
			doctor_say(d, name, verdict, found, hint);
		json_decref(o);
	}
}

#define CHECK_MS 120000 /* a database of some MiB takes seconds */

/* Run the controller's program under the controller's account: root must not parse a database that
 * this account may have written. */
static void check_db_here(struct doctor *d)
{
	static char out[16384];
	static struct config config;
	const char *path = d->c->opt.config ? d->c->opt.config : CONFIG_DEFAULT_PATH;
	char program[sizeof(config.libexec_dir) + 32];
	struct error e = { 0 };

	if (config_load(path, 0, &config) < 0) {
		doctor_say(d, "configuration", "FAIL", path,
			   "correct it, or name another one by --config");
		return;
	}
	(void)snprintf(program, sizeof(program), "%s/banger-controller", config.libexec_dir);
	const char *const argv[] = { program, "--check-db", config.state_dir, NULL };
	const struct proc_io io = {
		.capture = out,
		.capture_size = sizeof(out),
		.as = &config.controller,
		.most_ms = CHECK_MS,
	};
	int status = proc_run(d->c, argv, &io, &e);
	check_lines(d, out);
	if (status < 0)
		doctor_say(d, "check", "FAIL", e.why, "");
	else if (status != (d->failed ? FAIL_HOST : 0))
		doctor_say(d, "check", "FAIL", program,
			   "it failed; run it as the controller's account, with --check-db and the "
			   "state folder");
}

static void check_db(struct doctor *d)
{
	const struct reply_to to = { .event = daemon_check, .arg = d, .timeout_ms = 60000 };
	struct res_doctor_db r;
	struct error e;

	int fd = conn_open(&e);
	if (fd >= 0) {
		(void)close(fd);
		d->where = "daemon";
		if (conn_call(d->c, CALL_DOCTOR_DB, NULL, NULL, &to, &r, &e) < 0)
			doctor_say(d, "answer", "FAIL", e.why, e.hint);
		else if (r.failed && !d->failed)
			doctor_say(d, "answer", "FAIL", "the daemon did not show a failed check",
				   "");
	} else if (geteuid() == 0) {
		check_db_here(d);
	} else {
		doctor_say(d, "daemon", "FAIL", e.why, "root can run this without the daemon");
	}
}

int cmd_doctor(struct cli *c)
{
	struct doctor d = { .c = c,
			    .json = json_array(),
			    .where = "here",
			    .table = { .head = { "VERDICT", "WHERE", "CHECK", "FOUND" } } };
	int ret = 0;

	if (c->opt.db) {
		check_db(&d);
	} else if (c->opt.policy) {
		doctor_policy(&d);
	} else {
		check_kvm(&d);
		check_programs(&d);
		check_home(&d);
		doctor_host(&d);
		check_daemon(&d);
	}
	if (c->opt.format == FORMAT_JSON)
		ret = out_json(c, json_incref(d.json));
	else
		table_print(&d.table, c->out);
	json_decref(d.json);
	table_free(&d.table);
	return d.failed ? FAIL_HOST : ret;
}
