/* doctor_proc.c - reads what /proc shows of a process (proc(5)), for `banger doctor --policy`. */
#include "controller/cli/doctor_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"

#define PF_KTHREAD 0x00200000u /* include/linux/sched.h */

int proc_text(pid_t pid, const char *name, char out[PROC_TEXT])
{
	char path[64];
	size_t len = 0;
	ssize_t n = 1;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && n > 0 && len < PROC_TEXT - 1) {
		n = read(fd, out + len, PROC_TEXT - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	out[len] = '\0';
	return fd < 0 || n < 0 ? -1 : 0;
}

int proc_link(pid_t pid, const char *name, char out[PROC_VALUE])
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	ssize_t n = readlink(path, out, PROC_VALUE - 1);
	out[n > 0 ? n : 0] = '\0';
	return n < 0 ? -1 : 0;
}

bool proc_is_kernel_thread(pid_t pid)
{
	char text[PROC_TEXT];
	unsigned flags = 0;

	if (proc_text(pid, "stat", text) < 0)
		return false;
	/* The name may have parentheses in it; behind it are state and five numbers. */
	const char *rest = strrchr(text, ')');
	return rest && sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
	       flags & PF_KTHREAD;
}

/* Return: the line after which @text has "@key" at its beginning, or NULL. */
static const char *line_of(const char *text, const char *key)
{
	const size_t n = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n'), p += p != NULL)
		if (strncmp(p, key, n) == 0)
			return p + n;
	return NULL;
}

