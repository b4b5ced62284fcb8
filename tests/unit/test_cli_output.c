/* Tests what the command line prints: tables, JSON, names, errors and exit codes of every kind,
 * stages, cleaned text of guests. */
#include "tests/unit/cli_fixture.h"

#include <jansson.h>
#include <pwd.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "controller/cli/out.h"
#include "controller/cli/proc.h"

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

static json_t *parsed(const char *text)
{
	json_error_t e;
	json_t *j = json_loads(text, 0, &e);

	if (!j)
		fail_msg("not JSON (%s):\n%s", e.text, text);
	return j;
}

static void test_table(void **state)
{
	char age[16], want[600];

	(void)state;
	format_age("2026-01-02T03:04:05Z", age);
	assert_int_equal(BANGER("vm", "list"), 0);
	(void)snprintf(want, sizeof(want),
		       "NAME                STATE    IP               NAT  CPUS/MEM/DISK  IMAGE   "
		       "%-*s  OWNER\n"
		       "web1                running  255.255.255.255  yes  2/512M/2G      debian  "
		       "%-3s  1000\n"
		       "a-much-longer-name  running  255.255.255.255  yes  2/512M/2G      debian  "
		       "%-3s  1000\n",
		       (int)(strlen(age) > 3 ? strlen(age) : 3), "AGE", age, age);
	if (getpwuid(1000))
		assert_has(fx.out, getpwuid(1000)->pw_name);
	else
		assert_string_equal(fx.out, want);
	fx.ready = true;
	assert_int_equal(BANGER("vm", "list"), 0);
	assert_has(fx.out, "web1                ready  255");
	fx.owner = 0; /* every host has a name for uid 0 */
	assert_int_equal(BANGER("ps"), 0);
	assert_has(fx.out, "  root\n");
	assert_int_equal(BANGER("ps", "-o", "json"), 0);
	assert_has(fx.out, "\"owner\": 0"); /* JSON has the number */
	assert_has(fx.out, "\"state\": \"running\"");
	assert_has(fx.out, "\"ready\": true");
}

static void test_audit_table(void **state)
{
	(void)state;
	fx.audit = "{\"boot_ns\":4200000000,\"time\":\"2026-01-02T03:04:05Z\",\"role\":\"net\","
		   "\"seq\":7,\"type\":\"intent\","
		   "\"op\":\"tap_create\",\"slot\":3,\"generation\":1,"
		   "\"vm\":\"abcdefabcdefabcdef\",\"owner\":0,\"op_id\":\"" OP_ID "\"}\n"
		   "{\"boot_ns\":4201000000,\"role\":\"net\",\"seq\":7,\"type\":\"result\","
		   "\"status\":\"ok\",\"us\":1009}\n"
		   "{\"time\":\"2026-01-02T03:04:06Z\",\"role\":\"blk\",\"seq\":9,\"type\":"
		   "\"intent\",\"op\":\"loop_attach\",\"slot\":3}";
	assert_int_equal(BANGER("audit", "show"), 0);
	assert_has(fx.out, "WHEN (UTC)           ROLE  USER  VM            REQUEST      SLOT  "
			   "RESULT     TIME     OPERATION\n");
	assert_has(fx.out, "2026-01-02 03:04:05  net   root  abcdefabcdef  tap_create   3     "
			   "ok         1009 us  " OP_ID "\n");
	assert_has(fx.out, "2026-01-02 03:04:06  blk   -     -             loop_attach  3     "
			   "no answer  -        -\n");
	assert_int_equal(BANGER("audit", "show", "-o", "json"), 0);
	json_t *j = parsed(fx.out);
	assert_int_equal(json_array_size(j), 3);
	json_decref(j);
	/* Each filter leaves one row or none. */
	assert_int_equal(BANGER("audit", "show", "--role", "blk"), 0);
	assert_lacks(fx.out, "tap_create");
	assert_has(fx.out, "loop_attach");
	assert_int_equal(BANGER("audit", "show", "--op", "tap_create", "--user", "0", "--vm",
				"abcdef", "--status", "ok", "--since", "2026-01-02", "--until",
				"2026-01-02T03:04:06"),
			 0);
	assert_has(fx.out, "tap_create");
	assert_lacks(fx.out, "loop_attach");
	assert_int_equal(BANGER("audit", "show", "--status", "!ok"), 0);
	assert_lacks(fx.out, "tap_create");
	assert_has(fx.out, "loop_attach");
	assert_int_equal(BANGER("audit", "show", "--vm", "4"), 0);
	assert_lacks(fx.out, "loop_attach");
	assert_int_equal(BANGER("audit", "show", "--since", "1s"), 0);
	assert_lacks(fx.out, "loop_attach");
	assert_int_equal(BANGER("audit", "show", "--since", "yesterday"), FAIL_USAGE);
	assert_int_equal(BANGER("audit", "show", "--role", "root"), FAIL_USAGE);
	assert_int_equal(BANGER("audit", "tail", "--lines", "1"), 0);
	assert_lacks(fx.out, "tap_create");
	assert_has(fx.out, "loop_attach");
	assert_int_equal(BANGER("audit", "stats"), 0);
	assert_has(fx.out, "USER    REQUESTS  REFUSED  NO ANSWER  MEAN     SLOWEST\n");
	assert_has(fx.out, "root    1         0        0          1009 us  1009 us\n");
	assert_has(fx.out, "(none)  1         0        1          0 us     0 us\n");
}

