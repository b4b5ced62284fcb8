/* server.c - the control socket: connections, hand-over of requests to workers, fair shares,
 * closing.
 *
 * The main loop owns a connection while it reads a request from it.  A complete request goes to a
 * worker together with the connection.  The worker alone sends on the connection, and returns it
 * through a list and an eventfd.  Meanwhile the loop only waits for a disconnect (EPOLLRDHUP, one
 * shot) and sets `gone`.  This ends a request that only watches (follow, wait).  An operation on a
 * VM continues.
 *
 *   READING -> [WAITING ->] RUNNING -> READING   WAITING: the user has no free share of the workers
 *              RUNNING -> PARKED -> RUNNING      PARKED: the handler returned EXCHANGE_AGAIN
 *              RUNNING -> UNREAD -> READING     UNREAD: the answer carries a descriptor, and waits
 *   any -> CLOSING                               a closer thread closes the client's descriptors
 *
 * The last close(2) of a descriptor can block for as long as the client wants: the kernel asks the
 * server of a FUSE file, and a TCP socket may linger.  Therefore a closer thread closes the
 * client's descriptors, and also a connection that may have descriptors in its queue.  The
 * connection counts against its user until that is done.
 *
 * A descriptor in an answer that the client has not received is in flight.  The kernel counts it
 * against the controller's account, until the client receives the answer or closes its end; the
 * client's end of file or shutdown(2) takes nothing out of the queue, and MSG_PEEK copies the
 * descriptor and leaves it there.  A connection with such an answer is therefore kept, and counts
 * as a worker of its user for requests of the same kind: no more descriptors can be in flight than
 * there are shares.
 *
 * A parked or waiting request occupies no worker.  Sockets are non-blocking while the loop owns
 * them, and block for at most API_SEND_MS while a worker owns them. */
#include "controller/api/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "controller/api/exchange.h"
#include "controller/lifecycle/hold.h"
#include "controller/lifecycle/reader.h"
#include "controller/loop.h"
#include "controller/rate.h"
#include "controller/workers.h"

#define TICK_MS 1000
/* between two log lines about misbehaving clients, so that they can not fill the log */
#define NOTE_NS 10000000000u

enum conn_state { READING, WAITING, RUNNING, PARKED, UNREAD, CLOSING };

struct conn {
	struct loop_source source;
	/* list of all connections, in the order of their last request */
	struct conn *next;
	/* list of connections that workers and closer threads gave back */
	struct conn *returned;
	struct api *api;
	struct control in;
	enum conn_state state;
	bool through; /* set by the worker: the request is answered */
	/* CLOSING: close the connection as well as the request's descriptors */
	bool ending;
	bool apart;  /* CLOSING: a closer thread runs and must be joined */
	size_t held; /* CLOSING: number of the client's descriptors when it began */
	pthread_t closer;
	/* clock_boot_ns(); READING: close then; PARKED: run then; CLOSING: signal then */
	uint64_t due_ns;
	struct exchange x;
};

struct api {
	struct ctl *ctl;
	int epoll_fd, listener, bell;
	int (*identify)(int fd, struct caller *who);
	struct loop_source listen_source, bell_source;
	/* paused: accept nothing for TICK_MS, no descriptor or no connection is free */
	bool listening, paused;
	struct conn *conns;
	size_t n_conns;
	uint64_t n_accepted;  /* the number of the newest connection */
	pthread_mutex_t lock; /* guards @returned */
	struct conn *returned;
	uint64_t noted_ns, paused_until_ns;
	unsigned unnoted;
	struct rate rate;
};

static uint64_t after_ms(uint64_t ms)
{
	return clock_boot_ns() + ms * 1000000u;
}

/* Log that a client broke a rule: one line every ten seconds at most, with the number of lines left
 * out. */
static void note(struct api *a, uid_t uid, const char *what)
{
	uint64_t now = clock_boot_ns();

	if (a->noted_ns && now - a->noted_ns < NOTE_NS) {
		a->unnoted++;
		return;
	}
	if (a->unnoted)
		log_info("uid %u: %s (%u more like it since the last such line)", uid, what,
			 a->unnoted);
	else
		log_info("uid %u: %s", uid, what);
	a->noted_ns = now;
	a->unnoted = 0;
}

