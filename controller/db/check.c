/* check.c - checks the integrity of a state database; it changes nothing. */
#include "controller/db/check.h"

#include <stdio.h>
#include <string.h>

static int take_first(void *arg, int n, char **values, char **names)
{
	char *out = arg;

	(void)names;
	if (!out[0])
		(void)snprintf(out, 160, "%s", n && values[0] ? values[0] : "?");
	return 0;
}

/* Make one line of a finding of integrity_check: "*** in database main ***\nTree 4 page 4: ...". */
static void one_line(char *text)
{
	const char *last = strrchr(text, '\n');

	if (last && last[1])
		memmove(text, last + 1, strlen(last + 1) + 1);
	text[strcspn(text, "\n")] = '\0';
}

int db_integrity(sqlite3 *db, char wrong[160])
{
	char table[160] = "";

	wrong[0] = '\0';
	if (sqlite3_exec(db, "PRAGMA integrity_check(1)", take_first, wrong, NULL) != SQLITE_OK)
		return -1;
	if (strcmp(wrong, "ok") != 0) {
		one_line(wrong);
		return 0;
	}
	wrong[0] = '\0';
	if (sqlite3_exec(db, "PRAGMA foreign_key_check", take_first, table, NULL) != SQLITE_OK)
		return -1;
	if (table[0])
		(void)snprintf(wrong, 160, "a row of %.100s refers to one that is not there",
			       table);
	return 0;
}
