/* open.c - opens, checks and closes the state database.
 *
 * Database and log are checked before anything is written, and before the log is written back to
 * the database.  A database that is refused stays as it was, for an administrator to examine.
 *
 * The log's file stays when the connection is closed (keep_room()).  If an administrator then
 * replaces the database by a copy, the log of the old database must not be applied to the copy.
 * Therefore a clean close marks the log as empty.  After a crash only the check at the next open
 * detects such a mixture. */
#include "controller/db/open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "controller/db/backup.h"
#include "controller/db/check.h"
#include "controller/db/connection.h"
#include "controller/json.h"
#include "controller/db/schema.h"

/* Size of the log's file.  SQLite checkpoints after 1,000 pages, 4 MiB; as much again is for
 * commits while a checkpoint can not write. */
#define LOG_ROOM (8 << 20)
#define LOG_HEADER 32
#define DB_PIECE (1 << 20)

static void log_path(const char *path, char out[272])
{
	(void)snprintf(out, 272, "%s-wal", path);
}

/* ---- open ---- */

static int open_fail(const char *path, struct error *e)
{
	int saved = errno;

	(void)error_set(e, FAIL_HOST, path, "%s", strerrordesc_np(saved));
	if (saved == ENOSPC || saved == EDQUOT)
		error_hint(e, "free some space on the file system of the state directory");
	else if (saved == EACCES || saved == EPERM)
		error_hint(e, "it must belong to the controller's account: chown it as the folder "
			      "around it");
	else if (saved == EROFS)
		error_hint(e, "mount its file system writable again; the kernel's log says why it "
			      "is not");
	else if (saved == ELOOP)
		error_hint(e, "it must be a file, not a link to one");
	return -1;
}

/* Make the file with mode 0600 before SQLite opens it; SQLite gives the log and its index the same
 * mode (os_unix.c).  Refuse an empty file that has a log: it was truncated, and SQLite would take
 * it for a new database and delete the log. */
static int make_private(const char *path, struct error *e)
{
	struct stat st;
	char log[272];

	if (db_in_memory(path))
		return 0;
	_cleanup_close_ int old = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (old < 0 && errno == ENOENT) {
		_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		return fd < 0 ? open_fail(path, e) : 0;
	}
	if (old < 0 || fstat(old, &st) < 0)
		return open_fail(path, e);
	if (!S_ISREG(st.st_mode))
		return error_set(e, FAIL_HOST, path, "it is not a regular file");
	log_path(path, log);
	struct stat beside;
	bool has_log = lstat(log, &beside) == 0;
	if (has_log && !S_ISREG(beside.st_mode))
		return error_set(e, FAIL_HOST, log, "it is not a regular file");
	if (st.st_size > 0 || !has_log)
		return 0;
	(void)error_set(e, FAIL_HOST, path,
			"the state database is empty, but has a log: it was cut");
	error_hint(e, DB_HINT_DAMAGED);
	return -1;
}

static int check_database(struct db *s, struct error *e)
{
	char wrong[160];

	if (schema_check(s->sqlite, s->path, e) < 0)
		return -1;
	if (db_integrity(s->sqlite, wrong) < 0)
		return db_fail(s->sqlite, s->path, e);
	if (!wrong[0])
		return 0;
	(void)error_set(e, FAIL_HOST, s->path, "the state database is damaged: %s", wrong);
	error_hint(e, DB_HINT_DAMAGED);
	return -1;
}

static int configure(struct db *s, struct error *e)
{
	static const char settings[] =
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
		"PRAGMA trusted_schema = OFF;";

	if (sqlite3_exec(s->sqlite, settings, NULL, NULL, NULL) != SQLITE_OK)
		return db_fail(s->sqlite, s->path, e);
	return 0;
}

/* Forbid or allow the checkpoint that the close of the connection makes
 * (SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE).  It is forbidden until the database is checked. */
static int forbid_checkpoint(sqlite3 *db, int yes)
{
	return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, yes, NULL);
}

/* Ignore the code of a database: the schema has no trigger and no view, so one there was put there
 * by a controller that was taken over. */
static int forbid_code(sqlite3 *db)
{
	int rc = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);

	return rc ? rc : sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
}

/* Reserve disk space, so that VMs can be stopped and deleted on a full disk.  The log's file is
 * extended to LOG_ROOM and stays when it is closed, so commits use allocated blocks.  The database
 * file grows in pieces, ahead of its contents. */
static void keep_room(sqlite3 *db, const char *path)
{
	static const char zeros[65536];
	int persist = 1, piece = DB_PIECE;
	char name[272];

	if (db_in_memory(path))
		return;
	(void)sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	(void)sqlite3_file_control(db, "main", SQLITE_FCNTL_CHUNK_SIZE, &piece);
	log_path(path, name);
	_cleanup_close_ int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
				      0600);
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	/* SQLite ignores data behind the last valid frame (sqlite.org/fileformat2.html, "WAL File
	 * Format"). */
	for (; size >= 0 && size < LOG_ROOM; size += (off_t)sizeof(zeros))
		if (write(fd, zeros, sizeof(zeros)) != (ssize_t)sizeof(zeros))
			break;
	if (size < LOG_ROOM)
		log_warn("%s: no space can be reserved for stops on a full disk", name);
}

