/* evil.c - an evil controller of one role: `evil --role net --config FILE --log FILE --zoo FOLDER
 * ROLE_BINARY`.
 *
 * It knows all commands of peer.c, and
 *   attack SEED COUNT   COUNT random requests -> seed N sent N ok N refused N ended N changed N
 *   release             removes what LIST shows, as the VMs that own it -> released N
 *   objects             what LIST shows, sorted by slot -> objects KIND:SLOT:GEN:OWNER:ID...
 *   usage               of the role's process -> fds N rss KB
 *   meddle on|off       another thread cuts, grows and swaps the zoo's files meanwhile -> ok
 *
 * Requests look valid: an operation of the role, values within the table's bounds, VMs out of a
 * few.  Descriptors come from the zoo: each file of the folder, opened in several ways, and what no
 * folder has.  One request in fifty has changed bytes, the wrong number of descriptors (0, 2, 4,
 * 253), an old sequence number or another role's operation.  The role may answer, or end by status
 * 70; any other end is a fault, and ends this program with status 1. */
#define main peer_main
int peer_main(int argc, char **argv);
#include "tests/integration/peer.c"
#undef main

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#define ZOO_MAX 128
#define GENERATIONS 3
#define OBJECTS_MAX 4096
#define RELEASE_TRIES 40

/* What a descriptor is good for. */
enum { FIT_BASE, FIT_COW, FIT_CONSOLE, FITS };

static struct {
	const char *zoo;
	enum role_id role;
	int fds[ZOO_MAX];
	size_t n_fds;
	int fit[FITS][4]; /* of the zoo, those that a role should take */
	unsigned n_fit[FITS];
	dev_t dev; /* of the zoo */
	uint64_t rng;
	unsigned sent, ok, refused, ended, changed;
	uint8_t vm[SLOT_MAX][ID_LEN]; /* of the last create in a slot that was answered by ok */
	atomic_bool meddle;
} evil;

/* xorshift64*: a seed gives the same requests everywhere. */
static unsigned dice(unsigned sides)
{
	evil.rng ^= evil.rng >> 12;
	evil.rng ^= evil.rng << 25;
	evil.rng ^= evil.rng >> 27;
	return (unsigned)((evil.rng * UINT64_C(2685821657736338717)) >> 33) % sides;
}

/* ---- the zoo ---- */

static void keep(int fd)
{
	if (fd >= 0 && evil.n_fds < ZOO_MAX)
		evil.fds[evil.n_fds++] = fd < 100 ? fcntl(fd, F_DUPFD_CLOEXEC, 100) : fd;
	if (fd >= 0 && fd < 100)
		(void)close(fd);
}

/* Note the descriptor that was kept last, if its name and its way make it a good one. */
static void note_fit(const char *name, int way)
{
	static const char *const names[FITS] = { "base", "cow", "fifo" };

	for (size_t i = 0; i < FITS; i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0 &&
		    way == (i == FIT_BASE ? O_RDONLY : O_RDWR) && evil.n_fit[i] < 4)
			evil.fit[i][evil.n_fit[i]++] = evil.fds[evil.n_fds - 1];
}

static void keep_path(const char *path, const char *name)
{
	static const int ways[] = { O_RDONLY,          O_RDWR,           O_WRONLY, O_PATH,
				    O_RDWR | O_APPEND, O_RDWR | O_DIRECT };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const size_t before = evil.n_fds;
		keep(open(path, ways[i] | O_NONBLOCK | O_CLOEXEC));
		if (evil.n_fds > before)
			note_fit(name, ways[i]);
	}
}

static void keep_files(void)
{
	char path[600];
	DIR *d = opendir(evil.zoo);

	if (!d)
		die_errno(1, "%s", evil.zoo);
	for (struct dirent *e; (e = readdir(d));) {
		(void)snprintf(path, sizeof(path), "%s/%s", evil.zoo, e->d_name);
		if (e->d_name[0] != '.')
			keep_path(path, e->d_name);
	}
	(void)closedir(d);
}

