/* tag.h - writes and reads an object's tag, the text that names the VM it belongs to. */
#ifndef BANGER_PRIVHELPER_TAG_H
#define BANGER_PRIVHELPER_TAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ops.h"

struct tag {
	uint32_t slot, generation, owner;
};

/* The kernel keeps the tag with the object, all numbers decimal.
 * TAG_ALIAS: "banger:<slot>:<generation>:<owner>", the alias of a tap, the comment of a set
 * element, the lo_file_name of a loop.  TAG_GROUP: "<slot>.<generation>.<owner>", the name of a
 * VM's cgroup. */
enum tag_form { TAG_ALIAS, TAG_GROUP };

#define TAG_TEXT 48 /* bytes of each form, with the NUL */

/* The tag of the VM that @q names. */
struct tag tag_of(const struct request *q);

/* Write the tag as text, with a NUL. */
void tag_format(enum tag_form form, const struct tag *t, char out[TAG_TEXT]);

/* Read a tag of at most @len bytes at @text; a NUL ends it.  Return: true, or false for any text
 * that tag_format() can not have written. */
bool tag_parse(enum tag_form form, const char *text, size_t len, struct tag *out);

#endif
