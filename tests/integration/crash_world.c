/* See crash.h.  What is here asks sysfs, cgroupfs, procfs, libnftables(3) and SQLite, and nothing
 * of the set's own code. */
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <jansson.h>
#include <linux/if_bridge.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/crash.h"

#define SLOTS 64
#define VMS 64

enum thing { T_TAP, T_GUEST, T_NAT, T_LOOP_BASE, T_LOOP_COW, T_DM, T_VMM, THINGS };

static const char *const thing_names[THINGS] = { "tap",      "guest", "nat", "loop-base",
						 "loop-cow", "dm",    "vmm" };

/* Whose something is, by its tag. */
struct tag {
	unsigned slot, generation, owner;
};

struct row {
	char id[40], name[64], state[16], reason[256], runtime[512], restart[16];
	struct tag tag;
	bool nat, wanted;
	bool ledger[THINGS], releasing[THINGS];
};

struct world_excuse world_excuse;

struct world {
	struct {
		enum thing kind;
		struct tag tag;
		char what[128];
	} things[256];
	size_t n_things;
	struct row vms[VMS];
	size_t n_vms;
	unsigned processes[SLOTS]; /* with the slot's uid */
	char images[16][80];
	size_t n_images, open_operations;
	struct text dump;
};

void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(t->v + t->n, sizeof(t->v) - t->n, fmt, ap);
	va_end(ap);
	if (n < 0 || t->n + (size_t)n >= sizeof(t->v))
		bail("a text of more than %d bytes", TEXT_MAX);
	t->n += (size_t)n;
}

static void thing(struct world *w, enum thing kind, struct tag tag, const char *fmt, ...)
{
	va_list ap;

	if (w->n_things == sizeof(w->things) / sizeof(w->things[0]))
		bail("more than %zu things in the kernel", w->n_things);
	va_start(ap, fmt);
	(void)vsnprintf(w->things[w->n_things].what, sizeof(w->things[0].what), fmt, ap);
	va_end(ap);
	w->things[w->n_things].kind = kind;
	w->things[w->n_things].tag = tag;
	text_add(&w->dump, "%s %u.%u.%u %s\n", thing_names[kind], tag.slot, tag.generation,
		 tag.owner, w->things[w->n_things].what);
	w->n_things++;
}

