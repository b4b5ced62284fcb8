/* verify.c - checks a request log: numbers, hashes, MACs, checkpoints.
 *
 * Theory of operation.  Lines come in the order of the files.  Each record must have the next
 * number and the hash of the record before.  Only a start may leave numbers out, because a role
 * that was killed continues with the key that was on the disk.  Its members `after`, `end` and
 * `size` then say which record the role wrote last; its MAC covers them.  After a finding, the
 * record at hand is taken as it is, so that each fault is told once. */
#include "controller/cli/audit/verify.h"

#include <archive.h>
#include <errno.h>
#include <inttypes.h>
#include <nettle/hmac.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/audit/place.h"

#define CHUNK 262144
/* Keys that are derived to reach records behind gaps: 10 s of work for the whole log, whatever
 * numbers its records have. */
#define WALK_MAX 100000000
#define CLOCK_SLACK_NS 1000000000

static const char *const names[] = {
	[FINDING_LINE] = "line",
	[FINDING_ROLE] = "role",
	[FINDING_DUPLICATE] = "duplicate",
	[FINDING_ORDER] = "order",
	[FINDING_GAP] = "gap",
	[FINDING_CHAIN] = "chain",
	[FINDING_MAC] = "mac",
	[FINDING_KEY] = "key",
	[FINDING_RESULT] = "result",
	[FINDING_ROTATION] = "rotation",
	[FINDING_CLOCK] = "clock",
	[FINDING_CUT] = "cut",
	[FINDING_CHECKPOINT] = "checkpoint",
	[FINDING_HEADS] = "heads",
	[FINDING_LOST] = "lost",
	[FINDING_OPEN] = "open",
	[FINDING_EARLIER] = "earlier",
};

const char *finding_name(enum finding f)
{
	return names[f];
}

__attribute__((format(printf, 3, 4))) static void tell(struct verifier *v, enum finding f,
						       const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	v->counts[f]++;
	v->tell(v->arg, f, v->file ? v->file : v->role, v->at, v->now.n, why);
}

void verify_begin(struct verifier *v, const char *role, finding_fn fn, void *arg)
{
	memset(v, 0, sizeof(*v));
	v->role = role;
	v->tell = fn;
	v->arg = arg;
}

/* ---- keys ---- */

int verify_add_key(struct verifier *v, const char *line)
{
	char role[8], hex[2 * REQLOG_KEY + 2];
	struct verify_key k;
	int end = 0;

	if (sscanf(line, "banger-key %7s %" SCNu64 " %65[0-9a-f]%n", role, &k.n, hex, &end) != 3 ||
	    strlen(hex) != 2 * REQLOG_KEY || line[end + (int)strspn(line + end, " \r\n")] ||
	    record_hex(hex, k.key, REQLOG_KEY) < 0)
		return -1;
	if (strcmp(role, v->role) != 0)
		return 0;
	if (v->nkeys == VERIFY_KEYS)
		return -1;
	size_t at = v->nkeys++;
	for (; at > 0 && v->keys[at - 1].n > k.n; at--)
		v->keys[at] = v->keys[at - 1];
	v->keys[at] = k;
	return 0;
}

void verify_next_key(struct verify_key *k)
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, sizeof(REQLOG_KEY_LABEL) - 1, (const uint8_t *)REQLOG_KEY_LABEL);
	sha256_update(&ctx, REQLOG_KEY, k->key);
	sha256_digest(&ctx, REQLOG_KEY, k->key);
	k->n++;
}

/* Have v->key be the key of record @n.  Return: false: no key that was given leads there. */
static bool reach_key(struct verifier *v, uint64_t n)
{
	for (; v->next_key < v->nkeys && v->keys[v->next_key].n <= n; v->next_key++) {
		v->key = v->keys[v->next_key];
		v->keyed = true;
	}
	if (!v->keyed || v->key.n > n)
		return false;
	if (n - v->key.n > REQLOG_AHEAD) {
		if (n - v->key.n > WALK_MAX - v->walked)
			return false;
		v->walked += n - v->key.n;
	}
	while (v->key.n < n)
		verify_next_key(&v->key);
	return true;
}

/* ---- one record ---- */

