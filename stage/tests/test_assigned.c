/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A disk that is assigned to a called kernel, driven there through what the kernel is shown of it, and taken back in
 * the middle. */
#include "fake_virtio.h"

#include "stage/block.h"
#include "stage/called_env.h"
#include "stage/cpu.h"
#include "stage/assigned.h"
#include "stage/pages.h"
#include "stage/processors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SECTORS = 1000, MODERN_BLK = 0x1042, HEAP_BYTES = 1 << 20, MAPPINGS = 8 };
#define SLOT (KCHAIN_DEVICE_VIRT >> 39 & 511)

/* --- the stage's side, made up: what is mapped, and memory of its own --- */

static struct mapping {
	uint64_t virt, phys, bytes;
	unsigned flags;
} mappings[MAPPINGS];
static size_t mapping_count, pages_live;
static const void *shared;
static struct fake *waited_for;

bool stage_table_map(uint64_t root_phys, const struct stage_table_pages *pages, uint64_t virt, uint64_t phys,
		     uint64_t bytes, unsigned flags)
{
	assert_true(mapping_count < MAPPINGS);
	mappings[mapping_count++] = (struct mapping){ virt, phys, bytes, flags };
	if (!((uint64_t *)(uintptr_t)root_phys)[SLOT])
		((uint64_t *)(uintptr_t)root_phys)[SLOT] = pages->take(pages->ctx);
	return true;
}

void *stage_phys_to_virt(uint64_t phys)
{
	return (void *)(uintptr_t)phys;
}
/* Time goes on. What may run on any processor waits in no other way. */
void stage_pause(void)
{
	waited_for->now_us += 10;
}
static void no_idle(void *ctx)
{
	fail_msg("%p sleeps", ctx);
}

void stage_processors_share(const void *virt)
{
	shared = virt;
}
_Noreturn void stage_panic(const char *format, ...)
{
	fail_msg("%s", format);
	abort();
}

uint64_t stage_pages_alloc(uint64_t bytes, uint64_t align, enum chain_owner owner)
{
	(void)owner;
	pages_live++;
	return (uintptr_t)aligned_alloc(align, bytes);
}

void stage_pages_free(uint64_t phys, uint64_t bytes)
{
	(void)bytes;
	pages_live--;
	free((void *)(uintptr_t)phys);
}

/* --- the kernel's side: its registers are where they were mapped, its memory is a heap --- */

static struct fake *machine;
static uint8_t heap[HEAP_BYTES] __attribute__((aligned(4096)));
static size_t heap_used;

static volatile void *fake_at(const volatile void *at)
{
	uint64_t virt = (uintptr_t)at;

	for (size_t i = 0; i < mapping_count; i++) {
		if (virt < mappings[i].virt || virt - mappings[i].virt >= mappings[i].bytes)
			continue;
		assert_int_equal(mappings[i].flags, STAGE_MAP_WRITE | STAGE_MAP_UNCACHED);
		return machine->bar + (mappings[i].phys - FAKE_BAR) + (virt - mappings[i].virt);
	}
	fail_msg("%#llx is not mapped", (unsigned long long)virt);
	return NULL;
}

static uint32_t kernel_read(void *ctx, const volatile void *at, unsigned width)
{
	return fake_mmio_read(ctx, fake_at(at), width);
}
static void kernel_write(void *ctx, volatile void *at, unsigned width, uint32_t value)
{
	fake_mmio_write(ctx, fake_at(at), width, value);
}

static void *kernel_alloc(void *ctx, size_t bytes, uint64_t *out_phys)
{
	size_t whole = (bytes + 4095) & ~(size_t)4095;

	(void)ctx;
	if (whole > HEAP_BYTES - heap_used)
		return NULL;
	memset(heap + heap_used, 0, whole);
	heap_used += whole;
	*out_phys = 0; /* not to be used: a kernel does not know */
	return heap + heap_used - whole;
}

static void kernel_free(void *ctx, void *virt, uint64_t phys, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	assert_int_equal(phys, (uintptr_t)virt);
}

static struct stage_device_env kernel_base(struct fake *f)
{
	struct stage_device_env env = f->env;

	machine = f;
	heap_used = 0;
	env.idle = fake_idle;
	env.mmio_read = kernel_read;
	env.mmio_write = kernel_write;
	env.dma_alloc = kernel_alloc;
	env.dma_free = kernel_free;
	return env;
}

