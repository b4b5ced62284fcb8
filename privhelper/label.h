/* label.h - sets the SELinux category of a slot's files and nodes, and the domain of its VMM.
 *
 * The functions do nothing if SELinux is off or its policy lacks our module (selinux/). */
#ifndef BANGER_PRIVHELPER_LABEL_H
#define BANGER_PRIVHELPER_LABEL_H

#include <stddef.h>
#include <stdint.h>

#define LABEL_MAX 256 /* bytes of a context, with the NUL */

/**
 * label_derive() - derive a context for a slot from one that the kernel gave
 * @context:	user:role:type or user:role:type:level
 * @from:	the type that @context must have
 * @to:		the type of the result
 *
 * User and role stay.  A level becomes s0 with the slot's category.
 * Return: 0, or -1: @context has another type or is too long.
 */
int label_derive(const char *context, const char *from, const char *to, uint32_t slot,
		 char out[LABEL_MAX]);

/**
 * label_slot() - give a folder or a node of a slot its category
 * @fd:	descriptor of the folder or node; may be O_PATH
 *
 * Needs /proc and the ownership of the file.  A file of another type than the slots' stays
 * unchanged.
 * Return: 0, or -1 with errno.
 */
int label_slot(int fd, uint32_t slot);

/* The files that set the context of the next program and of new sockets (proc(5), attr/exec and
 * attr/sockcreate). */
struct label_vmm {
	int exec, socket;    /* -1: SELinux is not used */
	char own[LABEL_MAX]; /* context of this process */
};

/* Open the files if this process is in the spawn role's domain.  Needs /proc.  Return: 0, or -1
 * with errno. */
int label_vmm_open(struct label_vmm *l);

/**
 * label_vmm_set() - set the context of programs that later children execute, and of sockets that
 * they make
 *
 * The kernel keeps both in the credentials, which a child inherits, so CHILD needs no /proc.  Only
 * the thread that opened the files can write them.
 * Return: 0, or -1 with errno; the caller must then execute nothing.
 */
int label_vmm_set(const struct label_vmm *l, uint32_t slot);

#endif
