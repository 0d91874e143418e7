/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The machine of an isolated kernel, without a processor that could isolate one. */

#include "stage/dispatch/svm/svm_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "svm_ports.h"

enum { COM1 = 0x3f8, LINE = COM1 + 3, MODEM = COM1 + 4, STATUS = COM1 + 5, DEBUG_PORT = 0xe9, ALL_ONES = -1 };

uint64_t stage_rdtsc(void)
{
	return 12345;
}

/* Its clock has no use for the machine's ports once it is made. */
void stage_outb(uint16_t port, uint8_t value)
{
	fail_msg("0x%x is written to port 0x%x", value, port);
}

uint8_t stage_inb(uint16_t port)
{
	fail_msg("port 0x%x is read", port);
	return 0;
}

static const struct svm_clocks clocks = { .tsc_khz = 1000000, .has_time = true };

static char text[4096];
static size_t text_bytes, pieces;

static void take_text(void *ctx, const char *bytes, uint64_t count)
{
	(void)ctx;
	assert_true(count > 0 && text_bytes + count < sizeof(text));
	memcpy(text + text_bytes, bytes, count);
	text_bytes += count;
	text[text_bytes] = '\0';
	pieces++;
}

static struct svm_machine *machine(void)
{
	static struct svm_machine m;
	memset(&m, 0xee, sizeof(m)); /* whatever ran before */
	m.write = take_text;
	m.ctx = NULL;
	m.clocks = &clocks;
	svm_machine_reset(&m);
	text_bytes = pieces = 0;
	text[0] = '\0';
	return &m;
}

static enum svm_verdict say(struct svm_machine *m, uint16_t port, const char *what)
{
	enum svm_verdict verdict = SVM_GO_ON;
	for (; *what && verdict == SVM_GO_ON; what++)
		verdict = out(m, port, 1, (uint8_t)*what);
	assert_true(!*what);
	return verdict;
}

static void a_serial_line_is_handed_on_whole(void **state)
{
	struct svm_machine *m = machine();
	(void)state;
	say(m, COM1, "one");
	assert_int_equal(pieces, 0);
	say(m, COM1, "\ntwo");
	assert_string_equal(text, "one\n");
	svm_machine_flush(m);
	assert_string_equal(text, "one\ntwo");
	svm_machine_flush(m);
	assert_int_equal(pieces, 2);
	for (int i = 0; i < 3 * SVM_TEXT_BYTES; i++)
		say(m, COM1, "x");
	assert_int_equal(text_bytes, 7 + 3 * SVM_TEXT_BYTES);
}

static void a_driver_finds_a_16550(void **state)
{
	struct svm_machine *m = machine();
	(void)state;
	out(m, COM1 + 7, 1, 0x5a); /* scratch */
	assert_int_equal(in(m, COM1 + 7, 1), 0x5a);
	out(m, LINE, 1, 0x83); /* the divisor is not text */
	out(m, COM1, 1, 1);
	out(m, COM1 + 1, 1, 2);
	assert_int_equal(in(m, COM1, 1) | in(m, COM1 + 1, 1) << 8, 0x201);
	out(m, LINE, 1, 3);
	assert_int_equal(in(m, STATUS, 1), 0x60);
	out(m, MODEM, 1, 0x1e); /* loopback */
	out(m, COM1, 1, 0xae);
	assert_int_equal(in(m, STATUS, 1), 0x61);
	assert_int_equal(in(m, COM1, 1), 0xae);
	assert_int_equal(in(m, STATUS, 1), 0x60);
	out(m, MODEM, 1, 0x0f);
	svm_machine_flush(m);
	assert_int_equal(text_bytes, 0);
	assert_int_equal(in(m, 0x2f8, 1), 0xff); /* no second one */
	assert_int_equal(in(m, 0x400, 1), 0xff);
}

static void nobody_answers_elsewhere(void **state)
{
	struct svm_machine *m = machine();
	(void)state;
	assert_int_equal(in(m, 0x80, 1), 0xff);
	assert_int_equal(in(m, 0xcf8, 2), 0xffff);
	assert_int_equal(in(m, 0xcfc, 4), 0xffffffff);
	assert_int_equal(in(m, 0xffff, 4), 0xffffffff);
	assert_int_equal(out(m, 0xffff, 4, 0), SVM_GO_ON);
	assert_int_equal(in(m, DEBUG_PORT, 1), 0xe9);
}

