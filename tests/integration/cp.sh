#!/bin/bash
# banger cp with a real guest: both ways, tar streams, names, what is kept, full disks,
# interruptions, rights.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh" tar

# The guest has no tar, no cp and no sh in its PATH of the agent: the agent needs none.
quiet_guest() {
	guest_image
	rm -f "$T/guest.ext4"
	cat >"$T/guest/sbin/init" <<-'INIT'
		#!/bin/busybox sh
		b=/bin/busybox
		$b mount -t proc proc /proc
		$b mount -t sysfs sysfs /sys
		$b mount -t tmpfs -o size=120m,mode=1777 tmp /tmp
		echo GUEST-UP
		while :; do $b sleep 1; done
	INIT
	mkdir "$T/guest/home" "$T/guest/full"
	printf 'root:x:0:0:root:/root:/bin/busybox\nguest:x:1000:1000::/tmp:/bin/busybox\n' \
		>"$T/guest/etc/passwd"
	printf 'root:x:0:\n' >"$T/guest/etc/group"
	mke2fs -q -F -t ext4 -d "$T/guest" -E root_owner=0:0 "$T/guest.ext4" 16M
}
# what the test makes there is that user's
banger() { chown -hR $ALICE:$ALICE "$H"; as $ALICE "$@"; }
in_guest() { banger exec -n web -- /bin/busybox "$@"; }
said() { grep -qF "$1" "$T/err"; } # said TEXT: the last banger's standard error has it

set_prepare
conf_make slots=3 per_owner=3
quiet_guest
H=$T/home.$ALICE
mkdir "$H"
did "the set comes up" set_start
did "kernel and image" set_images
check "a VM starts" eval 'banger create web --image tiny --memory 256M && banger start web'
cd "$H" || exit 1
# What a tree is, as find prints it on both sides: type, mode, links, size, time and name; busybox
# has no -printf.
list_here() {
	(cd "$1" && find . ! -type l -printf '%m %n %T@ %P\n' |
		sed -E 's/^([0-9]+ [0-9]+ [0-9]+)\.[0-9]+/\1/' | LC_ALL=C sort)
}
list_there() {
	in_guest sh \
		-c "cd $1 && busybox find . ! -type l -exec busybox stat -c '%a %h %Y %n' {} +" |
		sed -E 's, \./, ,; s, \.$, ,' | LC_ALL=C sort
}

# ---- a file ----
echo hello >one && chmod 640 one && touch -d '2001-02-03 04:05:06' one
check "a file goes into a folder, right after the start" banger cp one web:/home
is "$(in_guest stat -c '%a %u %Y %s' /home/one)" "640 0 $(stat -c %Y one) 6" \
	"its mode, time and size are kept, its owner is root"
is "$(in_guest cat /home/one)" hello "and its content"
check "another name" banger cp one web:/home/two
is "$(in_guest cat /home/two)" hello "a destination that does not exist is the name"
echo longer than before >one
check "a file that exists" banger cp one web:/home/two
is "$(in_guest cat /home/two)" "longer than before" "is replaced"
check "a path without / " banger cp one web:
is "$(in_guest cat /root/one)" "longer than before" "is below the home"
check "out of the guest" banger cp web:one web:/home/two .
is "$(cat two) $(stat -c %u two)" "longer than before $ALICE" \
	"two files at once, which are the user's"
check "a file of /proc, which has no size" banger cp web:/proc/cpuinfo .
is "$(grep -c ^processor cpuinfo)" 1 "has its content"
check "a file of /sys, which is shorter than it says" \
	banger cp web:/sys/kernel/notes web:/sys/class/net/lo/mtu .
is "$(cat mtu)" 65536 "has its content"
check "an empty file" eval \
	': >empty; banger cp empty web:/home/empty && banger cp web:/home/empty back'
is "$(stat -c %s back)" 0 "is empty"

# ---- a folder ----
mkdir -p tree/sub/deep tree/closed
echo a >tree/a && ln tree/a tree/sub/b && echo script >tree/sub/run && chmod 755 tree/sub/run
ln -s /etc/passwd tree/absolute && ln -s ../../nosuch tree/sub/up && ln -s a tree/near
truncate -s 8M tree/holes && printf x | dd of=tree/holes bs=1 seek=5000000 conv=notrunc status=none
printf odd >"tree/ a b" && printf odd >"tree/-n" && printf odd >tree/$'new\nline' &&
	printf odd >tree/$'\xff\xfe' && printf odd >tree/ä
