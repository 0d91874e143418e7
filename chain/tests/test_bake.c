/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Baking against libelf, our own image reader, and the promises of bake.h. */
#include "bake_fixture.h"
#include "chain/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <libelf.h>

static uint8_t stage[STAGE_FILE_BYTES];

static struct sink bake(const struct fs_spec *specs, size_t count, struct chain_bake_result *out)
{
	struct sink sink = { 0 };
	struct chain_bake_request request = request_make(stage, specs, count, &sink);
	struct chain_error err = { 0 };
	const enum chain_status status = chain_bake(&request, out, &err);

	if (status != CHAIN_OK) {
		char text[600];

		chain_error_format(&err, text, sizeof(text));
		fail_msg("%s", text);
	}
	return sink;
}

static void image_is_bootable_elf32(void **state)
{
	(void)state;
	const struct fs_spec specs[] = { file_spec("/a", "hello\n"), link_spec("/b", "a") };
	struct chain_bake_result result;
	struct sink sink = bake(specs, 2, &result);
	Elf32_Ehdr ehdr;
	Elf32_Phdr phdr = { 0 };
	uint64_t last_offset = 0;
	uint32_t magic_at = 0, mb[8];

	memcpy(&ehdr, sink.bytes, sizeof(ehdr));
	assert_int_equal(ehdr.e_ident[EI_CLASS], ELFCLASS32);
	assert_int_equal(ehdr.e_machine, EM_386);
	assert_int_equal(ehdr.e_entry, CHAIN_BAKE_BASE + 0x200);
	assert_int_equal(ehdr.e_phnum, 5);
	for (unsigned i = 0; i < ehdr.e_phnum; i++) {
		memcpy(&phdr, sink.bytes + ehdr.e_phoff + i * sizeof(phdr), sizeof(phdr));
		assert_int_equal(phdr.p_type, PT_LOAD);
		assert_int_equal(phdr.p_vaddr, phdr.p_paddr);
		assert_int_equal(phdr.p_paddr % phdr.p_align, phdr.p_offset % phdr.p_align);
		if (phdr.p_filesz > 0) {
			assert_true(phdr.p_offset >= last_offset);
			last_offset = phdr.p_offset;
		}
	}
	assert_int_equal(phdr.p_paddr % CHAIN_IMAGE_FS_ALIGN, 0);
	assert_int_equal(phdr.p_memsz % CHAIN_IMAGE_FS_ALIGN, 0);
	for (magic_at = 0; magic_at < 8192 - 12; magic_at += 4)
		if (memcmp(sink.bytes + magic_at, "\x02\xb0\xad\x1b", 4) == 0)
			break;
	memcpy(mb, sink.bytes + magic_at, sizeof(mb));
	assert_int_equal(mb[1], 3);
	assert_int_equal((uint32_t)(mb[0] + mb[1] + mb[2]), 0);
	for (int i = 3; i < 8; i++)
		assert_int_equal(mb[i], 0);
	free(sink.bytes);
}

/* A stage whose first segment begins with its own ELF headers, as ours does, needs no block for the image's. */
static void headers_take_the_place_of_the_stages_own(void **state)
{
	(void)state;
	enum { TEXT = 0x800, HEADERS_AT = 256, OWN_BYTES = 64 + 3 * 56 };
	const struct fs_spec specs[] = { file_spec("/a", "hello\n") };
	uint8_t compact[STAGE_FILE_BYTES];
	struct chain_bake_result result;
	struct chain_image image;
	struct sink sink = { 0 };
	struct chain_bake_request request = request_make(compact, specs, 1, &sink);
	Elf32_Ehdr ehdr;
	Elf32_Phdr phdr;

	memcpy(compact, stage, sizeof(compact));
	memcpy(compact + HEADERS_AT, stage + STAGE_TEXT_AT, TEXT - HEADERS_AT);
	((Elf64_Phdr *)(void *)(compact + 64))->p_offset = 0;
	assert_int_equal(chain_bake(&request, &result, NULL), CHAIN_OK);
	assert_int_equal(result.header.file_base, 0);
	assert_int_equal(result.parts[CHAIN_BAKE_ELF].bytes, 0);
	assert_int_equal(result.header.file_manifest,
			 0xb28); /* 0x800 bytes of text and 0x321 of data, to a multiple of 8 */
	memcpy(&ehdr, sink.bytes, sizeof(ehdr));
	assert_int_equal(ehdr.e_ident[EI_CLASS], ELFCLASS32);
	memcpy(&phdr, sink.bytes + ehdr.e_phoff, sizeof(phdr));
	assert_int_equal(phdr.p_offset, 0);
	assert_int_equal(phdr.p_filesz, TEXT);
	for (size_t i = ehdr.e_phoff + ehdr.e_phnum * sizeof(phdr); i < OWN_BYTES; i++)
		assert_int_equal(sink.bytes[i], 0);
	assert_memory_equal(sink.bytes + OWN_BYTES, compact + OWN_BYTES, HEADERS_AT - OWN_BYTES);
	assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
	assert_int_equal(chain_image_verify(&image, NULL, NULL, NULL), CHAIN_OK);
	sink.bytes[30] ^= 1; /* in the ELF header, which is the stage's beginning now */
	struct chain_error err = { 0 };

	assert_int_equal(chain_image_verify(&image, NULL, NULL, &err), CHAIN_E_IMAGE_DIGEST);
	assert_string_equal(err.subject, "stage");
	free(sink.bytes);
}

