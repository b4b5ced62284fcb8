/* access.c - the access rules, as pure functions. */
#include "controller/access.h"

#define ROOT 0u

bool access_allows(const struct caller *c, enum access_verb verb, uid_t owner)
{
	const bool root = c->uid == ROOT, own = c->uid == owner;

	switch (verb) {
	case ACCESS_VM:
	case ACCESS_REMOVE:
		return root || own;
	case ACCESS_USE:
		return root || own || owner == ROOT;
	case ACCESS_HOST:
		return root;
	case ACCESS_VERBS:
		break;
	}
	return false;
}

bool access_sees_all(const struct caller *c)
{
	return access_allows(c, ACCESS_HOST, ROOT);
}

const char *access_verb_name(enum access_verb verb)
{
	static const char *const names[ACCESS_VERBS] = {
		[ACCESS_VM] = "vm",
		[ACCESS_USE] = "use",
		[ACCESS_REMOVE] = "remove",
		[ACCESS_HOST] = "host",
	};

	return names[verb];
}