static bool read_line(char *out, size_t size, const char *fmt, ...)
{
	char path[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	FILE *f = fopen(path, "re");
	out[0] = '\0';
	bool got = f && fgets(out, (int)size, f);
	if (f)
		(void)fclose(f);
	out[strcspn(out, "\n")] = '\0';
	return got;
}

static void each_name(const char *dir,
		      void (*fn)(struct world *w, const char *dir, const char *name),
		      struct world *w)
{
	struct dirent **list;
	int n = scandir(dir, &list, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.')
			fn(w, dir, list[i]->d_name);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

/* ---- the kernel ---- */

static bool tag_of(const char *text, const char *prefix, struct tag *t)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 &&
	       sscanf(text + n, "%u:%u:%u", &t->slot, &t->generation, &t->owner) == 3;
}

/* The last component of what a link points at; "": there is none. */
static void link_target(char *out, size_t size, const char *dir, const char *name)
{
	char path[700], to[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	ssize_t n = readlink(path, to, sizeof(to) - 1);
	to[n < 0 ? 0 : n] = '\0';
	const char *slash = strrchr(to, '/');
	(void)snprintf(out, size, "%.60s", slash ? slash + 1 : to);
}

/* Is the slot's MAC known to the bridge behind that port, and no other? */
static bool has_mac(const char *dir, const char *bridge, unsigned slot, unsigned port)
{
	const uint8_t mac[6] = { 0x02, 0xfc, 0, 0, (uint8_t)(slot >> 8), (uint8_t)slot };
	struct __fdb_entry e;
	char path[512];
	unsigned here = 0, elsewhere = 0;

	(void)snprintf(path, sizeof(path), "%s/%s/brforward", dir, bridge);
	FILE *f = fopen(path, "re");
	while (f && fread(&e, sizeof(e), 1, f) == 1)
		if (memcmp(e.mac_addr, mac, sizeof(mac)) == 0)
			*((e.port_no | (unsigned)e.port_hi << 8) == port ? &here : &elsewhere) += 1;
	if (f)
		(void)fclose(f);
	return here && !elsewhere; /* one for each VLAN, where there are those */
}

static void see_link(struct world *w, const char *dir, const char *name)
{
	char alias[128], uid[32], up[32], master[64], isolated[32], number[32], port[600];
	struct tag t = { ~0u, 0, 0 };

	if (strncmp(name, "bgr", 3) != 0 || name[3] < '0' || name[3] > '9')
		return;
	(void)read_line(alias, sizeof(alias), "%s/%s/ifalias", dir, name);
	(void)read_line(uid, sizeof(uid), "%s/%s/owner", dir, name);
	(void)read_line(up, sizeof(up), "%s/%s/flags", dir, name);
	if (!tag_of(alias, "banger:", &t))
		(void)sscanf(name, "bgr%u", &t.slot);
	(void)read_line(isolated, sizeof(isolated), "%s/%s/brport/isolated", dir, name);
	bool port_of = read_line(number, sizeof(number), "%s/%s/brport/port_no", dir, name);
	(void)snprintf(port, sizeof(port), "%s/%s", dir, name);
	link_target(master, sizeof(master), port, "master");
	bool has = port_of && has_mac(dir, master, t.slot, (unsigned)strtoul(number, NULL, 16));
	thing(w, T_TAP, t, "%.15s uid %s flags %s master %s isolated %s mac %d", name, uid, up,
	      master, isolated, has);
}

/* An element, or {"elem": {"val": .., "comment": ..}}. */
static void see_element(struct world *w, const char *set, json_t *e)
{
	json_t *inner = json_object_get(e, "elem"),
	       *value = inner ? json_object_get(inner, "val") : e;
	const char *comment = json_string_value(json_object_get(inner, "comment"));
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	struct tag t = { ~0u, 0, 0 };

	(void)tag_of(comment ? comment : "", "banger:", &t);
	thing(w, strcmp(set, "nat4") == 0 ? T_NAT : T_GUEST, t, "%s", text);
	free(text);
}

/* libnftables(3), which nft(8) is made of.  In this process a list costs a third of what it costs
 * in a process of nft(8).  The library is there wherever nft(8) is; its header is not, so it is
 * loaded by name. */
static struct {
	void *(*ctx_new)(uint32_t flags);
	void (*ctx_free)(void *ctx);
	void (*output_set_flags)(void *ctx, unsigned flags);
	int (*buffer_output)(void *ctx);
	const char *(*output_buffer)(void *ctx);
	int (*run)(void *ctx, const char *command);
} nft;

#define NFT_JSON (1u << 4) /* NFT_CTX_OUTPUT_JSON, nftables/libnftables.h */

static void *nft_symbol(void *library, const char *name)
{
	void *s = library ? dlsym(library, name) : NULL;

	if (!s)
		bail("libnftables: %s", dlerror());
	return s;
}

static void nft_load(void)
{
	void *library = dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);

	nft.ctx_new = (void *(*)(uint32_t))nft_symbol(library, "nft_ctx_new");
	nft.ctx_free = (void (*)(void *))nft_symbol(library, "nft_ctx_free");
	nft.output_set_flags = (void (*)(void *, unsigned))nft_symbol(library,
								      "nft_ctx_output_set_flags");
	nft.buffer_output = (int (*)(void *))nft_symbol(library, "nft_ctx_buffer_output");
	nft.output_buffer = (const char *(*)(void *))nft_symbol(library,
								"nft_ctx_get_output_buffer");
	nft.run = (int (*)(void *, const char *))nft_symbol(library, "nft_run_cmd_from_buffer");
}

/* `nft -j list ruleset`, by a context of its own, which knows nothing from an earlier list.  The
 * caller frees the result by json_decref(). */
static json_t *list_rules(void)
{
	if (!nft.run)
		nft_load();
	void *ctx = nft.ctx_new(0);
	if (!ctx || nft.buffer_output(ctx) != 0)
		bail("libnftables has no context");
	nft.output_set_flags(ctx, NFT_JSON);
	if (nft.run(ctx, "list ruleset") != 0)
		bail("libnftables can not list the rules");
	json_t *all = json_loads(nft.output_buffer(ctx), 0, NULL);
	if (!all)
		bail("libnftables lists the rules in no JSON");
	nft.ctx_free(ctx);
	return all;
}

static void see_nft(struct world *w)
{
	size_t i, k;
	json_t *o, *e;

	json_t *all = list_rules(), *objects = json_object_get(all, "nftables");
	unsigned rules = 0;
	json_array_foreach(objects, i, o)
	{
		json_t *set = json_object_get(o, "set"), *rule = json_object_get(o, "rule");
		const char *table = json_string_value(json_object_get(set ? set : rule, "table"));
		const char *name = json_string_value(json_object_get(set, "name"));
		if (!table || strcmp(table, "banger") != 0)
			continue;
		rules += rule != NULL;
		json_array_foreach(json_object_get(set, "elem"), k, e) see_element(w, name, e);
	}
	json_decref(all);
	text_add(&w->dump, "rules %u\n", rules);
}

static void see_cgroup(struct world *w, const char *dir, const char *name)
{
	struct tag t = { ~0u, 0, 0 };
	char pid[32], path[512], kind[16] = "";
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return;
	(void)sscanf(name, "%u.%u.%u.%15s", &t.slot, &t.generation, &t.owner, kind);
	(void)read_line(pid, sizeof(pid), "%s/cgroup.procs", path);
	thing(w, T_VMM, t, "%s pid %s%s", name, pid, pid[0] ? "" : "none");
}

static void see_process(struct world *w, const char *dir, const char *name)
{
	char path[512], status[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (name[0] < '0' || name[0] > '9' || stat(path, &st) < 0 || st.st_uid < config.uid_base ||
	    st.st_uid >= config.uid_base + config.slots)
		return;
	(void)read_line(status, sizeof(status), "%s/stat", path);
	const char *state = strrchr(status, ')');
	if (state && state[2] == 'Z')
		return;
	w->processes[st.st_uid - config.uid_base]++;
	text_add(&w->dump, "process %s of slot %u\n", name, st.st_uid - config.uid_base);
}

/* The name that the role gives a loop is not in sysfs; the file behind it is.  Its path begins with
 * state_dir as long as the controller lives whose mount of state_dir it was opened by; later it
 * begins below. */
static void see_block(struct world *w, const char *dir, const char *name)
{
	char line[300], uuid[80];
	struct tag t = { ~0u, 0, 0 };
	unsigned slot;

	if (strncmp(name, "loop", 4) == 0 &&
	    read_line(line, sizeof(line), "%s/%s/loop/backing_file", dir, name)) {
		size_t n = strlen(config.state_dir);
		const char *path = strncmp(line, config.state_dir, n) == 0 ? line + n : line;
		bool cow = sscanf(path, "/slots/%u/cow", &slot) == 1;
		if (!cow && strncmp(path, "/images/", 8) != 0)
			return;
		t.slot = cow ? slot : ~1u;
		thing(w, cow ? T_LOOP_COW : T_LOOP_BASE, t, "%s", line);
	} else if (strncmp(name, "dm-", 3) == 0 &&
		   read_line(line, sizeof(line), "%s/%s/dm/name", dir, name) &&
		   strncmp(line, "bgr-", 4) == 0) {
		(void)read_line(uuid, sizeof(uuid), "%s/%s/dm/uuid", dir, name);
		(void)sscanf(uuid, "BANGER-%u-%u", &t.slot, &t.generation);
		thing(w, T_DM, t, "%s", line);
	}
}

/* ---- files ---- */

static void see_file(struct world *w, const char *dir, const char *name)
{
	text_add(&w->dump, "file %s/%s\n", dir, name);
}

static void see_slot_folder(struct world *w, const char *dir, const char *name)
{
	char path[512];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		each_name(path, see_file, w);
}

static void see_files(struct world *w)
{
	static const char *const folders[] = { "consoles", "images", "kernels", "volumes" };
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/slots", config.state_dir);
	each_name(path, see_slot_folder, w);
	(void)snprintf(path, sizeof(path), "%s/slots", config.run_dir);
	each_name(path, see_slot_folder, w);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", config.state_dir, folders[i]);
		each_name(path, see_file, w);
	}
}

/* ---- the database ---- */

static sqlite3 *db_open(int flags)
{
	char path[200];
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/banger.db", config.state_dir);
	if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK)
		bail("%s: %s", path, sqlite3_errmsg(db));
	(void)sqlite3_busy_timeout(db, 5000);
	return db;
}

static void db_each(sqlite3 *db, const char *sql, void (*fn)(struct world *w, sqlite3_stmt *st),
		    struct world *w)
{
	sqlite3_stmt *st = NULL;
	int rc;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK &&
	    strstr(sqlite3_errmsg(db), "no such table"))
		return; /* likewise */
	if (!st)
		bail("%s: %s", sql, sqlite3_errmsg(db));
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		fn(w, st);
	if (rc != SQLITE_DONE)
		bail("%s: %s", sql, sqlite3_errmsg(db));
	(void)sqlite3_finalize(st);
}

