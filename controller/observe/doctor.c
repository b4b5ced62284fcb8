/* doctor.c - checks of the host and of the service, for `banger doctor`. */
#include "controller/observe/doctor.h"
#include "controller/observe/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/db/db.h"
#include "controller/helper/client.h"
#include "controller/paths.h"
#include "controller/db/preflight.h"
#include "controller/storage/disk.h"

#define SPACE_WARN_MIB 1024u

/* ---- the three roles ---- */

static void check_role(struct report *r, enum role_id role)
{
	struct request q = { .op = op_find(OP_PING) };
	struct reply reply;
	char name[32];

	(void)snprintf(name, sizeof(name), "role %s", role_name(role));
	if (helper_fd(r->ctl->helper, role) < 0)
		report_row(r, name, SKIP, "banger-privhelper starts it", "is not there");
	else if (helper_call_role(r->ctl->helper, role, &q, &reply) < 0)
		report_row(r, name, FAIL, "see the service's log, and restart it",
			   "does not answer: %s", strerrordesc_np(errno));
	else if (reply.status != ST_OK)
		report_row(r, name, FAIL, "see the service's log", "answers \"%s\"",
			   status_name(reply.status));
	else
		report_row(r, name, PASS, "", "answers");
}

/* A LIST makes the net role read our nftables table, so an answer proves that the table is
 * loaded. */
static void check_nft(struct report *r)
{
	struct request q = { .op = op_find(OP_LIST) };
	struct reply reply;

	if (helper_fd(r->ctl->helper, ROLE_NET) < 0)
		report_row(r, "nftables", SKIP, "banger-privhelper starts the net role",
			   "not asked");
	else if (helper_call_role(r->ctl->helper, ROLE_NET, &q, &reply) < 0 ||
		 reply.status != ST_OK)
		report_row(r, "nftables", FAIL, "restart the service: it loads its table again",
			   "our table can not be read");
	else
		report_row(r, "nftables", PASS, "", "our table can be read; NAT is available");
}

/* ---- the kernel ---- */

static bool is_there(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

static void check_network(struct report *r)
{
	const char *bridge = r->ctl->config.bridge;
	char path[64];

	(void)snprintf(path, sizeof(path), "/sys/class/net/%s", bridge);
	if (is_there("/sys/class/misc/tun"))
		report_row(r, "tun", PASS, "", "in the kernel");
	else
		report_row(r, "tun", FAIL, "modprobe tun",
			   "not in the kernel: no VM can have a network");
	if (is_there(path))
		report_row(r, "bridge", PASS, "", "%s", bridge);
	else
		report_row(r, "bridge", FAIL, "restart the service: it makes the bridge",
			   "%s is missing", bridge);
}

/* The controller's mount namespace has no /dev, so sysfs tells whether the kernel has KVM.  Only
 * the result of the KVM probe tells whether KVM works (kvm_probe.h); the first start of a VM runs
 * it. */
static void check_kvm(struct report *r)
{
	char key[160], value[16];

	if (r->ctl->config.accel == ACCEL_TCG) {
		report_row(r, "kvm", SKIP, "accel in banger.conf",
			   "turned off: guests are emulated");
		return;
	}
	if (!is_there("/sys/class/misc/kvm")) {
		report_row(r, "kvm", WARN,
			   "turn virtualisation on in the firmware and load kvm_intel or kvm_amd",
			   "/dev/kvm is missing: guests are emulated, about ten times slower");
		return;
	}
	key_kvm(r->ctl->boot_id, key);
	int known = db_fact_get(r->ctl->db, key, value, sizeof(value));
	if (known <= 0)
		report_row(r, "kvm", SKIP, "the first start of a VM probes it",
			   "/dev/kvm is there; not probed since boot");
	else if (strcmp(value, "yes") == 0)
		report_row(r, "kvm", PASS, "", "runs guests");
	else
		report_row(r, "kvm", WARN, "on a virtual host: turn nested virtualisation on",
			   "/dev/kvm is there but runs no guest: guests are emulated");
}

static void check_storage(struct report *r)
{
	const struct storage_driver *d = r->ctl->storage;

	if (is_there("/sys/class/misc/device-mapper"))
		report_row(r, "device-mapper", PASS, "", "in the kernel");
	else
		report_row(r, "device-mapper", WARN, "modprobe dm_snapshot",
			   "not in the kernel: root disks are copies");
	if (!d)
		report_row(r, "storage", FAIL, "see the service's log", "no driver fits this host");
	else
		report_row(r, "storage", PASS, "", "%s", d->name);
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += n)
		if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' ' || p[n] == '\n'))
			return true;
	return false;
}

static void check_cgroup(struct report *r)
{
	const char *have = r->ctl->host.cgroup_controllers;

	if (!have[0])
		report_row(r, "cgroup", WARN, "delegate cpu, memory and pids to the service",
			   "%s has no controllers: guests run without limits",
			   r->ctl->config.cgroup_dir);
	else if (!has_word(have, "cpu") || !has_word(have, "memory") || !has_word(have, "pids"))
		report_row(r, "cgroup", WARN, "delegate cpu, memory and pids to the service",
			   "only: %s", have);
	else
		report_row(r, "cgroup", PASS, "", "%s", have);
}

