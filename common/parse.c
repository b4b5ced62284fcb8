/* parse.c - strict parsers of numbers and addresses. */
#include "common/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int fail(int e)
{
	errno = e;
	return -1;
}

int parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return fail(ERANGE);
		v = v * 10 + digit;
	}
	if (p == s || (*s == '0' && p > s + 1) || *p)
		return fail(EINVAL);
	if (v < min || v > max)
		return fail(ERANGE);
	*out = v;
	return 0;
}

int parse_ipv4(const char *s, uint32_t *out)
{
	struct in_addr a;

	if (inet_pton(AF_INET, s, &a) != 1)
		return fail(EINVAL);
	*out = ntohl(a.s_addr);
	return 0;
}

int parse_subnet(const char *s, uint32_t *net, uint32_t *prefix)
{
	char addr[16];
	const char *slash = strchr(s, '/');
	uint64_t p;
	uint32_t a;

	if (!slash || (size_t)(slash - s) >= sizeof(addr))
		return fail(EINVAL);
	memcpy(addr, s, (size_t)(slash - s));
	addr[slash - s] = '\0';
	if (parse_ipv4(addr, &a) < 0 || parse_uint(slash + 1, 8, 30, &p) < 0)
		return fail(EINVAL);
	if (a & (UINT32_MAX >> p))
		return fail(EINVAL);
	*net = a;
	*prefix = (uint32_t)p;
	return 0;
}

void format_hex(const void *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = bytes;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
	out[2 * n] = '\0';
}

void format_id(const uint8_t id[ID_LEN], char out[ID_HEX])
{
	format_hex(id, ID_LEN, out);
}
