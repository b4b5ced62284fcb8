#include "controller/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "controller/cli/out.h"

enum kind {
	K_FLAG,
	K_TEXT,
	K_VALUES,
	K_COUNT,
	K_MIB,
	K_TIME,
	K_FORMAT,
	K_PROGRESS,
	K_RESTART,
	K_IDLE,
	K_WAIT_FOR,
	K_VALUE
};

static const struct option_row {
	const char *name;
	char letter;
	enum kind kind;
	const char *arg, *help;
	size_t offset;
	uint64_t max; /* K_COUNT, K_MIB, K_TIME (ms): the maximum; K_VALUE: the value to set */
} rows[O_COUNT] = {
#define AT(field) offsetof(struct options, field)
	[O_HELP] = { "help", 'h', K_FLAG, NULL, "print this help", AT(help), 0 },
	[O_OUTPUT] = { "output", 'o', K_FORMAT, "table|json|name", "how to print the result", 0,
		       0 },
	[O_QUIET] = { "quiet", 'q', K_VALUE, NULL, "print names alone, as -o name does", AT(format),
		      FORMAT_NAME },
	[O_PROGRESS] = { "progress", 0, K_PROGRESS, "none|plain|json",
			 "how to report the stages of an operation on stderr", 0, 0 },
	[O_NAME] = { "name", 0, K_TEXT, "NAME",
		     "the VM's name: a-z, 0-9 and '-'; default: a generated name", AT(name), 0 },
	[O_IMAGE] = { "image", 0, K_TEXT, "IMAGE",
		      "the image to start from; default: the only one, or the catalogue's",
		      AT(image), 0 },
	[O_KERNEL] = { "kernel", 0, K_TEXT, "KERNEL", "the kernel that the image is started with",
		       AT(kernel), 0 },
	[O_VCPUS] = { "vcpus", 0, K_COUNT, "N", "virtual processors", AT(vcpus), 256 },
	[O_MEMORY] = { "memory", 'm', K_MIB, "SIZE", "memory, as 512M or 2G", AT(mem_mib),
		       16777216 },
	[O_DISK] = { "disk", 0, K_MIB, "SIZE", "size of the root disk, at least the image's",
		     AT(disk_mib), 16777216 },
	[O_NAT] = { "nat", 0, K_VALUE, NULL,
		    "let the guest reach other networks, by the host's address", AT(nat), 2 },
	[O_NO_NAT] = { "no-nat", 0, K_VALUE, NULL, "let the guest reach no network but the host",
		       AT(nat), 1 },
	[O_RESTART] = { "restart", 0, K_RESTART, "no|on-failure[:N]|always",
			"restart the VM after unasked exits (at most N in a row) and after a boot",
			0, 0 },
	[O_AUTO_STOP] = { "auto-stop", 0, K_IDLE, "TIME|never",
			  "stop the VM when it was idle for this time, as 30m or 8h",
			  AT(auto_stop_s), 31536000000 },
	[O_RM] = { "rm", 0, K_FLAG, NULL, "delete the VM when the command or shell ends", AT(rm),
		   0 },
	[O_DETACH] = { "detach", 'd', K_FLAG, NULL, "start the VM, print its name and return",
		       AT(detach), 0 },
	[O_TIMEOUT] = { "timeout", 0, K_TIME, "TIME", "how long to wait, as 90s or 2m",
			AT(timeout_ms), 3600000 },
	[O_ALL] = { "all", 'a', K_FLAG, NULL, "root: include the VMs of all users", AT(all), 0 },
	[O_FOLLOW] = { "follow", 'f', K_FLAG, NULL, "print new output as it comes", AT(follow), 0 },
	[O_VMM] = { "vmm", 0, K_VALUE, NULL, "print the log of the monitor (Firecracker)", AT(what),
		    1 },
	[O_METRICS] = { "metrics", 0, K_VALUE, NULL,
			"print the monitor's metrics as JSON lines (Firecracker)", AT(what), 2 },
	[O_JOURNAL] = { "journal", 0, K_VALUE, NULL, "print the journal of a guest with systemd",
			AT(what), 3 },
	[O_TTY] = { "tty", 't', K_FLAG, NULL, "give the command a terminal", AT(tty), 0 },
	[O_IF_EXISTS] = { "if-exists", 0, K_FLAG, NULL, "succeed for a name that does not exist",
			  AT(if_exists), 0 },
	[O_DEB] = { "deb", 0, K_TEXT, "FILE", "a Debian linux-image package", AT(deb), 0 },
	[O_VMLINUZ] = { "vmlinuz", 0, K_TEXT, "FILE", "a bzImage (with --modules)", AT(vmlinuz),
			0 },
	[O_MODULES] = { "modules", 0, K_TEXT, "DIR", "the kernel's folder lib/modules/<release>",
			AT(modules), 0 },
	[O_SIZE] = { "size", 0, K_MIB, "SIZE", "size of the file system", AT(size_mib), 16777216 },
	[O_INCLUDE] = { "include", 0, K_TEXT, "PACKAGES",
			"additional packages, separated by commas", AT(include), 0 },
	[O_SUITE] = { "suite", 0, K_TEXT, "SUITE", "Debian release (default: the host's)",
		      AT(suite), 0 },
	[O_OUTPUT_FILE] = { "output", 0, K_TEXT, "FILE",
			    "write the image to FILE instead of importing it", AT(output), 0 },
	[O_DB] = { "db", 0, K_FLAG, NULL,
		   "check the state database alone; root can do this without the daemon", AT(db),
		   0 },
	[O_POLICY] = { "policy", 0, K_FLAG, NULL,
		       "root: compare the running service with its policies alone", AT(policy), 0 },
	[O_CONFIG] = { "config", 0, K_TEXT, "FILE",
		       "the host's configuration (default: " CONFIG_DEFAULT_PATH ")", AT(config),
		       0 },
	[O_NO_STDIN] = { "no-stdin", 'n', K_FLAG, NULL,
			 "do not read standard input; the command's input is empty", AT(no_stdin),
			 0 },
	[O_ACCEPT] = { "accept", 0, K_FLAG, NULL, "store the host key that the guest shows now",
		       AT(accept), 0 },
	[O_KEY] = { "key", 'k', K_TEXT, "FILE", "the keys that `audit key` printed", AT(key), 0 },
	[O_CHECKPOINTS] = { "checkpoints", 0, K_TEXT, "FILE",
			    "the service's log; - is standard input", AT(checkpoints), 0 },
	[O_ROLE] = { "role", 0, K_TEXT, "net|blk|spawn", "records of one role", AT(role), 0 },
	[O_LOGS] = { "logs", 0, K_TEXT, "DIR", "read the logs in DIR, without the daemon", AT(logs),
		     0 },
	[O_VM] = { "vm", 0, K_TEXT, "VM", "records of one VM: name, id, or number of the slot",
		   AT(vm), 0 },
	[O_USER] = { "user", 'u', K_TEXT, "USER", "records of one owner: name or uid", AT(user),
		     0 },
	[O_OP] = { "op", 0, K_TEXT, "NAME", "records of one request, for example tap_create",
		   AT(op), 0 },
	[O_STATUS] = { "status", 0, K_TEXT, "STATUS",
		       "results with one status, for example denied; !ok: all but ok", AT(status),
		       0 },
	[O_SINCE] = { "since", 0, K_TEXT, "TIME",
		      "from TIME on: 2026-11-29, 2026-11-29T19:46, or an age (90s, 2h)", AT(since),
		      0 },
	[O_UNTIL] = { "until", 0, K_TEXT, "TIME", "before TIME", AT(until), 0 },
	[O_LINES] = { "lines", 'n', K_COUNT, "N", "number of rows (default 20)", AT(lines),
		      100000 },
	[O_SSH] = { "ssh", 0, K_FLAG, NULL,
		    "use the guest's ssh server and network instead of the agent", AT(ssh), 0 },
	[O_ENV] = { "env", 'e', K_VALUES, "NAME=VALUE",
		    "set a variable of the command; up to 100 times", AT(env), 0 },
	[O_AS] = { "user", 'u', K_TEXT, "USER",
		   "run it as this user of the guest, a name or uid (default: root)", AT(as), 0 },
	[O_WORKDIR] = { "workdir", 'w', K_TEXT, "DIR",
			"start the command in this folder (default: the user's home)", AT(workdir),
			0 },
	[O_COPY] = { "copy", 0, K_VALUES, "PATH[:GUEST]",
		     "copy a file or folder into the guest first; up to 100 times", AT(copies), 0 },
	[O_ARCHIVE] = { "archive", 'a', K_FLAG, NULL,
			"keep owners (numbers), set-user-id, set-group-id and sticky bits",
			AT(archive), 0 },
	[O_FOLLOW_LINK] = { "follow-link", 'L', K_FLAG, NULL,
			    "copy what a named symbolic link leads to, not the link",
			    AT(follow_link), 0 },
	[O_SILENT] = { "quiet", 'q', K_FLAG, NULL, "show no progress", AT(silent), 0 },
	[O_FOR] = { "for", 0, K_WAIT_FOR, "STATE",
		    "running, ready, stopped or exited, instead of the ssh server's answer",
		    AT(wait_for), 0 },
	[O_ENTRYPOINT] = { "entrypoint", 0, K_TEXT, "COMMAND",
			   "run COMMAND with the words after -- instead of the image's entry point",
			   AT(entrypoint), 0 },
	[O_ESCAPE] = { "escape", 0, K_TEXT, "CHAR|none",
		       "the character that leaves the console, as ^A or x (default: ^])",
		       AT(escape), 0 },
	[O_VOLUME] = { "volume", 'v', K_VALUES, "NAME:PATH[:ro]",
		       "mount a volume at PATH in the guest; up to 4 times", AT(volumes), 0 },
	[O_DRY_RUN] = { "dry-run", 0, K_FLAG, NULL, "print what would be done, and change nothing",
			AT(dry_run), 0 },
#undef AT
};

