/* command.c - starts a command in the image's root, as one of its users.
 *
 * The user is looked up in the files of the image alone: no library of the image runs in the
 * agent, which is linked statically. */
#include "controller/agent/command.h"
#include "controller/copy/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/agent/image.h"
#include "controller/agent/relay.h"

#define PATH_ROOT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define GROUPS_MAX 256

/* A user of the image. */
struct user {
	uid_t uid;
	gid_t gid;
	char name[256], home[1024], shell[1024];
	gid_t groups[GROUPS_MAX];
	size_t ngroups;
};

static int fail(char why[200], int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(char why[200], int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, 199, fmt, ap);
	va_end(ap);
	return status;
}

char *command_word(struct command *c, const void *data, size_t n)
{
	char *at = c->text + c->used;

	if (n >= COMMAND_TEXT - c->used || memchr(data, '\0', n))
		return NULL;
	memcpy(at, data, n);
	at[n] = '\0';
	c->used += n + 1;
	return at;
}

/* ---- the user ---- */

static void copy(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from && *from ? from : "/");
}

static bool is_wanted(const struct passwd *p, const char *name)
{
	char number[16];

	(void)snprintf(number, sizeof(number), "%u", (unsigned)p->pw_uid);
	return strcmp(p->pw_name, name) == 0 || strcmp(number, name) == 0;
}

static bool find_passwd(const char *name, struct user *u)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *p = NULL;

	while (f && (p = fgetpwent(f)) && !is_wanted(p, name))
		;
	if (p) {
		u->uid = p->pw_uid;
		u->gid = p->pw_gid;
		copy(u->name, sizeof(u->name), p->pw_name);
		copy(u->home, sizeof(u->home), p->pw_dir);
		copy(u->shell, sizeof(u->shell),
		     p->pw_shell && *p->pw_shell ? p->pw_shell : "/bin/sh");
	}
	if (f)
		(void)fclose(f);
	return p != NULL;
}

static void find_groups(struct user *u)
{
	FILE *f = fopen("/etc/group", "re");
	struct group *g;

	u->groups[u->ngroups++] = u->gid;
	while (f && u->ngroups < GROUPS_MAX && (g = fgetgrent(f)))
		for (char **m = g->gr_mem; *m; m++)
			if (strcmp(*m, u->name) == 0 && u->ngroups < GROUPS_MAX)
				u->groups[u->ngroups++] = g->gr_gid;
	if (f)
		(void)fclose(f);
}

/* A number as of a user or group.  Return: true if @s is one. */
static bool is_id(const char *s, unsigned *id)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	*id = (unsigned)v;
	return *s >= '0' && *s <= '9' && !*end && v < UINT32_MAX;
}

static bool find_group(const char *name, gid_t *gid)
{
	FILE *f = fopen("/etc/group", "re");
	struct group *g = NULL;
	unsigned id;

	while (f && (g = fgetgrent(f)) && strcmp(g->gr_name, name) != 0)
		;
	if (g)
		*gid = g->gr_gid;
	else if (is_id(name, &id))
		*gid = id;
	if (f)
		(void)fclose(f);
	return g || is_id(name, &id);
}

/* An image has root, and each user by number, also without /etc/passwd. */
static bool find_unlisted(const char *name, struct user *u)
{
	unsigned id = 0;

	if (strcmp(name, "root") != 0 && !is_id(name, &id))
		return false;
	u->uid = id;
	copy(u->name, sizeof(u->name), id ? name : "root");
	copy(u->home, sizeof(u->home), "/");
	copy(u->shell, sizeof(u->shell), "/bin/sh");
	return true;
}

/* @text: a user, or user:group, as an image may say. */
static int find_user(const char *text, struct user *u, char why[200])
{
	char name[256];
	const char *group = strchr(text, ':');

	memset(u, 0, sizeof(*u));
	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, ":"), text);
	if (!find_passwd(name, u) && !find_unlisted(name, u))
		return fail(why, 126, "the guest has no user %.100s", name);
	if (group && !find_group(group + 1, &u->gid))
		return fail(why, 126, "the guest has no group %.100s", group + 1);
	find_groups(u);
	return 0;
}

