# end_trees.sh - ends processes together with all their descendants.  .ci/run and tests/run.sh
# source this file.
#
# A signal to a process group is not enough: timeout(1) puts itself and its command into a process
# group of their own.
# shellcheck shell=bash

trees() { # trees PID...: prints these processes and their descendants that are no zombies
	ps -eo pid=,ppid=,stat= | awk -v roots="$*" '{ parent[$1] = $2; stat[$1] = $3 }
		function within(p) { return p in root || p in parent && within(parent[p]) }
		END {
			split(roots, r)
			for (i in r) root[r[i]]
			for (p in parent) if (stat[p] !~ /^Z/ && within(p)) print p
		}'
}

alive_of() { # alive_of PID...: true when one of the processes is no zombie
	[ $# != 0 ] && ps -o stat= -p "$(IFS=,; echo "$*")" | grep -qv '^Z'
}

end_trees() { # end_trees PID...: SIGTERM, SIGKILL ten seconds later; returns when all have ended
	local pids i
	[ $# != 0 ] || return 0
	mapfile -t pids < <(trees "$@")
	kill -TERM "${pids[@]}" 2>/dev/null
	for ((i = 0; i < 50; i++)); do
		alive_of "${pids[@]}" || return 0
		sleep 0.2
	done
	mapfile -t pids < <(trees "${pids[@]}")
	kill -KILL "${pids[@]}" 2>/dev/null
	while alive_of "${pids[@]}"; do sleep 0.2; done
}
