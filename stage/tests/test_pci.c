/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The walk over PCI, registers' sizes, capability lists, and what drivers make of devices, each on machines whose
 * configuration space holds what it likes. */
#include "fake_pci.h"

#include "stage/device_list.h"
#include "stage/virtio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { CLASS_BRIDGE = 0x0604, MULTI = 0x80, BDF = 3 << 3, VIRTIO = 0x1af4, MODERN_NET = 0x1041, MODERN_BLK = 0x1042 };

static struct fake_bus bus;

/* --- the walk --- */

struct seen {
	uint8_t times[1 << 16];
	unsigned count, stop_after;
};

static struct seen seen;

static bool note(void *ctx, const struct stage_pci_function *f)
{
	struct seen *s = ctx;
	char name[32];
	snprintf(name, sizeof(name), "0000:%02x:%02x.%x", f->bdf >> 8, f->bdf >> 3 & 31, f->bdf & 7);
	assert_string_equal(f->name, name);
	s->times[f->bdf]++;
	return ++s->count != s->stop_after;
}

static struct fake_function *bridge(uint32_t bdf, uint8_t header, uint8_t secondary)
{
	struct fake_function *f = fake_bus_add(&bus, bdf, 0x8086, 0x2918);
	fake_put32(f, 8, CLASS_BRIDGE << 16);
	f->bytes[0x0e] = header;
	f->bytes[0x19] = secondary;
	return f;
}

static bool answers(const struct fake_function *f)
{
	return f && memcmp(f->bytes, "\xff\xff", 2) != 0 && memcmp(f->bytes, "\0", 2) != 0;
}

/* By the specification, another way: bus by bus, from bus 0 or from all of them, until nothing new comes. */
static unsigned mark_reachable(bool reach[1 << 16], bool all)
{
	bool buses[256] = { true }, more = true;
	memset(buses + 1, all, 255);
	unsigned count = 0;
	memset(reach, 0, 1 << 16);
	while (more) {
		more = false;
		for (unsigned i = 0; i < bus.count; i++) {
			const struct fake_function *f = &bus.functions[i],
						   *first = fake_function_at(&bus, f->bdf & ~7u);
			bool there = answers(f) && buses[f->bdf >> 8];
			if (f->bdf & 7) /* its device has several: function 0 says so */
				there = there && answers(first) && first->bytes[0x0e] & MULTI &&
					first->bytes[0x0e] != 0xff;
			if (!there || reach[f->bdf])
				continue;
			reach[f->bdf] = more = true;
			count++;
			if (f->bytes[0x0b] == CLASS_BRIDGE >> 8 && f->bytes[0x0a] == (CLASS_BRIDGE & 0xff) &&
			    (f->bytes[0x0e] & 0x7f) == 1)
				buses[f->bytes[0x19]] = true;
		}
	}
	return count;
}

/* What bus 0 leads to, then everything, each once. */
static void scan_is_right(void)
{
	static bool reach[1 << 16];
	struct stage_pci_buses buses;
	seen = (struct seen){ .stop_after = 0 };
	for (int all = 0; all < 2; all++) {
		unsigned wanted = mark_reachable(reach, all);
		(all ? stage_pci_scan_others : stage_pci_scan)(&bus.env, &buses, note, &seen);
		assert_int_equal(seen.count, wanted);
		for (unsigned bdf = 0; bdf < 1 << 16; bdf++)
			assert_int_equal(seen.times[bdf], reach[bdf]);
	}
	assert_true(bus.reads < 256 * 32 * 8 * 8);
}

static void scan_until(unsigned stop_after)
{
	struct stage_pci_buses buses;
	seen = (struct seen){ .stop_after = stop_after };
	stage_pci_scan(&bus.env, &buses, note, &seen);
	assert_int_equal(buses.present, !bus.absent);
	if (!stop_after)
		stage_pci_scan_others(&bus.env, &buses, note, &seen);
}

