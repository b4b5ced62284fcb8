#include <errno.h>
#include <pwd.h>
#include <string.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/conn.h"
#include "controller/cli/each.h"
#include "controller/cli/holders.h"
#include "controller/cli/images.h"
#include "controller/cli/out.h"
#include "controller/cli/proc.h"
#include "controller/cli/run.h"
#include "controller/cli/ssh.h"
#include "controller/cli/volume.h"

static int take_vm(void *arg, const struct event *event, const union control_body *body,
		   struct error *e)
{
	(void)e;
	if (event->id == EVENT_VM)
		memcpy(arg, &body->ev_vm, sizeof(body->ev_vm));
	return 0;
}

int vm_lookup(struct cli *c, const char *ref, struct ev_vm *vm, struct error *e)
{
	return vm_lookup_within(c, ref, 0, vm, e);
}

int vm_lookup_within(struct cli *c, const char *ref, int timeout_ms, struct ev_vm *vm,
		     struct error *e)
{
	const struct reply_to to = { .event = take_vm, .arg = vm, .timeout_ms = timeout_ms };
	struct call_vm_show a = { 0 };
	struct res_vm_show r;

	memset(vm, 0, sizeof(*vm));
	if (text_put(a.vm, sizeof(a.vm), "VM", ref, e) < 0 ||
	    conn_call(c, CALL_VM_SHOW, &a, NULL, &to, &r, e) < 0)
		return -1;
	return vm->id[0] ? 0 : error_set(e, FAIL_GENERAL, ref, "the daemon's answer is empty");
}

int vm_create_args(struct cli *c, struct call_vm_create *a, const char *name, const char *key,
		   struct error *e)
{
	const struct options *o = &c->opt;

	memset(a, 0, sizeof(*a));
	if (text_put(a->name, sizeof(a->name), "name", name, e) < 0 ||
	    text_put(a->image, sizeof(a->image), "image", o->image, e) < 0 ||
	    text_put(a->ssh_key, sizeof(a->ssh_key), "ssh key", key, e) < 0 ||
	    volumes_put(&o->volumes, a->volumes, sizeof(a->volumes), e) < 0)
		return -1;
	a->vcpus = o->vcpus;
	a->mem_mib = o->mem_mib;
	a->disk_mib = o->disk_mib;
	a->nat = o->nat == 2;
	a->restart = o->restart;
	a->restart_max = o->restart_max;
	a->auto_stop_s = o->auto_stop_s;
	return 0;
}

/* ---- create and list ---- */

int vm_check_name(const char *name, struct error *e)
{
	struct call_vm_create a;

	return text_put(a.name, sizeof(a.name), "name", name, e);
}

int cmd_vm_create(struct cli *c)
{
	const char *name = c->npos ? c->pos[0] : c->opt.name;
	struct error e = { 0 };
	struct call_vm_create a;
	struct res_vm_create r;
	char image[80];
	struct ssh s;

	if (vm_check_name(name, &e) < 0 || volumes_check(&c->opt.volumes, &e) < 0 ||
	    image_for_vm(c, NULL, image, &e) < 0 || volumes_make(c, &e) < 0 ||
	    ssh_prepare(c, &s, true, &e) < 0 || vm_create_args(c, &a, name, s.line, &e) < 0 ||
	    conn_call(c, CALL_VM_CREATE, &a, NULL, NULL, &r, &e) < 0)
		return out_error(c, &e);
	if (c->opt.format == FORMAT_JSON)
		return out_json(c, out_fields_json(control_call(CALL_VM_CREATE)->result(), &r));
	fprintf(c->out, "%s\n", r.name);
	return 0;
}

/* Write the owner's name, or the number if the host has no name for it.  The daemon never looks up
 * names; the command line may. */
static void format_owner(uint64_t uid, char out[40])
{
	const struct passwd *pw = getpwuid((uid_t)uid);

	if (pw)
		(void)snprintf(out, 40, "%.39s", pw->pw_name);
	else
		(void)snprintf(out, 40, "%u", (unsigned)uid);
}

static void table_row(struct table *t, const struct ev_vm *vm)
{
	char size[64], mem[16], disk[16], owner[40], age[16], state[24];

	(void)snprintf(state, sizeof(state), "%s%s", vm->ready ? "ready" : vm->state,
		       vm->hold[0] ? ", held" : "");
	format_owner(vm->owner, owner);
	format_age(vm->created, age);
	format_size(vm->mem_mib << 20, mem);
	format_size(vm->disk_mib << 20, disk);
	(void)snprintf(size, sizeof(size), "%u/%s/%s", (unsigned)vm->vcpus, mem, disk);
	(void)table_add(t, (const char *const[TABLE_COLUMNS]){ vm->name, state, vm->ip,
							       vm->nat ? "yes" : "no", size,
							       vm->image, age, owner });
}

