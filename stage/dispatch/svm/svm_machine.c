/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "svm_machine.h"

#include "stage/cpu/pit.h"

#include <string.h>

/* --- text and records --- */

void svm_machine_flush(struct svm_machine *m)
{
	if (m->text_bytes)
		m->write(m->ctx, m->text, m->text_bytes);
	m->text_bytes = 0;
}

static void put_text(struct svm_machine *m, char c)
{
	m->spoke = true;
	m->text[m->text_bytes++] = c;
	if (c == '\n' || m->text_bytes == sizeof(m->text))
		svm_machine_flush(m);
}

void svm_machine_screen(struct svm_machine *m, const uint16_t *cells)
{
	enum { COLUMNS = 80, ROWS = 25 };
	if (m->spoke)
		return;
	for (unsigned row = 0; row < ROWS; row++, cells += COLUMNS) {
		unsigned used = COLUMNS;
		while (used && ((cells[used - 1] & 0xff) == ' ' || !(cells[used - 1] & 0xff)))
			used--;
		for (unsigned i = 0; i < used; i++) {
			char c = (char)cells[i];
			put_text(m, c >= ' ' && c < 0x7f ? c : ' ');
		}
		if (used)
			put_text(m, '\n');
	}
}

static void skip_blanks(const struct svm_machine *m, uint64_t *at)
{
	while (*at < m->record_bytes && m->record[*at] == ' ')
		++*at;
}

/* One token of the record, blanks around it. */
static bool token(const struct svm_machine *m, uint64_t *at, const char *text)
{
	uint64_t bytes = strlen(text);
	skip_blanks(m, at);
	if (bytes > m->record_bytes - *at || memcmp(m->record + *at, text, bytes) != 0)
		return false;
	*at += bytes;
	skip_blanks(m, at);
	return true;
}

static bool key(const struct svm_machine *m, uint64_t *at, const char *name)
{
	return token(m, at, name) && token(m, at, ":");
}

/* {"event": "exit", "status": N, "result": …}, members in this order, as a native kernel's runtime writes it
 * (docs/RECORDS.md). What the result is worth is seen later: here there is no heap. */
static bool read_exit(struct svm_machine *m)
{
	uint64_t at = 0, kept = m->record_bytes, number = 0, digits = 0;
	bool whole = kept <= sizeof(m->record);
	m->record_bytes = whole ? kept : sizeof(m->record);
	bool ok = token(m, &at, "{") && key(m, &at, "\"event\"") && token(m, &at, "\"exit\"") && token(m, &at, ",") &&
		  key(m, &at, "\"status\"");
	for (; ok && at < m->record_bytes && m->record[at] >= '0' && m->record[at] <= '9' && digits < 9; at++, digits++)
		number = number * 10 + (uint64_t)(m->record[at] - '0');
	if (!ok || !digits)
		return false;
	m->exit = (uint8_t)(number < 256 ? number : 255);
	if (token(m, &at, ",") && key(m, &at, "\"result\"")) {
		if (at == kept || (whole && m->record[kept - 1] != '}'))
			return false;
		m->result_at = at;
		m->result_bytes = kept - at - 1; /* its closing brace; more than fits is told by the number */
		return true;
	}
	return token(m, &at, "}");
}

/* A line that begins with a brace is a record: one that says how the kernel ended ends it, others are nobody's here. */
static enum svm_verdict put_debug(struct svm_machine *m, char c)
{
	if (!m->in_record && !m->in_debug_text) {
		m->in_record = c == '{';
		m->in_debug_text = !m->in_record;
		m->record_bytes = 0;
	}
	if (m->in_debug_text) {
		put_text(m, c);
		m->in_debug_text = c != '\n';
		return SVM_GO_ON;
	}
	if (c == '\r')
		return SVM_GO_ON;
	if (c != '\n') {
		if (m->record_bytes < sizeof(m->record))
			m->record[m->record_bytes] = c;
		m->record_bytes++;
		return SVM_GO_ON;
	}
	m->in_record = false;
	if (!read_exit(m))
		return SVM_GO_ON;
	m->outcome = STAGE_CALL_EXITED;
	return SVM_ENDED;
}

/* --- ports --- */

enum {
	COM1 = 0x3f8,
	COM1_END = 0x400,
	DEBUG_PORT = 0xe9,
	DEBUG_EXIT = 0xf4,
	PM1A_CONTROL = 0x604,
	RESET_CONTROL = 0xcf9,
	DATA = 0,
	INTERRUPTS = 1,
	ID = 2,
	LINE = 3,
	MODEM = 4,
	STATUS = 5,
	MODEM_STATUS = 6,
	PIC = 0x20,
	PIC_SECOND = 0x80,
	PIC_ICW1 = 0x10,
	PIC_ICW4 = 1,
	PIC_SINGLE = 2,
	PIC_CASCADE = 1 << 2,
	CRT_INDEX = 0x3d4,
	CRT_DATA = 0x3d5,
	CRT_CURSOR = 14,
	LINE_DIVISOR = 0x80,
	MODEM_LOOP = 0x10,
	STATUS_EMPTY = 0x60,
	STATUS_READY = 1,
	ID_NONE = 0xc1,
	MODEM_CONNECTED = 0xb0,
	PORT_B = 0x61,
};

