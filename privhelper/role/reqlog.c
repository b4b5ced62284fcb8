/* reqlog.c - writes the request log of a role. */
#include "privhelper/role/reqlog.h"

#include <errno.h>
#include <sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "proto/ops.h"

#define LINE_MAX_ 2048
#define MEMBERS_MAX 1024 /* the arguments or the reply of any operation as JSON */

/* A line under construction.  text[0] is a newline, which is written only after a torn line, to end
 * it. */
struct line {
	char text[LINE_MAX_];
	size_t n;
	bool bad;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int w = vsnprintf(t->text + t->n, sizeof(t->text) - t->n, fmt, ap);
	va_end(ap);
	if (w < 0 || (size_t)w >= sizeof(t->text) - t->n)
		t->bad = true;
	else
		t->n += (size_t)w;
}

/* SHA-256 by libmd, in the form that never allocates (sha2(3bsd)), of @a and then @b. */
static void digest2(const void *a, size_t na, const void *b, size_t nb,
		    uint8_t out[SHA256_DIGEST_LENGTH])
{
	SHA2_CTX ctx;

	SHA256Init(&ctx);
	SHA256Update(&ctx, a, na);
	SHA256Update(&ctx, b, nb);
	SHA256Final(out, &ctx);
}

static void digest_hex(const void *bytes, size_t n, char out[REQLOG_DIGEST])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	digest2(bytes, n, NULL, 0, digest);
	format_hex(digest, sizeof(digest), out);
}

/* HMAC-SHA-256 (RFC 2104) of @digest. */
static void hmac(const uint8_t key[REQLOG_KEY], const uint8_t digest[SHA256_DIGEST_LENGTH],
		 uint8_t out[SHA256_DIGEST_LENGTH])
{
	uint8_t inner[SHA256_BLOCK_LENGTH], outer[SHA256_BLOCK_LENGTH];

	memset(inner, 0x36, sizeof(inner));
	memset(outer, 0x5c, sizeof(outer));
	for (size_t i = 0; i < REQLOG_KEY; i++) {
		inner[i] ^= key[i];
		outer[i] ^= key[i];
	}
	digest2(inner, sizeof(inner), digest, SHA256_DIGEST_LENGTH, out);
	digest2(outer, sizeof(outer), out, SHA256_DIGEST_LENGTH, out);
	explicit_bzero(inner, sizeof(inner));
	explicit_bzero(outer, sizeof(outer));
}

/* Replace a key by the next record's. */
static void move_on(uint8_t key[REQLOG_KEY])
{
	digest2(REQLOG_KEY_LABEL, sizeof(REQLOG_KEY_LABEL) - 1, key, REQLOG_KEY, key);
}

/* Overwrite the key file. */
static int save(const struct reqlog *l)
{
	struct reqlog_state copy = l->state;
	ssize_t n = pwrite(l->key_fd, &copy, sizeof(copy), 0);

	explicit_bzero(copy.key, REQLOG_KEY);
	return n == sizeof(copy) ? 0 : -1;
}

/* Have the key of the next line nowhere but in memory: the key file gets one that is ahead. */
static int keep_ahead(struct reqlog *l)
{
	if (l->state.next < l->state.ahead)
		return 0;
	memcpy(l->state.key, l->key, REQLOG_KEY);
	for (int i = 0; i < REQLOG_AHEAD; i++)
		move_on(l->state.key);
	l->state.ahead = l->state.next + REQLOG_AHEAD;
	if (save(l) == 0 && fdatasync(l->key_fd) == 0)
		return 0;
	l->state.ahead = l->state.next; /* again with the next line */
	return -1;
}

/* Find the end of the log for the start record.  If an earlier process was killed before it had
 * written its own start record, that process is as if it had never been. */
static void find_tail(struct reqlog *l, const struct stat *st)
{
	struct reqlog_state *s = &l->state;
	bool moved = s->dev != st->st_dev || s->ino != st->st_ino;

	l->size = (uint64_t)st->st_size;
	if (s->starting && !moved && s->size == l->size) {
		memcpy(s->prev, s->tail.prev, REQLOG_DIGEST);
	} else {
		s->tail = (struct reqlog_tail){ .after = s->next, .end = s->end, .moved = moved };
		memcpy(s->tail.prev, s->prev, REQLOG_DIGEST);
	}
	s->starting = 1;
	s->size = l->size;
	s->dev = st->st_dev;
	s->ino = st->st_ino;
}

