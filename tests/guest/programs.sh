#!/bin/bash
# programs.sh - banger and its tests, built on the release of the test guest, when that is not the
# host's: the libraries' names differ.  A Debian of that release with a compiler is made once, in
# build/cache/SUITE/tree.
set -eu
cd "$(dirname "$0")/../.."
. tests/guest/release.sh
[ "$suite" != "$host_suite" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "guest: needs root, to build on $suite" >&2; exit 1; }
tree=$PWD/$cache/tree
if [ ! -d "$tree" ]; then
	mkdir -p "$cache"
	rm -rf "$tree.part"
	timeout 900 mmdebstrap --quiet --mode=root --variant=minbase --include=ca-certificates \
		"$suite" "$tree.part" >"$tree.log" 2>&1 ||
		{ tail -n 30 "$tree.log" >&2; echo "guest: mmdebstrap failed" >&2; exit 1; }
	mkdir "$tree.part/src"
	mv "$tree.part" "$tree"
fi
mkdir -p "$programs"
cp /etc/resolv.conf "$tree/etc/resolv.conf"
in_release sh -euc "
	tests/deps.sh programs
	for t in 'release guest-programs' 'fail tests'; do
		make --no-print-directory -j\$(nproc) ${CI:+CI=1} MODE=\${t% *} \${t#* }
	done"