static const struct {
	uint16_t first, last;
	const char *name;
} absent[] = {
	{ 0x60, 0x60, "the keyboard controller" },
	{ 0x64, 0x64, "the keyboard controller" },
};

static enum svm_verdict uart_out(struct svm_machine *m, unsigned reg, uint8_t value)
{
	if (m->uart[LINE] & LINE_DIVISOR && reg <= INTERRUPTS) {
		m->divisor[reg] = value;
	} else if (reg == DATA && m->uart[MODEM] & MODEM_LOOP) {
		m->looped = value;
		m->looped_in = true;
	} else if (reg == DATA) {
		put_text(m, (char)value);
	} else if (reg != STATUS && reg != MODEM_STATUS && reg != ID) {
		m->uart[reg] = value;
	}
	return SVM_GO_ON;
}

static uint8_t uart_in(struct svm_machine *m, unsigned reg)
{
	if (m->uart[LINE] & LINE_DIVISOR && reg <= INTERRUPTS)
		return m->divisor[reg];
	switch (reg) {
	case DATA:
		m->looped_in = false;
		return m->looped;
	case ID:
		return ID_NONE;
	case STATUS:
		return (uint8_t)(STATUS_EMPTY | (m->looped_in ? STATUS_READY : 0));
	case MODEM_STATUS:
		return MODEM_CONNECTED;
	default:
		return m->uart[reg];
	}
}

/* The two 8259s lie 0x80 apart, two ports each. */
static struct svm_pic *pic_at(struct svm_machine *m, uint16_t port)
{
	uint16_t one = port & (uint16_t) ~(PIC_SECOND | 1);
	return one == PIC ? &m->pics[port >= PIC_SECOND] : NULL;
}

/* Intel 231468. What initialises it or ends an interrupt is taken, and any mask: a HLT that waits is refused. */
static enum svm_verdict pic_out(struct svm_machine *m, struct svm_pic *pic, uint16_t port, unsigned bytes,
				uint8_t value)
{
	m->what = "the PIC";
	if (bytes > 1)
		return SVM_NEEDS;
	if (!(port & 1)) {
		if (value & PIC_ICW1)
			*pic = (struct svm_pic){ .next = 2, .first = value };
		return SVM_GO_ON;
	}
	if (pic->next) {
		bool third = pic->next == 2 && !(pic->first & PIC_SINGLE),
		     fourth = pic->next < 4 && pic->first & PIC_ICW4;
		pic->next = third ? 3 : fourth ? 4 : 0;
		return SVM_GO_ON;
	}
	pic->open = (uint8_t)~value;
	return SVM_GO_ON;
}

uint16_t svm_machine_lines(const struct svm_machine *m)
{
	unsigned second = m->pics[0].open & PIC_CASCADE ? m->pics[1].open : 0;
	return (uint16_t)(second << 8 | (m->pics[0].open & ~(unsigned)PIC_CASCADE));
}

static bool is_pit(uint16_t port)
{
	return (port >= PIT_CHANNEL0 && port <= PIT_CONTROL) || port == PORT_B;
}

static enum svm_verdict pit_out(struct svm_machine *m, uint16_t port, unsigned bytes, uint8_t value)
{
	m->what = bytes > 1 ? "the PIT" : svm_pit_out(&m->pit, m->clocks, port, value, stage_rdtsc());
	return m->what ? SVM_NEEDS : SVM_GO_ON;
}

/* Its registers are read by way of an index; bit 7 masks NMIs. */
static enum svm_verdict rtc_out(struct svm_machine *m, uint16_t port, unsigned bytes, uint8_t value)
{
	m->what = "to write to the CMOS";
	if (port == RTC_DATA || bytes > 1)
		return SVM_NEEDS;
	m->rtc_index = value & 0x7f;
	return SVM_GO_ON;
}

static enum svm_verdict rtc_in(struct svm_machine *m, uint32_t *value)
{
	uint8_t byte = 0;
	m->what = "what the CMOS has beside the time";
	if (!svm_rtc_in(m->clocks, m->rtc_index, stage_rdtsc(), &byte))
		return SVM_NEEDS;
	*value = byte;
	return SVM_GO_ON;
}

static uint8_t *cursor_at(struct svm_machine *m)
{
	return m->crt_index >> 1 == CRT_CURSOR >> 1 ? &m->cursor[m->crt_index & 1] : NULL;
}

