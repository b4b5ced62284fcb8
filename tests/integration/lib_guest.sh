# lib_guest.sh - the begin of a test that has the whole set and real guests, in namespaces of its
# own; its end removes both.  Source it first, with the programs that the test needs besides:
#
#	. "$(dirname "$0")/lib_guest.sh" perl
#	set_prepare            # lib_set.sh says how it goes on
#
# The functions below are Alice's, and take the VM `web`.
# shellcheck shell=bash source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
needs qemu-system-x86_64 mke2fs jq dpkg-deb "$@"
[ -n "$(cgroup_mount)" ] || skip_all "needs cgroup v2"
in_ns
. "$(dirname "${BASH_SOURCE[0]}")/lib_set.sh"
trap 'set_stop; umount /etc/passwd; finish' EXIT

banger() { as $ALICE "$@"; }
in_guest() { banger exec -n web -- "$@"; }
boot_id() { in_guest cat /proc/sys/kernel/random/boot_id; }
other_boot() { # other_boot ID: it runs again, with another boot id
	local id
	id=$(boot_id) && [ -n "$id" ] && [ "$id" != "$1" ]
}
