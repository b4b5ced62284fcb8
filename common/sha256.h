/* sha256.h - SHA-256 (FIPS 180-4), so that the roles link no crypto library for the chain of their logs. */
#ifndef BANGER_COMMON_SHA256_H
#define BANGER_COMMON_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32
#define SHA256_HEX (2 * SHA256_LEN + 1) /* lower-case hexadecimal with the NUL */

/* The digest of @n bytes; never fails, never allocates. */
void sha256(const void *bytes, size_t n, uint8_t out[SHA256_LEN]);

#endif
