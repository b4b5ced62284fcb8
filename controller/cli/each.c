#include "controller/cli/each.h"

#include "controller/cli/out.h"

static void one_done(struct cli *c, const char *ref, const char *said, json_t *all, json_t *result)
{
	if (c->opt.format == FORMAT_JSON) {
		json_object_set_new(result, "target", json_string(ref));
		json_array_append(all, result);
	} else {
		fprintf(c->out, "%s%s%s\n", ref, c->opt.format == FORMAT_NAME ? "" : ": ",
			c->opt.format == FORMAT_NAME ? "" : said);
		fflush(c->out);
	}
}

int each_target(struct cli *c, one_fn one)
{
	json_t *all = json_array();
	int failed = 0, status = 0, ret = 0;

	for (int i = 0; i < c->npos; i++) {
		const char *said = "done";
		json_t *result = NULL;
		struct error e = { 0 };
		if (one(c, c->pos[i], &said, &result, &e) == 0) {
			one_done(c, c->pos[i], said, all, result ? result : (result = json_object()));
		} else if (e.code == FAIL_NOT_FOUND && c->opt.if_exists) {
			one_done(c, c->pos[i], "not there", all, result = json_object());
		} else {
			failed++;
			status = out_error(c, &e);
		}
		json_decref(result);
	}
	if (c->opt.format == FORMAT_JSON)
		ret = out_json(c, json_incref(all));
	json_decref(all);
	if (failed)
		return c->npos > 1 ? FAIL_PARTLY : status;
	return ret;
}