static int list_vm(void *arg, const struct event *event, const union control_body *body,
		   struct error *e)
{
	struct listing *l = arg;

	(void)e;
	if (event->id == EVENT_VM && listing_take(l, event, &body->ev_vm, body->ev_vm.name))
		table_row(&l->table, &body->ev_vm);
	return 0;
}

int cmd_vm_list(struct cli *c)
{
	struct listing l = { .c = c,
			     .json = json_array(),
			     .table = { .head = { "NAME", "STATE", "IP", "NAT", "CPUS/MEM/DISK",
						  "IMAGE", "AGE", "OWNER" } } };
	const struct reply_to to = { .event = list_vm, .arg = &l };
	struct call_vm_list a = { .all = c->opt.all };
	struct res_vm_list r;
	struct error e;

	return listing_end(&l, conn_call(c, CALL_VM_LIST, &a, NULL, &to, &r, &e), &e);
}

/* ---- show ---- */

static void show_value(struct cli *c, const char *prefix, const char *key, const json_t *v)
{
	char label[48], size[16];

	(void)snprintf(label, sizeof(label), "%s%s", prefix, key);
	fprintf(c->out, "%-20s  ", label);
	if (strcmp(key, "memory") == 0 || strcmp(key, "disk") == 0) {
		format_size((uint64_t)json_integer_value(v), size);
		fprintf(c->out, "%s\n", size);
	} else if (json_is_integer(v)) {
		fprintf(c->out, "%lld\n", (long long)json_integer_value(v));
	} else if (json_is_boolean(v)) {
		fputs(json_is_true(v) ? "yes\n" : "no\n", c->out);
	} else {
		const char *s = json_string_value(v);
		fprintf(c->out, "%s\n", s && *s ? s : "-");
	}
}

int cmd_vm_show(struct cli *c)
{
	struct error e = { 0 };
	struct ev_vm vm;
	const char *key, *inner;
	json_t *v, *w;

	if (vm_lookup(c, c->pos[0], &vm, &e) < 0)
		return out_error(c, &e);
	if (c->opt.format == FORMAT_NAME) {
		fprintf(c->out, "%s\n", vm.name);
		return 0;
	}
	json_t *o = out_event_json(control_event(EVENT_VM), &vm);
	if (c->opt.format == FORMAT_JSON)
		return out_json(c, o);
	json_object_foreach(o, key, v) if (!json_is_object(v)) show_value(c, "", key, v);
	json_object_foreach(json_object_get(o, "runtime"), inner, w) if (!json_is_null(w))
		show_value(c, "runtime ", inner, w);
	json_decref(o);
	return 0;
}

int cmd_vm_set(struct cli *c)
{
	struct call_vm_set a = { .vcpus = c->opt.vcpus,
				 .mem_mib = c->opt.mem_mib,
				 .nat = c->opt.nat,
				 .restart = c->opt.restart,
				 .restart_max = c->opt.restart_max,
				 .auto_stop_s = c->opt.auto_stop_s };
	struct res_vm_set r;
	struct error e = { 0 };

	if (!a.vcpus && !a.mem_mib && !a.nat && !a.restart && !a.auto_stop_s) {
		error_set(&e, FAIL_USAGE, "set", "nothing to set: see banger vm set --help");
		return out_error(c, &e);
	}
	if (text_put(a.vm, sizeof(a.vm), "VM", c->pos[0], &e) < 0 ||
	    conn_call(c, CALL_VM_SET, &a, NULL, NULL, &r, &e) < 0)
		return out_error(c, &e);
	if (c->opt.format == FORMAT_JSON)
		return out_json(c, out_fields_json(control_call(CALL_VM_SET)->result(), &r));
	if (a.vcpus || a.mem_mib)
		out_note(c, "processors and memory change at the next start");
	return 0;
}

/* ---- one or several ---- */

/* A stop, kill or delete fails while another program uses the VM's disk: name that program in the
 * hint.  Return: -1. */
static int release_failed(struct cli *c, const char *ref, struct error *e)
{
	struct error ignored = { 0 };
	struct ev_vm vm;

	if (e->code == FAIL_GENERAL && vm_lookup(c, ref, &vm, &ignored) == 0)
		holders_hint(vm.runtime_dm, e);
	return -1;
}

static int start_one(struct cli *c, const char *ref, const char **said, json_t **result,
		     struct error *e)
{
	struct call_vm_start a = { 0 };
	struct res_vm_start r;