chmod 555 tree/closed && chmod 700 tree/sub
find tree -exec touch -h -d '2010-11-12 13:14:15' {} +
before=$(list_here tree)
check "a folder" banger cp tree web:/tmp
is "$(list_there /tmp/tree | grep -av line)" "$(grep -av line <<<"$before")" \
	"modes, link counts, times and names are kept"
link_in() { in_guest readlink "/tmp/tree/$1"; }
is "$(link_in absolute) $(link_in sub/up) $(link_in near)" "/etc/passwd ../../nosuch a" \
	"symbolic links are kept"
is "$(in_guest sh -c 'busybox stat -c %i /tmp/tree/a /tmp/tree/sub/b |
	busybox uniq | busybox wc -l')" 1 "a hard link is one file"
is "$(in_guest stat -c '%s %b' /tmp/tree/holes)" "8388608 [0-9]" "holes are holes"
check "and back, by another name" banger cp web:/tmp/tree back.tree
is "$(list_here back.tree)" "$before" "it is as it was"
check "content and links are" diff -r --no-dereference tree back.tree
is "$(stat -c '%s %b' back.tree/holes)" "8388608 [0-9]" "holes are holes"
check "a folder that exists gets a copy inside" banger cp web:/tmp/tree back.tree
check "with all of it" diff -r --no-dereference tree back.tree/tree
chmod 711 back.tree/sub && echo mine >back.tree/sub/mine && echo old >back.tree/a
check "FOLDER/. is what is in it" banger cp web:/tmp/tree/. back.tree
is "$(cat back.tree/sub/mine) $(cat back.tree/a) $(stat -c %a back.tree/sub)" "mine a 711" \
	"it is added to what is there, and folders stay as they are"
check "a link that is named" banger cp web:/tmp/tree/near link
is "$(readlink link)" a "is copied as a link"
check "with -L" banger cp -L web:/tmp/tree/near followed
is "$(cat followed)" a "its file is copied"

# ---- tar ----
check "a tar stream goes in" eval 'tar -C tree -czf - . | banger cp - web:/full'
is "$(list_there /full | grep -av -e line -e lost+found -e '[0-9] $')" \
	"$(grep -av -e line -e '[0-9] $' <<<"$before")" "with all of it"
check "and comes out" eval 'mkdir out; banger cp web:/full - | tar -C out -xf -'
check "as it was" diff -r --no-dereference tree out/full
is "$(stat -c %h out/full/a) $(stat -c '%a %Y' out/full/sub)" "2 700 $(stat -c %Y tree/sub)" \
	"hard links, modes and times too"
is "$(status_of eval 'echo no tar | banger cp - web:/full')" 1 "what is no tar: 1"
check "it says so" said "standard input: "
is "$(status_of eval 'tar -cf - one | banger cp - web:/nosuch')" 1 "a tar stream needs a folder"
check "and says whose" said "web:/nosuch: No such file or directory"
tar -cPf evil.tar --transform 's,^,../,' one
is "$(status_of eval 'banger cp - web:/home <evil.tar')" 10 "a name with .. is left out"
is "$(in_guest ls / | grep -c '^one$')" 0 "and nothing is outside"
in_guest rm -r /full /tmp/tree >/dev/null; in_guest mkdir /full >/dev/null

# ---- bytes ----
head -c 41943040 /dev/urandom >big
sum=$(sha256sum <big)
check "40 MiB go in" banger cp big web:/tmp/
is "$(in_guest sha256sum /tmp/big | cut -d' ' -f1)" "${sum%% *}" "as they are"
check "and come out" banger cp web:/tmp/big big.back
is "$(sha256sum <big.back)" "$sum" "as they were"
check "the program's own bytes, with the mark of a session in them" \
	eval 'banger cp "$B/banger" web:/tmp/b && banger cp web:/tmp/b b && cmp b "$B/banger"'
in_guest rm /tmp/b >/dev/null; rm b

