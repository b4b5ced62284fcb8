/* A host without a free loop: what the blk role says then, and that it holds nothing.  The kernel is played: loops are
 * global, so that no test may take all of them for real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int play_ioctl(int fd, unsigned long request, void *arg);
static int play_open(const char *path, int flags);
#define PLAYED(_1, _2, fn, ...) fn
#define play_two(fd, request) play_ioctl(fd, request, NULL)
#define play_three(fd, request, arg) play_ioctl(fd, request, (void *)(uintptr_t)(arg))
#define WHICH(_1, _2, _3, name, ...) name
#define ioctl(...) WHICH(__VA_ARGS__, play_three, play_two, )(__VA_ARGS__)
#define open(path, flags) play_open(path, flags)
#include "privhelper/blk_loop.c"
#undef ioctl
#undef open

static struct {
	int free;          /* what LOOP_CTL_GET_FREE says; negative: -errno */
	int open_errno;    /* 0: nodes open */
	int bind_errno;    /* 0: LOOP_CONFIGURE succeeds */
	int taken;         /* so often somebody else is first */
	unsigned asked, opened;
} host;

static int play_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd, (void)arg;
	if (request == LOOP_CTL_GET_FREE) {
		host.asked++;
		errno = -host.free;
		return host.free < 0 ? -1 : host.free;
	}
	assert_true(request == LOOP_CONFIGURE);
	errno = host.taken-- > 0 ? EBUSY : host.bind_errno;
	return errno ? -1 : 0;
}

static int play_open(const char *path, int flags)
{
	(void)path, (void)flags;
	host.opened++;
	errno = host.open_errno;
	return host.open_errno ? -1 : dup(STDERR_FILENO);
}

static int next_fd(void)
{
	int fd = dup(STDERR_FILENO);

	(void)close(fd);
	return fd;
}

static void test_no_free_loop(void **state)
{
	static const struct {
		int free, open_errno, bind_errno, taken;
		enum status want;
	} days[] = {
		{ 3, 0, 0, 0, ST_OK },
		{ 3, 0, 0, BIND_TRIES - 1, ST_OK },       /* others are faster, but not for ever */
		{ 3, 0, 0, BIND_TRIES, ST_BUSY },
		{ -ENOSPC, 0, 0, 0, ST_LIMIT },           /* no number is left (drivers/block/loop.c, loop_add()) */
		{ -ENOMEM, 0, 0, 0, ST_LIMIT },
		{ -EPERM, 0, 0, 0, ST_KERNEL },
		{ BLK_LOOPS, 0, 0, 0, ST_LIMIT },         /* more than the role has nodes for */
		{ 3, EMFILE, 0, 0, ST_LIMIT },
		{ 3, ENOENT, 0, 0, ST_KERNEL },
		{ 3, 0, ENOMEM, 0, ST_LIMIT },
		{ 3, 0, EINVAL, 0, ST_KERNEL },
	};
	struct blk_state b = { .loop_control = 99 };
	const struct blk_tag tag = { .slot = 1, .generation = 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(days); i++) {
		struct blk_loop l = { -1, -1, 0, 0 };
		int before = next_fd();
		host = (typeof(host)){ days[i].free, days[i].open_errno, days[i].bind_errno, days[i].taken, 0, 0 };
		enum status got = bind_new(&b, PART_COW, STDERR_FILENO, &tag, &l);
		if (got != days[i].want)
			fail_msg("day %zu: %s, not %s", i, status_name(got), status_name(days[i].want));
		assert_in_range(host.asked, 1, BIND_TRIES);
		assert_int_equal(l.fd >= 0, got == ST_OK);
		cleanup_close(&l.fd);
		assert_int_equal(next_fd(), before); /* none stays open */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_free_loop) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
