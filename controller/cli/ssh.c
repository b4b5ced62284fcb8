#include "controller/cli/ssh.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/forward.h"
#include "controller/cli/out.h"
#include "controller/cli/proc.h"
#include "controller/cli/vm_end.h"

#define WHAT "ssh"

static int state_dir(char *path, size_t size, struct error *e)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = home_dir();

	if (state && *state == '/')
		(void)snprintf(path, size, "%s/banger", state);
	else if (home)
		(void)snprintf(path, size, "%s/.local/state/banger", home);
	else
		return error_set(e, FAIL_HOST, WHAT,
				 "no home folder to keep keys in; set HOME or XDG_STATE_HOME");
	if (make_dirs(path) < 0)
		return error_set(e, FAIL_HOST, WHAT, "%s: %s", path, strerror(errno));
	return 0;
}

/* ---- keys ---- */

/* Cut the comment of a line "type base64 comment".  The first two words are the key; a comment may
 * be any bytes, also no UTF-8. */
static void cut_comment(char *line)
{
	size_t n = strcspn(line, " ");

	line[strcspn(line, "\r\n")] = '\0';
	if (line[n])
		line[n + 1 + strcspn(line + n + 1, " ")] = '\0';
}

/* The public half of a private key that asks for nothing (-P "" fails on a key with a passphrase),
 * as one line. */
static int derive(struct cli *c, const char *key, char line[4001], struct error *e)
{
	const char *const argv[] = { "ssh-keygen", "-y", "-P", "", "-f", key, NULL };
	const struct proc_io io = { .capture = line, .capture_size = 4001, .null_err = true };

	line[0] = '\0';
	int r = proc_must(c, argv, &io, "openssh-client", e);
	cut_comment(line);
	return r;
}

/* Run @argv and store its output in @text.  Return: 0 when it succeeds. */
static int text_of(struct cli *c, const char *const argv[], char *text, size_t size)
{
	const struct proc_io io = { .capture = text, .capture_size = size, .null_err = true };
	struct error ignored;

	text[0] = '\0';
	return proc_run(c, argv, &io, &ignored) == 0 ? 0 : -1;
}

/* "256 SHA256:abc comment (ED25519)": the second word, in place; NULL when there is none. */
static char *fingerprint(char *line)
{
	char *word = strchr(line, ' ');

	if (!word)
		return NULL;
	word++;
	word[strcspn(word, " \n")] = '\0';
	return *word ? word : NULL;
}

static char *nth_line(char *text, size_t n)
{
	for (; text && n; n--) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text && *text ? text : NULL;
}

/* The agent's copy of @key as one line.  ssh-add(1) lists the keys in the same order by fingerprint
 * and in full.  Return: 0, or -1 when the agent has no such key, or there is no agent. */
static int from_agent(struct cli *c, const char *key, char line[4001])
{
	enum { ROOM = 1 << 16 };
	const char *const print[] = { "ssh-keygen", "-l", "-f", key, NULL };
	const char *const prints[] = { "ssh-add", "-l", NULL }, *const keys[] = { "ssh-add", "-L",
										  NULL };
	_cleanup_free_ char *have = calloc(1, ROOM), *full = calloc(1, ROOM);
	char mine[4096], *want, *word;

	if (!getenv("SSH_AUTH_SOCK") || !have || !full ||
	    text_of(c, print, mine, sizeof(mine)) < 0 || !(want = fingerprint(mine)) ||
	    text_of(c, prints, have, ROOM) < 0 || text_of(c, keys, full, ROOM) < 0)
		return -1;
	size_t n = 0;
	char *save = NULL, *l = strtok_r(have, "\n", &save);
	while (l && (!(word = fingerprint(l)) || strcmp(word, want) != 0)) {
		l = strtok_r(NULL, "\n", &save);
		n++;
	}
	char *found = l ? nth_line(full, n) : NULL;
	if (!found)
		return -1;
	(void)snprintf(line, 4001, "%.4000s", found);
	cut_comment(line);
	return 0;
}

/* The kinds of file that ssh takes for a private key: PEM, and OpenSSH's own, which has the public
 * half in it. */
enum kind { KIND_NONE, KIND_PEM, KIND_OPENSSH };

static enum kind kind_of(const char *key)
{
	static const char openssh[] = "-----BEGIN OPENSSH ";
	_cleanup_fclose_ FILE *f = fopen(key, "re");
	char line[80];

