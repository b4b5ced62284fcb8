# lines.awk - lines of code of each function of C sources: "file function lines" a line, "-" for
# what is outside of functions.
#
# A line counts when something is on it that is neither blank nor comment.  A function begins at its
# head, which starts in the first column, and ends at "}" in the first column: the tree is written
# so.

# code() returns @text without comments; `inside` is the state of a comment over several lines.
function code(text,   out, at) {
	out = ""
	while (text != "") {
		if (inside) {
			at = index(text, "*/")
			if (!at) return out
			text = substr(text, at + 2)
			inside = 0
		} else {
			at = index(text, "/*")
			if (!at) return out text
			out = out substr(text, 1, at - 1)
			text = substr(text, at + 2)
			inside = 1
		}
	}
	return out
}
FNR == 1 { flush(); inside = 0; name = "-"; pending = 0 }
{
	sub(/\/\/.*/, "")
	line = code($0)
	if (line ~ /^[ \t\r]*$/) next
	# A head may go over several lines; what ends in ";" or "=" was none, and its lines are
	# outside.
	if (name == "-" && line ~ /^[a-zA-Z_].*\(/ && line !~ /[;=]/ &&
	    line !~ /^(#|typedef|(struct|enum|union)( [a-z_]+)? \{)/) {
		head = line
		sub(/\(.*/, "", head)
		sub(/.*[ *]/, "", head)
		if (head ~ /^__attribute__$/) { # the name is behind it
			head = line
			sub(/^__attribute__\(\(([^()]|\([^()]*\))*\)\) */, "", head)
			sub(/\(.*/, "", head)
			sub(/.*[ *]/, "", head)
		}
		candidate = head
		pending = 0
	}
	if (candidate != "" && name == "-") {
		pending++
		if (line ~ /^\{/ || line ~ /\{[ \t]*$/) {
			name = candidate
			n[FILENAME SUBSEP name] += pending
			order(FILENAME, name)
			candidate = ""
			pending = 0
			next
		}
		if (line ~ /;[ \t]*$/) { # a declaration, or one line of a macro's use
			n[FILENAME SUBSEP "-"] += pending
			order(FILENAME, "-")
			candidate = ""
			pending = 0
		}
		next
	}
	n[FILENAME SUBSEP name]++
	order(FILENAME, name)
	if (name != "-" && line ~ /^\}/) name = "-"
}
function flush() {
	candidate = ""
}
function order(file, fn) {
	if (!((file, fn) in seen)) {
		seen[file, fn] = 1
		list[++count] = file " " fn
	}
}
END {
	for (i = 1; i <= count; i++) {
		split(list[i], part, " ")
		print part[1], part[2], n[part[1] SUBSEP part[2]]
	}
}