/* ---- options ---- */

static int parse_mib(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t bytes;

	if (parse_size(s, 1u << 20, max << 20, &bytes) < 0)
		return -1;
	if (bytes & ((1u << 20) - 1)) {
		errno = EINVAL;
		return -1;
	}
	*out = bytes >> 20;
	return 0;
}

/* "500ms", "90s", "2m", "8h"; a bare number is seconds. */
static int parse_time(const char *s, uint64_t max_ms, uint64_t *out)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
	size_t digits = strspn(s, "0123456789");
	char number[24];

	errno = EINVAL;
	if (!digits || digits >= sizeof(number))
		return -1;
	memcpy(number, s, digits);
	number[digits] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(s + digits, units[i].unit) == 0) {
			if (parse_uint(number, 1, max_ms / units[i].ms, out) < 0)
				return -1;
			*out *= units[i].ms;
			return 0;
		}
	return -1;
}

/* Parse --auto-stop into seconds; 1 means never (control.def). */
static int parse_idle(const char *s, uint64_t max_ms, uint64_t *out)
{
	uint64_t ms = 1000;

	if (strcmp(s, "never") != 0 && parse_time(s, max_ms, &ms) < 0)
		return -1;
	*out = ms / 1000;
	if (ms % 1000 == 0)
		return 0;
	errno = EINVAL;
	return -1;
}

