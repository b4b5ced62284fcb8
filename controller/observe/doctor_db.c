/* doctor_db.c - checks of the state database on read-only connections of its own; it needs no
 * running service. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/parse.h"
#include "controller/db/check.h"
#include "controller/db/connection.h"
#include "controller/db/schema.h"
#include "controller/observe/doctor.h"
#include "controller/observe/report.h"
#include "controller/paths.h"
#include "controller/db/preflight.h"
#include "controller/storage/image_files.h"
#include "controller/storage/slot_owner.h"

#define LOG_LEAST (8u << 20)
#define LOG_MOST (64u << 20)
#define HINT_PUT_BACK                                                                            \
	"stop the service, keep the file, put a backup in its place without its -wal and -shm, " \
	"and start it"

struct db_report {
	struct report r;
	const struct config *config;
	char path[200];
	sqlite3 *db; /* NULL: can not be read */
	unsigned backups;
	bool all; /* the caller may see numbers of all users' objects */
};

static void close_db(sqlite3 **db)
{
	(void)sqlite3_close(*db);
}

/* ---- the file ---- */

static void check_folder(struct db_report *l)
{
	const char *dir = l->config->state_dir;
	struct statvfs v;

	if (statvfs(dir, &v) < 0)
		report_row(&l->r, "folder", FAIL, "see that state_dir in banger.conf is right",
			   "%s: %s", dir, strerrordesc_np(errno));
	else if (v.f_flag & ST_RDONLY)
		report_row(&l->r, "folder", FAIL,
			   "mount it writable again; the kernel's log says why it is not",
			   "%s is on a read-only file system", dir);
	else if (access(dir, W_OK) < 0)
		report_row(&l->r, "folder", FAIL, "chown it to the controller's account", "%s: %s",
			   dir, strerrordesc_np(errno));
	else
		report_row(&l->r, "folder", PASS, "", "%s", dir);
}

/* Check type, size and permissions of the file.  Return: true when it can be opened. */
static bool check_file(struct db_report *l)
{
	struct stat st, log;
	char name[sizeof(l->path) + sizeof("-wal")];

	(void)snprintf(name, sizeof(name), "%s-wal", l->path);
	if (stat(l->path, &st) < 0) {
		bool fresh = errno == ENOENT && l->backups == 0;
		report_row(&l->r, "database", fresh ? SKIP : FAIL,
			   fresh ? "the service makes it"
				 : "put the backup in its place: without it, the next start knows "
				   "no VM",
			   "%s: %s", l->path, strerrordesc_np(errno));
		return false;
	}
	if (st.st_size == 0 && stat(name, &log) == 0) {
		report_row(&l->r, "database", FAIL, HINT_PUT_BACK,
			   "%s is empty, but has a log: it was cut", l->path);
		return false;
	}
	if (!S_ISREG(st.st_mode) || (lstat(name, &log) == 0 && !S_ISREG(log.st_mode))) {
		report_row(&l->r, "database", FAIL, HINT_PUT_BACK,
			   "%s or its log is not a regular file", l->path);
		return false;
	}
	if (access(l->path, R_OK | W_OK) == 0)
		return true;
	report_row(&l->r, "database", FAIL, "chown it to the controller's account", "%s: %s",
		   l->path, strerrordesc_np(errno));
	return false;
}

static bool check_whole(struct db_report *l)
{
	struct error e = { 0 };
	char wrong[160] = "";

	if (!check_file(l))
		return false;
	if (sqlite3_open_v2(l->path, &l->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW, NULL) !=
		    SQLITE_OK ||
	    sqlite3_busy_timeout(l->db, 1000) != SQLITE_OK || db_integrity(l->db, wrong) < 0)
		(void)db_fail(l->db, l->path, &e);
	if (e.code != FAIL_NONE)
		report_row(&l->r, "database", FAIL, e.hint, "%s: %s", e.what, e.why);
	else if (wrong[0])
		report_row(&l->r, "database", FAIL, HINT_PUT_BACK, "%s is damaged: %s", l->path,
			   wrong);
	else
		report_row(&l->r, "database", PASS, "", "%s is whole (integrity_check)", l->path);
	return e.code == FAIL_NONE && !wrong[0];
}

