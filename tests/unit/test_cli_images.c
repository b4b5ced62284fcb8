/* Tests `image import` with inputs that are no regular files, with pipes, and with ext4 file
 * systems that no guest could mount. */
#include "tests/unit/cli_fixture.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/wait.h>

#include "controller/cli/images.h"
#include "controller/cli/proc.h"

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#define HEX32 "0123456789abcdef0123456789abcdef"

static char path[200];

static const char *in_dir(const char *name)
{
	(void)snprintf(path, sizeof(path), "%s/%s", fx.dir, name);
	return path;
}

static void test_a_fifo_is_refused_at_once(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	(void)alarm(20); /* an open that waits for a writer would hang */
	assert_int_equal(BANGER("image", "import", "x", path, "--kernel", "k"), FAIL_USAGE);
	assert_has(fx.err, "fifo: not a regular file\n"
			   "hint: use a pipe instead of a FIFO, as in <(zcat FILE.gz)\n");
	assert_int_equal(BANGER("kernel", "import", "x", "--deb", path), FAIL_USAGE);
	assert_int_equal(BANGER("kernel", "import", "x", "--vmlinuz", path, "--modules", "/tmp"),
			 FAIL_USAGE);
	assert_int_equal(BANGER("image", "import", "x", "/dev/zero", "--kernel", "k"), FAIL_USAGE);
	(void)alarm(0);
	assert_string_equal(fx.calls, "");
}

/* Make a pipe with @n bytes, of which the first and the last MiB are not zero. */
static int filled_pipe(size_t n, pid_t *writer)
{
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	*writer = fork();
	if (*writer == 0) {
		static char buf[1 << 20];
		(void)close(p[0]);
		for (size_t at = 0; at < n; at += sizeof(buf)) {
			memset(buf, at && at + sizeof(buf) < n ? 0 : 'x', sizeof(buf));
			for (size_t done = 0; done < sizeof(buf);) {
				ssize_t w = write(p[1], buf + done, sizeof(buf) - done);
				if (w < 0)
					_exit(1);
				done += (size_t)w;
			}
		}
		_exit(0);
	}
	(void)close(p[1]);
	return p[0];
}

static void test_a_pipe_is_spooled(void **state)
{
	struct cli c = { .out = stdout, .err = stderr, .sigfd = -1, .opt.progress = PROGRESS_NONE };
	size_t size = 32u << 20;
	struct error e = { 0 };
	struct stat st;
	char name[32], byte;
	pid_t writer;

	(void)state;
	int from = filled_pipe(size, &writer);
	(void)snprintf(name, sizeof(name), "/dev/fd/%d", from);
	int fd = open_input(&c, name, &e);
	if (fd < 0)
		fail_msg("%s: %s", e.what, e.why);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_size, size);
	assert_true(st.st_blocks * 512 < (8 << 20)); /* zeros are holes */
	assert_int_equal(pread(fd, &byte, 1, (off_t)size - 1), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(pread(fd, &byte, 1, (off_t)size / 2), 1);
	assert_int_equal(byte, 0);
	assert_int_equal(write(fd, "x", 1), -1); /* the daemon's descriptor can only be read */
	(void)close(fd);
	(void)close(from);
	while (waitpid(writer, NULL, 0) < 0 && errno == EINTR)
		;
}

static int ext4_with(size_t at, const void *bytes, size_t n, off_t cut)
{
	char cmd[600];

	(void)snprintf(cmd, sizeof(cmd), "rm -f %s; mke2fs -q -t ext4 %s 64M", in_dir("fs"), path);
	if (system(cmd) != 0)
		return -1;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	if (n)
		assert_int_equal(pwrite(fd, bytes, n, (off_t)(1024 + at)), (ssize_t)n);
	if (cut)
		assert_int_equal(ftruncate(fd, cut), 0);
	(void)close(fd);
	return 0;
}

