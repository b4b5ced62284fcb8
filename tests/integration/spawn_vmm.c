/* spawn_vmm.c - plays a VMM that its guest has taken over: prints what it finds and what it may
 * still do.
 *
 * The test configures it as the host's QEMU, and then as Firecracker.  It prints one line for each
 * fact, and makes only calls that the filter of its kind allows, or refuses with an error.  At the
 * end it tries to make a process, for which the filter kills it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;

static void try_open(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	printf("open %s %s\n", path, fd < 0 ? strerrorname_np(errno) : "ok");
	if (fd >= 0)
		(void)close(fd);
}

/* Try to open a folder.  No VMM's filter allows a list of its entries. */
static void list(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	printf("list %s %s\n", path, fd < 0 ? "refused" : "opened");
	if (fd >= 0)
		(void)close(fd);
}

static void descriptors(void)
{
	struct stat st;

	printf("descriptors");
	for (int fd = 0; fd < 1024; fd++)
		if (fstat(fd, &st) == 0)
			printf(" %d", fd);
	printf("\n");
}

/* Try to connect to an abstract name of the host's network namespace, which no mode protects. */
static void abstract_socket(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(a.sun_path + 1, name, strlen(name));
	int r = connect(fd, (struct sockaddr *)&a,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)));
	printf("abstract %s\n", r < 0 ? strerrorname_np(errno) : "ok");
	(void)close(fd);
}

/* Try to bind a socket of our own; a name that begins with '@' is abstract. */
static void own_socket(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct stat st = { 0 };
	const char *result = fd < 0 ? strerrorname_np(errno) : "ok";

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", name);
	if (*name == '@')
		a.sun_path[0] = '\0';
	if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		result = strerrorname_np(errno);
	(void)stat(name, &st);
	printf("bind %s %s mode %o\n", name, result, st.st_mode & 07777);
	if (fd >= 0)
		(void)close(fd);
}

/* Try to send a descriptor over descriptor 3: the answer tells whether the call was made. */
static void hand_on(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} c = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec byte = { (char[]){ 'x' }, 1 };
	struct msghdr m = {
		.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};

	printf("sendmsg %s\n", sendmsg(3, &m, MSG_NOSIGNAL) < 0 ? strerrorname_np(errno) : "ok");
	int pair[2];
	printf("socketpair %s\n",
	       socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ? strerrorname_np(errno) : "ok");
}

/* Write a byte at @at.  Firecracker's filter has no pwrite(2). */
static void write_at(int fd, const char *what, off_t at)
{
	bool bad = lseek(fd, at, SEEK_SET) != at || write(fd, "x", 1) < 0;

	printf("%s %s\n", what, bad ? strerrorname_np(errno) : "ok");
}

/* Try to grow the disk of 1 MiB by a byte, in the two ways that QEMU has, and to write within its
 * bounds.  Firecracker's filter has no fallocate(2). */
static void grow(const char *disk, bool qemu)
{
	const off_t end = (off_t)1 << 20;
	int fd = open(disk, O_RDWR);

	if (qemu)
		printf("fallocate %s\n",
		       fallocate(fd, 0, end, 1) < 0 ? strerrorname_np(errno) : "ok");
	write_at(fd, "write", end);
	write_at(fd, "last", end - 1);
	(void)close(fd);
}

/* Whether the working folder is the root; getcwd(2) is in no VMM's filter. */
static bool at_root(void)
{
	struct stat here = { 0 }, root = { 0 };

	return stat(".", &here) == 0 && stat("/", &root) == 0 && here.st_ino == root.st_ino &&
	       here.st_dev == root.st_dev;
}

int main(int argc, char **argv)
{
	struct rlimit core = { 0 };
	const bool qemu = argc < 2 || strcmp(argv[1], "--api-sock") != 0;

	(void)setvbuf(stdout, NULL, _IONBF, 0);
	(void)getrlimit(RLIMIT_CORE, &core);
	printf("ids %lu %lu %lu %lu\n", getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID),
	       getauxval(AT_EGID));
	printf("environment %s, cwd %s, core %lu\n", environ[0] ? "some" : "none",
	       at_root() ? "/" : "elsewhere", (unsigned long)core.rlim_max);
	descriptors();
	list("/");
	list("/dev");
	list("/run");
	list("/state");
	list("/run/0");
	list("/run/1");
	list("/state/1");
	try_open("/state/0/kernel", O_RDONLY);
	try_open("/state/0/kernel", O_RDWR);
	try_open("/state/0/disk", O_RDWR);
	try_open("/state/0/new", O_WRONLY | O_CREAT);
	try_open("/state/1/open", O_RDONLY);
	try_open("/run/1/open", O_RDWR);
	try_open("/run/0/file", O_WRONLY | O_CREAT);
	try_open("/run/0/nonblock", O_RDWR | O_CREAT | O_NONBLOCK);
	try_open("/run/0/log", O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC);
	try_open("/run/0", O_RDWR | O_TMPFILE);
	try_open("/usr/file", O_WRONLY | O_CREAT);
	try_open("/file", O_WRONLY | O_CREAT);
	try_open("/dev/null", O_RDWR);
	try_open("/dev/net/tun", O_RDWR);
	try_open("/etc/passwd", O_RDONLY);
	try_open("/proc/self/status", O_RDONLY);
	try_open("/..", O_RDONLY);
	grow("/state/0/disk", qemu);
	own_socket("/run/0/test.sock");
	own_socket("@banger-test-squatted");
	abstract_socket("banger-test-abstract");
	hand_on();
	printf("now a process\n");
	(void)fork();
	printf("survived\n");
	for (;;)
		(void)pause();
}
