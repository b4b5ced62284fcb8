/* The file of guest/init, taken in by the assembler. */
#include "controller/cli/initramfs.h"

__asm__(".section .rodata\n"
	".global guest_init, guest_init_end\n"
	"guest_init:\n"
	".incbin \"controller/cli/guest/init\"\n"
	"guest_init_end:\n"
	".byte 0\n"
	".previous\n");