static const char *column(sqlite3_stmt *st, int i)
{
	const char *t = (const char *)sqlite3_column_text(st, i);

	return t ? t : "";
}

static void see_vm(struct world *w, sqlite3_stmt *st)
{
	if (w->n_vms == VMS)
		bail("more than %d VMs", VMS);
	struct row *r = &w->vms[w->n_vms++];
	*r = (struct row){
		.tag = { (unsigned)sqlite3_column_int64(st, 2),
			 (unsigned)sqlite3_column_int64(st, 3),
			 (unsigned)sqlite3_column_int64(st, 4) },
		.nat = sqlite3_column_int(st, 5),
		.wanted = sqlite3_column_int(st, 10),
	};
	(void)snprintf(r->id, sizeof(r->id), "%s", column(st, 0));
	(void)snprintf(r->name, sizeof(r->name), "%s", column(st, 1));
	(void)snprintf(r->state, sizeof(r->state), "%s", column(st, 6));
	(void)snprintf(r->reason, sizeof(r->reason), "%s", column(st, 7));
	(void)snprintf(r->runtime, sizeof(r->runtime), "%s", column(st, 8));
	(void)snprintf(r->restart, sizeof(r->restart), "%s", column(st, 9));
	text_add(&w->dump, "vm %s %s %u.%u.%u nat %d %s \"%s\" %s\n", r->name, r->id, r->tag.slot,
		 r->tag.generation, r->tag.owner, r->nat, r->state, r->reason, r->runtime);
}

