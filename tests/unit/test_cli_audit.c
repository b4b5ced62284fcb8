/* Tests what `audit verify` refuses.  The role's own code writes the logs, and each test makes one
 * change. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/parse.h"
#include "controller/cli/audit/verify.h"
#include "privhelper/role/reqlog.c"

#define LINES_MAX 128
#define FILES 2

/* A log in memory.  It has two files, because it was rotated once. */
struct text {
	char *lines[FILES][LINES_MAX]; /* without newlines */
	size_t n[FILES];
	const char *end; /* bytes behind the last newline */
};

struct world {
	char dir[32], log[64], key[64], old[64], err[64];
	uint8_t first_key[REQLOG_KEY];
	struct text text;  /* the log, unchanged */
	char *checkpoints; /* the checkpoints in the service's log */
	uint64_t seq;
	/* the result of the last verification */
	struct verifier v;
	bool whole, keyed, checked;
	char why[4096];
};

static struct world w;

/* ---- writing ---- */

static void request_pair(struct reqlog *l, bool result)
{
	struct request q = { .op = op_find(OP_TAP_CREATE),
			     .seq = ++w.seq,
			     .slot = 3,
			     .generation = 1,
			     .owner = 1000 };
	struct reply r = { .status = ST_OK, .tap_create = { .ifindex = 7 } };

	q.op_id[0] = 1;
	q.vm[0] = 2;
	assert_int_equal(reqlog_intent(l, &q), 0);
	if (result)
		assert_int_equal(reqlog_result(l, &q, &r, 12), 0);
}

static void open_log(struct reqlog *l)
{
	static const uint8_t none[REQLOG_KEY];
	int fd = open(w.log, O_WRONLY | O_APPEND | O_CREAT, 0600),
	    key = open(w.key, O_RDWR | O_CREAT, 0600);

	assert_true(fd >= 0 && key >= 0);
	assert_int_equal(reqlog_init(l, fd, key, "net"), 0);
	assert_int_equal(reqlog_start(l, 4711, 101), 0);
	/* No part of the key may stay in memory: a forked process would inherit it. */
	assert_memory_equal(l->key, none, sizeof(none));
	assert_memory_equal(l->state.key, none, sizeof(none));
	assert_int_equal(reqlog_resume(l), 0);
	assert_int_equal(reqlog_ready(l), 0);
}

static void close_log(struct reqlog *l)
{
	(void)close(l->fd);
	(void)close(l->key_fd);
}

/* Write the records of one process of a role.  @stops: false: the process is killed. */
static void process(bool stops, bool last_result)
{
	struct request list = { .op = op_find(OP_LIST) }, tap = { .op = op_find(OP_TAP_CREATE) };
	struct reply ok = { .status = ST_OK }, denied = { .status = ST_DENIED };
	struct reqlog l;

	open_log(&l);
	list.seq = ++w.seq;
	assert_int_equal(reqlog_result(&l, &list, &ok, 5), 0);
	tap.seq = ++w.seq;
	assert_int_equal(reqlog_result(&l, &tap, &denied, 5), 0);
	request_pair(&l, true);
	assert_int_equal(reqlog_repair(&l, "bridge", -1), 0);
	request_pair(&l, last_result);
	if (stops)
		assert_int_equal(reqlog_stop(&l), 0);
	close_log(&l);
}

static char *slurp(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	assert_non_null(f);
	if (getdelim(&text, &size, '\0', f) < 0)
		return strdup("");
	return text;
}

static void split(const char *path, struct text *t, size_t file)
{
	_cleanup_free_ char *text = slurp(path);

	t->n[file] = 0;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		assert_true(t->n[file] < LINES_MAX);
		t->lines[file][t->n[file]++] = strdup(line);
	}
}

