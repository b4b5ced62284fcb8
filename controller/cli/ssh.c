#include "controller/cli/ssh.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/out.h"
#include "controller/cli/proc.h"

#define WHAT "ssh"

static int state_dir(char *path, size_t size, struct error *e)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = home_dir();

	if (state && *state == '/')
		(void)snprintf(path, size, "%s/banger", state);
	else if (home)
		(void)snprintf(path, size, "%s/.local/state/banger", home);
	else
		return error_set(e, FAIL_HOST, WHAT, "no home folder to keep keys in; set HOME or XDG_STATE_HOME");
	if (make_dirs(path) < 0)
		return error_set(e, FAIL_HOST, WHAT, "%s: %s", path, strerror(errno));
	return 0;
}

/* ---- keys ---- */

/* Of "type base64 comment" the first two words are the key; a comment may be anything, also no UTF-8. */
static void cut_comment(char *line)
{
	size_t n = strcspn(line, " ");

	line[strcspn(line, "\r\n")] = '\0';
	if (line[n])
		line[n + 1 + strcspn(line + n + 1, " ")] = '\0';
}

/* The public half of a private key that asks for nothing (-P "" fails on a key with a passphrase), as one line. */
static int derive(struct cli *c, const char *key, char line[4001], struct error *e)
{
	const char *const argv[] = { "ssh-keygen", "-y", "-P", "", "-f", key, NULL };
	const struct proc_io io = { .capture = line, .capture_size = 4001, .null_err = true };

	line[0] = '\0';
	int r = proc_must(c, argv, &io, "openssh-client", e);
	cut_comment(line);
	return r;
}

/* Run @argv, whose output is text, and keep it.  Return: 0 when it succeeds. */
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

/* The agent's copy of @key as one line.  ssh-add(1) lists the keys in the same order by fingerprint and in full.
 * Return: 0, or -1 when the agent has no such key, or there is no agent. */
static int from_agent(struct cli *c, const char *key, char line[4001])
{
	enum { ROOM = 1 << 16 };
	const char *const print[] = { "ssh-keygen", "-l", "-f", key, NULL };
	const char *const prints[] = { "ssh-add", "-l", NULL }, *const keys[] = { "ssh-add", "-L", NULL };
	_cleanup_free_ char *have = calloc(1, ROOM), *full = calloc(1, ROOM);
	char mine[4096], *want, *word;

	if (!getenv("SSH_AUTH_SOCK") || !have || !full || text_of(c, print, mine, sizeof(mine)) < 0 ||
	    !(want = fingerprint(mine)) || text_of(c, prints, have, ROOM) < 0 || text_of(c, keys, full, ROOM) < 0)
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

/* The kinds of file that ssh takes for a private key: PEM, and OpenSSH's own, which has the public half in it. */
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

/* Of a PEM file ssh offers what stands in the .pub file beside it.  One of another key keeps the key from being used. */
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

/* May @key let the user into a new VM without a question?  @line: its public half. */
static bool usable(struct cli *c, const char *key, char line[4001])
{
	struct error ignored;

	if (derive(c, key, line, &ignored) == 0)
		return kind_of(key) == KIND_OPENSSH || !pub_disagrees(key, line);
	return from_agent(c, key, line) == 0;
}


/* ---- our own: the private half is all of it, so that it is there whole or not at all ---- */

/* Return: its size; 0: what a power cut left of it; -1: there is none. */
static off_t size_of(const char *key)
{
	struct stat st;

	return stat(key, &st) < 0 ? -1 : st.st_size;
}

/* Of several that are made at once the first has the name, and all use that; its data is on the disk before. */
static int publish(const char *made, const char *key)
{
	char pub[4096 + 8];
	_cleanup_close_ int fd = open(made, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -1;
	/* ssh would offer the public half of the key before. */
	(void)snprintf(pub, sizeof(pub), "%s.pub", key);
	(void)unlink(pub);
	if (size_of(key) == 0)
		(void)unlink(key);
	return link(made, key) < 0 && errno != EEXIST ? -1 : 0;
}

static int make_key(struct cli *c, const char *key, struct error *e)
{
	char made[4096 + 16], pub[4096 + 24];
	const char *const argv[] = { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "banger", "-f", made, NULL };
	const struct proc_io io = { .quiet_out = true };

	(void)snprintf(made, sizeof(made), "%s.%d", key, (int)getpid());
	(void)snprintf(pub, sizeof(pub), "%s.pub", made);
	(void)unlink(made); /* of one that was killed: ssh-keygen would ask */
	int r = proc_must(c, argv, &io, "openssh-client", e);
	if (r == 0 && publish(made, key) < 0)
		r = error_set(e, FAIL_HOST, WHAT, "%s: %s", key, strerror(errno));
	(void)unlink(made);
	(void)unlink(pub);
	return r;
}

/* A VM may be made with a key at once, by whoever finds it: its name is on the disk before. */
static int sync_folder(const char *dir, struct error *e)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL)) /* not every file system has folders that can be synced */
		return error_set(e, FAIL_HOST, WHAT, "%s: %s", dir, strerror(errno));
	return 0;
}

