/* cli_fixture.h - shared by the tests of the command line: a fake controller in a thread, fake
 * tools in PATH, a home of its own, and cli_main() with its output captured. */
#ifndef BANGER_TEST_CLI_FIXTURE_H
#define BANGER_TEST_CLI_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/cli/cli.h"
#include "proto/agent.h"

#define VM_ID "0123456789abcdef0123456789abcdef"
#define OP_ID "fedcba9876543210fedcba9876543210"

static struct fixture {
	char dir[64], out[1 << 20], err[65536];
	int listener;
	pthread_t server, flood;
	pthread_mutex_t lock;
	char calls[4096]; /* the calls in order, such as "vm_create vm_start " */
	union control_body last[CALL_COUNT];
	enum fail fail[CALL_COUNT]; /* answer this instead */
	const char *fail_for;       /* only when the request names this VM; NULL: always */
	const char *state, *ip;     /* of the VM that vm_show returns */
	const char *name;           /* likewise; NULL: that which was asked for */
	bool ready, starts_again;
	const char *log;        /* what vm_logs sends */
	const char *images[8];  /* what image_list sends */
	uint64_t images_owner;  /* of those that are not root's */
	bool roots[8];          /* likewise */
	const char *origins[8]; /* of those; NULL: "" */
	const char *digests[8]; /* likewise */
	uint64_t used_by[8];
	const char *volumes[4];     /* what volume_list sends, of the caller's */
	struct res_image_read part; /* what image_read returns */
	struct res_vm_disk disk;    /* what vm_disk returns; its sizes are those of the parts */
	const uint8_t *parts[2];    /* what vm_read reads */
	struct res_vm_read *piece;  /* what vm_read returns instead, if set */
	struct ev_piece *before;    /* the event that it sends before, if set */
	unsigned kernels;    /* kernel_list sends so many of its digest: see send_kernels() */
	const char *hostile; /* if set, every text of every event, result and error */
	const char *started, *reason; /* of that VM */
	uint64_t owner;
	const char *audit; /* lines that audit_show sends; NULL: one */
	int gather;        /* vm_start is answered after this many requests; 0: at once */
	int gathered[8], ngathered;
	bool ends;    /* vm_wait returns at once; else it gets no answer */
	bool reached; /* vm_wait returns at once: the VM, which stays as it is, has come to that */
	int waiting;  /* the connection of that vm_wait */
	/* what the agent of vm_agent sends, before and behind its greeting; the test reads what it
	 * got from agent_fd */
	char agent_before[64], agent[300000];
	size_t agent_len;
	int agent_fd;
	bool agent_stays; /* else it hangs up behind that */
	bool agent_busy;  /* vm_agent gets no answer */
	int busy;         /* the connection of that vm_agent */
	long agent_lies;  /* instead of its greeting it sends agent_before so many times */
	/* connections that hold a VM: a thread for each */
	pthread_t holders[32];
	size_t nholders;
	_Atomic int lose; /* close so many of them right after the answer, as a service that ends */
	/* a guest at the other end of vm_type and of a vm_logs that follows: it echoes what is
	 * typed, ends at a 'q', and at an 'L' the service ends */
	bool echoes;
	int follower;     /* the connection of that vm_logs */
	uint64_t at;      /* the offset of what the guest says next */
	_Atomic int deaf; /* it takes nothing so many times */
	char typed[4096];
	size_t ntyped;
} fx;

/* ---- the fake controller ---- */

static void send_vm(int fd, const char *name)
{
	struct ev_vm vm = { .owner = fx.owner,
			    .vcpus = 2,
			    .mem_mib = 512,
			    .disk_mib = 2048,
			    .nat = true,
			    .ready = fx.ready,
			    .starts_again = fx.starts_again,
			    .slot = 3,
			    .generation = 1 };

	(void)strcpy(vm.id, VM_ID);
	(void)strcpy(vm.name, fx.name ? fx.name : name);
	(void)strcpy(vm.state, fx.state);
	(void)strcpy(vm.image, "debian");
	(void)strcpy(vm.ip, fx.ip);
	(void)strcpy(vm.created, "2026-01-02T03:04:05Z");
	(void)strcpy(vm.started, fx.started);
	(void)strcpy(vm.reason, fx.reason);
	(void)strcpy(vm.runtime_tap, "bgr3");
	(void)control_send_event(fd, control_event(EVENT_VM), &vm);
}