static void check_confinement(struct report *r)
{
	int abi = r->ctl->host.landlock_abi;

	if (r->ctl->host.seccomp)
		report_row(r, "seccomp", PASS, "", "the controller is filtered");
	else
		report_row(r, "seccomp", FAIL, "use a kernel with CONFIG_SECCOMP_FILTER",
			   "the controller is not filtered");
	if (abi)
		report_row(r, "landlock", PASS, "", "ABI %d, %s", abi,
			   r->ctl->config.landlock == LANDLOCK_REQUIRE ? "required"
								       : "not required");
	else
		report_row(r, "landlock", WARN,
			   "use a kernel of 5.19 or later with landlock in its lsm= list",
			   "not in use, and [security] landlock = auto lets the service start");
}

static void check_selinux(struct report *r)
{
	const char *domain = r->ctl->host.domain;

	if (!domain[0])
		report_row(r, "selinux", SKIP,
			   "boot with security=selinux where the host has a policy", "not in use");
	else if (strcmp(domain, "banger_t") != 0)
		report_row(r, "selinux", WARN, "make install-selinux, and restart the service",
			   "our module is not loaded: we run as %s", domain);
	else if (!r->ctl->host.enforcing)
		report_row(r, "selinux", WARN, "setenforce 1",
			   "permissive: what our module denies is only logged");
	else
		report_row(r, "selinux", PASS, "", "enforcing, with our module");
}

/* ---- state, database, monitors ---- */

static void check_space(struct report *r)
{
	const char *dir = r->ctl->config.state_dir;
	uint64_t mib;

	if (room_mib(&r->ctl->config, &mib) < 0) {
		report_row(r, "space", FAIL, "see that the folder is there", "%s: %s", dir,
			   strerrordesc_np(errno));
		return;
	}
	report_row(r, "space",
		   mib < ROOM_LEAST_MIB   ? FAIL
		   : mib < SPACE_WARN_MIB ? WARN
					  : PASS,
		   "delete VMs or images, or make room", "%" PRIu64 " MiB free in %s", mib, dir);
}

static void close_db(sqlite3 **db)
{
	(void)sqlite3_close(*db);
}

static int take_answer(void *arg, int n, char **values, char **names)
{
	(void)names;
	(void)snprintf(arg, 128, "%s", n && values[0] ? values[0] : "");
	return 0;
}

/* The check has a connection of its own, since it may take seconds and would block the shared
 * one. */
static void check_database(struct report *r)
{
	sqlite3 *db __attribute__((cleanup(close_db))) = NULL;
	char path[200], answer[128] = "";
	struct error e = { 0 };

	if (db_in_place(r->ctl->db, "", &e) < 0) {
		report_row(r, "database", FAIL, e.hint, "%s", e.why);
		return;
	}
	path_database(&r->ctl->config, path);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW, NULL) !=
		    SQLITE_OK ||
	    sqlite3_busy_timeout(db, 1000) != SQLITE_OK ||
	    sqlite3_exec(db, "PRAGMA quick_check(1)", take_answer, answer, NULL) != SQLITE_OK)
		(void)snprintf(answer, sizeof(answer), "%s", sqlite3_errmsg(db));
	if (strcmp(answer, "ok") == 0)
		report_row(r, "database", PASS, "", "quick_check: ok");
	else
		report_row(r, "database", FAIL, "`banger doctor --db` says more, and what to do",
			   "%s: %s", path, answer);
}

static void check_vmm(struct report *r, const char *name, const char *path)
{
	struct stat st;

	if (!path[0])
		report_row(r, name, SKIP, "name it in banger.conf to use it", "not configured");
	else if (stat(path, &st) < 0)
		report_row(r, name, FAIL, "install it, or correct banger.conf", "%s: %s", path,
			   strerrordesc_np(errno));
	else if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IXOTH))
		report_row(r, name, FAIL, "chmod 755", "%s can not be executed by all users", path);
	else
		report_row(r, name, PASS, "", "%s", path);
}

/* Read the first line of a small file; "" if it can not be read. */
static void read_line(const char *path, char *out, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

void doctor_prepare(struct ctl *c)
{
	char path[160], context[256], enforce[4];

	(void)snprintf(path, sizeof(path), "%s/cgroup.controllers", c->config.cgroup_dir);
	read_line(path, c->host.cgroup_controllers, sizeof(c->host.cgroup_controllers));
	read_line("/sys/fs/selinux/enforce", enforce, sizeof(enforce));
	c->host.enforcing = enforce[0] == '1';
	if (!enforce[0])
		return;
	/* Not by /proc/self: the controller's /proc has no links. */
	(void)snprintf(path, sizeof(path), "/proc/%d/attr/current", (int)getpid());
	read_line(path, context, sizeof(context));
	if (sscanf(context, "%*[^:]:%*[^:]:%63[^:]", c->host.domain) != 1)
		c->host.domain[0] = '\0';
}

unsigned doctor_run(struct ctl *c, int (*tell)(void *arg, const struct ev_check *row), void *arg)
{
	struct report r = { .ctl = c, .tell = tell, .arg = arg };

	for (enum role_id role = ROLE_NET; role < ROLE_COUNT; role++)
		check_role(&r, role);
	check_nft(&r);
	check_network(&r);
	check_kvm(&r);
	check_vmm(&r, "qemu", c->config.qemu);
	check_vmm(&r, "firecracker", c->config.firecracker);
	if (!c->config.qemu[0] && !c->config.firecracker[0])
		report_row(&r, "vmm", FAIL,
			   "install qemu-system-x86 or firecracker and name it in banger.conf",
			   "there is none");
	check_storage(&r);
	check_cgroup(&r);
	check_confinement(&r);
	check_selinux(&r);
	check_space(&r);
	check_database(&r);
	return r.failed;
}
