#include "controller/unpack/config.h"

#include <string.h>

#include "common/cleanup.h"
#include "proto/image.h"

#define WHAT "image"

struct records {
	char *text;
	size_t n;
};

static int too_long(struct error *e)
{
	return error_set(e, FAIL_USAGE, WHAT, "its configuration has more than %d KiB",
			 IMAGE_CONFIG_MAX / 1024);
}

static int add(struct records *r, enum image_record kind, const char *text, struct error *e)
{
	size_t n = strlen(text) + 2;

	if (n > IMAGE_CONFIG_MAX - r->n)
		return too_long(e);
	r->text[r->n] = (char)kind;
	memcpy(r->text + r->n + 1, text, n - 1);
	r->n += n;
	return 0;
}

static int add_text(struct records *r, enum image_record kind, const json_t *value, struct error *e)
{
	const char *text = json_string_value(value);

	return text && *text ? add(r, kind, text, e) : 0;
}

static int add_list(struct records *r, enum image_record kind, const json_t *list, struct error *e)
{
	json_t *word;
	size_t i;

	json_array_foreach(list, i, word)
	{
		if (!json_is_string(word))
			return error_set(e, FAIL_USAGE, WHAT,
					 "its configuration has a word that is no text");
		if (add(r, kind, json_string_value(word), e) < 0)
			return -1;
	}
	return 0;
}

/* Return: true if the image's command is an init, which a guest has as process 1 (as podman's
 * --systemd=true decides). */
static bool is_init(const json_t *c)
{
	static const char *const inits[] = { "init", "systemd" };
	const json_t *entry = json_object_get(c, "Entrypoint");
	const json_t *list = json_array_size(entry) ? entry : json_object_get(c, "Cmd");
	const char *word = json_string_value(json_array_get(list, 0));
	const char *base = word ? strrchr(word, '/') : NULL;

	for (size_t i = 0; base && i < ARRAY_SIZE(inits); i++)
		if (strcmp(base + 1, inits[i]) == 0)
			return true;
	return false;
}

static int add_all(struct records *r, const json_t *c, bool init, struct error *e)
{
	if (!init && (add_list(r, IMAGE_ENTRY, json_object_get(c, "Entrypoint"), e) < 0 ||
		      add_list(r, IMAGE_COMMAND, json_object_get(c, "Cmd"), e) < 0))
		return -1;
	return add_list(r, IMAGE_ENV, json_object_get(c, "Env"), e) < 0 ||
			       add_text(r, IMAGE_USER, json_object_get(c, "User"), e) < 0 ||
			       add_text(r, IMAGE_FOLDER, json_object_get(c, "WorkingDir"), e) < 0 ||
			       add_text(r, IMAGE_SIGNAL, json_object_get(c, "StopSignal"), e) < 0
		       ? -1
		       : 0;
}

int config_write(struct image *im, const json_t *config, struct error *e)
{
	const json_t *c = json_object_get(config, "config");
	_cleanup_free_ char *text = malloc(IMAGE_CONFIG_MAX);
	struct records r = { text, 0 };
	bool init = is_init(c);

	if (!text)
		return error_set(e, FAIL_LIMIT, WHAT, "out of memory");
	if (add_all(&r, c, init, e) < 0 || image_file(im, IMAGE_CONFIG, text, r.n, e) < 0)
		return -1;
	return init ? 0 : image_file(im, IMAGE_AGENT_INIT, "", 0, e);
}
