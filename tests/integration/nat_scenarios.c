/* nat_scenarios.c - runs the controller's NAT code against the real net role: `nat_scenarios CONFIG
 * LOG ROLE_BINARY`.
 *
 * Store, ledger, helper client, nat.c and release.c are the controller's own.  A relay between the
 * controller's end of the socketpair and the role's passes every packet and counts the requests of
 * each kind.
 *
 * Reads commands line by line and prints one line for each, `ok` or `error: WHY`, then what the
 * role was asked for meanwhile: `add=N remove=N other=N` (nat_add, nat_remove, any other request).
 *   create NAME on|off    a row, with NAT or without            -> ok slot=N gen=N ...
 *   start NAME            its tap, the guest's element and NAT, through the ledger; the row says
 *                         running
 *   put NAME SLOT         the same objects in another slot, for the same VM, and nothing is noted
 *                         of it
 *   apply NAME on|off     nat_apply_config_change()
 *   cleanup NAME          nat_cleanup()
 *   release NAME          vm_release()
 *   older NAME TAP        the row as it was before there was a ledger: running, with NAT, and
 *                         nothing but TAP
 *   show NAME             what the store has of it
 *                         -> ok state=S nat=N tap=T ledger=KIND,... ...
 * At the end of its input it ends the role. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fdio.h"
#include "common/log.h"
#include "controller/helper/client.h"
#include "controller/helper/tap_sweep.h"
#include "controller/objects/nat.h"
#include "controller/objects/object.h"
#include "controller/objects/release.h"
#include "controller/db/db.h"

#define CODES 256
#define OWNER 1000

static struct scenarios {
	struct ctl c;
	struct caller caller;
	char db[200];
	pid_t role;
	pthread_t relay;
	int ctl_end, role_end;  /* the relay's two sockets */
	unsigned counts[CODES]; /* by op code, since the last answer was printed */
	uint32_t operations;
} s = { .caller = { .uid = OWNER } };

/* ---- the relay ---- */

/* Count a request before it is passed on: once its answer arrives, the count is right. */
static void count(const uint8_t *buf, size_t n)
{
	struct request q;

	if (ops_decode_request(buf, n, &q) < 0)
		die(1, "the controller sent what can not be decoded");
	(void)__atomic_add_fetch(&s.counts[q.op->code % CODES], 1, __ATOMIC_SEQ_CST);
}

/* Pass one packet on.  Return: 0, or -1 at the end of either side. */
static int pass(int from, int to, bool requests)
{
	uint8_t buf[OPS_PACKET_MAX];
	int fds[FDIO_MAX];
	size_t nfds;
	ssize_t n = fdio_recv(from, buf, sizeof(buf), fds, &nfds);

	if (n <= 0)
		return -1;
	if (requests)
		count(buf, (size_t)n);
	int r = fdio_send(to, buf, (size_t)n, fds, nfds);
	fdio_close_all(fds, nfds);
	return r;
}

static void *relay_thread(void *arg)
{
	struct pollfd p[] = { { s.ctl_end, POLLIN, 0 }, { s.role_end, POLLIN, 0 } };
	int r = 0;

	while (r == 0 && poll(p, 2, -1) > 0) {
		if (p[0].revents)
			r = pass(s.ctl_end, s.role_end, true);
		if (r == 0 && p[1].revents)
			r = pass(s.role_end, s.ctl_end, false);
	}
	(void)close(s.ctl_end);
	(void)close(s.role_end);
	return arg;
}

/* ---- the role's process ---- */

_Noreturn static void child(const char *binary, int config, int sock, int log, int key)
{
	const int from[] = { config, sock, log, key },
		  to[] = { CONFIG_FD, RPC_FD, REQLOG_FD, REQKEY_FD };
	char *const argv[] = { (char *)binary, NULL }, *const none[] = { NULL };
	char *const sanitized[] = { "ASAN_OPTIONS=detect_leaks=0", NULL };
	int null = open("/dev/null", O_RDWR);

	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	(void)dup2(null, WAKE_FD); /* the controller here lists the objects anyway */
	for (size_t i = 0; i < ARRAY_SIZE(to); i++)
		if (dup2(from[i], to[i]) < 0)
			die_errno(1, "dup2");
	(void)execve(binary, argv, getenv("ASAN_OPTIONS") ? sanitized : none);
	die_errno(1, "%s", binary);
}

/* Move a descriptor to a number from 10 on, so that the fixed numbers of the child are free. */
static int high(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, 10);

	if (fd < 0 || up < 0)
		die_errno(1, "descriptors");
	(void)close(fd);
	return up;
}

