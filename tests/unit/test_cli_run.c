/* Tests `vm run`, `ssh` and `exec`: their exit status, the arguments of ssh, and that --rm deletes
 * the VM in every case.  The "guest" is a thread that sends SSH-2.0 at 127.0.0.1 port 22, in a
 * network namespace of the test. */
#include "tests/unit/cli_fixture.h"

#include "controller/cli/proc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

static bool have_guest;

static void *greet(void *arg)
{
	int listener = *(int *)arg, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		(void)!write(fd, "SSH-2.0-test\r\n", 14);
		(void)close(fd);
	}
	return NULL;
}

static bool make_guest(void)
{
	static int listener;
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(22),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	sigset_t all, old;
	pthread_t t;

	if (unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ioctl(listener, SIOCSIFFLAGS, &lo) < 0 ||
	    bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(listener, 8) < 0)
		return false;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	bool ok = pthread_create(&t, NULL, greet, &listener) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ok;
}

static void need_guest(void)
{
	if (!have_guest) {
		fprintf(stderr, "SKIP: no network namespace of our own here\n");
		skip();
	}
	fx.ip = "127.0.0.1";
}

static const char *ssh_args(void)
{
	static char buf[8192];
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/ssh.args", fx.dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	buf[0] = '\0';
	if (fd >= 0)
		slurp(fd, buf, sizeof(buf));
	return buf;
}

/* Send a signal to cli_main() once it has come so far.  Call sender_join() after it. */
struct sender {
	pthread_t thread;
	int sig;
	bool in_session; /* once the script of ssh has made "begun"; else once vm_wait is asked */
};

static bool has_come_so_far(const struct sender *s, const char *mark)
{
	return s->in_session ? access(mark, F_OK) == 0
			     : strstr((const char *)(volatile char *)fx.calls, "vm_wait ") != NULL;
}

static void *send_signal(void *arg)
{
	const struct sender *s = arg;
	char mark[160];

	(void)snprintf(mark, sizeof(mark), "%s/begun", fx.dir);
	for (int i = 0; i < 6000 && !has_come_so_far(s, mark); i++)
		(void)usleep(10000);
	(void)unlink(mark);
	(void)kill(getpid(), s->sig);
	return NULL;
}

static void sender_start(struct sender *s, int sig, bool in_session)
{
	sigset_t all, old;

	s->sig = sig;
	s->in_session = in_session;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	assert_int_equal(pthread_create(&s->thread, NULL, send_signal, s), 0);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void sender_join(struct sender *s)
{
	(void)pthread_join(s->thread, NULL);
}

static void test_status_is_the_guests(void **state)
{
	(void)state;
	need_guest();
	assert_int_equal(BANGER("vm", "run", "--ssh", "--rm", "--name", "web1", "--", "sh", "-c",
				"exit 7"),
			 7);
	assert_string_equal(fx.calls, "image_list vm_create vm_start vm_show vm_wait vm_delete ");
	assert_string_equal(fx.last[CALL_VM_DELETE].vm_delete.vm, VM_ID);
	assert_has(ssh_args(), "HostKeyAlias=" VM_ID "\n");
	assert_has(ssh_args(), "StrictHostKeyChecking=accept-new\n");
	assert_has(ssh_args(), "IdentitiesOnly=yes\n");
	assert_has(ssh_args(), "BatchMode=yes\n");
	assert_has(ssh_args(), "root@127.0.0.1\n--\n'sh' '-c' 'exit 7'\n");
	assert_string_equal(fx.out, "");
}

static void test_kept_without_rm(void **state)
{
	(void)state;
	need_guest();
	assert_int_equal(BANGER("run", "--ssh", "--", "true | false"), 7);
	assert_string_equal(fx.calls, "image_list vm_create vm_start vm_show vm_wait vm_hold ");
	assert_has(ssh_args(), "\n--\ntrue | false\n");
	assert_int_equal(BANGER("run", "--ssh"), 7);
	assert_lacks(ssh_args(), "BatchMode");
	assert_lacks(ssh_args(), "\n--\n");
}

/* Let the script of the test go on once a connection holds the VM that was lost before. */
static void *go_when_held(void *arg)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/go", fx.dir);
	for (int i = 0; i < 600 && !*(volatile size_t *)&fx.nholders; i++)
		(void)usleep(100000);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	(void)close(fd);
	return arg;
}

static uint64_t held_as(void)
{
	return fx.last[CALL_VM_CREATE].vm_create.hold;
}