/* A taken-over role writes escape sequences into its log: none reaches the terminal. */
static void test_audit_diff_obeys_no_log(void **state)
{
	static const char *const names[] = { "net", "blk", "spawn" };
	char dir[] = "/tmp/banger-diff.XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s.log", dir, names[i]);
		FILE *f = fopen(path, "we");
		assert_non_null(f);
		if (i == 0)
			fputs("{\"type\":\"answer\",\"role\":\"net\",\"boot_ns\":1,"
			      "\"op\":\"tap_create\","
			      "\"slot\":997,\"status\":\"ok\",\"op_id\":\"\\u001bc\\u009b2J\"}\n",
			      f);
		(void)fclose(f);
	}
	assert_int_equal(BANGER("audit", "diff", "--logs", dir), FAIL_GENERAL);
	assert_has(fx.out,
		   "tap of slot 997: the log has a create, and the kernel does not show it, "
		   "operation ?c??2J\n");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s.log", dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
}

/* A log of @n lines by @line, as a role that was taken over could write it; those of the other
 * roles are empty.  Run a command on it.  Return: its status. */
static int on_hostile_log(const char *command, unsigned n, void (*line)(FILE *f, unsigned i))
{
	static const char *const names[] = { "net", "blk", "spawn" };
	char dir[] = "/tmp/banger-hostile.XXXXXX", path[64];

	assert_non_null(mkdtemp(dir));
	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		(void)snprintf(path, sizeof(path), "%s/%s.log", dir, names[k]);
		FILE *f = fopen(path, "we");
		assert_non_null(f);
		for (unsigned i = 0; k == 0 && i < n; i++)
			line(f, i);
		(void)fclose(f);
	}
	int r = BANGER("audit", command, "-o", "json", "--logs", dir);
	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		(void)snprintf(path, sizeof(path), "%s/%s.log", dir, names[k]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
	return r;
}

static void many_names(FILE *f, unsigned i)
{
	fprintf(f,
		"{\"type\":\"intent\",\"role\":\"r%u\",\"op\":\"op%u\",\"owner\":%u,\"seq\":1}\n",
		i, i, 100000 + i);
}

/* What the commands keep in memory does not grow with the log. */
static void test_audit_stats_are_bounded(void **state)
{
	size_t i;
	json_t *o;
	json_int_t all = 0;

	(void)state;
	assert_int_equal(on_hostile_log("stats", 5000, many_names), 0);
	json_t *j = parsed(fx.out), *ops = json_object_get(j, "requests");
	assert_int_equal(json_array_size(ops), 513);
	assert_int_equal(json_array_size(json_object_get(j, "users")), 513);
	assert_string_equal(json_string_value(json_object_get(json_array_get(ops, 0), "name")),
			    "(others)");
	json_array_foreach(ops, i, o)
	{
		all += json_integer_value(json_object_get(o, "requests"));
	}
	assert_int_equal(all, 5000); /* none is left out */
	json_decref(j);
}

