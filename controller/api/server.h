/* server.h - the control socket: connections, and the shares of it that each user has. */
#ifndef BANGER_CONTROLLER_API_SERVER_H
#define BANGER_CONTROLLER_API_SERVER_H

#include "controller/ctl.h"

/* of all users; root may exceed it, up to API_CONNECTIONS_PER_UID.  When all are taken, a user with
 * fewer gets one of the user with the most.  Connections that hold a VM come on top here and below,
 * at most one for each slot: they are not closed for others, and so must not take the places of
 * others, nor those of their own user's commands.  TasksMax= of banger.service has room for a
 * closer thread of each. */
#define API_CONNECTIONS_MAX 512
/* room for a hundred commands at once and a few to watch them */
#define API_CONNECTIONS_PER_UID 128
/* of WORKER_THREADS, so that one user can not occupy all of them */
#define API_WORKERS_PER_UID 8
/* while so many workers are busy, each user gets one at most */
#define API_WORKERS_SHARED 48
/* running at a time, one for each user: the client decides how long one lasts */
#define API_IMPORTS 2
/* connections beyond API_CONNECTIONS_MAX that are being closed */
#define API_CLOSING_MORE 256
/* descriptors of a user being closed; beyond it his requests are refused */
#define API_CLOSING_FDS 256
/* Starts and changes of VMs by one user.  The burst is twice creates_per_second (struct config),
 * the sustained rate is a hundredth of creates_per_second. */
#define API_STARTS_BURST(creates_per_second) (2 * (creates_per_second))
#define API_STARTS_NS(creates_per_second) (100000000000u / (creates_per_second))
/* from accept, or from its first byte, until a request is complete */
#define API_MESSAGE_MS 10000
#define API_IDLE_MS 300000 /* between two requests */

struct api;

/**
 * api_open() - serve the control socket
 * @c:		borrowed until api_close()
 * @epoll_fd:	epoll instance of the main loop; its data.ptr are struct loop_source
 * @listener:	listening AF_UNIX stream socket; the caller keeps it, and it becomes non-blocking
 * @identify:	fills in the caller on the other end of @fd, 0 or -1 with errno; NULL: SO_PEERCRED.
 *		Tests set it.
 *
 * Only the main thread calls the functions of this file.  api_open() installs a handler for
 * SIGUSR1.
 * Return: NULL with errno on failure.
 */
struct api *api_open(struct ctl *c, int epoll_fd, int listener,
		     int (*identify)(int fd, struct caller *who));

/* Close every connection and free @a.  workers_stop() must have returned.  NULL does nothing. */
void api_close(struct api *a);

/* Accept no more connections and requests.  Running requests continue and are answered. */
void api_stop_listening(struct api *a);

/**
 * api_tick() - close connections that exceeded their deadline, and run parked and waiting requests
 *		that are due
 *
 * Return: milliseconds until the next call is due, at most 1,000.
 */
int api_tick(struct api *a);

#endif
