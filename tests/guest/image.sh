#!/bin/bash
# image.sh - the root file system of the VMs in the guest, build/cache/guest/root.ext4, by our own
# `banger image build`. Made once, and again when what makes it changes.
set -eu
cd "$(dirname "$0")/../.."
. tests/guest/release.sh
out=$cache/guest/root.ext4
stamp=$(cat tests/guest/image.sh controller/cli/build*.c controller/cli/in_guest/* | sha256sum |
	cut -d' ' -f1)
[ "$(cat $out.stamp 2>/dev/null)" != "$stamp" ] || exit 0
began=$SECONDS
rm -f $out $out.stamp
timeout 900 build/release/banger image build debian --suite "$suite" --size 512M --progress none \
	--output $out.part
mv $out.part $out
echo "$stamp" >$out.stamp
echo "# guest: the VMs' image made in $((SECONDS - began)) s" >&2
