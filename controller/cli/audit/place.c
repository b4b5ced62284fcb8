#include "controller/cli/audit/place.h"

#include <archive.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "common/error.h"

const char *const audit_roles[AUDIT_ROLES] = { "net", "blk", "spawn" };

int audit_place(const struct cli *c, char *dir, size_t size, char run_dir[128], struct error *e)
{
	const char *path = c->opt.config ? c->opt.config : CONFIG_DEFAULT_PATH;
	struct config config;

	if (run_dir)
		(void)snprintf(run_dir, 128, "/run/banger");
	(void)snprintf(dir, size, "%s", c->opt.logs ? c->opt.logs : "/var/log/banger");
	if (c->opt.logs || (!c->opt.config && access(path, F_OK) < 0))
		return 0;
	if (config_load(path, 0, &config) < 0)
		return error_set(e, FAIL_USAGE, "audit", "%s can not be used", path);
	(void)snprintf(dir, size, "%s", config.log_dir);
	if (run_dir)
		(void)snprintf(run_dir, 128, "%s", config.run_dir);
	return 0;
}

/* Names of rotated files end with their time (logrotate.conf), so that they sort by it. */
int audit_list(const char *dir, const char *role, struct audit_files *files, struct error *e)
{
	char pattern[256];
	glob_t old = { 0 };

	memset(files, 0, sizeof(*files));
	(void)snprintf(pattern, sizeof(pattern), "%s/%s.log-*", dir, role);
	int r = glob(pattern, GLOB_ERR, NULL, &old);
	if (r != 0 && r != GLOB_NOMATCH && r != GLOB_ABORTED)
		return error_set(e, FAIL_GENERAL, "audit", "out of memory");
	files->paths = calloc(old.gl_pathc + 1, sizeof(files->paths[0]));
	for (size_t i = 0; files->paths && i < old.gl_pathc; i++)
		(void)snprintf(files->paths[files->n++], sizeof(files->paths[0]), "%s",
			       old.gl_pathv[i]);
	globfree(&old);
	if (!files->paths)
		return error_set(e, FAIL_GENERAL, "audit", "out of memory");
	(void)snprintf(files->paths[files->n++], sizeof(files->paths[0]), "%s/%s.log", dir, role);
	if (access(files->paths[files->n - 1], R_OK) == 0)
		return 0;
	int saved = errno;
	(void)error_set(e, saved == ENOENT ? FAIL_NOT_FOUND : FAIL_NOT_ALLOWED, "audit", "%s: %s",
			files->paths[files->n - 1], strerrordesc_np(saved));
	if (saved == EACCES)
		error_hint(e, "root and members of the group banger-audit may read it");
	audit_files_free(files);
	return -1;
}

void audit_files_free(struct audit_files *files)
{
	free(files->paths);
	memset(files, 0, sizeof(*files));
}

struct archive *audit_reader(void)
{
	struct archive *a = archive_read_new();

	if (a && archive_read_support_filter_gzip(a) >= ARCHIVE_WARN &&
	    archive_read_support_format_raw(a) == ARCHIVE_OK &&
	    archive_read_support_format_empty(a) == ARCHIVE_OK)
		return a;
	archive_read_free(a);
	return NULL;
}

bool audit_role_known(const struct cli *c, struct error *e)
{
	for (size_t i = 0; c->opt.role && i < AUDIT_ROLES; i++)
		if (strcmp(c->opt.role, audit_roles[i]) == 0)
			return true;
	if (!c->opt.role)
		return true;
	(void)error_set(e, FAIL_USAGE, "audit", "\"%s\" is no role: net, blk or spawn",
			c->opt.role);
	return false;
}
