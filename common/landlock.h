/* landlock.h - whether the kernel has Landlock (landlock(7)), and whether that is enough. */
#ifndef BANGER_COMMON_LANDLOCK_H
#define BANGER_COMMON_LANDLOCK_H

#include <linux/landlock.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/config.h"

/* The least ABI of Landlock that counts: with ABI 1 (before Linux 5.19) the controller could not
 * link the kernel of a VM into its slot's folder. */
#define LANDLOCK_ABI_LEAST 2

/* Return: the ABI of the kernel's Landlock, from 1 on; 0: it has none, or it is not in use. */
static inline int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0,
			   LANDLOCK_CREATE_RULESET_VERSION);

	return abi > 0 ? (int)abi : 0;
}

/* Return: false if the configuration requires Landlock and the kernel has none that counts. */
static inline bool landlock_suffices(const struct config *c)
{
	return c->landlock != LANDLOCK_REQUIRE || landlock_abi() >= LANDLOCK_ABI_LEAST;
}

#endif