/* Redirect standard error to a file.  Return: a descriptor for restoring it. */
static int catch_errors(void)
{
	int saved = dup(STDERR_FILENO), fd = open(w.err, O_WRONLY | O_CREAT | O_APPEND, 0600);

	assert_true(saved >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	(void)close(fd);
	return saved;
}

static void set_first_key(void)
{
	struct reqlog_state s = { 0 };
	int fd = open(w.key, O_RDWR | O_CREAT, 0600);

	for (size_t i = 0; i < sizeof(s.key); i++)
		s.key[i] = w.first_key[i] = (uint8_t)(i * 7 + 1);
	assert_int_equal(pwrite(fd, &s, sizeof(s), 0), sizeof(s));
	(void)close(fd);
}

/* Make the paths, and a log of four processes.  The second process is killed within a request; the
 * fourth has a new file. */
static int set_up(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	strcpy(w.dir, "/tmp/banger-verify.XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	(void)snprintf(w.log, sizeof(w.log), "%s/net.log", w.dir);
	(void)snprintf(w.key, sizeof(w.key), "%s/net.key", w.dir);
	(void)snprintf(w.old, sizeof(w.old), "%s/net.log-1", w.dir);
	(void)snprintf(w.err, sizeof(w.err), "%s/err", w.dir);
	set_first_key();
	int saved = catch_errors();
	process(true, true);
	process(false, false);
	process(true, true);
	assert_int_equal(rename(w.log, w.old), 0);
	process(true, true);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	split(w.old, &w.text, 0);
	split(w.log, &w.text, 1);
	w.checkpoints = slurp(w.err);
	w.keyed = w.checked = true;
	return 0;
}

static int tear_down(void **state)
{
	const char *const files[] = { w.log, w.key, w.old, w.err };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		(void)unlink(files[i]);
	for (size_t f = 0; f < FILES; f++)
		for (size_t i = 0; i < w.text.n[f]; i++)
			free(w.text.lines[f][i]);
	free(w.checkpoints);
	return rmdir(w.dir);
}

/* ---- verifying ---- */

static void told(void *arg, enum finding f, const char *file, uint64_t at, uint64_t n,
		 const char *why)
{
	size_t used = strlen(w.why);

	(void)arg;
	(void)at;
	(void)snprintf(w.why + used, sizeof(w.why) - used, "%s %s record %llu: %s\n",
		       finding_name(f), file, (unsigned long long)n, why);
}

static void add_key(uint64_t n, const uint8_t key[REQLOG_KEY])
{
	char line[160], hex[2 * REQLOG_KEY + 1];

	format_hex(key, REQLOG_KEY, hex);
	(void)snprintf(line, sizeof(line), "banger-key net %llu %s\n", (unsigned long long)n, hex);
	assert_int_equal(verify_add_key(&w.v, line), 0);
}

static void begin_judging(void)
{
	w.why[0] = '\0';
	verify_begin(&w.v, "net", told, NULL);
	w.v.checkpoints = w.checked ? fmemopen(w.checkpoints, strlen(w.checkpoints), "r") : NULL;
	if (w.keyed)
		add_key(0, w.first_key);
}

static void judge_on(const struct text *t)
{
	static const char *const names[FILES] = { "net.log-1", "net.log" };

	for (size_t f = 0; f < FILES; f++) {
		FILE *out = tmpfile();
		for (size_t i = 0; i < t->n[f]; i++)
			fprintf(out, "%s\n", t->lines[f][i]);
		if (f == FILES - 1 && t->end)
			fputs(t->end, out);
		assert_int_equal(fflush(out), 0);
		rewind(out);
		if (t->n[f])
			assert_int_equal(verify_file(&w.v, fileno(out), names[f]), 0);
		(void)fclose(out);
	}
	w.whole = verify_end(&w.v);
	if (w.v.checkpoints)
		(void)fclose(w.v.checkpoints);
}

static void judge(const struct text *t)
{
	begin_judging();
	judge_on(t);
}

static void expect(const struct text *t, enum finding f)
{
	judge(t);
	if (w.whole || !w.v.counts[f])
		fail_msg("no %s was found, but:\n%s", finding_name(f), w.why);
}

static void expect_whole(const struct text *t)
{
	judge(t);
	if (!w.whole)
		fail_msg("refused:\n%s", w.why);
}

/* Return: the first line of a type in file @f, from line @from on. */
static size_t line_of(const struct text *t, size_t f, const char *type, size_t from)
{
	char want[40];

	(void)snprintf(want, sizeof(want), "{\"type\":\"%s\"", type);
	for (size_t i = from; i < t->n[f]; i++)
		if (strncmp(t->lines[f][i], want, strlen(want)) == 0)
			return i;
	fail_msg("no line of type %s", type);
	return 0;
}

static void drop(struct text *t, size_t f, size_t i, size_t n)
{
	memmove(&t->lines[f][i], &t->lines[f][i + n], (t->n[f] - i - n) * sizeof(char *));
	t->n[f] -= n;
}

static void insert(struct text *t, size_t f, size_t i, char *line)
{
	memmove(&t->lines[f][i + 1], &t->lines[f][i], (t->n[f] - i) * sizeof(char *));
	t->lines[f][i] = line;
	t->n[f]++;
}

/* ---- undamaged logs ---- */

static void what_a_role_writes_is_whole(void **state)
{
	(void)state;
	expect_whole(&w.text);
	assert_int_equal(w.v.records, w.text.n[0] + w.text.n[1]);
	assert_int_equal(w.v.proven, w.v.records);
	assert_int_equal(w.v.unproven, 0);
	assert_int_equal(w.v.checked, w.v.last + 1); /* the stop is behind the newest checkpoint */
	assert_int_equal(w.v.ends, 1);
	assert_int_equal(w.v.counts[FINDING_OPEN], 1);
	assert_int_equal(w.v.counts[FINDING_LOST], 0);
	/* The numbers of the killed process's batch are not used again. */
	assert_true(w.v.last > REQLOG_AHEAD && w.v.last < REQLOG_AHEAD + 128);
}

static void without_a_key_it_is_only_chained(void **state)
{
	(void)state;
	w.keyed = false;
	expect_whole(&w.text);
	assert_int_equal(w.v.proven, 0);
	assert_int_equal(w.v.unproven, w.v.records);
}

/* Files may be at most @bytes long: a disk that is full there. */
static struct rlimit set_full(rlim_t bytes)
{
	struct rlimit old;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ bytes, old.rlim_max }), 0);
	return old;
}

