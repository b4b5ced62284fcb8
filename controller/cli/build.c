/* build.c - `image build debian`: runs mmdebstrap, guest/customize and mke2fs as the calling user.
 *
 * mmdebstrap writes a tar file.  Only the last step, which unpacks it and runs mke2fs -d, must see
 * the true owners of files.  That step runs directly for root, else in a user namespace
 * (unshare --map-root-user --map-auto, which needs a range in /etc/subuid), else under fakeroot.
 * mmdebstrap's own mode follows the same choice. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/cli.h"
#include "controller/cli/guest.h"
#include "controller/cli/images.h"
#include "controller/cli/out.h"
#include "controller/cli/proc.h"

#define PACKAGES \
	"systemd-sysv,udev,dbus,openssh-server,iproute2,iputils-ping,e2fsprogs,ca-certificates"
#define DEFAULT_MIB 1024

enum way { WAY_ROOT, WAY_UNSHARE, WAY_FAKE, WAY_NONE };

struct build {
	struct cli *c;
	struct image_made made;
	json_t *result; /* the daemon's answer */
	enum way way;
	char tmp[4096], tar[4200], img[4300];
	char final[4096]; /* file of --output, which b->img replaces; "": import the image */
};

/* One shell unpacks the tar and makes the file system, so that both see the same owners. $1 tar, $2
 * folder, $3 image, $4 MiB.  Device nodes are left out, because only root can make them and the
 * guest's kernel makes its own /dev. */
static const char finish[] = "set -e; mkdir \"$2\"; tar -x --numeric-owner --exclude='./dev/*' -C "
			     "\"$2\" -f \"$1\"; rm \"$1\"\n"
			     "mke2fs -q -t ext4 -L root -d \"$2\" -E root_owner=0:0 \"$3\" \"$4\"M "
			     ">/dev/null; rm -rf \"$2\"\n";

/* Return: true if the caller has a range in @path, by name or by number (subuid(5)). */
static bool has_range(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	const struct passwd *pw = getpwuid(getuid());
	char line[256], uid[24];

	(void)snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, ":\n")] = '\0';
		if (strcmp(line, uid) == 0 || (pw && strcmp(line, pw->pw_name) == 0))
			return true;
	}
	return false;
}

static int choose_way(struct build *b, struct error *e)
{
	if (geteuid() == 0)
		b->way = WAY_ROOT;
	else if (has_range("/etc/subuid") && has_range("/etc/subgid") && proc_exists("newuidmap"))
		b->way = WAY_UNSHARE;
	else if (proc_exists("fakechroot") && proc_exists("fakeroot"))
		b->way = WAY_FAKE;
	else
		b->way = WAY_NONE;
	if (b->way != WAY_NONE)
		return 0;
	error_set(e, FAIL_HOST, "build", "this user can not make files of other owners");
	error_hint(e, "an administrator: usermod --add-subuids 200000-265535 --add-subgids "
		      "200000-265535 <you> "
		      "(package uidmap), or install fakechroot and fakeroot");
	return -1;
}

static void done(struct build *b, const char *what, uint64_t began)
{
	struct ev_stage s = { .us = (clock_boot_ns() - began) / 1000 };

	(void)snprintf(s.stage, sizeof(s.stage), "%s", what);
	out_stage(b->c, &s);
	out_stage_end(b->c);
}

