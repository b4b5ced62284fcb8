/* config.c - reads and checks the text of the configuration, for the supervisor.
 *
 * Theory of operation.  inih splits the text into (section, key, value).  A row of keys[] names the
 * member that a key fills, and the function that fills it.  inih passes no line numbers to its
 * handler, so next_line() feeds it one line per call and counts.  Every error is logged and reading
 * goes on, so that an administrator sees all errors at once.  Checks of several values together
 * (the subnet is large enough, accounts differ) come at the end. */
#include "common/config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ini.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fdio.h"
#include "common/log.h"
#include "common/parse.h"

#define TEXT_MAX 65536

/* The state of reading: the text, the position in it, errors and keys so far. */
struct reader {
	const char *path;
	char text[TEXT_MAX + 1];
	size_t len, at;
	unsigned line, faults;
	uint64_t seen; /* a bit for each row of keys[] */
	struct config *c;
};

struct key {
	const char *section, *name;
	/* Parse @value and set the member @at.  Return: 0, or -1 (logged and counted). */
	int (*set)(struct reader *r, const struct key *k, const char *value, void *at);
	size_t offset;
	/* Numbers: bounds.  Text: max is the size with the NUL, min 0 allows "".  Words: min is
	 * their index in words[]. */
	uint64_t min, max;
};

#define AT(member) offsetof(struct config, member)
#define ROOM(member) sizeof(((struct config *)0)->member)

static const struct config defaults = {
	.magic = CONFIG_MAGIC,
	.size = sizeof(struct config),
	.slots = 250,
	.uid_base = 0x70000000,
	.bridge = "banger0",
	.subnet = 10u << 24 | 98u << 16,
	.prefix = 20,
	.users_gid = UINT32_MAX,
	.state_dir = "/var/lib/banger",
	.run_dir = "/run/banger",
	.log_dir = "/var/log/banger",
	.libexec_dir = "/usr/libexec/banger",
	.qemu = "/usr/bin/qemu-system-x86_64",
	.accel = ACCEL_AUTO,
	.landlock = LANDLOCK_REQUIRE,
	.agent_ports = 4,
	.total_mem_percent = 90,
	.total_tasks = 16384,
	.max_vcpus = 16,
	.max_mem_mib = 16384,
	.max_disk_mib = 65536,
	.max_vms_per_owner = 20,
	.max_images_per_owner = 10,
	.creates_per_second = 100,
	.max_flows_per_vm = 4096,
	.hold_grace_s = 10,
};

/* Log and count an error at the current line; line 0: of the whole file.  Return: -1. */
__attribute__((format(printf, 2, 3))) static int fault(struct reader *r, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	r->faults++;
	if (r->line)
		log_error("%s:%u: %s", r->path, r->line, why);
	else
		log_error("%s: %s", r->path, why);
	return -1;
}

static int set_uint(struct reader *r, const struct key *k, const char *value, void *at)
{
	uint64_t v;

	if (parse_uint(value, k->min, k->max, &v) < 0)
		return fault(r, "%s = %s: want a number from %llu to %llu", k->name, value,
			     (unsigned long long)k->min, (unsigned long long)k->max);
	*(uint32_t *)at = (uint32_t)v;
	return 0;
}