	if (!f || !fgets(line, sizeof(line), f) || strncmp(line, openssh, 11) != 0)
		return KIND_NONE;
	return strncmp(line, openssh, sizeof(openssh) - 1) == 0 ? KIND_OPENSSH : KIND_PEM;
}

/* Return: true if the .pub file beside a PEM file has another key. ssh would offer the key of the
 * .pub file, so such a key is not used. */
static bool pub_disagrees(const char *key, const char *line)
{
	char path[4096 + 8], pub[4001];

	(void)snprintf(path, sizeof(path), "%s.pub", key);
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	if (!f || !fgets(pub, sizeof(pub), f))
		return false;
	cut_comment(pub);
	return strcmp(pub, line) != 0;
}

/* Return: true if @key gives access to a new VM without a prompt.  @line: out: its public half. */
static bool usable(struct cli *c, const char *key, char line[4001])
{
	struct error ignored;

	if (derive(c, key, line, &ignored) == 0)
		return kind_of(key) == KIND_OPENSSH || !pub_disagrees(key, line);
	return from_agent(c, key, line) == 0;
}

/* ---- our own key: only the private half is stored, so that the key is complete or missing ---- */

/* Return: the size of the key file; 0: a power cut left it empty; -1: there is none. */
static off_t size_of(const char *key)
{
	struct stat st;

	return stat(key, &st) < 0 ? -1 : st.st_size;
}

/* Give the key file its name, after its data is on the disk.  If several processes make a key at
 * once, the first key gets the name and all use it. */
static int publish(const char *made, const char *key)
{
	char pub[4096 + 8];
	_cleanup_close_ int fd = open(made, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -1;
	/* ssh would offer the public half of an earlier key. */
	(void)snprintf(pub, sizeof(pub), "%s.pub", key);
	(void)unlink(pub);
	if (size_of(key) == 0)
		(void)unlink(key);
	return link(made, key) < 0 && errno != EEXIST ? -1 : 0;
}

static int make_key(struct cli *c, const char *key, struct error *e)
{
	char made[4096 + 16], pub[4096 + 24];
	const char *const argv[] = { "ssh-keygen", "-q",     "-t", "ed25519", "-N", "",
				     "-C",         "banger", "-f", made,      NULL };
	const struct proc_io io = { .quiet_out = true };

	(void)snprintf(made, sizeof(made), "%s.%d", key, (int)getpid());
	(void)snprintf(pub, sizeof(pub), "%s.pub", made);
	(void)unlink(made); /* from a killed process: ssh-keygen would prompt */
	int r = proc_must(c, argv, &io, "openssh-client", e);
	if (r == 0 && publish(made, key) < 0)
		r = error_set(e, FAIL_HOST, WHAT, "%s: %s", key, strerror(errno));
	(void)unlink(made);
	(void)unlink(pub);
	return r;
}

/* Sync the folder before the key is used: a VM may be created with the key at once, and the key's
 * name must survive a power cut. */
static int sync_folder(const char *dir, struct error *e)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (fsync(fd) < 0 &&
		       errno != EINVAL)) /* not every file system has folders that can be synced */
		return error_set(e, FAIL_HOST, WHAT, "%s: %s", dir, strerror(errno));
	return 0;
}

static int own_line(struct cli *c, const char *dir, const char *key, char line[4001],
		    struct error *e)
{
	if ((size_of(key) <= 0 && make_key(c, key, e) < 0) || sync_folder(dir, e) < 0)
		return -1;
	if (derive(c, key, line, e) == 0 || from_agent(c, key, line) == 0)
		return 0;
	if (!e->hint[0] && !c->signal)
		error_hint(e, "if %s has a passphrase: ssh-add %s; else move it away", key, key);
	return -1;
}

