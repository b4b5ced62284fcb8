/* agent.c - the agent in a guest: waits at the ports, and starts a process for each session.
 *
 * Theory of operation.  The guest's /init starts the agent before the image's init.  It keeps the
 * root of the initramfs, and descriptors of /dev and /proc, which move with their mounts when the
 * root is switched.  In an image without an init the same program is process 1, too: init.c.
 * systemd leaves a process alone whose first argument begins with '@'
 * (systemd.io/ROOT_STORAGE_DAEMONS).
 *
 * A port of virtio-serial (drivers/char/virtio_console.c) can be opened once and has one client at
 * a time on the host.  poll(2) reports POLLHUP and POLLIN at any time while there is none, so the
 * agent waits by epoll(7), edge-triggered.  When a client has written, a process of its own serves
 * the port until the client is gone: session.c.  So a session that fails ends no other one.
 *
 * A port with a session is not in the epoll set.  The driver's poll takes a buffer from the
 * device's ring (port_has_data()), and an interrupt that finds the ring empty wakes no process.  So
 * a poll by the agent could take the bytes that the session sleeps for.
 *
 * In Firecracker the agent listens on vsock instead (vsock(7)), and each connection is a session.
 * A process in the guest can connect too, where the kernel has a loopback transport; so a peer
 * that is not the host is refused. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h> /* needs sys/socket.h before it */

#include "controller/agent/init.h"
#include "controller/agent/session.h"
#include "proto/agent.h"

#define PORTS_MAX 31    /* of a virtio-serial device */
#define LOOK_MS 20      /* pause between two looks for new ports */
#define SETTLE_MS 2000  /* a new node in /dev can not be opened at once: looks go on for so long */
#define STREAMS_MAX 256 /* sessions by vsock at a time; more connections wait */

/* The numbers of what is no port, among those of the ports. */
#define NEWS PORTS_MAX           /* the inotify descriptor */
#define LISTENER (PORTS_MAX + 1) /* the vsock socket */

static struct {
	int dev, proc, epoll, news, listener;
	struct port {
		char name[32];
		int fd;
		pid_t session; /* 0: none */
	} ports[PORTS_MAX];
	size_t n;
	unsigned streams; /* sessions by vsock */
	uint64_t look_until_ms;
} agent;

/* The kernel's OOM killer spares the agent; a command gets the usual value back. */
static void protect(void)
{
	int fd = openat(agent.proc, "self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "-1000", 5);
	(void)close(fd);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Watch /dev for new ports.  The watch is one of the folder's inode, so it moves with the mount. */
static int watch_ports(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = NEWS };

	agent.news = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	agent.look_until_ms = now_ms() + SETTLE_MS;
	if (agent.news < 0 || inotify_add_watch(agent.news, "/dev", IN_CREATE) < 0)
		return -1;
	return epoll_ctl(agent.epoll, EPOLL_CTL_ADD, agent.news, &ev);
}

/* Listen on vsock.  A guest without one has no such family, or no transport. */
static void listen_on_vsock(void)
{
	const struct sockaddr_vm a = { .svm_family = AF_VSOCK,
				       .svm_cid = VMADDR_CID_ANY,
				       .svm_port = AGENT_VSOCK_PORT };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = LISTENER };

	agent.listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (agent.listener < 0)
		return;
	if (bind(agent.listener, (const void *)&a, sizeof(a)) == 0 &&
	    listen(agent.listener, STREAMS_MAX) == 0 &&
	    epoll_ctl(agent.epoll, EPOLL_CTL_ADD, agent.listener, &ev) == 0)
		return;
	(void)close(agent.listener);
	agent.listener = -1;
}

static int prepare(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	agent.dev = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	agent.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	agent.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (null < 0 || agent.dev < 0 || agent.proc < 0 || agent.epoll < 0 || watch_ports() < 0)
		return -1;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return -1;
	listen_on_vsock();
	(void)setsid();
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGCHLD)
			(void)signal(sig, SIG_IGN);
	protect();
	return chdir("/");
}

/* ---- ports ---- */

static bool is_known(const char *name)
{
	for (size_t i = 0; i < agent.n; i++)
		if (strcmp(agent.ports[i].name, name) == 0)
			return true;
	return false;
}

