/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A made-up stage and small trees for the tests of image.h and bake.h: everything in memory. */
#ifndef BAKE_FIXTURE_H
#define BAKE_FIXTURE_H

#include "chain/bake.h"
#include "chain/image.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGE_FILE_BYTES = 0x3000, STAGE_MEMORY_BYTES = 0x5000 };
#define STAGE_VIRT 0xffffffff80000000ull
#define STAGE_PHYS 0x200000ull
enum { STAGE_TEXT_AT = 0x1000, STAGE_DATA_AT = 0x2000 };

/* An ELF64 with text (Multiboot headers of both kinds with addresses, kchain header), data, and a boot-only segment
 * without file bytes. */
static inline void stage_make(uint8_t out[STAGE_FILE_BYTES])
{
	const Elf64_Phdr phdrs[3] = {
		{ PT_LOAD, PF_R | PF_X, STAGE_TEXT_AT, STAGE_VIRT, STAGE_PHYS, 0x800, 0x800, 4096 },
		{ PT_LOAD, PF_R | PF_W, STAGE_DATA_AT, STAGE_VIRT + 0x1000, STAGE_PHYS + 0x1000, 0x321, 0x1100, 4096 },
		{ PT_LOAD, 0x00100006, 0x3000, STAGE_VIRT + 0x3000, STAGE_PHYS + 0x3000, 0, 0x2000, 4096 },
	};
	const Elf64_Ehdr ehdr = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
				  .e_type = ET_EXEC,
				  .e_machine = EM_X86_64,
				  .e_version = 1,
				  .e_entry = STAGE_PHYS + 0x200,
				  .e_phoff = 64,
				  .e_ehsize = 64,
				  .e_phentsize = 56,
				  .e_phnum = 3 };
	const uint32_t mb1[8] = { 0x1badb002, 0x10003, 0u - 0x1badb002 - 0x10003, 0x200000, 0x200000, 0x201321,
				  0x205000,   0x200200 };
	const uint32_t mb2[] = { 0xe85250d6, 0,        64,       0u - 0xe85250d6 - 64,
				 2,          24,       0x200020, 0x200000,
				 0x201321,   0x205000, 3,        12,
				 0x200200,   0,        0,        8 };
	struct chain_image_header header = { .magic = "KCHAIN\r\n",
					     .version = CHAIN_IMAGE_VERSION,
					     .stage_bytes = STAGE_MEMORY_BYTES };

	memset(out, 0, STAGE_FILE_BYTES);
	memcpy(out, &ehdr, sizeof(ehdr));
	memcpy(out + 64, phdrs, sizeof(phdrs));
	for (size_t i = 0; i < 0x800; i++)
		out[STAGE_TEXT_AT + i] = (uint8_t)(i * 7 + 1);
	memset(out + STAGE_DATA_AT, 0xda, 0x321);
	memcpy(out + STAGE_TEXT_AT, mb1, sizeof(mb1));
	memcpy(out + STAGE_TEXT_AT + 32, mb2, sizeof(mb2));
	memcpy(out + STAGE_TEXT_AT + 128, &header, sizeof(header));
}

/* Adds the note that says where PVH enters it. */
enum { STAGE_NOTE_AT = STAGE_TEXT_AT + 0x180, STAGE_NOTE_BYTES = 24, STAGE_PVH_ENTRY = 0x240 };
static inline void stage_add_note(uint8_t out[STAGE_FILE_BYTES])
{
	const Elf64_Phdr phdr = { PT_NOTE,
				  PF_R,
				  STAGE_NOTE_AT,
				  STAGE_VIRT + STAGE_NOTE_AT - STAGE_TEXT_AT,
				  STAGE_PHYS + STAGE_NOTE_AT - STAGE_TEXT_AT,
				  STAGE_NOTE_BYTES,
				  STAGE_NOTE_BYTES,
				  4 };
	const uint32_t note[] = { 4, 8, 18, 0x006e6558, STAGE_PHYS + STAGE_PVH_ENTRY, 0 };

	((Elf64_Ehdr *)(void *)out)->e_phnum = 4;
	memcpy(out + 64 + 3 * sizeof(phdr), &phdr, sizeof(phdr));
	memcpy(out + STAGE_NOTE_AT, note, sizeof(note));
}

/* The sink: a buffer that grows; `room` refuses more, as a full disk does. */
struct sink {
	uint8_t *bytes;
	uint64_t count;
	uint64_t room; /* 0: any */
};

static inline enum chain_status sink_take(void *ctx, uint64_t offset, const void *buf, size_t count,
					  struct chain_error *err)
{
	struct sink *sink = ctx;
	const uint64_t end = offset + count;

	if (sink->room && end > sink->room)
		return chain_fail_text(err, CHAIN_E_IO, "sink", "No space left on device");
	if (end > sink->count) {
		uint8_t *grown = realloc(sink->bytes, end);

		if (!grown)
			return chain_fail_no_memory(err, "sink", end);
		memset(grown + sink->count, 0, end - sink->count);
		sink->bytes = grown;
		sink->count = end;
	}
	memcpy(sink->bytes + offset, buf, count);
	return CHAIN_OK;
}

/* The cookie of a file is its bytes; null: bytes that are made of the offset. */
static inline enum chain_status cookie_read(void *ctx, const struct fs_spec *spec, uint64_t offset, void *buf,
					    size_t count, struct chain_error *err)
{
	(void)ctx;
	(void)err;
	if (spec->cookie)
		memcpy(buf, (const char *)spec->cookie + offset, count);
	else
		for (size_t i = 0; i < count; i++)
			((uint8_t *)buf)[i] = (uint8_t)((offset + i) * 11 + ((offset + i) >> 9));
	return CHAIN_OK;
}

static inline struct fs_spec file_spec(const char *path, char *text)
{
	return (struct fs_spec){
		.path = path, .type = FS_REGULAR, .mode = 0644, .size_bytes = strlen(text), .cookie = text
	};
}

/* The pipeline, where `bake` has it. */
static inline struct fs_spec pipeline_spec(char *text)
{
	struct fs_spec spec = file_spec(CHAIN_FS_PIPELINE, text);

	spec.in_metadata = true;
	return spec;
}

static inline struct fs_spec link_spec(const char *path, const char *target)
{
	return (struct fs_spec){ .path = path, .type = FS_SYMLINK, .mode = 0777, .target = target };
}

static inline struct chain_bake_request request_make(const uint8_t stage[STAGE_FILE_BYTES], const struct fs_spec *specs,
						     size_t count, struct sink *sink)
{
	return (struct chain_bake_request){ .name = "test",
					    .base = CHAIN_BAKE_BASE,
					    .stage = stage,
					    .stage_bytes = STAGE_FILE_BYTES,
					    .stage_subject = "stage",
					    .specs = specs,
					    .spec_count = count,
					    .source = cookie_read,
					    .sink = sink_take,
					    .ctx = sink };
}

/* An image of that stage with one file, /a, opened; its bytes are the sink's. */
static inline enum chain_status image_make(struct sink *sink, struct chain_image *image)
{
	static uint8_t stage[STAGE_FILE_BYTES];
	static char text[] = "text\n";
	struct fs_spec specs[] = { file_spec("/a", text) };
	struct chain_bake_result result;

	stage_make(stage);
	struct chain_bake_request request = request_make(stage, specs, 1, sink);
	const enum chain_status status = chain_bake(&request, &result, NULL);

	return status == CHAIN_OK ? chain_image_open(image, sink->bytes, sink->count, NULL) : status;
}

#endif