static void test_an_ext4_that_is_cut(void **state)
{
	static const unsigned char unknown[] = { 0, 0, 0, 0x80 };

	(void)state;
	(void)setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin", 1);
	if (ext4_with(0, "", 0, 0) < 0)
		skip();
	assert_int_equal(BANGER("image", "import", "x", path, "--kernel", "k"), 0);
	(void)ext4_with(0, "", 0, 32 << 20);
	assert_int_equal(BANGER("image", "import", "x", path, "--kernel", "k"), FAIL_USAGE);
	assert_has(fx.err, "the file has 33554432 bytes, but the file system in it 67108864: "
			   "a part is missing");
	(void)ext4_with(0x60, unknown, 4, 0);
	assert_int_equal(BANGER("image", "import", "x", path, "--kernel", "k"), FAIL_USAGE);
	assert_has(fx.err,
		   "features that Linux 6.1 does not know (incompat 0x80000000, ro_compat 0x0)");
	(void)ext4_with(0x64, unknown, 4, 0);
	assert_int_equal(BANGER("image", "import", "x", path, "--kernel", "k"), FAIL_USAGE);
	assert_string_equal(fx.calls, "image_import ");
	assert_string_equal(fx.last[CALL_IMAGE_IMPORT].image_import.origin, "file:fs");
}

/* Debian's kernel is fetched then; this host has no apt. */
static void test_without_a_kernel(void **state)
{
	char path_was[4096];

	(void)state;
	(void)snprintf(path_was, sizeof(path_was), "%s", getenv("PATH"));
	assert_int_equal(setenv("PATH", fx.dir, 1), 0);
	assert_int_equal(BANGER("image", "import", "x", "/dev/null"), FAIL_HOST);
	assert_int_equal(setenv("PATH", path_was, 1), 0);
	assert_has(fx.err, "there is no kernel yet");
	assert_has(fx.err, "apt");
}

static void test_the_name_of_a_reference(void **state)
{
	static const char *const rows[][3] = {
		/* reference, origin, name */
		{ "alpine", "alpine", "alpine" },
		{ "docker://alpine", "alpine", "alpine" },
		{ "alpine:latest", "alpine", "alpine" },
		{ "alpine:", "alpine", "alpine" },
		{ "alpine:late", "alpine:late", "alpine-late" },
		{ "python:3.12-slim", "python:3.12-slim", "python-3-12-slim" },
		{ "library/Alpine", "library/Alpine", "library-alpine" },
		{ "evil.example/x/alpine", "evil.example/x/alpine", "evil-example-x-alpine" },
		{ "registry:5000/a/b", "registry:5000/a/b", "registry-5000-a-b" },
		{ "registry:5000/a/b:v1", "registry:5000/a/b:v1", "registry-5000-a-b-v1" },
		{ "a/b@sha256:0123", "a/b@sha256:0123", "a-b-0123" },
		{ "a/b:v1@sha256:0123", "a/b:v1@sha256:0123", "a-b-v1-0123" },
		{ "b:latest@sha256:0123", "b@sha256:0123", "b-0123" },
		{ "b@sha256:" HEX32, "b@sha256:" HEX32, "b-0123456789abcdef01234567" },
		{ "-.b_/", "-.b_/", "b" },
	};
	struct error e = { 0 };
	char origin[ORIGIN_SIZE], name[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(reference_origin(rows[i][0], origin, &e), 0);
		assert_string_equal(origin, rows[i][1]);
		reference_name(origin, name);
		assert_string_equal(name, rows[i][2]);
	}
	assert_int_equal(reference_origin("", origin, &e), -1);
	assert_int_equal(reference_origin(":latest", origin, &e), -1);
	assert_int_equal(reference_origin("docker://@sha256:" HEX32, origin, &e), -1);
}

/* Two long references that begin alike get two names, each of 63 bytes. */
static void test_the_name_of_a_long_reference(void **state)
{
	char one[64], other[64], most[64];

	(void)state;
	reference_name("b:" HEX32 HEX32 "1", one);
	reference_name("b:" HEX32 HEX32 "2", other);
	reference_name("b:" HEX32 "0123456789abcdef0123456789abc", most);
	assert_int_equal(strlen(one), 63);
	assert_int_equal(strlen(other), 63);
	assert_string_not_equal(one, other);
	assert_true(parse_is_label(one));
	assert_memory_equal(one, other, 46);
	assert_string_equal(most, "b-" HEX32 "0123456789abcdef0123456789abc");
}

