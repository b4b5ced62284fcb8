/* doctor_policy.c - `banger doctor --policy`: compares what the kernel shows of each process of the
 * service with the policy that `banger-privhelper --print-policy` prints, and the unit with what it
 * must restrict.
 *
 * The supervisor is found by the control socket: SO_PEERCRED of a connection names the process that
 * called listen(2) (unix(7)).  The others are its children, the launcher is a child of the spawn
 * role, and a VMM is a process in a control group beside the launcher's.
 *
 * A request that is served meanwhile may open a descriptor, or begin a VMM.  So a difference counts
 * if a second look finds it too.  So this finds a mistake, or a process that was left with more
 * than its policy, and no attacker who hides: a process that was taken over can close a descriptor,
 * or change its number, between the looks.
 *
 * Not compared: the instructions of the filters, securebits and Landlock, which /proc does not
 * show.  Each process reads its securebits and filter back before the service is ready. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <mntent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/parse.h"
#include "controller/cli/conn.h"
#include "controller/cli/doctor.h"
#include "controller/cli/doctor_proc.h"
#include "controller/cli/proc.h"
#include "controller/sandbox_policy.h"
#include "privhelper/policies.h"
#include "proto/slot.h"

#define FINDINGS_MAX 512
#define SECOND_LOOK_US 300000

struct finding {
	char process[32], text[400];
};

/* One look at all processes. */
struct look {
	const struct config *config;
	pid_t supervisor;
	unsigned processes, vmms, facts;
	size_t n; /* may be more than the list holds */
	struct finding list[FINDINGS_MAX];
};

/* The process that is looked at. */
struct subject {
	struct look *look;
	const struct policy *policy;
	struct account account;
	struct proc_holder holder; /* with its pid */
	char status[PROC_TEXT], limits[PROC_TEXT];
};

__attribute__((format(printf, 3, 4))) static void find(struct look *l, const char *process,
						       const char *fmt, ...)
{
	char raw[sizeof(l->list[0].text)];
	va_list ap;

	if (l->n++ >= FINDINGS_MAX)
		return;
	struct finding *f = &l->list[l->n - 1];
	(void)snprintf(f->process, sizeof(f->process), "%s", process);
	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	/* A command line or the name of a descriptor may be no UTF-8, which no row can hold. */
	text_printable(raw, f->text, sizeof(f->text));
}

/* Count a comparison of @field; a difference is a finding. */
static void same(struct subject *s, const char *field, const char *want, const char *got)
{
	s->look->facts++;
	if (strcmp(want, got) != 0)
		find(s->look, s->policy->process, "pid %d: %s: want \"%s\", got \"%s\"",
		     (int)s->holder.pid, field, want, got);
}

/* ---- what is compared ---- */

static void compare_ids(struct subject *s)
{
	const uint32_t u = s->account.uid, g = s->account.gid;
	char want[64], got[PROC_VALUE];

	(void)snprintf(want, sizeof(want), "%u %u %u %u", u, u, u, u);
	proc_field(s->status, "Uid", got);
	same(s, "Uid", want, got);
	(void)snprintf(want, sizeof(want), "%u %u %u %u", g, g, g, g);
	proc_field(s->status, "Gid", got);
	same(s, "Gid", want, got);
	proc_field(s->status, "Groups", got);
	same(s, "Groups", "", got);
}

static void compare_rights(struct subject *s)
{
	static const struct {
		const char *field, *want; /* NULL: the capabilities of the policy */
	} fields[] = {
		{ "CapPrm", NULL },
		{ "CapEff", NULL },
		{ "CapInh", "0000000000000000" },
		{ "CapBnd", "0000000000000000" },
		{ "CapAmb", "0000000000000000" },
		{ "NoNewPrivs", "1" },
		{ "Seccomp", "2" }, /* SECCOMP_MODE_FILTER */
	};
	uint64_t mask = 0;
	char caps[32], got[PROC_VALUE];

	for (const unsigned *c = s->policy->caps; *c != UINT_MAX; c++)
		mask |= UINT64_C(1) << *c;
	(void)snprintf(caps, sizeof(caps), "%016" PRIx64, mask);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		proc_field(s->status, fields[i].field, got);
		same(s, fields[i].field, fields[i].want ? fields[i].want : caps, got);
	}
}

