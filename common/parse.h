/* parse.h - strict parsers of numbers, sizes, names, addresses and ids. */
#ifndef BANGER_COMMON_PARSE_H
#define BANGER_COMMON_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_LEN 16               /* bytes of a VM id or an operation id */
#define ID_HEX (2 * ID_LEN + 1) /* bytes of its lower-case hexadecimal form with the NUL */

/* Parse a decimal number in @min..@max, without sign, space, prefix or leading zero.
 * Return: 0, or -1 with EINVAL or ERANGE. */
int parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *out);

/* Parse a size in bytes: digits, then nothing or one of K, M, G, T (powers of 1024).  Return: as
 * parse_uint(). */
int parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *out);

/* True for a DNS label (RFC 1123): 1 to 63 of a-z, 0-9, '-', with no '-' first or last.  Names are
 * not normalised. */
bool parse_is_label(const char *s);

/* Parse an IPv4 address in dotted decimal; @out is in host byte order.  Return: 0, or -1 with
 * EINVAL. */
int parse_ipv4(const char *s, uint32_t *out);

/* Parse "a.b.c.d/p" with no host bit set and 8 <= p <= 30.  Return: 0, or -1 with EINVAL. */
int parse_subnet(const char *s, uint32_t *net, uint32_t *prefix);

/* Write @addr, in host byte order, as dotted decimal. */
void format_ipv4(uint32_t addr, char out[16]);

/* Write an id as lower-case hexadecimal, or parse it: exact length, lower case alone.  Return: 0,
 * or -1 with EINVAL. */
void format_id(const uint8_t id[ID_LEN], char out[ID_HEX]);
int parse_id(const char *s, uint8_t out[ID_LEN]);

/* Write @n bytes as lower-case hexadecimal; @out has 2 * n + 1 bytes. */
void format_hex(const void *bytes, size_t n, char *out);

#endif