/* --- the disk --- */

static uint32_t disk(struct fake *f, unsigned queue, struct stage_virtio_segment *s, unsigned count)
{
	const uint8_t *header = (const uint8_t *)(uintptr_t)s[0].phys;

	(void)queue;
	(void)count;
	assert_true(f->pci[STAGE_PCI_COMMAND] & STAGE_PCI_COMMAND_MASTER); /* else none of it would arrive */
	for (uint32_t i = 0; i < s[1].bytes; i++)
		((uint8_t *)(uintptr_t)s[1].phys)[i] = (uint8_t)(header[8] + i / 512);
	*(uint8_t *)(uintptr_t)s[2].phys = 0;
	return s[1].bytes + 1;
}

static void make_disk(struct fake *f, enum fake_fault fault)
{
	uint64_t sectors = SECTORS;

	fake_init(f, MODERN_BLK, fault, 0, disk);
	memcpy(f->bar + FAKE_CONFIG, &sectors, 8);
	f->env.idle = no_idle;
	waited_for = f;
	mapping_count = 0;
	shared = NULL;
}

static const struct stage_assigned_request request = { .name = "data", .place = "0000:00:03.0" };

static struct stage_assigned *assigned_disk(struct fake *f)
{
	struct stage_assigned *assigned = NULL;
	struct chain_error err = { 0 };

	assert_int_equal(stage_assigned_make(&f->env, &request, 1, &assigned, &err), CHAIN_OK);
	return assigned;
}

static bool is_quiet(const struct fake *f)
{
	return f->status == 0 && !f->queues[0].enabled && !(f->pci[STAGE_PCI_COMMAND] & STAGE_PCI_COMMAND_MASTER);
}

static void check_disk(struct fake *f, const struct kchain_device *device, bool close)
{
	struct stage_device_env base = kernel_base(f);
	struct stage_called_env called;
	struct stage_device function;
	struct stage_block *dev = NULL;
	struct chain_error err = { 0 };
	uint8_t buf[3 * 512], pci[256];

	memcpy(pci, f->pci, sizeof pci);
	stage_called_env_init(&called, &base, device, (uintptr_t)heap, HEAP_BYTES, (uintptr_t)heap);
	assert_true(stage_device_at(&called.env, device->bdf, &function));
	assert_false(stage_device_at(&called.env, device->bdf ^ 8, &function));
	assert_true(stage_device_find(&called.env, "0000:00:03.0", &function));
	const struct stage_driver *driver = stage_driver_for(stage_block_drivers, &function);
	assert_string_equal(driver->name, "virtio-blk");
	assert_int_equal(driver->open.block(&called.env, &function, &dev, &err), CHAIN_OK);
	assert_int_equal(dev->sectors, SECTORS);
	assert_int_equal(dev->ops->read(dev, 7, 3, buf, &err), CHAIN_OK);
	for (size_t i = 0; i < sizeof buf; i++)
		assert_int_equal(buf[i], 7 + i / 512);
	if (close) {
		dev->ops->close(dev);
		assert_int_equal(f->status, 0);
	} else {
		free(dev);
	}
	assert_memory_equal(pci, f->pci, sizeof pci); /* configuration space is not the kernel's */
}

static void a_kernel_drives_what_it_is_shown(void **state)
{
	struct fake f;

	(void)state;
	make_disk(&f, FAKE_GOOD);
	struct stage_assigned *assigned = assigned_disk(&f);
	assert_true(is_quiet(&f));
	assert_ptr_equal(shared, f.bar);
	assert_int_equal(assigned->count, 1);
	assert_int_equal(mapping_count, 2);
	assert_true(mappings[0].virt == KCHAIN_DEVICE_VIRT && mappings[0].bytes == 4096 && mappings[0].flags == 0);
	assert_ptr_equal((void *)(uintptr_t)mappings[0].phys, assigned->list);
	assert_true(mappings[1].virt >= KCHAIN_DEVICE_VIRT + 2 * 4096 && mappings[1].phys == FAKE_BAR &&
		    mappings[1].bytes == FAKE_BAR_BYTES);
	assert_true(assigned->root_entry);
	assert_string_equal(assigned->list->name, "data");
	assert_string_equal(assigned->list->reason, "");
	assert_int_equal(assigned->list->bdf, 3 << 3);
	for (int turn = 0; turn < 4; turn++) {
		stage_assigned_begin(assigned);
		assert_string_equal(assigned->list->reason, "");
		check_disk(&f, assigned->list, turn & 1); /* a kernel that closes it, and one that leaves it running */
		assert_true(turn & 1 || f.queues[0].enabled);
		stage_assigned_end(assigned);
		assert_true(is_quiet(&f));
	}
	stage_assigned_free(assigned);
	assert_int_equal(pages_live, 0);
}

