/* lifecycle.h - what can be done with a VM, as sequential code that a worker thread runs.
 *
 * Each takes the VM's turn (one operation at a time a VM; delete and kill
 * interrupt a start), writes an operation row, and on failure leaves neither
 * object nor row behind.  Return: 0, or -1 with the error filled in. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_H
#define BANGER_CONTROLLER_LIFECYCLE_H

#include "controller/ctl.h"

int vm_create(struct ctl *c, struct operation *o, const struct call_vm_create *args, struct vm *out,
	      struct error *e);
int vm_start(struct ctl *c, struct operation *o, const char *ref, bool *already, struct vm *out, struct error *e);
int vm_stop(struct ctl *c, struct operation *o, const char *ref, uint64_t timeout_ms, bool *already, bool *forced,
	    struct error *e);
int vm_kill(struct ctl *c, struct operation *o, const char *ref, bool *already, struct error *e);
int vm_delete(struct ctl *c, struct operation *o, const char *ref, struct error *e);
int vm_set(struct ctl *c, struct operation *o, const struct call_vm_set *args, struct error *e);

/* The VMM of @id ended by itself: release what it held.  Called by a worker when watch.h saw the pidfd. */
void vm_ended(struct ctl *c, const uint8_t id[ID_LEN]);

/* What the keeper has a worker do, with the VM's turn and by what its row says then. */
void vm_revive(struct ctl *c, const uint8_t id[ID_LEN]);        /* start it again, as its policy says */
void vm_give_up(struct ctl *c, const uint8_t id[ID_LEN]);       /* it ended too often: not wanted any more */
void vm_auto_stop(struct ctl *c, const uint8_t id[ID_LEN]);     /* it is idle */
void vm_end_wanted(struct ctl *c, const uint8_t id[ID_LEN]);    /* kill it, whatever it does; it stays wanted */
void vm_release_again(struct ctl *c, const uint8_t id[ID_LEN]); /* its end failed, or was not even recorded */

struct drained {
	unsigned vms, killed, left; /* that were not at rest; that were killed; that still hold something */
};

/**
 * host_drain() - end all VMs because the host goes down, and start none from now on
 * @timeout_ms:	how long the guests have to power off, all together; then they are killed
 *
 * What is wanted stays so: restart policies begin anew with the next controller.
 * Return: 0, or -1 when the store can not be read.
 */
int host_drain(struct ctl *c, uint64_t timeout_ms, struct drained *out, struct error *e);

/* At start-up, before any request is served: compare ledger, kernel and VMMs; adopt, release, remove orphans. */
int reconcile(struct ctl *c, struct error *e);

struct repaired {
	unsigned found, mended, failed;
};

/**
 * repair() - reconcile while everybody works: what is so, against what is written
 * @restore:	make again what running VMs lack, or say that they are degraded; else leave them alone
 * @dry_run:	change nothing
 * @tell:	each finding as one line, or NULL
 *
 * Objects of VMs that rest, and objects of no VM, are removed; without @restore (gc) also files of no VM.  Takes the turn of a VM before it is judged.
 * Return: 0, or -1 when the kernel or the store can not be read.
 */
int repair(struct ctl *c, bool restore, bool dry_run, void (*tell)(void *arg, const char *line), void *arg,
	   struct repaired *out, struct error *e);

#endif