static void bridges_in_a_circle_are_walked_once(void **state)
{
	(void)state;
	fake_bus_init(&bus);
	bridge(1 << 3, 1, 0); /* to where it stands */
	bridge(2 << 3, 1 | MULTI, 255);
	bridge(2 << 3 | 7, 1, 7);
	bridge(7 << 8 | 31 << 3, 1, 0); /* and back */
	bridge(255 << 8, 1, 255);
	bridge(3 << 3, 0, 9);                 /* no bridge's header */
	fake_bus_add(&bus, 9 << 8, 1, 1);     /* so nobody comes here from there: it is a root of its own */
	fake_bus_add(&bus, 4 << 3 | 1, 1, 1); /* without a function 0 */
	fake_bus_add(&bus, 8 << 8 | 5 << 3 | 1, 1, 1);
	scan_is_right();
	assert_int_equal(seen.count, 7);
	scan_until(2);
	assert_int_equal(seen.count, 2);
	bus.absent = true;
	scan_until(0);
	assert_int_equal(seen.count, 0);
}

/* A device in any place of any bus, behind a bridge or not, is found; what nothing leads to costs reads only when it is
 * asked for. */
static void every_place_is_looked_at(void **state)
{
	(void)state;
	for (unsigned b = 0; b < 256; b++) {
		uint32_t bdf = b << 8 | (b & 31) << 3;
		fake_bus_init(&bus);
		fake_bus_add(&bus, bdf, 0x8086, 1);
		bridge(b << 8 | ((b + 1) & 31) << 3, 1, (uint8_t)(b ^ 0x55));
		fake_bus_add(&bus, (b ^ 0x55) << 8 | 31 << 3, 0x8086, 2);
		scan_is_right();
		assert_int_equal(seen.count, 3);
	}
	struct stage_pci_buses buses;
	fake_bus_init(&bus);
	fake_bus_add(&bus, 0, 0x8086, 1);
	stage_pci_scan(&bus.env, &buses, note, &seen);
	unsigned long first = bus.reads;
	assert_true(first < 40);
	stage_pci_scan_others(&bus.env, &buses, note, &seen);
	assert_int_equal(bus.reads - first, 255 * 32);
}

static void any_buses_are_walked(void **state)
{
	static const uint16_t vendors[] = { 0x8086, 1, 0, 0xffff };
	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		fake_bus_init(&bus);
		for (unsigned i = 0; i < FAKE_FUNCTIONS; i++) {
			uint32_t bdf = (uint32_t)(rnd(4) ? rnd(4) : rnd(256)) << 8 | (uint32_t)rnd(3) << 3 |
				       (uint32_t)(rnd(2) ? 0 : rnd(8));
			if (fake_function_at(&bus, bdf))
				continue;
			struct fake_function *f = bridge(bdf, (uint8_t)(rnd(8) ? 1 | rnd(2) << 7 : rnd(256)),
							 (uint8_t)(rnd(3) ? rnd(5) : rnd(256)));
			memcpy(f->bytes, &vendors[rnd(8) ? 0 : rnd(4)], 2);
			if (!rnd(4))
				f->bytes[0x0a] = (uint8_t)rnd(256);
		}
		scan_is_right();
	}
}

static void places_by_name(void **state)
{
	static const char *const wrong[] = { "",
					     "0",
					     "0000",
					     "0000:",
					     "0000:00",
					     "0000:00:03",
					     "0000:00:03.",
					     "0000:00:03.00",
					     "0000:00:03.8",
					     "0001:00:03.0",
					     "0000:00:20.0",
					     "0000:0:03.0",
					     "0000-00:03.0",
					     "0000:00:03.0 ",
					     " 0000:00:03.0",
					     "0000:00:0g.0",
					     "0000:00:0@.0",
					     "0000:00:0\x13.0",
					     "0000:00:04.0",
					     "\xff\xff\xff\xff:00:03.0",
					     "0000:00:-3.0" };
	struct stage_pci_function f;
	(void)state;
	fake_bus_init(&bus);
	fake_bus_add(&bus, BDF, 0x1af4, 0x1000);
	fake_bus_add(&bus, 0xab << 8 | 0x1f << 3 | 7, 0x8086, 2);
	assert_true(stage_pci_find(&bus.env, "0000:00:03.0", &f));
	assert_int_equal(f.device, 0x1000);
	assert_true(stage_pci_find(&bus.env, "0000:aB:1F.7", &f));
	assert_string_equal(f.name, "0000:ab:1f.7");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (stage_pci_find(&bus.env, wrong[i], &f))
			fail_msg("\"%s\" is a place", wrong[i]);
}

