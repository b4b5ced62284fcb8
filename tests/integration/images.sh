#!/bin/bash
# Images made of tars and of container layers, as an ordinary user, and real guests that start from
# them.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh" tar

as_bounded() { # as_bounded COMMAND...: banger as Alice, for 30 s at most
	timeout --foreground 30 setpriv --reuid $ALICE --regid $ALICE --clear-groups env \
		-i PATH="$PATH" HOME="$T/home.$ALICE" TMPDIR="$T/home.$ALICE" \
		BANGER_SOCKET="$T/run/control.sock" "$B/banger" "$@"
}

set_prepare
conf_make slots=3 per_owner=3
guest_image
did "the set comes up" set_start

tiny_tree() { # tiny_tree FOLDER: a root file system that has busybox, and no init
	mkdir -p "$1/bin" && cp /bin/busybox "$1/bin/" && ln -s busybox "$1/bin/sh"
}

# ---- container images ----
sha() { sha256sum "$1" | cut -d' ' -f1; }
blob() { # blob LAYOUT FILE MEDIATYPE: move a file into the layout, and print its descriptor
	local hex
	hex=$(sha "$2")
	jq -n --arg m "$3" --arg d "sha256:$hex" --argjson s "$(stat -c %s "$2")" \
		'{mediaType: $m, digest: $d, size: $s}'
	mv "$2" "$1/blobs/sha256/$hex"
}
# config_file CONFIG IDS: the configuration of an image whose layers are IDS when unpacked
config_file() {
	jq -n --argjson c "$1" --argjson i "$2" '{os: "linux", architecture: "amd64", config: $c,
		rootfs: {type: "layers", diff_ids: $i}}'
}
oci=application/vnd.oci.image
joined() { (IFS=,; echo "[$*]"); } # joined JSON...: an array
# layout FOLDER CONFIG TAG LAYER.tar...: an OCI layout; CONFIG is the member "config" of its
# configuration
layout() {
	local dir=$1 config=$2 tag=$3 layers=() ids=() l
	shift 3
	mkdir -p "$dir/blobs/sha256"
	for l; do
		ids+=("\"sha256:$(sha "$l")\"")
		gzip -n <"$l" >"$dir/layer"
		layers+=("$(blob "$dir" "$dir/layer" $oci.layer.v1.tar+gzip)")
	done
	config_file "$config" "$(joined "${ids[@]}")" >"$dir/config"
	jq -n --argjson c "$(blob "$dir" "$dir/config" $oci.config.v1+json)" \
		--argjson l "$(joined "${layers[@]}")" \
		'{schemaVersion: 2, config: $c, layers: $l}' >"$dir/manifest"
	jq -n --argjson m "$(blob "$dir" "$dir/manifest" $oci.manifest.v1+json)" --arg t "$tag" \
		'{schemaVersion: 2, manifests: [$m +
			{annotations: {"org.opencontainers.image.ref.name": $t}}]}' \
		>"$dir/index.json"
	echo '{"imageLayoutVersion": "1.0.0"}' >"$dir/oci-layout"
}
manifest_of() {
	echo "$1/blobs/sha256/$(jq -r '.manifests[0].digest' "$1/index.json" | cut -d: -f2)"
}
# docker_archive FILE LAYOUT NAME: what `docker save` would write of a layout of one image
docker_archive() {
	local d=$1.d config names=() l
	mkdir "$d"
	config=$(jq -r .config.digest "$(manifest_of "$2")" | cut -d: -f2)
	cp "$2/blobs/sha256/$config" "$d/$config.json"
	for l in $(jq -r '.layers[].digest' "$(manifest_of "$2")" | cut -d: -f2); do
		zcat "$2/blobs/sha256/$l" >"$d/layer"
		names+=("\"$(sha "$d/layer").tar\"")
		mv "$d/layer" "$d/$(sha "$d/layer").tar"
	done
	jq -n --arg c "$config.json" --arg t "$3" --argjson l "$(joined "${names[@]}")" \
		'[{Config: $c, RepoTags: [$t], Layers: $l}]' >"$d/manifest.json"
	tar -C "$d" -cf "$1" .
}
# docker_old FILE LINK: what an old `docker save` wrote of the layers low, high, low: the last is a
# link, to LINK
docker_old() {
	local d=$1.d ids names
	mkdir -p "$d"/{a,b,c}
	cp "$T/low.tar" "$d/a/layer.tar" && cp "$T/high.tar" "$d/b/layer.tar" &&
		ln -s "$2" "$d/c/layer.tar"
	ids="\"sha256:$(sha "$T/low.tar")\""
	config_file "$config" "[$ids, \"sha256:$(sha "$T/high.tar")\", $ids]" >"$d/config"
	for l in a b c; do mv "$d/$l" "$d/$(printf "$l%.0s" {1..64})"; done
	names=$(cd "$d" && printf '"%s"\n' */layer.tar | paste -sd , | sed 's/.*/[&]/')
	jq -n --arg c "$(sha "$d/config").json" --argjson l "$names" \
		'[{Config: $c, RepoTags: ["old:1"], Layers: $l}]' >"$d/manifest.json"
	mv "$d/config" "$d/$(sha "$d/config").json"
	tar -C "$d" -cf "$1" . && chmod a+r "$1"
}
id_a=$(printf 'a%.0s' {1..64}) id_c=${id_a//a/c}
tiny_tree "$T/low"
mkdir "$T/low/old" "$T/low/tmp" && echo low >"$T/low/old/file" && echo low >"$T/low/gone"
mkdir -p "$T/high/sbin" "$T/high/old" && ln -s ../bin/busybox "$T/high/sbin/init"
: >"$T/high/.wh.gone" && : >"$T/high/old/.wh..wh..opq" && echo high >"$T/high/old/new"
tar -C "$T/low" -cf "$T/low.tar" . && tar -C "$T/high" -cf "$T/high.tar" .
config='{"Entrypoint": ["/bin/busybox", "sh", "-c",
	"echo \"$0 $* $WORD $PWD $(busybox id -u)\"; exit 5"], "Cmd": ["one", "two"],
	"Env": ["WORD=from the image", "PATH=/bin"], "User": "1000", "WorkingDir": "/old"}'
