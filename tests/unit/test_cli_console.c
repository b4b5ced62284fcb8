/* vm console: what is typed and what is shown, the escape character, and the terminal in each
 * way in which a session ends. */
#include "tests/unit/cli_fixture.h"

#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#define PATIENCE_MS 60000 /* for what is waited for on a loaded machine */

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

static void sleep_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* ---- with a pipe as standard input ---- */

/* Run console with the bytes of @input, and nothing behind them.  @escape: or NULL.  Return: its
 * status. */
static int console(const char *input, const char *escape)
{
	int saved = dup(STDIN_FILENO), p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(write(p[1], input, strlen(input)), strlen(input));
	(void)close(p[1]);
	(void)dup2(p[0], STDIN_FILENO);
	(void)close(p[0]);
	fx.ntyped = 0;
	fx.calls[0] = '\0';
	int status = escape ? BANGER("console", "--escape", escape, "web1")
			    : BANGER("vm", "console", "web1");
	(void)dup2(saved, STDIN_FILENO);
	(void)close(saved);
	fx.typed[fx.ntyped] = '\0';
	return status;
}

static void test_what_is_typed_before_the_escape_is_sent(void **state)
{
	(void)state;
	fx.echoes = true;
	fx.log = "boot\033[6n> ";
	assert_int_equal(console("root\r\003\035more", NULL), 0);
	assert_string_equal(fx.typed, "root\r\003");
	assert_has(fx.out, "boot> ");
	assert_string_equal(fx.err, "");
	assert_has(fx.calls, "vm_show vm_type vm_logs follow vm_type ");
	assert_string_equal(fx.last[CALL_VM_TYPE].vm_type.vm, VM_ID);
	assert_string_equal(fx.last[CALL_VM_LOGS].vm_logs.vm, VM_ID);
	assert_int_equal(fx.last[CALL_VM_LOGS].vm_logs.from, strlen(fx.log));
}

static void test_escape_characters(void **state)
{
	static const struct {
		const char *escape, *input, *typed;
	} rows[] = {
		{ "x", "axb", "a" },       { "^A", "a\035\001b", "a\035" },
		{ "^a", "a\001b", "a" },   { "^]", "a\035b", "a" },
		{ "^?", "a\177b", "a" },   { "^", "a^b", "a" },
		{ "^_", "a\037b", "a" },   { "none", "a\035\001q", "a\035\001q" },
		{ "\377", "a\377b", "a" },
	};
	static const char *const odd[] = { "", "ctrl", "^AB", "^1", "^`", "^{", "nones" };

	(void)state;
	fx.echoes = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(console(rows[i].input, rows[i].escape), 0);
		assert_string_equal(fx.typed, rows[i].typed);
	}
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_int_equal(console("\035", odd[i]), FAIL_USAGE);
		assert_has(fx.err, "--escape");
		assert_string_equal(fx.calls, "");
	}
}

static void test_the_end_of_the_vm_ends_it(void **state)
{
	(void)state;
	fx.echoes = true;
	fx.reason = "its guest powered off";
	assert_int_equal(console("abcq", NULL), 0);
	assert_has(fx.out, "abcq"); /* all that the guest has said is shown */
	assert_has(fx.err, "banger: web1 is stopped: its guest powered off\n");
}

static void test_refusals(void **state)
{
	(void)state;
	fx.echoes = true;
	fx.fail[CALL_VM_TYPE] = FAIL_STATE;
	assert_int_equal(console("", NULL), FAIL_STATE);
	assert_string_equal(fx.calls, "vm_show vm_type ");
	assert_has(fx.err, "banger: web1: as the test asked\nhint: do something else\n");
	fx.fail[CALL_VM_SHOW] = FAIL_NOT_FOUND;
	assert_int_equal(console("", NULL), FAIL_NOT_FOUND);
	assert_string_equal(fx.calls, "vm_show ");
}

