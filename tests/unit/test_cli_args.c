/* Tests the words of the command line: options in any place, strict values, errors before the
 * daemon is asked, the help from the table, and the line for a guest's shell. */
#include "tests/unit/cli_fixture.h"

#include "controller/cli/ssh.h"

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

static void test_values_reach_the_daemon(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;

	(void)state;
	assert_int_equal(BANGER("vm", "create", "--memory", "2G", "web1", "--vcpus=3", "--disk",
				"512M", "--nat", "--image", "deb"),
			 0);
	assert_string_equal(fx.calls, "vm_create ");
	assert_string_equal(a->name, "web1");
	assert_string_equal(a->image, "deb");
	assert_string_equal(a->ssh_key, "ssh-ed25519 AAAA");
	assert_int_equal(a->mem_mib, 2048);
	assert_int_equal(a->disk_mib, 512);
	assert_int_equal(a->vcpus, 3);
	assert_true(a->nat);
	assert_string_equal(fx.out, "web1\n");
}

static void test_defaults_are_the_daemons(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;

	(void)state;
	assert_int_equal(BANGER("vm", "create"), 0);
	assert_string_equal(a->name, "");
	assert_int_equal(a->mem_mib + a->disk_mib + a->vcpus, 0);
	assert_false(a->nat);
	assert_string_equal(fx.out, "made-up\n");
}

static void test_the_only_image_is_the_default(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;

	(void)state;
	assert_int_equal(BANGER("vm", "run", "-d"), 0);
	assert_string_equal(a->image, "debian");
	fx.images[0] = "trixie";
	fx.images[1] = "bookworm";
	fx.calls[0] = '\0';
	assert_int_equal(BANGER("run", "-d"), FAIL_USAGE);
	assert_has(fx.err, "there are 2 images; name one of them: trixie, bookworm\nhint: "
			   "--image trixie\n");
	assert_string_equal(fx.calls, "image_list ");
	write_catalogue(
		"[images]\nbookworm = build:debian/bookworm\n[default]\nimage = bookworm\n");
	assert_int_equal(BANGER("run", "-d"), 0);
	assert_string_equal(a->image, "bookworm");
}

/* Root is shown the images of all users.  Here they are of a user that runs no test. */
static void test_images_of_other_users_are_no_default(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;
	char path_was[4096];

	(void)state;
	fx.images[0] = "python-3";
	fx.origins[0] = "python:3";
	assert_int_equal(BANGER("run", "-d", "python:3"), 0);
	assert_string_equal(a->image, "python-3");
	fx.images_owner = 4000000000;
	/* It would be made, but the first kernel can not be fetched without apt. */
	(void)snprintf(path_was, sizeof(path_was), "%s", getenv("PATH"));
	assert_int_equal(setenv("PATH", fx.dir, 1), 0);
	fx.calls[0] = '\0';
	assert_int_not_equal(BANGER("run", "-d", "python:3"), 0);
	assert_has(fx.err, "there is no image python-3 yet: making it of python:3\n");
	assert_int_not_equal(BANGER("vm", "create"), 0);
	assert_has(fx.err, "there is no image yet: making debian of build:debian\n");
	assert_int_equal(setenv("PATH", path_was, 1), 0);
	assert_string_equal(fx.calls, "image_list kernel_list image_list kernel_list ");
}

