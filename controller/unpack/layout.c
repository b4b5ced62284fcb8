#include "controller/unpack/layout.h"

#include <string.h>

/* Apply a stream of bytes that is a tar, compressed or not. */
static int apply_stream(struct image *im, struct stream *from, struct error *e)
{
	struct stream plain = { 0 };
	char digest[DIGEST_HEX];
	int r = stream_plain(&plain, from, im->left, e);

	if (r == 0)
		r = layer_apply(im, &plain, e);
	if (r == 0)
		r = stream_digest(&plain, digest, e);
	if (r == 0)
		im->left -= plain.passed;
	stream_end(&plain);
	return r;
}

static int apply_tar(struct image *im, int input, struct error *e)
{
	struct stream file = { 0 };
	int r = stream_file(&file, input, e);

	if (r == 0)
		r = apply_stream(im, &file, e);
	stream_end(&file);
	return r;
}

int layout_apply(struct image *im, int input, const char *pick, struct error *e)
{
	(void)pick;
	return apply_tar(im, input, e);
}