static void what_is_not_there_is_named(void **state)
{
	static const struct {
		uint16_t port;
		const char *name;
	} rows[] = {
		{ 0x60, "the keyboard controller" },
		{ 0x64, "the keyboard controller" },
	};
	(void)state;
	assert_int_equal(out(machine(), 0x71, 1, 0), SVM_NEEDS);
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		struct svm_machine *m = machine();
		uint32_t value = 0;
		assert_int_equal(svm_machine_port(m, i % 2, rows[i / 2].port, 1, &value), SVM_NEEDS);
		assert_string_equal(m->what, rows[i / 2].name);
	}
	assert_string_equal(svm_device_at(0xfee00020), "the local APIC");
	assert_string_equal(svm_device_at(0xfec00000), "the I/O APIC");
	assert_string_equal(svm_device_at(0xfed000f0), "the HPET");
	assert_null(svm_device_at(0xfee01000));
	assert_null(svm_device_at(0));
}

static void exit_port_and_power(void **state)
{
	static const struct {
		uint16_t port;
		unsigned bytes;
		uint32_t value;
		enum stage_call_outcome outcome;
		uint8_t exit;
	} rows[] = {
		{ 0xf4, 4, 0x10, STAGE_CALL_EXITED, 0 },   { 0xf4, 1, 0, STAGE_CALL_EXITED, 0 },
		{ 0xf4, 4, 7, STAGE_CALL_EXITED, 7 },      { 0xf4, 4, 0x100, STAGE_CALL_EXITED, 255 },
		{ 0xf4, 1, 0xaa10, STAGE_CALL_EXITED, 0 }, { 0x604, 2, 0x2000, STAGE_CALL_HALTED, 0 },
		{ 0xcf9, 1, 6, STAGE_CALL_FAULTED, 0 },    { 0x64, 1, 0xfe, STAGE_CALL_FAULTED, 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct svm_machine *m = machine();
		assert_int_equal(out(m, rows[i].port, rows[i].bytes, rows[i].value), SVM_ENDED);
		assert_int_equal(m->outcome, rows[i].outcome);
		assert_int_equal(m->exit, rows[i].exit);
		assert_true((m->what != NULL) == (rows[i].outcome != STAGE_CALL_EXITED));
	}
	assert_int_equal(out(machine(), 0x604, 2, 1), SVM_GO_ON);
	assert_int_equal(out(machine(), 0xcf9, 1, 2), SVM_GO_ON);
}

static void expect_exit(const char *line, int status, const char *result)
{
	struct svm_machine *m = machine();
	enum svm_verdict verdict = say(m, DEBUG_PORT, line);
	if (status < 0) {
		assert_int_equal(verdict, SVM_GO_ON);
		return;
	}
	assert_int_equal(verdict, SVM_ENDED);
	assert_int_equal(m->outcome, STAGE_CALL_EXITED);
	assert_int_equal(m->exit, status);
	assert_int_equal(m->result_bytes, strlen(result));
	assert_memory_equal(m->record + m->result_at, result, strlen(result));
}

static void exit_records(void **state)
{
	(void)state;
	expect_exit("{\"event\":\"exit\",\"status\":0}\n", 0, "");
	expect_exit("{\"event\":\"exit\",\"status\":7,\"result\":{\"a\":1}}\r\n", 7, "{\"a\":1}");
	expect_exit("{ \"event\" : \"exit\" , \"status\" : 12 , \"result\" : [1, 2]}\n", 12, "[1, 2]");
	expect_exit("text first\n{\"event\":\"entered\"}\n{\"event\":\"exit\",\"status\":300}\n", 255, "");
	expect_exit("{\"event\":\"exit\",\"status\":1,\"result\":}\n", 1, "");
	expect_exit("{\"event\":\"exit\",\"status\":1,\"result\":\n", -1, NULL);
	expect_exit("{\"event\":\"exit\",\"status\":}\n", -1, NULL);
	expect_exit("{\"event\":\"exit\",\"status\":-1}\n", -1, NULL);
	expect_exit("{\"event\":\"exit\",\"status\":99999999999999999999}\n", -1, NULL);
	expect_exit("{\"event\":\"exit\",\"status\":1,\"other\":2}\n", -1, NULL);
	expect_exit("{\"event\":\"exited\",\"status\":1}\n", -1, NULL);
	expect_exit("{\"status\":1,\"event\":\"exit\"}\n", -1, NULL);
	expect_exit("{\n{\"event\n\n{}\n", -1, NULL);
	expect_exit("{\"event\":\"exit\",\"status\":0}", -1, NULL);    /* not yet whole */
	expect_exit(" {\"event\":\"exit\",\"status\":0}\n", -1, NULL); /* text */
	assert_string_equal(text, " {\"event\":\"exit\",\"status\":0}\n");
}

/* Cut anywhere, a record is no exit; whole it is one. */
static void a_record_is_cut_anywhere(void **state)
{
	static const char whole[] = "{\"event\": \"exit\", \"status\": 5, \"result\": \"x\"}";
	char cut[sizeof(whole) + 1];
	(void)state;
	for (size_t i = 0; i < sizeof(whole); i++) {
		struct svm_machine *m = machine();
		memcpy(cut, whole, i);
		strcpy(cut + i, "\n");
		enum svm_verdict verdict = say(m, DEBUG_PORT, cut);
		assert_int_equal(verdict, i == sizeof(whole) - 1 ? SVM_ENDED : SVM_GO_ON);
	}
}

static void a_long_record_is_reported_by_its_size(void **state)
{
	static const char head[] = "{\"event\":\"exit\",\"status\":0,\"result\":\"";
	static const unsigned sizes[] = { STAGE_CALL_MAILBOX_BYTES - 2, STAGE_CALL_MAILBOX_BYTES - 1, SVM_RECORD_BYTES,
					  5 * SVM_RECORD_BYTES };
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct svm_machine *m = machine();
		say(m, DEBUG_PORT, head);
		for (unsigned b = 0; b < sizes[i]; b++)
			out(m, DEBUG_PORT, 1, 'x');
		assert_int_equal(say(m, DEBUG_PORT, "\"}\n"), SVM_ENDED);
		assert_int_equal(m->result_bytes, sizes[i] + 2);
		if (m->result_bytes <= STAGE_CALL_MAILBOX_BYTES)
			assert_true(m->result_at + m->result_bytes <= sizeof(m->record) &&
				    m->record[m->result_at + m->result_bytes - 1] == '"');
	}
}

