# lib.sh - what the scenarios share, in the guest.  Source it first; done_testing is the last line.
#
#	. "$(dirname "$0")/../lib.sh"
#	installed                                   # banger is there and active
#	is "$(dmsetup table bgr-0)" "0 * snapshot *" "a snapshot is made"      # the expectation is a pattern
#	done_testing
#
# Assertions count in the shell that runs them: keep them out of ( ), $( ) and pipelines.
# shellcheck shell=bash
set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
PHASE=${1:-1} TESTS=0 FAILED=0

# ---- TAP ----
ok() { # ok NAME
	TESTS=$((TESTS + 1))
	echo "ok $TESTS - $*"
}

not_ok() { # not_ok NAME [DETAIL...]
	TESTS=$((TESTS + 1)) FAILED=$((FAILED + 1))
	echo "not ok $TESTS - $1"
	shift
	[ $# = 0 ] || printf '%s\n' "$@" | sed 's/^/# /'
}

is() { # is GOT PATTERN NAME
	# shellcheck disable=SC2053
	if [[ $1 == $2 ]]; then ok "$3"; else not_ok "$3" "got:  $1" "want: $2"; fi
}

check() { # check NAME COMMAND...: succeeds
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then ok "$name"; else not_ok "$name" "$* : $out"; fi
}

refuses() { # refuses NAME COMMAND...: fails, and not by a signal
	local name=$1 out rc
	shift
	out=$("$@" 2>&1)
	rc=$?
	if [ $rc != 0 ] && [ $rc -lt 128 ]; then ok "$name"; else not_ok "$name" "$* : status $rc $out"; fi
}

skip() { # skip NAME WHY
	TESTS=$((TESTS + 1))
	echo "ok $TESTS - $1 # SKIP $2"
}

wait_for() { # wait_for SECONDS COMMAND...: until it succeeds; status 1 when it never does
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

done_testing() { # the end of a phase; done_testing [93|94] asks for a reboot, a power cut, and the next phase
	echo "1..$TESTS"
	[ $FAILED = 0 ] || [ -n "${1-}" ] || exit 1
	exit "${1:-0}"
}

# ---- banger ----
installed() { # installed as an administrator would, and active; at once when it is so already
	systemctl is-active -q banger 2>/dev/null && return 0
	make -C "$ROOT" --no-print-directory install >/tmp/install.log 2>&1 || { not_ok "make install" "$(tail -n 20 /tmp/install.log)"; done_testing; }
	systemctl daemon-reload
	systemctl enable -q --now banger || { not_ok "banger.service starts" "$(journalctl -u banger -n 30 --no-pager)"; done_testing; }
}
