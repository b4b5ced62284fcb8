#!/bin/bash
# lint.sh - cppcheck, clang-tidy and shellcheck over the tree; each finding is a failure.
set -u
cd "$(dirname "$0")/.."
status=0
mapfile -t sources < <(git ls-files '*.c' | grep -v '^tests/')
cflags=$(pkg-config --cflags libarchive libseccomp libcap-ng libmnl libnftnl sqlite3 libcurl jansson libmd 2>/dev/null)
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	--suppress=missingIncludeSystem --library=posix -D_GNU_SOURCE -I. "${sources[@]}" || status=1
clang-tidy --quiet --warnings-as-errors='*' "${sources[@]}" -- -std=gnu17 -D_GNU_SOURCE -DBANGER_VERSION='"lint"' -I. $cflags \
	2>/dev/null || status=1
git ls-files '*.sh' '.ci/run' | xargs shellcheck -S warning || status=1
[ $status = 0 ] && echo "lint: clean"
exit $status
