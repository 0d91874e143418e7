/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/cmd/linux_payload.h"
#include "chain/door.h"
#include "chain/linux_format.h"
#include "chain/reader.h"

#include <lz4.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
	VERSION_PAYLOAD = 0x208,
	VERSION_64BIT = 0x20c,
	PROMISE_BYTES = 4,
	LZ4_BLOCK = 8 << 20,       /* of the legacy frame: so much comes out of a block at most */
	XZ_MEMORY_MAX = 256 << 20, /* kernels are packed with dictionaries of 32 or 128 MiB */
	ZSTD_WINDOW_LOG_MAX = 27,
};

/* How unpacking ended. */
enum ending { WHOLE, CUT_SHORT, DAMAGED, TOO_LARGE, NEEDS_MEMORY };

struct flow {
	const uint8_t *in;
	size_t in_bytes, in_used;
	uint8_t *out;
	size_t room, done; /* room for more than was promised, so that it shows */
};

struct linux_packing {
	const char *name;
	const char *magic;
	size_t magic_bytes;
	bool promise_behind; /* four bytes follow what the packer wrote; gzip ends with them itself */
	bool quicker;
	size_t slack; /* room behind what is promised, so that it shows when more comes out */
	enum ending (*unpack)(struct flow *flow); /* null: not here */
};

static enum ending unpack_gzip(struct flow *flow)
{
	z_stream z = { .next_in = (z_const Bytef *)flow->in,
		       .avail_in = (uInt)flow->in_bytes,
		       .next_out = flow->out,
		       .avail_out = (uInt)flow->room };

	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return NEEDS_MEMORY;
	const int end = inflate(&z, Z_FINISH);

	flow->in_used = flow->in_bytes - z.avail_in;
	flow->done = flow->room - z.avail_out;
	(void)inflateEnd(&z);
	if (end == Z_STREAM_END)
		return WHOLE;
	if (end == Z_MEM_ERROR)
		return NEEDS_MEMORY;
	if (end != Z_BUF_ERROR && end != Z_OK)
		return DAMAGED;
	return z.avail_out == 0 ? TOO_LARGE : CUT_SHORT;
}

static enum ending unpack_lzma(struct flow *flow, lzma_stream *z)
{
	lzma_ret end = LZMA_OK;

	z->next_in = flow->in;
	z->avail_in = flow->in_bytes;
	z->next_out = flow->out;
	z->avail_out = flow->room;
	while (end == LZMA_OK)
		end = lzma_code(z, LZMA_FINISH);
	flow->in_used = flow->in_bytes - z->avail_in;
	flow->done = flow->room - z->avail_out;

	const bool full = z->avail_out == 0;

	lzma_end(z);
	if (end == LZMA_STREAM_END)
		return WHOLE;
	if (end == LZMA_MEM_ERROR || end == LZMA_MEMLIMIT_ERROR)
		return NEEDS_MEMORY;
	if (end != LZMA_BUF_ERROR)
		return DAMAGED;
	return full ? TOO_LARGE : CUT_SHORT;
}

static enum ending unpack_xz(struct flow *flow)
{
	lzma_stream z = LZMA_STREAM_INIT;

	return lzma_stream_decoder(&z, XZ_MEMORY_MAX, 0) == LZMA_OK ? unpack_lzma(flow, &z) : NEEDS_MEMORY;
}

static enum ending unpack_lzma_alone(struct flow *flow)
{
	lzma_stream z = LZMA_STREAM_INIT;

	return lzma_alone_decoder(&z, XZ_MEMORY_MAX) == LZMA_OK ? unpack_lzma(flow, &z) : NEEDS_MEMORY;
}

static enum ending unpack_zstd(struct flow *flow)
{
	ZSTD_DCtx *z = ZSTD_createDCtx();
	ZSTD_inBuffer in = { flow->in, flow->in_bytes, 0 };
	ZSTD_outBuffer out = { flow->out, flow->room, 0 };
	size_t left = 1, before;

