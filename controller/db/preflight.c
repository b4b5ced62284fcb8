/* preflight.c - checks free space and the state database before a new operation begins. */
#include "controller/db/preflight.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

#include "controller/db/db.h"

int room_mib(const struct config *c, uint64_t *mib)
{
	struct statvfs v;

	if (statvfs(c->state_dir, &v) < 0)
		return -1;
	*mib = (uint64_t)v.f_bavail * v.f_frsize >> 20;
	return 0;
}

int room_check(const struct config *c, const char *what, struct error *e)
{
	uint64_t mib;

	if (room_mib(c, &mib) < 0)
		return error_set(e, FAIL_HOST, what, "%s: %s", c->state_dir,
				 strerrordesc_np(errno));
	if (mib >= ROOM_LEAST_MIB)
		return 0;
	(void)error_set(e, FAIL_HOST, what,
			"no space: %" PRIu64 " MiB are free in %s, and at least %u are needed", mib,
			c->state_dir, ROOM_LEAST_MIB);
	error_hint(e, "delete VMs or images, or make room there; stop, kill and delete work all "
		      "the same");
	return -1;
}

int work_check(const struct ctl *c, const char *what, struct error *e)
{
	return room_check(&c->config, what, e) < 0 ? -1 : db_in_place(c->db, what, e);
}
