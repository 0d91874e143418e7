/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* block: sources, out of the inventory that the handoff has, too. */

#include "chain/block_source.h"
#include "sources.h"
#include "stage/block_choose.h"
#include "stage/devices.h"

#include <jansson.h>
#include <stdlib.h>

struct device {
	struct stage_byte_device whole, part, piece;
	uint8_t sector[]; /* one of the disk's */
};

static enum chain_status read_stream(void *ctx, uint64_t offset, uint64_t bytes, void *into, struct chain_error *err)
{
	const struct device *device = ctx;
	return stage_byte_device_read(&device->piece, offset, bytes, into, err);
}

/* `device` is of the whole disk. */
static enum chain_status open_piece(const json_t *entry, const struct chain_block_source *wanted, const char *source,
				    struct device *device, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	device->part = device->whole;
	if (wanted->partition[0])
		status = stage_partition_choose(entry, &device->whole, wanted, source, &device->part, err);
	if (status)
		return status;
	uint64_t bytes = device->part.bytes, left = wanted->offset <= bytes ? bytes - wanted->offset : 0;
	if (wanted->offset > bytes || wanted->bytes > left)
		return CHAIN_FAIL(err, SOURCE_PIECE, .subject = source, .offset = wanted->offset,
				  .bytes = wanted->bytes, .total = bytes);
	stage_byte_device_part(&device->part, wanted->offset, wanted->bytes ? wanted->bytes : left, &device->piece);
	return CHAIN_OK;
}

enum chain_status stage_open_block(void *ctx, const char *source, const char *rest, struct chain_stream *out,
				   struct chain_error *err)
{
	struct chain_block_source wanted;
	if (!chain_block_source_parse(rest, &wanted))
		return chain_fail_text(err, CHAIN_E_CONFIG_BLOCK_SOURCE, source, source);
	const json_t *entry = json_object_get(ctx, wanted.disk);
	if (!entry)
		return stage_block_unusable(source, "the pipeline asks for no disk", wanted.disk, NULL, err);
	struct stage_block *disk = stage_devices_disk(entry);
	if (!disk)
		return stage_block_unusable(source, "there is no disk", wanted.disk,
					    json_string_value(json_object_get(entry, "reason")), err);
	struct device *device = malloc(sizeof(*device) + disk->sector_bytes);
	if (!device)
		return chain_fail_no_memory(err, source, sizeof(*device) + disk->sector_bytes);
	stage_byte_device_disk(disk, device->sector, &device->whole);
	enum chain_status status = open_piece(entry, &wanted, source, device, err);
	if (status) {
		free(device);
		return status;
	}
	*out = (struct chain_stream){ .bytes = device->piece.bytes, .read = read_stream, .close = free, .ctx = device };
	return CHAIN_OK;
}
