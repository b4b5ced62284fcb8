/* vm_rows.c - makes, finds, changes and deletes the rows of VMs; the runtime is stored as JSON. */
#include "controller/db/vm_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "controller/db/connection.h"
#include "controller/json.h"
#include "controller/db/slot_rows.h"
#include "controller/db/volume_rows.h"
#include "controller/id.h"

#define PREFIX_MIN 4 /* minimum of digits in a prefix of an id */

/* ---- runtime: an older or a newer program may have written it, with other members ---- */

static const char *const vmm_names[] = { "qemu", "firecracker" };
static const char *const accel_names[] = { "auto", "kvm", "tcg" };

/* Add a member unless the text is empty.  Return: 0, or -1: no memory. */
static int put_text(json_t *o, const char *key, const char *v)
{
	return v[0] ? json_object_set_new(o, key, json_string(v)) : 0;
}

static int put_int(json_t *o, const char *key, int64_t v, int64_t least)
{
	return v >= least ? json_object_set_new(o, key, json_integer(v)) : 0;
}

/* Return: the JSON text, which the caller frees; NULL without memory.  It is complete or NULL: an
 * object that it did not name would never be released. */
static char *runtime_dump(const struct vm_runtime *r)
{
	json_t *o = json_object();
	int bad = put_text(o, "boot_id", r->boot_id) | put_text(o, "tap", r->tap) |
		  put_text(o, "dm", r->dm) | put_text(o, "storage", r->storage) |
		  put_text(o, "api_socket", r->api_socket) |
		  put_int(o, "loop_base", r->loop_base, 0) |
		  put_int(o, "loop_cow", r->loop_cow, 0) | put_int(o, "pid", r->pid, 1) |
		  put_int(o, "pid_start", r->pid_start, 1);

	if (r->pid > 0 || r->boot_id[0])
		bad |= put_text(o, "vmm", vmm_names[r->vmm % ARRAY_SIZE(vmm_names)]) |
		       put_text(o, "accel", accel_names[r->accel % ARRAY_SIZE(accel_names)]);
	char *text = o && !bad ? json_write(o) : NULL;
	json_decref(o);
	return text;
}

static void get_text(json_t *o, const char *key, char *out, size_t size)
{
	const char *v = json_string_value(json_object_get(o, key));

	if (v)
		(void)snprintf(out, size, "%s", v);
}

static void get_int(json_t *o, const char *key, int64_t *out)
{
	json_t *v = json_object_get(o, key);

	if (json_is_integer(v))
		*out = json_integer_value(v);
}

static uint32_t get_name(json_t *o, const char *key, const char *const *names, size_t n)
{
	const char *v = json_string_value(json_object_get(o, key));

	for (size_t i = 0; v && i < n; i++)
		if (strcmp(v, names[i]) == 0)
			return (uint32_t)i;
	return 0;
}

/* Parse the JSON text; a text that is no JSON gives an empty runtime.  Return: 0, or -1: no
 * memory. */
static int runtime_load(const char *text, struct vm_runtime *r)
{
	json_t *o = json_read(text, strlen(text));

	*r = (struct vm_runtime){ .loop_base = -1, .loop_cow = -1 };
	if (!o && errno == ENOMEM)
		return -1;
	if (!json_is_object(o))
		log_warn("state database: the runtime of a VM is not a JSON object and is taken "
			 "for empty");
	get_text(o, "boot_id", r->boot_id, sizeof(r->boot_id));
	get_text(o, "tap", r->tap, sizeof(r->tap));
	get_text(o, "dm", r->dm, sizeof(r->dm));
	get_text(o, "storage", r->storage, sizeof(r->storage));
	get_text(o, "api_socket", r->api_socket, sizeof(r->api_socket));
	get_int(o, "loop_base", &r->loop_base);
	get_int(o, "loop_cow", &r->loop_cow);
	get_int(o, "pid", &r->pid);
	get_int(o, "pid_start", &r->pid_start);
	r->vmm = (enum vmm_kind)get_name(o, "vmm", vmm_names, ARRAY_SIZE(vmm_names));
	r->accel = get_name(o, "accel", accel_names, ARRAY_SIZE(accel_names));
	json_decref(o);
	return 0;
}