static int peer_of(int fd, struct caller *who)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -1;
	*who = (struct caller){ cred.uid, cred.gid, cred.pid };
	return 0;
}

/* Search the supplementary groups that the peer had when it connected (SO_PEERGROUPS, socket(7)).
 * Return: a group in the slots' range, 0 when there is none, -1 with errno when they can not be
 * read. */
static int64_t group_of_a_slot(const struct config *c, int fd)
{
	gid_t few[64];
	socklen_t len = sizeof(few);
	int64_t found = 0;

	int r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, few, &len);
	gid_t *many = r < 0 && errno == ERANGE && len <= NGROUPS_MAX * sizeof(gid_t) ? malloc(len)
										     : NULL;
	if (many)
		r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, many, &len);
	for (size_t i = 0; r == 0 && i < len / sizeof(gid_t) && !found; i++) {
		gid_t g = many ? many[i] : few[i];
		found = config_in_slot_range(c, g) ? g : 0;
	}
	free(many);
	return r < 0 ? -1 : found;
}

/* Refuse a caller with a uid or gid in the slots' range: it could read the disk of the VM that runs
 * under this id, and signal its VMM.  Root is exempt.  Return: 0, or -1 with the refusal. */
static int check_ids(const struct config *c, int fd, const struct caller *who, struct error *e)
{
	if (who->uid == 0)
		return 0;
	bool uid = config_in_slot_range(c, who->uid) || config_in_slot_range(c, who->gid);
	int64_t group = uid ? 0 : group_of_a_slot(c, fd);

	if (!uid && group == 0)
		return 0;
	if (group < 0)
		return error_set(e, FAIL_NOT_ALLOWED, "connection",
				 "your groups can not be read: %s", strerrordesc_np(errno));
	if (uid)
		(void)error_set(e, FAIL_NOT_ALLOWED, "connection",
				"uid %u gid %u lies in the range of the VMs' ids", who->uid,
				who->gid);
	else
		(void)error_set(e, FAIL_NOT_ALLOWED, "connection",
				"group %u lies in the range of the VMs' ids", (unsigned)group);
	error_hint(e,
		   "the account needs other ids, or [slots] uid_base in banger.conf another range");
	return -1;
}

static int set_events(struct api *a, int op, struct conn *c, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = &c->source };

	return epoll_ctl(a->epoll_fd, op, c->in.fd, &ev);
}