/* ---- the image's configuration ---- */

/* Add a variable, unless the client has given it. */
static void add_variable(struct command *c, const char *variable)
{
	size_t n = strcspn(variable, "=");

	for (size_t i = 0; i < c->nenv; i++)
		if (strncmp(c->env[i], variable, n + 1) == 0)
			return;
	if (variable[n] && c->nenv < AGENT_WORDS + IMAGE_WORDS)
		c->env[c->nenv++] = (char *)variable;
}

/* Put the words of the entry point before those of the client, or before the image's command.
 * Words that do not fit are an error. */
static int add_words(struct command *c, const struct image_config *im)
{
	char *given[AGENT_WORDS + 1];
	size_t ngiven = c->nargs, n = 0, at = 0;
	const char *word;

	memcpy(given, c->args, ngiven * sizeof(given[0]));
	while ((word = image_next(im, IMAGE_ENTRY, &at)) && n < IMAGE_WORDS)
		c->args[n++] = (char *)word;
	bool cut = word != NULL;
	if (n)
		c->line = false;
	memcpy(c->args + n, given, ngiven * sizeof(given[0]));
	n += ngiven;
	word = NULL;
	at = 0;
	while (!ngiven && (word = image_next(im, IMAGE_COMMAND, &at)) && n < 2 * IMAGE_WORDS)
		c->args[n++] = (char *)word;
	c->args[n] = NULL;
	c->nargs = n;
	return cut || word ? -1 : 0;
}

static int apply_image(struct command *c)
{
	static struct image_config im; /* @c keeps pointers into it */
	const char *variable;
	size_t at = 0;

	image_read(&im);
	while ((variable = image_next(&im, IMAGE_ENV, &at)))
		add_variable(c, variable);
	at = 0;
	if (!c->user)
		c->user = image_next(&im, IMAGE_USER, &at);
	at = 0;
	if (!c->folder)
		c->folder = image_next(&im, IMAGE_FOLDER, &at);
	return c->entry ? add_words(c, &im) : 0;
}

/* ---- the environment ---- */

static int set(struct command *c, const char *name, const char *value)
{
	size_t n = strlen(name);
	char word[1200];

	for (size_t i = 0; i < c->nenv; i++)
		if (strncmp(c->env[i], name, n) == 0 && c->env[i][n] == '=')
			return 0;
	int len = snprintf(word, sizeof(word), "%s=%s", name, value);
	char *w = c->nenv < AGENT_WORDS + IMAGE_WORDS + OWN_VARIABLES
			  ? command_word(c, word, (size_t)len)
			  : NULL;
	if (!w)
		return -1;
	c->env[c->nenv++] = w;
	return 0;
}

/* Variables that the client has given stay. */
static int set_environment(struct command *c, const struct user *u)
{
	return set(c, "PATH", PATH_ROOT) < 0 || set(c, "HOME", u->home) < 0 ||
			       set(c, "USER", u->name) < 0 || set(c, "LOGNAME", u->name) < 0 ||
			       set(c, "SHELL", u->shell) < 0
		       ? -1
		       : 0;
}

/* The words to execute: a login shell, a line for the shell, or a command.  @buf: of the caller.
 * Return: the program. */
static const char *choose_program(struct command *c, const struct user *u, char buf[1100])
{
	const char *base = strrchr(u->shell, '/');

	if (c->nargs && !c->line)
		return c->args[0];
	base = base ? base + 1 : u->shell;
	(void)snprintf(buf, 1100, "%s%s", c->line ? "" : "-", base);
	if (c->line) {
		c->args[2] = c->args[0];
		c->args[1] = (char *)"-c";
	}
	c->args[0] = buf;
	c->nargs = c->line ? 3 : 1;
	c->args[c->nargs] = NULL;
	return u->shell;
}

/* ---- its descriptors ---- */

