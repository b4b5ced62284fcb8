/* failpoint_alloc.c - makes allocations fail when the crash test asks for it; built by MODE=fail
 * alone.
 *
 * The libraries of a program use its malloc() too, and so does the C library itself (glibc manual,
 * "Replacing malloc").  So every allocation can fail, except aligned ones.  free() stays the C
 * library's.
 *
 * Allocations of libseccomp never fail: without memory, version 2.5.4 crashes or loads a filter
 * under which the process hangs.  It is used before the first request, and the service manager then
 * starts the service again. */
#include <errno.h>
#include <link.h>
#include <seccomp.h>
#include <stdlib.h>

#include "common/failpoint.h"

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static uintptr_t seccomp_begin, seccomp_end;

static int note_range(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t begin = 0, end = 0;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		if (p->p_type == PT_LOAD && p->p_flags & PF_X) {
			begin = info->dlpi_addr + p->p_vaddr;
			end = begin + p->p_memsz;
		}
	}
	if ((uintptr_t)arg < begin || (uintptr_t)arg >= end)
		return 0;
	seccomp_begin = begin;
	seccomp_end = end;
	return 1;
}

__attribute__((constructor)) static void find_seccomp(void)
{
	(void)dl_iterate_phdr(note_range, (void *)(uintptr_t)seccomp_load);
}

static bool refused(const void *caller)
{
	const uintptr_t at = (uintptr_t)caller;

	if ((at >= seccomp_begin && at < seccomp_end) || !failpoint_starves())
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return refused(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return refused(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return refused(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}
