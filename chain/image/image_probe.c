/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What kind of kernel a file is. */
#include "chain/door.h"
#include "chain/image.h"
#include "image_looks.h"
#include "abi/native.h"

#include <string.h>

static bool is_native(const uint8_t *bytes, uint64_t count)
{
	const uint8_t *note;
	uint64_t note_bytes;
	struct chain_elf elf;

	return !chain_elf_open(&elf, bytes, count, "", NULL) && elf.machine == CHAIN_ELF_MACHINE_X86_64 &&
	       !chain_elf_find_note(&elf, KCHAIN_NOTE_NAME, KCHAIN_NOTE_NATIVE, &note, &note_bytes, NULL);
}

static bool is_image(const uint8_t *bytes, uint64_t count)
{
	return chain_image_is(bytes, count);
}

/* In probing order. They can be started by a boot protocol, too, and come before the doors. */
static const struct {
	enum chain_kernel_kind kind;
	const char *name;
	bool (*is)(const uint8_t *bytes, uint64_t count);
} KINDS[] = {
	{ CHAIN_KERNEL_IMAGE, "image", is_image },
	{ CHAIN_KERNEL_NATIVE, "native", is_native },
};

#ifdef KCHAIN_STAGE /* what it is instead is for those who bake and inspect */
static enum chain_status refuse(const uint8_t *bytes, uint64_t count, const char *subject, struct chain_error *err)
{
	(void)bytes;
	return chain_fail_text(err, CHAIN_E_NOT_A_KERNEL, subject,
			       count ? "nothing that is known begins like it" : "it is empty");
}

static enum chain_status accept(enum chain_kernel_kind kind, const uint8_t *bytes, uint64_t count, const char *subject,
				struct chain_error *err)
{
	(void)kind;
	(void)bytes;
	(void)count;
	(void)subject;
	(void)err;
	return CHAIN_OK;
}
#else
static enum chain_status refuse(const uint8_t *bytes, uint64_t count, const char *subject, struct chain_error *err)
{
	return chain_image_refuse(bytes, count, subject, err);
}

/* Whether it can be loaded is for the plan to say, unless it is of another kind altogether, which happens to have such
 * a header. */
static enum chain_status accept(enum chain_kernel_kind kind, const uint8_t *bytes, uint64_t count, const char *subject,
				struct chain_error *err)
{
	struct chain_kernel kernel;
	if (chain_kernel_door(kind, bytes, count)->read(bytes, count, subject, &kernel, NULL) == CHAIN_E_ELF_BAD_MAGIC)
		return chain_image_refuse_unplaced(bytes, count, subject, err);
	return CHAIN_OK;
}
#endif

static enum chain_status accept_foreign(size_t door, const uint8_t *bytes, uint64_t count, const char *subject,
					enum chain_kernel_kind *out, struct chain_error *err)
{
	const enum chain_kernel_kind kind = (enum chain_kernel_kind)(CHAIN_KERNEL_FOREIGN + door);
	enum chain_status status = accept(kind, bytes, count, subject, err);
	*out = status ? CHAIN_KERNEL_UNKNOWN : kind;
	return status;
}

enum chain_status chain_kernel_probe(const void *bytes, uint64_t bytes_count, const char *subject,
				     enum chain_kernel_kind *out, struct chain_error *err)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
		if (KINDS[i].is(b, bytes_count)) {
			*out = KINDS[i].kind;
			return CHAIN_OK;
		}
	}
	for (size_t i = 0; chain_doors[i]; i++)
		if (chain_doors[i]->probe(b, bytes_count))
			return accept_foreign(i, b, bytes_count, subject, out, err);
	*out = CHAIN_KERNEL_UNKNOWN;
	return refuse(b, bytes_count, subject, err);
}

enum chain_status chain_kernel_probe_by(const struct chain_door *door, const void *bytes, uint64_t bytes_count,
					const char *subject, enum chain_kernel_kind *out, struct chain_error *err)
{
	size_t i = 0;
	if (!door)
		return chain_kernel_probe(bytes, bytes_count, subject, out, err);
	*out = CHAIN_KERNEL_UNKNOWN;
	if (!door->probe(bytes, bytes_count))
		return chain_fail_text(err, CHAIN_E_KERNEL_DOOR, subject, door->name);
	while (chain_doors[i] != door)
		i++;
	return accept_foreign(i, bytes, bytes_count, subject, out, err);
}

const char *chain_kernel_kind_name(enum chain_kernel_kind kind)
{
	for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
		if (KINDS[i].kind == kind)
			return KINDS[i].name;
	return kind == CHAIN_KERNEL_UNKNOWN ? "unknown" : chain_kernel_door(kind, NULL, 0)->name;
}

const struct chain_door *chain_kernel_door(enum chain_kernel_kind kind, const void *bytes, uint64_t bytes_count)
{
	if (kind == CHAIN_KERNEL_UNKNOWN)
		return NULL;
	if (kind >= CHAIN_KERNEL_FOREIGN)
		return chain_doors[kind - CHAIN_KERNEL_FOREIGN];
	const struct chain_door *door =
		kind == CHAIN_KERNEL_IMAGE && bytes ? chain_door_probe(bytes, bytes_count) : NULL;
	return door ? door : chain_door_of_ours; /* which says what is wrong with its header */
}
