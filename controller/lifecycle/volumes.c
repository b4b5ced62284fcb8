/* volumes.c - reads the volumes of a new VM: their names, and where its guest mounts them. */
#include "controller/lifecycle/volumes.h"

#include <stdio.h>
#include <string.h>

#include "controller/db/db.h"

static int bad_path(const char *path, const char *why, struct error *e)
{
	return error_set(e, FAIL_USAGE, "volume", "\"%s\" can not be its folder in the guest: %s",
			 path, why);
}

/* True if no component of an absolute path is empty, "." or "..". */
static bool is_plain(const char *path)
{
	for (const char *at = path; *at;) {
		const size_t n = strcspn(++at, "/");
		if (n == 0 || (n <= 2 && strspn(at, ".") >= n))
			return false;
		at += n;
	}
	return true;
}

/* True if @path is @folder or lies below it. */
static bool is_below(const char *path, const char *folder)
{
	const size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (!path[n] || path[n] == '/');
}

static int check_path(const char *path, struct error *e)
{
	/* The guest's init, or the image's, mounts something else there later. */
	static const char *const taken[] = { "/dev", "/proc", "/run", "/sys" };

	if (path[0] != '/' || !is_plain(path))
		return bad_path(path, "an absolute path, without . and .., is needed", e);
	for (const unsigned char *p = (const unsigned char *)path; *p; p++)
		if (*p <= ' ' || *p == 127)
			return bad_path(path, "it has a blank or a control character", e);
	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
		if (is_below(path, taken[i]))
			return bad_path(path, "the guest's own file systems are there", e);
	return 0;
}

static int find(struct ctl *c, const struct operation *o, const struct vm *vm, struct vm_volume *v,
		struct error *e)
{
	struct artifact a = { .type = ARTIFACT_VOLUME };

	if (db_artifact_find(c->db, o->caller, v->name, &a, e) < 0)
		return -1;
	if (a.owner != vm->owner)
		return error_set(e, FAIL_NOT_ALLOWED, v->name,
				 "a volume is for the VMs of its owner alone");
	(void)snprintf(v->name, sizeof(v->name), "%s", a.name);
	memcpy(v->digest, a.digest, sizeof(v->digest));
	v->size_mib = (uint32_t)((a.size + (1 << 20) - 1) >> 20);
	return 0;
}

/* Read one word, which is changed. */
static int parse(char *word, struct vm_volume *v, struct error *e)
{
	char *path = strchr(word, ':'), *mode = path ? strchr(path + 1, ':') : NULL;

	if (path)
		*path++ = '\0';
	if (mode)
		*mode++ = '\0';
	*v = (struct vm_volume){ .read_only = mode && strcmp(mode, "ro") == 0 };
	if (strlen(word) >= sizeof(v->name) || (path && strlen(path) >= sizeof(v->path)))
		return error_set(e, FAIL_USAGE, "volume",
				 "a name has up to %zu bytes, and a path up to %zu",
				 sizeof(v->name) - 1, sizeof(v->path) - 1);
	if (!path || (mode && !v->read_only && strcmp(mode, "rw") != 0)) {
		(void)error_set(e, FAIL_USAGE, "volume", "\"%s\" is not understood", word);
		error_hint(e, "NAME:/PATH or NAME:/PATH:ro");
		return -1;
	}
	(void)strcpy(v->name, word);
	(void)strcpy(v->path, path);
	return check_path(v->path, e);
}

/* Insert @v by its path.  A folder is the begin of the paths in it, so it comes before them. */
static int insert(struct vm *vm, const struct vm_volume *v, struct error *e)
{
	uint32_t at = vm->n_volumes;

	for (uint32_t i = 0; i < vm->n_volumes; i++)
		if (strcmp(vm->volumes[i].path, v->path) == 0 ||
		    strcmp(vm->volumes[i].digest, v->digest) == 0)
			return error_set(e, FAIL_USAGE, v->name,
					 "a VM has a volume once, and one volume at a path");
	if (vm->n_volumes == VOLUMES_MAX)
		return error_set(e, FAIL_USAGE, v->name, "a VM has up to %d volumes", VOLUMES_MAX);
	for (; at > 0 && strcmp(vm->volumes[at - 1].path, v->path) > 0; at--)
		vm->volumes[at] = vm->volumes[at - 1];
	vm->volumes[at] = *v;
	vm->n_volumes++;
	return 0;
}

int vm_choose_volumes(struct ctl *c, const struct operation *o, const char *text, struct vm *vm,
		      struct error *e)
{
	char copy[sizeof(((struct call_vm_create *)0)->volumes)], *save = NULL;
	struct vm_volume v;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (parse(word, &v, e) < 0 || find(c, o, vm, &v, e) < 0 || insert(vm, &v, e) < 0)
			return -1;
	return 0;
}

void vm_format_volumes(const struct vm *vm, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < vm->n_volumes && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s:%s%s", i ? " " : "",
				      vm->volumes[i].name, vm->volumes[i].path,
				      vm->volumes[i].read_only ? ":ro" : "");
}
