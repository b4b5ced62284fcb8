#!/bin/bash
# kernel.sh [SUITE] - print the path of the distribution's kernel package, fetched once into
# build/cache. Of a release of Debian that is not the host's it is in build/cache/SUITE; apt then
# has lists of its own.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=/dev/null
host=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
suite=${1:-$host} apt=()
deb=$PWD/build/cache/kernel.deb
[ "$suite" = "$host" ] || deb=$PWD/build/cache/$suite/kernel.deb
if [ ! -s "$deb" ]; then
	mkdir -p "${deb%/*}"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	cd "$work"
	if [ "$suite" != "$host" ]; then
		mkdir -p lists/partial
		keyring=/usr/share/keyrings/debian-archive-keyring.gpg
		# The mirrors are those of the host's own release.
		# shellcheck disable=SC2016
		apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Identifier: Packages' |
			sort -u | sed -n "s/ $host/ $suite/p" |
			sed "s,^,deb [signed-by=$keyring] ,; s/\$/ main/" >sources.list
		apt=(-o "Dir::Etc::SourceList=$work/sources.list"
			-o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/lists"
			-o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
			-o APT::Sandbox::User=root)
	fi
	pkg() {
		apt-cache "${apt[@]}" depends linux-image-cloud-amd64 2>/dev/null |
			awk '/Depends: linux-image-/ { print $2; exit }'
	}
	# Without lists, apt knows of no package.
	[ -n "$(pkg)" ] || apt-get "${apt[@]}" update -qq >/dev/null 2>&1
	# Several tests may fetch at once: each has a part of its own, and the last one that is
	# whole stays.
	apt-get "${apt[@]}" download -qq "$(pkg)" >/dev/null 2>apt.err && mv ./*.deb "$deb.$$" &&
		mv "$deb.$$" "$deb" || {
		echo "kernel.sh: can not fetch the kernel package: $(tail -n 1 apt.err)" >&2
		exit 1
	}
fi
echo "$deb"