static void test_bad_words_reach_no_daemon(void **state)
{
	static const char *const bad[][8] = {
		{ "vm", "create", "--memory", "512" },
		{ "vm", "create", "--memory", "0" },
		{ "vm", "create", "--memory", "2g" },
		{ "vm", "create", "--memory", "1M1" },
		{ "vm", "create", "--memory", "-1M" },
		{ "vm", "create", "--memory", "99999999T" },
		{ "vm", "create", "--memory", "1025K" },
		{ "vm", "create", "--vcpus", "0" },
		{ "vm", "create", "--vcpus", "257" },
		{ "vm", "create", "--vcpus", "0x2" },
		{ "vm", "create", "--vcpus" },
		{ "vm", "create", "--frobnicate" },
		{ "vm", "create", "a", "b" },
		{ "vm", "create", "-o", "yaml" },
		{ "vm", "create", "-v", "data:/\xff" }, /* before a volume is made */
		{ "vm", "create", "-v", "data" },
		{ "vm", "create", "-v", "data:" },
		{ "vm", "create", "-v", "data:data" },
		{ "vm", "create", "-v", "/data:/data" },
		{ "vm", "list", "x" },
		{ "vm", "show" },
		{ "vm", "stop", "a", "--timeout", "5h" },
		{ "vm", "stop", "a", "--timeout", "" },
		{ "vm", "stop", "a", "--timeout", "2h" },
		{ "vm", "stop", "a", "--timeout", "61m" },
		{ "vm", "run", "--rm", "-d" },
		{ "vm", "run", "-d", "--", "true" },
		{ "vm", "run", "image", "command" },
		{ "vm", "run", "--" },
		{ "vm", "exec", "web1" },
		{ "vm", "exec", "web1", "--" },
		{ "vm", "set", "web1" },
		{ "vm" },
		{ "vm", "frob" },
		{ "frob" },
		{ "--frob" },
		{ "help", "frob" },
		{ "help", "vm", "frob" },
		{ "image", "build", "debian" },
		{ "image", "build", "fedora", "x" },
		{ "vm", "list", "--progress", "gaudy" },
		{ "vm", "show", "a", "--memory", "1G" },
		{ "kernel", "import", "k" },
		{ "kernel", "import", "k", "fedora" },
		{ "kernel", "import", "k", "--deb", "x", "--vmlinuz", "y" },
		{ "kernel", "import", "k", "--vmlinuz", "y" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const *b = bad[i];
		int status = banger(b[0], b[1], b[2], b[3], b[4], b[5], b[6], NULL);
		if (status != FAIL_USAGE)
			fail_msg("row %zu (%s %s %s): %d\n%s", i, b[0], b[1] ? b[1] : "",
				 b[2] ? b[2] : "", status, fx.err);
		assert_has(fx.err, "banger: ");
		assert_string_equal(fx.out, "");
		assert_string_equal(fx.calls, "");
	}
	assert_int_equal(banger(NULL), FAIL_USAGE);
}

static void test_too_long_values_are_refused(void **state)
{
	char name[80];

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(BANGER("vm", "show", name), FAIL_USAGE);
	assert_has(fx.err, "longer than 75 bytes");
	assert_int_equal(BANGER("vm", "create", name), FAIL_USAGE);
	assert_string_equal(fx.calls, "");
}

static void test_aliases(void **state)
{
	(void)state;
	assert_int_equal(BANGER("ps", "-a"), 0);
	assert_true(fx.last[CALL_VM_LIST].vm_list.all);
	assert_int_equal(BANGER("stop", "web1", "--timeout", "90s"), 0);
	assert_int_equal(fx.last[CALL_VM_STOP].vm_stop.timeout_ms, 90000);
	assert_int_equal(BANGER("stop", "--timeout", "500ms", "web1"), 0);
	assert_int_equal(fx.last[CALL_VM_STOP].vm_stop.timeout_ms, 500);
	assert_int_equal(BANGER("rm", "web1"), 0);
	assert_string_equal(fx.calls, "vm_list vm_stop vm_stop vm_show vm_delete ");
	/* The request names the VM by id: its name may change its meaning in between. */
	assert_string_equal(fx.last[CALL_VM_DELETE].vm_delete.vm, VM_ID);
	/* `banger ls` is of VMs. */
	assert_int_equal(BANGER("image", "list", "--help"), 0);
	assert_has(fx.out, "banger image ls ...\n");
	assert_int_equal(BANGER("list", "--help"), 0);
	assert_has(fx.out, " banger ls ...\n");
}

static void test_verbs_of_a_vm_need_no_noun(void **state)
{
	(void)state;
	for (const struct command *cmd = commands; cmd->noun && strcmp(cmd->noun, "vm") == 0;
	     cmd++) {
		assert_int_equal(BANGER("vm", cmd->verb, "--help"), 0);
		char *whole = strdup(fx.out);
		assert_int_equal(BANGER(cmd->verb, "--help"), 0);
		assert_string_equal(fx.out, whole);
		assert_int_equal(BANGER("help", cmd->verb), 0);
		assert_string_equal(fx.out, whole);
		free(whole);
	}
	assert_int_equal(BANGER("create", "web9", "--memory", "1G"), 0);
	assert_string_equal(fx.last[CALL_VM_CREATE].vm_create.name, "web9");
	assert_int_equal(BANGER("start", "web9"), 0);
	assert_int_equal(BANGER("kill", "web9"), 0);
	assert_int_equal(BANGER("ls", "-q"), 0);
	assert_int_equal(BANGER("vm", "ls"), 0);
	assert_int_equal(BANGER("inspect", "web9"), 0);
	assert_int_equal(BANGER("image", "ls"), 0);
	assert_int_equal(BANGER("kernel", "rm", "k"), 0);
	assert_string_equal(fx.calls, "image_list vm_create vm_start vm_kill vm_list vm_list "
				      "vm_show image_list kernel_delete ");
	/* A VM may have the name of a verb. */
	assert_int_equal(BANGER("start", "stop"), 0);
	assert_string_equal(fx.last[CALL_VM_START].vm_start.vm, "stop");
}

static void test_mistyped_words_get_a_suggestion(void **state)
{
	static const struct {
		const char *words[3], *hint;
	} rows[] = {
		{ { "strat", "web1" }, "did you mean: banger start\n" },
		{ { "vm", "strat", "web1" }, "did you mean: banger vm start\n" },
		{ { "image", "imprt", "x" }, "did you mean: banger image import\n" },
		{ { "kernle", "list" }, "did you mean: banger kernel\n" },
		{ { "dcotor" }, "did you mean: banger doctor\n" },
		{ { "run", "--memmory", "1G" }, "did you mean: --memory\n" },
		{ { "run", "--frobn" }, "hint: banger help vm run\n" },
		{ { "frobnicate" }, "hint: banger help\n" },
		{ { "vm", "xyzzy" }, "hint: banger help vm\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(banger(rows[i].words[0], rows[i].words[1], rows[i].words[2], NULL),
				 FAIL_USAGE);
		assert_has(fx.err, rows[i].hint);
	}
	assert_string_equal(fx.calls, "");
}

static void test_set(void **state)
{
	const struct call_vm_set *a = &fx.last[CALL_VM_SET].vm_set;

	(void)state;
	assert_int_equal(BANGER("vm", "set", "web1", "--no-nat"), 0);
	assert_int_equal(a->nat, 1);
	assert_int_equal(BANGER("vm", "set", "web1", "--nat", "--vcpus", "4"), 0);
	assert_int_equal(a->nat, 2);
	assert_int_equal(a->vcpus, 4);
	assert_int_equal(a->mem_mib, 0);
}

static void test_help_knows_every_command(void **state)
{
	(void)state;
	assert_int_equal(BANGER("help"), 0);
	char *all = strdup(fx.out);
	for (const struct command *cmd = commands; cmd->noun; cmd++) {
		assert_has(all, cmd->noun);
		if (cmd->verb)
			assert_has(all, cmd->verb);
		assert_int_equal(banger("help", cmd->noun, cmd->verb, NULL), 0);
		assert_has(fx.out, "usage: banger ");
		char *by_help = strdup(fx.out);
		assert_int_equal(cmd->verb ? BANGER(cmd->noun, cmd->verb, "--help")
					   : BANGER(cmd->noun, "-h"),
				 0);
		assert_string_equal(fx.out, by_help);
		free(by_help);
	}
	free(all);
	assert_string_equal(fx.calls, "");
}

static bool is_command(const char *noun, const char *verb)
{
	for (const struct command *cmd = commands; cmd->noun; cmd++)
		if ((strcmp(noun, cmd->noun) == 0 && (!cmd->verb || strcmp(verb, cmd->verb) == 0 ||
						      (cmd->alias && strstr(cmd->alias, verb)))) ||
		    (cmd->verb && strcmp(cmd->noun, "vm") == 0 &&
		     (strcmp(noun, cmd->verb) == 0 || (cmd->alias && strstr(cmd->alias, noun)))))
			return true;
	return false;
}

/* Every command in the README exists. */
static void test_volumes(void **state)
{
	const struct call_vm_create *a = &fx.last[CALL_VM_CREATE].vm_create;
	static const char *const bad[] = { "data", "/home:/x",  "./d:/x", "~/d:/x",
					   ":/x",  "data:/a b", "" };

	(void)state;
	fx.volumes[0] = "data";
	fx.volumes[1] = "logs";
	assert_int_equal(BANGER("create", "web1", "--image", "deb", "-v", "data:/srv", "--volume",
				"logs:/var/log:ro"),
			 0);
	assert_string_equal(fx.calls, "volume_list volume_list vm_create ");
	assert_string_equal(a->volumes, "data:/srv logs:/var/log:ro");

	/* One that is not there is made, as `volume create` makes it. */
	fx.volumes[1] = NULL;
	fx.calls[0] = '\0';
	assert_int_equal(BANGER("create", "--image", "deb", "-v", "logs:/var/log"), 0);
	assert_string_equal(fx.calls, "volume_list volume_create vm_create ");
	assert_string_equal(fx.last[CALL_VOLUME_CREATE].volume_create.name, "logs");

	fx.calls[0] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(BANGER("run", "--image", "deb", "-v", bad[i]), FAIL_USAGE);
	assert_has(fx.err, "is not understood");
	assert_int_equal(BANGER("run", "-v", "/home:/x"), FAIL_USAGE);
	assert_has(fx.err, "begins with a folder of this host");
	assert_int_equal(BANGER("run", "-v", "a:/1", "-v", "b:/2", "-v", "c:/3", "-v", "d:/4", "-v",
				"e:/5"),
			 FAIL_USAGE);
	assert_has(fx.err, "up to 4 volumes");
	assert_string_equal(fx.calls, "");
}

static void test_volume_commands(void **state)
{
	(void)state;
	fx.volumes[0] = "data";
	assert_int_equal(BANGER("volume", "ls"), 0);
	assert_has(fx.out, "NAME  SIZE  VMS");
	assert_has(fx.out, "data  1G    web1 web2");
	assert_int_equal(BANGER("volume", "ls", "-q"), 0);
	assert_string_equal(fx.out, "data\n");
	assert_int_equal(BANGER("volume", "inspect", "data", "-o", "json"), 0);
	assert_has(fx.out, "\"vms\": \"web1 web2\"");
	assert_int_equal(BANGER("volume", "show", "nope"), FAIL_NOT_FOUND);
	assert_int_equal(BANGER("volume", "rm", "data"), 0);
	assert_string_equal(fx.last[CALL_VOLUME_DELETE].volume_delete.volume, "data");
	assert_int_equal(BANGER("volume", "create", "new", "--size", "8M"), 0);
	assert_string_equal(fx.out, "new\n");
	assert_string_equal(fx.last[CALL_VOLUME_CREATE].volume_create.name, "new");
	fx.fail[CALL_VOLUME_CREATE] = FAIL_LIMIT;
	assert_int_equal(BANGER("volume", "create", "new", "--size", "8M"), FAIL_LIMIT);
}

static void test_readme(void **state)
{
	FILE *f = fopen("README.md", "re");
	char line[1024], noun[64], verb[64];
	unsigned seen = 0;

	(void)state;
	if (!f) {
		print_message("SKIP: not in the project's folder\n");
		skip();
	}
	while (fgets(line, sizeof(line), f))
		for (const char *p = line; (p = strstr(p, "banger ")); p += 7) {
			verb[0] = '\0';
			bool typed = strncmp(line, "    ", 4) == 0 || (p > line && p[-1] == '`');
			if (!typed || sscanf(p, "banger %63[a-z] %63[a-z]", noun, verb) < 1)
				continue;
			if (!is_command(noun, verb))
				fail_msg("README.md: there is no \"banger %s %s\"", noun, verb);
			seen++;
		}
	(void)fclose(f);
	assert_true(seen > 10);
}

static void test_guest_line(void **state)
{
	(void)state;
	static char *const one[] = { (char *)"ls | wc -l", NULL };
	static char *const several[] = { (char *)"printf", (char *)"%s",
					 (char *)"it's a $HOME; \"x\"", (char *)"", NULL };
	char *line = ssh_line(one);

	assert_string_equal(line, "ls | wc -l");
	free(line);
	line = ssh_line(several);
	assert_string_equal(line, "'printf' '%s' 'it'\\''s a $HOME; \"x\"' ''");
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_values_reach_the_daemon),
		T(test_defaults_are_the_daemons),
		T(test_the_only_image_is_the_default),
		T(test_images_of_other_users_are_no_default),
		T(test_bad_words_reach_no_daemon),
		T(test_too_long_values_are_refused),
		T(test_aliases),
		T(test_verbs_of_a_vm_need_no_noun),
		T(test_mistyped_words_get_a_suggestion),
		T(test_set),
		T(test_help_knows_every_command),
		T(test_volumes),
		T(test_volume_commands),
		cmocka_unit_test(test_readme),
		cmocka_unit_test(test_guest_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