static void see_ledger(struct world *w, sqlite3_stmt *st)
{
	for (size_t i = 0; i < w->n_vms; i++)
		for (int k = 0; k < THINGS; k++) {
			if (strcmp(w->vms[i].id, column(st, 0)) ||
			    strcmp(thing_names[k], column(st, 1)))
				continue;
			w->vms[i].ledger[k] = true;
			w->vms[i].releasing[k] = strcmp(column(st, 2), "present") != 0;
		}
	text_add(&w->dump, "ledger %s %s %s %s \"%s\"\n", column(st, 0), column(st, 1),
		 column(st, 2), column(st, 3), column(st, 4));
}

static void see_operation(struct world *w, sqlite3_stmt *st)
{
	w->open_operations++;
	text_add(&w->dump, "open operation %s\n", column(st, 0));
}

static void see_image(struct world *w, sqlite3_stmt *st)
{
	(void)snprintf(w->images[w->n_images++ % 16], 80, "%s/%s%s", column(st, 0), column(st, 1),
		       column(st, 2));
	text_add(&w->dump, "row %s %s\n", column(st, 0), column(st, 1));
}

static void see_slot(struct world *w, sqlite3_stmt *st)
{
	text_add(&w->dump, "slot %s generation %s\n", column(st, 0), column(st, 1));
}

/* The newest schema's last column; without it, the first start was cut on its way there and made no
 * VM. */
static bool is_migrated(sqlite3 *db)
{
	sqlite3_stmt *st = NULL;
	bool is = sqlite3_prepare_v2(db, "SELECT wanted FROM vms", -1, &st, NULL) == SQLITE_OK;

	(void)sqlite3_finalize(st);
	return is;
}

static void see_database(struct world *w)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/banger.db", config.state_dir);
	if (access(path, F_OK) < 0)
		return; /* the first start has not come so far */
	sqlite3 *db = db_open(SQLITE_OPEN_READONLY);

	if (!is_migrated(db)) {
		(void)sqlite3_close(db);
		return;
	}
	db_each(db,
		"SELECT hex(id), name, slot, generation, owner, nat, state, reason, runtime, "
		"restart, wanted FROM vms"
		" ORDER BY name, owner",
		see_vm, w);
	db_each(db, "SELECT hex(vm), kind, state, ident, error FROM ledger ORDER BY vm, kind",
		see_ledger, w);
	db_each(db, "SELECT verb FROM operations WHERE ended IS NULL ORDER BY verb", see_operation,
		w);
	db_each(db,
		"SELECT 'images', digest, '.ext4' FROM images UNION SELECT 'kernels', digest, '' "
		"FROM kernels UNION SELECT 'volumes', digest, '.ext4' FROM volumes "
		"ORDER BY 1, 2",
		see_image, w);
	db_each(db, "SELECT slot, generation FROM slots ORDER BY slot", see_slot, w);
	(void)sqlite3_close(db);
}

bool world_has(const char *table, uint32_t owner, const char *name)
{
	sqlite3 *db = db_open(SQLITE_OPEN_READONLY);
	sqlite3_stmt *st = NULL;
	bool is = false;
	char sql[100];

	(void)snprintf(sql, sizeof(sql), "SELECT 1 FROM %s WHERE owner = ?1 AND name = ?2", table);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK) {
		(void)sqlite3_bind_int64(st, 1, owner);
		(void)sqlite3_bind_text(st, 2, name, -1, SQLITE_STATIC);
		is = sqlite3_step(st) == SQLITE_ROW;
	}
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return is;
}

bool world_is(const char *sql)
{
	sqlite3 *db = db_open(SQLITE_OPEN_READONLY);
	sqlite3_stmt *st = NULL;
	bool is = sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
		  sqlite3_step(st) == SQLITE_ROW;

	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return is;
}