/* ---- rows ---- */

/* The column wanted: 0 no, 1 yes, or this. */
#define WANTED_REBOOTED 2

#define VM_SELECT                                                                          \
	"SELECT v.id, v.name, v.owner, i.name, i.digest, k.digest, v.slot, v.generation, " \
	"v.vcpus, v.mem_mib,"                                                              \
	" v.disk_mib, v.nat, v.restart, v.restart_max, v.auto_stop_s, v.wanted, v.hold, "  \
	"v.ssh_key, v.state, v.reason, v.created, v.started, v.op, v.runtime"              \
	" FROM vms v JOIN images i ON i.id = v.image JOIN kernels k ON k.id = i.kernel "

static enum vm_state state_parse(const char *name)
{
	for (int s = 0; s < VM_STATES; s++)
		if (strcmp(name, vm_state_name((enum vm_state)s)) == 0)
			return (enum vm_state)s;
	return VM_FAILED; /* a state of a newer program: the VM can be deleted */
}

static enum restart_policy restart_parse(const char *name)
{
	for (int p = 0; p < RESTART_POLICIES; p++)
		if (strcmp(name, restart_policy_name((enum restart_policy)p)) == 0)
			return (enum restart_policy)p;
	return RESTART_NO;
}

/* A hold of a newer program counts as one that deletes nothing. */
static enum hold hold_of(int64_t number)
{
	return number >= 0 && number < HOLDS ? (enum hold)number : HOLD_STOP;
}

static uint64_t q_get_time(struct query *q)
{
	char text[32];

	q_get_text(q, text, sizeof(text));
	return time_parse(text);
}

static uint32_t q_get_u32(struct query *q)
{
	return (uint32_t)q_get_int(q);
}

/* Read the columns of VM_SELECT into @vm.  Return: 0, or -1: no memory. */
static int vm_load(struct query *q, struct vm *vm)
{
	char state[16]; /* of the state, later of the policy */

	memset(vm, 0, sizeof(*vm));
	q_get_id(q, vm->id);
	q_get_text(q, vm->name, sizeof(vm->name));
	vm->owner = q_get_u32(q);
	q_get_text(q, vm->image, sizeof(vm->image));
	q_get_text(q, vm->image_digest, sizeof(vm->image_digest));
	q_get_text(q, vm->kernel_digest, sizeof(vm->kernel_digest));
	vm->slot = q_get_u32(q);
	vm->generation = q_get_u32(q);
	vm->vcpus = q_get_u32(q);
	vm->mem_mib = q_get_u32(q);
	vm->disk_mib = q_get_u32(q);
	vm->nat = q_get_int(q) != 0;
	q_get_text(q, state, sizeof(state));
	vm->restart = restart_parse(state);
	vm->restart_max = q_get_u32(q);
	vm->auto_stop_s = q_get_u32(q);
	const int64_t wanted = q_get_int(q);
	vm->wanted = wanted != 0;
	vm->rebooted = wanted == WANTED_REBOOTED;
	vm->hold = hold_of(q_get_int(q));
	q_get_text(q, vm->ssh_key, sizeof(vm->ssh_key));
	q_get_text(q, state, sizeof(state));
	vm->state = state_parse(state);
	q_get_text(q, vm->reason, sizeof(vm->reason));
	vm->created_ns = q_get_time(q);
	vm->started_ns = q_get_time(q);
	q_get_text(q, vm->op, sizeof(vm->op));
	const char *runtime = q_text_at(q);
	return q->rc == SQLITE_ROW ? runtime_load(runtime, &vm->runtime) : -1;
}

static int not_found(struct db *s, const char *ref)
{
	return error_set(&s->why, FAIL_NOT_FOUND, ref, "there is no such VM");
}

/* Read the only row of @q into @vm, and end @q.  Return: 0, or -1: FAIL_NOT_FOUND there is no
 * row. */