/* The hash of the line, and whether its MAC is right. */
static void hash_record(struct verifier *v, const char *line, size_t len, uint8_t hash[RECORD_HASH])
{
	const struct record *r = &v->now;
	struct sha256_ctx whole, sealed;
	struct hmac_sha256_ctx h;
	uint8_t digest[RECORD_HASH], mac[REQLOG_MAC];

	sha256_init(&whole);
	sha256_update(&whole, r->sealed, (const uint8_t *)line);
	sealed = whole;
	sha256_update(&whole, len - r->sealed, (const uint8_t *)line + r->sealed);
	sha256_digest(&whole, RECORD_HASH, hash);
	if (!reach_key(v, r->n)) {
		v->unproven++;
		return;
	}
	sha256_digest(&sealed, RECORD_HASH, digest);
	hmac_sha256_set_key(&h, REQLOG_KEY, v->key.key);
	hmac_sha256_update(&h, RECORD_HASH, digest);
	hmac_sha256_digest(&h, REQLOG_MAC, mac);
	if (memcmp(mac, r->mac, REQLOG_MAC) != 0) {
		tell(v, FINDING_MAC, "the MAC is not by the key of record %" PRIu64, r->n);
		v->unproven++;
	} else if (v->proven++ == 0) {
		v->proven_from = r->n;
	}
}

static bool follows(const struct verifier *v, uint64_t n)
{
	return !v->now.first && memcmp(v->now.prev, v->hash[n % REQLOG_AHEAD], RECORD_HASH) == 0;
}

/* A start may leave numbers out: judge what it says of the record before. */
static void check_start(struct verifier *v)
{
	const struct record *r = &v->now;
	const bool clean = r->n == r->after;

	if (v->type != RECORD_STOP)
		v->ends++;
	if (r->n <= v->last)
		tell(v, r->n == v->last ? FINDING_DUPLICATE : FINDING_ORDER,
		     "record %" PRIu64 " comes behind record %" PRIu64, r->n, v->last);
	else if (follows(v, v->last))
		return;
	else if (!clean && r->after == v->last + 2)
		tell(v, FINDING_LOST,
		     "record %" PRIu64 " was lost when the role ended: it was not written whole",
		     r->after - 1);
	else if (!clean && r->after && r->after <= v->last &&
		 v->last - r->after < REQLOG_AHEAD - 1 && follows(v, r->after - 1))
		return; /* after a power cut the key file may be older than the log */
	else if (r->after > v->last + 1)
		tell(v, FINDING_GAP, "records %" PRIu64 " to %" PRIu64 " are missing: %s",
		     v->last + 1, r->after - 1,
		     clean ? "the role had stopped in order" : "removed, or lost in a power cut");
	else
		tell(v, FINDING_CHAIN, "the start follows another record %" PRIu64, r->after - 1);
}

/* Number and hash of any other record. */
static void check_next(struct verifier *v)
{
	const struct record *r = &v->now;

	if (r->n == v->last)
		tell(v, FINDING_DUPLICATE, "record %" PRIu64 " is there twice", r->n);
	else if (r->n < v->last)
		tell(v, FINDING_ORDER, "record %" PRIu64 " comes behind record %" PRIu64, r->n,
		     v->last);
	else if (r->n > v->last + 1)
		tell(v, FINDING_GAP, "records %" PRIu64 " to %" PRIu64 " are missing", v->last + 1,
		     r->n - 1);
	else if (!follows(v, v->last))
		tell(v, FINDING_CHAIN, "it follows another record %" PRIu64, v->last);
	if (v->type == RECORD_STOP)
		tell(v, FINDING_ORDER, "it comes behind the record of a stop");
}

/* The first record that is read. */
static void check_first(struct verifier *v)
{
	const struct record *r = &v->now;

	v->first = r->n;
	if (r->type != RECORD_START)
		tell(v, FINDING_ROTATION, "the log does not begin with a start");
	else if (r->n > 0)
		tell(v, FINDING_EARLIER, "records before %" PRIu64 " are not here", r->n);
	else if (!r->first)
		tell(v, FINDING_CHAIN, "record 0 follows another record");
}

/* Whether the file begins, and the record stands, where the role says. */
static void check_place(struct verifier *v)
{
	const struct record *r = &v->now;

	if (r->type == RECORD_START) {
		if (v->file_empty != r->moved && v->records)
			tell(v, FINDING_ROTATION,
			     r->moved ? "a start in a new file is inside a file"
				      : "the file is another than the role's");
		else if (r->size != v->at)
			tell(v, FINDING_GAP,
			     "the log had %" PRIu64 " bytes at this start, and has %" PRIu64
			     " before it",
			     r->size, v->at);
	} else if (v->file_empty && v->records) {
		tell(v, FINDING_ROTATION, "the file does not begin with a start");
	}
	/* A role that was killed leaves bytes that it could not count. */
	const bool uncounted = r->type == RECORD_START && r->n != r->after;
	if (v->junk && !uncounted && r->torn + 1 != v->junk)
		tell(v, FINDING_LINE, "%" PRIu64 " bytes before it are no record", v->junk);
	v->junk = 0;
}

