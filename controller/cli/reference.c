/* reference.c - references to images of a registry, the names that they get here, and root's
 * catalogue of short names. */
#include "controller/cli/reference.h"

#include <errno.h>
#include <ini.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/parse.h"

#define REGISTRY "docker://"
#define LATEST "latest"
#define NAME_MOST 63
#define DIGITS 24      /* of a digest, in a name */
#define HASH_DIGITS 16 /* of the SHA-256 of an origin that is too long for a name */

/* ---- references ---- */

int reference_origin(const char *reference, char origin[ORIGIN_SIZE], struct error *e)
{
	if (strncmp(reference, REGISTRY, strlen(REGISTRY)) == 0)
		reference += strlen(REGISTRY);
	size_t end = strcspn(reference, "@"), at = end;
	while (at > 0 && reference[at - 1] != '/' && reference[at - 1] != ':')
		at--;
	/* A colon before the last slash is that of a port. */
	bool tag = at > 0 && reference[at - 1] == ':';
	size_t n = end;
	if (tag && (at == end || (end - at == strlen(LATEST) &&
				  strncmp(reference + at, LATEST, strlen(LATEST)) == 0)))
		n = at - 1;
	if (n == 0)
		return error_set(e, FAIL_USAGE, "image", "\"%s\" is no reference to an image",
				 reference);
	if (snprintf(origin, ORIGIN_SIZE, "%.*s%s", (int)n, reference, reference + end) >=
	    ORIGIN_SIZE)
		return error_set(e, FAIL_USAGE, "image", "the reference has more than %d bytes",
				 ORIGIN_SIZE - 1);
	return 0;
}

/* Replace the end of a name that is too long by digits of the origin's SHA-256. */
static void hash_end(const char *origin, char name[64])
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;
	char *p = name + NAME_MOST - HASH_DIGITS - 1;

	sha256_init(&ctx);
	sha256_update(&ctx, strlen(origin), (const uint8_t *)origin);
	sha256_digest(&ctx, sizeof(digest), digest);
	*p++ = '-';
	for (int i = 0; i < HASH_DIGITS / 2; i++, p += 2)
		(void)snprintf(p, 3, "%02x", digest[i]);
}

static char label_char(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c + 'a' - 'A');
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}

void reference_name(const char *origin, char name[64])
{
	char text[ORIGIN_SIZE], made[ORIGIN_SIZE];
	size_t whole = strcspn(origin, "@"), n = 0;
	const char *digest = origin + whole + strcspn(origin + whole, ":");

	(void)snprintf(text, sizeof(text), "%.*s%s%.*s", (int)whole, origin, *digest ? "-" : "",
		       DIGITS, *digest ? digest + 1 : "");
	for (const char *p = text; *p; p++) {
		char c = label_char(*p);
		if (c != '-' || (n > 0 && made[n - 1] != '-'))
			made[n++] = c;
	}
	while (n > 0 && made[n - 1] == '-')
		n--;
	made[n] = '\0';
	(void)snprintf(name, 64, "%.63s", made);
	if (n > NAME_MOST)
		hash_end(origin, name);
}

/* ---- the catalogue ---- */

struct reading {
	const char *path, *want; /* want "": no name */
	char fallback[64];       /* the default */
	struct catalogue_entry *entry;
	bool found;
	struct error *e;
};

/* A line NAME = REFERENCE or NAME = build:debian[/SUITE]. */
static int take_entry(struct reading *r, const char *name, const char *value)
{
	if (!parse_is_label(name))
		return error_set(r->e, FAIL_USAGE, r->path, "\"%s\" can not be a name", name);
	if (strcmp(name, r->want) != 0)
		return 0;
	r->found = true;
	(void)snprintf(r->entry->name, sizeof(r->entry->name), "%s", name);
	if (strncmp(value, BUILD, strlen(BUILD)) != 0)
		return reference_origin(value, r->entry->origin, r->e);
	(void)snprintf(r->entry->origin, ORIGIN_SIZE, "%s", value);
	return 0;
}

/* inih calls it for each line.  Return: 1, or 0: the line is wrong. */
static int take_line(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;

	if (r->e->code)
		return 0;
	if (strcmp(section, "images") == 0)
		return take_entry(r, name, value) == 0;
	if (strcmp(section, "default") == 0 && strcmp(name, "image") == 0) {
		(void)snprintf(r->fallback, sizeof(r->fallback), "%s", value);
		return 1;
	}
	(void)error_set(r->e, FAIL_USAGE, r->path, "[%s] %s is no key of a catalogue", section,
			name);
	return 0;
}

static int read_catalogue(struct reading *r)
{
	_cleanup_fclose_ FILE *f = fopen(r->path, "re");

	if (!f)
		return errno == ENOENT
			       ? 0
			       : error_set(r->e, FAIL_GENERAL, r->path, "%s", strerror(errno));
	int line = ini_parse_file(f, take_line, r);
	if (line == 0)
		return 0;
	if (!r->e->code)
		(void)error_set(r->e, FAIL_USAGE, r->path, "it can not be read");
	error_hint(r->e, "line %d of %s", line, r->path);
	return -1;
}

int catalogue_find(const char *name, struct catalogue_entry *entry, struct error *e)
{
	const char *path = getenv("BANGER_IMAGES");
	struct error why = { 0 };
	struct reading r = {
		.path = path ? path : CATALOGUE, .want = name ? name : "", .entry = entry, .e = &why
	};
	int status = read_catalogue(&r);

	/* Its default may stand before or behind the entry that it names. */
	if (status == 0 && !name && r.fallback[0]) {
		r.want = r.fallback;
		status = read_catalogue(&r);
		if (status == 0 && !r.found)
			status = error_set(&why, FAIL_USAGE, r.path,
					   "its default, %s, is not in [images]", r.fallback);
	}
	if (status < 0)
		*e = why;
	return status < 0 ? -1 : r.found;
}
