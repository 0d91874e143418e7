/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/block_json.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "stage/block_partition.h"

#include <stdlib.h>

static json_t *describe_partition(const struct stage_partition *p)
{
	json_t *o = chain_json_object(CHAIN_INT("index", (json_int_t)p->index), CHAIN_TEXT("type", p->type),
				      CHAIN_TEXT("uuid", p->uuid), CHAIN_INT("start_lba", (json_int_t)p->first),
				      CHAIN_INT("sectors", (json_int_t)p->sectors));

	if (o && p->name[0] && json_object_set_new(o, "name", json_string(p->name))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static int add_table(json_t *o, const struct stage_partition_table *table)
{
	char why[2 * CHAIN_SUBJECT_BYTES];
	json_t *list = json_array();
	int bad = !list;

	for (size_t i = 0; !bad && i < table->count; i++)
		bad = json_array_append_new(list, describe_partition(&table->partitions[i]));
	bad |= json_object_set_new(o, "table", json_string(stage_table_kind_name(table->kind)));
	if (table->uuid[0])
		bad |= json_object_set_new(o, "uuid", json_string(table->uuid));
	if (table->problem.status) {
		chain_error_format(&table->problem, why, sizeof why);
		bad |= json_object_set_new(o, "table_error", json_string(why));
	}
	bad |= json_object_set_new(o, "partitions", list);
	return bad;
}

enum chain_status stage_block_describe(struct stage_block *dev, json_t **out, struct chain_error *err)
{
	struct stage_byte_device disk;
	struct stage_partition_table table;
	uint8_t *sector = malloc(dev->sector_bytes);
	char why[2 * CHAIN_SUBJECT_BYTES];
	int bad;

	*out = NULL;
	if (!sector)
		return chain_fail_no_memory(err, dev->place, dev->sector_bytes);
	stage_byte_device_disk(dev, sector, &disk);
	enum chain_status s = stage_partitions_read(&disk, &table, err);
	free(sector);
	if (s)
		return s;
	*out = chain_json_object(CHAIN_TEXT("status", dev->fault.status ? "present" : "configured"),
				 CHAIN_TEXT("driver", dev->driver), CHAIN_TEXT(dev->bus->name, dev->place),
				 CHAIN_INT("bytes", (json_int_t)(dev->sectors * dev->sector_bytes)),
				 CHAIN_INT("sector_bytes", (json_int_t)dev->sector_bytes),
				 CHAIN_BOOL("read_only", dev->read_only));
	bad = !*out || (dev->serial[0] && json_object_set_new(*out, "serial", json_string(dev->serial)));
	if (!bad && dev->fault.status) {
		chain_error_format(&dev->fault, why, sizeof why);
		bad = json_object_set_new(*out, "reason", json_string(why));
	}
	bad = bad || add_table(*out, &table);
	stage_partitions_free(&table);
	if (!bad)
		return CHAIN_OK;
	json_decref(*out);
	*out = NULL;
	return chain_json_no_memory(err, dev->place);
}