static void check_requests(struct verifier *v)
{
	const struct record *r = &v->now;
	bool closes = r->type == RECORD_RESULT && v->seq && r->seq == v->seq;

	if (r->type == RECORD_RESULT && !closes)
		tell(v, FINDING_RESULT, "the result of request %" PRIu64 " has no intent", r->seq);
	/* What a request repairs and reads is recorded between its intent and its result. */
	if (v->seq && !closes && r->type != RECORD_REPAIR)
		tell(v, FINDING_OPEN, "the intent of request %" PRIu64 " before it has no result",
		     v->seq);
	if (r->type != RECORD_REPAIR)
		v->seq = r->type == RECORD_INTENT ? r->seq : 0;
}

static void check_clock(struct verifier *v)
{
	const struct record *r = &v->now;

	if (v->records && memcmp(r->time, v->time, RECORD_TIME) < 0) {
		uint64_t was = record_time_ns(v->time), is = record_time_ns(r->time);
		if (was > is && was - is > CLOCK_SLACK_NS)
			tell(v, FINDING_CLOCK, "the clock was set back by %" PRIu64 " s",
			     (was - is) / 1000000000u);
	}
	if (v->records && r->type != RECORD_START && r->boot_ns < v->boot_ns)
		tell(v, FINDING_CLOCK,
		     "the time since boot is less than that of the record before");
	memcpy(v->time, r->time, RECORD_TIME);
	v->boot_ns = r->boot_ns;
}

/* ---- checkpoints ---- */

/* Read the next checkpoint of this role. */
static void next_checkpoint(struct verifier *v)
{
	char line[1024], role[8], hex[2 * RECORD_HASH + 2];
	uint64_t count;

	v->check.there = false;
	while (v->checkpoints && fgets(line, sizeof(line), v->checkpoints)) {
		const char *at = strstr(line, "checkpoint ");
		if (!at ||
		    sscanf(at, "checkpoint %7s %" SCNu64 " %65[0-9a-f] %30s", role, &count, hex,
			   v->check.time) != 4 ||
		    strcmp(role, v->role) != 0 || strlen(hex) != 2 * (size_t)RECORD_HASH ||
		    strlen(v->check.time) != RECORD_TIME || !record_is_time(v->check.time))
			continue;
		uint8_t hash[RECORD_HASH];
		(void)record_hex(hex, hash, RECORD_HASH);
		bool again = v->checkpoints_read++ && count == v->check.count;
		if (count == 0 || (v->checkpoints_read > 1 && count < v->check.count) ||
		    (again && memcmp(hash, v->check.hash, RECORD_HASH) != 0)) {
			tell(v, FINDING_HEADS,
			     "the checkpoint of %.30s counts %" PRIu64
			     " records; one before it counts %" PRIu64 "%s",
			     v->check.time, count, v->check.count,
			     again ? " with another hash" : "");
			continue;
		}
		if (again)
			continue;
		v->check.count = count;
		memcpy(v->check.hash, hash, RECORD_HASH);
		v->check.there = true;
		return;
	}
}

static void check_checkpoint(struct verifier *v, const uint8_t hash[RECORD_HASH])
{
	if (v->checkpoints && !v->checkpoints_read)
		next_checkpoint(v);
	while (v->check.there && v->check.count <= v->now.n + 1) {
		if (v->check.count == v->now.n + 1) {
			if (memcmp(v->check.hash, hash, RECORD_HASH) != 0)
				tell(v, FINDING_CHECKPOINT,
				     "the checkpoint of %.30s has another hash of record %" PRIu64,
				     v->check.time, v->now.n);
			else {
				v->checked = v->check.count;
				memcpy(v->checked_time, v->check.time, sizeof(v->checked_time));
			}
		} else if (v->records && v->check.count > v->first) {
			tell(v, FINDING_GAP,
			     "the checkpoint of %.30s is of record %" PRIu64 ", which is missing",
			     v->check.time, v->check.count - 1);
		}
		next_checkpoint(v);
	}
}

/* ---- lines and files ---- */

static void take_line(struct verifier *v, const char *line, size_t len)
{
	uint8_t hash[RECORD_HASH];

	if (record_read(line, len, &v->now) < 0) {
		v->junk += len + 1;
		return;
	}
	if (strcmp(v->now.role, v->role) != 0)
		tell(v, FINDING_ROLE, "it is of role %s", v->now.role);
	check_place(v);
	if (!v->records)
		check_first(v);
	else if (v->now.type == RECORD_START)
		check_start(v);
	else
		check_next(v);
	check_requests(v);
	check_clock(v);
	hash_record(v, line, len, hash);
	check_checkpoint(v, hash);
	memcpy(v->hash[v->now.n % REQLOG_AHEAD], hash, RECORD_HASH);
	v->last = v->now.n;
	v->type = v->now.type;
	v->file_empty = false;
	v->records++;
}

/* Bytes of a file that may be compressed (logrotate compresses older logs). */
static struct archive *open_stream(int fd)
{
	struct archive_entry *e;
	struct archive *a = audit_reader();

