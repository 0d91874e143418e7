/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The machine of an isolated kernel, without a processor that could isolate one. */

#include "../fanout/svm_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COM1 = 0x3f8, LINE = COM1 + 3, MODEM = COM1 + 4, STATUS = COM1 + 5, DEBUG_PORT = 0xe9, ALL_ONES = -1 };

uint64_t stage_rdtsc(void) { return 12345; }

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
	svm_machine_reset(&m);
	text_bytes = pieces = 0;
	text[0] = '\0';
	return &m;
}

static enum svm_verdict out(struct svm_machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
	return svm_machine_port(m, false, port, bytes, &value);
}

static uint32_t in(struct svm_machine *m, uint16_t port, unsigned bytes)
{
	uint32_t value = 0;
	assert_int_equal(svm_machine_port(m, true, port, bytes, &value), SVM_GO_ON);
	return value;
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
	static const struct { uint16_t port; const char *name; } rows[] = {
		{ 0x20, "the PIC" }, { 0x21, "the PIC" }, { 0xa1, "the PIC" }, { 0x40, "the PIT" }, { 0x43, "the PIT" },
		{ 0x61, "the PIT" }, { 0x60, "the keyboard controller" }, { 0x64, "the keyboard controller" }, { 0x71, "the CMOS clock" },
	};
	(void)state;
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
	static const struct { uint16_t port; unsigned bytes; uint32_t value; enum stage_call_outcome outcome; uint8_t exit; } rows[] = {
		{ 0xf4, 4, 0x10, STAGE_CALL_EXITED, 0 }, { 0xf4, 1, 0, STAGE_CALL_EXITED, 0 }, { 0xf4, 4, 7, STAGE_CALL_EXITED, 7 },
		{ 0xf4, 4, 0x100, STAGE_CALL_EXITED, 255 }, { 0xf4, 1, 0xaa10, STAGE_CALL_EXITED, 0 },
		{ 0x604, 2, 0x2000, STAGE_CALL_HALTED, 0 }, { 0xcf9, 1, 6, STAGE_CALL_FAULTED, 0 }, { 0x64, 1, 0xfe, STAGE_CALL_FAULTED, 0 },
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
	expect_exit("{\"event\":\"exit\",\"status\":0}", -1, NULL); /* not yet whole */
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

static void a_long_record_is_told_by_its_size(void **state)
{
	static const char head[] = "{\"event\":\"exit\",\"status\":0,\"result\":\"";
	static const unsigned sizes[] = { STAGE_CALL_MAILBOX_BYTES - 2, STAGE_CALL_MAILBOX_BYTES - 1, SVM_RECORD_BYTES, 5 * SVM_RECORD_BYTES };
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct svm_machine *m = machine();
		say(m, DEBUG_PORT, head);
		for (unsigned b = 0; b < sizes[i]; b++)
			out(m, DEBUG_PORT, 1, 'x');
		assert_int_equal(say(m, DEBUG_PORT, "\"}\n"), SVM_ENDED);
		assert_int_equal(m->result_bytes, sizes[i] + 2);
		if (m->result_bytes <= STAGE_CALL_MAILBOX_BYTES)
			assert_true(m->result_at + m->result_bytes <= sizeof(m->record) && m->record[m->result_at + m->result_bytes - 1] == '"');
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
			value = (uint8_t)"{\"event:xit}, \n"[(seed >> 16) % 15];
		if (svm_machine_port(m, seed >> 31, port, sizes[(seed >> 10) % 3], &value) == SVM_ENDED) {
			ends++;
			m = machine();
		}
		text_bytes = 0;
		assert_true(m->text_bytes < SVM_TEXT_BYTES);
	}
	assert_true(ends > 0);
}

static void cpuid_hides_what_is_not_there(void **state)
{
	const struct stage_cpuid all = { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX };
	(void)state;
	struct stage_cpuid r = svm_cpuid(1, all, false, 0);
	assert_int_equal(r.c & (1 << 3 | 1 << 5 | 1 << 21 | 1 << 24 | 1 << 27), 0);
	assert_int_equal(r.d & (1 << 7 | 1 << 9 | 1 << 12 | 1 << 14), 0);
	assert_int_equal(r.b >> 16, 1);
	assert_true(r.c & 1 << 28 && r.d & 1 << 26); /* AVX, SSE2 */
	assert_true(svm_cpuid(1, all, true, 0).c & 1 << 27);
	assert_true(svm_cpuid(1, (struct stage_cpuid){ 0, 0, 0, 0 }, false, 0).c >> 31);
	r = svm_cpuid(0x80000001, all, false, 0);
	assert_int_equal(r.c & (1 << 2 | 1 << 12), 0);
	assert_true(r.d & 1 << 29); /* 64-bit mode */
	assert_int_equal(svm_cpuid(0x8000000a, all, false, 0).d, 0);
	assert_int_equal(svm_cpuid(7, all, false, 0).b, UINT32_MAX);
	r = svm_cpuid(0x40000000, all, false, 0);
	assert_memory_equal(&r.b, "TCGTCGTCGTCG", 12);
	assert_true(r.a >= 0x40000010);
	assert_int_equal(svm_cpuid(0x40000010, all, false, 2400000).a, 2400000);
	assert_int_equal(svm_cpuid(0x40000001, all, false, 1).a, 0);
}

static void msrs(void **state)
{
	struct svm_machine *m = machine();
	uint64_t efer = 0x1000, pat = 0x0007040600070406, value;
	(void)state;
	assert_int_equal(svm_msr(m, false, 0xc0000080, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(value, 0); /* SVME is not shown */
	value = 0x901; /* SCE, LME, NXE */
	assert_int_equal(svm_msr(m, true, 0xc0000080, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(efer, 0x1901);
	efer |= 0x400; /* the processor sets LMA, and only it takes it away */
	value = 0x100;
	assert_int_equal(svm_msr(m, true, 0xc0000080, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(efer, 0x1500);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t kept = efer;
		value = 1ull << bit;
		bool allowed = bit == 0 || bit == 8 || bit == 10 || bit == 11;
		assert_int_equal(svm_msr(m, true, 0xc0000080, &value, &efer, &pat), allowed ? SVM_GO_ON : SVM_NEEDS);
		assert_true(efer & 0x1000 && (allowed || efer == kept));
	}
	value = 0x0007040600070401;
	assert_int_equal(svm_msr(m, true, 0x277, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(pat, value);
	value = 0x0007040600070402; /* a type that does not exist */
	assert_int_equal(svm_msr(m, true, 0x277, &value, &efer, &pat), SVM_NEEDS);
	assert_int_equal(svm_msr(m, false, 0x277, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(value, 0x0007040600070401);
	assert_int_equal(svm_msr(m, false, 0x10, &value, &efer, &pat), SVM_GO_ON);
	assert_int_equal(value, 12345);
	assert_int_equal(svm_msr(m, true, 0x10, &value, &efer, &pat), SVM_NEEDS);
	assert_int_equal(svm_msr(m, false, 0x1b, &value, &efer, &pat), SVM_NEEDS);
	assert_string_equal(m->what, "the local APIC, MSR");
	static const uint32_t refused[] = { 0, 0x17, 0x3a, 0x79, 0x8b, 0x1d9, 0x2ff, 0x802, 0xc0010015, 0xc0010114, 0xc0010117, UINT32_MAX };
	for (size_t i = 0; i < 2 * sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(svm_msr(m, i % 2, refused[i / 2], &value, &efer, &pat), SVM_NEEDS);
	for (const uint32_t *own = svm_msr_own(); *own; own++)
		assert_true((*own >= 0x174 && *own <= 0x176) || (*own >= 0xc0000081 && *own <= 0xc0000102));
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
		cmocka_unit_test(a_long_record_is_told_by_its_size),
		cmocka_unit_test(the_screen_is_shown_when_nothing_else_was_said),
		cmocka_unit_test(any_port_with_any_value),
		cmocka_unit_test(cpuid_hides_what_is_not_there),
		cmocka_unit_test(msrs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
