/* exec, forward and logs by the agent in a guest: what it is sent, whose exit status it is, and
 * a guest that lies. */
#include "tests/unit/cli_fixture.h"

#include <arpa/inet.h>
#include <limits.h>
#include <poll.h>
#include <sys/wait.h>
#include <time.h>

#include "controller/cli/agent.h"

#define PATIENCE_MS 60000 /* for what is waited for on a loaded machine */

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

static void sleep_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static void says(enum agent_frame type, const void *data, size_t n)
{
	assert_true(fx.agent_len + AGENT_HEAD + n <= sizeof(fx.agent));
	fx.agent_len += agent_put((uint8_t *)fx.agent + fx.agent_len, type, data, n);
}

static void silence(void)
{
	if (fx.agent_lies)
		(void)pthread_join(fx.flood, NULL);
	fx.agent_lies = 0;
	fx.agent_len = 0;
	fx.agent_stays = false;
	if (fx.agent_fd > 0)
		(void)close(fx.agent_fd);
	fx.agent_fd = 0;
}

static int heard_flags; /* of the last START; -1: none */

/* The frames that the agent was sent, as "arg:sh start:0 input: ". */
static const char *heard(void)
{
	static struct agent_reader r;
	static char text[2000];
	struct agent_msg m;
	size_t size, n = 0;
	ssize_t got;

	memset(&r, 0, sizeof(r));
	r.from = AGENT_CLIENT;
	text[0] = '\0';
	do {
		uint8_t *at = agent_room(&r, &size);
		got = recv(fx.agent_fd, at, size, MSG_DONTWAIT);
		r.have += got > 0 ? (size_t)got : 0;
		while (agent_next(&r, &m) == 1 && n < sizeof(text) - 200) {
			if (m.type == AGENT_START)
				heard_flags = m.data[0];
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s:%.*s ",
					      agent_frame_name(m.type),
					      m.type == AGENT_START ? 0 : (int)m.n,
					      (const char *)m.data);
		}
	} while (got > 0);
	return text;
}

static void test_streams_and_status(void **state)
{
	(void)state;
	says(AGENT_OUTPUT, "hello\n", 6);
	says(AGENT_ERRORS, "oops\n", 5);
	says(AGENT_EXIT, "\x07\0", 2);
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "sh", "-c", "exit 7"), 7);
	assert_string_equal(fx.out, "hello\n");
	assert_string_equal(fx.err, "oops\n");
	assert_string_equal(fx.calls, "vm_show vm_agent ");
	assert_string_equal(fx.last[CALL_VM_AGENT].vm_agent.vm, VM_ID);
	assert_string_equal(heard(), "arg:sh arg:-c arg:exit 7 start: input: ");
	silence();
}

static void test_a_user_a_folder_and_variables(void **state)
{
	(void)state;
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(BANGER("exec", "-n", "-e", "A=b c", "--env", "D=", "-u", "guest",
				"--workdir", "/tmp", "web1", "--", "true"),
			 0);
	assert_string_equal(heard(), "arg:true env:A=b c env:D= user:guest folder:/tmp start: "
				     "input: ");
	silence();
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(BANGER("run", "--rm", "-t", "-e", "TERM=vt52", "-u", "7", "--", "true"),
			 0);
	assert_has(heard(), "arg:true env:TERM=vt52 user:7 start: ");
	silence();
}

/* Its words are no line for a shell, and the image's entry point is left out. */
static void test_an_entry_point_of_the_user(void **state)
{
	(void)state;
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(BANGER("run", "--rm", "--entrypoint", "/bin/ls", "--", "-l /"), 0);
	assert_has(heard(), "arg:/bin/ls arg:-l / start: ");
	assert_int_equal(heard_flags, 0);
	silence();
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(BANGER("run", "--rm", "--entrypoint", "ls"), 0);
	assert_has(heard(), "arg:ls start: ");
	assert_int_equal(heard_flags, 0);
	silence();
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(BANGER("run", "--rm", "--entrypoint", "", "--", "ls -l"), 0);
	assert_has(heard(), "arg:ls -l start: ");
	assert_int_equal(heard_flags, AGENT_LINE);
	silence();
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(BANGER("run", "--rm", "--", "ls -l"), 0);
	(void)heard();
	assert_int_equal(heard_flags, AGENT_LINE | AGENT_ENTRY);
	silence();
	fx.calls[0] = '\0';
	assert_int_equal(BANGER("run", "-d", "--entrypoint", "ls"), FAIL_USAGE);
	assert_int_equal(BANGER("run", "--ssh", "--entrypoint", "ls"), FAIL_USAGE);
	assert_int_equal(BANGER("exec", "--entrypoint", "ls", "web1", "--", "x"), FAIL_USAGE);
	assert_string_equal(fx.calls, "");
}

