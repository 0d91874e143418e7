/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes as a baked image (see fuzz_expand): opening it, walking it, reading its files, verifying
 * it.
 *
 * Nobody guesses a SHA-256. So here every digest is 0xaa…, and the code behind the digests sees hostile bytes as well:
 * what an attacker who can bake could hand over. The bytes that would have been hashed are touched instead. */
#include "fuzz.h"

#include "chain/image.h"

#if defined(__has_feature) && __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
static bool readable(const void *bytes, uint64_t count)
{
	return !count || !__asan_region_is_poisoned((void *)(uintptr_t)bytes, (size_t)count);
}
#else
static bool readable(const void *bytes, uint64_t count)
{
	return !count || bytes;
}
#endif

/* The linker puts these in the place of digest.h's (--wrap, chain/build.mk). */
void __wrap_chain_sha256_update(struct chain_sha256 *ctx, const void *bytes, uint64_t count);
void __wrap_chain_sha256_final(struct chain_sha256 *ctx, uint8_t out[CHAIN_SHA256_BYTES]);
void __wrap_chain_sha256_of(const void *bytes, uint64_t count, uint8_t out[CHAIN_SHA256_BYTES]);
void __wrap_chain_sha256_lanes(const uint8_t *const *pieces, size_t count, uint32_t bytes,
			       uint8_t (*out)[CHAIN_SHA256_BYTES]);

void __wrap_chain_sha256_update(struct chain_sha256 *ctx, const void *bytes, uint64_t count)
{
	(void)ctx;
	FUZZ_HOLDS(readable(bytes, count));
}

void __wrap_chain_sha256_final(struct chain_sha256 *ctx, uint8_t out[CHAIN_SHA256_BYTES])
{
	(void)ctx;
	memset(out, 0xaa, CHAIN_SHA256_BYTES);
}

void __wrap_chain_sha256_of(const void *bytes, uint64_t count, uint8_t out[CHAIN_SHA256_BYTES])
{
	FUZZ_HOLDS(readable(bytes, count));
	memset(out, 0xaa, CHAIN_SHA256_BYTES);
}

void __wrap_chain_sha256_lanes(const uint8_t *const *pieces, size_t count, uint32_t bytes,
			       uint8_t (*out)[CHAIN_SHA256_BYTES])
{
	for (size_t i = 0; i < count; i++)
		__wrap_chain_sha256_of(pieces[i], bytes, out[i]);
}

static void check_progress(void *ctx, uint64_t done, uint64_t total)
{
	uint64_t *before = ctx;
	FUZZ_HOLDS(done >= *before && total);
	*before = done;
}

static void check_file(const struct chain_image *image, const char *path, bool sound,
		       const struct chain_manifest_entry *entry)
{
	struct chain_error err = { 0 };
	const uint8_t *bytes = NULL;
	uint64_t count = 0;

	if (fuzz_status(chain_image_file(image, path, &bytes, &count, NULL, &err), &err)) {
		FUZZ_HOLDS(!sound || !entry || entry->kind != CHAIN_MANIFEST_FILE);
		return;
	}
	FUZZ_HOLDS(count <= image->fs_bytes_count && bytes >= image->fs_bytes &&
		   (!count || (uint64_t)(bytes - image->fs_bytes) <= image->fs_bytes_count - count));
	FUZZ_HOLDS(!entry || entry->kind != CHAIN_MANIFEST_FILE || entry->bytes == count);
}

static void check_image(const struct chain_image *image, size_t size)
{
	struct chain_error err = { 0 };
	struct chain_manifest_entry entry;
	uint64_t heard = 0, cursor = 0, count = 0;
	char path[CHAIN_IMAGE_PATH_BYTES];

	FUZZ_HOLDS(image->bytes_count == size && image->manifest_bytes <= size && image->fs_bytes_count <= size);
	FUZZ_HOLDS(image->fs_bytes + image->fs_bytes_count <= image->bytes + size);
	FUZZ_HOLDS((const uint8_t *)image->manifest + image->manifest_bytes <= image->fs_bytes);
	FUZZ_HOLDS(chain_image_is(image->bytes, size));
	FUZZ_HOLDS(fuzz_printable(image->header.name, strlen(image->header.name)));
	bool sound = !fuzz_status(chain_image_verify(image, check_progress, &heard, &err), &err);
	while (chain_manifest_next(image, &cursor, &entry)) {
		if (entry.kind == CHAIN_MANIFEST_PART)
			continue;
		count++;
		if (entry.path_bytes >= sizeof(path)) {
			FUZZ_HOLDS(!sound);
			continue;
		}
		memcpy(path, entry.path, entry.path_bytes);
		path[entry.path_bytes] = '\0';
		check_file(image, path, sound, &entry);
	}
	FUZZ_HOLDS(count == image->entry_count);
	check_file(image, "/link/../dir/./up", sound, NULL);
	check_file(image, CHAIN_FS_PIPELINE, sound, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes = fuzz_expand(data, size, &size);
	struct chain_error err = { 0 };
	struct chain_image image;

	if (!fuzz_status(chain_image_open(&image, bytes, size, &err), &err))
		check_image(&image, size);
	free(bytes);
	return 0;
}