/* Kernels of the digest KKK...: of another user, of root, and the caller's own. */
static void send_kernels(int fd)
{
	const uint64_t owners[] = { 4000000000, 0, geteuid() };
	struct ev_kernel k = { .name = "linux", .created = "2026-01-02T03:04:05Z" };

	memset(k.digest, 'k', 64);
	for (unsigned i = 0; i < fx.kernels; i++) {
		k.owner = owners[i];
		(void)control_send_event(fd, control_event(EVENT_KERNEL), &k);
	}
}

static void send_events(int fd, enum call_id id)
{
	if (id == CALL_VM_START) {
		struct ev_stage s = {
			.op = OP_ID, .stage = "network", .detail = "tap bgr3", .us = 1500
		};
		(void)control_send_event(fd, control_event(EVENT_STAGE), &s);
	} else if (id == CALL_VM_SHOW) {
		send_vm(fd, "web1");
	} else if (id == CALL_VM_LIST) {
		send_vm(fd, "web1");
		send_vm(fd, "a-much-longer-name");
	} else if (id == CALL_VM_LOGS) {
		struct ev_bytes b = { .data = { .n = strlen(fx.log) } };
		memcpy(b.data.v, fx.log, b.data.n);
		(void)control_send_event(fd, control_event(EVENT_BYTES), &b);
	} else if (id == CALL_DOCTOR) {
		struct ev_check k = {
			.name = "bridge", .verdict = "FAIL", .text = "no bridge", .hint = "make one"
		};
		(void)control_send_event(fd, control_event(EVENT_CHECK), &k);
	} else if (id == CALL_AUDIT_SHOW) {
		const char *p = fx.audit ? fx.audit : "{\"op\":\"tap_create\"}";
		for (struct ev_line l; *p; p += strcspn(p, "\n"), p += *p == '\n') {
			(void)snprintf(l.text, sizeof(l.text), "%.*s", (int)strcspn(p, "\n"), p);
			(void)control_send_event(fd, control_event(EVENT_LINE), &l);
		}
	} else if (id == CALL_KERNEL_LIST) {
		send_kernels(fd);
	} else if (id == CALL_IMAGE_LIST) {
		struct ev_image i = { .kernel = "debian",
				      .size = 1u << 30,
				      .created = "2026-01-02T03:04:05Z" };
		for (size_t n = 0; fx.images[n]; n++) {
			(void)strcpy(i.name, fx.images[n]);
			(void)strcpy(i.origin, fx.origins[n] ? fx.origins[n] : "");
			(void)strcpy(i.digest, fx.digests[n] ? fx.digests[n] : "");
			i.used_by = fx.used_by[n];
			i.owner = fx.roots[n] ? 0 : fx.images_owner;
			(void)control_send_event(fd, control_event(EVENT_IMAGE), &i);
		}
	} else if (id == CALL_VOLUME_LIST) {
		struct ev_volume v = { .owner = geteuid(),
				       .size = 1u << 30,
				       .created = "2026-01-02T03:04:05Z",
				       .used_by = 2,
				       .vms = "web1 web2" };
		for (size_t n = 0; fx.volumes[n]; n++) {
			(void)strcpy(v.name, fx.volumes[n]);
			(void)control_send_event(fd, control_event(EVENT_VOLUME), &v);
		}
	}
}

static void fill_texts(const struct field *fields, void *base)
{
	for (const struct field *f = fields; f->name; f++)
		if (f->type == FIELD_S && strlen(fx.hostile) <= f->max)
			(void)strcpy((char *)base + f->offset, fx.hostile);
}