/* "no", "always", "on-failure", "on-failure:3". */
static int parse_restart(const char *s, struct options *o)
{
	static const char *const words[] = { "no", "on-failure", "always" };
	size_t n = strcspn(s, ":");

	for (uint64_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strlen(words[i]) != n || strncmp(words[i], s, n) != 0)
			continue;
		o->restart = i + 1;
		o->restart_max = 0;
		return !s[n] ? 0 : i == 1 ? parse_uint(s + n + 1, 1, 1000, &o->restart_max) : -1;
	}
	return -1;
}

static int choose(const char *const *words, const char *s)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], s) == 0)
			return i;
	errno = EINVAL;
	return -1;
}

static int add_value(struct values *w, const char *arg)
{
	errno = ERANGE;
	if (w->n == VALUES_MAX)
		return -1;
	w->v[w->n++] = arg;
	return 0;
}

static int option_set(struct options *o, const struct option_row *r, const char *arg)
{
	static const char *const formats[] = { "table", "json", "name", NULL };
	/* in the order of enum wait_until */
	static const char *const ends[] = { "stopped", "running", "ready", "exited", NULL };
	static const char *const ways[] = { "auto", "none", "plain", "json", NULL };
	void *at = (char *)o + r->offset;
	int n;

	switch (r->kind) {
	case K_FLAG:
		*(bool *)at = true;
		return 0;
	case K_TEXT:
		*(const char **)at = arg;
		return 0;
	case K_VALUES:
		return add_value(at, arg);
	case K_COUNT:
		return parse_uint(arg, 1, r->max, at);
	case K_MIB:
		return parse_mib(arg, r->max, at);
	case K_TIME:
		return parse_time(arg, r->max, at);
	case K_IDLE:
		return parse_idle(arg, r->max, at);
	case K_RESTART:
		errno = EINVAL;
		return parse_restart(arg, o);
	case K_WAIT_FOR:
		n = choose(ends, arg);
		*(uint64_t *)at = n < 0 ? 0 : (uint64_t)n + 1;
		return n < 0 ? -1 : 0;
	case K_FORMAT:
		n = choose(formats, arg);
		o->format = n < 0 ? FORMAT_TABLE : (enum format)n;
		return n < 0 ? -1 : 0;
	case K_PROGRESS:
		n = choose(ways, arg);
		o->progress = n < 0 ? PROGRESS_AUTO : (enum progress)n;
		return n < 0 ? -1 : 0;
	case K_VALUE:
		if (r == &rows[O_QUIET])
			o->format = FORMAT_NAME;
		else
			*(uint64_t *)at = r->max;
		return 0;
	}
	return -1;
}