/* The SQL functions access_NAME(caller's uid, owner's uid).  The result is false if an argument is
 * no uid. */
static void sql_allows(sqlite3_context *x, int n, sqlite3_value **v)
{
	const enum access_verb verb = (enum access_verb)(uintptr_t)sqlite3_user_data(x);
	const sqlite3_int64 uid = sqlite3_value_int64(v[0]), owner = sqlite3_value_int64(v[1]);
	const struct caller c = { .uid = (uid_t)uid };
	bool known = sqlite3_value_type(v[0]) == SQLITE_INTEGER &&
		     sqlite3_value_type(v[1]) == SQLITE_INTEGER && uid >= 0 && uid <= UINT32_MAX &&
		     owner >= 0 && owner <= UINT32_MAX;

	(void)n;
	sqlite3_result_int(x, known && access_allows(&c, verb, (uid_t)owner));
}

/* Register the rules of access.c as SQL functions.  SQLITE_DIRECTONLY: views and triggers of the
 * file can not call them.  Return: SQLite's code. */
static int add_access_rules(sqlite3 *db)
{
	const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
	int rc = SQLITE_OK;
	char name[32];

	for (uintptr_t v = 0; v < ACCESS_VERBS && rc == SQLITE_OK; v++) {
		(void)snprintf(name, sizeof(name), "access_%s",
			       access_verb_name((enum access_verb)v));
		rc = sqlite3_create_function_v2(db, name, 2, flags, (void *)v, sql_allows, NULL,
						NULL, NULL);
	}
	return rc;
}

static int open_checked(struct db *s, struct error *e)
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
			  (db_in_memory(s->path) ? SQLITE_OPEN_CREATE : 0);

	if (make_private(s->path, e) < 0)
		return -1;
	if (sqlite3_open_v2(s->path, &s->sqlite, flags, NULL) != SQLITE_OK ||
	    forbid_checkpoint(s->sqlite, 1) != SQLITE_OK ||
	    sqlite3_busy_timeout(s->sqlite, 5000) != SQLITE_OK ||
	    forbid_code(s->sqlite) != SQLITE_OK || add_access_rules(s->sqlite) != SQLITE_OK)
		return db_fail(s->sqlite, s->path, e);
	if (check_database(s, e) < 0 || configure(s, e) < 0 ||
	    schema_migrate(s->sqlite, s->path, e) < 0)
		return -1;
	(void)forbid_checkpoint(s->sqlite, 0);
	keep_room(s->sqlite, s->path);
	return 0;
}

struct db *db_open(const char *path, struct error *e)
{
	struct db *s = calloc(1, sizeof(*s));

	if (!s || snprintf(s->path, sizeof(s->path), "%s", path) >= (int)sizeof(s->path)) {
		(void)error_set(e, FAIL_GENERAL, path, "%s",
				s ? "the name is too long" : "out of memory");
		free(s);
		return NULL;
	}
	json_prepare();
	pthread_mutexattr_t recursive;
	(void)pthread_mutexattr_init(&recursive);
	(void)pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	(void)pthread_mutex_init(&s->lock, &recursive);
	if (open_checked(s, e) == 0)
		return s;
	db_close(s);
	return NULL;
}

/* ---- close ---- */

/* Write the log back to the database.  Return: true if all of it is there, and synced. */
static bool checkpointed(struct db *s)
{
	int frames = -1, done = -1;
	bool allowed = s->sqlite && !db_in_memory(s->path) &&
		       sqlite3_db_config(s->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1, &done) ==
			       SQLITE_OK &&
		       !done;

	return allowed &&
	       sqlite3_wal_checkpoint_v2(s->sqlite, NULL, SQLITE_CHECKPOINT_FULL, &frames, &done) ==
		       SQLITE_OK &&
	       frames >= 0 && frames == done;
}

/* Overwrite the log's header with zeros: a log without a header has no frames.  The file keeps its
 * size. */
static void empty_log(const char *path)
{
	static const char none[LOG_HEADER];
	char name[272];
	struct stat st;

	log_path(path, name);
	_cleanup_close_ int fd = open(name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < LOG_HEADER)
		return;
	if (pwrite(fd, none, sizeof(none), 0) != sizeof(none) || fdatasync(fd) < 0)
		log_errno("%s", name);
}

void db_close(struct db *s)
{
	if (!s)
		return;
	struct error e = { 0 };

	for (size_t i = 0; i < DB_STATEMENTS; i++)
		(void)sqlite3_finalize(s->cache[i].st);
	bool moved = s->sqlite && db_has_moved(s->sqlite);
	if (moved && db_rescue(s, &e) < 0)
		log_error("%s: %s", e.what, e.why);
	/* If the database was moved, a file with the log's name belongs to another database. */
	bool empty = checkpointed(s) && !moved;
	if (sqlite3_close(s->sqlite) == SQLITE_OK && empty)
		empty_log(s->path);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}