int ssh_prepare(struct cli *c, struct ssh *s, bool new_vm, struct error *e)
{
	static const char *const names[] = { "id_ed25519", "id_rsa" };
	char dir[4000];
	size_t n = 0;

	memset(s, 0, sizeof(*s));
	if (!getpwuid(getuid())) {
		error_set(e, FAIL_HOST, WHAT,
			  "uid %u has no entry in the password database, and ssh does not run "
			  "without",
			  (unsigned)getuid());
		error_hint(e, "getent passwd %u shows what is missing", (unsigned)getuid());
		return -1;
	}
	if (state_dir(dir, sizeof(dir), e) < 0)
		return -1;
	(void)snprintf(s->known_hosts, sizeof(s->known_hosts), "%s/known_hosts", dir);
	for (size_t i = 0; home_dir() && i < ARRAY_SIZE(names); i++) {
		(void)snprintf(s->keys[n], sizeof(s->keys[n]), "%s/.ssh/%s", home_dir(), names[i]);
		if (kind_of(s->keys[n]) == KIND_NONE) {
			s->keys[n][0] = '\0';
			continue;
		}
		if (new_vm && !s->line[0] && !usable(c, s->keys[n], s->line))
			s->line[0] = '\0';
		n++;
	}
	(void)snprintf(s->keys[n], sizeof(s->keys[n]), "%s/id_ed25519", dir);
	if (new_vm && !s->line[0] && own_line(c, dir, s->keys[n], s->line, e) < 0)
		return -1;
	if (size_of(s->keys[n]) <= 0)
		s->keys[n][0] = '\0';
	return 0;
}

/* ---- waiting ---- */

/* Milliseconds until @deadline, at most @most. */
static int left_ms(uint64_t deadline, int most)
{
	uint64_t now = clock_boot_ns() / 1000000;

	if (now >= deadline)
		return 0;
	return deadline - now < (uint64_t)most ? (int)(deadline - now) : most;
}

/* A wait for an ssh server. */
struct wait {
	struct cli *c;
	int end; /* readable: the VM ended; -1: that is not known */
	const struct ev_vm *vm;
	enum ssh_way way;
	struct sockaddr_in addr; /* SSH_BY_NETWORK */
	uint64_t deadline;
};

/* Wait for @events on @fd, a held signal or the VM's end.  Return: 1 there, 0 no time left, -1 one
 * of the others. */
static int wait_fd(const struct wait *w, int fd, short events, int ms)
{
	struct pollfd p[] = { { fd, events, 0 },
			      { w->c->sigfd, POLLIN, 0 },
			      { w->end, POLLIN, 0 } };

	int n = poll(p, ARRAY_SIZE(p), ms);
	if ((p[1].revents && signals_pending(w->c)) || p[2].revents)
		return -1;
	return n > 0 && p[0].revents;
}

/* Return: 1 the server has sent a banner, 0 not yet, -1 interrupted, or the VM ended. */
static int read_banner(const struct wait *w, int fd)
{
	char buf[4] = "";
	/* Connected; a small guest under load takes its time to start the server. */
	int n = wait_fd(w, fd, POLLIN, left_ms(w->deadline, 15000));

	if (n <= 0)
		return n;
	return recv(fd, buf, sizeof(buf), MSG_PEEK) == 4 && memcmp(buf, "SSH-", 4) == 0;
}

/* Connect once through the agent.  Return: as read_banner(). */
static int try_by_agent(const struct wait *w)
{
	pid_t helper;
	_cleanup_close_ int fd = forward_begin(w->c, w->vm, 22, &helper);

	if (fd < 0)
		return 0;
	int n = read_banner(w, fd);
	forward_end(helper);
	return n;
}

/* Connect once.  Return: as read_banner(). */
static int try_by_network(const struct wait *w)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int n;

	if (fd < 0)
		return 0;
	if (connect(fd, (const struct sockaddr *)&w->addr, sizeof(w->addr)) < 0 &&
	    errno != EINPROGRESS)
		return 0;
	/* A new try a second: while the guest does not answer ARP the kernel's own retries grow
	 * ever slower. */
	if ((n = wait_fd(w, fd, POLLOUT, left_ms(w->deadline, 1000))) <= 0)
		return n;
	return read_banner(w, fd);
}

static int try_banner(const struct wait *w)
{
	return w->way == SSH_BY_AGENT ? try_by_agent(w) : try_by_network(w);
}

/* Try until the deadline.  Return: as read_banner(). */
static int try_often(const struct wait *w)
{
	int n;

	while ((n = try_banner(w)) == 0 && left_ms(w->deadline, 1) > 0)
		if (wait_fd(w, -1, 0, left_ms(w->deadline, 50)) < 0)
			return -1;
	return n;
}

