/* vm_disk.h - the disk of a VM at rest, read over the control socket. */
#ifndef BANGER_CLI_VM_DISK_H
#define BANGER_CLI_VM_DISK_H

#include "controller/cli/cow.h"
#include "controller/cli/export.h"

struct vm_disk {
	struct cli *c;
	int conn; /* the VM is neither started nor deleted until it is closed */
	struct res_vm_disk info;
	struct cow cow; /* what the VM has changed of its image; empty without a CoW store */
};

/* Become the reader of the VM that @ref names.  vm_disk_close() is due, after a failure too.
 * Return: 0, or -1 with @e. */
int vm_disk_open(struct cli *c, const char *ref, struct vm_disk *d, struct error *e);

/* Write all of the disk: `copy` of an export_source whose @arg is a struct vm_disk. */
int vm_disk_copy(void *arg, struct sink *to, struct error *e);

void vm_disk_close(struct vm_disk *d);

#endif
