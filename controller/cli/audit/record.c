#include "controller/cli/audit/record.h"

#include <string.h>
#include <time.h>

#include "common/cleanup.h"

/* The part of a line that is not read yet. */
struct scan {
	const char *at, *end;
};

static const char *const types[] = {
	[RECORD_START] = "start",   [RECORD_READY] = "ready",         [RECORD_INTENT] = "intent",
	[RECORD_RESULT] = "result", [RECORD_ANSWER] = "answer",       [RECORD_READ] = "read",
	[RECORD_REPAIR] = "repair", [RECORD_VIOLATION] = "violation", [RECORD_STOP] = "stop",
};

static inline __attribute__((always_inline)) bool take(struct scan *s, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, text, n) != 0)
		return false;
	s->at += n;
	return true;
}

/* A number without leading zeros that fits 64 bits. */
static bool number(struct scan *s, uint64_t *out)
{
	const char *start = s->at;
	uint64_t v = 0;

	for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s->at - '0'), &v))
			return false;
	*out = v;
	return s->at > start && (*start != '0' || s->at == start + 1);
}

/* A word up to the next quotation mark, which is taken too.  It is printed, so it has no control
 * character, which a terminal would obey. */
static bool word(struct scan *s, char *out, size_t size)
{
	const char *end = memchr(s->at, '"', (size_t)(s->end - s->at));

	if (!end || (size_t)(end - s->at) >= size)
		return false;
	for (const char *at = s->at; at < end; at++)
		if (*at < ' ' || *at > '~')
			return false;
	memcpy(out, s->at, (size_t)(end - s->at));
	out[end - s->at] = '\0';
	s->at = end + 1;
	return true;
}

/* 1 + the value of each digit; 0: no digit. */
static const uint8_t digits[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

int record_hex(const char *text, uint8_t *out, size_t n)
{
	const uint8_t *t = (const uint8_t *)text;

	for (size_t i = 0; i < n; i++) {
		unsigned high = digits[t[2 * i]], low = high ? digits[t[2 * i + 1]] : 0;
		if (!low)
			return -1;
		out[i] = (uint8_t)((high - 1) << 4 | (low - 1));
	}
	return 0;
}

uint64_t record_time_ns(const char *time)
{
	char text[RECORD_TIME + 1];
	struct tm tm = { 0 };

	memcpy(text, time, RECORD_TIME);
	text[RECORD_TIME] = '\0';
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest || *rest != '.')
		return 0;
	uint64_t ns = 0;
	for (int i = 1; i <= 9; i++)
		ns = ns * 10 + (uint64_t)(rest[i] - '0');
	return (uint64_t)timegm(&tm) * 1000000000u + ns;
}

bool record_is_time(const char *time)
{
	static const char shape[] = "0000-00-00T00:00:00.000000000Z";

	for (int i = 0; i < RECORD_TIME; i++)
		if (shape[i] == '0' ? time[i] < '0' || time[i] > '9' : time[i] != shape[i])
			return false;
	return true;
}

/* The members that each record begins with. */
static bool head(struct scan *s, struct record *r)
{
	char type[16];
	size_t i = 0;

	if (!take(s, "{\"type\":\"") || !word(s, type, sizeof(type)))
		return false;
	while (i < RECORD_TYPES && strcmp(types[i], type) != 0)
		i++;
	r->type = (enum record_type)i;
	if (i == RECORD_TYPES || !take(s, ",\"role\":\"") || !word(s, r->role, sizeof(r->role)) ||
	    !take(s, ",\"n\":") || !number(s, &r->n) || !take(s, ",\"time\":\"") ||
	    s->end - s->at < RECORD_TIME || !record_is_time(s->at))
		return false;
	r->time = s->at;
	s->at += RECORD_TIME;
	uint64_t skipped;
	return take(s, "\",\"boot_ns\":") && number(s, &r->boot_ns) &&
	       (!take(s, ",\"skipped\":") || number(s, &skipped)) &&
	       (!take(s, ",\"torn\":") || number(s, &r->torn));
}

/* Take what each record ends with off the end of @s. */
static bool tail(struct scan *s, const char *line, struct record *r)
{
	static const char mac[] = ",\"mac\":\"", prev[] = ",\"prev\":\"", null[] = ",\"prev\":null";
	const size_t mac_len = sizeof(mac) - 1 + 2 * REQLOG_MAC + 2,
		     prev_len = sizeof(prev) - 1 + 2 * RECORD_HASH + 1;

	if ((size_t)(s->end - s->at) < mac_len)
		return false;
	s->end -= mac_len;
	if (memcmp(s->end, mac, sizeof(mac) - 1) != 0 ||
	    record_hex(s->end + sizeof(mac) - 1, r->mac, REQLOG_MAC) < 0 ||
	    memcmp(s->end + mac_len - 2, "\"}", 2) != 0)
		return false;
	r->sealed = (size_t)(s->end - line);
	size_t left = (size_t)(s->end - s->at);
	r->first = left >= sizeof(null) - 1 &&
		   memcmp(s->end - (sizeof(null) - 1), null, sizeof(null) - 1) == 0;
	if (r->first || left < prev_len) {
		s->end -= sizeof(null) - 1;
		return r->first;
	}
	s->end -= prev_len;
	return memcmp(s->end, prev, sizeof(prev) - 1) == 0 &&
	       record_hex(s->end + sizeof(prev) - 1, r->prev, RECORD_HASH) == 0 &&
	       s->end[prev_len - 1] == '"';
}

static bool start_members(struct scan *s, struct record *r)
{
	char text[64];
	uint64_t v;

	if (!take(s, ",\"version\":\"") || !word(s, text, sizeof(text)) || !take(s, ",\"pid\":") ||
	    !number(s, &v) || !take(s, ",\"uid\":") || !number(s, &v) || !take(s, ",\"after\":") ||
	    !number(s, &r->after) || !take(s, ",\"end\":") || !number(s, &r->end) ||
	    !take(s, ",\"size\":") || !number(s, &r->size) || !take(s, ",\"file\":\"") ||
	    !word(s, text, sizeof(text)))
		return false;
	r->moved = strcmp(text, "new") == 0;
	return s->at == s->end && (r->moved || strcmp(text, "same") == 0);
}

int record_read(const char *line, size_t len, struct record *r)
{
	struct scan s = { line, line + len };

	r->torn = 0;
	if (len > RECORD_LINE_MAX || !head(&s, r) || !tail(&s, line, r) || s.at > s.end)
		return -1;
	switch (r->type) {
	case RECORD_START:
		return start_members(&s, r) ? 0 : -1;
	case RECORD_INTENT:
	case RECORD_RESULT:
	case RECORD_ANSWER:
	case RECORD_READ:
		return take(&s, ",\"seq\":") && number(&s, &r->seq) ? 0 : -1;
	default:
		return 0;
	}
}
