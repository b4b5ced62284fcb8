#!/bin/bash
# lint.sh - cppcheck, clang-tidy and shellcheck over the tree; each finding is a failure.
set -u
cd "$(dirname "$0")/.." || exit 1
status=0
mapfile -t sources < <(git ls-files '*.c' | grep -v -e '^tests/' -e failpoint)
cflags=$(pkg-config --cflags libarchive libseccomp libcap-ng libmnl libnftnl sqlite3 libcurl \
	jansson libmd ext2fs nettle 2>/dev/null)
# A terminal may know no more: what the command line prints is ASCII.
git ls-files 'controller/cli/*.[ch]' | xargs grep -nP '[^\x00-\x7F]' && status=1
tests/failures.sh || status=1
# Releases of clang-format differ in details; the tree is written in the one of Debian 12.
if clang-format --version | grep -q 'version 14\.'; then
	git ls-files '*.c' '*.h' | xargs clang-format --dry-run --Werror || status=1
else
	echo "lint: the format is not checked: that needs clang-format 14"
fi
# clang-format breaks no strings and no comments, and nothing formats the others.
git ls-files '*.sh' .ci/run '*.[ch]' '*.awk' '*.def' '*.md' Makefile '*/Makefile' \
	'controller/cli/in_guest/*' privhelper/banger.conf controller/cli/images.conf |
	xargs awk -f tests/columns.awk || status=1
tests/lines.sh || status=1
# What cppcheck is not asked for.
# resourceLeak, memleak: it does not know cleanup attributes; the sanitizers watch for leaks.
# *Called: those calls are made before there is a second thread.
# comparePointers: start and end of a blob that the assembler placed.
# preprocessorErrorDirective: macros that take other macros (proto/ops.h).
# ctunullpointer, nullPointerRedundantCheck: it loses a check that a helper function made.
unasked=(missingIncludeSystem resourceLeak memleak readdirCalled getpwnamCalled getgrnamCalled
	getpwuidCalled getpwentCalled getgrentCalled getgrgidCalled fgetpwentCalled fgetgrentCalled
	comparePointers preprocessorErrorDirective ctunullpointer nullPointerRedundantCheck
	identicalInnerCondition)
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	--error-exitcode=1 "${unasked[@]/#/--suppress=}" \
	'-Dmnl_attr_for_each_nested(a,n)=for(;;)' '-Dmnl_attr_for_each(a,n,o)=for(;;)' \
	--library=posix -D_GNU_SOURCE -I. "${sources[@]}" || status=1
clang-tidy --quiet --warnings-as-errors='*' "${sources[@]}" -- \
	-std=gnu17 -D_GNU_SOURCE -DBANGER_VERSION='"lint"' -DAGENT_PATH='"/bin/true"' -I. $cflags \
	2>/dev/null || status=1
clang-tidy --quiet --warnings-as-errors='*' common/failpoint.c proto/ops_failpoint.c -- \
	-std=gnu17 -D_GNU_SOURCE -DBANGER_FAILPOINTS -I. 2>/dev/null || status=1
# Without what it says of x= y=, {fd}>, and ls of /proc.
git ls-files '*.sh' '.ci/run' |
	xargs shellcheck -S warning -e SC1007,SC1083,SC2093,SC2010,SC2011,SC2155 || status=1
# A filter sees 64 bits, the kernel uses 32 of most: only these two comparisons refuse a value with
# any high bit.
git grep -nE 'SCMP_CMP_(NE|LT|LE|GT|GE)' -- '*.c' '*.h' ':!tests/unit/test_priv_policy.c' &&
	status=1
make --no-print-directory -C selinux lint 2>/dev/null || status=1
# What the look for failpoints must refuse: of the changes here, those that have none beside them.
places=$(mktemp -d) && mkdir "$places/controller" "$places/privhelper"
cat >"$places/controller/f.c" <<-'END'
	static int f(void)
	{
	FAILPOINT("a");
	if (renameat(d, n, d, m) < 0)
	return ftruncate(fd, 0);
	return ioctl(to, FICLONE, from);
	FAILPOINT("b");
	return sqlite3_exec(db, "DELETE", NULL, NULL, NULL);
	}
END
cat >"$places/privhelper/g.c" <<-'END'
	static int g(void)
	{
	FAILPOINT("a");
	mknod(n, m, d);
	return mount(a, b, c, 0, NULL);
	fchown(fd, 0, 0);
	umount2(a, 0);
	FAILPOINT("b");
	}
END
refused=$(awk -f tests/failpoints.awk "$places"/*/*.c | grep -oE '[a-z0-9_]+$|FICLONE$' | xargs)
[ "$refused" = "ftruncate mount fchown" ] ||
	{ echo "failpoints.awk does not refuse what it should"; status=1; }
rm -r "$places"
git ls-files 'controller/*.c' 'privhelper/*.c' |
	grep -v -e /cli/ -e /agent/ -e /copy/ -e /unpack/ -e kvmprobe |
	xargs awk -f tests/failpoints.awk || status=1
# Likewise of includes: what runs upward, what runs to a room on the same floor, and a file that has
# no floor.
places=$(mktemp -d) && mkdir -p "$places/controller/vmm"
printf '%s\n' '#include "common/log.h"' '#include "controller/helper/client.h"' \
	'#include "controller/lifecycle/exit.h"' '#include "controller/observe/audit.h"' \
	>"$places/controller/vmm/watch.c"
printf '%s\n' '#include "controller/ctl.h"' >"$places/controller/new.c"
refused=$(cd "$places" && awk -f "$OLDPWD/tests/floors.awk" controller/vmm/watch.c \
	controller/new.c | cut -d: -f1,2 | xargs)
[ "$refused" = "controller/vmm/watch.c:3 controller/vmm/watch.c:4 controller/new.c:1" ] ||
	{ echo "floors.awk does not refuse what it should"; status=1; }
rm -r "$places"
git ls-files 'controller/*.[ch]' 'privhelper/*.[ch]' 'common/*.[ch]' 'proto/*.[ch]' |
	xargs awk -f tests/floors.awk || status=1
[ $status = 0 ] && echo "lint: clean"
exit $status