static void the_screen_is_shown_when_nothing_else_was_said(void **state)
{
	uint16_t cells[80 * 25] = { 0 };
	struct svm_machine *m = machine();
	(void)state;
	for (int i = 0; i < 80; i++)
		cells[i] = 0x0720;
	cells[80 + 2] = 0x0741;
	cells[80 + 3] = 0x07b0; /* a box drawing character */
	cells[80 + 4] = 0x0742;
	cells[24 * 80 + 79] = 0x0743;
	svm_machine_screen(m, cells);
	char wanted[128] = "  A B\n";
	memset(wanted + 6, ' ', 79);
	strcpy(wanted + 85, "C\n");
	assert_string_equal(text, wanted);
	m = machine();
	say(m, COM1, "said\n");
	svm_machine_screen(m, cells);
	assert_string_equal(text, "said\n");
}

static void any_port_with_any_value(void **state)
{
	struct svm_machine *m = machine();
	uint32_t seed = 1, ends = 0;
	(void)state;
	for (int i = 0; i < 300000; i++) {
		static const unsigned sizes[] = { 1, 2, 4 };
		seed = seed * 1664525 + 1013904223;
		uint32_t value = seed ^ seed >> 13;
		uint16_t port = (uint16_t)(seed % 3 ? seed >> 8 : seed % 5 ? 0xe9 : 0x3f8 + (seed >> 20) % 8);
		if (port == 0xe9 && seed >> 30)
			value = (uint8_t) "{\"event:xit}, \n"[(seed >> 16) % 15];
		if (svm_machine_port(m, seed >> 31, port, sizes[(seed >> 10) % 3], &value) == SVM_ENDED) {
			ends++;
			m = machine();
		}
		text_bytes = 0;
		assert_true(m->text_bytes < SVM_TEXT_BYTES);
	}
	assert_true(ends > 0);
}

