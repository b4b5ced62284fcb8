#!/bin/bash
# deps.sh build|programs|demo|guest|bench|fuzz - install what is missing, with apt, when we are
# root; else say what is missing.
set -eu
build="gcc make pkg-config libmsgpack-dev libcap-ng-dev libseccomp-dev libcurl4-openssl-dev
	libmnl-dev libnftnl-dev libjansson-dev libinih-dev libarchive-dev nettle-dev libmd-dev
	libext2fs-dev zlib1g-dev libsqlite3-dev libcmocka-dev libc6-dev linux-libc-dev"
run="iproute2 nftables jq procps util-linux e2fsprogs kmod conntrack dmsetup iputils-ping
	qemu-system-x86 qemu-utils fdisk busybox-static cpio libarchive-tools sqlite3 strace skopeo
	docker-registry"
policy="selinux-policy-dev checkpolicy semodule-utils m4 gawk secilc setools selint"
guest="mmdebstrap openssh-client zstd xz-utils bzip2 policycoreutils $policy"
lint="clang-format clang-tidy cppcheck shellcheck selint"
case ${1-} in
build) want="$build $run $guest $lint" ;;
programs) want="$build $policy" ;;
bench) want="$build $run iptables" ;;
# libFuzzer and the sanitizers of the default clang: package libclang-rt-VERSION-dev.
fuzz)
	version=$(apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')
	want="$build $run clang libclang-rt-$version-dev"
	;;
demo | guest) want="$build $run $guest" ;;
*) echo "usage: deps.sh build|programs|demo|guest|bench|fuzz" >&2; exit 2 ;;
esac
missing=
for p in $want; do
	[ "$p" = libmsgpack-dev ] && dpkg -s libmsgpack-c-dev >/dev/null 2>&1 && continue
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' ||
		missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "deps: not root, so not installed:$missing" >&2
	exit 0
fi
echo "deps: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
fetch() {
	apt-get update
	# Debian 13 calls the C library of msgpack libmsgpack-c-dev.
	if apt-cache show libmsgpack-c-dev >/dev/null 2>&1; then
		missing=$(echo "$missing" | sed 's/libmsgpack-dev/libmsgpack-c-dev/')
	fi
	apt-get install -y --no-install-recommends $missing
}
fetch >"$log" 2>&1 || { tail -n 20 "$log" >&2; echo "deps: apt-get failed" >&2; exit 1; }
