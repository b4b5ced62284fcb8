/* slot_owner.c - reads the owner file of a slot's folder, which names the VM that the files belong
 * to.
 *
 * The owner file is the first file made in the folder and the last one removed.  The state database
 * also tells which VM has which slot.  But an administrator may restore an older database, from a
 * time before the slot was given to its present VM.  Without the owner file, the owner of the
 * earlier VM would get the disk of the present one. */
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

/* Parse "<id> <generation> <uid>\n". */
static bool parse_owner(char *text, struct storage_owner *o)
{
	char *save = NULL, *id = strtok_r(text, " \n", &save),
	     *generation = strtok_r(NULL, " \n", &save);
	char *uid = strtok_r(NULL, " \n", &save);
	uint64_t g, u;

	if (!uid || parse_id(id, o->vm) < 0 || parse_uint(generation, 1, UINT32_MAX, &g) < 0 ||
	    parse_uint(uid, 0, UINT32_MAX, &u) < 0)
		return false;
	o->generation = (uint32_t)g;
	o->uid = (uint32_t)u;
	return true;
}

/* Return: @mark if errno says that the file does not exist or is of another type.  Other errors,
 * for example no free descriptor, leave the answer unknown. */
static enum storage_mark unless_unknown(enum storage_mark mark)
{
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EISDIR
		       ? mark
		       : STORAGE_UNKNOWN;
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
	/* O_NONBLOCK: a FIFO of this name must not block; it counts as no owner file. */
	_cleanup_close_ int fd = openat(dir, STORAGE_OWNER,
					O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return unless_unknown(STORAGE_UNMARKED);
	text[n] = '\0';
	return parse_owner(text, o) ? STORAGE_MARKED : STORAGE_UNMARKED;
}

int storage_check_owner(const struct config *c, const struct vm *vm, struct error *e)
{
	struct storage_owner o;
	enum storage_mark mark = storage_owner(c, vm->slot, &o);

	if (mark == STORAGE_UNKNOWN)
		return error_set(e, FAIL_HOST, vm->name,
				 "the files of its slot can not be read: %s",
				 strerrordesc_np(errno));
	if (mark != STORAGE_MARKED || memcmp(o.vm, vm->id, ID_LEN) == 0)
		return 0;
	(void)error_set(e, FAIL_STATE, vm->name, STORAGE_OLDER);
	error_hint(e, "put the newer state database back; or delete this VM, which leaves the "
		      "files alone");
	return -1;
}