static void check_schema(struct db_report *l)
{
	int version = -1;

	(void)db_schema_version(l->db, &version);
	if (version == schema_known())
		report_row(&l->r, "schema", PASS, "", "%d, as this program writes it", version);
	else if (version > schema_known())
		report_row(&l->r, "schema", FAIL,
			   "install the newer banger again, or put a backup of this schema in its "
			   "place",
			   "%d, and this program knows up to %d", version, schema_known());
	else
		report_row(&l->r, "schema", version < 0 ? FAIL : WARN,
			   "the next start of the service migrates it, with a backup first",
			   "%d, and this program writes %d", version, schema_known());
}

/* ---- backups, log, space ---- */

/* Check a copy: banger.db.backup, banger.db.rescued or banger.db.v2.  No process writes to a copy,
 * so it is opened as immutable, and SQLite makes no files beside it (sqlite.org/uri.html). */
static void check_backup(struct db_report *l, const char *name)
{
	sqlite3 *db __attribute__((cleanup(close_db))) = NULL;
	char uri[480], wrong[160] = "", made[32];
	int version = -1, vms = -1;
	struct stat st;

	l->backups++;
	(void)snprintf(uri, sizeof(uri), "%s/%s", l->config->state_dir, name);
	if (lstat(uri, &st) < 0 || !S_ISREG(st.st_mode)) {
		report_row(&l->r, "backup", WARN, "remove it: it is of no use",
			   "%s is not a regular file", name);
		return;
	}
	time_text((uint64_t)st.st_mtime * 1000000000u, made);
	(void)snprintf(uri, sizeof(uri), "file:%s/%s?immutable=1", l->config->state_dir, name);
	if (sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) != SQLITE_OK ||
	    db_integrity(db, wrong) < 0 || wrong[0] || db_schema_version(db, &version) < 0 ||
	    db_count_vms(db, &vms) < 0) {
		report_row(&l->r, "backup", WARN, "remove it: it is of no use", "%s: %s", name,
			   wrong[0] ? wrong : sqlite3_errmsg(db));
		return;
	}
	if (l->all)
		report_row(&l->r, "backup", PASS, "", "%s: whole, of %.19sZ, schema %d, %d VMs",
			   name, made, version, vms);
	else
		report_row(&l->r, "backup", PASS, "", "%s: whole, of %.19sZ, schema %d", name, made,
			   version);
}

static bool is_backup(const char *name)
{
	static const char head[] = "banger.db.";
	const char *tail = name + sizeof(head) - 1;

	if (strncmp(name, head, sizeof(head) - 1) != 0)
		return false;
	uint64_t version;
	return strcmp(tail, "backup") == 0 || strcmp(tail, "rescued") == 0 ||
	       (tail[0] == 'v' && tail[1] != '0' &&
		parse_uint(tail + 1, 1, (uint64_t)schema_known(), &version) == 0);
}

static void check_backups(struct db_report *l)
{
	DIR *d = opendir(l->config->state_dir);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (is_backup(entry->d_name))
			check_backup(l, entry->d_name);
	if (d)
		(void)closedir(d);
	if (!l->backups)
		report_row(&l->r, "backup", WARN,
			   "a service that runs makes one a day, and one before each migration",
			   "there is none");
}

