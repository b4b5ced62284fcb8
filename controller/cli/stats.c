/* stats.c - `vm stats`: prints the kernel's counters, or their rates over one second. */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/cli.h"
#include "controller/cli/conn.h"
#include "controller/cli/out.h"

#define BETWEEN_MS 1000

struct samples {
	struct ev_stats *v;
	size_t n;
	uint64_t at_ns;
};

static int take(void *arg, const struct event *event, const union control_body *body,
		struct error *e)
{
	struct samples *s = arg;

	if (event->id != EVENT_STATS)
		return 0;
	struct ev_stats *more = reallocarray(s->v, s->n + 1, sizeof(*more));
	if (!more)
		return error_set(e, FAIL_GENERAL, "stats", "out of memory");
	s->v = more;
	s->v[s->n++] = body->ev_stats;
	return 0;
}

static int ask(struct cli *c, const char *ref, struct samples *s, struct error *e)
{
	const struct reply_to to = { .event = take, .arg = s };
	struct call_vm_stats a = { 0 };
	struct res_vm_stats r;

	if (text_put(a.vm, sizeof(a.vm), "VM", ref, e) < 0)
		return -1;
	return conn_call(c, CALL_VM_STATS, &a, NULL, &to, &r, e);
}

static int ask_all(struct cli *c, struct samples *s, struct error *e)
{
	int r = c->npos ? 0 : ask(c, "", s, e);

	for (int i = 0; i < c->npos && r == 0; i++)
		r = ask(c, c->pos[i], s, e);
	s->at_ns = clock_boot_ns();
	return r;
}

static const struct ev_stats *find(const struct samples *s, const char *id)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i].id, id) == 0)
			return &s->v[i];
	return NULL;
}

/* Add a row.  A VM that started or ended between the samples has no rate, because its counters may
 * have started again. */
static void row(struct table *t, const struct ev_stats *was, const struct ev_stats *now,
		uint64_t us)
{
	char cpu[16] = "-", mem[40], in[16] = "-", out[16] = "-", idle[16], used[16], room[16],
	     many[24];

	if (was && now->cpu_us >= was->cpu_us && now->received >= was->received &&
	    now->sent >= was->sent) {
		(void)snprintf(cpu, sizeof(cpu), "%.1f%%",
			       100.0 * (double)(now->cpu_us - was->cpu_us) / (double)us);
		format_size((now->received - was->received) * 1000000 / us, in);
		format_size((now->sent - was->sent) * 1000000 / us, out);
	}
	format_size(now->resident, used);
	format_size(now->mem_mib << 20, room);
	(void)snprintf(mem, sizeof(mem), "%s / %s", used, room);
	(void)snprintf(idle, sizeof(idle), "%" PRIu64 " s", now->idle_s);
	(void)snprintf(many, sizeof(many), "%" PRIu64, now->processes);
	(void)table_add(t, (const char *const[TABLE_COLUMNS]){ now->name, cpu, mem, in, out, many,
							       idle });
}

static int print_table(struct cli *c, const struct samples *before, const struct samples *after)
{
	struct table t = { .head = { "NAME", "CPU", "MEMORY", "IN/S", "OUT/S", "THREADS",
				     "IDLE" } };
	uint64_t us = (after->at_ns - before->at_ns) / 1000;

	for (size_t i = 0; i < after->n; i++)
		row(&t, find(before, after->v[i].id), &after->v[i], us ? us : 1);
	table_print(&t, c->out);
	table_free(&t);
	return 0;
}

static int print_json(struct cli *c, const struct samples *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(list, out_event_json(control_event(EVENT_STATS), &s->v[i]));
	return out_json(c, list);
}

int cmd_vm_stats(struct cli *c)
{
	struct samples before = { 0 }, after = { 0 };
	struct error e = { 0 };
	bool json = c->opt.format == FORMAT_JSON;
	int ret = ask_all(c, &before, &e);

	if (ret == 0 && !json) {
		(void)poll(NULL, 0, BETWEEN_MS);
		ret = ask_all(c, &after, &e);
	}
	if (ret < 0)
		ret = out_error(c, &e);
	else
		ret = json ? print_json(c, &before) : print_table(c, &before, &after);
	free(before.v);
	free(after.v);
	return ret;
}