static int close_all(int fds[6])
{
	int saved = errno;

	for (int i = 0; i < 6; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	errno = saved;
	return -1;
}

/* @fds: the command's ends of input, output and errors, then ours. */
static int make_pipes(int fds[6])
{
	int p[2];

	for (int i = 0; i < 3; i++) {
		if (pipe2(p, O_CLOEXEC) < 0)
			return close_all(fds);
		fds[i] = p[i == 0 ? 0 : 1];
		fds[3 + i] = p[i == 0 ? 1 : 0];
		(void)fcntl(fds[3 + i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

/* The terminal of the image's devpts. */
static int make_terminal(const struct command *c, const struct user *u, int fds[6])
{
	const struct winsize size = { (unsigned short)c->rows, (unsigned short)c->cols, 0, 0 };
	int zero = 0, master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	fds[3] = master;
	if (master < 0 || ioctl(master, TIOCSPTLCK, &zero) < 0)
		return close_all(fds);
	fds[0] = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	fds[4] = fcntl(master, F_DUPFD_CLOEXEC, 3);
	if (fds[0] < 0 || fds[4] < 0 || fchown(fds[0], u->uid, (gid_t)-1) < 0)
		return close_all(fds);
	(void)ioctl(master, TIOCSWINSZ, &size);
	return 0;
}

/* ---- the child ---- */

/* What a child reports before it executes: the step, and errno. */
struct report {
	int step, error;
};
enum { STEP_STREAMS, STEP_USER, STEP_FOLDER, STEP_EXECUTE };

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < SIGRTMAX; sig++)
		(void)signal(sig, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int take_streams(const struct command *c, const int fds[6])
{
	for (int i = 0; i < 3; i++)
		if (dup2(fds[c->tty ? 0 : i], i) < 0)
			return -1;
	return c->tty ? ioctl(0, TIOCSCTTY, 0) : 0;
}

static int become(const struct user *u)
{
	return setgroups(u->ngroups, u->groups) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
			       setresuid(u->uid, u->uid, u->uid) < 0
		       ? -1
		       : 0;
}

/* A home that is missing is no reason to refuse; a folder that the client has named is. */
static int enter_folder(const struct command *c, const struct user *u)
{
	if (c->folder)
		return chdir(c->folder);
	return chdir(u->home) < 0 ? chdir("/") : 0;
}

/* Tell a line of ERRORS.  The name may have any byte, so the client must clean it. */
static void tell_problem(const char *path, const char *why)
{
	(void)dprintf(STDERR_FILENO, "%s: %s\n", path, why);
}

/* Copy in the place of a program, with the rights of the user.  A signal that ends programs removes
 * the file that is not complete. */
_Noreturn static void copy_files(const struct command *c)
{
	static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	const struct copy copy = { .fd = c->copy & AGENT_COPY_IN ? STDIN_FILENO : STDOUT_FILENO,
				   .owners = c->copy & AGENT_COPY_OWNERS,
				   .follow = c->copy & AGENT_COPY_FOLLOW,
				   .into = c->copy & AGENT_COPY_INTO,
				   .problem = tell_problem };

	/* Also our own ends of its pipes, and the pipe that reports: it has started. */
	(void)close_range(STDERR_FILENO + 1, ~0U, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		(void)signal(ends[i], copy_abandon);
	_exit(c->copy & AGENT_COPY_IN ? copy_receive(&copy, c->args[0])
				      : copy_send(&copy, c->args));
}

_Noreturn static void connect_to(const struct command *c)
{
	const int proc = STDERR_FILENO + 1;

	/* What is there may be the pipe that reports: it has started. */
	(void)dup2(c->proc, proc);
	(void)close_range(proc + 1, ~0U, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	_exit(relay_run(c->port, c->socket, proc));
}

_Noreturn static void child(const struct command *c, const struct user *u, const char *program,
			    const int fds[6], int report)
{
	struct report r = { STEP_STREAMS, 0 };
	int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (oom >= 0)
		(void)!write(oom, "0", 1);
	(void)setsid();
	(void)umask(022);
	if (take_streams(c, fds) == 0) {
		r.step = STEP_USER;
		if (become(u) == 0) {
			r.step = STEP_FOLDER;
			if (enter_folder(c, u) == 0) {
				r.step = STEP_EXECUTE;
				reset_signals();
				if (c->copies)
					copy_files(c);
				if (c->connects)
					connect_to(c);
				environ = (char **)c->env; /* its PATH finds the program */
				(void)execvp(program, c->args);
			}
		}
	}
	r.error = errno;
	(void)!write(report, &r, sizeof(r));
	_exit(127);
}

static int explain(const struct command *c, const char *program, const struct report *r,
		   char why[200])
{
	static const char *const steps[] = { "its streams", "the user", "the folder", NULL };
	const char *what = r->step == STEP_EXECUTE               ? program
			   : r->step == STEP_FOLDER && c->folder ? c->folder
								 : steps[r->step];

	return fail(why, r->step == STEP_EXECUTE && r->error == ENOENT ? 127 : 126, "%.120s: %s",
		    what, strerrordesc_np(r->error));
}

/* Fork, and wait until the program is executed.  Return: as command_start(). */
static int launch(struct command *c, const struct user *u, const int fds[6], pid_t *pid,
		  char why[200])
{
	char shell[1100];
	const char *program = choose_program(c, u, shell);
	struct report r;
	int report[2];

	if (pipe2(report, O_CLOEXEC) < 0 || (*pid = fork()) < 0)
		return fail(why, 126, "no process for it: %s", strerrordesc_np(errno));
	if (*pid == 0)
		child(c, u, program, fds, report[1]);
	(void)close(report[1]);
	ssize_t n;
	do
		n = read(report[0], &r, sizeof(r));
	while (n < 0 && errno == EINTR);
	(void)close(report[0]);
	return n == sizeof(r) ? explain(c, program, &r, why) : 0;
}

/* Set the folder of a copy to that in which a command of the image starts.  Return: as
 * command_start(). */
static int take_place(struct command *c, char why[200])
{
	static struct user u; /* @c keeps a pointer into it */
	const char *const given = c->user;
	int status = 0;

	if (apply_image(c) < 0)
		return fail(why, 126, "the image's configuration is too long");
	if (!c->folder) {
		status = find_user(c->user ? c->user : "root", &u, why);
		c->folder = access(u.home, X_OK) == 0 ? u.home : "/";
	}
	c->user = given;
	return status;
}

/* Fill in what the command does not say, and find its user.  Return: as command_start(). */
static int prepare(struct command *c, struct user *u, char why[200])
{
	int placed = c->copies && c->copy & AGENT_COPY_PLACE ? take_place(c, why) : 0;

	if (placed)
		return placed;
	if (!c->copies && !c->connects && apply_image(c) < 0)
		return fail(why, 126, "the image's command is too long");
	int status = find_user(c->user ? c->user : "root", u, why);
	if (status)
		return status;
	return set_environment(c, u) < 0 ? fail(why, 126, "its environment is too long") : 0;
}

int command_start(struct command *c, struct running *r, char why[200])
{
	int fds[6] = { -1, -1, -1, -1, -1, -1 };
	static struct user u;

	int status = prepare(c, &u, why);
	if (status)
		return status;
	if ((c->tty ? make_terminal(c, &u, fds) : make_pipes(fds)) < 0)
		return fail(why, 126, "%s: %s", c->tty ? "no terminal in the guest" : "pipes",
			    strerrordesc_np(errno));
	status = launch(c, &u, fds, &r->pid, why);
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	*r = (struct running){ r->pid, fds[3], fds[4], fds[5] };
	return status;
}

int command_start_entry(struct command *c, const int streams[3], pid_t *pid, char why[200])
{
	const int fds[6] = { streams[0], streams[1], streams[2], -1, -1, -1 };
	static struct user u;

	c->entry = true;
	*pid = 0;
	int status = prepare(c, &u, why);
	return status || c->nargs == 0 ? status : launch(c, &u, fds, pid, why);
}