/* Set a text that fits and consists of characters in @allowed. */
static int set_text(struct reader *r, const struct key *k, const char *value, const char *allowed,
		    char *at)
{
	size_t n = strlen(value);

	if (n < k->min || n >= k->max)
		return fault(r, "%s: want %llu to %llu characters", k->name,
			     (unsigned long long)k->min, (unsigned long long)k->max - 1);
	if (strspn(value, allowed) != n)
		return fault(r, "%s = %s: has a character that is not allowed", k->name, value);
	memset(at, 0, k->max);
	(void)snprintf(at, k->max, "%s", value);
	return 0;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Set the name of an interface: of the names that ip-link(8) accepts, those that need no quoting in
 * any file. */
static int set_name(struct reader *r, const struct key *k, const char *value, void *at)
{
	if (value[0] == '.' || value[0] == '-')
		return fault(r, "%s = %s: starts with a dot or a dash", k->name, value);
	return set_text(r, k, value, LETTERS "._-", at);
}

static bool is_clean_path(const char *s)
{
	size_t n = strlen(s);

	if (s[0] != '/' || n < 2 || s[n - 1] == '/' || strstr(s, "//"))
		return false;
	for (const char *p = strstr(s, "/."); p; p = strstr(p + 1, "/."))
		if (strcmp(p, "/.") == 0 || strncmp(p, "/./", 3) == 0 || strcmp(p, "/..") == 0 ||
		    strncmp(p, "/../", 4) == 0)
			return false;
	return true;
}

static int set_path(struct reader *r, const struct key *k, const char *value, void *at)
{
	if (value[0] && !is_clean_path(value))
		return fault(r, "%s = %s: want an absolute path without //, . and ..", k->name,
			     value);
	return set_text(r, k, value, LETTERS "/._+-", at);
}

static int set_program(struct reader *r, const struct key *k, const char *value, void *at)
{
	if (value[0] && strncmp(value, "/usr/", 5) != 0)
		return fault(r, "%s = %s: want a program below /usr: VMMs see no more of the host",
			     k->name, value);
	return set_path(r, k, value, at);
}

/* Parse "uid:gid". */
static int numeric_account(const char *value, struct account *a)
{
	char uid[16];
	uint64_t u, g;
	const char *colon = strchr(value, ':');

	if (!colon || (size_t)(colon - value) >= sizeof(uid))
		return -1;
	memcpy(uid, value, (size_t)(colon - value));
	uid[colon - value] = '\0';
	if (parse_uint(uid, 0, INT32_MAX, &u) < 0 || parse_uint(colon + 1, 0, INT32_MAX, &g) < 0)
		return -1;
	*a = (struct account){ (uint32_t)u, (uint32_t)g };
	return 0;
}

static int set_account(struct reader *r, const struct key *k, const char *value, void *at)
{
	struct account *a = at;
	const struct passwd *pw;

	if (strchr(value, ':')) {
		if (numeric_account(value, a) < 0)
			return fault(r, "%s = %s: want a user name or uid:gid", k->name, value);
	} else {
		pw = getpwnam(value);
		if (!pw)
			return fault(r, "%s = %s: there is no such user", k->name, value);
		*a = (struct account){ pw->pw_uid, pw->pw_gid };
	}
	if (a->uid == 0 || a->gid == 0)
		return fault(r, "%s = %s: must be neither uid 0 nor gid 0", k->name, value);
	return 0;
}

/* Set a group by name or number; "" stands for every user. */
static int set_group(struct reader *r, const struct key *k, const char *value, void *at)
{
	uint32_t *gid = at;
	const struct group *gr;
	uint64_t v;

	*gid = UINT32_MAX;
	if (!value[0])
		return 0;
	if (parse_uint(value, 1, INT32_MAX, &v) == 0) {
		*gid = (uint32_t)v;
		return 0;
	}
	gr = getgrnam(value);
	if (!gr)
		return fault(r, "%s = %s: there is no such group", k->name, value);
	*gid = gr->gr_gid;
	return 0;
}

static int set_subnet(struct reader *r, const struct key *k, const char *value, void *at)
{
	(void)at; /* two members */
	if (parse_subnet(value, &r->c->subnet, &r->c->prefix) < 0)
		return fault(r, "%s = %s: want a.b.c.d/8 to /30 with no bit set behind the prefix",
			     k->name, value);
	return 0;
}

static int set_ipv4(struct reader *r, const struct key *k, const char *value, void *at)
{
	*(uint32_t *)at = 0;
	if (value[0] && parse_ipv4(value, at) < 0)
		return fault(r, "%s = %s: want an IPv4 address", k->name, value);
	return 0;
}

/* The words of the keys that take one; the index of a word is the value of the key's enum. */
enum { WORDS_ACCEL, WORDS_DM, WORDS_LANDLOCK };

static const char *const words[][4] = {
	[WORDS_ACCEL] = { [ACCEL_AUTO] = "auto", [ACCEL_KVM] = "kvm", [ACCEL_TCG] = "tcg" },
	[WORDS_DM] = { [DM_AUTO] = "auto", [DM_OFF] = "off" },
	[WORDS_LANDLOCK] = { [LANDLOCK_AUTO] = "auto", [LANDLOCK_REQUIRE] = "require" },
};

/* Set the index of @value among the words of @k, which are words[k->min]. */
static int set_word(struct reader *r, const struct key *k, const char *value, void *at)
{
	const char *const *w = words[k->min];

	for (uint32_t i = 0; w[i]; i++)
		if (strcmp(value, w[i]) == 0) {
			*(uint32_t *)at = i;
			return 0;
		}
	return fault(r, "%s = %s: want %s, %s%s%s", k->name, value, w[0], w[1], w[2] ? ", " : "",
		     w[2] ? w[2] : "");
}

static const struct key keys[] = {
	{ "slots", "count", set_uint, AT(slots), 1, 1000 },
	{ "slots", "uid_base", set_uint, AT(uid_base), 1024, INT32_MAX - 1024 },
	{ "network", "bridge", set_name, AT(bridge), 1, ROOM(bridge) },
	{ "network", "uplink", set_name, AT(uplink), 0, ROOM(uplink) },
	{ "network", "subnet", set_subnet, AT(subnet), 0, 0 },
	{ "network", "dns", set_ipv4, AT(dns), 0, 0 },
	{ "accounts", "net", set_account, AT(net), 0, 0 },
	{ "accounts", "blk", set_account, AT(blk), 0, 0 },
	{ "accounts", "spawn", set_account, AT(spawn), 0, 0 },
	{ "accounts", "controller", set_account, AT(controller), 0, 0 },
	{ "accounts", "supervisor", set_account, AT(supervisor), 0, 0 },
	{ "accounts", "users", set_group, AT(users_gid), 0, 0 },
	{ "places", "state_dir", set_path, AT(state_dir), 1, ROOM(state_dir) },
	{ "places", "run_dir", set_path, AT(run_dir), 1, ROOM(run_dir) },
	{ "places", "log_dir", set_path, AT(log_dir), 1, ROOM(log_dir) },
	{ "places", "cgroup_dir", set_path, AT(cgroup_dir), 0, ROOM(cgroup_dir) },
	{ "places", "libexec_dir", set_path, AT(libexec_dir), 1, ROOM(libexec_dir) },
	{ "vmm", "qemu", set_program, AT(qemu), 0, ROOM(qemu) },
	{ "vmm", "firecracker", set_program, AT(firecracker), 0, ROOM(firecracker) },
	{ "vmm", "accel", set_word, AT(accel), WORDS_ACCEL, 0 },
	{ "vmm", "agent_ports", set_uint, AT(agent_ports), 0, 30 },
	{ "storage", "dm", set_word, AT(dm), WORDS_DM, 0 },
	{ "security", "landlock", set_word, AT(landlock), WORDS_LANDLOCK, 0 },
	{ "limits", "total_mem_percent", set_uint, AT(total_mem_percent), 1, 100 },
	{ "limits", "total_tasks", set_uint, AT(total_tasks), 64, 4194304 },
	{ "limits", "max_vcpus", set_uint, AT(max_vcpus), 1, 256 },
	{ "limits", "max_mem_mib", set_uint, AT(max_mem_mib), 32, 16777216 },
	{ "limits", "max_disk_mib", set_uint, AT(max_disk_mib), 1, 16777216 },
	{ "limits", "max_vms_per_owner", set_uint, AT(max_vms_per_owner), 1, 1000 },
	{ "limits", "max_images_per_owner", set_uint, AT(max_images_per_owner), 1, 10000 },
	{ "limits", "max_flows_per_vm", set_uint, AT(max_flows_per_vm), 64, 1000000 },
	{ "limits", "hold_grace_s", set_uint, AT(hold_grace_s), 1, 3600 },
	{ "limits", "creates_per_second", set_uint, AT(creates_per_second), 1, 10000 },
};
_Static_assert(ARRAY_SIZE(keys) <= 64, "reader.seen has a bit for each key");

/* Return: the row of a key, or ARRAY_SIZE(keys). */
static size_t find_key(const char *section, const char *name)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(keys) &&
	       (strcmp(section, keys[i].section) != 0 || strcmp(name, keys[i].name) != 0))
		i++;
	return i;
}

