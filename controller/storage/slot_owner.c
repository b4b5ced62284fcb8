/* slot_owner.c - records which VM owns a slot's folder, in a file that is made there first and removed last.
 *
 * The state database says which VM has which slot.  One that is older than the files, put back from a copy, may say
 * that of a VM whose slot was given to another one since: without this its owner would get the other one's disk. */
#include "controller/storage/slot_owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "controller/paths.h"

static bool is_empty(int dir)
{
	_cleanup_close_ int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool empty = true;

	if (!d)
		return false;
	(void)steal_fd(&fd);
	while (empty && (entry = readdir(d)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	(void)closedir(d);
	return empty;
}

/* "<id> <generation> <uid>\n" */
static bool parse(char *text, struct storage_owner *o)
{
	char *save = NULL, *id = strtok_r(text, " \n", &save), *generation = strtok_r(NULL, " \n", &save);
	char *uid = strtok_r(NULL, " \n", &save);
	uint64_t g, u;

	if (!uid || parse_id(id, o->vm) < 0 || parse_uint(generation, 1, UINT32_MAX, &g) < 0 ||
	    parse_uint(uid, 0, UINT32_MAX, &u) < 0)
		return false;
	o->generation = (uint32_t)g;
	o->uid = (uint32_t)u;
	return true;
}

/* Not there, or not what we make: anything else, say no descriptor left, tells nothing about what is there. */
static enum storage_mark unless_unknown(enum storage_mark mark)
{
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EISDIR ? mark : STORAGE_UNKNOWN;
}

enum storage_mark storage_owner(const struct config *c, uint32_t slot, struct storage_owner *o)
{
	char path[200], text[128];

	*o = (struct storage_owner){ 0 };
	path_slot_state(c, slot, "", path);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return unless_unknown(STORAGE_EMPTY);
	if (is_empty(dir))
		return STORAGE_EMPTY;
	/* Not waiting: one that is a FIFO, whoever made it, is as good as none. */
	_cleanup_close_ int fd = openat(dir, STORAGE_OWNER, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return unless_unknown(STORAGE_UNMARKED);
	text[n] = '\0';
	return parse(text, o) ? STORAGE_MARKED : STORAGE_UNMARKED;
}

int storage_check_owner(const struct config *c, const struct vm *vm, struct error *e)
{
	struct storage_owner o;
	enum storage_mark mark = storage_owner(c, vm->slot, &o);

	if (mark == STORAGE_UNKNOWN)
		return error_set(e, FAIL_HOST, vm->name, "the files of its slot can not be read: %s", strerrordesc_np(errno));
	if (mark != STORAGE_MARKED || memcmp(o.vm, vm->id, ID_LEN) == 0)
		return 0;
	(void)error_set(e, FAIL_STATE, vm->name, STORAGE_OLDER);
	error_hint(e, "put the newer state database back; or delete this VM, which leaves the files alone");
	return -1;
}
