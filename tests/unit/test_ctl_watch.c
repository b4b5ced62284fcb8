/* Tests the watch: the console file is bounded, its offsets stay valid, and no other VM is shown
 * it.  Also tests the end of a VMM. */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "tests/unit/ctl_fixture.h"

#define LINE 64 /* bytes of a numbered line */

static struct vm some_vm(uint8_t id, uint32_t slot)
{
	struct vm vm = { .id = { id }, .slot = slot, .generation = 1, .state = VM_STARTING };

	return vm;
}

/* Start watching @vm with this process as its VMM.  Return: the descriptor that the VMM writes
 * to. */
static int begin(struct fixture *f, struct vm *vm)
{
	int console = watch_console_open(f->c.watch, vm);
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0u);

	assert_true(console >= 0 && pidfd >= 0);
	assert_int_equal(watch_add(f->c.watch, vm, pidfd), 0);
	vm->state = VM_RUNNING;
	return console;
}

/* Write numbered lines [@from, @to) as fast as they are taken. */
static void say(struct fixture *f, int fd, unsigned from, unsigned to)
{
	char line[LINE + 1];

	for (unsigned i = from; i < to; i++) {
		(void)snprintf(line, sizeof(line), "%*u\n", LINE - 1, i);
		while (write(fd, line, LINE) < 0) {
			assert_int_equal(errno, EAGAIN);
			pump(f, 1000);
		}
	}
	pump(f, 100);
	pump(f, 0);
}

/* Return: all text from @offset on, NUL-terminated; the caller frees it. */
static char *hear(struct fixture *f, const struct vm *vm, uint64_t *offset, size_t *len)
{
	char *buf = calloc(1, CONSOLE_MAX + 1);
	ssize_t n;

	assert_non_null(buf);
	*len = 0;
	while ((n = watch_read(f->c.watch, vm, STREAM_CONSOLE, offset, buf + *len,
			       CONSOLE_MAX - *len)) > 0)
		*len += (size_t)n;
	assert_int_equal(n, 0);
	return buf;
}

static size_t file_size(struct fixture *f, const char *name)
{
	char path[160];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/consoles/%s", f->c.config.state_dir, name);
	return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

static unsigned last_number(const char *text, size_t len)
{
	return (unsigned)strtoul(text + len - LINE, NULL, 10);
}

static void console_is_bounded_and_keeps_the_newest(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 2);
	_cleanup_close_ int fd = begin(f, &vm);
	uint64_t offset = 0;
	size_t len;

	say(f, fd, 0, 3 * CONSOLE_MAX / LINE + 7);
	assert_in_range(file_size(f, "2.log"), 1, CONSOLE_MAX / 2);
	assert_in_range(file_size(f, "2.log.1"), CONSOLE_MAX / 2 - LINE, CONSOLE_MAX / 2);
	_cleanup_free_ char *text = hear(f, &vm, &offset, &len);
	assert_in_range(len, CONSOLE_MAX / 2, CONSOLE_MAX);
	assert_int_equal(last_number(text, len), 3 * CONSOLE_MAX / LINE + 6);
	/* Nothing is missing between the two files. */
	for (size_t i = LINE; i + LINE <= len; i += LINE)
		assert_int_equal(last_number(text, len - i + LINE),
				 3 * CONSOLE_MAX / LINE + 7 - i / LINE);
	assert_true(offset > 3u * CONSOLE_MAX);
}

static void offsets_count_everything_and_survive_a_restart(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 0);
	uint64_t offset = 0, begin_again = 0;
	size_t len;

	int fd = begin(f, &vm);
	say(f, fd, 0, CONSOLE_MAX / LINE);
	_cleanup_free_ char *first = hear(f, &vm, &offset, &len);
	uint64_t before = offset;
	assert_in_range(before, CONSOLE_MAX, CONSOLE_MAX + 2 * LINE);

	watch_close(f->c.watch);
	f->c.watch = watch_open(&f->c, f->epoll_fd, vm_on_exit);
	(void)close(fd);
	fd = begin(f, &vm); /* running: adopted, not begun */
	say(f, fd, 5000, 5001);
	_cleanup_free_ char *second = hear(f, &vm, &offset, &len);
	assert_int_equal(len, LINE);
	assert_int_equal(last_number(second, len), 5000);
	assert_int_equal(offset, before + LINE);
	free(hear(f, &vm, &begin_again, &len));
	assert_int_equal(begin_again, offset);
	(void)close(fd);
}

