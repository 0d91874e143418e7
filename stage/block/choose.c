/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/block_choose.h"

#include "stage/block_label.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum chain_status stage_block_unusable(const char *source, const char *what, const char *name, const char *why,
				       struct chain_error *err)
{
	char text[CHAIN_SUBJECT_BYTES];
	snprintf(text, sizeof(text), "%s %.60s%s%.120s", what, name, why ? ": " : "", why ? why : "");
	return chain_fail_text(err, CHAIN_E_SOURCE_DEVICE, source, text);
}

/* The inventory is our own, but its numbers are a disk's: bounded where they are used. */
static uint64_t number_of(const json_t *partition, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(partition, key));
	return value > 0 ? (uint64_t)value : 0;
}

/* False: it ends behind its disk. */
static bool find_part(const json_t *partition, const struct stage_byte_device *whole, struct stage_byte_device *out)
{
	uint64_t first = number_of(partition, "start_lba"), count = number_of(partition, "sectors"),
		 sectors = whole->bytes / whole->sector_bytes;
	if (count > sectors || first > sectors - count)
		return false;
	stage_byte_device_part(whole, first * whole->sector_bytes, count * whole->sector_bytes, out);
	return true;
}

static bool has_label(const json_t *partition, const struct stage_byte_device *whole, const char *name)
{
	struct stage_byte_device part;
	char label[STAGE_LABEL_BYTES];
	if (!find_part(partition, whole, &part))
		return false;
	stage_label_read(&part, label);
	return label[0] && !strcmp(label, name);
}

static bool is_meant(const json_t *partition, const struct stage_byte_device *whole,
		     const struct chain_block_source *wanted)
{
	const char *uuid = json_string_value(json_object_get(partition, "uuid")),
		   *name = json_string_value(json_object_get(partition, "name"));
	char index[24];
	snprintf(index, sizeof(index), "%" PRIu64, number_of(partition, "index"));
	return (wanted->by & CHAIN_PARTITION_INDEX && !strcmp(index, wanted->partition)) ||
	       (wanted->by & CHAIN_PARTITION_UUID && uuid && !strcasecmp(uuid, wanted->partition)) ||
	       (wanted->by & CHAIN_PARTITION_NAME && name && !strcmp(name, wanted->partition)) ||
	       (wanted->by & CHAIN_PARTITION_LABEL && has_label(partition, whole, wanted->partition));
}

enum chain_status stage_partition_choose(const json_t *entry, const struct stage_byte_device *whole,
					 const struct chain_block_source *wanted, const char *source,
					 struct stage_byte_device *out, struct chain_error *err)
{
	const json_t *partition = NULL, *each;
	size_t i;
	json_array_foreach (json_object_get(entry, "partitions"), i, each) {
		if (!is_meant(each, whole, wanted))
			continue;
		if (partition)
			return CHAIN_FAIL(err, SOURCE_AMBIGUOUS, .subject = source, .detail = wanted->partition,
					  .first = number_of(partition, "index"), .second = number_of(each, "index"));
		partition = each;
	}
	if (!partition)
		return stage_block_unusable(source, "there is no partition", wanted->partition,
					    json_string_value(json_object_get(entry, "table_error")), err);
	return find_part(partition, whole, out) ?
		       CHAIN_OK :
		       stage_block_unusable(source, "there is not all of partition", wanted->partition,
					    "it ends behind its disk", err);
}