static int own_line(struct cli *c, const char *dir, const char *key, char line[4001], struct error *e)
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

/* Wait for @events on @fd or a held signal.  Return: 1 there, 0 no time left, -1 interrupted. */
static int wait_fd(struct cli *c, int fd, short events, int ms)
{
	struct pollfd p[] = { { fd, events, 0 }, { c->sigfd, POLLIN, 0 } };

	int n = poll(p, ARRAY_SIZE(p), ms);
	if (p[1].revents && signals_pending(c))
		return -1;
	return n > 0 && p[0].revents;
}

/* One try.  Return: 1 a banner, 0 not yet, -1 interrupted. */
static int try_banner(struct cli *c, const struct sockaddr_in *addr, uint64_t deadline)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char buf[4] = "";
	int n;

	if (fd < 0)
		return 0;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 && errno != EINPROGRESS)
		return 0;
	/* A new try a second: while the guest does not answer ARP the kernel's own retries grow ever slower. */
	if ((n = wait_fd(c, fd, POLLOUT, left_ms(deadline, 1000))) <= 0)
		return n;
	/* Connected; a small guest under load takes its time to start the server. */
	if ((n = wait_fd(c, fd, POLLIN, left_ms(deadline, 15000))) <= 0)
		return n;
	return recv(fd, buf, sizeof(buf), MSG_PEEK) == 4 && memcmp(buf, "SSH-", 4) == 0;
}

int ssh_wait(struct cli *c, const char *ip, uint64_t timeout_ms, struct error *e)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(22) };
	uint64_t deadline = clock_boot_ns() / 1000000 + timeout_ms;
	int n;

	if (inet_pton(AF_INET, ip, &addr.sin_addr) != 1)
		return error_set(e, FAIL_STATE, WHAT, "the VM has no address");
	while ((n = try_banner(c, &addr, deadline)) == 0 && left_ms(deadline, 1) > 0)
		if (wait_fd(c, -1, 0, left_ms(deadline, 50)) < 0) {
			n = -1;
			break;
		}
	if (n < 0)
		return signals_error(c, WHAT, e);
	if (n == 0)
		return error_set(e, FAIL_TIMEOUT, WHAT, "no answer from %s port 22 within %.1f s", ip,
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

int ssh_run(struct cli *c, const struct ssh *s, const struct ev_vm *vm, char *const *guest, bool tty, bool batch,
	    struct error *e)
{
	_cleanup_free_ char *line = guest ? ssh_line(guest) : NULL;
	char hosts[4200], alias[64], to[32];
	struct words w = { { "ssh", "-F", "none" }, 3 };

	if (guest && !line)
		return error_set(e, FAIL_GENERAL, WHAT, "out of memory");
	/* ssh splits this option's value at blanks, and expands % in it. */
	if (strpbrk(s->known_hosts, " \t\"%"))
		return error_set(e, FAIL_HOST, WHAT, "%s: a path with blanks, quotes or %%; set XDG_STATE_HOME", s->known_hosts);
	(void)snprintf(hosts, sizeof(hosts), "UserKnownHostsFile=%s", s->known_hosts);
	(void)snprintf(alias, sizeof(alias), "HostKeyAlias=%s", vm->id);
	(void)snprintf(to, sizeof(to), "root@%s", vm->ip);
	option(&w, hosts);
	option(&w, alias);
	option(&w, "GlobalKnownHostsFile=/dev/null");
	option(&w, "StrictHostKeyChecking=accept-new");
	option(&w, "CheckHostIP=no");
	option(&w, "ConnectTimeout=15");
	option(&w, "ServerAliveInterval=15");
	option(&w, "LogLevel=ERROR");
	option(&w, "IdentitiesOnly=yes");
	option(&w, "PreferredAuthentications=publickey");
	if (batch)
		option(&w, "BatchMode=yes");
	for (size_t i = 0; i < ARRAY_SIZE(s->keys) && s->keys[i][0]; i++) {
		add(&w, "-i");
		add(&w, s->keys[i]);
	}
	if (guest)
		add(&w, tty ? "-tt" : "-T");
	add(&w, to);
	if (guest) {
		add(&w, "--");
		add(&w, line);
	}
	int status = proc_run(c, w.v, NULL, e);
	if (status == 127 && !proc_exists("ssh")) {
		error_set(e, FAIL_HOST, WHAT, "not on this host");
		error_hint(e, "install the package openssh-client");
		return -1;
	}
	return status;
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
