# floors.awk - names each include that runs upward between the rooms of controller/ and privhelper/,
# or sideways between two rooms of one floor.  Input: their sources, common/ and proto/.  Status 1
# when there is one.
#
# So no circle of includes can span two rooms.  What must be called upward is a function pointer
# that main.c sets.
BEGIN {
	floor(0, "common", "^common/")
	floor(1, "proto", "^proto/")

	floor(1.5, "copy", "^controller/copy/")

	floor(2, "top", "^controller/(ctl|id|vm|progress|access|paths|json|loop|tsc)\\.[ch]$")
	floor(2, "top", "^controller/(workers?|rate|user_log|sandbox(_policy)?|lock)\\.[ch]$")
	floor(2.5, "cli", "^controller/cli/")
	floor(2, "agent", "^controller/agent/")
	floor(2, "unpack", "^controller/unpack/")
	floor(3, "helper", "^controller/helper/")
	floor(3, "db", "^controller/db/")
	floor(4, "storage", "^controller/storage/")
	floor(5, "vmm", "^controller/vmm/")
	floor(5, "observe", "^controller/observe/")
	floor(6, "objects", "^controller/objects/")
	floor(7, "lifecycle", "^controller/lifecycle/")
	floor(8, "recovery", "^controller/recovery/")
	floor(9, "policy", "^controller/policy/")
	floor(10, "api", "^controller/api/")
	floor(11, "main", "^controller/main\\.c$")

	floor(2, "privhelper", "^privhelper/(label|lockdown|polic(y|ies)|root|tag)\\.[ch]$")
	floor(2, "privhelper", "^privhelper/kvmprobe/")
	floor(3, "role", "^privhelper/role/")
	floor(4, "net", "^privhelper/net/")
	floor(4, "blk", "^privhelper/blk/")
	floor(4, "spawn", "^privhelper/spawn/")
	floor(4, "supervisor", "^privhelper/supervisor/")
}

function floor(level, room, pattern) {
	levels[room] = level
	rooms[++n] = room
	patterns[n] = pattern
}

# The first rule that a path matches.
function room_of(path,   i) {
	for (i = 1; i <= n; i++)
		if (path ~ patterns[i])
			return rooms[i]
	return ""
}

function refuse(why) {
	printf "%s:%d: %s\n", FILENAME, FNR, why
	bad = 1
}

FNR == 1 {
	here = room_of(FILENAME)
	if (here == "")
		refuse("stands on no floor: tests/floors.awk has the table")
}

here != "" && /^#include "/ {
	path = $2
	gsub(/"/, "", path)
	there = room_of(path)
	if (there == "")
		refuse("includes " path ", which stands on no floor")
	else if (there != here && levels[there] > levels[here])
		refuse(here " includes " path " of " there ", which is above it")
	else if (there != here && levels[there] == levels[here])
		refuse(here " includes " path " of " there ", which is beside it")
}
END { exit bad }