void world_sql(const char *sql)
{
	sqlite3 *db = db_open(SQLITE_OPEN_READWRITE);
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		bail("%s: %s", sql, why);
	(void)sqlite3_close(db);
}

static struct world *look(void)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	see_database(&w);
	char net[300]; /* a sysfs of this network namespace */
	(void)snprintf(net, sizeof(net), "%s/sys/class/net", work_dir);
	each_name(net, see_link, &w);
	see_nft(&w);
	char vm[200];
	(void)snprintf(vm, sizeof(vm), "%s/vm", config.cgroup_dir);
	each_name(vm, see_cgroup, &w);
	each_name("/proc", see_process, &w);
	each_name("/sys/block", see_block, &w);
	see_files(&w);
	return &w;
}

void world_read(struct text *t)
{
	*t = look()->dump;
}

/* ---- judgement ---- */

static struct row *owner_of(struct world *w, struct tag t, enum thing kind)
{
	for (size_t i = 0; i < w->n_vms; i++) {
		struct tag v = w->vms[i].tag;
		if (v.slot == t.slot && (kind == T_LOOP_COW || v.generation == t.generation) &&
		    (kind == T_LOOP_COW || kind == T_DM || v.owner == t.owner))
			return &w->vms[i];
	}
	return NULL;
}

static unsigned count(const struct world *w, const struct row *r, enum thing kind)
{
	unsigned n = 0;

	for (size_t i = 0; i < w->n_things; i++)
		n += w->things[i].kind == kind && w->things[i].tag.slot == r->tag.slot;
	return n;
}

bool world_has_dm(void)
{
	return access("/sys/class/misc/device-mapper", F_OK) == 0;
}

static bool is_loop(enum thing k)
{
	return k == T_LOOP_BASE || k == T_LOOP_COW;
}

/* What a running VM must have, and nothing else. */
static bool wanted(const struct row *r, enum thing k)
{
	if (k == T_NAT)
		return r->nat;
	return k == T_TAP || k == T_GUEST || k == T_VMM || world_has_dm();
}

/* Is there a tap of that slot, its VMM's, that is up, in our bridge with its MAC, and apart from
 * the others? */
static bool has_port(const struct world *w, unsigned slot)
{
	char want[64], uid[32];

	(void)snprintf(want, sizeof(want), " master %s isolated 1 mac 1", config.bridge);
	(void)snprintf(uid, sizeof(uid), "bgr%u uid %u ", slot, config.uid_base + slot);
	for (size_t i = 0; i < w->n_things; i++) {
		const char *flags = strstr(w->things[i].what, " flags 0x");
		if (w->things[i].kind == T_TAP && w->things[i].tag.slot == slot && flags)
			return strtoul(flags + 7, NULL, 16) & 1 &&
			       strstr(w->things[i].what, want) &&
			       strncmp(w->things[i].what, uid, strlen(uid)) == 0;
	}
	return false;
}

static void judge_running(const struct world *w, const struct row *r, struct text *f)
{
	for (int k = 0; k < THINGS; k++) {
		bool should = wanted(r, k);
		if (k != T_LOOP_BASE && count(w, r, k) != should)
			text_add(f, "%s %s runs and has %u of %s\n",
				 count(w, r, k) > should ? "leak" : "lie", r->name, count(w, r, k),
				 thing_names[k]);
		if (r->ledger[k] != should || r->releasing[k])
			text_add(f, "lie %s runs and its ledger has %s%s\n", r->name,
				 thing_names[k], should ? " not as present" : "");
	}
	if (r->tag.slot < SLOTS && w->processes[r->tag.slot] != 1)
		text_add(f, "lie %s runs and has %u processes\n", r->name,
			 w->processes[r->tag.slot]);
	if (count(w, r, T_TAP) == 1 && !has_port(w, r->tag.slot))
		text_add(f, "lie %s runs and its tap is no port of the bridge\n", r->name);
}

static void judge_resting(const struct world *w, const struct row *r, struct text *f)
{
	for (int k = 0; k < THINGS; k++) {
		if (k != T_LOOP_BASE && count(w, r, k))
			text_add(f, "leak %s is %s and has a %s\n", r->name, r->state,
				 thing_names[k]);
		if (r->ledger[k])
			text_add(f, "lie %s is %s and its ledger has %s\n", r->name, r->state,
				 thing_names[k]);
	}
	if (r->tag.slot < SLOTS && w->processes[r->tag.slot])
		text_add(f, "leak %s is %s and has a process\n", r->name, r->state);
	if (strstr(r->runtime, "\"tap\"") || strstr(r->runtime, "\"pid\"") ||
	    strstr(r->runtime, "loop") || strstr(r->runtime, "\"dm\""))
		text_add(f, "lie %s is %s and its runtime is %s\n", r->name, r->state, r->runtime);
}