/* `run` and what it says, where no program is in PATH, so that nothing can be fetched. */
static int run_without_tools(const char *ref)
{
	char path_was[4096];

	fx.calls[0] = '\0';
	(void)snprintf(path_was, sizeof(path_was), "%s", getenv("PATH"));
	assert_int_equal(setenv("PATH", fx.dir, 1), 0);
	int status = BANGER("run", "-d", ref);
	assert_int_equal(setenv("PATH", path_was, 1), 0);
	return status;
}

/* A digest says which image; one that has the same name otherwise is not taken for it. */
static void test_a_digest_is_pulled(void **state)
{
	(void)state;
	fx.images[0] = "python";
	assert_int_not_equal(run_without_tools("python@sha256:" HEX32), 0);
	assert_string_equal(fx.calls, "image_list kernel_list ");
}

/* A reference means an image of that origin, whatever name another image has. */
static void test_the_origin_decides(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;

	(void)state;
	fx.images[0] = "alpine";
	fx.origins[0] = "alpine:3";
	fx.images[1] = "other";
	fx.origins[1] = "evil.example/x/alpine";
	assert_int_equal(BANGER("run", "-d", "evil.example/x/alpine:latest"), 0);
	assert_string_equal(a->image, "other");
	assert_int_equal(BANGER("run", "-d", "alpine:3"), 0);
	assert_string_equal(a->image, "alpine");
	/* A name means the image that has it. */
	fx.origins[0] = "file:alpine.tar";
	assert_int_equal(BANGER("run", "-d", "alpine"), 0);
	assert_string_equal(a->image, "alpine");
}

static void test_a_name_of_another_origin_is_refused(void **state)
{
	(void)state;
	fx.images[0] = "evil-example-x-alpine";
	fx.origins[0] = "evil-example/x/alpine";
	assert_int_equal(run_without_tools("evil.example/x/alpine"), FAIL_STATE);
	assert_has(fx.err, "evil.example/x/alpine: the image evil-example-x-alpine that is here is "
			   "of evil-example/x/alpine\n");
	fx.origins[0] = NULL; /* an image of an earlier banger */
	assert_int_equal(run_without_tools("evil.example/x/alpine"), FAIL_STATE);
	assert_has(fx.err, "is of an unknown origin\n");
	assert_string_equal(fx.calls, "image_list ");
}

static void test_the_catalogue(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;

	(void)state;
	write_catalogue("; for this host\n[default]\nimage = alpine\n[images]\n"
			"alpine = registry.example/library/alpine:3\ndeb = build:debian\n");
	fx.images[0] = NULL;
	assert_int_not_equal(run_without_tools("alpine"), 0);
	assert_has(fx.err, "there is no image alpine yet: making it of "
			   "registry.example/library/alpine:3\n");
	assert_int_not_equal(run_without_tools("deb"), 0);
	assert_has(fx.err, "there is no image deb yet: making it of build:debian\n");
	assert_int_not_equal(run_without_tools(NULL), 0);
	assert_has(fx.err, "there is no image yet: making alpine of "
			   "registry.example/library/alpine:3\n");
	fx.images[0] = "alpine";
	fx.origins[0] = "registry.example/library/alpine:2";
	assert_int_equal(BANGER("run", "-d", "alpine"), 0);
	assert_string_equal(a->image, "alpine");
	assert_has(fx.err,
		   "the image alpine is of registry.example/library/alpine:2; the catalogue "
		   "has registry.example/library/alpine:3 for that name now\n");
}

