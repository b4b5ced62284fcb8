/* qcow2.h - reads a disk image of QEMU's format qcow2, versions 2 and 3.
 *
 * The format: docs/interop/qcow2.txt of QEMU.  Only what a self-contained image has is read: no
 * backing file, no encryption, no external data file, no extended entries of tables. */
#ifndef BANGER_UNPACK_QCOW2_H
#define BANGER_UNPACK_QCOW2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include "common/error.h"

#define QCOW2_MAGIC "QFI\xfb"

/* An open image.  Its memory is four clusters, of 2 MiB at most. */
struct qcow2 {
	int fd; /* borrowed */
	uint64_t file_size;
	uint64_t size; /* bytes of the disk */
	uint64_t l1_offset;
	uint32_t cluster_bits;
	bool zstd; /* how clusters are compressed; false: deflate */
	uint8_t *l2, *cluster, *packed;
	uint64_t l2_at;      /* place of the table in @l2; 0: none */
	uint64_t cluster_of; /* the entry whose unpacked bytes are in @cluster; 0: none */
	z_stream inflate;
	bool inflating; /* @inflate is initialized */
};

/**
 * qcow2_open() - read and check the header
 * @fd:		a regular file; stays the caller's
 *
 * Return: 0, or -1 with @e; in both cases the caller calls qcow2_close().
 */
int qcow2_open(struct qcow2 *q, int fd, struct error *e);
void qcow2_close(struct qcow2 *q);

/* Read bytes of the disk, from @offset on, which end within it.  Return: 0, or -1 with @e. */
int qcow2_read(struct qcow2 *q, uint64_t offset, uint8_t *buf, size_t n, struct error *e);

#endif
