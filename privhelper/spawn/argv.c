/* argv.c - builds the command lines of VMMs from numbers and configured paths. */
#include "privhelper/spawn/argv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "privhelper/spawn/child.h"
#include "proto/slot.h"

/* The size of QEMU's buffer for translated code.  Its default is an eighth of the host's memory, up
 * to 1 GiB. */
#define TCG_BUFFER_MIB 128

/* quiet: a serial console is slow under TCG.  panic=1 resets the guest, and with -no-reboot QEMU
 * then exits.  reboot=t: a reboot is a triple fault; by the kernel's own choice (Debian's 6.1)
 * it hangs in this machine, and QEMU never exits.  net.ifnames=0: the guest's interface is eth0,
 * whatever name its udev would derive for virtio-mmio. */
#define KERNEL_LINE "console=ttyS0 quiet panic=1 reboot=t net.ifnames=0 root=/dev/vda rw"

static void add(struct argv *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct argv *a, const char *fmt, ...)
{
	size_t room = sizeof(a->text) - a->used;
	va_list ap;

	if (a->full)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(a->text + a->used, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room || a->n == ARGV_MAX) {
		a->full = true;
		return;
	}
	a->v[a->n++] = a->text + a->used;
	a->used += (size_t)n + 1;
}

/* Add an option and its value, which is a format. */
#define OPTION(a, name, ...) (add(a, name), add(a, __VA_ARGS__))

static int finish(struct argv *a)
{
	a->v[a->n] = NULL;
	if (!a->full)
		return 0;
	errno = ENOSPC;
	return -1;
}

static void qemu_machine(const struct req_vmm_spawn *r, struct argv *a)
{
	/* acpi=on: a stock Debian kernel finds virtio-mmio devices in ACPI tables only, and powers
	 * off through ACPI.  The legacy timer and interrupt controller (pit, pic) stay on: without
	 * them the kernel hangs under TCG. */
	OPTION(a, "-M", "microvm,x-option-roms=off,rtc=on,isa-serial=on,acpi=on");
	/* The firmware is named, because microvm's default differs by distribution.  qboot loads
	 * the kernel by itself; Debian 13's default is a SeaBIOS, which needs the option ROM that
	 * is off.  QEMU looks for the name in /usr/share/qemu (qemu(1), -L). */
	OPTION(a, "-bios", "qboot.rom");
	add(a, "-accel");
	if (r->accel == ACCEL_KVM)
		add(a, "kvm");
	else
		add(a, "tcg,thread=multi,tb-size=%d", TCG_BUFFER_MIB);
	OPTION(a, "-cpu", "%s", r->accel == ACCEL_KVM ? "host" : "max");
	OPTION(a, "-smp", "%u", (unsigned)r->vcpus);
	OPTION(a, "-m", "%uM", (unsigned)r->mem_mib);
}

