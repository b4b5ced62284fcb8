/* kernel.c - `kernel import`: makes the three files that the daemon takes from a package or from
 * files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/conn.h"
#include "controller/cli/initramfs.h"
#include "controller/cli/images.h"
#include "controller/cli/out.h"
#include "controller/cli/proc.h"
#include "controller/cli/vmlinux.h"

#define META_PACKAGE "linux-image-cloud-amd64"
#define BZIMAGE_MAX (256u << 20)

struct import {
	struct cli *c;
	const char *name; /* of the kernel that is made */
	bool fetch;       /* Debian's package, by apt */
	json_t *result;   /* the daemon's answer */
	char tmp[4096];
	char deb[4200], vmlinuz[4400], modules[4400];
	int bzimage;      /* descriptor of the file @vmlinuz: a pipe can be read only once */
	bool own_modules; /* the modules folder is a copy of ours, where depmod may write */
};

/* The first entry of @dir that starts with @prefix, as a path.  Return: 0, or -1. */
static int find_entry(const char *dir, const char *prefix, char *out, size_t size)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int ret = -1;

	while (d && ret < 0 && (e = readdir(d)))
		if (e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0)
			ret = snprintf(out, size, "%s/%s", dir, e->d_name) < (int)size ? 0 : -1;
	if (d)
		(void)closedir(d);
	return ret;
}

/* Find the package that the meta package depends on, such as "linux-image-6.1.0-56-cloud-amd64". */
static int real_package(struct cli *c, char name[128], struct error *e)
{
	const char *const argv[] = { "apt-cache", "--no-all-versions", "show", META_PACKAGE, NULL };
	char text[16384] = "";
	const struct proc_io io = { .capture = text, .capture_size = sizeof(text) };

	if (proc_must(c, argv, &io, "apt", e) < 0)
		return -1;
	const char *p = strstr(text, "\nDepends: ");
	size_t line = p ? strcspn(p + 1, "\n") : 0;
	p = p ? memmem(p, line + 1, "linux-image-", 12) : NULL;
	size_t n = p ? strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789.+-") : 0;
	if (!n || n >= 128) {
		error_set(e, FAIL_HOST, META_PACKAGE, "apt does not know its dependencies");
		error_hint(e, "apt-get update");
		return -1;
	}
	memcpy(name, p, n);
	name[n] = '\0';
	return 0;
}

static int download(struct import *im, struct error *e)
{
	/* If run by root, apt would download as user _apt, which can not write to our folder. */
	const char *const argv[] = { "apt-get",  "-q", "-o", "APT::Sandbox::User=root",
				     "download", NULL, NULL };
	const char *full[ARRAY_SIZE(argv)];
	const struct proc_io io = { .quiet_out = true, .dir = im->tmp };
	char package[128];

	if (real_package(im->c, package, e) < 0)
		return -1;
	out_note(im->c, "fetching %s", package);
	memcpy(full, argv, sizeof(argv));
	full[5] = package;
	if (proc_must(im->c, full, &io, "apt", e) < 0) {
		error_hint(e, "apt-get update, if the package lists are old");
		return -1;
	}
	if (find_entry(im->tmp, package, im->deb, sizeof(im->deb)) < 0)
		return error_set(e, FAIL_GENERAL, package, "apt-get left no file");
	return 0;
}

static int unpack_deb(struct import *im, struct error *e)
{
	char tree[4200], boot[4300], lib[4300];
	const char *const argv[] = { "dpkg-deb", "-x", im->deb, tree, NULL };

	(void)snprintf(tree, sizeof(tree), "%s/tree", im->tmp);
	(void)snprintf(boot, sizeof(boot), "%s/boot", tree);
	if (proc_must(im->c, argv, &(struct proc_io){ .stay = true }, "dpkg", e) < 0)
		return -1;
	if (find_entry(boot, "vmlinuz-", im->vmlinuz, sizeof(im->vmlinuz)) < 0)
		return error_set(e, FAIL_USAGE, im->deb, "it has no kernel; a meta package?");
	/* Since Debian 13 the modules are under usr/lib.  depmod may look in lib or in usr/lib; the
	 * link makes both work. */
	(void)snprintf(lib, sizeof(lib), "%s/lib", tree);
	(void)!symlink("usr/lib", lib);
	(void)snprintf(lib, sizeof(lib), "%s/lib/modules", tree);
	if (find_entry(lib, "", im->modules, sizeof(im->modules)) < 0)
		return error_set(e, FAIL_USAGE, im->deb, "it has no modules");
	im->own_modules = true;
	return 0;
}

/* Make modules.dep, which packages lack. */
static int depmod(struct import *im, struct error *e)
{
	char base[4200], dep[4500];
	const char *release = strrchr(im->modules, '/') + 1;
	const char *const argv[] = { "depmod", "-b", base, release, NULL };

	(void)snprintf(dep, sizeof(dep), "%s/modules.dep", im->modules);
	if (!im->own_modules)
		return access(dep, R_OK) == 0
			       ? 0
			       : error_set(e, FAIL_USAGE, dep, "not there; run depmod");
	(void)snprintf(base, sizeof(base), "%s/tree", im->tmp);
	return proc_must(im->c, argv, &(struct proc_io){ .stay = true }, "kmod", e);
}

