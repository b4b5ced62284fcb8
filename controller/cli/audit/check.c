/* check.c - audit verify: the logs against their keys and checkpoints.  audit key: a new key. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "common/parse.h"
#include "controller/cli/audit/place.h"
#include "controller/cli/audit/verify.h"
#include "controller/cli/out.h"

/* Findings of one kind and role that are printed, or are in the JSON; the others are counted. */
#define TOLD_MAX 20
#define JSON_MAX 1000

struct check {
	struct cli *c;
	const struct verifier *v;
	json_t *json; /* -o json: the findings */
};

static void add_json(struct check *k, enum finding f, const char *file, uint64_t at, uint64_t n,
		     const char *why)
{
	json_array_append_new(k->json,
			      json_pack("{ss ss sb ss sI sI ss}", "role", k->v->role, "kind",
					finding_name(f), "refused", f < FINDING_LOST, "file", file,
					"byte", (json_int_t)at, "record", (json_int_t)n, "why",
					why));
}

/* The kinds with more findings than the JSON has. */
static void count_json(struct check *k)
{
	char why[64];

	for (enum finding f = 0; f < FINDINGS; f++) {
		if (k->v->counts[f] <= JSON_MAX)
			continue;
		(void)snprintf(why, sizeof(why), "%" PRIu64 " more of this kind",
			       k->v->counts[f] - JSON_MAX);
		add_json(k, f, "", 0, 0, why);
	}
}

static void told(void *arg, enum finding f, const char *file, uint64_t at, uint64_t n,
		 const char *why)
{
	struct check *k = arg;
	const char *mark = f < FINDING_LOST ? "REFUSED" : "missing";

	if (k->json && k->v->counts[f] <= JSON_MAX)
		add_json(k, f, file, at, n, why);
	else if (!k->json && k->v->counts[f] <= TOLD_MAX)
		fprintf(k->c->out, "%s %s: %s:%" PRIu64 ": record %" PRIu64 ": %s%s\n", mark,
			finding_name(f), file, at, n, why,
			k->v->counts[f] == TOLD_MAX ? " (more of this kind are only counted)" : "");
}

static int read_keys(const struct cli *c, struct verifier *v, struct error *e)
{
	_cleanup_fclose_ FILE *f = c->opt.key ? fopen(c->opt.key, "re") : NULL;
	char line[256];

	if (!c->opt.key)
		return 0;
	if (!f)
		return error_set(e, FAIL_NOT_FOUND, "audit", "%s: %s", c->opt.key,
				 strerrordesc_np(errno));
	while (fgets(line, sizeof(line), f))
		if (line[0] != '#' && line[0] != '\n' && verify_add_key(v, line) < 0)
			return error_set(
				e, FAIL_USAGE, "audit",
				"%s: want \"banger-key ROLE NUMBER KEY\", at most %d of a role",
				c->opt.key, VERIFY_KEYS);
	return 0;
}

/* Each role reads the checkpoints from the beginning, so a pipe is copied. */
static FILE *open_checkpoints(const struct cli *c, struct error *e)
{
	const char *path = c->opt.checkpoints;
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re"), *f = in ? tmpfile() : NULL;
	char line[4096];

	while (f && fgets(line, sizeof(line), in))
		if (strstr(line, "checkpoint "))
			(void)fputs(line, f);
	if (!f || ferror(in) || fflush(f) != 0)
		(void)error_set(e, FAIL_NOT_FOUND, "audit", "%s: %s", path, strerrordesc_np(errno));
	if (in && in != stdin)
		(void)fclose(in);
	return f;
}

static int read_files(struct verifier *v, const struct audit_files *files, struct error *e)
{
	for (size_t i = 0; i < files->n; i++) {
		_cleanup_close_ int fd = open(files->paths[i],
					      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || verify_file(v, fd, files->paths[i]) < 0)
			return error_set(e, FAIL_GENERAL, "audit", "%s: %s", files->paths[i],
					 strerrordesc_np(errno));
	}
	return 0;
}

/* Return: 1: nothing is to be refused; 0: something is; -1 with @e. */
static int check_role(struct check *k, const char *dir, const char *role, FILE *checkpoints,
		      struct error *e)
{
	static struct verifier v;
	struct audit_files files;

	verify_begin(&v, role, told, k);
	k->v = &v;
	v.checkpoints = checkpoints;
	if (checkpoints)
		rewind(checkpoints);
	if (read_keys(k->c, &v, e) < 0 || audit_list(dir, role, &files, e) < 0)
		return -1;
	int r = read_files(&v, &files, e);
	bool whole = r == 0 && verify_end(&v);
	audit_files_free(&files);
	if (k->json)
		count_json(k);
	else if (r == 0)
		verify_summary(&v, k->c->out);
	return r < 0 ? -1 : whole;
}

