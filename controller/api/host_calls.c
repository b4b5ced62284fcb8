/* host_calls.c - handlers of the requests about the host: version, request log, doctor, reconcile,
 * drain. */
#include "controller/api/host_calls.h"

#include <string.h>

#include "controller/db/db.h"
#include "controller/observe/audit.h"
#include "controller/observe/doctor.h"
#include "controller/lifecycle/drain.h"
#include "controller/recovery/online.h"
#include "controller/storage/image_gc.h"

int api_version(struct exchange *x)
{
	COPY(x->result.res_version.version, BANGER_VERSION);
	x->result.res_version.protocol = CONTROL_VERSION;
	return EXCHANGE_DONE;
}

static int send_line(void *arg, const char *json)
{
	struct ev_line ev = { 0 };

	COPY(ev.text, json);
	return exchange_event(arg, EVENT_LINE, &ev);
}

int api_audit_show(struct exchange *x)
{
	const char *op = x->args.audit_show.op;
	struct audit_query q = { .asker = &x->caller, .op = op, .line = send_line, .arg = x };
	const struct call_audit_show *a = &x->args.audit_show;
	struct audit_count count;
	uint8_t id[ID_LEN];

	if (op[0] && parse_id(op, id) < 0) {
		(void)error_set(&x->error, FAIL_USAGE, "audit", "\"%s\" is no operation's id", op);
		error_hint(&x->error, "it has %d digits, 0-9 and a-f, as a command printed it",
			   ID_HEX - 1);
		return EXCHANGE_FAILED;
	}
	int ours = op[0] ? db_op_visible(x->ctl->db, &x->caller, op, &x->error) : 0;
	if (ours < 0)
		return EXCHANGE_FAILED;
	q.op_is_ours = ours > 0;
	q.from[0] = a->net;
	q.from[1] = a->blk;
	q.from[2] = a->spawn;
	if (audit_read(x->ctl->config.log_dir, &q, &count, &x->error) < 0)
		return EXCHANGE_FAILED;
	x->result.res_audit_show = (struct res_audit_show){ .count = count.shown,
							    .net = count.end[0],
							    .blk = count.end[1],
							    .spawn = count.end[2] };
	return EXCHANGE_DONE;
}

static int send_check(void *arg, const struct ev_check *row)
{
	return exchange_event(arg, EVENT_CHECK, row);
}

int api_doctor(struct exchange *x)
{
	x->result.res_doctor.failed = doctor_run(x->ctl, send_check, x);
	return EXCHANGE_DONE;
}

int api_doctor_db(struct exchange *x)
{
	x->result.res_doctor_db.failed = doctor_db(&x->ctl->config, access_sees_all(&x->caller),
						   send_check, x);
	return EXCHANGE_DONE;
}

static void send_finding(void *arg, const char *line)
{
	(void)send_line(arg, line);
}

static bool may_host(struct exchange *x)
{
	if (access_allows(&x->caller, ACCESS_HOST, 0))
		return true;
	(void)error_set(&x->error, FAIL_NOT_ALLOWED, "host", "only root may maintain the host");
	return false;
}

int api_host_drain(struct exchange *x)
{
	struct drained d;

	if (!may_host(x) || host_drain(x->ctl, x->args.host_drain.timeout_ms, &d, &x->error) < 0)
		return EXCHANGE_FAILED;
	x->result.res_host_drain =
		(struct res_host_drain){ .vms = d.vms, .killed = d.killed, .left = d.left };
	return EXCHANGE_DONE;
}

struct finding {
	struct exchange *x;
	unsigned found;
};

static void found_image(void *arg, const char *line)
{
	struct finding *f = arg;

	f->found++;
	send_finding(f->x, line);
}

/* Remove image files without a row.  Only `host gc` does so, since an administrator may still
 * restore a database that names them. */
static int gc_images(struct exchange *x, bool dry_run, struct repaired *n)
{
	struct finding f = { .x = x };
	int failed = images_gc(x->ctl, dry_run, found_image, &f, &x->error);

	if (failed < 0)
		return -1;
	n->found += f.found;
	n->failed += (unsigned)failed;
	n->mended += dry_run ? 0 : f.found - (unsigned)failed;
	return 0;
}

int api_host_reconcile(struct exchange *x)
{
	const struct call_host_reconcile *a = &x->args.host_reconcile;
	struct res_host_reconcile *res = &x->result.res_host_reconcile;
	const struct repair_options options = {
		.restore = a->restore,
		.dry_run = a->dry_run,
		.report = send_finding,
		.arg = x,
	};
	struct repaired n;

	if (!may_host(x))
		return EXCHANGE_FAILED;
	if (online_repair(x->ctl, &options, &n, &x->error) < 0)
		return EXCHANGE_FAILED;
	if (!a->restore && gc_images(x, a->dry_run, &n) < 0)
		return EXCHANGE_FAILED;
	res->found = n.found;
	res->mended = n.mended;
	res->failed = n.failed;
	return EXCHANGE_DONE;
}
