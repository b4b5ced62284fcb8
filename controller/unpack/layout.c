/* layout.c - finds the layers of an input.
 *
 * An OCI layout (image-layout.md of the OCI image specification): index.json names manifests, a
 * manifest a configuration and layers, each by its SHA-256. The archive of `docker save`:
 * manifest.json names a configuration and layers by their members; the configuration has the
 * SHA-256 of each layer.  All of it is a stranger's text: sizes are bounded, and whatever is not as
 * it should be ends the import. */
#include "controller/unpack/layout.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "controller/unpack/config.h"
#include "controller/unpack/store.h"

#define WHAT "image"
#define ARCHITECTURE "amd64" /* as images call x86-64 */
#define INDEX_DEPTH 3        /* indexes in one another */
#define LAYERS_MOST 512

static const char *const image_types[] = {
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
	NULL,
};
static const char *const index_types[] = {
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
	NULL,
};
static const char *const layer_types[] = {
	"application/vnd.oci.image.layer.v1.tar",
	"application/vnd.oci.image.layer.v1.tar+gzip",
	"application/vnd.oci.image.layer.v1.tar+zstd",
	"application/vnd.docker.image.rootfs.diff.tar",
	"application/vnd.docker.image.rootfs.diff.tar.gzip",
	"application/vnd.docker.image.rootfs.diff.tar.zstd",
	NULL,
};

/* A descriptor (descriptor.md): what has which digest. */
struct blob {
	char name[80]; /* its part of the store */
	char hex[DIGEST_HEX];
	int64_t size;
};

struct choice {
	struct blob blob;
	bool index; /* the blob is an index, else a manifest */
	unsigned n; /* different blobs that are as good */
};

/* ---- JSON ---- */

static void json_cleanup(json_t **j)
{
	json_decref(*j);
}
#define _cleanup_json_ __attribute__((cleanup(json_cleanup)))