static void same_record(FILE *f, unsigned i)
{
	(void)i;
	fprintf(f, "{\"type\":\"ready\",\"role\":\"net\",\"n\":5,"
		   "\"time\":\"2026-01-02T03:04:05.000000000Z\","
		   "\"boot_ns\":1,\"prev\":null,\"mac\":\"00112233445566778899aabbccddeeff\"}\n");
}

static void test_audit_findings_are_bounded(void **state)
{
	size_t i, duplicates = 0;
	json_t *o;
	bool counted = false;

	(void)state;
	assert_int_equal(on_hostile_log("verify", 5000, same_record), FAIL_GENERAL);
	json_t *j = parsed(fx.out);
	json_array_foreach(j, i, o)
	{
		if (strcmp(json_string_value(json_object_get(o, "kind")), "duplicate") != 0)
			continue;
		duplicates++;
		counted |= strcmp(json_string_value(json_object_get(o, "why")),
				  "3999 more of this kind") == 0;
	}
	assert_int_equal(duplicates, 1001);
	assert_true(counted);
	json_decref(j);
}

static void test_list_json(void **state)
{
	(void)state;
	assert_int_equal(BANGER("vm", "list", "-o", "json"), 0);
	json_t *j = parsed(fx.out), *vm = json_array_get(j, 0);
	assert_int_equal(json_array_size(j), 2);
	assert_int_equal(json_integer_value(json_object_get(vm, "memory")), 512LL << 20);
	assert_int_equal(json_integer_value(json_object_get(vm, "disk")), 2048LL << 20);
	assert_string_equal(json_string_value(json_object_get(vm, "created")),
			    "2026-01-02T03:04:05Z");
	assert_string_equal(json_string_value(
				    json_object_get(json_object_get(vm, "runtime"), "tap")),
			    "bgr3");
	assert_true(json_is_null(json_object_get(json_object_get(vm, "runtime"), "pid")));
	assert_null(json_object_get(vm, "mem_mib"));
	json_decref(j);
	assert_int_equal(BANGER("vm", "list", "-q"), 0);
	assert_string_equal(fx.out, "web1\na-much-longer-name\n");
	assert_int_equal(BANGER("vm", "show", "web1", "-o", "json"), 0);
	j = parsed(fx.out);
	assert_true(json_is_object(j));
	json_decref(j);
	assert_int_equal(BANGER("image", "list", "-o", "json"), 0);
	j = parsed(fx.out);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(j, 0), "size")),
			 1LL << 30);
	json_decref(j);
	assert_int_equal(BANGER("kernel", "list", "-o", "json"), 0);
	j = parsed(fx.out);
	assert_int_equal(json_array_size(j), 0);
	json_decref(j);
}

static void test_errors(void **state)
{
	(void)state;
	for (enum fail f = FAIL_GENERAL; f < FAIL_COUNT; f++) {
		fx.fail[CALL_VM_SHOW] = f;
		assert_int_equal(BANGER("vm", "show", "web1"), f);
		assert_string_equal(fx.out, "");
		assert_string_equal(
			fx.err,
			"banger: web1: as the test asked\nhint: do something else\n(op " OP_ID
			")\n");
		assert_int_equal(BANGER("vm", "show", "web1", "-o", "json"), f);
		assert_string_equal(fx.out, "");
		json_t *j = parsed(fx.err);
		assert_int_equal(json_integer_value(json_object_get(j, "exit")), f);
		assert_string_equal(json_string_value(json_object_get(j, "error")),
				    "web1: as the test asked");
		assert_string_equal(json_string_value(json_object_get(j, "hint")),
				    "do something else");
		assert_string_equal(json_string_value(json_object_get(j, "op_id")), OP_ID);
		assert_non_null(json_string_value(json_object_get(j, "code")));
		json_decref(j);
	}
}

/* Run cli_main() in a process of its own, after @prepare has changed its descriptors.  Return: the
 * exit status. */
