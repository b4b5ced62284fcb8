/* kvmprobe.c - banger-kvmprobe, a program that tests whether this host can run an ordinary guest
 * under KVM.
 *
 * Opening /dev/kvm and making a VM prove nothing: on some hosts both work, but no ordinary kernel
 * boots (a KVM for paravirtual guests alone, an incomplete nested KVM).  So the probe sets a
 * processor up as a VMM does, feature MSRs included, and runs the first steps of a kernel: its own
 * descriptor tables and paging, MSRs, a fault through its own IDT, user mode and back by syscall.
 * A loop then takes milliseconds on a processor, and longer than ALARM_S if each instruction is
 * emulated.
 *
 * The probe writes one byte to standard output, 'y' or 'n', and exits within ALARM_S seconds.  The
 * spawn role runs it as it runs a VMM: with a slot's uid, in the VMMs' root, in a VM's cgroup,
 * under a VMM's filter. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALARM_S 3

static void answer(char c)
{
	(void)!write(STDOUT_FILENO, &c, 1);
	_exit(c == 'y' ? 0 : 1);
}

#ifdef __x86_64__

/* ---- the guest's memory, identity-mapped by one 2 MiB page; the next page is a hole, to fault on
 * ---- */
#define MEM_SIZE 0x200000u
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD 0x3000u
#define GDT 0x4000u
#define IDT 0x5000u
#define CODE 0x8000u
#define USER 0x9000u
#define STACK 0x10000u
#define HOLE 0x400000u

/* Selectors, in the order that syscall and sysret require (Intel SDM vol. 3, 5.8.8). */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_USER_DATA 0x1b
#define SEL_USER_CODE 0x23
#define SEL_TSS 0x28

#define PORT_DONE 0xf4
#define LOOPS 20000000 /* 10 ms on a processor, less than 0.3 s in a nested KVM under TCG */

#define STR_(x) #x
#define STR(x) STR_(x)

/* The guest's code.  Each step that fails jumps to hlt, which makes the answer 'n'. */
extern const char guest_start[], guest_fault[], guest_syscall[], guest_user[], guest_user_end[],
	guest_end[];
/* clang-format off */
__asm__(".pushsection .rodata\n"
	".globl guest_start, guest_fault, guest_syscall, guest_user, guest_user_end, guest_end\n"
	"guest_start:\n"
	/* segment and task registers from memory of its own */
	"	mov $" STR(SEL_DATA) ", %eax\n"
	"	mov %eax, %ds\n"
	"	mov %eax, %es\n"
	"	mov %eax, %ss\n"
	"	mov $" STR(SEL_TSS) ", %eax\n"
	"	ltr %ax\n"
	/* control registers: paging reloaded, global pages on */
	"	mov %cr3, %rax\n"
	"	mov %rax, %cr3\n"
	"	mov %cr4, %rax\n"
	"	or $0x80, %rax\n"
	"	mov %rax, %cr4\n"
	"	xor %eax, %eax\n"
	"	cpuid\n"
	"	test %eax, %eax\n"
	"	jz guest_stop\n"
	/* EFER.SCE, STAR, LSTAR, SFMASK, GS base: a kernel sets these before its first process */
	"	mov $0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	or $1, %eax\n"
	"	wrmsr\n"
	"	mov $0xc0000081, %ecx\n"
	"	xor %eax, %eax\n"
	"	mov $0x00130008, %edx\n"
	"	wrmsr\n"
	"	mov $0xc0000082, %ecx\n"
	"	mov $" STR(CODE) " + guest_syscall - guest_start, %eax\n"
	"	xor %edx, %edx\n"
	"	wrmsr\n"
	"	mov $0xc0000084, %ecx\n"
	"	mov $0x700, %eax\n"
	"	wrmsr\n"
	"	mov $0xc0000101, %ecx\n"
	"	mov $0x12345000, %eax\n"
	"	mov $0xffff8000, %edx\n"
	"	wrmsr\n"
	"	xor %eax, %eax\n"
	"	xor %edx, %edx\n"
	"	rdmsr\n"
	"	cmp $0x12345000, %eax\n"
	"	jne guest_stop\n"
	"	cmp $0xffff8000, %edx\n"
	"	jne guest_stop\n"
	/* a page fault through its own IDT; the handler skips this 2-byte load and counts in r15 */
	"	xor %r15d, %r15d\n"
	"	mov $" STR(HOLE) ", %ebx\n"
	"	mov (%rbx), %eax\n"
	"	cmp $1, %r15d\n"
	"	jne guest_stop\n"
	/* to user mode, where hlt is not allowed and syscall is the way back */
	"	mov $" STR(USER) ", %ecx\n"
	"	mov $0x2, %r11d\n"
	"	sysretq\n"
	"guest_fault:\n"
	"	inc %r15d\n"
	"	mov %cr2, %rax\n"
	"	cmp %rbx, %rax\n"
	"	jne guest_stop\n"
	"	add $8, %rsp\n"
	"	addq $2, (%rsp)\n"
	"	iretq\n"
	"guest_syscall:\n"
	"	cmp $0x62677231, %eax\n"
	"	jne guest_stop\n"
	"	mov %cs, %eax\n"
	"	cmp $" STR(SEL_CODE) ", %eax\n"
	"	jne guest_stop\n"
	"	mov $" STR(LOOPS) ", %ecx\n"
	"1:	dec %ecx\n"
	"	jnz 1b\n"
	"	mov $'y', %al\n"
	"	out %al, $" STR(PORT_DONE) "\n"
	"guest_stop:\n"
	"	hlt\n"
	"	jmp guest_stop\n"
	"guest_end:\n"
	"guest_user:\n"
	"	mov $0x62677231, %eax\n"
	"	syscall\n"
	"guest_user_end:\n"
	".popsection\n");