static json_t *load(const struct store *st, const char *name, const struct expected *x,
		    struct error *e)
{
	_cleanup_free_ char *text = store_text(st, name, x, e);
	json_t *j = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (text && !j)
		(void)error_set(e, FAIL_USAGE, name, "no JSON");
	return j;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static bool is_one_of(const char *s, const char *const list[])
{
	for (; *list; list++)
		if (strcmp(s, *list) == 0)
			return true;
	return false;
}

/* Read the 64 digits of a "sha256:..." into @hex. */
static int read_digest(const char *s, char hex[DIGEST_HEX], struct error *e)
{
	if (strncmp(s, "sha256:", 7) != 0 || strlen(s) != 7 + 64 ||
	    strspn(s + 7, "0123456789abcdef") != 64)
		return error_set(e, FAIL_USAGE, WHAT, "\"%.80s\" is no sha256 digest", s);
	(void)strcpy(hex, s + 7);
	return 0;
}

static int read_descriptor(const json_t *d, struct blob *b, struct error *e)
{
	const json_t *size = json_object_get(d, "size");

	if (read_digest(text_of(d, "digest"), b->hex, e) < 0)
		return -1;
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return error_set(e, FAIL_USAGE, b->hex, "its descriptor has no size");
	b->size = json_integer_value(size);
	(void)snprintf(b->name, sizeof(b->name), "blobs/sha256/%s", b->hex);
	return 0;
}

static json_t *load_blob(const struct store *st, const struct blob *b, struct error *e)
{
	const struct expected x = { b->hex, b->size };

	return load(st, b->name, &x, e);
}

/* ---- layers ---- */

/* Note the digest of a layer.  The digests of layers for which there is no room are left out. */
static void note_layer(struct image *im, const char *digest)
{
	size_t n = strlen(im->layers);

	if (n + 1 + LAYER_DIGITS < sizeof(im->layers))
		(void)snprintf(im->layers + n, sizeof(im->layers) - n, "%s%.*s", n ? " " : "",
			       LAYER_DIGITS, digest);
}

/* Apply a stream of bytes that is a tar, compressed or not.  @hex: the SHA-256 of the tar, or
 * NULL. */
static int apply_stream(struct image *im, struct stream *from, const char *hex, struct error *e)
{
	struct stream plain = { 0 };
	char digest[DIGEST_HEX];
	int r = stream_plain(&plain, from, im->left, e);

	if (r == 0)
		r = layer_apply(im, &plain, e);
	if (r == 0)
		r = stream_digest(&plain, digest, e);
	if (r == 0 && hex && strcmp(hex, digest) != 0)
		r = error_set(e, FAIL_USAGE, WHAT, "a layer unpacks to sha256:%s, not %s", digest,
			      hex);
	if (r == 0) {
		im->left -= plain.passed;
		note_layer(im, digest);
	}
	stream_end(&plain);
	return r;
}

static int apply_part(struct image *im, const struct store *st, const struct blob *b,
		      const char *diff_id, struct error *e)
{
	const struct expected x = { b->hex[0] ? b->hex : NULL, b->size };
	struct part p;
	int r = part_open(st, b->name, &p, e);

	if (r == 0)
		r = apply_stream(im, &p.s, diff_id, e);
	if (r == 0)
		r = part_verify(&p, b->name, &x, e);
	part_end(&p);
	return r;
}

/* A configuration is of this machine, and lists as many layers as there are. */
static int check_config(const json_t *config, size_t layers, struct error *e)
{
	const char *os = text_of(config, "os"), *arch = text_of(config, "architecture");
	const json_t *ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");

	if (strcmp(os, "linux") != 0 || strcmp(arch, ARCHITECTURE) != 0)
		return error_set(e, FAIL_USAGE, WHAT, "it is for %.40s/%.40s, not for linux/%s", os,
				 arch, ARCHITECTURE);
	if (layers == 0 || layers > LAYERS_MOST || json_array_size(ids) != layers)
		return error_set(e, FAIL_USAGE, WHAT, "it has %zu layers, its configuration %zu",
				 layers, json_array_size(ids));
	return 0;
}

static int read_diff_id(const json_t *config, size_t i, char hex[DIGEST_HEX], struct error *e)
{
	const json_t *ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
	const char *id = json_string_value(json_array_get(ids, i));

	return read_digest(id ? id : "", hex, e);
}

/* ---- OCI ---- */

static bool is_for_us(const json_t *descriptor)
{
	const json_t *p = json_object_get(descriptor, "platform");

	return !p || (strcmp(text_of(p, "os"), "linux") == 0 &&
		      strcmp(text_of(p, "architecture"), ARCHITECTURE) == 0);
}

static bool is_picked(const json_t *descriptor, const char *pick)
{
	const json_t *a = json_object_get(descriptor, "annotations");

	return !*pick || strcmp(text_of(a, "org.opencontainers.image.ref.name"), pick) == 0 ||
	       strcmp(text_of(a, "io.containerd.image.name"), pick) == 0;
}

static int consider(struct choice *c, const json_t *descriptor, const char *pick, struct error *e)
{
	const char *type = text_of(descriptor, "mediaType");
	bool index = is_one_of(type, index_types);
	struct blob b;

	if ((!index && !is_one_of(type, image_types)) || !is_for_us(descriptor) ||
	    !is_picked(descriptor, pick))
		return 0;
	if (read_descriptor(descriptor, &b, e) < 0)
		return -1;
	if (c->n && strcmp(c->blob.hex, b.hex) == 0)
		return 0;
	c->blob = b;
	c->index = index;
	c->n++;
	return 0;
}

/* The names that can be picked, for a message. */
static void list_names(const json_t *manifests, char out[200])
{
	size_t i, n = 0;
	json_t *d;

	out[0] = '\0';
	json_array_foreach(manifests, i, d)
	{
		const char *name = text_of(json_object_get(d, "annotations"),
					   "org.opencontainers.image.ref.name");
		if (*name && n < 199)
			n += (size_t)snprintf(out + n, 200 - n, "%s%s", n ? ", " : "", name);
	}
}

/* Choose the manifest for this machine from an index. */
static int choose(const json_t *index, const char *pick, struct choice *c, struct error *e)
{
	const json_t *manifests = json_object_get(index, "manifests");
	char names[200];
	json_t *d;
	size_t i;

	*c = (struct choice){ 0 };
	json_array_foreach(manifests, i, d) if (consider(c, d, pick, e) < 0) return -1;
	if (c->n == 1)
		return 0;
	list_names(manifests, names);
	if (c->n > 1)
		(void)error_set(e, FAIL_USAGE, WHAT, "there are %u images in it", c->n);
	else
		(void)error_set(e, FAIL_NOT_FOUND, WHAT, "there is no image %s for linux/%s in it",
				pick, ARCHITECTURE);
	if (names[0])
		error_hint(e, "name one, as oci:FILE:NAME: %s", names);
	return -1;
}

static int apply_oci_layers(struct image *im, const struct store *st, const json_t *manifest,
			    const json_t *config, struct error *e)
{
	const json_t *layers = json_object_get(manifest, "layers");
	char diff_id[DIGEST_HEX];
	struct blob b;
	json_t *d;
	size_t i;

	if (check_config(config, json_array_size(layers), e) < 0)
		return -1;
	json_array_foreach(layers, i, d)
	{
		if (!is_one_of(text_of(d, "mediaType"), layer_types))
			return error_set(e, FAIL_USAGE, WHAT,
					 "it has a layer of the type \"%.100s\"",
					 text_of(d, "mediaType"));
		if (read_descriptor(d, &b, e) < 0 || read_diff_id(config, i, diff_id, e) < 0 ||
		    apply_part(im, st, &b, diff_id, e) < 0)
			return -1;
	}
	return config_write(im, config, e);
}

static int apply_manifest(struct image *im, const struct store *st, const struct blob *b,
			  struct error *e)
{
	_cleanup_json_ json_t *manifest = load_blob(st, b, e);
	struct blob c;