/* A good disk whose kernel is at work, and has left it running. */
static struct stage_assigned *disk_at_work(struct fake *f)
{
	make_disk(f, FAKE_GOOD);
	struct stage_assigned *assigned = assigned_disk(f);
	stage_assigned_begin(assigned);
	check_disk(f, assigned->list, false);
	return assigned;
}

static void reads_under_way_are_forgotten(void **state)
{
	struct fake f;

	(void)state;
	struct stage_assigned *assigned = disk_at_work(&f);
	f.status = 0xf;
	stage_assigned_free(assigned); /* ends the turn too */
	assert_true(is_quiet(&f));
	assert_false(fake_complete(&f, 0));
	assert_int_equal(pages_live, 0);
}

static void a_reset_that_does_not_finish_is_reported(void **state)
{
	struct fake f;

	(void)state;
	make_disk(&f, FAKE_GOOD);
	struct stage_assigned *assigned = assigned_disk(&f);
	f.fault = FAKE_NEVER_RESETS;
	stage_assigned_begin(assigned);
	assert_string_equal(assigned->list->reason, "its reset does not finish");
	assert_false(f.pci[STAGE_PCI_COMMAND] & STAGE_PCI_COMMAND_MASTER);
	stage_assigned_end(assigned);
	assert_true(f.now_us < 10000000);
	f.fault = FAKE_GOOD;
	stage_assigned_begin(assigned);
	check_disk(&f, assigned->list, true);
	stage_assigned_free(assigned);
	assert_int_equal(pages_live, 0);
}

static void a_lost_kernel_loses_its_devices(void **state)
{
	struct fake f;

	(void)state;
	struct stage_assigned *assigned = disk_at_work(&f);
	stage_assigned_lose(assigned);
	assert_true(is_quiet(&f));
	assert_false(f.pci[STAGE_PCI_COMMAND] & STAGE_PCI_COMMAND_MEMORY);
	assert_string_equal(assigned->list->reason, "the processor of the kernel that had it did not come back");
	unsigned accesses = f.accesses;
	stage_assigned_begin(assigned);
	stage_assigned_end(assigned);
	assert_int_equal(f.accesses, accesses);
	assert_true(is_quiet(&f));
	uint64_t phys = assigned->phys, bytes = assigned->bytes;
	stage_assigned_free(assigned);
	assert_int_equal(pages_live, 1); /* the kernel may see its tables yet */
	stage_pages_free(phys, bytes);
}

/* --- what can't be had --- */

static void check_missing(struct fake *f, struct stage_assigned_request w, const char *reason)
{
	struct stage_assigned *assigned = NULL;
	struct chain_error err = { 0 };

	assert_int_equal(stage_assigned_make(&f->env, &w, 1, &assigned, &err), CHAIN_OK);
	assert_string_equal(assigned->list->reason, reason);
	unsigned accesses = f->accesses;
	stage_assigned_begin(assigned);
	stage_assigned_end(assigned);
	assert_int_equal(f->accesses, accesses);
	assert_string_equal(assigned->list->reason, reason);
	stage_assigned_free(assigned);
	w.required = true;
	assert_int_equal(stage_assigned_make(&f->env, &w, 1, &assigned, &err), CHAIN_E_DEVICE_MISSING);
	assert_string_equal(err.subject, w.name);
	assert_string_equal(err.detail, reason);
	assert_int_equal(pages_live, 0);
	assert_true(is_quiet(f));
}

