/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "qemu_large.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* qemu_large_loader.S */
extern const unsigned char qemu_large_loader[], qemu_large_loader_end[];

enum { PAGE = 4096, OWN_BYTES = 2 * PAGE };
static_assert((int)QEMU_LARGE_PIECES_MAX >= (int)CHAIN_SEGMENTS_MAX, "each segment is a piece");

static void put(unsigned char *loader, size_t offset, uint64_t value)
{
	const uint32_t word = (uint32_t)value;
	memcpy(loader + offset, &word, sizeof(word));
}

static int by_offset(const void *a, const void *b)
{
	const struct chain_segment *x = a, *y = b;
	return (x->file_offset > y->file_offset) - (x->file_offset < y->file_offset);
}

/* The item is read from its beginning to its end, so segments go in the order of the file; two that share bytes of it
 * do not. */
static bool put_pieces(unsigned char *loader, struct chain_segment *segments, size_t count, uint64_t file_bytes)
{
	uint64_t at = 0;
	qsort(segments, count, sizeof(*segments), by_offset);
	for (size_t i = 0; i < count; i++) {
		const struct chain_segment *s = &segments[i];
		uint64_t memory = chain_range_bytes(s->phys), begin = s->file_bytes ? s->file_offset : at,
			 end = begin + s->file_bytes;
		if (begin < at || end > file_bytes || s->phys.end > UINT32_MAX || file_bytes > UINT32_MAX ||
		    s->file_bytes > memory)
			return false;
		put(loader, QEMU_LARGE_PIECES + 16 * i, begin - at);
		put(loader, QEMU_LARGE_PIECES + 16 * i + 4, s->file_bytes);
		put(loader, QEMU_LARGE_PIECES + 16 * i + 8, s->phys.base);
		put(loader, QEMU_LARGE_PIECES + 16 * i + 12, memory - s->file_bytes);
		at = end;
	}
	put(loader, QEMU_LARGE_COUNT, count);
	return true;
}

enum chain_status qemu_large_make(const struct chain_kernel *kernel, uint64_t file_bytes, const char *subject,
				  int *out_fd, struct chain_error *err)
{
	unsigned char loader[OWN_BYTES] = { 0 };
	struct chain_segment segments[CHAIN_SEGMENTS_MAX];
	const size_t bytes = (size_t)(qemu_large_loader_end - qemu_large_loader);
	uint64_t end = 0;
	for (size_t i = 0; i < kernel->segment_count; i++) {
		segments[i] = kernel->segments[i];
		end = segments[i].phys.end > end ? segments[i].phys.end : end;
	}
	const uint64_t own = (end + PAGE - 1) / PAGE * PAGE;
	memcpy(loader, qemu_large_loader, bytes);
	if (kernel->mode != CHAIN_ENTRY_PROTECTED32 || own > UINT32_MAX - OWN_BYTES ||
	    !put_pieces(loader, segments, kernel->segment_count, file_bytes))
		return CHAIN_FAIL(err, CMD_TOO_LARGE, .subject = subject, .mib = file_bytes >> 20);
	const uint64_t addresses[] = { own, own, own + bytes, own + OWN_BYTES,
				       own + QEMU_LARGE_START }; /* header, load, load end, bss end, entry */
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		put(loader, QEMU_LARGE_ADDRESSES + 4 * i, addresses[i]);
	put(loader, QEMU_LARGE_ENTRY, kernel->entry);
	put(loader, QEMU_LARGE_OWN, own);
	*out_fd = memfd_create("kchain-loader", MFD_CLOEXEC);
	if (*out_fd >= 0 && write(*out_fd, loader, bytes) == (ssize_t)bytes)
		return CHAIN_OK;
	int number = errno;
	if (*out_fd >= 0)
		close(*out_fd);
	*out_fd = -1;
	return chain_fail_text(err, CHAIN_E_IO, subject, strerror(number));
}
