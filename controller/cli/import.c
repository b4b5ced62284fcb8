/* import.c - `image import`: takes an ext4 as it is, or has banger-unpack make one of a tar, of
 * container layers or of a whole disk; image_pull().
 *
 * For a tar or layers, mke2fs makes an empty file system, in a file of a temporary folder; for a
 * disk the file is empty.  Then banger-unpack writes into it: a program of its own, which gets the
 * input and that file as open descriptors and gives up everything else before it reads a byte of
 * the input (controller/unpack/).  Ids and times of the file system come from the input's digest
 * and from FIXED_TIME, so that the same input makes the same image.
 *
 * skopeo(1) fetches an image of a registry into a layout in another temporary folder. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/landlock.h"
#include "controller/cli/cli.h"
#include "controller/cli/images.h"
#include "controller/cli/out.h"
#include "controller/cli/proc.h"

#define FIXED_TIME "946684800" /* 2000-01-01, as in unpack/ext4.c */
#define BASE_MIB 1024
#define UNIT_MIB 64
#define DISK_MIB 65536 /* what the root of a disk may have without --size, as max_disk_mib */
#define TAG_MOST 256
#define HELPER "banger-unpack"
/* What skopeo makes. */
#define LAYOUT "layout"

/* What the user named, and what is made of it. */
struct import {
	struct cli *c;
	struct image_made made;
	const char *path;    /* without a prefix and a tag */
	char room[4096];     /* of @path */
	char pick[TAG_MOST]; /* the tag; "": none */
	int input;
	char dir[4096], file[4200];
	json_t *result; /* the daemon's answer */
};

/* ---- what is it? ---- */

static bool has(const uint8_t *head, ssize_t n, size_t at, const char *magic, size_t len)
{
	return n >= (ssize_t)(at + len) && memcmp(head + at, magic, len) == 0;
}

/* Return: true if the file begins as a tar or as compressed data.  An ext4 may begin with anything,
 * so its own magic comes first. */
static bool is_archive(int fd)
{
	uint8_t head[1082];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	if (has(head, n, 1080, "\x53\xef", 2))
		return false;
	return has(head, n, 257, "ustar", 5) || has(head, n, 0, "\x1f\x8b", 2) ||
	       has(head, n, 0, "\x28\xb5\x2f\xfd", 4) ||
	       has(head, n, 0,
		   "\xfd"
		   "7zXZ",
		   5) ||
	       has(head, n, 0, "BZh", 3);
}

/* Return: true if the file begins as a qcow2, or has a partition table: a GPT with sectors of 512
 * or 4096 bytes, or an MBR. */
static bool is_disk(int fd)
{
	uint8_t head[4104];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	if (has(head, n, 0, "QFI\xfb", 4))
		return true;
	return !has(head, n, 1080, "\x53\xef", 2) &&
	       (has(head, n, 512, "EFI PART", 8) || has(head, n, 4096, "EFI PART", 8) ||
		has(head, n, 510, "\x55\xaa", 2));
}

/* ---- the ids of the file system ---- */

static int hash_file(struct cli *c, int fd, struct sha256_ctx *ctx)
{
	static uint8_t buf[1 << 18];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		sha256_update(ctx, (size_t)n, buf);
		at += n;
		if (signals_pending(c)) {
			errno = EINTR;
			return -1;
		}
	}
	return n < 0 ? -1 : 0;
}

static void format_uuid(const uint8_t b[16], char out[37])
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;

	for (int i = 0; i < 16; i++) {
		/* Version 8, of the variant of RFC 9562: bits of one's own choice. */
		uint8_t v = i == 6 ? (b[i] & 0x0f) | 0x80 : i == 8 ? (b[i] & 0x3f) | 0x80 : b[i];
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[v >> 4];
		*p++ = hex[v & 15];
	}
	*p = '\0';
}

/* Open the index of a layout.  Return: a regular file, or -1. */
static int open_index(int folder)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	_cleanup_close_ int fd = openat(folder, "index.json", flags);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? steal_fd(&fd) : -1;
}

/* Two ids from the digest of the input: of the file system, and of its hashed folders.  A layout's
 * index has the digests of everything else. */