/* What the service does with the VM if this program ends in any way: control.def. */
static void test_run_holds_its_vm(void **state)
{
	(void)state;
	need_guest();
	assert_int_equal(BANGER("run", "--ssh", "--rm", "--", "true"), 7);
	assert_int_equal(held_as(), 2);
	assert_null(strstr(fx.calls, "vm_hold"));
	assert_int_equal(BANGER("run", "--ssh", "-d"), 0);
	assert_int_equal(held_as(), 0);
	assert_int_equal(BANGER("run", "--ssh", "--", "true"), 7);
	assert_int_equal(held_as(), 1);
	/* let go: the command has ended, and the VM is kept */
	assert_int_equal(fx.last[CALL_VM_HOLD].vm_hold.hold, 0);
	assert_string_equal(fx.last[CALL_VM_HOLD].vm_hold.vm, VM_ID);
	fx.fail[CALL_VM_HOLD] = FAIL_HOST;
	assert_int_equal(BANGER("run", "--ssh", "--", "true"), 7);
	assert_has(fx.err, "as the test asked");
	write_script("ssh", "exit 0\n");
	assert_int_equal(BANGER("run", "--ssh", "--", "true"), EXIT_OURS);
}

static void test_a_run_that_fails_does_not_let_go(void **state)
{
	(void)state;
	fx.fail[CALL_VM_SHOW] = FAIL_GENERAL;
	assert_int_equal(BANGER("run", "--ssh", "--", "true"), EXIT_OURS);
	assert_string_equal(fx.calls, "image_list vm_create vm_start vm_show ");
}

/* The service ends and starts again, twice, while the command runs. */
static void test_the_hold_is_taken_again(void **state)
{
	(void)state;
	need_guest();
	fx.lose = 2;
	write_script("ssh",
		     "for i in $(seq 600); do [ -e \"$HOME/go\" ] && exit 5; sleep 0.1; done\n");
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, go_when_held, NULL), 0);
	assert_int_equal(BANGER("run", "--ssh", "--rm", "--", "x"), 5);
	(void)pthread_join(t, NULL);
	assert_int_equal(fx.lose, 0);
	assert_non_null(strstr(fx.calls, "vm_hold "));
	assert_non_null(strstr(strstr(fx.calls, "vm_hold ") + 1, "vm_hold "));
	assert_int_equal(fx.last[CALL_VM_HOLD].vm_hold.hold, 2);
	assert_string_equal(fx.last[CALL_VM_HOLD].vm_hold.vm, VM_ID);
}

static void test_create_failed(void **state)
{
	(void)state;
	fx.fail[CALL_VM_CREATE] = FAIL_LIMIT;
	assert_int_equal(BANGER("vm", "run", "--ssh", "--rm", "--", "true"), EXIT_OURS);
	assert_string_equal(fx.calls, "image_list vm_create ");
	assert_int_equal(BANGER("vm", "run", "--ssh", "-d"), FAIL_LIMIT);
}

static void test_start_failed(void **state)
{
	(void)state;
	fx.fail[CALL_VM_START] = FAIL_HOST;
	assert_int_equal(BANGER("vm", "run", "--ssh", "--rm", "--", "true"), EXIT_OURS);
	assert_string_equal(fx.calls, "image_list vm_create vm_start vm_delete ");
	assert_has(fx.err, "as the test asked");
}

static void test_show_failed(void **state)
{
	(void)state;
	fx.fail[CALL_VM_SHOW] = FAIL_GENERAL;
	assert_int_equal(BANGER("vm", "run", "--ssh", "--rm", "--", "true"), EXIT_OURS);
	assert_string_equal(fx.calls, "image_list vm_create vm_start vm_show vm_delete ");
}

static void test_delete_failed(void **state)
{
	(void)state;
	need_guest();
	write_script("ssh", "exit 0\n");
	fx.fail[CALL_VM_DELETE] = FAIL_GENERAL;
	assert_int_equal(BANGER("vm", "run", "--ssh", "--rm", "--", "true"), EXIT_OURS);
	assert_has(fx.err, "as the test asked");
	fx.fail[CALL_VM_DELETE] = FAIL_NOT_FOUND; /* somebody was faster */
	assert_int_equal(BANGER("vm", "run", "--ssh", "--rm", "--", "true"), 0);
}

static void test_a_vm_that_never_answers_is_kept(void **state)
{
	(void)state; /* 255.255.255.255 */
	assert_int_equal(BANGER("vm", "run", "--ssh", "--rm", "--timeout", "300ms", "--", "true"),
			 FAIL_TIMEOUT);
	assert_string_equal(fx.calls, "image_list vm_create vm_start vm_show vm_wait vm_hold ");
	assert_has(fx.err, "no answer from 255.255.255.255 port 22 within 0.3 s");
	assert_has(fx.err, "hint: the VM is kept: banger vm logs web1");
}