layout "$T/layout" "$config" v1 "$T/low.tar" "$T/high.tar"
tar -C "$T/layout" -cf "$T/layout.tar" .
docker_archive "$T/docker.tar" "$T/layout" tiny:v1
chmod -R a+rX "$T/layout" "$T"/*.tar

# ---- a registry ----
copy() { HOME=$T skopeo --insecure-policy copy -q "$@"; }
registry_up() { (exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null; }
registry_start() { # with an image in it, which Alice may fetch without TLS
	local settings=$T/home.$ALICE/.config/containers
	cat >"$T/registry.yml" <<-END
		version: 0.1
		storage: {filesystem: {rootdirectory: $T/registry}}
		http: {addr: "127.0.0.1:5000"}
	END
	background docker-registry serve "$T/registry.yml" >"$T/registry.err" 2>&1
	registry=${PIDS[-1]}
	check "a registry on loopback" wait_for 60 registry_up
	check "skopeo brings an image there" copy --dest-tls-verify=false \
		"oci:$T/layout:v1" docker://127.0.0.1:5000/library/tiny:v1
	mkdir -p "$settings" && echo '{"default": [{"type": "insecureAcceptAnything"}]}' \
		>"$settings/policy.json"
	chown -R $ALICE:$ALICE "$T/home.$ALICE"
}
insecure=$T/home.$ALICE/.config/containers/registries.conf
allow_insecure() {
	printf '[[registry]]\nlocation = "127.0.0.1:5000"\ninsecure = true\n' >"$insecure"
}
skopeo=
if command -v skopeo >/dev/null && command -v docker-registry >/dev/null; then skopeo=1; fi

# ---- a fresh host: no image, no kernel ----
mkdir "$T/apt"
cat >"$T/apt/apt-cache" <<-'END'
	#!/bin/sh
	echo "Package: meta"
	echo "Depends: linux-image-6.1.0-1-cloud-amd64 (= 6.1)"
END
printf '#!/bin/sh\ncp %s/kernel.deb "$5_6.1_amd64.deb"\n' "$T" >"$T/apt/apt-get"
cp "$ROOT/build/cache/kernel.deb" "$T/" && chmod 755 "$T"/apt/* && chmod 644 "$T/kernel.deb"
if [ "$skopeo" ]; then
	registry_start && allow_insecure
	printf '[default]\nimage = tiny\n[images]\ntiny = 127.0.0.1:5000/library/tiny:v1\n' \
		>"$T/images.conf"
	is "$(PATH=$T/apt:$PATH banger run --rm --timeout 300s --memory 192M </dev/null; echo $?)" \
		$'one two from the image /old 1000\n5' \
		"run without a word: the catalogue's default is made, and its entry point runs"
	is "$(grep -c -e 'there is no image yet: making tiny of 127.0.0.1:5000/library/tiny:v1$' \
		-e 'there is no kernel yet' -e 'made the image tiny of' "$T/err")" 3 \
		"it says what it does and did"
	echo copied >"$T/given"
	is "$(PATH=$T/apt:$PATH banger run --rm --timeout 300s --memory 192M --copy "$T/given" \
		--entrypoint /bin/busybox tiny -- cat given)" copied \
		"run --copy: to the folder of the image, in which its command starts"
	is "$(banger image list -o json | jq -r '.[] | "\(.name) \(.origin) \(.kernel)"')" \
		"tiny 127.0.0.1:5000/library/tiny:v1 debian" "and the record has the origin"
	is "$(banger image list -o json | jq -r '.[].layers')" \
		"$(sha "$T/low.tar" | head -c 12) $(sha "$T/high.tar" | head -c 12)" \
		"and the layers"
	check "the image and the kernel are deleted" \
		eval 'banger image delete tiny && banger kernel delete debian'
	rm "$T/images.conf"
else
	skip "run on a fresh host" "needs skopeo and docker-registry"
fi

# ---- the first kernel, which apt brings ----
is "$(PATH=$T/apt:$PATH banger image import first "$T/guest.ext4")" first \
	"a first image brings the first kernel"
is "$(banger kernel list -q)/$(banger image list -o json | jq -r '.[].kernel')" debian/debian \
	"which is Debian's"
is "$(banger image import second "$T/guest.ext4")" second "the only kernel is taken"
check "they are deleted" eval 'banger image delete first second && banger kernel delete debian'
# Scripts in the place of mmdebstrap and fakeroot: the Debian that is built is the test's guest.
tar -C "$T/guest" -cf "$T/root.tar" . && chmod 644 "$T/root.tar"
printf '#!/bin/sh\nfor a; do case $a in */root.tar) cp %s "$a" ;; esac; done\n' \
	"$T/root.tar" >"$T/apt/mmdebstrap"
