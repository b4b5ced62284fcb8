/* place.h - the files of the request logs: where they are, and the parts of each in order. */
#ifndef BANGER_CLI_AUDIT_PLACE_H
#define BANGER_CLI_AUDIT_PLACE_H

#include "controller/cli/cli.h"

#define AUDIT_ROLES 3
extern const char *const audit_roles[AUDIT_ROLES];

/* The parts of one role's log, the oldest first; the last one is ROLE.log itself. */
struct audit_files {
	char (*paths)[512];
	size_t n;
};

/* The folder of the logs: --logs, or that of the configuration.  @run_dir: out, may be NULL.
 * Return: 0, or -1 with @e. */
int audit_place(const struct cli *c, char *dir, size_t size, char run_dir[128], struct error *e);

/* List the files of @role in @dir.  Return: 0, or -1 with @e: there is none, or the caller may not
 * read it. */
int audit_list(const char *dir, const char *role, struct audit_files *files, struct error *e);
void audit_files_free(struct audit_files *files);

/* True if the log of @role in @dir has no key: its records are chained, and prove nothing against
 * root.  False too if the caller may not read the key file, or the log has had more than 20 million
 * records. */
bool audit_unkeyed(const char *dir, const char *role);

/* Return: false with @e if --role names none. */
bool audit_role_known(const struct cli *c, struct error *e);

struct archive;

/* Make a reader of a log file, plain or compressed by gzip as logrotate(8) does it.  libarchive's
 * other formats are left out: it finds some, such as uuencode, behind any number of lines, and has
 * others unpacked by a program; a role that was taken over can append both to its log.
 * Return: to be freed by archive_read_free(), or NULL. */
struct archive *audit_reader(void);

#endif