static int sources(struct import *im, struct error *e)
{
	const struct options *o = &im->c->opt;

	if ((im->fetch ? 1 : 0) + (o->deb ? 1 : 0) + (o->vmlinuz || o->modules ? 1 : 0) != 1 ||
	    !o->vmlinuz != !o->modules)
		return error_set(e, FAIL_USAGE, "kernel",
				 "one of: debian, --deb FILE, --vmlinuz FILE --modules DIR");
	if (o->vmlinuz) {
		if ((im->bzimage = open_input(im->c, o->vmlinuz, e)) < 0)
			return -1;
		size_t n = strlen(o->modules);
		while (n > 1 && o->modules[n - 1] == '/')
			n--;
		(void)snprintf(im->vmlinuz, sizeof(im->vmlinuz), "/proc/self/fd/%d", im->bzimage);
		(void)snprintf(im->modules, sizeof(im->modules), "%.*s", (int)n, o->modules);
		return 0;
	}
	if (!o->deb)
		return download(im, e) < 0 ? -1 : unpack_deb(im, e);
	_cleanup_close_ int deb = open_input(im->c, o->deb, e);
	if (deb < 0)
		return -1;
	/* dpkg-deb(1) opens the file again, through our descriptor. */
	(void)snprintf(im->deb, sizeof(im->deb), "/proc/%d/fd/%d", (int)getpid(), deb);
	int ret = unpack_deb(im, e);
	(void)snprintf(im->deb, sizeof(im->deb), "%s", o->deb);
	return ret;
}

/* Return: the path of a busybox for the guest, which must not need libraries; NULL: none. */
static const char *busybox(void)
{
	static const char *const places[] = { "/usr/lib/busybox-static/busybox", "/usr/bin/busybox",
					      "/bin/busybox" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], R_OK) == 0)
			return places[i];
	return NULL;
}

/* Make an empty file in the temporary folder, open for reading and writing. */
static int output(const struct import *im, const char *name, struct error *e)
{
	char path[4200];

	(void)snprintf(path, sizeof(path), "%s/%s", im->tmp, name);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? error_set(e, FAIL_GENERAL, path, "%s", strerror(errno)) : fd;
}

/* Open the file again for reading alone: the daemon gets a descriptor that can only be read. */
static int read_only(int *fd, struct error *e)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	int again = open(path, O_RDONLY | O_CLOEXEC);
	if (again < 0)
		return error_set(e, FAIL_GENERAL, path, "%s", strerror(errno));
	(void)close(*fd);
	*fd = again;
	return 0;
}

static int write_vmlinux(struct import *im, int fd, struct error *e)
{
	_cleanup_blob_ struct blob image = { 0 }, elf = { 0 };

	if (blob_read(im->vmlinuz, BZIMAGE_MAX, &image, e) < 0 ||
	    vmlinux_extract(&image, &elf, e) < 0)
		return -1;
	if (fdio_write_all(fd, elf.data, elf.len) < 0)
		return error_set(e, FAIL_GENERAL, "vmlinux", "%s", strerror(errno));
	return 0;
}

static int make_and_send(struct import *im, struct error *e)
{
	struct call_kernel_import a = { 0 };
	struct res_kernel_import r;
	struct cli *c = im->c;

	if (text_put(a.name, sizeof(a.name), "name", im->name, e) < 0 || sources(im, e) < 0 ||
	    depmod(im, e) < 0)
		return -1;
	const char *bb = busybox();
	if (!bb) {
		error_set(e, FAIL_HOST, "busybox", "not on this host");
		error_hint(e, "install the package busybox-static");
		return -1;
	}
	out_note(c, "making the initramfs");
	_cleanup_close_ int kernel = open_input(c, im->vmlinuz, e);
	_cleanup_close_ int initramfs = kernel < 0 ? -1 : output(im, "initramfs", e);
	_cleanup_close_ int vmlinux = initramfs < 0 ? -1 : output(im, "vmlinux", e);
	if (vmlinux < 0 || initramfs_build(initramfs, im->modules, bb, e) < 0 ||
	    write_vmlinux(im, vmlinux, e) < 0 || read_only(&initramfs, e) < 0 ||
	    read_only(&vmlinux, e) < 0)
		return -1;
	if (signals_pending(c))
		return signals_error(c, "import", e);
	const int fds[] = { kernel, initramfs, vmlinux };
	if (conn_call(c, CALL_KERNEL_IMPORT, &a, fds, NULL, &r, e) < 0)
		return -1;
	im->result = out_fields_json(control_call(CALL_KERNEL_IMPORT)->result(), &r);
	return 0;
}

static int import(struct import *im, struct error *e)
{
	im->bzimage = -1;
	if (signals_hold(im->c, e) < 0 || tempdir_make(im->tmp, sizeof(im->tmp), e) < 0)
		return -1;
	int r = make_and_send(im, e);
	if (im->bzimage >= 0)
		(void)close(im->bzimage);
	tempdir_remove(im->c, im->tmp);
	return r;
}

int kernel_fetch(struct cli *c, const char *name, struct error *e)
{
	struct import im = { .c = c, .name = name, .fetch = true };

	if (import(&im, e) < 0)
		return -1;
	json_decref(im.result);
	return 0;
}

int cmd_kernel_import(struct cli *c)
{
	struct import im = { .c = c, .name = c->pos[0], .fetch = c->npos == 2 };
	struct error e = { 0 };

	if (im.fetch && strcmp(c->pos[1], "debian") != 0)
		(void)error_set(&e, FAIL_USAGE, c->pos[1], "only \"debian\" can be fetched");
	else if (import(&im, &e) == 0)
		return print_import(c, im.name, im.result);
	int code = out_error(c, &e);
	return c->signal ? 128 + c->signal : code;
}
