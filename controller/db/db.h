/* db.h - the state database: SQLite in WAL mode, STRICT tables, foreign keys, numbered migrations.
 *
 * There is one connection behind one mutex.  Every function is thread-safe and one short
 * transaction.  A function that fails returns -1 and fills in the error: FAIL_GENERAL with SQLite's
 * message, FAIL_HOST for want of space or memory, or the code that its comment states.  A function
 * that succeeds does not touch the error.  A callback that ends a list fills in the error
 * itself. */
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
#include "controller/db/volume_rows.h"

#endif