static void test_a_wrong_catalogue(void **state)
{
	static const char *const rows[][2] = {
		{ "[default]\nimage = gone\n", "its default, gone, is not in [images]\n" },
		{ "[images]\nNo Name = x\n", "\"No Name\" can not be a name\nhint: line 2 of " },
		{ "[nonsense]\na = b\n",
		  "[nonsense] a is no key of a catalogue\nhint: line 2 of " },
		{ "[default]\nimage\n", "it can not be read\nhint: line 2 of " },
		{ "[default]\nimage = x\n[images]\nx =\n", "no reference to an image" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_catalogue(rows[i][0]);
		assert_int_equal(run_without_tools(NULL), FAIL_USAGE);
		assert_has(fx.err, rows[i][1]);
		assert_string_equal(fx.calls, "");
	}
}

/* A name that is taken is told before skopeo starts. */
static void test_pull_to_a_name_that_is_taken(void **state)
{
	(void)state;
	fx.images[0] = "alpine";
	fx.origins[0] = "alpine:2";
	fx.images_owner = geteuid();
	assert_int_equal(BANGER("image", "pull", "alpine"), FAIL_STATE);
	assert_has(fx.err, "alpine: you have an image of that name already, of alpine:2\n");
	assert_string_equal(fx.calls, "image_list ");
}

/* Pull an image by a program that keeps its words and fails.  @landlock: or the kernel has none. */
static void pull_by_a_script(bool landlock)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		scmp_filter_ctx f = landlock ? NULL : seccomp_init(SCMP_ACT_ALLOW);
		if (f && (seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS),
					   SCMP_SYS(landlock_create_ruleset), 0) < 0 ||
			  seccomp_load(f) < 0))
			_exit(99);
		_exit(BANGER("image", "pull", "alpine", "--kernel", "k"));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), FAIL_GENERAL);
}

static void read_words(char text[500])
{
	FILE *f = fopen(in_dir("words"), "re");

	assert_non_null(f);
	text[fread(text, 1, 499, f)] = '\0';
	(void)fclose(f);
}

/* banger-unpack reads no folder then. */
static void test_without_landlock_skopeo_writes_a_tar(void **state)
{
	char text[500];

	(void)state;
	write_script("skopeo", "echo \"$*\" >\"$HOME/words\"; exit 1\n");
	pull_by_a_script(true);
	read_words(text);
	assert_has(text, " docker://alpine oci:layout\n");
	pull_by_a_script(false);
	read_words(text);
	assert_has(text, " docker://alpine oci-archive:layout\n");
}

#define DIGEST_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST_B "0123456789abbeef0123456789abcdef0123456789abcdef0123456789abcdef"

static void have_two_images(void)
{
	fx.images[0] = "debian";
	fx.digests[0] = DIGEST_A;
	fx.images[1] = "alpine";
	fx.digests[1] = DIGEST_B;
	fx.images_owner = geteuid();
}

static void test_a_digest_in_the_place_of_a_name(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;

	(void)state;
	have_two_images();
	assert_int_equal(BANGER("create", "--image", "0123456789abb"), 0);
	assert_string_equal(a->image, "alpine");
	assert_int_equal(BANGER("run", "-d", "sha256:" DIGEST_A), 0);
	assert_string_equal(a->image, "debian");
	assert_int_equal(BANGER("image", "tag", "0123456789abc", "other"), 0);
	assert_string_equal(fx.last[CALL_IMAGE_TAG].image_tag.image, "debian");
	assert_string_equal(fx.last[CALL_IMAGE_TAG].image_tag.name, "other");
	assert_int_equal(BANGER("image", "rm", DIGEST_B), 0);
	assert_string_equal(fx.last[CALL_IMAGE_DELETE].image_delete.image, "alpine");
	assert_int_equal(BANGER("create", "--image", "0123456789ab"), FAIL_USAGE);
	assert_has(fx.err, "several images have a digest that begins so");
	assert_int_equal(BANGER("image", "show", "sha256:ffffffffffff"), FAIL_NOT_FOUND);
	assert_int_equal(BANGER("image", "show", "sha256:0123456789"), FAIL_NOT_FOUND);
	/* A name comes before a digest; one content may have several names. */
	fx.images[0] = "0123456789abb";
	assert_int_equal(BANGER("image", "show", "-q", "0123456789abb"), 0);
	assert_string_equal(fx.out, "0123456789abb\n");
	fx.digests[0] = DIGEST_B;
	assert_int_equal(BANGER("image", "show", "-q", DIGEST_B), 0);
}

