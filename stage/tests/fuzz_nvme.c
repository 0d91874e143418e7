/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: an NVMe controller that lies. Byte 0: which piece of DMA memory there is none for. The rest is what
 * the device answers (fuzz_device.h). */
#include "../../chain/tests/fuzz.h"
#include "fake_nvme.h"
#include "fuzz_device.h"
#include "fuzz_disk.h"

#include "chain/range.h"
#include "stage/device_list.h"

enum { SECTORS = 1000, PAGE = 4096 };

struct machine {
	struct fake_nvme nvme; /* first: the environment's context is both */
	struct fuzz_input input;
	unsigned allocations, fail_at;
	struct chain_range memory; /* the one piece for the device */
	bool other_doorbells;      /* it lied of their places: one may be written to that was not meant */
};

static uint32_t pci_read(void *ctx, uint32_t bdf, uint32_t offset, unsigned width)
{
	struct machine *m = ctx;
	FUZZ_HOLDS(offset + width <= 256 && offset % width == 0 && bdf < 0x10000);
	uint32_t answer = fake_pci_read(ctx, bdf, offset, width);
	return bdf == 3 << 3 && offset >= 4 ? fuzz_spoil(&m->input, answer, width) : answer;
}

static uint32_t mmio_read(void *ctx, const volatile void *at, unsigned width)
{
	struct machine *m = ctx;
	size_t offset = SIZE_MAX;
	if (fake_offset(&m->nvme.fake, at, &offset))
		FUZZ_HOLDS(width == 4 && offset <= FAKE_BAR_BYTES - width && offset % width == 0);
	uint32_t truth = nvme_mmio_read(ctx, at, width), answer = fuzz_spoil(&m->input, truth, width);
	if (offset == NVME_CAP + 4 && ((answer ^ truth) & NVME_CAP_HIGH_STRIDE))
		m->other_doorbells = true;
	return answer;
}

static bool is_dma(const struct machine *m, uint64_t at, uint64_t bytes)
{
	return at >= m->memory.base && at < m->memory.end && bytes <= m->memory.end - at;
}

/* With its registers said to be elsewhere, what the driver writes is not what it means. The bus lets a device reach DMA
 * memory only. */
static void keep_to_dma(struct machine *m)
{
	for (unsigned i = 0; i < NVME_FAKE_QUEUES; i++)
		if (!is_dma(m, m->nvme.queues[i].submit, PAGE) || !is_dma(m, m->nvme.queues[i].complete, PAGE))
			m->nvme.queues[i].submit = 0;
}

/* What the driver asks for lies in its memory: the device does not look for itself, unless it is told a command. */
static void check_command(struct machine *m, unsigned queue)
{
	const struct nvme_command *c =
		(const struct nvme_command *)(uintptr_t)m->nvme.queues[queue].submit + m->nvme.queues[queue].head;
	if (m->other_doorbells) {
		m->nvme.queues[queue].submit = 0;
		return;
	}
	bool read = queue && c->opcode == NVME_READ;
	uint32_t shift = m->nvme.space[NVME_NAMESPACE_FORMAT_LIST + 2];
	FUZZ_HOLDS(is_dma(m, c->prp[0], PAGE) && c->prp[0] % PAGE == 0);
	FUZZ_HOLDS(!c->prp[1] || (read && is_dma(m, c->prp[1], PAGE)));
	if (read && shift > 16) /* it was believed when it said otherwise, and can't mean it */
		m->nvme.space[NVME_NAMESPACE_FORMAT_LIST + 2] = 9;
	if (read && ((c->word[2] & 0xffff) + UINT64_C(1)) << m->nvme.space[NVME_NAMESPACE_FORMAT_LIST + 2] > 65536)
		m->nvme.queues[queue].submit = 0; /* nor may it write behind what it was given */
	for (uint32_t i = 0; read && c->prp[1] % PAGE == 0 && i < 15; i++) {
		uint64_t page = ((const uint64_t *)(uintptr_t)(m->memory.base + 4 * PAGE))[i];
		FUZZ_HOLDS(is_dma(m, page, PAGE) && page % PAGE == 0);
	}
}

