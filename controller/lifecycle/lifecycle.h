/* lifecycle.h - all verbs of a user on a VM, as sequential code that a worker thread runs.
 *
 * Each verb takes the operation lock of the VM, which serializes the operations on one VM.  Delete
 * and kill interrupt a start.  A verb writes an operation row, and on failure leaves neither
 * objects nor rows behind.  It returns 0, or -1 with the error filled in. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_LIFECYCLE_H
#define BANGER_CONTROLLER_LIFECYCLE_LIFECYCLE_H

#include "controller/lifecycle/configure.h"
#include "controller/lifecycle/create.h"
#include "controller/lifecycle/delete.h"
#include "controller/lifecycle/hold.h"
#include "controller/lifecycle/reader.h"
#include "controller/lifecycle/start.h"
#include "controller/lifecycle/stop.h"

#endif