static void refuses(const char *option, const char *value, const char *why)
{
	fx.calls[0] = '\0';
	assert_int_equal(BANGER("exec", "-n", option, value, "web1", "--", "true"), FAIL_USAGE);
	assert_has(fx.err, why);
	assert_int_equal(BANGER("run", "--rm", option, value, "--", "true"), FAIL_USAGE);
	assert_string_equal(fx.calls, "");
}

static void test_bad_options_of_a_command(void **state)
{
	struct options o = { .env = { .n = VALUES_MAX } };
	static char value[400], text[5000];
	struct error e = { 0 };

	(void)state;
	refuses("--env", "NAME", "is not NAME=VALUE");
	refuses("--env", "=value", "is not NAME=VALUE");
	refuses("--env", "A=" AGENT_MARK, "begin a session");
	refuses("--user", "", "it is empty");
	refuses("--workdir", AGENT_MARK "/", "begin a session");
	memset(value, 'v', sizeof(value) - 1);
	memset(text, 'x', sizeof(text) - 1);
	value[1] = '=';
	for (int i = 0; i < VALUES_MAX; i++)
		o.env.v[i] = value;
	assert_int_equal(agent_check_options(&o, &e), -1);
	o.env.n = 50;
	assert_int_equal(agent_check_options(&o, &e), 0);
	o.as = text + sizeof(text) - 1 - 256;
	assert_int_equal(agent_check_options(&o, &e), -1);
	o.as++;
	o.workdir = text + sizeof(text) - 1 - 4096;
	assert_int_equal(agent_check_options(&o, &e), -1);
	o.workdir++;
	assert_int_equal(agent_check_options(&o, &e), 0);
	assert_int_equal(BANGER("exec", "--ssh", "-u", "guest", "web1", "--", "true"), FAIL_USAGE);
	assert_has(fx.err, "for the agent alone");
}

static void test_a_signal_is_told_as_shells_do(void **state)
{
	(void)state;
	says(AGENT_EXIT, "\0\x0f", 2);
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "true"), 143);
	silence();
}

static void test_an_earlier_session_is_skipped(void **state)
{
	(void)state;
	(void)strcpy(fx.agent_before, "\x07rest of a frame of an earlier session");
	says(AGENT_OUTPUT, "ours", 4);
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "true"), 0);
	assert_string_equal(fx.out, "ours");
	silence();
}

static void test_it_could_not_be_started(void **state)
{
	(void)state;
	says(AGENT_FAILED, "\x7fno\033[31msuch: No such file", 24);
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "nosuch"), 127);
	assert_has(fx.err, "such: No");
	assert_lacks(fx.err, "\033");
	silence();
	/* CSI as one byte, for a terminal that does not take UTF-8 */
	says(AGENT_FAILED,
	     "\x7f\x9b"
	     "31mred",
	     8);
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "nosuch"), 127);
	assert_string_equal(fx.err, "banger: ?31mred\n");
	silence();
}

static void test_a_command_that_never_ran_has_not_succeeded(void **state)
{
	(void)state;
	says(AGENT_FAILED, "\0so far", 7);
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "true"), EXIT_OURS);
	assert_has(fx.err, "so far");
	silence();
}

static void lies(const char *why)
{
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "true"), EXIT_OURS);
	assert_has(fx.err, why);
	silence();
}

static void test_a_guest_that_lies(void **state)
{
	static uint8_t much[AGENT_DATA_MAX];
	static const char broken[] = "the guest sent what is not of this protocol";

	(void)state;
	fx.agent_len = 4;
	memcpy(fx.agent, "\xff\0\0\0", 4);
	lies(broken);
	says(AGENT_INPUT, "mine", 4); /* a frame of the client */
	lies(broken);
	says(AGENT_TOOK, "\0\1\0\0\0", 5); /* of input that was not sent */
	lies(broken);
	says(AGENT_TOOK, "\1\1\0\0\0", 5); /* of its own stream */
	lies(broken);
	says(AGENT_OUTPUT, "half", 4);
	fx.agent_len -= 1;
	lies("the guest or its monitor ended");
	/* more than the window, while nothing is read */
	for (int i = 0; i < 4; i++)
		says(AGENT_OUTPUT, much, sizeof(much));
	int status = BANGER("exec", "-n", "web1", "--", "true");
	assert_int_equal(status, EXIT_OURS);
	assert_has(fx.err, "the guest");
	silence();
}

/* The stream ends because the VM has ended: the user hears why. */
static void test_the_end_of_the_vm_is_told(void **state)
{
	(void)state;
	fx.ends = true;
	fx.reason = "the kernel of its guest panicked";
	fx.log = "[ 1.0] Kernel panic - not syncing: \033[31mcrash\r\n[ 1.1] Kernel Offset: 0\r\n";
	says(AGENT_OUTPUT, "so far\n", 7);
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "true"), EXIT_OURS);
	assert_has(fx.err, "banger: web1: the VM ended: the kernel of its guest panicked; its "
			   "console says \"[ 1.0] Kernel panic - not syncing: crash\"\n");
	silence();
}