static void what_is_not_there_is_listed(void **state)
{
	struct fake f;

	(void)state;
	make_disk(&f, FAKE_GOOD);
	check_missing(&f, (struct stage_assigned_request){ .name = "data", .reason = "no disk with serial X" },
		      "no disk with serial X");
	check_missing(&f, (struct stage_assigned_request){ .name = "data" }, "it is absent");
	check_missing(&f, (struct stage_assigned_request){ .name = "data", .place = "0000:00:04.0" },
		      "0000:00:04.0: no device that the driver knows");
	check_missing(&f, (struct stage_assigned_request){ .name = "lan", .place = "0000:00:03.0", .is_net = true },
		      "0000:00:03.0: no device that the driver knows");
	f.pci[0x34] = 0;
	check_missing(&f, request, "virtio-blk 0000:00:03.0: has no virtio 1.x interface");
}

static uint32_t large_read(void *ctx, uint32_t bdf, uint32_t offset, unsigned width)
{
	uint32_t v = fake_pci_read(ctx, bdf, offset, width);

	return offset == 0x20 && v == (UINT32_MAX & ~(uint32_t)(FAKE_BAR_BYTES - 1)) ? 0xf8000000 : v; /* 128 MiB */
}

static void too_many_registers_are_refused(void **state)
{
	struct fake f;

	(void)state;
	make_disk(&f, FAKE_GOOD);
	f.env.pci_read = large_read;
	check_missing(&f, request, "0000:00:03.0: 134217728 bytes of registers exceed the limit of 67108864");
}

/* A second register, of 2 KiB: the upper half of a page. */
static uint32_t small_value = 0xfebf1800;

static uint32_t small_read(void *ctx, uint32_t bdf, uint32_t offset, unsigned width)
{
	return bdf == 3 << 3 && offset == 0x14 ? small_value : fake_pci_read(ctx, bdf, offset, width);
}

static void small_write(void *ctx, uint32_t bdf, uint32_t offset, unsigned width, uint32_t value)
{
	if (bdf == 3 << 3 && offset == 0x14)
		small_value = value & 0xfffff800;
	fake_pci_write(ctx, bdf, offset, width, value);
}

static void registers_on_a_shared_page_are_refused(void **state)
{
	struct fake f;

	(void)state;
	make_disk(&f, FAKE_GOOD);
	f.env.pci_read = small_read;
	f.env.pci_write = small_write;
	check_missing(
		&f, request,
		"0000:00:03.0: base address register 1 is 0xfebf1800: it shares a page with what is not the device's");
	small_value = 0;
	mapping_count = 0;
	stage_assigned_free(assigned_disk(&f)); /* one without an address is none */
	assert_int_equal(mapping_count, 2);
}

/* --- the environment by itself --- */

static void registers_are_sized_as_the_device_would(void **state)
{
	static const struct {
		uint32_t low, high;
		uint64_t bytes;
	} wide = { 0x0000000c, 0x80, UINT64_C(1) << 33 };
	struct kchain_device device = { .bdf = 3 << 3 };
	struct stage_called_env called;
	struct stage_pci_function function;
	struct stage_pci_bar bar;
	struct chain_error err = { 0 };
	struct fake f;

	(void)state;
	make_disk(&f, FAKE_GOOD);
	memcpy(device.config, f.pci, sizeof device.config);
	memcpy(device.config + 0x10, &wide.low, 4);
	memcpy(device.config + 0x14, &wide.high, 4);
	memcpy(device.config + 0x18, (const uint8_t[]){ 0x01, 0xc0, 0, 0 }, 4); /* ports */
	device.registers[0].phys = (uint64_t)wide.high << 32;
	device.registers[0].bytes = wide.bytes;
	device.registers[0].virt = KCHAIN_DEVICE_VIRT;
	device.registers[4].phys = FAKE_BAR;
	device.registers[4].bytes = FAKE_BAR_BYTES;
	device.registers[4].virt = KCHAIN_DEVICE_VIRT + 0x100000;
	stage_called_env_init(&called, &f.env, &device, 0, 0, 0);
	assert_true(stage_pci_function_at(&called.env, device.bdf, &function));
	for (int again = 0; again < 2; again++) {
		assert_int_equal(stage_pci_bar(&called.env, &function, 0, &bar, &err), CHAIN_OK);
		assert_true(bar.phys == device.registers[0].phys && bar.bytes == wide.bytes);
		assert_int_equal(stage_pci_bar(&called.env, &function, 4, &bar, &err), CHAIN_OK);
		assert_true(bar.phys == FAKE_BAR && bar.bytes == FAKE_BAR_BYTES);
		assert_int_equal(stage_pci_bar(&called.env, &function, 2, &bar, &err), CHAIN_E_PCI_BAD_BAR);
		assert_int_equal(stage_pci_bar(&called.env, &function, 5, &bar, &err), CHAIN_E_PCI_BAD_BAR);
	}
	called.env.pci_write(&called, device.bdf, 0x10, 4, 0);
	assert_int_equal(called.env.pci_read(&called, device.bdf, 0x10, 4), 0x0000000c);
	assert_int_equal(called.env.pci_read(&called, device.bdf, 253, 4), UINT32_MAX);
	assert_int_equal(called.env.pci_read(&called, device.bdf, 256, 1), 0xff);
	assert_ptr_equal((void *)(uintptr_t)called.env.map(&called, FAKE_BAR + 0x1000, 0x3000),
			 (void *)(uintptr_t)(KCHAIN_DEVICE_VIRT + 0x101000));
	assert_null(called.env.map(&called, FAKE_BAR + 0x1000, 0x3001));
	assert_null(called.env.map(&called, FAKE_BAR - 1, 1));
	assert_null(called.env.map(&called, UINT64_MAX, UINT64_MAX));
}