# ---- full disks ----
leftovers_there() { in_guest find /root /home /full /tmp -name '.banger-cp.*'; }
is "$(status_of banger cp big web:/full)" 1 "a disk of the guest that is full: 1"
check "which side, which file, why" said "banger: web:/full/big: No space left on device"
is "$(in_guest ls -A /full)$(leftovers_there)" "" "no half file stays"
echo old >small; banger cp small web:/full/big
is "$(status_of banger cp big web:/full/big)" 1 "likewise over a file that exists"
is "$(in_guest cat /full/big)" old "which stays as it was"
mkdir tiny && mount -t tmpfs -o size=1m,mode=777 tiny tiny
is "$(status_of banger cp web:/tmp/big tiny)" 1 "a disk of this host that is full: 1"
check "which side, which file, why" said "banger: tiny/big: No space left on device"
is "$(find tiny -mindepth 1)" "" "no half file stays"
is "$(banger cp web:/tmp/big - 2>&1 >/dev/full; cat "$T/err")" \
	"banger: standard output: No space left on device" "a tar stream into a full disk says so"
umount tiny

# ---- what is not copied ----
mkdir odd && mkfifo odd/fifo && echo x >odd/x
check "a FIFO is left out" banger cp odd web:/tmp
check "and told" said "odd/fifo: it is a device, a socket or a FIFO"
is "$(in_guest ls -A /tmp/odd)" x "the rest is copied"
is "$(status_of banger cp web:/dev/null odd)" 1 "a device that is named: 1"
check "it says so" said "banger: web:/dev/null: it is a device"
is "$(ls -A odd | paste -sd' ')" "fifo x" "no device is made"
is "$(status_of banger cp nosuch web:/tmp)" 3 "no such file here: 3"
is "$(status_of banger cp web:/nosuch .)" 1 "no such file there: 1"
check "it says where" said "banger: web:/nosuch: No such file or directory"
is "$(status_of banger cp web:/nosuch web:/home/one odd)/$(cat odd/one)" "10/hello" \
	"one of two: 10, and that one"
is "$(status_of banger cp one two web:/tmp/file)" 1 "two files need a folder"
is "$(status_of banger cp tree web:/home/two)" 1 "a folder is no file"
is "$(status_of banger cp one web:/tmp/new/)" 1 "a name with / at its end is a folder"
is "$(status_of banger cp one nosuch:/tmp)" 3 "no such VM: 3"
is "$(status_of as $BOB cp /etc/hostname web:/tmp)" 3 "another user's VM: 3"
is "$(status_of banger cp web:/x web:/y)" 2 "a copy within guests: 2"
is "$(status_of banger cp one two)" 2 "a copy without a guest: 2"
with_a_colon() {
	echo c >web:x && banger cp ./web:x web:/tmp && rm web:x &&
		banger cp web:/tmp/web:x ./a:b && [ "$(cat a:b)" = c ]
}
check "a file here with a colon" with_a_colon

# ---- links of this host are not followed ----
mkdir outside trap && ln -s ../outside trap/dir
in_guest mkdir -p /tmp/trap/dir >/dev/null; in_guest touch /tmp/trap/dir/file >/dev/null
is "$(status_of banger cp web:/tmp/trap/. trap)/$(find outside -mindepth 1)" "1/" \
	"a folder does not go through a link"
check "it says so" said "trap/dir: what has this name is not a folder"
echo keep >outside/keep && ln -s outside/keep trap.link && ln -s outside trap.dir
is "$(status_of banger cp web:/home/one trap.link)/$(readlink trap.link) $(cat outside/keep)" \
	"1/outside/keep keep" "nor does a file"
is "$(status_of banger cp web:/home/one trap.dir)/$(ls outside)" "1/keep" \
	"nor what goes into a folder"
check "it says so" said "trap.dir: it is a symbolic link"
check "with / behind it" banger cp web:/home/one trap.dir/
is "$(ls outside | paste -sd' ')" "keep one" "it is the folder"
is "$(status_of as 0 cp $ALICE/web:/home/one /dev/null)/$(stat -c %F /dev/null)" \
	"1/character special file" "a device here is no destination"

