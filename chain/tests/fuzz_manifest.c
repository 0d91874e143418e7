/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any text as a manifest. There is one way to write each: what is accepted, printed again, is the
 * same text. */
#include "fuzz.h"

#include "chain/image/image_internal.h"

struct text {
	char *bytes;
	size_t used, room;
};

static void print_entry(const struct chain_image *image, struct text *text, const struct chain_manifest_entry *entry)
{
	static const char *const kinds[] = { "part", "file", "link" };
	char hex[CHAIN_SHA256_HEX + 1], locator[2 * CHAIN_LOCATOR_BYTES + 2] = "";
	int count;

	chain_sha256_to_hex(entry->digest.bytes, hex);
	if (image->locates && entry->kind != CHAIN_MANIFEST_LINK && entry->bytes > CHAIN_VERITY_BLOCK_BYTES) {
		locator[0] = ' ';
		chain_hex_of(entry->locator, sizeof(entry->locator), locator + 1);
	}
	if (entry->kind == CHAIN_MANIFEST_PART)
		count = snprintf(text->bytes + text->used, text->room - text->used, "part %.*s %s %llu %llu%s\n",
				 (int)entry->path_bytes, entry->path, hex, (unsigned long long)entry->offset,
				 (unsigned long long)entry->bytes, locator);
	else
		count = snprintf(text->bytes + text->used, text->room - text->used, "%s %s %llu%s %.*s\n",
				 kinds[entry->kind], hex, (unsigned long long)entry->bytes, locator,
				 (int)entry->path_bytes, entry->path);
	FUZZ_HOLDS(count > 0 && (size_t)count < text->room - text->used);
	text->used += (size_t)count;
}

static void check_entry(const struct chain_image *image, const struct chain_manifest_entry *entry)
{
	struct chain_manifest_entry found;
	struct chain_error err = { 0 };
	char path[CHAIN_IMAGE_PATH_BYTES];

	if (fuzz_status(image_path_copy(entry, path, &err), &err))
		return;
	FUZZ_HOLDS(strlen(path) == entry->path_bytes && path[0] == '/');
	FUZZ_HOLDS(!fuzz_status(chain_manifest_find(image, path, &found, &err), &err));
	FUZZ_HOLDS(found.path == entry->path && found.kind == entry->kind && found.bytes == entry->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1); /* not terminated, as in an image */
	struct text text = { malloc(size + 64), 0, size + 64 };
	struct chain_image image = { .manifest = copy, .manifest_bytes = size };
	const uint32_t version =
		size > CHAIN_MANIFEST_VERSION_AT && data[CHAIN_MANIFEST_VERSION_AT] < '0' + CHAIN_IMAGE_VERSION ?
			data[CHAIN_MANIFEST_VERSION_AT] % CHAIN_IMAGE_VERSION :
			CHAIN_IMAGE_VERSION;
	struct chain_manifest_entry parts[IMAGE_PART_COUNT], entry;
	struct chain_error err = { 0 };
	uint64_t cursor = 0, count = 0;

	FUZZ_HOLDS(copy && text.bytes);
	memcpy(copy, data, size);
	image.header.version = version;
	if (!fuzz_status(image_manifest_check(&image, parts, &err), &err)) {
		text.used = (size_t)snprintf(text.bytes, text.room, "kchain-manifest %u\n", version);
		while (chain_manifest_next(&image, &cursor, &entry)) {
			print_entry(&image, &text, &entry);
			if (entry.kind == CHAIN_MANIFEST_PART)
				continue;
			check_entry(&image, &entry);
			count++;
		}
		FUZZ_HOLDS(count == image.entry_count && cursor == size);
		FUZZ_HOLDS(text.used == size && memcmp(text.bytes, data, size) == 0);
		(void)!fuzz_status(chain_manifest_find(&image, "/a", &entry, &err), &err);
	}
	free(text.bytes);
	free(copy);
	return 0;
}