/* The guest has ended while the command ran, and the next start was quicker than the question. */
static void *start_again(void *arg)
{
	for (int ms = 0; !strstr(fx.calls, "vm_wait ") && ms < PATIENCE_MS; ms += 20)
		sleep_ms(20);
	fx.started = "2026-01-02T03:05:06Z";
	return arg;
}

static void test_another_start_is_told(void **state)
{
	pthread_t t;

	(void)state;
	fx.started = "2026-01-02T03:04:05Z";
	says(AGENT_OUTPUT, "so far\n", 7);
	assert_int_equal(pthread_create(&t, NULL, start_again, NULL), 0);
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "true"), EXIT_OURS);
	(void)pthread_join(t, NULL);
	assert_has(fx.err, "banger: web1: its guest ended, and it was started again\n");
	silence();
}

/* The time counts although there is always something to read. */
static void test_a_guest_that_never_greets(void **state)
{
	(void)state;
	fx.agent_lies = LONG_MAX;
	(void)strcpy(fx.agent_before, "\x07not the agent");
	assert_int_equal(BANGER("exec", "-n", "--timeout", "300ms", "web1", "--", "true"),
			 FAIL_TIMEOUT);
	assert_has(fx.err, "is not the agent");
	silence();
}

static void test_a_guest_that_is_silent_after_a_byte(void **state)
{
	(void)state;
	fx.agent_lies = 1;
	(void)strcpy(fx.agent_before, "\x07");
	assert_int_equal(BANGER("exec", "-n", "--timeout", "300ms", "web1", "--", "true"),
			 FAIL_TIMEOUT);
	assert_has(fx.err, "is not the agent");
	silence();
}

static void test_no_agent(void **state)
{
	(void)state;
	fx.fail[CALL_VM_AGENT] = FAIL_TIMEOUT;
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "true"), FAIL_TIMEOUT);
	assert_has(fx.err, "as the test asked");
	fx.fail[CALL_VM_AGENT] = FAIL_STATE;
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "true"), EXIT_OURS);
}

static void test_run_deletes_its_vm(void **state)
{
	(void)state;
	says(AGENT_EXIT, "\x2a\0", 2);
	assert_int_equal(BANGER("run", "--rm", "--", "exit 42"), 42);
	assert_string_equal(fx.calls, "image_list vm_create vm_start vm_show vm_agent vm_delete ");
	silence();
	fx.fail[CALL_VM_AGENT] = FAIL_TIMEOUT;
	assert_int_equal(BANGER("run", "--rm", "--", "true"), FAIL_TIMEOUT);
	assert_has(fx.err, "hint: the VM is kept: banger vm logs web1");
}

/* Wait until the agent was sent a frame. */
static bool hears(const char *frame)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 20, sleep_ms(20))
		if (fx.agent_fd > 0 && strstr(heard(), frame))
			return true;
	return false;
}

/* A process that runs exec with @out as its standard output. */
static pid_t exec_into(int out)
{
	static char words[6][8] = { "banger", "exec", "-n", "web1", "--", "cat" };
	char *argv[] = { words[0], words[1], words[2], words[3], words[4], words[5], NULL };
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		(void)dup2(out, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		_exit(cli_main(6, argv, commands));
	}
	return pid;
}

/* Return: the exit status of @pid, or -1 if it did not end by itself. */
static int status_of(pid_t pid)
{
	int status;

	for (int ms = 0; ms < PATIENCE_MS; ms += 20, sleep_ms(20))
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	return -1;
}

/* The terminal's reader stops, as after Ctrl-S. */
static void test_a_stopped_terminal_holds_no_signal(void **state)
{
	static char much[30000];
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	(void)state;
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		skip();
	int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal >= 0);
	memset(much, 'x', sizeof(much));
	for (int i = 0; i < 4; i++)
		says(AGENT_OUTPUT, much, sizeof(much));
	fx.agent_stays = true;
	pid_t pid = exec_into(terminal);
	struct pollfd p = { master, POLLIN, 0 };
	size_t n = 0;
	while (n < sizeof(much) && poll(&p, 1, PATIENCE_MS) == 1)
		n += (size_t)read(master, much, sizeof(much) - n);
	sleep_ms(300); /* what the terminal takes now is much less than the rest */
	(void)kill(pid, SIGTERM);
	bool told = hears("signal:");
	(void)kill(pid, SIGTERM);
	int status = status_of(pid);
	(void)close(terminal);
	(void)close(master);
	silence();
	assert_int_equal(n, sizeof(much));
	assert_true(told);
	assert_int_equal(status, 128 + SIGTERM);
}

