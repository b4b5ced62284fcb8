/* netlink.h - the transport: requests to the kernel by netlink, and the checks of its answers. */
#ifndef BANGER_PRIVHELPER_NET_NETLINK_H
#define BANGER_PRIVHELPER_NET_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Both tables, the rules and two elements for each of SLOT_MAX slots are some 300 kB. */
#define NL_OUT_SIZE (1u << 20)

/* What the kernel puts into one datagram at most, one part of a dump or an event (NLMSG_GOODSIZE, af_netlink.c). */
#define NL_IN_SIZE 32768

/* The role's buffers, one datagram each, and the latest sequence number. */
struct netlink {
	uint8_t out[NL_OUT_SIZE] __attribute__((aligned(8)));
	uint8_t in[NL_IN_SIZE] __attribute__((aligned(8)));
	uint32_t last;
};

/* One outgoing datagram under construction: netlink messages one after another, in the buffer of @netlink. */
struct nl_out {
	struct netlink *netlink;
	size_t used;
	uint32_t first, last;  /* sequence numbers of the messages in it */
	struct nlmsghdr *h;    /* the message under construction */
	bool interrupted;      /* what was dumped changed meanwhile: some of it may be missing (NLM_F_DUMP_INTR) */
};

/* A socket that speaks to the kernel alone.  Return: a descriptor, or -1 with errno. */
int nl_open(int protocol);

/* Start a datagram in the buffer of @netlink; an unfinished one is dropped. */
void nl_begin(struct netlink *netlink, struct nl_out *o);

/* Append a message and return where its fixed header, @extra bytes of zeros, is.  NLM_F_REQUEST is added. */
void *nl_message(struct nl_out *o, uint16_t type, uint16_t flags, size_t extra);

/* Append a copy of a whole message, with a sequence number of this datagram. */
void nl_append(struct nl_out *o, const struct nlmsghdr *h);

/* Room for one message; nl_message() stops the process rather than pass the end of the buffer. */
#define NL_MESSAGE_MAX 2048

typedef void (*nl_fn)(void *arg, const struct nlmsghdr *h);

/**
 * nl_talk() - send a datagram and take in every answer to it
 * @fn:	called for each message that is no acknowledgement; may be NULL
 *
 * The last message must ask for an acknowledgement (NLM_F_ACK) or be a dump.
 * The kernel has put all answers into the socket's buffer when the send
 * returns, or adds to it as we read (dumps): nothing here ever blocks.
 * Return: 0, or -1 with errno: the first error that any message met.
 */
int nl_talk(int fd, struct nl_out *o, nl_fn fn, void *arg);

#endif