int ssh_wait(struct cli *c, const struct ev_vm *vm, enum ssh_way way, uint64_t timeout_ms,
	     struct error *e)
{
	struct wait w = { .c = c,
			  .vm = vm,
			  .way = way,
			  .addr = { .sin_family = AF_INET, .sin_port = htons(22) },
			  .deadline = clock_boot_ns() / 1000000 + timeout_ms };
	int n;

	if (way == SSH_BY_NETWORK && inet_pton(AF_INET, vm->ip, &w.addr.sin_addr) != 1)
		return error_set(e, FAIL_STATE, WHAT, "the VM has no address");
	_cleanup_close_ int end = vm_end_watch(vm->id);
	w.end = end;
	while ((n = try_often(&w)) < 0 && !c->signal) {
		if (vm_end_error(c, vm->id, VM_END_UNANSWERED, e) < 0)
			return -1;
		w.end = -1; /* the daemon ended, not the VM */
	}
	if (n < 0)
		return signals_error(c, WHAT, e);
	if (n == 0)
		return error_set(e, FAIL_TIMEOUT, WHAT, "no answer from %s port 22 within %.1f s",
				 way == SSH_BY_AGENT ? vm->name : vm->ip,
				 (double)timeout_ms / 1000);
	return 0;
}

/* ---- running ---- */

char *ssh_line(char *const *words)
{
	size_t size = 1, n = 0;

	if (!words[1])
		return strdup(words[0]);
	for (char *const *w = words; *w; w++)
		size += 4 * strlen(*w) + 3;
	char *line = malloc(size);
	if (!line)
		return NULL;
	for (char *const *w = words; *w; w++) {
		if (n)
			line[n++] = ' ';
		line[n++] = '\'';
		for (const char *p = *w; *p; p++) {
			if (*p == '\'') {
				memcpy(line + n, "'\\'", 3);
				n += 3;
			}
			line[n++] = *p;
		}
		line[n++] = '\'';
	}
	line[n] = '\0';
	return line;
}

/* argv under construction. */
struct words {
	const char *v[64];
	size_t n;
};

static void add(struct words *w, const char *a)
{
	w->v[w->n++] = a;
}

static void option(struct words *w, const char *o)
{
	add(w, "-o");
	add(w, o);
}

/* execve(2): MAX_ARG_STRLEN, the most bytes of one argument, its end included; so for ssh here and
 * the shell there. */
#define ARG_MOST 131072

int ssh_check_length(char *const *guest, struct error *e)
{
	_cleanup_free_ char *line = guest ? ssh_line(guest) : NULL;

	if (!line || strlen(line) < ARG_MOST)
		return 0;
	error_set(e, FAIL_USAGE, "command",
		  "it is %zu bytes long with its quotes; at most %d can be sent", strlen(line),
		  ARG_MOST - 1);
	error_hint(e, "send it by standard input: banger exec VM -- sh <FILE");
	return -1;
}

/* The terminals that a Debian guest knows without further packages (ncurses-base); others become
 * one of them. */
static void choose_term(void)
{
	static const char *const known[] = {
		"ansi",
		"cygwin",
		"dumb",
		"linux",
		"rxvt",
		"rxvt-unicode",
		"rxvt-unicode-256color",
		"screen",
		"screen-256color",
		"screen.xterm-256color",
		"sun",
		"tmux",
		"tmux-256color",
		"vt100",
		"vt102",
		"vt220",
		"vt52",
		"xterm",
		"xterm-256color",
		"xterm-color",
		"xterm-mono",
	};
	const char *term = getenv("TERM");

	if (!term)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(term, known[i]) == 0)
			return;
	(void)setenv("TERM",
		     strncmp(term, "screen", 6) == 0 || strncmp(term, "tmux", 4) == 0
			     ? "screen-256color"
			     : "xterm-256color",
		     1);
}

/* ssh splits some values at blanks and expands '%' and '$' in them.  A path with such a byte is
 * named by a descriptor of its folder in this process instead, which stays open until the program
 * ends. */
static void plain_path(const char *path, char *out, size_t size)
{
	const char *slash = strrchr(path, '/');
	char dir[4096];

	(void)snprintf(out, size, "%s", path);
	if (!slash || !path[strcspn(path, " \t\n\"'\\%$")])
		return;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		(void)snprintf(out, size, "/proc/%d/fd/%d%s", (int)getpid(), fd, slash);
}

/* Options that every ssh gets: which files to use, and no prompts about host keys. */
struct told {
	char hosts[4200], alias[64], to[80], proxy[8300], keys[3][4096];
};