static void test_a_word_that_is_too_long(void **state)
{
	static char word[AGENT_DATA_MAX + 2];
	char *words[] = { word, NULL }, *four[] = { word, word, word, word, NULL };
	struct error e = { 0 };

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	assert_int_equal(agent_check_command(words, &e), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	word[AGENT_DATA_MAX] = '\0';
	assert_int_equal(agent_check_command(words, &e), 0);
	assert_int_equal(agent_check_command(four, &e), -1);
	assert_int_equal(agent_check_command(NULL, &e), 0);
}

static void test_too_many_words(void **state)
{
	static char *words[AGENT_WORDS + 2];
	struct error e = { 0 };

	(void)state;
	for (int i = 0; i < AGENT_WORDS; i++)
		words[i] = (char *)"x";
	assert_int_equal(agent_check_command(words, &e), 0);
	words[AGENT_WORDS] = (char *)"x";
	assert_int_equal(agent_check_command(words, &e), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	assert_has(e.why, "more than 4096 words");
}

/* What precedes a mark would be dropped by the agent, and what follows would be executed. */
static void test_a_mark_in_the_command_is_refused(void **state)
{
	static const char mark[] = "x" AGENT_MARK "0123456789abcdef";

	(void)state;
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "rm", "--", mark, "halt"), FAIL_USAGE);
	assert_has(fx.err, "begin a session");
	assert_string_equal(fx.calls, "");
	assert_int_equal(BANGER("run", "--rm", "--", mark), FAIL_USAGE);
	assert_string_equal(fx.calls, "");
}

static void test_a_mark_in_the_terminal_is_left_out(void **state)
{
	(void)state;
	(void)setenv("TERM", AGENT_MARK "0123456789abcdef", 1);
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(BANGER("exec", "-n", "-t", "web1", "--", "true"), 0);
	assert_has(heard(), "arg:true env:TERM=linux start: ");
	(void)setenv("TERM", "vt220", 1);
	silence();
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(BANGER("exec", "-n", "-t", "web1", "--", "true"), 0);
	assert_has(heard(), "env:TERM=vt220 ");
	silence();
}

/* ---- forward ---- */

/* Run forward with the words "web1 - TO" and an empty input.  Return: its status. */
static int forward_standard(const char *to)
{
	int saved = dup(STDIN_FILENO), null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)dup2(null, STDIN_FILENO);
	int status = BANGER("forward", "web1", "-", to);
	(void)dup2(saved, STDIN_FILENO);
	(void)close(saved);
	(void)close(null);
	return status;
}

static void test_a_connection_of_the_standard_streams(void **state)
{
	(void)state;
	says(AGENT_OUTPUT, "SSH-2.0", 7);
	says(AGENT_OUTPUT, NULL, 0);
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(forward_standard("/run/x"), 0);
	assert_string_equal(fx.out, "SSH-2.0");
	assert_string_equal(fx.err, "");
	assert_has(heard(), "connect:");
	silence();
	says(AGENT_ERRORS, "Connection\033[31m refused\n", 24);
	says(AGENT_EXIT, "\1\0", 2);
	assert_int_equal(forward_standard("12345"), 1);
	assert_string_equal(fx.err, "banger: web1:12345:Connection?[31m refused\n");
	assert_has(heard(), "connect:90"); /* 12345 in two bytes */
	silence();
}

static void lies_to_forward(void)
{
	assert_int_equal(forward_standard("80"), FAIL_GENERAL);
	assert_has(fx.err, "the guest sent what is not of this protocol");
	silence();
}

static void test_a_guest_that_lies_to_forward(void **state)
{
	(void)state;
	says(AGENT_OUTPUT, NULL, 0); /* more behind the end of file */
	says(AGENT_OUTPUT, "more", 4);
	lies_to_forward();
	says(AGENT_OUTPUT, NULL, 0);
	says(AGENT_OUTPUT, NULL, 0);
	lies_to_forward();
	says(AGENT_TOOK, "\0\1\0\0\0", 5); /* of input that was not sent */
	lies_to_forward();
	says(AGENT_CONNECT, "\x50\0", 2); /* a frame of the client */
	lies_to_forward();
	says(AGENT_OUTPUT, NULL, 0); /* a command's output has no end of its own */
	lies("the guest sent what is not of this protocol");
}

static void refuses_words(const char *one, const char *two)
{
	fx.calls[0] = '\0';
	assert_int_equal(BANGER("forward", "web1", one, two), FAIL_USAGE);
	assert_lacks(fx.calls, "vm_agent");
}

static void test_words_that_are_no_forward(void **state)
{
	static char path[140] = "0:/";

	(void)state;
	memset(path + 3, 'x', 107);
	refuses_words("80", NULL);
	refuses_words("0:0", NULL);
	refuses_words("0:65536", NULL);
	refuses_words("65536:80", NULL);
	refuses_words("0:path", NULL);
	refuses_words(path, NULL);
	refuses_words("host:0:80", NULL);
	refuses_words("::1:0:80", NULL);
	refuses_words("[::1:0:80", NULL);
	refuses_words("0:/" AGENT_MARK, NULL);
	refuses_words("-", NULL);
	refuses_words("-", "path");
	(void)memcpy(path, "/xx", 3); /* a path of this side */
	(void)strcpy(path + 108, ":80");
	refuses_words(path, NULL);
}

