#include "controller/observe/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/json.h"

/* The log of one role, positioned at its next record that the caller may see. */
struct log {
	FILE *f;
	uint64_t at, *end; /* the byte behind the last line; where to tell it */
	char line[AUDIT_LINE_MAX + 1];
	char time[40]; /* RFC 3339 in UTC with nanoseconds: text order is the order of time */
};

static void drop_json(json_t **j)
{
	json_decref(*j);
}

/* Read the next line.  Return: 1, 0 at the end, -1 for a line that is no record (too long, or with
 * a NUL). */
static int next_line(struct log *l)
{
	size_t n = 0;
	bool bad = false;
	uint64_t at = l->at;
	int ch;

	while ((ch = getc_unlocked(l->f)) != EOF && ch != '\n') {
		at++;
		if (n < AUDIT_LINE_MAX && ch)
			l->line[n++] = (char)ch;
		else
			bad = true;
	}
	l->line[n] = '\0';
	if (ch == '\n')
		*l->end = l->at = at + 1;
	if (ch == EOF && n == 0 && !bad)
		return 0;
	return bad ? -1 : 1;
}

static bool may_see(const struct audit_query *q, json_t *record)
{
	const json_t *owner = json_object_get(record, "owner");

	if (access_sees_all(q->asker))
		return true;
	if (!owner) /* a record about no VM, for example of a LIST */
		return q->op[0] && q->op_is_ours;
	json_int_t uid = json_is_integer(owner) ? json_integer_value(owner) : -1;
	return uid >= 0 && uid <= UINT32_MAX && access_allows(q->asker, ACCESS_VM, (uid_t)uid);
}

/* Check the record in l->line.  Return: 1 show it, 0 skip it, -1 it is no record. */
static int check_record(struct log *l, const struct audit_query *q)
{
	json_t *record __attribute__((cleanup(drop_json))) = json_read(l->line, strlen(l->line));
	const char *time = json_string_value(json_object_get(record, "time"));
	const char *op = json_string_value(json_object_get(record, "op_id"));

	if (!time || strlen(time) >= sizeof(l->time))
		return -1;
	memcpy(l->time, time, strlen(time) + 1);
	if (q->op[0] && (!op || strcmp(op, q->op) != 0))
		return 0;
	return may_see(q, record);
}

/* Move to the next record to be shown, or close the log at its end. */
static void next_record(struct log *l, const struct audit_query *q, struct audit_count *count)
{
	int r, seen;

	if (!l->f)
		return;
	while ((r = next_line(l)) != 0) {
		/* A line without the id needs no parser: these are most lines of a long log. */
		if (r > 0 && q->op[0] && !strstr(l->line, q->op))
			continue;
		seen = r < 0 ? -1 : check_record(l, q);
		if (seen > 0)
			return;
		count->bad += seen < 0;
	}
	(void)fclose(l->f);
	l->f = NULL;
}

/* Open the log of a role.  A log that does not exist yet counts as empty. */
static int open_log(struct log *l, const char *dir, const char *role, struct error *e)
{
	struct stat st;
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/%s.log", dir, role);
	/* A role that was taken over could replace its log by a link or a FIFO: do not follow, do
	 * not block. */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) < 0 || (uint64_t)st.st_size < l->at))
		l->at = 0;
	*l->end = l->at;
	l->f = fd < 0 || lseek(fd, (off_t)l->at, SEEK_SET) < 0 ? NULL : fdopen(fd, "r");
	if (l->f || (fd < 0 && errno == ENOENT))
		return 0;
	int saved = errno;
	if (fd >= 0)
		(void)close(fd);
	return error_set(e, FAIL_HOST, "request log", "%s can not be read: %s", path,
			 strerrordesc_np(saved));
}

static struct log *earliest(struct log *logs, size_t n)
{
	struct log *first = NULL;

	for (size_t i = 0; i < n; i++)
		if (logs[i].f && (!first || strcmp(logs[i].time, first->time) < 0))
			first = &logs[i];
	return first;
}

int audit_read(const char *log_dir, const struct audit_query *q, struct audit_count *count,
	       struct error *e)
{
	static const char *const roles[] = { "net", "blk", "spawn" };
	struct log logs[ARRAY_SIZE(roles)] = { 0 }, *l;
	int r = 0;

	*count = (struct audit_count){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		logs[i].at = q->from[i];
		logs[i].end = &count->end[i];
	}
	for (size_t i = 0; i < ARRAY_SIZE(roles) && r == 0; i++)
		r = open_log(&logs[i], log_dir, roles[i], e);
	for (size_t i = 0; i < ARRAY_SIZE(roles) && r == 0; i++)
		next_record(&logs[i], q, count);
	while (r == 0 && (l = earliest(logs, ARRAY_SIZE(roles)))) {
		if (q->line(q->arg, l->line) < 0)
			break;
		count->shown++;
		next_record(l, q, count);
	}
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		if (logs[i].f)
			(void)fclose(logs[i].f);
	return r;
}
