/* reference.h - references to images of a registry, the names that they get here, and root's
 * catalogue of short names. */
#ifndef BANGER_CLI_REFERENCE_H
#define BANGER_CLI_REFERENCE_H

#include "common/error.h"

#define ORIGIN_SIZE 256 /* bytes of the field `origin` in control.def, with its NUL */
#define CATALOGUE "/etc/banger/images.conf"
#define BUILD "build:" /* begins the origin of an image that `image build` makes */

/**
 * reference_origin() - write a reference in the form in which two references are compared
 * @reference:	as skopeo takes it, with or without "docker://"
 * @origin:	out: without "docker://" and without the tag "latest"
 *
 * Return: 0, or -1 with @e: it is empty or too long.
 */
int reference_origin(const char *reference, char origin[ORIGIN_SIZE], struct error *e);

/**
 * reference_name() - make the name of an image from its origin
 * @name:	out: the whole origin with '-' for each character that no name may have, and with 24
 *		digits of a digest; one that is too long ends with 16 digits of its SHA-256
 *
 * The host of a registry is a part of the name, so that an image of one registry is not taken for
 * that of another.  Two origins can still get one name: compare the origins.
 */
void reference_name(const char *origin, char name[64]);

struct catalogue_entry {
	char name[64];
	char origin[ORIGIN_SIZE]; /* of reference_origin(), or begins with BUILD */
};

/**
 * catalogue_find() - look a short name up in root's catalogue
 * @name:	NULL: the name that the catalogue has as default
 *
 * The catalogue is the file CATALOGUE, or what BANGER_IMAGES names.  It is optional.
 * Return: 1 with @entry; 0: no such name; -1 with @e: a line that can not be, or a default that is
 * not there.
 */
int catalogue_find(const char *name, struct catalogue_entry *entry, struct error *e);

#endif