static void test_the_end_of_the_vm_ends_the_wait(void **state)
{
	(void)state; /* 255.255.255.255 */
	fx.ends = true;
	fx.reason = "the VMM ended";
	fx.log = "[    1.0] Run /init\r\nbanger-init: the image has no \033[31m/sbin/init\r\n\r\n[ "
		 "   7.1] reboot: Power down\r\n";
	assert_int_equal(BANGER("vm", "run", "--ssh", "--rm", "--timeout", "40s", "--", "true"),
			 EXIT_OURS);
	assert_string_equal(
		fx.calls,
		"image_list vm_create vm_start vm_show vm_wait vm_show vm_logs vm_delete ");
	assert_has(fx.err, "banger: web1: the VM ended before it answered: the VMM ended; "
			   "its console says \"banger-init: the image has no /sbin/init\"\n");
	assert_lacks(fx.err, "kept");
	fx.state = "running";
	assert_int_equal(BANGER("vm", "run", "--ssh", "--timeout", "40s", "--", "true"), EXIT_OURS);
	assert_has(fx.err, "hint: the VM is kept: banger vm delete made-up");
	fx.state = "running";
	assert_int_equal(BANGER("vm", "wait", "web1"), FAIL_STATE);
}

/* A guest that was started just now gets the time of a boot, not only that of a login. */
static void test_the_time_counts_from_the_start(void **state)
{
	char started[32];
	time_t now = time(NULL) - 115;
	struct sender s;

	(void)state;
	(void)strftime(started, sizeof(started), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	fx.started = started;
	sender_start(&s, SIGTERM, false);
	assert_int_equal(BANGER("exec", "--ssh", "web1", "--", "true"), 128 + SIGTERM);
	assert_string_equal(fx.calls, "vm_show vm_wait ");
	sender_join(&s);
	assert_int_equal(BANGER("vm", "wait", "web1", "--timeout", "300ms"), FAIL_TIMEOUT);
	need_guest();
	assert_int_equal(BANGER("vm", "wait", "web1"), 0);
	assert_string_equal(fx.out, "web1: answers\n");
}

static void test_waits_for_states(void **state)
{
	(void)state;
	fx.reached = true;
	assert_int_equal(BANGER("vm", "wait", "--for", "ready", "web1"), 0);
	assert_string_equal(fx.out, "web1: ready\n");
	assert_int_equal(fx.last[CALL_VM_WAIT].vm_wait.until, WAIT_READY);
	assert_int_equal(fx.last[CALL_VM_WAIT].vm_wait.timeout_ms, 120000);
	assert_int_equal(BANGER("vm", "wait", "--for", "exited", "--timeout", "3s", "web1"), 0);
	assert_int_equal(fx.last[CALL_VM_WAIT].vm_wait.until, WAIT_EXIT);
	assert_int_equal(fx.last[CALL_VM_WAIT].vm_wait.timeout_ms, 3000);
	assert_int_equal(BANGER("vm", "wait", "--for", "running", "web1"), 0);
	assert_int_equal(fx.last[CALL_VM_WAIT].vm_wait.until, WAIT_RUNNING);
	fx.state = "stopped";
	assert_int_equal(BANGER("vm", "wait", "--for", "stopped", "web1"), 0);
	assert_string_equal(fx.out, "web1: at rest\n");
	assert_int_equal(fx.last[CALL_VM_WAIT].vm_wait.until, WAIT_REST);
	assert_int_equal(BANGER("vm", "wait", "--for", "booted", "web1"), FAIL_USAGE);
	assert_has(fx.err,
		   "\"booted\" is not understood; STATE: running, ready, stopped or exited");
	fx.reached = false;
	fx.ends = true;
	fx.reason = "the VMM ended";
	assert_int_equal(BANGER("vm", "wait", "--for", "ready", "web1"), FAIL_STATE);
	assert_has(fx.err, "the VM ended before it answered: the VMM ended");
}

static void test_detach(void **state)
{
	(void)state;
	assert_int_equal(BANGER("vm", "run", "--ssh", "-d", "--name", "web9"), 0);
	assert_string_equal(fx.out, "web9\n");
	assert_string_equal(fx.calls, "image_list vm_create vm_start vm_show ");
}

static void interrupted_run(int sig, bool in_session)
{
	struct sender s;

	sender_start(&s, sig, in_session);
	assert_int_equal(BANGER("vm", "run", "--ssh", "--rm", "--", "sleep"), 128 + sig);
	assert_string_equal(fx.calls, "image_list vm_create vm_start vm_show vm_wait vm_delete ");
	assert_has(fx.err, "interrupted");
	sender_join(&s);
}

static void test_signal_while_waiting(void **state)
{
	(void)state; /* for the ssh of 255.255.255.255 */
	interrupted_run(SIGTERM, false);
}

static void test_signal_in_the_session(void **state)
{
	static const int sigs[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU, SIGUSR1 };

	(void)state;
	need_guest();
	write_script("ssh", ": >\"$HOME/begun\"; exec sleep 30\n");
	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		fx.calls[0] = '\0';
		interrupted_run(sigs[i], true);
	}
}