/* A role that starts on a full disk, with room for @room bytes, and works once there is room again.
 * @stopped: the process before ended in order, or was killed. */
static void starts_on_a_full_disk(off_t room, bool stopped)
{
	struct request q = { .op = op_find(OP_TAP_CREATE), .seq = 9, .generation = 1 };
	struct reqlog l;
	struct stat st;
	int saved = catch_errors();

	if (!stopped)
		process(false, false);
	assert_int_equal(stat(w.log, &st), 0);
	struct rlimit old = set_full((rlim_t)(st.st_size + room));
	int fd = open(w.log, O_WRONLY | O_APPEND), key = open(w.key, O_RDWR);
	assert_int_equal(reqlog_init(&l, fd, key, "net"), 0);
	assert_int_equal(reqlog_start(&l, 4712, 101), -1);
	assert_int_equal(reqlog_resume(&l), 0);
	assert_int_equal(reqlog_ready(&l), -1); /* shorter than a start record, and not written */
	assert_int_equal(reqlog_intent(&l, &q), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	request_pair(&l, true);
	assert_int_equal(reqlog_stop(&l), 0);
	close_log(&l);
	process(true, true);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	for (size_t i = 0; i < w.text.n[1]; i++)
		free(w.text.lines[1][i]);
	split(w.log, &w.text, 1);
	free(w.checkpoints);
	w.checkpoints = slurp(w.err);
	expect_whole(&w.text);
	assert_int_equal(w.v.unproven, 0);
	/* The start record is there, and can not be taken away. */
	size_t at = line_of(&w.text, 1, "start", 1);
	while (!strstr(w.text.lines[1][at], "\"pid\":4712"))
		at = line_of(&w.text, 1, "start", at + 1);
	free(w.text.lines[1][at]);
	drop(&w.text, 1, at, 1);
	judge(&w.text);
	assert_false(w.whole);
}

static void a_start_on_a_full_disk_is_told_later(void **state)
{
	(void)state;
	starts_on_a_full_disk(0, true);
}

static void a_start_that_is_cut_short_is_told_later(void **state)
{
	(void)state;
	starts_on_a_full_disk(300, true);
}

static void a_start_after_a_kill_on_a_full_disk_is_told_later(void **state)
{
	(void)state;
	starts_on_a_full_disk(0, false);
}

static void a_start_after_a_kill_that_is_cut_short_is_told_later(void **state)
{
	(void)state;
	starts_on_a_full_disk(300, false);
}

/* ---- one vector for each fault ---- */

/* Each byte of a line is changed in turn.  A hash or the MAC covers every byte. */
static void a_flipped_bit(void **state)
{
	size_t i = line_of(&w.text, 0, "result", 0);
	char *line = w.text.lines[0][i];

	(void)state;
	for (size_t at = 0; line[at]; at++) {
		line[at] ^= 1;
		judge(&w.text);
		line[at] ^= 1;
		if (w.whole)
			fail_msg("byte %zu of %s", at, line);
	}
	/* Without a key the chain shows it too, except in the newest record, which no hash
	 * covers. */
	w.keyed = false;
	line[20] ^= 1;
	judge(&w.text);
	line[20] ^= 1;
	assert_false(w.whole);
}

static void two_records_swapped(void **state)
{
	struct text t = w.text;

	(void)state;
	t.lines[0][3] = w.text.lines[0][4];
	t.lines[0][4] = w.text.lines[0][3];
	expect(&t, FINDING_ORDER);
	assert_true(w.v.counts[FINDING_GAP] > 0);
}

static void a_removed_record(void **state)
{
	(void)state;
	for (size_t i = 0; i < w.text.n[0]; i++) {
		struct text t = w.text;
		drop(&t, 0, i, 1);
		judge(&t);
		assert_false(w.whole);
	}
	struct text t = w.text;
	drop(&t, 0, 4, 1);
	expect(&t, FINDING_GAP);
	/* The hash alone shows it too. */
	w.keyed = w.checked = false;
	expect(&t, FINDING_GAP);
}

static void an_inserted_record(void **state)
{
	struct text t = w.text;
	char forged[RECORD_LINE_MAX + 1];

	(void)state;
	/* A record that another role, or an earlier key, could have made: numbers fit, hashes do
	 * not. */
	(void)snprintf(forged, sizeof(forged), "%s", t.lines[0][4]);
	memcpy(strstr(forged, "\"mac\":\"") + 7, "00000000000000000000000000000000", 32);
	insert(&t, 0, 4, forged);
	expect(&t, FINDING_DUPLICATE);
	assert_true(w.v.counts[FINDING_MAC] > 0);
	/* The forged record replaces one and has the hash of the record before it: only the MAC and
	 * the next record show the change. */
	t = w.text;
	t.lines[0][4] = forged;
	expect(&t, FINDING_MAC);
	assert_true(w.v.counts[FINDING_CHAIN] > 0);
}

static void a_record_twice(void **state)
{
	struct text t = w.text;

	(void)state;
	insert(&t, 0, 5, t.lines[0][4]);
	expect(&t, FINDING_DUPLICATE);
}

static void a_gap_of_several(void **state)
{
	struct text t = w.text;

	(void)state;
	drop(&t, 0, 3, 4);
	expect(&t, FINDING_GAP);
	assert_non_null(strstr(w.why, "records 3 to 6 are missing"));
}

static void a_gap_before_a_start(void **state)
{
	struct text t = w.text;
	size_t stop = line_of(&t, 0, "stop", 0);

	(void)state;
	drop(&t, 0, stop, 1); /* a clean stop loses no record */
	expect(&t, FINDING_GAP);
	t = w.text;
	size_t killed = line_of(&t, 0, "start", line_of(&t, 0, "stop", 0) + 2);
	drop(&t, 0, killed - 2, 2); /* more than a killed process can lose */
	w.checked = false;
	expect(&t, FINDING_GAP);
}

static void cut_before_a_checkpoint(void **state)
{
	struct text t = w.text;

	(void)state;
	t.n[1] -= 2;
	expect(&t, FINDING_CUT);
	t.n[1] = 0; /* the whole newest file */
	expect(&t, FINDING_CUT);
}

/* A cut after the newest checkpoint can not be proven; the result says so. */
static void cut_behind_a_checkpoint(void **state)
{
	struct text t = w.text;
	char *last = strstr(strstr(w.checkpoints, "checkpoint"), "checkpoint"), *next,
	     said[2048] = "";

	(void)state;
	while ((next = strstr(last + 1, "checkpoint")))
		last = next;
	*last = '\0';
	t.n[1] -= 1;
	expect_whole(&t);
	assert_true(w.v.checked <= w.v.last);
	FILE *f = fmemopen(said, sizeof(said), "w");
	verify_summary(&w.v, f);
	(void)fclose(f);
	assert_non_null(strstr(said, "could be cut off unnoticed"));
	assert_non_null(strstr(said, "proven:"));
}

static void an_older_file_put_back(void **state)
{
	struct text t = w.text;

	(void)state;
	/* The files are those of the first stop, after which the role wrote more. */
	size_t stop = line_of(&t, 0, "stop", 0), last = t.n[0];
	drop(&t, 0, stop + 1, last - stop - 1);
	w.checked = false;
	expect(&t, FINDING_GAP);
	/* No start record follows: only the checkpoints show it. */
	t.n[1] = 0;
	expect_whole(&t);
	w.checked = true;
	expect(&t, FINDING_CUT);
}

/* Another process of the service can write to the service's log, and a finding is printed. */
static void a_checkpoint_with_no_time(void **state)
{
	char *more = NULL;

	(void)state;
	assert_true(asprintf(&more, "%scheckpoint net 1 %064d \033[2J\n", w.checkpoints, 0) > 0);
	free(w.checkpoints);
	w.checkpoints = more;
	judge(&w.text);
	assert_null(strchr(w.why, '\033'));
}

static void two_heads(void **state)
{
	char *forged = NULL, *at;

	(void)state;
	/* Two checkpoints have the same count and different hashes: two processes wrote the log, or
	 * it was copied. */
	assert_true(asprintf(&forged, "%s%s", w.checkpoints, w.checkpoints) > 0);
	at = forged;
	for (char *next; (next = strstr(at + 1, "checkpoint net"));)
		at = next;
	char *hash = strchr(at + strlen("checkpoint net "), ' ') + 1;
	*hash = *hash == '0' ? '1' : '0';
	/* Only the last line and its twin. */
	char *own = w.checkpoints, *own_last = own;
	for (char *next; (next = strstr(own_last + 1, "checkpoint net"));)
		own_last = next;
	assert_true(asprintf(&own, "%s%s", w.checkpoints, at) > 0);
	free(w.checkpoints);
	free(forged);
	w.checkpoints = own;
	expect(&w.text, FINDING_HEADS);
	assert_non_null(strstr(w.why, "with another hash"));
}

/* A log was written again with valid hashes but without the key: the checkpoints belong to another
 * log. */
static void another_head_than_the_checkpoint(void **state)
{
	char *at = strstr(w.checkpoints, "checkpoint net ") + strlen("checkpoint net ");
	char *hash = strchr(at, ' ') + 1;

	(void)state;
	*hash = *hash == '0' ? '1' : '0';
	expect(&w.text, FINDING_CHECKPOINT);
}

static void a_wrong_key(void **state)
{
	(void)state;
	w.first_key[0] ^= 1;
	expect(&w.text, FINDING_MAC);
	assert_int_equal(w.v.counts[FINDING_MAC], w.v.records);
	assert_int_equal(w.v.proven, 0);
}

/* The key of a later record proves that record and all after it, but none before it. */
static void a_later_key(void **state)
{
	uint8_t key[REQLOG_KEY];

	(void)state;
	memcpy(key, w.first_key, sizeof(key));
	for (int i = 0; i < 10; i++)
		move_on(key);
	w.keyed = false;
	begin_judging();
	add_key(10, key);
	judge_on(&w.text);
	assert_true(w.whole);
	assert_int_equal(w.v.proven_from, 10);
	assert_int_equal(w.v.unproven, 10);
	assert_int_equal(w.v.proven, w.v.records - 10);
}

static void a_future_key(void **state)
{
	(void)state;
	begin_judging();
	add_key(100000, w.first_key);
	judge_on(&w.text);
	assert_false(w.whole);
	assert_int_equal(w.v.counts[FINDING_KEY], 1);
	assert_int_equal(w.v.proven, w.v.records);
	assert_int_equal(verify_add_key(&w.v, "banger-key net x 00"), -1);
	assert_int_equal(verify_add_key(&w.v, "banger-key net 1 00"), -1);
}

/* An attacker writes records with numbers far apart.  Keys are derived for the first gap only;
 * otherwise a log would take years to verify. */
static void a_log_of_gaps(void **state)
{
	static const char record[] =
		"{\"type\":\"ready\",\"role\":\"net\",\"n\":%u,\"time\":\"2099-01-02T03:"
		"04:05.000000000Z\",\"boot_ns\":1,\"prev\":null,\"mac\":\""
		"00112233445566778899aabbccddeeff\"}\n";
	struct text t = w.text;
	char end[3 * sizeof(record)];
	size_t used = 0;

	(void)state;
	for (unsigned i = 1; i <= 2; i++)
		used += (size_t)snprintf(end + used, sizeof(end) - used, record, 600 * i);
	t.end = end;
	begin_judging();
	w.v.walked = 100000000 - 600;
	judge_on(&t);
	assert_int_equal(w.v.counts[FINDING_MAC], 1);
	assert_int_equal(w.v.unproven, 2);
	assert_int_equal(w.v.key.n, 600);
}

static void a_result_without_an_intent(void **state)
{
	struct text t = w.text;
	char other[RECORD_LINE_MAX + 1];
	size_t i = line_of(&t, 0, "result", 0);

	(void)state;
	drop(&t, 0, i - 1, 1);
	expect(&t, FINDING_RESULT);
	/* The result belongs to another request than the intent. */
	t = w.text;
	(void)snprintf(other, sizeof(other), "%s", t.lines[0][i]);
	strstr(other, "\"seq\":")[6] ^= 1;
	t.lines[0][i] = other;
	expect(&t, FINDING_RESULT);
}

static void a_broken_rotation(void **state)
{
	struct text t = w.text;

	(void)state;
	drop(&t, 1, 0, 1); /* the new file does not begin with its start */
	expect(&t, FINDING_ROTATION);
	t = w.text;
	t.n[0] = 0; /* a missing old file is reported, but is no fault */
	w.checked = false;
	judge(&t);
	assert_true(w.whole);
	assert_int_equal(w.v.counts[FINDING_EARLIER], 1);
	/* Both files are joined to one. */
	t = w.text;
	for (size_t i = 0; i < w.text.n[1]; i++)
		t.lines[0][t.n[0]++] = w.text.lines[1][i];
	t.n[1] = 0;
	expect(&t, FINDING_ROTATION);
	/* The order of the files changed. */
	t = w.text;
	memcpy(t.lines[0], w.text.lines[1], sizeof(t.lines[0]));
	memcpy(t.lines[1], w.text.lines[0], sizeof(t.lines[0]));
	t.n[0] = w.text.n[1];
	t.n[1] = w.text.n[0];
	expect(&t, FINDING_ORDER);
}

static void trailing_bytes(void **state)
{
	struct text t = w.text;
	char junk[] = "junk", *long_junk = calloc(1, 300000);

	(void)state;
	t.end = "x";
	expect(&t, FINDING_LINE);
	t.end = "{\"type\":\"stop\"}\n";
	expect(&t, FINDING_LINE);
	/* a whole record, of a role whose name a terminal would obey */
	t.end = "{\"type\":\"ready\",\"role\":\"\033c\",\"n\":9,\"time\":\"2026-01-02T03:04:05."
		"000000000Z\",\"boot_ns\":1,\"prev\":null,\"mac\":\"00112233445566778899aabbcc"
		"ddeeff\"}\n";
	expect(&t, FINDING_LINE);
	assert_null(strchr(w.why, '\033'));
	t.end = "\n";
	expect(&t, FINDING_LINE);
	memset(long_junk, 'x', 299999);
	t.end = long_junk;
	expect(&t, FINDING_LINE);
	t.end = NULL;
	insert(&t, 0, 3, junk); /* and in the middle */
	expect(&t, FINDING_LINE);
	free(long_junk);
}

/* A role can append data that libarchive knows as another format, and would read instead of the
 * log: here the uuencoded record of another number. */
static void another_format_within_a_compressed_log(void **state)
{
	char command[64], path[80];
	uint64_t lines = w.text.n[0];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/net.log-1.gz", w.dir);
	(void)snprintf(command, sizeof(command), "gzip %s/net.log-1", w.dir);
	FILE *f = fopen(w.old, "ae");
	assert_non_null(f);
	fputs("begin 644 x\n#9F]R\n`\nend\n", f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(system(command), 0); /* of mkdtemp(3)'s own name */
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	begin_judging();
	assert_int_equal(verify_file(&w.v, fd, "net.log-1.gz"), 0);
	(void)close(fd);
	(void)unlink(path);
	(void)fclose(w.v.checkpoints);
	assert_int_equal(w.v.records, lines);
	assert_int_equal(w.v.proven, lines);
	assert_int_equal(w.v.counts[FINDING_LINE], 1);
}

/* The times go back in records with valid MACs: the role's own clock was set back. */
static void a_clock_set_back(void **state)
{
	struct text t = w.text;
	char back[RECORD_LINE_MAX + 1];

	(void)state;
	(void)snprintf(back, sizeof(back), "%s", t.lines[0][6]);
	memcpy(strstr(back, "\"time\":\"") + 8, "2001", 4);
	t.lines[0][6] = back;
	expect(&t, FINDING_CLOCK);
	assert_non_null(strstr(w.why, "was set back by"));
	t = w.text;
	(void)snprintf(back, sizeof(back), "%s", t.lines[0][6]);
	char *boot = strstr(back, "\"boot_ns\":") + 10;
	memmove(boot + 1, boot + strspn(boot, "0123456789"),
		strlen(boot + strspn(boot, "0123456789")) + 1);
	t.lines[0][6] = back;
	expect(&t, FINDING_CLOCK);
	assert_non_null(strstr(w.why, "since boot"));
}

static void another_roles_record(void **state)
{
	struct text t = w.text;

	(void)state;
	w.v.role = "blk";
	verify_begin(&w.v, "blk", told, NULL);
	judge_on(&t);
	assert_false(w.whole);
	assert_int_equal(w.v.counts[FINDING_ROLE], w.v.records);
}

/* ---- crashes and full disks ---- */

/* Cut the last @bytes off the log, as a power cut may. */
static void cut_file(uint64_t bytes)
{
	struct stat st;

	assert_int_equal(stat(w.log, &st), 0);
	assert_int_equal(truncate(w.log, st.st_size - (off_t)bytes), 0);
}

static void again(void)
{
	int saved = catch_errors();

	process(true, true);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	for (size_t i = 0; i < w.text.n[1]; i++)
		free(w.text.lines[1][i]);
	split(w.log, &w.text, 1);
	free(w.checkpoints);
	w.checkpoints = slurp(w.err);
}

/* A process is killed at each step of a record: before the key file, between key file and record,
 * within the record. */
static void killed_within_a_record(void **state)
{
	static const size_t parts[] = { 0, 1, 50, 200 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct reqlog l;
		int saved = catch_errors();
		open_log(&l);
		request_pair(&l, true);
		off_t before = lseek(l.fd, 0, SEEK_END);
		request_pair(&l, false);
		close_log(&l);
		(void)dup2(saved, STDERR_FILENO);
		(void)close(saved);
		assert_int_equal(truncate(w.log, before + (off_t)parts[i]), 0);
		if (parts[i]) { /* the supervisor ends a line that is cut */
			int fd = open(w.log, O_WRONLY | O_APPEND);
			assert_int_equal(write(fd, "\n", 1), 1);
			(void)close(fd);
		}
		again();
		expect_whole(&w.text);
		assert_int_equal(w.v.counts[FINDING_LOST], i + 1);
		assert_int_equal(w.v.proven, w.v.records);
	}
}

/* Two processes, one after the other, are killed before their start records are in the log.  The
 * process before one of them was killed too. */
static void killed_within_two_starts(void **state)
{
	struct reqlog l;
	int saved = catch_errors();

	(void)state;
	open_log(&l);
	request_pair(&l, true);
	off_t before = lseek(l.fd, 0, SEEK_END);
	close_log(&l);
	for (int i = 0; i < 2; i++) {
		struct reqlog_state s;
		int fd = open(w.key, O_RDWR), log = open(w.log, O_WRONLY | O_APPEND);
		assert_int_equal(reqlog_init(&l, log, fd, "net"), 0);
		assert_int_equal(keep_ahead(&l), 0);
		if (i == 1) { /* the entry of the start record, and no record */
			l.state.start = (uint64_t)before;
			l.state.end = (uint64_t)before + 300;
			l.state.next++;
			memset(l.state.prev, 'a', REQLOG_DIGEST - 1);
			assert_int_equal(save(&l), 0);
		}
		assert_int_equal(pread(fd, &s, sizeof(s), 0), sizeof(s));
		assert_int_equal(s.starting, 1);
		(void)close(fd);
		(void)close(log);
	}
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	again();
	expect_whole(&w.text);
	assert_int_equal(w.v.counts[FINDING_LOST], 0);
	assert_int_equal(w.v.proven, w.v.records);
}

/* The key file is older than the log: a power cut came after the record, but before the key file
 * was written back. */
static void an_older_key_file(void **state)
{
	struct reqlog_state s;
	struct reqlog l;
	int saved = catch_errors(), fd = open(w.key, O_RDWR);

	(void)state;
	open_log(&l);
	request_pair(&l, true);
	assert_int_equal(pread(fd, &s, sizeof(s), 0), sizeof(s));
	request_pair(&l, true);
	request_pair(&l, true);
	close_log(&l);
	assert_int_equal(pwrite(fd, &s, sizeof(s), 0), sizeof(s));
	(void)close(fd);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	again();
	expect_whole(&w.text);
	assert_int_equal(w.v.proven, w.v.records);
}

/* A power cut took more than one record: this can not be told from a cut by hand. */
static void several_records_lost(void **state)
{
	struct reqlog l;
	int saved = catch_errors();

	(void)state;
	open_log(&l);
	request_pair(&l, true);
	off_t before = lseek(l.fd, 0, SEEK_END);
	request_pair(&l, true);
	request_pair(&l, true);
	close_log(&l);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	assert_int_equal(truncate(w.log, before), 0);
	again();
	expect(&w.text, FINDING_GAP);
	assert_non_null(strstr(w.why, "removed, or lost in a power cut"));
}

/* The record of a clean stop states the length of the log. */
static void cut_between_two_starts(void **state)
{
	(void)state;
	cut_file(strlen(w.text.lines[1][w.text.n[1] - 1]) + 1);
	again();
	w.checked = false;
	expect(&w.text, FINDING_GAP);
}

/* ---- keys that must not be on the disk ---- */

/* At no record does the key file have the key of a record that is in the log. */
static void no_key_of_a_written_record_is_left(void **state)
{
	struct reqlog_state s;
	uint8_t key[REQLOG_KEY];
	struct reqlog l;
	int saved = catch_errors(), fd = open(w.key, O_RDWR);

	(void)state;
	open_log(&l);
	for (int i = 0; i < 2 * REQLOG_AHEAD; i++) {
		request_pair(&l, true);
		assert_int_equal(pread(fd, &s, sizeof(s), 0), sizeof(s));
		assert_true(s.ahead >= s.next);
		assert_int_equal(s.next, l.state.next);
	}
	memcpy(key, w.first_key, sizeof(key));
	for (uint64_t n = 0; n < s.ahead; n++)
		move_on(key);
	assert_memory_equal(key, s.key, sizeof(key));
	assert_int_equal(reqlog_stop(&l), 0);
	assert_int_equal(pread(fd, &s, sizeof(s), 0), sizeof(s));
	assert_int_equal(s.ahead, s.next);
	close_log(&l);
	(void)close(fd);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_role_writes_is_whole),
		TEST(without_a_key_it_is_only_chained),
		TEST(a_start_on_a_full_disk_is_told_later),
		TEST(a_start_that_is_cut_short_is_told_later),
		TEST(a_start_after_a_kill_on_a_full_disk_is_told_later),
		TEST(a_start_after_a_kill_that_is_cut_short_is_told_later),
		TEST(a_flipped_bit),
		TEST(two_records_swapped),
		TEST(a_removed_record),
		TEST(an_inserted_record),
		TEST(a_record_twice),
		TEST(a_gap_of_several),
		TEST(a_gap_before_a_start),
		TEST(cut_before_a_checkpoint),
		TEST(cut_behind_a_checkpoint),
		TEST(an_older_file_put_back),
		TEST(a_checkpoint_with_no_time),
		TEST(two_heads),
		TEST(another_head_than_the_checkpoint),
		TEST(a_wrong_key),
		TEST(a_later_key),
		TEST(a_future_key),
		TEST(a_log_of_gaps),
		TEST(a_result_without_an_intent),
		TEST(a_broken_rotation),
		TEST(trailing_bytes),
		TEST(another_format_within_a_compressed_log),
		TEST(a_clock_set_back),
		TEST(another_roles_record),
		TEST(killed_within_a_record),
		TEST(killed_within_two_starts),
		TEST(an_older_key_file),
		TEST(several_records_lost),
		TEST(cut_between_two_starts),
		TEST(no_key_of_a_written_record_is_left),
	};

	return cmocka_run_group_tests_name("cli_audit", tests, NULL, NULL);
}