static bool takes(const struct option_row *r)
{
	return r->kind != K_FLAG && r->kind != K_VALUE;
}

/* getopt_long()'s tables for @cmd.  "--help" belongs to all. */
static void getopt_tables(const struct command *cmd, struct option *longs, char *shorts)
{
	size_t n = 0, s = 0;

	shorts[s++] = ':';
	for (int i = 0; i < O_COUNT; i++) {
		if (i != O_HELP && !(cmd->options & UINT64_C(1) << i))
			continue;
		longs[n++] = (struct option){ rows[i].name,
					      takes(&rows[i]) ? required_argument : no_argument,
					      NULL, 256 + i };
		if (!rows[i].letter)
			continue;
		shorts[s++] = rows[i].letter;
		if (takes(&rows[i]))
			shorts[s++] = ':';
	}
	longs[n] = (struct option){ 0 };
	shorts[s] = '\0';
}

static const struct option_row *row_of(const struct command *cmd, int got)
{
	for (int i = 0; i < O_COUNT; i++)
		if ((i == O_HELP || cmd->options & UINT64_C(1) << i) &&
		    (got == 256 + i || got == rows[i].letter))
			return &rows[i];
	return NULL;
}

static void usage_hint(const struct command *cmd, struct error *e)
{
	error_hint(e, "banger help%s%s%s%s", cmd ? " " : "", cmd ? cmd->noun : "",
		   cmd && cmd->verb ? " " : "", cmd && cmd->verb ? cmd->verb : "");
}