/* Wait until the service was asked for a session. */
static bool is_asked(void)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 20, sleep_ms(20))
		if (strstr(fx.calls, "vm_agent "))
			return true;
	return false;
}

/* A connection to a socket that forward listens at.  Return: -1: it never does. */
static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)strcpy(a.sun_path, path);
	for (int ms = 0; ms < PATIENCE_MS; ms += 20, sleep_ms(20))
		if (connect(fd, (const void *)&a, sizeof(a)) == 0)
			return fd;
	(void)close(fd);
	return -1;
}

/* A process that forwards the socket @path. */
static pid_t forward_from(const char *path)
{
	static char word[200];
	char *argv[] = { (char *)"banger", (char *)"forward", (char *)"web1", word, NULL };
	pid_t pid = fork();

	assert_true(pid >= 0);
	(void)snprintf(word, sizeof(word), "%s:80", path);
	(void)setpgid(pid, 0); /* so that a test can stop it with its children */
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		(void)dup2(null, STDOUT_FILENO);
		_exit(cli_main(4, argv, commands));
	}
	return pid;
}

static void test_a_connection_of_a_socket(void **state)
{
	char path[100], got[16] = "";
	struct stat st;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/forward", fx.dir);
	says(AGENT_OUTPUT, "hello", 5);
	says(AGENT_EXIT, "\0\0", 2);
	pid_t pid = forward_from(path);
	int fd = connect_to(path);
	assert_true(fd >= 0);
	assert_true(is_asked());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), 5);
	assert_string_equal(got, "hello");
	(void)close(fd);
	(void)kill(pid, SIGTERM);
	assert_int_equal(status_of(pid), 128 + SIGTERM);
	assert_int_equal(stat(path, &st), -1);
	silence();
}

/* A process that forwards a free TCP port of 127.0.0.1, which is in @port then. */
static pid_t forward_port(uint16_t *port)
{
	static char words[4][8] = { "banger", "forward", "web1", "0:80" };
	char *argv[] = { words[0], words[1], words[2], words[3], NULL }, line[100] = "";
	int pair[2];

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(pair[1], STDOUT_FILENO);
		_exit(cli_main(4, argv, commands));
	}
	(void)close(pair[1]);
	assert_true(read(pair[0], line, sizeof(line) - 1) > 0);
	(void)close(pair[0]);
	assert_int_equal(strncmp(line, "127.0.0.1:", 10), 0);
	*port = (uint16_t)atoi(line + 10);
	return pid;
}

static int connect_to_port(uint16_t port)
{
	const struct sockaddr_in a = { .sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const void *)&a, sizeof(a)), 0);
	return fd;
}

/* Wait until the client has ended its session with the agent. */
static bool session_ends(void)
{
	struct pollfd p = { fx.agent_fd, POLLRDHUP, 0 };

	return poll(&p, 1, PATIENCE_MS) == 1;
}

/* The guest says nothing, and never ends. */
static void loses_its_client(pid_t pid, int fd)
{
	assert_int_equal(send(fd, "last words", 10, 0), 10);
	assert_true(hears("last words"));
	(void)close(fd);
	assert_true(
		hears("signal:\001 ")); /* SIGHUP: it goes; the agent never says that it knows */
	assert_true(session_ends());
	(void)kill(pid, SIGTERM);
	assert_int_equal(status_of(pid), 128 + SIGTERM);
	silence();
	fx.calls[0] = '\0';
}

static void test_a_client_that_is_gone_ends_a_silent_connection(void **state)
{
	char path[100];
	uint16_t port;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/forward", fx.dir);
	fx.agent_stays = true;
	pid_t pid = forward_from(path);
	loses_its_client(pid, connect_to(path));
	fx.agent_stays = true;
	pid = forward_port(&port);
	loses_its_client(pid, connect_to_port(port));
}

