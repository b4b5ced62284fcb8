/* failpoint_alloc.c - memory that runs out when the crash test says so; built by MODE=fail alone.
 *
 * What a program defines, its libraries use too, the C library's own functions among them (malloc(3) of glibc, "Replacing
 * malloc"), so this is every allocation but those for alignment.  free() stays the C library's.
 *
 * But for libseccomp's: without memory it (2.5.4) faults, or loads a filter that lets us hang.  It is used before anything
 * is served, and the service manager starts us again. */
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
