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
