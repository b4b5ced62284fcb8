/* The table of commands.  A row here is a command, its help and its line in the overview. */
#include "controller/cli/cli.h"

#define PRINTS (O(OUTPUT) | O(QUIET))
#define WORKS (PRINTS | O(PROGRESS))
#define SHAPE \
	(O(NAME) | O(IMAGE) | O(VCPUS) | O(MEMORY) | O(DISK) | O(NAT) | O(RESTART) | O(AUTO_STOP))

const struct command commands[] = {
	{ "vm", "run", NULL, "", 0, 0, true,
	  WORKS | SHAPE | O(RM) | O(DETACH) | O(TIMEOUT) | O(TTY),
	  "make a VM, start it, and run a command in it, or a shell\n"
	  "Waits until the guest's ssh server answers (120s, or --timeout).  The exit status is "
	  "the command's.\n"
	  "One word behind -- is a line for the guest's shell; several are the words of one "
	  "command.\n"
	  "With --rm the VM is deleted whatever happened, except that one whose ssh never answered "
	  "is kept to be\n"
	  "looked at (exit status 7).",
	  cmd_vm_run },
	{ "vm", "create", NULL, "[NAME]", 0, 1, false, WORKS | SHAPE,
	  "make a VM; it does not run yet\nPrints its name.", cmd_vm_create },
	{ "vm", "start", NULL, "VM...", 1, -1, false, WORKS,
	  "start VMs\nReturns when the VMM runs; `vm wait` waits for the guest.", cmd_vm_start },
	{ "vm", "stop", NULL, "VM...", 1, -1, false, WORKS | O(TIMEOUT),
	  "ask guests to power off, and end those that do not\n--timeout: how long a guest has for "
	  "it.",
	  cmd_vm_stop },
	{ "vm", "restart", NULL, "VM...", 1, -1, false, WORKS | O(TIMEOUT),
	  "stop VMs, then start them", cmd_vm_restart },
	{ "vm", "kill", NULL, "VM...", 1, -1, false, WORKS, "end VMs at once, as a power cut would",
	  cmd_vm_kill },
	{ "vm", "delete", "rm", "VM...", 1, -1, false, WORKS | O(IF_EXISTS),
	  "end VMs and remove all that belongs to them, disks too", cmd_vm_delete },
	{ "vm", "list", "ps ls", "", 0, 0, false, PRINTS | O(ALL),
	  "list your VMs, in every state\nroot: --all for those of everybody.", cmd_vm_list },
	{ "vm", "show", "inspect", "VM", 1, 1, false, PRINTS,
	  "show all that is known of a VM\n`runtime` names what it holds on the host, for cleaning "
	  "up by hand.",
	  cmd_vm_show },
	{ "vm", "stats", NULL, "[VM...]", 0, -1, false, O(OUTPUT),
	  "show what running VMs use\nOver one second; -o json gives the kernel's counters as they "
	  "are.",
	  cmd_vm_stats },
	{ "vm", "set", NULL, "VM", 1, 1, false,
	  WORKS | O(VCPUS) | O(MEMORY) | O(NAT) | O(NO_NAT) | O(RESTART) | O(AUTO_STOP),
	  "change the settings of a VM\nProcessors and memory change at the next start, the rest "
	  "at once.",
	  cmd_vm_set },
	{ "vm", "ssh", NULL, "VM", 1, 1, true, O(TTY) | O(TIMEOUT) | O(PROGRESS),
	  "open a shell in a running VM, as root\nThe exit status is the shell's.", cmd_vm_ssh },
	{ "vm", "exec", NULL, "VM", 1, 1, true, O(TTY) | O(TIMEOUT) | O(PROGRESS) | O(NO_STDIN),
	  "run a command in a running VM, as root\n"
	  "The exit status is the command's.  exec never asks anything.\n"
	  "The command gets exec's standard input, all of it.  In a loop that reads its list from "
	  "there, give -n:\n"
	  "banger ps -q | while read v; do banger exec -n $v -- uptime; done\n"
	  "One word behind -- is a line for the guest's shell; several are the words of one "
	  "command.",
	  cmd_vm_exec },
	{ "vm", "wait", NULL, "VM...", 1, -1, false, PRINTS | O(TIMEOUT),
	  "wait until the ssh servers of running VMs answer\n"
	  "The wait ends at 120s, or --timeout (exit status 7), and when the VM ends (5).",
	  cmd_vm_wait },
	{ "vm", "host-key", NULL, "VM", 1, 1, false, O(OUTPUT) | O(ACCEPT),
	  "compare a guest's ssh host key with the one that is kept of it\n"
	  "Prints the fingerprints of both; exit status 5 when they differ.  After a change that "
	  "you made yourself, --accept\n"
	  "keeps the new one.",
	  cmd_vm_host_key },
	{ "vm", "logs", NULL, "VM", 1, 1, false, O(FOLLOW) | O(VMM) | O(METRICS),
	  "print what the guest wrote to its console\n"
	  "Or the monitor's own log (--vmm), or its metrics, the newest last (--metrics).  "
	  "Firecracker has these two;\n"
	  "what QEMU says is on the console.  On a terminal without control bytes and escape "
	  "sequences.",
	  cmd_vm_logs },
	{ "image", "list", "ls", "", 0, 0, false, PRINTS,
	  "list the root file systems that VMs start from", cmd_image_list },
	{ "image", "import", NULL, "NAME FILE", 2, 2, false, WORKS | O(KERNEL),
	  "take in a finished ext4 file system\nThe file is opened here, with your rights.  A pipe "
	  "is read to its end first: <(zcat FILE.gz).",
	  cmd_image_import },
	{ "image", "build", NULL, "debian [NAME]", 1, 2, false,
	  O(PROGRESS) | O(KERNEL) | O(SIZE) | O(INCLUDE) | O(SUITE) | O(OUTPUT_FILE),
	  "make a Debian root file system with mmdebstrap, as you, and take it in\n"
	  "NAME and --kernel, or --output FILE alone.  Packages of the host's own release come "
	  "from the host's apt sources,\n"
	  "by its proxy and with its keys, else from deb.debian.org.  FILE is replaced when the "
	  "image is whole.\n"
	  "Needs the packages mmdebstrap and e2fsprogs; not as root also uidmap and a range in "
	  "/etc/subuid, or\n"
	  "fakechroot and fakeroot.",
	  cmd_image_build },
	{ "image", "delete", "rm", "IMAGE...", 1, -1, false, WORKS | O(IF_EXISTS),
	  "remove images that no VM uses", cmd_image_delete },
	{ "kernel", "list", "ls", "", 0, 0, false, PRINTS,
	  "list the kernels that images are started with", cmd_kernel_list },
	{ "kernel", "import", NULL, "NAME [debian]", 1, 2, false,
	  WORKS | O(DEB) | O(VMLINUZ) | O(MODULES),
	  "take in a kernel, and make its initramfs\n"
	  "From a package (--deb), from files (--vmlinuz with --modules), or `NAME debian`: the "
	  "package that\n"
	  "linux-image-cloud-amd64 stands for, fetched with this host's apt.\n"
	  "Needs the packages busybox-static and kmod.",
	  cmd_kernel_import },
	{ "kernel", "delete", "rm", "KERNEL...", 1, -1, false, WORKS | O(IF_EXISTS),
	  "remove kernels that no image uses", cmd_kernel_delete },
	{ "host", "reconcile", NULL, "", 0, 0, false, O(OUTPUT) | O(DRY_RUN),
	  "compare the kernel's objects with the state database, and repair what differs\n"
	  "For root.  It is done by itself at every start, every ten seconds, and when something "
	  "is taken away; VMs go on.",
	  cmd_host_reconcile },
	{ "host", "gc", NULL, "", 0, 0, false, O(OUTPUT) | O(DRY_RUN),
	  "remove orphans: kernel objects, disks and image files that no record names, and "
	  "leftovers of stopped VMs\n"
	  "For root.  Running VMs are left alone.",
	  cmd_host_reconcile },
	{ "host", "drain", NULL, "", 0, 0, false, O(OUTPUT) | O(TIMEOUT),
	  "power all VMs off because the host goes down, and start none any more\n"
	  "For root; banger-vms.service calls it.  Restart policies are kept, and hold at the next "
	  "start of the service.",
	  cmd_host_drain },
	{ "audit", "show", NULL, "[OPERATION]", 0, 1, false, O(OUTPUT),
	  "show what the privileged roles were asked, and what came of it\n"
	  "Of one operation (the id behind `op`) or of all.  -o json prints the records as the "
	  "roles wrote them.",
	  cmd_audit_show },
	{ "doctor", NULL, NULL, "", 0, 0, false, O(OUTPUT) | O(DB) | O(CONFIG),
	  "check this host\nWorks without the daemon and without root (--db: one of the two).  "
	  "Exit status 9 when something FAILs.",
	  cmd_doctor },
	{ "version", NULL, NULL, "", 0, 0, false, O(OUTPUT),
	  "print the versions of this program and of the daemon", cmd_version },
	{ "help", NULL, NULL, "[COMMAND]", 0, 2, false, 0, "print this list, or one command's help",
	  cmd_help },
	{ 0 },
};
