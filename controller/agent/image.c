#include "controller/agent/image.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void image_read(struct image_config *c)
{
	int fd = open(IMAGE_CONFIG, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? 0 : read(fd, c->text, IMAGE_CONFIG_MAX);

	if (fd >= 0)
		(void)close(fd);
	c->n = n > 0 ? (size_t)n : 0;
	c->text[c->n] = '\0'; /* ends a record that is cut */
}

const char *image_next(const struct image_config *c, enum image_record kind, size_t *at)
{
	while (*at < c->n) {
		const char *record = c->text + *at;
		*at += strlen(record) + 1;
		if (record[0] == (char)kind)
			return record + 1;
	}
	return NULL;
}

int image_signal(const struct image_config *c)
{
	size_t at = 0;
	const char *name = image_next(c, IMAGE_SIGNAL, &at);

	if (!name)
		return SIGTERM;
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (int sig = 1; sig < NSIG; sig++)
		if (sigabbrev_np(sig) && strcmp(sigabbrev_np(sig), name) == 0)
			return sig;
	int number = atoi(name);
	return number > 0 && number < NSIG ? number : SIGTERM;
}
