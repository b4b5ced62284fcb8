/* The verifier of request logs, which root runs over files that a role that was taken over has
 * written, with checkpoints of a log that others write too.
 *
 * The first byte says which parts the input has: bit 0: a key, bit 1: checkpoints, in front of the
 * log, up to a line "--"; bit 2: the rest goes into two files, cut at a byte 1.  Bit 3: the MACs
 * and hashes of the log are made right, so that the state behind them is reached too.
 *
 * Checked: what is proven and what is not are all the records; the number of a finding's kind is
 * its name's; a log whose MACs are wrong is refused if there is a key; a log that is not refused
 * is not refused either when it is read a second time. */
#include <sys/mman.h>
#include <unistd.h>

#include "controller/cli/audit/verify.h"
#include "privhelper/role/reqlog.h"
#include "proto/reqlog.h"
#include "tests/adversary/fuzz.h"

#include <sha2.h>

enum { WITH_KEY = 1, WITH_CHECKPOINTS = 2, TWO_FILES = 4, SEALED = 8 };

#define ROOM 65536 /* bytes of a log after its MACs were made right */

static const uint8_t first_key[REQLOG_KEY] = { 1, 2, 3 };
static uint64_t told_of[FINDINGS];

static void told(void *arg, enum finding f, const char *file, uint64_t at, uint64_t n,
		 const char *why)
{
	(void)arg;
	(void)at;
	(void)n;
	MUST(f < FINDINGS && file && *finding_name(f));
	for (const char *c = why; *c; c++) /* a terminal prints it */
		MUST(*c >= ' ' && *c <= '~');
	told_of[f]++;
}

static void hex_of(const uint8_t *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
}

/* ---- a log that is right but for what the input says ---- */

static void sha(const void *a, size_t na, const void *b, size_t nb, uint8_t out[RECORD_HASH])
{
	SHA2_CTX ctx;

	SHA256Init(&ctx);
	SHA256Update(&ctx, a, na);
	SHA256Update(&ctx, b, nb);
	SHA256Final(out, &ctx);
}

static void mac_of(uint64_t n, const uint8_t digest[RECORD_HASH], uint8_t mac[RECORD_HASH])
{
	uint8_t key[REQLOG_KEY], inner[64], outer[64];

	memcpy(key, first_key, sizeof(key));
	for (uint64_t i = 0; i < n; i++)
		sha(REQLOG_KEY_LABEL, sizeof(REQLOG_KEY_LABEL) - 1, key, sizeof(key), key);
	memset(inner, 0x36, sizeof(inner));
	memset(outer, 0x5c, sizeof(outer));
	for (size_t i = 0; i < sizeof(key); i++) {
		inner[i] ^= key[i];
		outer[i] ^= key[i];
	}
	sha(inner, sizeof(inner), digest, RECORD_HASH, mac);
	sha(outer, sizeof(outer), mac, RECORD_HASH, mac);
}

/* Put the hash of the line before into "prev", where there is one, and make the MAC. */
static void seal(char *line, size_t n, uint8_t prev[RECORD_HASH])
{
	const size_t mac_at = 2 * REQLOG_MAC + 2, prev_at = mac_at + 8 + 1 + 2 * RECORD_HASH;
	uint8_t digest[RECORD_HASH], mac[RECORD_HASH];
	struct record r;

	if (record_read(line, n, &r) == 0 && r.n < 2 * REQLOG_AHEAD) {
		if (!r.first && n > prev_at)
			hex_of(prev, RECORD_HASH, line + n - prev_at);
		sha(line, r.sealed, "", 0, digest);
		mac_of(r.n, digest, mac);
		hex_of(mac, REQLOG_MAC, line + n - mac_at);
	}
	sha(line, n, "", 0, prev);
}

static void seal_all(char *text, size_t size)
{
	uint8_t prev[RECORD_HASH] = { 0 };
	char *end;

	for (char *at = text; (end = memchr(at, '\n', size - (size_t)(at - text))); at = end + 1)
		if (end > at && *at == '{')
			seal(at, (size_t)(end - at), prev);
}

/* ---- one judgement ---- */

static void file(struct verifier *v, const char *text, size_t size, const char *name)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	MUST(fd >= 0 && write(fd, text, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
	(void)verify_file(v, fd, name);
	(void)close(fd);
}

static bool judge(struct verifier *v, unsigned how, const char *head, const char *log, size_t size)
{
	const char *cut = how & TWO_FILES ? memchr(log, 1, size) : NULL;
	char line[128] = "banger-key net 0 ";
	size_t first = cut ? (size_t)(cut - log) : size;

	memset(told_of, 0, sizeof(told_of));
	verify_begin(v, "net", told, NULL);
	hex_of(first_key, REQLOG_KEY, line + strlen(line));
	MUST(!(how & WITH_KEY) || verify_add_key(v, line) == 0);
	(void)verify_add_key(v, head);
	v->checkpoints = how & WITH_CHECKPOINTS && *head ? fmemopen((void *)head, strlen(head), "r")
							 : NULL;
	file(v, log, first, "net.log-1");
	if (cut)
		file(v, cut + 1, size - first - 1, "net.log");
	bool whole = verify_end(v);
	if (v->checkpoints)
		(void)fclose(v->checkpoints);
	return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct verifier v;
	static char head[4096], log[ROOM];
	uint64_t bad = 0;

	if (size < 1 || size > sizeof(head))
		return 0;
	const unsigned how = data[0];
	const char *text = (const char *)data + 1, *end = memmem(text, size - 1, "\n--\n", 4);
	size_t n = how & WITH_CHECKPOINTS && end ? (size_t)(end - text) : 0, rest = n ? n + 4 : 0;
	memcpy(head, text, n);
	head[n] = '\0';
	memcpy(log, text + rest, size - 1 - rest);
	if (how & SEALED)
		seal_all(log, size - 1 - rest);
	bool whole = judge(&v, how, head, log, size - 1 - rest);
	for (int f = 0; f < FINDINGS; f++) {
		MUST(told_of[f] == v.counts[f]);
		bad += f < FINDING_LOST ? told_of[f] : 0;
	}
	MUST(whole == (bad == 0));
	MUST(v.proven + v.unproven == v.records);
	MUST(!(how & WITH_KEY) || v.counts[FINDING_MAC] <= v.unproven);
	MUST(judge(&v, how, head, log, size - 1 - rest) == whole);
	return 0;
}
