/* model.c - long random sequences by several users, with kills, stops, clock jumps and vandalism,
 * against a small model.
 *
 *	model CONFIG DIR SEED STEPS      one sequence; when it fails, the shortest one that still
 *	                                 does, also in DIR/failing
 *	model CONFIG DIR replay FILE     the sequence in FILE, one step a line, as a failing one is
 *	                                 printed
 *
 * Theory of operation.  A sequence is a list of steps, drawn from the seed before the first one
 * runs.  So each part of a sequence is a sequence too.  Each run is a process of its own in a fresh
 * world.  The object of a step may not exist; the step is then refused, which the model knows.  A
 * failing list is cut behind the step that failed.  Then chunks of it are left out, halves first
 * and single steps last, as long as the same fault comes (Zeller's ddmin). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/model.h"

#define STEPS 20000
#define EPOCH 80 /* steps for which the same disturbances are chosen */
#define SHRINK_SECONDS 90
#define LINE 80

struct config config;
const char *conf_path, *work_dir;

static struct result {
	unsigned at;
	bool bailed;
	struct tally tally;
	struct text faults;
} * result; /* shared with the process that runs */
struct tally *tally;

/* ---- steps as text ---- */

static void step_print(const struct step *s, char out[LINE])
{
	size_t n = (size_t)snprintf(out, LINE, "%s%s%s", s->behind ? "&" : "",
				    s->as_root ? "+" : "", s->verb->name);

	for (const char *a = s->verb->args; *a && n < LINE; a++)
		switch (*a) {
		case 'u':
			n += (size_t)snprintf(out + n, LINE - n, " %u", s->u);
			break;
		case 'm':
			n += (size_t)snprintf(out + n, LINE - n, " %s", vm_name(s->m));
			break;
		case 'w':
			n += (size_t)snprintf(out + n, LINE - n, " %s", who_names[s->w]);
			break;
		default:
			n += (size_t)snprintf(out + n, LINE - n, " %u", s->n);
		}
}

static bool parse_arg(struct step *s, char kind, const char *word)
{
	unsigned i;

	switch (kind) {
	case 'u':
		s->u = (unsigned)atoi(word);
		return s->u < USERS;
	case 'm':
		for (s->m = 0; s->m < NAMES && strcmp(vm_name(s->m), word) != 0;)
			s->m++;
		return s->m < NAMES;
	case 'w':
		for (i = 0; i < n_who && strcmp(who_names[i], word) != 0;)
			i++;
		s->w = i;
		return i < n_who;
	default:
		s->n = (unsigned)atoi(word);
		return true;
	}
}

static bool step_parse(char *line, struct step *s)
{
	char *save = NULL, *word = strtok_r(line, " \n", &save);

	memset(s, 0, sizeof(*s));
	for (; word && (*word == '&' || *word == '+'); word++) {
		s->behind |= *word == '&';
		s->as_root |= *word == '+';
	}
	for (unsigned i = 0; word && i < n_verbs; i++)
		if (strcmp(verbs[i].name, word) == 0)
			s->verb = &verbs[i];
	for (const char *a = s->verb ? s->verb->args : ""; *a; a++) {
		word = strtok_r(NULL, " \n", &save);
		if (!word || !parse_arg(s, *a, word))
			return false;
	}
	return s->verb;
}

/* ---- from a seed ---- */

static uint64_t draw_state;

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t draw(uint64_t below)
{
	uint64_t z = draw_state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % below;
}

/* Some kinds of disturbance at a time: together they hide what each of them would show (swarm
 * testing). */
static unsigned draw_swarm(void)
{
	unsigned chosen = 1u << SWARM_ALWAYS;

	for (unsigned i = 1; i < SWARM_MANY; i++)
		chosen |= draw(2) ? 1u << i : 0;
	return draw(5) ? chosen : 1u << SWARM_ALWAYS;
}

static const struct verb *draw_verb(unsigned swarm)
{
	unsigned all = 0, i;

	for (i = 0; i < n_verbs; i++)
		all += swarm & 1u << verbs[i].swarm ? verbs[i].often : 0;
	uint64_t at = draw(all);
	for (i = 0; i < n_verbs; i++) {
		unsigned often = swarm & 1u << verbs[i].swarm ? verbs[i].often : 0;
		if (at < often)
			break;
		at -= often;
	}
	return &verbs[i];
}

