/* loop.h - event sources of the main loop: epoll's data.ptr points to a struct loop_source.
 *
 * The main loop takes one event at a time, so a handler may free any other source.  A source that
 * another thread removes must be in memory that is never freed (watch.c), since its event may be
 * pending. */
#ifndef BANGER_CONTROLLER_LOOP_H
#define BANGER_CONTROLLER_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>

/* @ready: handler; @events as in epoll_ctl(2).  @owner: for the handler. */
struct loop_source {
	void (*ready)(struct loop_source *s, uint32_t events);
	void *owner;
};

/* Add @fd to the loop, for input events, with the source @s.  Return: 0, or -1 with errno. */
static inline int loop_add(int epoll_fd, int fd, struct loop_source *s)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* Remove *fd from the loop, close it, and set it to -1.  A close alone does not remove it if the
 * descriptor has copies (epoll(7), question 6).  -1 does nothing. */
static inline void loop_drop(int epoll_fd, int *fd)
{
	if (*fd < 0)
		return;
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, *fd, NULL);
	(void)close(*fd);
	*fd = -1;
}

#endif