#define NOBODY 65534 /* an account that each host has */

/* Be a user who is not root, as only such a user has an image of the name of one of root's. */
static void be_a_user(void)
{
	if (geteuid() == 0) {
		assert_int_equal(chown(fx.dir, NOBODY, (gid_t)-1), 0);
		assert_int_equal(chown(in_dir("sock"), NOBODY, (gid_t)-1), 0);
		assert_int_equal(setresuid(NOBODY, NOBODY, 0), 0);
	}
	fx.images_owner = geteuid();
}

static void be_root_again(void)
{
	uid_t real, effective, saved;

	assert_int_equal(getresuid(&real, &effective, &saved), 0);
	if (saved == 0)
		assert_int_equal(setresuid(0, 0, 0), 0);
}

#define LONG_NAME "a-name-of-an-image-that-has-as-many-bytes-as-a-name-can-have-63"

/* Root's image and the user's own have one name; the digest or the origin tells which is meant. */
static void test_two_images_of_one_name(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;

	(void)state;
	have_two_images();
	be_a_user();
	fx.images[0] = fx.images[1] = LONG_NAME;
	fx.origins[0] = "python:2";
	fx.origins[1] = "python:3";
	fx.roots[1] = true;
	assert_int_equal(BANGER("image", "rm", "sha256:" DIGEST_B), 0);
	assert_string_equal(fx.last[CALL_IMAGE_DELETE].image_delete.image, "0/" LONG_NAME);
	assert_int_equal(BANGER("image", "rm", "sha256:" DIGEST_A), 0);
	assert_string_equal(fx.last[CALL_IMAGE_DELETE].image_delete.image, LONG_NAME);
	assert_int_equal(BANGER("image", "tag", DIGEST_B, "other"), 0);
	assert_string_equal(fx.last[CALL_IMAGE_TAG].image_tag.image, "0/" LONG_NAME);
	assert_int_equal(BANGER("create", "--image", DIGEST_B), 0);
	assert_string_equal(a->image, "0/" LONG_NAME);
	assert_int_equal(BANGER("run", "-d", DIGEST_B), 0);
	assert_string_equal(a->image, "0/" LONG_NAME);
	assert_int_equal(BANGER("run", "-d", "python:3"), 0);
	assert_string_equal(a->image, "0/" LONG_NAME);
	assert_int_equal(BANGER("run", "-d", "python:2"), 0);
	assert_string_equal(a->image, LONG_NAME);
	/* One name is one choice: it means the own image. */
	assert_int_equal(BANGER("create"), 0);
	assert_string_equal(a->image, LONG_NAME);
	fx.images[0] = "other";
	write_catalogue("[default]\nimage = x\n[images]\nx = python:3\n");
	assert_int_equal(BANGER("create"), 0);
	assert_string_equal(a->image, "0/" LONG_NAME);
	be_root_again();
}

/* A kernel of the user's and one of root's have one name, which is one choice. */
static void test_a_name_counts_once(void **state)
{
	struct names l = { 0 };

	(void)state;
	names_add(&l, "alpine");
	names_add(&l, "debian");
	names_add(&l, "debian");
	names_add(&l, "fedora");
	assert_int_equal(l.n, 3);
	assert_string_equal(l.first, "alpine");
	assert_string_equal(l.list, "alpine, debian, fedora");
}

static void test_show(void **state)
{
	(void)state;
	have_two_images();
	fx.origins[1] = "registry.example/alpine:3";
	assert_int_equal(BANGER("image", "history", "alpine"), 0);
	assert_has(fx.out, "digest                " DIGEST_B "\n");
	assert_has(fx.out, "origin                registry.example/alpine:3\n");
	assert_has(fx.out, "size                  1G\n");
	assert_int_equal(BANGER("image", "show", "alpine", "-o", "json"), 0);
	assert_has(fx.out, "\"origin\": \"registry.example/alpine:3\"");
}