static int vm_take(struct query *q, const char *ref, struct vm *vm)
{
	int r = q_row(q);

	if (r > 0 && vm_load(q, vm) < 0)
		r = db_no_memory(q->s, ref);
	(void)q_end(q, 0);
	if (r <= 0)
		return r == 0 ? not_found(q->s, ref) : -1;
	return volume_rows_load(q->s, vm);
}

int vm_row_write(struct db *s, const struct vm *vm, const char *op)
{
	_cleanup_free_ char *runtime = runtime_dump(&vm->runtime);
	char started[32];

	if (!runtime)
		return db_no_memory(s, vm->name);
	time_text(vm->started_ns, started);
	struct query q = query(s, "UPDATE vms SET vcpus = ?1, mem_mib = ?2, nat = ?3, state = ?4, "
				  "reason = ?5, started = ?6,"
				  " op = ?7, runtime = ?8, restart = ?9, restart_max = ?10, "
				  "auto_stop_s = ?11, wanted = ?12, hold = ?13"
				  " WHERE id = ?14 RETURNING 1");
	q_int(&q, vm->vcpus);
	q_int(&q, vm->mem_mib);
	q_int(&q, vm->nat);
	q_text(&q, vm_state_name(vm->state));
	q_text(&q, vm->reason);
	q_text(&q, started);
	q_text(&q, op);
	q_text(&q, runtime);
	q_text(&q, restart_policy_name(vm->restart));
	q_int(&q, vm->restart_max);
	q_int(&q, vm->auto_stop_s);
	q_int(&q, vm->wanted && vm->rebooted ? WANTED_REBOOTED : vm->wanted);
	q_int(&q, vm->hold);
	q_blob(&q, vm->id, ID_LEN);
	int64_t found;
	if (q_one_int(&q, 0, &found) < 0)
		return -1;
	return found ? 0 : not_found(s, vm->name);
}

/* ---- create ---- */

static int check_name(struct db *s, const struct vm *vm)
{
	int64_t taken;
	struct query q = query(s, "SELECT count(*) FROM vms WHERE owner = ?1 AND name = ?2");

	q_int(&q, vm->owner);
	q_text(&q, vm->name);
	if (q_one_int(&q, 0, &taken) < 0)
		return -1;
	return taken ? error_set(&s->why, FAIL_STATE, vm->name, "you have a VM of that name") : 0;
}

static int check_cap(struct db *s, const struct vm *vm, const struct config *config)
{
	int64_t has;
	struct query q = query(s, "SELECT count(*) FROM vms WHERE owner = ?1");

	q_int(&q, vm->owner);
	if (q_one_int(&q, 0, &has) < 0)
		return -1;
	if (has < config->max_vms_per_owner)
		return 0;
	(void)error_set(&s->why, FAIL_LIMIT, vm->name,
			"you have %" PRId64 " VMs, and %u are allowed", has,
			config->max_vms_per_owner);
	error_hint(&s->why, "delete one, or ask the administrator to raise max_vms_per_owner");
	return -1;
}

/* Find the row of the VM's image: the owner may use it, and its digest is the VM's.  If there are
 * several, the one with the VM's image name is preferred. */
static int find_image(struct db *s, struct vm *vm, int64_t *image)
{
	struct query q = query(s, "SELECT i.id, i.name, k.digest FROM images i"
				  " JOIN kernels k ON k.id = i.kernel"
				  " WHERE i.digest = ?1 AND access_use(?2, i.owner)"
				  " ORDER BY i.name = ?3 DESC, i.owner = ?2 DESC, i.id LIMIT 1");
	q_text(&q, vm->image_digest);
	q_int(&q, vm->owner);
	q_text(&q, vm->image);
	int r = q_row(&q);
	char name[sizeof(vm->image)];
	if (r > 0) {
		*image = q_get_int(&q);
		q_get_text(&q, name, sizeof(name));
		q_get_text(&q, vm->kernel_digest, sizeof(vm->kernel_digest));
	}
	(void)q_end(&q, 0);
	if (r == 0)
		return error_set(&s->why, FAIL_NOT_FOUND, vm->image, "there is no such image");
	if (r > 0)
		memcpy(vm->image, name, sizeof(name));
	return r < 0 ? -1 : 0;
}

