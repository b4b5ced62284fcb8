/* json.c - reads and writes JSON with jansson, and detects allocations that failed. */
#include "controller/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static _Thread_local bool lacked;

static void *watched_malloc(size_t n)
{
	void *p = malloc(n);

	lacked |= !p;
	return p;
}

void json_prepare(void)
{
	json_set_alloc_funcs(watched_malloc, free);
}

json_t *json_read(const char *text, size_t n)
{
	lacked = false;
	json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	if (!lacked) {
		errno = EBADMSG;
		return j;
	}
	json_decref(j);
	errno = ENOMEM;
	return NULL;
}

char *json_write(const json_t *j)
{
	lacked = false;
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	if (!lacked)
		return text;
	free(text);
	return NULL;
}