/* Whatever is there has a row in the ledger: only so can it be given back. */
static void judge_degraded(const struct world *w, const struct row *r, struct text *f)
{
	for (int k = 0; k < THINGS; k++)
		if (!is_loop(k) && count(w, r, k) && !r->ledger[k])
			text_add(f, "leak %s is degraded, has a %s, and its ledger does not\n",
				 r->name, thing_names[k]);
	if (!r->reason[0] && strcmp(r->state, "degraded") == 0)
		text_add(f, "lie %s is degraded without a reason\n", r->name);
}

static bool excused(const struct row *r, const char *state)
{
	return strcmp(r->state, state) == 0 && world_excuse.may_be &&
	       world_excuse.may_be(r->tag.owner, r->name, state);
}

/* It can only be deleted. */
static bool incomplete(const struct row *r)
{
	return strcmp(r->state, "failed") == 0 || strcmp(r->state, "creating") == 0;
}

static void judge_vm(const struct world *w, const struct row *r, enum strictness how,
		     struct text *f)
{
	bool settled = how > J_RESTED;

	if (strcmp(r->state, "running") == 0)
		judge_running(w, r, f);
	else if (strcmp(r->state, "created") == 0 || strcmp(r->state, "stopped") == 0)
		judge_resting(w, r, f);
	else if ((!settled && strcmp(r->state, "degraded") == 0) || excused(r, "degraded"))
		judge_degraded(w, r, f);
	else if (how == J_FAILED &&
		 (strcmp(r->state, "stopping") == 0 || strcmp(r->state, "starting") == 0))
		judge_degraded(w, r, f); /* the commit of its end was what failed */
	else if ((!settled && incomplete(r)) || excused(r, "failed"))
		judge_resting(w, r, f);
	else
		text_add(f, "lie %s is %s: %s\n", r->name, r->state, r->reason);
}

static void judge_owners(struct world *w, struct text *f)
{
	for (size_t i = 0; i < w->n_things; i++) {
		enum thing k = w->things[i].kind;
		if (k != T_LOOP_BASE && !owner_of(w, w->things[i].tag, k))
			text_add(f, "leak %s %s belongs to nobody\n", thing_names[k],
				 w->things[i].what);
	}
}

static void judge_loops(const struct world *w, struct text *f)
{
	unsigned bases = 0, running = 0;

	for (size_t i = 0; i < w->n_things; i++)
		bases += w->things[i].kind == T_LOOP_BASE;
	for (size_t i = 0; i < w->n_vms; i++)
		running += strcmp(w->vms[i].state, "created") && strcmp(w->vms[i].state, "stopped");
	if (bases > (running ? running : 0))
		text_add(f, "leak %u loops of images, %u VMs run\n", bases, running);
}

/* What a slot's elements must be, as lib.sh's subnet and the documents have it, and not as the
 * set's code computes it. */
static void judge_addresses(const struct world *w, struct text *f)
{
	char want[128];

	for (size_t i = 0; i < w->n_things; i++) {
		unsigned slot = w->things[i].tag.slot;
		if (w->things[i].kind == T_NAT)
			(void)snprintf(want, sizeof(want), "\"10.97.0.%u\"", slot + 2);
		else
			(void)snprintf(
				want, sizeof(want),
				"{\"concat\":[\"bgr%u\",\"02:fc:00:00:%02x:%02x\",\"10.97.0.%u\"]}",
				slot, slot / 256 % 256, slot % 256, slot + 2);
		if ((w->things[i].kind == T_NAT || w->things[i].kind == T_GUEST) &&
		    strcmp(w->things[i].what, want) != 0)
			text_add(f, "lie element %s of slot %u\n", w->things[i].what, slot);
	}
}

static const struct row *in_slot(const struct world *w, unsigned slot)
{
	for (size_t i = 0; i < w->n_vms; i++)
		if (w->vms[i].tag.slot == slot)
			return &w->vms[i];
	return NULL;
}

static bool has_row(const struct world *w, const char *file)
{
	for (size_t i = 0; i < w->n_images; i++)
		if (strcmp(w->images[i], file) == 0)
			return true;
	return false;
}

static bool is_one_of(const char *name, const char *names)
{
	char quoted[300];

	(void)snprintf(quoted, sizeof(quoted), " %s ", name);
	return strstr(names, quoted);
}