/* The command that connects ssh to the guest's server, for a shell, with each % doubled as ssh
 * wants it.  Return: 0, or -1 with @e. */
static int proxy_command(const struct ev_vm *vm, char *out, size_t size, struct error *e)
{
	static char words[][16] = { "env", "banger", "forward", "--timeout=60s", "-", "22" };
	char self[4096] = "", daemon[4200], id[40], *w[9];
	const char *socket = getenv("BANGER_SOCKET");
	size_t n = 0, have = 0;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || access(self, X_OK) < 0)
		(void)strcpy(self, words[1]); /* it was replaced; PATH has the new one */
	(void)snprintf(id, sizeof(id), "%.32s", vm->id);
	(void)snprintf(daemon, sizeof(daemon), "BANGER_SOCKET=%.4000s", socket ? socket : "");
	if (socket && *socket) {
		w[n++] = words[0];
		w[n++] = daemon;
	}
	w[n++] = self;
	w[n++] = words[2];
	w[n++] = words[3]; /* more connections than ports wait for each other */
	w[n++] = id;
	w[n++] = words[4];
	w[n++] = words[5];
	w[n] = NULL;
	_cleanup_free_ char *line = ssh_line(w);
	for (const char *p = line; p && *p && have + 3 < size; p++) {
		if (*p == '%')
			out[have++] = '%';
		out[have++] = *p;
	}
	out[have] = '\0';
	return line && have + 3 < size && !strchr(line, '\n')
		       ? 0
		       : error_set(e, FAIL_HOST, WHAT,
				   "the path of banger can not be given to ssh");
}

static int add_proxy(struct words *w, struct told *t, const struct ev_vm *vm, struct error *e)
{
	char command[8200];

	if (proxy_command(vm, command, sizeof(command), e) < 0)
		return -1;
	(void)snprintf(t->proxy, sizeof(t->proxy), "ProxyCommand=%s", command);
	(void)snprintf(t->to, sizeof(t->to), "root@%s", vm->name);
	option(w, t->proxy);
	return 0;
}

static int common_options(struct words *w, struct told *t, const struct ssh *s,
			  const struct ev_vm *vm, struct error *e)
{
	char hosts[4100];

	plain_path(s->known_hosts, hosts, sizeof(hosts));
	(void)snprintf(t->hosts, sizeof(t->hosts), "UserKnownHostsFile=%s", hosts);
	(void)snprintf(t->alias, sizeof(t->alias), "HostKeyAlias=%s", vm->id);
	(void)snprintf(t->to, sizeof(t->to), "root@%s", vm->ip);
	option(w, t->hosts);
	option(w, t->alias);
	option(w, "GlobalKnownHostsFile=/dev/null");
	option(w, "StrictHostKeyChecking=accept-new");
	option(w, "CheckHostIP=no");
	option(w, "ConnectTimeout=15");
	option(w, "ServerAliveInterval=15");
	option(w, "LogLevel=ERROR");
	option(w, "IdentitiesOnly=yes");
	option(w, "PreferredAuthentications=publickey");
	for (size_t i = 0; i < ARRAY_SIZE(s->keys) && s->keys[i][0]; i++) {
		plain_path(s->keys[i], t->keys[i], sizeof(t->keys[i]));
		add(w, "-i");
		add(w, t->keys[i]);
	}
	return s->way == SSH_BY_AGENT ? add_proxy(w, t, vm, e) : 0;
}

static int no_ssh(struct error *e)
{
	error_set(e, FAIL_HOST, WHAT, "not on this host");
	error_hint(e, "install the package openssh-client");
	return -1;
}

int ssh_run(struct cli *c, const struct ssh *s, const struct ev_vm *vm, bool batch, struct error *e)
{
	_cleanup_free_ char *line = c->guest ? ssh_line(c->guest) : NULL;
	struct words w = { { "ssh", "-F", "none" }, 3 };
	struct told t = { 0 };

	if (c->guest && !line)
		return error_set(e, FAIL_GENERAL, WHAT, "out of memory");
	if (common_options(&w, &t, s, vm, e) < 0)
		return -1;
	if (batch)
		option(&w, "BatchMode=yes");
	if (c->opt.no_stdin)
		add(&w, "-n");
	if (!c->guest || c->opt.tty)
		choose_term();
	if (c->guest)
		add(&w, c->opt.tty ? "-tt" : "-T");
	add(&w, t.to);
	if (c->guest) {
		add(&w, "--");
		add(&w, line);
	}
	int status = proc_run(c, w.v, NULL, e);
	return status == 127 && !proc_exists("ssh") ? no_ssh(e) : status;
}

