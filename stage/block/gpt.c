/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* UEFI 2.10, section 5.3. */
#include "partition.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEADER_BYTES_LEAST = 92, ENTRY_BYTES_LEAST = 128, NAME_AT = 56, NAME_UNITS = 36 };

struct header {
	uint64_t at, alternate, first_usable, last_usable, entries;
	uint32_t entry_count, entry_bytes, entries_crc;
	uint8_t guid[16];
};

uint32_t gpt_crc32(const uint8_t *p, size_t bytes)
{
	uint32_t crc = 0xffffffff;

	while (bytes--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* The first three fields are little-endian (appendix A). */
static void format_guid(const uint8_t *g, char out[37])
{
	snprintf(out, 37, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", (unsigned)get32(g), get16(g + 4),
		 get16(g + 6), g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

static char *put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 63));
		*to++ = (char)(0x80 | (c & 63));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 63));
		*to++ = (char)(0x80 | (c >> 6 & 63));
		*to++ = (char)(0x80 | (c & 63));
	}
	return to;
}

/* UTF-16LE; a lone surrogate becomes U+FFFD, so that the JSON stays valid. */
static void format_name(const uint8_t *p, char *out)
{
	for (unsigned i = 0; i < NAME_UNITS; i++) {
		uint32_t c = get16(p + 2 * i);
		uint32_t low = i + 1 < NAME_UNITS ? get16(p + 2 * i + 2) : 0;
		if (c == 0)
			break;
		if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
			c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
			i++;
		} else if (c >= 0xd800 && c < 0xe000) {
			c = 0xfffd;
		}
		out = put_utf8(out, c);
	}
	*out = '\0';
}

static enum chain_status bad(const struct stage_byte_device *r, uint64_t at, const char *what, uint64_t got,
			     uint64_t wanted, struct chain_error *err)
{
	return CHAIN_FAIL(err, GPT_BAD_HEADER, .subject = r->subject, .detail = what, .lba = at, .value = got,
			  .wanted = wanted);
}

static enum chain_status check_places(const struct stage_byte_device *r, const struct header *h,
				      struct chain_error *err)
{
	uint64_t bytes = (uint64_t)h->entry_count * h->entry_bytes; /* of two 32-bit numbers */
	uint64_t sectors;

	if (h->entry_bytes < ENTRY_BYTES_LEAST || h->entry_bytes & (h->entry_bytes - 1))
		return bad(r, h->at, "size of an entry", h->entry_bytes, ENTRY_BYTES_LEAST, err);
	if (bytes > STAGE_GPT_ENTRIES_BYTES)
		return CHAIN_FAIL(err, LIMIT, .subject = r->subject, .detail = "bytes of entries", .value = bytes,
				  .limit = STAGE_GPT_ENTRIES_BYTES);
	sectors = (bytes + r->sector_bytes - 1) / r->sector_bytes;
	if (h->entries < 2 || sectors > partition_sectors(r) || h->entries > partition_sectors(r) - sectors)
		return bad(r, h->at, "place of the entries", h->entries, partition_sectors(r), err);
	if (h->first_usable < 2)
		return bad(r, h->at, "first usable sector", h->first_usable, 2, err);
	if (h->first_usable > h->last_usable || h->last_usable >= partition_sectors(r))
		return bad(r, h->at, "last usable sector", h->last_usable, partition_sectors(r) - 1, err);
	return CHAIN_OK;
}

static enum chain_status read_header(const struct stage_byte_device *r, uint64_t at, uint8_t *sector,
				     struct header *out, struct chain_error *err)
{
	static const uint8_t zero[4];
	uint32_t bytes, crc, found;
	enum chain_status s;

	if (at >= partition_sectors(r))
		return bad(r, at, "the disk ends before it; sectors", partition_sectors(r), at + 1, err);
	s = partition_read(r, at, 1, sector, err);
	if (s)
		return s;
	if (memcmp(sector, "EFI PART", 8) != 0)
		return bad(r, at, "signature", get64(sector), UINT64_C(0x5452415020494645), err);
	bytes = get32(sector + 12);
	if (bytes < HEADER_BYTES_LEAST || bytes > r->sector_bytes)
		return bad(r, at, "size", bytes, HEADER_BYTES_LEAST, err);
	crc = get32(sector + 16);
	memcpy(sector + 16, zero, sizeof zero);
	found = gpt_crc32(sector, bytes);
	if (found != crc)
		return bad(r, at, "checksum", found, crc, err);
	if (get64(sector + 24) != at)
		return bad(r, at, "own place", get64(sector + 24), at, err);
	*out = (struct header){ .at = at,
				.alternate = get64(sector + 32),
				.first_usable = get64(sector + 40),
				.last_usable = get64(sector + 48),
				.entries = get64(sector + 72),
				.entry_count = get32(sector + 80),
				.entry_bytes = get32(sector + 84),
				.entries_crc = get32(sector + 88) };
	memcpy(out->guid, sector + 56, sizeof out->guid);
	return check_places(r, out, err);
}