/* The same contents in an ELF64 file: found by a note, and by no Multiboot loader. */
static void image_has_a_form_for_pvh(void **state)
{
	(void)state;
	const struct fs_spec specs[] = { file_spec("/a", "hello\n"), link_spec("/b", "a") };
	uint8_t noted[STAGE_FILE_BYTES];
	struct chain_bake_result result, other;
	struct chain_image image;
	struct sink sink = { 0 }, again = { 0 }, multiboot = { 0 };
	struct chain_bake_request request = request_make(noted, specs, 2, &sink);
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr = { 0 };

	memcpy(noted, stage, sizeof(noted));
	stage_add_note(noted);
	request.format = "pvh";
	assert_int_equal(chain_bake(&request, &result, NULL), CHAIN_OK);
	request.ctx = &again;
	assert_int_equal(chain_bake(&request, &other, NULL), CHAIN_OK);
	assert_int_equal(again.count, sink.count);
	assert_memory_equal(again.bytes, sink.bytes, sink.count);
	request.ctx = &multiboot;
	request.format = NULL;
	assert_int_equal(chain_bake(&request, &other, NULL), CHAIN_OK);
	assert_memory_not_equal(result.id, other.id, sizeof(result.id));
	assert_int_equal(other.header.fs_offset, result.header.fs_offset);
	assert_memory_equal(multiboot.bytes + other.header.file_fs, sink.bytes + result.header.file_fs,
			    result.header.fs_bytes);
	assert_string_equal(chain_bake_format_of(sink.bytes, sink.count), "pvh");
	assert_string_equal(chain_bake_format_of(multiboot.bytes, multiboot.count), "multiboot");
	assert_null(chain_bake_format_of(sink.bytes, 64));

	memcpy(&ehdr, sink.bytes, sizeof(ehdr));
	assert_int_equal(ehdr.e_ident[EI_CLASS], ELFCLASS64);
	assert_int_equal(ehdr.e_machine, EM_X86_64);
	assert_int_equal(ehdr.e_entry, CHAIN_BAKE_BASE + 0x200);
	assert_int_equal(ehdr.e_phnum, 6);
	memcpy(&phdr, sink.bytes + ehdr.e_phoff + 5 * sizeof(phdr), sizeof(phdr));
	assert_int_equal(phdr.p_type, PT_NOTE);
	assert_int_equal(phdr.p_align, 4);
	assert_int_equal(phdr.p_filesz, STAGE_NOTE_BYTES);
	assert_int_equal(phdr.p_paddr, CHAIN_BAKE_BASE + STAGE_NOTE_AT - STAGE_TEXT_AT);
	const uint32_t note[] = { 4, 8, 18, 0x006e6558, CHAIN_BAKE_BASE + STAGE_PVH_ENTRY, 0 };

	assert_memory_equal(sink.bytes + phdr.p_offset, note, sizeof(note));
	for (uint64_t at = 0; at + 4 <= sink.count; at += 4) {
		assert_int_not_equal(chain_le32(sink.bytes + at), 0x1badb002);
		assert_int_not_equal(chain_le32(sink.bytes + at), 0xe85250d6);
	}
	assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
	assert_int_equal(chain_image_verify(&image, NULL, NULL, NULL), CHAIN_OK);
	free(sink.bytes);
	free(again.bytes);
	free(multiboot.bytes);
}

static void forms_have_names(void **state)
{
	(void)state;
	size_t count = 0;

	assert_string_equal(chain_bake_format_name(0), "multiboot"); /* the default */
	for (; chain_bake_format_name(count); count++)
		assert_true(strlen(chain_bake_format_about(count)) > 0);
	assert_true(count >= 2);
	assert_null(chain_bake_format_name(count + 1));
	assert_null(chain_bake_format_name(SIZE_MAX));
}

