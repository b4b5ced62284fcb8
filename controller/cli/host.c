/* host.c - version, reconcile, gc and drain: the commands for the host. */
#include <string.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/conn.h"
#include "controller/cli/out.h"

/* ---- version ---- */

int cmd_version(struct cli *c)
{
	struct res_version r;
	struct error e;
	const struct reply_to to = { .timeout_ms = 5000 };
	bool there = conn_call(c, CALL_VERSION, NULL, NULL, &to, &r, &e) == 0;

	if (c->opt.format == FORMAT_JSON)
		return out_json(c, json_pack("{s:s, s:i, s:o, s:o}", "client", BANGER_VERSION,
					     "protocol", CONTROL_VERSION, "daemon",
					     there ? json_string(r.version) : json_null(),
					     "daemon_protocol",
					     there ? json_integer((json_int_t)r.protocol)
						   : json_null()));
	fprintf(c->out, "banger %s (protocol %d)\n", BANGER_VERSION, CONTROL_VERSION);
	if (there)
		fprintf(c->out, "daemon %s (protocol %u)\n", r.version, (unsigned)r.protocol);
	else
		fprintf(c->out, "daemon: %s\n", e.why);
	return 0;
}

/* ---- reconcile and gc ---- */

struct findings {
	struct cli *c;
	json_t *json;
};

static int finding(void *arg, const struct event *event, const union control_body *body,
		   struct error *e)
{
	struct findings *a = arg;

	(void)e;
	if (event->id != EVENT_LINE)
		return 0;
	if (a->c->opt.format == FORMAT_JSON)
		json_array_append_new(a->json, json_string(body->ev_line.text));
	else
		fprintf(a->c->out, "%s\n", body->ev_line.text);
	return 0;
}

int cmd_host_reconcile(struct cli *c)
{
	struct findings found = { .c = c, .json = json_array() };
	const struct reply_to to = { .event = finding, .arg = &found, .timeout_ms = 600000 };
	struct call_host_reconcile a = { .restore = strcmp(c->command->verb, "reconcile") == 0,
					 .dry_run = c->opt.dry_run };
	struct res_host_reconcile r;
	struct error e = { 0 };
	int ret = 0;

	if (conn_call(c, CALL_HOST_RECONCILE, &a, NULL, &to, &r, &e) < 0)
		ret = out_error(c, &e);
	else if (c->opt.format == FORMAT_JSON)
		ret = out_json(c, json_pack("{s:O, s:I, s:I, s:I}", "findings", found.json, "found",
					    (json_int_t)r.found, "mended", (json_int_t)r.mended,
					    "failed", (json_int_t)r.failed));
	else
		fprintf(c->out, "%u found, %u mended, %u failed\n", (unsigned)r.found,
			(unsigned)r.mended, (unsigned)r.failed);
	json_decref(found.json);
	if (ret == 0 && r.failed)
		out_note(c, "the service's log says what could not be mended; a restart of the "
			    "service removes orphans");
	return ret ? ret : r.failed ? FAIL_GENERAL : 0;
}

/* ---- drain ---- */

#define DRAIN_MS 60000 /* less than the stop time-out of banger-vms.service */

int cmd_host_drain(struct cli *c)
{
	struct call_host_drain a = { .timeout_ms = c->opt.timeout_ms ? c->opt.timeout_ms
								     : DRAIN_MS };
	const struct reply_to to = { .timeout_ms = (int)a.timeout_ms + 120000 };
	struct res_host_drain r;
	struct error e = { 0 };

	if (conn_call(c, CALL_HOST_DRAIN, &a, NULL, &to, &r, &e) < 0)
		return out_error(c, &e);
	if (c->opt.format == FORMAT_JSON)
		return out_json(c, json_pack("{s:I, s:I, s:I}", "vms", (json_int_t)r.vms, "killed",
					     (json_int_t)r.killed, "left", (json_int_t)r.left));
	fprintf(c->out, "%u VMs ended, %u of them killed\n", (unsigned)(r.vms - r.left),
		(unsigned)r.killed);
	return r.left ? FAIL_GENERAL : 0;
}
