/* failpoint_alloc.c - memory that runs out when the crash test says so; built by MODE=fail alone.
 *
 * What a program defines, its libraries use too, the C library's own functions among them (malloc(3) of glibc, "Replacing
 * malloc"), so this is every allocation but those for alignment.  free() stays the C library's. */
#include <errno.h>
#include <stdlib.h>

#include "common/failpoint.h"

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static bool refused(void)
{
	if (!failpoint_starves())
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return refused() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return refused() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return refused() ? NULL : __libc_realloc(p, n);
}
