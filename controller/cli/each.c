/* each.c - runs a command for several targets side by side, in a process for each.
 *
 * Processes, not threads, because a command uses what a process has once: signals, standard error
 * and the state of its request.  A child reports by one line of JSON in an unnamed file. */
#include "controller/cli/each.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/out.h"

#define AT_ONCE 16 /* a user may have 128 connections (controller/README.md) */

struct target {
	const char *ref;
	pid_t pid;
	int report;   /* the child's file; -1: none */
	int status;   /* its exit status */
	bool over;    /* the child ended, or was not started */
	json_t *line; /* its report; NULL if it failed */
};

struct all {
	struct cli *c;
	json_t *json;
	int done, failed, status;
};

static void say(struct all *a, const char *ref, const char *said, json_t *result)
{
	struct cli *c = a->c;

	a->done++;
	if (c->opt.format == FORMAT_JSON) {
		json_object_set_new(result, "target", json_string(ref));
		json_array_append(a->json, result);
		return;
	}
	fprintf(c->out, "%s%s%s\n", ref, c->opt.format == FORMAT_NAME ? "" : ": ",
		c->opt.format == FORMAT_NAME ? "" : said);
	fflush(c->out);
}

/* Carry out the command for one target.  Return: the exit status.  @said and @result are as for
 * one_fn; @result is not NULL if the status is 0. */
static int do_one(struct cli *c, const char *ref, one_fn one, const char **said, json_t **result)
{
	struct error e = { 0 };

	*said = "done";
	*result = NULL;
	if (one(c, ref, said, result, &e) < 0) {
		if (e.code != FAIL_NOT_FOUND || !c->opt.if_exists)
			return out_error(c, &e);
		*said = "not there";
	}
	if (!*result)
		*result = json_object();
	return 0;
}

/* ---- in the child ---- */

_Noreturn static void child(struct cli *c, const char *ref, one_fn one, int report)
{
	const char *said;
	json_t *result, *line;
	int status = do_one(c, ref, one, &said, &result);

	if (status == 0) {
		line = json_pack("{s:s, s:O}", "said", said, "result", result);
		if (!line || json_dumpfd(line, report, JSON_COMPACT) < 0)
			status = FAIL_GENERAL;
	}
	(void)fflush(c->err);
	_exit(status);
}

static int begin(struct all *a, struct target *t, one_fn one)
{
	t->report = memfd_create("report", MFD_CLOEXEC);
	(void)fflush(NULL); /* otherwise the child would print our buffered output too */
	t->pid = t->report < 0 ? -1 : fork();
	if (t->pid == 0)
		child(a->c, t->ref, one, t->report);
	return t->pid < 0 ? -1 : 0;
}

/* ---- in the parent ---- */

static void take_report(struct target *t)
{
	if (t->status == 0 && lseek(t->report, 0, SEEK_SET) == 0)
		t->line = json_loadfd(t->report, 0, NULL);
	(void)close(t->report);
	t->report = -1;
	t->over = true;
}

static void tell(struct all *a, struct target *t)
{
	json_t *result = NULL;
	const char *said = "";

	if (json_unpack(t->line, "{s:s, s:o}", "said", &said, "result", &result) == 0)
		say(a, t->ref, said, result);
	else
		a->failed++;
	json_decref(t->line);
}

static struct target *reap(struct target *targets, int n)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) < 0 && errno == EINTR)
		;
	for (int i = 0; i < n; i++)
		if (targets[i].pid == pid && targets[i].report >= 0) {
			targets[i].status = WIFEXITED(status) ? WEXITSTATUS(status)
							      : 128 + WTERMSIG(status);
			return &targets[i];
		}
	return NULL;
}

static void not_begun(struct all *a, struct target *t)
{
	struct error e = { 0 };

	error_set(&e, FAIL_GENERAL, t->ref, "can not start a process: %s", strerror(errno));
	(void)out_error(a->c, &e);
	t->over = true;
}

/* Run at most AT_ONCE children.  Their reports are printed in the order of the targets, each as
 * soon as the targets before it have ended. */
static void side_by_side(struct all *a, struct target *targets, int n, one_fn one)
{
	int running = 0, next = 0, told = 0;

	while (told < n) {
		if (next < n && running < AT_ONCE) {
			if (begin(a, &targets[next], one) == 0)
				running++;
			else
				not_begun(a, &targets[next]);
			next++;
		} else {
			struct target *t = reap(targets, next);
			if (t) {
				take_report(t);
				running--;
			}
		}
		for (; told < next && targets[told].over; told++)
			tell(a, &targets[told]);
	}
}

static void alone(struct all *a, const char *ref, one_fn one)
{
	const char *said;
	json_t *result;

	a->status = do_one(a->c, ref, one, &said, &result);
	if (a->status == 0)
		say(a, ref, said, result);
	else
		a->failed++;
	json_decref(result);
}

int each_target(struct cli *c, one_fn one)
{
	struct all a = { .c = c, .json = json_array() };
	struct target *targets = calloc((size_t)c->npos + 1, sizeof(*targets));
	int ret = 0;

	for (int i = 0; targets && i < c->npos; i++)
		targets[i] = (struct target){ .ref = c->pos[i], .report = -1 };
	if (c->npos == 1 || !targets)
		for (int i = 0; i < c->npos; i++)
			alone(&a, c->pos[i], one);
	else
		side_by_side(&a, targets, c->npos, one);
	if (c->opt.format == FORMAT_JSON)
		ret = out_json(c, json_incref(a.json));
	else if (c->npos > 1)
		out_note(c, "%d of %d done%s", a.done, c->npos,
			 a.failed ? "; the errors are above" : "");
	json_decref(a.json);
	free(targets);
	if (a.failed)
		return c->npos > 1 ? FAIL_PARTLY : a.status;
	return ret;
}
