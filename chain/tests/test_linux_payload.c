/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Kernels packed in a bzImage: each packing, exactly what is wrong with hostile ones, and which of them a bake unpacks.
 */
#include "../cmd/linux_payload.h"
#include "bake_folder.h"
#include "chain/elf.h"
#include "chain/linux_format.h"

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

enum {
	SETUP = 2 * CHAIN_LINUX_SECTOR,
	STUB = 0x400,
	KERNEL_BYTES = 20000,
	FILE_BYTES = 65536,
	INIT_BYTES = 0x100000,
	LOAD = 0x1000000
};

static uint8_t kernel[KERNEL_BYTES], file[FILE_BYTES];
static size_t payload_bytes, file_bytes;

static void put16(uint8_t *at, unsigned value)
{
	memcpy(at, &(uint16_t){ (uint16_t)value }, 2);
}

static void put32(uint8_t *at, uint64_t value)
{
	memcpy(at, &(uint32_t){ (uint32_t)value }, 4);
}

static void put64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, 8);
}

/* An ELF64 file of one segment and Linux's note. */
static void make_kernel(unsigned note_type)
{
	for (size_t i = 0; i < sizeof(kernel); i++)
		kernel[i] = (uint8_t)(i * i / 64);
	memset(kernel, 0, 0x1000);
	memcpy(kernel, "\177ELF\2\1\1", 7);
	put16(kernel + 16, 2);
	put16(kernel + 18, CHAIN_ELF_MACHINE_X86_64);
	put32(kernel + 20, 1);
	put64(kernel + 24, LOAD);
	put64(kernel + 32, 64);
	put16(kernel + 54, 56);
	put16(kernel + 56, 2);
	put32(kernel + 64, CHAIN_ELF_PT_LOAD);
	put32(kernel + 68, 7);
	put64(kernel + 72, 0x1000);
	put64(kernel + 80, LOAD);
	put64(kernel + 88, LOAD);
	put64(kernel + 96, 0x2000);
	put64(kernel + 104, 0x3000);
	put32(kernel + 120, CHAIN_ELF_PT_NOTE);
	put64(kernel + 128, 0x200);
	put64(kernel + 152, 24);
	put64(kernel + 168, 4);
	put32(kernel + 0x200, 6);
	put32(kernel + 0x204, 4);
	put32(kernel + 0x208, note_type);
	memcpy(kernel + 0x20c, "Linux", 6);
}

/* --- packers --- */

static size_t pack_lz4(uint8_t *out, size_t room)
{
	static const size_t pieces[] = { 12000, KERNEL_BYTES - 12000 };
	size_t used = 4, from = 0;

	put32(out, 0x184c2102);
	for (size_t i = 0; i < 2; from += pieces[i++]) {
		const int got = LZ4_compress_default((const char *)kernel + from, (char *)out + used + 4,
						     (int)pieces[i], (int)(room - used - 4));

		assert_true(got > 0);
		put32(out + used, (uint64_t)got);
		used += 4 + (size_t)got;
	}
	return used;
}

static size_t pack_gzip(uint8_t *out, size_t room)
{
	z_stream z = { .next_in = kernel, .avail_in = KERNEL_BYTES, .next_out = out, .avail_out = (uInt)room };

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(deflateEnd(&z), Z_OK);
	return z.total_out;
}

static size_t pack_xz(uint8_t *out, size_t room)
{
	size_t used = 0;

	assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, kernel, KERNEL_BYTES, out, &used, room),
			 LZMA_OK);
	return used;
}

static size_t pack_lzma(uint8_t *out, size_t room)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_options_lzma options;

	assert_false(lzma_lzma_preset(&options, 0));
	assert_int_equal(lzma_alone_encoder(&z, &options), LZMA_OK);
	z.next_in = kernel;
	z.avail_in = KERNEL_BYTES;
	z.next_out = out;
	z.avail_out = room;
	assert_int_equal(lzma_code(&z, LZMA_FINISH), LZMA_STREAM_END);
	lzma_end(&z);
	return room - z.avail_out;
}

static size_t pack_zstd(uint8_t *out, size_t room)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();

	(void)ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	const size_t used = ZSTD_compress2(z, out, room, kernel, KERNEL_BYTES);

	(void)ZSTD_freeCCtx(z);
	assert_false(ZSTD_isError(used));
	return used;
}

static const struct packer {
	const char *name;
	size_t (*pack)(uint8_t *out, size_t room);
	bool checked; /* its own checksum tells every change */
	size_t trailer;
} packers[] = { { "LZ4", pack_lz4, false, 4 },
		{ "gzip", pack_gzip, true, 0 },
		{ "XZ", pack_xz, true, 4 },
		{ "LZMA", pack_lzma, false, 4 },
		{ "zstd", pack_zstd, true, 4 } };