/* Read the key file, and continue with the key in it.  A damaged one must not keep the role from
 * starting, because releases have to work. */
static int load(struct reqlog *l)
{
	struct stat st;
	ssize_t n = pread(l->key_fd, &l->state, sizeof(l->state), 0);

	if (n < 0 || fstat(l->fd, &st) < 0)
		return -1;
	if ((n != 0 && n != sizeof(l->state)) || l->state.prev[REQLOG_DIGEST - 1] ||
	    l->state.tail.prev[REQLOG_DIGEST - 1]) {
		log_error("the key file of the request log is damaged: the chain begins anew");
		memset(&l->state, 0, sizeof(l->state));
	}
	find_tail(l, &st);
	l->state.next = l->state.ahead;
	memcpy(l->key, l->state.key, REQLOG_KEY);
	return 0;
}

int reqlog_init(struct reqlog *l, int fd, int key_fd, const char *role)
{
	memset(l, 0, sizeof(*l));
	l->fd = fd;
	l->key_fd = key_fd;
	l->role = role;
	l->cheap_ns = REQLOG_CHEAP_BURST * (uint64_t)REQLOG_CHEAP_NS;
	l->looked_ns = clock_boot_ns();
	return load(l);
}

int reqlog_resume(struct reqlog *l)
{
	const uint8_t starting = l->state.starting;
	int r = load(l);

	l->state.starting = starting;
	return r;
}

/* Add the time in UTC (RFC 3339).  gmtime(3) can not be used, because its first call opens time
 * zone files.  The calendar counts years from March, so that the leap day is the last day of a
 * year, and eras of 400 years (146,097 days). */
static void add_time(struct line *t, uint64_t wall_ns)
{
	uint64_t s = wall_ns / 1000000000u, days = s / 86400 + 719468; /* since 0000-03-01 */
	uint64_t era = days / 146097, day = days % 146097;
	uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	uint64_t of_year = day - (365 * year + year / 4 - year / 100);
	uint64_t shifted = (5 * of_year + 2) / 153;
	uint64_t month = shifted < 10 ? shifted + 3 : shifted - 9;

	add(t, "%04u-%02u-%02uT%02u:%02u:%02u.%09uZ", (unsigned)(era * 400 + year + (month <= 2)),
	    (unsigned)month, (unsigned)(of_year - (153 * shifted + 2) / 5 + 1),
	    (unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60), (unsigned)(s % 60),
	    (unsigned)(wall_ns % 1000000000u));
}

static struct line *head(struct line *t, const struct reqlog *l, const char *type)
{
	t->n = 0;
	t->bad = false;
	t->text[t->n++] = '\n';
	add(t, "{\"type\":\"%s\",\"role\":\"%s\",\"n\":%llu,\"time\":\"", type, l->role,
	    (unsigned long long)l->state.next);
	add_time(t, clock_wall_ns());
	add(t, "\",\"boot_ns\":%llu", (unsigned long long)clock_boot_ns());
	if (l->skipped)
		add(t, ",\"skipped\":%llu", (unsigned long long)l->skipped);
	if (l->torn)
		add(t, ",\"torn\":%llu", (unsigned long long)l->torn);
	return t;
}

static int lost(struct reqlog *l)
{
	if (!l->failing)
		log_errno("request log: creates are refused until it can be written");
	l->failing = true;
	return -1;
}

/* Add the hash of the line before, and the MAC. */
static void seal(struct line *t, const struct reqlog *l)
{
	uint8_t digest[SHA256_DIGEST_LENGTH], mac[SHA256_DIGEST_LENGTH];
	char hex[2 * REQLOG_MAC + 1];

	if (l->state.prev[0])
		add(t, ",\"prev\":\"%s\"", l->state.prev);
	else
		add(t, ",\"prev\":null");
	digest2(t->text + 1, t->n - 1, NULL, 0, digest);
	hmac(l->key, digest, mac);
	format_hex(mac, REQLOG_MAC, hex);
	add(t, ",\"mac\":\"%s\"}\n", hex);
}

/* Write the line by one write(2).  On a full disk a part of it may be written: the line is torn
 * then.  A line that lacks its newline alone is complete. */