static void set_blocking(int fd, bool yes)
{
	int flags = fcntl(fd, F_GETFL);

	(void)fcntl(fd, F_SETFL, yes ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/* ---- the list of connections ---- */

static void list_append(struct api *a, struct conn *c)
{
	struct conn **p = &a->conns;

	while (*p)
		p = &(*p)->next;
	c->next = NULL;
	*p = c;
}

static void list_remove(struct api *a, struct conn *c)
{
	struct conn **p = &a->conns;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
}

/* Return: the connections of the user, without those that hold a VM. */
static size_t count_of(const struct api *a, uid_t uid)
{
	size_t n = 0;

	for (const struct conn *c = a->conns; c; c = c->next)
		n += c->x.caller.uid == uid && !hold_has(a->ctl->holds, c->x.connection);
	return n;
}

/* True while a request of @owner's, or of root, to take a hold is not answered. */
static bool asks_to_hold(const void *arg, uint32_t owner)
{
	const struct api *a = arg;

	for (const struct conn *c = a->conns; c; c = c->next)
		if ((c->x.caller.uid == owner || c->x.caller.uid == 0) && c->x.call &&
		    c->x.call->id == CALL_VM_HOLD && !c->x.gone &&
		    (c->state == WAITING || c->state == RUNNING || c->state == PARKED))
			return true;
	return false;
}

/* True when more than API_CLOSING_FDS descriptors of the user are being closed: they count against
 * our own limit. */
static bool holds_too_many(const struct api *a, uid_t uid)
{
	size_t n = 0;

	for (const struct conn *c = a->conns; c; c = c->next)
		n += c->x.caller.uid == uid && c->state == CLOSING ? c->held : 0;
	return n > API_CLOSING_FDS;
}

static void give_back(struct conn *c)
{
	struct api *a = c->api;

	(void)pthread_mutex_lock(&a->lock);
	c->returned = a->returned;
	a->returned = c;
	(void)pthread_mutex_unlock(&a->lock);
	(void)eventfd_write(a->bell, 1);
}

/* ---- closing ---- */

static void close_parts(struct conn *c)
{
	fdio_close_all(c->x.fds, c->x.nfds);
	c->x.nfds = 0;
	vmm_ports_close(&c->x.ports);
	if (c->ending)
		control_close(&c->in);
}

static void *closer_thread(void *arg)
{
	struct conn *c = arg;
	sigset_t set;

	/* api_tick() sends SIGUSR1: it interrupts a close that can be interrupted, such as that of
	 * a lingering socket. */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	close_parts(c);
	give_back(c);
	return NULL;
}

static int closer_start(struct conn *c)
{
	sigset_t all, old;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	int e = pthread_create(&c->closer, NULL, closer_thread, c);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return e ? -1 : 0;
}

static void conn_free(struct conn *c)
{
	struct api *a = c->api;

	list_remove(a, c);
	a->n_conns--;
	free(c);
}

/* Shut the connection down, after which nothing more can arrive.
 * Return: true when its queue is empty, so that closing it closes no descriptor of the client. */
static bool is_bare(struct conn *c)
{
	char byte;

	(void)shutdown(c->in.fd, SHUT_RDWR);
	return !c->x.nfds && !c->in.nfds && !vmm_ports_open(&c->x.ports) &&
	       recv(c->in.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Close the descriptors of the request and its search for a port, and the connection too if
 * @ending.  @c may be freed on return. */
static void close_apart(struct conn *c, bool ending)
{
	c->ending = ending;
	if (c->in.fd >= 0)
		(void)epoll_ctl(c->api->epoll_fd, EPOLL_CTL_DEL, c->in.fd, NULL);
	bool bare = ending && is_bare(c);
	c->state = CLOSING;
	c->held = c->x.nfds + (ending ? c->in.nfds : 0);
	c->due_ns = after_ms(TICK_MS);
	c->apart = !bare && closer_start(c) == 0;
	if (c->apart)
		return;
	close_parts(c);
	if (ending)
		conn_free(c);
	else
		give_back(c);
}

/* The client has gone: the VMs that it holds are without a holder, the disks that it reads without
 * a reader. */
static void client_lost(struct conn *c)
{
	hold_lost(c->api->ctl->holds, c->x.connection);
	reader_lost(c->api->ctl->readers, c->x.connection);
}

/* Close the connection.  It is in any state but RUNNING, UNREAD (unless the service ends) and
 * CLOSING. */
static void drop(struct conn *c)
{
	client_lost(c);
	close_apart(c, true);
}

/* ---- to the workers and back ---- */

/* True when the connection's user may have one more worker: each has API_WORKERS_PER_UID, and only
 * one while API_WORKERS_SHARED are busy.  An unread answer with a descriptor takes the share of a
 * request whose answer has one too. */
static bool has_share(const struct api *a, const struct conn *c)
{
	size_t all = 0, own = 0, imports = 0;
	bool import = c->x.call->fds_in > 0;

	for (const struct conn *o = a->conns; o; o = o->next) {
		bool same = o->x.caller.uid == c->x.caller.uid;
		own += same && o->state == UNREAD && c->x.call->fds_out > 0;
		if (o->state != RUNNING)
			continue;
		all++;
		own += same;
		if (import && o->x.call->fds_in > 0)
			imports += same ? API_IMPORTS : 1;
	}
	return own < (all < API_WORKERS_SHARED ? API_WORKERS_PER_UID : 1) && imports < API_IMPORTS;
}

static void work(struct ctl *ctl, void *arg)
{
	struct conn *c = arg;

	(void)ctl;
	c->through = exchange_run(&c->x);
	give_back(c);
}

static void answered(struct conn *c);

/* Answer a request with its error, without having called the handler. */
static void reject(struct conn *c)
{
	exchange_fail(&c->x);
	answered(c);
}

/* True for the calls that make the roles create objects, and so write to their request logs.  A
 * stop needs no bound of its own, since each stop needs a start. */
static bool is_recorded(const struct call *call)
{
	return call->id == CALL_VM_START || call->id == CALL_VM_SET;
}

/* Take a token for a recorded call; fill in the error if there is none.  Root is exempt, since root
 * can fill the disk in other ways. */
static bool is_too_often(struct conn *c)
{
	uid_t uid = c->x.caller.uid;
	unsigned s = uid && is_recorded(c->x.call) ? rate_take(&c->api->rate, uid, clock_boot_ns())
						   : 0;

	if (!s)
		return false;
	note(c->api, uid, "starts and changes VMs too often; one more is refused");
	(void)error_set(&c->x.error, FAIL_LIMIT, c->x.call->name,
			"more than %u starts and changes of VMs in a row", c->api->rate.burst);
	error_hint(&c->x.error,
		   "one more is allowed in %u s; root's creates_per_second in banger.conf decides",
		   s);
	return true;
}

static void hand_over(struct conn *c)
{
	struct api *a = c->api;
	bool first = c->x.passes == 0;

	set_blocking(c->in.fd, true);
	c->state = RUNNING;
	if (workers_run(a->ctl->workers, work, c) == 0)
		return;
	set_blocking(c->in.fd, false);
	if (!first) {
		c->state = PARKED;
		c->due_ns = after_ms(EXCHANGE_AGAIN_MS);
		return;
	}
	(void)error_set(&c->x.error, FAIL_LIMIT, c->x.call->name,
			"too many operations are waiting");
	error_hint(&c->x.error, "try again in a moment");
	reject(c);
}

/* Hand over each waiting request, and each parked request that is due, if its user has a share
 * left. */
static void dispatch(struct api *a)
{
	uint64_t now = clock_boot_ns();
	struct conn *c, *next;

	for (c = a->conns; c; c = next) {
		next = c->next;
		if (c->state != WAITING && !(c->state == PARKED && now >= c->due_ns))
			continue;
		if (has_share(a, c))
			hand_over(c);
	}
}

static void malformed(struct conn *c)
{
	note(c->api, c->x.caller.uid, "malformed message; the connection is closed");
	drop(c);
}

/* Process the receive buffer: it holds a complete request, a part of one, or nothing. */
static void read_on(struct conn *c)
{
	struct api *a = c->api;
	struct message m;

	c->state = READING;
	if (c->x.gone || !a->listening) {
		drop(c);
		return;
	}
	int r = control_next(&c->in, NULL, &m);
	if (r < 0 || (r > 0 && c->in.have)) { /* one request at a time */
		malformed(c);
		return;
	}
	if (r == 0) {
		if (set_events(a, EPOLL_CTL_MOD, c, EPOLLIN) < 0)
			drop(c);
		return;
	}
	exchange_begin(&c->x, &m, c->in.fds, c->in.nfds);
	c->in.nfds = 0;
	c->state = WAITING;
	if (set_events(a, EPOLL_CTL_MOD, c, EPOLLRDHUP | EPOLLONESHOT) < 0) {
		drop(c);
		return;
	}
	if (is_too_often(c))
		reject(c);
	else if (has_share(a, c))
		hand_over(c);
}

/* True while an answer with a descriptor may be in the client's queue.  SIOCOUTQ counts the memory
 * of what was sent and not received (unix_outq_len() in net/unix/af_unix.c). */
static bool is_unread(const struct conn *c)
{
	int queued = 0;

	return c->x.call && c->x.call->fds_out && ioctl(c->in.fd, SIOCOUTQ, &queued) == 0 &&
	       queued > 0;
}

/* Prepare the connection for the next request, after the descriptors of this one are closed, and
 * after the descriptor of the answer is received. */
static void answered(struct conn *c)
{
	if (c->x.nfds || vmm_ports_open(&c->x.ports)) {
		close_apart(c, false);
		return;
	}
	if (is_unread(c)) {
		c->state = UNREAD;
		if (set_events(c->api, EPOLL_CTL_MOD, c, EPOLLIN | EPOLLONESHOT) == 0)
			return;
	}
	c->due_ns = after_ms(API_IDLE_MS);
	read_on(c);
}

static void finish_closing(struct conn *c)
{
	if (c->apart)
		(void)pthread_join(c->closer, NULL);
	if (c->ending)
		conn_free(c);
	else if (set_events(c->api, EPOLL_CTL_ADD, c, EPOLLRDHUP | EPOLLONESHOT) < 0)
		drop(c);
	else
		answered(c);
}

static void take_back(struct conn *c)
{
	if (c->state == CLOSING) {
		finish_closing(c);
		return;
	}
	/* dispatch() serves the list in order: to the end, behind its user's others */
	list_remove(c->api, c);
	list_append(c->api, c);
	if (!c->through && !c->x.gone) {
		c->state = PARKED;
		c->due_ns = after_ms(EXCHANGE_AGAIN_MS);
		set_blocking(c->in.fd, false);
		return;
	}
	set_blocking(c->in.fd, false);
	answered(c);
}

static void bell_ready(struct loop_source *s, uint32_t events)
{
	struct api *a = s->owner;
	eventfd_t n;

	(void)events;
	(void)eventfd_read(a->bell, &n);
	(void)pthread_mutex_lock(&a->lock);
	struct conn *c = a->returned, *next;
	a->returned = NULL;
	(void)pthread_mutex_unlock(&a->lock);
	for (; c; c = next) {
		next = c->returned;
		take_back(c);
	}
	dispatch(a);
}

/* ---- clients ---- */

/* Send an error for a connection and close it.  No request was decoded, so the answer has the
 * number 1, with which clients begin. */
static void refuse(struct conn *c, const struct error *e)
{
	note(c->api, c->x.caller.uid, e->why);
	(void)control_send_error(c->in.fd, 1, e);
	drop(c);
}

/* Refuse a request unread: its user has too many descriptors being closed, and receiving it could
 * add more. */
static void refuse_descriptors(struct conn *c)
{
	struct error e = { 0 };

	(void)error_set(&e, FAIL_LIMIT, "connection",
			"too many files that you sent earlier are still being closed");
	error_hint(&e,
		   "their file system does not answer (FUSE, network): unmount it, then try again");
	refuse(c, &e);
}

static void conn_ready(struct loop_source *s, uint32_t events)
{
	struct conn *c = s->owner;

	(void)events;
	if (c->state == RUNNING) {
		c->x.gone = true;
		client_lost(c);
		return;
	}
	if (c->state == CLOSING)
		return;
	if (c->state == UNREAD) { /* api_tick() looks again */
		if (!is_unread(c))
			answered(c);
		return;
	}
	if (c->state != READING) { /* WAITING or PARKED: the client has disconnected */
		drop(c);
		return;
	}
	if (holds_too_many(c->api, c->x.caller.uid)) {
		refuse_descriptors(c);
		return;
	}
	bool first_byte = !c->in.have;
	int r = control_fill(&c->in);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (r < 0 && errno == EBADMSG) {
		malformed(c);
		return;
	}
	if (r <= 0) {
		drop(c);
		return;
	}
	if (first_byte && c->x.call) /* the deadline of the first request runs from the accept */
		c->due_ns = after_ms(API_MESSAGE_MS);
	read_on(c);
}

static struct conn *conn_new(struct api *a, int fd, const struct caller *who)
{
	struct timeval tv = { .tv_sec = API_SEND_MS / 1000 };
	struct conn *c = calloc(1, sizeof(*c));

	if (!c || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0) {
		free(c);
		return NULL;
	}
	control_init(&c->in, fd);
	vmm_ports_init(&c->x.ports);
	c->source = (struct loop_source){ conn_ready, c };
	c->api = a;
	c->x.ctl = a->ctl;
	c->x.fd = fd;
	c->x.caller = *who;
	c->x.connection = ++a->n_accepted;
	c->due_ns = after_ms(API_MESSAGE_MS);
	if (set_events(a, EPOLL_CTL_ADD, c, EPOLLIN) < 0) {
		free(c);
		return NULL;
	}
	list_append(a, c);
	a->n_conns++;
	return c;
}

/* The connections of one user, and the one of them that rests for the longest time: it reads a
 * request, or is parked.  One that holds a VM does not rest: its end would be the VM's. */
struct share {
	uid_t uid;
	size_t n;
	struct conn *resting;
};

/* Users whose connections are counted.  If more have some, each has few. */
#define SHARES_MAX 64

static struct share *share_of(struct share shares[SHARES_MAX], uid_t uid)
{
	for (size_t i = 0; i < SHARES_MAX; i++) {
		if (!shares[i].n)
			shares[i].uid = uid;
		if (shares[i].uid == uid)
			return &shares[i];
	}
	return NULL;
}

/* Find the connection to close for one more of @uid when all are taken: one of the user with the
 * most, who must have two more than @uid.  Four users could keep all others out otherwise, for as
 * long as they want.  Root gives none up.  Return: NULL: all have about the same. */
static struct conn *to_give_up(const struct api *a, uid_t uid)
{
	struct share shares[SHARES_MAX] = { 0 }, *most = NULL;

	for (struct conn *c = a->conns; c; c = c->next) {
		struct share *s = c->x.caller.uid ? share_of(shares, c->x.caller.uid) : NULL;
		if (!s || hold_has(a->ctl->holds, c->x.connection))
			continue;
		s->n++;
		if (!s->resting && (c->state == READING || c->state == PARKED))
			s->resting = c;
	}
	for (size_t i = 0; i < SHARES_MAX; i++)
		if (shares[i].resting && (!most || shares[i].n > most->n))
			most = &shares[i];
	return most && most->n > count_of(a, uid) + 1 ? most->resting : NULL;
}

/* True if @who may have one more of all connections, perhaps in place of another user's. */
static bool has_room(struct api *a, const struct caller *who)
{
	if (a->n_conns < API_CONNECTIONS_MAX + hold_count(a->ctl->holds) ||
	    access_allows(who, ACCESS_HOST, 0))
		return true;
	struct conn *c = to_give_up(a, who->uid);
	if (!c)
		return false;
	note(a, c->x.caller.uid, "has the most of all connections; one is closed for another user");
	drop(c);
	return true;
}

/* Check that @who may have one more connection.  Return: 0, or -1 with the refusal. */
static int check_caller(struct api *a, int fd, const struct caller *who, struct error *e)
{
	if (check_ids(&a->ctl->config, fd, who, e) < 0)
		return -1;
	if (count_of(a, who->uid) < API_CONNECTIONS_PER_UID && has_room(a, who))
		return 0;
	(void)error_set(e, FAIL_LIMIT, "connection", "too many are open");
	error_hint(e, "wait until some of your commands have ended");
	return -1;
}

/* Remove the listener from the loop for TICK_MS.  It stays readable, so the loop would spin. */
static void pause_listening(struct api *a)
{
	a->paused = epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, a->listener, NULL) == 0;
	a->paused_until_ns = after_ms(TICK_MS);
}

static void listen_ready(struct loop_source *s, uint32_t events)
{
	struct api *a = s->owner;
	struct error e = { 0 };
	struct caller who;

	(void)events;
	if (a->n_conns >= API_CONNECTIONS_MAX + API_CLOSING_MORE + hold_count(a->ctl->holds)) {
		pause_listening(a);
		return;
	}
	_cleanup_close_ int fd = accept4(a->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
			return;
		log_errno("control socket");
		pause_listening(a);
		return;
	}
	if (a->identify(fd, &who) < 0) {
		log_errno("control socket: identity of a client");
		return;
	}
	bool welcome = check_caller(a, fd, &who, &e) == 0;
	struct conn *c = conn_new(a, fd, &who);
	if (c)
		(void)steal_fd(&fd);
	if (c && !welcome)
		refuse(c, &e);
}

/* ---- opening, ticks, closing ---- */

static int listen_on(struct api *a)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &a->listen_source };

	return epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, a->listener, &ev);
}