static void compare_limits(struct subject *s)
{
	static const char *const titles[] = {
		[RLIMIT_CORE] = "Max core file size",   [RLIMIT_NPROC] = "Max processes",
		[RLIMIT_FSIZE] = "Max file size",       [RLIMIT_NOFILE] = "Max open files",
		[RLIMIT_MEMLOCK] = "Max locked memory", [RLIMIT_MSGQUEUE] = "Max msgqueue size",
	};
	const struct config *c = s->look->config;

	for (const struct policy_limit *l = s->policy->limits; l->resource >= 0; l++) {
		uint64_t most = l->max, now;
		char soft[32] = "", hard[32] = "";
		if (most == POLICY_DISK)
			most = s->holder.slot >= 0 ? (uint64_t)c->max_disk_mib << 20
						   : sandbox_file_max(c);
		s->look->facts++;
		/* The host may have given less. */
		if (proc_limit(s->limits, titles[l->resource], soft, hard) < 0 ||
		    parse_uint(hard, 0, UINT64_MAX, &now) < 0 || now > most)
			find(s->look, s->policy->process,
			     "pid %d: %s: want at most %" PRIu64 ", got \"%s\"", (int)s->holder.pid,
			     titles[l->resource], most, hard);
	}
}

/* Compare with the supervisor's namespaces.  Those of the supervisor are the host's, but for mounts
 * and host names, of which the service manager gives each start of the service its own; so a VMM of
 * an earlier start has another host name. */
static void compare_namespaces(struct subject *s)
{
	static const char *const names[] = { "ipc", "net", "pid", "user", "mnt", "uts" };
	const bool first = s->holder.pid == s->look->supervisor;

	for (size_t i = 0; i < (first ? 4 : s->holder.slot >= 0 ? 5 : ARRAY_SIZE(names)); i++) {
		char ns[16], own[PROC_VALUE], of[PROC_VALUE];
		(void)snprintf(ns, sizeof(ns), "ns/%s", names[i]);
		const bool want = proc_has_word(s->policy->namespaces, names[i], strlen(names[i]));
		if (proc_link(s->holder.pid, ns, own) < 0 ||
		    proc_link(first ? getpid() : s->look->supervisor, ns, of) < 0)
			continue; /* it has ended, which the second look tells */
		same(s, ns,
		     want    ? "its own"
		     : first ? "the host's"
			     : "the supervisor's",
		     strcmp(own, of) != 0 ? "its own"
		     : first              ? "the host's"
					  : "the supervisor's");
	}
}

/* Return: true if @point is a mount point of @writes, or below one. */
static bool may_write(const struct config *c, const char *writes, const char *point)
{
	for (const char *p = writes; *p; p += strcspn(p, " "), p += strspn(p, " ")) {
		const size_t n = strcspn(p, " ");
		const char *folder = strncmp(p, "state_dir", n) == 0 ? c->state_dir
				     : strncmp(p, "run_dir", n) == 0 ? c->run_dir
								     : p;
		const size_t len = folder == p ? n : strlen(folder);
		if (strncmp(point, folder, len) == 0 && (!point[len] || point[len] == '/'))
			return true;
	}
	return false;
}

static bool has_option(const char *options, const char *name)
{
	const size_t n = strlen(name);

	for (const char *p = options; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == n && strncmp(p, name, n) == 0)
			return true;
	return false;
}

static bool compare_mount(void *arg, const char *point, const char *options)
{
	struct subject *s = arg;

	s->look->facts++;
	const bool free_to = may_write(s->look->config, s->policy->writes, point);
	if ((!free_to && !has_option(options, "ro")) || !has_option(options, "nosuid"))
		find(s->look, s->policy->process, "pid %d: mount %s: want \"%snosuid\", got \"%s\"",
		     (int)s->holder.pid, point, free_to ? "" : "ro,", options);
	return true;
}

static void compare_descriptors(struct subject *s)
{
	const char *holds = s->policy->holds;
	const bool but = strncmp(holds, "not ", 4) == 0;
	char path[64], kind[32], link[PROC_VALUE];
	const struct dirent *e;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)s->holder.pid);
	DIR *dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		/* The log of the service may be anything; a VMM's output is its console. */
		if (e->d_name[0] == '.' || strcmp(e->d_name, "2") == 0 ||
		    (s->holder.slot >= 0 && strcmp(e->d_name, "1") == 0) ||
		    proc_kind(&s->holder, e->d_name, kind, link) < 0)
			continue;
		s->look->facts++;
		if (proc_has_word(but ? holds + 4 : holds, kind, strlen(kind)) == but)
			find(s->look, s->policy->process,
			     "pid %d: descriptor %s: want %s \"%s\", got \"%s\" (%s)",
			     (int)s->holder.pid, e->d_name, but ? "none of" : "one of",
			     but ? holds + 4 : holds, kind, link);
	}
	if (dir)
		(void)closedir(dir);
}