static void a_start_begins_an_empty_console_with_a_line(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 0);
	uint64_t offset = 0;
	size_t len;

	int fd = begin(f, &vm);
	say(f, fd, 0, CONSOLE_MAX / LINE);
	free(hear(f, &vm, &offset, &len));
	watch_remove(f->c.watch, vm.id);
	(void)close(fd);

	vm.state = VM_STARTING;
	fd = begin(f, &vm);
	assert_int_equal(file_size(f, "0.log.1"), 0);
	_cleanup_free_ char *text = hear(f, &vm, &offset,
					 &len); /* a follower's offset of the run before */
	assert_non_null(strstr(text, "--- banger: started 2"));
	assert_int_equal(strcspn(text, "\n"), len - 1);
	(void)close(fd);
}

/* The folder is removed (rm -r) while the program runs. */
static void a_removed_folder_is_made_again(void **state)
{
	static const char *const left[] = { "0.log", "0.log.1", "0.fifo", "0.in" };
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 0);
	uint64_t offset = 0;
	char path[200];
	size_t len;

	(void)close(begin(f, &vm));
	watch_remove(f->c.watch, vm.id);
	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		(void)snprintf(path, sizeof(path), "%s/consoles/%s", f->c.config.state_dir,
			       left[i]);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/consoles", f->c.config.state_dir);
	assert_int_equal(rmdir(path), 0);

	vm.state = VM_STARTING;
	_cleanup_close_ int fd = begin(f, &vm);
	say(f, fd, 0, 3);
	_cleanup_free_ char *text = hear(f, &vm, &offset, &len);
	assert_non_null(strstr(text, "--- banger: started 2"));
}

static void restart(struct fixture *f)
{
	watch_close(f->c.watch);
	f->c.watch = watch_open(&f->c, f->epoll_fd, vm_on_exit);
	assert_non_null(f->c.watch);
}

static ssize_t type(struct fixture *f, const struct vm *vm, const char *text)
{
	return watch_type(f->c.watch, vm->id, (const uint8_t *)text, strlen(text));
}

/* Start watching @vm, and read what is typed with @input, as its VMM. */
static int begin_with_input(struct fixture *f, struct vm *vm, int *input)
{
	int console = begin(f, vm);

	*input = watch_input_open(f->c.watch, vm);
	assert_true(*input >= 0);
	return console;
}

static void what_is_typed_reaches_the_vmm(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 0), other = some_vm(2, 1);
	char got[32] = "";
	int input;

	assert_int_equal(type(f, &vm, "x"), -1); /* it is not watched */
	assert_int_equal(errno, ESRCH);
	_cleanup_close_ int console = begin_with_input(f, &vm, &input);
	assert_int_equal(type(f, &vm, ""), 0);
	assert_int_equal(type(f, &vm, "root\r"), 5);
	assert_int_equal(type(f, &other, "x"), -1);
	assert_int_equal(read(input, got, sizeof(got)), 5);
	assert_string_equal(got, "root\r");
	assert_int_equal(read(input, got, sizeof(got)), -1); /* and no end of file */
	assert_int_equal(errno, EAGAIN);
	restart(f); /* an adopted VM is typed to as before */
	_cleanup_close_ int again = begin(f, &vm);
	assert_int_equal(type(f, &vm, "more"), 4);
	assert_int_equal(read(input, got, sizeof(got)), 4);
	(void)close(input);
	assert_int_equal(type(f, &vm, ""), -1); /* the VMM has closed its input */
	assert_int_equal(errno, ENXIO);
}

/* A guest that does not read: nothing blocks, nothing is cut, and a byte that was refused can be
 * sent again. */
