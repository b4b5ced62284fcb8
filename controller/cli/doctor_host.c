/* doctor_host.c - checks that the host's accounts, udev rules and disks fit the configuration, and
 * that the request logs have keys. */
#include <dirent.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/parse.h"
#include "controller/cli/audit/place.h"
#include "controller/cli/doctor.h"
#include "proto/slot.h"

#define ASK_NS UINT64_C(3000000000) /* the longest time to look up all ids, one after another */

/* ---- ids ---- */

struct found {
	unsigned n;
	char first[160];
};

__attribute__((format(printf, 2, 3))) static void note(struct found *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (f->n++ == 0)
		(void)vsnprintf(f->first, sizeof(f->first), fmt, ap);
	va_end(ap);
}

static void look_at_user(const struct config *c, const struct passwd *pw, struct found *f)
{
	if (pw && (config_in_slot_range(c, pw->pw_uid) || config_in_slot_range(c, pw->pw_gid)))
		note(f, "user %.64s (uid %u, gid %u)", pw->pw_name, pw->pw_uid, pw->pw_gid);
}

static void look_at_group(const struct config *c, const struct group *gr, struct found *f)
{
	if (gr && config_in_slot_range(c, gr->gr_gid))
		note(f, "group %.64s (gid %u)", gr->gr_name, gr->gr_gid);
}

/* Check the accounts that can be listed: those in files, and those of directory services that allow
 * it. */
static void look_at_lists(const struct config *c, struct found *f)
{
	const struct passwd *pw;
	const struct group *gr;

	setpwent();
	while ((pw = getpwent()))
		look_at_user(c, pw, f);
	endpwent();
	setgrent();
	while ((gr = getgrent()))
		look_at_group(c, gr, f);
	endgrent();
}

/* Look each id up by itself: most directory services allow no list.  Return: how many ids were
 * looked up before the time was over. */
static uint32_t ask_for_each(const struct config *c, struct found *f)
{
	uint64_t end = clock_boot_ns() + ASK_NS;
	uint32_t i = 0;

	for (; i < config_slot_span(c) && clock_boot_ns() < end; i++) {
		look_at_user(c, getpwuid(c->uid_base + i), f);
		look_at_group(c, getgrgid(c->uid_base + i), f);
	}
	return i;
}

/* Check the ranges in @path; a line is owner:first:count (subuid(5)). */
static void look_at_ranges(const struct config *c, const char *path, struct found *f)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	uint64_t first, count, base = c->uid_base, span = config_slot_span(c);
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		char *save = NULL, *owner = strtok_r(line, ":\n", &save),
		     *a = strtok_r(NULL, ":\n", &save), *b = strtok_r(NULL, ":\n", &save);
		if (!owner || !a || !b || parse_uint(a, 0, UINT32_MAX, &first) < 0 ||
		    parse_uint(b, 1, UINT32_MAX, &count) < 0)
			continue;
		if (first < base + span && base < first + count)
			note(f, "%s: the range of %.64s from %s on", path, owner, a);
	}
}

static void check_ids(struct doctor *d, const struct config *c)
{
	uint32_t span = config_slot_span(c), asked = span;
	char text[320], hint[128];
	struct found f = { 0 };

	look_at_lists(c, &f);
	look_at_ranges(c, "/etc/subuid", &f);
	look_at_ranges(c, "/etc/subgid", &f);
	if (f.n == 0)
		asked = ask_for_each(c, &f);
	(void)snprintf(hint, sizeof(hint),
		       "VMs run under %u to %u: change the account's id, or uid_base in [slots]",
		       c->uid_base, c->uid_base + span - 1);
	if (f.n) {
		(void)snprintf(text, sizeof(text),
			       "an id of the slots is in use: %s%s; it has access to VMs' disks",
			       f.first, f.n > 1 ? ", and others" : "");
		doctor_say(d, "slot ids", "FAIL", text, hint);
		return;
	}
	(void)snprintf(text, sizeof(text),
		       "%u to %u belong to no account, group or range of subordinate ids",
		       c->uid_base, c->uid_base + span - 1);
	if (asked == span) {
		doctor_say(d, "slot ids", "PASS", text, "");
		return;
	}
	(void)snprintf(text, sizeof(text),
		       "the directory service is slow: %u of %u ids were checked", asked, span);
	doctor_say(d, "slot ids", "WARN", text, hint);
}

/* ---- udev ---- */

/* Open the rules file that udev(7) reads: if several folders have it, that of the first folder. */
static FILE *open_rules(char *path, size_t size)
{
	static const char *const folders[] = {
		"/etc/udev/rules.d",     "/run/udev/rules.d", "/usr/local/lib/udev/rules.d",
		"/usr/lib/udev/rules.d", "/lib/udev/rules.d",
	};
	FILE *f = NULL;

	for (size_t i = 0; !f && i < ARRAY_SIZE(folders); i++) {
		(void)snprintf(path, size, "%s/50-banger.rules", folders[i]);
		f = fopen(path, "re");
	}
	return f;
}

