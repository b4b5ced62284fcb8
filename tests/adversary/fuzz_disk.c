/* What a stranger's disk brings: partition tables, and the header, tables and compressed clusters
 * of a qcow2.
 *
 * The rest of the input, behind its first byte, is the file.  If the first byte is odd and the file
 * has a GPT, its checksums are written anew, so that changes get behind them.
 *
 * Checked: a root that was found is within the disk and the bound, and the copy has its length. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "controller/unpack/partition.h"
#include "tests/adversary/fuzz.h"

#define MOST (1u << 20)
#define FILE_MOST 65536u
#define SECTOR 512u

static void put(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void sign(uint8_t *file, size_t size)
{
	uint8_t *h = file + SECTOR;

	if (size < 2u * SECTOR || memcmp(h, "EFI PART", 8) != 0)
		return;
	const uint64_t n = (uint64_t)le32(h + 80) * le32(h + 84), at = le64(h + 72) * SECTOR;
	if (at < size && n <= size - at)
		put(h + 88, (uint32_t)crc32(0, file + at, (unsigned)n));
	const uint32_t len = le32(h + 12);
	put(h + 16, 0);
	if (len <= SECTOR)
		put(h + 16, (uint32_t)crc32(0, h, len));
}

static void check_root(int input)
{
	struct range r;
	struct error e;
	struct disk d;

	if (disk_open(&d, input, &e) == 0 && partition_root(&d, &r, &e) == 0)
		MUST(r.start <= d.size && r.len <= d.size - r.start && r.len % SECTOR == 0);
	disk_close(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[FILE_MOST];
	const int input = memfd_create("input", MFD_CLOEXEC),
		  output = memfd_create("output", MFD_CLOEXEC);
	struct error e = { 0 };
	struct stat st;

	MUST(input >= 0 && output >= 0);
	const size_t n = size ? (size - 1 < FILE_MOST ? size - 1 : FILE_MOST) : 0;
	memcpy(file, data + (size ? 1 : 0), n);
	if (size && data[0] % 2)
		sign(file, n);
	MUST(write(input, file, n) == (ssize_t)n);
	check_root(input);
	const int r = disk_copy_root(input, output, MOST, &e);
	MUST(fstat(output, &st) == 0 && st.st_size <= MOST);
	MUST(r == 0 ? st.st_size % SECTOR == 0 : e.code != FAIL_NONE && e.why[0]);
	(void)close(input);
	(void)close(output);
	return 0;
}