static void a_full_input_takes_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 0);
	char chunk[INPUT_MAX + 1], got[INPUT_MAX];
	size_t all = 0;
	ssize_t n;
	int input;

	memset(chunk, 'x', INPUT_MAX);
	chunk[INPUT_MAX] = '\0';
	_cleanup_close_ int console = begin_with_input(f, &vm, &input);
	while ((n = type(f, &vm, chunk)) > 0) {
		assert_int_equal(n, INPUT_MAX);
		all += (size_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(all, 4096); /* one page: input.open has made it so */
	for (size_t i = 0; i < all; i += INPUT_MAX)
		assert_int_equal(read(input, got, sizeof(got)), INPUT_MAX);
	assert_int_equal(type(f, &vm, "y"), 1);
	(void)close(input);
}

/* A VMM that outlives its VM, or a process to which a hostile one has handed its input, reads
 * nothing of the next start. */
static void an_earlier_input_reads_nothing_of_a_later_start(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 3), next = some_vm(2, 3);
	char got[8];
	int old, now;

	_cleanup_close_ int console = begin_with_input(f, &vm, &old);
	watch_remove(f->c.watch, vm.id);
	_cleanup_close_ int second = begin_with_input(f, &next, &now);
	assert_int_equal(type(f, &vm, "x"), -1); /* nor does the first VM's user reach the second */
	assert_int_equal(errno, ESRCH);
	assert_int_equal(type(f, &next, "secret"), 6);
	assert_int_equal(read(old, got, sizeof(got)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(write(old, "evil", 4), 4);
	assert_int_equal(read(now, got, sizeof(got)), 6);
	assert_memory_equal(got, "secret", 6);
	(void)close(old);
	(void)close(now);
}

/* Of an earlier banger, or with a folder that was removed. */
static void a_vm_without_input_is_watched_all_the_same(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 0);
	char path[200];

	_cleanup_close_ int console = begin(f, &vm);
	(void)snprintf(path, sizeof(path), "%s/consoles/0.in", f->c.config.state_dir);
	assert_int_equal(unlink(path), 0);
	restart(f);
	_cleanup_close_ int again = begin(f, &vm);
	say(f, console, 0, 1);
	assert_int_equal(type(f, &vm, "x"), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(access(path, F_OK), -1); /* none is made that nothing reads */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(type(f, &vm, "x"), -1);
	assert_int_equal(rmdir(path), 0);
}

static void the_next_vm_of_a_slot_is_not_shown_the_console(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 3), next = some_vm(2, 3);
	uint64_t offset = 0;
	size_t len;

	int fd = begin(f, &vm);
	say(f, fd, 0, CONSOLE_MAX / LINE);
	watch_remove(f->c.watch, vm.id);
	(void)close(fd);
	next.state = VM_CREATED;
	_cleanup_free_ char *text = hear(f, &next, &offset, &len);
	assert_int_equal(len, 0);
	assert_int_equal(offset, 0);
}

static void the_last_output_is_kept_at_the_end(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 0);
	_cleanup_close_ int fd = begin(f, &vm);
	uint64_t offset = 0;
	size_t len;

	assert_int_equal(write(fd, "last words\n", 11), 11);
	watch_remove(f->c.watch, vm.id);
	_cleanup_free_ char *text = hear(f, &vm, &offset, &len);
	assert_non_null(strstr(text, "last words\n"));
}

/* The disk is full (here: files can not grow): output is lost, the writer is not delayed, and later
 * lines are kept again. */
static void a_full_disk_delays_no_vmm(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 2);
	struct rlimit was, none;
	uint64_t offset = 0;
	size_t len;

	_cleanup_close_ int fd = begin(f, &vm);
	say(f, fd, 0, 10);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = was;
	none.rlim_cur = file_size(f, "2.log");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	say(f, fd, 10, 5000); /* more than a pipe holds */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(file_size(f, "2.log"), none.rlim_cur);
	say(f, fd, 5000, 5001);
	_cleanup_free_ char *text = hear(f, &vm, &offset, &len);
	assert_int_equal(last_number(text, len), 5000);
	assert_int_equal(last_number(text, len - LINE), 9);
}

/* The VMM shares the open file description that it got, O_NONBLOCK included. */
static void a_vmm_can_not_make_the_loop_wait(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 0);
	_cleanup_close_ int fd = begin(f, &vm);
	struct epoll_event ev;
	char byte;

	assert_int_equal(fcntl(fd, F_SETFL, O_RDWR), 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(epoll_wait(f->epoll_fd, &ev, 1, 1000), 1);
	assert_int_equal(read(fd, &byte, 1), 1); /* snatched away */
	(void)alarm(5);
	watch_event(f->c.watch, ev.data.ptr, ev.events);
	(void)alarm(0);
}