/* More than the guest takes: the end of the input is not reached. */
static void test_a_client_that_is_gone_with_its_input_unread(void **state)
{
	static char much[AGENT_WINDOW + 70000];
	uint16_t port;

	(void)state;
	fx.agent_stays = true;
	pid_t pid = forward_port(&port);
	int fd = connect_to_port(port);
	assert_int_equal(send(fd, much, sizeof(much), 0), (int)sizeof(much));
	assert_true(hears("input:"));
	(void)close(fd);
	const struct timeval most = { PATIENCE_MS / 1000, 0 };
	(void)setsockopt(fx.agent_fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	ssize_t n;
	do /* the agent reads, and its command does not */
		n = recv(fx.agent_fd, much, sizeof(much), 0);
	while (n > 0);
	assert_int_equal(n, 0);
	(void)kill(pid, SIGTERM);
	assert_int_equal(status_of(pid), 128 + SIGTERM);
	silence();
}

#define BEYOND 60000 /* bytes that a client sends, and the agent has no room for */

/* The bytes of input that the agent was sent until the end of the input, or until there are
 * @most. */
static size_t gets_input(struct agent_reader *r, size_t most)
{
	struct pollfd p = { fx.agent_fd, POLLIN, 0 };
	struct agent_msg m;
	size_t n = 0, size;
	ssize_t got;

	while (n < most && poll(&p, 1, PATIENCE_MS) == 1) {
		uint8_t *at = agent_room(r, &size);
		got = recv(fx.agent_fd, at, size, 0);
		if (got <= 0)
			break;
		r->have += (size_t)got;
		while (n < most && agent_next(r, &m) == 1) {
			if (m.type == AGENT_INPUT && m.n == 0)
				return n;
			n += m.type == AGENT_INPUT ? m.n : 0;
		}
	}
	return n;
}

static void agent_sends(void)
{
	assert_int_equal(send(fx.agent_fd, fx.agent, fx.agent_len, MSG_NOSIGNAL), fx.agent_len);
	fx.agent_len = 0;
}

/* A client that has sent more than the guest takes at once, and is gone, when the server speaks:
 * what it says can not be delivered, and all that the client has sent can. */
static void test_a_client_that_is_gone_is_still_read(void **state)
{
	static char much[AGENT_WINDOW + BEYOND];
	static struct agent_reader r;
	uint8_t took[5] = { AGENT_STREAM_INPUT };
	char path[100];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/forward", fx.dir);
	memset(&r, 0, sizeof(r));
	r.from = AGENT_CLIENT;
	fx.agent_stays = true;
	pid_t pid = forward_from(path);
	int fd = connect_to(path), big = 4 * (int)sizeof(much);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	assert_int_equal(send(fd, much, sizeof(much), 0), (int)sizeof(much));
	assert_true(is_asked());
	assert_int_equal(gets_input(&r, AGENT_WINDOW), AGENT_WINDOW);
	assert_int_equal(kill(-pid, SIGSTOP), 0);
	(void)close(fd);
	fx.agent_len = 0;
	says(AGENT_OUTPUT, "welcome", 7);
	agent_set32(took + 1, AGENT_WINDOW);
	says(AGENT_TOOK, took, sizeof(took));
	agent_sends();
	assert_int_equal(kill(-pid, SIGCONT), 0);
	assert_int_equal(gets_input(&r, SIZE_MAX), BEYOND);
	(void)kill(pid, SIGTERM);
	assert_int_equal(status_of(pid), 128 + SIGTERM);
	silence();
}

/* The server has ended its own direction, and takes nothing more. */
static void ends_half_open(pid_t pid, int fd)
{
	static char much[AGENT_WINDOW + BEYOND];
	static struct agent_reader r;
	const struct timeval most = { PATIENCE_MS / 1000, 0 };
	char byte;

	memset(&r, 0, sizeof(r));
	r.from = AGENT_CLIENT;
	assert_true(is_asked());
	assert_true(hears("connect:"));
	says(AGENT_OUTPUT, NULL, 0);
	agent_sends();
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	assert_int_equal(recv(fd, &byte, 1, 0), 0); /* it hears of that at once */
	assert_int_equal(send(fd, much, sizeof(much), 0), (int)sizeof(much));
	assert_int_equal(gets_input(&r, AGENT_WINDOW), AGENT_WINDOW);
	(void)close(fd);
	assert_true(session_ends());
	(void)kill(pid, SIGTERM);
	assert_int_equal(status_of(pid), 128 + SIGTERM);
	silence();
	fx.calls[0] = '\0';
}

static void test_a_half_open_connection_ends_with_its_client(void **state)
{
	char path[100];
	uint16_t port;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/forward", fx.dir);
	fx.agent_stays = true;
	pid_t pid = forward_from(path);
	ends_half_open(pid, connect_to(path));
	fx.agent_stays = true;
	pid = forward_port(&port);
	ends_half_open(pid, connect_to_port(port));
}

/* Wait until @pid has a child, or has none. */
static bool comes_to_have_children(pid_t pid, bool some)
{
	char path[64], text[16];
	bool has = !some;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	for (int ms = 0; has != some && ms < PATIENCE_MS; ms += 20, sleep_ms(20)) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		has = fd >= 0 && read(fd, text, sizeof(text)) > 0;
		(void)close(fd);
	}
	return has == some;
}

/* A client that goes while its connection waits for the guest. */
static void waits_no_more(pid_t pid, int fd)
{
	assert_true(fd >= 0);
	assert_true(comes_to_have_children(pid, true));
	assert_int_equal(send(fd, "request", 7, 0), 7);
	(void)close(fd);
	assert_true(comes_to_have_children(pid, false));
	(void)kill(pid, SIGTERM);
	assert_int_equal(status_of(pid), 128 + SIGTERM);
}

