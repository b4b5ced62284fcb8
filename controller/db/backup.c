/* backup.c - copies the state database, and checks that its file is still in its place while it is
 * open. */
#include "controller/db/backup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/db/connection.h"

static int fill_copy(sqlite3 *db, const char *to)
{
	sqlite3 *copy = NULL;
	int rc = sqlite3_open_v2(to, &copy, SQLITE_OPEN_READWRITE, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_backup *b = sqlite3_backup_init(copy, "main", db, "main");
		rc = b ? sqlite3_backup_step(b, -1) : SQLITE_ERROR;
		if (b)
			(void)sqlite3_backup_finish(b);
	}
	(void)sqlite3_close(copy);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* Sync the folder of @path, so that the copy's name is on the disk before the original changes. */
static int sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[512] = ".";

	if (slash)
		(void)snprintf(folder, sizeof(folder), "%.*s",
			       slash == path ? 1 : (int)(slash - path), path);
	_cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

int db_copy(sqlite3 *db, const char *to)
{
	char part[520];

	(void)snprintf(part, sizeof(part), "%s.part", to);
	(void)unlink(part);
	_cleanup_close_ int fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0 && fill_copy(db, part) == 0 && rename(part, to) == 0 && sync_folder(to) == 0)
		return 0;
	(void)unlink(part);
	return -1;
}

int db_backup(struct db *s, unsigned age_s, struct error *e)
{
	char to[300];
	struct stat st;
	sqlite3 *db = NULL;

	if (db_in_memory(s->path))
		return 0;
	(void)snprintf(to, sizeof(to), "%s.backup", s->path);
	time_t now = time(NULL);
	/* A backup with a time in the future was made while the clock was wrong: it is replaced. */
	if (stat(to, &st) == 0 && st.st_mtime <= now && now - st.st_mtime < (time_t)age_s)
		return 0;
	/* The copy uses a connection of its own, since it would block the shared one. */
	bool made = sqlite3_open_v2(s->path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW,
				    NULL) == SQLITE_OK &&
		    sqlite3_busy_timeout(db, 1000) == SQLITE_OK && db_copy(db, to) == 0;
	(void)sqlite3_close(db);
	return made ? 1 : error_set(e, FAIL_HOST, to, "the state database can not be copied");
}

/* ---- removed or replaced while it is open ---- */

bool db_has_moved(sqlite3 *db)
{
	int moved = 0;

	return sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
	       moved;
}

int db_in_place(struct db *s, const char *what, struct error *e)
{
	if (!db_has_moved(s->sqlite))
		return 0;
	(void)error_set(e, FAIL_HOST, what,
			"the state database was removed or replaced while it is in use");
	error_hint(e,
		   "stop the service, put %s.rescued in its place, without -wal and -shm, and "
		   "start it: VMs run on",
		   s->path);
	return -1;
}

int db_rescue(struct db *s, struct error *e)
{
	char to[300];

	(void)snprintf(to, sizeof(to), "%s.rescued", s->path);
	read_begin(s);
	int r = db_copy(s->sqlite, to);
	if (r < 0)
		(void)error_set(&s->why, FAIL_HOST, to, "the state database can not be copied");
	return read_end(s, r, to, e);
}