/* What no folder has, or not for long. */
static void keep_others(void)
{
	char gone[600];
	int pair[2], fd;

	fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	(void)!ftruncate(fd, 4 << 20);
	keep(fcntl(fd, F_DUPFD_CLOEXEC, 100));
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	keep(fd);
	(void)snprintf(gone, sizeof(gone), "%s/gone", evil.zoo);
	fd = open(gone, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	(void)!ftruncate(fd, 4 << 20);
	(void)unlink(gone);
	keep(fd);
	keep(open(evil.zoo, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	if (pipe2(pair, O_CLOEXEC) == 0) {
		keep(pair[0]);
		keep(pair[1]);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
		keep(pair[0]);
		keep(pair[1]);
	}
	keep(eventfd(0, EFD_CLOEXEC));
	keep(epoll_create1(EPOLL_CLOEXEC));
	keep(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	keep((int)syscall(SYS_pidfd_open, getppid(), 0));
	keep(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
	keep(open("/proc", O_PATH | O_CLOEXEC));
	keep(open("/", O_PATH | O_CLOEXEC));
	keep(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	keep(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
	keep(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	keep(open("/dev/null", O_RDWR | O_CLOEXEC));
	keep(open("/dev/zero", O_RDWR | O_CLOEXEC));
	keep(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
	keep(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
}

/* Cut, grow and swap the files that a role may be looking at. */
static void *meddler(void *arg)
{
	char a[600], b[600], c[600];

	(void)snprintf(a, sizeof(a), "%s/swap0", evil.zoo);
	(void)snprintf(b, sizeof(b), "%s/swap1", evil.zoo);
	(void)snprintf(c, sizeof(c), "%s/.swap", evil.zoo);
	for (unsigned i = 0;; i++) {
		(void)usleep(500);
		if (!evil.meddle)
			continue;
		(void)!truncate(a, i % 3 ? 8 << 20 : 512);
		(void)!truncate(b, i % 2 ? 8 << 20 : 0);
		(void)rename(a, c);
		(void)rename(b, a);
		(void)rename(c, b);
	}
	return arg;
}

/* ---- requests ---- */

static uint64_t value_for(const struct field *f)
{
	const uint64_t span = f->max - f->min;

	switch (dice(4)) {
	case 0:
		return f->min;
	case 1:
		return f->max;
	default:
		return f->min + (span ? (uint64_t)dice(1u << 30) % (span + !!(span + 1)) : 0);
	}
}

/* A VMM that this host can start, half of the time: random values start none. */
static void make_startable(struct request *q)
{
	if (q->op->code != OP_VMM_SPAWN || dice(2))
		return;
	q->vmm_spawn.vmm = dice(8) ? VMM_QEMU : VMM_PROBE;
	q->vmm_spawn.accel = ACCEL_TCG;
	q->vmm_spawn.disk = DISK_FILE;
	q->vmm_spawn.vcpus = 1;
	q->vmm_spawn.mem_mib = 64;
}

static const struct op *some_op(void)
{
	const struct op *op;

	for (;;) {
		op = op_each(dice(32));
		if (op && op->code != OP_HELLO && op->code != OP_RECONCILE_DONE &&
		    op->code != OP_PING && (op->role == evil.role || op->role == ROLE_ANY))
			return op;
	}
}

static void some_request(struct request *q)
{
	memset(q, 0, sizeof(*q));
	q->op = some_op();
	q->seq = peer.seq + 1 + (dice(50) ? 0 : dice(1000));
	for (size_t i = 0; i < ID_LEN; i++)
		q->op_id[i] = (uint8_t)dice(256);
	if (q->op->scope == SCOPE_SLOT) {
		q->slot = dice(50) ? dice(peer.config.slots + 1) : dice(SLOT_MAX);
		q->generation = dice(500) ? 1 + dice(GENERATIONS) : UINT32_MAX - dice(2);
		q->owner = 1000 + !dice(6);
		q->vm[0] = (uint8_t)(1 + !dice(8));
		q->vm[1] = (uint8_t)q->slot;
		q->vm[2] = (uint8_t)q->generation;
	}
	for (const struct field *f = q->op->args(); f->name; f++) {
		char *at = (char *)&q->hello + f->offset;
		if (f->type == FIELD_U)
			*(uint64_t *)at = value_for(f);
	}
	if (q->op->code == OP_LIST)
		q->list.cursor = dice(4) ? dice(peer.config.slots) : dice(UINT32_MAX);
	make_startable(q);
}

/* Send @n descriptors, more than fdio_send() would.  Return: as exchange(). */
static int flood(const uint8_t *bytes, size_t len, size_t n)
{
	union {
		char buf[CMSG_SPACE(FDIO_ROOM_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)bytes, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf };
	uint8_t answer[OPS_PACKET_MAX];
	int got[FDIO_MAX];
	size_t ngot;

	m.msg_controllen = CMSG_SPACE(n * sizeof(int));
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	*h = (struct cmsghdr){ CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	for (size_t i = 0; i < n; i++) {
		const int fd = evil.fds[dice((unsigned)evil.n_fds)];
		memcpy(CMSG_DATA(h) + i * sizeof(int), &fd, sizeof(fd));
	}
	if (sendmsg(peer.sock, &m, MSG_NOSIGNAL) < 0)
		return say_ended();
	if (fdio_recv(peer.sock, answer, sizeof(answer), got, &ngot) > 0)
		die(1, "%zu descriptors were answered", n);
	return say_ended();
}

static void changed(uint8_t *buf, size_t *n)
{
	if (dice(3) == 0)
		*n = 1 + dice((unsigned)*n);
	for (unsigned i = dice(4); i < 4; i++)
		buf[dice((unsigned)*n)] ^= (uint8_t)(1u << dice(8));
	evil.changed++;
}

/* Send a packet that no honest controller sends.  Return: as exchange(). */
static int send_broken(struct request *q, uint8_t *buf, size_t n)
{
	static const size_t numbers[] = { 1, 2, 3, FDIO_MAX, FDIO_MAX + 1, FDIO_ROOM_MAX };
	const struct op *op = op_each(dice(32));

	switch (dice(4)) {
	case 0:
		return flood(buf, n, numbers[dice(ARRAY_SIZE(numbers) - 2) + 2]);
	case 1:
		q->seq = dice((unsigned)peer.seq + 1);
		q->seq = q->seq ? q->seq : 1;
		n = (size_t)ops_encode_request(q, buf);
		return exchange(NULL, buf, n, evil.fds, q->op->fds_in);
	case 2:
		if (op && op->role != evil.role)
			q->op = op;
		n = (size_t)ops_encode_request(q, buf);
		return exchange(NULL, buf, n > OPS_PACKET_MAX ? 1 : n, NULL, 0);
	default:
		changed(buf, &n);
		return exchange(NULL, buf, n, evil.fds, q->op->fds_in);
	}
}

/* Half of the time a descriptor that fits, else any. */
static int some_fd(const struct request *q)
{
	const unsigned fit = q->op->code == OP_VMM_SPAWN                            ? FIT_CONSOLE
			     : q->op->code == OP_LOOP_ATTACH && q->loop_attach.part ? FIT_COW
										    : FIT_BASE;

	if (dice(2) && evil.n_fit[fit])
		return evil.fit[fit][dice(evil.n_fit[fit])];
	return evil.fds[dice((unsigned)evil.n_fds)];
}

/* What was answered by ok must have had a descriptor that may be taken: checked here once more, by
 * the words of ops.def. */
static void check_taken(const struct request *q, int fd)
{
	const int flags = fcntl(fd, F_GETFL);
	struct stat st;
	bool good;

	if (fstat(fd, &st) < 0)
		die_errno(1, "fstat");
	if (q->op->code == OP_VMM_SPAWN)
		good = S_ISFIFO(st.st_mode) && (flags & O_ACCMODE) == O_RDWR;
	else
		good = S_ISREG(st.st_mode) && st.st_uid == peer.config.controller.uid &&
		       st.st_dev == evil.dev && st.st_nlink > 0 &&
		       (flags & O_ACCMODE) == (q->loop_attach.part ? O_RDWR : O_RDONLY);
	if (!good || flags & (O_PATH | O_APPEND))
		die(1, "request %u, %s: took a descriptor of mode %o, uid %u, flags %o", evil.sent,
		    q->op->name, st.st_mode, st.st_uid, (unsigned)flags);
}

/* Return: as exchange(). */
static int send_looking_valid(const struct request *q, const uint8_t *buf, size_t n)
{
	int fds[FDIO_MAX] = { -1, -1, -1, -1 };
	struct pollfd p = { peer.sock, POLLIN, 0 };
	uint8_t bytes[OPS_PACKET_MAX];
	int got[FDIO_MAX];
	size_t ngot;
	struct reply r;

	for (unsigned i = 0; i < q->op->fds_in; i++)
		fds[i] = some_fd(q);
	peer.seq = q->seq;
	if (fdio_send(peer.sock, buf, n, fds, q->op->fds_in) < 0)
		return say_ended();
	if (poll(&p, 1, ANSWER_MS) == 0)
		die(1, "%s: no answer", q->op->name);
	ssize_t len = fdio_recv(peer.sock, bytes, sizeof(bytes), got, &ngot);
	if (len <= 0)
		return say_ended();
	fdio_close_all(got, ngot);
	if (ops_decode_reply(q->op, bytes, (size_t)len, &r) < 0 || r.seq != q->seq ||
	    ngot != (r.status == ST_OK ? q->op->fds_out : 0))
		die(1, "%s: an answer that is none", q->op->name);
	if (r.status == ST_OK)
		for (unsigned i = 0; i < q->op->fds_in; i++)
			check_taken(q, fds[i]);
	evil.ok += r.status == ST_OK;
	evil.refused += r.status != ST_OK;
	if (r.status == ST_OK && q->op->effect == EFFECT_CREATE)
		memcpy(evil.vm[q->slot], q->vm, ID_LEN);
	return 0;
}

static void have_role(void)
{
	if (peer.pid)
		return;
	start();
	if (do_run() < 0)
		die(1, "the role does not start again: %s", peer.ended);
}

static void attack_once(void)
{
	uint8_t buf[OPS_PACKET_MAX + 1];
	struct request q;

	have_role();
	some_request(&q);
	int n = ops_encode_request(&q, buf);
	if (n < 0)
		die_errno(1, "%s: can not be encoded", q.op->name);
	evil.sent++;
	const bool broken = dice(50) == 0;
	if ((broken ? send_broken(&q, buf, (size_t)n) : send_looking_valid(&q, buf, (size_t)n)) ==
	    0)
		return;
	evil.ended++;
	/* Only what is broken may end it: what looks valid gets an answer, whatever its
	 * descriptors. */
	if (strcmp(peer.ended, "exit 70") != 0 || !broken)
		die(1, "request %u, %s: the role ended: %s", evil.sent, q.op->name, peer.ended);
}

static void do_attack(char **words, size_t n)
{
	const uint64_t seed = n > 1 ? strtoull(words[1], NULL, 10) : 1;
	const unsigned long count = n > 2 ? strtoul(words[2], NULL, 10) : 1000;

	evil.rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	evil.sent = evil.ok = evil.refused = evil.ended = evil.changed = 0;
	peer.quiet = true;
	for (unsigned long i = 0; i < count; i++)
		attack_once();
	have_role();
	peer.quiet = false;
	printf("seed %llu sent %u ok %u refused %u ended %u changed %u\n", (unsigned long long)seed,
	       evil.sent, evil.ok, evil.refused, evil.ended, evil.changed);
}

/* ---- what the role says ---- */

/* Read the whole list into @rows.  Return: the number of its rows. */
static size_t list(uint64_t rows[OBJECTS_MAX][LIST_FIELDS])
{
	struct request q = { .op = op_find(OP_LIST) };
	uint8_t buf[OPS_PACKET_MAX];
	int none[FDIO_MAX];
	struct reply r;
	size_t n = 0, nfds;

	have_role();
	do {
		q.seq = ++peer.seq;
		int len = ops_encode_request(&q, buf);
		if (len < 0 || fdio_send(peer.sock, buf, (size_t)len, NULL, 0) < 0)
			die_errno(1, "list");
		ssize_t got = fdio_recv(peer.sock, buf, sizeof(buf), none, &nfds);
		if (got <= 0 || ops_decode_reply(q.op, buf, (size_t)got, &r) < 0 ||
		    r.status != ST_OK)
			die(1, "list: no answer");
		for (size_t i = 0; i < r.list.objects.n && n < OBJECTS_MAX; i += LIST_FIELDS)
			memcpy(rows[n++], &r.list.objects.v[i], sizeof(rows[0]));
		q.list.cursor = r.list.next;
	} while (q.list.cursor);
	return n;
}

static void do_objects(void)
{
	static uint64_t rows[OBJECTS_MAX][LIST_FIELDS];
	const size_t n = list(rows);

	printf("objects");
	for (size_t i = 0; i < n; i++)
		printf(" %s:%llu:%llu:%llu:%llu", object_name((enum object)rows[i][0]),
		       (unsigned long long)rows[i][1], (unsigned long long)rows[i][2],
		       (unsigned long long)rows[i][3], (unsigned long long)rows[i][4]);
	printf("\n");
}

/* Ask for one removal as the VM that owns the object. */
static enum status ask_removal(enum op_code code, const uint64_t *row, unsigned part)
{
	struct request q = { .op = op_find(code), .seq = ++peer.seq };
	uint8_t buf[OPS_PACKET_MAX];
	int none[FDIO_MAX];
	struct reply r;
	size_t nfds;

	if (q.op->scope == SCOPE_SLOT) {
		q.slot = (uint32_t)row[1];
		q.generation = (uint32_t)row[2];
		q.owner = (uint32_t)row[3];
		memcpy(q.vm, evil.vm[q.slot], ID_LEN);
	}
	if (code == OP_LOOP_DETACH)
		q.loop_detach.part = part;
	int len = ops_encode_request(&q, buf);
	if (len < 0 || fdio_send(peer.sock, buf, (size_t)len, NULL, 0) < 0)
		die_errno(1, "%s", q.op->name);
	ssize_t n = fdio_recv(peer.sock, buf, sizeof(buf), none, &nfds);
	if (n <= 0 || ops_decode_reply(q.op, buf, (size_t)n, &r) < 0)
		die(1, "%s: no answer", q.op->name);
	return r.status;
}

static enum status remove_object(const uint64_t *row)
{
	switch (row[0]) {
	case OBJ_TAP:
		return ask_removal(OP_TAP_RETIRE, row, 0);
	case OBJ_GUEST:
		return ask_removal(OP_GUEST_DENY, row, 0);
	case OBJ_NAT:
		return ask_removal(OP_NAT_REMOVE, row, 0);
	case OBJ_LOOP_BASE:
	case OBJ_LOOP_COW:
		return ask_removal(OP_LOOP_DETACH, row, row[0] == OBJ_LOOP_COW);
	case OBJ_DM:
		return ask_removal(OP_SNAPSHOT_REMOVE, row, 0);
	default:
		return ask_removal(OP_VMM_KILL, row, 0);
	}
}

/* A VM's id is not with the objects in the kernel, so a role that has been started since takes
 * any. */
static void do_release(void)
{
	static uint64_t rows[OBJECTS_MAX][LIST_FIELDS];
	unsigned removed = 0, tries = 0;
	size_t n;

	while ((n = list(rows)) > 0 && tries++ < RELEASE_TRIES) {
		for (size_t i = 0; i < n; i++)
			removed += remove_object(rows[i]) == ST_OK;
		if (evil.role == ROLE_NET)
			(void)ask_removal(OP_TAP_SWEEP, rows[0], 0);
		(void)usleep(10000);
		if (tries == RELEASE_TRIES / 2) {
			/* Changed bytes have made what no VM of ours owns; a new role knows no id
			 * of a VM. */
			finish();
			have_role();
		}
	}
	printf("released %u left %zu\n", removed, n);
}

static void do_usage(void)
{
	char path[64], line[256];
	unsigned fds = 0, kb = 0;

	have_role();
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)peer.pid);
	DIR *d = opendir(path);
	while (d && readdir(d))
		fds++;
	if (d)
		(void)closedir(d);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)peer.pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		(void)sscanf(line, "VmRSS: %u", &kb);
	if (f)
		(void)fclose(f);
	printf("fds %u rss %u\n", fds - 2, kb);
}

/* ---- commands ---- */

static bool do_evil_line(const char *line)
{
	char copy[8192], *words[8], *save = NULL;
	size_t n = 0;

	(void)snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " \n", &save); w && n < ARRAY_SIZE(words);
	     w = strtok_r(NULL, " \n", &save))
		words[n++] = w;
	if (n == 0)
		return false;
	if (strcmp(words[0], "attack") == 0)
		do_attack(words, n);
	else if (strcmp(words[0], "objects") == 0)
		do_objects();
	else if (strcmp(words[0], "release") == 0)
		do_release();
	else if (strcmp(words[0], "usage") == 0)
		do_usage();
	else if (strcmp(words[0], "meddle") == 0)
		printf("%s\n", (evil.meddle = n > 1 && strcmp(words[1], "on") == 0) ? "on" : "off");
	else
		return false;
	(void)fflush(stdout);
	return true;
}

static enum role_id role_of_name(const char *name)
{
	for (enum role_id r = ROLE_NET; r < ROLE_COUNT; r++)
		if (strcmp(role_name(r), name) == 0)
			return r;
	die(2, "no role %s", name);
}

int main(int argc, char **argv)
{
	char line[8192];
	pthread_t thread;

	log_name("evil");
	peer.log = option(argc, argv, "--log");
	evil.role = role_of_name(option(argc, argv, "--role"));
	evil.zoo = option(argc, argv, "--zoo");
	if (config_load(option(argc, argv, "--config"), geteuid(), &peer.config) < 0)
		return 2;
	peer.binary = argv[argc - 1];
	(void)signal(SIGPIPE, SIG_IGN);
	struct stat st;
	if (stat(evil.zoo, &st) < 0)
		die_errno(1, "%s", evil.zoo);
	evil.dev = st.st_dev;
	keep_files();
	keep_others();
	if (pthread_create(&thread, NULL, meddler, NULL) != 0)
		die(1, "no thread");
	start();
	while (fgets(line, sizeof(line), stdin))
		if (!do_evil_line(line))
			do_line(line);
	finish();
	return 0;
}