static void check_log(struct db_report *l)
{
	char name[sizeof(l->path) + sizeof("-wal")];
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s-wal", l->path);
	if (stat(name, &st) < 0)
		st.st_size = 0;
	if (st.st_size < LOG_LEAST || (uint64_t)st.st_blocks * 512 < LOG_LEAST)
		report_row(&l->r, "log", WARN, "make room, then restart the service",
			   "%" PRIu64
			   " KiB: no space is reserved for stops and deletes on a full disk",
			   (uint64_t)st.st_size >> 10);
	else if (st.st_size > LOG_MOST)
		report_row(&l->r, "log", WARN,
			   "end other programs that read the database; `fuser -v` names them",
			   "%" PRIu64 " MiB: it can not be written back to the database",
			   (uint64_t)st.st_size >> 20);
	else
		report_row(&l->r, "log", PASS, "",
			   "%" PRIu64 " MiB, reserved for stops and deletes on a full disk",
			   (uint64_t)st.st_size >> 20);
}

static void check_space(struct db_report *l)
{
	uint64_t mib;

	if (room_mib(l->config, &mib) < 0)
		return; /* check_folder() has reported the reason */
	report_row(&l->r, "space",
		   mib < ROOM_LEAST_MIB        ? FAIL
		   : mib < 16 * ROOM_LEAST_MIB ? WARN
					       : PASS,
		   "delete VMs or images, or make room: stop and delete work meanwhile",
		   "%" PRIu64 " MiB free; below %u nothing new is begun", mib, ROOM_LEAST_MIB);
}

/* ---- rows against files ---- */

static void check_slots(struct db_report *l)
{
	unsigned foreign = 0, unowned = 0, first = 0; /* slots with files of another VM, of no VM */
	char where[48] = "";

	for (uint32_t slot = 0; slot < SLOT_MAX; slot++) {
		struct storage_owner o;
		uint8_t id[ID_LEN] = { 0 };
		enum storage_mark mark = storage_owner(l->config, slot, &o);
		int used = mark == STORAGE_EMPTY ? -1 : db_slot_holder(l->db, slot, id);
		bool wrong = used > 0 && mark == STORAGE_MARKED && memcmp(id, o.vm, ID_LEN) != 0;
		if (!wrong && used != 0)
			continue;
		if (!foreign && !unowned)
			first = slot;
		foreign += wrong;
		unowned += used == 0;
	}
	if (l->all)
		(void)snprintf(where, sizeof(where), ": %u, first: slot %u",
			       foreign ? foreign : unowned, first);
	if (foreign)
		report_row(&l->r, "slots", FAIL,
			   "this database is older than the host: put the newer one back, or "
			   "delete these VMs",
			   "VMs have slots with other VMs' files%s", where);
	else if (unowned)
		report_row(&l->r, "slots", WARN,
			   "put back a newer database that names them, or `banger host gc` removes "
			   "them",
			   "slots have files without a VM%s", where);
	else
		report_row(&l->r, "slots", PASS, "", "all files in slots belong to the slots' VMs");
}

/* Counts files without a row. */
struct file_count {
	sqlite3 *db;
	enum artifact_type type;
	unsigned n;
	bool failed; /* a row could not be read */
};

static void count_file(void *arg, int dir, const char *digest)
{
	struct file_count *x = arg;

	if (artifact_is_marked(dir, digest))
		return;
	int found = db_has_digest(x->db, x->type, digest);
	x->n += found == 0;
	x->failed |= found < 0;
}

/* Count image or kernel files without a row.  Return: their number, or -1. */
static int files_without_row(struct db_report *l, enum artifact_type type)
{
	struct file_count x = { .db = l->db, .type = type };
	struct error ignored;
	int r = artifact_files_each(l->config, type, count_file, &x, &ignored);

	return r < 0 || x.failed ? -1 : (int)x.n;
}

/* Counts rows without a file. */
struct row_count {
	const struct config *config;
	enum artifact_type type;
	int n;
};

static void count_row(void *arg, const char *digest)
{
	struct row_count *x = arg;
	char path[256];

	if (x->type == ARTIFACT_KERNEL)
		path_kernel(x->config, digest, "kernel", path);
	else if (x->type == ARTIFACT_VOLUME)
		path_volume(x->config, digest, path);
	else
		path_image(x->config, digest, path);
	x->n += access(path, F_OK) < 0 && errno == ENOENT;
}