/* What kernels do to 8259s before anything else: port and value, in turn; the masks that are read afterwards. */
static void interrupt_controllers_can_be_masked_and_initialised(void **state)
{
	static const struct {
		const char *name;
		struct {
			uint16_t port;
			uint8_t value;
		} words[12];
		size_t count;
		uint32_t masks;
	} rows[] = {
		{ "at first", { { 0 } }, 0, 0xffff },
		{ "masked", { { 0x21, 0xff }, { 0xa1, 0xff } }, 2, 0xffff },
		{ "the cascade alone", { { 0x21, 0xfb }, { 0xa1, 0xff } }, 2, 0xfffb },
		{ "initialised, masks as they were",
		  { { 0x20, 0x11 },
		    { 0xa0, 0x11 },
		    { 0x21, 0x20 },
		    { 0xa1, 0x28 },
		    { 0x21, 4 },
		    { 0xa1, 2 },
		    { 0x21, 1 },
		    { 0xa1, 1 },
		    { 0x21, 0xff },
		    { 0xa1, 0xff } },
		  10,
		  0xffff },
		{ "one after the other",
		  { { 0x20, 0x11 },
		    { 0x21, 0 },
		    { 0x21, 4 },
		    { 0x21, 1 },
		    { 0xa0, 0x11 },
		    { 0xa1, 0 },
		    { 0xa1, 2 },
		    { 0xa1, 1 } },
		  8,
		  0xffff },
		{ "without a fourth word", { { 0x20, 0x10 }, { 0x21, 0 }, { 0x21, 0 }, { 0x21, 0xfb } }, 4, 0xfffb },
		{ "single, two words", { { 0x20, 0x12 }, { 0x21, 0 }, { 0x21, 0xfb } }, 3, 0xfffb },
		{ "single, three words", { { 0x20, 0x13 }, { 0x21, 0 }, { 0x21, 0 }, { 0x21, 0xfb } }, 4, 0xfffb },
		{ "anew in the middle",
		  { { 0x20, 0x11 },
		    { 0x21, 0 },
		    { 0x20, 0x11 },
		    { 0x21, 0 },
		    { 0x21, 0 },
		    { 0x21, 0 },
		    { 0x21, 0xff } },
		  7,
		  0xffff },
		{ "ends of interrupts, and what is asked for",
		  { { 0x20, 0x20 }, { 0xa0, 0x20 }, { 0x20, 0x60 }, { 0x20, 0x0a }, { 0xa0, 0x0b }, { 0x20, 0x0c } },
		  6,
		  0xffff },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct svm_machine *m = machine();
		for (size_t w = 0; w < rows[i].count; w++)
			assert_int_equal(out(m, rows[i].words[w].port, 1, rows[i].words[w].value), SVM_GO_ON);
		assert_int_equal(in(m, 0x21, 1) | in(m, 0xa1, 1) << 8, rows[i].masks);
		assert_int_equal(in(m, 0x20, 1) | in(m, 0xa0, 1), 0);
	}
}

/* Any mask is taken. The second one's lines come by the first one's line 2, which is none of its own. */
static void any_mask_is_taken_and_its_lines_are_known(void **state)
{
	(void)state;
	struct svm_machine *m = machine();
	assert_int_equal(svm_machine_lines(m), 0);
	for (unsigned mask = 0; mask < 65536; mask++) {
		assert_int_equal(out(m, 0x21, 1, (uint8_t)mask), SVM_GO_ON);
		assert_int_equal(out(m, 0xa1, 1, mask >> 8), SVM_GO_ON);
		assert_int_equal(in(m, 0x21, 1) | in(m, 0xa1, 1) << 8, mask);
		unsigned open = ~mask & 0xffff;
		assert_int_equal(svm_machine_lines(m), (open & 4 ? open : open & 0xff) & ~4u);
	}
	assert_int_equal(out(machine(), 0x20, 2, 0xff11), SVM_NEEDS);
}

