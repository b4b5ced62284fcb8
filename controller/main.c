/* main.c - banger-controller: start, main loop and end of the program.
 *
 * The supervisor executes the program with the descriptors of enum boot_fd, under an account
 * without capabilities.
 *
 * Start: configuration, identity, confinement, database, roles, workers, watch, reconciliation, one
 * ready byte, loop.  The main thread runs the loop, which never waits for a client, a role or a VM.
 * The end of the supervisor's socket ends the program with 0: running operations get some seconds,
 * VMs go on.  The end of a role's socket ends it with 1: the supervisor restarts the set. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/fdio.h"
#include "common/log.h"
#include "controller/api/server.h"
#include "controller/db/db.h"
#include "controller/helper/client.h"
#include "controller/helper/tap_sweep.h"
#include "controller/observe/doctor.h"
#include "controller/observe/usage.h"
#include "controller/lifecycle/drain.h"
#include "controller/lifecycle/exit.h"
#include "controller/lifecycle/hold.h"
#include "controller/lifecycle/reader.h"
#include "controller/lifecycle/vm_lock.h"
#include "controller/loop.h"
#include "controller/paths.h"
#include "controller/policy/housekeeping.h"
#include "controller/policy/idle.h"
#include "controller/policy/unheld.h"
#include "controller/recovery/startup.h"
#include "controller/sandbox.h"
#include "controller/storage/disk.h"
#include "controller/storage/image_gc.h"
#include "controller/storage/seed.h"
#include "controller/vmm/choose.h"
#include "controller/vmm/watch.h"
#include "controller/workers.h"

/* Time for running operations at a stop.  The supervisor kills the program after 5 s.  The next
 * start-up finishes interrupted operations. */
#define STOP_SECONDS 4

struct program {
	struct ctl ctl;
	struct api *api;
	int epoll_fd;
	struct loop_source sup, wake, roles[ROLE_COUNT];
	int lost_role; /* 0: none */
};

static void sup_ready(struct loop_source *s, uint32_t events)
{
	struct program *p = s->owner;

	(void)events; /* the supervisor sends no data: any event is the end of the socket */
	p->ctl.stopping = true;
}

static void role_ready(struct loop_source *s, uint32_t events)
{
	struct program *p = s->owner;

	(void)events;
	p->lost_role = (int)(s - p->roles);
}

/* The net role reports that a network object was removed. */
static void wake_ready(struct loop_source *s, uint32_t events)
{
	struct program *p = s->owner;
	uint64_t times;

	(void)events;
	if (read(CTL_WAKE_FD, &times, sizeof(times)) == sizeof(times))
		housekeeping_hurry(p->ctl.housekeeping);
}

static int add_source(struct program *p, int fd, struct loop_source *s, uint32_t events,
		      void (*ready)(struct loop_source *s, uint32_t events))
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	*s = (struct loop_source){ ready, p };
	return epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* Add supervisor, net role's events, and the roles' sockets.  helper_call() reads the answers of a
 * role; the loop only waits for the end of the socket. */
static int add_sources(struct program *p)
{
	if (add_source(p, CTL_SUP_FD, &p->sup, EPOLLIN | EPOLLRDHUP, sup_ready) < 0 ||
	    add_source(p, CTL_WAKE_FD, &p->wake, EPOLLIN, wake_ready) < 0)
		return -1;
	for (enum role_id r = ROLE_NET; r < ROLE_COUNT; r++)
		if (add_source(p, helper_fd(p->ctl.helper, r), &p->roles[r], EPOLLRDHUP,
			       role_ready) < 0)
			return -1;
	return 0;
}

static void read_boot_id(struct ctl *c)
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fdio_read_all(fd, c->boot_id, sizeof(c->boot_id) - 1) < 0)
		die_errno(1, "boot id");
}

static void take_descriptors(struct ctl *c)
{
	if (config_from_memfd(CONFIG_FD, &c->config) < 0)
		die_errno(2,
			  "no configuration at descriptor %d: "
			  "banger-privhelper starts this program",
			  CONFIG_FD);
	for (int fd = CONFIG_FD; fd < BOOT_FDS; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			die_errno(2, "descriptor %d", fd);
	(void)close(CONFIG_FD);
}

/* Do what is impossible after sandbox_enter(). */
static void before_lock(struct ctl *c)
{
	(void)umask(0007); /* the group of a slot may access files of its VM, others may not */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a write beyond RLIMIT_FSIZE fails instead (write(2)) */
	/* libcurl must be initialized before the first thread (curl_global_init(3)).  TLS is left
	 * out: its library would read configuration files. */
	if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK)
		die(1, "libcurl can not be initialised");
	tzset(); /* reads its file now, since it can not be opened later */
	read_boot_id(c);
	doctor_prepare(c);
	stats_prepare(c);
}

_Noreturn static void die_error(const struct error *e)
{
	log_error("%s: %s", e->what, e->why);
	if (e->hint[0])
		log_error("hint: %s", e->hint);
	_exit(1);
}