static int apart(void (*prepare)(void), int argc, char **argv)
{
	int status = 0;

	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		prepare();
		_exit(cli_main(argc, argv, commands));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const char *said(void)
{
	static char text[4096];
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/said", fx.dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	slurp(fd, text, sizeof(text));
	return text;
}

static void error_to_file(void)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/said", fx.dir);
	(void)close(STDERR_FILENO);
	if (open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) != STDERR_FILENO)
		_exit(99);
}

static void full(void)
{
	(void)dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
	error_to_file();
}

static void no_reader(void)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		_exit(99);
	(void)close(p[0]);
	(void)dup2(p[1], STDOUT_FILENO);
	error_to_file();
}

static void test_output_that_can_not_be_written(void **state)
{
	static char *lists[][4] = {
		{ (char *)"banger", (char *)"vm", (char *)"list" },
		{ (char *)"banger", (char *)"vm", (char *)"logs", (char *)"web1" },
		{ (char *)"banger", (char *)"vm", (char *)"list", (char *)"-ojson" }
	};

	(void)state;
	fx.log = "hello\n";
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(apart(full, i ? 4 : 3, lists[i]), FAIL_GENERAL);
		assert_has(said(), "standard output");
		assert_has(said(), "can not be written: No space left on device");
		assert_ptr_equal(strchr(said(), '\n') + 1, said() + strlen(said())); /* one line */
	}
	assert_int_equal(apart(no_reader, 3, lists[0]), FAIL_GENERAL);
	assert_string_equal(said(), "banger: standard output: can not be written: Broken pipe\n");
}

static void none_open(void)
{
	(void)close(STDIN_FILENO);
	(void)close(STDOUT_FILENO);
	(void)close(STDERR_FILENO);
}

/* The output of ssh-keygen is read from a pipe, which must not be descriptor 0, 1 or 2. */
static void test_closed_standard_descriptors(void **state)
{
	static char *create[] = { (char *)"banger", (char *)"vm", (char *)"create", (char *)"nk" };

	(void)state;
	assert_int_equal(apart(none_open, 4, create), 0);
	assert_string_equal(fx.last[CALL_VM_CREATE].vm_create.ssh_key, "ssh-ed25519 AAAA");
}

static void test_text_that_is_not_utf8(void **state)
{
	(void)state;
	assert_int_equal(BANGER("vm", "show", "caf\xe9", "-o", "json"), FAIL_USAGE);
	json_t *j = parsed(fx.err);
	assert_string_equal(json_string_value(json_object_get(j, "error")),
			    "VM: \"caf?\" is not UTF-8 text");
	json_decref(j);
	assert_int_equal(BANGER("vm", "show", "caf\xe9"), FAIL_USAGE);
	assert_string_equal(fx.err, "banger: VM: \"caf?\" is not UTF-8 text\n");
	assert_string_equal(fx.calls, "");
	/* An error about a path that is no UTF-8 still has a text. */
	assert_int_equal(BANGER("image", "import", "x", "/tmp/caf\xe9.none", "--kernel", "k", "-o",
				"json"),
			 FAIL_NOT_FOUND);
	j = parsed(fx.err);
	assert_string_equal(json_string_value(json_object_get(j, "error")),
			    "/tmp/caf?.none: No such file or directory");
	json_decref(j);
	assert_int_equal(BANGER("vm", "show", "caf\xc3\xa9"), 0);
}

static void test_several_targets(void **state)
{
	(void)state;
	fx.fail[CALL_VM_STOP] = FAIL_NOT_FOUND;
	fx.fail_for = "two";
	assert_int_equal(BANGER("vm", "stop", "one", "two", "three"), FAIL_PARTLY);
	assert_string_equal(fx.out, "one: stopped\nthree: stopped\n");
	assert_has(fx.err, "banger: web1: as the test asked\n");
	assert_string_equal(fx.calls, "vm_stop vm_stop vm_stop ");
	assert_int_equal(BANGER("vm", "stop", "two"), FAIL_NOT_FOUND);
	assert_int_equal(BANGER("vm", "stop", "one", "three"), 0);
	assert_int_equal(BANGER("vm", "stop", "one", "three", "-o", "json"), 0);
	json_t *j = parsed(fx.out);
	assert_int_equal(json_array_size(j), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(j, 1), "target")),
			    "three");
	json_decref(j);
}

