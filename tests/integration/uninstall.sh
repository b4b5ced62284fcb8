#!/bin/bash
# Tests that uninstall removes banger's files below the prefix of the installation, and no other
# file beside them.
. "$(dirname "$0")/lib.sh"
in_ns "$@"
[ -n "$(cgroup_mount)" ] || skip_all "no cgroup v2"
# The host's /etc, /run and units are not touched: a copy of the first, a new one of the second, no
# systemctl.
cp -a /etc "$T/etc"
mount --bind "$T/etc" /etc
mount -t tmpfs run /run
conf_make
install -D -m 644 "$CONF" /etc/banger/banger.conf
SCRIPT=$ROOT/privhelper/install/uninstall.sh

installed() { # a new prefix with what `make install` would bring, and places with what a set leaves
	rm -rf "${T:?}"/{usr,state,run,log}
	mkdir -p "$T"/usr/{bin,sbin,libexec/banger,libexec/other} "$T"/state/{slots,images} \
		"$T"/run/slots "$T/log" /etc/banger
	cp "$CONF" /etc/banger/banger.conf
	touch "$T"/usr/bin/{banger,other} "$T"/usr/sbin/banger-privhelper \
		"$T/usr/libexec/banger/banger-controller" "$T/run/supervisor.lock" "$T/log/net.log"
	install -m 755 "$SCRIPT" "$T/usr/libexec/banger/uninstall"
	mkdir -p "$CGROUP"/{vm,spawn}
}
left() { (cd "$T" && find usr state run log -mindepth 1 2>/dev/null | sort | paste -sd' '); }

# ---- a copy that lies elsewhere ----
mkdir -p "$T/home/work"
touch "$T/home/work/thesis"
install -m 755 "$SCRIPT" "$T/home/uninstall"
refuses "a copy in somebody's folder does nothing" "$T/home/uninstall"
check "what lies beside it is left" test -e "$T/home/work/thesis"
mkdir -p "$T/libexec/banger"
install -m 755 "$SCRIPT" "$T/libexec/banger/uninstall"
refuses "nor one where no programs of ours are" "$T/libexec/banger/uninstall"
check "it is there still" test -e "$T/libexec/banger/uninstall"

# ---- what was installed ----
installed
check "uninstall" "$T/usr/libexec/banger/uninstall"
others="usr/bin usr/bin/other usr/libexec usr/libexec/other usr/sbin"
is "$(left)" "log/net.log state/images state/slots $others" \
	"programs and run_dir are gone, state and logs are kept"
check "and the configuration" test -e /etc/banger/banger.conf
installed
check "uninstall --purge" "$T/usr/libexec/banger/uninstall" --purge
is "$(left)" "$others" "state and logs are gone"
refuses "and the configuration" test -e /etc/banger

# ---- a configuration that names folders of other programs ----
for place in run_dir:supervisor.lock state_dir:slots log_dir:net.log; do
	installed
	mkdir -p "$T/srv/www"
	sed -i "s#^${place%:*} .*#${place%:*} = $T/srv#" /etc/banger/banger.conf
	check "${place%:*} is a foreign folder: uninstall --purge" \
		"$T/usr/libexec/banger/uninstall" --purge
	check "${place%:*}: the folder is left" test -e "$T/srv/www"
done
rmdir "$CGROUP"/{vm,spawn} "$CGROUP" 2>/dev/null || :
