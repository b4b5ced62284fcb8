# release.sh - says which Debian the test guest is of, and where what is made for it is kept.
#
# Source it in the folder of the tree.  GUEST_SUITE is the release, by default the host's.  What is
# made for the host's release is in build/cache, its programs in build/release and build/fail.  Each
# other release has the same names in a folder of its own, build/cache/SUITE.
# shellcheck shell=bash disable=SC2034
# shellcheck source=/dev/null
host_suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
suite=${GUEST_SUITE:-$host_suite}
case $suite in
bookworm | trixie) ;;
*) echo "guest: GUEST_SUITE is bookworm or trixie, not '$suite'" >&2; exit 1 ;;
esac
if [ "$suite" = "$host_suite" ]; then
	cache=build/cache programs=build
else
	cache=build/cache/$suite programs=build/cache/$suite/build
fi

# in_release COMMAND...: in a Debian of the release, where this folder is /src, and build and
# build/cache in it are the release's.  The mounts end with the namespace.
in_release() {
	mkdir -p "$programs/cache"
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -euc '
		tree=$1 programs=$2 cache=$3
		shift 3
		mount --bind . "$tree/src" && mount --bind "$programs" "$tree/src/build" &&
			mount --bind "$cache" "$tree/src/build/cache" &&
			mount -t proc proc "$tree/proc" && mount -t tmpfs tmp "$tree/tmp"
		cd "$tree/src"
		exec env -u CC -u MAKEFLAGS -u GUEST_SUITE chroot "$tree" sh -c \
			"cd /src && exec \"\$@\"" sh "$@"' \
		in_release "$PWD/$cache/tree" "$programs" "$cache" "$@"
}
