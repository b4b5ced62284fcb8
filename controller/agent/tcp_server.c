/* tcp_server.c - tells whether a server in the guest still has its socket of a connection. */
#include "controller/agent/tcp_server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MOST 512 /* bytes of a line; the kernel's have 180 */

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* An end of a connection, as the tables have it: the last 32 bits of the address, and the port. */
struct end {
	uint32_t address;
	unsigned port;
};

enum found { FOUND_NOT, FOUND_OPEN, FOUND_CLOSED, FOUND_UNKNOWN };

/* Return: 0, or -1 if it is no address of TCP. */
static int end_of(const union address *a, struct end *end)
{
	if (a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6)
		return -1;
	if (a->sa.sa_family == AF_INET)
		*end = (struct end){ a->v4.sin_addr.s_addr, ntohs(a->v4.sin_port) };
	else
		*end = (struct end){ a->v6.sin6_addr.s6_addr32[3], ntohs(a->v6.sin6_port) };
	return 0;
}

/* Compare an end with "0100007F:0016", whose address has 8 or 32 digits: a server may have a socket
 * of IPv6 for a connection of IPv4. */
static bool is_end(const struct end *end, const char *text)
{
	const char *colon = strchr(text, ':');
	char want[16];

	(void)snprintf(want, sizeof(want), "%08X:%04X", (unsigned)end->address, end->port);
	return colon && colon - text >= 8 && strcmp(colon - 8, want) == 0;
}

/* Look for the socket from @from to @to in one table. */
static enum found look_up(int proc, const char *table, const struct end *from, const struct end *to)
{
	char line[LINE_MOST], own[64], other[64];
	enum found found = FOUND_NOT;
	unsigned long inode;
	int fd = openat(proc, table, O_RDONLY | O_CLOEXEC);
	if (fd < 0) /* a kernel without IPv6 has no table of it */
		return errno == ENOENT ? FOUND_NOT : FOUND_UNKNOWN;
	FILE *f = fdopen(fd, "r");
	if (!f) {
		(void)close(fd);
		return FOUND_UNKNOWN;
	}
	while (found == FOUND_NOT && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %63s %63s %*s %*s %*s %*s %*s %*s %lu", own, other, &inode) ==
			    3 &&
		    is_end(from, own) && is_end(to, other))
			found = inode ? FOUND_OPEN : FOUND_CLOSED;
	if (ferror(f))
		found = FOUND_UNKNOWN;
	(void)fclose(f);
	return found;
}

bool tcp_server_is_gone(int proc, int fd)
{
	union address own, other;
	socklen_t n = sizeof(own), m = sizeof(other);
	struct end client, server;

	memset(&own, 0, sizeof(own));
	memset(&other, 0, sizeof(other));
	if (getsockname(fd, &own.sa, &n) < 0 || getpeername(fd, &other.sa, &m) < 0 ||
	    end_of(&own, &client) < 0 || end_of(&other, &server) < 0)
		return false;
	enum found found = look_up(proc, "self/net/tcp", &server, &client);
	if (found == FOUND_NOT)
		found = look_up(proc, "self/net/tcp6", &server, &client);
	return found == FOUND_NOT || found == FOUND_CLOSED;
}