enum { PACKERS = sizeof(packers) / sizeof(packers[0]) };

/* The file around a payload of `bytes` bytes that lies at its place. */
static void end_bzimage(size_t bytes)
{
	payload_bytes = bytes;
	file_bytes = SETUP + STUB + bytes + 64;
	memset(file, 0, SETUP);
	memset(file + SETUP, 0xcc, STUB);
	file[CHAIN_LINUX_SETUP_SECTS] = 1;
	put16(file + CHAIN_LINUX_BOOT_FLAG, CHAIN_LINUX_BOOT_FLAG_VALUE);
	file[CHAIN_LINUX_JUMP_BYTES] = 0x6a;
	put32(file + CHAIN_LINUX_MAGIC, CHAIN_LINUX_MAGIC_VALUE);
	put16(file + CHAIN_LINUX_VERSION, 0x20f);
	file[CHAIN_LINUX_LOADFLAGS] = CHAIN_LINUX_LOADED_HIGH;
	put32(file + CHAIN_LINUX_INITRD_ADDR_MAX, 0x7fffffff);
	put32(file + CHAIN_LINUX_ALIGNMENT, 0x200000);
	file[CHAIN_LINUX_RELOCATABLE] = 1;
	put16(file + CHAIN_LINUX_XLOADFLAGS, CHAIN_LINUX_KERNEL_64);
	put32(file + CHAIN_LINUX_CMDLINE_SIZE, 2047);
	put32(file + CHAIN_LINUX_PAYLOAD_OFFSET, STUB);
	put32(file + CHAIN_LINUX_PAYLOAD_LENGTH, bytes);
	put64(file + CHAIN_LINUX_PREF_ADDRESS, LOAD);
	put32(file + CHAIN_LINUX_INIT_SIZE, INIT_BYTES);
}

static uint8_t *payload(void)
{
	return file + SETUP + STUB;
}

static void make_bzimage(const struct packer *packer)
{
	const size_t used = packer->pack(payload(), FILE_BYTES - SETUP - STUB - 128);

	put32(payload() + used, packer->trailer ? KERNEL_BYTES : 0);
	end_bzimage(used + packer->trailer);
}

static void promise(uint64_t bytes)
{
	put32(payload() + payload_bytes - 4, bytes);
}

/* Frees what came out where it is not asked for. */
static enum chain_status unpack(uint8_t **out, struct chain_error *err)
{
	struct linux_payload found;
	uint8_t *bytes = NULL;

	*err = (struct chain_error){ .status = CHAIN_OK };
	enum chain_status status = linux_payload_find(file, file_bytes, "k", &found, err);

	if (status == CHAIN_OK && linux_payload_can_unpack(&found))
		status = linux_payload_unpack(&found, "k", &bytes, err);
	if (out)
		*out = bytes;
	else
		free(bytes);
	return status;
}

static void expect(enum chain_status want, const char *detail)
{
	struct chain_error err;
	const enum chain_status got = unpack(NULL, &err);

	if (got != want || strcmp(err.detail, detail) != 0)
		fail_msg("%s (%s) wanted, %s (%s) found", chain_status_slug(want), detail, chain_status_slug(got),
			 err.detail);
}

/* --- tests --- */

static void every_packing_unpacks(void **state)
{
	(void)state;
	for (size_t i = 0; i < PACKERS; i++) {
		struct linux_payload found;
		struct chain_error err;
		uint8_t *out;

		make_bzimage(&packers[i]);
		assert_int_equal(linux_payload_find(file, file_bytes, "k", &found, &err), CHAIN_OK);
		assert_int_equal(linux_payload_is_quicker(&found), strcmp(packers[i].name, "LZ4") != 0);
		if (unpack(&out, &err) != CHAIN_OK)
			fail_msg("%s: %s", packers[i].name, err.detail);
		assert_memory_equal(out, kernel, KERNEL_BYTES);
		free(out);
	}
}

