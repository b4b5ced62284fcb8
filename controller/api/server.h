/* server.h - the control socket: connections, and the shares of it that each user has. */
#ifndef BANGER_CONTROLLER_API_SERVER_H
#define BANGER_CONTROLLER_API_SERVER_H

#include "controller/ctl.h"

#define API_CONNECTIONS_MAX 512         /* of all users; root may pass it, up to its own share */
#define API_CONNECTIONS_PER_UID 128     /* a hundred commands at once, and a few to look */
#define API_WORKERS_PER_UID 8           /* of WORKER_THREADS: nobody alone keeps all of them busy */
#define API_WORKERS_SHARED 48           /* when so many are busy, each user has one more at most */
#define API_IMPORTS 2                   /* at a time, one a user: they fill the disk, and last as long as its user likes */
#define API_CLOSING_MORE 256            /* connections beyond API_CONNECTIONS_MAX that are being closed */
#define API_CLOSING_FDS 256             /* descriptors of a user that are being closed; beyond, he is not heard */
/* Starts and changes of VMs by one user: as many at once as the roles make things at once (struct config,
 * creates_per_second), and a hundredth of their rate on end. */
#define API_STARTS_BURST(creates_per_second) (2 * (creates_per_second))
#define API_STARTS_NS(creates_per_second) (100000000000u / (creates_per_second))
#define API_MESSAGE_MS 10000            /* from accept, or from its first byte, until a request is whole */
#define API_IDLE_MS 300000              /* between two requests */

struct api;

/**
 * api_open() - serve the control socket
 * @epoll_fd:	of the main loop, whose data.ptr is a struct loop_source
 * @listener:	listening AF_UNIX stream socket; stays the caller's
 * @identify:	who is on the other end; NULL: SO_PEERCRED (tests put others in its place)
 * Return: NULL with errno on failure.
 */
struct api *api_open(struct ctl *c, int epoll_fd, int listener, int (*identify)(int fd, struct caller *who));

/* Only after workers_stop(): closes every connection. */
void api_close(struct api *a);

/* No more connections and requests; what runs goes on. */
void api_stop_listening(struct api *a);

/* End what is due (silent clients, follow-ups).  Return: milliseconds until there is more to do, at most 1,000. */
int api_tick(struct api *a);

#endif