static void a_file_in_place_of_the_fifo_is_refused(void **state)
{
	struct fixture *f = *state;
	struct vm vm = some_vm(1, 1);
	char path[160];

	vm.state = VM_RUNNING;
	(void)snprintf(path, sizeof(path), "%s/consoles/1.fifo", f->c.config.state_dir);
	_cleanup_close_ int made = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(watch_console_open(f->c.watch, &vm), -1);
	vm.slot = SLOT_MAX;
	assert_int_equal(watch_console_open(f->c.watch, &vm), -1);
}

/* ---- the monitor's own log and metrics ---- */

/* Open a FIFO as Firecracker does (src/vmm/src/utils/mod.rs). */
static int open_sink(struct fixture *f, const struct vm *vm, const char *name)
{
	char path[200];

	path_slot_run(&f->c.config, vm->slot, name, path);
	int fd = open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static struct vm by_firecracker(uint8_t id, uint32_t slot)
{
	struct vm vm = some_vm(id, slot);

	vm.runtime.vmm = VMM_FIRECRACKER;
	return vm;
}

/* Assert that the whole stream is @want; NULL: nothing. */
static void assert_said(struct fixture *f, const struct vm *vm, enum stream_kind kind,
			const char *want)
{
	char buf[256];
	uint64_t offset = 0;
	watch_catch_up(f->c.watch, vm, kind);
	ssize_t n = watch_read(f->c.watch, vm, kind, &offset, buf, sizeof(buf) - 1);

	assert_true(n >= 0);
	buf[n] = '\0';
	assert_string_equal(buf, want ? want : "");
	assert_int_equal(watch_has(f->c.watch, vm, kind), want != NULL);
}

static void log_and_metrics_are_apart_from_the_console(void **state)
{
	struct fixture *f = *state;
	struct vm vm = by_firecracker(1, 1);
	char path[200];
	struct stat st;
	uint64_t offset = 0;
	size_t len;

	mode_t mask = umask(0077);
	_cleanup_close_ int console = begin(f, &vm);
	(void)umask(mask);
	_cleanup_close_ int log = open_sink(f, &vm, "log");
	_cleanup_close_ int metrics = open_sink(f, &vm, "metrics");
	path_slot_run(&f->c.config, 1, "log", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFIFO | 0606);
	assert_said(f, &vm, STREAM_VMM, "");
	assert_int_equal(write(log, "a warning\n", 10), 10);
	assert_int_equal(write(metrics, "{}\n", 3), 3);
	pump(f, 1000);
	assert_said(f, &vm, STREAM_VMM, "a warning\n");
	assert_int_equal(write(metrics, "{}\n", 3), 3);
	assert_said(f, &vm, STREAM_METRICS, "{}\n{}\n"); /* not yet seen by the loop */
	_cleanup_free_ char *text = hear(f, &vm, &offset, &len);
	assert_int_equal(strcspn(text, "\n"), len - 1);
	watch_discard(f->c.watch, 1);
	assert_said(f, &vm, STREAM_VMM, NULL);
	assert_int_equal(stat(path, &st), -1);
}

static void a_log_is_bounded_and_begins_with_a_whole_line(void **state)
{
	struct fixture *f = *state;
	struct vm vm = by_firecracker(1, 1);
	_cleanup_close_ int console = begin(f, &vm);
	_cleanup_close_ int log = open_sink(f, &vm, "log");
	static char buf[VMM_STREAM_MAX];
	uint64_t offset = 0;

	say(f, log, 0, 3 * VMM_STREAM_MAX / LINE + 7);
	assert_in_range(file_size(f, "1.vmm"), 1, VMM_STREAM_MAX / 2);
	assert_in_range(file_size(f, "1.vmm.1"), VMM_STREAM_MAX / 4, VMM_STREAM_MAX / 2);
	assert_int_equal(file_size(f, "1.log.1"), 0);
	ssize_t n = watch_read(f->c.watch, &vm, STREAM_VMM, &offset, buf, sizeof(buf));
	assert_true(n > VMM_STREAM_MAX / 4);
	assert_int_equal(strcspn(buf, "\n"), LINE - 1);
	n = watch_read(f->c.watch, &vm, STREAM_VMM, &offset, buf, sizeof(buf));
	assert_int_equal(last_number(buf, (size_t)n), 3 * VMM_STREAM_MAX / LINE + 6);
	/* Output without newlines is bounded too. */
	for (int i = 0; i < 3 * VMM_STREAM_MAX / LINE; i++) {
		(void)!write(log, buf, LINE - 1);
		pump(f, 0);
	}
	assert_in_range(file_size(f, "1.vmm"), 1, VMM_STREAM_MAX / 2);
	assert_in_range(file_size(f, "1.vmm.1"), 1, VMM_STREAM_MAX / 2);
}

static void a_log_goes_on_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct vm vm = by_firecracker(1, 1);
	_cleanup_close_ int console = begin(f, &vm);
	_cleanup_close_ int log = open_sink(f, &vm, "log");

	assert_int_equal(write(log, "one\n", 4), 4);
	restart(f);
	assert_int_equal(write(log, "two\n", 4), 4); /* no process reads just now */
	_cleanup_close_ int again = begin(f, &vm);
	assert_said(f, &vm, STREAM_VMM, "one\ntwo\n");
}