	if (!z)
		return NEEDS_MEMORY;
	(void)ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	do {
		before = in.pos + out.pos;
		left = ZSTD_decompressStream(z, &out, &in);
	} while (left > 0 && !ZSTD_isError(left) && in.pos + out.pos > before);
	(void)ZSTD_freeDCtx(z);
	flow->in_used = in.pos;
	flow->done = out.pos;
	if (left == 0)
		return WHOLE;
	if (out.pos == out.size)
		return TOO_LARGE;
	if (!ZSTD_isError(left))
		return CUT_SHORT;
	const ZSTD_ErrorCode why = ZSTD_getErrorCode(left);

	return why == ZSTD_error_memory_allocation || why == ZSTD_error_frameParameter_windowTooLarge ? NEEDS_MEMORY :
													DAMAGED;
}

/* The legacy frame: blocks with their size before them, up to the end; the magic number may come again. */
static enum ending unpack_lz4(struct flow *flow)
{
	while (flow->in_used < flow->in_bytes) {
		const uint8_t *at = flow->in + flow->in_used;
		const size_t left = flow->in_bytes - flow->in_used, room = flow->room - flow->done;

		if (left < 4)
			return CUT_SHORT;
		const uint32_t packed = chain_le32(at);

		flow->in_used += 4;
		if (packed == 0x184c2102)
			continue;
		if (packed > left - 4)
			return CUT_SHORT;
		const int got = packed == 0 || packed > LZ4_COMPRESSBOUND(LZ4_BLOCK) ?
					-1 :
					LZ4_decompress_safe((const char *)at + 4, (char *)flow->out + flow->done,
							    (int)packed, room < LZ4_BLOCK ? (int)room : LZ4_BLOCK);

		if (got < 0)
			return DAMAGED;
		flow->in_used += packed;
		flow->done += (size_t)got;
		/* there is room for a whole block behind what was promised: nothing is refused for lack of it */
		if (flow->done > flow->room - LZ4_BLOCK)
			return TOO_LARGE;
	}
	return WHOLE;
}

/* `quicker`: which boot is, by Debian 12's kernels from reset to /init in millions of instructions, their digests
 * checked on the way at 28 instructions a byte: of XZ 6,321 packed and 3,445 unpacked, of LZ4 1,952 and 2,947. What is
 * unpacked is about four times as large, and LZ4 unpacks a byte in fewer instructions than even a digest by several
 * lanes at once takes (7.4), so that does not change with it; the others take several times as many. */
static const struct linux_packing PACKINGS[] = {
	{ "LZ4", "\x02\x21\x4c\x18", 4, true, false, LZ4_BLOCK, unpack_lz4 },
	{ "gzip", "\x1f\x8b", 2, false, true, 1, unpack_gzip },
	{ "XZ", "\xfd\x37zXZ", 6, true, true, 1, unpack_xz },
	{ "zstd", "\x28\xb5\x2f\xfd", 4, true, true, 1, unpack_zstd },
	{ "LZMA", "\x5d\0\0", 3, true, true, 1, unpack_lzma_alone },
	{ "bzip2", "BZh", 3, true, false, 0, NULL },
	{ "LZO", "\x89LZO", 4, true, false, 0, NULL },
};

static uint32_t u32(const uint8_t *file, unsigned at)
{
	return chain_le32(file + at);
}

static enum chain_status failed(const char *subject, const char *packing, const char *what, uint64_t done,
				uint64_t promised, struct chain_error *err)
{
	char detail[64];

	(void)snprintf(detail, sizeof(detail), "%s: %s", packing, what);
	return CHAIN_FAIL(err, LINUX_PAYLOAD, .subject = subject, .detail = detail, .bytes = done,
			  .promised = promised);
}

static enum chain_status lies(const char *subject, const char *what, uint64_t value, uint64_t limit,
			      struct chain_error *err)
{
	return CHAIN_FAIL(err, LINUX_HEADER, .subject = subject, .detail = what, .value = value, .limit = limit);
}

/* Where the payload lies, within the code that follows the setup's sectors, as the door has checked them. */
static enum chain_status place_find(const uint8_t *file, const struct chain_segment *code, const char *subject,
				    struct linux_payload *out, struct chain_error *err)
{
	const uint64_t offset = u32(file, CHAIN_LINUX_PAYLOAD_OFFSET), count = u32(file, CHAIN_LINUX_PAYLOAD_LENGTH),
		       end = offset + count;
	const uint64_t room = u32(file, CHAIN_LINUX_INIT_SIZE);

