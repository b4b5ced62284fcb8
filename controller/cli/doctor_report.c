/* doctor_report.c - the report of `banger doctor`: a row for each check, as a table or as JSON. */
#include <string.h>

#include "controller/cli/doctor.h"

void doctor_say(struct doctor *d, const char *name, const char *verdict, const char *text,
		const char *hint)
{
	d->failed += strcmp(verdict, "FAIL") == 0;
	if (d->c->opt.format == FORMAT_JSON) {
		json_array_append_new(d->json, json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name,
							 "verdict", verdict, "text", text, "hint",
							 hint, "where", d->where));
		return;
	}
	(void)table_add(&d->table,
			(const char *const[TABLE_COLUMNS]){ verdict, d->where, name, text });
	if (*hint && strcmp(verdict, "PASS") != 0)
		(void)table_add(&d->table,
				(const char *const[TABLE_COLUMNS]){ " ", " ", " ", hint });
}