/* Parse the options in @argv; getopt skips its first word.  Return: 0, or -1 with @e. */
static int parse_options(struct cli *c, int argc, char **argv, struct error *e)
{
	struct option longs[O_COUNT + 1];
	char shorts[2 * O_COUNT + 2];
	int got;

	getopt_tables(c->command, longs, shorts);
	optind = 0; /* reset getopt(3): the tests parse many times */
	opterr = 0;
	while ((got = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
		if (got == ':')
			return error_set(e, FAIL_USAGE, word, "needs a value");
		if (got == '?')
			return error_set(e, FAIL_USAGE, word, "no such option here");
		const struct option_row *r = row_of(c->command, got);
		if (option_set(&c->opt, r, optarg) < 0)
			return error_set(e, FAIL_USAGE, r->name, "\"%s\" is %s; %s: %s", optarg,
					 errno == ERANGE ? "out of range" : "not understood",
					 r->arg, r->help);
	}
	c->pos = argv + optind;
	c->npos = argc - optind;
	return 0;
}

/* Split @argv at the first "--": the options after it belong to the guest's command.  Return: the
 * number of words before it. */
static int split(struct cli *c, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0 && c->command->guest) {
			c->guest = argv + i + 1;
			c->nguest = argc - i - 1;
			argv[i] = NULL;
			return i;
		}
	return argc;
}

static int check_count(struct cli *c, struct error *e)
{
	const struct command *cmd = c->command;
	const char *what = cmd->verb ? cmd->verb : cmd->noun;

	if (c->npos < cmd->min)
		return error_set(e, FAIL_USAGE, what, "arguments are missing: %s", cmd->args);
	if (cmd->max >= 0 && c->npos > cmd->max)
		return error_set(e, FAIL_USAGE, what, "\"%s\" is one word too many",
				 c->pos[cmd->max]);
	if (c->guest && !c->nguest)
		return error_set(e, FAIL_USAGE, what, "no command follows --");
	return 0;
}

/* The protocol and JSON carry only UTF-8. jansson returns NULL for any other text. */
static bool is_utf8(const char *s)
{
	json_t *j = json_string(s);

	json_decref(j);
	return j != NULL;
}

void text_printable(const char *src, char *dst, size_t size)
{
	bool utf8 = is_utf8(src);
	size_t n = 0;

	for (; src[n] && n + 1 < size; n++)
		dst[n] = !utf8 && (unsigned char)src[n] >= 0x80 ? '?' : src[n];
	dst[n] = '\0';
}

int text_put(char *dst, size_t size, const char *what, const char *src, struct error *e)
{
	char shown[64];

	if (!src)
		src = "";
	if (!is_utf8(src)) {
		text_printable(src, shown, sizeof(shown));
		return error_set(e, FAIL_USAGE, what, "\"%s\" is not UTF-8 text", shown);
	}
	if (strlen(src) >= size)
		return error_set(e, FAIL_USAGE, what, "longer than %zu bytes", size - 1);
	(void)strcpy(dst, src);
	return 0;
}

/* ---- signals ---- */

/* The signals that would end this program before its clean-up.  SIGKILL can not be held. */
static const int held[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU };

/* Leave out the signals that the caller ignores, as nohup(1) does: signalfd(2) would receive them
 * too. */
