#include "controller/cli/vmlinux.h"

#include <string.h>

#define WHAT "the kernel"
#define VMLINUX_MAX (512u << 20)

/* Offsets in the setup header (boot.rst). */
enum {
	SETUP_SECTS = 0x1f1,
	BOOT_FLAG = 0x1fe,
	HDRS = 0x202,
	VERSION = 0x206,
	PAYLOAD_OFFSET = 0x248,
	PAYLOAD_LENGTH = 0x24c,
	HEADER_END = 0x250
};

static uint32_t le(const uint8_t *p, unsigned bytes)
{
	uint32_t v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

static int payload(const struct blob *image, const uint8_t **start, size_t *len, struct error *e)
{
	const uint8_t *d = image->data;

	if (image->len < HEADER_END || le(d + BOOT_FLAG, 2) != 0xaa55 ||
	    memcmp(d + HDRS, "HdrS", 4) != 0)
		return error_set(e, FAIL_USAGE, WHAT, "not an x86 bzImage");
	if (le(d + VERSION, 2) < 0x0208)
		return error_set(e, FAIL_USAGE, WHAT, "boot protocol older than 2.08");
	size_t sects = d[SETUP_SECTS] ? d[SETUP_SECTS] : 4;
	size_t from = (sects + 1) * 512 + le(d + PAYLOAD_OFFSET, 4);
	size_t n = le(d + PAYLOAD_LENGTH, 4);
	if (n < 64 || from > image->len || n > image->len - from)
		return error_set(e, FAIL_USAGE, WHAT, "its header points outside the file");
	*start = d + from;
	*len = n;
	return 0;
}

int vmlinux_extract(const struct blob *image, struct blob *out, struct error *e)
{
	const uint8_t *p = NULL;
	size_t len = 0;

	if (payload(image, &p, &len, e) < 0)
		return -1;
	/* The kernel's build appends the unpacked size to the output of every compressor except
	 * gzip, whose own trailer has it (kernel, scripts/Makefile.lib, size_append).  A
	 * decompressor would take these bytes for garbage. */
	bool gzip = p[0] == 0x1f && p[1] == 0x8b;
	uint32_t want = le(p + len - 4, 4);
	if (blob_unpack(WHAT, p, gzip ? len : len - 4, VMLINUX_MAX, out, e) < 0)
		return -1;
	if (out->len != want || out->len < 64 || memcmp(out->data, "\177ELF", 4) != 0) {
		blob_free(out);
		*out = (struct blob){ 0 };
		return error_set(e, FAIL_USAGE, WHAT, "no ELF kernel inside");
	}
	/* elf(5): EI_CLASS 2 is 64 bits; e_machine 62 is x86-64. */
	unsigned bits = out->data[4] == 2 ? 64 : 32, machine = le(out->data + 18, 2);
	if (bits != 64 || machine != 62) {
		blob_free(out);
		*out = (struct blob){ 0 };
		return error_set(e, FAIL_USAGE, WHAT,
				 "it has %u bits and is for machine %u (elf.h); VMs need x86-64: "
				 "64 bits, machine 62",
				 bits, machine);
	}
	return 0;
}
