/* vmlinux.h - extracts the ELF kernel of a bzImage. */
#ifndef BANGER_CLI_VMLINUX_H
#define BANGER_CLI_VMLINUX_H

#include "controller/cli/unpack.h"

/**
 * vmlinux_extract() - decompress the payload of an x86 bzImage
 * @image:	the bzImage
 * @out:	the ELF file
 *
 * payload_offset and payload_length of the setup header locate the payload
 * (kernel, Documentation/arch/x86/boot.rst, protocol 2.08).
 * Return: 0, or -1 with @e.
 */
int vmlinux_extract(const struct blob *image, struct blob *out, struct error *e);

#endif