# ---- users and owners ----
check "as a user of the guest" banger cp -u guest one web:
is "$(in_guest stat -c '%u:%g' /tmp/one)" 1000:1000 "the file is that user's, in that user's home"
is "$(status_of banger cp -u guest one web:/etc/one)" 1 "which may not write everywhere"
check "it says why" said "banger: web:/etc/one: Permission denied"
in_guest sh -c 'busybox mkdir /tmp/mixed
	echo s >/tmp/mixed/secret
	echo o >/tmp/mixed/open
	busybox chmod 600 /tmp/mixed/secret
	busybox chmod 755 /tmp/mixed' >/dev/null
is "$(status_of banger cp -u guest web:/tmp/mixed .)" 10 "nor read everything: 10"
check "it says what" said "banger: web:/tmp/mixed/secret: Permission denied"
is "$(ls mixed)" open "the rest is copied"
is "$(status_of banger cp -u nobody one web:)" 1 "no such user in the guest"
in_guest sh -c 'echo s >/tmp/s; busybox chown 12:34 /tmp/s; busybox chmod 6755 /tmp/s' >/dev/null
check "a set-user-id file" banger cp web:/tmp/s s
is "$(stat -c '%a %u' s)" "755 $ALICE" "loses that bit"
is "$(status_of banger cp -a web:/tmp/s s.a)/$(ls s.a 2>/dev/null)" 1/ "--archive needs root here"
check "--archive as root" as 0 cp -a $ALICE/web:/tmp/s "$T/s"
is "$(stat -c '%a %u:%g' "$T/s")" "6755 12:34" "keeps owners and bits"
check "and into the guest" as 0 cp --archive "$T/s" $ALICE/web:/home/s
is "$(in_guest stat -c '%a %u:%g' /home/s)" "6755 12:34" "as well"

# ---- interruptions ----
client() { # client ARG...: banger cp in the background; its pid is in $client
	setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i --default-signal=INT,QUIT,HUP \
		PATH="$PATH" HOME="$H" BANGER_SOCKET="$T/run/control.sock" \
		"$B/banger" cp "$@" <&0 >/dev/null 2>"$T/client.err" &
	client=$!
}
clients() { # processes of banger cp in this test
	local p
	for p in $(pgrep -u $ALICE -x banger); do
		[ ! "/proc/$p/ns/ipc" -ef /proc/self/ns/ipc ] || echo "$p"
	done
}
mkfifo feed
for sig in KILL TERM INT; do
	exec 9<>feed
	client - web:/tmp <feed
	tar -cf - big | timeout 60 head -c 10000000 >&9
	check "SIG$sig: a file begins in the guest" wait_for 60 eval '[ -n "$(leftovers_there)" ]'
	kill -$sig $client
	wait $client 2>/dev/null
	is $? "$([ $sig = KILL ] && echo 137 || echo $((128 + $(kill -l $sig))))" \
		"SIG$sig: the client ends"
	check "SIG$sig: nothing of it runs any more" wait_for 60 eval '[ -z "$(clients)" ]'
	check "SIG$sig: no half file stays in the guest" \
		wait_for 60 eval '[ -z "$(leftovers_there)" ]'
	exec 9>&-
done

banger stop --timeout 1s web >/dev/null
is "$(status_of banger cp one web:/tmp)" 5 "a stopped VM: 5"
banger rm web >/dev/null

# ---- before the command of a run ----
mkdir give && echo word >give/word
given=(run --rm --image tiny --memory 128M --timeout 300s --copy give/. --copy give:/home/given)
is "$(banger "${given[@]}" -- /bin/busybox sh -c \
	'b=/bin/busybox; $b cat word; $b pwd; $b cat /home/given/word' | xargs)" "word /root word" \
	"run --copy: what it copies is there, by default where the command starts"
is "$(status_of banger "${given[@]}" --copy nosuch -- true)" 3 "run --copy of nothing: 3"
check "it says so" said "banger: nosuch: No such file or directory"
is "$(status_of banger "${given[@]}" --copy give:/nosuch/dir/x -- true)" 125 \
	"run --copy into a folder that is not there: a failure of ours"
check "it says which" said "nosuch/dir"
is "$(status_of banger run -d --image tiny --copy give)" 2 "run --detach takes no --copy"
is "$(banger ls -a -q)" "" "no VM is left of these"
