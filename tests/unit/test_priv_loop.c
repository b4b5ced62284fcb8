/* Tests the list of loops, and the search for a loop when none can be had: no free number, a number
 * beyond the role's nodes, numbers that are always taken meanwhile, no descriptor.  The test plays
 * the kernel, because these tests would take other programs' loops on a real one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "privhelper/blk/loop.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

static struct {
	int free[32];          /* answers of LOOP_CTL_GET_FREE, in order; -1: ENOSPC */
	unsigned asked, taken; /* @taken: how many numbers another program has bound first */
	unsigned tries, node_errno;
	uint32_t opened;          /* the index of the last node */
	const char *const *names; /* in /sys/block */
	unsigned read;
	uint64_t size;
	struct loop_config bound;
	struct stat file;
} fake;

static int kernel_open(const char *path, int flags)
{
	assert_int_equal(sscanf(path, "/loop%u", &fake.opened), 1);
	if (fake.node_errno) {
		errno = (int)fake.node_errno;
		return -1;
	}
	return open("/dev/null", flags);
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	struct loop_info64 *info = arg;

	(void)fd;
	switch (request) {
	case LOOP_CTL_GET_FREE:
		errno = ENOSPC;
		return fake.free[fake.asked++];
	case LOOP_CONFIGURE:
		errno = EBUSY;
		if (fake.tries++ < fake.taken)
			return -1;
		fake.bound = *(struct loop_config *)arg;
		return 0;
	case LOOP_GET_STATUS64:
		*info = fake.bound.info;
		info->lo_number = fake.asked ? (uint32_t)fake.free[fake.asked - 1] : fake.opened;
		info->lo_device = fake.file.st_dev;
		info->lo_inode = fake.file.st_ino;
		return 0;
	case BLKGETSIZE64:
		*(uint64_t *)arg = fake.size;
		return 0;
	default:
		fail_msg("ioctl %lx", request);
		return -1;
	}
}

/* A name that is NULL ends the list; an empty one is an error. */
static struct dirent *kernel_readdir(DIR *d)
{
	static struct dirent e;
	const char *name = fake.names[fake.read];

	(void)d;
	if (!name || !*name) {
		errno = name ? EIO : errno;
		return NULL;
	}
	fake.read++;
	(void)snprintf(e.d_name, sizeof(e.d_name), "%s", name);
	return &e;
}

static void kernel_rewinddir(DIR *d)
{
	(void)d;
	fake.read = 0;
}

/* LOOP_CTL_GET_FREE has no argument. */
#define FIRST(a, b, c, ...) kernel_ioctl(a, b, c)
#define ioctl(...) FIRST(__VA_ARGS__, NULL, NULL)
#define open(...) kernel_open(__VA_ARGS__)
#define readdir(d) kernel_readdir(d)
#define rewinddir(d) kernel_rewinddir(d)
#include "privhelper/blk/loop.c"
#include "privhelper/tag.c"
#undef rewinddir
#undef readdir
#undef open
#undef ioctl

static struct blk_state blk;
static int file;

static int set_up(void **state)
{
	char path[] = "/tmp/banger-loop-XXXXXX";

	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&blk, 0, sizeof(blk));
	for (uint32_t i = 0; i < SLOT_MAX; i++)
		for (unsigned p = 0; p < BLK_PARTS; p++)
			blk.slots[i].part[p] = (struct blk_loop){ -1, -1, 0, 0 };
	file = mkostemp(path, O_CLOEXEC);
	fake.size = 1 << 20;
	return file < 0 || unlink(path) < 0 || fstat(file, &fake.file) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned p = 0; p < BLK_PARTS; p++)
		close_and_reset(&blk.slots[2].part[p].fd);
	return close(file);
}

static enum status attach(void)
{
	const struct request q = { .slot = 2, .generation = 1, .owner = 1000 };

	return blk_loop_attach(&blk, &q, PART_COW, file, fake.size);
}