int cmd_audit_verify(struct cli *c)
{
	struct check k = { .c = c };
	char dir[512];
	struct error e = { 0 };
	FILE *checkpoints = NULL;
	int whole = 1, r = 0;

	if (!audit_role_known(c, &e) || audit_place(c, dir, sizeof(dir), NULL, &e) < 0)
		return out_error(c, &e);
	if (c->opt.checkpoints && !(checkpoints = open_checkpoints(c, &e)))
		return out_error(c, &e);
	k.json = c->opt.format == FORMAT_JSON ? json_array() : NULL;
	for (size_t i = 0; i < AUDIT_ROLES && r >= 0; i++) {
		if (c->opt.role && strcmp(c->opt.role, audit_roles[i]) != 0)
			continue;
		r = check_role(&k, dir, audit_roles[i], checkpoints, &e);
		whole &= r > 0;
	}
	if (checkpoints)
		(void)fclose(checkpoints);
	if (r < 0) {
		json_decref(k.json);
		return out_error(c, &e);
	}
	int ret = k.json ? out_json(c, k.json) : 0;
	return ret ? ret : whole ? 0 : FAIL_GENERAL;
}

/* ---- logs without a key ---- */

#define ZEROS_MAX 20000000 /* keys that are derived: some seconds of work */

/* A log that never had a key has the key that follows from zeros. */
static bool is_from_zeros(const struct reqlog_state *s)
{
	struct verify_key k = { 0 };

	if (s->ahead > ZEROS_MAX)
		return false;
	while (k.n < s->ahead)
		verify_next_key(&k);
	return memcmp(k.key, s->key, REQLOG_KEY) == 0;
}

bool audit_unkeyed(const char *dir, const char *role)
{
	struct reqlog_state state = { 0 };
	char path[640];

	(void)snprintf(path, sizeof(path), "%s/%s.key", dir, role);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	bool unkeyed = pread(fd, &state, sizeof(state), 0) >= 0 && is_from_zeros(&state);
	explicit_bzero(state.key, sizeof(state.key));
	return unkeyed;
}

/* ---- a new key ---- */

/* Return: 0, or -1 with @e: a service that runs would overwrite the key. */
static int hold_service(const char *run_dir, int *lock, struct error *e)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/supervisor.lock", run_dir);
	*lock = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	(void)error_set(e, FAIL_STATE, "audit key", "the service runs, and holds its key");
	error_hint(e,
		   "systemctl stop banger; banger audit key; systemctl start banger (VMs go on)");
	return -1;
}

static int set_key(FILE *out, const char *dir, const char *role)
{
	struct reqlog_state state = { 0 };
	char path[640], hex[2 * REQLOG_KEY + 1];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s.key", dir, role);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	ssize_t n = pread(fd, &state, sizeof(state), 0);
	if (n != 0 && n != sizeof(state)) {
		errno = n < 0 ? errno : EBADMSG;
		return -1;
	}
	if (getrandom(state.key, sizeof(state.key), 0) != sizeof(state.key) ||
	    pwrite(fd, &state, sizeof(state), 0) != sizeof(state) || fsync(fd) < 0)
		return -1;
	format_hex(state.key, sizeof(state.key), hex);
	explicit_bzero(state.key, sizeof(state.key));
	fprintf(out, "banger-key %s %" PRIu64 " %s\n", role, state.ahead, hex);
	explicit_bzero(hex, sizeof(hex));
	return 0;
}

int cmd_audit_key(struct cli *c)
{
	char dir[512], run_dir[128];
	struct error e = { 0 };
	_cleanup_close_ int lock = -1;

	if (audit_place(c, dir, sizeof(dir), run_dir, &e) < 0 ||
	    hold_service(run_dir, &lock, &e) < 0)
		return out_error(c, &e);
	for (size_t i = 0; i < AUDIT_ROLES; i++)
		if (set_key(c->out, dir, audit_roles[i]) < 0) {
			(void)error_set(&e, FAIL_NOT_ALLOWED, "audit key", "%s/%s.key: %s", dir,
					audit_roles[i], strerrordesc_np(errno));
			return out_error(c, &e);
		}
	out_note(c, "store these lines on another host: they are kept nowhere, and\n"
		    "`audit verify --key` needs them");
	return fflush(c->out) == 0 ? 0 : FAIL_GENERAL;
}