/* nohup(1) starts a program with SIGHUP ignored. */
static void test_an_ignored_signal_stays_ignored(void **state)
{
	struct sender s;

	(void)state;
	need_guest();
	write_script("ssh", ": >\"$HOME/begun\"; sleep 1; exit 5\n");
	(void)signal(SIGHUP, SIG_IGN);
	sender_start(&s, SIGHUP, true);
	assert_int_equal(BANGER("vm", "run", "--ssh", "--rm", "--", "sleep"), 5);
	assert_lacks(fx.err, "interrupted");
	sender_join(&s);
	(void)signal(SIGHUP, SIG_DFL);
}

static void test_exec(void **state)
{
	char asked[200];

	(void)state;
	need_guest();
	write_script("ssh-keygen", "echo >\"$HOME/asked\"; exit 1\n");
	assert_int_equal(BANGER("exec", "--ssh", "web1", "--", "uname", "-a"), 7);
	(void)snprintf(asked, sizeof(asked), "%s/asked", fx.dir);
	assert_int_equal(access(asked, F_OK), -1); /* only new VMs need that */
	assert_has(ssh_args(), "-T\nroot@127.0.0.1\n--\n'uname' '-a'\n");
	assert_int_equal(BANGER("vm", "exec", "--ssh", "-t", "web1", "--", "top"), 7);
	assert_has(ssh_args(), "-tt\n");
	assert_lacks(ssh_args(), "\n-n\n");
	assert_int_equal(BANGER("exec", "--ssh", "-n", "web1", "--", "top"), 7);
	assert_has(ssh_args(), "\n-n\n");
	write_script("ssh", "kill -9 $$\n");
	assert_int_equal(BANGER("exec", "--ssh", "web1", "--", "x"), 128 + 9);
	fx.state = "stopped";
	assert_int_equal(BANGER("exec", "--ssh", "web1", "--", "x"), EXIT_OURS);
	assert_has(fx.err, "banger: web1: it is stopped\nhint: banger vm start web1\n");
	fx.state = "running";
	fx.fail[CALL_VM_SHOW] = FAIL_NOT_FOUND;
	assert_int_equal(BANGER("ssh", "web1"), EXIT_OURS);
}

/* A guest that has been up gets the command at once.  Only if ssh fails, a connection asks whether
 * the server answers. */
static void test_a_running_guest_gets_the_command_at_once(void **state)
{
	(void)state; /* 255.255.255.255 */
	assert_int_equal(BANGER("exec", "--ssh", "web1", "--", "x"), 7);
	assert_string_equal(fx.calls, "vm_show ");
	write_script("ssh", "exit 255\n");
	assert_int_equal(BANGER("exec", "--ssh", "--timeout", "300ms", "web1", "--", "x"),
			 FAIL_TIMEOUT);
	need_guest();
	assert_int_equal(BANGER("exec", "--ssh", "web1", "--", "x"), 255);
}

static void test_a_terminal_that_the_guest_knows(void **state)
{
	static const struct {
		const char *here, *there;
	} rows[] = { { "xterm-kitty", "xterm-256color" },
		     { "alacritty", "xterm-256color" },
		     { "xterm-256color", "xterm-256color" },
		     { "screen.linux", "screen-256color" },
		     { "linux", "linux" },
		     { "vt100", "vt100" } };
	char *was = strdup(getenv("TERM") ? getenv("TERM") : "dumb");

	(void)state;
	write_script("ssh", "echo $TERM >\"$HOME/ssh.args\"\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)setenv("TERM", rows[i].here, 1);
		assert_int_equal(BANGER("exec", "--ssh", "-t", "web1", "--", "top"), 0);
		assert_int_equal(strncmp(ssh_args(), rows[i].there, strlen(rows[i].there)), 0);
		assert_int_equal(ssh_args()[strlen(rows[i].there)], '\n');
	}
	(void)setenv("TERM", was, 1);
	free(was);
}