/* Count rows of images or kernels whose file does not exist.  Return: their number, or -1. */
static int rows_without_file(struct db_report *l, enum artifact_type type)
{
	struct row_count x = { .config = l->config, .type = type };

	return db_digests_each(l->db, type, count_row, &x) < 0 ? -1 : x.n;
}

static void check_images(struct db_report *l)
{
	int images = files_without_row(l, ARTIFACT_IMAGE);
	int kernels = files_without_row(l, ARTIFACT_KERNEL);
	int gone = rows_without_file(l, ARTIFACT_IMAGE);
	int gone_kernels = rows_without_file(l, ARTIFACT_KERNEL);
	char how_many[64] = "";

	if (images < 0 || kernels < 0 || gone < 0 || gone_kernels < 0) {
		report_row(&l->r, "images", WARN,
			   "check that the folders images and kernels exist, then try again",
			   "files and rows can not be compared");
		return;
	}
	if (gone + gone_kernels) {
		if (l->all)
			(void)snprintf(how_many, sizeof(how_many), ": %d images, %d kernels", gone,
				       gone_kernels);
		report_row(&l->r, "images", FAIL, "import the same files again, under any name",
			   "rows name files that do not exist%s", how_many);
	} else if (images + kernels) {
		if (l->all)
			(void)snprintf(how_many, sizeof(how_many), ": of %d images, %d kernels",
				       images, kernels);
		report_row(&l->r, "images", WARN,
			   "put back a newer database that names them, or `banger host gc` removes "
			   "them",
			   "files have no row%s", how_many);
	} else {
		report_row(&l->r, "images", PASS, "",
			   "each file of an image or a kernel has its row");
	}
}

static void check_volumes(struct db_report *l)
{
	int files = files_without_row(l, ARTIFACT_VOLUME);
	int gone = rows_without_file(l, ARTIFACT_VOLUME);
	char how_many[32] = "";

	if (files < 0 || gone < 0)
		return; /* an older schema has no volumes */
	if (l->all)
		(void)snprintf(how_many, sizeof(how_many), ": %d", gone ? gone : files);
	if (gone)
		report_row(&l->r, "volumes", FAIL,
			   "put the files back from a backup, or delete the volumes and their VMs",
			   "rows name volumes whose files do not exist%s", how_many);
	else if (files)
		report_row(&l->r, "volumes", WARN,
			   "put back a newer database that names them, or `banger host gc` removes "
			   "them",
			   "files of volumes have no row%s", how_many);
	else
		report_row(&l->r, "volumes", PASS, "", "each file of a volume has its row");
}

static void check_ledger(struct db_report *l)
{
	int left = -1;

	if (db_count_releasing(l->db, &left) < 0)
		return; /* an older schema has no ledger */
	if (left)
		report_row(&l->r, "ledger", WARN,
			   "`banger vm list` names the VMs and the reasons; the release is tried "
			   "again every 15 s",
			   "%d objects are not released yet", left);
	else
		report_row(&l->r, "ledger", PASS, "", "no object waits for its release");
}

unsigned doctor_db(const struct config *config, bool all,
		   int (*tell)(void *arg, const struct ev_check *row), void *arg)
{
	struct db_report l = { .r = { .tell = tell, .arg = arg }, .config = config, .all = all };

	path_database(config, l.path);
	check_folder(&l);
	check_backups(&l);
	bool whole = check_whole(&l);
	if (whole)
		check_schema(&l);
	check_log(&l);
	check_space(&l);
	if (whole) {
		check_slots(&l);
		check_images(&l);
		check_volumes(&l);
		check_ledger(&l);
	}
	(void)sqlite3_close(l.db);
	return l.r.failed;
}