static void test_a_deaf_guest_gets_each_byte_once(void **state)
{
	(void)state;
	fx.echoes = true;
	fx.deaf = 3;
	assert_int_equal(console("abc\035", NULL), 0);
	assert_string_equal(fx.typed, "abc");
	assert_int_equal(fx.deaf, 0);
}

/* ---- with a terminal ---- */

static struct {
	int master;
	pid_t pid;
	struct termios before;
	char shown[65536];
	size_t n;
} tty;

static void open_console(void)
{
	static char words[3][8] = { "banger", "console", "web1" };
	char *argv[] = { words[0], words[1], words[2], NULL };
	int slave;

	memset(&tty, 0, sizeof(tty));
	assert_int_equal(openpty(&tty.master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(tty.master, &tty.before), 0);
	tty.pid = fork();
	assert_true(tty.pid >= 0);
	if (tty.pid == 0) {
		(void)setsid();
		for (int fd = 0; fd < 3; fd++)
			(void)dup2(slave, fd);
		(void)close(slave);
		(void)close(tty.master);
		_exit(cli_main(3, argv, commands));
	}
	(void)close(slave);
}

static bool is_as_before(void)
{
	struct termios now;

	/* A master that is the last descriptor of the terminal reads its mode all the same. */
	return tcgetattr(tty.master, &now) == 0 && now.c_lflag == tty.before.c_lflag &&
	       now.c_iflag == tty.before.c_iflag && now.c_oflag == tty.before.c_oflag;
}

static bool read_more(void)
{
	struct pollfd p = { tty.master, POLLIN, 0 };

	if (poll(&p, 1, 20) <= 0)
		return false;
	if (!(p.revents & POLLIN)) { /* the last process has closed it */
		sleep_ms(20);
		return false;
	}
	ssize_t n = read(tty.master, tty.shown + tty.n, sizeof(tty.shown) - 1 - tty.n);
	tty.n += n > 0 ? (size_t)n : 0;
	tty.shown[tty.n] = '\0';
	return n > 0;
}

static void wait_shown(const char *text)
{
	for (int ms = 0; !strstr(tty.shown, text); ms += 20) {
		if (ms >= PATIENCE_MS)
			fail_msg("no \"%s\" in: %s", text, tty.shown);
		(void)read_more();
	}
}

static void type(const char *text)
{
	assert_int_equal(write(tty.master, text, strlen(text)), strlen(text));
}

/* The session is in raw mode from its first echo on. */
static void wait_for_session(void)
{
	wait_shown("this is the console of web1; Ctrl-] leaves it");
	for (int ms = 0; is_as_before() && ms < PATIENCE_MS; ms += 20)
		sleep_ms(20);
	assert_false(is_as_before());
	type("hello");
	wait_shown("hello");
}

/* Return: the status of waitpid(2). */
static int close_console(void)
{
	int status = -1;
	bool ended = false;

	for (int ms = 0; !ended && ms < PATIENCE_MS; ms += 20) {
		(void)read_more();
		ended = waitpid(tty.pid, &status, WNOHANG) == tty.pid;
	}
	if (!ended)
		(void)kill(tty.pid, SIGKILL);
	assert_true(ended);
	for (int ms = 0; !is_as_before() && ms < PATIENCE_MS; ms += 20)
		sleep_ms(20);
	assert_true(is_as_before());
	while (read_more())
		;
	(void)close(tty.master);
	return status;
}

static void test_a_terminal_is_raw_and_then_as_before(void **state)
{
	(void)state;
	fx.echoes = true;
	open_console();
	wait_for_session();
	type("\003\004\032\021\r"); /* signals, end of file, stop: for the guest */
	wait_shown("\003\004\032\021\r");
	type("\035");
	assert_int_equal(close_console(), 0);
	assert_has(tty.shown, "left the console of web1, which goes on");
}

static void test_a_signal_leaves_the_terminal_as_before(void **state)
{
	static const int signals[] = { SIGTERM, SIGHUP, SIGINT };

	(void)state;
	fx.echoes = true;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		open_console();
		wait_for_session();
		(void)kill(tty.pid, signals[i]);
		const int status = close_console();
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 128 + signals[i]);
	}
}