/* execve(2) refuses an argument of 128 KiB or more, both for ssh here and for the shell in the
 * guest. */
static void test_a_command_that_is_too_long(void **state)
{
	static char word[140000];
	char *argv[] = { (char *)"banger",
			 (char *)"exec",
			 (char *)"--ssh",
			 (char *)"web1",
			 (char *)"--",
			 (char *)"echo",
			 word,
			 NULL };
	char *again[] = { (char *)"banger",
			  (char *)"exec",
			  (char *)"--ssh",
			  (char *)"web1",
			  (char *)"--",
			  (char *)"echo",
			  word,
			  NULL };
	char *run[] = { (char *)"banger",
			(char *)"run",
			(char *)"--ssh",
			(char *)"--rm",
			(char *)"--",
			(char *)"echo",
			word,
			NULL };
	int saved, fd = catch (STDERR_FILENO, &saved);

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	int status = cli_main(7, argv, commands),
	    other = cli_main(7, run, commands); /* a parser changes its words */
	word[131072 - 1 - 9] = '\0';            /* 'echo' '...' */
	int fits = cli_main(7, again, commands);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	slurp(fd, fx.err, sizeof(fx.err));
	assert_int_equal(status, FAIL_USAGE);
	assert_int_equal(other, FAIL_USAGE);
	assert_int_equal(fits, 7);
	assert_has(fx.err, "banger: command: it is 140008 bytes long with its quotes; at most "
			   "131071 can be sent\n");
	assert_string_equal(fx.calls, "vm_show ");
}

static void known_hosts(char *buf, size_t size, const char *write_this)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/.local/state/banger/known_hosts", fx.dir);
	int fd = open(path, write_this ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	if (write_this)
		assert_int_equal(write(fd, write_this, strlen(write_this)),
				 (ssize_t)strlen(write_this));
	slurp(fd, buf, size);
}

static void test_delete_forgets_the_host_key(void **state)
{
	char hosts[512];

	(void)state;
	assert_int_equal(BANGER("vm", "create"), 0); /* makes the state folder */
	known_hosts(hosts, sizeof(hosts),
		    "other ssh-ed25519 BBBB\n" VM_ID " ssh-ed25519 CCCC\n" VM_ID
		    "0 ssh-ed25519 DDDD\n");
	assert_int_equal(BANGER("rm", "web1"), 0);
	known_hosts(hosts, sizeof(hosts), NULL);
	assert_string_equal(hosts, "other ssh-ed25519 BBBB\n" VM_ID "0 ssh-ed25519 DDDD\n");
}

/* Run a shell that prepares a folder of keys with the real ssh-keygen and ssh-agent, instead of the
 * fixture's fake one. */
static void with_real_keys(const char *script)
{
	char line[2048], path[160];

	(void)snprintf(path, sizeof(path), "%s/bin/ssh-keygen", fx.dir);
	(void)unlink(path);
	if (access("/usr/bin/ssh-keygen", X_OK) < 0 || access("/usr/bin/ssh-agent", X_OK) < 0)
		skip();
	(void)snprintf(line, sizeof(line),
		       "mkdir -p -m 700 %s/.ssh && cd %s/.ssh && { %s\n} >/dev/null 2>&1", fx.dir,
		       fx.dir, script);
	assert_int_equal(system(line), 0);
}

/* Return: the first two words of @file in the folder of keys. */
static const char *public_half(const char *file)
{
	static char line[4096];
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/.ssh/%s", fx.dir, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	slurp(fd, line, sizeof(line));
	char *end = strchr(strchr(line, ' ') + 1, ' ');
	if (end)
		*end = '\0';
	return line;
}

/* A fake ssh that keeps a key of the server, as the real one does before it logs in. */
static void fake_key(const char *key)
{
	char body[512];

	(void)snprintf(body, sizeof(body),
		       "for a; do printf '%%s\\n' \"$a\"; case $a in UserKnownHostsFile=*) "
		       "f=${a#*=} ;; HostKeyAlias=*) id=${a#*=} ;; esac; done >\"$HOME/ssh.args\"\n"
		       "[ -z \"%s\" ] || echo \"$id ssh-ed25519 %s\" >>\"$f\"\nexit 255\n",
		       key, key);
	write_script("ssh", body);
}