	if (!manifest || read_descriptor(json_object_get(manifest, "config"), &c, e) < 0)
		return -1;
	_cleanup_json_ json_t *config = load_blob(st, &c, e);
	(void)snprintf(im->config, sizeof(im->config), "%s", c.hex);
	return config ? apply_oci_layers(im, st, manifest, config, e) : -1;
}

static int apply_oci(struct image *im, const struct store *st, const char *pick, struct error *e)
{
	static const struct expected any = { NULL, -1 };
	struct choice c = { 0 };

	for (int depth = 0; depth < INDEX_DEPTH; depth++) {
		_cleanup_json_ json_t *index = depth ? load_blob(st, &c.blob, e)
						     : load(st, "index.json", &any, e);
		if (!index || choose(index, depth ? "" : pick, &c, e) < 0)
			return -1;
		if (!c.index)
			return apply_manifest(im, st, &c.blob, e);
	}
	return error_set(e, FAIL_USAGE, WHAT, "its indexes lead through more than %d others",
			 INDEX_DEPTH);
}

/* ---- docker save ---- */

static bool has_tag(const json_t *image, const char *pick)
{
	json_t *tag;
	size_t i;

	json_array_foreach(json_object_get(image, "RepoTags"), i,
			   tag) if (json_is_string(tag) &&
				    strcmp(json_string_value(tag), pick) == 0) return true;
	return !*pick;
}

static const json_t *choose_docker(const json_t *images, const char *pick, struct error *e)
{
	const json_t *found = NULL;
	unsigned n = 0;
	json_t *image;
	size_t i;

	json_array_foreach(images, i, image) if (has_tag(image, pick))
	{
		found = image;
		n++;
	}
	if (n == 1)
		return found;
	(void)error_set(e, n ? FAIL_USAGE : FAIL_NOT_FOUND, WHAT, "there are %u images %s in it", n,
			pick);
	error_hint(e, "name one, as docker-archive:FILE:NAME:TAG");
	return NULL;
}

/* A member's name may be the digest of its content: HEX.json, blobs/sha256/HEX. */
static void member_of(const char *name, struct blob *b)
{
	const char *base = strrchr(name, '/');

	base = base ? base + 1 : name;
	*b = (struct blob){ .size = -1 };
	(void)snprintf(b->name, sizeof(b->name), "%s", name);
	size_t n = strspn(base, "0123456789abcdef");
	if (n == 64 && (base[n] == '\0' || strcmp(base + n, ".json") == 0))
		(void)snprintf(b->hex, sizeof(b->hex), "%s", base);
}

static int apply_docker_layers(struct image *im, const struct store *st, const json_t *layers,
			       const json_t *config, struct error *e)
{
	char diff_id[DIGEST_HEX];
	struct blob b;
	json_t *d;
	size_t i;

	if (check_config(config, json_array_size(layers), e) < 0)
		return -1;
	json_array_foreach(layers, i, d)
	{
		const char *name = json_string_value(d);
		member_of(name ? name : "", &b);
		b.hex[0] = '\0'; /* the configuration has its digest */
		if (read_diff_id(config, i, diff_id, e) < 0 ||
		    apply_part(im, st, &b, diff_id, e) < 0)
			return -1;
	}
	return config_write(im, config, e);
}

static int apply_docker(struct image *im, const struct store *st, const char *pick, struct error *e)
{
	static const struct expected any = { NULL, -1 };
	_cleanup_json_ json_t *images = load(st, "manifest.json", &any, e);
	const json_t *image = images ? choose_docker(images, pick, e) : NULL;
	struct blob b;

	if (!image)
		return -1;
	member_of(text_of(image, "Config"), &b);
	const struct expected x = { b.hex[0] ? b.hex : NULL, -1 };
	_cleanup_json_ json_t *config = load(st, b.name, &x, e);
	(void)snprintf(im->config, sizeof(im->config), "%s", b.hex);
	return config ? apply_docker_layers(im, st, json_object_get(image, "Layers"), config, e)
		      : -1;
}

/* ---- the input ---- */

static int apply_tar(struct image *im, int input, struct error *e)
{
	struct stream file = { 0 };
	int r = stream_file(&file, input, e);

	if (r == 0)
		r = apply_stream(im, &file, NULL, e);
	stream_end(&file);
	return r;
}

int layout_apply(struct image *im, int input, const char *pick, struct error *e)
{
	struct stat s;
	struct store st = { .input = input, .most = im->left };
	enum store_kind kind;

	st.folder = fstat(input, &s) == 0 && S_ISDIR(s.st_mode);
	if (store_kind(&st, &kind, e) < 0)
		return -1;
	if (kind == STORE_OCI)
		return apply_oci(im, &st, pick, e);
	if (kind == STORE_DOCKER)
		return apply_docker(im, &st, pick, e);
	if (*pick)
		return error_set(e, FAIL_USAGE, WHAT, "it is a tar of files, and has no images");
	return apply_tar(im, input, e);
}