static void memory_for_devices_is_the_heaps(void **state)
{
	const uint64_t phys = 0x7654000;
	struct kchain_device device = { .bdf = 3 << 3 };
	struct stage_called_env called;
	uint64_t at;
	struct fake f;

	(void)state;
	make_disk(&f, FAKE_GOOD);
	struct stage_device_env base = kernel_base(&f);
	stage_called_env_init(&called, &base, &device, (uintptr_t)heap, HEAP_BYTES, phys);
	assert_ptr_equal(called.env.dma_alloc(&called, 5000, &at), heap);
	assert_int_equal(at, phys);
	void *second = called.env.dma_alloc(&called, 100, &at);
	assert_ptr_equal(second, heap + 8192);
	assert_int_equal(at, phys + 8192);
	called.env.dma_free(&called, second, at, 100);
	assert_null(called.env.dma_alloc(&called, HEAP_BYTES, &at));
	/* Memory from elsewhere has no address that is known: it is given back. */
	stage_called_env_init(&called, &base, &device, (uintptr_t)heap + 3 * 4096, HEAP_BYTES - 3 * 4096, phys);
	assert_null(called.env.dma_alloc(&called, HEAP_BYTES - 3 * 4096 + 1, &at));
	heap_used = 0;
	assert_null(called.env.dma_alloc(&called, 4096, &at));
}

static void places_are_read_strictly(void **state)
{
	static const char *const wrong[] = { "",
					     "0000:00:03",
					     "0000:00:03.",
					     "0000:00:03.00",
					     "0000:00:03.0 ",
					     "000:00:03.0",
					     "0001:00:03.0",
					     "0000:0g:03.0",
					     "0000:00:23.0",
					     "0000:00:03.8",
					     "0000-00:03.0",
					     "0000:00:/3.0",
					     "0000:00:03.`",
					     "0000:00:0:.0",
					     "\xff\xff\xff\xff:" };
	struct stage_pci_function function;
	struct fake f;

	(void)state;
	make_disk(&f, FAKE_GOOD);
	assert_true(stage_pci_find(&f.env, "0000:00:03.0", &function));
	assert_true(function.bdf == 3 << 3 && function.device == MODERN_BLK);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		if (stage_pci_find(&f.env, wrong[i], &function))
			fail_msg("%s", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_drives_what_it_is_shown),
		cmocka_unit_test(reads_under_way_are_forgotten),
		cmocka_unit_test(a_reset_that_does_not_finish_is_reported),
		cmocka_unit_test(a_lost_kernel_loses_its_devices),
		cmocka_unit_test(what_is_not_there_is_listed),
		cmocka_unit_test(too_many_registers_are_refused),
		cmocka_unit_test(registers_on_a_shared_page_are_refused),
		cmocka_unit_test(registers_are_sized_as_the_device_would),
		cmocka_unit_test(memory_for_devices_is_the_heaps),
		cmocka_unit_test(places_are_read_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
