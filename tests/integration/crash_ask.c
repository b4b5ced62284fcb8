/* See crash.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/crash.h"

void text_copy(char *out, size_t size, const char *v)
{
	size_t n = strnlen(v, size - 1);

	memcpy(out, v, n);
	out[n] = '\0';
}

void create_args(struct ask *a, const char *name, bool nat)
{
	a->id = CALL_VM_CREATE;
	SET(a->args.vm_create.name, name);
	SET(a->args.vm_create.image, "tiny");
	a->args.vm_create.mem_mib = 64;
	a->args.vm_create.nat = nat;
}

/* ---- images ---- */

int make_file(const char *name, off_t size, off_t at, const char *magic, size_t n)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", work_dir, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, size) < 0 || pwrite(fd, magic, n, at) != (ssize_t)n ||
	    pwrite(fd, name, strlen(name), size - 64) < 0)
		bail("%s: %s", path, strerror(errno));
	return fd;
}

void kernel_import_call(struct ask *a)
{
	a->id = CALL_KERNEL_IMPORT;
	SET(a->args.kernel_import.name, "second");
	a->fds[0] = make_file("bzimage2", 4096, 0x202, "HdrS", 4);
	a->fds[1] = make_file("initramfs2", 4096, 0, "0707", 4);
	a->fds[2] = make_file("vmlinux2", 4096, 0, "\177ELF", 4);
}

void image_import_call(struct ask *a)
{
	a->id = CALL_IMAGE_IMPORT;
	SET(a->args.image_import.name, "second");
	SET(a->args.image_import.kernel, "debian");
	a->fds[0] = make_file("image2", 1 << 20, 1024 + 56, "\x53\xef", 2);
}

void volume_create_call(struct ask *a)
{
	a->id = CALL_VOLUME_CREATE;
	SET(a->args.volume_create.name, "second");
	a->fds[0] = make_file("volume2", 1 << 20, 1024 + 56, "\x53\xef", 2);
}

void close_fds(struct ask *a)
{
	for (unsigned i = 0; i < control_call(a->id)->fds_in; i++)
		(void)close(a->fds[i]);
}

void import_first(void)
{
	static struct ask ask_first, *a = &ask_first;

	memset(a, 0, sizeof(*a));
	kernel_import_call(a);
	SET(a->args.kernel_import.name, "debian");
	if (ask(a) != 0)
		bail("the kernel can not be imported: %s: %s", a->error.what, a->error.why);
	close_fds(a);
	memset(a, 0, sizeof(*a));
	image_import_call(a);
	SET(a->args.image_import.name, "tiny");
	if (ask(a) != 0)
		bail("the image can not be imported: %s: %s", a->error.what, a->error.why);
	close_fds(a);
}

/* ---- what misbehaves ---- */

void vmm_fault(char c)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%.*s/fault",
		       (int)(strrchr(config.qemu, '/') - config.qemu), config.qemu);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || pwrite(fd, &c, 1, 0) != 1)
		bail("%s: %s", path, strerror(errno));
	(void)close(fd);
}

void shell(const char *command)
{
	char out[4096];

	if (run(out, sizeof(out), (const char *const[]){ "bash", "-c", command, NULL }) != 0)
		bail("%s: %s", command, out);
}
