/* See crash.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/crash.h"

#define UNTIL_MS 15000 /* a second attempt of the keeper's included */

static struct failpoint_page *page;
static char page_path[100], notify_path[100];
static int notify_fd;
static pid_t supervisor;
static _Atomic bool ready;
static struct ask *asked; /* the newest request */

uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void bail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("not ok - ");
	(void)vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	(void)fflush(stdout);
	_exit(1);
}

/* ---- the page ---- */

static void news(void)
{
	atomic_fetch_add(&page->news, 1);
	(void)syscall(SYS_futex, &page->news, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

uint32_t news_now(void)
{
	return atomic_load(&page->news);
}

void news_wait(uint32_t seen)
{
	(void)syscall(SYS_futex, &page->news, FUTEX_WAIT, seen,
		      &(struct timespec){ .tv_nsec = 10000000 }, NULL, 0);
}

static void reset(void)
{
	atomic_store(&page->armed, 0);
	atomic_store(&page->paused, 0);
	atomic_store(&page->action, FP_WAIT);
	atomic_store(&page->matched, 0);
	atomic_store(&page->hits, 0);
	for (int i = 0; i < FP_PROGRAMS; i++)
		atomic_store(&page->allocations[i], 0);
	page->stop_nth = page->starve_from = 0;
}

void page_arm(const struct point *stop)
{
	reset();
	page->stop_nth = stop ? stop->nth : 0;
	if (stop) {
		page->stop_program = stop->program;
		memcpy(page->stop_name, stop->name, sizeof(page->stop_name));
	}
	atomic_store(&page->armed, 1);
}

void page_arm_hunger(const struct point *from, bool on)
{
	reset();
	page->starve_program = from->program;
	page->starve_from = from->nth;
	page->starve_to = on ? UINT32_MAX : from->nth;
	atomic_store(&page->armed, 1);
}

uint32_t page_allocations(enum failpoint_program p)
{
	return atomic_load(&page->allocations[p]);
}

bool page_hungered(void)
{
	return page->starve_from && page_allocations(page->starve_program) >= page->starve_from;
}

enum failpoint_program page_paused(void)
{
	uint32_t p = atomic_load(&page->paused);

	return p ? (enum failpoint_program)(p - 1) : FP_PROGRAMS;
}

void page_shift_clocks(int64_t boot_ns, int64_t wall_ns)
{
	atomic_fetch_add(&page->boot_shift_ns, boot_ns);
	atomic_fetch_add(&page->wall_shift_ns, wall_ns);
}

void page_go(enum failpoint_action a)
{
	atomic_store(&page->paused, 0); /* whoever was killed there can not say so */
	atomic_store(&page->action, a);
	(void)syscall(SYS_futex, &page->action, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void page_disarm(void)
{
	atomic_store(&page->armed, 0);
	page_go(FP_GO);
}

static uint32_t times_before(size_t n, const struct point *p)
{
	uint32_t count = 1;

	for (size_t i = 0; i < n; i++)
		count += page->trace[i].program == p->program &&
			 strcmp(page->trace[i].name, p->name) == 0;
	return count;
}

size_t page_trace(struct point *out, size_t room)
{
	size_t n = atomic_load(&page->hits);

	if (n > FAILPOINT_TRACE)
		bail("a way of %zu failpoints is longer than the page has room for", n);
	for (size_t i = 0; i < n && i < room; i++) {
		out[i].program = page->trace[i].program;
		memcpy(out[i].name, page->trace[i].name, FAILPOINT_NAME);
		out[i].nth = times_before(i, &out[i]);
	}
	return n < room ? n : room;
}

/* ---- the set ---- */

_Noreturn static void *hear(void *arg)
{
	char text[64];

	(void)arg;
	for (;;) {
		ssize_t n = recv(notify_fd, text, sizeof(text) - 1, 0);
		if (n <= 0)
			continue;
		text[n] = '\0';
		if (strstr(text, "READY=1"))
			ready = true;
		news();
	}
}

void set_prepare(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	pthread_t hearer;

	(void)snprintf(page_path, sizeof(page_path), "%s/failpoints", work_dir);
	(void)snprintf(notify_path, sizeof(notify_path), "%s/notify", work_dir);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", notify_path);
	int fd = open(page_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || fchmod(fd, 0666) < 0 || ftruncate(fd, sizeof(*page)) < 0)
		bail("%s: %s", page_path, strerror(errno));
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		bail("%s: %s", page_path, strerror(errno));
	page->magic = FAILPOINT_MAGIC;
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (notify_fd < 0 || bind(notify_fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    pthread_create(&hearer, NULL, hear, NULL) != 0)
		bail("%s: %s", notify_path, strerror(errno));
}

static void reap(void)
{
	pid_t p;

	while ((p = waitpid(-1, NULL, WNOHANG)) > 0)
		if (p == supervisor)
			supervisor = 0;
}

pid_t set_pid(enum failpoint_program p)
{
	return atomic_load(&page->pid[p]);
}

const char *program_name(enum failpoint_program p)
{
	static const char *const names[FP_PROGRAMS] = { "supervisor", "controller", "net", "blk",
							"spawn" };

	return names[p];
}

/* Start @program, found in PATH, without a copy of this process's memory, and destroy @a. */
static void spawn(pid_t *pid, const char *program, posix_spawn_file_actions_t *a,
		  char *const argv[], char *const env[])
{
	int e = posix_spawnp(pid, program, a, NULL, argv, env);

	(void)posix_spawn_file_actions_destroy(a);
	if (e != 0)
		bail("%s: %s", program, strerror(e));
}

void set_start(void)
{
	char program[200], log[200], notify[220], points[220];

	(void)snprintf(program, sizeof(program), "%s/banger-privhelper", config.libexec_dir);
	(void)snprintf(log, sizeof(log), "%s/set.err", work_dir);
	(void)snprintf(notify, sizeof(notify), "NOTIFY_SOCKET=%s", notify_path);
	(void)snprintf(points, sizeof(points), "BANGER_FAILPOINTS=%s", page_path);
	for (int i = 0; i < FP_PROGRAMS; i++)
		atomic_store(&page->pid[i], 0);
	ready = false;
	char *const argv[] = { program, "--config", (char *)conf_path, NULL };
	char *const env[] = { notify, points, NULL };
	posix_spawn_file_actions_t a;
	(void)posix_spawn_file_actions_init(&a);
	(void)posix_spawn_file_actions_addopen(&a, STDERR_FILENO, log,
					       O_WRONLY | O_CREAT | O_APPEND, 0600);
	(void)posix_spawn_file_actions_adddup2(&a, STDERR_FILENO, STDOUT_FILENO);
	(void)posix_spawn_file_actions_addclosefrom_np(&a, 3);
	spawn(&supervisor, program, &a, argv, env);
}

bool set_ready(void)
{
	return ready;
}

bool process_lives(pid_t pid)
{
	char path[32], text[200];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		(void)close(fd);
	text[n < 0 ? 0 : n] = '\0';
	const char *name_end = strrchr(text, ')');
	return name_end && name_end[1] && name_end[2] != 'Z' && name_end[2] != 'X';
}

static bool exists(enum failpoint_program p)
{
	return process_lives(set_pid(p));
}

bool set_whole(void)
{
	reap();
	for (int i = 0; i < FP_PROGRAMS; i++)
		if (!exists(i))
			return false;
	return true;
}

static void sleep_us(long us)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

/* One that was forked and not executed yet has not said its name on the page, and may hold the
 * supervisor's lock. */
static bool any_of_the_set(void)
{
	DIR *d = opendir("/proc");
	char path[300], name[32];
	bool any = false;

	for (struct dirent *e; d && !any && (e = readdir(d));) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		FILE *f = fopen(path, "re");
		any = f && fgets(name, sizeof(name), f) && strncmp(name, "banger-", 7) == 0 &&
		      process_lives(atoi(e->d_name));
		if (f)
			(void)fclose(f);
	}
	if (d)
		(void)closedir(d);
	return any;
}

bool set_wait_gone(void)
{
	uint64_t end = now_ms() + SECONDS_MOST * 1000;

	for (;; sleep_us(300)) {
		bool any = false;
		reap();
		for (int i = 0; i < FP_PROGRAMS; i++)
			any |= exists(i);
		if (!any && !supervisor && !any_of_the_set())
			return true;
		if (now_ms() > end)
			return false;
	}
}

void set_kill(void)
{
	for (int i = 0; i < FP_PROGRAMS; i++)
		if (set_pid(i) > 0)
			(void)kill(set_pid(i), SIGKILL);
	if (supervisor > 0)
		(void)kill(supervisor, SIGKILL);
	if (!set_wait_gone())
		bail("a process of the set can not be killed");
}

void set_signal(enum failpoint_program p, int signal)
{
	asked = NULL; /* nobody asks now */
	(void)kill(set_pid(p), signal);
}

bool set_up(void)
{
	if (supervisor && set_whole() && ready)
		return true;
	set_kill();
	set_start();
	return wait_outcome(true) == O_DONE;
}

enum outcome wait_outcome(bool starting)
{
	uint64_t end = now_ms() + SECONDS_MOST * 1000;

	for (;;) {
		uint32_t seen = news_now();
		if (page_paused() != FP_PROGRAMS)
			return O_PAUSED;
		if (starting ? ready : asked && asked->done)
			return O_DONE;
		reap();
		if (!supervisor)
			return O_DEAD;
		if (now_ms() > end)
			return O_LATE;
		news_wait(seen);
	}
}

/* ---- requests ---- */

static int connect_control(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (snprintf(a.sun_path, sizeof(a.sun_path), "%s/control.sock", config.run_dir) >=
	    (int)sizeof(a.sun_path))
		bail("%s is too long a path", config.run_dir);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

/* Return: the answer's code, or -1 when there is none. */
static int answer_of(struct control *conn, const struct call *call, struct ask *a)
{
	struct message m;

	for (;;) {
		int n = control_next(conn, call, &m);
		if (n == 0)
			n = control_fill(conn) > 0 ? 0 : -1;
		else if (n > 0 && m.kind == MSG_RESULT) {
			memcpy(&a->result, &m.body, call->result_size);
			return FAIL_NONE;
		} else if (n > 0 && m.kind == MSG_ERROR) {
			a->error = m.error;
			return m.error.code;
		} else if (n > 0 && m.kind == MSG_EVENT && m.event->id == EVENT_VM) {
			a->vm = m.body.ev_vm;
			if (a->n_rows < a->room)
				a->rows[a->n_rows++] = m.body.ev_vm;
		} else if (n > 0 && m.kind == MSG_EVENT && m.event->id == EVENT_LINE) {
			a->loops += strstr(m.body.ev_line.text, "loop-") != NULL;
		}
		if (n < 0)
			return -1;
	}
}

static int ask_once(struct ask *a)
{
	const struct call *call = control_call(a->id);
	struct control conn;
	int fd = connect_control(), code = -1;

	control_init(&conn, fd);
	if (fd >= 0 && control_send_request(fd, 1, call, &a->args, a->fds, call->fds_in) == 0)
		code = answer_of(&conn, call, a);
	control_close(&conn);
	return code;
}

/* What comes by itself, behind the answer.  Return: false when it does not in time, or the set has
 * ended first. */
static bool comes_true(const char *sql)
{
	uint64_t end = now_ms() + UNTIL_MS;

	while (!world_is(sql)) {
		if (now_ms() > end || !exists(FP_CONTROLLER))
			return false;
		sleep_us(5000);
	}
	return true;
}

static void *ask_thread(void *arg)
{
	struct ask *a = arg;

	/* The system call itself changes this thread alone. */
	if (a->uid && (syscall(SYS_setresgid, -1, a->uid, -1) < 0 ||
		       syscall(SYS_setresuid, -1, a->uid, -1) < 0))
		bail("uid %u: %s", a->uid, strerror(errno));
	a->code = ask_once(a);
	if (a->code == FAIL_NONE && a->then) {
		memset(&a->args, 0, sizeof(a->args));
		a->then(a);
		a->code = ask_once(a);
	}
	if (a->code == FAIL_NONE && a->until && !comes_true(a->until))
		a->code = -1;
	a->done = true;
	news();
	return NULL;
}

void ask_start(struct ask *a)
{
	asked = a;
	a->done = false;
	a->n_rows = 0;
	memset(&a->error, 0, sizeof(a->error));
	memset(&a->vm, 0, sizeof(a->vm));
	if (pthread_create(&a->thread, NULL, ask_thread, a) != 0)
		bail("no thread");
}

bool ask_join(struct ask *a)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += SECONDS_MOST;
	return pthread_timedjoin_np(a->thread, NULL, &t) == 0;
}

int ask(struct ask *a)
{
	ask_start(a);
	if (!ask_join(a))
		bail("no answer to %s within %d s", control_call(a->id)->name, SECONDS_MOST);
	return a->code;
}

/* ---- other programs ---- */

int run(char *out, size_t size, const char *const argv[])
{
	int p[2], status = -1;
	size_t n = 0;

	posix_spawn_file_actions_t a;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		bail("pipe: %s", strerror(errno));
	(void)posix_spawn_file_actions_init(&a);
	(void)posix_spawn_file_actions_adddup2(&a, p[1], STDOUT_FILENO);
	spawn(&pid, argv[0], &a, (char *const *)argv, environ);
	(void)close(p[1]);
	for (ssize_t got; n + 1 < size && (got = read(p[0], out + n, size - 1 - n)) > 0;)
		n += (size_t)got;
	out[n] = '\0';
	(void)close(p[0]);
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