static int append(struct reqlog *l, const struct line *t)
{
	const char *from = l->open ? t->text : t->text + 1;
	size_t len = (size_t)(t->text + t->n - from);
	ssize_t w = write(l->fd, from, len);

	if (w <= 0)
		return -1;
	l->size += (uint64_t)w;
	l->open = (size_t)w != len;
	if ((size_t)w + 1 >= len)
		return 0;
	l->torn += (uint64_t)w;
	errno = ENOSPC;
	return -1;
}

/* Send a checkpoint to the service's log if one is due. */
static void checkpoint(struct reqlog *l, bool now)
{
	uint64_t ns = clock_boot_ns();
	struct line t = { .n = 0 };

	if (!now && l->state.next - l->checked < REQLOG_CHECK_LINES &&
	    (!l->acted || ns - l->checked_ns < REQLOG_CHECK_NS))
		return;
	/* It must not count a line that a power cut can still take. */
	if (fdatasync(l->fd) < 0)
		return;
	l->checked = l->state.next;
	l->checked_ns = ns;
	l->acted = false;
	add_time(&t, clock_wall_ns());
	log_info("checkpoint %s %llu %s %s", l->role, (unsigned long long)l->state.next,
		 l->state.prev, t.text);
}

/* Finish the line and write it.  The key file is written first: its entry says that the line is
 * about to be written, and no longer has the line's key. */
static int end(struct reqlog *l, struct line *t)
{
	if (keep_ahead(l) < 0)
		return lost(l);
	struct reqlog_state was = l->state;
	explicit_bzero(was.key, REQLOG_KEY);
	seal(t, l);
	if (t->bad || l->size + t->n > REQLOG_BYTES_MAX) {
		errno = t->bad ? EMSGSIZE : EFBIG;
		return lost(l);
	}
	l->state.start = l->size;
	l->state.end = l->size + t->n - !l->open;
	l->state.next++;
	digest_hex(t->text + 1, t->n - 2, l->state.prev);
	int r = save(l);
	FAILPOINT("reqlog.key");
	if (r < 0 || append(l, t) < 0) {
		memcpy(was.key, l->state.key, REQLOG_KEY);
		l->state = was;
		return lost(l);
	}
	FAILPOINT("reqlog.record");
	move_on(l->key);
	l->torn = 0;
	l->skipped = 0;
	checkpoint(l, l->checked_ns == 0);
	return 0;
}

/* Wait until all lines are on the disk. */
static int sync_log(struct reqlog *l)
{
	if (fdatasync(l->fd) < 0)
		return lost(l);
	if (l->failing)
		log_info("request log: works again: creates are served");
	l->failing = false;
	return 0;
}

/* Write the start record, from which the others follow.  On a full disk this is repeated before
 * each record, since without it the numbers of the next record would have a gap. */
static int write_start(struct reqlog *l)
{
	struct line t;

	add(head(&t, l, "start"), ",\"version\":\"%s\",\"pid\":%d,\"uid\":%u", BANGER_VERSION,
	    (int)l->pid, l->uid);
	add(&t, ",\"after\":%llu,\"end\":%llu,\"size\":%llu,\"file\":\"%s\"",
	    (unsigned long long)l->state.tail.after, (unsigned long long)l->state.tail.end,
	    (unsigned long long)l->size + l->open, l->state.tail.moved ? "new" : "same");
	int r = end(l, &t) < 0 ? -1 : sync_log(l);
	l->state.starting = r < 0;
	l->state.size = l->size;
	return r;
}

/* Begin a record.  It is not written either if the start record can not be. */
static struct line *begin(struct line *t, struct reqlog *l, const char *type)
{
	bool unstarted = l->state.starting && write_start(l) < 0;

	(void)head(t, l, type);
	l->acted |= strcmp(type, "read") != 0;
	t->bad = unstarted;
	return t;
}

static void add_members(struct line *t, const char *name, const struct field *fields,
			const void *base)
{
	char members[MEMBERS_MAX];

	if (ops_audit(fields, base, members, sizeof(members)) < 0)
		t->bad = true;
	add(t, ",\"%s\":{%s}", name, members);
}

static void add_request(struct line *t, const struct request *q)
{
	char op_id[ID_HEX], vm[ID_HEX];

	format_id(q->op_id, op_id);
	add(t, ",\"seq\":%llu,\"op\":\"%s\",\"op_id\":\"%s\"", (unsigned long long)q->seq,
	    q->op->name, op_id);
	if (q->op->scope != SCOPE_SLOT)
		return;
	format_id(q->vm, vm);
	add(t, ",\"slot\":%u,\"generation\":%u,\"vm\":\"%s\",\"owner\":%u", q->slot, q->generation,
	    vm, q->owner);
}

