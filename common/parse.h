/* parse.h - strict readers of the few texts we accept: numbers, sizes, names, addresses, ids. */
#ifndef BANGER_COMMON_PARSE_H
#define BANGER_COMMON_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_LEN 16               /* bytes of a VM id or an operation id */
#define ID_HEX (2 * ID_LEN + 1) /* its lower-case hexadecimal form with the NUL */

/* Decimal digits only (no sign, space, prefix or leading zero), @min..@max.  Return: 0, or -1 with EINVAL or ERANGE. */
int parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *out);

/* A size: digits and one of nothing, K, M, G, T (powers of 1024), in bytes.  Return: as parse_uint(). */
int parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *out);

/* A DNS label (RFC 1123): 1-63 of a-z, 0-9, '-', not first or last '-'.  Names are never normalised. */
bool parse_is_label(const char *s);

/* An IPv4 address in dotted decimal, host byte order.  Return: 0, or -1 with EINVAL. */
int parse_ipv4(const char *s, uint32_t *out);

/* "a.b.c.d/p" with no host bit set, 8 <= p <= 30.  Return: 0, or -1 with EINVAL. */
int parse_subnet(const char *s, uint32_t *net, uint32_t *prefix);

/* Dotted decimal of @addr (host byte order) into @out, 16 bytes. */
void format_ipv4(uint32_t addr, char out[16]);

/* An id to lower-case hexadecimal, and back (exact length, lower case only).  Return: 0, or -1 with EINVAL. */
void format_id(const uint8_t id[ID_LEN], char out[ID_HEX]);
int parse_id(const char *s, uint8_t out[ID_LEN]);

/* @n bytes as lower-case hexadecimal; @out has 2 * n + 1. */
void format_hex(const void *bytes, size_t n, char *out);

#endif