/* The fake daemon answers no start before all three have come. */
static void test_several_targets_side_by_side(void **state)
{
	(void)state;
	fx.gather = 3;
	(void)alarm(30);
	assert_int_equal(BANGER("start", "one", "two", "three", "--progress", "plain"), 0);
	(void)alarm(0);
	assert_string_equal(fx.out, "one: started\ntwo: started\nthree: started\n");
	assert_has(fx.err, "3 of 3 done\n");
	fx.gather = 0;
	fx.fail[CALL_VM_START] = FAIL_LIMIT;
	fx.fail_for = "two";
	assert_int_equal(BANGER("start", "one", "two", "three"), FAIL_PARTLY);
	assert_string_equal(fx.out, "one: started\nthree: started\n");
	assert_has(fx.err, "2 of 3 done; the errors are above\n");
}

static void test_if_exists(void **state)
{
	(void)state;
	fx.fail[CALL_VM_SHOW] = FAIL_NOT_FOUND;
	assert_int_equal(BANGER("vm", "delete", "gone"), FAIL_NOT_FOUND);
	assert_int_equal(BANGER("vm", "delete", "gone", "--if-exists"), 0);
	assert_string_equal(fx.out, "gone: not there\n");
	fx.fail[CALL_VM_SHOW] = FAIL_NOT_ALLOWED;
	assert_int_equal(BANGER("vm", "delete", "gone", "--if-exists"), FAIL_NOT_ALLOWED);
}

static void test_stages(void **state)
{
	(void)state;
	assert_int_equal(BANGER("vm", "start", "web1"), 0);
	assert_string_equal(fx.err, "  network: tap bgr3 (1.5 ms)\n");
	assert_string_equal(fx.out, "web1: started\n");
	assert_int_equal(BANGER("vm", "start", "web1", "--progress", "none"), 0);
	assert_string_equal(fx.err, "");
	assert_int_equal(BANGER("vm", "start", "web1", "--progress=json"), 0);
	json_t *j = parsed(fx.err);
	assert_string_equal(json_string_value(json_object_get(j, "event")), "stage");
	assert_string_equal(json_string_value(json_object_get(j, "op")), OP_ID);
	assert_int_equal(json_integer_value(json_object_get(j, "us")), 1500);
	json_decref(j);
}

static void test_logs_not_on_a_terminal(void **state)
{
	(void)state;
	fx.log = "\033[31mred\033[0m\r\nplain\n";
	assert_int_equal(BANGER("vm", "logs", "web1"), 0);
	assert_string_equal(fx.out, fx.log);
	assert_int_equal(fx.last[CALL_VM_LOGS].vm_logs.what, 0);
	assert_int_equal(BANGER("vm", "logs", "--vmm", "web1"), 0);
	assert_int_equal(fx.last[CALL_VM_LOGS].vm_logs.what, 1);
	assert_int_equal(BANGER("logs", "web1", "--metrics"), 0);
	assert_int_equal(fx.last[CALL_VM_LOGS].vm_logs.what, 2);
	assert_string_equal(fx.out, fx.log);
}

static void test_unreachable(void **state)
{
	char path[160];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/none", fx.dir);
	(void)setenv("BANGER_SOCKET", path, 1);
	assert_int_equal(BANGER("vm", "list"), FAIL_UNREACHABLE);
	assert_has(fx.err, "no socket at ");
	int fd = open(path, O_CREAT | O_CLOEXEC | O_WRONLY, 0600);
	assert_int_equal(BANGER("vm", "list"), FAIL_UNREACHABLE);
	assert_has(fx.err, "no process listens at ");
	(void)close(fd);
	if (geteuid() != 0) {
		assert_int_equal(chmod(path, 0), 0);
		assert_int_equal(BANGER("vm", "list"), FAIL_UNREACHABLE);
		assert_has(fx.err, "no permission to open ");
	}
	assert_int_equal(BANGER("version"), 0);
	assert_has(fx.out, "daemon: ");
	assert_int_equal(BANGER("doctor"), FAIL_HOST);
	assert_has(fx.out, "FAIL     here   daemon");
}

