# columns.awk - names each line that is wider than 100 columns; a tab goes to the next multiple of
# 8.  In Markdown, a row of a table and indented code may be wider.
FILENAME ~ /\.md$/ && /^( *\||\t|    )/ { next }
{
	n = split($0, part, "\t")
	columns = 0
	for (i = 1; i < n; i++) columns = int((columns + length(part[i])) / 8 + 1) * 8
	if (n > 0) columns += length(part[n])
	if (columns > 100) {
		printf "%s:%d: %d columns, 100 are the most\n", FILENAME, FNR, columns
		wrong = 1
	}
}
END { exit wrong }
