/* seeds.c - writes the first inputs of the fuzz targets: `seeds FOLDER`.
 *
 * Those of the two protocols come from their tables: each request, answer and event, with the least
 * and the greatest values.  The others are what a well-behaved peer sends. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/control.h"
#include "tests/adversary/fuzz.h"

static const char *folder;

/* One input under construction. */
struct seed {
	size_t n;
	uint8_t b[16384];
};

static void put(struct seed *s, const void *bytes, size_t n)
{
	MUST(s->n + n <= sizeof(s->b));
	memcpy(s->b + s->n, bytes, n);
	s->n += n;
}

static void put_byte(struct seed *s, unsigned b)
{
	const uint8_t byte = (uint8_t)b;

	put(s, &byte, 1);
}

static void put_word(struct seed *s, size_t v)
{
	put_byte(s, (unsigned)(v >> 8));
	put_byte(s, (unsigned)v);
}

static void put_text(struct seed *s, const char *text)
{
	put(s, text, strlen(text));
}

__attribute__((format(printf, 3, 4))) static void save(const struct seed *s, const char *target,
						       const char *name, ...)
{
	char path[600], file[100];
	va_list ap;

	va_start(ap, name);
	(void)vsnprintf(file, sizeof(file), name, ap);
	va_end(ap);
	(void)snprintf(path, sizeof(path), "%s/%s", folder, target);
	if (mkdir(path, 0755) < 0 && errno != EEXIST) {
		perror(path);
		exit(1);
	}
	(void)snprintf(path, sizeof(path), "%s/%s/%s", folder, target, file);
	FILE *f = fopen(path, "we");
	if (!f || fwrite(s->b, 1, s->n, f) != s->n || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

/* ---- the two protocols ---- */

/* Give each field of a struct its least or its greatest value. */
static void fill(const struct field *fields, void *base, int greatest)
{
	for (const struct field *f = fields; f->name; f++) {
		char *at = (char *)base + f->offset;
		if (f->type == FIELD_U)
			*(uint64_t *)at = greatest ? f->max : f->min;
		else if (f->type == FIELD_F)
			*(bool *)at = greatest;
		else if (f->type == FIELD_S)
			memset(at, 'a', greatest ? f->max : 0);
		else if (f->type == FIELD_A || f->type == FIELD_V)
			*(size_t *)at = greatest ? (f->max < 60 ? f->max : 60) : 0;
	}
}

/* Put a packet, with a version of 0: see fuzz_wire.c. */
static void put_packet(struct seed *s, uint8_t *buf, int n)
{
	MUST(n > 3);
	buf[buf[0] == 0xdc ? 3 : 1] = 0;
	put(s, buf, (size_t)n);
}

static void wire_of(const struct op *op, size_t i, int greatest)
{
	struct request q = { .op = op, .seq = greatest ? UINT64_MAX : 1 };
	struct reply r = { .seq = 1, .status = ST_OK };
	struct seed s = { 0 };
	uint8_t buf[OPS_PACKET_MAX];

	q.generation = op->scope == SCOPE_SLOT ? 5 : 0;
	fill(op->args(), &q.hello, greatest);
	fill(op->reply(), &r.hello, greatest);
	int n = ops_encode_request(&q, buf);
	put_byte(&s, 0);
	put_packet(&s, buf, n);
	save(&s, "wire", "request-%s-%d", op->name, greatest);
	s.n = 0;
	n = ops_encode_reply(op, &r, buf);
	put_byte(&s, (unsigned)i + 1);
	put_packet(&s, buf, n);
	save(&s, "wire", "reply-%s-%d", op->name, greatest);
}

static void wire(void)
{
	const struct op *op;

	for (size_t i = 0; (op = op_each(i)); i++) {
		wire_of(op, i, 0);
		wire_of(op, i, 1);
	}
	/* All types of fields: 3 + 4 values, a number, true, 20 bytes, a list of two numbers. */
	struct seed s = { 0 };
	put(&s,
	    "\xff\x97\x00\x01\x00\x07\xc3\xc4\x14"
	    "01234567890123456789"
	    "\x92\x01\x02",
	    32);
	save(&s, "wire", "all-types");
	s.n = 0;
	put(&s, "\xff\x94\x00\x01\x00\xa0", 6);
	save(&s, "wire", "text-type");
}

/* Read back what a control_send_*() has sent into @fd's peer. */
static void take_sent(struct seed *s, int fd)
{
	ssize_t n = recv(fd, s->b + s->n, sizeof(s->b) - s->n, MSG_DONTWAIT);

	MUST(n > 0);
	s->n += (size_t)n;
}

static void control_of(enum call_id id, int greatest, const int pair[2])
{
	const struct call *call = control_call(id);
	union control_body body;
	struct seed s = { 0 };

	memset(&body, 0, sizeof(body));
	fill(call->args(), &body, greatest);
	put_word(&s, 0);
	MUST(control_send_request(pair[0], 7, call, &body, NULL, 0) == 0);
	take_sent(&s, pair[1]);
	save(&s, "control", "request-%s-%d", call->name, greatest);
	s.n = 0;
	memset(&body, 0, sizeof(body));
	fill(call->result(), &body, greatest);
	put_byte(&s, id + 1u);
	put_byte(&s, 3);
	MUST(control_send_result(pair[0], 7, call, &body, NULL, 0) == 0);
	take_sent(&s, pair[1]);
	save(&s, "control", "result-%s-%d", call->name, greatest);
}

static void control_event_of(enum event_id id, const int pair[2])
{
	const struct error e = { FAIL_STATE, "what", "why", "hint", "" };
	union control_body body;
	struct seed s = { 0 };

	memset(&body, 0, sizeof(body));
	fill(control_event(id)->fields(), &body, 0);
	put_byte(&s, CALL_VM_LIST + 1u);
	put_byte(&s, 255);
	MUST(control_send_event(pair[0], control_event(id), &body) == 0);
	MUST(control_send_error(pair[0], 7, &e) == 0);
	take_sent(&s, pair[1]);
	save(&s, "control", "event-%s", control_event(id)->name);
}

static void control(void)
{
	struct seed s = { 0 };
	int pair[2];

	put_byte(&s, 200); /* a struct full of text without an end */
	for (unsigned i = 0; i < 6000; i++)
		put_byte(&s, i ? 'a' : 2);
	save(&s, "control", "send");

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	for (unsigned i = 0; i < CALL_COUNT; i++) {
		control_of((enum call_id)i, 0, pair);
		control_of((enum call_id)i, 1, pair);
	}
	for (unsigned i = 0; i < EVENT_COUNT; i++)
		control_event_of((enum event_id)i, pair);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* ---- the role ---- */

static void role_step(struct seed *s, unsigned op, unsigned where, unsigned who)
{
	const uint8_t b[8] = { 15, (uint8_t)op, 0, (uint8_t)where, (uint8_t)who, 0, 0, 0 };

	put(s, b, sizeof(b));
}

/* For each role: hello, reconcile_done, then each operation in two slots, then a new start. */
static void role(void)
{
	const struct op *op;

	for (unsigned which = 0; which < 3; which++) {
		struct seed s = { 0 };
		put_byte(&s, which);
		role_step(&s, 0, 0, 0);
		role_step(&s, 3, 0, 0);
		for (unsigned i = 1; (op = op_each(i)); i++)
			if (op->role == ROLE_NET + which) {
				role_step(&s, i, 0x11, 0);
				role_step(&s, i, 0x21, 0);
				role_step(&s, i, 0x10, 1);
				role_step(&s, i, 0x12, 0x10);
			}
		put(&s, "\x02\0\0\0\0\0\0\0", 8); /* a new start */
		role_step(&s, 0, 0, 0);
		role_step(&s, 2, 0, 0);
		role_step(&s, 3, 0, 0);
		save(&s, "role", "life-%u", which);
		s.n = 1;
		put(&s, "\x03\0\x01\x01\0\0\0\0\x03\x01\x02\x01\0\0\0\0\x01\x01\0\0\0\0\0\0", 24);
		role_step(&s, 0, 0, 0);
		role_step(&s, 3, 0, 0);
		for (unsigned i = 4; (op = op_each(i)); i++)
			role_step(&s, i, 0x21, 0);
		save(&s, "role", "found-%u", which);
	}
}

/* ---- netlink ---- */

struct datagram {
	size_t n;
	uint8_t b[4000];
};

static struct nlmsghdr *message(struct datagram *d, uint16_t type, const void *extra, size_t size)
{
	struct nlmsghdr *h = (void *)(d->b + d->n);

	*h = (struct nlmsghdr){ .nlmsg_len = (uint32_t)(sizeof(*h) + NLMSG_ALIGN(size)),
				.nlmsg_type = type };
	memcpy(NLMSG_DATA(h), extra, size);
	d->n += h->nlmsg_len;
	return h;
}

/* Append an attribute.  Return: where its content is, for one that holds others. */
static struct nlattr *attr(struct datagram *d, struct nlmsghdr *h, uint16_t type, const void *value,
			   size_t size)
{
	struct nlattr *a = (void *)(d->b + d->n);

	*a = (struct nlattr){ (uint16_t)(sizeof(*a) + size), type };
	if (size)
		memcpy(a + 1, value, size);
	d->n += NLA_ALIGN(a->nla_len);
	h->nlmsg_len += NLA_ALIGN(a->nla_len);
	return a;
}

static void nest_ends(const struct datagram *d, struct nlattr *a)
{
	a->nla_len = (uint16_t)(d->b + d->n - (uint8_t *)a);
}

static void ack(struct datagram *d, int error)
{
	const struct nlmsgerr e = { .error = error };

	(void)message(d, NLMSG_ERROR, &e, sizeof(e));
}

static void send_datagram(struct seed *s, struct datagram *d)
{
	put_word(s, d->n);
	put(s, d->b, d->n);
	d->n = 0;
}

static void link_message(struct datagram *d, unsigned slot, const char *alias)
{
	const struct ifinfomsg i = { .ifi_index = 7 + (int)slot, .ifi_flags = 1 };
	const uint32_t owner = 700000 + slot, group = 0x62677200;
	const uint8_t one = 1;
	char name[16];

	(void)snprintf(name, sizeof(name), "bgr%u", slot);
	struct nlmsghdr *h = message(d, RTM_NEWLINK, &i, sizeof(i));
	(void)attr(d, h, IFLA_IFNAME, name, strlen(name) + 1);
	(void)attr(d, h, IFLA_IFALIAS, alias, strlen(alias) + 1);
	(void)attr(d, h, IFLA_GROUP, &group, sizeof(group));
	(void)attr(d, h, IFLA_MASTER, &owner, sizeof(owner));
	struct nlattr *info = attr(d, h, IFLA_LINKINFO, NULL, 0);
	(void)attr(d, h, IFLA_INFO_KIND, slot == 9 ? "bridge" : "tun", slot == 9 ? 7 : 4);
	struct nlattr *data = attr(d, h, IFLA_INFO_DATA, NULL, 0);
	(void)attr(d, h, IFLA_TUN_OWNER, &owner, sizeof(owner));
	(void)attr(d, h, IFLA_TUN_GROUP, &owner, sizeof(owner));
	(void)attr(d, h, IFLA_TUN_PERSIST, &one, sizeof(one));
	nest_ends(d, data);
	struct nlattr *port = attr(d, h, IFLA_INFO_SLAVE_DATA, NULL, 0);
	(void)attr(d, h, IFLA_BRPORT_ISOLATED, &one, sizeof(one));
	(void)attr(d, h, IFLA_BRPORT_LEARNING, &one, sizeof(one));
	nest_ends(d, port);
	nest_ends(d, info);
}

static void element_message(struct datagram *d)
{
	static const char udata[] = "\0\x10"
				    "banger:1:3:1000";
	const struct nfgenmsg g = { .nfgen_family = AF_INET };
	struct nlmsghdr *h = message(d, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM, &g,
				     sizeof(g));

	(void)attr(d, h, NFTA_SET_ELEM_LIST_TABLE, "banger", 7);
	struct nlattr *list = attr(d, h, NFTA_SET_ELEM_LIST_ELEMENTS, NULL, 0);
	struct nlattr *elem = attr(d, h, NFTA_LIST_ELEM, NULL, 0);
	(void)attr(d, h, NFTA_SET_ELEM_USERDATA, udata, sizeof(udata));
	nest_ends(d, elem);
	nest_ends(d, list);
}

static void flow_message(struct datagram *d)
{
	static const uint8_t source[] = { 10, 97, 0, 2 };
	const struct nfgenmsg g = { .nfgen_family = AF_INET };
	const uint32_t id = 99;
	struct nlmsghdr *h = message(d, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, &g,
				     sizeof(g));

	for (uint16_t t = CTA_TUPLE_ORIG; t <= CTA_TUPLE_REPLY; t++) {
		struct nlattr *tuple = attr(d, h, t, NULL, 0);
		struct nlattr *ip = attr(d, h, CTA_TUPLE_IP, NULL, 0);
		(void)attr(d, h, CTA_IP_V4_SRC, source, sizeof(source));
		nest_ends(d, ip);
		nest_ends(d, tuple);
	}
	(void)attr(d, h, CTA_ID, &id, sizeof(id));
	(void)attr(d, h, CTA_ZONE, &id, 2);
}

static void count_message(struct datagram *d, uint32_t flows)
{
	const struct nfgenmsg g = { .nfgen_family = AF_UNSPEC };
	const uint32_t entries = htonl(flows);
	struct nlmsghdr *h = message(d, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET_STATS, &g,
				     sizeof(g));

	(void)attr(d, h, CTA_STATS_GLOBAL_ENTRIES, &entries, sizeof(entries));
}

static void rules_message(struct datagram *d)
{
	const struct nfgenmsg g = { .nfgen_family = AF_INET };

	for (int i = 0; i < 40; i++)
		(void)message(d, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, &g, sizeof(g));
}

static void event_message(struct datagram *d)
{
	const struct nfgenmsg g = { .nfgen_family = AF_INET };
	struct nlmsghdr *h = message(d, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, &g,
				     sizeof(g));

	(void)attr(d, h, NFTA_TABLE_NAME, "banger", 7);
}

/* Whatever a function asks for, it gets the same five kinds of answers in turn. */
static void netlink(void)
{
	for (unsigned which = 0; which < 18; which++) {
		struct seed s = { 0 };
		struct datagram d = { 0 };
		put_byte(&s, which);
		for (int i = 0; i < 3; i++) {
			if (which % 9 == 6) {
				count_message(&d, 3);
				ack(&d, 0);
				send_datagram(&s, &d);
			}
			if (which % 9 == 3 || which % 9 == 4 || which % 9 == 5 || which % 9 == 0)
				link_message(&d, which / 9,
					     which / 9 ? "banger:1:3:1000" : "banger:0:3:1000");
			else if (which % 9 == 1 || which % 9 == 8)
				element_message(&d);
			else if (which % 9 == 2)
				event_message(&d);
			else if (which % 9 == 6)
				flow_message(&d);
			else
				rules_message(&d);
			if (which % 9 != 2)
				ack(&d, i == 2 ? -ENOENT : 0);
			send_datagram(&s, &d);
			link_message(&d, 9, "banger-bridge");
			ack(&d, 0);
			send_datagram(&s, &d);
			(void)message(&d, NLMSG_DONE, &i, sizeof(i));
			send_datagram(&s, &d);
		}
		save(&s, "netlink", "call-%u", which);
	}
}

/* ---- monitors ---- */

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n"
#define DONE_1 "{\"return\": {}, \"id\": 1}\n"

static void qmp(void)
{
	static const char *const texts[] = {
		GREETING DONE_1
		"{\"return\": {\"status\": \"running\", \"running\": true}, \"id\": 2}\n",
		GREETING DONE_1
		"{\"event\": \"STOP\"}\n{\"return\": {\"status\": \"prelaunch\"}, \"id\": 2}\n"
		"{\"return\": {\"status\": \"running\"}, \"id\": 3}\n",
		GREETING "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no \\u001b[2J\"}, "
			 "\"id\": 1}\n",
		GREETING DONE_1 "{\"return\": [1], \"id\": 2}\n",
		"{\"QMP\": 1}\n",
		"[]\n",
		GREETING "{\"return\": {}, \"id\": 7}\n",
		GREETING DONE_1 "{\"return\": {\"status\": \"paused\"}, \"id\": 2}\n"
				"{\"return\": {\"status\": \"paused\"}, \"id\": 3}\n"
				"{\"return\": {\"status\": \"paused\"}, \"id\": 4}\n"
				"{\"return\": {\"status\": \"paused\"}, \"id\": 5}\n",
	};

	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		for (unsigned call = 0; call < 3; call++) {
			struct seed s = { 0 };
			put_byte(&s, call);
			put_byte(&s, 2 * i);
			put_text(&s, texts[i]);
			save(&s, "qmp", "answer-%u-%u", i, call);
		}
	struct seed s = { 0 };
	put(&s, "\x80\0", 2); /* a line without an end, and events without an end */
	put_text(&s, "{\"QMP\": [[[[[[[[[[[[[[[[[[[[[[[[[[");
	save(&s, "qmp", "endless-line");
	s.n = 2;
	put_text(&s, "{\"QMP\": {}, \"event\": \"STOP\"}\n");
	save(&s, "qmp", "endless-events");
}

#define NO_CONTENT "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"

static void put_answer(struct seed *s, const char *text)
{
	put_word(s, strlen(text));
	put_text(s, text);
}

static void http(void)
{
	static const char *const last[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"state\":\"Running\"}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"sta\r\n0\r\n\r\n",
		"HTTP/1.1 400 Bad\r\nContent-Length: 23\r\n\r\n{\"fault_message\":\"\\u001b\"}",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n",
		"HTTP/1.0 301 Moved\r\nLocation: http://other/\r\nSet-Cookie: a=b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
		"Content-Length: 99999999999999999999\r\n\r\nx",
		"HTTP/0.9\r\n",
	};

	for (unsigned i = 0; i < sizeof(last) / sizeof(*last); i++)
		for (unsigned call = 0; call < 4; call++) {
			struct seed s = { 0 };
			put_byte(&s, call);
			for (unsigned k = 0; call == 0 && k < 7; k++)
				put_answer(&s, NO_CONTENT);
			put_answer(&s, last[i]);
			save(&s, "http", "answer-%u-%u", i, call);
		}
	struct seed s = { 0 };
	put_byte(&s, 2);
	put_word(&s,
		 0x8000 | 18); /* without a length the body goes on to the end of the connection */
	put_text(&s, "HTTP/1.1 200 \r\n\r\n");
	save(&s, "http", "endless");
}

/* ---- texts and files ---- */

static void texts(void)
{
	static const char *const parse[] = {
		"0",
		"7",
		"18446744073709551615",
		"18446744073709551616",
		"64M",
		"16777216T",
		"10.97.0.0/24",
		"255.255.255.255",
		"10.97.0.1/24",
		"0123456789abcdef0123456789abcdef",
		"a-name-1",
		"-x",
		"bgr0",
		"bgr999",
		"bgr1000",
		"banger:7:12:1000",
		"banger:0:1:4294967295",
		"banger:1:0:0",
		"banger:1:1:1:1",
	};
	static const char *const console[] = {
		"\1plain\n",
		"\2\x1b[31mred\x1b[0m\n",
		"\3\x1b]0;title\7x\n",
		"\4\x1bP1$r\x1b\\x\n",
		"\5\xc2\x9bJx\n",
		"\6\xc2\xa0 \xc3\xa9 \xe2\x82\xac\n",
		"\1\x1b]0;cut\nnext\r\b\x7f\n",
		"\7\xc2\xc2\x1b\xc2\n",
		"\1\x1b(B\x1b#8x",
	};
	struct seed s = { 0 };

	for (unsigned i = 0; i < sizeof(parse) / sizeof(*parse); i++) {
		s.n = 0;
		put_text(&s, parse[i]);
		save(&s, "parse", "text-%02u", i);
	}
	for (unsigned i = 0; i < sizeof(console) / sizeof(*console); i++) {
		s.n = 0;
		put_text(&s, console[i]);
		save(&s, "console", "text-%u", i);
	}
}

/* The setup header of a bzImage (boot.rst) before a payload: here an ELF head, in no
 * compression. */
static void bzimage(struct seed *s, const char *payload, size_t n)
{
	static uint8_t head[1024];

	memset(head, 0, sizeof(head));
	head[0x1f1] = 1;
	head[0x1fe] = 0x55;
	head[0x1ff] = 0xaa;
	memcpy(head + 0x202, "HdrS", 4);
	head[0x206] = 0x0f;
	head[0x207] = 2;
	head[0x24c] = (uint8_t)n;
	put(s, head, sizeof(head));
	put(s, payload, n);
}

static void headers(void)
{
	static char elf[104] = "\177ELF\2\1\1";
	static uint8_t image[1100];
	struct seed s = { 0 };

	image[1024 + 56] = 0x53;
	image[1024 + 57] = 0xef;
	for (unsigned which = 0; which < 18; which++) {
		s.n = 0;
		put_byte(&s, which);
		if (which % 6 == 0)
			put(&s, image, sizeof(image));
		else if (which % 6 == 3)
			put(&s, elf, sizeof(elf));
		else if (which % 6 == 4)
			put_text(&s, "some bytes");
		else {
			elf[18] = 62;
			elf[100] = 100; /* the size behind the payload */
			bzimage(&s, elf, sizeof(elf));
		}
		save(&s, "headers", "file-%02u", which);
	}
	s.n = 0;
	put_byte(&s, 252);
	put(&s, image, sizeof(image));
	save(&s, "headers", "too-large");
}

/* ---- request logs ---- */

#define TIME ",\"time\":\"2026-01-02T03:04:05.000000000Z\",\"boot_ns\":"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define PREV ",\"prev\":\"" ZEROS "\""
#define MAC ",\"mac\":\"00000000000000000000000000000000\"}\n"

static void record_line(struct seed *s, const char *type, unsigned n, const char *members)
{
	char line[600];

	(void)snprintf(line, sizeof(line),
		       "{\"type\":\"%s\",\"role\":\"net\",\"n\":%u" TIME "%u%s%s" MAC, type, n,
		       100 + n, members, n ? PREV : ",\"prev\":null");
	put_text(s, line);
}

static void record_start(struct seed *s, unsigned n, unsigned after, unsigned size,
			 const char *file)
{
	char members[200];

	(void)snprintf(members, sizeof(members),
		       ",\"version\":\"0\",\"pid\":4,\"uid\":5,\"after\":%u,\"end\":%u,\"size\":%u,"
		       "\"file\":\"%s\"",
		       after, size, size, file);
	record_line(s, "start", n, members);
}

/* The parts that fuzz_record.c tells apart by the first byte, over a log of two processes. */
static void records(void)
{
	for (unsigned how = 0; how < 16; how++) {
		struct seed s = { 0 };
		put_byte(&s, how);
		if (how & 2)
			put_text(&s, "x: checkpoint net 3 " ZEROS
				     " 2026-01-02T03:04:05.000000000Z\n--\n");
		const size_t from = s.n;
		record_start(&s, 0, 0, 0, "same");
		record_line(&s, "intent", 1, ",\"seq\":7,\"op\":\"tap_create\"");
		record_line(&s, "result", 2, ",\"seq\":7,\"status\":\"ok\"");
		if (how & 1)
			record_line(&s, "stop", 3, ",\"pings\":1,\"reads\":2");
		const size_t size = s.n - from;
		put_text(&s, how & 4 ? "\1" : "");
		record_start(&s, how & 1 ? 4 : 256, how & 1 ? 4 : 3, how & 4 ? 0 : (unsigned)size,
			     how & 4 ? "new" : "same");
		record_line(&s, "repair", how & 1 ? 5 : 257, ",\"what\":\"rules\"");
		save(&s, "record", "log-%02u", how);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: seeds FOLDER\n");
		return 2;
	}
	folder = argv[1];
	(void)mkdir(folder, 0755);
	wire();
	control();
	role();
	netlink();
	qmp();
	http();
	texts();
	headers();
	records();
	return 0;
}