static void test_prune(void **state)
{
	(void)state;
	have_two_images();
	fx.used_by[0] = 1;
	assert_int_equal(BANGER("image", "prune", "--dry-run"), 0);
	assert_string_equal(fx.out, "alpine\n");
	assert_has(fx.err, "1 image would be deleted\n");
	assert_string_equal(fx.calls, "image_list ");
	assert_int_equal(BANGER("image", "prune"), 0);
	assert_string_equal(fx.last[CALL_IMAGE_DELETE].image_delete.image, "alpine");
	assert_string_equal(fx.calls, "image_list image_list image_delete ");
	fx.fail[CALL_IMAGE_DELETE] = FAIL_STATE; /* a VM uses it since */
	assert_int_equal(BANGER("image", "prune"), 0);
	assert_string_equal(fx.out, "");
	fx.images_owner = 4000000000;
	fx.calls[0] = '\0';
	assert_int_equal(BANGER("image", "prune"), 0);
	assert_string_equal(fx.calls, "image_list ");
}

/* An answer that would make the file larger or never end ends the export. */
static void test_an_export_of_a_daemon_that_lies(void **state)
{
	static const struct {
		uint64_t size, at;
		size_t n;
	} lies[] = { { 0, 0, 0 },
		     { 1u << 30, 0, 0 },
		     { 1u << 30, (1u << 30) + 1, 0 },
		     { 1u << 30, (1u << 30) - 1, 2 },
		     { 1u << 31, 0, 8 } };
	struct stat st;

	(void)state;
	have_two_images();
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		fx.part.size = lies[i].size;
		fx.part.at = lies[i].at;
		fx.part.data.n = lies[i].n;
		assert_int_equal(BANGER("image", "export", "alpine", in_dir("out")), FAIL_GENERAL);
		assert_has(fx.err, "the daemon's answer makes no sense\n");
		assert_int_equal(stat(in_dir("out"), &st), -1);
	}
	fx.part.size = fx.part.at = 1u << 30; /* nothing but a hole */
	fx.part.data.n = 0;
	assert_int_equal(BANGER("image", "export", "alpine", in_dir("out")), 0);
	assert_int_equal(stat(in_dir("out"), &st), 0);
	assert_int_equal(st.st_size, 1u << 30);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(BANGER("image", "export", "alpine", fx.dir), FAIL_USAGE);
}

/* Put a program in the place of banger-unpack that answers so, with this status. */
static void put_unpacker(const char *dir, const char *answer, int status)
{
	char file[300];

	(void)snprintf(file, sizeof(file), "%s/banger-unpack", dir);
	FILE *f = fopen(file, "we");
	assert_non_null(f);
	(void)fprintf(f, "#!/bin/sh\necho noise >&2\nprintf '%s'\nexit %d\n", answer, status);
	(void)fclose(f);
	assert_int_equal(chmod(file, 0755), 0);
	(void)setenv("BANGER_LIBEXEC", dir, 1);
}

static void test_names_of_a_tar_are_cleaned(void **state)
{
	static const char magic[] = "ustar";

	(void)state;
	(void)setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin", 1);
	(void)setenv("TMPDIR", fx.dir, 1);
	if (ext4_with(0, "", 0, 0) < 0)
		skip();
	assert_int_equal(truncate(path, 0), 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, magic, sizeof(magic), 257), sizeof(magic));
	(void)close(fd);
	put_unpacker(fx.dir, "a\\033[31m\\233\\302\\2332J\\nwhy\\n\\n", FAIL_USAGE);
	assert_int_equal(BANGER("image", "import", "x", path, "--kernel", "k", "--size", "64M"),
			 FAIL_USAGE);
	assert_has(fx.err, ": a?[31m???2J: why\n");
	assert_null(strstr(fx.err, "noise")); /* its stderr is not the user's */
	(void)unsetenv("BANGER_LIBEXEC");
	(void)unsetenv("TMPDIR");
}

