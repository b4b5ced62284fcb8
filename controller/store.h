/* store.h - the state database: SQLite in WAL mode, STRICT tables, foreign keys, numbered migrations.
 *
 * One connection behind one mutex; every function is one short transaction
 * and thread-safe.  A function that fails returns -1 and fills in the error:
 * FAIL_GENERAL with SQLite's words, FAIL_HOST for want of room or memory, or
 * the finer code stated.  A function that succeeds does not touch it.  Where a
 * callback ends a list, the error is the callback's to fill in. */
#ifndef BANGER_CONTROLLER_STORE_H
#define BANGER_CONTROLLER_STORE_H

#include "controller/backup.h"
#include "controller/fact_rows.h"
#include "controller/group.h"
#include "controller/image_rows.h"
#include "controller/ledger.h"
#include "controller/open.h"
#include "controller/operation_rows.h"
#include "controller/slot_rows.h"
#include "controller/vm_rows.h"

#endif