static enum chain_status take_entry(const struct stage_byte_device *r, const struct header *h, const uint8_t *entry,
				    uint32_t index, struct stage_partition_table *table, struct chain_error *err)
{
	static const uint8_t unused[16];
	struct stage_partition p = { .index = index };
	uint64_t last = get64(entry + 40);

	if (!memcmp(entry, unused, sizeof unused))
		return CHAIN_OK;
	p.first = get64(entry + 32);
	if (p.first < h->first_usable || last < p.first || last > h->last_usable)
		return CHAIN_FAIL(err, GPT_BAD_ENTRIES, .subject = r->subject,
				  .detail = "a partition lies outside of the usable sectors", .lba = h->at,
				  .value = index);
	p.sectors = last - p.first + 1;
	for (size_t i = 0; i < table->count; i++) {
		const struct stage_partition *o = &table->partitions[i];
		if (p.first < o->first + o->sectors && o->first < p.first + p.sectors)
			return CHAIN_FAIL(err, GPT_BAD_ENTRIES, .subject = r->subject,
					  .detail = "a partition overlaps another", .lba = h->at, .value = index);
	}
	format_guid(entry, p.type);
	format_guid(entry + 16, p.uuid);
	format_name(entry + NAME_AT, p.name);
	return partition_add(r, table, &p, err);
}

static enum chain_status read_entries(const struct stage_byte_device *r, const struct header *h,
				      struct stage_partition_table *table, struct chain_error *err)
{
	size_t bytes = (size_t)h->entry_count * h->entry_bytes;
	size_t sectors = (bytes + r->sector_bytes - 1) / r->sector_bytes;
	uint8_t *entries = malloc(sectors ? sectors * r->sector_bytes : 1);
	enum chain_status s;

	if (!entries)
		return chain_fail_no_memory(err, r->subject, bytes);
	s = sectors ? partition_read(r, h->entries, sectors, entries, err) : CHAIN_OK;
	if (!s && gpt_crc32(entries, bytes) != h->entries_crc)
		s = CHAIN_FAIL(err, GPT_BAD_ENTRIES, .subject = r->subject,
			       .detail = "the checksum is not the one given", .lba = h->at, .value = h->entries_crc);
	for (uint32_t i = 0; !s && i < h->entry_count; i++)
		s = take_entry(r, h, entries + (size_t)i * h->entry_bytes, i + 1, table, err);
	free(entries);
	return s;
}

static enum chain_status read_table(const struct stage_byte_device *r, uint64_t at, uint8_t *sector,
				    struct stage_partition_table *table, struct header *h, struct chain_error *err)
{
	enum chain_status s = read_header(r, at, sector, h, err);

	if (s)
		return s;
	format_guid(h->guid, table->uuid);
	table->count = 0;
	free(table->partitions);
	table->partitions = NULL;
	return read_entries(r, h, table, err);
}

enum chain_status gpt_read(const struct stage_byte_device *r, uint8_t *sector, struct stage_partition_table *table,
			   struct chain_error *err)
{
	struct header primary = { 0 }, backup = { 0 };
	struct chain_error second = { 0 };
	char why[CHAIN_SUBJECT_BYTES];
	enum chain_status s = read_table(r, 1, sector, table, &primary, err);

	if (s == CHAIN_E_NO_MEMORY)
		return s;
	if (!s) {
		/* A backup that is damaged does no harm now, but the next damage would: it is said. */
		(void)!read_header(r, primary.alternate, sector, &backup, &table->problem);
		return CHAIN_OK;
	}
	s = partition_sectors(r) > 2 ? read_table(r, partition_sectors(r) - 1, sector, table, &backup, &second) : s;
	if (s) {
		table->count = 0;
		table->uuid[0] = '\0';
		return s == CHAIN_E_NO_MEMORY ? s : err->status;
	}
	chain_error_format(err, why, sizeof why);
	(void)!CHAIN_FAIL(&table->problem, GPT_BACKUP_USED, .subject = r->subject, .detail = why,
			  .lba = partition_sectors(r) - 1);
	chain_error_clear(err);
	return CHAIN_OK;
}
