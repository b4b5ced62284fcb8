/* reader.h - readers: connections that read the disk of a VM at rest.
 *
 * While a VM has a reader it is neither started nor deleted, so that all that is read is one state
 * of the disk.  The reader's connection ends that, in whatever way it ends.  The table is in memory
 * alone: a restart of the controller ends all connections, and so all readers.
 *
 * All functions are thread-safe, never wait for another thread's work, and take NULL for a table
 * without entries. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_READER_H
#define BANGER_CONTROLLER_LIFECYCLE_READER_H

#include "controller/ctl.h"

/* Make an empty table.  Return: the table, or NULL when there is no memory. */
struct readers *readers_open(void);

/* Free it.  The workers must have ended. */
void readers_close(struct readers *r);

/* Take the loss of the connection: the disks that it reads have no reader any more. */
void reader_lost(struct readers *r, uint64_t connection);

/* True if the connection is the reader of @vm. */
bool reader_is(struct readers *r, const struct vm *vm, uint64_t connection);

/* Refuse an operation that would change the disk of @vm, whose operation lock is held, while the VM
 * has a reader.  Return: 0, or -1: FAIL_STATE, with a hint that names the reader's process. */
int reader_refuse(struct readers *r, const struct vm *vm, struct error *e);

/**
 * vm_read_begin() - make the connection of @o the reader of a VM
 * @ref:	name or id, as a user gave it
 * @vm:		out: its row
 *
 * Return: 0, or -1: FAIL_NOT_FOUND; FAIL_STATE the VM is not at rest, is to be started again by the
 * service, is incomplete, or has another reader; FAIL_HOST.
 */
int vm_read_begin(struct ctl *c, struct operation *o, const char *ref, struct vm *vm,
		  struct error *e);

#endif