/* clang-format on */

static void put64(uint8_t *mem, uint32_t at, uint64_t v)
{
	memcpy(mem + at, &v, sizeof(v));
}

static void fill_memory(uint8_t *mem)
{
	uint64_t fault = CODE + (uint64_t)(guest_fault - guest_start);

	/* present, writable, user; the one 2 MiB page is also large */
	put64(mem, PML4, PDPT | 7);
	put64(mem, PDPT, PD | 7);
	put64(mem, PD, 0x87);
	put64(mem, GDT + SEL_CODE, 0x00af9b000000ffff);
	put64(mem, GDT + SEL_DATA, 0x00cf93000000ffff);
	put64(mem, GDT + (SEL_USER_DATA & ~7), 0x00cff3000000ffff);
	put64(mem, GDT + (SEL_USER_CODE & ~7), 0x00affb000000ffff);
	put64(mem, GDT + SEL_TSS, 0x0000890000000067 | (uint64_t)0x6000 << 16);
	/* vector 14, an interrupt gate of ring 0 */
	put64(mem, IDT + 14 * 16,
	      (fault & 0xffff) | SEL_CODE << 16 | 0x8e00ull << 32 | (fault >> 16 & 0xffff) << 48);
	memcpy(mem + CODE, guest_start, (size_t)(guest_end - guest_start));
	memcpy(mem + USER, guest_user, (size_t)(guest_user_end - guest_user));
}

/* Make a VM with its memory and one processor.  Return: the processor's descriptor, or -1. */
static int make_vcpu(int kvm, uint8_t *mem)
{
	struct kvm_userspace_memory_region region = { .memory_size = MEM_SIZE,
						      .userspace_addr = (uintptr_t)mem };
	struct kvm_pit_config pit = { 0 };
	uint64_t identity = 0xfffbc000;
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	if (vm < 0 || ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000ul) < 0 ||
	    ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
	    ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0 || ioctl(vm, KVM_CREATE_PIT2, &pit) < 0 ||
	    ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return -1;
	return ioctl(vm, KVM_CREATE_VCPU, 0);
}

/* The processor shows all that KVM supports, as `-cpu host` and Firecracker without a template
 * do. */