static void a_screen_has_a_cursor(void **state)
{
	struct svm_machine *m = machine();
	(void)state;
	out(m, 0x3d4, 1, 14);
	assert_int_equal(in(m, 0x3d5, 1), 0);
	out(m, 0x3d5, 1, 7);
	out(m, 0x3d4, 2, 0xd0 << 8 | 15);
	out(m, 0x3d4, 1, 14);
	assert_int_equal(in(m, 0x3d5, 1), 7);
	out(m, 0x3d4, 1, 15);
	assert_int_equal(in(m, 0x3d5, 1), 0xd0);
	assert_int_equal(in(m, 0x3d4, 1), 15);
	for (unsigned index = 0; index < 256; index++) { /* nothing else is kept */
		out(m, 0x3d4, 1, index);
		if (index / 2 != 7)
			out(m, 0x3d5, 1, 0);
		assert_int_equal(in(m, 0x3d5, 1), index == 14 ? 7 : index == 15 ? 0xd0 : 0xff);
	}
}

static struct stage_cpuid shown(uint32_t leaf, uint32_t sub, uint32_t everywhere)
{
	const struct svm_cpuid_view view = { .os_xsave = false, .tsc_khz = 2400000, .xcr0 = 7 };
	return svm_cpuid(leaf, sub, (struct stage_cpuid){ everywhere, everywhere, everywhere, everywhere }, &view);
}

static void cpuid_hides_what_is_not_there(void **state)
{
	const struct svm_cpuid_view saved = { .os_xsave = true };
	(void)state;
	struct stage_cpuid r = shown(1, 0, UINT32_MAX);
	assert_int_equal(r.c & (1 << 3 | 1 << 5 | 1 << 21 | 1 << 24 | 1 << 27), 0);
	assert_int_equal(r.d & (1 << 7 | 1 << 9 | 1 << 12 | 1 << 14), 0);
	assert_int_equal(r.b >> 16, 1);
	assert_true(r.c & 1 << 28 && r.d & 1 << 26); /* AVX, SSE2 */
	assert_true(svm_cpuid(1, 0, r, &saved).c & 1 << 27);
	assert_true(shown(1, 0, 0).c >> 31);
	r = shown(0x80000001, 0, UINT32_MAX);
	assert_int_equal(r.c & (1 << 2 | 1 << 12), 0);
	assert_true(r.d & 1 << 29); /* 64-bit mode */
	r = shown(0x40000000, 0, UINT32_MAX);
	assert_memory_equal(&r.b, "TCGTCGTCGTCG", 12);
	assert_true(r.a >= 0x40000010);
	assert_int_equal(shown(0x40000010, 0, UINT32_MAX).a, 2400000);
	assert_int_equal(shown(0x40000001, 0, UINT32_MAX).a, 0);
}

/* Of a processor that has everything: state that is not reset between kernels, and what is done by MSRs, can't be seen.
 */
