#include "controller/cli/guest.h"

/* Embed a file as the symbol @name.  Paths are relative to the top of the tree, where make runs. */
#define TAKE_IN(name, path)                                      \
	__asm__(".section .rodata\n"                             \
		".global " #name ", " #name "_end\n" #name ":\n" \
		".incbin \"" path "\"\n" #name "_end:\n"         \
		".byte 0\n"                                      \
		".previous\n")

TAKE_IN(guest_init, "controller/cli/in_guest/init");
TAKE_IN(guest_customize, "controller/cli/in_guest/customize");
TAKE_IN(guest_agent, AGENT_PATH);