/* The program must belong to root, and no other account may be able to change it. */
static void compare_program(struct subject *s)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)s->holder.pid);
	if (stat(path, &st) < 0)
		return;
	same(s, "program", "root's",
	     st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH))
		     ? "root's"
		     : "that another account can change");
	/* A process that is not dumpable has files of root's in /proc (proc(5)). */
	(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)s->holder.pid);
	if (s->holder.slot < 0 && stat(path, &st) == 0)
		same(s, "dumpable", "no", st.st_uid == 0 ? "no" : "yes");
}

/* Compare process @pid with @p.  @slot: of a VMM; else -1. */
static void compare(struct look *l, const struct policy *p, pid_t pid, const struct account *a,
		    int slot)
{
	static struct subject s;

	s = (struct subject){ .look = l,
			      .policy = p,
			      .account = *a,
			      .holder = { l->config, pid, slot,
					  slot >= 0 || strncmp(p->holds, "not ", 4) == 0 } };
	if (proc_text(pid, "status", s.status) < 0 || proc_text(pid, "limits", s.limits) < 0) {
		find(l, p->process, "pid %d: can not be read", (int)pid);
		return;
	}
	l->processes++;
	compare_ids(&s);
	compare_rights(&s);
	compare_limits(&s);
	compare_namespaces(&s);
	compare_descriptors(&s);
	compare_program(&s);
	if (p->writes && proc_mounts(pid, compare_mount, &s) < 0)
		find(l, p->process, "pid %d: its mounts can not be read", (int)pid);
}

/* ---- finding the processes ---- */

static pid_t parent_of(pid_t pid)
{
	static char status[PROC_TEXT];
	char value[PROC_VALUE];
	uint64_t v;

	if (proc_text(pid, "status", status) < 0)
		return -1;
	proc_field(status, "PPid", value);
	return parse_uint(value, 0, INT32_MAX, &v) < 0 ? -1 : (pid_t)v;
}

#define CHILDREN_MAX 32

/* Return: how many children of @parent were written to @out. */
static size_t children_of(pid_t parent, pid_t out[CHILDREN_MAX])
{
	DIR *dir = opendir("/proc");
	const struct dirent *e;
	size_t n = 0;
	uint64_t pid;

	while (dir && n < CHILDREN_MAX && (e = readdir(dir)))
		if (parse_uint(e->d_name, 1, INT32_MAX, &pid) == 0 &&
		    parent_of((pid_t)pid) == parent)
			out[n++] = (pid_t)pid;
	if (dir)
		(void)closedir(dir);
	return n;
}

/* Return: true if @pid was executed with the first argument @name. */
static bool is_called(pid_t pid, const char *name)
{
	static char words[PROC_TEXT];

	return proc_text(pid, "cmdline", words) == 0 && strcmp(words, name) == 0;
}

/* Return: the pid of the only child that is called @name; 0: there is none, or more (a finding). */
static pid_t only(struct look *l, const pid_t *children, size_t n, const char *name)
{
	pid_t found = 0;
	unsigned times = 0;

	for (size_t i = 0; i < n; i++)
		if (is_called(children[i], name)) {
			found = children[i];
			times++;
		}
	l->facts++;
	if (times != 1)
		find(l, name, "want one process, got %u", times);
	return times == 1 ? found : 0;
}

/* ---- VMMs ---- */

/* Write the folder of the VMs' control groups, which is beside the launcher's. */
static int find_vm_groups(pid_t launcher, char out[PATH_MAX])
{
	static char text[PROC_TEXT];
	char mount[256] = "";
	const struct mntent *m;

	FILE *mounts = setmntent("/proc/self/mounts", "re");
	while (mounts && !mount[0] && (m = getmntent(mounts)))
		if (strcmp(m->mnt_type, "cgroup2") == 0)
			(void)snprintf(mount, sizeof(mount), "%s", m->mnt_dir);
	if (mounts)
		(void)endmntent(mounts);
	if (!mount[0] || proc_text(launcher, "cgroup", text) < 0)
		return -1;
	/* "0::/banger/spawn" (cgroups(7)) */
	char *own = strstr(text, "0::/"), *end = own ? strstr(own, "/spawn\n") : NULL;
	if (!end)
		return -1;
	*end = '\0';
	return snprintf(out, PATH_MAX, "%s%s/vm", mount, own + 3) < PATH_MAX ? 0 : -1;
}

