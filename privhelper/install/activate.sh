#!/bin/sh
# activate.sh - apply `make install` to the running host: accounts, folders, sysctl, udev rules and
# units.
#
# A running service is not restarted: the administrator chooses when (systemctl restart banger; VMs
# go on).
set -eu
sync # so that a power cut does not leave empty files in place of the installed ones
have() { command -v "$1" >/dev/null; }
if have systemd-sysusers; then systemd-sysusers banger.conf; fi
# An earlier version gave the account a home in the state folder (sysusers.conf states why that is
# unsafe), and systemd-sysusers does not change it.  usermod refuses while a process of the account
# runs.
if [ "$(getent passwd banger | cut -d: -f6)" = /var/lib/banger ] && ! usermod --home / banger; then
	echo "banger: to finish this upgrade (VMs go on): systemctl stop banger;" \
		"usermod --home / banger; systemctl start banger" >&2
fi
if have systemd-tmpfiles; then systemd-tmpfiles --create banger.conf; fi
# The first keys of the request logs are printed here, once.
if [ -d /var/log/banger ] && [ ! -e /var/log/banger/net.log ] &&
	[ ! -s /var/log/banger/net.key ]; then
	banger audit key || echo "banger: the request logs have no keys yet: banger audit key" >&2
fi
[ -d /run/systemd/system ] || exit 0
# Set SELinux types, but not levels (-F), which would remove the slots' categories.
if have restorecon; then
	restorecon -R /usr/libexec/banger /usr/sbin/banger-privhelper /usr/bin/banger /etc/banger \
		/var/lib/banger /var/log/banger /run/banger
fi
systemctl daemon-reload
systemctl restart systemd-sysctl.service
if have udevadm; then
	udevadm control --reload
	[ -e /etc/blkid.conf ] || install -m 644 "${0%/*}/blkid.conf" /etc/blkid.conf
fi
if systemctl -q is-active logrotate.timer; then systemctl restart logrotate.timer; fi
# Reload the network managers, so that they leave our interfaces alone.  After a failed reload, they
# read our files when they start the next time.
if systemctl -q is-active systemd-networkd.service; then
	timeout 5 networkctl reload 2>/dev/null || :
fi
if systemctl -q is-active NetworkManager.service; then
	timeout 5 nmcli general reload conf 2>/dev/null || :
fi
if systemctl -q is-active banger.service; then
	echo "banger is running; to use what was installed: systemctl restart banger (VMs go on)"
else
	echo "to start banger now and at each boot: systemctl enable --now banger"
fi