static void interrupt(int sig)
{
	(void)sig;
}

struct api *api_open(struct ctl *c, int epoll_fd, int listener,
		     int (*identify)(int fd, struct caller *who))
{
	struct api *a = calloc(1, sizeof(*a));
	struct epoll_event ev = { .events = EPOLLIN };
	const struct sigaction sa = { .sa_handler = interrupt };

	if (!a)
		return NULL;
	*a = (struct api){ .ctl = c, .epoll_fd = epoll_fd, .listener = listener };
	a->listening = true;
	a->rate.burst = API_STARTS_BURST(c->config.creates_per_second);
	a->rate.interval_ns = API_STARTS_NS(c->config.creates_per_second);
	a->identify = identify ? identify : peer_of;
	a->listen_source = (struct loop_source){ listen_ready, a };
	a->bell_source = (struct loop_source){ bell_ready, a };
	ev.data.ptr = &a->bell_source;
	(void)pthread_mutex_init(&a->lock, NULL);
	/* without SA_RESTART: the signal interrupts a blocking close */
	(void)sigaction(SIGUSR1, &sa, NULL);
	a->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* The client may disconnect between epoll_wait() and accept4(): accept4() must not block
	 * then (accept(2)). */
	int flags = fcntl(listener, F_GETFL);
	if (a->bell < 0 || flags < 0 || fcntl(listener, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    listen_on(a) < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, a->bell, &ev) < 0) {
		int saved = errno;
		api_close(a);
		errno = saved;
		return NULL;
	}
	hold_heed(c->holds, asks_to_hold, a);
	return a;
}