static void start_service(struct program *p)
{
	struct ctl *c = &p->ctl;
	struct error e = { 0 };
	char path[200];

	path_database(&c->config, path);
	c->db = db_open(path, &e);
	if (!c->db)
		die_error(&e);
	if (images_sweep(c, &e) < 0)
		die_error(&e);
	c->helper = helper_open(CTL_NET_FD, CTL_BLK_FD, CTL_SPAWN_FD);
	c->tap_sweep = tap_sweep_open();
	if (!c->helper || !c->tap_sweep || helper_hello(c->helper) < 0)
		die_errno(1, "the roles do not answer");
	c->storage = storage_choose(c);
	c->disks = &storage_ops;
	c->seed = &seed_ops;
	c->vmm = &vmm_ops;
	c->vm_locks = vm_locks_open();
	c->holds = holds_open();
	c->readers = readers_open();
	if (!c->vm_locks || !c->holds || !c->readers)
		die_errno(1, "operation locks");
	c->workers = workers_start(c);
	if (!c->workers)
		die_errno(1, "worker threads");
	p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	c->watch = p->epoll_fd < 0 ? NULL : watch_open(c, p->epoll_fd, vm_on_exit);
	if (!c->watch)
		die_errno(1, "watch");
	if (startup_reconcile(c, &e) < 0)
		die_error(&e);
	c->idle = idle_open();
	c->housekeeping = c->idle ? housekeeping_open(c) : NULL;
	if (!c->housekeeping)
		die_errno(1, "housekeeping");
	p->api = api_open(c, p->epoll_fd, CTL_LISTEN_FD, NULL);
	if (!p->api || add_sources(p) < 0)
		die_errno(1, "main loop");
}

static void report_ready(void)
{
	static const char ready = 1;

	FAILPOINT("ready.before");
	if (fdio_send(CTL_SUP_FD, &ready, 1, NULL, 0) < 0)
		die_errno(1, "supervisor");
}

/* Take one event at a time (see loop.h). */
static void run_loop(struct program *p)
{
	struct epoll_event ev;

	while (!p->ctl.stopping && !p->lost_role) {
		int wait = api_tick(p->api);
		watch_tick(p->ctl.watch);
		housekeeping_tick(p->ctl.housekeeping);
		unheld_tick(&p->ctl);
		int n = epoll_wait(p->epoll_fd, &ev, 1, wait);
		if (n < 0 && errno != EINTR)
			die_errno(1, "main loop");
		struct loop_source *s = n == 1 ? ev.data.ptr : NULL;
		if (s)
			s->ready(s, ev.events);
	}
}

static void out_of_time(int sig)
{
	(void)sig;
	_exit(0);
}

static void stop_service(struct program *p)
{
	struct ctl *c = &p->ctl;

	log_info("stopping; running VMs go on");
	FAILPOINT("stop.before");
	(void)signal(SIGALRM, out_of_time);
	(void)alarm(STOP_SECONDS);
	api_stop_listening(p->api);
	workers_stop(c->workers);
	host_drain_wait(c);
	housekeeping_close(c->housekeeping);
	idle_close(c->idle);
	api_close(p->api);
	watch_close(c->watch);
	helper_close(c->helper);
	tap_sweep_close(c->tap_sweep);
	db_close(c->db);
	vm_locks_close(c->vm_locks);
	holds_close(c->holds);
	readers_close(c->readers);
	FAILPOINT("stop.after");
	(void)close(p->epoll_fd);
}

/* ---- without the service ---- */

static int print_check(void *arg, const struct ev_check *c)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "name", c->name, "verdict", c->verdict,
			      "text", c->text, "hint", c->hint);

	(void)arg;
	int r = o ? json_dumpf(o, stdout, JSON_COMPACT) : -1;
	json_decref(o);
	return r < 0 || putchar('\n') == EOF ? -1 : 0;
}

/* Check the state database in @dir.  `banger doctor --db` of root executes the program so, under
 * the controller's account: it is unsafe to parse the database as root, since that account can
 * write it. */
static int check_db(const char *dir)
{
	static struct ctl c;

	(void)snprintf(c.config.state_dir, sizeof(c.config.state_dir), "%s", dir);
	/* sandbox_enter() allows these three folders: the only folder allowed is @dir. */
	memcpy(c.config.run_dir, c.config.state_dir, sizeof(c.config.run_dir) - 1);
	memcpy(c.config.log_dir, c.config.state_dir, sizeof(c.config.log_dir) - 1);
	if (sandbox_check_identity() < 0 || sandbox_enter(&c, SANDBOX_FILES) < 0)
		return 1;
	unsigned bad = doctor_db(&c.config, true, print_check, NULL);
	return fflush(stdout) != 0 ? 1 : bad ? FAIL_HOST : 0;
}

int main(int argc, char **argv)
{
	static struct program p;

	log_name("banger-controller");
	if (argc == 3 && strcmp(argv[1], "--check-db") == 0)
		return check_db(argv[2]);
	take_descriptors(&p.ctl);
	if (SETUP_FAILS("identity") || sandbox_check_identity() < 0)
		return 2;
	before_lock(&p.ctl);
	if (sandbox_enter(&p.ctl, SANDBOX_SERVICE) < 0)
		return 1;
	start_service(&p);
	report_ready();
	FAILPOINT("ready.after");
	log_info("ready: storage %s, Landlock ABI %d", p.ctl.storage ? p.ctl.storage->name : "none",
		 p.ctl.host.landlock_abi);
	run_loop(&p);
	if (p.lost_role) {
		log_error("the %s role is gone", role_name((enum role_id)p.lost_role));
		return 1;
	}
	stop_service(&p);
	return 0;
}
