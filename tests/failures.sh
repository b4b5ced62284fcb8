#!/bin/bash
# failures.sh - every test that failures.md and ../privhelper/AUDITING.md name is there, and every
# number of failures.md has a row, or a reason in README.md.
#
# A unit test is there when its program runs it: when its name is an argument of the macro that
# makes a row of its table. The name in a comment, or of a function that no row names, does not
# count.
cd "$(dirname "$0")" || exit 1
bad=0
while IFS=$'\t' read -r file name; do
	if [[ $file == unit/*.c && $name =~ ^[a-z0-9_]+$ ]]; then
		row="((cmocka_unit_test[a-z_]*|[A-Z]+)\( *|\"[^\"]*\", *)$name *[,)}]"
		grep -qsE "$row| $name *}" "$file"
	else
		grep -qsF -- "$name" "$file"
	fi || { echo "failures.sh: $file has no test \"$name\""; bad=1; }
done < <(awk -F '`' '/^\| [PUFT]-/ {
	for (i = 2; i <= NF; i += 2)
		if ($i ~ /^(unit|integration|guest|adversary)\/[^ ]*\.(c|sh)$|^lint\.sh$/) file = $i
		else print file "\t" $i
}' failures.md ../privhelper/AUDITING.md)
for n in P-A{1..8} P-B{9..17} P-C{18..24} P-D{25..28} P-E{29..33} P-F{34..36} \
	U-{1..88} U-88a U-89 F-{1..29}; do
	grep -q "^| $n |" failures.md || grep -qE "^- (.*, )?$n(,| in part|:)" README.md || {
		echo "failures.md: nothing about $n"
		bad=1
	}
done
exit $bad
