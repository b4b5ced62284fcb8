/* Tests `image build` with scripts in place of mmdebstrap and mke2fs: what a failure keeps, and the
 * sources of the packages. */
#include "tests/unit/cli_fixture.h"

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

static char path[200], other[200];

static void put(const char *name, const char *text)
{
	(void)snprintf(path, sizeof(path), "%s/%s", fx.dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	(void)fclose(f);
}

static const char *content(const char *name)
{
	static char text[8192];

	(void)snprintf(other, sizeof(other), "%s/%s", fx.dir, name);
	int fd = open(other, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return "(none)";
	slurp(fd, text, sizeof(text));
	return text;
}

static void fake_tools(const char *mmdebstrap)
{
	write_script("mmdebstrap", mmdebstrap);
	write_script("mke2fs",
		     "while [ $# -gt 2 ]; do shift; done; echo 'a file system' >\"$1\"\n");
	write_script("newuidmap", "exit 0\n");
	write_script("fakeroot", "shift; exec \"$@\"\n");
	write_script("fakechroot", "exit 0\n");
	write_script("unshare", "shift 2; exec \"$@\"\n");
	(void)unsetenv("http_proxy");
}

#define MAKES_A_TAR                                                                            \
	"for a; do case $a in */root.tar) tar -cf \"$a\" --files-from /dev/null;; esac; echo " \
	"\"$a\"; done >\"$HOME/args\"\n"                                                       \
	"echo \"$http_proxy\" >\"$HOME/proxy\"\n"

static void test_a_failure_keeps_the_old_file(void **state)
{
	char link[160];

	(void)state;
	fake_tools("exit 3\n");
	put("good.ext4", "good");
	assert_int_equal(BANGER("image", "build", "debian", "--suite", "bookworm", "--output",
				path),
			 FAIL_GENERAL);
	assert_string_equal(content("good.ext4"), "good");
	(void)snprintf(link, sizeof(link), "%s/link.ext4", fx.dir);
	assert_int_equal(symlink("good.ext4", link), 0);
	assert_int_equal(BANGER("image", "build", "debian", "--suite", "bookworm", "--output",
				link),
			 FAIL_GENERAL);
	assert_string_equal(content("good.ext4"), "good");
	fake_tools(MAKES_A_TAR);
	assert_int_equal(BANGER("image", "build", "debian", "--suite", "bookworm", "--output",
				link),
			 0);
	assert_string_equal(content("good.ext4"), "a file system\n");
	assert_int_equal(BANGER("image", "build", "debian", "--output", "/dev/null"), FAIL_USAGE);
	/* No unfinished file stays beside it. */
	(void)snprintf(path, sizeof(path), "ls -A %s | grep -q '^[.]good'", fx.dir);
	assert_int_not_equal(system(path), 0);
}

static void test_packages_come_from_the_hosts_sources(void **state)
{
	char dir[160];

	(void)state;
	if (system("grep -q '^ID=debian' /etc/os-release && grep -q ^VERSION_CODENAME "
		   "/etc/os-release") != 0)
		skip();
	fake_tools(MAKES_A_TAR);
	write_script("apt-config",
		     "[ $1 = shell ] && echo \"LIST='$HOME/apt/sources.list'\" && echo "
		     "\"PARTS='$HOME/apt/sources.list.d/'\"\n"
		     "[ \"$4\" = Acquire::http::Proxy ] && echo http://proxy:3128\nexit 0\n");
	(void)snprintf(dir, sizeof(dir), "%s/apt", fx.dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	(void)snprintf(dir, sizeof(dir), "%s/apt/sources.list.d", fx.dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	put("apt/sources.list", "deb http://mirror/debian x main\n");
	put("apt/sources.list.d/debian.sources", "Types: deb\n");
	put("apt/sources.list.d/old.save", "no\n");
	(void)snprintf(dir, sizeof(dir), "%s/out.ext4", fx.dir);
	assert_int_equal(BANGER("image", "build", "debian", "--output", dir), 0);
	assert_has(content("args"), "/root.tar\n/");
	assert_has(content("args"), "/apt/sources.list\n");
	assert_has(content("args"), "/apt/sources.list.d/debian.sources\n");
	assert_lacks(content("args"), "old.save");
	assert_string_equal(content("proxy"), "http://proxy:3128\n");
	(void)unsetenv("http_proxy");
	/* The host's sources do not fit another release. */
	assert_int_equal(BANGER("image", "build", "debian", "--suite", "sid", "--output", dir), 0);
	assert_lacks(content("args"), "sources.list");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_failure_keeps_the_old_file),
		T(test_packages_come_from_the_hosts_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