static void test_a_client_that_is_gone_waits_for_no_port(void **state)
{
	char path[100];
	uint16_t port;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/forward", fx.dir);
	fx.agent_busy = true;
	pid_t pid = forward_from(path);
	waits_no_more(pid, connect_to(path));
	pid = forward_port(&port);
	waits_no_more(pid, connect_to_port(port));
}

static void test_a_client_that_is_gone_waits_for_no_start(void **state)
{
	uint16_t port;

	(void)state;
	pid_t pid = forward_port(&port);
	fx.fail[CALL_VM_AGENT] = FAIL_STATE;
	fx.state = "stopped"; /* it reboots */
	fx.starts_again = true;
	waits_no_more(pid, connect_to_port(port));
}

/* A client that has ended its own direction waits for an answer, as long as that takes. */
static void test_a_client_that_waits_for_an_answer_is_not_gone(void **state)
{
	char got[8] = "";
	uint16_t port;

	(void)state;
	fx.agent_stays = true;
	pid_t pid = forward_port(&port);
	int fd = connect_to_port(port);
	(void)shutdown(fd, SHUT_WR);
	assert_true(hears("input:"));
	sleep_ms(3000);
	fx.agent_len = 0;
	says(AGENT_OUTPUT, "late", 4);
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(send(fx.agent_fd, fx.agent, fx.agent_len, MSG_NOSIGNAL), fx.agent_len);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), 4);
	assert_string_equal(got, "late");
	(void)close(fd);
	(void)kill(pid, SIGTERM);
	assert_int_equal(status_of(pid), 128 + SIGTERM);
	silence();
}

/* Let the agent answer once it was asked in vain. */
static void *answer_later(void *arg)
{
	for (int ms = 0; !strstr(fx.calls, "vm_agent vm_show ") && ms < PATIENCE_MS; ms += 20)
		sleep_ms(20);
	fx.started = "2026-01-02T03:05:06Z"; /* another start, whenever it is looked at */
	fx.fail[CALL_VM_AGENT] = 0;
	fx.state = "running";
	return arg;
}

static void test_a_guest_that_reboots_is_waited_for(void **state)
{
	pthread_t t;

	(void)state;
	says(AGENT_EXIT, "\x07\0", 2);
	fx.fail[CALL_VM_AGENT] = FAIL_STATE;
	fx.state = "stopped"; /* it reboots */
	fx.starts_again = true;
	assert_int_equal(pthread_create(&t, NULL, answer_later, NULL), 0);
	assert_int_equal(BANGER("run", "--rm", "--", "true"), 7);
	(void)pthread_join(t, NULL);
	const char *first = strstr(fx.calls, "vm_agent ");
	assert_non_null(first);
	assert_non_null(strstr(first + 1, "vm_agent "));
	fx.fail[CALL_VM_AGENT] = FAIL_STATE;
	fx.starts_again = false;
	assert_int_equal(BANGER("exec", "-n", "web1", "--", "true"), EXIT_OURS);
}

/* Its errors have a reader: exec goes on.  When they have none either, it ends. */
static void test_a_command_that_is_read_no_more_ends(void **state)
{
	static char words[6][8] = { "banger", "exec", "-n", "web1", "--", "cat" };
	char *argv[] = { words[0], words[1], words[2], words[3], words[4], words[5], NULL };
	int out[2], err[2];

	(void)state;
	fx.agent_stays = true;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(out[1], STDOUT_FILENO);
		(void)dup2(err[1], STDERR_FILENO);
		(void)close(out[0]);
		(void)close(err[0]);
		_exit(cli_main(6, argv, commands));
	}
	(void)close(out[0]);
	(void)close(out[1]);
	(void)close(err[1]);
	assert_true(hears("start:"));
	sleep_ms(2500);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	(void)close(err[0]);
	assert_int_equal(status_of(pid), 128 + SIGPIPE);
	silence();
}

/* The service tells of the end of the VM to which forward has connections. */
static void vm_comes_to(const char *vm_state, bool starts_again)
{
	fx.state = vm_state;
	fx.starts_again = starts_again;
	fx.fail[CALL_VM_AGENT] = FAIL_STATE;
	(void)shutdown(fx.waiting, SHUT_RDWR);
}

static bool is_watched(void)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 20, sleep_ms(20))
		if (strstr(fx.calls, "vm_wait "))
			return true;
	return false;
}