static void test_doctor(void **state)
{
	(void)state;
	assert_int_equal(BANGER("doctor"), FAIL_HOST);
	assert_has(fx.out, "daemon  bridge");
	assert_has(fx.out, "make one");
	assert_int_equal(BANGER("doctor", "-o", "json"), FAIL_HOST);
	json_t *j = parsed(fx.out);
	assert_true(json_array_size(j) > 3);
	json_decref(j);
	assert_int_equal(BANGER("version"), 0);
	assert_has(fx.out, "daemon 9.9 (protocol 1)");
	assert_int_equal(BANGER("audit", "show"), 0);
	assert_has(fx.out, "tap_create");
	assert_int_equal(BANGER("audit", "show", "-o", "json", OP_ID), 0);
	j = parsed(fx.out);
	assert_string_equal(json_string_value(json_object_get(json_array_get(j, 0), "op")),
			    "tap_create");
	json_decref(j);
	assert_string_equal(fx.last[CALL_AUDIT_SHOW].audit_show.op, OP_ID);
}

/* A foreign chain on the same hook is named.  A chain that only looks similar is not, nor is our
 * own. */
static void test_doctor_firewall(void **state)
{
	static const struct {
		const char *chain, *want;
	} rows[] = {
		{ "\"family\":\"ip\",\"table\":\"filter\",\"name\":\"FORWARD\",\"hook\":"
		  "\"forward\",\"policy\":\"drop\"",
		  "WARN" },
		{ "\"family\":\"inet\",\"table\":\"firewalld\",\"name\":\"filter_FORWARD\","
		  "\"hook\":\"forward\",\"policy\":\"accept\"",
		  "WARN" },
		{ "\"family\":\"inet\",\"table\":\"banger\",\"name\":\"forward\",\"hook\":"
		  "\"forward\",\"policy\":\"drop\"",
		  "PASS" },
		{ "\"family\":\"ip\",\"table\":\"filter\",\"name\":\"INPUT\",\"hook\":\"input\","
		  "\"policy\":\"drop\"",
		  "PASS" },
		{ "\"family\":\"ip6\",\"table\":\"filter\",\"name\":\"FORWARD\",\"hook\":"
		  "\"forward\",\"policy\":\"drop\"",
		  "PASS" },
		{ "\"family\":\"ip\",\"table\":\"filter\",\"name\":\"DOCKER\"", "PASS" },
	};
	char script[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(script, sizeof(script),
			       "echo '{\"nftables\":[{\"metainfo\":{}},{\"chain\":{%s}}]}'\n",
			       rows[i].chain);
		write_script("nft", script);
		(void)BANGER("doctor", "-o", "json");
		json_t *all = parsed(fx.out), *row;
		const char *verdict = "";
		size_t k;
		json_array_foreach(all, k,
				   row) if (strcmp(json_string_value(json_object_get(row, "name")),
						   "firewall") == 0)
			verdict = json_string_value(json_object_get(row, "verdict"));
		assert_string_equal(verdict, rows[i].want);
		json_decref(all);
	}
	write_script("nft", "echo 'Operation not permitted' >&2; exit 1\n");
	(void)BANGER("doctor");
	assert_lacks(fx.out, "firewall");
	assert_lacks(fx.err, "not permitted");
}