static void cpuid_shows_no_state_that_is_kept(void **state)
{
	/* PKU, shadow stacks, waiting, keys, supervisor keys; MPX, AVX-512, Intel PT, SGX; indirect branch tracking,
	 * AMX, user interrupts. */
	static const struct {
		unsigned word, bit;
	} absent[] = {
		{ 2, 3 },  { 2, 4 },  { 2, 5 },  { 2, 7 },  { 2, 23 }, { 2, 31 }, { 1, 2 },
		{ 1, 14 }, { 1, 16 }, { 1, 17 }, { 1, 25 }, { 1, 31 }, { 3, 5 },  { 3, 19 },
		{ 3, 20 }, { 3, 22 }, { 3, 24 }, { 3, 25 }, { 3, 26 }, { 3, 31 },
	};
	static const uint32_t empty[] = { 3,          5,          6,          8,          9,          0xa,
					  0xb,        0xc,        0xf,        0x10,       0x12,       0x14,
					  0x18,       0x19,       0x1b,       0x1c,       0x1d,       0x1e,
					  0x1f,       0x24,       0x8000000a, 0x80000009, 0x8000001b, 0x8000001c,
					  0x8000001e, 0x8000001f, 0x80000020, 0x80000021, 0x80000022, 0x20000000,
					  0x60000000, 0xc0000001, UINT32_MAX };
	(void)state;
	struct stage_cpuid r = shown(7, 0, UINT32_MAX);
	const uint32_t words[] = { r.a, r.b, r.c, r.d };
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		assert_false(words[absent[i].word] >> absent[i].bit & 1);
	assert_true(r.b & 1 << 5 && r.c & 1 << 22 && !r.a); /* AVX2, RDPID, no further leaf */
	r = shown(7, 1, UINT32_MAX);
	assert_int_equal(r.a | r.b | r.c | r.d, 0);
	r = shown(0xd, 0, UINT32_MAX);
	assert_true(r.a == 7 && !r.d);
	r = shown(0xd, 1, UINT32_MAX);
	assert_true(r.a == 7 && !r.c && !r.d); /* no supervisor state */
	for (uint32_t part = 2; part < 70; part++)
		assert_true((shown(0xd, part, UINT32_MAX).a != 0) == (part == 2));
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		r = shown(empty[i], 0, UINT32_MAX);
		assert_int_equal(r.a | r.b | r.c | r.d, 0);
	}
	r = shown(0x80000008, 0, UINT32_MAX);
	assert_int_equal((r.b & (1 << 3 | 1 << 4 | 1 << 8 | 1 << 9)) | r.c | r.d,
			 0); /* INVLPGB, RDPRU, MCOMMIT, WBNOINVD; processors */
	r = shown(0x80000001, 0, UINT32_MAX);
	assert_int_equal((r.c & (1 << 15 | 1 << 23 | 1 << 26 | 1 << 29)) | (r.d & 1 << 25),
			 0); /* LWP, counters, breakpoints, MONITORX, FFXSR */
}

static enum svm_verdict msr(struct svm_machine *m, bool write, uint32_t number, uint64_t *value, uint64_t *efer,
			    uint64_t *pat)
{
	return svm_msr(m, write, number, value, false, efer, pat);
}