/* A stage without the note, or with one of another size or that leads nowhere, and a form that nobody knows. */
static void wrong_notes_are_refused(void **state)
{
	(void)state;
	static const struct {
		uint32_t at, value;
		const char *format;
		enum chain_status want;
	} cases[] = {
		{ STAGE_NOTE_AT, 4, "pvh", CHAIN_OK },
		{ STAGE_NOTE_AT, 4, "elf", CHAIN_E_BAKE_FORMAT },
		{ STAGE_NOTE_AT, 4, "", CHAIN_E_BAKE_FORMAT },
		{ STAGE_NOTE_AT + 4, 4, "pvh", CHAIN_E_BAKE_BAD_STAGE },
		{ STAGE_NOTE_AT + 8, 17, "pvh", CHAIN_E_BAKE_BAD_STAGE },
		{ STAGE_NOTE_AT + 12, 0x006e6559, "pvh", CHAIN_E_BAKE_BAD_STAGE },
		{ STAGE_NOTE_AT + 16, STAGE_PHYS - 1, "pvh", CHAIN_E_BAKE_BAD_STAGE },
		{ STAGE_NOTE_AT + 16, STAGE_PHYS - 1, "multiboot", CHAIN_E_BAKE_BAD_STAGE },
		{ STAGE_NOTE_AT + 20, 1, "pvh", CHAIN_E_BAKE_BAD_STAGE },   /* above 4 GiB */
		{ STAGE_NOTE_AT + 8, 17, "multiboot", CHAIN_OK },           /* which does without */
		{ 64 + 3 * 56 + 8, 0x2f00, "pvh", CHAIN_E_BAKE_BAD_STAGE }, /* in no segment that is loaded */
	};
	const struct fs_spec specs[] = { file_spec("/a", "hello\n") };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t noted[STAGE_FILE_BYTES];
		struct sink sink = { 0 };
		struct chain_bake_request request = request_make(noted, specs, 1, &sink);
		struct chain_bake_result result;
		struct chain_error err = { 0 };

		memcpy(noted, stage, sizeof(noted));
		stage_add_note(noted);
		memcpy(noted + 0x2f00, noted + STAGE_NOTE_AT, STAGE_NOTE_BYTES);
		memcpy(noted + cases[i].at, &cases[i].value, sizeof(uint32_t));
		request.format = cases[i].format;
		if (chain_bake(&request, &result, &err) != cases[i].want)
			fail_msg("case %zu: %s", i, chain_status_slug(err.status));
		free(sink.bytes);
	}
}

static void sections_by_libelf(void **state)
{
	(void)state;
	const struct fs_spec specs[] = { file_spec("/a", "hello\n") };
	struct chain_bake_result result;
	struct sink sink = bake(specs, 1, &result);
	static const char *const names[] = { ".kchain.stage", ".kchain.manifest", ".kchain.fs", ".shstrtab" };
	size_t strings, i = 0;

	assert_int_not_equal(elf_version(EV_CURRENT), EV_NONE);
	Elf *elf = elf_memory((char *)sink.bytes, sink.count);

	assert_non_null(elf);
	assert_int_equal(elf_getshdrstrndx(elf, &strings), 0);
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL; i++) {
		const Elf32_Shdr *shdr = elf32_getshdr(section);

		assert_string_equal(elf_strptr(elf, strings, shdr->sh_name), names[i]);
		if (i == 2) {
			assert_int_equal(shdr->sh_offset, result.header.file_fs);
			assert_int_equal(shdr->sh_size, result.header.fs_bytes);
		}
	}
	assert_int_equal(i, 4);
	elf_end(elf);
	free(sink.bytes);
}

static void same_inputs_same_bytes(void **state)
{
	(void)state;
	struct fs_spec specs[] = { file_spec("/a", "1"), file_spec("/b/c", "2"), link_spec("/l", "b/c"),
				   file_spec("/empty", "") };
	struct chain_bake_result one, two, three;
	struct sink first = bake(specs, 4, &one);
	const struct fs_spec swap = specs[0];

	specs[0] = specs[3];
	specs[3] = swap;
	struct sink second = bake(specs, 4, &two);

	assert_int_equal(first.count, second.count);
	assert_memory_equal(first.bytes, second.bytes, first.count);
	assert_memory_equal(one.id, two.id, 32);
	assert_int_equal(one.file_bytes, first.count);
	specs[1].cookie = "3";
	struct sink third = bake(specs, 4, &three);

	assert_memory_not_equal(one.id, three.id, 32);
	free(first.bytes);
	free(second.bytes);
	free(third.bytes);
}