static void qemu_base(struct argv *a)
{
	OPTION(a, "-sandbox",
	       "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	add(a, "-nodefaults");
	add(a, "-no-user-config");
	OPTION(a, "-display", "none");
	add(a, "-no-reboot");
}

static void qemu_talk(struct argv *a)
{
	OPTION(a, "-chardev", "stdio,id=console,signal=off");
	OPTION(a, "-serial", "chardev:console");
	OPTION(a, "-chardev", "socket,id=qmp,fd=%d,server=on,wait=off", API_FD);
	OPTION(a, "-mon", "chardev=qmp,mode=control");
}

#define ROOT "id=root,if=none,format=raw,aio=threads,cache="
#define VOLUME "id=vol%u,if=none,format=raw,aio=threads,cache=writeback,discard=unmap,"

/* The disk is a device node or a file.  A node is opened with cache=none, because the host would
 * cache it twice.  A file may be on tmpfs, which older kernels do not open with O_DIRECT;
 * discard=unmap gives its unused blocks back. */
static void qemu_disk(uint32_t slot, uint64_t disk, struct argv *a)
{
	add(a, "-drive");
	if (disk == DISK_DM)
		/* The driver is named, because QEMU would probe for a CD-ROM, an ioctl that its
		 * filter does not allow. */
		add(a, ROOT "none,file.driver=host_device,file.filename=/run/vda%u", slot);
	else
		add(a, ROOT "writeback,discard=unmap,file=/state/%u/disk", slot);
	add(a, "-device");
	/* werror=report: the guest gets an error when the disk is full.  By default QEMU would stop
	 * the guest instead. */
	add(a, "virtio-blk-device,drive=root,werror=report");
}

/* The volumes, files of the slot's folder.  The guest's kernel finds the disks in the order of the
 * command line, so they are vdb and those behind it. */
static void qemu_volumes(uint32_t slot, const struct req_vmm_spawn *v, struct argv *a)
{
	for (uint32_t i = 0; i < v->volumes; i++) {
		OPTION(a, "-drive", VOLUME "readonly=%s,file=/state/%u/vol%u", i,
		       v->read_only >> i & 1 ? "on" : "off", slot, i);
		OPTION(a, "-device", "virtio-blk-device,drive=vol%u,werror=report", i);
	}
}

static void qemu_net(uint32_t slot, struct argv *a)
{
	char tap[16];
	uint8_t m[6];

	slot_tap(slot, tap);
	slot_mac(slot, m);
	OPTION(a, "-netdev", "tap,id=net,ifname=%s,script=no,downscript=no", tap);
	OPTION(a, "-device", "virtio-net-device,netdev=net,mac=%02x:%02x:%02x:%02x:%02x:%02x", m[0],
	       m[1], m[2], m[3], m[4], m[5]);
}

/* Under TCG the guest's time stamp counter is the host's.  On a busy host the guest's kernel can
 * not measure it against the emulated PIT, and then waits for ever for a timer tick that it has not
 * set up.  So the command line states its frequency
 * (Documentation/admin-guide/kernel-parameters.txt: tsc_early_khz, tsc=reliable).  KVM guests have
 * kvm-clock. */
static void qemu_kernel(uint32_t slot, const struct req_vmm_spawn *v, struct argv *a)
{
	OPTION(a, "-object", "rng-builtin,id=rng");
	OPTION(a, "-device", "virtio-rng-device,rng=rng");
	OPTION(a, "-kernel", "/state/%u/kernel", slot);
	OPTION(a, "-initrd", "/state/%u/initrd", slot);
	add(a, "-append");
	if (v->accel == ACCEL_TCG && v->tsc_khz)
		add(a, KERNEL_LINE " tsc_early_khz=%u tsc=reliable", (unsigned)v->tsc_khz);
	else
		add(a, KERNEL_LINE);
}

/* A port of virtio-serial for each client of the guest's agent at a time.  Port 0 is reserved for a
 * console (hw/char/virtio-serial-bus.c).  Each port costs the guest 4 MiB: its driver fills the
 * whole queue with pages (fill_queue(), virtio_console.c), and virtio-mmio gives each queue 1,024
 * places. */
static void qemu_ports(uint32_t ports, struct argv *a)
{
	if (!ports)
		return;
	OPTION(a, "-device", "virtio-serial-device,max_ports=%u", ports + 1);
	for (uint32_t i = 0; i < ports; i++) {
		OPTION(a, "-chardev", "socket,id=p%u,fd=%u,server=on,wait=off", i, PORT_FD + i);
		OPTION(a, "-device", "virtserialport,chardev=p%u,nr=%u,name=banger.%u", i, i + 1,
		       i);
	}
}

static void qemu(const struct programs *p, uint32_t ports, uint32_t slot,
		 const struct req_vmm_spawn *v, struct argv *a)
{
	add(a, "%s", p->path[VMM_QEMU]);
	qemu_base(a);
	qemu_machine(v, a);
	qemu_talk(a);
	qemu_disk(slot, v->disk, a);
	qemu_volumes(slot, v, a);
	qemu_net(slot, a);
	qemu_ports(ports, a);
	qemu_kernel(slot, v, a);
}

/* The controller configures machine, disk, network and boot source through Firecracker's API. */
static void firecracker(const struct programs *p, uint32_t slot, struct argv *a)
{
	add(a, "%s", p->path[VMM_FIRECRACKER]);
	add(a, "--api-sock");
	add(a, "/run/%u/api.sock", slot);
	add(a, "--id");
	add(a, "bgr-%u", slot);
}

int argv_vmm(const struct programs *p, uint32_t ports, uint32_t slot, const struct req_vmm_spawn *v,
	     struct argv *a)
{
	a->n = a->used = 0;
	a->full = false;
	if (!*p->path[v->vmm] || (v->vmm != VMM_QEMU && v->accel != ACCEL_KVM)) {
		errno = ENOENT;
		return -1;
	}
	switch ((enum vmm_kind)v->vmm) {
	case VMM_QEMU:
		qemu(p, ports, slot, v, a);
		break;
	case VMM_FIRECRACKER:
		firecracker(p, slot, a);
		break;
	default:
		add(a, "%s", p->path[VMM_PROBE]);
	}
	return finish(a);
}
