#include "controller/cli/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

int blob_read(const char *path, size_t max, struct blob *out, struct error *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC |
						    O_NONBLOCK); /* refuse a FIFO without waiting */
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(e, FAIL_GENERAL, path, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(e, FAIL_USAGE, path, "not a regular file");
	if (st.st_size < 1 || (uint64_t)st.st_size > max)
		return error_set(e, FAIL_USAGE, path, "%lld bytes; 1 to %zu are expected",
				 (long long)st.st_size, max);
	uint8_t *data = malloc((size_t)st.st_size);
	if (!data)
		return error_set(e, FAIL_GENERAL, path, "out of memory");
	if (fdio_read_all(fd, data, (size_t)st.st_size) < 0) {
		free(data);
		return error_set(e, FAIL_GENERAL, path, "%s",
				 errno == EPIPE ? "it became shorter while it was read"
						: strerror(errno));
	}
	*out = (struct blob){ data, (size_t)st.st_size };
	return 0;
}

/* Open @in as an archive of one unnamed file: libarchive's "raw" format with any known filter. */
static struct archive *raw_open(const uint8_t *in, size_t len)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;

	if (!a)
		return NULL;
	archive_read_support_format_raw(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_lz4(a);
	if (archive_read_open_memory(a, in, len) == ARCHIVE_OK &&
	    archive_read_next_header(a, &entry) == ARCHIVE_OK)
		return a;
	archive_read_free(a);
	return NULL;
}

int blob_unpack(const char *what, const uint8_t *in, size_t len, size_t max, struct blob *out,
		struct error *e)
{
	struct archive *a = raw_open(in, len);
	size_t room = len * 4 < max ? len * 4 : max, have = 0;
	uint8_t *data = a ? malloc(room) : NULL;
	la_ssize_t n = -1;

	while (data && (n = archive_read_data(a, data + have, room - have)) > 0) {
		have += (size_t)n;
		if (have < room)
			continue;
		if (room == max) {
			n = -1;
			break;
		}
		room = room * 2 < max ? room * 2 : max;
		uint8_t *more = realloc(data, room);
		if (!more) {
			n = -1;
			break;
		}
		data = more;
	}
	int ret = 0;
	if (n < 0)
		ret = error_set(e, FAIL_GENERAL, what, "can not be decompressed (%s)",
				a && archive_error_string(a) ? archive_error_string(a)
							     : "too large or no memory");
	if (a)
		archive_read_free(a);
	if (ret < 0)
		free(data);
	else
		*out = (struct blob){ data, have };
	return ret;
}
