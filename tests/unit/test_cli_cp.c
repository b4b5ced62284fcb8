/* cp: a guest that lies to the command line, the copy of trees by both of its halves, tar streams
 * of strangers, and the words. */
#include "tests/unit/cli_fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <sys/wait.h>
#include <time.h>

#include "controller/cli/cp.h"

#define PATIENCE_MS 60000 /* for what is waited for on a loaded machine */

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

/* ---- a folder for the test ---- */

static const char *path(const char *name)
{
	static char v[4][300];
	static unsigned i;

	i = (i + 1) % 4;
	(void)snprintf(v[i], sizeof(v[i]), "%s/%s", fx.dir, name);
	return v[i];
}

static void put_file(const char *name, const char *text)
{
	FILE *f = fopen(path(name), "we");

	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
}

static const char *content(const char *name)
{
	static char text[1000];
	FILE *f = fopen(path(name), "re");

	if (!f)
		return NULL;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	return text;
}

/* Return: the number of entries of a folder. */
static int entries(const char *name)
{
	DIR *d = opendir(path(name));
	int n = -2; /* "." and ".." */

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static void make_folder(const char *name)
{
	assert_int_equal(mkdir(path(name), 0755), 0);
}

/* ---- a guest that sends records ---- */

static void says(enum agent_frame type, const void *data, size_t n)
{
	assert_true(fx.agent_len + AGENT_HEAD + n <= sizeof(fx.agent));
	fx.agent_len += agent_put((uint8_t *)fx.agent + fx.agent_len, type, data, n);
}

static void silence(void)
{
	fx.agent_len = 0;
	fx.agent_stays = false;
	if (fx.agent_fd > 0)
		(void)close(fx.agent_fd);
	fx.agent_fd = 0;
}

static void sends_entry(const struct tree_entry *e)
{
	uint8_t buf[TREE_ENTRY_MAX];

	says(AGENT_OUTPUT, buf, tree_put_entry(buf, e));
}

static void sends(enum tree_type type, const char *name, const char *target)
{
	struct tree_entry e = { .type = type, .mode = 0755, .mtime = 1000000 };

	(void)snprintf(e.name, sizeof(e.name), "%s", name);
	(void)snprintf(e.target, sizeof(e.target), "%s", target);
	sends_entry(&e);
}

static void sends_plain(enum tree_type type, const char *text)
{
	uint8_t buf[1000];

	says(AGENT_OUTPUT, buf, tree_put(buf, type, text, strlen(text)));
}

static void sends_file(const char *name, uint64_t size, const char *text)
{
	struct tree_entry e = { .type = TREE_FILE, .mode = 06640, .mtime = 1000000, .size = size };

	(void)snprintf(e.name, sizeof(e.name), "%s", name);
	sends_entry(&e);
	if (*text)
		sends_plain(TREE_DATA, text);
}

static void sends_end(void)
{
	sends_plain(TREE_END, "");
	says(AGENT_EXIT, "\0\0", 2);
}

/* Run `banger cp web1:SOURCE DESTINATION`.  Return: its status. */
static int get(const char *source, const char *to)
{
	char word[128];

	(void)snprintf(word, sizeof(word), "web1:%s", source);
	int status = BANGER("cp", word, path(to));
	silence();
	return status;
}

static void test_a_file_of_a_guest(void **state)
{
	struct stat st;

	(void)state;
	sends_file("name", 5, "hello");
	sends_end();
	assert_int_equal(get("/etc/name", "copy"), 0);
	assert_string_equal(content("copy"), "hello");
	assert_int_equal(stat(path("copy"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640); /* no set-user-id bit */
	assert_int_equal(st.st_mtime, 1000000);
	assert_string_equal(fx.err, "");
	make_folder("to");
	sends_file("name", 5, "again");
	sends_end();
	assert_int_equal(get("/etc/name/", "to"), 0);
	assert_string_equal(content("to/name"), "again");
}

/* Return: the status of a copy of web1:/x/top into the folder "to", and check that nothing of it is
 * there or outside, but @made entries. */
static void refused(int made, const char *why)
{
	sends_end();
	assert_int_equal(get("/x/top", "to"), FAIL_GENERAL);
	assert_has(fx.err, why);
	assert_int_equal(entries("to"), made);
	assert_int_equal(entries("outside"), 1);
	assert_string_equal(content("outside/keep"), "mine");
	assert_string_equal(content("keep"), "mine");
}

static void make_places(void)
{
	make_folder("to");
	make_folder("outside");
	put_file("outside/keep", "mine");
	put_file("keep", "mine");
}

static void test_names_that_were_not_asked_for(void **state)
{
	(void)state;
	make_places();
	sends_file("other", 2, "no");
	refused(0, "is not a copy of files");
	sends_plain(TREE_LEAVE, "");
	refused(0, "is not a copy of files");
	sends_file("top", 2, "ok");
	sends_file(".bashrc", 2, "no");
	refused(1, "is not a copy of files");
	(void)unlink(path("to/top"));
	sends(TREE_FOLDER, "", "");
	sends_file(".bashrc", 2, "no");
	refused(0, "is not a copy of files");
	/* the destination is the name: only one entry can have it */
	sends_file("top", 2, "ok");
	sends_file("top", 2, "no");
	sends_end();
	assert_int_equal(get("/x/top", "only"), FAIL_GENERAL);
	assert_string_equal(content("only"), "ok");
}

/* A name that is a path, as raw bytes: the encoder does not check it. */
static void test_names_that_are_paths(void **state)
{
	static const char *const names[] = { "../keep", "..", ".", "/keep", "a/b", "", "\n/" };

	(void)state;
	make_places();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		sends(TREE_FOLDER, "top", "");
		sends_file(names[i], 2, "no");
		refused(1, "is not a copy of files");
		assert_int_equal(entries("to/top"), 0);
		assert_int_equal(rmdir(path("to/top")), 0);
	}
}

static void test_links_are_not_followed(void **state)
{
	(void)state;
	make_places();
	sends(TREE_FOLDER, "top", "");
	sends(TREE_SYMLINK, "out", path("outside"));
	sends(TREE_FOLDER, "out", "");
	sends_file("keep", 2, "no");
	refused(1, "what has this name is not a folder");
	sends(TREE_FOLDER, "top", "");
	sends(TREE_LINK, "in", "out/keep");
	sends_file("in", 2, "no");
	refused(1, "to/top/in: ");
	assert_null(content("to/top/in"));
	sends(TREE_FOLDER, "top", "");
	sends(TREE_LINK, "in", "../../keep");
	refused(1, "is not a copy of files");
	sends(TREE_FOLDER, "top", "");
	sends(TREE_LINK, "in", "/etc/passwd");
	refused(1, "is not a copy of files");
}

/* What is written goes into a file of its own, also if the name is a link out of the folder. */
static void test_a_file_replaces_a_link(void **state)
{
	struct stat st;

	(void)state;
	make_places();
	sends(TREE_FOLDER, "top", "");
	sends(TREE_SYMLINK, "out", path("outside/keep"));
	sends_file("out", 2, "ok");
	sends_plain(TREE_LEAVE, "");
	sends_end();
	assert_int_equal(get("/x/top", "to"), 0);
	assert_int_equal(lstat(path("to/top/out"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_string_equal(content("outside/keep"), "mine");
}

/* The same command twice: the guest chooses where the link of the first copy leads. */
static void test_a_link_of_an_earlier_copy(void **state)
{
	static const char *const places[] = { "outside/keep", "outside", "outside/new" };

	(void)state;
	make_places();
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		sends(TREE_SYMLINK, "top", path(places[i]));
		sends_end();
		assert_int_equal(get("/x/top", "copy"), 0);
		sends_file("top", 2, "no");
		sends_end();
		assert_int_equal(get("/x/top", "copy"), FAIL_GENERAL);
		assert_has(fx.err, "copy: it is a symbolic link");
		assert_int_equal(entries("outside"), 1);
		assert_string_equal(content("outside/keep"), "mine");
		assert_int_equal(unlink(path("copy")), 0);
	}
	/* unless the user says that the folder is meant */
	assert_int_equal(symlink(path("to"), path("link")), 0);
	sends_file("top", 2, "ok");
	sends_end();
	assert_int_equal(get("/x/top", "link/"), 0);
	assert_string_equal(content("to/top"), "ok");
}

static void test_sizes_that_lie(void **state)
{
	uint8_t hole[TREE_HEAD + 8];

	(void)state;
	make_places();
	sends_file("top", 3, "four");
	refused(0, "is not a copy of files");
	sends_file("top", 3, "no");
	refused(0, "is not a copy of files");
	sends_file("top", 3, "no");
	sends_file("top", 3, "no");
	refused(0, "is not a copy of files");
	sends_file("top", 3, "");
	says(AGENT_OUTPUT, hole, tree_put_hole(hole, UINT64_MAX - 1));
	refused(0, "is not a copy of files");
	sends_file("top", INT64_MAX, ""); /* no file system has so large a file */
	says(AGENT_OUTPUT, hole, tree_put_hole(hole, INT64_MAX));
	refused(0, "to/top: ");
	sends_file("top", UINT64_MAX, "no");
	refused(0, "is not a copy of files");
}

static void test_what_is_no_record(void **state)
{
	struct tree_entry e = { .type = TREE_FILE, .name = "top", .mode = 0100644 };

	(void)state;
	make_places();
	says(AGENT_OUTPUT, "\xff\0\0\0", 4);
	refused(0, "is not a copy of files");
	sends_entry(&e); /* a mode with the bits of a type */
	refused(0, "is not a copy of files");
	e.mode = 0;
	e.uid = UINT32_MAX;
	sends_entry(&e);
	refused(0, "is not a copy of files");
	sends(TREE_FOLDER, "top", "");
	for (int i = 0; i < TREE_DEPTH; i++)
		sends(TREE_FOLDER, "d", "");
	refused(1, "is not a copy of files");
}

static void test_a_copy_that_is_cut(void **state)
{
	(void)state;
	make_places();
	says(AGENT_EXIT, "\0\0", 2); /* nothing at all, and a success */
	assert_int_equal(get("/x/top", "to"), FAIL_GENERAL);
	assert_has(fx.err, "banger: web1: its agent copied less than was asked");
	sends_file("top", 9, "half");
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(get("/x/top", "to"), FAIL_GENERAL);
	assert_has(fx.err, "copied less than was asked");
	assert_int_equal(entries("to"), 0);
	sends_end();
	assert_int_equal(get("/x/top", "to"), FAIL_GENERAL);
	assert_has(fx.err, "copied less than was asked");
	sends_file("top", 9, "half"); /* the stream itself ends */
	assert_int_equal(get("/x/top", "to"), FAIL_STATE);
	assert_int_equal(entries("to"), 0);
	sends_file("top", 9, "half");
	sends_plain(TREE_SPOILT, "");
	sends_plain(TREE_END, "");
	says(AGENT_ERRORS, "/x/top: Input/output error\n", 27);
	says(AGENT_EXIT, "\x0a\0", 2);
	assert_int_equal(get("/x/top", "to"), FAIL_PARTLY);
	assert_string_equal(fx.err, "banger: web1:/x/top: Input/output error\n");
	assert_int_equal(entries("to"), 0);
}

static void test_what_the_agent_says(void **state)
{
	static const char old[] = "\x7d"
				  "the agent was sent a frame that it does not take";

	(void)state;
	make_places();
	sends_plain(TREE_END, "");
	says(AGENT_ERRORS, "/x/\033[31m\x9b\r: No\n/tw", 18);
	says(AGENT_ERRORS, "o: No", 5);
	says(AGENT_EXIT, "\x01\0", 2);
	assert_int_equal(get("/x/top", "to"), FAIL_GENERAL);
	assert_string_equal(fx.err, "banger: web1:/x/?[31m??: No\nbanger: web1:/two: No\n");
	for (int i = 0; i < 5000; i++)
		says(AGENT_ERRORS, "spam\n", 5);
	says(AGENT_EXIT, "\x01\0", 2);
	assert_int_equal(get("/x/top", "to"), FAIL_GENERAL);
	assert_has(fx.err, "banger: web1: and more\n");
	assert_int_equal(strlen(fx.err), 99 * strlen("banger: web1:spam\n") + 23);
	says(AGENT_EXIT, "\0\x09", 2);
	assert_int_equal(get("/x/top", "to"), FAIL_GENERAL);
	assert_has(fx.err, "web1: its agent ended with status 137");
	says(AGENT_FAILED, old, sizeof(old) - 1);
	assert_int_equal(get("/x/top", "to"), FAIL_GENERAL);
	assert_has(fx.err, "hint: the VM's kernel was imported by an earlier banger");
	says(AGENT_OUTPUT, "x", 1); /* although nothing was asked from it */
	says(AGENT_EXIT, "\0\0", 2);
	assert_int_equal(BANGER("cp", path("keep"), "web1:/x"), FAIL_GENERAL);
	assert_has(fx.err, "is not of this protocol");
	silence();
}

/* Names of a guest reach the terminal by our own messages too. */
static void test_names_are_cleaned(void **state)
{
	(void)state;
	make_places();
	sends(TREE_FOLDER, "top", "");
	sends(TREE_LINK, "\033]0;owned\007", "nosuch");
	refused(1, "to/top/?]0;owned?: No such file");
	assert_lacks(fx.err, "\033");
}

static void test_a_folder_keeps_its_mode(void **state)
{
	struct stat st;

	(void)state;
	make_places();
	assert_int_equal(chmod(path("to"), 0700), 0);
	sends(TREE_FOLDER, "", "");
	sends_file("a", 1, "a");
	sends_plain(TREE_LEAVE, "");
	sends_end();
	assert_int_equal(get("/x/.", "to"), 0);
	assert_string_equal(content("to/a"), "a");
	assert_int_equal(stat(path("to"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

/* ---- interruptions ---- */

static bool has_temporary(void)
{
	DIR *d = opendir(path("to"));
	struct dirent *e;
	bool found = false;

	while (d && (e = readdir(d)))
		found |= strncmp(e->d_name, ".banger-cp.", 11) == 0;
	if (d)
		(void)closedir(d);
	return found;
}

static bool comes(bool wanted)
{
	const struct timespec pause = { 0, 20000000 };

	for (int ms = 0; ms < PATIENCE_MS; ms += 20, (void)nanosleep(&pause, NULL))
		if (has_temporary() == wanted)
			return true;
	return false;
}

/* A guest sends half a file and no more; the client is ended by @sig.  Return: as of wait(2). */
static int interrupted_by(int sig)
{
	char to[300], *argv[] = { (char *)"banger", (char *)"cp", (char *)"web1:/x/top", to, NULL };
	int status;

	(void)strcpy(to, path("to"));
	sends_file("top", 100, "half");
	fx.agent_stays = true;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		(void)dup2(null, STDERR_FILENO);
		_exit(cli_main(4, argv, commands));
	}
	assert_true(comes(true));
	(void)kill(pid, sig);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(comes(false));
	assert_int_equal(entries("to"), 0);
	silence();
	return status;
}

static void test_an_interruption_leaves_no_half_file(void **state)
{
	(void)state;
	make_places();
	assert_int_equal(WTERMSIG(interrupted_by(SIGKILL)), SIGKILL);
	assert_int_equal(WEXITSTATUS(interrupted_by(SIGINT)), 128 + SIGINT);
}

/* ---- progress ---- */

/* Run a copy whose standard error is a terminal.  Return: the terminal's other side. */
static int copy_on_terminal(pid_t *pid, const char *option)
{
	char to[300], *argv[] = { (char *)"banger",      (char *)"cp", (char *)option,
				  (char *)"web1:/x/top", to,           NULL };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	(void)strcpy(to, path("to"));
	sends_file("top", 1000000, "half");
	fx.agent_stays = true;
	*pid = fork();
	assert_true(*pid >= 0);
	if (*pid == 0) {
		int tty = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
		(void)dup2(tty, STDERR_FILENO);
		_exit(cli_main(5, argv, commands));
	}
	assert_int_equal(fcntl(master, F_SETFL, O_NONBLOCK), 0);
	return master;
}

/* Send a byte of the file now and then, for @ms at most, until the terminal shows @text. */
static bool shows(int master, const char *text, int ms)
{
	static char shown[100000];
	uint8_t record[TREE_HEAD + 1], frame[AGENT_HEAD + sizeof(record)];
	const struct timespec pause = { 0, 20000000 };
	size_t n = 0;

	(void)tree_put(record, TREE_DATA, "x", 1);
	(void)agent_put(frame, AGENT_OUTPUT, record, sizeof(record));
	for (; ms > 0; ms -= 20, (void)nanosleep(&pause, NULL)) {
		ssize_t got = read(master, shown + n, sizeof(shown) - 1 - n);
		n += got > 0 ? (size_t)got : 0;
		shown[n] = '\0';
		if (strstr(shown, text))
			return true;
		(void)!send(fx.agent_fd, frame, sizeof(frame), MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	return false;
}

static void end_copy(int master, pid_t pid)
{
	(void)kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(master);
	silence();
}

static void test_progress_on_a_terminal(void **state)
{
	pid_t pid;
	int master;

	(void)state;
	make_places();
	master = copy_on_terminal(&pid, "-L");
	assert_true(comes(true));
	assert_true(shows(master, ", 1 files  ", PATIENCE_MS));
	end_copy(master, pid);
	master = copy_on_terminal(&pid, "-q");
	assert_true(comes(true));
	assert_false(shows(master, "files", 1500));
	end_copy(master, pid);
}

/* ---- both halves ---- */

static char told[2000];

static void on_problem(const char *what, const char *why)
{
	size_t n = strlen(told);

	(void)snprintf(told + n, sizeof(told) - n, "%s: %s\n", what, why);
}

/* Start a process that sends @paths, or with @tar a tar stream.  Return: the stream. */
static int start_sender(char *const *paths, int tar, pid_t *pid)
{
	struct copy c = { .problem = on_problem };
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	*pid = fork();
	assert_true(*pid >= 0);
	if (*pid == 0) {
		(void)close(fds[0]);
		c.fd = fds[1];
		_exit(paths ? copy_send(&c, paths) : tar_send(&c, tar));
	}
	(void)close(fds[1]);
	return fds[0];
}

static enum copy_end ended(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return (enum copy_end)WEXITSTATUS(status);
}

/* Copy @from to @to.  Return: how it ended for the receiver. */
static enum copy_end copy_tree(const char *from, const char *to)
{
	char *paths[] = { (char *)from, NULL };
	pid_t pid;
	const struct copy c = { .fd = start_sender(paths, -1, &pid), .problem = on_problem };

	told[0] = '\0';
	enum copy_end end = copy_receive(&c, to);
	(void)close(c.fd);
	enum copy_end sender = ended(pid);
	assert_true(sender == COPY_DONE || (sender == COPY_CUT && end == COPY_FAILED));
	return end;
}

static void test_a_tree_goes_through_both_halves(void **state)
{
	struct stat a, b;
	char target[10] = "";

	(void)state;
	make_folder("tree");
	make_folder("tree/sub");
	put_file("tree/a", "text");
	assert_int_equal(link(path("tree/a"), path("tree/sub/b")), 0);
	assert_int_equal(symlink("../../x", path("tree/sub/l")), 0);
	put_file("tree/holes", "");
	assert_int_equal(truncate(path("tree/holes"), 50000000), 0);
	assert_int_equal(chmod(path("tree/sub"), 0500), 0);
	assert_int_equal(copy_tree(path("tree"), path("new")), COPY_DONE);
	assert_string_equal(content("new/sub/b"), "text");
	assert_int_equal(stat(path("new/a"), &a), 0);
	assert_int_equal(stat(path("new/sub/b"), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(readlink(path("new/sub/l"), target, sizeof(target)), 7);
	assert_string_equal(target, "../../x");
	assert_int_equal(stat(path("new/holes"), &a), 0);
	assert_int_equal(a.st_size, 50000000);
	assert_true(a.st_blocks < 1000);
	assert_int_equal(stat(path("new/sub"), &a), 0);
	assert_int_equal(a.st_mode & 07777, 0500);
	/* once more, over what is there: hard links are the same files then */
	assert_int_equal(copy_tree(path("tree"), path("new")), COPY_DONE);
	assert_int_equal(copy_tree(path("tree/."), path("new")), COPY_DONE);
	assert_int_equal(entries("new"), 4);
	(void)chmod(path("tree/sub"), 0700);
	(void)chmod(path("new/sub"), 0700);
	(void)chmod(path("new/tree/sub"), 0700);
}

/* rename(2) does nothing for two names of one file. */
static void test_a_hard_link_over_itself(void **state)
{
	(void)state;
	make_places();
	sends(TREE_FOLDER, "top", "");
	sends_file("a", 1, "a");
	sends(TREE_LINK, "b", "a");
	sends(TREE_LINK, "b", "a");
	sends(TREE_LINK, "a", "b");
	sends_plain(TREE_LEAVE, "");
	sends_end();
	assert_int_equal(get("/x/top", "to"), 0);
	assert_int_equal(entries("to/top"), 2);
	assert_string_equal(content("to/top/b"), "a");
}

static void test_destinations_that_are_refused(void **state)
{
	char deep[300];

	(void)state;
	put_file("file", "text");
	put_file("old", "old");
	assert_int_equal(symlink("nosuch", path("nowhere")), 0);
	assert_int_equal(copy_tree(path("file"), path("nowhere")), COPY_FAILED);
	assert_has(told, "a symbolic link to nothing");
	assert_int_equal(copy_tree(path("file"), "/dev/null"), COPY_FAILED);
	assert_has(told, "neither a file nor a folder");
	assert_int_equal(copy_tree(path("file"), path("no/such")), COPY_FAILED);
	assert_has(told, "No such file");
	assert_int_equal(copy_tree(path("file"), path("new/")), COPY_FAILED);
	assert_int_equal(copy_tree(path("file"), path("old/")), COPY_FAILED);
	(void)snprintf(deep, sizeof(deep), "%s", path("bin"));
	assert_int_equal(copy_tree(deep, path("old")), COPY_FAILED);
	assert_has(told, "what has this name is not a folder");
	assert_string_equal(content("old"), "old");
	make_folder("dir");
	make_folder("dir/file");
	assert_int_equal(copy_tree(path("file"), path("dir")), COPY_FAILED);
	assert_has(told, "a folder has this name");
	assert_int_equal(entries("dir"), 1);
}

/* ---- tar streams ---- */

static struct archive *tar;

static void tar_begin(const char *name)
{
	tar = archive_write_new();
	assert_non_null(tar);
	assert_int_equal(archive_write_set_format_pax(tar), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(tar, path(name)), ARCHIVE_OK);
}

static void tar_add(const char *name, unsigned type, const char *target, const char *text)
{
	struct archive_entry *e = archive_entry_new();

	assert_non_null(e);
	archive_entry_copy_pathname(e, name);
	archive_entry_set_filetype(e, type);
	archive_entry_set_perm(e, 0644);
	archive_entry_set_size(e, type == AE_IFREG && !target ? (la_int64_t)strlen(text) : 0);
	if (target && type == AE_IFLNK)
		archive_entry_copy_symlink(e, target);
	else if (target)
		archive_entry_copy_hardlink(e, target);
	assert_int_equal(archive_write_header(tar, e), ARCHIVE_OK);
	if (*text)
		assert_int_equal(archive_write_data(tar, text, strlen(text)), strlen(text));
	archive_entry_free(e);
}

static void tar_end(void)
{
	assert_int_equal(archive_write_close(tar), ARCHIVE_OK);
	assert_int_equal(archive_write_free(tar), ARCHIVE_OK);
}

/* What tar_send() makes of the archive @name, as "folder: file:a data:text leave: end: ". */
static const char *records_of(const char *name, enum copy_end *end)
{
	static char text[4000];
	static struct tree_reader r;
	static struct tree_record m;
	int at = 0, file = open(path(name), O_RDONLY | O_CLOEXEC);
	pid_t pid;

	assert_true(file >= 0);
	memset(&r, 0, sizeof(r));
	text[0] = '\0';
	int fd = start_sender(NULL, file, &pid);
	while (copy_next(fd, &r, &m) > 0 && at < 3500) {
		bool data = m.type == TREE_DATA;
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s:%.*s%s%s ",
			       tree_record_name(m.type), data ? (int)m.n : 255,
			       data                  ? (const char *)m.data
			       : m.type <= TREE_LINK ? m.entry.name
						     : "",
			       m.type == TREE_SYMLINK || m.type == TREE_LINK ? ">" : "",
			       m.type == TREE_SYMLINK || m.type == TREE_LINK ? m.entry.target : "");
	}
	(void)close(fd);
	(void)close(file);
	*end = ended(pid);
	return text;
}

static void test_a_tar_stream(void **state)
{
	enum copy_end end;

	(void)state;
	tar_begin("t");
	tar_add("./", AE_IFDIR, NULL, "");
	tar_add("./a", AE_IFREG, NULL, "text");
	tar_add("./d/", AE_IFDIR, NULL, "");
	tar_add("./d/b", AE_IFREG, "./a", "");
	tar_add("no/such/dir/l", AE_IFLNK, "/x", "");
	tar_add("d/empty", AE_IFREG, NULL, "");
	tar_end();
	assert_string_equal(records_of("t", &end),
			    "folder: file:a data:text folder:d link:b>a leave: folder:no "
			    "folder:such folder:dir symlink:l>/x leave: leave: leave: folder:d "
			    "file:empty leave: leave: end: ");
	assert_int_equal(end, COPY_DONE);
}

static void test_a_tar_stream_of_a_stranger(void **state)
{
	enum copy_end end;
	char deep[2 * TREE_DEPTH + 3];

	(void)state;
	for (size_t i = 0; i < sizeof(deep) - 1; i++)
		deep[i] = i % 2 ? '/' : 'd';
	deep[sizeof(deep) - 1] = '\0';
	tar_begin("t");
	tar_add("../out", AE_IFREG, NULL, "no");
	tar_add("d/../../out", AE_IFREG, NULL, "no");
	tar_add("/absolute", AE_IFREG, NULL, "ok");
	tar_add("link", AE_IFREG, "../../etc/passwd", "");
	tar_add("null", AE_IFCHR, NULL, "");
	tar_add("fifo", AE_IFIFO, NULL, "");
	tar_add(deep, AE_IFDIR, NULL, "");
	tar_end();
	assert_string_equal(records_of("t", &end), "folder: file:absolute data:ok leave: end: ");
	assert_int_equal(end, COPY_PARTLY);
}

static void test_a_tar_stream_that_is_damaged(void **state)
{
	enum copy_end end;

	(void)state;
	tar_begin("t");
	tar_add("a", AE_IFREG, NULL, "one");
	tar_add("b", AE_IFREG, NULL, "two");
	tar_end();
	assert_int_equal(truncate(path("t"), 1536 + 2), 0); /* in the content of b */
	assert_string_equal(records_of("t", &end),
			    "folder: file:a data:one file:b data:tw spoilt: leave: end: ");
	assert_int_equal(end, COPY_FAILED);
	put_file("t", "this is no archive, but it is long enough to be taken for one");
	assert_lacks(records_of("t", &end), "end");
	assert_int_equal(end, COPY_FAILED);
}

/* The entries of an archive, as "d/ d/a=text ". */
static const char *list_of(const char *name)
{
	static char text[2000];
	struct archive *a = archive_read_new();
	struct archive_entry *e;
	char data[100];

	assert_non_null(a);
	text[0] = '\0';
	archive_read_support_format_tar(a);
	assert_int_equal(archive_read_open_filename(a, path(name), 4096), ARCHIVE_OK);
	while (archive_read_next_header(a, &e) == ARCHIVE_OK) {
		const char *hard = archive_entry_hardlink(e), *soft = archive_entry_symlink(e);
		la_ssize_t n = archive_read_data(a, data, sizeof(data) - 1);
		(void)strcat(strcat(text, archive_entry_pathname(e)), hard || soft ? ">" : "");
		(void)strcat(text, hard ? hard : soft ? soft : "");
		data[n > 0 ? n : 0] = '\0';
		(void)strcat(strcat(strcat(text, n > 0 ? "=" : ""), data), " ");
	}
	archive_read_free(a);
	return text;
}

/* The archive that tar_receive() makes of the records that fx.agent has, without a guest. */
static enum copy_end receive_tar(const char *name)
{
	static const char *const names[] = { "top", NULL };
	struct copy c = { .names = names, .problem = on_problem };
	int fds[2], file = open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct agent_reader r = { .from = AGENT_GUEST };
	struct agent_msg m;
	size_t size;

	told[0] = '\0';
	assert_true(file >= 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	memcpy(agent_room(&r, &size), fx.agent, fx.agent_len);
	r.have = fx.agent_len;
	while (agent_next(&r, &m) == 1)
		assert_int_equal(write(fds[1], m.data, m.n), m.n);
	(void)close(fds[1]);
	fx.agent_len = 0;
	c.fd = fds[0];
	pid_t pid = fork();
	if (pid == 0) {
		_exit(tar_receive(&c, file));
	}
	(void)close(fds[0]);
	(void)close(file);
	return ended(pid);
}

static void test_a_tar_stream_out_of_a_guest(void **state)
{
	(void)state;
	sends(TREE_FOLDER, "top", "");
	sends_file("a", 4, "text");
	sends(TREE_FOLDER, "d", "");
	sends(TREE_LINK, "b", "a");
	sends(TREE_SYMLINK, "l", "../x");
	sends_plain(TREE_LEAVE, "");
	sends_file("half", 6, "hal");
	sends_plain(TREE_SPOILT, "");
	sends_file("z", 1, "z");
	sends_plain(TREE_LEAVE, "");
	sends_plain(TREE_END, "");
	assert_int_equal(receive_tar("t"), COPY_DONE);
	assert_string_equal(list_of("t"), "top/ top/a=text top/d/ top/d/b>top/a top/d/l>../x "
					  "top/half=hal top/z=z ");
	sends_file("other", 1, "z");
	sends_plain(TREE_END, "");
	assert_int_equal(receive_tar("t"), COPY_FAILED);
	sends_file("top", 4, "te");
	sends_plain(TREE_END, "");
	assert_int_equal(receive_tar("t"), COPY_FAILED);
	sends_file("top", 4, "te");
	assert_int_equal(receive_tar("t"), COPY_CUT);
}

/* ---- the words ---- */

static void usage(const char *a, const char *b, const char *why)
{
	fx.calls[0] = '\0';
	assert_int_equal(BANGER("cp", a, b), FAIL_USAGE);
	assert_has(fx.err, why);
	assert_string_equal(fx.calls, "");
}

static void test_the_words(void **state)
{
	(void)state;
	usage("a:b", "c:d", "both sides are guests");
	assert_has(fx.err, "hint: banger cp A:PATH - | banger cp - B:DIR");
	usage("./a:b", "c", "neither side is VM:PATH");
	usage("/a:b", "dir/c:d", "neither side is VM:PATH");
	usage("-", "c", "neither side is VM:PATH");
	assert_int_equal(BANGER("cp", "a:b", "c:d", "."), FAIL_USAGE);
	assert_has(fx.err, "one copy is of one VM");
	assert_int_equal(BANGER("cp", "-", "/etc/hosts", "a:b"), FAIL_USAGE);
	assert_has(fx.err, "a tar stream is the only source");
	assert_int_equal(BANGER("cp", "a:b"), FAIL_USAGE);
	assert_int_equal(BANGER("cp", "-u", "", "a:b", "c"), FAIL_USAGE);
	assert_int_equal(BANGER("cp", "/nosuch", "a:b"), FAIL_NOT_FOUND);
	fx.state = "stopped";
	assert_int_equal(BANGER("cp", "1000/web1:b", path("c")), FAIL_STATE);
	assert_string_equal(fx.last[CALL_VM_SHOW].vm_show.vm, "1000/web1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_file_of_a_guest),
		T(test_names_that_were_not_asked_for),
		T(test_names_that_are_paths),
		T(test_links_are_not_followed),
		T(test_a_file_replaces_a_link),
		T(test_a_link_of_an_earlier_copy),
		T(test_sizes_that_lie),
		T(test_what_is_no_record),
		T(test_a_copy_that_is_cut),
		T(test_what_the_agent_says),
		T(test_names_are_cleaned),
		T(test_a_folder_keeps_its_mode),
		T(test_an_interruption_leaves_no_half_file),
		T(test_progress_on_a_terminal),
		T(test_a_tree_goes_through_both_halves),
		T(test_a_hard_link_over_itself),
		T(test_destinations_that_are_refused),
		T(test_a_tar_stream),
		T(test_a_tar_stream_of_a_stranger),
		T(test_a_tar_stream_that_is_damaged),
		T(test_a_tar_stream_out_of_a_guest),
		T(test_the_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
