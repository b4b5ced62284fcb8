/* cp.c - vm cp: copies files and folders into a guest and out of it, by the agent.
 *
 * The files of this side are copied by a process of our own, with calls that wait.  Two pipes join
 * it to the session with the agent (agent.c), which never waits, and watches the signals.  The
 * process ends with its pipe: a copy that is cut leaves no file that is not complete. */
#include "controller/cli/cp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/agent.h"
#include "controller/cli/cli.h"
#include "controller/cli/out.h"
#include "controller/cli/run.h"
#include "proto/agent.h"

#define FIRST_MS 500 /* a copy that ends earlier shows no progress */
#define AGAIN_MS 200
#define ERASE "\r\033[K"

/* What is to be copied. */
struct plan {
	struct cli *c;
	char vm[128];
	bool in;                      /* into the guest */
	bool tar;                     /* this side is a tar stream */
	bool place;                   /* to where a command starts, not to the home */
	size_t n;                     /* sources */
	char **here, **there;         /* paths of each side, NULL-terminated */
	const char **names;           /* of the sources in the guest; NULL-terminated */
	char (*texts)[TREE_NAME + 1]; /* of names */
};

/* ---- the words ---- */

/* Return: PATH in VM:PATH, or NULL: a path of this host.  A VM of another user is UID/NAME. */
static const char *guest_path(const char *word)
{
	size_t n = strcspn(word, ":/");

	if (word[n] == '/' && n == strspn(word, "0123456789"))
		n += 1 + strcspn(word + n + 1, ":/");
	return n > 0 && word[0] != '.' && word[0] != '/' && word[n] == ':' ? word + n + 1 : NULL;
}

static int usage(struct error *e, const char *what, const char *why)
{
	error_set(e, FAIL_USAGE, what, "%s", why);
	error_hint(e, "banger help vm cp");
	return -1;
}

/* Take VM:PATH, of the VM that the words before have named. */
static int add_there(struct plan *p, const char *word, struct error *e)
{
	const char *path = guest_path(word);
	size_t n = (size_t)(path - word) - 1;
	char vm[sizeof(p->vm)];

	if (n >= sizeof(vm))
		return usage(e, "cp", "the VM's name is too long");
	(void)snprintf(vm, sizeof(vm), "%.*s", (int)n, word);
	if (p->vm[0] && strcmp(vm, p->vm) != 0)
		return usage(e, word, "one copy is of one VM");
	(void)strcpy(p->vm, vm);
	char **at = p->there;
	while (*at)
		at++;
	*at = (char *)(*path ? path : "."); /* the home */
	return 0;
}

static int add_source(struct plan *p, char *word, struct error *e)
{
	if (p->in && guest_path(word)) {
		error_set(e, FAIL_USAGE, "cp", "both sides are guests");
		error_hint(e, "banger cp A:PATH - | banger cp - B:DIR");
		return -1;
	}
	if (!p->in && !guest_path(word))
		return usage(e, "cp", "neither side is VM:PATH");
	if (!p->in)
		return add_there(p, word, e);
	if (strcmp(word, "-") == 0 && p->n > 1)
		return usage(e, "-", "a tar stream is the only source");
	struct stat st;
	if (strcmp(word, "-") != 0 && lstat(word, &st) < 0)
		return error_set(e, errno == ENOENT ? FAIL_NOT_FOUND : FAIL_GENERAL, word, "%s",
				 strerror(errno));
	char **at = p->here;
	while (*at)
		at++;
	*at = word;
	return 0;
}

static int add_names(struct plan *p, struct error *e)
{
	for (size_t i = 0; !p->in && i < p->n; i++)
		if (!(p->names[i] = copy_name(p->there[i], p->texts[i])))
			return usage(e, p->there[i], "its name is too long");
	return 0;
}

static int make_plan(struct plan *p, struct error *e)
{
	struct cli *c = p->c;
	char *last = c->pos[c->npos - 1];

	p->n = (size_t)c->npos - 1;
	p->here = calloc(p->n + 1, sizeof(*p->here));
	p->there = calloc(p->n + 1, sizeof(*p->there));
	p->names = calloc(p->n + 1, sizeof(*p->names));
	p->texts = calloc(p->n, sizeof(*p->texts));
	if (!p->here || !p->there || !p->names || !p->texts)
		return error_set(e, FAIL_GENERAL, "cp", "out of memory");
	p->in = guest_path(last) != NULL;
	for (size_t i = 0; i < p->n; i++)
		if (add_source(p, c->pos[i], e) < 0)
			return -1;
	if (p->in && add_there(p, last, e) < 0)
		return -1;
	if (!p->in)
		p->here[0] = last;
	p->tar = strcmp(p->here[0], "-") == 0;
	if (p->tar && isatty(p->in ? STDIN_FILENO : STDOUT_FILENO))
		return usage(e, "-", "a tar stream is not read from a terminal or written to it");
	return add_names(p, e);
}

static void drop_plan(struct plan *p)
{
	free(p->here);
	free(p->there);
	free(p->names);
	free(p->texts);
}

