/* Tests the whole banger-controller as the supervisor executes it: with its own account and
 * confinement, fake roles, and a monitor that speaks enough QMP.  Every request of control.def is
 * made once: if the filter lacks a system call, the program dies here.
 *
 * The program is $BANGER_CONTROLLER, or banger-controller in the folder above this test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants these first. */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "proto/control.h"
#include "tests/unit/fake_firecracker.h"
#include "tests/unit/fake_helper.h"

#define TEST_UID 54321u

struct monitor {
	uint32_t slot;
	int listener;
	pthread_t thread;
};

static struct {
	char dir[64], program[4200];
	uint32_t uid;
	struct config config;
	struct fake_helper *fake;
	_Atomic(struct fake_firecracker *) firecracker;
	int sup;
	pid_t pid;
	struct monitor monitors[16];
	atomic_size_t n_monitors;
	size_t bytes, lines, checks, rows, fds;
	struct ev_vm vm;
	struct ev_piece piece; /* the one with the superblock's magic */
	char failed_check[512];
} t;

/* ---- a monitor ---- */

static void answer_line(int fd, const char *line)
{
	const char *id = strstr(line, "\"id\":");
	char out[128];

	(void)snprintf(out, sizeof(out), "{\"return\":{%s},\"id\":%d}\r\n",
		       strstr(line, "query-status") ? "\"status\":\"running\",\"running\":true"
						    : "",
		       id ? atoi(id + 5) : 0);
	(void)send(fd, out, strlen(out), MSG_NOSIGNAL);
}

static void *monitor(void *arg)
{
	const struct monitor *m = arg;
	static const char greeting[] = "{\"QMP\":{\"version\":{},\"capabilities\":[]}}\r\n";
	bool down = false;
	char line[1024];
	ssize_t n;
	int fd;

	while (!down && (fd = accept(m->listener, NULL, NULL)) >= 0) {
		(void)send(fd, greeting, sizeof(greeting) - 1, MSG_NOSIGNAL);
		while (!down && (n = recv(fd, line, sizeof(line) - 1, 0)) > 0) {
			line[n] = '\0';
			down = strstr(line, "system_powerdown");
			answer_line(fd, line);
		}
		(void)close(fd);
	}
	if (down)
		fake_helper_vmm_exit(t.fake, m->slot);
	return NULL;
}

/* A port whose agent repeats what begins a session. */
static void *agent(void *arg)
{
	const struct monitor *m = arg;
	uint8_t greeting[32];
	int fd;

	while ((fd = accept(m->listener, NULL, NULL)) >= 0) {
		if (recv(fd, greeting, sizeof(greeting), MSG_WAITALL) == sizeof(greeting))
			(void)send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL);
		(void)recv(fd, greeting, 1, 0);
		(void)close(fd);
	}
	return NULL;
}

static void serve(uint32_t slot, const struct sockaddr_un *a, void *(*fn)(void *))
{
	struct monitor *m = &t.monitors[t.n_monitors];

	(void)unlink(a->sun_path);
	*m = (struct monitor){ .slot = slot,
			       .listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	if (t.n_monitors + 1 == ARRAY_SIZE(t.monitors) ||
	    bind(m->listener, (const struct sockaddr *)a, sizeof(*a)) < 0 ||
	    listen(m->listener, 4) < 0 || pthread_create(&m->thread, NULL, fn, m) != 0)
		abort();
	t.n_monitors++;
}

/* Make the API socket of the VMM that the request starts, and of QEMU the port of the agent. */
static void make_socket(const struct request *q)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/slots/%u/api.sock", t.dir, q->slot);
	(void)unlink(a.sun_path);
	if (q->vmm_spawn.vmm == VMM_FIRECRACKER) {
		struct fake_firecracker *f = fake_firecracker_start(a.sun_path);
		t.firecracker = f;
		if (!f)
			abort();
		return;
	}
	serve(q->slot, &a, monitor);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/slots/%u/agent0", t.dir, q->slot);
	serve(q->slot, &a, agent);
}