/* A VGA's cursor, which is where a kernel that writes to the screen goes on. A word is an index and its value. */
static enum svm_verdict crt_out(struct svm_machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
	if (port == CRT_INDEX)
		m->crt_index = (uint8_t)value;
	if (port == CRT_INDEX && bytes > 1)
		value >>= 8;
	if ((port == CRT_DATA || bytes > 1) && cursor_at(m))
		*cursor_at(m) = (uint8_t)value;
	return SVM_GO_ON;
}

static enum svm_verdict ended(struct svm_machine *m, enum stage_call_outcome outcome, uint8_t status, const char *what)
{
	m->outcome = outcome;
	m->exit = status;
	m->what = what;
	return SVM_ENDED;
}

/* A kernel that knows nothing of docs/RECORDS.md writes 0 where all went well. */
static enum svm_verdict debug_exit(struct svm_machine *m, uint32_t value)
{
	enum { VERDICT_OK = 0x10 };
	uint8_t status = (uint8_t)(value && !(uint8_t)value ? 255 : value);
	return ended(m, STAGE_CALL_EXITED, value == VERDICT_OK ? 0 : status, NULL);
}

static enum svm_verdict port_out(struct svm_machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
	enum { SLEEP = 0x2000, RESET = 4, PULSE_RESET = 0xfe };
	if (port >= COM1 && port < COM1_END)
		return uart_out(m, port - COM1, (uint8_t)value);
	if (pic_at(m, port))
		return pic_out(m, pic_at(m, port), port, bytes, (uint8_t)value);
	if (is_pit(port))
		return pit_out(m, port, bytes, (uint8_t)value);
	if (port == RTC_INDEX || port == RTC_DATA)
		return rtc_out(m, port, bytes, (uint8_t)value);
	if (port == CRT_INDEX || port == CRT_DATA)
		return crt_out(m, port, bytes, value);
	if (port == DEBUG_PORT)
		return put_debug(m, (char)value);
	if (port == DEBUG_EXIT)
		return debug_exit(m, value);
	if (port == PM1A_CONTROL && value & SLEEP)
		return ended(m, STAGE_CALL_HALTED, 0, "it switched its machine off");
	if ((port == RESET_CONTROL && value & RESET) || (port == 0x64 && value == PULSE_RESET))
		return ended(m, STAGE_CALL_FAULTED, 0, "it reset its machine");
	return SVM_GO_ON;
}

/* All ones where nobody answers. */
static uint8_t port_in(struct svm_machine *m, uint16_t port)
{
	if (port >= COM1 && port < COM1_END)
		return uart_in(m, port - COM1);
	if (pic_at(m, port))
		return port & 1 ? (uint8_t)~pic_at(m, port)->open : 0; /* nothing asks for an interrupt */
	if (is_pit(port))
		return svm_pit_in(&m->pit, m->clocks, port, stage_rdtsc());
	if (port == CRT_DATA && cursor_at(m))
		return *cursor_at(m);
	return port == CRT_INDEX ? m->crt_index : port == DEBUG_PORT ? DEBUG_PORT : 0xff;
}

static const char *absent_at(uint16_t port)
{
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		if (port >= absent[i].first && port <= absent[i].last)
			return absent[i].name;
	return NULL;
}

enum svm_verdict svm_machine_port(struct svm_machine *m, bool in, uint16_t port, unsigned bytes, uint32_t *value)
{
	uint32_t mask = bytes < 4 ? (1u << 8 * bytes) - 1 : UINT32_MAX;
	if (!in) {
		enum svm_verdict verdict = port_out(m, port, bytes, *value & mask);
		if (verdict != SVM_GO_ON)
			return verdict;
	}
	m->what = absent_at(port);
	if (m->what)
		return SVM_NEEDS;
	if (in && port == RTC_DATA && bytes == 1)
		return rtc_in(m, value);
	if (in)
		*value = (mask & ~0xffu) | port_in(m, port);
	return SVM_GO_ON;
}

void svm_machine_reset(struct svm_machine *m)
{
	void (*write)(void *, const char *, uint64_t) = m->write;
	void *ctx = m->ctx;
	const struct svm_clocks *clocks = m->clocks;
	memset(m, 0, offsetof(struct svm_machine, record)); /* what was recorded is never read beyond its count */
	memset(&m->record_bytes, 0, sizeof(*m) - offsetof(struct svm_machine, record_bytes));
	m->write = write;
	m->ctx = ctx;
	m->clocks = clocks;
	m->rtc_index = RTC_STATUS_D;
	svm_pit_reset(&m->pit);
}

const char *svm_device_at(uint64_t phys)
{
	static const struct {
		uint64_t base, end;
		const char *name;
	} devices[] = {
		{ 0xfec00000, 0xfec01000, "the I/O APIC" },
		{ 0xfed00000, 0xfed00400, "the HPET" },
		{ 0xfee00000, 0xfee01000, "the local APIC" },
	};
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		if (phys >= devices[i].base && phys < devices[i].end)
			return devices[i].name;
	return NULL;
}