	if (text_put(a.vm, sizeof(a.vm), "VM", ref, e) < 0 ||
	    conn_call(c, CALL_VM_START, &a, NULL, NULL, &r, e) < 0)
		return -1;
	*said = r.already ? "already running" : "started";
	*result = out_fields_json(control_call(CALL_VM_START)->result(), &r);
	return 0;
}

static int stop_one(struct cli *c, const char *ref, const char **said, json_t **result,
		    struct error *e)
{
	struct call_vm_stop a = { .timeout_ms = c->opt.timeout_ms };
	struct res_vm_stop r;

	if (text_put(a.vm, sizeof(a.vm), "VM", ref, e) < 0 ||
	    conn_call(c, CALL_VM_STOP, &a, NULL, NULL, &r, e) < 0)
		return release_failed(c, ref, e);
	*said = r.already  ? "already stopped"
		: r.forced ? "stopped (killed: the guest did not shut down)"
			   : "stopped";
	*result = out_fields_json(control_call(CALL_VM_STOP)->result(), &r);
	return 0;
}

static int restart_one(struct cli *c, const char *ref, const char **said, json_t **result,
		       struct error *e)
{
	json_t *first = NULL;

	if (stop_one(c, ref, said, &first, e) < 0)
		return -1;
	json_decref(first);
	if (start_one(c, ref, said, result, e) < 0)
		return -1;
	*said = "restarted";
	return 0;
}

static int kill_one(struct cli *c, const char *ref, const char **said, json_t **result,
		    struct error *e)
{
	struct call_vm_kill a = { 0 };
	struct res_vm_kill r;

	if (text_put(a.vm, sizeof(a.vm), "VM", ref, e) < 0 ||
	    conn_call(c, CALL_VM_KILL, &a, NULL, NULL, &r, e) < 0)
		return release_failed(c, ref, e);
	*said = r.already ? "already stopped" : "killed";
	*result = out_fields_json(control_call(CALL_VM_KILL)->result(), &r);
	return 0;
}

static int delete_one(struct cli *c, const char *ref, const char **said, json_t **result,
		      struct error *e)
{
	struct call_vm_delete a = { 0 };
	struct res_vm_delete r;
	struct ev_vm vm;

	/* Look the id up first: ssh_forget() needs it, and the deletion removes it. */
	if (vm_lookup(c, ref, &vm, e) < 0)
		return -1;
	(void)strcpy(a.vm, vm.id);
	if (conn_call(c, CALL_VM_DELETE, &a, NULL, NULL, &r, e) < 0)
		return release_failed(c, vm.id, e);
	ssh_forget(vm.id);
	*said = "deleted";
	*result = out_fields_json(control_call(CALL_VM_DELETE)->result(), &r);
	return 0;
}

int cmd_vm_start(struct cli *c)
{
	return each_target(c, start_one);
}

int cmd_vm_stop(struct cli *c)
{
	return each_target(c, stop_one);
}

int cmd_vm_restart(struct cli *c)
{
	return each_target(c, restart_one);
}

int cmd_vm_kill(struct cli *c)
{
	return each_target(c, kill_one);
}

int cmd_vm_delete(struct cli *c)
{
	return each_target(c, delete_one);
}

/* ---- logs ---- */

struct logs {
	struct cli *c;
	struct clean clean;
};

static int log_bytes(void *arg, const struct event *event, const union control_body *body,
		     struct error *e)
{
	struct logs *l = arg;
	char clean[sizeof(body->ev_bytes.data.v) + 1];
	const char *out = (const char *)body->ev_bytes.data.v;
	size_t n = body->ev_bytes.data.n;

	if (event->id != EVENT_BYTES)
		return 0;
	if (l->c->out_tty) {
		n = clean_bytes(&l->clean, out, n, clean);
		out = clean;
	}
	if (fwrite(out, 1, n, l->c->out) != n || fflush(l->c->out) != 0) {
		l->c->output_told = true;
		return error_set(e, FAIL_GENERAL, "standard output", "can not be written: %s",
				 strerror(errno));
	}
	return 0;
}

int cmd_vm_logs(struct cli *c)
{
	struct logs l = { .c = c };
	const struct reply_to to = { .event = log_bytes, .arg = &l };
	struct call_vm_logs a = { .follow = c->opt.follow, .what = c->opt.what };
	struct res_vm_logs r;
	struct error e = { 0 };

	if (c->opt.what == 3)
		return guest_journal(c);
	if (text_put(a.vm, sizeof(a.vm), "VM", c->pos[0], &e) < 0 ||
	    conn_call(c, CALL_VM_LOGS, &a, NULL, &to, &r, &e) < 0)
		return out_error(c, &e);
	return 0;
}