/* The spawn role's thread calls this: a VMM makes its socket before the controller looks for it.
 * The controller asks for the uid of the listener, so the thread has the slot's effective uid
 * meanwhile. libc's setresuid() would change all threads, so this makes the system call. */
static void on_request(void *arg, const struct request *q)
{
	(void)arg;
	if (q->op->code != OP_VMM_SPAWN || q->vmm_spawn.vmm == VMM_PROBE)
		return;
	if (syscall(SYS_setresuid, -1, t.uid, -1) < 0)
		abort();
	make_socket(q);
	if (syscall(SYS_setresuid, -1, getuid(), -1) < 0)
		abort();
}

/* ---- the program ---- */

static void make_folder(const char *name, mode_t mode)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/%s", t.dir, name);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chown(path, t.uid, (gid_t)-1), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void make_place(void)
{
	static const char *const names[] = { "state",          "state/slots",  "state/slots/0",
					     "state/consoles", "state/images", "state/kernels",
					     "state/volumes",  "run",          "run/slots",
					     "run/slots/0",    "log" };
	struct config *c = &t.config;

	(void)snprintf(t.dir, sizeof(t.dir), "/tmp/banger-program-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	assert_int_equal(chmod(t.dir, 0711), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		make_folder(names[i], 0700);
	/* There is one slot, whose VMM has the controller's own uid: the test needs no root for
	 * it. */
	*c = (struct config){ .magic = CONFIG_MAGIC,
			      .size = sizeof(*c),
			      .slots = 1,
			      .uid_base = t.uid,
			      .bridge = "bgr-none",
			      .subnet = 0x0a400000,
			      .prefix = 16,
			      .users_gid = UINT32_MAX,
			      .accel = ACCEL_TCG,
			      .controller = { t.uid, t.uid },
			      .max_vcpus = 4,
			      .max_mem_mib = 4096,
			      .max_disk_mib = 1024,
			      .max_vms_per_owner = 8,
			      .max_images_per_owner = 8,
			      .creates_per_second = 100,
			      .agent_ports = 1,
			      .qemu = "/usr/bin/qemu-system-x86_64" };
	(void)snprintf(c->state_dir, sizeof(c->state_dir), "%s/state", t.dir);
	(void)snprintf(c->run_dir, sizeof(c->run_dir), "%s/run", t.dir);
	(void)snprintf(c->log_dir, sizeof(c->log_dir), "%s/log", t.dir);
	(void)snprintf(c->cgroup_dir, sizeof(c->cgroup_dir), "%s/cgroup", t.dir);
}

static bool find_program(void)
{
	const char *named = getenv("BANGER_CONTROLLER");
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (named) {
		(void)snprintf(t.program, sizeof(t.program), "%s", named);
	} else {
		assert_true(n > 0);
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		(void)snprintf(t.program, sizeof(t.program), "%s/../banger-controller", self);
	}
	return access(t.program, X_OK) == 0;
}

/* Set up the child: the descriptors of enum boot_fd, and the account. */
static void become(const int *fds)
{
	char *const argv[] = { t.program, NULL };

	for (int i = CONFIG_FD; i < BOOT_FDS; i++)
		if (dup2(fds[i], i) < 0)
			_exit(90);
	/* Opened by the account that runs the test: the controller's account may not enter the
	 * folders above it. */
	(void)syscall(SYS_close_range, (unsigned)BOOT_FDS, ~0u, 0u);
	int program = open(t.program, O_PATH | O_CLOEXEC);
	if (getuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(t.uid, t.uid, t.uid) < 0 ||
			      setresuid(t.uid, t.uid, t.uid) < 0))
		_exit(91);
	(void)syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
	_exit(92);
}

