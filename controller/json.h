/* json.h - jansson, when memory runs out.
 *
 * Then it gives a value with a character of a string or a digit of a number left out (lex_save() in its load.c, 2.14), says
 * "invalid token" of a sound text, or leaves a key out of what it writes (dump.c).  Neither may be taken for what was
 * meant: a process's identity, or whose a record is. */
#ifndef BANGER_CONTROLLER_JSON_H
#define BANGER_CONTROLLER_JSON_H

#include <jansson.h>

/* Before any of the others; allocations are watched from then on. */
void json_prepare(void);

/* Return: the value, which the caller puts; NULL when the @n bytes are no JSON, or, with errno ENOMEM, there is no memory. */
json_t *json_read(const char *text, size_t n);

/* Return: the text, compact, which the caller frees; NULL without memory, or without a value. */
char *json_write(const json_t *j);

#endif