static void test_a_host_key_through_the_agent(void **state)
{
	char hosts[512];

	(void)state;
	assert_int_equal(BANGER("vm", "create"), 0);
	known_hosts(hosts, sizeof(hosts), VM_ID " ssh-ed25519 OLD\n");
	fake_key("NEW");
	assert_int_equal(BANGER("vm", "host-key", "web1"), FAIL_STATE);
	assert_string_equal(fx.out, "kept   ssh-ed25519 OLD\nshown  ssh-ed25519 NEW\n");
	assert_has(ssh_args(), "' 'forward' '--timeout=60s' '" VM_ID "' '-' '22'\n");
	assert_int_equal(BANGER("vm", "host-key", "web1", "--accept"), 0);
	known_hosts(hosts, sizeof(hosts), NULL);
	assert_string_equal(hosts, VM_ID " ssh-ed25519 NEW\n");
	fake_key("");
	assert_int_equal(BANGER("vm", "host-key", "web1"), FAIL_TIMEOUT);
	assert_has(fx.err, "no answer from web1 port 22");
}

static void test_ssh_goes_through_the_agent(void **state)
{
	(void)state;
	assert_int_equal(BANGER("ssh", "web1"), 7);
	assert_has(ssh_args(), "\nProxyCommand=");
	assert_has(ssh_args(), "'forward' '--timeout=60s' '" VM_ID "' '-' '22'\n");
	assert_has(ssh_args(), "\nroot@web1\n");
	assert_has(ssh_args(), "HostKeyAlias=" VM_ID "\n");
	fx.fail[CALL_VM_AGENT] = FAIL_STATE; /* it was started without ports */
	fx.ip = "127.0.0.1";
	assert_int_equal(BANGER("ssh", "web1"), 7);
	assert_has(ssh_args(), "\nroot@127.0.0.1\n");
	assert_lacks(ssh_args(), "ProxyCommand");
	assert_has(fx.err, "ssh uses its network");
	fx.fail[CALL_VM_AGENT] = FAIL_LIMIT;
	assert_int_equal(BANGER("ssh", "web1"), EXIT_OURS);
}

/* What the real ssh understands of the block of `vm ssh-config`. */
static void test_a_block_of_ssh_config(void **state)
{
	char home[200], line[600], path[300], conf[16384];

	(void)state;
	if (access("/usr/bin/ssh", X_OK) < 0)
		skip();
	(void)snprintf(home, sizeof(home), "%s/my %%h home", fx.dir);
	assert_int_equal(mkdir(home, 0700), 0);
	(void)setenv("HOME", home, 1);
	fx.state = "stopped"; /* it need not run for that */
	assert_int_equal(BANGER("vm", "create"), 0);
	assert_int_equal(BANGER("ssh-config", "web1"), 0);
	(void)snprintf(path, sizeof(path), "%s/conf", fx.dir);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs(fx.out, f);
	(void)fclose(f);
	(void)snprintf(line, sizeof(line), "/usr/bin/ssh -G -F %s web1.banger >%s/understood", path,
		       fx.dir);
	assert_int_equal(system(line), 0);
	(void)snprintf(path, sizeof(path), "%s/understood", fx.dir);
	slurp(open(path, O_RDONLY | O_CLOEXEC), conf, sizeof(conf));
	assert_has(conf, "user root\n");
	assert_has(conf, "hostkeyalias " VM_ID "\n");
	assert_has(conf, "stricthostkeychecking accept-new\n");
	assert_has(conf, "/my %h home/.local/state/banger/known_hosts\n");
	assert_has(conf, "/my %%h home/.local/state/banger/id_ed25519\n");
	assert_has(conf, "'BANGER_SOCKET=");
	assert_has(conf, "'forward' '--timeout=60s' '" VM_ID "' '-' '22'\n");
	fx.name = "web1 * x"; /* as a service that was taken over says */
	assert_int_equal(BANGER("ssh-config", "web1"), FAIL_GENERAL);
	assert_string_equal(fx.out, "");
	fx.name = NULL;
	assert_int_equal(mkdir(strcpy(path, "/tmp/banger-cli-a\"b"), 0700), 0);
	(void)setenv("HOME", path, 1);
	int status = BANGER("ssh-config", "web1");
	(void)rmdir("/tmp/banger-cli-a\"b/.local/state/banger");
	(void)rmdir("/tmp/banger-cli-a\"b/.local/state");
	(void)rmdir("/tmp/banger-cli-a\"b/.local");
	(void)rmdir(path);
	assert_int_equal(status, FAIL_HOST);
	assert_string_equal(fx.out, "");
}

