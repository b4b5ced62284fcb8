/* guest.h - the scripts and the agent that end up in guests, as they were when this program was
 * built. */
#ifndef BANGER_CLI_GUEST_H
#define BANGER_CLI_GUEST_H

/* guest/init and guest/customize; each is followed by a NUL, which its _end points at. */
extern const char guest_init[], guest_init_end[];
extern const char guest_customize[], guest_customize_end[];
/* The program of controller/agent/. */
extern const char guest_agent[], guest_agent_end[];

#endif