static void lie_in_ring(struct machine *m, unsigned queue)
{
	struct nvme_completion *ring = (struct nvme_completion *)(uintptr_t)m->nvme.queues[queue].complete;
	if (!m->nvme.queues[queue].submit || !(fuzz_next(&m->input) & LIE))
		return;
	ring += fuzz_next(&m->input) & 1;
	ring->id = (uint16_t)fuzz_spoil(&m->input, ring->id, 2);
	ring->queue = (uint16_t)fuzz_spoil(&m->input, ring->queue, 2);
	ring->head = (uint16_t)fuzz_spoil(&m->input, ring->head, 2);
	ring->status = (uint16_t)fuzz_spoil(&m->input, ring->status, 2);
}

static void mmio_write(void *ctx, volatile void *at, unsigned width, uint32_t value)
{
	struct machine *m = ctx;
	size_t offset;
	if (fake_offset(&m->nvme.fake, at, &offset))
		FUZZ_HOLDS(width == 4 && offset <= FAKE_BAR_BYTES - width && offset % width == 0);
	keep_to_dma(m);
	for (unsigned i = 0; i < NVME_FAKE_QUEUES; i++)
		if (m->nvme.queues[i].submit && offset == NVME_DOORBELLS + 8 * i &&
		    m->nvme.queues[i].head != (value & 1))
			check_command(m, i);
	if (fuzz_next(&m->input) & LIE) { /* in what it will say of itself, too */
		m->nvme.space[fuzz_next(&m->input) % 144] = fuzz_next(&m->input);
		m->nvme.controller[fuzz_next(&m->input)] = fuzz_next(&m->input);
		m->nvme.namespace = fuzz_next(&m->input);
	}
	nvme_mmio_write(ctx, at, width, value);
	keep_to_dma(m);
	for (unsigned i = 0; i < NVME_FAKE_QUEUES; i++)
		lie_in_ring(m, i);
}

static void idle(void *ctx)
{
	struct machine *m = ctx;
	fake_idle(ctx);
	for (unsigned i = 0; i < NVME_FAKE_QUEUES; i++)
		lie_in_ring(m, i);
	if (m->input.at >= m->input.count)
		m->nvme.fake.now_us += 100000; /* nothing more will come */
}

static void *dma_alloc(void *ctx, size_t bytes, uint64_t *out_phys)
{
	struct machine *m = ctx;
	*out_phys = 0;
	if (++m->allocations == m->fail_at)
		return NULL;
	FUZZ_HOLDS(!m->memory.end);
	void *at = fake_dma_alloc(ctx, bytes, out_phys);
	FUZZ_HOLDS(at);
	m->memory = (struct chain_range){ *out_phys, *out_phys + bytes };
	return at;
}

static void dma_free(void *ctx, void *virt, uint64_t phys, size_t bytes)
{
	struct machine *m = ctx;
	FUZZ_HOLDS((uintptr_t)virt == phys && m->memory.base == phys && m->memory.end == phys + bytes);
	/* The device has let go of it, or can't reach it. */
	FUZZ_HOLDS(!(m->nvme.fake.pci[STAGE_PCI_COMMAND] & STAGE_PCI_COMMAND_MASTER));
	m->memory = (struct chain_range){ 0 };
	keep_to_dma(m);
	fake_dma_free(ctx, virt, phys, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine m;
	struct stage_device_list list;
	struct chain_error err = { 0 };

	if (size < 2)
		return 0;
	fake_nvme_init(&m.nvme, NVME_GOOD, SECTORS, data[1] & 1 ? 12 : 9);
	m.input = (struct fuzz_input){ data, size, 2 };
	m.allocations = 0;
	m.memory = (struct chain_range){ 0 };
	m.other_doorbells = false;
	m.fail_at = data[0];
	m.nvme.fake.env.pci_read = pci_read;
	m.nvme.fake.env.mmio_read = mmio_read;
	m.nvme.fake.env.mmio_write = mmio_write;
	m.nvme.fake.env.idle = idle;
	m.nvme.fake.env.dma_alloc = dma_alloc;
	m.nvme.fake.env.dma_free = dma_free;
	(void)fuzz_status(stage_device_list_open(&m.nvme.fake.env, STAGE_CLASS_BLOCK, &list, &err), &err);
	for (struct stage_block *dev = list.block; dev; dev = dev->next)
		fuzz_disk_use(dev, &m.input, 40);
	stage_device_list_close(&list);
	FUZZ_HOLDS(m.nvme.fake.dma_live == 0);
	return 0;
}
