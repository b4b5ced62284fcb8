/* check.h - reads a state database on a connection of the caller's own, to check it; nothing is
 * changed, and no running service is needed. */
#ifndef BANGER_CONTROLLER_DB_CHECK_H
#define BANGER_CONTROLLER_DB_CHECK_H

#include <sqlite3.h>

#include "controller/db/image_rows.h"

/**
 * db_integrity() - run PRAGMA integrity_check and foreign_key_check
 * @db:		any connection; nothing is changed
 * @wrong:	out: the first finding, one line; "" if the database is sound
 *
 * Return: 0, or -1 when the check could not run: @db has SQLite's error.
 */
int db_integrity(sqlite3 *db, char wrong[160]);

/* Read the schema's version.  Return: 0, or -1: @db has SQLite's error. */
int db_schema_version(sqlite3 *db, int *version);

/* Count the VMs.  Return: 0, or -1. */
int db_count_vms(sqlite3 *db, int *n);

/* Count the objects whose release has begun and not ended.  Return: 0, or -1, also for a schema
 * without a ledger. */
int db_count_releasing(sqlite3 *db, int *n);

/* Find the VM that has the slot.  Return: 1 with its @id, 0: no VM has it, -1: the row can not be
 * read. */
int db_slot_holder(sqlite3 *db, uint32_t slot, uint8_t id[ID_LEN]);

/* Look for an image or a kernel with this digest.  Return: 1 there is one, 0 there is none, -1: the
 * rows can not be read. */
int db_has_digest(sqlite3 *db, enum artifact_type type, const char *digest);

/* Call @fn with the digest of each image or kernel.  Return: 0, or -1: a row could not be read. */
int db_digests_each(sqlite3 *db, enum artifact_type type, void (*fn)(void *arg, const char *digest),
		    void *arg);

#endif