/* ---- for the user's own ssh ---- */

/* Write a path as a word of ssh_config(5), which expands % and ${}.  Return: 0, or -1 with @e. */
static int print_path(FILE *f, const char *option, const char *path, struct error *e)
{
	if (path[strcspn(path, "\n\"\\$")])
		return error_set(e, FAIL_HOST, WHAT, "%s can not be written in ssh_config(5)",
				 path);
	fprintf(f, "  %s \"", option);
	for (const char *p = path; *p; p++)
		fprintf(f, *p == '%' ? "%%%%" : "%c", *p);
	fprintf(f, "\"\n");
	return 0;
}

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

int ssh_config(struct cli *c, const struct ssh *s, const struct ev_vm *vm, struct error *e)
{
	_cleanup_free_ char *text = NULL;
	char command[8200];
	size_t size = 0;

	/* A pattern or a blank in it would be a line for other hosts (ssh_config(5)). */
	if (vm->name[strspn(vm->name, NAME_CHARS)] || vm->id[strspn(vm->id, NAME_CHARS)])
		return error_set(e, FAIL_GENERAL, WHAT, "the service gives a name that is none");
	if (proxy_command(vm, command, sizeof(command), e) < 0)
		return -1;
	FILE *f = open_memstream(&text, &size);
	if (!f)
		return error_set(e, FAIL_GENERAL, WHAT, "out of memory");
	fprintf(f, "Host %s.banger\n  User root\n  ProxyCommand %s\n", vm->name, command);
	fprintf(f, "  HostKeyAlias %s\n  CheckHostIP no\n", vm->id);
	int r = print_path(f, "UserKnownHostsFile", s->known_hosts, e);
	fprintf(f, "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking accept-new\n");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(s->keys) && s->keys[i][0]; i++)
		r = print_path(f, "IdentityFile", s->keys[i], e);
	fprintf(f, "  IdentitiesOnly yes\n");
	if (fclose(f) != 0 && r == 0)
		r = error_set(e, FAIL_GENERAL, WHAT, "out of memory");
	if (r == 0)
		fputs(text, c->out);
	return r;
}

/* ---- host keys ---- */

/* The line of @id in known_hosts as "type base64"; "" when there is none. */
static void kept_key(const struct ssh *s, const char *id, char key[2048])
{
	_cleanup_fclose_ FILE *f = fopen(s->known_hosts, "re");
	char line[4096];
	size_t n = strlen(id);

	key[0] = '\0';
	while (f && !key[0] && fgets(line, sizeof(line), f))
		if (strncmp(line, id, n) == 0 && line[n] == ' ')
			(void)snprintf(key, 2048, "%.*s", (int)strcspn(line + n + 1, "\r\n"),
				       line + n + 1);
}

/* Ask the server for its key by an ssh that knows no key, and may not log in: it writes "id type
 * base64" to a file of known hosts. */
static int shown_to_ssh(struct cli *c, const struct ev_vm *vm, char key[2048], struct error *e)
{
	_cleanup_close_ int fd = memfd_create("hosts", MFD_CLOEXEC);
	struct ssh s = { .way = SSH_BY_AGENT };
	struct words w = { { "ssh", "-F", "none" }, 3 };
	const struct proc_io io = { .quiet_out = true, .null_err = true };
	struct told t = { 0 };
	const size_t n = strlen(vm->id) + 1;

	(void)snprintf(s.known_hosts, sizeof(s.known_hosts), "/proc/%d/fd/%d", (int)getpid(), fd);
	if (common_options(&w, &t, &s, vm, e) < 0)
		return -1;
	option(&w, "BatchMode=yes");
	option(&w, "HostKeyAlgorithms=ssh-ed25519");
	add(&w, t.to);
	add(&w, "true");
	if (proc_run(c, w.v, &io, e) < 0)
		return -1;
	ssize_t got = fd < 0 ? -1 : pread(fd, key, 2047, 0);
	key[got > 0 ? got : 0] = '\0';
	if (strncmp(key, vm->id, n - 1) != 0 || key[n - 1] != ' ')
		return proc_exists("ssh") ? error_set(e, FAIL_TIMEOUT, WHAT,
						      "no answer from %s port 22", vm->name)
					  : no_ssh(e);
	key[strcspn(key, "\r\n")] = '\0';
	memmove(key, key + n, strlen(key + n) + 1);
	return 0;
}

