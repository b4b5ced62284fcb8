/* Tests what an image's configuration adds to a command, and the users that an image has. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#undef fail /* cmocka's, of which this test needs none */
#include "controller/agent/command.c"

static struct command c;
static struct image_config im;

static void configure(const char *records, size_t n)
{
	memset(&c, 0, sizeof(c));
	memset(&im, 0, sizeof(im));
	memcpy(im.text, records, n);
	im.n = n;
}
#define CONFIGURE(text) configure(text, sizeof(text))

static void give(const char *word)
{
	c.args[c.nargs++] = command_word(&c, word, strlen(word));
}

static void words_are(const char *want)
{
	char all[1000] = "";

	assert_int_equal(add_words(&c, &im), 0);
	for (size_t i = 0; i < c.nargs; i++)
		(void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s|", c.args[i]);
	assert_string_equal(all, want);
	assert_null(c.args[c.nargs]);
}

static void test_entry_point_and_command(void **state)
{
	(void)state;
	CONFIGURE("Centry\0E/bin/x\0E-y\0Cword");
	words_are("/bin/x|-y|entry|word|");
	CONFIGURE("Centry\0E/bin/x\0E-y\0Cword");
	give("mine");
	c.line = true;
	words_are("/bin/x|-y|mine|");
	assert_false(c.line); /* it is a word of the entry point, no line for a shell */
	CONFIGURE("C/bin/sh\0C-c\0Cecho");
	words_are("/bin/sh|-c|echo|");
	CONFIGURE("C/bin/sh");
	give("mine");
	c.line = true;
	words_are("mine|");
	assert_true(c.line);
	CONFIGURE("VA=b");
	words_are("");
}

static void test_too_many_words(void **state)
{
	static char many[2 * (2 * IMAGE_WORDS + 2)];

	(void)state;
	for (size_t i = 0; i < sizeof(many); i += 2)
		many[i] = 'C';
	configure(many, sizeof(many));
	assert_int_equal(add_words(&c, &im), -1);
	assert_null(c.args[c.nargs]);
	for (size_t i = 0; i < sizeof(many); i += 2)
		many[i] = 'E';
	configure(many, sizeof(many));
	assert_int_equal(add_words(&c, &im), -1);
	configure(many, sizeof(many));
	for (size_t i = 0; i < AGENT_WORDS; i++)
		c.args[c.nargs++] = many;
	assert_int_equal(add_words(&c, &im), -1);
	assert_int_equal(c.nargs, AGENT_WORDS + IMAGE_WORDS);
}

static void test_variables(void **state)
{
	(void)state;
	CONFIGURE("");
	c.env[c.nenv++] = command_word(&c, "A=mine", 6);
	add_variable(&c, "A=image");
	add_variable(&c, "AB=image");
	add_variable(&c, "nothing");
	assert_int_equal(c.nenv, 2);
	assert_string_equal(c.env[1], "AB=image");
}

static void test_records(void **state)
{
	size_t at = 0;

	(void)state;
	CONFIGURE("Uroot\0\0W\0SSIGQUIT\0U");
	assert_string_equal(image_next(&im, IMAGE_USER, &at), "root");
	assert_string_equal(image_next(&im, IMAGE_USER, &at), "");
	assert_null(image_next(&im, IMAGE_USER, &at));
	assert_int_equal(image_signal(&im), SIGQUIT);
	CONFIGURE("S9");
	assert_int_equal(image_signal(&im), SIGKILL);
	CONFIGURE("SUSR1");
	assert_int_equal(image_signal(&im), SIGUSR1);
	CONFIGURE("SNONSENSE");
	assert_int_equal(image_signal(&im), SIGTERM);
	CONFIGURE("S-1");
	assert_int_equal(image_signal(&im), SIGTERM);
	configure("SKILL", 5); /* a record that is cut */
	assert_int_equal(image_signal(&im), SIGKILL);
}

static void test_users(void **state)
{
	char why[200] = "";
	struct user u;

	(void)state;
	assert_int_equal(find_user("root", &u, why), 0);
	assert_int_equal(u.uid, 0);
	assert_int_equal(find_user("4123456789", &u, why), 0);
	assert_int_equal(u.uid, 4123456789u);
	assert_int_equal(u.gid, 0);
	assert_string_equal(u.home, "/");
	assert_int_equal(find_user("4123456789:77777", &u, why), 0);
	assert_int_equal(u.gid, 77777);
	assert_int_equal(u.groups[0], 77777);
	assert_int_equal(find_user("0:root", &u, why), 0);
	assert_int_equal(find_user("no-such-user", &u, why), 126);
	assert_int_equal(find_user("4294967295", &u, why), 126);
	assert_int_equal(find_user("root:no-such-group", &u, why), 126);
	assert_int_equal(find_user("-1", &u, why), 126);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry_point_and_command),
		cmocka_unit_test(test_too_many_words),
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
