/* loop.h - what epoll's data.ptr points to: who takes the event.
 *
 * The main loop takes one event at a time, so that a source may free any other one.  A source that another thread
 * can give up lives in memory that stays (watch.c), since its event may already be on the way. */
#ifndef BANGER_CONTROLLER_LOOP_H
#define BANGER_CONTROLLER_LOOP_H

#include <stdint.h>

struct loop_source {
	void (*ready)(struct loop_source *s, uint32_t events);
	void *owner;
};

#endif