static int make_ids(struct import *im, char ids[2][37], struct error *e)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;
	struct stat st;

	sha256_init(&ctx);
	sha256_update(&ctx, strlen(im->pick), (const uint8_t *)im->pick);
	bool folder = fstat(im->input, &st) == 0 && S_ISDIR(st.st_mode);
	_cleanup_close_ int index = folder ? open_index(im->input) : -1;
	if (hash_file(im->c, folder ? index : im->input, &ctx) < 0) {
		if (im->c->signal)
			return signals_error(im->c, "import", e);
		return error_set(e, FAIL_USAGE, im->path, "%s",
				 folder ? "no OCI layout: it has no index.json" : strerror(errno));
	}
	sha256_digest(&ctx, sizeof(digest), digest);
	format_uuid(digest, ids[0]);
	format_uuid(digest + 16, ids[1]);
	return 0;
}

/* ---- the empty file system ---- */

/* Bytes of the input: of a folder, of its blobs. */
static uint64_t input_size(int input)
{
	struct stat st;
	uint64_t sum = 0;

	if (fstat(input, &st) == 0 && S_ISREG(st.st_mode))
		return (uint64_t)st.st_size;
	int fd = openat(input, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	for (const struct dirent *f; d && (f = readdir(d));)
		if (fstatat(fd, f->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	if (d)
		(void)closedir(d);
	return sum;
}

static uint64_t choose_mib(const struct import *im)
{
	uint64_t mib = BASE_MIB + (input_size(im->input) >> 18);

	return im->c->opt.size_mib ? im->c->opt.size_mib
				   : (mib + UNIT_MIB - 1) / UNIT_MIB * UNIT_MIB;
}

/* The file is new, so its holes are zeros already, and mke2fs writes none. */
static int make_empty(struct import *im, uint64_t mib, struct error *e)
{
	char ids[2][37], extended[128], size[24];

	if (make_ids(im, ids, e) < 0)
		return -1;
	(void)snprintf(extended, sizeof(extended),
		       "hash_seed=%s,root_owner=0:0,assume_storage_prezeroed=1", ids[1]);
	(void)snprintf(size, sizeof(size), "%lluM", (unsigned long long)mib);
	const char *const argv[] = { "mke2fs", "-q",     "-t", "ext4",   "-b", "4096",
				     "-i",     "8192",   "-L", "root",   "-U", ids[0],
				     "-E",     extended, "-F", im->file, size, NULL };
	const struct proc_io io = { .quiet_out = true };
	if (setenv("E2FSPROGS_FAKE_TIME", FIXED_TIME, 1) < 0)
		return error_set(e, FAIL_GENERAL, "import", "out of memory");
	int r = proc_must(im->c, argv, &io, "e2fsprogs", e);
	(void)unsetenv("E2FSPROGS_FAKE_TIME");
	return r;
}

/* ---- the helper program ---- */

/* Find it beside this program, or where `make install` puts it. */
static void find_helper(char path[4200])
{
	const char *given = getenv("BANGER_LIBEXEC");
	char exe[4000] = "";
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash = n > 0 ? strrchr(exe, '/') : NULL;

	if (slash)
		*slash = '\0';
	(void)snprintf(path, 4200, "%s/" HELPER, given ? given : exe);
	if (!given && access(path, X_OK) < 0)
		(void)snprintf(path, 4200, "%s/../libexec/banger/" HELPER, exe);
}

/* Cut a line off *@text.  Return: the line, or NULL. */
static char *cut_line(char **text)
{
	char *line = *text, *end = line ? strchr(line, '\n') : NULL;

	if (!end)
		return NULL;
	*end = '\0';
	*text = end + 1;
	text_printable(line, line, (size_t)(end - line) + 1); /* names in a tar are bytes */
	text_clean(line);
	return line;
}

/* The helper says in three lines: what, why, hint. */
static int take_report(const struct import *im, int status, char *text, struct error *e)
{
	const char *what = cut_line(&text), *why = what ? cut_line(&text) : NULL,
		   *hint = why ? cut_line(&text) : NULL;

	if (status > 128)
		return error_set(e, FAIL_GENERAL, im->path, "its reader was ended by signal %d",
				 status - 128);
	if (status >= FAIL_COUNT || !hint)
		return error_set(e, FAIL_HOST, HELPER, "it ended with status %d", status);
	if (strcmp(what, "image") == 0)
		(void)error_set(e, (enum fail)status, im->path, "%s", why);
	else
		(void)error_set(e, (enum fail)status, im->path, "%s: %s", what, why);
	if (*hint)
		error_hint(e, "%s", hint);
	return -1;
}

/* After a success the helper says in two lines: the configuration's digest, and those of layers. */
static void take_digests(struct import *im, char *text)
{
	const char *config = cut_line(&text), *layers = config ? cut_line(&text) : NULL;

	if (!layers)
		return;
	(void)snprintf(im->made.config, sizeof(im->made.config), "%s", config);
	(void)snprintf(im->made.layers, sizeof(im->made.layers), "%s", layers);
}

/* Run the helper.  @how: "layers" or "disk". */
static int fill(struct import *im, const char *how, uint64_t mib, struct error *e)
{
	char helper[4200], size[24], text[4096] = "";
	const bool layers = strcmp(how, "layers") == 0;

	_cleanup_close_ int image = open(im->file, O_RDWR | O_CLOEXEC);
	if (image < 0)
		return error_set(e, FAIL_GENERAL, im->file, "%s", strerror(errno));
	find_helper(helper);
	(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)mib);
	const char *const argv[] = { helper, how, size, layers ? im->pick : NULL, NULL };
	/* Its words are those that are captured.  A descriptor of the terminal would let it push
	 * input there, and read what is typed. */
	const struct proc_io io = { .capture = text,
				    .capture_size = sizeof(text),
				    .null_err = true,
				    .in = im->input,
				    .third = image };
	int status = proc_run(im->c, argv, &io, e);
	if (status < 0)
		return -1;
	if (status > 0)
		return take_report(im, status, text, e);
	take_digests(im, text);
	return 0;
}

static int unpack(struct import *im, struct error *e)
{
	uint64_t mib = choose_mib(im);

	out_note(im->c, "making a file system of %llu MiB from %s", (unsigned long long)mib,
		 im->path);
	return make_empty(im, mib, e) < 0 ? -1 : fill(im, "layers", mib, e);
}

static int take_disk(struct import *im, struct error *e)
{
	uint64_t most = im->c->opt.size_mib ? im->c->opt.size_mib : DISK_MIB;
	_cleanup_close_ int fd = open(im->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set(e, FAIL_GENERAL, im->file, "%s", strerror(errno));
	out_note(im->c, "copying the root file system of the disk %s", im->path);
	return fill(im, "disk", most, e);
}

/* Make the image by @make in a temporary folder, and pass it on. */
static int import_made(struct import *im, int (*make)(struct import *im, struct error *e),
		       struct error *e)
{
	if (tempdir_make(im->dir, sizeof(im->dir), e) < 0)
		return -1;
	(void)snprintf(im->file, sizeof(im->file), "%s/root.ext4", im->dir);
	int r = make(im, e);
	_cleanup_close_ int fd = r == 0 ? open_input(im->c, im->file, e) : -1;
	if (fd < 0 || image_check(fd, im->path, e) < 0 ||
	    image_send(im->c, &im->made, fd, &im->result, e) < 0)
		r = -1;
	tempdir_remove(im->c, im->dir);
	return r;
}

/* ---- a file ---- */

/* The prefixes of skopeo(1).  What the input really is, its content says. */
static const char *const prefixes[] = { "oci:", "oci-archive:", "docker-archive:" };

/* Separate PREFIX:FILE:TAG.  A file whose name has a colon is found as a whole. */
static int parse_path(struct import *im, struct error *e)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(prefixes) && strncmp(im->path, prefixes[i], strlen(prefixes[i])) != 0)
		i++;
	if (i == ARRAY_SIZE(prefixes))
		return 0;
	if (snprintf(im->room, sizeof(im->room), "%s", im->path + strlen(prefixes[i])) >=
	    (int)sizeof(im->room))
		return error_set(e, FAIL_USAGE, "import", "the path is too long");
	im->path = im->room;
	char *colon = strchr(im->room, ':');
	if (!colon || access(im->room, F_OK) == 0)
		return 0;
	*colon = '\0';
	if (strlen(colon + 1) >= sizeof(im->pick))
		return error_set(e, FAIL_USAGE, "import", "the image's name is too long");
	(void)strcpy(im->pick, colon + 1);
	return 0;
}

/* The record of the image has the last part of the path, which names nothing to the daemon. */
static void note_file(struct import *im)
{
	size_t end = strlen(im->path);

	while (end > 1 && im->path[end - 1] == '/')
		end--;
	size_t at = end;
	while (at > 0 && im->path[at - 1] != '/')
		at--;
	(void)snprintf(im->made.origin, sizeof(im->made.origin), "file:%.*s", (int)(end - at),
		       im->path + at);
	text_printable(im->made.origin, im->made.origin, sizeof(im->made.origin));
	text_clean(im->made.origin);
}

static int import_file(struct import *im, struct error *e)
{
	if (parse_path(im, e) < 0)
		return -1;
	if (!im->made.origin[0])
		note_file(im);
	im->input = open(im->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (im->input < 0)
		im->input = open_input(im->c, im->path, e);
	if (im->input < 0)
		return -1;
	struct stat st;
	if ((fstat(im->input, &st) == 0 && S_ISDIR(st.st_mode)) || im->pick[0] ||
	    is_archive(im->input))
		return import_made(im, unpack, e);
	if (is_disk(im->input))
		return import_made(im, take_disk, e);
	return image_check(im->input, im->path, e) < 0
		       ? -1
		       : image_send(im->c, &im->made, im->input, &im->result, e);
}

/* ---- registries ---- */

#define REGISTRY "docker://"

/* Copy the image into a layout below the folder @dir, or into a tar of one. */
static int fetch(struct cli *c, const char *reference, const char *dir, struct error *e)
{
	const char *const argv[] = { "skopeo",
				     "--tmpdir",
				     dir,
				     "--override-os",
				     "linux",
				     "--override-arch",
				     "amd64",
				     "copy",
				     c->opt.progress == PROGRESS_NONE ? "--quiet" : "--all=false",
				     reference,
				     landlock_abi() ? "oci:" LAYOUT : "oci-archive:" LAYOUT,
				     NULL };
	const struct proc_io io = { .quiet_out = true, .dir = dir };
	const char *was = getenv("HOME"), *home = home_dir();

	/* Root's skopeo reads no credentials below the HOME of another user. */
	if (geteuid() == 0 && home && home != was && setenv("HOME", home, 1) < 0)
		return error_set(e, FAIL_GENERAL, "import", "out of memory");
	return proc_must(c, argv, &io, "skopeo", e);
}

static int import_fetched(struct import *im, struct error *e)
{
	char dir[4000];

	if (tempdir_make(dir, sizeof(dir), e) < 0)
		return -1;
	int r = fetch(im->c, im->path, dir, e);
	if (r == 0) {
		(void)snprintf(im->room, sizeof(im->room), "%s/" LAYOUT, dir);
		im->path = im->room;
		r = import_file(im, e);
	}
	tempdir_remove(im->c, dir);
	return r;
}

/* ---- the commands ---- */

static int import(struct import *im, struct error *e)
{
	const bool registry = strncmp(im->path, REGISTRY, strlen(REGISTRY)) == 0;

	if (registry && reference_origin(im->path, im->made.origin, e) < 0)
		return -1;
	if (need_kernel(im->c, e) < 0 || signals_hold(im->c, e) < 0)
		return -1;
	int r = registry ? import_fetched(im, e) : import_file(im, e);
	if (im->input >= 0)
		(void)close(im->input);
	return r;
}

static int import_and_print(struct import *im)
{
	struct cli *c = im->c;
	struct error e = { 0 };

	if (import(im, &e) == 0)
		return print_import(c, im->made.name, im->result);
	int code = out_error(c, &e);
	return c->signal ? 128 + c->signal : code;
}

int cmd_image_import(struct cli *c)
{
	struct import im = { .c = c, .path = c->pos[1], .input = -1 };

	im.made.name = c->pos[0];
	return import_and_print(&im);
}

int image_pull(struct cli *c, const char *name, const char *origin, json_t **result,
	       struct error *e)
{
	struct import im = { .c = c, .made = { .name = name }, .input = -1 };

	(void)snprintf(im.room, sizeof(im.room), REGISTRY "%s", origin);
	im.path = im.room;
	if (import(&im, e) < 0)
		return -1;
	*result = im.result;
	return 0;
}