static void compare_vmm(struct look *l, pid_t pid, uint32_t slot)
{
	static char words[PROC_TEXT];
	const uint32_t id = slot_uid(l->config, slot);
	const struct account a = { id, id };
	const struct policy *p = NULL;

	if (proc_text(pid, "cmdline", words) < 0)
		return;
	if (strcmp(words, l->config->qemu) == 0)
		p = &policy_vmm[VMM_QEMU];
	else if (words[0] && strcmp(words, l->config->firecracker) == 0)
		p = &policy_vmm[VMM_FIRECRACKER];
	else if (strcmp(words, "/libexec/banger-kvmprobe") == 0)
		p = &policy_vmm[VMM_PROBE];
	l->vmms++;
	if (p)
		compare(l, p, pid, &a, (int)slot);
	else
		find(l, "VMM", "pid %d: slot %u: runs \"%.100s\", which is no VMM", (int)pid, slot,
		     words);
}

static void compare_group(struct look *l, const char *folder, const char *name)
{
	char path[PATH_MAX];
	unsigned slot;
	long pid;

	if (sscanf(name, "%u.", &slot) != 1 || slot >= l->config->slots)
		return;
	(void)snprintf(path, sizeof(path), "%.3500s/%.255s/cgroup.procs", folder, name);
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	/* KVM puts a thread of its own into the group of each VM. */
	while (f && fscanf(f, "%ld", &pid) == 1)
		if (!proc_is_kernel_thread((pid_t)pid))
			compare_vmm(l, (pid_t)pid, slot);
}

static void compare_vmms(struct look *l, pid_t launcher)
{
	char folder[PATH_MAX];
	const struct dirent *e;
	DIR *dir = find_vm_groups(launcher, folder) < 0 ? NULL : opendir(folder);

	if (!dir)
		find(l, "VMM", "the control groups of the VMs can not be found");
	while (dir && (e = readdir(dir)))
		compare_group(l, folder, e->d_name);
	if (dir)
		(void)closedir(dir);
}

/* ---- all of it ---- */

static void look_at_all(struct look *l)
{
	const struct config *c = l->config;
	const struct {
		const struct policy *policy;
		const struct account *account;
	} set[] = {
		{ &policy_net, &c->net },
		{ &policy_blk, &c->blk },
		{ &policy_spawn, &c->spawn },
		{ &policy_controller[SANDBOX_SERVICE], &c->controller },
	};
	pid_t children[CHILDREN_MAX], grand[CHILDREN_MAX], spawn = 0;
	size_t n = children_of(l->supervisor, children);

	compare(l, &policy_supervisor, l->supervisor, &c->supervisor, -1);
	for (size_t i = 0; i < ARRAY_SIZE(set); i++) {
		pid_t pid = only(l, children, n, set[i].policy->process);
		if (pid)
			compare(l, set[i].policy, pid, set[i].account, -1);
		if (set[i].policy == &policy_spawn)
			spawn = pid;
	}
	if (n > ARRAY_SIZE(set))
		find(l, policy_supervisor.process, "want %zu children, got %zu", ARRAY_SIZE(set),
		     n);
	/* Forked, not executed: the launcher has its parent's first argument.  VMMs are its
	 * children. */
	pid_t launcher = spawn && children_of(spawn, grand) ? only(l, grand, 1, "banger-role-spawn")
							    : 0;
	if (!launcher) {
		find(l, policy_launcher.process, "want one process, got none");
		return;
	}
	compare(l, &policy_launcher, launcher, &c->spawn, -1);
	compare_vmms(l, launcher);
}

/* Return: the pid of the process that listens at the control socket, or -1 with @e. */
static pid_t find_supervisor(struct error *e)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	_cleanup_close_ int fd = conn_open(e);

	if (fd < 0)
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 0)
		return error_set(e, FAIL_HOST, "policy",
				 "the process behind the control socket can not be seen");
	return peer.pid;
}

static bool is_in(const struct look *l, const struct finding *f)
{
	for (size_t i = 0; i < l->n && i < FINDINGS_MAX; i++)
		if (strcmp(l->list[i].process, f->process) == 0 &&
		    strcmp(l->list[i].text, f->text) == 0)
			return true;
	return false;
}

