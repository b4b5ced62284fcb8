/* tag.c - writes and reads an object's tag, the text that names the VM it belongs to. */
#include "privhelper/tag.h"

#include <stdio.h>
#include <string.h>

#include "proto/slot.h"

static const struct {
	const char *prefix;
	char separator;
} forms[] = {
	[TAG_ALIAS] = { "banger:", ':' },
	[TAG_GROUP] = { "", '.' },
};

struct tag tag_of(const struct request *q)
{
	return (struct tag){ q->slot, q->generation, q->owner };
}

void tag_format(enum tag_form form, const struct tag *t, char out[TAG_TEXT])
{
	char c = forms[form].separator;

	(void)snprintf(out, TAG_TEXT, "%s%u%c%u%c%u", forms[form].prefix, t->slot, c, t->generation,
		       c, t->owner);
}

bool tag_parse(enum tag_form form, const char *text, size_t len, struct tag *out)
{
	size_t prefix = strlen(forms[form].prefix);
	char copy[TAG_TEXT], again[TAG_TEXT], c[2];
	struct tag t;

	(void)snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	if (strlen(copy) < prefix || sscanf(copy + prefix, "%9u%c%10u%c%10u", &t.slot, &c[0],
					    &t.generation, &c[1], &t.owner) != 5)
		return false;
	if (t.slot >= SLOT_MAX || t.generation == 0 || t.owner == UINT32_MAX)
		return false;
	/* Each tag has one text: with another prefix or separator, signs, leading zeros, or more
	 * text behind, @copy differs from it. */
	tag_format(form, &t, again);
	if (strcmp(copy, again) != 0)
		return false;
	*out = t;
	return true;
}