static void send_hostile(int fd)
{
	for (int i = 0; i < EVENT_COUNT; i++) {
		union control_body b;
		memset(&b, 0, sizeof(b));
		fill_texts(control_event((enum event_id)i)->fields(), &b);
		(void)control_send_event(fd, control_event((enum event_id)i), &b);
	}
}

/* Send agent_before again and again, until the client hangs up. */
static void *flood(void *arg)
{
	int fd = *(int *)arg;

	for (long i = 0; i < fx.agent_lies; i++)
		if (send(fd, fx.agent_before, strlen(fx.agent_before), MSG_NOSIGNAL) <= 0)
			break;
	return NULL;
}

/* A connection to a guest that sends no greeting. */
static int connect_liar(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fx.agent_fd = pair[0];
	assert_int_equal(pthread_create(&fx.flood, NULL, flood, &fx.agent_fd), 0);
	return pair[1];
}

/* A connection to an agent that has sent all that it sends. */
static int connect_agent(const uint8_t nonce[16])
{
	static char bytes[sizeof(fx.agent) + 128];
	int pair[2], big = 4 * (int)sizeof(bytes);
	size_t n = strlen(fx.agent_before);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	memcpy(bytes, fx.agent_before, n);
	memcpy(bytes + n, AGENT_MARK, AGENT_MARK_LEN);
	memcpy(bytes + n + AGENT_MARK_LEN, nonce, AGENT_NONCE);
	n += AGENT_GREETING;
	memcpy(bytes + n, fx.agent, fx.agent_len);
	n += fx.agent_len;
	(void)!send(pair[0], bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (!fx.agent_stays)
		(void)shutdown(pair[0], SHUT_WR);
	fx.agent_fd = pair[0];
	return pair[1];
}

static void end_follower(const struct message *m, bool answered)
{
	static const union control_body nothing;

	if (answered)
		(void)control_send_result(fx.follower, m->id, control_call(CALL_VM_LOGS), &nothing,
					  NULL, 0);
	(void)close(fx.follower);
	fx.follower = -1;
}

/* Return: true if the guest takes what was typed. */
static bool guest_takes(const struct message *m)
{
	const struct call_vm_type *a = &m->body.vm_type;
	struct ev_bytes b = { .at = fx.at, .data = { .n = a->data.n } };

	if (!fx.echoes || !a->data.n)
		return true;
	if (fx.deaf > 0) {
		fx.deaf--;
		return false;
	}
	pthread_mutex_lock(&fx.lock);
	for (size_t i = 0; i < a->data.n && fx.ntyped < sizeof(fx.typed) - 1; i++)
		fx.typed[fx.ntyped++] = (char)a->data.v[i];
	pthread_mutex_unlock(&fx.lock);
	fx.at += a->data.n;
	memcpy(b.data.v, a->data.v, a->data.n);
	(void)control_send_event(fx.follower, control_event(EVENT_BYTES), &b);
	if (memchr(a->data.v, 'q', a->data.n)) {
		fx.state = "stopped";
		end_follower(m, true);
	} else if (memchr(a->data.v, 'L', a->data.n)) {
		end_follower(m, false);
	}
	return true;
}

/* Read a part as the service does: blocks of zeros are holes, and each piece has up to 5000
 * bytes. */
static struct res_vm_read read_part(const struct call_vm_read *a)
{
	static const uint8_t zeros[4096];
	const uint64_t size = a->part ? fx.disk.store : fx.disk.size;
	const uint64_t end = a->end < size ? a->end : size;
	const uint8_t *p = fx.parts[a->part];
	uint64_t at = a->offset;

	while (at < end && memcmp(p + at / 4096 * 4096, zeros, 4096) == 0)
		at = (at / 4096 + 1) * 4096;
	struct res_vm_read r = { .size = size, .at = at < end ? at : end };
	r.data.n = end - r.at < 5000 ? end - r.at : 5000;
	memcpy(r.data.v, p + r.at, r.data.n);
	return r;
}

/* Answer a vm_read by a piece as an event and one in the answer. */
static struct res_vm_read send_part(int fd, const struct call_vm_read *asked)
{
	struct call_vm_read a = *asked;
	struct res_vm_read r = read_part(&a);
	struct ev_piece ev = { .at = r.at, .data.n = r.data.n };

	if (fx.before)
		(void)control_send_event(fd, control_event(EVENT_PIECE), fx.before);
	if (fx.piece)
		return *fx.piece;
	a.offset = r.at + r.data.n;
	const struct res_vm_read next = read_part(&a);
	if (!next.data.n)
		return r;
	memcpy(ev.data.v, r.data.v, r.data.n);
	(void)control_send_event(fd, control_event(EVENT_PIECE), &ev);
	return next;
}

static void send_answer(int fd, const struct message *m)
{
	union control_body r;
	enum call_id id = m->call->id;

	memset(&r, 0, sizeof(r));
	if (id == CALL_VM_CREATE) {
		(void)strcpy(r.res_vm_create.id, VM_ID);
		(void)strcpy(r.res_vm_create.op, OP_ID);
		(void)strcpy(r.res_vm_create.name,
			     m->body.vm_create.name[0] ? m->body.vm_create.name : "made-up");
	} else if (id == CALL_VERSION) {
		(void)strcpy(r.res_version.version, "9.9");
		r.res_version.protocol = 1;
	} else if (id == CALL_VM_WAIT) {
		(void)strcpy(r.res_vm_wait.state, fx.state);
		r.res_vm_wait.reached = fx.reached;
	} else if (id == CALL_IMAGE_READ) {
		r.res_image_read = fx.part;
	} else if (id == CALL_VM_DISK) {
		r.res_vm_disk = fx.disk;
	} else if (id == CALL_VM_READ) {
		r.res_vm_read = send_part(fd, &m->body.vm_read);
	} else if (id == CALL_VM_TYPE) {
		r.res_vm_type.took = guest_takes(m);
	} else if (id == CALL_VM_LOGS) {
		r.res_vm_logs.at = strlen(fx.log);
	}
	if (fx.hostile)
		fill_texts(m->call->result(), &r);
	if (id == CALL_VM_AGENT) {
		memset(r.res_vm_agent.nonce, 'n', sizeof(r.res_vm_agent.nonce));
		int port = fx.agent_lies ? connect_liar() : connect_agent(r.res_vm_agent.nonce);
		(void)control_send_result(fd, m->id, m->call, &r, &port, 1);
		(void)close(port);
		return;
	}
	(void)control_send_result(fd, m->id, m->call, &r, NULL, 0);
}

static void answer(int fd, const struct message *m)
{
	struct error e = { .op = OP_ID };
	enum call_id id = m->call->id;
	/* The reference is the first field of every call on a VM. */
	bool meant = !fx.fail_for || strcmp((const char *)&m->body, fx.fail_for) == 0;

	pthread_mutex_lock(&fx.lock);
	fx.last[id] = m->body;
	(void)strcat(strcat(fx.calls, m->call->name), " ");
	pthread_mutex_unlock(&fx.lock);
	if (fx.fail[id] && meant) {
		error_set(&e, fx.fail[id], fx.hostile ? fx.hostile : "web1", "%s",
			  fx.hostile ? fx.hostile : "as the test asked");
		error_hint(&e, "%s", fx.hostile ? fx.hostile : "do something else");
		(void)control_send_error(fd, m->id, &e);
		return;
	}
	if (id == CALL_VM_WAIT && !fx.ends && !fx.reached)
		return;
	if (id == CALL_VM_WAIT && fx.ends)
		fx.state = "stopped";
	if (fx.hostile)
		send_hostile(fd);
	else
		send_events(fd, id);
	send_answer(fd, m);
}

static bool is_hold(const struct message *m)
{
	return !fx.fail[m->call->id] &&
	       (m->call->id == CALL_VM_DISK ||
		(m->call->id == CALL_VM_CREATE && m->body.vm_create.hold) ||
		(m->call->id == CALL_VM_HOLD && m->body.vm_hold.hold));
}

static void *serve_holder(void *arg)
{
	struct control *c = arg;
	struct message m;
	int n;

	while ((n = control_next(c, NULL, &m)) > 0 || (n == 0 && control_fill(c) > 0))
		if (n > 0)
			answer(c->fd, &m);
	control_close(c);
	free(c);
	return NULL;
}

/* Return: true if a thread serves the connection from here on. */
static bool keep_holder(const struct control *c, const struct message *m)
{
	if (!is_hold(m))
		return false;
	if (fx.lose > 0) {
		fx.lose--;
		return false;
	}
	struct control *own = malloc(sizeof(*own));
	assert_non_null(own);
	*own = *c;
	assert_in_range(fx.nholders, 0, 31);
	assert_int_equal(pthread_create(&fx.holders[fx.nholders++], NULL, serve_holder, own), 0);
	return true;
}

/* Keep the connection of a vm_start until fx.gather requests have come. */
static void gather(int fd, const struct message *m)
{
	fx.gathered[fx.ngathered++] = fd;
	if (fx.ngathered < fx.gather)
		return;
	while (fx.ngathered > 0) {
		answer(fx.gathered[--fx.ngathered], m);
		(void)close(fx.gathered[fx.ngathered]);
	}
}

static void *serve(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept4(fx.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct control c;
		struct message m;
		int n = 0;
		control_init(&c, fd);
		while ((n = control_next(&c, NULL, &m)) == 0 && control_fill(&c) > 0)
			;
		if (n > 0 && fx.echoes && m.call->id == CALL_VM_LOGS && m.body.vm_logs.follow) {
			fx.last[CALL_VM_LOGS] = m.body;
			(void)strcat(fx.calls, "follow ");
			fx.follower = fd;
			continue;
		}
		if (n > 0 && fx.agent_busy && m.call->id == CALL_VM_AGENT) {
			fx.busy = fd;
			continue;
		}
		if (n > 0 && fx.gather && m.call->id == CALL_VM_START) {
			gather(fd, &m);
			continue;
		}
		bool waits = n > 0 && m.call->id == CALL_VM_WAIT && !fx.ends && !fx.reached;
		if (waits) { /* before the call is noted, for a test that looks for it */
			if (fx.waiting >= 0)
				(void)close(fx.waiting);
			fx.waiting = fd;
		}
		if (n > 0)
			answer(fd, &m);
		if (waits) {
			continue;
		} else if (n <= 0 || !keep_holder(&c, &m)) {
			control_close(&c);
		}
	}
	return NULL;
}

/* ---- a home and tools for the test ---- */

static void write_script(const char *name, const char *body)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/bin/%s", fx.dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s", body);
	(void)fclose(f);
	(void)chmod(path, 0755);
}