static void a_file_in_place_of_the_log_is_not_followed(void **state)
{
	struct fixture *f = *state;
	struct vm vm = by_firecracker(1, 1);
	char path[200], secret[200];

	(void)snprintf(secret, sizeof(secret), "%s/secret", f->dir);
	_cleanup_close_ int made = open(secret, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(write(made, "secret", 6), 6);
	path_slot_run(&f->c.config, 1, "log", path);
	for (int what = 0; what < 4; what++) {
		vm.state = VM_STARTING;
		(void)close(begin(f, &vm));
		assert_int_equal(unlink(path), 0);
		if (what == 1)
			assert_int_equal(symlink(secret, path), 0);
		if (what == 2)
			assert_int_equal(link(secret, path), 0);
		if (what == 3)
			assert_int_equal(mkdir(path, 0700), 0);
		restart(f);
		_cleanup_close_ int console = begin(f, &vm); /* adopted all the same */
		assert_said(f, &vm, STREAM_VMM, "");
		say(f, console, what, what + 1);
		uint64_t offset = 0;
		size_t len;
		_cleanup_free_ char *text = hear(f, &vm, &offset, &len);
		assert_int_equal(last_number(text, len), what);
	}
	vm.state = VM_STARTING;
	assert_int_equal(watch_console_open(f->c.watch, &vm),
			 -1); /* the folder: it is swept before a start */
}

static void the_next_start_is_not_shown_the_log(void **state)
{
	struct fixture *f = *state;
	struct vm vm = by_firecracker(1, 1), next = by_firecracker(2, 1);
	char path[200];
	struct stat st;

	(void)close(begin(f, &vm));
	_cleanup_close_ int log = open_sink(f, &vm, "log");
	assert_int_equal(write(log, "mine\n", 5), 5);
	watch_remove(f->c.watch, vm.id);
	assert_said(f, &vm, STREAM_VMM, "mine\n");
	assert_said(f, &next, STREAM_VMM, NULL);
	(void)close(begin(f, &next));
	assert_int_equal(write(log, "late\n", 5), 5); /* by a VMM that outlived its time */
	assert_said(f, &next, STREAM_VMM, "");
	watch_remove(f->c.watch, next.id);
	next.state = VM_STARTING;
	next.runtime.vmm = VMM_QEMU;
	(void)close(begin(f, &next));
	assert_said(f, &next, STREAM_VMM, NULL);
	path_slot_run(&f->c.config, 1, "log", path);
	assert_int_equal(stat(path, &st), -1);
}

/* ---- the end of a VMM ---- */

static bool becomes(struct fixture *f, const char *name, enum vm_state want)
{
	for (int i = 0; i < 6000; i++) {
		struct vm vm = row(f, name);
		if (vm.state == want)
			return true;
		pump(f, 10);
	}
	return false;
}

static void the_end_of_a_vmm_is_reported(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", false);

	must_start(f, "web");
	_cleanup_close_ int pidfd = watch_pidfd(f->c.watch, vm.id);
	assert_true(pidfd >= 0);
	fake_helper_vmm_exit(f->fake, vm.slot);
	assert_true(becomes(f, "web", VM_STOPPED));
	assert_nothing_left(f, "web", VM_STOPPED);
	assert_int_equal(watch_pidfd(f->c.watch, vm.id), -1);
	/* Our copy of the pidfd still fires; no exit may be reported. */
	struct epoll_event ev;
	assert_int_equal(epoll_wait(f->epoll_fd, &ev, 1, 0), 0);
}

static void a_removed_vm_is_not_reported(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", false);
	struct epoll_event ev;

	must_start(f, "web");
	while (epoll_wait(f->epoll_fd, &ev, 1, 0) == 1) /* its console */
		pump(f, 0);
	fake_helper_vmm_exit(f->fake, vm.slot);
	assert_int_equal(epoll_wait(f->epoll_fd, &ev, 1, 1000), 1);
	watch_remove(f->c.watch, vm.id);
	watch_event(f->c.watch, ev.data.ptr, ev.events); /* on its way already */
	(void)poll(NULL, 0, 50);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
}

/* A copy of the pidfd stays in the epoll set (epoll(7)).  The main loop must not be woken by it for
 * ever. */
static void a_removed_vm_is_silent_while_its_pidfd_is_held(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", false);
	struct epoll_event ev;

	must_start(f, "web");
	_cleanup_close_ int copy = watch_pidfd(f->c.watch, vm.id);
	watch_remove(f->c.watch, vm.id);
	fake_helper_vmm_exit(f->fake, vm.slot);
	struct pollfd p = { .fd = copy, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(epoll_wait(f->epoll_fd, &ev, 1, 50), 0);
}

static sem_t gate;

static void wait_at_gate(struct ctl *c, void *arg)
{
	(void)c, (void)arg;
	(void)sem_wait(&gate);
}

static void an_end_that_finds_the_queue_full_is_reported_later(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", false);
	unsigned jobs = 0;

	must_start(f, "web");
	assert_int_equal(sem_init(&gate, 0, 0), 0);
	for (int quiet = 0; quiet < 20; quiet++) {
		while (workers_run(f->c.workers, wait_at_gate, NULL) == 0) {
			jobs++;
			quiet = 0;
		}
		(void)poll(NULL, 0, 5);
	}
	fake_helper_vmm_exit(f->fake, vm.slot);
	for (int i = 0; i < 5; i++)
		pump(f, 20);
	watch_tick(f->c.watch);
	for (unsigned i = 0; i < jobs; i++)
		(void)sem_post(&gate);
	(void)poll(NULL, 0, 100);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
	watch_tick(f->c.watch);
	assert_true(becomes(f, "web", VM_STOPPED));
	(void)sem_destroy(&gate);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(console_is_bounded_and_keeps_the_newest),
		TEST(offsets_count_everything_and_survive_a_restart),
		TEST(a_start_begins_an_empty_console_with_a_line),
		TEST(a_removed_folder_is_made_again),
		TEST(what_is_typed_reaches_the_vmm),
		TEST(a_full_input_takes_all_or_nothing),
		TEST(an_earlier_input_reads_nothing_of_a_later_start),
		TEST(a_vm_without_input_is_watched_all_the_same),
		TEST(the_next_vm_of_a_slot_is_not_shown_the_console),
		TEST(the_last_output_is_kept_at_the_end),
		TEST(a_full_disk_delays_no_vmm),
		TEST(a_vmm_can_not_make_the_loop_wait),
		TEST(a_file_in_place_of_the_fifo_is_refused),
		TEST(log_and_metrics_are_apart_from_the_console),
		TEST(a_log_is_bounded_and_begins_with_a_whole_line),
		TEST(a_log_goes_on_after_a_restart),
		TEST(a_file_in_place_of_the_log_is_not_followed),
		TEST(the_next_start_is_not_shown_the_log),
		TEST(the_end_of_a_vmm_is_reported),
		TEST(a_removed_vm_is_not_reported),
		TEST(a_removed_vm_is_silent_while_its_pidfd_is_held),
		TEST(an_end_that_finds_the_queue_full_is_reported_later),
	};

	return cmocka_run_group_tests_name("ctl_watch", tests, NULL, NULL);
}
