/* Tests what the supervisor makes as root: which folders it takes, and the limits of the VMs'
 * control group. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "privhelper/label.c"
#include "privhelper/supervisor/places.c"
#include "privhelper/tag.c"

static char top[] = "/tmp/banger-places.XXXXXX", place[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(top + strlen(top) - 6, "XXXXXX");
	if (!mkdtemp(top))
		return -1;
	(void)snprintf(place, sizeof(place), "%s/place", top);
	return 0;
}

static int tear_down(void **state)
{
	char command[96];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -r %s", top);
	return system(command); /* of mkdtemp(3)'s own name */
}

static void put(const char *name, bool is_folder)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/%s", place, name);
	if (is_folder) {
		assert_int_equal(mkdir(path, 0755), 0);
		return;
	}
	int fd = open(path, O_CREAT | O_WRONLY, 0644);
	assert_true(fd >= 0);
	(void)close(fd);
}

static int take(const struct shape *want)
{
	return folder_once(AT_FDCWD, place, want);
}

/* Skip without root: only root can give a folder to another account. */
static void root_alone(void)
{
	if (geteuid() != 0)
		skip();
}

static void missing_and_empty_folders_are_taken(void **state)
{
	const struct shape want = { 64104, 64104, 0711 };
	struct stat st;

	(void)state;
	root_alone();
	assert_int_equal(take(&want), 0);
	assert_int_equal(stat(place, &st), 0);
	assert_int_equal(st.st_uid, 64104);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(chown(place, 0, 0), 0);
	put("lost+found", true); /* a file system of its own */
	assert_int_equal(take(&want), 0);
	assert_int_equal(stat(place, &st), 0);
	assert_int_equal(st.st_uid, 64104);
}

/* state_dir = /srv */
static void a_foreign_folder_is_left_alone(void **state)
{
	const struct shape want = { 64104, 64104, 0711 }, logs = { 0, 64104, 0750 },
			   run = { 0, 0, 0755 };
	struct stat st;

	(void)state;
	root_alone();
	assert_int_equal(mkdir(place, 0755), 0);
	put("www", true);
	assert_int_equal(take(&want), -1);
	assert_int_equal(take(&logs), -1);
	assert_int_equal(take(&run), -1);
	assert_int_equal(stat(place, &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_gid, 0);
	assert_int_equal(st.st_mode & 07777, 0755);
}

static void our_own_folder_is_taken_again(void **state)
{
	const struct shape want = { 64104, 64104, 0711 }, logs = { 0, 64104, 0750 },
			   run = { 0, 0, 0755 };

	(void)state;
	root_alone();
	assert_int_equal(take(&logs), 0);
	put("net.log", false);
	assert_int_equal(take(&logs), 0); /* its group is the controller's */
	assert_int_equal(chown(place, 0, 0), 0);
	assert_int_equal(take(&logs), -1);
	put("slots", true);
	assert_int_equal(take(&run), 0);
	assert_int_equal(take(&want), 0);
	assert_int_equal(take(&want), 0);
}

static uint64_t read_number(const char *name)
{
	char path[96];
	unsigned long long n = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", place, name);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%llu", &n), 1);
	(void)fclose(f);
	return n;
}

/* An ordinary folder replaces the control group: this host may lack the cgroup controllers. */
static void all_vms_together_have_limits(void **state)
{
	const struct config c = { .total_mem_percent = 50, .total_tasks = 1234 };
	struct sysinfo i;

	(void)state;
	assert_int_equal(mkdir(place, 0755), 0);
	int group = open(place, O_RDONLY | O_DIRECTORY);
	assert_true(group >= 0);
	assert_int_equal(limit_vms(group, &c), 0); /* no such files: no limits, no failure */
	put("memory.max", false);
	put("pids.max", false);
	put("cgroup.max.depth", false);
	put("cgroup.max.descendants", false);
	assert_int_equal(limit_vms(group, &c), 0);
	assert_int_equal(sysinfo(&i), 0);
	assert_int_equal(read_number("memory.max"), (uint64_t)i.totalram * i.mem_unit / 100 * 50);
	assert_int_equal(read_number("pids.max"), 1234);
	assert_int_equal(read_number("cgroup.max.depth"), 1);
	assert_int_equal(read_number("cgroup.max.descendants"), 2 * SLOT_MAX);
	(void)close(group);
}

/* The launcher alone may be in its group, so that it can not fork there. */
static void a_launcher_has_limits(void **state)
{
	const struct shape root = { 0, 0, 0755 };
	char path[96];

	(void)state;
	root_alone();
	assert_int_equal(mkdir(place, 0755), 0);
	int dir = open(place, O_RDONLY | O_DIRECTORY);
	assert_int_equal(make_launchers(dir, &root), 0); /* no such files here */
	put("spawn/memory.max", false);
	put("spawn/pids.max", false);
	assert_int_equal(make_launchers(dir, &root), 0);
	assert_int_equal(read_number("spawn/pids.max"), 1);
	assert_int_equal(read_number("spawn/memory.max"), 256 << 20);
	(void)snprintf(path, sizeof(path), "%s/spawn/pids.max", place);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(make_launchers(dir, &root), -1);
	(void)close(dir);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(missing_and_empty_folders_are_taken),
		TEST(a_foreign_folder_is_left_alone),
		TEST(our_own_folder_is_taken_again),
		TEST(all_vms_together_have_limits),
		TEST(a_launcher_has_limits),
	};

	log_name("test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