/* The names in a slot's run folder: sockets, and Firecracker's FIFOs. */
static bool is_of_run_folder(const char *name)
{
	unsigned port;
	char end;

	return is_one_of(name, " api.sock " AGENT_VSOCK " log metrics ") ||
	       (sscanf(name, AGENT_PORT "%c", &port, &end) == 1 && port < AGENT_PORTS_MAX);
}

/* A file that nothing accounts for. */
/* An image that comes or goes; the next start removes it, as a marker beside it says. */
static bool is_pending(const struct world *w, const char *path)
{
	char marker[512];
	const char *base = strrchr(path, '/') + 1;

	base += strncmp(base, "pending-", 8) == 0 ? 8 : 0;
	(void)snprintf(marker, sizeof(marker), "/pending-%.64s\n", base);
	return strlen(base) >= 64 && strstr(w->dump.v, marker);
}

static void judge_file(const struct world *w, const char *path, enum strictness how, struct text *f)
{
	size_t state = strlen(config.state_dir), run_len = strlen(config.run_dir);
	const char *below = path + state + 1;
	unsigned slot;
	char name[256];

	if (sscanf(below, "slots/%u/", &slot) == 1 && slot < SLOTS && world_excuse.files[slot])
		return;
	if (strncmp(path, config.run_dir, run_len) == 0 &&
	    sscanf(path + run_len, "/slots/%u/%255s", &slot, name) == 2) {
		const struct row *r = in_slot(w, slot);
		bool lives = r && (strcmp(r->state, "running") == 0 || excused(r, "degraded"));
		if (!r || (how > J_RESTED && !lives) || !is_of_run_folder(name))
			text_add(f, "leak file %s\n", path);
	} else if (sscanf(below, "slots/%u/%255s", &slot, name) == 2) {
		const struct row *r = in_slot(w, slot);
		bool half = r && incomplete(r); /* they go with it */
		if (!half &&
		    (!r || !is_one_of(name, " owner kernel vmlinux initrd disk cow vol0 ")))
			text_add(f, "leak file %s\n", path);
	} else if (sscanf(below, "consoles/%u.%255s", &slot, name) == 2) {
		bool lost =
			slot < SLOTS &&
			(world_excuse.files[slot] ||
			 world_excuse.consoles[slot]); /* whoever lost the row has not lost them */
		if ((!in_slot(w, slot) && !lost) ||
		    !is_one_of(name, " fifo in log log.1 vmm vmm.1 metrics metrics.1 "))
			text_add(f, "leak file %s\n", path);
	} else if (!has_row(w, below) && !world_excuse.images &&
		   (how == J_STARTED || !is_pending(w, path))) {
		text_add(f, "leak file %s\n", path);
	}
}

static void judge_files(const struct world *w, enum strictness how, struct text *f)
{
	const char *line = w->dump.v;
	char path[512];

	for (; *line; line = strchr(line, '\n') + 1)
		if (sscanf(line, "file %299[^\n]", path) == 1)
			judge_file(w, path, how, f);
	for (size_t i = 0; i < w->n_images; i++) {
		(void)snprintf(path, sizeof(path), "file %s/%s\n", config.state_dir, w->images[i]);
		if (!strstr(w->dump.v, path) && !world_excuse.images)
			text_add(f, "lie %s has a row and no file\n", w->images[i]);
	}
	for (size_t i = 0; i < w->n_vms; i++) {
		(void)snprintf(path, sizeof(path), "file %s/slots/%u/initrd\n", config.state_dir,
			       w->vms[i].tag.slot);
		bool gone = w->vms[i].tag.slot < SLOTS && world_excuse.files[w->vms[i].tag.slot];
		if (!strstr(w->dump.v, path) && !incomplete(&w->vms[i]) && !gone)
			text_add(f, "lie %s has no files\n", w->vms[i].name);
	}
}

void world_judge(struct text *faults, enum strictness how)
{
	struct world *w = look();

	for (size_t i = 0; i < w->n_vms; i++)
		judge_vm(w, &w->vms[i], how, faults);
	judge_owners(w, faults);
	judge_loops(w, faults);
	judge_addresses(w, faults);
	judge_files(w, how, faults);
	if (how == J_STARTED && w->open_operations)
		text_add(faults, "lie %zu operations have no end\n", w->open_operations);
}

struct seen world_vm(const char *name)
{
	static struct world w;
	struct seen s = { 0 };

	memset(&w, 0, sizeof(w));
	see_database(&w);
	for (size_t i = 0; i < w.n_vms; i++)
		if (strcmp(w.vms[i].name, name) == 0) {
			const struct row *r = &w.vms[i];
			memcpy(s.id, r->id, sizeof(s.id));
			memcpy(s.state, r->state, sizeof(s.state));
			memcpy(s.reason, r->reason, sizeof(s.reason));
			s.slot = r->tag.slot;
			s.generation = r->tag.generation;
			s.nat = r->nat;
			s.vmm = world_vmm(s.slot);
		}
	return s;
}