static void assert_nothing(void)
{
	assert_int_equal(blk.slots[2].part[PART_COW].index, -1);
	assert_int_equal(blk.slots[2].part[PART_COW].fd, -1);
}

static void a_free_one_is_bound(void **state)
{
	(void)state;
	fake.free[0] = 7;
	assert_int_equal(attach(), ST_OK);
	assert_int_equal(blk.slots[2].part[PART_COW].index, 7);
	assert_true(fake.bound.info.lo_flags & LO_FLAGS_AUTOCLEAR);
	assert_string_equal((const char *)fake.bound.info.lo_file_name, "banger:2:1:1000");
}

static void no_free_one_is_a_limit(void **state)
{
	(void)state;
	fake.free[0] = -1;
	assert_int_equal(attach(), ST_LIMIT);
	assert_nothing();
}

static void one_beyond_our_nodes_is_a_limit(void **state)
{
	(void)state;
	fake.free[0] = BLK_LOOPS;
	assert_int_equal(attach(), ST_LIMIT);
	assert_int_equal(fake.tries, 0);
	assert_nothing();
}

static void one_that_was_taken_meanwhile_is_no_matter(void **state)
{
	(void)state;
	for (int i = 0; i < 32; i++)
		fake.free[i] = i;
	fake.taken = 3;
	assert_int_equal(attach(), ST_OK);
	assert_int_equal(blk.slots[2].part[PART_COW].index, 3);
}

static void it_ends_where_others_are_always_faster(void **state)
{
	(void)state;
	fake.taken = UINT32_MAX;
	assert_int_equal(attach(), ST_BUSY);
	assert_int_equal(fake.tries, BIND_TRIES);
	assert_nothing();
}

static void no_descriptor_is_a_limit(void **state)
{
	(void)state;
	fake.node_errno = EMFILE;
	assert_int_equal(attach(), ST_LIMIT);
	fake.node_errno = ENXIO;
	assert_int_equal(attach(), ST_KERNEL);
	assert_nothing();
}

static void note(void *arg, const struct tag *t, const struct blk_loop *l)
{
	(void)t;
	*(uint64_t *)arg |= UINT64_C(1) << l->index;
}

static int find(const char *const *names, uint64_t *all)
{
	*all = 0;
	fake.bound.info = (struct loop_info64){ .lo_flags = LO_FLAGS_AUTOCLEAR |
							    LO_FLAGS_READ_ONLY };
	strcpy((char *)fake.bound.info.lo_file_name, TAG_BASE);
	fake.names = names;
	return blk_loop_each(&blk, note, all);
}

static void loops_are_found_among_all_disks(void **state)
{
	uint64_t all;

	(void)state;
	for (int again = 0; again < 2; again++) {
		assert_int_equal(find((const char *const[]){ "sda", "loop2", "ram0", "loop",
							     "loop-1", "loop4096", "dm-3", "loop1",
							     NULL },
				      &all),
				 0);
		assert_int_equal(all, 6);
	}
	/* A node that can not be opened hides no other. */
	fake.node_errno = ENXIO;
	assert_int_equal(find((const char *const[]){ "loop1", "loop2", NULL }, &all), 0);
	assert_int_equal(all, 0);
}

static void a_list_that_can_not_be_read_is_an_error(void **state)
{
	uint64_t all;

	(void)state;
	assert_int_equal(find((const char *const[]){ "loop1", "", NULL }, &all), -1);
	assert_int_equal(errno, EIO);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(loops_are_found_among_all_disks),
		TEST(a_list_that_can_not_be_read_is_an_error),
		TEST(a_free_one_is_bound),
		TEST(no_free_one_is_a_limit),
		TEST(one_beyond_our_nodes_is_a_limit),
		TEST(one_that_was_taken_meanwhile_is_no_matter),
		TEST(it_ends_where_others_are_always_faster),
		TEST(no_descriptor_is_a_limit),
	};

	log_name("test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