printf '#!/bin/sh\nshift\nexec "$@"\n' >"$T/apt/fakeroot"
cp "$T/apt/fakeroot" "$T/apt/fakechroot" && chmod 755 "$T"/apt/*
is "$(PATH=$T/apt:$PATH status_of banger run -d --name first --memory 128M)" 0 \
	"run without a catalogue and without an image succeeds"
is "$(field $ALICE first image)" debian "without a catalogue a Debian is built"
is "$(banger image list -o json | jq -r '.[] | "\(.origin) \(.kernel)"')" "build:debian debian" \
	"and its kernel fetched"
check "they are deleted" \
	eval 'banger rm first && banger image delete debian && banger kernel delete debian'
did "kernel and image" set_images

import() { banger image import "$@" --kernel debian --size 64M; }
check "an OCI layout becomes an image" import oci "$T/layout"
check "one image of it, by its tag" import tag "oci:$T/layout:v1"
check "a tar of the layout" import ocitar "oci-archive:$T/layout.tar"
check "the archive of docker save, compressed" eval 'gzip -n <"$T/docker.tar" | import docker -'
check "one image of it, by its name" import named "docker-archive:$T/docker.tar:tiny:v1"

of_registry() {
	local pull=(banger image pull --size 64M) ref=127.0.0.1:5000/library/tiny:v1 \
		name=127-0-0-1-5000-library-tiny-v1
	rm "$insecure"
	is "$(status_of "${pull[@]}" $ref)/$(image_digest $name)" "1/" \
		"a registry without TLS: the user's settings decide"
	allow_insecure
	is "$("${pull[@]}" $ref)" $name "pull: the name is the whole reference"
	is "$("${pull[@]}" docker://$ref mine)" mine "pull: a name of the user's own"
	is "$(image_digest mine)" "$(image_digest $name)" "the same reference is the same image"
	is "$(status_of "${pull[@]}" $ref)/$(cat "$T/err")" \
		"5/*image of that name already, of $ref*" "pull to a name that is taken"
	is "$(status_of "${pull[@]}" 127.0.0.1:5000/library/none:v1)/$(image_digest none-v1)" "1/" \
		"an image that is not there"
	is "$(find "$T/home.$ALICE" -maxdepth 3 -user $ALICE -name 'banger-*')" "" \
		"pull leaves no file behind"
	check "images that were pulled are deleted" banger image delete mine $name
	check "run with a reference makes an image" \
		eval "banger run -d --name one --memory 128M $ref && banger rm one"
	kill "$registry" # the image is not pulled again
	is "$(banger run --rm --timeout 300s --memory 192M docker://$ref -- a b </dev/null
		echo $?)" $'a b from the image /old 1000\n5' \
		"run with an image that is here, and a command"
	is "$(status_of banger run -d 127-0-0-1/5000-library-tiny:v1)/$(cat "$T/err")" \
		"5/*the image $name that is here is of $ref*" \
		"a reference that would have the same name is refused"
	check "it is deleted" banger image delete $name
}

image_digest() {
	banger image list -o json | jq -r --arg n "$1" '.[] | select(.name == $n).digest'
}
# ---- what skopeo writes ----
of_skopeo=
if [ "$skopeo" ]; then
	check "skopeo writes an archive for docker" \
		copy "oci:$T/layout:v1" "docker-archive:$T/skopeo.tar:tiny:v1"
	check "skopeo writes an OCI archive" \
		copy "oci:$T/layout:v1" "oci-archive:$T/skopeo.oci:v1"
	chmod a+r "$T"/skopeo.*
	check "the archive for docker becomes an image" import skopeo1 "$T/skopeo.tar"
	check "the OCI archive too" import skopeo2 "$T/skopeo.oci"
	of_skopeo="skopeo1 skopeo2 "
	of_registry
else
	skip "registries" "needs skopeo and docker-registry"
fi

# ---- records, names, exports ----
member() { banger image show "$1" -o json | jq -r ".$2"; }
is "$(member named origin) $(member tag origin)" "file:docker.tar file:layout" \
	"the record has the file's name"
is "$(member oci config)" "$(jq -r .config.digest "$(manifest_of "$T/layout")" | cut -d: -f2)" \
	"and the digest of the configuration"
is "$(banger image history oci | awk '/^layer/ { print $2, $3 }' | xargs)" \
	"1 $(sha "$T/low.tar" | head -c 12) 2 $(sha "$T/high.tar" | head -c 12)" "and the layers"
digest=$(member tiny digest)
check "an image gets a second name" banger image tag "${digest:0:12}" again
is "$(member again digest) $(member again owner) $(member again kernel)" "$digest $ALICE debian" \
	"which is its user's"
check "export to a file" banger image export "sha256:$digest" "$T/home.$ALICE/out.ext4"
is "$(sha "$T/home.$ALICE/out.ext4") $(stat -c %a "$T/home.$ALICE/out.ext4")" \
	"$(sha "$T/guest.ext4") 644" "gives the bytes that were imported"
check "holes stay holes" eval '[ $(stat -c %b "$T/home.$ALICE/out.ext4") -lt 16384 ]'
is "$(banger image export again - | sha256sum)" "$(sha "$T/guest.ext4") *" \
	"export to standard output too"
is "$(banger image export again /dev/full; echo $?)" 2 "but not to a device"
is "$(banger image import back "$T/home.$ALICE/out.ext4" && member back digest)" "back*$digest" \
	"what was exported is imported as the same image"
is "$(find "$T/home.$ALICE" -maxdepth 1 -name 'out*' | wc -l)" 1 "export leaves one file"
check "a VM uses one" banger create user --image again --memory 128M
is "$(banger image prune --dry-run | sort | xargs)" "back docker named oci ocitar ${of_skopeo}tag" \
	"prune: what no VM uses, and is the user's"
is "$(banger image prune | wc -l)/$(banger image list -q | sort | xargs)" "[68]/again tiny" \
	"prune deletes that alone"
made_again() {
	banger rm user && banger image rm again && import oci "$T/layout" &&
		import tag "oci:$T/layout:v1" && import ocitar "oci-archive:$T/layout.tar" &&
		import docker "$T/docker.tar" && import named "$T/docker.tar"
}
check "they are made again" made_again

# ---- layers that are links ----
docker_old "$T/old.tar" "../$id_a/layer.tar"
check "an old archive of docker save, with a layer that is a link" import old "$T/old.tar"
low=$(sha "$T/low.tar" | head -c 12) high=$(sha "$T/high.tar" | head -c 12)
is "$(member old layers)" "$low $high $low" "the image of the old archive has the layer twice"
check "it is deleted" banger image delete old

# ---- what is refused ----
refused() { # refused WHY WHAT FILE: it is no image, and nothing is left of it
	is "$(status_of import evil "$3")/$(grep -c -- "$1" "$T/err")" "[236]/1" \
		"$2: refused ($(grep ^banger "$T/err"))"
}
evil() { # evil NAME JQ...: a copy of the layout, whose manifest JQ has changed
	rm -rf "$T/evil" && cp -r "$T/layout" "$T/evil"
	jq "$1" "$(manifest_of "$T/layout")" >"$T/evil/manifest"
	jq --argjson m "$(blob "$T/evil" "$T/evil/manifest" $oci.manifest.v1+json)" \
		'.manifests = [$m]' "$T/layout/index.json" >"$T/evil/index.json"
	chmod -R a+rX "$T/evil"
}
for link in ../../layer.tar /etc/passwd "../$id_a/../../x" "../$id_c/layer.tar" layer.tar; do
	rm -rf "$T/old.tar" "$T/old.tar.d" && docker_old "$T/old.tar" "$link"
	refused "a link out of the archive\|through more than 4\|no such file" \
		"a layer that is a link to $link" "$T/old.tar"
done
refused "there is no image v2" "a tag that is not there" "oci:$T/layout:v2"
refused "there are 0 images" "a name that is not there" "docker-archive:$T/docker.tar:other"
rm -rf "$T/evil" && cp -r "$T/layout" "$T/evil" && chmod -R a+rX "$T/evil"
layer=$T/evil/blobs/sha256/$(jq -r '.layers[1].digest' "$(manifest_of "$T/layout")" | cut -d: -f2)
gzip -n <"$T/low.tar" >"$layer"
refused "a layer unpacks to" "a layer with other content" "$T/evil"
zcat "$T/layout/${layer#"$T/evil/"}" | gzip -1 >"$layer"
refused "bytes, not\|its digest is" "a layer that is compressed otherwise" "$T/evil"
head -c 100 "$T/layout/${layer#"$T/evil/"}" >"$layer"
refused "runcated" "a truncated layer" "$T/evil"
rm "$layer" && ln -s /etc/passwd "$layer"
refused "Too many levels" "a layer that is a link to a file of the host" "$T/evil"
evil '.layers[0].digest = "sha256:../../../../../../etc/passwd"'
refused "is no sha256 digest" "a digest that is a path" "$T/evil"
evil '.layers[0].mediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar"'
refused "a layer of the type" "a layer that is elsewhere" "$T/evil"
evil '.layers += [.layers[0]]'
refused "it has 3 layers" "layers that the configuration does not have" "$T/evil"
evil '.config.size = 1'
refused "bytes, not 1 as" "a size that is wrong" "$T/evil"
echo '{' >"$T/evil/index.json"
refused "no JSON" "an index that is no JSON" "$T/evil"
rm "$T/evil/index.json" && mkfifo "$T/evil/index.json"
refused "no index.json" "an index that is a FIFO" "$T/evil"
rm -r "$T/evil" && mkdir "$T/evil"
refused "no index.json" "an empty folder" "$T/evil"
tar -P --transform 's,^,../,' -C "$T" -cf "$T/up.tar" low.tar
refused 'has "\.\." in it' "a tar that leads out of the image" "$T/up.tar"
truncate -s 1100M "$T/zeros" && tar -C "$T" -cf - zeros | gzip -1 >"$T/zeros.gz" && rm "$T/zeros"
refused "MiB when unpacked" "a bomb" "$T/zeros.gz"
is "$(banger image list -q | grep -c evil)" 0 "a refused import leaves no image"
is "$(find "$T/home.$ALICE" -maxdepth 3 -user $ALICE -name 'banger-*' | wc -l)" 0 \
	"a refused import leaves nothing"

# ---- whole disks ----
disks() {
	local f
	truncate -s 64M "$T/disk.raw"
	sfdisk -q "$T/disk.raw" <<-END
		label: gpt
		start=2048, size=8192, type=U
		size=32768, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
	END
	dd if="$T/guest.ext4" of="$T/disk.raw" bs=1M seek=5 conv=notrunc status=none
	qemu-img convert -O qcow2 "$T/disk.raw" "$T/disk.v3"
	qemu-img convert -O qcow2 -o compat=0.10,cluster_size=4096 "$T/disk.raw" "$T/disk.v2"
	qemu-img convert -c -O qcow2 "$T/disk.raw" "$T/disk.deflate"
	qemu-img convert -c -O qcow2 -o compression_type=zstd "$T/disk.raw" "$T/disk.zstd"
	chmod a+r "$T"/disk.*
	for f in raw v3 v2 deflate zstd; do
		check "a disk becomes an image ($f)" import "disk-$f" "$T/disk.$f"
		is "$(image_digest "disk-$f")" "$(image_digest tiny)" \
			"which is its root file system"
		is "$(banger image list -o json |
			jq -r --arg n "disk-$f" '.[] | select(.name == $n).origin')" \
			"file:disk.$f" "with the file's name"
		banger image delete "disk-$f" >/dev/null
	done
	check "a disk comes by a pipe" eval 'import disk - <"$T/disk.zstd"'
	is "$(image_digest disk)" "$(image_digest tiny)" "and is the same image"
	check "it is deleted" banger image delete disk
	qemu-img create -q -f qcow2 -b /etc/shadow -F raw -u "$T/disk.backed" 64M
	head -c 2M "$T/disk.raw" >"$T/disk.cut" && head -c 1M "$T/disk.v3" >"$T/disk.cut3"
	chmod a+r "$T"/disk.*
	refused "has a backing file" "a disk on top of a file of the host" "$T/disk.backed"
	refused "behind the end of the disk" "a disk that is cut" "$T/disk.cut"
	refused "behind the end of the file" "a qcow2 that is cut" "$T/disk.cut3"
	is "$(status_of banger image import evil "$T/disk.v3" --kernel debian --size 8M)" 6 \
		"a root that is larger than --size is refused"
	is "$(cat "$T/err")" "*its root has 16 MiB*--size 16M" \
		"a root that is larger than --size"
	rm "$T"/disk.*
}
if command -v qemu-img >/dev/null && command -v sfdisk >/dev/null; then
	disks
else
	skip "whole disks" "needs qemu-img and sfdisk"
fi

# ---- a tar with an init ----
tar -C "$T/guest" -czf "$T/root.tar.gz" .
check "a tar becomes an image" \
	banger image import fromtar "$T/root.tar.gz" --kernel debian --size 64M
check "from standard input" \
	eval 'banger image import piped - --kernel debian --size 64M <"$T/root.tar.gz"'
is "$(banger image list -o json |
	jq -r '.[] | select(.name == "fromtar" or .name == "piped") | .digest' |
	sort | uniq -c | awk '{ print $1 }')" 2 "the same input is the same image"
is "$(banger run --rm --timeout 300s --image fromtar --memory 192M -- /bin/busybox echo hello
	echo $?)" $'hello\n0' "a guest starts from it"

# ---- an image without an init ----
tiny_tree "$T/bare"
tar -C "$T/bare" --zstd -cf "$T/bare.tar.zst" .
check "a tar without an init becomes an image" \
	banger image import bare "$T/bare.tar.zst" --kernel debian --size 64M
check "a guest of it starts" \
	eval 'banger create bare --image bare --memory 192M && banger start bare'
bare() { banger exec --timeout 300s -n bare -- "$@"; }
# A command right at the start of a guest is agent.sh's to test.
answers() { as_bounded exec --timeout 300s -n "$1" -- /bin/busybox true; }
check "it answers" wait_for 120 answers bare
is "$(bare /bin/busybox sed 's/\x0.*//' /proc/1/cmdline | tr -d '\0')" "@banger-agent*" \
	"the agent is process 1"