void proc_field(const char *status, const char *key, char out[PROC_VALUE])
{
	char want[64];
	size_t n = 0;

	(void)snprintf(want, sizeof(want), "%s:", key);
	const char *p = line_of(status, want);
	for (; p && *p && *p != '\n' && n < PROC_VALUE - 1; p++) {
		const bool blank = *p == ' ' || *p == '\t';
		if (!blank || (n && out[n - 1] != ' '))
			out[n++] = blank ? ' ' : *p;
	}
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

int proc_limit(const char *limits, const char *title, char soft[32], char hard[32])
{
	const char *p = line_of(limits, title);

	return p && sscanf(p, "%31s %31s", soft, hard) == 2 ? 0 : -1;
}

bool proc_has_word(const char *list, const char *word, size_t n)
{
	for (const char *p = list; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (strcspn(p, " ") == n && strncmp(p, word, n) == 0)
			return true;
	return false;
}

/* ---- mounts ---- */

int proc_mounts(pid_t pid, bool (*fn)(void *arg, const char *point, const char *options), void *arg)
{
	char path[64], line[4096];

	(void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		char *save = NULL, *word[6] = { strtok_r(line, " ", &save) };
		for (int i = 1; i < 6 && word[i - 1]; i++)
			word[i] = strtok_r(NULL, " ", &save);
		if (word[5] && !fn(arg, word[4], word[5]))
			return 0;
	}
	return 0;
}

/* ---- descriptors ---- */

static bool is_below(const char *path, const char *folder)
{
	const size_t n = strlen(folder);

	return n && strncmp(path, folder, n) == 0 && (path[n] == '/' || !path[n]);
}

/* The nodes that roles and VMMs open, by the names that they have in the roots of these
 * (blk/root.c, net/root.h, spawn/jail.c). */
static const char *kind_of_node(const struct proc_holder *h, const char *link)
{
	static const struct {
		const char *path, *kind;
	} nodes[] = {
		{ "/dev/null", "null" },
		{ "/tun", "tun" },
		{ "/dev/net/tun", "tun" },
		{ "/dev/kvm", "kvm" },
		{ "/dev/loop-control", "loop-control" },
		{ "/dev/mapper/control", "dm-control" },
	};
	char disk[32];
	unsigned n;

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		if (strcmp(link, nodes[i].path) == 0)
			return nodes[i].kind;
	(void)snprintf(disk, sizeof(disk), "/run/vda%d", h->slot);
	if (h->slot >= 0 && strcmp(link, disk) == 0)
		return "own";
	return sscanf(link, "/dev/loop%u", &n) == 1 || sscanf(link, "/loop%u", &n) == 1 ? "loop"
											: NULL;
}

/* Name a file by its path, which for a process with a root of its own begins there. */
static const char *kind_of_path(const struct proc_holder *h, const char *link, bool writable)
{
	const struct config *c = h->config;
	const size_t n = strlen(link);
	char own[2][32], lock[128];

	(void)snprintf(own[0], sizeof(own[0]), "/state/%d", h->slot);
	(void)snprintf(own[1], sizeof(own[1]), "/run/%d", h->slot);
	(void)snprintf(lock, sizeof(lock), "%s/supervisor.lock", c->run_dir);
	if (strcmp(link, "/memfd:banger-config (deleted)") == 0)
		return "config";
	if (h->slot >= 0 && (is_below(link, own[0]) || is_below(link, own[1])))
		return "own";
	if (strcmp(link, lock) == 0)
		return "lock";
	if (is_below(link, c->log_dir) && n > 4 && strcmp(link + n - 4, ".key") == 0)
		return "reqkey";
	if (is_below(link, c->log_dir))
		return writable ? "reqlog" : "log";
	if (is_below(link, c->state_dir))
		return "state";
	if (is_below(link, "/usr") || is_below(link, "/proc") || is_below(link, "/sys"))
		return link[1] == 'u' ? "usr" : link[1] == 'p' ? "proc" : "sys";
	return is_below(link, c->run_dir) ? "run" : "file";
}

/* Return: the kind of a file that its file system tells, or NULL. */
static const char *kind_of_fs(const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return NULL;
	return fs.f_type == CGROUP2_SUPER_MAGIC ? "cgroup"
	       : fs.f_type == PROC_SUPER_MAGIC  ? "proc"
	       : fs.f_type == SYSFS_MAGIC       ? "sys"
	       : fs.f_type == SELINUX_MAGIC     ? "sys"
						: NULL;
}

/* "anon_inode:[eventfd]" is an eventfd, "anon_inode:kvm-vcpu:0" a kvm-vcpu; of a VMM they are all
 * "anon", since each release of QEMU has others. */
static void kind_of_anon(const struct proc_holder *h, const char *name, char kind[32])
{
	if (h->slot >= 0)
		(void)snprintf(kind, 32, "anon");
	else
		(void)snprintf(kind, 32, "%.*s", (int)strcspn(name + (*name == '['), "]:"),
			       name + (*name == '['));
}

int proc_kind(const struct proc_holder *h, const char *fd, char kind[32], char link[PROC_VALUE])
{
	static const char anon[] = "anon_inode:";
	char name[32], path[64];
	const char *is = NULL;
	struct stat of_link, st;

	(void)snprintf(name, sizeof(name), "fd/%.16s", fd);
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)h->pid, name);
	if (proc_link(h->pid, name, link) < 0 || lstat(path, &of_link) < 0)
		return -1;
	if (strncmp(link, anon, sizeof(anon) - 1) == 0) {
		kind_of_anon(h, link + sizeof(anon) - 1, kind);
		return 0;
	}
	if (strncmp(link, "socket:", 7) == 0 || strncmp(link, "pipe:", 5) == 0)
		is = link[0] == 's' ? "socket" : "pipe";
	/* A VMM's standard input; its path is that of the mount by which the controller has it. */
	if (h->slot >= 0 && strcmp(fd, "0") == 0 && stat(path, &st) == 0 && S_ISFIFO(st.st_mode))
		is = "console";
	if (!is)
		is = kind_of_node(h, link);
	if (!is && !h->by_path)
		is = kind_of_fs(path);
	(void)snprintf(kind, 32, "%s", is ? is : kind_of_path(h, link, of_link.st_mode & S_IWUSR));
	return 0;
}
