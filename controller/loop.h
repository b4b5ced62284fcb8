/* loop.h - what epoll's data.ptr points to: the handler of an event.
 *
 * The main loop takes one event at a time, so that a source may free any other one.  A source
 * that another thread can give up lives in memory that stays (watch.c), since its event may
 * already be on the way. */
#ifndef BANGER_CONTROLLER_LOOP_H
#define BANGER_CONTROLLER_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>

struct loop_source {
	void (*ready)(struct loop_source *s, uint32_t events);
	void *owner;
};

/* Take events of @fd as those of @s.  Return: 0, or -1 with errno. */
static inline int loop_add(int epoll_fd, int fd, struct loop_source *s)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* Take no more events of @fd, if it is one, and close it: copies of it would keep its entry
 * alive (epoll(7), question 6). */
static inline void loop_drop(int epoll_fd, int *fd)
{
	if (*fd < 0)
		return;
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, *fd, NULL);
	(void)close(*fd);
	*fd = -1;
}

#endif
