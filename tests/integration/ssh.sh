#!/bin/bash
# ssh, scp and sftp into a real Debian guest without a network, through the agent: vm ssh,
# ssh-config and host-key.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh" ssh scp sftp
user() { # user COMMAND...: as Alice, with her home and ssh configuration
	setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i PATH="$B:$PATH" \
		HOME="$T/home.$ALICE" BANGER_SOCKET="$T/run/control.sock" "$@" 2>"$T/err"
}
userssh() { user "$1" -F "$T/home.$ALICE/config" "${@:2}"; }

set_prepare
debian_image
conf_make slots=2 per_owner=2
sed -i 's/^max_mem_mib.*/max_mem_mib = 1024/; s/^max_disk_mib.*/max_disk_mib = 4096/' "$CONF"
did "the set comes up" set_start
did "kernel and image" debian_import
check "a VM with the key of its user starts" \
	eval 'banger create web --image debian --memory 512M && banger start web'
check "its agent answers" banger wait --for ready --timeout 300s web
check "it has no network" in_guest ip link set eth0 down

# ---- vm ssh ----
said=$(echo 'echo from $(hostname) $(id -u) over "$SSH_CONNECTION"' |
	banger ssh --timeout 300s web | tail -n 1)
is "$said" "from web 0 over 127.0.0.1 * 127.0.0.1 22" "vm ssh: a shell, by the guest's loopback"
is "$(echo 'exit 9' | status_of banger ssh web)" 9 "vm ssh: the exit status is the shell's"
is "$(cut -d' ' -f1 "$T/home.$ALICE/.local/state/banger/known_hosts")" "$(field $ALICE web id)" \
	"its host key is kept by the VM's id"

# ---- the user's own programs ----
banger ssh-config web >"$T/home.$ALICE/config"
chown $ALICE "$T/home.$ALICE/config"
is "$(userssh ssh web.banger 'uname -n; exit 3')/$?" "web/3" \
	"ssh with the block: command and status"
head -c 3000000 /dev/urandom >"$T/home.$ALICE/data"
chmod 644 "$T/home.$ALICE/data"
check "scp there" userssh scp -q "$T/home.$ALICE/data" web.banger:/root/data
check "and back" userssh scp -q web.banger:/root/data "$T/home.$ALICE/back"
check "are the same bytes" cmp "$T/home.$ALICE/data" "$T/home.$ALICE/back"
is "$(echo 'ls /root' | userssh sftp -q -b - web.banger)" "*/root/data*" "sftp"
is "$(userssh ssh web.banger -L "$T/home.$ALICE/l.sock:127.0.0.1:22" \
	'sleep 2 & wait; echo forwarded')" forwarded "ssh's own forwarding"
many() { # many N: N commands by ssh at once that succeed
	local i pids=() good=0
	for i in $(seq "$1"); do
		setpriv --reuid $ALICE --regid $ALICE --clear-groups env \
			-i PATH="$PATH" HOME="$T/home.$ALICE" BANGER_SOCKET="$T/run/control.sock" \
			ssh -F "$T/home.$ALICE/config" \
			-o ConnectTimeout=300 web.banger true 2>>"$T/many.err" </dev/null &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" && good=$((good + 1)); done
	echo $good
}
is "$(many 8)" 8 "eight at once, more than the VM has ports ($(tail -n 1 "$T/many.err"))"
is "$(status_of as $BOB ssh-config web)" 3 "another user's VM is not found"

# ---- a host key that changes ----
check "the key that is kept is the one that is shown" banger host-key web
in_guest sh -c 'key=/etc/ssh/ssh_host_ed25519_key
	rm $key*
	ssh-keygen -q -t ed25519 -N "" -f $key
	systemctl restart ssh' >/dev/null
check "the server is there again" wait_for 120 eval 'in_guest systemctl is-active ssh'
is "$(echo true | status_of banger ssh web)" 255 "another host key: ssh refuses it"
is "$(status_of banger host-key web)" 5 "host-key: they differ"
check "host-key --accept" banger host-key --accept web
is "$(echo true | status_of banger ssh web)" 0 "then ssh takes it"
check "a VM without ssh server" in_guest systemctl stop ssh
is "$(echo true | status_of banger ssh --timeout 20s web)" 7 "vm ssh: no server answers in time"
is "$(grep -c 'no answer from web port 22' "$T/err")" 1 "vm ssh says that no server answers"
banger kill web >/dev/null
is "$(userssh ssh web.banger true; echo $?)/$(grep -c 'it is stopped' "$T/err")" 255/1 \
	"of a stopped VM, the block's connection says so"
banger rm web >/dev/null
is "$(wc -l <"$T/home.$ALICE/.local/state/banger/known_hosts")" 0 "a deleted VM's key is forgotten"