	if (a && archive_read_open_fd(a, fd, CHUNK) == ARCHIVE_OK) {
		int r = archive_read_next_header(a, &e);
		if (r == ARCHIVE_OK || r == ARCHIVE_EOF)
			return a;
	}
	errno = a && archive_errno(a) > 0 ? archive_errno(a) : EIO;
	archive_read_free(a);
	return NULL;
}

static bool is_plain(int fd)
{
	char c;

	return pread(fd, &c, 1, 0) != 1 || c == '{' || c == '\n';
}

/* Take the whole lines of @n bytes.  Return: the bytes of the last one, without a newline yet. */
static size_t take_lines(struct verifier *v, const char *buf, size_t n)
{
	const char *at = buf, *end;

	while ((end = memchr(at, '\n', n - (size_t)(at - buf)))) {
		take_line(v, at, (size_t)(end - at));
		v->at += (uint64_t)(end - at) + 1;
		at = end + 1;
	}
	return n - (size_t)(at - buf);
}

static int read_all(struct verifier *v, int fd, struct archive *a)
{
	static char buf[CHUNK];
	size_t kept = 0;
	ssize_t n;

	while ((n = a ? archive_read_data(a, buf + kept, sizeof(buf) - kept)
		      : read(fd, buf + kept, sizeof(buf) - kept)) > 0) {
		size_t have = kept + (size_t)n;
		v->bytes += (uint64_t)n;
		kept = take_lines(v, buf, have);
		if (kept > RECORD_LINE_MAX) { /* no record: only its length matters */
			v->junk += kept;
			v->at += kept;
			kept = 0;
		}
		memmove(buf, buf + have - kept, kept);
	}
	if (n < 0)
		return -1;
	v->junk += kept;
	v->at += kept;
	return 0;
}

int verify_file(struct verifier *v, int fd, const char *name)
{
	struct archive *a = NULL;

	v->file = name;
	v->at = 0;
	v->file_empty = true;
	v->files++;
	if (!is_plain(fd) && !(a = open_stream(fd)))
		return -1;
	int r = read_all(v, fd, a);
	archive_read_free(a);
	if (v->junk && r == 0)
		tell(v, FINDING_LINE, "%" PRIu64 " bytes behind the last record are no record",
		     v->junk);
	v->junk = 0;
	return r;
}

bool verify_end(struct verifier *v)
{
	uint64_t bad = 0;

	if (v->checkpoints && !v->checkpoints_read)
		next_checkpoint(v);
	for (; v->check.there; next_checkpoint(v))
		tell(v, FINDING_CUT,
		     "the checkpoint of %.30s counts %" PRIu64
		     " records: the end of the log was cut off",
		     v->check.time, v->check.count);
	if (v->seq)
		tell(v, FINDING_OPEN, "the intent of request %" PRIu64 " has no result", v->seq);
	for (; v->next_key < v->nkeys; v->next_key++)
		tell(v, FINDING_KEY,
		     "a key is of record %" PRIu64 ", which the log does not have yet",
		     v->keys[v->next_key].n);
	for (int f = 0; f < FINDING_LOST; f++)
		bad += v->counts[f];
	return bad == 0;
}

void verify_summary(const struct verifier *v, FILE *out)
{
	if (!v->records) {
		fprintf(out, "%s: no record\n", v->role);
		return;
	}
	fprintf(out, "%s: %" PRIu64 " records, %" PRIu64 " to %" PRIu64 ", in %" PRIu64 " files\n",
		v->role, v->records, v->first, v->last, v->files);
	if (v->proven)
		fprintf(out,
			"  proven:  %" PRIu64 " records from %" PRIu64
			" on have the MAC of their number: written by the role, in this order\n",
			v->proven, v->proven_from);
	if (v->unproven)
		fprintf(out,
			"  chained: %" PRIu64
			" records have hashes only: root could have written all of them anew\n",
			v->unproven);
	if (v->checked)
		fprintf(out, "  not cut: up to record %" PRIu64 ", by the checkpoint of %s\n",
			v->checked - 1, v->checked_time);
	if (!v->checked)
		fprintf(out,
			"  open:    without a checkpoint, the end could be cut off unnoticed\n");
	else if (v->checked <= v->last)
		fprintf(out, "  open:    records behind %" PRIu64 " could be cut off unnoticed\n",
			v->checked - 1);
	if (v->ends)
		fprintf(out, "  ended:   %" PRIu64 " times without the record of a stop\n",
			v->ends);
	fprintf(out,
		"  missing: %" PRIu64 " records lost while the role was killed, %" PRIu64
		" intents without a result%s\n",
		v->counts[FINDING_LOST], v->counts[FINDING_OPEN],
		v->counts[FINDING_EARLIER] ? ", the files before" : "");
}
