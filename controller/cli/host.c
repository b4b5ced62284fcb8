/* host.c - version, audit and doctor: of the host rather than of a VM. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/conn.h"
#include "controller/cli/out.h"
#include "controller/cli/proc.h"

/* ---- version ---- */

int cmd_version(struct cli *c)
{
	struct res_version r;
	struct error e;
	const struct reply_to to = { .timeout_ms = 5000 };
	bool there = conn_call(c, CALL_VERSION, NULL, NULL, &to, &r, &e) == 0;

	if (c->opt.format == FORMAT_JSON)
		return out_json(c, json_pack("{s:s, s:i, s:o, s:o}", "client", BANGER_VERSION, "protocol", CONTROL_VERSION,
					     "daemon", there ? json_string(r.version) : json_null(),
					     "daemon_protocol", there ? json_integer((json_int_t)r.protocol) : json_null()));
	fprintf(c->out, "banger %s (protocol %d)\n", BANGER_VERSION, CONTROL_VERSION);
	if (there)
		fprintf(c->out, "daemon %s (protocol %u)\n", r.version, (unsigned)r.protocol);
	else
		fprintf(c->out, "daemon: %s\n", e.why);
	return 0;
}

/* ---- audit ---- */

struct audit {
	struct cli *c;
	json_t *json;
};

static int audit_line(void *arg, const struct event *event, const union control_body *body, struct error *e)
{
	struct audit *a = arg;

	(void)e;
	if (event->id != EVENT_LINE)
		return 0;
	if (a->c->opt.format == FORMAT_JSON) {
		json_t *o = json_loads(body->ev_line.text, 0, NULL);
		json_array_append_new(a->json, o ? o : json_string(body->ev_line.text));
	} else {
		fprintf(a->c->out, "%s\n", body->ev_line.text);
	}
	return 0;
}

int cmd_audit_show(struct cli *c)
{
	struct audit audit = { .c = c, .json = json_array() };
	const struct reply_to to = { .event = audit_line, .arg = &audit };
	struct call_audit_show a = { 0 };
	struct res_audit_show r;
	struct error e = { 0 };
	int ret = 0;

	if (text_put(a.op, sizeof(a.op), "operation", c->npos ? c->pos[0] : "", &e) < 0 ||
	    conn_call(c, CALL_AUDIT_SHOW, &a, NULL, &to, &r, &e) < 0)
		ret = out_error(c, &e);
	else if (c->opt.format == FORMAT_JSON)
		ret = out_json(c, json_incref(audit.json));
	json_decref(audit.json);
	return ret;
}

/* ---- doctor ---- */

struct doctor {
	struct cli *c;
	json_t *json;
	struct table table;
	unsigned failed;
	const char *where;
};

static void check(struct doctor *d, const char *name, const char *verdict, const char *text, const char *hint)
{
	d->failed += strcmp(verdict, "FAIL") == 0;
	if (d->c->opt.format == FORMAT_JSON) {
		json_array_append_new(d->json, json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name, "verdict", verdict,
							 "text", text, "hint", hint, "where", d->where));
		return;
	}
	(void)table_add(&d->table, (const char *const[TABLE_COLUMNS]){ verdict, d->where, name, text });
	if (*hint && strcmp(verdict, "PASS") != 0)
		(void)table_add(&d->table, (const char *const[TABLE_COLUMNS]){ " ", " ", " ", hint });
}

static void check_kvm(struct doctor *d)
{
	_cleanup_close_ int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		check(d, "kvm", "PASS", "/dev/kvm opens", "");
	else if (errno == ENOENT)
		check(d, "kvm", "WARN", "no /dev/kvm: guests are emulated, several times slower",
		      "enable virtualization, load kvm_intel or kvm_amd");
	else
		check(d, "kvm", "SKIP", "/dev/kvm is not for this user; the daemon knows better", "");
}

/* Programs that this program runs; none of them is needed for every command. */
static void check_programs(struct doctor *d)
{
	static const struct {
		const char *program, *package, *for_what, *verdict;
	} list[] = {
		{ "ssh", "openssh-client", "vm run, ssh, exec", "FAIL" },
		{ "ssh-keygen", "openssh-client", "vm run, create", "FAIL" },
		{ "qemu-system-x86_64", "qemu-system-x86", "running guests without Firecracker", "WARN" },
		{ "mmdebstrap", "mmdebstrap", "image build", "WARN" },
		{ "mke2fs", "e2fsprogs", "image build", "WARN" },
		{ "busybox", "busybox-static", "kernel import", "WARN" },
		{ "depmod", "kmod", "kernel import", "WARN" },
	};
	char text[128], hint[96];

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		bool there = proc_exists(list[i].program);
		(void)snprintf(text, sizeof(text), "%s (for: %s)", there ? "there" : "not there", list[i].for_what);
		(void)snprintf(hint, sizeof(hint), "install the package %s", list[i].package);
		check(d, list[i].program, there ? "PASS" : list[i].verdict, text, there ? "" : hint);
	}
}

static int daemon_check(void *arg, const struct event *event, const union control_body *body, struct error *e)
{
	(void)e;
	if (event->id == EVENT_CHECK)
		check(arg, body->ev_check.name, body->ev_check.verdict, body->ev_check.text, body->ev_check.hint);
	return 0;
}

static void check_daemon(struct doctor *d)
{
	const struct reply_to to = { .event = daemon_check, .arg = d, .timeout_ms = 60000 };
	struct res_doctor r;
	struct error e;

	int fd = conn_open(&e);
	if (fd < 0) {
		check(d, "daemon", "FAIL", e.why, e.hint);
		return;
	}
	(void)close(fd);
	check(d, "daemon", "PASS", conn_path(), "");
	d->where = "daemon";
	if (conn_call(d->c, CALL_DOCTOR, NULL, NULL, &to, &r, &e) < 0)
		check(d, "answer", "FAIL", e.why, e.hint);
}

int cmd_doctor(struct cli *c)
{
	struct doctor d = { .c = c, .json = json_array(), .where = "here",
			    .table = { .head = { "VERDICT", "WHERE", "CHECK", "FOUND" } } };
	int ret = 0;

	check_kvm(&d);
	check_programs(&d);
	check_daemon(&d);
	if (c->opt.format == FORMAT_JSON)
		ret = out_json(c, json_incref(d.json));
	else
		table_print(&d.table, c->out);
	json_decref(d.json);
	table_free(&d.table);
	return d.failed ? FAIL_HOST : ret;
}