static void set_path(void)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/bin:/usr/bin:/bin:/usr/sbin:/sbin", fx.dir);
	(void)setenv("PATH", path, 1);
	(void)setenv("HOME", fx.dir, 1);
	(void)unsetenv("XDG_STATE_HOME");
	(void)unsetenv("SSH_AUTH_SOCK");
	(void)snprintf(path, sizeof(path), "%s/sock", fx.dir);
	(void)setenv("BANGER_SOCKET", path, 1);
	(void)snprintf(path, sizeof(path), "%s/images.conf", fx.dir);
	(void)setenv("BANGER_IMAGES", path, 1);
}

/* Write root's catalogue. */
static void write_catalogue(const char *text)
{
	FILE *f = fopen(getenv("BANGER_IMAGES"), "we");

	assert_non_null(f);
	fputs(text, f);
	(void)fclose(f);
}

static void start_server(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	sigset_t all, old;

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock", fx.dir);
	fx.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fx.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fx.listener, 8), 0);
	/* Signals are for the thread that runs cli_main(). */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	assert_int_equal(pthread_create(&fx.server, NULL, serve, NULL), 0);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static int fixture_setup(void **state)
{
	char path[160];

	(void)state;
	memset(&fx, 0, sizeof(fx));
	(void)pthread_mutex_init(&fx.lock, NULL);
	fx.state = "running";
	fx.ip = "255.255.255.255"; /* connect() to it fails at once */
	fx.log = "";
	fx.images[0] = "debian";
	fx.images_owner = geteuid();
	fx.owner = 1000;
	fx.started = fx.reason = "";
	fx.waiting = fx.follower = fx.busy = -1;
	(void)strcpy(fx.dir, "/tmp/banger-cli-XXXXXX");
	assert_non_null(mkdtemp(fx.dir));
	(void)snprintf(path, sizeof(path), "%s/bin", fx.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	set_path();
	write_script("ssh-keygen", "y=; while [ $# -gt 0 ]; do [ \"$1\" = -f ] && f=$2; [ \"$1\" = "
				   "-y ] && y=1; shift; done\n"
				   "if [ $y ]; then [ \"$(cat \"$f\")\" = '-----BEGIN OPENSSH "
				   "private' ] && echo 'ssh-ed25519 AAAA banger'; exit; fi\n"
				   "[ ! -e \"$f\" ] || exit 1\n"
				   "echo '-----BEGIN OPENSSH private' >\"$f\"; echo 'ssh-ed25519 "
				   "AAAA banger' >\"$f.pub\"\n");
	write_script("ssh", "for a; do printf '%s\\n' \"$a\"; done >\"$HOME/ssh.args\"; exit 7\n");
	start_server();
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int fixture_teardown(void **state)
{
	(void)state;
	(void)shutdown(fx.listener, SHUT_RDWR);
	(void)pthread_join(fx.server, NULL);
	(void)close(fx.listener);
	for (size_t i = 0; i < fx.nholders; i++)
		(void)pthread_join(fx.holders[i], NULL);
	if (fx.waiting >= 0)
		(void)close(fx.waiting);
	if (fx.follower >= 0)
		(void)close(fx.follower);
	if (fx.busy >= 0)
		(void)close(fx.busy);
	return nftw(fx.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- running it ---- */

static void slurp(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	(void)close(fd);
}

static int catch (int target, int *saved)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/caught", fx.dir);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
	(void)unlink(path);
	*saved = dup(target);
	(void)dup2(fd, target);
	return fd;
}

/* Run cli_main() with these words after "banger".  Return: its status; fx.out and fx.err have its
 * output. */
static int banger(const char *first, ...)
{
	char *argv[32] = { (char *)"banger" }, copies[32][128];
	int argc = 1, out, err, saved_out, saved_err;
	va_list ap;

	va_start(ap, first);
	for (const char *w = first; w && argc < 31; w = va_arg(ap, const char *), argc++) {
		(void)snprintf(copies[argc], sizeof(copies[argc]), "%s", w);
		argv[argc] = copies[argc];
	}
	va_end(ap);
	(void)fflush(NULL);
	out = catch (STDOUT_FILENO, &saved_out);
	err = catch (STDERR_FILENO, &saved_err);
	int status = cli_main(argc, argv, commands);
	(void)fflush(NULL);
	(void)dup2(saved_out, STDOUT_FILENO);
	(void)dup2(saved_err, STDERR_FILENO);
	(void)close(saved_out);
	(void)close(saved_err);
	slurp(out, fx.out, sizeof(fx.out));
	slurp(err, fx.err, sizeof(fx.err));
	return status;
}

#define BANGER(...) banger(__VA_ARGS__, NULL)

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" in:\n%s", part, text);
}

/* Not every file uses all of it. */
static inline void fixture_used(void)
{
	(void)write_script, (void)write_catalogue, (void)assert_lacks, (void)assert_has,
		(void)banger;
	(void)fixture_setup, (void)fixture_teardown;
}

#endif
