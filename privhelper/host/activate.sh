#!/bin/sh
# activate.sh - after `make install` on this very host: accounts, folders, sysctl, udev and units take effect.
#
# A service that runs is not restarted: that is the administrator's to choose (systemctl restart banger; VMs go on).
set -eu
sync # a power cut now leaves what was installed, and not an empty file in its place
have() { command -v "$1" >/dev/null; }
if have systemd-sysusers; then systemd-sysusers banger.conf; fi
# An account of an earlier version has its home in the state folder (sysusers.conf says why not), and systemd-sysusers leaves it
# so.  usermod refuses while a process of the account lives.
if [ "$(getent passwd banger | cut -d: -f6)" = /var/lib/banger ] && ! usermod --home / banger; then
	echo "banger: to finish this upgrade: systemctl stop banger; usermod --home / banger; systemctl start banger (VMs go on)" >&2
fi
if have systemd-tmpfiles; then systemd-tmpfiles --create banger.conf; fi
[ -d /run/systemd/system ] || exit 0
# Types, where a policy has some for us; not levels (-F), a slot's category would be lost.
if have restorecon; then
	restorecon -R /usr/libexec/banger /usr/sbin/banger-privhelper /usr/bin/banger /etc/banger /var/lib/banger /var/log/banger /run/banger
fi
systemctl daemon-reload
systemctl restart systemd-sysctl.service
if have udevadm; then udevadm control --reload; fi
if systemctl -q is-active logrotate.timer; then systemctl restart logrotate.timer; fi
# Who else has networks reads that ours are not theirs; at the latest when it starts the next time.
if systemctl -q is-active systemd-networkd.service; then timeout 5 networkctl reload 2>/dev/null || :; fi
if systemctl -q is-active NetworkManager.service; then timeout 5 nmcli general reload conf 2>/dev/null || :; fi
if systemctl -q is-active banger.service; then
	echo "banger is running; to use what was installed: systemctl restart banger (VMs go on)"
else
	echo "to start banger now and at each boot: systemctl enable --now banger"
fi