/* Open the key file beside @log, whose name ends with ".log". */
static int open_key(const char *log)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%.*s.key", (int)strlen(log) - 4, log);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static void role_start(const char *binary, const char *log_path)
{
	int near[2], far[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, near) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, far) < 0)
		die_errno(1, "socketpair");
	int own = high(near[0]), theirs = high(far[1]);
	s.ctl_end = high(near[1]);
	s.role_end = high(far[0]);
	int config = high(config_to_memfd(&s.c.config));
	int log = high(open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
	int key = high(open_key(log_path));
	s.role = fork();
	if (s.role < 0)
		die_errno(1, "fork");
	if (s.role == 0)
		child(binary, config, theirs, log, key);
	(void)close(theirs);
	(void)close(config);
	(void)close(log);
	(void)close(key);
	s.c.helper = helper_open(own, -1, -1);
	s.c.tap_sweep = tap_sweep_open();
	if (!s.c.helper || pthread_create(&s.relay, NULL, relay_thread, NULL) != 0)
		die(1, "the relay does not start");
}

/* Stop the role.  Return: 0 if it exited with status 0. */
static int role_stop(void)
{
	int status;

	helper_close(s.c.helper);
	tap_sweep_close(s.c.tap_sweep);
	(void)pthread_join(s.relay, NULL);
	if (waitpid(s.role, &status, 0) != s.role || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void role_run(void)
{
	struct request q = helper_request(OP_RECONCILE_DONE, NULL, NULL);
	struct reply r;

	if (helper_hello(s.c.helper) < 0 || helper_call_role(s.c.helper, ROLE_NET, &q, &r) < 0 ||
	    r.status != ST_OK)
		die(1, "the role does not get ready");
	memset(s.counts, 0, sizeof(s.counts));
}

/* ---- the store ---- */

static void db_start(void)
{
	struct artifact k = { .type = ARTIFACT_KERNEL, .name = "linux", .size = 1 };
	struct artifact i = { .type = ARTIFACT_IMAGE,
			      .name = "debian",
			      .kernel = "linux",
			      .size = 64 << 20 },
			there = { .type = ARTIFACT_IMAGE };
	struct error e = { 0 };

	(void)snprintf(s.db, sizeof(s.db), "%s/banger.db", s.c.config.state_dir);
	s.c.db = db_open(s.db, &e);
	if (!s.c.db)
		die(1, "%s: %s", e.what, e.why);
	if (db_artifact_find(s.c.db, &s.caller, i.name, &there, &e) == 0)
		return;
	memset(k.digest, 'a', 64);
	memset(i.digest, 'b', 64);
	memcpy(i.kernel_digest, k.digest, sizeof(k.digest));
	if (db_artifact_add(s.c.db, &k, 1, &e) < 0 || db_artifact_add(s.c.db, &i, 1, &e) < 0)
		die(1, "%s: %s", e.what, e.why);
}

static struct operation operation(void)
{
	struct operation o = { .caller = &s.caller };

	s.operations++;
	memcpy(o.id, &s.operations, sizeof(s.operations));
	format_id(o.id, o.hex);
	return o;
}

/* ---- commands: each prints nothing on failure, and "ok" with its own values else ---- */

static int do_create(const char *name, const char *nat, struct error *e)
{
	struct vm vm = { .owner = OWNER,
			 .vcpus = 1,
			 .mem_mib = 128,
			 .disk_mib = 64,
			 .nat = strcmp(nat, "on") == 0 };
	struct operation o = operation();

	(void)snprintf(vm.name, sizeof(vm.name), "%s", name);
	(void)snprintf(vm.image, sizeof(vm.image), "debian");
	memset(vm.image_digest, 'b', 64);
	if (db_vm_create(s.c.db, &vm, &s.c.config, &o, e) < 0)
		return -1;
	vm.state = VM_CREATED; /* it has no files here */
	if (db_vm_update(s.c.db, &vm, e) < 0)
		return -1;
	printf("ok slot=%u gen=%u", vm.slot, vm.generation);
	return 0;
}

/* Make the VM's objects; @rows gets their rows for the ledger.  Return: the number of rows, or
 * -1. */
static int make_objects(struct vm *vm, const struct operation *o, struct ledger_row *rows,
			struct error *e)
{
	static const enum object kinds[] = { OBJ_TAP, OBJ_GUEST };
	struct made m;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (object_make(&s.c, vm, kinds[i], o, &m, e) < 0)
			return -1;
		rows[i] = (struct ledger_row){ .kind = kinds[i],
					       .state = LEDGER_PRESENT,
					       .ident = m.ident };
	}
	if (nat_prepare(&s.c, vm, o, e) < 0)
		return -1;
	rows[2] = (struct ledger_row){ .kind = OBJ_NAT, .state = LEDGER_PRESENT, .ident = -1 };
	return vm->nat ? 3 : 2;
}

static int do_start(struct vm *vm, const char *unused, struct error *e)
{
	static const enum object kinds[] = { OBJ_TAP, OBJ_GUEST, OBJ_NAT };
	struct ledger_row rows[OBJ_COUNT];
	struct operation o = operation();

	(void)unused;
	vm->state = VM_STARTING;
	if (db_ledger_plan(s.c.db, vm, kinds, vm->nat ? 3 : 2, &o, e) < 0)
		return -1;
	int n = make_objects(vm, &o, rows, e);
	vm->state = VM_RUNNING;
	if (n < 0 || db_ledger_present(s.c.db, vm, rows, (size_t)n, e) < 0)
		return -1;
	printf("ok");
	return 0;
}

static int do_put(struct vm *vm, const char *slot, struct error *e)
{
	struct ledger_row rows[OBJ_COUNT];
	struct operation o = operation();

	vm->slot = (uint32_t)strtoul(slot, NULL, 10);
	if (make_objects(vm, &o, rows, e) < 0)
		return -1;
	printf("ok");
	return 0;
}

static int do_apply(struct vm *vm, const char *nat, struct error *e)
{
	struct operation o = operation();
	struct vm after = *vm;

	after.nat = strcmp(nat, "on") == 0;
	if (nat_apply_config_change(&s.c, vm, &after, &o, e) < 0)
		return -1;
	printf("ok");
	return 0;
}

static int do_cleanup(struct vm *vm, const char *unused, struct error *e)
{
	struct operation o = operation();

	(void)unused;
	if (nat_cleanup(&s.c, vm, &o, e) < 0)
		return -1;
	printf("ok");
	return 0;
}

static int do_release(struct vm *vm, const char *unused, struct error *e)
{
	struct operation o = operation();

	(void)unused;
	if (vm_release(&s.c, vm, VM_STOPPED, &o, e) < 0)
		return -1;
	printf("ok");
	return 0;
}

/* Write a row without the store, as an older program would have. */
static int do_older(struct vm *vm, const char *tap, struct error *e)
{
	static const char *const sql[] = {
		"DELETE FROM ledger WHERE vm = ?1",
		"UPDATE vms SET runtime = json_object('tap', ?2), state = 'running', nat = 1 WHERE "
		"id = ?1",
	};
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_open(s.db, &db);

	for (size_t i = 0; rc == SQLITE_OK && i < ARRAY_SIZE(sql); i++) {
		if ((rc = sqlite3_prepare_v2(db, sql[i], -1, &st, NULL)) != SQLITE_OK)
			break;
		(void)sqlite3_bind_blob(st, 1, vm->id, ID_LEN, SQLITE_STATIC);
		(void)sqlite3_bind_text(st, 2, tap, -1,
					SQLITE_STATIC); /* the first has no such parameter */
		(void)sqlite3_step(st);
		rc = sqlite3_finalize(st);
	}
	if (rc != SQLITE_OK)
		error_set(e, FAIL_GENERAL, vm->name, "%s", sqlite3_errmsg(db));
	else
		printf("ok");
	(void)sqlite3_close(db);
	return rc == SQLITE_OK ? 0 : -1;
}

static int do_show(struct vm *vm, const char *unused, struct error *e)
{
	struct ledger_row rows[OBJ_COUNT];
	size_t n;

	(void)unused;
	if (db_ledger_rows(s.c.db, vm->id, rows, &n, e) < 0)
		return -1;
	printf("ok state=%s nat=%d tap=%s ledger=", vm_state_name(vm->state), vm->nat,
	       vm->runtime.tap);
	for (size_t i = 0; i < n; i++)
		printf("%s%s", i ? "," : "", object_name(rows[i].kind));
	return 0;
}

/* ---- reading them ---- */

static const struct command {
	const char *name;
	unsigned words;
	int (*run)(struct vm *vm, const char *arg, struct error *e);
} commands[] = {
	{ "start", 2, do_start },     { "put", 3, do_put },         { "apply", 3, do_apply },
	{ "cleanup", 2, do_cleanup }, { "release", 2, do_release }, { "older", 3, do_older },
	{ "show", 2, do_show },
};

static int run(unsigned n, char **words, struct error *e)
{
	struct vm vm;

	if (n == 3 && strcmp(words[0], "create") == 0)
		return do_create(words[1], words[2], e);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (n != commands[i].words || strcmp(words[0], commands[i].name) != 0)
			continue;
		if (db_vm_find(s.c.db, &s.caller, words[1], &vm, e) < 0)
			return -1;
		return commands[i].run(&vm, words[2], e);
	}
	return error_set(e, FAIL_USAGE, "command", "there is no such one");
}

static void do_line(char *line)
{
	char *words[4] = { "", "", "", "" }, *save = NULL;
	struct error e = { 0 };
	unsigned n = 0, other = 0;

	for (char *w = strtok_r(line, " \n", &save); w && n < 3; w = strtok_r(NULL, " \n", &save))
		words[n++] = w;
	memset(s.counts, 0, sizeof(s.counts));
	if (run(n, words, &e) < 0)
		printf("error: %s: %s", e.what, e.why);
	for (unsigned i = 0; i < CODES; i++)
		other += i != OP_NAT_ADD && i != OP_NAT_REMOVE ? s.counts[i] : 0;
	printf(" add=%u remove=%u other=%u\n", s.counts[OP_NAT_ADD], s.counts[OP_NAT_REMOVE],
	       other);
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[512];

	log_name("nat_scenarios");
	if (argc != 4 || config_load(argv[1], geteuid(), &s.c.config) < 0)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN);
	db_start();
	role_start(argv[3], argv[2]);
	role_run();
	printf("ok ready role=%d\n", (int)s.role);
	(void)fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		do_line(line);
	db_close(s.c.db);
	return role_stop();
}