void api_stop_listening(struct api *a)
{
	if (a->listening && !a->paused)
		(void)epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, a->listener, NULL);
	a->listening = false;
}

/* Close a connection whose deadline is over, unless it rests and holds a VM. */
static void close_late(struct conn *c)
{
	if (c->in.have || !hold_has(c->api->ctl->holds, c->x.connection))
		drop(c);
	else
		c->due_ns = after_ms(API_IDLE_MS);
}

int api_tick(struct api *a)
{
	uint64_t now = clock_boot_ns();
	struct conn *c, *next;
	int wait = TICK_MS;

	if (a->paused && a->listening && now >= a->paused_until_ns)
		a->paused = listen_on(a) < 0;
	for (c = a->conns; c; c = next) {
		next = c->next;
		if (c->state == READING && now >= c->due_ns) {
			close_late(c);
			continue;
		}
		if (c->state == UNREAD && !is_unread(c)) {
			answered(c);
			continue;
		}
		if (c->state != CLOSING || !c->apart || now < c->due_ns)
			continue;
		(void)pthread_kill(c->closer, SIGUSR1);
		c->due_ns = after_ms(TICK_MS);
	}
	dispatch(a);
	for (c = a->conns; c; c = c->next)
		if (c->state == PARKED || c->state == UNREAD)
			wait = EXCHANGE_AGAIN_MS;
	return wait;
}

/* Wait for a closer thread.  main.c bounds the time: it ends the process by an alarm. */
static void wait_closed(struct conn *c)
{
	if (c->apart) {
		(void)pthread_kill(c->closer, SIGUSR1);
		(void)pthread_join(c->closer, NULL);
	}
	if (c->ending)
		conn_free(c);
	else
		drop(c);
}

void api_close(struct api *a)
{
	if (!a)
		return;
	for (struct conn *c; (c = a->conns);) {
		if (c->state != CLOSING)
			drop(c);
		else
			wait_closed(c);
	}
	api_stop_listening(a);
	hold_heed(a->ctl->holds, NULL, NULL);
	fdio_close_all(&a->bell, 1);
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
}
