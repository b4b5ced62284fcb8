/* failpoint.c - counts hits of failpoints and stops where the test waits; built by MODE=fail
 * alone. */
#include "common/failpoint.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"

#define VARIABLE "BANGER_FAILPOINTS"

/* Start and end of the section of the sites; ld(1) makes both symbols.  Weak, because a program may
 * have no site. */
extern const struct failpoint __start_banger_failpoints[] __attribute__((weak));
extern const struct failpoint __stop_banger_failpoints[] __attribute__((weak));

extern const char *const __start_banger_setup[] __attribute__((weak));
extern const char *const __stop_banger_setup[] __attribute__((weak));

static struct failpoint_page *page;
static const char *setup_name; /* NULL: the name of the program */
static enum failpoint_program program = FP_PROGRAMS;
static char variable[PATH_MAX];

static void full_name(const struct failpoint *f, const char *of, char out[FAILPOINT_NAME])
{
	const char *hole = f->each ? strstr(f->name, "%s") : NULL;

	if (hole)
		(void)snprintf(out, FAILPOINT_NAME, "%.*s%s%s", (int)(hole - f->name), f->name, of,
			       hole + 2);
	else
		(void)snprintf(out, FAILPOINT_NAME, "%s", f->name);
}

static void print_one(const struct failpoint *f, const char *of)
{
	char name[FAILPOINT_NAME];

	full_name(f, of, name);
	printf("%s%s\n", name, f->fails ? " fails" : "");
}

static void print_all(void)
{
	const char *of;

	for (const struct failpoint *f = __start_banger_failpoints; f < __stop_banger_failpoints;
	     f++) {
		if (!f->each)
			print_one(f, "");
		for (size_t i = 0; f->each && (of = f->each(i)); i++)
			print_one(f, of);
	}
}

static void print_steps(void)
{
	for (const char *const *s = __start_banger_setup; s < __stop_banger_setup; s++)
		printf("%s\n", *s);
}

static enum failpoint_program which(void)
{
	static const char *const names[FP_PROGRAMS] = {
		[FP_SUPERVISOR] = "banger-privhelper", [FP_CONTROLLER] = "banger-controller",
		[FP_NET] = "banger-role-net",          [FP_BLK] = "banger-role-blk",
		[FP_SPAWN] = "banger-role-spawn",
	};

	for (int i = 0; i < FP_PROGRAMS; i++)
		if (strcmp(program_invocation_short_name, names[i]) == 0)
			return (enum failpoint_program)i;
	return FP_PROGRAMS;
}

static void map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *p = fd < 0 ? MAP_FAILED
			 : mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		(void)close(fd);
	if (p == MAP_FAILED || ((struct failpoint_page *)p)->magic != FAILPOINT_MAGIC) {
		(void)fprintf(stderr, "failpoints: %s can not be used\n", path);
		_exit(1);
	}
	page = p;
}

/* Print a backtrace after a fault, because the programs leave no core file.  addr2line -e PROGRAM
 * decodes it. */
static void on_fault(int signal)
{
	void *frames[32];

	backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
	_exit(128 + signal);
}

static void tell_faults(void)
{
	void *frame[1];

	(void)backtrace(frame, 1); /* the first call loads libgcc, which lock-down forbids */
	(void)signal(SIGSEGV, on_fault);
	(void)signal(SIGBUS, on_fault);
}

/* Runs before main(), which drops the environment. */
__attribute__((constructor)) static void begin(int argc, char **argv)
{
	const char *path = getenv(VARIABLE);

	if (argc == 2 && strcmp(argv[1], "--failpoints") == 0) {
		print_all();
		exit(0);
	}
	if (argc == 2 && strcmp(argv[1], "--setup-steps") == 0) {
		print_steps();
		exit(0);
	}
	program = which();
	if (!path || program == FP_PROGRAMS)
		return;
	(void)snprintf(variable, sizeof(variable), VARIABLE "=%s", path);
	map(path);
	tell_faults();
	atomic_store(&page->pid[program], getpid());
}

char *failpoint_env(void)
{
	return variable[0] ? variable : NULL;
}

const char *failpoint_file(void)
{
	return variable[0] ? strchr(variable, '=') + 1 : "";
}

static void wait_while(_Atomic uint32_t *word, uint32_t value)
{
	(void)syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static bool stop_here(struct failpoint_page *g)
{
	uint32_t action;

	atomic_store(&g->paused, 1 + program);
	atomic_fetch_add(&g->news, 1);
	(void)syscall(SYS_futex, &g->news, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	while ((action = atomic_load(&g->action)) == FP_WAIT)
		wait_while(&g->action, FP_WAIT);
	atomic_store(&g->paused, 0);
	return action == FP_FAIL;
}

static bool is_stop(struct failpoint_page *g, const char *name)
{
	bool any = g->stop_program == FP_PROGRAMS;

	return g->stop_nth &&
	       (any || (g->stop_program == program && strcmp(g->stop_name, name) == 0)) &&
	       atomic_fetch_add(&g->matched, 1) + 1 == g->stop_nth;
}

int64_t failpoint_clock_shift(bool wall)
{
	return !page ? 0 : atomic_load(wall ? &page->wall_shift_ns : &page->boot_shift_ns);
}

bool failpoint_starves(void)
{
	if (!page || program == FP_PROGRAMS || !atomic_load(&page->armed))
		return false;
	uint32_t n = atomic_fetch_add(&page->allocations[program], 1) + 1;
	return page->starve_program == program && page->starve_from && n >= page->starve_from &&
	       n <= page->starve_to;
}

void failpoint_setup_as(const char *name)
{
	setup_name = name;
}

bool failpoint_setup(const char *name)
{
	const char *self = setup_name ? setup_name : program_invocation_short_name;
	size_t n = strlen(self);

	if (!page || strncmp(page->setup, self, n) != 0 || page->setup[n] != ' ' ||
	    strcmp(page->setup + n + 1, name) != 0)
		return false;
	errno = EIO;
	return true;
}

bool failpoint_hit(const struct failpoint *f, const char *of)
{
	const int saved = errno;
	char name[FAILPOINT_NAME];

	if (!page || !atomic_load(&page->armed))
		return false;
	full_name(f, of, name);
	uint32_t n = atomic_fetch_add(&page->hits, 1);
	if (n < FAILPOINT_TRACE) {
		page->trace[n].program = program;
		memcpy(page->trace[n].name, name, sizeof(name));
	}
	bool fails = is_stop(page, name) && stop_here(page);
	errno = fails ? EIO : saved;
	return fails;
}
