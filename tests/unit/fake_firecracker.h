/* fake_firecracker.h - Firecracker's API socket in a thread: as strict as the published schema
 * (1.14), and as broken as asked.
 *
 * Knows the requests that the driver makes.  Unknown members, wrong types, missing members,
 * requests in the wrong order or for another id than the path's are 400 with a fault_message, as in
 * the real one; other paths are 404. */
#ifndef BANGER_TESTS_FAKE_FIRECRACKER_H
#define BANGER_TESTS_FAKE_FIRECRACKER_H

#include <stdbool.h>
#include <stddef.h>

struct fake_firecracker;

enum fc_fault {
	FC_NONE,
	FC_HANG,      /* takes the request, never answers */
	FC_SLOW,      /* the right answer, seven bytes each millisecond */
	FC_TRICKLE,   /* the right answer, one byte each 200 ms */
	FC_GARBAGE,   /* bytes that are no HTTP */
	FC_HALF,      /* half of the right answer, then the end */
	FC_HALF_HANG, /* half of the right answer, then nothing */
	FC_CLOSE,     /* takes the request, closes */
	FC_503,       /* status 503 with a fault_message that a terminal should not see raw */
	FC_NO_JSON,   /* status 400 with a body that is no JSON */
	FC_ENDLESS,   /* status 200 and a body without end */
	FC_HEADERS,   /* headers without end */
	FC_WRONG,     /* status 200 with JSON of another shape */
};

/* Start a fake that listens on @path at once.  Return: NULL on failure. */
struct fake_firecracker *fake_firecracker_start(const char *path);
void fake_firecracker_stop(struct fake_firecracker *f);

/* Set @fault for the @nth request from now on (0: the next) and for all later ones. */
void fake_firecracker_fault(struct fake_firecracker *f, enum fc_fault fault, unsigned nth);

/* Requests answered with success, in order, "PUT /boot-source"; "" past the end.  And the last body
 * put to a path. */
const char *fake_firecracker_request(struct fake_firecracker *f, size_t i);
const char *fake_firecracker_body(struct fake_firecracker *f, const char *path);
bool fake_firecracker_running(struct fake_firecracker *f);

/* Refuse to open log and metrics from now on. */
void fake_firecracker_no_sinks(struct fake_firecracker *f);

/* Return: how often the metrics were requested. */
unsigned fake_firecracker_flushes(struct fake_firecracker *f);

/* Return: true if the guest was asked to shut down. */
bool fake_firecracker_ctrl_alt_del(struct fake_firecracker *f);

#endif
