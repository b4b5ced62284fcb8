# failpoints.awk - names each change of the kernel, a file or the database that has no failpoint
# beside it, so that no step can be forgotten.  Input: the sources of controller/ and privhelper/.
# Status 1 when there is one.
#
# A change is a line; a failpoint is beside it when no other change is between the two, in the same
# function.
BEGIN {
	# Why a change may do without.
	except("controller/observe/doctor.c:check_database", "sqlite3_exec", "reads")
	except("controller/helper/client.c:exchange", "exchange", "call() has one before and after")
	except("controller/storage/image_copy.c:copy_sparse", "ftruncate",
	       "of a file that no row names yet; images.copy.before and .after")
	except("controller/objects/release.c:release_sweep", "unlinkat",
	       "release.objects before, release.swept behind")
	except("controller/storage/disk.c:has_reflink", "FICLONE", "of two files that have no name")
	except("controller/storage/slot_folder.c:remove_entry", "unlinkat",
	       "release_listed() has one before, storage_remove() one behind")
	except("controller/storage/disk_copy.c:copy_extent", "copy_file_range", "a part of fill()")
	except("controller/storage/disk_copy.c:fill", "ftruncate FICLONE",
	       "a file of a row that is `creating`; what makes disks has one before and after")
	except("controller/storage/label.c:storage_label", "fsetxattr",
	       "of a file that is just being made")
	except("controller/db/backup.c:db_copy", "unlink rename",
	       "a copy beside the database; a part that is left is made anew")
	except("controller/db/check.c:db_integrity", "sqlite3_exec", "reads")
	except("controller/db/open.c:configure", "sqlite3_exec", "settings of the connection")
	except("controller/db/schema.c:step", "sqlite3_exec", "within the transaction")
	except("controller/vmm/kvm_probe.c:probe_fifo", "unlink mkfifo",
	       "has no name any more when it is used")
	except("controller/vmm/streams.c:file_rotate", "renameat",
	       "a console's bytes, nothing that is held")
	except("privhelper/blk/root.c:make_loop_nodes", "mknod lchown",
	       "in the role's own root, which ends with it")
	except("privhelper/label.c:tell", "pwrite", "a file of the process itself")
	except("privhelper/role/reqlog.c:save", "pwrite", "end() has one behind")
	except("privhelper/net/conntrack.c:count_flows", "nl_talk", "reads")
	except("privhelper/net/link.c:net_link_find", "nl_talk", "reads")
	except("privhelper/net/link.c:net_link_no_ipv6", "nl_talk",
	       "its callers have one before and after")
	except("privhelper/net/sweep.c:look_for_retired", "nl_talk", "reads")
	except("privhelper/net/set.c:net_elem_get", "nl_talk", "reads")
	except("privhelper/net/root.c:change_root", "mknod", "the role's own root")
	except("privhelper/net/ruleset.c:count_rules", "nl_talk", "reads")
	except("privhelper/root.c:root_unshare", "mount",
	       "a root of the process's own, which ends with it; its callers have one before")
	except("privhelper/root.c:root_make", "mount", "likewise")
	except("privhelper/root.c:make_point", "mkdir mknod", "likewise")
	except("privhelper/root.c:root_pivot", "SYS_pivot_root umount2", "likewise")
	except("privhelper/spawn/cgroup.c:set_limit", "write_file",
	       "cgroup_make() has one before and after")
	except("privhelper/spawn/child.c:clear", "unlink",
	       "in the VMM's own process, which ends when it is cut")
	except("privhelper/spawn/jail.c:make_devices", "mkdir mknod", "the role's own root")
	except("privhelper/supervisor/places.c:folder", "mkdirat fchown",
	       "many alike, made again at each start; those that call it have one before and after")
	except("privhelper/supervisor/places.c:make_cgroups", "fchownat",
	       "places.left before, places.cgroups behind")
	except("privhelper/supervisor/places.c:end_group", "unlinkat",
	       "its caller has one before and after")
	except("privhelper/supervisor/places.c:open_file", "fchown", "likewise")
	controller = "exchange\\(p,|\"COMMIT\"|FICLONE|curl_easy_perform\\(|" \
		"send_line\\(q, line|storage->create\\(|" \
		"(^|[^a-z_])(linkat|renameat|rename|unlinkat|unlink|mkdirat|mkdir|mkfifo|" \
		"mkfifoat|mknodat|mknod|ftruncate|copy_file_range|fsetxattr|sqlite3_exec)\\("
	roles = "ioctl\\([^;]*(TUNSETIFF|TUNSETPERSIST|LOOP_CONFIGURE|DM_DEV_CREATE|" \
		"DM_DEV_REMOVE|DM_DEV_SUSPEND|DM_TABLE_LOAD)|nl_talk\\(|SYS_clone3|" \
		"SYS_pivot_root|fn\\(s->role|" \
		"(^|[^a-z_])(mkdirat|mkdir|mknodat|mknod|unlinkat|unlink|renameat|symlink|" \
		"mount|umount2|fchown|fchownat|chown|lchown|ftruncate|pwrite|write_file|" \
		"pivot_root|fork|execve)\\("
}

function except(place, calls, why,   n, i, each) {
	n = split(calls, each, " ")
	for (i = 1; i <= n; i++)
		exempt[place ":" each[i]] = why
}

# No failpoint came behind the change that waits for one either.
function judge() {
	if (what != "" && !((FILENAME ":" name ":" what) in exempt)) {
		printf "%s:%d: %s() has no failpoint before or behind %s\n",
			FILENAME, line, name, what
		bad = 1
	}
	what = ""
}

FNR == 1 { inside = 0 }
/^[a-zA-Z_].*\(/ && !/;$/ && !/^#/ && !inside {
	head = $0
	sub(/\(.*/, "", head)
	sub(/.*[ *]/, "", head)
	name = head
}
/^\{/ { inside = 1; before = 0; what = "" }
inside && /FAILPOINT/ { before = 1; what = "" }
inside && !/^[ \t]*(\/\*|\*)/ && match($0, FILENAME ~ /controller/ ? controller : roles) &&
	!(goes_on && changes) {
	judge()
	changes = 1
	if (!before) {
		what = substr($0, RSTART, RLENGTH)
		sub(/^[^a-zA-Z"]/, "", what)
		sub(/\(.*/, "", what)
		line = FNR
	}
	before = 0
}
# A statement of several lines is one place: its later lines need no failpoint of their own.
!/^[ \t]*(\/\*|\*)/ {
	goes_on = /(\|\||&&|[,(<=>?:+-])$/
	if (!goes_on)
		changes = 0
}
/^\}/ { if (inside) judge(); inside = 0 }
END { exit bad }