static void promises_that_are_not_kept(void **state)
{
	(void)state;
	for (size_t i = 0; i < PACKERS; i++) {
		char text[64];

		make_bzimage(&packers[i]);
		promise(KERNEL_BYTES - 1);
		(void)snprintf(text, sizeof(text), "%s: it grows past its promise", packers[i].name);
		if (packers[i].trailer)
			expect(CHAIN_E_LINUX_PAYLOAD, text);
		promise(16);
		if (packers[i].trailer)
			expect(CHAIN_E_LINUX_PAYLOAD, text);
		promise(KERNEL_BYTES + 1);
		(void)snprintf(text, sizeof(text), "%s: less comes out than it promises", packers[i].name);
		if (packers[i].trailer)
			expect(CHAIN_E_LINUX_PAYLOAD, text);
		promise(INIT_BYTES + 1);
		expect(CHAIN_E_LINUX_HEADER, "the size of the unpacked kernel");
		promise(0);
		expect(CHAIN_E_LINUX_HEADER, "the size of the unpacked kernel");
		put32(file + CHAIN_LINUX_INIT_SIZE, UINT32_MAX - LOAD);
		promise(LINUX_PAYLOAD_MAX + 1);
		expect(CHAIN_E_LIMIT, "bytes of the unpacked kernel");
	}
	make_bzimage(&packers[1]); /* what gzip promises is a part of it, and it is found out by its own check */
	promise(KERNEL_BYTES - 1);
	expect(CHAIN_E_LINUX_PAYLOAD, "gzip: it grows past its promise");
	promise(KERNEL_BYTES + 1);
	expect(CHAIN_E_LINUX_PAYLOAD, "gzip: it is damaged");
}

/* A hundred million zeros in a few kilobytes, with a promise of twenty thousand: no more is unpacked than there is room
 * for. */
static void bombs(void **state)
{
	enum { BOMB = 24 << 20 };
	uint8_t *zeros = calloc(1, BOMB);
	size_t used = 0;

	(void)state;
	assert_non_null(zeros);
	assert_int_equal(
		lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, zeros, BOMB, payload(), &used, FILE_BYTES / 2),
		LZMA_OK);
	end_bzimage(used + 4);
	promise(KERNEL_BYTES);
	expect(CHAIN_E_LINUX_PAYLOAD, "XZ: it grows past its promise");
	used = ZSTD_compress(payload(), FILE_BYTES / 2, zeros, BOMB, 1);
	assert_false(ZSTD_isError(used));
	end_bzimage(used + 4);
	promise(KERNEL_BYTES);
	expect(CHAIN_E_LINUX_PAYLOAD, "zstd: it grows past its promise");
	free(zeros);
}

/* Every fourth byte or bit; sanitizers take their time: with them, every eleventh. */
#ifdef __SANITIZE_ADDRESS__
enum { EACH = 11 };
#else
enum { EACH = 4 };
#endif

static void cut_anywhere(void **state)
{
	static uint8_t packed[FILE_BYTES];

	(void)state;
	for (size_t i = 0; i < PACKERS; i++) {
		make_bzimage(&packers[i]);
		const size_t whole = payload_bytes;

		memcpy(packed, payload(), whole);
		for (size_t bytes = 8; bytes < whole; bytes += EACH) {
			struct chain_error err;

			memcpy(payload(), packed, whole);
			end_bzimage(bytes);
			promise(KERNEL_BYTES);
			const enum chain_status got = unpack(NULL, &err);

			if (got != CHAIN_E_LINUX_PAYLOAD)
				fail_msg("%s, %zu of %zu bytes: %s", packers[i].name, bytes, whole,
					 chain_status_slug(got));
			if (bytes > whole / 2 && bytes < whole - 64 && packers[i].trailer &&
			    !strstr(err.detail, "cut short") && !strstr(err.detail, "less comes out"))
				fail_msg("%s, %zu of %zu bytes: %s", packers[i].name, bytes, whole, err.detail);
		}
	}
}