size_t world_vms(struct known_vm *out, size_t room)
{
	struct world *w = look();
	size_t n = w->n_vms < room ? w->n_vms : room;

	for (size_t i = 0; i < n; i++) {
		const struct row *r = &w->vms[i];
		struct known_vm *k = &out[i];
		*k = (struct known_vm){ .owner = r->tag.owner,
					.slot = r->tag.slot,
					.generation = r->tag.generation,
					.nat = r->nat,
					.wanted = r->wanted,
					.processes = r->tag.slot < SLOTS ? w->processes[r->tag.slot]
									 : 0,
					.taps = count(w, r, T_TAP) };
		memcpy(k->id, r->id, sizeof(k->id));
		memcpy(k->name, r->name, sizeof(k->name));
		memcpy(k->state, r->state, sizeof(k->state));
		memcpy(k->reason, r->reason, sizeof(k->reason));
		memcpy(k->restart, r->restart, sizeof(k->restart));
	}
	return n;
}

pid_t world_vmm(unsigned slot)
{
	char dir[200], prefix[16], line[32];
	struct dirent **list;
	pid_t pid = 0;

	(void)snprintf(dir, sizeof(dir), "%s/vm", config.cgroup_dir);
	(void)snprintf(prefix, sizeof(prefix), "%u.", slot);
	int n = scandir(dir, &list, NULL, NULL);
	for (int i = 0; i < n; i++) {
		if (strncmp(list[i]->d_name, prefix, strlen(prefix)) == 0 &&
		    read_line(line, sizeof(line), "%s/%s/cgroup.procs", dir, list[i]->d_name))
			pid = atoi(line);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return pid;
}

/* ---- what is not ours ---- */

static struct text decoys;
static pid_t decoy_process;

static void decoys_read(struct text *t)
{
	static char out[65536];
	char line[300];

	*t = (struct text){ 0 };
	(void)run(out, sizeof(out),
		  (const char *const[]){ "nft", "-s", "list", "table", "inet", "decoy", NULL });
	text_add(t, "%s", out);
	(void)run(out, sizeof(out),
		  (const char *const[]){ "ip", "-d", "-o", "link", "show", "bgrdecoy", NULL });
	text_add(t, "%s", out);
	(void)snprintf(line, sizeof(line), "%s/decoy.loop", work_dir);
	(void)run(out, sizeof(out),
		  (const char *const[]){ "losetup", "-n", "-O", "NAME,BACK-FILE", "-j", line,
					 NULL });
	text_add(t, "%s", out);
	(void)read_line(line, sizeof(line), "%s-decoy/cgroup.procs", config.cgroup_dir);
	text_add(t, "cgroup %s alive %d\n", line, kill(decoy_process, 0));
}

void decoys_make(void)
{
	char path[300], text[1000], out[1000];

	(void)snprintf(text, sizeof(text),
		       "set -e; nft add table inet decoy; nft 'add set inet decoy nat4 { type "
		       "ipv4_addr; elements = { 10.97.0.2 }; }';"
		       "ip tuntap add bgrdecoy mode tap; truncate -s 1M %s/decoy.loop; losetup -f "
		       "%s/decoy.loop; mkdir -p %s-decoy",
		       work_dir, work_dir, config.cgroup_dir);
	if (run(out, sizeof(out), (const char *const[]){ "bash", "-c", text, NULL }) != 0)
		bail("the decoys can not be made");
	decoy_process = fork();
	if (decoy_process == 0)
		for (;;)
			(void)pause();
	(void)snprintf(path, sizeof(path), "%s-decoy/cgroup.procs", config.cgroup_dir);
	FILE *f = fopen(path, "we");
	if (!f || fprintf(f, "%d", decoy_process) < 0 || fclose(f) != 0)
		bail("%s: %s", path, strerror(errno));
	decoys_read(&decoys);
}

void decoys_remove(void)
{
	char text[300], out[100];

	(void)kill(decoy_process, SIGKILL);
	(void)snprintf(text, sizeof(text),
		       "losetup -d $(losetup -n -O NAME -j %s/decoy.loop); rmdir %s-decoy",
		       work_dir, config.cgroup_dir);
	(void)run(out, sizeof(out), (const char *const[]){ "bash", "-c", text, NULL });
}

void decoys_judge(struct text *faults)
{
	static struct text now;

	decoys_read(&now);
	if (strcmp(now.v, decoys.v) != 0)
		text_add(faults, "lie something that is not ours has changed: %s\n", now.v);
}