static void msrs(void **state)
{
	struct svm_machine *m = machine();
	uint64_t efer = 0x1000, pat = 0x0007040600070406, value;
	(void)state;
	assert_int_equal(msr(m, false, 0xc0000080, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(value, 0); /* SVME is not shown */
	value = 0x901;              /* SCE, LME, NXE */
	assert_int_equal(msr(m, true, 0xc0000080, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(efer, 0x1901);
	efer |= 0x400; /* the processor sets LMA, and only it takes it away */
	value = 0x100;
	assert_int_equal(msr(m, true, 0xc0000080, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(efer, 0x1500);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t kept = efer;
		value = 1ull << bit;
		bool allowed = bit == 0 || bit == 8 || bit == 10 || bit == 11;
		assert_int_equal(msr(m, true, 0xc0000080, &value, &efer, &pat), allowed ? SVM_GO_ON : SVM_NEEDS);
		assert_true(efer & 0x1000 && (allowed || efer == kept));
	}
	value = 0x0007040600070401;
	assert_int_equal(msr(m, true, 0x277, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(pat, value);
	value = 0x0007040600070402; /* a type that does not exist */
	assert_int_equal(msr(m, true, 0x277, &value, &efer, &pat), SVM_NEEDS);
	assert_int_equal(msr(m, false, 0x277, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(value, 0x0007040600070401);
	assert_int_equal(msr(m, false, 0x10, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(value, 12345);
	assert_int_equal(msr(m, true, 0x10, &value, &efer, &pat), SVM_NEEDS);
}

/* As on any processor (APM 14.6.1): VMRUN would refuse what came of it. */
static void long_mode_is_not_turned_on_or_off_under_paging(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		uint64_t efer = 0x1000 | (i & 1 ? 0x100 : 0), before = efer, pat = 0, value = i & 2 ? 0x100 : 0;
		bool paging = i & 4, changed = (i & 1) != (i >> 1 & 1);
		assert_int_equal(svm_msr(machine(), true, 0xc0000080, &value, paging, &efer, &pat),
				 paging && changed ? SVM_PROTECTION : SVM_GO_ON);
		assert_int_equal(efer, paging && changed ? before : 0x1000 | value);
	}
}

/* It is there, of the first processor, turned off, as CPUID says. Left so it is taken; turned on it is named. */
static void the_local_apic_is_off(void **state)
{
	static const uint64_t refused[] = { 0, 0xfee00900, 0xfee00d00, 0xfee00000, 0xfec00100, 0x1fee00100 };
	uint64_t efer = 0x1000, pat = 0, value = 0;
	(void)state;
	struct svm_machine *m = machine();
	assert_int_equal(msr(m, false, 0x1b, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(value, 0xfee00100);
	assert_int_equal(shown(1, 0, UINT32_MAX).d >> 9 & 1, value >> 11 & 1);
	assert_int_equal(msr(m, true, 0x1b, &value, &efer, &pat), SVM_GO_ON);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		value = refused[i];
		assert_int_equal(msr(m, true, 0x1b, &value, &efer, &pat), SVM_NEEDS);
		assert_string_equal(m->what, "the local APIC, MSR");
	}
}

/* Every number in the three ranges of the permission map and around them: either the processor keeps one for each
 * guest, or it is one of those above, or nothing of it is read or written. */
static void every_other_msr_is_refused(void **state)
{
	static const uint32_t bases[] = { 0, 0xc0000000, 0xc0010000 };
	static const uint32_t own[] = { 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
					0xc0000101, 0xc0000102, 0x174,      0x175,      0x176 };
	static uint8_t map[8192];
	struct svm_machine *m = machine();
	size_t passed = 0;
	(void)state;
	memset(map, 0xff, sizeof(map));
	svm_msr_let_pass(map);
	for (size_t r = 0; r < 3; r++)
		for (uint32_t i = 0; i < 0x4000; i++) {
			uint32_t number = bases[r] + i;
			int bits = i < 0x2000 ? map[r * 0x800 + i / 4] >> i % 4 * 2 & 3 :
						3; /* beyond a range there is always an exit */
			bool known = number == 0x10 || number == 0x1b || number == 0x277 || number == 0xc0000080,
			     kept = false;
			for (size_t o = 0; o < sizeof(own) / sizeof(own[0]); o++)
				kept = kept || own[o] == number;
			assert_int_equal(bits, kept ? 0 : 3);
			passed += kept;
			for (unsigned write = 0; !known && write < 2; write++) {
				uint64_t efer = 0x1000, pat = 1, value = 0x5a5a;
				assert_int_equal(msr(m, write, number, &value, &efer, &pat), SVM_NEEDS);
				assert_true(efer == 0x1000 && pat == 1 && value == 0x5a5a);
			}
		}
	assert_int_equal(passed, sizeof(own) / sizeof(own[0]));
	for (size_t i = 0x1800; i < sizeof(map); i++)
		assert_int_equal(map[i], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_serial_line_is_handed_on_whole),
		cmocka_unit_test(a_driver_finds_a_16550),
		cmocka_unit_test(nobody_answers_elsewhere),
		cmocka_unit_test(what_is_not_there_is_named),
		cmocka_unit_test(exit_port_and_power),
		cmocka_unit_test(exit_records),
		cmocka_unit_test(a_record_is_cut_anywhere),
		cmocka_unit_test(a_long_record_is_reported_by_its_size),
		cmocka_unit_test(the_screen_is_shown_when_nothing_else_was_said),
		cmocka_unit_test(any_port_with_any_value),
		cmocka_unit_test(interrupt_controllers_can_be_masked_and_initialised),
		cmocka_unit_test(any_mask_is_taken_and_its_lines_are_known),
		cmocka_unit_test(a_screen_has_a_cursor),
		cmocka_unit_test(cpuid_hides_what_is_not_there),
		cmocka_unit_test(cpuid_shows_no_state_that_is_kept),
		cmocka_unit_test(msrs),
		cmocka_unit_test(long_mode_is_not_turned_on_or_off_under_paging),
		cmocka_unit_test(the_local_apic_is_off),
		cmocka_unit_test(every_other_msr_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