mounted=$(bare busybox cat /proc/mounts |
	awk '$2 ~ "^/(|proc|sys|dev|dev/pts|dev/shm|sys/fs/cgroup)$" { print $2 ":" $3 }' |
	LC_ALL=C sort | paste -sd ' ')
want="*/:ext4 /dev/pts:devpts /dev/shm:tmpfs /dev:devtmpfs /proc:proc"
is "$mounted" "$want /sys/fs/cgroup:cgroup2 /sys:sysfs" "file systems are mounted"
is "$(bare 'busybox ip -4 -o addr show eth0' | awk '{ print $4 }')" "$(field $ALICE bare ip)/*" \
	"the network is up"
is "$(banger exec -n -t bare -- busybox tty | tr -d '\r')" /dev/pts/0 "a terminal"
no_zombie() { bare '! busybox grep -l ^State:.Z /proc/[0-9]*/status'; }
check "a process makes an orphan" bare 'busybox setsid sh -c "busybox true & exec busybox true"'
check "an orphan is reaped" wait_for 60 no_zombie
is "$(status_of banger run --rm --timeout 300s --image bare --memory 192M -- busybox false)" 1 \
	"run --rm: the command's status"
is "$(banger stop --timeout 60s bare -o json | jq '.[0].forced')" false "the power button ends it"
check "the console says so" console_has $ALICE bare "reboot: Power down"
check "it starts again" banger start bare
check "and answers" wait_for 120 answers bare
check "a program that ignores SIGTERM runs" \
	bare 'trap "" TERM; busybox sleep 9999 >/dev/null 2>&1 </dev/null & :'
