/* crash_vmm.c - stands in for QEMU and Firecracker in the crash test: says what they say, and
 * misbehaves on demand.
 *
 * It makes only calls that the filters of both allow.  It takes the tap as they do, so that the
 * kernel has it in use.  How it answers the next command is the first byte of a file beside the
 * program: n as it should, h never, g with bytes that mean nothing, p with half an answer and the
 * end of the connection, i as it should, but the guest ignores its power button. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define GREETING                                                                           \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, \"major\": 9}}, " \
	"\"capabilities\": []}}\r\n"
#define NO_CONTENT "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n"

static char fault_path[256];
static bool http;

static char fault(void)
{
	char c = 'n';
	int fd = open(fault_path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!read(fd, &c, 1);
		(void)close(fd);
	}
	return c;
}

static int take_tap(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return fd < 0 ? -1 : ioctl(fd, TUNSETIFF, &r);
}

static void say(int s, const char *text)
{
	(void)!write(s, text, strlen(text));
}

/* Return: false when the connection is over. */
static bool answer(int s, const char *right)
{
	switch (fault()) {
	case 'h':
		for (;;)
			(void)poll(NULL, 0, -1); /* the VMMs' filter kills by pause(2) */
	case 'g':
		say(s, "\x7f\x01 neither JSON nor HTTP\r\n");
		return false;
	case 'p':
		(void)!write(s, right, strlen(right) / 2);
		return false;
	default:
		say(s, right);
		return true;
	}
}

static void power_button(void)
{
	if (fault() != 'i')
		_exit(0);
}

static bool qmp(int s, const char *line)
{
	const char *id = strstr(line, "\"id\":");
	char right[200];
	bool status = strstr(line, "query-status");

	(void)snprintf(right, sizeof(right), "{\"return\": {%s}, \"id\": %d}\r\n",
		       status ? "\"status\": \"running\", \"running\": true" : "",
		       id ? atoi(id + 5) : 0);
	if (!answer(s, right))
		return false;
	if (strstr(line, "system_powerdown"))
		power_button();
	return true;
}

static bool request(int s, const char *text)
{
	char state[300];
	static const char body[] = "{\"id\":\"bgr\",\"state\":\"Running\",\"vmm_version\":\"1.14\","
				   "\"app_name\":\"Firecracker\"}";

	(void)snprintf(
		state, sizeof(state),
		"HTTP/1.1 200 \r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	const char *tap = strstr(text, "\"host_dev_name\"");
	char name[IFNAMSIZ] = "";
	if (tap && sscanf(tap, "\"host_dev_name\" : \"%15[^\"]", name) != 1)
		(void)sscanf(tap, "\"host_dev_name\":\"%15[^\"]", name);
	if (name[0] && take_tap(name) < 0)
		say(STDOUT_FILENO, "the tap can not be taken\n");
	if (!answer(s, strncmp(text, "GET ", 4) == 0 ? state : NO_CONTENT))
		return false;
	if (strstr(text, "SendCtrlAltDel"))
		power_button();
	return true;
}

/* A whole command: a line of QMP; a head with as much body as it says. */
static bool whole(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "Content-Length:");

	if (!http)
		return strchr(text, '\n');
	return end && (!length || strlen(end + 4) >= (size_t)atoi(length + 15));
}

static void serve(int s)
{
	char text[16384];
	size_t n = 0;

	if (!http && !answer(s, GREETING))
		return;
	for (;;) {
		ssize_t got = read(s, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			return;
		n += (size_t)got;
		text[n] = '\0';
		if (!whole(text))
			continue;
		n = 0; /* one command at a time */
		if (!(http ? request(s, text) : qmp(s, text)))
			return;
	}
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 4) < 0)
		_exit(2);
	return s;
}

int main(int argc, char **argv)
{
	int s = 3; /* as QEMU gets it */

	(void)signal(SIGPIPE, SIG_IGN);

	(void)snprintf(fault_path, sizeof(fault_path), "%.*s/fault",
		       (int)(strrchr(argv[0], '/') - argv[0]), argv[0]);
	for (int i = 1; i + 1 < argc; i++) {
		const char *ifname = strstr(argv[i + 1], "ifname=");
		char name[IFNAMSIZ];
		if (strcmp(argv[i], "--api-sock") == 0) {
			http = true;
			s = listen_at(argv[i + 1]);
		} else if (strcmp(argv[i], "-netdev") == 0 && ifname &&
			   sscanf(ifname, "ifname=%15[^,]", name) == 1 && take_tap(name) < 0) {
			say(STDOUT_FILENO, "the tap can not be taken\n");
			return 1;
		}
	}
	(void)!write(STDOUT_FILENO, "up\n", 3);
	for (;;) {
		int conn = accept4(s, NULL, NULL, 0);
		if (conn < 0)
			return 3;
		serve(conn);
		(void)close(conn);
	}
}
