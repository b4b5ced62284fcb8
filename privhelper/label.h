/* label.h - SELinux contexts: the category of what is one slot's, and the domain that its VMM is executed in.
 *
 * Does nothing where SELinux is off or its policy lacks our module (selinux/). */
#ifndef BANGER_PRIVHELPER_LABEL_H
#define BANGER_PRIVHELPER_LABEL_H

#include <stddef.h>
#include <stdint.h>

#define LABEL_MAX 256

/**
 * label_derive() - a context for a slot, out of one that the kernel gave
 * @context:	user:role:type or user:role:type:level
 * @from:	the type that it must have
 * @to:		the type of the result
 *
 * User and role stay; the level, where there are levels, becomes s0 with the slot's category.
 * Return: 0, or -1: another type, or too long.
 */
int label_derive(const char *context, const char *from, const char *to, uint32_t slot, char out[LABEL_MAX]);

/**
 * label_slot() - give a folder or a node of a slot its category
 * @fd:	it; may be O_PATH
 *
 * Takes /proc and the ownership of the file.  What is of none of the slots' types is left alone.
 * Return: 0, or -1 with errno.
 */
int label_slot(int fd, uint32_t slot);

/* The files by which a process tells the kernel what its next program and its next sockets are to be; -1: not told. */
struct label_vmm {
	int exec, socket;
	char own[LABEL_MAX];
};

/* Open them, when this process is in the spawn role's domain.  Takes /proc.  Return: 0, or -1 with errno. */
int label_vmm_open(struct label_vmm *l);

/**
 * label_vmm_set() - children that are made from now on execute the slot's VMM in its domain, and make sockets of it
 *
 * The kernel keeps both in the credentials (proc(5), attr/exec and attr/sockcreate), which a child inherits: so it needs
 * no /proc of its own.  Only the very task that opened the files can write them.
 * Return: 0, or -1 with errno: then nothing may be executed.
 */
int label_vmm_set(const struct label_vmm *l, uint32_t slot);

#endif
