/* probe - try what a domain may not do, one act an argument, and say how each ended: a line
 * "ACT: ok" or "ACT: ERRNO".
 *
 *   read:PATH write:PATH append:PATH list:DIR      open it so
 *   ioctl:PATH:REQUEST                             on the file, opened for both, or to be read
 *   exec:PATH                                      in a child; "ok" when it was executed
 *   enter:CONTEXT                                  execute this program in that context; likewise
 *   become:CONTEXT                                 without executing anything
 *   socket:route|netfilter|inet|packet             make one
 *   connect:PATH connect:@NAME                     a stream to the unix socket, or to one without
 *                                                  a file
 *   listen:@NAME                                   make that, and wait for ever
 *   cap:admin|net                                  something that takes that capability
 *   fd:append fd:truncate                          on standard error: answers go elsewhere
 *   relabel:PATH:CONTEXT rename:PATH unlink:PATH   of a file (rename: to PATH.new)
 *   chown:PATH                                     to another user
 *   mknod:PATH                                     a node of the null device */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int open_as(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -1 : close(fd);
}

static int try_ioctl(char *arg)
{
	char *request = strrchr(arg, ':'), room[4096] = "";

	*request++ = '\0';
	int fd = open(arg, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fd = open(arg, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -1;
	int r = ioctl(fd, strtoul(request, NULL, 16), room), saved = errno;
	(void)close(fd);
	errno = saved;
	return r;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? close(fd) : -1;
}

/* The child's status: 0 it was executed, else the errno of what refused it. */
static int execute(const char *path, const char *context)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (!context || put("/proc/self/attr/exec", context) == 0)
			(void)execl(path, path, (char *)NULL);
		_exit(errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EACCES;
	return errno ? -1 : 0;
}

static int try_socket(const char *kind)
{
	int fd = -1;

	if (strcmp(kind, "route") == 0)
		fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	else if (strcmp(kind, "netfilter") == 0)
		fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	else if (strcmp(kind, "inet") == 0)
		fd = socket(AF_INET, SOCK_STREAM, 0);
	else
		fd = socket(AF_PACKET, SOCK_RAW, 0);
	return fd < 0 ? -1 : close(fd);
}

static int try_stream(const char *path, int (*act)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) +
				     (path[0] != '@'));

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	if (fd < 0)
		return -1;
	int r = act(fd, (const struct sockaddr *)&a, size), saved = errno;
	if (r == 0 && act == bind && (r = listen(fd, 9)) == 0)
		(void)pause();
	(void)close(fd);
	errno = saved;
	return r;
}

static int try_cap(const char *what)
{
	char name[65] = "";

	/* The name that it has already. */
	if (strcmp(what, "admin") == 0)
		return gethostname(name, sizeof(name) - 1) < 0 ? -1
							       : sethostname(name, strlen(name));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), size = 65536;
	return fd < 0 ? -1 : setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

static int try_fd(const char *what)
{
	return strcmp(what, "append") == 0 ? -(write(STDERR_FILENO, "x", 1) != 1)
					   : ftruncate(STDERR_FILENO, 0);
}

static int try_relabel(char *arg)
{
	char *context = strchr(arg, ':');

	*context++ = '\0';
	return setxattr(arg, "security.selinux", context, strlen(context) + 1, 0);
}

static int try_rename(const char *path)
{
	char to[256];

	(void)snprintf(to, sizeof(to), "%s.new", path);
	return rename(path, to);
}

static int act(const char *verb, char *arg)
{
	if (strcmp(verb, "read") == 0)
		return open_as(arg, O_RDONLY);
	if (strcmp(verb, "write") == 0)
		return open_as(arg, O_WRONLY);
	if (strcmp(verb, "append") == 0)
		return open_as(arg, O_WRONLY | O_APPEND);
	if (strcmp(verb, "list") == 0)
		return open_as(arg, O_RDONLY | O_DIRECTORY);
	if (strcmp(verb, "ioctl") == 0)
		return try_ioctl(arg);
	if (strcmp(verb, "exec") == 0)
		return execute(arg, NULL);
	if (strcmp(verb, "enter") == 0)
		return execute("/proc/self/exe", arg);
	if (strcmp(verb, "become") == 0)
		return put("/proc/self/attr/current", arg);
	if (strcmp(verb, "socket") == 0)
		return try_socket(arg);
	if (strcmp(verb, "connect") == 0)
		return try_stream(arg, connect);
	if (strcmp(verb, "listen") == 0)
		return try_stream(arg, bind);
	if (strcmp(verb, "cap") == 0)
		return try_cap(arg);
	if (strcmp(verb, "fd") == 0)
		return try_fd(arg);
	if (strcmp(verb, "relabel") == 0)
		return try_relabel(arg);
	if (strcmp(verb, "rename") == 0)
		return try_rename(arg);
	if (strcmp(verb, "unlink") == 0)
		return unlink(arg);
	if (strcmp(verb, "chown") == 0)
		return chown(arg, 1, 1);
	if (strcmp(verb, "mknod") == 0)
		return mknod(arg, S_IFCHR | 0600, makedev(1, 3));
	errno = ENOSYS;
	return -1;
}

int main(int argc, char **argv)
{
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		char verb[16] = "", arg[512] = "";

		if (sscanf(argv[i], "%15[^:]:%511[^\n]", verb, arg) != 2)
			return 2;
		int r = act(verb, arg);
		printf("%s: %s\n", argv[i], r < 0 ? strerrorname_np(errno) : "ok");
	}
	return 0;
}