static void set(struct reader *r, size_t i, const char *value)
{
	(void)keys[i].set(r, &keys[i], value, (char *)r->c + keys[i].offset);
	r->seen |= UINT64_C(1) << i;
}

/* inih's handler.  Return: 1, by which inih goes on; errors are counted in the reader. */
static int on_value(void *user, const char *section, const char *name, const char *value)
{
	struct reader *r = user;
	size_t i = find_key(section, name);

	if (i == ARRAY_SIZE(keys))
		(void)fault(r, "[%s] has no key %s", section, name);
	else if (r->seen & UINT64_C(1) << i)
		(void)fault(r, "%s is given twice", name);
	else
		set(r, i, value);
	return 1;
}

/* Refuse an unknown section.  inih does not call its handler for a section without keys, so
 * on_value() would miss it. */
static void check_section(struct reader *r, const char *line)
{
	size_t n = strcspn(line, "]");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strlen(keys[i].section) == n - 1 &&
		    strncmp(line + 1, keys[i].section, n - 1) == 0)
			return;
	(void)fault(r, "there is no section %.*s]", (int)n, line);
}

/* inih's reader: copy the next line, without its newline, into @out. */
static char *next_line(char *out, int size, void *stream)
{
	struct reader *r = stream;

	if (r->at >= r->len)
		return NULL;
	const char *start = r->text + r->at, *end = memchr(start, '\n', r->len - r->at);
	size_t n = end ? (size_t)(end - start) : r->len - r->at;

	r->line++;
	r->at += n + 1;
	if (n >= (size_t)size) {
		(void)fault(r, "the line is longer than %d bytes", size - 1);
		n = 0;
	}
	memcpy(out, start, n);
	out[n] = '\0';
	const char *word = out + strspn(out, " \t\r");
	if (*word == '[')
		check_section(r, word);
	return out;
}

