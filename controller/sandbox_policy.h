/* sandbox_policy.h - the policies of the controller. */
#ifndef BANGER_CONTROLLER_SANDBOX_POLICY_H
#define BANGER_CONTROLLER_SANDBOX_POLICY_H

#include "common/config.h"
#include "common/policy.h"

enum sandbox_kind {
	SANDBOX_SERVICE, /* all that the controller does */
	SANDBOX_FILES,   /* only files, for --check-db: no call makes or uses a socket */
	SANDBOX_KINDS,
};

#define SANDBOX_DATABASE_MAX (UINT64_C(1) << 30)

/* Return: POLICY_DISK of the controller, in bytes: the size of the largest disk with a CoW store's
 * metadata (one chunk for each 256 of data), and of the database beside it. */
static inline uint64_t sandbox_file_max(const struct config *c)
{
	const uint64_t disk = (uint64_t)c->max_disk_mib << 20;

	return disk + disk / 128 + SANDBOX_DATABASE_MAX;
}

extern const struct policy policy_controller[SANDBOX_KINDS];

#endif
