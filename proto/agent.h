/* agent.h - the codec of the stream between the command line and the agent in a guest, made from
 * agent.def.
 *
 * Both sides treat each other as hostile: lengths are bounded by the table, the codec allocates
 * nothing, and a broken frame ends the session. */
#ifndef BANGER_PROTO_AGENT_H
#define BANGER_PROTO_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENT_DATA_MAX 65535 /* bytes of a frame's payload */
#define AGENT_CHUNK 16384    /* bytes of a stream that a sender puts into one frame */
#define AGENT_HEAD 4         /* bytes of a frame's header */
#define AGENT_WINDOW 131072  /* bytes of a stream that may be under way */
#define AGENT_WORDS 4096     /* ARG frames of a command, and ENV frames */
#define AGENT_NONCE 16
#define AGENT_GREETING 32 /* mark and nonce */
/* Port of AF_VSOCK at which the agent listens.  Below 1024: no other user of the guest can bind it
 * (net/vmw_vsock/af_vsock.c, LAST_RESERVED_PORT). */
#define AGENT_VSOCK_PORT 1023

/* The start of a session.  Its first byte is unique in it, and no byte of it is that of a header's
 * type or high length: so the mark is found at any place of the stream.  The last byte changes with
 * the protocol. */
#define AGENT_MARK "\x9d\xe2\x86\xb1\xf4\x8a\xc7\xd9\xa6\xeb\x93\xfc\xb8\xd1\x8f\x81"
#define AGENT_MARK_LEN 16

enum agent_frame {
#define FRAME(NAME, name, type, ...) AGENT_##NAME = (type),
#include "proto/agent.def"
};

enum agent_side { AGENT_CLIENT = 1, AGENT_GUEST = 2, AGENT_BOTH = 3 };
enum agent_stream { AGENT_STREAM_INPUT, AGENT_STREAM_OUTPUT, AGENT_STREAM_ERRORS, AGENT_STREAMS };

enum agent_flags {
	AGENT_TTY = 1,   /* the command gets a terminal */
	AGENT_LINE = 2,  /* the first argument is a line for the user's shell */
	AGENT_ENTRY = 4, /* the arguments are for the entry point of the image */
	AGENT_FLAGS = 7,
};

enum agent_copy_flags {
	AGENT_COPY_IN = 1,     /* to the guest */
	AGENT_COPY_OWNERS = 2, /* to the guest: keep owners and set-user-id bits */
	AGENT_COPY_INTO = 4,   /* to the guest: the destination must be a folder */
	AGENT_COPY_FOLLOW = 8, /* from the guest: follow a path that is a symbolic link */
	AGENT_COPY_PLACE = 16, /* relative to the folder in which a command starts */
	AGENT_COPY_FLAGS = 31,
};

/* A decoded frame. */
struct agent_msg {
	enum agent_frame type;
	size_t n;
	const uint8_t *data; /* @n bytes, valid until the next call for the same reader */
};

/* The bytes that one side has received and not yet decoded. */
struct agent_reader {
	enum agent_side from; /* AGENT_CLIENT or AGENT_GUEST: the sender */
	size_t have, used;    /* bytes in buf, and bytes of it that are decoded */
	size_t matched;       /* bytes of AGENT_MARK at the end of what was searched */
	size_t searched;      /* bytes of buf that were searched for AGENT_MARK */
	bool marked;          /* a mark ends one byte behind @searched, its nonce is incomplete */
	uint8_t buf[2 * (AGENT_HEAD + AGENT_DATA_MAX)];
};

/* Return: the name of a type of frame, or NULL. */
const char *agent_frame_name(unsigned type);

/**
 * agent_room() - make room for received bytes
 * @size:	out: bytes at the returned place, more than 0
 *
 * Invalidates the last frame.  The caller adds the bytes that it has received to r->have.
 */
uint8_t *agent_room(struct agent_reader *r, size_t *size);

/**
 * agent_greeting() - look for the start of a session, and remove it with all that precedes it
 * @nonce:	out: the bytes behind the mark
 *
 * The agent calls this before agent_next() each time it has received bytes.
 * Return: true if there is one.
 */
bool agent_greeting(struct agent_reader *r, uint8_t nonce[AGENT_NONCE]);

/* Remove all received bytes that can not be part of a mark: no session has begun. */
void agent_discard(struct agent_reader *r);

/**
 * agent_answered() - look for the agent's answer to the start of this session, as agent_greeting()
 * @nonce:	of this session; a mark with another one is skipped
 */
bool agent_answered(struct agent_reader *r, const uint8_t nonce[AGENT_NONCE]);

/**
 * agent_next() - decode one frame
 * Return: 1, 0 if it is not complete yet, or -1: its type, its sender or its length is not of
 * agent.def.
 */
int agent_next(struct agent_reader *r, struct agent_msg *m);

/**
 * agent_put() - encode a frame
 * @out:	AGENT_HEAD + @n bytes; the payload may be there already (@data NULL)
 *
 * Return: the length of the frame.
 */
size_t agent_put(uint8_t *out, enum agent_frame type, const void *data, size_t n);

/**
 * agent_cut() - bound the payload of a frame of the client, so that AGENT_MARK is not in it
 * Return: the number of bytes of @data that one frame may carry, from 1 to @n; 0 for @n 0.
 */
size_t agent_cut(const uint8_t *data, size_t n);

/* Integers of a payload. */
static inline unsigned agent_u16(const uint8_t *p)
{
	return (unsigned)p[0] | (unsigned)p[1] << 8;
}
static inline uint32_t agent_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline void agent_set16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}
static inline void agent_set32(uint8_t *p, uint32_t v)
{
	agent_set16(p, v & 0xffff);
	agent_set16(p + 2, v >> 16);
}

#endif