/* Sizes around the points where a manifest's length and the digits of the offsets in it change. */
static void many_sizes_open_and_verify(void **state)
{
	(void)state;
	enum { MANY = 300 };
	static char paths[MANY][16];
	static struct fs_spec specs[MANY];

	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "/f%04zu", i);
		specs[i] = (struct fs_spec){ .path = paths[i], .type = FS_REGULAR, .mode = 0644, .size_bytes = i * 37 };
	}
	for (size_t count = 0; count < MANY; count += count < 60 ? 1 : 17) {
		struct chain_bake_result result;
		struct sink sink = bake(specs, count, &result);
		struct chain_image image;

		assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
		assert_int_equal(chain_image_verify(&image, NULL, NULL, NULL), CHAIN_OK);
		assert_int_equal(image.entry_count, count);
		assert_memory_equal(image.header.id, result.id, 32);
		free(sink.bytes);
	}
}

static void base_moves_the_image(void **state)
{
	(void)state;
	const struct fs_spec specs[] = { file_spec("/a", "hello\n") };
	static const uint64_t bases[] = { 0x100000, 0x201000, 0x3ff000, 0x40000000 };

	for (size_t i = 0; i < 4; i++) {
		struct sink sink = { 0 };
		struct chain_bake_request request = request_make(stage, specs, 1, &sink);
		struct chain_bake_result result;
		struct chain_image image;

		request.base = bases[i];
		assert_int_equal(chain_bake(&request, &result, NULL), CHAIN_OK);
		assert_int_equal(result.entry, bases[i] + 0x200);
		assert_int_equal((bases[i] + result.header.fs_offset) % CHAIN_IMAGE_FS_ALIGN, 0);
		assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
		free(sink.bytes);
	}
}

static void expect(const struct chain_bake_request *request, enum chain_status wanted, const char *subject)
{
	struct chain_bake_result result;
	struct chain_error err = { 0 };

	assert_int_equal(chain_bake(request, &result, &err), wanted);
	assert_int_equal(err.status, wanted);
	assert_string_equal(err.subject, subject);
	free(((struct sink *)request->ctx)->bytes);
	*(struct sink *)request->ctx = (struct sink){ 0 };
}

static void refusals(void **state)
{
	(void)state;
	struct fs_spec specs[] = { file_spec("/a", "hello\n"), file_spec("/b", "x") };
	static uint8_t damaged[STAGE_FILE_BYTES];
	struct sink sink = { 0 };
	const struct chain_bake_request good = request_make(stage, specs, 2, &sink);
	struct chain_bake_request r = good;

	r.base = 0x200800;
	expect(&r, CHAIN_E_BAKE_BAD_BASE, "test");
	r.base = 0xff000;
	expect(&r, CHAIN_E_BAKE_BAD_BASE, "test");
	r.base = 0xffe00000;
	expect(&r, CHAIN_E_BAKE_TOO_LARGE, "test");
	r = good;
	r.name = "0123456789012345678901234567890123456789012345678901234567890123";
	expect(&r, CHAIN_E_BAKE_NAME, r.name);
	r = good;
	specs[1].path = "/b\n";
	expect(&r, CHAIN_E_BAKE_PATH, "/b\n");
	specs[1] = (struct fs_spec){ .path = "/dev", .type = FS_CHAR_DEVICE };
	expect(&r, CHAIN_E_BAKE_NOT_BAKEABLE, "/dev");
	specs[1] = file_spec("/b", "x");
	r.stage_bytes = 0x2100;
	expect(&r, CHAIN_E_ELF_SEGMENT_FILE, "stage");
	r = good;
	memcpy(damaged, stage, sizeof(damaged));
	damaged[STAGE_TEXT_AT + 128] ^= 1;
	r.stage = damaged;
	expect(&r, CHAIN_E_BAKE_BAD_STAGE, "stage");
	damaged[STAGE_TEXT_AT + 128] ^= 1;
	damaged[STAGE_TEXT_AT] ^= 1;
	expect(&r, CHAIN_E_BAKE_BAD_STAGE, "stage");
	damaged[STAGE_TEXT_AT] ^= 1;
	((Elf64_Phdr *)(void *)(damaged + 64))[1].p_paddr = STAGE_PHYS - 0x2000; /* the data before the text */
	expect(&r, CHAIN_E_BAKE_BAD_STAGE, "stage");
	r = good;
	sink.room = 20000;
	expect(&r, CHAIN_E_IO, "sink");
	uint8_t wrong[CHAIN_LOCATED_BYTES] = { 1 };

	specs[0].digest = wrong;
	expect(&r, CHAIN_E_FILE_CHANGED, "/a");
}

