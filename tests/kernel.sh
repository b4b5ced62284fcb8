#!/bin/bash
# kernel.sh - print the path of the distribution's kernel package, fetched once into build/cache.
set -eu
cd "$(dirname "$0")/.."
deb=$PWD/build/cache/kernel.deb
if [ ! -s "$deb" ]; then
	mkdir -p "${deb%/*}"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	cd "$work"
	pkg() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }'; }
	# Without lists, apt knows of no package.
	[ -n "$(pkg)" ] || apt-get update -qq >/dev/null 2>&1
	# Several tests may fetch at once: each has a part of its own, and the last one that is whole stays.
	apt-get download -qq "$(pkg)" >/dev/null 2>apt.err && mv ./*.deb "$deb.$$" && mv "$deb.$$" "$deb" ||
		{ echo "kernel.sh: can not fetch the distribution's kernel package: $(tail -n 1 apt.err)" >&2; exit 1; }
fi
echo "$deb"