bare busybox poweroff >/dev/null 2>&1
check "a program that ignores SIGTERM does not keep it" \
	wait_for 60 state_is $ALICE bare stopped
banger rm bare >/dev/null

# ---- the configuration of a container image ----
run() { banger run --rm --timeout 300s --memory 192M --image "$@" </dev/null; }
is "$(run oci; echo $?)" $'one two from the image /old 1000\n5' \
	"run: entry point, command, environment, user and folder are the image's"
is "$(run docker -- x y; echo $?)" $'x y from the image /old 1000\n5' \
	"run with a command: it replaces the image's command"
is "$(run ocitar -u 0 -w / -e WORD=mine -- y z; echo $?)" $'y z mine / 0\n5' \
	"run with options: they replace the image's"
check "a guest of it starts" eval 'banger create box --image tag --memory 192M && banger start box'
check "it answers" wait_for 120 answers box
is "$(banger exec -n box -- 'echo $WORD $PWD $(busybox ls /old)')" "from the image /old new" \
	"exec has the image's environment; a layer hides another"
is "$(status_of banger exec -n box -- busybox test -e /gone)" 1 "a whiteout took effect"
line="one two from the image /old 1000"
check "the entry point runs with the guest" wait_for 120 console_has $ALICE box "$line"
check "and its end is told" \
	wait_for 60 console_has $ALICE box "banger-init: the entry point ended with status 5"
is "$(banger stop --timeout 60s box -o json | jq '.[0].forced')" false \
	"the agent is process 1 although there is a /sbin/init"
banger rm box >/dev/null
kept() { banger run --name kept --timeout 300s --memory 192M --image oci -- x y </dev/null; }
is "$(kept; echo $?)" $'x y from the image /old 1000\n5' "run without --rm"
is "$(banger stop --timeout 60s kept -o json | jq '.[0].forced')" false "its VM is stopped"
is "$(banger logs kept | grep -c "from the image")" 0 \
	"its session has started the entry point, and the guest none"
check "it starts again" banger start kept
check "then the guest runs the entry point of the image" \
	wait_for 120 console_has $ALICE kept "$line"
banger rm kept >/dev/null