/* Wait for clients of a port without a session. */
static int watch(const struct port *p)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET,
				  .data.u64 = (uint64_t)(p - agent.ports) };

	return epoll_ctl(agent.epoll, EPOLL_CTL_ADD, p->fd, &ev);
}

static void add_port(const char *name)
{
	struct port *p = &agent.ports[agent.n];

	p->fd = openat(agent.dev, name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (p->fd < 0)
		return;
	if (watch(p) < 0) {
		(void)close(p->fd);
		return;
	}
	(void)strcpy(p->name, name);
	agent.n++;
}

/* Open the ports that have appeared: "vport<device>p<number>". */
static void look_for_ports(void)
{
	int fd = openat(agent.dev, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d && agent.n < PORTS_MAX && (e = readdir(d)))
		if (strncmp(e->d_name, "vport", 5) == 0 &&
		    strlen(e->d_name) < sizeof(agent.ports[0].name) && !is_known(e->d_name))
			add_port(e->d_name);
	if (d)
		(void)closedir(d);
}

/* Start the process of a session.  Return: its pid; 0: it can not be started. */
static pid_t serve(int fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)close(agent.epoll);
		(void)close(agent.news);
		if (agent.listener >= 0)
			(void)close(agent.listener);
		_exit(session_run(fd, agent.proc));
	}
	return pid < 0 ? 0 : pid;
}

/* Start a session, if a client has written and is still there. */
static void check(struct port *p)
{
	struct pollfd q = { p->fd, POLLIN, 0 };

	if (p->session || poll(&q, 1, 0) != 1 || (q.revents & (POLLIN | POLLHUP)) != POLLIN)
		return;
	p->session = serve(p->fd);
	if (p->session)
		(void)epoll_ctl(agent.epoll, EPOLL_CTL_DEL, p->fd, NULL);
}

/* Start a session for each connection by vsock, as long as there is room. */
static void take_connections(void)
{
	while (agent.listener >= 0 && agent.streams < STREAMS_MAX) {
		struct sockaddr_vm from = { 0 };
		socklen_t size = sizeof(from);
		int fd = accept4(agent.listener, (void *)&from, &size,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && errno != ECONNABORTED && errno != EINTR)
			return;
		if (fd >= 0 && from.svm_cid == VMADDR_CID_HOST && serve(fd) > 0)
			agent.streams++;
		if (fd >= 0)
			(void)close(fd);
	}
}

/* A session is over.  What its port has reported meanwhile is looked at now.  Each child is a
 * session: one that is no port's was by vsock. */
static void reap(void)
{
	struct port *p, *end = agent.ports + agent.n;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		for (p = agent.ports; p < end && p->session != pid; p++)
			;
		if (p < end) {
			p->session = 0;
			(void)watch(p);
			check(p);
		} else {
			agent.streams--;
		}
	}
	take_connections();
}

/* Something is new in /dev. */
static void take_news(void)
{
	char events[4096];

	while (read(agent.news, events, sizeof(events)) > 0)
		agent.look_until_ms = now_ms() + SETTLE_MS;
}

static void on_child(int sig)
{
	(void)sig; /* interrupts epoll_pwait() */
}

int main(int argc, char **argv)
{
	const struct sigaction sa = { .sa_handler = on_child };
	struct epoll_event ev[PORTS_MAX + 2];
	sigset_t chld, none;

	if (getpid() == 1)
		return init_run(argc > 1 && strcmp(argv[1], "entry") == 0);
	(void)sigemptyset(&none);
	(void)sigemptyset(&chld);
	(void)sigaddset(&chld, SIGCHLD);
	if (prepare() < 0 || sigprocmask(SIG_SETMASK, &chld, NULL) < 0 ||
	    sigaction(SIGCHLD, &sa, NULL) < 0)
		return 1;
	for (;;) {
		bool look = now_ms() < agent.look_until_ms;
		if (look)
			look_for_ports();
		reap();
		int n = epoll_pwait(agent.epoll, ev, PORTS_MAX + 2, look ? LOOK_MS : -1, &none);
		for (int i = 0; i < n; i++)
			if (ev[i].data.u64 == NEWS)
				take_news();
			else if (ev[i].data.u64 == LISTENER)
				take_connections();
			else
				check(&agent.ports[ev[i].data.u64]);
	}
}
