/* access.h - the rules of who may do what to whose VMs, images and kernels; all of them, and nothing else. */
#ifndef BANGER_CONTROLLER_ACCESS_H
#define BANGER_CONTROLLER_ACCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* The client of a control connection: the kernel's word (SO_PEERCRED, unix(7)), taken once at accept. */
struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

/* What a caller wants to do.  The database has one SQL function for each, called access_NAME (access_verb_name()). */
enum access_verb {
	ACCESS_VM,     /* "vm": see, use, change or delete a VM, or read of its operations: its owner, and root */
	ACCESS_USE,    /* "use": see an image or kernel, or make something of it: its owner, root, and all if root owns it */
	ACCESS_REMOVE, /* "remove": delete an image or kernel, or see how many use it: its owner, and root */
	ACCESS_HOST,   /* "host": look after what belongs to all users: root, whoever owns it */
	ACCESS_VERBS
};

/**
 * access_allows() - may @c do @verb to what @owner owns?
 * @c:		the client that asks
 * @owner:	uid of the VM's, image's or kernel's owner; ACCESS_HOST does not look at it
 *
 * Depends on its arguments alone: no database, no lock, no memory.
 */
bool access_allows(const struct caller *c, enum access_verb verb, uid_t owner);

/* May @c see the things of all users, where a list or a search asks for those of more than one? */
bool access_sees_all(const struct caller *c);

/* @verb: below ACCESS_VERBS.  Return: its name, a literal. */
const char *access_verb_name(enum access_verb verb);

#endif