static void held_set(sigset_t *set)
{
	struct sigaction now;

	(void)sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		if (sigaction(held[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			(void)sigaddset(set, held[i]);
}

int signals_hold(struct cli *c, struct error *e)
{
	sigset_t set;

	held_set(&set);
	if (c->sigfd >= 0)
		return 0;
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
	    (c->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return error_set(e, FAIL_GENERAL, "signals", "%s", strerror(errno));
	return 0;
}

void signals_release(void)
{
	sigset_t set;

	held_set(&set);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

bool signals_pending(struct cli *c)
{
	struct signalfd_siginfo s;

	while (c->sigfd >= 0 && read(c->sigfd, &s, sizeof(s)) == (ssize_t)sizeof(s))
		if (!c->signal)
			c->signal = (int)s.ssi_signo;
	return c->signal != 0;
}

int signals_error(struct cli *c, const char *what, struct error *e)
{
	return error_set(e, FAIL_GENERAL, what ? what : "banger", "interrupted (SIG%s)",
			 sigabbrev_np(c->signal));
}

/* ---- help ---- */

static void print_usage(FILE *f, const struct command *cmd)
{
	fprintf(f, "banger %s%s%s%s%s%s%s", cmd->noun, cmd->verb ? " " : "",
		cmd->verb ? cmd->verb : "", cmd->options & ~(O(HELP)) ? " [options]" : "",
		cmd->args[0] ? " " : "", cmd->args, cmd->guest ? " [-- command...]" : "");
}

static void print_help(const struct cli *c, FILE *f, const struct command *cmd)
{
	const bool bare = strcmp(cmd->noun, c->table->noun) == 0; /* cli.h */

	fputs("usage: ", f);
	print_usage(f, cmd);
	for (const char *p = cmd->alias; p && *p; p += strcspn(p, " "), p += strspn(p, " "))
		fprintf(f, "\n       banger %s%s%.*s ...", bare ? "" : cmd->noun, bare ? "" : " ",
			(int)strcspn(p, " "), p);
	fprintf(f, "\n\n%s\n\noptions:\n", cmd->help);
	for (int i = 0; i < O_COUNT; i++) {
		char left[64], letter[6] = "";
		if (i != O_HELP && !(cmd->options & UINT64_C(1) << i))
			continue;
		if (rows[i].letter)
			(void)snprintf(letter, sizeof(letter), "-%c, ", rows[i].letter);
		(void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, rows[i].name,
			       rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");
		fprintf(f, "  %-28s  %s\n", left, rows[i].help);
	}
}

/* Print one line for each command; @noun: only the commands of this noun. */
static void print_overview(struct cli *c, const char *noun)
{
	for (const struct command *cmd = c->table; cmd->noun; cmd++) {
		char left[64];
		if (noun && strcmp(noun, cmd->noun) != 0)
			continue;
		(void)snprintf(left, sizeof(left), "%s%s%s%s%s%s", cmd->noun, cmd->verb ? " " : "",
			       cmd->verb ? cmd->verb : "", cmd->args[0] ? " " : "", cmd->args,
			       cmd->guest ? " [-- command...]" : "");
		fprintf(c->out, "  %-38s  %.*s%s%s%s\n", left, (int)strcspn(cmd->help, "\n"),
			cmd->help, cmd->alias ? " (also: " : "", cmd->alias ? cmd->alias : "",
			cmd->alias ? ")" : "");
	}
}

/* Return: true if @word is in @list, whose words have blanks between them. */
static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p && *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (strcspn(p, " ") == n && strncmp(p, word, n) == 0)
			return true;
	return false;
}

/* Return: true if @word is the verb of @cmd or one of its aliases. */
static bool is_verb_of(const struct command *cmd, const char *word)
{
	return (cmd->verb && strcmp(word, cmd->verb) == 0) || has_word(cmd->alias, word);
}

/* Find the command of the words @a and @b.  @words: out: how many of the two name it. */
static const struct command *find(const struct cli *c, const char *a, const char *b, int *words)
{
	*words = 2;
	for (const struct command *cmd = c->table; cmd->noun; cmd++)
		if (cmd->verb && b && strcmp(a, cmd->noun) == 0 && is_verb_of(cmd, b))
			return cmd;
	*words = 1;
	for (const struct command *cmd = c->table; cmd->noun; cmd++)
		if (cmd->verb ? strcmp(cmd->noun, c->table->noun) == 0 && is_verb_of(cmd, a)
			      : strcmp(a, cmd->noun) == 0)
			return cmd;
	return NULL;
}

static bool is_noun(const struct cli *c, const char *word)
{
	for (const struct command *cmd = c->table; cmd->noun; cmd++)
		if (strcmp(cmd->noun, word) == 0)
			return true;
	return false;
}

int cmd_help(struct cli *c)
{
	if (c->npos == 0) {
		fputs("banger: microVMs for the users of this host\n\n", c->out);
		print_overview(c, NULL);
		fputs("\nThe word vm can be left out: banger start web1.\n"
		      "`banger help vm run` prints the help of one command.\n"
		      "Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 not allowed,\n"
		      "5 wrong state, 6 limit, 7 timed out, 8 daemon unreachable, "
		      "9 host not ready,\n"
		      "10 partly done.  run, exec and ssh exit with the status of the command "
		      "in the\n"
		      "guest, or with 125 if banger itself fails.\n",
		      c->out);
		return 0;
	}
	int words;
	const struct command *cmd = find(c, c->pos[0], c->npos > 1 ? c->pos[1] : NULL, &words);
	if (cmd && words == c->npos) {
		print_help(c, c->out, cmd);
	} else if (is_noun(c, c->pos[0]) && c->npos == 1) {
		print_overview(c, c->pos[0]);
	} else {
		struct error e = { 0 };
		error_set(&e, FAIL_USAGE, c->pos[0], "no such command");
		error_hint(&e, "banger help");
		return out_error(c, &e);
	}
	return 0;
}

/* ---- unknown words: a suggestion ---- */

/* Return: how many letters must be inserted, removed, replaced or swapped with their neighbour to
 * turn @a into @b (optimal string alignment).  Words of more than 24 letters are at the maximum
 * distance. */
static unsigned distance(const char *a, const char *b)
{
	enum { MOST = 24 };
	unsigned d[MOST + 1][MOST + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > MOST || m > MOST)
		return MOST;
	for (unsigned i = 0; i <= n; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++)
		for (size_t j = 1; j <= m; j++) {
			unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
			best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	return d[n][m];
}

/* The known word that is nearest to the typed word. */
struct guess {
	const char *typed;
	const char *noun, *verb; /* the suggestion; NULL: no word is near */
	unsigned distance;
};

static void consider(struct guess *g, const char *word, const char *noun, const char *verb)
{
	unsigned d = word ? distance(g->typed, word) : g->distance;

	if (d >= g->distance || d * 3 > strlen(g->typed) + 2)
		return;
	g->distance = d;
	g->noun = noun;
	g->verb = verb;
}

/* Find the nearest word: a verb of @noun, or without @noun a noun or a verb of VMs. */
static struct guess nearest(const struct cli *c, const char *noun, const char *typed)
{
	struct guess g = { typed, NULL, NULL, UINT32_MAX };

	for (const struct command *cmd = c->table; cmd->noun; cmd++) {
		if (noun ? strcmp(noun, cmd->noun) == 0
			 : cmd->verb && strcmp(cmd->noun, c->table->noun) == 0)
			consider(&g, cmd->verb, noun ? noun : cmd->verb, noun ? cmd->verb : NULL);
		if (!noun)
			consider(&g, cmd->noun, cmd->noun, NULL);
	}
	return g;
}

/* Return: the option of @cmd that is nearest to @word, such as "--memry", or NULL. */
static const char *nearest_option(const struct command *cmd, const char *word)
{
	struct guess g = { word, NULL, NULL, UINT32_MAX };
	char text[32];

	(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(word, "="), word);
	g.typed = text + strspn(text, "-");
	for (int i = 0; i < O_COUNT && text[0] == '-' && text[1] == '-'; i++)
		if (i == O_HELP || cmd->options & UINT64_C(1) << i)
			consider(&g, rows[i].name, rows[i].name, NULL);
	return g.noun;
}

/* ---- from the words to the exit status ---- */

static int unknown(struct cli *c, int argc, char **argv)
{
	struct error e = { 0 };
	bool noun = argc > 1 && is_noun(c, argv[1]), verb = noun && argc > 2 && argv[2][0] != '-';
	struct guess g = { 0 };

	if (verb || (argc > 1 && !noun))
		g = nearest(c, verb ? argv[1] : NULL, verb ? argv[2] : argv[1]);
	if (argc < 2)
		error_set(&e, FAIL_USAGE, "usage", "banger <noun> <verb> ...");
	else if (verb)
		error_set(&e, FAIL_USAGE, argv[2], "%s has no such verb", argv[1]);
	else
		error_set(&e, FAIL_USAGE, argv[1], noun ? "which verb?" : "no such command");
	if (g.noun)
		error_hint(&e, "did you mean: banger %s%s%s", g.noun, g.verb ? " " : "",
			   g.verb ? g.verb : "");
	else
		error_hint(&e, noun ? "banger help %s" : "banger help", argc >= 2 ? argv[1] : "");
	return out_error(c, &e);
}

/* Add /usr/sbin and /sbin to PATH: depmod and mke2fs are there, and Debian's PATH for users lacks
 * both. */
static void widen_path(void)
{
	const char *path = getenv("PATH");
	char *wide = NULL;

	if (path && strstr(path, "/usr/sbin"))
		return;
	if (asprintf(&wide, "%s:/usr/sbin:/sbin", path && *path ? path : "/usr/bin:/bin") > 0)
		(void)setenv("PATH", wide, 1);
	free(wide);
}

static int dispatch(struct cli *c, int argc, char **argv)
{
	static char version[] = "version";
	struct error e = { 0 };
	int words;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return cmd_help(c);
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		argv[1] = version;
	c->command = argc > 1 ? find(c, argv[1], argc > 2 ? argv[2] : NULL, &words) : NULL;
	if (!c->command)
		return unknown(c, argc, argv);
	argv += words;
	argc = split(c, argc - words, argv);
	int bad = parse_options(c, argc, argv, &e);
	if (c->opt.help) {
		print_help(c, c->out, c->command);
		return 0;
	}
	if (bad || check_count(c, &e) < 0) {
		const char *option = bad ? nearest_option(c->command, e.what) : NULL;
		if (option)
			error_hint(&e, "did you mean: --%s", option);
		else
			usage_hint(c->command, &e);
		return out_error(c, &e);
	}
	return c->command->run(c);
}

/* Open the descriptors 0, 1 and 2 if they are closed.  Otherwise the next file or socket would get
 * such a number, and a child would read from it or print into it. */
static void open_standard(void)
{
	while (true) {
		int fd = open("/dev/null", O_RDWR); /* the lowest number that is free (open(2)) */
		if (fd > STDERR_FILENO)
			(void)close(fd);
		if (fd < 0 || fd > STDERR_FILENO)
			return;
	}
}

/* Write all buffered output; print an error if that fails.  Return: the exit status. */
static int flush_output(struct cli *c, int status)
{
	struct error e = { 0 };

	errno = 0;
	if (fflush(c->out) == 0 && !ferror(c->out))
		return status;
	if (!c->output_told) {
		error_set(&e, FAIL_GENERAL, "standard output", "can not be written%s%s",
			  errno ? ": " : "", errno ? strerror(errno) : "");
		(void)out_error(c, &e);
	}
	clearerr(c->out);
	return status ? status : FAIL_GENERAL;
}

int cli_main(int argc, char **argv, const struct command *table)
{
	struct cli c = { .out = stdout, .err = stderr, .sigfd = -1, .table = table };

	open_standard();
	/* With SIGPIPE ignored, a closed pipe is an error of write().  The signal would end the
	 * program during a clean-up. */
	(void)signal(SIGPIPE, SIG_IGN);
	c.out_tty = isatty(STDOUT_FILENO);
	c.err_tty = isatty(STDERR_FILENO);
	widen_path();
	int status = flush_output(&c, dispatch(&c, argc, argv));
	if (c.sigfd >= 0) {
		(void)close(c.sigfd);
		signals_release();
	}
	return status;
}