	if (end > code->file_bytes)
		return lies(subject, "the end of the payload", end, code->file_bytes, err);
	if (count < 2 * PROMISE_BYTES)
		return lies(subject, "the size of the payload", count, 2 * PROMISE_BYTES, err);
	out->bytes = file + code->file_offset + offset;
	out->count = count;
	out->promised = chain_le32(out->bytes + count - PROMISE_BYTES);
	/* it unpacks within what it asks for */
	if (out->promised == 0 || out->promised > room)
		return lies(subject, "the size of the unpacked kernel", out->promised, room, err);
	if (out->promised > LINUX_PAYLOAD_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = subject, .detail = "bytes of the unpacked kernel",
				  .value = out->promised, .limit = LINUX_PAYLOAD_MAX);
	return CHAIN_OK;
}

enum chain_status linux_payload_find(const uint8_t *file, uint64_t file_bytes, const char *subject,
				     struct linux_payload *out, struct chain_error *err)
{
	const struct chain_door *door = chain_door_named("linux");
	struct chain_kernel kernel;
	enum chain_status status = door->read(file, file_bytes, subject, &kernel, err);

	*out = (struct linux_payload){ .packing = NULL };
	if (status)
		return status;
	const unsigned version = chain_le16(file + CHAIN_LINUX_VERSION);

	/* one of 64 bits says so from 2.12 on, and is later than 2.08 and 2.10 (init_size) */
	if (version < VERSION_PAYLOAD || version < VERSION_64BIT || kernel.mode != CHAIN_ENTRY_LONG64 ||
	    u32(file, CHAIN_LINUX_PAYLOAD_LENGTH) == 0)
		return CHAIN_OK;
	status = place_find(file, &kernel.segments[0], subject, out, err);
	for (size_t i = 0; !status && !out->packing && i < sizeof(PACKINGS) / sizeof(PACKINGS[0]); i++)
		if (memcmp(out->bytes, PACKINGS[i].magic, PACKINGS[i].magic_bytes) == 0)
			out->packing = &PACKINGS[i];
	return !status && !out->packing ?
		       failed(subject, "unknown", "it begins like nothing that is known", 0, out->promised, err) :
		       status;
}

bool linux_payload_can_unpack(const struct linux_payload *payload)
{
	return payload->packing && payload->packing->unpack;
}

bool linux_payload_is_quicker(const struct linux_payload *payload)
{
	return payload->packing && payload->packing->quicker;
}

enum chain_status linux_payload_unpack(const struct linux_payload *payload, const char *subject, uint8_t **out,
				       struct chain_error *err)
{
	static const char *const endings[] = { [CUT_SHORT] = "it is cut short",
					       [DAMAGED] = "it is damaged",
					       [TOO_LARGE] = "it grows past its promise",
					       [NEEDS_MEMORY] = "it needs too much memory" };
	const struct linux_packing *packing = payload->packing;
	const size_t room = (size_t)payload->promised + packing->slack;
	struct flow flow = { .in = payload->bytes,
			     .in_bytes = (size_t)payload->count - (packing->promise_behind ? PROMISE_BYTES : 0),
			     .out = malloc(room),
			     .room = room };

	*out = NULL;
	if (!flow.out)
		return chain_fail_no_memory(err, subject, room);
	const enum ending ending = packing->unpack(&flow);
	const char *what = flow.done > payload->promised ? endings[TOO_LARGE] : endings[ending];

	if (!what && flow.done < payload->promised)
		what = "less comes out than it promises";
	if (!what && flow.in_used < flow.in_bytes)
		what = "something lies behind its end";
	if (!what && (flow.done < 4 || memcmp(flow.out, "\177ELF", 4) != 0))
		what = "what comes out is no ELF file";
	if (!what) {
		*out = flow.out;
		return CHAIN_OK;
	}
	free(flow.out);
	return failed(subject, packing->name, what, flow.done, payload->promised, err);
}

const char *linux_kind_name(enum chain_kernel_kind kind, const uint8_t *file, uint64_t file_bytes)
{
	const bool of_linux =
		kind != CHAIN_KERNEL_UNKNOWN && chain_kernel_door(kind, NULL, 0) == chain_door_named("linux");

	return of_linux && file && !chain_linux_is_bzimage(file, file_bytes) ? "linux, unpacked" :
									       chain_kernel_kind_name(kind);
}