static void test_clean(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "plain\n\ttext", "plain\n\ttext" },
		{ "a\rb\ab\bc\177d", "abbcd" },
		{ "\033[31mred\033[0m", "red" },
		{ "\033]0;title\007x", "x" },
		{ "\033]0;title\033\\x", "x" },
		{ "\033Pdcs\033\\x", "x" },
		{ "\033(Bx", "x" },
		{ "\033cx", "x" },
		{ "\033]never ends\nx", "\nx" },
		{ "\033[12\nx", "\nx" },
		{ "\xc2\x9b"
		  "31mred",
		  "red" },
		{ "\xc3\xa9\xc2\xa9", "\xc3\xa9\xc2\xa9" },
		{ "\xc2\x85x", "x" },
		{ "\xc2", "" },
		{ "", "" },
		{ "\xc2\xc2\xa9", "\xc2\xa9" },
		{ "\xc2\nx", "\nx" },
		{ "\xc2\033[1mx", "x" },
		/* The two bytes of a C1 have a sequence between them, which is dropped. */
		{ "\xc2\033[m\x9b"
		  "2J",
		  "\x9b"
		  "2J" },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct clean whole = { 0 }, bits = { 0 };
		size_t n = clean_bytes(&whole, rows[i].in, strlen(rows[i].in), out), have = 0;
		out[n] = '\0';
		assert_string_equal(out, rows[i].out);
		/* The same input comes a byte at a time: a sequence may be cut anywhere. */
		for (const char *p = rows[i].in; *p; p++)
			have += clean_bytes(&bits, p, 1, out + have);
		out[have] = '\0';
		assert_string_equal(out, rows[i].out);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = { { 0, "0" },
		     { 1023, "1023" },
		     { 1024, "1K" },
		     { 512u << 20, "512M" },
		     { 1u << 30, "1G" },
		     { 1536u << 20, "1.5G" },
		     { UINT64_MAX, "16384P" } };
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		format_size(rows[i].bytes, out);
		assert_string_equal(out, rows[i].text);
	}
	format_age("not a time", out);
	assert_string_equal(out, "-");
	format_age("2099-01-01T00:00:00Z", out);
	assert_string_equal(out, "0 s");
}

static void assert_clean(const char *text)
{
	const unsigned char *u = (const unsigned char *)text;

	for (size_t i = 0; u[i]; i++)
		if ((u[i] < ' ' && u[i] != '\n') || u[i] == 127 ||
		    (u[i] == 0xc2 && u[i + 1] >= 0x80 && u[i + 1] <= 0x9f))
			fail_msg("byte 0x%02x at %zu of: %s", u[i], i, text);
}

/* A taken-over daemon sends control bytes and newlines: the terminal obeys none, and none begins a
 * line. */
static void test_hostile_text(void **state)
{
	static const char *const texts[] = { "a\x1b[31mb",
					     "\xc2\x9b"
					     "31mx",
					     "x\x7f\r",
					     "a\nb",
					     "\xc2\x85",
					     "\x1b",
					     "\xc2\x9c\xc2\xa9" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		fx.hostile = texts[i];
		for (int json = 0; json < 2; json++) {
			const char *o = json ? "json" : "text";
			(void)BANGER("audit", "show", "-o", o), assert_clean(fx.out),
				assert_clean(fx.err);
			(void)BANGER("host", "gc", "-o", o), assert_clean(fx.out),
				assert_clean(fx.err);
			(void)BANGER("vm", "list", "-o", o), assert_clean(fx.out),
				assert_clean(fx.err);
			(void)BANGER("vm", "show", "web1", "-o", o), assert_clean(fx.out),
				assert_clean(fx.err);
			(void)BANGER("version", "-o", o), assert_clean(fx.out),
				assert_clean(fx.err);
			(void)BANGER("doctor", "-o", o), assert_clean(fx.out), assert_clean(fx.err);
			(void)BANGER("volume", "list", "-o", o), assert_clean(fx.out),
				(void)BANGER("image", "list", "-o", o), assert_clean(fx.out),
				assert_clean(fx.err);
			(void)BANGER("vm", "start", "web1", "-o", o), assert_clean(fx.out),
				assert_clean(fx.err);
			fx.fail[CALL_VM_KILL] = FAIL_STATE;
			(void)BANGER("vm", "kill", "web1", "-o", o), assert_clean(fx.out),
				assert_clean(fx.err);
		}
		if (BANGER("vm", "list", "-q") != 0)
			fail_msg("%s", fx.err);
		assert_clean(fx.out);
		assert_string_equal(strchr(fx.out, '\n'), "\n");
	}
	fx.hostile = "a\x1b[31m\xc2\x9b"
		     "b\xc3\xa9";
	assert_int_equal(BANGER("vm", "list", "-q"), 0);
	assert_string_equal(fx.out, "a?[31m??b\xc3\xa9\n");
}

