/* main.c - banger-unpack: makes an image of a tar, of container layers or of a whole disk.
 *
 * `banger image import` starts it as the user, with the input as standard input and the image as
 * descriptor 3.  The arguments:
 *
 *   layers MIB PICK   the image is an empty ext4 of MIB; PICK is what is taken of the input
 *                     (layout.h)
 *   disk MIB          the image is an empty file, and gets MIB at most
 *   --print-policy    print the system calls that it keeps, and exit
 *
 * It answers by its exit status (enum fail), and by lines: after a failure what,
 * why and hint; else the digests of the image's configuration and of its layers (struct image). */
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/unpack/confine.h"
#include "controller/unpack/disk.h"
#include "controller/unpack/layer.h"
#include "controller/unpack/layout.h"

#define OUTPUT 3
#define UNPACK_FACTOR 16 /* the layers may unpack to so many times the size of the image */

static void print_line(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < ' ' ? '?' : *text);
	putchar('\n');
}

static int report(const struct error *e)
{
	print_line(e->what);
	print_line(e->why);
	print_line(e->hint);
	return (int)e->code;
}

static int unpack(uint64_t bytes, const char *pick, struct error *e)
{
	struct image im = { 0 };

	if (image_begin(&im, OUTPUT, bytes * UNPACK_FACTOR, e) < 0)
		return -1;
	if (layout_apply(&im, STDIN_FILENO, pick, e) < 0) {
		image_abandon(&im);
		return -1;
	}
	if (image_finish(&im, e) < 0)
		return -1;
	print_line(im.config);
	print_line(im.layers);
	return 0;
}

static int take_disk(uint64_t bytes, struct error *e)
{
	if (disk_copy_root(STDIN_FILENO, OUTPUT, bytes, e) < 0)
		return -1;
	print_line("");
	print_line("");
	return 0;
}

/* End with the process that has started this one.  Its end of our output tells whether it is gone
 * already (pipe(7)). */
static int follow_parent(void)
{
	struct pollfd p = { STDOUT_FILENO, 0, 0 };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -1;
	return poll(&p, 1, 0) > 0 && p.revents & POLLERR ? -1 : 0;
}

static int give_up_rights(uint64_t bytes, struct error *e)
{
	struct stat st;

	/* A full disk is told as an error of write(2). */
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)close_range(OUTPUT + 1, ~0u, 0);
	if (fstat(STDIN_FILENO, &st) == 0 && follow_parent() == 0 &&
	    confine(S_ISDIR(st.st_mode) ? STDIN_FILENO : -1, bytes) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return error_set(e, FAIL_HOST, "banger-unpack", "it could not be confined");
	(void)error_set(e, FAIL_HOST, "banger-unpack",
			"this kernel has no Landlock, so no folder is read");
	error_hint(e, "tar -C FOLDER -cf FILE . && banger image import NAME FILE");
	return -1;
}

int main(int argc, char **argv)
{
	struct error e = { 0 };
	uint64_t mib;

	if (argc == 2 && strcmp(argv[1], "--print-policy") == 0) {
		confine_print();
		return fflush(stdout) == 0 ? 0 : FAIL_GENERAL;
	}
	const bool disk = argc == 3 && strcmp(argv[1], "disk") == 0;
	if ((!disk && (argc != 4 || strcmp(argv[1], "layers") != 0)) ||
	    parse_uint(argv[2], 1, UINT32_MAX, &mib) < 0) {
		fputs("banger-unpack: `banger image import` starts it\n", stderr);
		return FAIL_USAGE;
	}
	/* Names in extended headers of tar are UTF-8; in this locale libarchive does not convert
	   them. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	if (give_up_rights(mib << 20, &e) < 0)
		return report(&e);
	int r = disk ? take_disk(mib << 20, &e) : unpack(mib << 20, argv[3], &e);
	return r < 0 ? report(&e) : 0;
}
