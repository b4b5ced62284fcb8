/* netlink.h - sends requests to the kernel by netlink(7), and checks its answers. */
#ifndef BANGER_PRIVHELPER_NET_NETLINK_H
#define BANGER_PRIVHELPER_NET_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ops.h"

/* Bytes of the largest request, with headroom: both tables, the rules and two elements for each of
 * SLOT_MAX slots are some 300 kB. */
#define NL_OUT_SIZE (1u << 20)

/* Bytes of the largest datagram from the kernel: one part of a dump, or a notification
 * (NLMSG_GOODSIZE, af_netlink.c). */
#define NL_IN_SIZE 32768

/* The role's buffers, one datagram each, and the latest sequence number. */
struct netlink {
	uint8_t out[NL_OUT_SIZE] __attribute__((aligned(8)));
	uint8_t in[NL_IN_SIZE] __attribute__((aligned(8)));
	uint32_t last;
};

/* One outgoing datagram under construction: netlink messages one after another, in the buffer of
 * @netlink. */
struct nl_out {
	struct netlink *netlink;
	size_t used;
	uint32_t first, last; /* sequence numbers of the messages in it */
	struct nlmsghdr *h;   /* the message under construction */
	/* objects changed during the dump, so it may lack some (NLM_F_DUMP_INTR) */
	bool interrupted;
};

/* Open a socket of @protocol (NETLINK_*) that is connected to the kernel, so that no other process
 * can send to it (ECONNREFUSED; net/netlink/af_netlink.c, netlink_getsockbyportid()).  Its buffers
 * hold twice NL_OUT_SIZE, for which CAP_NET_ADMIN is needed.
 * Return: a descriptor, which the caller closes, or -1 with errno. */
int nl_open(int protocol);

/* Start a datagram in the buffer of @netlink.  An unfinished datagram there is dropped. */
void nl_begin(struct netlink *netlink, struct nl_out *o);

/* Append a message with a fixed header of @extra bytes, all 0.  NLM_F_REQUEST is added to @flags.
 * Return: the fixed header, in the buffer of @o. */
void *nl_message(struct nl_out *o, uint16_t type, uint16_t flags, size_t extra);

/* Append a copy of the message @h, at most NL_MESSAGE_MAX bytes, with a sequence number of this
 * datagram. */
void nl_append(struct nl_out *o, const struct nlmsghdr *h);

/* Bytes that one message may have.  nl_message() ends the process if less is left in the buffer. */
#define NL_MESSAGE_MAX 2048

/* Turn the first number of an NLMSG_ERROR or NLMSG_DONE, a negative errno or 0, into an errno.
 * Return: 0 for success; EPROTO for a number that no errno has (MAX_ERRNO, linux/err.h). */
int nl_errno(int verdict);

/* Called by nl_talk() with its @arg for each message of an answer; @h lives as long as the call. */
typedef void (*nl_fn)(void *arg, const struct nlmsghdr *h);

/**
 * nl_talk() - send a datagram and read every answer to it
 * @fn:	called for each message that is no acknowledgement; may be NULL
 * @arg: passed to @fn
 *
 * The last message must ask for an acknowledgement (NLM_F_ACK) or be a dump. It never blocks: the
 * kernel has queued the answers when send(2) returns, and continues a dump as we read it
 * (netlink_dump(), af_netlink.c).
 * Return: 0, or -1 with errno: the first error of any message.
 */
int nl_talk(int fd, struct nl_out *o, nl_fn fn, void *arg);

/* Turn the errno of a failed system call into a status: ST_LIMIT, ST_BUSY, or ST_KERNEL
 * (logged). */
enum status net_status(int err);

#endif
