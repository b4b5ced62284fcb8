/* parse_user.c - strict parsers and writers for the controller and the commands: sizes, labels,
 * ids, addresses.  No privileged process is linked with it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/parse.h"

static int fail(int e)
{
	errno = e;
	return -1;
}

int parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	static const char units[] = "KMGT";
	char digits[24];
	const size_t n = strspn(s, "0123456789");
	const char *u = s[n] ? strchr(units, s[n]) : NULL;
	uint64_t v;

	if (n >= sizeof(digits) || (s[n] && (!u || s[n + 1])))
		return fail(EINVAL);
	(void)snprintf(digits, sizeof(digits), "%.*s", (int)n, s);
	const unsigned shift = u ? 10 * (unsigned)(u - units + 1) : 0;
	if (parse_uint(digits, 0, UINT64_MAX >> shift, &v) < 0)
		return -1;
	v <<= shift;
	if (v < min || v > max)
		return fail(ERANGE);
	*out = v;
	return 0;
}

bool parse_is_label(const char *s)
{
	size_t n = strlen(s);

	if (n < 1 || n > 63 || s[0] == '-' || s[n - 1] == '-')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

void format_ipv4(uint32_t addr, char out[16])
{
	(void)snprintf(out, 16, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255,
		       addr & 255);
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int parse_id(const char *s, uint8_t out[ID_LEN])
{
	if (strlen(s) != ID_HEX - 1)
		return fail(EINVAL);
	for (size_t i = 0; i < ID_LEN; i++) {
		int hi = nibble(s[2 * i]), lo = nibble(s[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return fail(EINVAL);
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}