/* The whole of it or nothing; never more bytes than promised, whatever is turned over. */
static void bits_flipped(void **state)
{
	(void)state;
	for (size_t i = 0; i < PACKERS; i++) {
		make_bzimage(&packers[i]);
		for (size_t bit = 0; bit < payload_bytes * 8; bit += packers[i].checked ? EACH : 3 * EACH) {
			struct chain_error err;
			uint8_t *out;

			payload()[bit / 8] ^= (uint8_t)(1 << bit % 8);
			const enum chain_status got = unpack(&out, &err);

			if (got == CHAIN_OK && out && packers[i].checked)
				assert_memory_equal(out, kernel, KERNEL_BYTES);
			if (got != CHAIN_OK && got != CHAIN_E_LINUX_PAYLOAD && got != CHAIN_E_LINUX_HEADER &&
			    got != CHAIN_E_LIMIT)
				fail_msg("%s, bit %zu: %s", packers[i].name, bit, chain_status_slug(got));
			free(out);
			payload()[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void headers_that_lie(void **state)
{
	struct linux_payload found;
	struct chain_error err;

	(void)state;
	make_bzimage(&packers[0]);
	put32(file + CHAIN_LINUX_PAYLOAD_OFFSET, STUB + 65);
	expect(CHAIN_E_LINUX_HEADER, "the end of the payload");
	put32(file + CHAIN_LINUX_PAYLOAD_OFFSET, UINT32_MAX);
	expect(CHAIN_E_LINUX_HEADER, "the end of the payload");
	put32(file + CHAIN_LINUX_PAYLOAD_OFFSET, STUB);
	put32(file + CHAIN_LINUX_PAYLOAD_LENGTH, UINT32_MAX);
	expect(CHAIN_E_LINUX_HEADER, "the end of the payload");
	put32(file + CHAIN_LINUX_PAYLOAD_LENGTH, 7);
	expect(CHAIN_E_LINUX_HEADER, "the size of the payload");
	make_bzimage(&packers[0]);
	memcpy(payload(), "\0\1\2\3", 4);
	expect(CHAIN_E_LINUX_PAYLOAD, "unknown: it begins like nothing that is known");
	make_bzimage(&packers[0]);
	file[CHAIN_LINUX_LOADFLAGS] = 0;
	expect(CHAIN_E_LINUX_REAL_MODE, "");
	for (size_t i = 0; i < 2; i++) { /* there is no library for these */
		memcpy(payload(), i ? "BZh9" : "\x89LZO", 4);
		file[CHAIN_LINUX_LOADFLAGS] = CHAIN_LINUX_LOADED_HIGH;
		assert_int_equal(linux_payload_find(file, file_bytes, "k", &found, &err), CHAIN_OK);
		assert_false(linux_payload_can_unpack(&found));
	}
	static const struct {
		size_t at, bytes;
		uint64_t value;
	} none[] = { { CHAIN_LINUX_PAYLOAD_LENGTH, 4, 0 },
		     { CHAIN_LINUX_VERSION, 2, 0x207 },
		     { CHAIN_LINUX_XLOADFLAGS, 2, 0 } };

	for (size_t i = 0; i < 3; i++) {
		make_bzimage(&packers[0]);
		memcpy(file + none[i].at, &none[i].value, none[i].bytes);
		if (none[i].at == CHAIN_LINUX_VERSION)
			put32(file + CHAIN_LINUX_ALIGNMENT, 0x200000);
		assert_int_equal(linux_payload_find(file, file_bytes, "k", &found, &err), CHAIN_OK);
		assert_null(found.packing);
	}
}

static void bytes_behind_and_no_kernel(void **state)
{
	(void)state;
	for (size_t i = 1; i < PACKERS; i++) {
		char text[64];

		if (!packers[i].trailer)
			continue;
		make_bzimage(&packers[i]);
		const size_t used = payload_bytes - 4;

		memset(payload() + used, 0, 8);
		end_bzimage(used + 8);
		promise(KERNEL_BYTES);
		(void)snprintf(text, sizeof(text), "%s: something lies behind its end", packers[i].name);
		expect(CHAIN_E_LINUX_PAYLOAD, text);
	}
	kernel[1] = 'M';
	make_bzimage(&packers[2]);
	expect(CHAIN_E_LINUX_PAYLOAD, "XZ: what comes out is no ELF file");
	kernel[1] = 'E';
}

/* --- which of them a bake unpacks --- */

static enum chain_status bake(const char *steps, char *out_kind, size_t room, struct chain_error *err)
{
	char text[2048], input[256], output[256], stage[256];

	(void)snprintf(text, sizeof(text),
		       "{\"kchain\":1,\"name\":\"x\",\"files\":{\"/k\":\"k\",\"/other\":\"other\"},\"steps\":[%s]}",
		       steps);
	put("in/k", file, file_bytes);
	put("in/p.json", text, strlen(text));
	(void)snprintf(input, sizeof(input), "%s", at("in/p.json"));
	(void)snprintf(output, sizeof(output), "%s", at("out/image.elf"));
	(void)snprintf(stage, sizeof(stage), "%s", at("stage.elf"));
	struct bake_job job = { .input = input, .output = output, .stage = stage, .base = CHAIN_BAKE_BASE };
	const enum chain_status status = bake_job_run(&job, err);

	if (status == CHAIN_OK)
		(void)snprintf(out_kind, room, "%s", job.steps[0].kind);
	bake_job_free(&job);
	return status;
}

static void expect_baked(const char *steps, const char *kind)
{
	const bool unpacked = strcmp(kind, "linux") != 0;
	struct chain_error err = { 0 };
	struct chain_image image;
	struct cmd_file baked;
	const uint8_t *bytes;
	uint64_t count;
	char found[64];

	if (bake(steps, found, sizeof(found), &err) != CHAIN_OK)
		fail_msg("%s: %s: %s %s", steps, chain_status_slug(err.status), err.subject, err.detail);
	if (strcmp(found, kind) != 0)
		fail_msg("%s: %s", steps, found);
	assert_int_equal(cmd_file_load(at("out/image.elf"), 0, &baked, &err), CHAIN_OK);
	assert_int_equal(chain_image_open(&image, baked.bytes, baked.bytes_count, &err), CHAIN_OK);
	assert_int_equal(chain_image_verify(&image, NULL, NULL, &err), CHAIN_OK);
	assert_int_equal(chain_image_file(&image, "/k", &bytes, &count, NULL, &err), CHAIN_OK);
	assert_int_equal(count, unpacked ? KERNEL_BYTES : file_bytes);
	assert_memory_equal(bytes, unpacked ? kernel : file, count);
	cmd_file_free(&baked);
	assert_int_equal(unlink(at("out/image.elf")), 0);
}

static void steps_decide(void **state)
{
	static const char boot[] = "{\"name\":\"a\",\"boot\":\"fs:/k\"}";
	char pinned[256], hex[CHAIN_SHA256_HEX + 1];
	uint8_t digest[CHAIN_SHA256_BYTES];

	(void)state;
	make_bzimage(&packers[2]);
	expect_baked(boot, "linux, unpacked");
	expect_baked("{\"name\":\"a\",\"boot\":\"fs:/k\",\"kaslr\":true}", "linux");
	expect_baked("{\"name\":\"a\",\"boot\":\"fs:/k\",\"kaslr\":false}", "linux, unpacked");
	expect_baked("{\"name\":\"a\",\"boot\":\"fs:/k\",\"on_error\":{\"boot\":\"fs:/k\",\"kaslr\":true}}", "linux");
	expect_baked("{\"name\":\"a\",\"boot\":\"fs:/k\",\"modules\":[{\"from\":\"fs:/k\"}]}", "linux");
	chain_sha256_of(file, file_bytes, digest);
	chain_sha256_to_hex(digest, hex);
	(void)snprintf(pinned, sizeof(pinned), "{\"name\":\"a\",\"boot\":\"fs:/k\",\"sha256\":\"%s\"}", hex);
	expect_baked(pinned, "linux");
	make_bzimage(&packers[0]); /* LZ4 */
	expect_baked(boot, "linux");
	expect_baked("{\"name\":\"a\",\"boot\":\"fs:/k\",\"kaslr\":false}", "linux, unpacked");
	make_kernel(0x102); /* nothing says that it is Linux */
	make_bzimage(&packers[2]);
	expect_baked(boot, "linux");
	make_kernel(0x101);
}

static void refusals_leave_nothing(void **state)
{
	struct chain_error err = { 0 };
	char kind[64];

	(void)state;
	make_bzimage(&packers[2]);
	payload()[100] ^= 1;
	assert_int_equal(bake("{\"name\":\"a\",\"boot\":\"fs:/k\"}", kind, sizeof(kind), &err), CHAIN_E_LINUX_PAYLOAD);
	assert_string_equal(err.detail, "XZ: it is damaged");
	assert_string_equal(err.subject, "fs:/k");
	assert_int_equal(entries("out"), 2);
	expect_baked("{\"name\":\"a\",\"boot\":\"fs:/k\",\"kaslr\":true}", "linux");
	assert_int_equal(bake("{\"name\":\"a\",\"boot\":\"fs:/other\",\"kaslr\":true}", kind, sizeof(kind), &err),
			 CHAIN_E_CONFIG_KASLR);
	assert_int_equal(bake("{\"name\":\"a\",\"call\":\"fs:/k\",\"kaslr\":true}", kind, sizeof(kind), &err),
			 CHAIN_E_CONFIG_KIND);
	assert_int_equal(entries("out"), 2);
}

static int make(void **state)
{
	(void)state;
	make_kernel(0x101);
	return folder_make("in/d", "in/other") ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packing_unpacks),
		cmocka_unit_test(promises_that_are_not_kept),
		cmocka_unit_test(bombs),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(bits_flipped),
		cmocka_unit_test(headers_that_lie),
		cmocka_unit_test(bytes_behind_and_no_kernel),
		cmocka_unit_test(steps_decide),
		cmocka_unit_test(refusals_leave_nothing),
	};

	return cmocka_run_group_tests(tests, make, folder_remove);
}
