/* choose.c - chooses monitor and accelerator of a VM, and has the table of drivers. */
#include "controller/vmm/choose.h"

#include "controller/vmm/kvm_probe.h"

static const struct vmm_driver *const drivers[VMM_KINDS] = {
	[VMM_QEMU] = &vmm_qemu,
	[VMM_FIRECRACKER] = &vmm_firecracker,
};

static int choose_kvm(const struct config *g, enum vmm_kind *kind, uint32_t *accel)
{
	*kind = g->firecracker[0] ? VMM_FIRECRACKER : VMM_QEMU;
	*accel = ACCEL_KVM;
	return 0;
}

static int choose_tcg(const struct config *g, enum vmm_kind *kind, uint32_t *accel, struct error *e)
{
	if (!g->qemu[0]) {
		error_set(e, FAIL_HOST, "vmm",
			  "KVM can not run a guest on this host, and QEMU is not configured");
		error_hint(e, "install QEMU and set `qemu` in " CONFIG_DEFAULT_PATH);
		return -1;
	}
	*kind = VMM_QEMU;
	*accel = ACCEL_TCG;
	return 0;
}

int vmm_choose(struct ctl *c, const struct vm *vm, const struct operation *o, enum vmm_kind *kind,
	       uint32_t *accel, struct error *e)
{
	const struct config *g = &c->config;

	if (!g->qemu[0] && !g->firecracker[0]) {
		error_set(e, FAIL_HOST, "vmm", "neither QEMU nor Firecracker is configured");
		error_hint(e, "set `qemu` or `firecracker` in " CONFIG_DEFAULT_PATH);
		return -1;
	}
	if (g->accel == ACCEL_TCG)
		return choose_tcg(g, kind, accel, e);
	if (g->accel == ACCEL_KVM)
		return choose_kvm(g, kind, accel);
	int works = kvm_works(c, vm, o, e);
	if (works < 0)
		return -1;
	return works ? choose_kvm(g, kind, accel) : choose_tcg(g, kind, accel, e);
}

const struct vmm_ops vmm_ops = { .drivers = drivers, .choose = vmm_choose };