static void test_host_key(void **state)
{
	char hosts[512];

	(void)state;
	fx.fail[CALL_VM_AGENT] = FAIL_TIMEOUT; /* so it is asked over the network */
	write_script("ssh-keyscan", "echo \"# comment\" >&2; echo \"$5 ssh-ed25519 NEW\"\n");
	assert_int_equal(BANGER("vm", "create"), 0); /* makes the state folder */
	known_hosts(hosts, sizeof(hosts), "other ssh-ed25519 BBBB\n" VM_ID " ssh-ed25519 OLD\n");
	assert_int_equal(BANGER("vm", "host-key", "web1"), FAIL_STATE);
	assert_string_equal(
		fx.out, "kept   ssh-ed25519 OLD\nshown  ssh-ed25519 NEW\n"); /* the fake ssh-keygen
										has no -l */
	known_hosts(hosts, sizeof(hosts), NULL);
	assert_has(hosts, "OLD");
	assert_int_equal(BANGER("vm", "host-key", "web1", "--accept"), 0);
	known_hosts(hosts, sizeof(hosts), NULL);
	assert_string_equal(hosts, "other ssh-ed25519 BBBB\n" VM_ID " ssh-ed25519 NEW\n");
	assert_int_equal(BANGER("vm", "host-key", "web1"), 0);
	write_script("ssh-keyscan", "exit 0\n");
	assert_int_equal(BANGER("vm", "host-key", "web1"), FAIL_TIMEOUT);
}

/* The path of the home has a blank, which ssh would split at, and a percent sign, which ssh would
 * expand. */
static void test_an_odd_home(void **state)
{
	char home[200], path[320], conf[600] = "";

	(void)state;
	(void)snprintf(home, sizeof(home), "%s/my %%h home", fx.dir);
	assert_int_equal(mkdir(home, 0700), 0);
	(void)setenv("HOME", home, 1);
	/* The real ssh prints what it understood. */
	write_script("ssh", "shift 2; exec /usr/bin/ssh -G -F none \"$@\" >\"$HOME/conf\"\n");
	if (access("/usr/bin/ssh", X_OK) < 0)
		skip();
	assert_int_equal(BANGER("vm", "create"), 0);
	assert_int_equal(BANGER("exec", "--ssh", "web1", "--", "x"), 0);
	(void)snprintf(path, sizeof(path), "%s/conf", home);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(conf, sizeof(conf), f) && strncmp(conf, "userknownhostsfile ", 19) != 0)
		;
	(void)fclose(f);
	assert_has(conf, "userknownhostsfile /proc/");
	assert_has(conf, "/known_hosts\n");
	assert_null(strchr(conf + 19, ' '));
}

/* sudo leaves root the user's HOME: root makes no folder there, because the user could not write to
 * it. */
static void test_roots_home_is_not_anothers(void **state)
{
	char path[240], theirs[200], mine[200];

	(void)state;
	if (geteuid() != 0)
		skip();
	(void)snprintf(theirs, sizeof(theirs), "%s/theirs", fx.dir);
	(void)snprintf(mine, sizeof(mine), "%s/mine", fx.dir);
	assert_int_equal(mkdir(theirs, 0700), 0);
	assert_int_equal(chown(theirs, 12345, 12345), 0);
	(void)setenv("HOME", theirs, 1);
	assert_string_not_equal(home_dir(), theirs);
	/* The state goes elsewhere, so that root's own home is not written to here. */
	(void)setenv("XDG_STATE_HOME", mine, 1);
	assert_int_equal(BANGER("vm", "create"), 0);
	(void)snprintf(path, sizeof(path), "%s/banger/id_ed25519", mine);
	assert_int_equal(access(path, F_OK), 0);
	(void)snprintf(path, sizeof(path), "%s/.local", theirs);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_the_public_half_is_derived(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;

	(void)state;
	with_real_keys("ssh-keygen -q -t ed25519 -N '' -C \"$(printf 'caf\\351')\" -f id_ed25519; "
		       "cp id_ed25519.pub true.pub\n"
		       "ssh-keygen -q -t ed25519 -N '' -f other && mv other.pub id_ed25519.pub");
	assert_int_equal(BANGER("vm", "create"), 0);
	assert_string_equal(a->ssh_key, public_half("true.pub"));
	with_real_keys("rm id_ed25519.pub");
	assert_int_equal(BANGER("vm", "create"), 0);
	assert_string_equal(a->ssh_key, public_half("true.pub"));
	/* Of a PEM file ssh would offer the public half in the other key's .pub file, so our own
	 * key is made. */
	with_real_keys("rm -f id_*; ssh-keygen -q -t rsa -m PEM -N '' -f id_rsa && cp id_rsa.pub "
		       "true.pub");
	assert_int_equal(BANGER("vm", "create"), 0);
	assert_string_equal(a->ssh_key, public_half("true.pub"));
	with_real_keys("ssh-keygen -y -f other >id_rsa.pub");
	assert_int_equal(BANGER("vm", "create"), 0);
	assert_string_not_equal(a->ssh_key, public_half("true.pub"));
	assert_string_not_equal(a->ssh_key, public_half("id_rsa.pub"));
}

static void test_the_agent_is_asked_for_the_key(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;
	char sock[160];

	(void)state;
	with_real_keys("ssh-keygen -q -t ed25519 -N secret -f id_ed25519; ssh-keygen -q -t ed25519 "
		       "-N '' -f other\n"
		       "ssh-agent -a $PWD/agent >env; . ./env; ssh-add other");
	(void)snprintf(sock, sizeof(sock), "%s/.ssh/agent", fx.dir);
	(void)setenv("SSH_AUTH_SOCK", sock, 1);
	/* There is an agent, but it does not have the key. */
	assert_int_equal(BANGER("vm", "create"), 0);
	assert_string_not_equal(a->ssh_key, public_half("id_ed25519.pub"));
	assert_string_not_equal(a->ssh_key, public_half("other.pub"));
	with_real_keys(
		". ./env; printf '#!/bin/sh\\necho secret\\n' >ask; chmod 700 ask\n"
		"SSH_ASKPASS=$PWD/ask SSH_ASKPASS_REQUIRE=force ssh-add id_ed25519 </dev/null");
	assert_int_equal(BANGER("vm", "create"), 0);
	assert_string_equal(a->ssh_key, public_half("id_ed25519.pub"));
	with_real_keys(". ./env; kill $SSH_AGENT_PID");
}

static void own_key(const char *name, const char *text)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/.local/state/banger/%s", fx.dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	(void)fclose(f);
}