/* `run alpine` then means this image, as after `image pull`. */
static void test_an_import_of_a_registry_has_its_origin(void **state)
{
	const struct call_image_import *a = &fx.last[CALL_IMAGE_IMPORT].image_import;

	(void)state;
	write_script("skopeo", "mkdir layout && echo '{}' >layout/index.json\n");
	put_unpacker(fx.dir, "\\n\\n", 0);
	assert_int_equal(BANGER("image", "import", "x", "docker://r.example/alpine:latest",
				"--kernel", "k", "--size", "64M"),
			 0);
	(void)unsetenv("BANGER_LIBEXEC");
	assert_string_equal(a->name, "x");
	assert_string_equal(a->origin, "r.example/alpine");
	assert_int_equal(BANGER("image", "import", "x", "docker://", "--kernel", "k"), FAIL_USAGE);
}

/* sudo(8) may leave root the HOME of its caller, with his docker/config.json. */
static void test_skopeo_has_the_home_of_root(void **state)
{
	char script[300], text[500];

	(void)state;
	if (geteuid() != 0)
		skip();
	(void)snprintf(script, sizeof(script), "echo \"<$HOME>\" >%s/words; exit 1\n", fx.dir);
	write_script("skopeo", script);
	(void)setenv("TMPDIR", "/tmp", 1);
	assert_int_not_equal(BANGER("image", "pull", "alpine", "--kernel", "k"), 0);
	read_words(text);
	assert_has(text, fx.dir);
	assert_int_equal(chown(fx.dir, NOBODY, (gid_t)-1), 0);
	assert_int_not_equal(BANGER("image", "pull", "alpine", "--kernel", "k"), 0);
	read_words(text);
	assert_null(strstr(text, fx.dir));
	assert_int_not_equal(text[1], '>');
	(void)unsetenv("TMPDIR");
}

/* Return: true if a temporary folder is made in the folder that TMPDIR names. */
static bool is_tempdir_there(uid_t owner, mode_t mode)
{
	struct cli c = { .out = stdout, .err = stderr, .sigfd = -1 };
	char dir[4096];
	struct error e;

	assert_int_equal(chown(in_dir("tmp"), owner, (gid_t)-1), 0);
	assert_int_equal(chmod(path, mode), 0);
	assert_int_equal(tempdir_make(dir, sizeof(dir), &e), 0);
	tempdir_remove(&c, dir);
	return strncmp(dir, path, strlen(path)) == 0;
}

/* Another user could replace the files that root makes there. */
static void test_a_tmpdir_of_others_is_not_used(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(in_dir("tmp"), 0700), 0);
	(void)setenv("TMPDIR", path, 1);
	assert_true(is_tempdir_there(0, 0700));
	assert_true(is_tempdir_there(0, 01777));
	assert_false(is_tempdir_there(0, 0777));
	assert_false(is_tempdir_there(NOBODY, 0700));
	assert_false(is_tempdir_there(NOBODY, 01777));
	(void)unsetenv("TMPDIR");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_fifo_is_refused_at_once),
		T(test_a_pipe_is_spooled),
		T(test_an_ext4_that_is_cut),
		T(test_without_a_kernel),
		T(test_the_name_of_a_reference),
		T(test_the_name_of_a_long_reference),
		T(test_a_digest_is_pulled),
		T(test_the_origin_decides),
		T(test_a_name_of_another_origin_is_refused),
		T(test_the_catalogue),
		T(test_a_wrong_catalogue),
		T(test_pull_to_a_name_that_is_taken),
		T(test_without_landlock_skopeo_writes_a_tar),
		T(test_a_digest_in_the_place_of_a_name),
		T(test_two_images_of_one_name),
		T(test_a_name_counts_once),
		T(test_show),
		T(test_prune),
		T(test_an_export_of_a_daemon_that_lies),
		T(test_names_of_a_tar_are_cleaned),
		T(test_an_import_of_a_registry_has_its_origin),
		T(test_skopeo_has_the_home_of_root),
		T(test_a_tmpdir_of_others_is_not_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
