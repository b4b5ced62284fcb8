/* json.h - reads and writes JSON with jansson, and fails if memory runs out.
 *
 * jansson 2.14 itself does not always fail then.  It may drop a character of a string or a digit of
 * a number (load.c, lex_save()), report a valid text as "invalid token", or leave a key out of its
 * output (dump.c).  A wrong process id or owner could be the result. */
#ifndef BANGER_CONTROLLER_JSON_H
#define BANGER_CONTROLLER_JSON_H

#include <jansson.h>

/* Install jansson's allocators.  Call it before any other function of jansson. */
void json_prepare(void);

/* Parse @n bytes.  Duplicate keys are errors.  Return: the value, which the caller releases with
 * json_decref(); NULL with errno: ENOMEM there is no memory, EBADMSG the text is no JSON. */
json_t *json_read(const char *text, size_t n);

/* Return: the compact text of @j, which the caller frees; NULL without memory, or if @j is NULL. */
char *json_write(const json_t *j);

static inline void json_cleanup(json_t **j)
{
	json_decref(*j);
}
/* Releases the value of a json_t * at the end of its scope. */
#define _cleanup_json_ __attribute__((cleanup(json_cleanup)))

#endif
