/* db.h - the state database: SQLite in WAL mode, STRICT tables, foreign keys, numbered migrations.
 *
 * One connection behind one mutex; every function is one short transaction
 * and thread-safe.  A function that fails returns -1 and fills in the error:
 * FAIL_GENERAL with SQLite's words, FAIL_HOST for want of room or memory, or
 * the finer code stated.  A function that succeeds does not touch it.  Where a
 * callback ends a list, the error is the callback's to fill in. */
#ifndef BANGER_CONTROLLER_DB_DB_H
#define BANGER_CONTROLLER_DB_DB_H

#include "controller/db/backup.h"
#include "controller/db/fact_rows.h"
#include "controller/db/group.h"
#include "controller/db/image_rows.h"
#include "controller/db/ledger.h"
#include "controller/db/open.h"
#include "controller/db/operation_rows.h"
#include "controller/db/slot_rows.h"
#include "controller/db/vm_rows.h"

#endif
