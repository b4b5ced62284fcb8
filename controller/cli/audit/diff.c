/* diff.c - audit diff: what the logs say was made and not removed, beside what the kernel shows.
 *
 * Both are read without the daemon and the roles, so that neither can lie here.  The kernel shows
 * taps as interfaces, snapshots in /sys and VMMs as control groups.  Elements of nftables sets and
 * loops are not compared: they need a capability, or have no name of ours. */
#include <dirent.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/cleanup.h"
#include "common/config.h"
#include "common/error.h"
#include "common/parse.h"
#include "controller/cli/audit/place.h"
#include "controller/cli/audit/rows.h"
#include "proto/slot.h"

/* Each kind is made by one role, whose log alone tells of it. */
enum kind { TAP, SNAPSHOT, VMM, KINDS };

static const char *const kinds[KINDS] = { "tap", "snapshot", "vmm" };
static const char *const roles[KINDS] = { "net", "blk", "spawn" };

/* What the log says of one object. */
enum said {
	SAID_NOTHING,
	SAID_MADE,
	SAID_RETIRED, /* a tap that the next sweep removes */
	SAID_MAYBE,   /* the last request has no result, or failed */
};

struct thing {
	enum said said;
	char op[33]; /* the operation of the last request */
	bool there;  /* the kernel shows it */
};

struct diff {
	struct cli *c;
	struct thing objects[KINDS][SLOT_MAX];
	int64_t boot_ns[KINDS]; /* of the newest record of the role */
	json_t *json;
	unsigned found;
	struct audit_rows rows;
};

/* ---- what the log says ---- */

static const struct change {
	const char *op;
	enum kind kind;
	enum said then;
} changes[] = {
	{ "tap_create", TAP, SAID_MADE },
	{ "tap_retire", TAP, SAID_RETIRED },
	{ "snapshot_create", SNAPSHOT, SAID_MADE },
	{ "snapshot_remove", SNAPSHOT, SAID_NOTHING },
	{ "vmm_spawn", VMM, SAID_MADE },
	{ "vmm_kill", VMM, SAID_NOTHING },
};

static void swept(struct diff *d)
{
	for (size_t i = 0; i < SLOT_MAX; i++)
		if (d->objects[TAP][i].said == SAID_RETIRED)
			d->objects[TAP][i].said = SAID_NOTHING;
}

static enum kind kind_of(const char *role)
{
	enum kind k = 0;

	while (k < KINDS && strcmp(roles[k], role) != 0)
		k++;
	return k;
}

/* Take the clock of a record.  The records of one role are in the order of that clock; those of two
 * roles need not be.  A start whose clock is behind the record before it is the first one after a
 * boot of the host, which has ended all objects of the kernel. */
static void take_clock(struct diff *d, enum kind k, const struct audit_row *row)
{
	int64_t ns = audit_number(row->asked, "boot_ns");

	if (ns < 0)
		return;
	if (ns < d->boot_ns[k] && strcmp(audit_text(row->asked, "type"), "start") == 0)
		memset(d->objects[k], 0, sizeof(d->objects[k]));
	d->boot_ns[k] = ns;
}

/* Forget what was made before the host was booted, if a role has no record since then. */
static void forget_earlier_boots(struct diff *d)
{
	const int64_t now = (int64_t)clock_boot_ns();

	for (size_t k = 0; k < KINDS; k++)
		if (d->boot_ns[k] > now)
			memset(d->objects[k], 0, sizeof(d->objects[k]));
}

static void replay(void *arg, const struct audit_row *row)
{
	struct diff *d = arg;
	const enum kind k = kind_of(audit_text(row->asked, "role"));
	const char *op = audit_text(row->asked, "op"), *status = audit_status(row);
	int64_t slot = audit_number(row->asked, "slot");
	bool ok = strcmp(status, "ok") == 0;

	if (k == KINDS)
		return;
	take_clock(d, k, row);
	if (k == TAP && strcmp(op, "tap_sweep") == 0 && ok)
		swept(d);
	for (size_t i = 0; i < ARRAY_SIZE(changes) && slot >= 0 && slot < SLOT_MAX; i++) {
		struct thing *o = &d->objects[changes[i].kind][slot];
		/* What was refused has changed nothing. */
		bool changed = ok || !row->answered || strcmp(status, "kernel") == 0;
		if (changes[i].kind != k || strcmp(changes[i].op, op) != 0 || !changed)
			continue;
		if (!ok)
			o->said = SAID_MAYBE;
		else if (changes[i].then != SAID_RETIRED || o->said != SAID_NOTHING)
			o->said = changes[i].then;
		(void)snprintf(o->op, sizeof(o->op), "%.32s", audit_text(row->asked, "op_id"));
		text_clean(o->op); /* a role that was taken over writes what it likes */
	}
}

/* ---- what the kernel shows ---- */

static void see(struct diff *d, enum kind kind, uint64_t slot)
{
	if (slot < SLOT_MAX)
		d->objects[kind][slot].there = true;
}