/* Open a file or folder without following a link anywhere in its path (openat2(2),
 * RESOLVE_NO_SYMLINKS).  It must be of @type (S_IFREG, S_IFDIR) and belong to @owner, and no other
 * account may be able to write it.
 * Return: a descriptor, which the caller closes, or -1 (logged). */
static int open_checked(int dir, const char *path, uint32_t owner, mode_t type)
{
	struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
				.resolve = RESOLVE_NO_SYMLINKS };
	struct stat st;
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));

	if (fd < 0 || fstat(fd, &st) < 0) {
		log_errno("%s", path);
		return -1;
	}
	if ((st.st_mode & S_IFMT) != type) {
		log_error("%s: is not a %s", path, type == S_IFDIR ? "folder" : "regular file");
		return -1;
	}
	if (st.st_uid != owner || st.st_mode & (S_IWGRP | S_IWOTH)) {
		log_error("%s: must belong to uid %u, and no other account may write to it", path,
			  owner);
		return -1;
	}
	return steal_fd(&fd);
}

static int open_config(const char *path, uint32_t owner)
{
	char folder[256];
	const char *slash = strrchr(path, '/');

	if (!is_clean_path(path) || strlen(path) >= sizeof(folder)) {
		log_error("%s: want an absolute path without //, . and ..", path);
		return -1;
	}
	(void)snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path),
		       path);
	_cleanup_close_ int dir = open_checked(AT_FDCWD, folder, owner, S_IFDIR);
	return dir < 0 ? -1 : open_checked(dir, slash + 1, owner, S_IFREG);
}