static void test_own_key(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;
	char half[200];

	(void)state;
	assert_int_equal(BANGER("vm", "create"), 0);
	(void)snprintf(half, sizeof(half), "id_ed25519.%d", (int)getpid());
	own_key("id_ed25519", ""); /* a power cut leaves this of an unused key */
	own_key(half, "half");     /* a killed ssh-keygen leaves this */
	assert_int_equal(BANGER("vm", "create"), 0);
	assert_string_equal(a->ssh_key, "ssh-ed25519 AAAA");
	/* The public half of a key that was moved away is removed: ssh would offer it. */
	own_key("id_ed25519.pub", "ssh-ed25519 OLD me\n");
	(void)snprintf(half, sizeof(half), "%s/.local/state/banger/id_ed25519", fx.dir);
	assert_int_equal(unlink(half), 0);
	assert_int_equal(BANGER("vm", "create"), 0);
	assert_string_equal(a->ssh_key, "ssh-ed25519 AAAA");
	(void)strcat(half, ".pub");
	assert_int_equal(access(half, F_OK), -1);
	/* An unusable key is not thrown away: a VM may have it. */
	own_key("id_ed25519", "with a passphrase");
	assert_int_equal(BANGER("vm", "create"), 1);
	assert_non_null(strstr(fx.err, "ssh-keygen: ended with status 1"));
	assert_non_null(strstr(fx.err, "id_ed25519 has a passphrase: ssh-add "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_status_is_the_guests),
		T(test_kept_without_rm),
		T(test_run_holds_its_vm),
		T(test_a_run_that_fails_does_not_let_go),
		T(test_the_hold_is_taken_again),
		T(test_create_failed),
		T(test_start_failed),
		T(test_show_failed),
		T(test_delete_failed),
		T(test_a_vm_that_never_answers_is_kept),
		T(test_detach),
		T(test_signal_while_waiting),
		T(test_signal_in_the_session),
		T(test_exec),
		T(test_an_ignored_signal_stays_ignored),
		T(test_delete_forgets_the_host_key),
		T(test_the_public_half_is_derived),
		T(test_the_agent_is_asked_for_the_key),
		T(test_own_key),
		T(test_host_key),
		T(test_a_host_key_through_the_agent),
		T(test_ssh_goes_through_the_agent),
		T(test_a_block_of_ssh_config),
		T(test_an_odd_home),
		T(test_roots_home_is_not_anothers),
		T(test_the_end_of_the_vm_ends_the_wait),
		T(test_the_time_counts_from_the_start),
		T(test_waits_for_states),
		T(test_a_running_guest_gets_the_command_at_once),
		T(test_a_terminal_that_the_guest_knows),
		T(test_a_command_that_is_too_long),
	};

	have_guest = make_guest();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