static struct step draw_step(unsigned swarm)
{
	struct step s = { .verb = draw_verb(swarm) };

	s.u = (unsigned)draw(USERS);
	s.m = (unsigned)draw(NAMES);
	s.w = (unsigned)draw(n_who);
	s.n = s.verb->most ? (unsigned)draw(s.verb->most) : 0;
	bool request = s.verb->fill, spy = s.verb->what == W_SPY;
	bool owns = s.verb->what == W_CREATE ||
		    s.verb->what == W_IMAGE; /* whoever asks is the owner */
	s.as_root = request && !spy && !owns && draw(12) == 0;
	s.behind = request && draw(6) == 0;
	if (spy && !s.u)
		s.u = 1 + (unsigned)draw(USERS - 1);
	return s;
}

static size_t draw_steps(uint64_t seed, size_t n, struct step *out)
{
	unsigned swarm = 0;

	draw_state = seed;
	for (size_t i = 0; i < n; i++) {
		if (i % EPOCH == 0)
			swarm = draw_swarm();
		out[i] = draw_step(swarm);
	}
	return n;
}

/* ---- a run ---- */

_Noreturn static void child(const struct step *steps, size_t n)
{
	char path[300], line[LINE];

	(void)snprintf(path, sizeof(path), "%s/steps.out", work_dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	(void)dup2(fd, STDOUT_FILENO);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	world_begin();
	for (size_t i = 0; i < n && !result->faults.n; i++) {
		step_print(&steps[i], line);
		printf("%zu %s\n", i, line);
		result->at = (unsigned)i;
		step_do(&steps[i], &result->faults);
	}
	if (!result->faults.n) {
		result->at = (unsigned)n;
		steps_end(&result->faults);
	}
	result->bailed = false;
	(void)fflush(stdout);
	_exit(result->faults.n != 0);
}

/* Return: true when all went well. */
static bool run_steps(const struct step *steps, size_t n)
{
	int status = 0;

	*result = (struct result){ .bailed = true };
	(void)fflush(stdout);
	pid_t pid = fork();
	if (pid < 0)
		bail("fork: %s", strerror(errno));
	if (pid == 0)
		child(steps, n);
	(void)waitpid(pid, &status, 0);
	if (result->bailed)
		text_add(&result->faults, "lie the run ended by itself (status %#x); see below\n",
			 (unsigned)status);
	return !result->faults.n;
}

static void show_file(const char *name, unsigned lines)
{
	char command[400], out[16384];

	(void)snprintf(command, sizeof(command), "tail -n %u %s/%s | sed 's/^/#   | /'", lines,
		       work_dir, name);
	(void)run(out, sizeof(out), (const char *const[]){ "bash", "-c", command, NULL });
	printf("%s", out);
}

static void show(const struct step *steps, size_t n, const char *what)
{
	char line[LINE];

	printf("# %s: %zu steps\n", what, n);
	for (size_t i = 0; i < n; i++) {
		step_print(&steps[i], line);
		printf("#   %s\n", line);
	}
}

static void show_faults(void)
{
	for (const char *p = result->faults.v; *p; p = strchr(p, '\n') + 1)
		printf("#   %.*s\n", (int)strcspn(p, "\n"), p);
}

static void save(const struct step *steps, size_t n)
{
	char path[300], line[LINE];

	(void)snprintf(path, sizeof(path), "%s/failing", work_dir);
	FILE *f = fopen(path, "we");
	for (size_t i = 0; f && i < n; i++) {
		step_print(&steps[i], line);
		(void)fprintf(f, "%s\n", line);
	}
	if (f)
		(void)fclose(f);
}

/* ---- the shortest ---- */

/* What kind of fault it is: without numbers, and without whose VM. */
static void kind_of(const char *fault, char out[48])
{
	size_t n = 0;

	for (const char *p = fault; *p && *p != '\n' && n < 47; p++) {
		if ((*p >= '0' && *p <= '9') || (p > fault && p[-1] == '/'))
			continue;
		out[n++] = *p;
	}
	out[n] = '\0';
}

static struct step best[STEPS], tried[STEPS];
static size_t n_best;

static bool fails_likewise(const struct step *steps, size_t n, const char *kind)
{
	char now[48];

	if (run_steps(steps, n))
		return false;
	kind_of(result->faults.v, now);
	return strcmp(now, kind) == 0;
}

static bool without(size_t from, size_t count, const char *kind)
{
	size_t n = 0;

	for (size_t i = 0; i < n_best; i++)
		if (i < from || i >= from + count)
			tried[n++] = best[i];
	if (!fails_likewise(tried, n, kind))
		return false;
	memcpy(best, tried, n * sizeof(*best));
	n_best = n;
	return true;
}

static void shrink(const struct step *steps, size_t n, const char *kind)
{
	const char *budget = getenv("SHRINK_SECONDS");
	const uint64_t end = now_ms() + 1000u * (uint64_t)(budget ? atoi(budget) : SHRINK_SECONDS);

	memcpy(best, steps, n * sizeof(*best));
	n_best = n;
	for (size_t chunk = (n + 1) / 2; chunk && now_ms() < end;) {
		bool any = false;
		for (size_t i = 0; i < n_best && now_ms() < end;)
			if (without(i, chunk, kind))
				any = true;
			else
				i += chunk;
		if (chunk > 1)
			chunk = (chunk + 1) / 2;
		else if (!any)
			break;
	}
}

static void report(const struct step *steps, size_t n, const char *what)
{
	char kind[48];

	printf("# %s fails at step %u of %zu:\n", what, result->at, n);
	show_faults();
	show_file("steps.out", 12);
	show_file("set.err", 15);
	size_t upto = result->at < n ? result->at + 1 : n;
	kind_of(result->faults.v, kind);
	save(steps, upto);
	if (!fails_likewise(steps, upto, kind) && !fails_likewise(steps, upto, kind)) {
		printf("# it did not fail again: DIR/failing has the whole of it\n");
		return;
	}
	shrink(steps, upto, kind);
	save(best, n_best);
	show(best, n_best, "the shortest that still fails");
	if (!run_steps(best, n_best)) {
		show_faults();
		show_file("set.err", 30);
	}
}

/* ---- main ---- */

static size_t read_steps(const char *path, struct step *out)
{
	char line[200];
	size_t n = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		bail("%s: %s", path, strerror(errno));
	while (n < STEPS && fgets(line, sizeof(line), f)) {
		char *text = line + strspn(line, "# ");
		if (*text == '\n' || !*text)
			continue;
		if (!step_parse(text, &out[n++]))
			bail("%s: line %zu is no step", path, n);
	}
	(void)fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	static struct step steps[STEPS];
	char what[300];
	size_t n;

	if (argc != 5)
		bail("usage: model CONFIG DIR SEED STEPS | model CONFIG DIR replay FILE");
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	conf_path = argv[1];
	work_dir = argv[2];
	if (config_load(conf_path, 0, &config) < 0)
		bail("%s", conf_path);
	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (result == MAP_FAILED)
		bail("mmap: %s", strerror(errno));
	tally = &result->tally;
	decoys_make();
	if (strcmp(argv[3], "replay") == 0) {
		n = read_steps(argv[4], steps);
		SET(what, argv[4]);
	} else {
		n = draw_steps(strtoull(argv[3], NULL, 0), (size_t)atoi(argv[4]) % (STEPS + 1),
			       steps);
		(void)snprintf(what, sizeof(what), "seed %s", argv[3]);
	}
	uint64_t t0 = now_ms();
	bool good = run_steps(steps, n);
	unsigned long long ms = now_ms() - t0;
	struct tally t = *tally;
	if (!good)
		report(steps, n, what);
	printf("%s - %s: %zu steps\n", good ? "ok" : "not ok", what, n);
	printf("# %llu ms; %u requests done, %u refused, %u lost; %u disturbances, %u cuts; the "
	       "set started %u times, settled %u times\n",
	       ms, t.done, t.refused, t.lost, t.disturbances, t.cuts, t.starts, t.settled);
	world_wipe();
	decoys_remove();
	return !good;
}
