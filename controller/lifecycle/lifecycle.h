/* lifecycle.h - all verbs of a user on a VM, as sequential code that a worker thread runs.
 *
 * Each takes the VM's lock (one operation at a time a VM; delete and kill interrupt a start),
 * writes an operation row, and on failure leaves neither object nor row behind.  Return: 0, or
 * -1 with the error filled in. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_LIFECYCLE_H
#define BANGER_CONTROLLER_LIFECYCLE_LIFECYCLE_H

#include "controller/lifecycle/configure.h"
#include "controller/lifecycle/create.h"
#include "controller/lifecycle/delete.h"
#include "controller/lifecycle/start.h"
#include "controller/lifecycle/stop.h"

#endif