/* Read the whole text, which must be shorter than TEXT_MAX and have no NUL. */
static int read_text(struct reader *r, int fd)
{
	ssize_t n;

	do {
		n = read(fd, r->text + r->len, TEXT_MAX - r->len);
		if (n < 0) {
			log_errno("%s", r->path);
			return -1;
		}
		r->len += (size_t)n;
	} while (n > 0 && r->len < TEXT_MAX);
	if (r->len == TEXT_MAX)
		return fault(r, "is longer than %d bytes", TEXT_MAX - 1);
	if (memchr(r->text, '\0', r->len))
		return fault(r, "has a NUL byte");
	return 0;
}

/* Set the accounts that the text does not name to the users of the standard names. */
static void default_accounts(struct reader *r)
{
	static const char *const users[][2] = {
		{ "net", "banger-net" },        { "blk", "banger-blk" },
		{ "spawn", "banger-spawn" },    { "controller", "banger" },
		{ "supervisor", "banger-sup" },
	};

	for (size_t u = 0; u < ARRAY_SIZE(users); u++) {
		size_t i = find_key("accounts", users[u][0]);
		if (!(r->seen & UINT64_C(1) << i))
			set(r, i, users[u][1]);
	}
}

static void check_accounts(struct reader *r)
{
	const struct config *c = r->c;
	const struct account *const a[] = { &c->net, &c->blk, &c->spawn, &c->controller,
					    &c->supervisor };

	for (size_t i = 0; i < ARRAY_SIZE(a); i++) {
		if (config_in_slot_range(c, a[i]->uid) || config_in_slot_range(c, a[i]->gid))
			(void)fault(r, "[accounts] uid %u gid %u lies in the slots' range",
				    a[i]->uid, a[i]->gid);
		for (size_t k = 0; k < i; k++)
			if (a[i]->uid == a[k]->uid || a[i]->gid == a[k]->gid)
				(void)fault(r, "[accounts] uid %u gid %u is used twice", a[i]->uid,
					    a[i]->gid);
	}
}

static void check_whole(struct reader *r)
{
	const struct config *c = r->c;
	uint32_t span = config_slot_span(c);

	if (c->uid_base % span)
		(void)fault(r, "[slots] uid_base must be a multiple of %u for %u slots", span,
			    c->slots);
	/* Three addresses belong to no guest: the network's, the bridge's and the broadcast
	 * address. */
	if ((UINT64_C(1) << (32 - c->prefix)) < c->slots + UINT64_C(3))
		(void)fault(r, "[network] subnet: a /%u is too small for %u slots", c->prefix,
			    c->slots);
	if (!c->qemu[0] && !c->firecracker[0])
		(void)fault(r, "[vmm] names neither qemu nor firecracker");
	if (c->users_gid != UINT32_MAX && config_in_slot_range(c, c->users_gid))
		(void)fault(r, "[accounts] users: gid %u lies in the slots' range", c->users_gid);
	check_accounts(r);
}

int config_load(const char *path, uint32_t owner, struct config *c)
{
	static struct reader state; /* too large for the stack */
	struct reader *r = &state;
	_cleanup_close_ int fd = open_config(path, owner);

	if (fd < 0)
		return -1;
	memset(r, 0, sizeof(*r));
	*c = defaults;
	r->path = path;
	r->c = c;
	if (read_text(r, fd) < 0)
		return -1;
	int bad = ini_parse_stream(next_line, r, on_value, r);
	if (bad > 0 && r->faults == 0) {
		r->line = (unsigned)bad;
		(void)fault(r, "is neither [section], key = value, nor a ; comment");
	}
	r->line = 0;
	if (r->faults == 0)
		default_accounts(r);
	if (r->faults == 0)
		check_whole(r);
	return r->faults ? -1 : 0;
}
