#include "controller/unpack/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"

#define WHAT "image"
#define CHUNK 65536

static void say(struct stream *s, const char *why)
{
	(void)snprintf(s->why, sizeof(s->why), "%s", why ? why : "it can not be read");
}

static int told(const struct stream *s, struct error *e)
{
	return error_set(e, FAIL_USAGE, WHAT, "%s", s->why);
}

static void begin(struct stream *s, uint64_t most)
{
	memset(s, 0, sizeof(*s));
	s->most = most;
	SHA256Init(&s->sha);
}

ssize_t stream_next(struct stream *s, const void **data)
{
	ssize_t n = s->why[0] ? -1 : s->read(s, data);

	if (n <= 0)
		return n;
	s->passed += (uint64_t)n;
	if (s->passed > s->most) {
		(void)snprintf(s->why, sizeof(s->why), "it has more than %llu MiB when unpacked",
			       (unsigned long long)(s->most >> 20));
		return -1;
	}
	SHA256Update(&s->sha, *data, (size_t)n);
	return n;
}

/* ---- a file ---- */

static ssize_t read_file(struct stream *s, const void **data)
{
	ssize_t n;

	do
		n = read(s->fd, s->buffer, CHUNK);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		say(s, strerror(errno));
	*data = s->buffer;
	return n;
}

int stream_file(struct stream *s, int fd, struct error *e)
{
	begin(s, UINT64_MAX);
	s->read = read_file;
	s->fd = fd;
	s->buffer = malloc(CHUNK);
	if (!s->buffer)
		return error_set(e, FAIL_LIMIT, WHAT, "out of memory");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return error_set(e, FAIL_GENERAL, WHAT, "%s", strerror(errno));
	return 0;
}

/* ---- libarchive ---- */

static la_ssize_t feed(struct archive *a, void *arg, const void **data)
{
	struct stream *s = arg;
	ssize_t n = stream_next(s, data);

	if (n < 0)
		archive_set_error(a, EIO, "%s", s->why);
	return n;
}

/* The bytes of an entry; holes are none, since the entries that are read this way have none. */
static ssize_t read_entry(struct stream *s, const void **data)
{
	la_int64_t offset;
	size_t n;
	int r;

	do
		r = archive_read_data_block(s->archive, data, &n, &offset);
	while (r == ARCHIVE_OK && n == 0);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r < ARCHIVE_WARN || (uint64_t)offset != s->passed) {
		say(s, r < ARCHIVE_WARN ? archive_error_string(s->archive) : "a member has holes");
		return -1;
	}
	return (ssize_t)n;
}

void stream_member(struct stream *s, struct archive *a)
{
	begin(s, UINT64_MAX);
	s->read = read_entry;
	s->archive = a;
}

static int open_archive(struct archive *a, struct stream *from, struct error *e)
{
	if (archive_read_open(a, from, NULL, feed, NULL) == ARCHIVE_OK)
		return 0;
	return error_set(e, FAIL_USAGE, WHAT, "%s", archive_error_string(a));
}

/* The raw format has one entry: what the filters let through. */
static int open_plain(struct stream *s, struct error *e)
{
	struct archive_entry *entry;
	struct archive *a = s->archive;

	(void)archive_read_support_filter_gzip(a);
	(void)archive_read_support_filter_zstd(a);
	(void)archive_read_support_filter_xz(a);
	(void)archive_read_support_filter_bzip2(a);
	(void)archive_read_support_format_raw(a);
	(void)archive_read_support_format_empty(a);
	if (open_archive(a, s->from, e) < 0)
		return -1;
	int r = archive_read_next_header(a, &entry);
	if (r == ARCHIVE_EOF)
		return error_set(e, FAIL_USAGE, WHAT, "it is empty");
	return r >= ARCHIVE_WARN ? 0
				 : error_set(e, FAIL_USAGE, WHAT, "%s", archive_error_string(a));
}

static ssize_t read_plain(struct stream *s, const void **data)
{
	return read_entry(s, data);
}

int stream_plain(struct stream *s, struct stream *from, uint64_t most, struct error *e)
{
	begin(s, most);
	s->read = read_plain;
	s->from = from;
	s->archive = archive_read_new();
	if (!s->archive)
		return error_set(e, FAIL_LIMIT, WHAT, "out of memory");
	return open_plain(s, e);
}

int stream_tar(struct stream *s, struct archive **out, struct error *e)
{
	struct archive *a = archive_read_new();

	if (!a)
		return error_set(e, FAIL_LIMIT, WHAT, "out of memory");
	(void)archive_read_support_format_tar(a);
	(void)archive_read_support_format_gnutar(a);
	(void)archive_read_support_format_empty(a);
	if (open_archive(a, s, e) < 0) {
		archive_read_free(a);
		return -1;
	}
	*out = a;
	return 0;
}

/* ---- to the end ---- */

int stream_digest(struct stream *s, char hex[DIGEST_HEX], struct error *e)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	const void *data;
	ssize_t n;

	while ((n = stream_next(s, &data)) > 0)
		;
	if (n < 0)
		return told(s, e);
	SHA256Final(digest, &s->sha);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

char *stream_text(struct stream *s, size_t most, struct error *e)
{
	_cleanup_free_ char *text = malloc(most + 1);
	size_t have = 0;
	const void *data;
	ssize_t n;

	if (!text) {
		(void)error_set(e, FAIL_LIMIT, WHAT, "out of memory");
		return NULL;
	}
	while ((n = stream_next(s, &data)) > 0) {
		if ((size_t)n > most - have) {
			(void)error_set(e, FAIL_USAGE, WHAT,
					"a part of its description has more than %zu KiB",
					most >> 10);
			return NULL;
		}
		memcpy(text + have, data, (size_t)n);
		have += (size_t)n;
	}
	if (n < 0) {
		(void)told(s, e);
		return NULL;
	}
	text[have] = '\0';
	return steal_ptr(&text);
}

void stream_end(struct stream *s)
{
	if (s->from && s->archive)
		archive_read_free(s->archive);
	free(s->buffer);
	*s = (struct stream){ 0 };
}