static int insert_vm(struct db *s, const struct vm *vm, int64_t image)
{
	char created[32];

	time_text(vm->created_ns, created);
	struct query q =
		query(s,
		      "INSERT INTO vms(id, owner, name, image, slot, generation, vcpus, mem_mib, "
		      "disk_mib, nat,"
		      " ssh_key, state, reason, created, started, op)"
		      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, '', '', ?12, '',"
		      " '')");
	q_blob(&q, vm->id, ID_LEN);
	q_int(&q, vm->owner);
	q_text(&q, vm->name);
	q_int(&q, image);
	q_int(&q, vm->slot);
	q_int(&q, vm->generation);
	q_int(&q, vm->vcpus);
	q_int(&q, vm->mem_mib);
	q_int(&q, vm->disk_mib);
	q_int(&q, vm->nat);
	q_text(&q, vm->ssh_key);
	q_text(&q, created);
	return q_run(&q);
}

static int create(struct db *s, struct vm *vm, const struct config *config)
{
	int64_t image = -1;

	if (check_name(s, vm) < 0 || check_cap(s, vm, config) < 0 ||
	    find_image(s, vm, &image) < 0 || slot_take(s, vm, config) < 0 ||
	    insert_vm(s, vm, image) < 0 || volume_rows_add(s, vm) < 0)
		return -1;
	return vm_row_write(s, vm, vm->op);
}

int db_vm_create(struct db *s, struct vm *vm, const struct config *config,
		 const struct operation *o, struct error *e)
{
	id_new(vm->id);
	vm->created_ns = clock_wall_ns();
	vm->started_ns = 0;
	vm->state = VM_CREATING;
	vm->reason[0] = '\0';
	vm->runtime.loop_base = vm->runtime.loop_cow = -1;
	memcpy(vm->op, o->hex, sizeof(vm->op));
	if (tx_begin(s, e) < 0)
		return -1;
	return tx_end(s, create(s, vm, config), vm->name, e);
}

/* ---- read ---- */

int db_vm_by_id(struct db *s, const uint8_t id[ID_LEN], struct vm *vm, struct error *e)
{
	char hex[ID_HEX];

	format_id(id, hex);
	read_begin(s);
	struct query q = query(s, VM_SELECT "WHERE v.id = ?1");
	q_blob(&q, id, ID_LEN);
	return read_end(s, vm_take(&q, hex, vm), hex, e);
}

static int find_name(struct db *s, uint32_t owner, const char *name, const char *ref, struct vm *vm)
{
	struct query q = query(s, VM_SELECT "WHERE v.owner = ?1 AND v.name = ?2");

	q_int(&q, owner);
	q_text(&q, name);
	return vm_take(&q, ref, vm);
}

static int find_prefix(struct db *s, const struct caller *c, const char *ref, struct vm *vm)
{
	struct query q = query(s, VM_SELECT "WHERE substr(lower(hex(v.id)), 1, length(?1)) = ?1"
					    " AND access_vm(?2, v.owner) LIMIT 2");
	q_text(&q, ref);
	q_int(&q, c->uid);
	int r = q_row(&q);
	if (r > 0) {
		if (vm_load(&q, vm) < 0)
			return q_end(&q, db_no_memory(s, ref));
		r = q_row(&q) == 0 ? 0
				   : error_set(&s->why, FAIL_USAGE, ref,
					       "more than one VM's id begins like this");
	} else if (r == 0) {
		r = not_found(s, ref);
	}
	return q_end(&q, r) < 0 ? -1 : volume_rows_load(s, vm);
}

static bool is_prefix(const char *ref)
{
	size_t n = strspn(ref, "0123456789abcdef");

	return !ref[n] && n >= PREFIX_MIN && n < ID_HEX;
}