static int listener(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/control.sock", t.dir);
	(void)unlink(a.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* Move a descriptor above every number of enum boot_fd, so that dup2() in the child overwrites
 * none. */
static int high(int fd)
{
	int h = fcntl(fd, F_DUPFD_CLOEXEC, 64);

	assert_true(h >= 64);
	(void)close(fd);
	return h;
}

/* Start the program.  Return: true if it sent its ready byte. */
static bool start_program(void)
{
	int fds[BOOT_FDS], roles[3], sup[2];
	char ready = 0;

	t.fake = fake_helper_start(roles);
	fake_helper_hook(t.fake, on_request, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sup), 0);
	t.sup = high(sup[0]);
	fds[CONFIG_FD] = high(config_to_memfd(&t.config));
	fds[CTL_NET_FD] = high(roles[0]);
	fds[CTL_BLK_FD] = high(roles[1]);
	fds[CTL_SPAWN_FD] = high(roles[2]);
	fds[CTL_LISTEN_FD] = high(listener());
	fds[CTL_SUP_FD] = high(sup[1]);
	fds[CTL_WAKE_FD] = high(eventfd(0, EFD_NONBLOCK));
	fds[CTL_NET_DEV_FD] = high(open("/proc/net/dev", O_RDONLY | O_CLOEXEC));
	t.pid = fork();
	if (t.pid == 0)
		become(fds);
	for (int i = CONFIG_FD; i < BOOT_FDS; i++)
		(void)close(fds[i]);
	struct pollfd p = { .fd = t.sup, .events = POLLIN };
	return poll(&p, 1, 20000) == 1 && read(t.sup, &ready, 1) == 1 && ready;
}

/* Wait for the program's end.  Return: its exit status, or 1000 + the signal that ended it. */
static int end_of_program(void)
{
	int status;

	(void)alarm(30);
	assert_int_equal(waitpid(t.pid, &status, 0), t.pid);
	(void)alarm(0);
	t.pid = 0;
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.uid = getuid() ? getuid() : TEST_UID;
	if (!find_program())
		return 0;
	make_place();
	return 0;
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)st, (void)type, (void)w;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	if (t.pid > 0) {
		(void)kill(t.pid, SIGKILL);
		(void)waitpid(t.pid, NULL, 0);
	}
	for (size_t i = 0; i < t.n_monitors; i++) {
		(void)shutdown(t.monitors[i].listener, SHUT_RDWR);
		(void)pthread_join(t.monitors[i].thread, NULL);
		(void)close(t.monitors[i].listener);
	}
	if (t.fake)
		fake_helper_stop(t.fake);
	if (t.sup)
		(void)close(t.sup);
	if (t.firecracker)
		fake_firecracker_stop(t.firecracker);
	if (t.dir[0])
		(void)nftw(t.dir, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static void need_program(void)
{
	if (access(t.program, X_OK) < 0) {
		print_message("SKIP: %s is not built\n", t.program);
		skip();
	}
}

/* ---- a client ---- */

static void note_event(const struct message *m)
{
	const struct ev_check *k = &m->body.ev_check;

	t.bytes += m->event->id == EVENT_BYTES ? m->body.ev_bytes.data.n : 0;
	t.lines += m->event->id == EVENT_LINE;
	t.rows += m->event->id == EVENT_VM || m->event->id == EVENT_IMAGE ||
		  m->event->id == EVENT_KERNEL;
	t.checks += m->event->id == EVENT_CHECK;
	if (m->event->id == EVENT_VM)
		t.vm = m->body.ev_vm;
	if (m->event->id == EVENT_PIECE && m->body.ev_piece.at <= 1080)
		t.piece = m->body.ev_piece;
	if (m->event->id == EVENT_CHECK && strcmp(k->verdict, "FAIL") == 0)
		(void)snprintf(t.failed_check + strlen(t.failed_check),
			       sizeof(t.failed_check) - strlen(t.failed_check), "%s ", k->name);
}

static struct control client(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = 30 };
	struct control c;

	control_init(&c, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/control.sock", t.dir);
	assert_int_equal(connect(c.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	return c;
}

static struct message ask_on(struct control *c, enum call_id id, const union control_body *args,
			     const int *fds)
{
	static const union control_body none;
	struct message m;
	int r;

	t.bytes = t.lines = t.checks = t.rows = 0;
	assert_int_equal(control_send_request(c->fd, 1, control_call(id), args ? args : &none, fds,
					      control_call(id)->fds_in),
			 0);
	for (;;) {
		while ((r = control_next(c, control_call(id), &m)) == 1 && m.kind == MSG_EVENT)
			note_event(&m);
		if (r == 1)
			break;
		if (r < 0 || control_fill(c) <= 0)
			fail_msg("%s: the connection ended (%s)", control_call(id)->name,
				 strerror(errno));
	}
	t.fds = c->nfds;
	return m;
}

static struct message ask(enum call_id id, const union control_body *args, const int *fds)
{
	struct control c = client();
	const struct message m = ask_on(&c, id, args, fds);

	control_close(&c);
	return m;
}

static struct message want(enum call_id id, const union control_body *args, const int *fds)
{
	struct message m = ask(id, args, fds);

	if (m.kind != MSG_RESULT)
		fail_msg("%s: %s: %s", control_call(id)->name, m.error.what, m.error.why);
	return m;
}

static union control_body about(const char *name)
{
	union control_body b = {};

	/* The reference, or the name, is the first argument of each of these calls. */
	(void)snprintf(b.vm_show.vm, sizeof(b.vm_show.vm), "%s", name);
	return b;
}

/* Make an unlinked file with @magic at the offset @at. */
static int file_with(off_t size, off_t at, const char *magic)
{
	char path[] = "/tmp/banger-file-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	(void)unlink(path);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(pwrite(fd, magic, strlen(magic), at), strlen(magic));
	return fd;
}

static char image_digest[65]; /* of bring_image() */

static void bring_image(void)
{
	int fds[3] = { file_with(4096, 0x202, "HdrS"), file_with(4096, 0, "070701"),
		       file_with(4096, 0, "\177ELF") };
	int image = file_with(8 << 20, 1024 + 56, "\x53\xef");
	union control_body k = about("linux"), i = about("debian");

	(void)want(CALL_KERNEL_IMPORT, &k, fds);
	(void)snprintf(i.image_import.kernel, sizeof(i.image_import.kernel), "linux");
	const struct message m = want(CALL_IMAGE_IMPORT, &i, &image);
	memcpy(image_digest, m.body.res_image_import.digest, sizeof(image_digest));
	for (int n = 0; n < 3; n++)
		(void)close(fds[n]);
	(void)close(image);
	(void)want(CALL_KERNEL_LIST, NULL, NULL);
	assert_int_equal(t.rows, 1);
	(void)want(CALL_IMAGE_LIST, NULL, NULL);
	assert_int_equal(t.rows, 1);
}

static void tag_and_read_image(void)
{
	union control_body b = about("debian");

	(void)snprintf(b.image_tag.name, sizeof(b.image_tag.name), "second");
	(void)want(CALL_IMAGE_TAG, &b, NULL);
	b = about("second");
	(void)snprintf(b.image_read.digest, sizeof(b.image_read.digest), "%s", image_digest);
	const struct res_image_read r = want(CALL_IMAGE_READ, &b, NULL).body.res_image_read;
	assert_int_equal(r.size, 8 << 20);
	assert_true(r.at > t.piece.at); /* which came before the answer */
	assert_true(t.piece.at <= 1080 && t.piece.at + t.piece.data.n >= 1082);
	assert_memory_equal(t.piece.data.v + (1080 - t.piece.at), "\x53\xef", 2);
	b = about("second");
	(void)want(CALL_IMAGE_DELETE, &b, NULL);
}

static void create(const char *name)
{
	union control_body b = about(name);

	(void)snprintf(b.vm_create.image, sizeof(b.vm_create.image), "debian");
	b.vm_create.nat = true;
	(void)want(CALL_VM_CREATE, &b, NULL);
}

/* Delete a VM; the controller may yet have to see that its reader has gone. */
static void wait_deleted(const char *name)
{
	const union control_body b = about(name);
	struct message m = ask(CALL_VM_DELETE, &b, NULL);

	for (int i = 0; i < 600 && m.kind == MSG_ERROR && m.error.code == FAIL_STATE; i++) {
		(void)poll(NULL, 0, 100);
		m = ask(CALL_VM_DELETE, &b, NULL);
	}
	assert_int_equal(m.kind, MSG_RESULT);
}

/* Read from the disk of a VM at rest. */
static void read_disk(const char *name)
{
	union control_body b = about(name);
	struct control c = client();

	const struct message m = ask_on(&c, CALL_VM_DISK, &b, NULL);
	assert_int_equal(m.kind, MSG_RESULT);
	assert_string_equal(m.body.res_vm_disk.image_digest, image_digest);
	b.vm_read.end = 4096;
	const struct message n = ask_on(&c, CALL_VM_READ, &b, NULL);
	assert_int_equal(n.kind, MSG_RESULT);
	const struct res_vm_read *r = &n.body.res_vm_read;
	assert_int_equal(r->size, m.body.res_vm_disk.size);
	assert_true(r->at <= 1080 && r->at + r->data.n >= 1082);
	assert_memory_equal(r->data.v + (1080 - r->at), "\x53\xef", 2);
	control_close(&c);
}

static void assert_state(const char *name, const char *state)
{
	union control_body b = about(name);

	(void)want(CALL_VM_SHOW, &b, NULL);
	assert_string_equal(t.vm.state, state);
}

/* ---- the tests ---- */

static void live_once(const char *name)
{
	union control_body b = about(name);

	(void)want(CALL_VM_START, &b, NULL);
	assert_true(want(CALL_VM_START, &b, NULL).body.res_vm_start.already);
	assert_state(name, "running");
	assert_true(t.vm.runtime_pid > 0);
	assert_string_equal(t.vm.vmm, "qemu");
	(void)want(CALL_VM_LOGS, &b, NULL);
	assert_true(t.bytes > 0);
	b = about(name);
	memcpy(b.vm_type.data.v, "root\r", b.vm_type.data.n = 5);
	assert_true(want(CALL_VM_TYPE, &b, NULL).body.res_vm_type.took);
	b = about(name);
	b.vm_set.nat = 1;
	(void)want(CALL_VM_SET, &b, NULL);
	b = about(name);
	b.vm_wait.timeout_ms = 100;
	assert_string_equal(want(CALL_VM_WAIT, &b, NULL).body.res_vm_wait.state, "running");
	b = about(name);
	b.vm_agent.timeout_ms = 20000;
	(void)want(CALL_VM_AGENT, &b, NULL);
	assert_int_equal(t.fds, 1);
}

/* Hold a VM by a connection that ends at once, and wait until the VM is gone. */
static void lose_holder(const char *name)
{
	union control_body b = about(name);

	b.vm_hold.hold = 2;
	(void)want(CALL_VM_HOLD, &b, NULL);
	for (int i = 0; i < 600; i++) {
		(void)want(CALL_VM_LIST, NULL, NULL);
		if (!t.rows)
			return;
		(void)poll(NULL, 0, 100);
	}
	fail_msg("%s is there without its holder", name);
}

static void every_request_works_under_the_filter(void **state)
{
	union control_body web = about("web"), db = about("db");

	(void)state;
	need_program();
	assert_true(start_program());
	assert_int_equal(want(CALL_VERSION, NULL, NULL).body.res_version.protocol, CONTROL_VERSION);
	bring_image();
	tag_and_read_image();
	create("web");
	(void)want(CALL_VM_LIST, NULL, NULL);
	assert_int_equal(t.rows, 1);
	live_once("web");
	assert_false(want(CALL_VM_STOP, &web, NULL).body.res_vm_stop.forced);
	assert_state("web", "stopped");
	read_disk("web");
	wait_deleted("web");
	create("db");
	live_once("db");
	(void)want(CALL_VM_KILL, &db, NULL);
	assert_state("db", "stopped");
	assert_int_equal(fake_helper_objects(t.fake, 0), 0);
	(void)want(CALL_DOCTOR, NULL, NULL);
	assert_true(t.checks > 10);
	assert_null(strstr(t.failed_check, "seccomp"));
	assert_null(strstr(t.failed_check, "database"));
	assert_null(strstr(t.failed_check, "role"));
	assert_null(strstr(t.failed_check, "space"));
	(void)want(CALL_AUDIT_SHOW, NULL, NULL);
	lose_holder("db");
	web = about("debian");
	(void)want(CALL_IMAGE_DELETE, &web, NULL);
	web = about("linux");
	(void)want(CALL_KERNEL_DELETE, &web, NULL);
	assert_int_equal(fake_helper_violations(t.fake), 0);
	assert_int_equal(waitpid(t.pid, NULL, WNOHANG), 0);
}

/* libcurl makes other system calls than QMP does.  KVM is probed once. */
static void firecracker_works_under_the_filter(void **state)
{
	union control_body web = about("web");

	(void)state;
	need_program();
	t.config.accel = ACCEL_AUTO;
	(void)snprintf(t.config.firecracker, sizeof(t.config.firecracker), "/usr/bin/firecracker");
	assert_true(start_program());
	fake_helper_kvm(t.fake, 'y');
	bring_image();
	create("web");
	(void)want(CALL_VM_START, &web, NULL);
	assert_state("web", "running");
	assert_string_equal(t.vm.vmm, "firecracker");
	assert_string_equal(t.vm.accel, "kvm");
	assert_true(fake_firecracker_running(t.firecracker));
	web.vm_stop.timeout_ms = 500;
	assert_true(want(CALL_VM_STOP, &web, NULL).body.res_vm_stop.forced);
	assert_true(fake_firecracker_ctrl_alt_del(t.firecracker));
	assert_int_equal(fake_helper_count(t.fake, OP_VMM_SPAWN), 2); /* the probe's and the VM's */
}

/* The process is stopped in the middle of a start, and continues after a while. */
static void a_stopped_program_continues(void **state)
{
	union control_body web = about("web");

	(void)state;
	need_program();
	assert_true(start_program());
	bring_image();
	create("web");
	fake_helper_delay(t.fake, OP_VMM_SPAWN, 300);
	pid_t helper = fork();
	if (helper == 0) {
		(void)usleep(150000);
		(void)kill(t.pid, SIGSTOP);
		(void)usleep(1500000);
		_exit(kill(t.pid, SIGCONT) != 0);
	}
	(void)want(CALL_VM_START, &web, NULL);
	int status = -1;
	assert_int_equal(waitpid(helper, &status, 0), helper);
	assert_int_equal(status, 0);
	assert_state("web", "running");
	assert_int_equal(fake_helper_count(t.fake, OP_VMM_SPAWN), 1);
	(void)want(CALL_VM_KILL, &web, NULL);
	assert_state("web", "stopped");
	assert_int_equal(fake_helper_objects(t.fake, 0), 0);
}

static void it_exits_with_0_when_the_supervisor_ends(void **state)
{
	(void)state;
	need_program();
	assert_true(start_program());
	bring_image();
	create("web");
	union control_body web = about("web");
	(void)want(CALL_VM_START, &web, NULL);
	(void)close(t.sup);
	t.sup = 0;
	assert_int_equal(end_of_program(), 0);
	/* The VM lives on. */
	assert_true(fake_helper_has(t.fake, 0, OBJ_VMM));
	assert_true(fake_helper_vmm(t.fake, 0) > 0);
}

static void it_ends_when_a_role_ends(void **state)
{
	(void)state;
	need_program();
	assert_true(start_program());
	fake_helper_die(t.fake, ROLE_BLK);
	assert_int_equal(end_of_program(), 1);
}

static void it_can_not_be_started_by_hand(void **state)
{
	char *const argv[] = { t.program, NULL };

	(void)state;
	need_program();
	t.pid = fork();
	if (t.pid == 0) {
		(void)syscall(SYS_close_range, 3u, ~0u, 0u);
		(void)execv(t.program, argv);
		_exit(92);
	}
	assert_int_equal(end_of_program(), 2);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_request_works_under_the_filter),
		TEST(firecracker_works_under_the_filter),
		TEST(a_stopped_program_continues),
		TEST(it_exits_with_0_when_the_supervisor_ends),
		TEST(it_ends_when_a_role_ends),
		TEST(it_can_not_be_started_by_hand),
	};

	return cmocka_run_group_tests_name("ctl_program", tests, NULL, NULL);
}