/* --- registers --- */

static void registers_have_a_place_or_none(void **state)
{
	static const struct {
		unsigned index;
		uint32_t low, high, writable, writable_high;
		uint64_t phys, bytes;
	} cases[] = {
		/* bytes 0: refused */
		{ 0, 0xfe000000, 0, 0xffffc000, 0, 0xfe000000, 0x4000 },
		{ 0, 0xfe000008, 0, 0xfffffff0, 0, 0xfe000000, 16 },         /* prefetchable, the smallest */
		{ 0, 0x80000000, 0, 0x80000000, 0, 0x80000000, 0x80000000 }, /* the largest of 32 bits */
		{ 4, 0x00000004, 0x10, 0xffffc000, 0xffffffff, 0x1000000000, 0x4000 },
		{ 4, 0xc000000c, 0, 0xf0000000, 0xffffffff, 0xc0000000, 0x10000000 },
		{ 4, 0x00000004, 0x1000, 0, 0xfffff000, 0x100000000000, 0x100000000000 },  /* up to the limit */
		{ 4, 0x00000004, 0x2000, 0xffffc000, 0xffffffff, 0, 0 },                   /* at it */
		{ 4, 0xffffc004, 0x1fff, 0xffffc000, 0xffffffff, 0x1fffffffc000, 0x4000 }, /* the last below it */
		{ 4, 0xffff8004, 0x1fff, 0xffff0000, 0xffffffff, 0x1fffffff8000,
		  0x8000 },                                                  /* a bit that is fixed to one */
		{ 4, 0xffffc004, 0xffffffff, 0xffff8000, 0xffffffff, 0, 0 }, /* and across the end of all */
		{ 5, 0xfe000004, 0, 0xffffc000, 0, 0, 0 },                   /* its upper half is no register */
		{ 6, 0xfe000000, 0, 0xffffc000, 0, 0, 0 },
		{ 255, 0xfe000000, 0, 0xffffc000, 0, 0, 0 },
		{ 0, 0xc001, 0, 0xffffffe0, 0, 0, 0 }, /* I/O */
		{ 0, 0, 0, 0, 0, 0, 0 },
		{ 0, 0, 0, 0xffffc000, 0, 0, 0 },                  /* none, and one without an address */
		{ 0, 0xfe000000, 0, 0, 0, 0xfe000000, 0x2000000 }, /* all fixed: what it is can't be told from a size */
		{ 4, 0xfe000004, 0, 0, 0, 0, 0 },
		{ 0, 0xfe000000, 0, 0x00ff0000, 0, 0, 0 },
		{ 4, 0xfe000004, 0, 0xffffc000, 0x00ff00ff, 0, 0 }, /* no size has such bits */
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned at = cases[i].index < STAGE_PCI_BARS ? cases[i].index : 0;
		struct chain_error err = { 0 };
		struct stage_pci_function function;
		struct stage_pci_bar bar;
		fake_bus_init(&bus);
		struct fake_function *f = fake_bus_add(&bus, BDF, VIRTIO, MODERN_NET), before;
		fake_put32(f, STAGE_PCI_COMMAND, 0x0107);
		fake_put32(f, STAGE_PCI_BAR0 + 4 * at, cases[i].low);
		f->writable[at] = cases[i].writable;
		if (at < STAGE_PCI_BARS - 1) {
			fake_put32(f, STAGE_PCI_BAR0 + 4 * at + 4, cases[i].high);
			f->writable[at + 1] = cases[i].writable_high;
		}
		before = *f;
		assert_true(stage_pci_function_at(&bus.env, BDF, &function));
		enum chain_status status = stage_pci_bar(&bus.env, &function, cases[i].index, &bar, &err);
		if (status != (cases[i].bytes ? CHAIN_OK : CHAIN_E_PCI_BAD_BAR) || bar.phys != cases[i].phys ||
		    bar.bytes != cases[i].bytes)
			fail_msg("case %zu: %s, 0x%llx, 0x%llx bytes", i, chain_status_slug(status),
				 (unsigned long long)bar.phys, (unsigned long long)bar.bytes);
		assert_int_equal(err.status, status);
		assert_memory_equal(f, &before, sizeof(before)); /* all is put back */
	}
}