/* Find "uid/name".  Only root may name another user's uid. */
static int find_qualified(struct db *s, const struct caller *c, const char *ref, struct vm *vm)
{
	const char *slash = strchr(ref, '/');
	char number[16];
	uint64_t uid;

	if ((size_t)(slash - ref) >= sizeof(number))
		return not_found(s, ref);
	memcpy(number, ref, (size_t)(slash - ref));
	number[slash - ref] = '\0';
	if (parse_uint(number, 0, UINT32_MAX - 1, &uid) < 0 ||
	    !access_allows(c, ACCESS_VM, (uid_t)uid))
		return not_found(s, ref);
	return find_name(s, (uint32_t)uid, slash + 1, ref, vm);
}

static int find(struct db *s, const struct caller *c, const char *ref, struct vm *vm)
{
	if (strchr(ref, '/'))
		return find_qualified(s, c, ref, vm);
	if (find_name(s, c->uid, ref, ref, vm) == 0)
		return 0;
	if (s->why.code != FAIL_NOT_FOUND || !is_prefix(ref))
		return -1;
	s->why.code = FAIL_NONE;
	return find_prefix(s, c, ref, vm);
}

int db_vm_find(struct db *s, const struct caller *c, const char *ref, struct vm *vm,
	       struct error *e)
{
	read_begin(s);
	return read_end(s, find(s, c, ref, vm), ref, e);
}

static int load_seq(struct db *s, int64_t seq, struct vm *vm, struct error *e)
{
	read_begin(s);
	struct query q = query(s, VM_SELECT "WHERE v.seq = ?1");
	q_int(&q, seq);
	return read_end(s, vm_take(&q, "VM", vm), "VM", e);
}

int db_vm_each(struct db *s, const struct caller *c, bool all,
	       int (*fn)(void *arg, const struct vm *vm), void *arg, struct error *e)
{
	struct rowids ids;
	bool everybody = !c || (all && access_sees_all(c));
	int r;

	read_begin(s);
	struct query q = query(s,
			       "SELECT seq FROM vms WHERE owner = ?1 OR ?2 ORDER BY name, owner");
	q_int(&q, c ? c->uid : 0);
	q_int(&q, everybody);
	r = read_end(s, rowids_take(&q, &ids), "VMs", e);
	for (size_t i = 0; i < ids.n && r == 0; i++) {
		struct error why;
		struct vm vm;
		if (load_seq(s, ids.v[i], &vm, &why) == 0) {
			r = fn(arg, &vm) < 0 ? -1 : 0;
		} else if (why.code != FAIL_NOT_FOUND) { /* a VM deleted meanwhile is skipped */
			*e = why;
			r = -1;
		}
	}
	free(ids.v);
	return r;
}

/* ---- change, delete ---- */

int db_vm_update(struct db *s, const struct vm *vm, struct error *e)
{
	if (tx_begin(s, e) < 0)
		return -1;
	return tx_end(s, vm_row_write(s, vm, vm->op), vm->name, e);
}

static int delete_vm(struct db *s, const struct vm *vm)
{
	int64_t held, slot;
	struct query ledger = query(s, "SELECT count(*) FROM ledger WHERE vm = ?1");

	q_blob(&ledger, vm->id, ID_LEN);
	if (q_one_int(&ledger, 0, &held) < 0)
		return -1;
	if (held)
		return error_set(&s->why, FAIL_STATE, vm->name,
				 "%" PRId64 " of its objects are not released yet", held);
	struct query q = query(s, "DELETE FROM vms WHERE id = ?1 RETURNING slot");
	q_blob(&q, vm->id, ID_LEN);
	if (q_one_int(&q, -1, &slot) < 0)
		return -1;
	if (slot < 0)
		return not_found(s, vm->name);
	return slot_give(s, slot);
}

int db_vm_delete(struct db *s, const struct vm *vm, struct error *e)
{
	if (tx_begin(s, e) < 0)
		return -1;
	return tx_end(s, delete_vm(s, vm), vm->name, e);
}
