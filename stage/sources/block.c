/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* block: sources, out of the inventory that the handoff has, too. */

#include "chain/block_source.h"
#include "sources.h"
#include "stage/byte_device.h"
#include "stage/devices.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static enum chain_status read_stream(void *ctx, uint64_t offset, uint64_t bytes, void *into, struct chain_error *err)
{
	return stage_byte_device_read(ctx, offset, bytes, into, err);
}

static enum chain_status unusable(const char *source, const char *what, const char *name, const char *why,
				  struct chain_error *err)
{
	char text[CHAIN_SUBJECT_BYTES];
	snprintf(text, sizeof(text), "%s %.60s%s%.120s", what, name, why ? ": " : "", why ? why : "");
	return chain_fail_text(err, CHAIN_E_SOURCE_DEVICE, source, text);
}

static bool is_called(const json_t *partition, const char *name)
{
	const char *uuid = json_string_value(json_object_get(partition, "uuid")),
		   *label = json_string_value(json_object_get(partition, "name"));
	char index[24];
	snprintf(index, sizeof(index), "%" PRIu64, (uint64_t)json_integer_value(json_object_get(partition, "index")));
	return !strcmp(index, name) || (uuid && !strcasecmp(uuid, name)) || (label && !strcmp(label, name));
}

/* The inventory is our own, but its numbers are a disk's: bounded where they are used. */
static uint64_t sectors_of(const json_t *partition, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(partition, key));
	return value > 0 ? (uint64_t)value : 0;
}

/* The stretch of the disk that the source names. */
static enum chain_status find_stretch(const json_t *entry, const struct stage_block *disk,
				      const struct chain_block_source *wanted, const char *source, uint64_t *base,
				      uint64_t *bytes, struct chain_error *err)
{
	const json_t *partition = NULL, *each;
	size_t i;
	*base = 0;
	*bytes = disk->sectors * disk->sector_bytes; /* the driver refuses a disk whose bytes are no 63-bit number */
	if (!wanted->partition[0])
		return CHAIN_OK;
	json_array_foreach (json_object_get(entry, "partitions"), i, each)
		if (!partition && is_called(each, wanted->partition))
			partition = each;
	if (!partition)
		return unusable(source, "there is no partition", wanted->partition,
				json_string_value(json_object_get(entry, "table_error")), err);
	uint64_t first = sectors_of(partition, "start_lba"), sectors = sectors_of(partition, "sectors");
	if (sectors > disk->sectors || first > disk->sectors - sectors)
		return unusable(source, "there is not all of partition", wanted->partition, "it ends behind its disk",
				err);
	*base = first * disk->sector_bytes;
	*bytes = sectors * disk->sector_bytes;
	return CHAIN_OK;
}

enum chain_status stage_open_block(void *ctx, const char *source, const char *rest, struct chain_stream *out,
				   struct chain_error *err)
{
	struct chain_block_source wanted;
	uint64_t base, bytes;
	if (!chain_block_source_parse(rest, &wanted))
		return chain_fail_text(err, CHAIN_E_CONFIG_BLOCK_SOURCE, source, source);
	const json_t *entry = json_object_get(ctx, wanted.disk);
	if (!entry)
		return unusable(source, "the pipeline asks for no disk", wanted.disk, NULL, err);
	struct stage_block *disk = stage_devices_disk(entry);
	if (!disk)
		return unusable(source, "there is no disk", wanted.disk,
				json_string_value(json_object_get(entry, "reason")), err);
	enum chain_status status = find_stretch(entry, disk, &wanted, source, &base, &bytes, err);
	if (status)
		return status;
	uint64_t left = wanted.offset <= bytes ? bytes - wanted.offset : 0;
	if (wanted.offset > bytes || wanted.bytes > left)
		return CHAIN_FAIL(err, SOURCE_PIECE, .subject = source, .offset = wanted.offset, .bytes = wanted.bytes,
				  .total = bytes);
	struct stage_byte_device *device = malloc(sizeof(*device) + disk->sector_bytes);
	if (!device)
		return chain_fail_no_memory(err, source, sizeof(*device) + disk->sector_bytes);
	*device = (struct stage_byte_device){ disk, base + wanted.offset, wanted.bytes ? wanted.bytes : left,
					      (uint8_t *)(device + 1) };
	*out = (struct chain_stream){ .bytes = device->bytes, .read = read_stream, .close = free, .ctx = device };
	return CHAIN_OK;
}