/* ---- the process that copies this side's files ---- */

static struct {
	bool shows; /* progress */
	uint64_t began_ms, told_ms, bytes, files;
} show;

static uint64_t now_ms(void)
{
	return clock_boot_ns() / 1000000;
}

static void print_clean(const char *path, int most)
{
	char clean[9000];

	text_printable(path, clean, sizeof(clean));
	text_clean(clean);
	size_t n = strlen(clean), cut = most && n > (size_t)most ? n - (size_t)most : 0;
	while (cut && ((unsigned char)clean[cut] & 0xc0) == 0x80)
		cut++;
	fprintf(stderr, "%s%s", cut ? "..." : "", clean + cut);
}

static void on_problem(const char *path, const char *why)
{
	fprintf(stderr, "%sbanger: ", show.shows ? ERASE : "");
	print_clean(path, 0);
	fputs(": ", stderr);
	print_clean(why, 0);
	fputc('\n', stderr);
}

static void on_moved(const char *path, uint64_t bytes)
{
	uint64_t now = now_ms();
	char size[16];

	show.bytes += bytes;
	show.files += bytes == 0;
	if (now - show.told_ms < AGAIN_MS || now - show.began_ms < FIRST_MS)
		return;
	show.told_ms = now;
	format_size(show.bytes, size);
	fprintf(stderr, ERASE "%s, %llu files  ", size, (unsigned long long)show.files);
	print_clean(path, 40);
}

static enum copy_end copy_here(const struct plan *p, const struct copy *copy)
{
	if (p->tar)
		return p->in ? tar_send(copy, STDIN_FILENO) : tar_receive(copy, STDOUT_FILENO);
	return p->in ? copy_send(copy, p->here) : copy_receive(copy, p->here[0]);
}

_Noreturn static void helper(const struct plan *p, int fd, pid_t parent)
{
	const struct options *o = &p->c->opt;
	const struct copy copy = { .fd = fd,
				   .owners = o->archive,
				   .follow = o->follow_link,
				   .into = p->n > 1,
				   .names = p->in ? NULL : p->names,
				   .problem = on_problem,
				   .moved = show.shows ? on_moved : NULL };
	sigset_t term;

	/* All signals are held by now.  The parent sends SIGTERM when one has arrived, and the
	 * kernel does when the parent is killed. */
	(void)signal(SIGTERM, copy_abandon);
	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	(void)sigprocmask(SIG_UNBLOCK, &term, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(COPY_FAILED);
	show.began_ms = now_ms();
	enum copy_end end = copy_here(p, &copy);
	if (show.told_ms)
		fputs(ERASE, stderr);
	_exit(end);
}

/* Start the process that copies this side's files.  @port: what it must not keep open: the agent
 * sees our end by that.  @ours: out: our end of its pipe.  Return: its pid, or -1 with @e. */
static pid_t start_helper(const struct plan *p, int port, int *ours, struct error *e)
{
	int fds[2], its = p->in ? 1 : 0;
	pid_t parent = getpid();

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_set(e, FAIL_GENERAL, "cp", "%s", strerror(errno));
	(void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 20); /* else it stays smaller */
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(fds[1 - its]);
		(void)close(port);
		helper(p, fds[its], parent);
	}
	(void)close(fds[its]);
	*ours = fds[1 - its];
	if (pid < 0) {
		(void)close(*ours);
		return error_set(e, FAIL_GENERAL, "cp", "%s", strerror(errno));
	}
	return pid;
}

/* Wait until it has ended.  @kill_it: it may wait for input that nobody needs any more.  Return:
 * how its copy ended. */
static int end_helper(struct cli *c, pid_t pid, bool kill_it)
{
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	int status;

	while (!kill_it && pidfd >= 0) {
		struct pollfd p[] = { { pidfd, POLLIN, 0 }, { c->sigfd, POLLIN, 0 } };
		if (poll(p, 2, -1) > 0 && p[0].revents)
			break;
		kill_it = signals_pending(c);
	}
	if (kill_it)
		(void)kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return COPY_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : COPY_FAILED;
}

/* ---- the copy ---- */

/* Judge both ends: @there is the agent's, or what a hostile guest says, @here is ours.  Return: the
 * exit status, or -1 with @e: it was not told yet. */
static int judge(const struct plan *p, int there, int here, struct error *e)
{
	bool done = here == COPY_DONE || here == COPY_PARTLY;

	if (there == COPY_DONE && (here == COPY_CUT || (here == COPY_PARTLY && !p->in)))
		return error_set(e, FAIL_GENERAL, p->vm, "its agent copied less than was asked");
	if (!done)
		return FAIL_GENERAL;
	if (there != COPY_DONE && there != COPY_PARTLY)
		return FAIL_GENERAL;
	return there == COPY_DONE && here == COPY_DONE ? 0 : FAIL_PARTLY;
}

