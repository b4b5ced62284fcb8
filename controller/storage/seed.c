/* seed.c - makes the initrd of a VM: the kernel's initramfs, followed by a cpio archive with the
 * seed.
 *
 * The kernel unpacks a sequence of archives, compressed or not, each over the previous ones.  Zero
 * bytes may be between them, and an uncompressed archive starts at a multiple of four bytes
 * (Documentation/driver-api/early-userspace/buffer-format.rst, init/initramfs.c). */
#include "controller/storage/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/fdio.h"
#include "common/guest_init.h"
#include "controller/paths.h"
#include "controller/storage/slot_folder.h"
#include "proto/slot.h"

#define SEED_MAX 8192 /* the key has up to 4,000 bytes, everything else a few hundred */
#define ALIGN 4

/* An archive under construction. */
struct archive {
	char buf[SEED_MAX];
	size_t n;
	unsigned inode;
	bool bad;
};

static void add_bytes(struct archive *a, const void *bytes, size_t n)
{
	size_t padded = (n + ALIGN - 1) / ALIGN * ALIGN;

	if (a->bad || padded > sizeof(a->buf) - a->n) {
		a->bad = true;
		return;
	}
	memcpy(a->buf + a->n, bytes, n);
	memset(a->buf + a->n + n, 0, padded - n);
	a->n += padded;
}

/* Append a member in the newc format: magic, 13 numbers of 8 hexadecimal digits, name, data. */
static void add_member(struct archive *a, const char *name, unsigned mode, const char *data)
{
	char head[256];
	size_t size = strlen(data);
	int n = snprintf(head, sizeof(head),
			 "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x%s",
			 ++a->inode, mode, 0, 0, S_ISDIR(mode) ? 2 : 1, 0, size, 0, 0, 0, 0,
			 strlen(name) + 1, 0, name);

	add_bytes(a, head, (size_t)n + 1);
	add_bytes(a, data, size);
}

/* One line for each disk, in their order: "rw PATH" or "ro PATH". */
static void format_volumes(const struct vm *vm, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < vm->n_volumes; i++)
		n += (size_t)snprintf(out + n, size - n, "%s %s\n",
				      vm->volumes[i].read_only ? "ro" : "rw", vm->volumes[i].path);
}

static void build(struct archive *a, const struct config *c, const struct vm *vm)
{
	char ip[16], gateway[16], dns[16] = "", text[4096], id[ID_HEX];

	format_ipv4(slot_ip(c, vm->slot), ip);
	format_ipv4(slot_gateway(c), gateway);
	if (c->dns)
		format_ipv4(c->dns, dns);
	format_id(vm->id, id);

	add_member(a, "seed", S_IFDIR | 0700, "");
	(void)snprintf(text, sizeof(text), "%s\n", vm->name);
	add_member(a, "seed/hostname", S_IFREG | 0600, text);
	(void)snprintf(text, sizeof(text), "address=%s\nprefix=%u\ngateway=%s\ndns=%s\n", ip,
		       c->prefix, gateway, dns);
	add_member(a, "seed/network", S_IFREG | 0600, text);
	(void)snprintf(text, sizeof(text), "%s%s", vm->ssh_key, vm->ssh_key[0] ? "\n" : "");
	add_member(a, "seed/authorized_keys", S_IFREG | 0600, text);
	(void)snprintf(text, sizeof(text), "%s\n", id);
	add_member(a, "seed/id", S_IFREG | 0600, text);
	format_volumes(vm, text, sizeof(text));
	add_member(a, "seed/volumes", S_IFREG | 0600, text);
	/* Whether the guest itself starts the entry point of a container image (guest/init): `run`
	 * does so at the first start of the VM that it holds. */
	add_member(a, "seed/entry", S_IFREG | 0600, vm->hold == HOLD_NONE ? "always\n" : "later\n");
	add_member(a, "TRAILER!!!", 0, "");
}

/* True if the key is one printable line, so that it can not add a second line to
 * authorized_keys. */
static bool is_one_line(const char *key)
{
	for (const unsigned char *p = (const unsigned char *)key; *p; p++)
		if (*p < ' ' || *p == 127)
			return false;
	return true;
}

/* Refuse volumes for a guest whose init would leave them out. */
static int check_init(int initramfs, const struct vm *vm, struct error *e)
{
	char head[GUEST_INIT_MARK_BYTES];

	if (!vm->n_volumes || (pread(initramfs, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
			       memcmp(head, GUEST_INIT_MARK, sizeof(head)) == 0))
		return 0;
	(void)error_set(e, FAIL_STATE, vm->image,
			"its kernel was imported by an earlier banger, and mounts no volumes");
	error_hint(e, "import the kernel again under another name, and the image with "
		      "--kernel and that name");
	return -1;
}

static int copy_whole(int from, int to, off_t *size)
{
	struct stat st;
	off_t at = 0;

	if (fstat(from, &st) < 0)
		return -1;
	*size = st.st_size;
	while (at < st.st_size) {
		ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return -1;
	}
	return 0;
}

static int write_initrd(int initramfs, int out, const struct archive *a)
{
	static const char zeros[ALIGN];
	off_t size;

	if (copy_whole(initramfs, out, &size) < 0)
		return -1;
	if (fdio_write_all(out, zeros, (size_t)(-size & (ALIGN - 1))) < 0 ||
	    fdio_write_all(out, a->buf, a->n) < 0)
		return -1;
	return fdatasync(out);
}

int seed_write(struct ctl *c, const struct vm *vm, struct error *e)
{
	struct archive a = { .n = 0 };
	char path[256];

	if (!is_one_line(vm->ssh_key))
		return error_set(e, FAIL_USAGE, "ssh key",
				 "it must be one printable line, as in an authorized_keys file");
	build(&a, &c->config, vm);
	if (a.bad)
		return error_set(e, FAIL_GENERAL, vm->name, "its seed does not fit");
	path_kernel(&c->config, vm->kernel_digest, "initramfs", path);
	_cleanup_close_ int initramfs = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (initramfs < 0)
		return storage_fail(path, e);
	if (check_init(initramfs, vm, e) < 0)
		return -1;
	_cleanup_close_ int dir = storage_slot_dir(&c->config, vm->slot, e);
	if (dir < 0)
		return -1;
	/* Write under a temporary name, so that an incomplete initrd is never found. */
	(void)unlinkat(dir, "initrd.new", 0);
	_cleanup_close_ int out = storage_new_file(dir, "initrd.new", 0640, e);
	if (out < 0)
		return -1;
	if (FAILPOINT_FAILS("seed.before"))
		return storage_fail("initrd", e);
	/* The seed is the last file of a VM.  This fsync() of the folder puts the names of all
	 * files on the disk before the create is acknowledged. */
	if (write_initrd(initramfs, out, &a) < 0 ||
	    renameat(dir, "initrd.new", dir, "initrd") < 0 || fsync(dir) < 0)
		return storage_fail("initrd", e);
	FAILPOINT("seed.after");
	return 0;
}

const struct seed_ops seed_ops = { .write = seed_write };
