/* commands.c - the table of commands: a row is a command, its help and its line in the overview. */
#include "controller/cli/cli.h"
#include "controller/cli/reference.h"

#define PRINTS (O(OUTPUT) | O(QUIET))
#define WORKS (PRINTS | O(PROGRESS))
#define COMMAND (O(TTY) | O(ENV) | O(AS) | O(WORKDIR))
#define FILTERS \
	(O(OUTPUT) | O(ROLE) | O(LOGS) | O(VM) | O(USER) | O(OP) | O(STATUS) | O(SINCE) | O(UNTIL))
#define SHAPE                                                                        \
	(O(NAME) | O(IMAGE) | O(VCPUS) | O(MEMORY) | O(DISK) | O(NAT) | O(RESTART) | \
	 O(AUTO_STOP) | O(VOLUME))

/* The first line of a help text is the command's line in the overview.  Each string is one line of
 * the help, where it fits into 100 columns. */
#define HELP_WORDS                                                                    \
	"One word after -- is a line for the guest's shell.  Several words are one\n" \
	"command and its arguments."

const struct command commands[] = {
	{ "vm", "run", NULL, "[IMAGE]", 0, 1, true,
	  WORKS | SHAPE | O(RM) | O(DETACH) | O(TIMEOUT) | COMMAND | O(SSH) | O(ENTRYPOINT) |
		  O(COPY),
	  "create and start a VM, then run a command or a shell in it\n"
	  "IMAGE is the name of an image here, a name of root's catalogue, or a reference to an\n"
	  "image of a registry; what is not here is made first (`image pull`).  Without IMAGE the\n"
	  "only image is taken, of several the catalogue's default.  On a host without images\n"
	  "that default is made, or a Debian if there is no catalogue (`image build`), and its\n"
	  "kernel.\n"
	  "Waits until the agent in the guest answers: 120 s, or --timeout.  The exit status\n"
	  "is that of the command.\n" HELP_WORDS "\n"
	  "--rm deletes the VM when the command ends, for whatever reason.  A VM that never\n"
	  "answered is kept, so that you can read its logs (exit status 7).\n"
	  "`run` holds its VM: if run is ended before its command, by kill -9 or a lost\n"
	  "terminal too, the service deletes the VM (--rm) or stops it.  A restart of the\n"
	  "service does not end it.  A VM of --detach is not held.\n"
	  "With a container image, the words after -- replace the image's command and follow\n"
	  "its entry point.  --entrypoint COMMAND takes the place of both; with \"\" the words\n"
	  "are run as by exec.  With --detach the guest itself starts the entry point, as it does\n"
	  "at each later `vm start`; its output is in `vm logs`.\n"
	  "--copy copies PATH as `vm cp` does, as root or --user, before the command starts; if\n"
	  "that fails, it does not start.  A relative GUEST, and none, begin where the command\n"
	  "starts.  The guest's init may empty /tmp and /run after the copy.\n"
	  "--volume mounts a volume at PATH before the guest's init starts, and makes it if you\n"
	  "have none of that name (`help volume create`).  It stays when the VM is deleted.\n"
	  "--ssh uses the guest's ssh server, as for kernels that were imported without agent.\n"
	  "--copy, --entrypoint, --env, --user and --workdir do not go with it.",
	  cmd_vm_run },
	{ "vm", "create", NULL, "[NAME]", 0, 1, false, WORKS | SHAPE,
	  "create a VM without starting it\n"
	  "Prints the VM's name.  Without --image, the image is chosen or made as by `vm run`.\n"
	  "--volume makes a volume that you do not have yet, too.",
	  cmd_vm_create },
	{ "vm", "start", NULL, "VM...", 1, -1, false, WORKS,
	  "start VMs\n"
	  "A guest of a container image starts the image's entry point, with its output in\n"
	  "`vm logs`, and goes on when that ends.\n"
	  "Returns when the guest's processors run.  `vm wait` waits until its ssh server\n"
	  "answers, `vm wait --for ready` until commands can be run in it.",
	  cmd_vm_start },
	{ "vm", "stop", NULL, "VM...", 1, -1, false, WORKS | O(TIMEOUT),
	  "shut VMs down\n"
	  "Has the agent in each guest power it off, and presses its power button.  An init that\n"
	  "does not end its guest has no more time than that: 2.5 s before the end of --timeout\n"
	  "(10 s) the agent ends all programs, syncs the disks and powers off.  A guest without\n"
	  "a free port to its agent that still runs then is killed.",
	  cmd_vm_stop },
	{ "vm", "restart", NULL, "VM...", 1, -1, false, WORKS | O(TIMEOUT),
	  "stop VMs, then start them\n"
	  "Stops as `vm stop` does, with the same --timeout.",
	  cmd_vm_restart },
	{ "vm", "kill", NULL, "VM...", 1, -1, false, WORKS, "end VMs at once, as a power cut would",
	  cmd_vm_kill },
	{ "vm", "delete", "rm", "VM...", 1, -1, false, WORKS | O(IF_EXISTS),
	  "delete VMs with their disks; running VMs are killed first", cmd_vm_delete },
	{ "vm", "list", "ps ls", "", 0, 0, false, PRINTS | O(ALL),
	  "list your VMs, in every state\n"
	  "`ready` is a running VM whose agent has answered since its start.  -o json shows it\n"
	  "as state `running` with `ready` true.\n"
	  "\"held\": the VM ends with the `run` that made it.\n"
	  "As root, --all lists the VMs of all users.",
	  cmd_vm_list },
	{ "vm", "show", "inspect", "VM", 1, 1, false, PRINTS,
	  "show the settings and the state of a VM\n"
	  "The line `hold` says what happens to it when the `run` that holds it ends.\n"
	  "The lines `runtime` name the VM's objects on the host: process, cgroup, tap, disk.",
	  cmd_vm_show },
	{ "vm", "stats", NULL, "[VM...]", 0, -1, false, O(OUTPUT),
	  "show how much processor, memory and network running VMs use\n"
	  "Measures one second.  -o json prints the kernel's counters unchanged.",
	  cmd_vm_stats },
	{ "vm", "set", NULL, "VM", 1, 1, false,
	  WORKS | O(VCPUS) | O(MEMORY) | O(NAT) | O(NO_NAT) | O(RESTART) | O(AUTO_STOP),
	  "change the settings of a VM\n"
	  "Processors and memory change at the next start, all other settings at once.",
	  cmd_vm_set },
	{ "vm", "ssh", NULL, "VM", 1, 1, true, O(TTY) | O(TIMEOUT) | O(PROGRESS),
	  "open a shell in a running VM, as root, by its ssh server\n"
	  "The connection goes through the agent, so the guest needs no network.  If no agent\n"
	  "answers, it goes over the network.  The exit status is that of the shell.\n"
	  "scp, rsync and editors use `vm ssh-config`.",
	  cmd_vm_ssh },
	{ "vm", "ssh-config", NULL, "VM", 1, 1, false, 0,
	  "print a block for ssh_config(5), by which ssh, scp and others reach a VM\n"
	  "banger ssh-config VM >>~/.ssh/config; scp FILE VM.banger:\n"
	  "The connection goes through the agent, by `vm forward VM - 22`.  The VM has to run\n"
	  "when the block is used.  The block has the VM's id: it never leads to another VM of\n"
	  "the same name.  Host keys are kept where `vm ssh` keeps them.",
	  cmd_vm_ssh_config },
	{ "vm", "shell", NULL, "VM", 1, 1, true, COMMAND | O(TIMEOUT) | O(PROGRESS),
	  "open a shell in a running VM, as root or --user, by the agent in the guest\n"
	  "Needs neither a network nor an ssh server in the guest.",
	  cmd_vm_shell },
	{ "vm", "exec", NULL, "VM", 1, 1, true,
	  COMMAND | O(TIMEOUT) | O(PROGRESS) | O(NO_STDIN) | O(SSH),
	  "run a command in a running VM, as root or --user\n"
	  "The exit status is that of the command, 128 + n if signal n ended it, 127 if there\n"
	  "is no such program, 126 if it can not be started, 125 if banger itself failed.\n"
	  "Needs neither a network nor an ssh server in the guest; --ssh uses both, and does\n"
	  "not go with --env, --user and --workdir.\n"
	  "When exec is killed, the command ends with all jobs of its shell.  Daemons that\n"
	  "have left its session (setsid) stay.  It ends likewise when its input has ended and\n"
	  "nothing reads its output and its errors any more.\n"
	  "The command reads exec's standard input to its end.  A loop that reads a list from\n"
	  "its standard input needs -n:\n"
	  "banger ps -q | while read v; do banger exec -n $v -- uptime; done\n" HELP_WORDS,
	  cmd_vm_exec },
	{ "vm", "cp", NULL, "SOURCE... DESTINATION", 2, -1, false,
	  O(ARCHIVE) | O(FOLLOW_LINK) | O(AS) | O(SILENT) | O(TIMEOUT),
	  "copy files and folders into a running VM, or out of it\n"
	  "banger cp FILE... VM:PATH     banger cp VM:PATH... DIR\n"
	  "banger cp - VM:DIR <x.tar     banger cp VM:PATH - >x.tar\n"
	  "A PATH without / at its begin is below the home of root, or --user.  A file of this\n"
	  "host with a colon in its name is written ./NAME.  Needs neither a network nor any\n"
	  "program in the guest.\n"
	  "Names are chosen as by cp -a: if DESTINATION is a folder, the copies go into it; if\n"
	  "it does not exist, or is a file, it is the copy of the only SOURCE.  SOURCE/. stands\n"
	  "for what is in a folder.  Folders that exist stay as they are and are added to;\n"
	  "files are replaced, each only when its copy is complete.  A symbolic link of this\n"
	  "host is no DESTINATION: an earlier copy may have brought it.  With / behind it, it\n"
	  "is the folder that it leads to.\n"
	  "Modes, times, symbolic and hard links and holes are kept.  The copies belong to the\n"
	  "user who makes them: root or --user in the guest, yourself outside; --archive keeps\n"
	  "the owners, which needs root on that side.  Use it only for guests that you trust.\n"
	  "Devices, sockets and FIFOs are left out; extended attributes are not copied.\n"
	  "A tar stream may be compressed (gzip, bzip2, xz, zstd) on its way in.\n"
	  "Progress is shown if standard error is a terminal.  The exit status is 10 if only a\n"
	  "part could be copied; each file that was not is told.",
	  cmd_vm_cp },
	{ "vm", "forward", NULL, "VM [ADDRESS:]PORT:TO|SOCKET:TO...", 2, -1, false,
	  O(AS) | O(TIMEOUT) | PRINTS,
	  "forward ports and sockets of this host to those of a running VM\n"
	  "banger forward VM 8080:80     banger forward VM /run/user/1000/x:/run/docker.sock\n"
	  "banger forward VM - 22\n"
	  "TO is a TCP port of the guest's loopback, or the path of a Unix socket in it.  The\n"
	  "agent connects, as root or --user, so the guest needs no network.\n"
	  "PORT is one of 127.0.0.1, or of ADDRESS ([::1], 0.0.0.0); 0 takes a free one, which\n"
	  "is printed.  All users of this host can connect to it.  SOCKET is a path, with mode\n"
	  "0600: it is for you alone.  A path here has a / in it, and no colon.\n"
	  "With -, standard input and output are the connection.\n"
	  "Prints a line for each forward when it can be used, and runs until it is ended by a\n"
	  "signal, or (exit status 5) the VM is stopped or deleted.  If its guest reboots, it\n"
	  "goes on, and a new connection waits for the guest, 120 s or --timeout.\n"
	  "Each connection takes a port to the agent; 64 at most wait for one, for 10 s or\n"
	  "--timeout.  A client that is gone gives its port back within 2 s, if the guest takes\n"
	  "nothing more of what it has sent; the server still gets what the agent has by then.",
	  cmd_vm_forward },
	{ "vm", "wait", NULL, "VM...", 1, -1, false, PRINTS | O(TIMEOUT) | O(FOR),
	  "wait until the ssh servers of running VMs answer, or --for something else\n"
	  "running: the guest's processors run.  ready: the agent in the guest answers; it needs\n"
	  "neither a network nor an ssh server.  stopped: the VM is at rest.  exited: the run\n"
	  "that goes on now has ended, also if a restart policy started the VM again.\n"
	  "Waits 120 s, or --timeout (exit status 7).  A wait for an answer, and for running,\n"
	  "also ends when the VM stops and is not started again by itself (exit status 5).",
	  cmd_vm_wait },
	{ "vm", "export", NULL, "VM FILE", 2, 2, false, 0,
	  "write the disk of a VM at rest to a file, as the ext4 file system that it is\n"
	  "FILE is replaced when it is complete, with mode 0600; holes stay holes.  - is standard\n"
	  "output.  `image import` makes an image of it, mount -o loop shows what is in it.\n"
	  "Volumes are not part of it.\n"
	  "Until the export has ended, the VM can be neither started nor deleted.  After\n"
	  "`vm kill` the disk is as after a power cut: the first mount replays its journal.",
	  cmd_vm_export },
	{ "vm", "commit", NULL, "VM NAME", 2, 2, false, WORKS | O(KERNEL),
	  "make an image of the disk of a VM at rest\n"
	  "The image is yours.  It has the kernel of the VM, or --kernel, and keeps the entry\n"
	  "point, environment, user and folder of the image that the VM was made from.  The same\n"
	  "limits apply as to `image import`.  `image show` names the VM and that image.\n"
	  "First the disk is copied to an unnamed file in $TMPDIR or ~/.cache/banger.  Meanwhile\n"
	  "the VM can be neither started nor deleted.\n"
	  "All that the guest wrote is in the image: logs, ssh host keys, secrets; but not what\n"
	  "is in its volumes.  Remove in the guest first what VMs of the image must not share:\n"
	  "rm /etc/ssh/ssh_host_*\n"
	  "After `vm kill` the disk is as after a power cut: each VM of the image replays the\n"
	  "journal at its first start.  `vm stop` first gives a clean one.",
	  cmd_vm_commit },
	{ "vm", "host-key", NULL, "VM", 1, 1, false, O(OUTPUT) | O(ACCEPT),
	  "compare a guest's ssh host key with the key stored on the host\n"
	  "Prints both fingerprints.  The exit status is 5 when the keys differ.  If you\n"
	  "changed the guest's key yourself, --accept stores the new key.",
	  cmd_vm_host_key },
	{ "vm", "console", NULL, "VM", 1, 1, false, O(ESCAPE),
	  "use the serial console of a running VM, both ways\n"
	  "For a guest that has no agent, or not yet: its boot, an emergency shell, a login\n"
	  "prompt.  Shows the end of what was printed, then what the guest prints, and types\n"
	  "what you type.  Ctrl-] leaves the console, or --escape CHAR; the VM goes on.\n"
	  "`vm logs` has all output, whether somebody is at the console or not.  New output\n"
	  "reaches your terminal unchanged, as by ssh.\n"
	  "Several may be at one console: each sees all output, and what they type is mixed.\n"
	  "The size of your terminal is not told to the guest; stty rows 50 cols 132 does.\n"
	  "Goes on over a restart of the service, and over a reboot of the guest if the service\n"
	  "starts it again at once (QEMU).  Ends with the VM.  A VM that an earlier banger has\n"
	  "started takes no input before its next start (exit status 5).",
	  cmd_vm_console },
	{ "vm", "logs", NULL, "VM", 1, 1, false, O(FOLLOW) | O(VMM) | O(METRICS) | O(JOURNAL),
	  "print the console of a guest\n"
	  "--vmm prints the monitor's own log instead, --metrics the monitor's metrics, the\n"
	  "newest last.  Only Firecracker has these two.  QEMU's messages are on the console.\n"
	  "--journal runs journalctl in the guest, for the messages since its boot; the VM has\n"
	  "to run.\n"
	  "On a terminal, control bytes and escape sequences are left out.",
	  cmd_vm_logs },
	{ "image", "list", "ls", "", 0, 0, false, PRINTS,
	  "list the root file systems that VMs start from", cmd_image_list },
	{ "image", "show", "inspect history", "IMAGE", 1, 1, false, PRINTS,
	  "show what an image is made of: origin, digests, layers\n"
	  "IMAGE is a name, or the digest or at least 12 digits of its begin, here and in all\n"
	  "other commands.  `digest` is that of the content; two images with one digest are the\n"
	  "same.  `config` is the SHA-256 of a container image's configuration, by which podman\n"
	  "and docker call it.  Of a layer, the first 12 digits of the SHA-256 of its tar.",
	  cmd_image_show },
	{ "image", "import", NULL, "NAME FILE", 2, 2, false, WORKS | O(KERNEL) | O(SIZE),
	  "import an ext4 file system, a tar, a container image or a disk\n"
	  "FILE is opened with your own rights; it may be a pipe, or - for standard input.  Its\n"
	  "content decides.  An ext4 is taken as it is.  These become one, plain or compressed by\n"
	  "gzip, zstd, xz or bzip2, without root and without subordinate ids:\n"
	  "  a tar of a root file system\n"
	  "  an OCI layout, as a folder or a tar; one image of several: oci:FILE:TAG\n"
	  "  the tar of `docker save` or `podman save`; one of several: docker-archive:FILE:NAME\n"
	  "The file system has --size, by default 1G and four times the input.  `run` starts the\n"
	  "entry point of a container image, with its environment, user and folder.\n"
	  "A disk, raw or qcow2, with a GPT or an MBR: its root file system is copied, byte by\n"
	  "byte, if it is ext4; it may have --size, by default 64G.  The root is the partition\n"
	  "of that type, else the largest one of Linux.\n"
	  "Without --kernel the only kernel is taken; if there is none, Debian's is fetched.\n"
	  "Needs the package e2fsprogs, but not for an ext4.",
	  cmd_image_import },
	{ "image", "pull", NULL, "REFERENCE [NAME]", 1, 2, false, WORKS | O(KERNEL) | O(SIZE),
	  "fetch a container image from a registry and import it\n"
	  "skopeo fetches it as you, with your credentials, mirrors and policy\n"
	  "(containers-auth.json(5), containers-registries.conf(5), containers-policy.json(5)).\n"
	  "REFERENCE may be a name of root's catalogue, " CATALOGUE ", too.\n"
	  "NAME is by default that name, or the whole reference with its registry, with - for\n"
	  "characters that no name has: python:3.12 becomes python-3-12.  `run` takes an image\n"
	  "for a reference only if it was pulled from there.  Without --kernel the only kernel\n"
	  "is taken; if there is none, Debian's is fetched.\n"
	  "Needs the packages skopeo and e2fsprogs.",
	  cmd_image_pull },
	{ "image", "build", NULL, "debian [NAME]", 1, 2, false,
	  O(PROGRESS) | O(KERNEL) | O(SIZE) | O(INCLUDE) | O(SUITE) | O(OUTPUT_FILE),
	  "build a Debian root file system with mmdebstrap and import it\n"
	  "Needs NAME, or --output FILE alone.  --size is 1G by default.\n"
	  "Packages of the host's own release come from the host's apt sources, with its proxy\n"
	  "and its keys; packages of another release come from deb.debian.org.  FILE is replaced\n"
	  "when the image is complete.\n"
	  "Needs the packages mmdebstrap and e2fsprogs.  Without root it also needs uidmap and\n"
	  "a range in /etc/subuid, or fakechroot and fakeroot.",
	  cmd_image_build },
	{ "image", "tag", NULL, "IMAGE NAME", 2, 2, false, PRINTS,
	  "give an image a second name\n"
	  "The image stays until its last name is deleted.  A name of your own for an image of\n"
	  "root's keeps it for you.",
	  cmd_image_tag },
	{ "image", "export", NULL, "IMAGE FILE", 2, 2, false, 0,
	  "write an image to a file, as the ext4 file system that it is\n"
	  "FILE is replaced when it is complete; holes stay holes.  - is standard output.  `image\n"
	  "import` makes the same image of it, with the same digest.",
	  cmd_image_export },
	{ "image", "prune", NULL, "", 0, 0, false, PRINTS | O(DRY_RUN),
	  "delete your images that no VM uses, and print their names", cmd_image_prune },
	{ "image", "delete", "rm", "IMAGE...", 1, -1, false, WORKS | O(IF_EXISTS),
	  "delete images that no VM uses", cmd_image_delete },
	{ "volume", "list", "ls", "", 0, 0, false, PRINTS,
	  "list your volumes, disks that outlive their VMs", cmd_volume_list },
	{ "volume", "create", NULL, "NAME", 1, 1, false, WORKS | O(SIZE),
	  "make a volume, a disk that VMs mount by --volume\n"
	  "It is an empty ext4 file system of --size, by default 4G.  It takes room of the host\n"
	  "as it is filled.  It is for your own VMs alone.\n"
	  "banger run -v NAME:/PATH attaches it to a new VM, for as long as the VM exists, with\n"
	  ":ro behind it read-only.  A start fails (exit status 5) while another VM runs with it,\n"
	  "unless both have it read-only.\n"
	  "An empty volume gets a copy of what the image has at PATH, with owners and modes.  A\n"
	  "guest that can not mount a volume ends; its console says why.\n"
	  "Needs the package e2fsprogs.",
	  cmd_volume_create },
	{ "volume", "show", "inspect", "VOLUME", 1, 1, false, PRINTS,
	  "show the size of a volume, and the VMs that have it", cmd_volume_show },
	{ "volume", "delete", "rm", "VOLUME...", 1, -1, false, WORKS | O(IF_EXISTS),
	  "delete volumes that no VM has, with what is on them", cmd_volume_delete },
	{ "kernel", "list", "ls", "", 0, 0, false, PRINTS,
	  "list the kernels that images are started with", cmd_kernel_list },
	{ "kernel", "import", NULL, "NAME [debian]", 1, 2, false,
	  WORKS | O(DEB) | O(VMLINUZ) | O(MODULES),
	  "import a kernel and make its initramfs\n"
	  "--deb takes a Debian package, --vmlinuz and --modules take files.  `NAME debian`\n"
	  "downloads the package of linux-image-cloud-amd64 with this host's apt.\n"
	  "Needs the packages busybox-static and kmod.",
	  cmd_kernel_import },
	{ "kernel", "delete", "rm", "KERNEL...", 1, -1, false, WORKS | O(IF_EXISTS),
	  "delete kernels that no image uses", cmd_kernel_delete },
	{ "host", "reconcile", NULL, "", 0, 0, false, O(OUTPUT) | O(DRY_RUN),
	  "compare the kernel's objects with the state database and repair differences\n"
	  "For root.  The service does the same at each start, every ten seconds, and when\n"
	  "an object of a VM is removed.  VMs continue to run.",
	  cmd_host_reconcile },
	{ "host", "gc", NULL, "", 0, 0, false, O(OUTPUT) | O(DRY_RUN),
	  "remove orphaned kernel objects and files, and leftovers of stopped VMs\n"
	  "Files are disks, images, kernels and volumes that no row of the database names.\n"
	  "For root.  Running VMs keep all their objects.",
	  cmd_host_reconcile },
	{ "host", "drain", NULL, "", 0, 0, false, O(OUTPUT) | O(TIMEOUT),
	  "shut all VMs down before the host shuts down, and start no VM any more\n"
	  "For root; banger-vms.service calls it.  Restart policies stay, and apply at the next\n"
	  "start of the service.",
	  cmd_host_drain },
	{ "audit", "show", NULL, "[OPERATION]", 0, 1, false, FILTERS | O(FOLLOW),
	  "show the requests to the privileged roles, and their results\n"
	  "OPERATION is the id after `op` in a message; without it, all requests are shown.\n"
	  "-o json prints the records unchanged.  Users see the records of their own VMs.\n"
	  "--logs reads the files, rotated ones too; for root and the group banger-audit.",
	  cmd_audit_show },
	{ "audit", "tail", NULL, "[OPERATION]", 0, 1, false, FILTERS | O(FOLLOW) | O(LINES),
	  "show the newest of these records", cmd_audit_tail },
	{ "audit", "stats", NULL, "[OPERATION]", 0, 1, false, FILTERS,
	  "count requests, refusals and times, by user and by request", cmd_audit_stats },
	{ "audit", "verify", NULL, "", 0, 0, false,
	  O(OUTPUT) | O(KEY) | O(CHECKPOINTS) | O(ROLE) | O(LOGS) | O(CONFIG),
	  "verify the request logs: what is proven, only chained, or missing\n"
	  "Works without the daemon, with the keys of `audit key` and the service's log:\n"
	  "journalctl -u banger -o cat | banger audit verify --key FILE --checkpoints -\n"
	  "The exit status is 1 if a log is refused; a finding names file, byte and record.",
	  cmd_audit_verify },
	{ "audit", "diff", NULL, "", 0, 0, false, O(OUTPUT) | O(LOGS) | O(CONFIG),
	  "compare the objects in the request logs with those of the kernel\n"
	  "A difference is a leak, a change by another process, or a false record.",
	  cmd_audit_diff },
	{ "audit", "key", NULL, "", 0, 0, false, O(CONFIG) | O(LOGS),
	  "give the request logs new keys, and print them\n"
	  "For root, while the service is stopped.  The keys are printed once and stored\n"
	  "nowhere.  They verify, and can forge, each later record.  To seal them:\n"
	  "banger audit key | systemd-creds encrypt - FILE",
	  cmd_audit_key },
	{ "doctor", NULL, NULL, "", 0, 0, false, O(OUTPUT) | O(DB) | O(POLICY) | O(CONFIG),
	  "check whether this host can run VMs\n"
	  "Works without the daemon and without root; --db needs the daemon or root, --policy\n"
	  "both.  --policy compares what the kernel shows of each process of the service with\n"
	  "what `banger-privhelper --print-policy` prints, twice: a process that changes what\n"
	  "it holds between the two looks is not found.  The exit status is 9 if a check\n"
	  "reports FAIL.",
	  cmd_doctor },
	{ "version", NULL, NULL, "", 0, 0, false, O(OUTPUT),
	  "print the versions of this program and of the daemon", cmd_version },
	{ "help", NULL, NULL, "[COMMAND]", 0, 2, false, 0,
	  "print this list, or the help of one command", cmd_help },
	{ 0 },
};