/* A bridge has other things where a device has registers. */
static void only_devices_have_six_registers(void **state)
{
	struct stage_pci_function function;
	struct stage_pci_bar bar;
	(void)state;
	for (unsigned header = 1; header < 128; header++) {
		fake_bus_init(&bus);
		struct fake_function *f = bridge(BDF, (uint8_t)header, 1), before;
		fake_put32(f, STAGE_PCI_BAR0, 0xfe000000);
		f->writable[0] = 0xffffc000;
		before = *f;
		assert_true(stage_pci_function_at(&bus.env, BDF, &function));
		assert_int_equal(stage_pci_bar(&bus.env, &function, 0, &bar, NULL), CHAIN_E_PCI_BAD_BAR);
		assert_memory_equal(f, &before, sizeof(before));
	}
}

/* --- capabilities --- */

static void capability_lists_end(void **state)
{
	static const struct {
		uint8_t first, at[4], next[4];
		enum chain_status status;
		uint32_t found;
	} cases[] = {
		{ 0, { 0 }, { 0 }, CHAIN_OK, 0 },
		{ 0x40, { 0x40 }, { 0 }, CHAIN_OK, 0 },
		{ 0x43, { 0x40, 0x80 }, { 0x82, 0 }, CHAIN_OK, 0 }, /* the lower bits are reserved */
		{ 0x40, { 0x40, 0xfc }, { 0xfc, 0 }, CHAIN_OK, 0 },
		{ 0x40, { 0x40, 0x50 }, { 0x50, 0x40 }, CHAIN_E_PCI_BAD_CAPABILITIES, 0 }, /* a circle */
		{ 0x40, { 0x40 }, { 0x40 }, CHAIN_E_PCI_BAD_CAPABILITIES, 0 },
		{ 0x3c, { 0 }, { 0 }, CHAIN_E_PCI_BAD_CAPABILITIES, 0 }, /* in the header */
		{ 0x40, { 0x40 }, { 0x10 }, CHAIN_E_PCI_BAD_CAPABILITIES, 0 },
		{ 0x40, { 0x40, 0x50, 0x60 }, { 0x50, 0x60, 0x50 }, CHAIN_OK, 0x60 }, /* found before the circle */
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage_pci_function function;
		uint32_t at = 0;
		fake_bus_init(&bus);
		struct fake_function *f = fake_bus_add(&bus, BDF, 1, 1);
		f->bytes[STAGE_PCI_STATUS] = 0x10;
		f->bytes[STAGE_PCI_CAPABILITIES] = cases[i].first;
		for (size_t k = 0; k < 4 && cases[i].at[k]; k++) {
			f->bytes[cases[i].at[k]] = cases[i].at[k] == cases[i].found ? 9 : 5;
			f->bytes[cases[i].at[k] + 1] = cases[i].next[k];
		}
		assert_true(stage_pci_function_at(&bus.env, BDF, &function));
		if (stage_pci_capability(&bus.env, &function, 9, 0, &at, NULL) != cases[i].status ||
		    at != cases[i].found)
			fail_msg("case %zu: 0x%x", i, at);
		f->bytes[STAGE_PCI_STATUS] = 0; /* it says that there is no list */
		assert_int_equal(stage_pci_capability(&bus.env, &function, 9, 0, &at, NULL), CHAIN_OK);
		assert_int_equal(at, 0);
	}
}

/* --- drivers --- */