static void say_findings(struct doctor *d, const struct look *first, const struct look *second)
{
	const unsigned before = d->failed;
	char text[160];

	for (size_t i = 0; i < second->n && i < FINDINGS_MAX; i++)
		if (is_in(first, &second->list[i]))
			doctor_say(d, second->list[i].process, "FAIL", second->list[i].text,
				   "systemctl restart banger (VMs continue to run); if it comes "
				   "again, the process or its policy was changed");
	if (first->n > FINDINGS_MAX && second->n > FINDINGS_MAX)
		doctor_say(d, "policy", "FAIL", "there are more differences than are shown", "");
	(void)snprintf(text, sizeof(text),
		       "%u processes, %u of them VMMs: %u facts are as banger-privhelper "
		       "--print-policy says",
		       second->processes, second->vmms, second->facts);
	if (d->failed == before)
		doctor_say(d, "policy", "PASS", text, "");
}

/* ---- the unit ---- */

/* Return: the value of "@key=" in the output of systemctl show, cut at its newline. */
static const char *property(const char *text, const char *key, char out[PROC_VALUE])
{
	const size_t n = strlen(key);

	out[0] = '\0';
	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (strncmp(p, key, n) == 0 && p[n] == '=') {
			(void)snprintf(out, PROC_VALUE, "%.*s", (int)strcspn(p + n + 1, "\n"),
				       p + n + 1);
			break;
		}
	return out;
}

/* What banger.service restricts while its processes are root, and who may change it. */
static void check_unit(struct doctor *d, pid_t supervisor)
{
	static const struct {
		const char *key, *want, *verdict;
	} wants[] = {
		{ "DevicePolicy", "closed", "FAIL" },  { "NoNewPrivileges", "yes", "FAIL" },
		{ "ProtectSystem", "strict", "FAIL" }, { "ProtectHome", "yes", "FAIL" },
		{ "NeedDaemonReload", "no", "WARN" },  { "DropInPaths", "", "WARN" },
	};
	const char *const argv[] = { "systemctl", "show", "banger.service", NULL };
	static char out[65536];
	const struct proc_io io = {
		.capture = out, .capture_size = sizeof(out), .null_err = true, .most_ms = 30000
	};
	struct error e = { 0 };
	char got[PROC_VALUE], text[PROC_VALUE + 64];
	uint64_t pid = 0;
	bool good = true;

	if (access("/run/systemd/system", F_OK) < 0 || proc_run(d->c, argv, &io, &e) != 0 ||
	    parse_uint(property(out, "MainPID", got), 1, INT32_MAX, &pid) < 0 ||
	    (pid_t)pid != supervisor) {
		doctor_say(d, "unit", "SKIP", "the service was not started by banger.service", "");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
		if (strcmp(property(out, wants[i].key, got), wants[i].want) == 0)
			continue;
		good = false;
		(void)snprintf(text, sizeof(text), "%s: want \"%s\", got \"%s\"", wants[i].key,
			       wants[i].want, got);
		doctor_say(d, "unit", wants[i].verdict, text,
			   "systemctl cat banger shows who changes it; systemctl revert banger");
	}
	if (good)
		doctor_say(d, "unit", "PASS",
			   "its restrictions are in force, and nothing adds to "
			   "it",
			   "");
}

void doctor_policy(struct doctor *d)
{
	static struct config config;
	static struct look first, second;
	const char *path = d->c->opt.config ? d->c->opt.config : CONFIG_DEFAULT_PATH;
	struct error e = { 0 };

	if (geteuid() != 0) {
		doctor_say(d, "policy", "FAIL", "only root can read the processes of the service",
			   "run it as root");
		return;
	}
	if (config_load(path, 0, &config) < 0) {
		doctor_say(d, "configuration", "FAIL", path,
			   "correct it, or name another one by --config");
		return;
	}
	pid_t supervisor = find_supervisor(&e);
	if (supervisor < 0) {
		doctor_say(d, "daemon", "FAIL", e.why, e.hint);
		return;
	}
	first = (struct look){ .config = &config, .supervisor = supervisor };
	look_at_all(&first);
	second = first;
	if (first.n) {
		(void)usleep(SECOND_LOOK_US);
		second = (struct look){ .config = &config, .supervisor = supervisor };
		look_at_all(&second);
	}
	say_findings(d, &first, &second);
	check_unit(d, supervisor);
}
