#!/bin/bash
# lines.sh [--write] - lines of code of the privileged processes, by process and by life; the table
# is in privhelper/README.md.
#
# Status 1 when the table there is stale (--write makes it anew), when a function has no phase, when
# a row of lines.phases names what is not there, or when there is more code than the bounds below.
# Declarations, tables and headers are not counted.
set -eu
cd "$(dirname "$0")/.."
# A ratchet, to be lowered when code goes: start, request, later.  Lines are counted at 100 columns.
# The MAC, the key file and the checkpoints of the request log took 79, 93 and 13 lines; the count
# of flows took 19, the ports of the agent in the guest 29, checkpoints that reads alone do not
# bring 2.
BOUNDS=(2300 2950 300)
readme=privhelper/README.md begin='<!-- lines: tests/lines.sh --write -->' end='<!-- lines: end -->'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make -s --no-print-directory sources >"$work/programs"
# What is generated is a table, and not in the tree.
mapfile -t sources < <(cut -d' ' -f2- "$work/programs" | tr ' ' '\n' | sort -u |
	while read -r f; do [ ! -f "$f" ] || echo "$f"; done | grep -v failpoint)
awk -f tests/lines.awk "${sources[@]}" >"$work/functions"
awk -v bounds="${BOUNDS[*]}" -v supervisor=banger-privhelper '
	function wrong(text) { print text >"/dev/stderr"; bad = 1 }
	FILENAME ~ /phases$/ {
		if ($0 ~ /^#/ || NF == 0) next
		rows++
		files[rows] = $1; phase[rows] = $2; row[rows] = $0
		if (NF == 2) all[rows] = 1
		for (i = 3; i <= NF; i++) { has[rows, $i] = 1; names[rows, i - 2] = $i }
		width[rows] = NF - 2
		next
	}
	FILENAME ~ /functions$/ {
		if ($2 == "-" || $2 == "allow_sanitizer") next
		found = ""
		# the last row that fits; one with names goes before one without
		for (r = 1; r <= rows; r++) {
			if ($1 !~ files[r]) continue
			if (all[r]) { used[r] = 1; if (named == "") found = phase[r] }
			else if ((r, $2) in has) { used[r, $2] = 1; found = phase[r]; named = 1 }
		}
		named = ""
		if (found == "") wrong("lines.phases: " $1 ": " $2 "() has no phase")
		where[$1] = where[$1] " " found ":" $3
		next
	}
	{
		program = $1
		order[++programs] = program
		for (i = 2; i <= NF; i++) {
			n = split(where[$i], part, " ")
			for (k = 1; k <= n; k++) {
				split(part[k], pair, ":")
				life = pair[1]
				# No request ever reaches the supervisor.
				if (program == supervisor && life == "request") life = "start"
				sum[program, life] += pair[2]
				if (!($i in counted)) total[pair[1]] += pair[2]
			}
			counted[$i] = 1
		}
	}
	END {
		for (r = 1; r <= rows; r++) {
			if (all[r] && !used[r]) wrong("lines.phases: no source is " row[r])
			for (i = 1; i <= width[r]; i++) {
				name = names[r, i]
				if (!((r, name) in used))
					wrong("lines.phases: there is no " name "() in " files[r])
			}
		}
		split("start request later", phases, " ")
		split(bounds, bound, " ")
		printf "| process | as uid 0, before lock-down | on the way of a request "
		print "| afterwards, for no request |"
		print "|---|---|---|---|"
		for (p = 1; p <= programs; p++) {
			name = order[p] == supervisor ? "supervisor" : substr(order[p], 8)
			line = "| " name
			for (i = 1; i <= 3; i++) line = line " | " sum[order[p], phases[i]] + 0
			print line " |"
		}
		line = "| **all**, each line once"
		for (i = 1; i <= 3; i++) line = line " | **" total[phases[i]] + 0 "**"
		print line " |"
		line = "| bound"
		for (i = 1; i <= 3; i++) {
			line = line " | " bound[i]
			lines = total[phases[i]] + 0
			if (lines > bound[i])
				wrong("lines.sh: " phases[i] ": " lines ", the bound is " bound[i])
		}
		print line " |"
		exit bad
	}' tests/lines.phases "$work/functions" "$work/programs" >"$work/table" || {
	cat "$work/table" >&2
	exit 1
}
within() {
	awk -v b="$begin" -v e="$end" '$0 == e { on = 0 } on { print } $0 == b { on = 1 }' "$readme"
}
if [ "${1-}" = --write ]; then
	awk -v b="$begin" -v e="$end" -v table="$work/table" '
		$0 == e { on = 0 }
		!on { print }
		$0 == b { on = 1; while ((getline line <table) > 0) print line }' \
		"$readme" >"$work/readme"
	cp "$work/readme" "$readme"
fi
within >"$work/said"
if ! cmp -s "$work/table" "$work/said"; then
	echo "lines.sh: the table in $readme is stale; tests/lines.sh --write makes it anew" >&2
	exit 1
fi