/* A card whose registers and capabilities are of any bytes, most of them such that a driver goes on for a while. */
static void make_card(uint32_t bdf, uint16_t device)
{
	struct fake_function *f = fake_bus_add(&bus, bdf, VIRTIO, device);
	for (unsigned i = 4; i < 256; i++)
		f->bytes[i] = rnd(3) ? f->bytes[i] : (uint8_t)rnd(256);
	f->bytes[0x0e] = (uint8_t)(rnd(10) ? 0 : rnd(256));
	f->bytes[STAGE_PCI_STATUS] = (uint8_t)(rnd(10) ? 0x10 : 0);
	for (unsigned i = 0; i < STAGE_PCI_BARS; i++) {
		fake_put32(f, STAGE_PCI_BAR0 + 4 * i,
			   rnd(20) ? 0xfe000000 | (uint32_t)rnd(16) << 20 : (uint32_t)random_next());
		f->writable[i] = rnd(20) ? 0xffffffff << (8 + rnd(10)) : (uint32_t)random_next();
	}
	f->bytes[STAGE_PCI_CAPABILITIES] = 0x40;
	for (unsigned at = 0x40, type = 1; at <= 0xd0; at += 0x18, type++) {
		f->bytes[at] = (uint8_t)(rnd(20) ? 9 : rnd(256));
		f->bytes[at + 1] = (uint8_t)(rnd(20) ? (at + 0x18 <= 0xd0 ? at + 0x18 : 0) : rnd(256));
		f->bytes[at + 3] = (uint8_t)(rnd(20) ? type : rnd(6));
		f->bytes[at + 4] = (uint8_t)(rnd(20) ? rnd(6) : rnd(256));
		fake_put32(f, at + 8, rnd(20) ? (uint32_t)rnd(8) * 4 : (uint32_t)random_next());
		fake_put32(f, at + 12, rnd(20) ? 64 + (uint32_t)rnd(64) : (uint32_t)random_next());
	}
}

/* What is mapped lies in a register of the card, and a refusal has a status of its own. */
static void any_card_is_opened_or_refused(void **state)
{
	unsigned opened = 0, refused = 0;
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct stage_device device;
		struct stage_virtio v;
		struct chain_error err = { 0 };
		fake_bus_init(&bus);
		make_card(BDF, MODERN_NET);
		assert_true(stage_device_at(&bus.env, BDF, &device));
		enum chain_status status = stage_virtio_open(&bus.env, &device, "virtio-net", &v, &err);
		assert_int_equal(err.status, status);
		opened += !status;
		refused += status != CHAIN_OK;
		for (unsigned m = 0; m < bus.maps; m++) {
			bool inside = false;
			for (unsigned i = 0; i < STAGE_PCI_BARS && !inside; i++) {
				struct stage_pci_bar bar;
				inside = !stage_pci_bar(&bus.env, &device.pci, i, &bar, NULL) &&
					 bus.mapped[m].phys >= bar.phys &&
					 bus.mapped[m].phys + bus.mapped[m].bytes <= bar.phys + bar.bytes;
			}
			assert_true(inside);
		}
		if (status)
			continue;
		assert_true(v.common && v.notify && v.notify_bytes);
		assert_int_equal(bus.functions[0].bytes[STAGE_PCI_COMMAND] & 6, 6);
	}
	if (opened < 1000 || refused < 1000)
		fail_msg("%u opened, %u refused", opened, refused);
}

/* Each card of the classes wanted is in one of the lists, in bus order, whatever it answers; nothing else is touched.
 * One that no driver knows is told; a bridge, a PC's IDE controller or something of another class is not. */
static void each_card_is_listed_once(void **state)
{
	static const uint32_t others[] = { 0x020000, 0x028000, 0x010802, 0x010601, 0x010000,
					   0x010180, 0x060000, 0x030000, 0x0c0330, 0x000000 };
	unsigned long listed = 0, dead = 0, undriven = 0;
	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		unsigned classes = (unsigned)rnd(4), wanted = 0;
		struct stage_device_list list;
		fake_bus_init(&bus);
		struct fake_function *other = fake_bus_add(&bus, 1 << 3, 0x8086, 0x100e), before;
		uint32_t class_code = others[rnd(sizeof(others) / sizeof(others[0]))];
		fake_put32(other, 8, class_code << 8);
		before = *other;
		wanted += class_code >> 16 == 2 && classes & STAGE_CLASS_NET;
		wanted += class_code >> 16 == 1 && class_code >> 8 != 0x0101 && classes & STAGE_CLASS_BLOCK;
		for (uint32_t i = 2; i < 8; i++) {
			bool net = rnd(2);
			make_card((i > 5 ? i << 8 : 0) | i << 3, net ? MODERN_NET : MODERN_BLK);
			wanted += (classes & (net ? STAGE_CLASS_NET : STAGE_CLASS_BLOCK)) != 0;
		}
		assert_int_equal(stage_device_list_open(&bus.env, classes, &list, NULL), CHAIN_OK);
		for (int again = 0; again < 2; again++)
			assert_int_equal(stage_device_list_complete(&bus.env, &list, NULL), CHAIN_OK);
		const char *last = "";
		for (const struct stage_dead_device *d = list.dead; d; last = d->place, d = d->next, wanted--, dead++) {
			assert_true(strcmp(last, d->place) < 0);
			assert_true(d->fault.status != CHAIN_OK && d->class & classes);
			assert_int_equal(!d->driver, d->fault.status == CHAIN_E_DEVICE_NO_DRIVER);
			undriven += !d->driver;
		}
		for (const struct stage_netdev *d = list.net; d; d = d->next, wanted--, listed++)
			assert_true(classes & STAGE_CLASS_NET);
		for (const struct stage_block *d = list.block; d; d = d->next, wanted--, listed++)
			assert_true(classes & STAGE_CLASS_BLOCK);
		assert_int_equal(wanted, 0);
		assert_memory_equal(other, &before, sizeof(before));
		stage_device_list_close(&list);
		assert_true(!list.net && !list.block && !list.dead);
		assert_int_equal(bus.dma_live, 0);
	}
	assert_true(dead > 100 && undriven > 30);
	(void)listed;
}

