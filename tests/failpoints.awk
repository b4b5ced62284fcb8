# failpoints.awk - names each function that changes something and has no failpoint, so that no step can be forgotten.
# Input: the sources of controller/ and privhelper/.  Status 1 when there is one.
BEGIN {
	# Why a function may do without.
	exempt["privhelper/supervisor_places.c:folder"] = "many alike; those that make them have one before and after"
	exempt["privhelper/net_link.c:find"] = "reads"
	exempt["privhelper/net_link.c:no_ipv6"] = "its callers have one before and after"
	exempt["privhelper/net_nft.c:net_elem_get"] = "reads"
	exempt["privhelper/net_rules.c:count_rules"] = "reads"
	exempt["privhelper/net_link.c:look_for_retired"] = "reads"
	exempt["privhelper/net_conntrack.c:net_conntrack_probe"] = "reads"
	exempt["privhelper/net_netlink.c:nl_talk"] = "the call itself"
	exempt["privhelper/spawn_cgroup.c:write_file"] = "the call itself"
	exempt["privhelper/spawn_cgroup.c:set_limit"] = "cgroup_make() has one before and after"
	exempt["controller/helper.c:exchange"] = "call() has one before and after"
	exempt["controller/store_open.c:store_copy"] = "a copy beside the database; a part that is left is made anew"
	exempt["controller/vmm.c:probe_fifo"] = "has no name any more when it is used"
	exempt["controller/storage.c:remove_api_socket"] = "release_listed() has one before, storage_remove() one behind"
	exempt["controller/watch.c:fifo_open"] = "console.open comes before"
	exempt["controller/watch.c:file_rotate"] = "a console's bytes, nothing that is held"
	exempt["controller/watch.c:watch_open"] = "a folder that stays"
	exempt["controller/release.c:release_sweep"] = "release.objects before, release.swept behind"
	exempt["controller/images.c:sweep_entry"] = "at start, each entry by itself; settle() has its own"
	controller = "exchange\\(p,|\"COMMIT\"|(linkat|renameat|rename|unlinkat|unlink|mkdirat|mkdir|mkfifo|mkfifoat)\\(|curl_easy_perform\\(|send_line\\(q, line|storage->create\\("
	roles = "ioctl\\([^;]*(TUNSETIFF|TUNSETPERSIST|LOOP_CONFIGURE|DM_DEV_CREATE|DM_DEV_REMOVE|DM_DEV_SUSPEND|DM_TABLE_LOAD)|nl_talk\\(|SYS_clone3|" \
		"(mkdirat|unlinkat|write_file|pivot_root|fork|execve)\\(|SYS_pivot_root|fn\\(s->role"
}

function judge() {
	if (!changes || has || (FILENAME ":" name) in exempt)
		return
	printf "%s:%d: %s() changes something (%s) and has no failpoint\n", FILENAME, begins, name, changes
	bad = 1
}

FNR == 1 { inside = 0 }
/^[a-zA-Z_].*\(/ && !/;$/ && !/^#/ && !inside {
	head = $0
	sub(/\(.*/, "", head)
	sub(/.*[ *]/, "", head)
	name = head
	begins = FNR
}
/^\{/ { inside = 1; has = 0; changes = "" }
inside && /FAILPOINT/ { has = 1 }
inside && !changes && !/^[ \t]*(\/\*|\*)/ {
	pattern = FILENAME ~ /^controller/ ? controller : roles
	if (match($0, pattern)) {
		changes = substr($0, RSTART, RLENGTH)
	}
}
/^\}/ { if (inside) judge(); inside = 0 }
END { exit bad }
