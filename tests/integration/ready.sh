#!/bin/bash
# A VM whose agent has answered is told as ready, by itself; vm wait --for each of its states.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh"
ready() { [ "$(field $ALICE web ready)" = "$1" ]; }

set_prepare
conf_make slots=3 per_owner=3
guest_image
did "the set comes up" set_start
did "kernel and image" set_images
check "a VM" banger create web --image tiny --memory 192M
is "$(status_of banger wait --for ready web)" 5 "a VM that does not run: 5"
check "it is at rest" banger wait --for stopped web
is "$(banger show web -o json | jq -r '"\(.state) \(.ready)"')" "created false" "it is not ready"
check "it starts" banger start web
check "it runs" banger wait --for running web
check "it becomes ready, although no command asks its agent" wait_for 120 ready true
is "$(field $ALICE web state)" running "JSON shows it as running too"
is "$(banger ps | awk '$1 == "web" { print $2 }')" ready "the list shows it"
is "$(banger inspect web | awk '$1 == "ready" { print $2 }')" yes "inspect shows it"
is "$(banger wait --for ready web)" "web: ready" "a wait for it is over at once"
as 0 host reconcile >/dev/null
kill -TERM "$SET" && did "the service ends" set_gone
did "and comes up again" set_start
check "the VM that went on is found ready again" wait_for 120 ready true

banger wait --for exited web --timeout 300s >"$T/exited" 2>&1 &
waits=$!
banger wait --for stopped web --timeout 300s >"$T/stopped" 2>&1 &
waits_too=$!
is "$(status_of banger wait --for stopped --timeout 1s web)" 7 "a VM that runs on: 7"
check "its end" banger kill web
wait $waits && wait $waits_too
is "$?/$(cat "$T/exited" "$T/stopped" | paste -sd' ')" "0/web: at its end web: at rest" \
	"ends both waits"
is "$(banger show web -o json | jq -r '"\(.state) \(.ready)"')" "stopped false" \
	"it is not ready any more"
check "the next start" banger start web
check "is waited for" banger wait --for ready web
check "then a command is run at once" banger exec -n --timeout 10s web -- /bin/busybox true
is "$(status_of banger wait --for nonsense web)" 2 "no such state: 2"
banger kill web >/dev/null
banger rm web >/dev/null