static void why_there_is_none_is_reported(void **state)
{
	struct stage_device_list list;
	char text[160];
	(void)state;
	fake_bus_init(&bus);
	struct fake_function *ahci = fake_bus_add(&bus, 3 << 8 | 2 << 3, 0x8086, 0x2922);
	fake_put32(ahci, 8, 0x01060100);
	struct fake_function *legacy = fake_bus_add(&bus, 3 << 8 | 4 << 3, VIRTIO, 0x1000); /* without capabilities */
	fake_put32(legacy, 8, 0x02000000);
	assert_int_equal(stage_device_list_open(&bus.env, 3, &list, NULL), CHAIN_OK);
	assert_null(stage_device_list_dead(&list, STAGE_CLASS_BLOCK, NULL));
	stage_device_list_explain(&list, STAGE_CLASS_BLOCK, strcpy(text, "none"), sizeof(text));
	assert_string_equal(text, "none");
	assert_int_equal(stage_device_list_complete(&bus.env, &list, NULL), CHAIN_OK);
	stage_device_list_explain(&list, STAGE_CLASS_BLOCK, strcpy(text, "none"), sizeof(text));
	assert_string_equal(text, "none; 0000:03:02.0: no driver for it (0x8086:0x2922)");
	stage_device_list_explain(&list, STAGE_CLASS_NET, strcpy(text, "none"), sizeof(text));
	assert_string_equal(text, "none; virtio-net 0000:03:04.0: has no virtio 1.x interface");
	for (size_t room = 5; room < sizeof(text); room++) { /* cut, and the end where it belongs */
		memset(text, 'x', sizeof(text));
		stage_device_list_explain(&list, STAGE_CLASS_NET, strcpy(text, "none"), room);
		assert_true(strlen(text) < room && !strncmp(text, "none", 4));
	}
	assert_string_equal(stage_device_list_dead(&list, STAGE_CLASS_NET, "0000:03:04.0")->driver, "virtio-net");
	assert_null(stage_device_list_dead(&list, STAGE_CLASS_NET, "0000:03:02.0"));
	assert_null(stage_device_list_dead(&list, STAGE_CLASS_BLOCK, NULL)->driver);
	stage_device_list_close(&list);
	bus.absent = true;
	assert_int_equal(stage_device_list_open(&bus.env, 3, &list, NULL), CHAIN_OK);
	assert_int_equal(stage_device_list_complete(&bus.env, &list, NULL), CHAIN_OK);
	stage_device_list_explain(&list, STAGE_CLASS_NET, strcpy(text, "none"), sizeof(text));
	assert_string_equal(text, "none: this machine has no PCI");
	stage_device_list_close(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bridges_in_a_circle_are_walked_once),
		cmocka_unit_test(every_place_is_looked_at),
		cmocka_unit_test(any_buses_are_walked),
		cmocka_unit_test(places_by_name),
		cmocka_unit_test(registers_have_a_place_or_none),
		cmocka_unit_test(only_devices_have_six_registers),
		cmocka_unit_test(capability_lists_end),
		cmocka_unit_test(any_card_is_opened_or_refused),
		cmocka_unit_test(each_card_is_listed_once),
		cmocka_unit_test(why_there_is_none_is_reported),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