/* The host's release, from os-release(5). */
static int suite(struct cli *c, char out[64], struct error *e)
{
	char line[256];

	if (c->opt.suite)
		return text_put(out, 64, "suite", c->opt.suite, e);
	_cleanup_fclose_ FILE *f = fopen("/etc/os-release", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VERSION_CODENAME=%63[a-z]", out) == 1)
			return 0;
	error_set(e, FAIL_USAGE, "build", "which Debian release?");
	error_hint(e, "--suite bookworm");
	return -1;
}

/* ---- sources of the packages: those of this host's apt ---- */

/* Return: true if this host runs Debian @release.  The host's apt sources fit no other release. */
static bool is_hosts(const char *release)
{
	_cleanup_fclose_ FILE *f = fopen("/etc/os-release", "re");
	char line[256], name[64] = "", id[64] = "";

	while (f && fgets(line, sizeof(line), f)) {
		(void)sscanf(line, "VERSION_CODENAME=%63[a-z]", name);
		(void)sscanf(line, "ID=%63[a-z]", id);
	}
	return strcmp(id, "debian") == 0 && strcmp(name, release) == 0;
}

/* Ask apt for its source files (apt-config(8)).  Each pattern is a glob for one kind of file in
 * sources.list(5). */
static void source_patterns(struct cli *c, char patterns[3][4096])
{
	const char *const argv[] = { "apt-config", "shell",
				     "LIST",       "Dir::Etc::sourcelist/f",
				     "PARTS",      "Dir::Etc::sourceparts/d",
				     NULL };
	char text[8192] = "", list[4000] = "/etc/apt/sources.list",
	     parts[4000] = "/etc/apt/sources.list.d/";
	const struct proc_io io = { .capture = text,
				    .capture_size = sizeof(text),
				    .null_err = true };
	struct error ignored;

	if (proc_run(c, argv, &io, &ignored) == 0)
		(void)sscanf(text, "LIST='%3999[^']' PARTS='%3999[^']'", list, parts);
	(void)snprintf(patterns[0], sizeof(patterns[0]), "%s", list);
	(void)snprintf(patterns[1], sizeof(patterns[1]), "%s*.list", parts);
	(void)snprintf(patterns[2], sizeof(patterns[2]), "%s*.sources", parts);
}

/* List the host's source files. mmdebstrap uses them unchanged, and leaves them in the image. */
static int host_sources(struct cli *c, const char *release, glob_t *files)
{
	char patterns[3][4096];

	if (!is_hosts(release))
		return 0;
	source_patterns(c, patterns);
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		if (glob(patterns[i], i ? GLOB_APPEND : 0, NULL, files) == GLOB_NOSPACE)
			return -1;
	return 0;
}

/* Pass the proxy of the host's apt on in the environment, because mmdebstrap's apt does not read
 * the host's settings.  A proxy that the environment already has stays. */
static void host_proxy(struct cli *c, const char *key, const char *variable)
{
	const char *const argv[] = { "apt-config", "dump", "--format", "%v%n", key, NULL };
	char text[1024] = "";
	const struct proc_io io = { .capture = text,
				    .capture_size = sizeof(text),
				    .null_err = true };
	struct error ignored;

	if (getenv(variable) || proc_run(c, argv, &io, &ignored) != 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	if (text[0] && strcmp(text, "DIRECT") != 0)
		(void)setenv(variable, text, 1);
}

enum { SOURCES_MOST = 48 };

static int bootstrap(struct build *b, struct error *e)
{
	static const char *const modes[] = { "--mode=root", "--mode=unshare", "--mode=fakechroot" };
	_cleanup_free_ char *include = NULL;
	__attribute__((cleanup(globfree))) glob_t sources = { 0 };
	char release[64];
	uint64_t began = clock_boot_ns();

	if (suite(b->c, release, e) < 0)
		return -1;
	if (!b->made.origin[0])
		(void)snprintf(b->made.origin, sizeof(b->made.origin), BUILD "debian/%s", release);
	/* Pass the script in the environment: the ids of mmdebstrap's user namespace can not read
	 * our files. */
	if (asprintf(&include, "--include=" PACKAGES "%s%s", b->c->opt.include ? "," : "",
		     b->c->opt.include ? b->c->opt.include : "") < 0 ||
	    setenv("BANGER_CUSTOMIZE", guest_customize, 1) < 0 ||
	    host_sources(b->c, release, &sources) < 0)
		return error_set(e, FAIL_GENERAL, "build", "out of memory");
	host_proxy(b->c, "Acquire::http::Proxy", "http_proxy");
	host_proxy(b->c, "Acquire::https::Proxy", "https_proxy");
	const char *argv[9 + SOURCES_MOST + 1] = { "mmdebstrap",
						   "--quiet",
						   "--variant=apt",
						   "--format=tar",
						   modes[b->way],
						   include,
						   "--customize-hook=eval \"$BANGER_CUSTOMIZE\"",
						   release,
						   b->tar };
	for (size_t i = 0; i < sources.gl_pathc && i < SOURCES_MOST; i++)
		argv[9 + i] = sources.gl_pathv[i];
	const struct proc_io io = { .quiet_out = true };
	out_note(b->c, "packages of Debian %s (%s)", release, modes[b->way] + 2);
	if (proc_must(b->c, argv, &io, "mmdebstrap", e) < 0)
		return -1;
	done(b, "packages", began);
	return 0;
}

static int make_fs(struct build *b, struct error *e)
{
	static const char *const before[][4] = { { NULL },
						 { "unshare", "--map-root-user", "--map-auto",
						   NULL },
						 { "fakeroot", "--", NULL } };
	const char *argv[16];
	char tree[4200], mib[24];
	uint64_t began = clock_boot_ns();
	size_t n = 0;

	(void)snprintf(tree, sizeof(tree), "%s/tree", b->tmp);
	(void)snprintf(mib, sizeof(mib), "%u",
		       (unsigned)(b->c->opt.size_mib ? b->c->opt.size_mib : DEFAULT_MIB));
	for (; before[b->way][n]; n++)
		argv[n] = before[b->way][n];
	const char *const rest[] = { "sh", "-c", finish, "sh", b->tar, tree, b->img, mib, NULL };
	memcpy(argv + n, rest, sizeof(rest));
	const struct proc_io io = { .quiet_out = true };
	if (proc_must(b->c, argv, &io, "e2fsprogs", e) < 0) {
		error_hint(e, "if the file system is full: --size 2G");
		return -1;
	}
	done(b, "file system", began);
	return 0;
}

/* ---- --output: written to a new file beside it, so that a failure keeps the old file ---- */

static int output_begin(struct build *b, struct error *e)
{
	const char *path = b->c->opt.output;
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return error_set(e, FAIL_USAGE, path, "exists and is not a regular file");
	/* If @path is a link, its target is replaced. */
	if (!realpath(path, b->final))
		(void)snprintf(b->final, sizeof(b->final), "%s", path);
	const char *slash = strrchr(b->final, '/');
	(void)snprintf(b->img, sizeof(b->img), "%.*s.%s.%d",
		       slash ? (int)(slash + 1 - b->final) : 0, b->final,
		       slash ? slash + 1 : b->final, (int)getpid());
	_cleanup_close_ int fd = open(b->img, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		int err = errno;
		b->img[0] = '\0';
		return error_set(e, FAIL_GENERAL, path, "%s", strerror(err));
	}
	return 0;
}

static int output_end(struct build *b, struct error *e)
{
	_cleanup_close_ int fd = open(b->img, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0 || rename(b->img, b->final) < 0)
		return error_set(e, FAIL_GENERAL, b->final, "%s", strerror(errno));
	b->img[0] = '\0';
	fprintf(b->c->out, "%s\n", b->c->opt.output);
	return 0;
}

static int build(struct build *b, struct error *e)
{
	if (choose_way(b, e) < 0)
		return -1;
	(void)snprintf(b->tar, sizeof(b->tar), "%s/root.tar", b->tmp);
	if (!b->c->opt.output)
		(void)snprintf(b->img, sizeof(b->img), "%s/root.ext4", b->tmp);
	else if (output_begin(b, e) < 0)
		return -1;
	if (bootstrap(b, e) < 0 || make_fs(b, e) < 0)
		return -1;
	if (b->c->opt.output)
		return output_end(b, e);
	_cleanup_close_ int fd = open_input(b->c, b->img, e);
	return fd < 0 ? -1 : image_send(b->c, &b->made, fd, &b->result, e);
}

static int build_clean(struct build *b, struct error *e)
{
	if (signals_hold(b->c, e) < 0 || tempdir_make(b->tmp, sizeof(b->tmp), e) < 0)
		return -1;
	int r = build(b, e);
	tempdir_remove(b->c, b->tmp);
	if (r < 0 && b->img[0])
		(void)unlink(b->img);
	return r;
}

int image_build(struct cli *c, const char *name, const char *origin, json_t **result,
		struct error *e)
{
	struct build b = { .c = c, .made = { .name = name } };

	(void)snprintf(b.made.origin, sizeof(b.made.origin), "%s", origin);
	if (need_kernel(c, e) < 0 || build_clean(&b, e) < 0)
		return -1;
	*result = b.result;
	return 0;
}

static int check(struct cli *c, struct error *e)
{
	if (strcmp(c->pos[0], "debian") != 0)
		return error_set(e, FAIL_USAGE, c->pos[0], "only \"debian\" can be built");
	if ((c->npos == 2) == (c->opt.output != NULL))
		return error_set(e, FAIL_USAGE, "build", "NAME, or --output FILE");
	return c->opt.output ? 0 : need_kernel(c, e);
}

int cmd_image_build(struct cli *c)
{
	struct build b = { .c = c, .made = { .name = c->npos > 1 ? c->pos[1] : NULL } };
	struct error e = { 0 };

	if (check(c, &e) < 0)
		return out_error(c, &e);
	if (build_clean(&b, &e) == 0)
		return b.result ? print_import(c, b.made.name, b.result) : 0;
	int code = out_error(c, &e);
	return c->signal ? 128 + c->signal : code;
}