/* A connection that comes while the VM is at rest waits for its next start. */
static void test_a_reboot_does_not_end_forward(void **state)
{
	char path[100], got[16] = "", said[400] = "";
	int err[2];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/forward", fx.dir);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	int saved = dup(STDERR_FILENO);
	(void)dup2(err[1], STDERR_FILENO);
	pid_t pid = forward_from(path);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	(void)close(err[1]);
	assert_true(is_watched());
	vm_comes_to("stopped", true);
	says(AGENT_OUTPUT, "hello", 5);
	says(AGENT_EXIT, "\0\0", 2);
	int fd = connect_to(path);
	assert_true(is_asked());
	fx.calls[0] = '\0';
	fx.started = "2026-01-02T03:04:06Z";
	fx.fail[CALL_VM_AGENT] = FAIL_NONE;
	fx.state = "running";
	assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), 5);
	assert_string_equal(got, "hello");
	(void)close(fd);
	assert_true(is_watched());
	vm_comes_to("stopped", false);
	assert_int_equal(status_of(pid), FAIL_STATE);
	assert_true(read(err[0], said, sizeof(said) - 1) > 0);
	(void)close(err[0]);
	assert_has(said, "web1: a connection waits for its next start");
	silence();
}

/* ---- logs --journal ---- */

static void test_the_journal_of_a_guest(void **state)
{
	(void)state;
	says(AGENT_OUTPUT, "a line\n", 7);
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(BANGER("logs", "--journal", "web1"), 0);
	assert_string_equal(fx.out, "a line\n");
	assert_has(heard(), "arg:journalctl arg:--no-pager arg:--boot start: input: ");
	silence();
	says(AGENT_EXIT, "\1\0", 2);
	assert_int_equal(BANGER("logs", "--journal", "-f", "web1"), 1);
	assert_has(heard(), "arg:--boot arg:--follow arg:--no-tail start: ");
	silence();
	says(AGENT_FAILED, "\x7fjournalctl: No such file or directory", 38);
	assert_int_equal(BANGER("logs", "--journal", "web1"), FAIL_STATE);
	assert_has(fx.err, "web1: its guest has no journal");
	silence();
	fx.state = "stopped";
	assert_int_equal(BANGER("logs", "--journal", "web1"), FAIL_STATE);
	assert_has(fx.err, "it is stopped");
}

/* The guest writes what its journal is; on a terminal it can hide and change nothing.  The first
 * byte of a letter may come in the frame before the rest of it. */
static void test_the_journal_is_cleaned_on_a_terminal(void **state)
{
	char *argv[] = { (char *)"banger", (char *)"logs", (char *)"--journal", (char *)"web1",
			 NULL };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char got[64] = "";

	(void)state;
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		skip();
	int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal >= 0);
	says(AGENT_OUTPUT, "a\033[2Jb\xc2", 7);
	says(AGENT_OUTPUT, "\xa9.\n", 3);
	says(AGENT_EXIT, "\0\0", 2);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(terminal, STDOUT_FILENO);
		_exit(cli_main(4, argv, commands));
	}
	assert_int_equal(status_of(pid), 0);
	struct pollfd p = { master, POLLIN, 0 };
	for (size_t n = 0; !strchr(got, '\n') && poll(&p, 1, PATIENCE_MS) == 1;)
		n += (size_t)read(master, got + n, sizeof(got) - 1 - n);
	(void)close(terminal);
	(void)close(master);
	silence();
	assert_string_equal(got, "ab\xc2\xa9.\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_streams_and_status),
		T(test_a_user_a_folder_and_variables),
		T(test_an_entry_point_of_the_user),
		T(test_bad_options_of_a_command),
		T(test_a_signal_is_told_as_shells_do),
		T(test_an_earlier_session_is_skipped),
		T(test_it_could_not_be_started),
		T(test_a_command_that_never_ran_has_not_succeeded),
		T(test_a_guest_that_lies),
		T(test_the_end_of_the_vm_is_told),
		T(test_another_start_is_told),
		T(test_a_guest_that_never_greets),
		T(test_a_guest_that_is_silent_after_a_byte),
		T(test_no_agent),
		T(test_run_deletes_its_vm),
		T(test_a_stopped_terminal_holds_no_signal),
		T(test_a_word_that_is_too_long),
		T(test_too_many_words),
		T(test_a_mark_in_the_command_is_refused),
		T(test_a_mark_in_the_terminal_is_left_out),
		T(test_a_connection_of_the_standard_streams),
		T(test_a_guest_that_lies_to_forward),
		T(test_words_that_are_no_forward),
		T(test_a_connection_of_a_socket),
		T(test_a_client_that_is_gone_ends_a_silent_connection),
		T(test_a_client_that_is_gone_with_its_input_unread),
		T(test_a_client_that_is_gone_is_still_read),
		T(test_a_half_open_connection_ends_with_its_client),
		T(test_a_client_that_is_gone_waits_for_no_port),
		T(test_a_client_that_is_gone_waits_for_no_start),
		T(test_a_client_that_waits_for_an_answer_is_not_gone),
		T(test_a_command_that_is_read_no_more_ends),
		T(test_a_guest_that_reboots_is_waited_for),
		T(test_a_reboot_does_not_end_forward),
		T(test_the_journal_of_a_guest),
		T(test_the_journal_is_cleaned_on_a_terminal),
	};

	return cmocka_run_group_tests_name("cli_agent", tests, NULL, NULL);
}