/* Leave the key of the next record in the key file, and nowhere in memory. */
static int park(struct reqlog *l)
{
	l->state.ahead = l->state.next;
	memcpy(l->state.key, l->key, REQLOG_KEY);
	int r = save(l) < 0 || fdatasync(l->key_fd) < 0 ? lost(l) : 0;
	explicit_bzero(l->state.key, REQLOG_KEY);
	explicit_bzero(l->key, REQLOG_KEY);
	return r;
}

int reqlog_start(struct reqlog *l, pid_t pid, uint32_t uid)
{
	l->pid = pid;
	l->uid = uid;
	int r = write_start(l);
	return park(l) < 0 ? -1 : r;
}

int reqlog_ready(struct reqlog *l)
{
	struct line t;

	return end(l, begin(&t, l, "ready"));
}

int reqlog_repair(struct reqlog *l, const char *what, int slot)
{
	struct line t;

	if (!reqlog_has_room(l))
		return 0;
	add(begin(&t, l, "repair"), ",\"what\":\"%s\"", what);
	if (slot >= 0)
		add(&t, ",\"slot\":%d", slot);
	return end(l, &t) < 0 ? -1 : sync_log(l);
}

int reqlog_intent(struct reqlog *l, const struct request *q)
{
	struct line t;

	if (q->op->effect == EFFECT_READ)
		return 0;
	add_request(begin(&t, l, "intent"), q);
	add_members(&t, "args", q->op->args(), &q->hello);
	if (end(l, &t) < 0 || sync_log(l) < 0)
		return -1;
	l->owed_seq = l->intent_seq = q->seq;
	return 0;
}

/* The bucket holds time: a line without an intent costs REQLOG_CHEAP_NS. */
bool reqlog_has_room(struct reqlog *l)
{
	const uint64_t full = REQLOG_CHEAP_BURST * (uint64_t)REQLOG_CHEAP_NS, now = clock_boot_ns();

	l->cheap_ns += now - l->looked_ns;
	l->looked_ns = now;
	if (l->cheap_ns > full)
		l->cheap_ns = full;
	if (l->cheap_ns < REQLOG_CHEAP_NS) {
		l->skipped++;
		return false;
	}
	l->cheap_ns -= REQLOG_CHEAP_NS;
	return true;
}

/* Add the members of a successful reply.  Of a LIST, the number of objects is enough. */
static void add_reply(struct line *t, const struct request *q, const struct reply *reply)
{
	if (reply->status != ST_OK)
		return;
	if (q->op->code == OP_LIST)
		add(t, ",\"objects\":%zu", reply->list.objects.n / LIST_FIELDS);
	else
		add_members(t, "reply", q->op->reply(), &reply->hello);
}

int reqlog_result(struct reqlog *l, const struct request *q, const struct reply *reply, uint64_t us)
{
	bool read = q->op->effect == EFFECT_READ;
	struct line t;

	if (q->op->code == OP_PING) {
		l->pings++;
		return 0;
	}
	l->reads += read;
	if (q->seq != l->owed_seq && !reqlog_has_room(l))
		return 0;
	const char *type = read ? "read" : q->seq == l->intent_seq ? "result" : "answer";
	l->intent_seq = 0;
	add_request(begin(&t, l, type), q);
	if (read)
		add_members(&t, "args", q->op->args(), &q->hello);
	add(&t, ",\"status\":\"%s\",\"us\":%llu", status_name(reply->status),
	    (unsigned long long)us);
	add_reply(&t, q, reply);
	return end(l, &t);
}

int reqlog_violation(struct reqlog *l, const char *why, const void *packet, size_t len)
{
	char hex[REQLOG_DIGEST];
	struct line t;

	digest_hex(packet, len, hex);
	add(begin(&t, l, "violation"), ",\"why\":\"%s\",\"length\":%zu,\"sha256\":\"%s\"", why, len,
	    hex);
	return end(l, &t) < 0 ? -1 : sync_log(l);
}

int reqlog_stop(struct reqlog *l)
{
	struct line t;

	add(begin(&t, l, "stop"), ",\"pings\":%llu,\"reads\":%llu", (unsigned long long)l->pings,
	    (unsigned long long)l->reads);
	if (end(l, &t) < 0 || sync_log(l) < 0)
		return -1;
	checkpoint(l, true);
	return park(l); /* so no number is left unused */
}
