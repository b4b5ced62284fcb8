/* kvm_probe.c - runs a small guest under KVM to learn whether KVM works, and caches the answer. */
#include "controller/vmm/kvm_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "controller/helper/client.h"
#include "controller/db/db.h"
#include "controller/paths.h"
#include "controller/vmm/peer.h"

#define PROBE_MS 10000 /* on some hosts the guest hangs: the probe must have a deadline */
#define PROBE_END_MS 3000
#define PROBE_MEM_MIB 32 /* memory of the probe process, with 2 MiB for its guest */

/* Make a FIFO for the probe's answer, and unlink it.  Return: a descriptor, or -1 with errno. */
static int probe_fifo(const struct ctl *c, const struct vm *vm)
{
	char path[200];

	path_console(&c->config, vm->slot, "probe", path);
	(void)unlink(path);
	if (mkfifo(path, 0600) < 0)
		return -1;
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	int saved = errno;
	(void)unlink(path);
	errno = saved;
	return fd;
}

/* Kill the probe.  While it lives it occupies the slot: the spawn role would return it as the
 * slot's VMM.  Return: 0, or -1 with the error. */
static int probe_end(struct ctl *c, const struct vm *vm, const struct operation *o, struct error *e)
{
	const struct vmm_wait w = vmm_wait_start("probe", PROBE_END_MS, -1, NULL);
	struct error ignored;
	struct reply reply;

	do {
		struct request q = helper_request(OP_VMM_KILL, vm, o);
		if (helper_call(c->helper, &q, NULL, &reply, NULL) < 0)
			return error_set(e, FAIL_HOST, "KVM", "the spawn role is gone");
		if (reply.status == ST_OK)
			return 0;
	} while (reply.status == ST_BUSY && vmm_wait_fd(&w, -1, 0, 10, &ignored) >= 0);
	return error_set(e, FAIL_HOST, "KVM", "its probe can not be ended");
}

/* Wait for the probe's answer.  Return: the byte that it wrote; 0 if it exited or hung without
 * one. */
static char probe_wait(int fifo, int pidfd, const struct operation *o, struct error *e)
{
	const struct vmm_wait w = vmm_wait_start("KVM", PROBE_MS, pidfd, o);
	char answer = 0;

	(void)vmm_wait_fd(&w, fifo, POLLIN, PROBE_MS, e);
	return read(fifo, &answer, 1) == 1 ? answer : 0;
}

/* Run the probe.  @sure: out, the answer may be cached.  Return: 1 KVM works, 0 it does not, -1
 * with the error. */
static int probe(struct ctl *c, const struct vm *vm, const struct operation *o, bool *sure,
		 struct error *e)
{
	struct request q = helper_request(OP_VMM_SPAWN, vm, o);
	struct error why = { 0 };
	struct reply reply;
	_cleanup_close_ int pidfd = -1;
	_cleanup_close_ int fifo = probe_fifo(c, vm);

	if (fifo < 0)
		return error_set(e, FAIL_HOST, "KVM", "the probe's FIFO: %s",
				 strerrordesc_np(errno));
	q.vmm_spawn = (struct req_vmm_spawn){
		.vmm = VMM_PROBE,
		.accel = ACCEL_KVM,
		.disk = DISK_FILE,
		.vcpus = 1,
		.mem_mib = PROBE_MEM_MIB,
	};
	/* It reads nothing: its input is the same FIFO. */
	if (helper_call(c->helper, &q, (const int[]){ fifo, fifo }, &reply, &pidfd) < 0)
		return helper_explain(errno, "KVM", "spawn", e);
	/* The probe could not be started: no device, no program, or no free process.  The reason
	 * may be temporary, so the answer is not cached. */
	*sure = false;
	if (reply.status != ST_OK)
		return 0;
	FAILPOINT("probe.wait.before");
	char answer = probe_wait(fifo, pidfd, o, &why);
	FAILPOINT("probe.wait.after");
	if (probe_end(c, vm, o, e) < 0)
		return -1;
	if (why.code == FAIL_STATE) {
		*e = why;
		return -1;
	}
	*sure = true;
	return answer == 'y';
}

int kvm_works(struct ctl *c, const struct vm *vm, const struct operation *o, struct error *e)
{
	char key[160], value[8];
	bool sure = false;

	key_kvm(c->boot_id, key);
	if (db_fact_get(c->db, key, value, sizeof(value)) == 1)
		return strcmp(value, "yes") == 0;
	operation_stage(o, "probe", "kvm");
	int works = probe(c, vm, o, &sure, e);
	if (works >= 0 && sure)
		(void)db_fact_set(c->db, key, works ? "yes" : "no");
	return works;
}