/* A program under another account can not open our terminal, not even by /dev/tty, and has its own
 * session. */
static void test_another_account_is_in_a_session_of_its_own(void **state)
{
	const char *const argv[] = {
		"sh", "-c", "read -r _ _ _ _ _ sid _ </proc/$$/stat; echo $sid $$ $(id -u)", NULL
	};
	const struct account as = { 54321, 54321 };
	char out[64] = "";
	const struct proc_io io = { .capture = out, .capture_size = sizeof(out), .as = &as };
	struct cli c = { .sigfd = -1, .out = stdout, .err = stderr };
	struct error e;
	int sid, pid, uid;

	(void)state;
	if (getuid() != 0) {
		print_message("SKIP: not root, so we can be nobody else\n");
		skip();
	}
	assert_int_equal(setenv("PATH", "/usr/bin:/bin", 1), 0);
	assert_int_equal(proc_run(&c, argv, &io, &e), 0);
	assert_int_equal(sscanf(out, "%d %d %d", &sid, &pid, &uid), 3);
	assert_int_equal(uid, 54321);
	assert_int_equal(sid, pid);
	assert_int_not_equal(sid, getsid(0));
}

/* One record of a log; the audit commands but verify read its members alone. */
static void put_record(const char *role, int n, int64_t boot_ns, const char *members)
{
	char file[300];

	(void)snprintf(file, sizeof(file), "%s/%s.log", fx.dir, role);
	FILE *f = fopen(file, "ae");
	assert_non_null(f);
	(void)fprintf(f,
		      "{\"role\":\"%s\",\"n\":%d,\"time\":\"2026-01-02T03:04:%02d.000000000Z\","
		      "\"boot_ns\":%lld,%s}\n",
		      role, n, n, (long long)boot_ns, members);
	(void)fclose(f);
}

#define START "\"type\":\"start\""
#define CREATE(type, of)                                         \
	"\"type\":\"" type "\",\"seq\":1,\"op\":\"tap_create\"," \
	"\"op_id\":\"" OP_ID "\",\"slot\":999,\"generation\":1,\"owner\":1000" of

/* The clocks of two roles are read at two moments, so the records of one can be a little out of
 * order with those of the other: that is no boot of the host, which would have ended all taps. */
static void test_audit_diff_takes_each_roles_clock(void **state)
{
	(void)state;
	put_record("net", 1, 1000, START);
	put_record("net", 2, 2000, CREATE("intent", ""));
	put_record("net", 3, 3000, CREATE("result", ",\"status\":\"ok\",\"us\":1"));
	put_record("net", 4, 9000, "\"type\":\"ready\"");
	put_record("spawn", 5, 8500, START);
	put_record("blk", 5, 8400, START);
	assert_int_equal(BANGER("audit", "diff", "--logs", fx.dir), FAIL_GENERAL);
	assert_has(fx.out,
		   "tap of slot 999: the log has a create, and the kernel does not show it");
	put_record("net", 6, 500, START); /* this is one */
	assert_int_equal(BANGER("audit", "diff", "--logs", fx.dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_table),
		T(test_audit_table),
		T(test_audit_diff_obeys_no_log),
		T(test_audit_diff_takes_each_roles_clock),
		T(test_audit_stats_are_bounded),
		T(test_audit_findings_are_bounded),
		T(test_list_json),
		T(test_errors),
		T(test_output_that_can_not_be_written),
		T(test_closed_standard_descriptors),
		T(test_text_that_is_not_utf8),
		T(test_several_targets),
		T(test_several_targets_side_by_side),
		T(test_if_exists),
		T(test_stages),
		T(test_logs_not_on_a_terminal),
		T(test_unreachable),
		T(test_doctor),
		T(test_doctor_firewall),
		T(test_hostile_text),
		cmocka_unit_test(test_another_account_is_in_a_session_of_its_own),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