static bool slot_number(const char *s, char end, uint64_t *slot)
{
	char digits[8];
	size_t n = strspn(s, "0123456789");

	if (n == 0 || n >= sizeof(digits) || s[n] != end)
		return false;
	(void)snprintf(digits, sizeof(digits), "%.*s", (int)n, s);
	return parse_uint(digits, 0, SLOT_MAX - 1, slot) == 0;
}

/* /sys shows the interfaces of the network namespace in which it was mounted, and not of ours. */
static void look_at_taps(struct diff *d)
{
	struct if_nameindex *all = if_nameindex();

	for (size_t i = 0; all && all[i].if_name; i++)
		if (slot_of_tap(all[i].if_name) >= 0)
			see(d, TAP, (uint64_t)slot_of_tap(all[i].if_name));
	if (all)
		if_freenameindex(all);
}

static void look_at(struct diff *d, const char *path, enum kind kind)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	char name_path[320], name[64];
	uint64_t slot;

	while (dir && (e = readdir(dir))) {
		if (kind == VMM && slot_number(e->d_name, '.', &slot))
			see(d, VMM, slot);
		if (kind != SNAPSHOT || strncmp(e->d_name, "dm-", 3) != 0)
			continue;
		(void)snprintf(name_path, sizeof(name_path), "%s/%.200s/dm/name", path, e->d_name);
		_cleanup_fclose_ FILE *f = fopen(name_path, "re");
		if (f && fgets(name, sizeof(name), f) &&
		    strncmp(name, SLOT_DM_PREFIX, strlen(SLOT_DM_PREFIX)) == 0 &&
		    slot_number(name + strlen(SLOT_DM_PREFIX), '\n', &slot))
			see(d, SNAPSHOT, slot);
	}
	if (dir)
		(void)closedir(dir);
}

/* Find the control group of the VMs: that of the configuration, or "banger" at the top of the first
 * cgroup v2. */
static void find_vms(const struct cli *c, char path[256])
{
	const char *conf = c->opt.config ? c->opt.config : CONFIG_DEFAULT_PATH;
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mounts", "re");
	char line[1024], place[200], type[32];
	struct config config;

	(void)snprintf(path, 256, "/sys/fs/cgroup/banger/vm");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %199s %31s", place, type) == 2 &&
		    strcmp(type, "cgroup2") == 0) {
			(void)snprintf(path, 256, "%s/banger/vm", place);
			break;
		}
	FILE *there = fopen(conf, "re");
	if (!there)
		return;
	(void)fclose(there);
	if (config_load(conf, 0, &config) == 0 && config.cgroup_dir[0])
		(void)snprintf(path, 256, "%s/vm", config.cgroup_dir);
}

/* ---- the difference ---- */

static void differ(struct diff *d, enum kind kind, uint32_t slot, const char *what)
{
	const struct thing *o = &d->objects[kind][slot];

	d->found++;
	if (d->json)
		json_array_append_new(d->json, json_pack("{ss si ss ss sb}", "kind", kinds[kind],
							 "slot", (int)slot, "difference", what,
							 "op_id", o->op, "there", o->there));
	else
		fprintf(d->c->out, "%s of slot %u: %s%s%s\n", kinds[kind], slot, what,
			o->op[0] ? ", operation " : "", o->op);
}

static void compare(struct diff *d)
{
	for (uint32_t k = 0; k < KINDS; k++)
		for (uint32_t i = 0; i < SLOT_MAX; i++) {
			const struct thing *o = &d->objects[k][i];
			if (o->there && o->said == SAID_NOTHING)
				differ(d, k, i, "the kernel shows it, and the log has no create");
			if (!o->there && o->said == SAID_MADE)
				differ(d, k, i,
				       "the log has a create, and the kernel does not show it");
		}
}

int cmd_audit_diff(struct cli *c)
{
	struct diff *d = calloc(1, sizeof(*d));
	struct error e = { 0 };
	char dir[512], vms[256];
	int ret = 0;

	if (!d || audit_place(c, dir, sizeof(dir), NULL, &e) < 0 || !(c->opt.logs = dir) ||
	    audit_filter_read(c, &d->rows.filter, &e) < 0) {
		free(d);
		return out_error(c, &e);
	}
	d->c = c;
	d->rows.row = replay;
	d->rows.arg = d;
	d->json = c->opt.format == FORMAT_JSON ? json_array() : NULL;
	if (audit_rows_read(c, &d->rows, &e) < 0) {
		ret = out_error(c, &e);
	} else {
		audit_rows_end(&d->rows);
		forget_earlier_boots(d);
		find_vms(c, vms);
		look_at_taps(d);
		look_at(d, "/sys/block", SNAPSHOT);
		look_at(d, vms, VMM);
		compare(d);
		ret = d->json ? out_json(c, json_incref(d->json)) : 0;
		if (!d->json && !d->found)
			fprintf(c->out, "no difference\n");
	}
	ret = ret ? ret : d->found ? FAIL_GENERAL : 0;
	json_decref(d->json);
	json_decref(d->rows.intents);
	free(d);
	return ret;
}