/* Ask the server for its key by ssh-keyscan(1), which prints "address type base64". */
static int shown_key(struct cli *c, const struct ev_vm *vm, char key[2048], struct error *e)
{
	const char *const argv[] = { "ssh-keyscan", "-T", "10", "-t", "ed25519", vm->ip, NULL };
	const struct proc_io io = { .capture = key, .capture_size = 2048, .null_err = true };
	size_t n = strlen(vm->ip);

	key[0] = '\0';
	if (proc_must(c, argv, &io, "openssh-client", e) < 0)
		return -1;
	if (strncmp(key, vm->ip, n) != 0 || key[n] != ' ')
		return error_set(e, FAIL_TIMEOUT, WHAT, "no answer from %s port 22", vm->ip);
	key[strcspn(key, "\r\n")] = '\0';
	memmove(key, key + n + 1, strlen(key + n));
	return 0;
}

/* Print the fingerprint of a key. ssh-keygen(1) reads keys only from a file. */
static void print_key(struct cli *c, const char *what, const char *key)
{
	char path[32], text[256] = "";
	_cleanup_close_ int fd = memfd_create("key", MFD_CLOEXEC);
	const char *const argv[] = { "ssh-keygen", "-l", "-f", path, NULL };

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
	char *word = NULL;
	if (key[0] && fd >= 0 && dprintf(fd, "%s\n", key) > 0 &&
	    text_of(c, argv, text, sizeof(text)) == 0)
		word = fingerprint(text);
	fprintf(c->out, "%-5s  %s\n", what, word ? word : key[0] ? key : "-");
}

static int keep_key(const struct ssh *s, const char *id, const char *key, struct error *e)
{
	ssh_forget(id);
	_cleanup_fclose_ FILE *f = fopen(s->known_hosts, "ae");
	if (!f || fprintf(f, "%s %s\n", id, key) < 0 || fflush(f) != 0)
		return error_set(e, FAIL_GENERAL, s->known_hosts, "%s", strerror(errno));
	return 0;
}

int ssh_host_key(struct cli *c, const struct ssh *s, const struct ev_vm *vm, struct error *e)
{
	char old[2048], now[2048];

	kept_key(s, vm->id, old);
	if ((s->way == SSH_BY_AGENT ? shown_to_ssh(c, vm, now, e) : shown_key(c, vm, now, e)) < 0)
		return -1;
	print_key(c, "kept", old);
	print_key(c, "shown", now);
	if (strcmp(old, now) == 0)
		return 0;
	if (c->opt.accept)
		return keep_key(s, vm->id, now, e);
	error_set(e, FAIL_STATE, vm->name,
		  "the guest shows another host key than the one that is kept");
	error_hint(e, "if you expect that: banger vm host-key %s --accept", vm->name);
	return -1;
}

static void copy_others(FILE *in, FILE *out, const char *id)
{
	char *line = NULL;
	size_t size = 0, n = strlen(id);

	while (getline(&line, &size, in) >= 0)
		if (strncmp(line, id, n) != 0 || (line[n] != ' ' && line[n] != ','))
			(void)fputs(line, out);
	free(line);
}

void ssh_forget(const char *id)
{
	char dir[4000], path[4096], fresh[4200];
	struct error e;

	if (state_dir(dir, sizeof(dir), &e) < 0)
		return;
	(void)snprintf(path, sizeof(path), "%s/known_hosts", dir);
	(void)snprintf(fresh, sizeof(fresh), "%s.%ld", path, (long)getpid());
	_cleanup_fclose_ FILE *in = fopen(path, "re");
	if (!in)
		return;
	_cleanup_fclose_ FILE *out = fopen(fresh, "wxe");
	if (!out)
		return;
	(void)fchmod(fileno(out), 0600);
	copy_others(in, out, id);
	if (fflush(out) != 0 || ferror(out) || fsync(fileno(out)) < 0 || rename(fresh, path) < 0)
		(void)unlink(fresh);
}