static void same_files_are_stored_once(void **state)
{
	(void)state;
	uint8_t digest[CHAIN_LOCATED_BYTES];
	struct fs_spec specs[] = { file_spec("/a", "hello\n"), file_spec("/b", "hello\n"), file_spec("/c", "hello\n") };
	struct chain_bake_result result;

	chain_verity_of_located("hello\n", 6, digest);
	specs[0].digest = specs[1].digest = digest;
	specs[2].hard_link = "/a";
	specs[2].size_bytes = 0;
	specs[2].cookie = NULL;
	struct sink sink = bake(specs, 3, &result);
	struct chain_image image;

	assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
	assert_int_equal(chain_image_verify(&image, NULL, NULL, NULL), CHAIN_OK);
	assert_int_equal(result.parts[CHAIN_BAKE_FILES].bytes, 4096);
	assert_int_equal(result.content_bytes - result.shared_bytes, 6);
	for (const char *path = "/a\0/b\0/c\0"; *path; path += 3) {
		const uint8_t *bytes;
		uint64_t count;

		assert_int_equal(chain_image_file(&image, path, &bytes, &count, NULL, NULL), CHAIN_OK);
		assert_int_equal(count, 6);
		assert_memory_equal(bytes, "hello\n", 6);
	}
	free(sink.bytes);
}

/* Places every file of more than one byte by itself, and says `lie` of the first digest byte. */
static uint8_t lie;
static enum chain_status place(void *ctx, const struct fs_spec *spec, uint64_t offset, bool *out_placed,
			       uint8_t out_digest[CHAIN_LOCATED_BYTES], struct chain_error *err)
{
	*out_placed = spec->size_bytes > 1;
	if (!*out_placed)
		return CHAIN_OK;
	chain_verity_of_located(spec->cookie, spec->size_bytes, out_digest);
	out_digest[0] ^= lie;
	return sink_take(ctx, offset, spec->cookie, spec->size_bytes, err);
}

static unsigned heard;
static void placed(void *ctx, const struct fs_spec *spec, uint64_t offset, const uint8_t found[CHAIN_LOCATED_BYTES])
{
	const struct sink *sink = ctx;
	const char *text = spec->type == FS_SYMLINK ? spec->target : spec->cookie;
	uint8_t digest[CHAIN_LOCATED_BYTES];

	heard++;
	assert_memory_equal(sink->bytes + offset, text, strlen(text));
	(spec->target ? chain_sha256_of : chain_verity_of)(text, strlen(text), digest);
	assert_memory_equal(digest, found, 32);
}

static void placing_gives_the_same_bytes(void **state)
{
	(void)state;
	static char big[10000];
	uint8_t digest[CHAIN_LOCATED_BYTES];
	struct fs_spec specs[] = { file_spec("/a", "1"), file_spec("/b/c", big),     link_spec("/l", "b/c"),
				   file_spec("/e", ""),  file_spec("/f", "hello\n"), file_spec("/g", "2") };
	struct chain_bake_result result;
	struct sink sink = { 0 };

	memset(big, 'x', sizeof(big) - 1);
	specs[1].size_bytes = strlen(big);
	chain_verity_of_located("hello\n", 6, digest);
	specs[4].digest = digest;
	struct sink plain = bake(specs, 6, &result);
	struct chain_bake_request request = request_make(stage, specs, 6, &sink);

	request.place = place;
	request.placed = placed;
	assert_int_equal(chain_bake(&request, &result, NULL), CHAIN_OK);
	assert_int_equal(heard, 6);
	assert_int_equal(sink.count, plain.count);
	assert_memory_equal(sink.bytes, plain.bytes, plain.count);
	free(plain.bytes);
	lie = 1;
	expect(&request, CHAIN_E_FILE_CHANGED, "/f");
	lie = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_is_bootable_elf32),
		cmocka_unit_test(headers_take_the_place_of_the_stages_own),
		cmocka_unit_test(image_has_a_form_for_pvh),
		cmocka_unit_test(forms_have_names),
		cmocka_unit_test(wrong_notes_are_refused),
		cmocka_unit_test(sections_by_libelf),
		cmocka_unit_test(same_inputs_same_bytes),
		cmocka_unit_test(many_sizes_open_and_verify),
		cmocka_unit_test(base_moves_the_image),
		cmocka_unit_test(refusals),
		cmocka_unit_test(same_files_are_stored_once),
		cmocka_unit_test(placing_gives_the_same_bytes),
	};

	stage_make(stage);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