static bool rules_cover(char *path, size_t size)
{
	_cleanup_fclose_ FILE *f = open_rules(path, size);
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (line[strspn(line, " \t")] != '#' && strstr(line, "ATTR{loop/sizelimit}!="))
			return true;
	return false;
}

/* Without the rule, udev runs blkid as root on data that guests wrote.  Where no udev runs, the
 * rule is not needed. */
static void check_udev(struct doctor *d)
{
	char path[96];

	if (access("/run/udev/control", F_OK) < 0)
		return;
	if (rules_cover(path, sizeof(path)))
		doctor_say(d, "udev rule", "PASS", path, "");
	else
		doctor_say(d, "udev rule", "WARN",
			   "none knows banger's loops: udev parses guests' disks as root",
			   "remove a 50-banger.rules in /etc/udev/rules.d, then make install; "
			   "udevadm control --reload");
}

/* ---- mount by UUID or label ---- */

#define BLKID_CONF "/etc/blkid.conf"

/* Return: true if libblkid(3) reads block devices in search of a UUID or a label; so it does
 * without a configuration. */
static bool blkid_scans(void)
{
	_cleanup_fclose_ FILE *f = fopen(BLKID_CONF, "re");
	bool scans = true;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "EVALUATE=", 9) == 0)
			scans = strstr(line, "scan") != NULL;
	return scans;
}

/* A mount of an absent file system would find a guest's disk that has the same UUID.  Where no udev
 * runs, the scan is the only way to find one. */
static void check_blkid(struct doctor *d, const struct config *c)
{
	if (c->dm == DM_OFF || access("/sys/class/misc/device-mapper", F_OK) < 0 ||
	    access("/run/udev/control", F_OK) < 0)
		return;
	if (!blkid_scans())
		doctor_say(d, "mount by UUID", "PASS", "what udev has read alone is looked up", "");
	else
		doctor_say(d, "mount by UUID", "WARN",
			   "mount(8) may take a guest's disk for an absent one of /etc/fstab",
			   "EVALUATE=udev in " BLKID_CONF);
}

/* ---- device-mapper ---- */

static bool is_foreign_dm(const char *name)
{
	char path[300], uuid[160] = "";

	if (strncmp(name, "dm-", 3) != 0)
		return false;
	(void)snprintf(path, sizeof(path), "/sys/block/%s/dm/uuid", name);
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	return !f || !fgets(uuid, sizeof(uuid), f) ||
	       strncmp(uuid, SLOT_UUID_PREFIX, sizeof(SLOT_UUID_PREFIX) - 1) != 0;
}

/* Warn of device-mapper devices that are not banger's.  The control node checks no ownership: a
 * process that may make a snapshot may also load a table into the root volume. */
static void check_dm(struct doctor *d, const struct config *c)
{
	const struct dirent *e;
	char text[160];
	unsigned n = 0;

	if (c->dm == DM_OFF || access("/sys/class/misc/device-mapper", F_OK) < 0)
		return;
	DIR *dir = opendir("/sys/block");
	while (dir && (e = readdir(dir)))
		n += is_foreign_dm(e->d_name);
	if (dir)
		(void)closedir(dir);
	if (n == 0) {
		doctor_say(d, "device-mapper", "PASS", "all such devices are banger's", "");
		return;
	}
	(void)snprintf(text, sizeof(text),
		       "a taken-over blk role could change %u device%s of the host's", n,
		       n == 1 ? "" : "s");
	doctor_say(d, "device-mapper", "WARN", text,
		   "dm = off in [storage]; banger.conf says what it means for disks");
}

/* ---- request logs ---- */

/* Check that each request log has a key.  Only root can read the keys. */
static void check_keys(struct doctor *d, const struct config *c)
{
	char names[64] = "", text[160];

	if (geteuid() != 0 || access(c->log_dir, F_OK) < 0)
		return;
	for (size_t i = 0; i < AUDIT_ROLES; i++)
		if (audit_unkeyed(c->log_dir, audit_roles[i]))
			(void)snprintf(names + strlen(names), sizeof(names) - strlen(names), " %s",
				       audit_roles[i]);
	if (!*names) {
		doctor_say(d, "request logs", "PASS", "each has a key", "");
		return;
	}
	(void)snprintf(text, sizeof(text), "no key was made for:%s; root could rewrite them",
		       names);
	doctor_say(d, "request logs", "WARN", text,
		   "systemctl stop banger; banger audit key; systemctl start banger (VMs "
		   "continue to run); keep the printed keys on another host");
}

void doctor_host(struct doctor *d)
{
	static struct config config;
	const char *path = d->c->opt.config ? d->c->opt.config : CONFIG_DEFAULT_PATH;

	if (access(path, F_OK) < 0)
		return;
	if (config_load(path, 0, &config) < 0) {
		doctor_say(d, "configuration", "FAIL", path,
			   "correct the error shown above: the service does not start with it");
		return;
	}
	d->config = &config;
	check_ids(d, &config);
	check_udev(d);
	check_blkid(d, &config);
	check_dm(d, &config);
	check_keys(d, &config);
}
