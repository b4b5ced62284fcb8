/* The parsers of text: numbers, sizes, names, addresses, ids, tags of kernel objects and names of
 * taps.  The input is one text.
 *
 * Checked: what is accepted is exactly what the writer of the same value would have written, so two
 * texts never mean the same. */
#include "common/parse.h"
#include "privhelper/tag.h"
#include "proto/slot.h"
#include "tests/adversary/fuzz.h"

static void numbers(const char *s)
{
	char again[32];
	uint64_t v;

	if (parse_uint(s, 0, UINT64_MAX, &v) == 0) {
		(void)snprintf(again, sizeof(again), "%llu", (unsigned long long)v);
		MUST(strcmp(again, s) == 0);
	}
	if (parse_uint(s, 5, 9, &v) == 0)
		MUST(v >= 5 && v <= 9 && s[1] == '\0');
	if (parse_size(s, 1, UINT64_C(1) << 50, &v) == 0)
		MUST(v >= 1 && v <= UINT64_C(1) << 50);
}

static void addresses(const char *s)
{
	char again[16], whole[24];
	uint32_t a, prefix;

	if (parse_ipv4(s, &a) == 0) {
		format_ipv4(a, again);
		MUST(strcmp(again, s) == 0);
	}
	if (parse_subnet(s, &a, &prefix) == 0) {
		format_ipv4(a, again);
		(void)snprintf(whole, sizeof(whole), "%s/%u", again, prefix);
		MUST(strcmp(whole, s) == 0 && prefix >= 8 && prefix <= 30);
	}
}

static void names(const char *s)
{
	char again[ID_HEX], tap[16];
	uint8_t id[ID_LEN];

	if (parse_id(s, id) == 0) {
		format_id(id, again);
		MUST(strcmp(again, s) == 0);
	}
	if (parse_is_label(s))
		MUST(strlen(s) <= 63 && !strpbrk(s, "/._ ABZ"));
	const int slot = slot_of_tap(s);
	if (slot >= 0) {
		slot_tap((uint32_t)slot, tap);
		MUST(strcmp(tap, s) == 0);
	}
}

/* What is derived from a slot's number. */
static void derived(unsigned n)
{
	const struct config c = { .subnet = 0x0a610000, .uid_base = 700000 };
	char name[16], uuid[40];

	slot_dm_name(n, name);
	MUST(strncmp(name, SLOT_DM_PREFIX, strlen(SLOT_DM_PREFIX)) == 0);
	slot_dm_uuid(n % SLOT_MAX, n, uuid);
	MUST(strncmp(uuid, SLOT_UUID_PREFIX, strlen(SLOT_UUID_PREFIX)) == 0);
	MUST(slot_uid(&c, n) == 700000 + n && slot_gateway(&c) < slot_ip(&c, n));
}

/* A tag comes from the kernel, with a length and perhaps without a NUL; @s is the same with one. */
static void tags(const char *text, size_t len, const char *s)
{
	static const enum tag_form forms[] = { TAG_ALIAS, TAG_GROUP };
	char again[TAG_TEXT];
	struct tag tag;

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		if (!tag_parse(forms[i], text, len, &tag))
			continue;
		tag_format(forms[i], &tag, again);
		MUST(tag.slot < SLOT_MAX && tag.generation && strcmp(again, s) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s = malloc(size + 1);

	MUST(s);
	if (size)
		memcpy(s, data, size);
	s[size] = '\0';
	derived((unsigned)size);
	numbers(s);
	addresses(s);
	names(s);
	tags((const char *)data, size, s);
	free(s);
	return 0;
}