static void test_kill_9_leaves_the_terminal_as_before(void **state)
{
	(void)state;
	fx.echoes = true;
	open_console();
	wait_for_session();
	(void)kill(tty.pid, SIGKILL);
	assert_true(WIFSIGNALED(close_console()));
}

/* The one that guards the terminal after kill -9 leaves alone what another program has set. */
static void test_a_terminal_that_another_program_has_set_is_left(void **state)
{
	struct termios other, now;

	(void)state;
	fx.echoes = true;
	open_console();
	wait_for_session();
	assert_int_equal(tcgetattr(tty.master, &other), 0);
	other.c_lflag |= ICANON;
	assert_int_equal(tcsetattr(tty.master, TCSANOW, &other), 0);
	(void)kill(tty.pid, SIGKILL);
	assert_int_equal(waitpid(tty.pid, NULL, 0), tty.pid);
	/* The guard is the last one that has the terminal open: its end is the end of file. */
	struct pollfd p = { tty.master, 0, 0 };
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_true(p.revents & POLLHUP);
	assert_int_equal(tcgetattr(tty.master, &now), 0);
	assert_int_equal(now.c_lflag, other.c_lflag);
	(void)close(tty.master);
}

static void test_the_end_of_the_vm_leaves_the_terminal_as_before(void **state)
{
	(void)state;
	fx.echoes = true;
	open_console();
	wait_for_session();
	type("q");
	assert_int_equal(close_console(), 0);
	assert_has(tty.shown, "web1 is stopped");
}

/* Return: how often the service was asked to go on with the output. */
static size_t followed(void)
{
	size_t n = 0;

	for (const char *p = fx.calls; (p = strstr(p, "follow ")); p++)
		n++;
	return n;
}

/* The log has lost bytes between what was there at the begin and what comes now. */
static void test_a_session_outlives_a_restart_of_the_service(void **state)
{
	(void)state;
	fx.echoes = true;
	fx.log = "12345";
	fx.at = 1000000;
	open_console();
	wait_for_session();
	const size_t before = followed();
	type("L");
	wait_shown("the service does not answer");
	for (int ms = 0; followed() == before && ms < PATIENCE_MS; ms += 20)
		sleep_ms(20);
	assert_true(followed() > before);
	assert_int_equal(fx.last[CALL_VM_LOGS].vm_logs.from, fx.at);
	type("again");
	wait_shown("again");
	type("\035");
	assert_int_equal(close_console(), 0);
}

/* The VM runs in another start when the service is back, which has said more than the first. */
static void test_a_start_while_the_service_is_down_is_shown_whole(void **state)
{
	(void)state;
	fx.echoes = true;
	fx.started = "2026-01-02T03:04:05Z";
	open_console();
	wait_for_session();
	const size_t before = followed();
	fx.started = "2026-01-02T03:05:06Z";
	type("L");
	for (int ms = 0; followed() == before && ms < PATIENCE_MS; ms += 20)
		sleep_ms(20);
	assert_true(followed() > before);
	assert_int_equal(fx.last[CALL_VM_LOGS].vm_logs.from, 0);
	type("\035");
	assert_int_equal(close_console(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_what_is_typed_before_the_escape_is_sent),
		T(test_escape_characters),
		T(test_the_end_of_the_vm_ends_it),
		T(test_refusals),
		T(test_a_deaf_guest_gets_each_byte_once),
		T(test_a_terminal_is_raw_and_then_as_before),
		T(test_a_signal_leaves_the_terminal_as_before),
		T(test_kill_9_leaves_the_terminal_as_before),
		T(test_a_terminal_that_another_program_has_set_is_left),
		T(test_the_end_of_the_vm_leaves_the_terminal_as_before),
		T(test_a_session_outlives_a_restart_of_the_service),
		T(test_a_start_while_the_service_is_down_is_shown_whole),
	};

	fixture_used();
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