static int set_cpuid(int kvm, int vcpu)
{
	enum { ENTRIES = 256 };
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + ENTRIES * sizeof(c->entries[0]));

	if (!c)
		return -1;
	c->nent = ENTRIES;
	int r = ioctl(kvm, KVM_GET_SUPPORTED_CPUID, c) < 0 || ioctl(vcpu, KVM_SET_CPUID2, c) < 0
			? -1
			: 0;
	free(c);
	return r;
}

static bool has_arch_capabilities(int vcpu)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 room[256];
	} c = { .head = { .nent = 256 } };

	if (ioctl(vcpu, KVM_GET_CPUID2, &c) < 0)
		return false;
	for (uint32_t i = 0; i < c.head.nent; i++)
		if (c.room[i].function == 7 && c.room[i].index == 0)
			return c.room[i].edx & 1u << 29;
	return false;
}

/* Read KVM's value of IA32_ARCH_CAPABILITIES and set it for the processor.  QEMU aborts on hosts
 * where KVM refuses its own value (target/i386/kvm/kvm.c, kvm_buf_set_msrs()). */
static int set_feature_msr(int kvm, int vcpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry msr;
	} m = { .head = { .nmsrs = 1 }, .msr = { .index = 0x10a } };

	if (!has_arch_capabilities(vcpu) || ioctl(kvm, KVM_GET_MSRS, &m) != 1)
		return 0;
	return ioctl(vcpu, KVM_SET_MSRS, &m) == 1 ? 0 : -1;
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool code)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = code,
		.db = !code,
	};
}

/* Set 64-bit mode with paging on, the state of the Linux boot protocol's 64-bit entry, as
 * Firecracker does. */
static int set_registers(int vcpu)
{
	struct kvm_sregs s;
	struct kvm_regs r = { .rip = CODE, .rsp = STACK, .rflags = 2 };

	if (ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
		return -1;
	s.cs = segment(SEL_CODE, 11, true);
	s.ds = s.es = s.fs = s.gs = s.ss = segment(SEL_DATA, 3, false);
	s.gdt = (struct kvm_dtable){ .base = GDT, .limit = 0x3f };
	s.idt = (struct kvm_dtable){ .base = IDT, .limit = 0xfff };
	s.cr3 = PML4;
	s.cr4 = 0x20;
	s.cr0 = 0x80000033;
	s.efer = 0x500;
	return ioctl(vcpu, KVM_SET_SREGS, &s) < 0 || ioctl(vcpu, KVM_SET_REGS, &r) < 0 ? -1 : 0;
}

/* Return: true if the guest ran to its end and wrote 'y' to PORT_DONE. */
static bool run_guest(int kvm, int vcpu)
{
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < (int)sizeof(struct kvm_run))
		return false;
	const struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
					 vcpu, 0);
	if (run == MAP_FAILED)
		return false;
	if (ioctl(vcpu, KVM_RUN, 0) < 0)
		return false;
	return run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT &&
	       run->io.port == PORT_DONE && *((const uint8_t *)run + run->io.data_offset) == 'y';
}

static bool probe(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	uint8_t *mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);

	if (kvm < 0 || mem == MAP_FAILED || ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return false;
	fill_memory(mem);
	int vcpu = make_vcpu(kvm, mem);
	if (vcpu < 0 || set_cpuid(kvm, vcpu) < 0 || set_feature_msr(kvm, vcpu) < 0 ||
	    set_registers(vcpu) < 0)
		return false;
	return run_guest(kvm, vcpu);
}

#else

static bool probe(void)
{
	return false; /* there is no guest code for this processor; VMs then run under TCG */
}

#endif

static void too_late(int sig)
{
	(void)sig;
	answer('n');
}

int main(void)
{
	struct sigaction sa = { .sa_handler = too_late };

	(void)sigaction(SIGALRM, &sa, NULL);
	(void)alarm(ALARM_S);
	answer(probe() ? 'y' : 'n');
	return 1;
}
