#!/bin/bash
# coverage.sh - counts with gcov the lines that the inputs of corpus/ reach; `make fuzz-coverage`
# calls it.
#
# Prints the share of each file, and the lines that no input reaches.  A share of a file of proto/
# or of a validation below its bound is a failure.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=build/cov
least=95 # percent
# FILE:FUNCTION,...: the named functions of the file do not count, because no peer can reach them:
# those that open sockets or wait for them, and the start of a process.
files="proto/wire.c proto/ops.c proto/ops_client.c proto/control.c proto/slot.c
	common/parse.c common/parse_user.c
	privhelper/role/role.c:role_main,become,check_boot_fds,fail_after
	privhelper/net/netlink.c:nl_open privhelper/net/link.c privhelper/tag.c:tag_of
	privhelper/net/set.c privhelper/net/conntrack.c privhelper/net/sweep.c
	privhelper/net/events.c:net_events_open,join
	controller/vmm/qemu.c controller/vmm/firecracker.c controller/storage/image_copy.c
	controller/cli/vmlinux.c controller/cli/cow.c"
find $B -name '*.gcda' -delete
for t in "$B"/fuzz/*; do
	"$t" "${t##*/}" "tests/adversary/corpus/${t##*/}" 20 || exit 1
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# One line for each line of code in an object: FILE LINE COUNT FUNCTION.
find $B -name '*.gcda' -exec gcov -t --json-format {} + 2>/dev/null |
	jq -r '.files[] | .file as $f | .lines[] |
		"\($f) \(.line_number) \(.count) \(.function_name // "-")"' >"$work/lines"
status=0
for f in $files; do
	name=${f%:*} except=
	[ "$name" = "$f" ] || except=${f#*:}
	# A line counts once, however many objects have it (a file may be compiled into several).
	awk -v f="$name" -v want=$least -v except=",$except," '
		$1 == f && !index(except, "," $4 ",") { seen[$2 + 0]; if ($3 > 0) hit[$2 + 0] }
		END {
			for (n in seen) { all++; if (n in hit) got++; else missed = missed " " n }
			share = all ? 100 * got / all : 0
			if (missed) missed = " not:" missed
			printf "%6.2f %% of %4d lines  %-40s%s\n", share, all, f, missed
			exit share < want
		}' "$work/lines" || { status=1; echo "not ok - $name: below $least %"; }
done
exit $status
