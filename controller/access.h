/* access.h - the access rules: which caller may do what with the VMs, volumes, images and kernels
 * of an owner. */
#ifndef BANGER_CONTROLLER_ACCESS_H
#define BANGER_CONTROLLER_ACCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* The client of a control connection, as the kernel reported it at accept (unix(7),
 * SO_PEERCRED). */
struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

/* What a caller wants to do.  The database has an SQL function access_NAME for each, with the name
 * of access_verb_name(). */
enum access_verb {
	/* "vm": see, use, change or delete a VM or a volume, or read a VM's operations.  Allowed:
	 * its owner, root. */
	ACCESS_VM,
	/* "use": see an image or kernel, or make a VM or an image of it.  Allowed: its owner, root;
	 * everyone if root owns it. */
	ACCESS_USE,
	/* "remove": delete an image or kernel, or see the number of its users.  Allowed: its owner,
	 * root. */
	ACCESS_REMOVE,
	/* "host": maintain the host and the objects of all users.  Allowed: root. */
	ACCESS_HOST,
	ACCESS_VERBS
};

/**
 * access_allows() - decide whether @c may do @verb with an object of @owner
 * @c:		the client of the request
 * @verb:	below ACCESS_VERBS
 * @owner:	uid that owns the VM, image or kernel; ignored with ACCESS_HOST
 *
 * The result depends on the arguments only: no database, no lock, no allocation.
 */
bool access_allows(const struct caller *c, enum access_verb verb, uid_t owner);

/* True if lists and searches of @c cover the objects of all users. */
bool access_sees_all(const struct caller *c);

/* Return: the name of @verb (below ACCESS_VERBS), a literal. */
const char *access_verb_name(enum access_verb verb);

#endif