static uint8_t flags_of(const struct plan *p)
{
	const struct options *o = &p->c->opt;
	unsigned in = AGENT_COPY_IN | (o->archive ? AGENT_COPY_OWNERS : 0) |
		      (p->n > 1 || p->tar ? AGENT_COPY_INTO : 0) |
		      (p->place ? AGENT_COPY_PLACE : 0);

	return (uint8_t)(p->in ? in : o->follow_link ? AGENT_COPY_FOLLOW : 0);
}

static int run_copy(const struct plan *p, struct agent_copy *copy, struct error *e)
{
	int ours = -1;
	pid_t pid = start_helper(p, copy->port, &ours, e);

	if (pid < 0)
		return -1;
	copy->in = p->in ? ours : -1;
	copy->out = p->in ? -1 : ours;
	int there = agent_copy(p->c, copy, e);
	(void)close(ours);
	int here = end_helper(p->c, pid, p->c->signal || (p->in && there != COPY_DONE));
	if (p->c->signal)
		return signals_error(p->c, "cp", e);
	return there < 0 ? -1 : judge(p, there, here, e);
}

/* Carry the plan out.  Return: the exit status, or -1 with @e: it was not told yet. */
static int copy_with(const struct plan *p, const struct ev_vm *vm, uint64_t timeout_ms,
		     struct error *e)
{
	struct cli *c = p->c;
	struct agent_copy copy = { .timeout_ms = timeout_ms,
				   .flags = flags_of(p),
				   .paths = p->there,
				   .vm = p->vm,
				   .erase = "" };

	show.shows = c->err_tty && !c->opt.silent;
	show.told_ms = show.bytes = show.files = 0;
	if (show.shows)
		copy.erase = ERASE;
	struct ev_vm now = *vm;
	_cleanup_close_ int port = reach_agent(c, &now, copy.nonce, e);
	if (port < 0)
		return -1;
	copy.port = port;
	int status = run_copy(p, &copy, e);
	if (status < 0 && !c->signal && e->code == FAIL_STATE)
		explain_end(c, &now, e);
	return status;
}

static int copy(struct plan *p, struct error *e)
{
	struct cli *c = p->c;
	struct ev_vm vm;

	if (agent_check_command(p->there, e) < 0 || agent_check_options(&c->opt, e) < 0 ||
	    signals_hold(c, e) < 0 || look_up_running(c, p->vm, &vm, e) < 0)
		return -1;
	return copy_with(p, &vm, login_ms(c, &vm), e);
}

int cmd_vm_cp(struct cli *c)
{
	struct plan p = { .c = c };
	struct error e = { 0 };

	int status = make_plan(&p, &e) < 0 ? -1 : copy(&p, &e);
	drop_plan(&p);
	if (status < 0)
		status = out_error(c, &e);
	return c->signal ? 128 + c->signal : status;
}

/* ---- vm run --copy ---- */

/* The two sides of a word PATH[:GUEST]. */
struct sides {
	char here[4096];
	const char *there;
};

static int take_sides(const char *word, struct sides *s, struct error *e)
{
	struct stat st;
	const char *colon = lstat(word, &st) == 0 ? NULL : strrchr(word, ':');
	size_t n = colon ? (size_t)(colon - word) : strlen(word);

	if (n == 0 || n >= sizeof(s->here))
		return error_set(e, FAIL_USAGE, "--copy", "\"%s\" is not PATH[:GUEST]", word);
	(void)snprintf(s->here, sizeof(s->here), "%.*s", (int)n, word);
	s->there = colon && colon[1] ? colon + 1 : ".";
	if (lstat(s->here, &st) < 0)
		return error_set(e, errno == ENOENT ? FAIL_NOT_FOUND : FAIL_GENERAL, s->here, "%s",
				 strerror(errno));
	char *const there[] = { (char *)s->there, NULL };
	return agent_check_command(there, e);
}

int cp_check(const struct values *words, struct error *e)
{
	struct sides s;

	for (size_t i = 0; i < words->n; i++)
		if (take_sides(words->v[i], &s, e) < 0)
			return -1;
	return 0;
}

static int copy_sides(struct cli *c, const struct ev_vm *vm, struct sides *s, uint64_t timeout_ms,
		      struct error *e)
{
	char *here[] = { s->here, NULL }, *there[] = { (char *)s->there, NULL };
	struct plan p = { .c = c, .in = true, .place = true, .n = 1, .here = here, .there = there };

	(void)snprintf(p.vm, sizeof(p.vm), "%s", vm->name);
	int status = copy_with(&p, vm, timeout_ms, e);
	if (status > 0)
		return error_set(e, FAIL_GENERAL, s->here, "it was not copied whole");
	return status;
}

int cp_into(struct cli *c, const struct ev_vm *vm, uint64_t timeout_ms, struct error *e)
{
	struct sides s;

	for (size_t i = 0; i < c->opt.copies.n; i++)
		if (take_sides(c->opt.copies.v[i], &s, e) < 0 ||
		    copy_sides(c, vm, &s, timeout_ms, e) < 0)
			return -1;
	return 0;
}
