/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: a disk or network card that lies. Byte 0: which of the two, whether a called kernel has it, with a
 * configuration space that is not what it was, and whether it is a virtio-mmio device; byte 1: which piece of DMA
 * memory there is none for. The rest is what the device answers (fuzz_device.h). */
#include "../../chain/tests/fuzz.h"
#include "fake_virtio.h"
#include "fuzz_device.h"
#include "fuzz_disk.h"

#include "chain/range.h"
#include "stage/called_env.h"
#include "stage/device_list.h"

enum { SECTORS = 1000, MODERN_NET = 0x1041, MODERN_BLK = 0x1042, ROUNDS = 6, PIECES = 8, DRIVER_OK = 4 };
#define F_MANY_NET (UINT64_C(1) << 3 | UINT64_C(1) << 5 | UINT64_C(1) << 16)
#define F_MANY_BLK (UINT64_C(1) << 1 | UINT64_C(1) << 5 | UINT64_C(1) << 6)

struct machine {
	struct fake fake; /* first: the environment's context is both */
	struct fuzz_input input;
	unsigned allocations, fail_at;
	struct chain_range pieces[PIECES]; /* of DMA memory, as given out */
};

static uint32_t pci_read(void *ctx, uint32_t bdf, uint32_t offset, unsigned width)
{
	struct machine *m = ctx;
	FUZZ_HOLDS(offset + width <= 256 && offset % width == 0 && bdf < 0x10000);
	uint32_t answer = fake_pci_read(ctx, bdf, offset, width);
	return bdf == 3 << 3 ? fuzz_spoil(&m->input, answer, width) : answer;
}

static uint32_t mmio_read(void *ctx, const volatile void *at, unsigned width)
{
	struct machine *m = ctx;
	size_t offset;
	if (fake_offset(&m->fake, at, &offset))
		FUZZ_HOLDS(offset <= FAKE_BAR_BYTES - width && offset % width == 0);
	return fuzz_spoil(&m->input, fake_mmio_read(ctx, at, width), width);
}

static bool is_dma(const struct machine *m, uint64_t at, uint64_t bytes)
{
	for (size_t i = 0; i < PIECES; i++)
		if (at >= m->pieces[i].base && at < m->pieces[i].end && bytes <= m->pieces[i].end - at)
			return true;
	return false;
}

/* With its registers said to be elsewhere, what the driver writes is not what it means. The bus lets a device reach DMA
 * memory only. */
static void keep_to_dma(struct machine *m)
{
	for (struct fake_queue *q = m->fake.queues; q < m->fake.queues + FAKE_QUEUES; q++)
		if (!q->size || !is_dma(m, q->desc, 16u * q->size) || !is_dma(m, q->avail, 4 + 2u * q->size) ||
		    !is_dma(m, q->used, 4 + 8u * q->size))
			q->enabled = 0;
}

/* Elements of the used ring as the device likes. */
static void lie_in_ring(struct machine *m, struct fake_queue *q)
{
	struct {
		uint32_t id, bytes;
	} *used = (void *)(uintptr_t)(q->used + 4);
	if (!q->enabled || !(fuzz_next(&m->input) & LIE))
		return;
	unsigned slot = fuzz_next(&m->input) % q->size;
	used[slot].id = fuzz_spoil(&m->input, fuzz_next(&m->input), 4);
	used[slot].bytes = fuzz_spoil(&m->input, fuzz_next(&m->input), 4);
	fake_ring(q->used)[1] = (uint16_t)(fake_ring(q->used)[1] + (int8_t)fuzz_spoil(&m->input, 1, 1));
}

static void mmio_write(void *ctx, volatile void *at, unsigned width, uint32_t value)
{
	struct machine *m = ctx;
	size_t offset;
	if (fake_offset(&m->fake, at, &offset))
		FUZZ_HOLDS(offset <= FAKE_BAR_BYTES - width && offset % width == 0);
	keep_to_dma(m);
	fake_mmio_write(ctx, at, width, value);
	keep_to_dma(m);
	for (unsigned i = 0; i < FAKE_QUEUES; i++)
		lie_in_ring(m, &m->fake.queues[i]);
}

static void idle(void *ctx)
{
	struct machine *m = ctx;
	fake_idle(ctx);
	for (unsigned i = 0; i < FAKE_QUEUES; i++)
		lie_in_ring(m, &m->fake.queues[i]);
	if (m->input.at >= m->input.count)
		m->fake.now_us += 100000; /* nothing more will come */
}

static void *dma_alloc(void *ctx, size_t bytes, uint64_t *out_phys)
{
	struct machine *m = ctx;
	if (++m->allocations == m->fail_at) {
		*out_phys = 0;
		return NULL;
	}
	void *at = fake_dma_alloc(ctx, bytes, out_phys);
	FUZZ_HOLDS(at && m->fake.dma_live <= PIECES);
	for (size_t i = 0; i < PIECES; i++) {
		if (m->pieces[i].end)
			continue;
		m->pieces[i] = (struct chain_range){ *out_phys, *out_phys + bytes };
		break;
	}
	return at;
}

static void dma_free(void *ctx, void *virt, uint64_t phys, size_t bytes)
{
	struct machine *m = ctx;
	FUZZ_HOLDS((uintptr_t)virt == phys);
	/* The device has let go of it, or was never told to begin. */
	FUZZ_HOLDS(!(m->fake.status & DRIVER_OK) || !(m->fake.pci[STAGE_PCI_COMMAND] & STAGE_PCI_COMMAND_MASTER));
	for (size_t i = 0; i < PIECES; i++)
		if (m->pieces[i].base == phys && chain_range_bytes(m->pieces[i]) == bytes)
			m->pieces[i] = (struct chain_range){ 0 };
	FUZZ_HOLDS(!is_dma(m, phys, 1)); /* whole, or not at all */
	keep_to_dma(m);
	fake_dma_free(ctx, virt, phys, bytes);
}

/* Fills what it may write, and says what it likes about how much that was. */
static uint32_t device(struct fake *f, unsigned queue, struct stage_virtio_segment *segments, unsigned count)
{
	struct machine *m = (struct machine *)f;
	uint32_t room = 0;
	(void)queue;
	for (unsigned i = 0; i < count; i++) {
		uint8_t *to = (uint8_t *)(uintptr_t)segments[i].phys;
		if (!segments[i].device_writes)
			continue;
		FUZZ_HOLDS(segments[i].bytes > 0 && is_dma(m, segments[i].phys, segments[i].bytes));
		to[0] = to[segments[i].bytes - 1] = (uint8_t)fuzz_spoil(&m->input, 0, 1);
		room += segments[i].bytes;
	}
	return fuzz_spoil(&m->input, room, 4);
}

static void take_frame(void *ctx, const void *frame, size_t bytes)
{
	uint32_t *sum = ctx;
	FUZZ_HOLDS(bytes && bytes <= STAGE_FRAME_BYTES);
	for (size_t i = 0; i < bytes; i++)
		*sum += ((const uint8_t *)frame)[i];
}

static void use_net(struct machine *m, struct stage_netdev *dev)
{
	static uint8_t frame[STAGE_FRAME_BYTES + 2];
	uint32_t sum = 0;
	FUZZ_HOLDS(dev->mtu >= 68 && dev->mtu <= 1500);
	for (int i = 0; i < ROUNDS; i++) {
		struct chain_error err = { 0 };
		size_t bytes = ((size_t)fuzz_next(&m->input) << 8 | fuzz_next(&m->input)) % sizeof(frame);
		(void)fuzz_status(dev->ops->send(dev, frame, bytes, &err), &err);
		dev->ops->poll(dev, take_frame, &sum);
		(void)dev->ops->link_up(dev);
		m->fake.env.idle(m);
	}
}

/* Memory is where it is for both, and registers are where the device has them. */
static const struct stage_device_env *called_env(struct machine *m)
{
	enum { CHANGES = 8, REGISTER = 4 };
	static struct kchain_device device;
	static struct stage_called_env called;
	device = (struct kchain_device){ .bdf = 3 << 3 };
	device.registers[REGISTER].phys = FAKE_BAR;
	device.registers[REGISTER].bytes = FAKE_BAR_BYTES;
	device.registers[REGISTER].virt = (uintptr_t)m->fake.bar;
	memcpy(device.config, m->fake.pci, sizeof(device.config));
	for (int i = 0; i < CHANGES && fuzz_next(&m->input) & LIE; i++) {
		uint8_t at = fuzz_next(&m->input);
		device.config[at] = fuzz_next(&m->input);
	}
	stage_called_env_init(&called, &m->fake.env, &device, 0, UINT64_MAX, 0);
	return &called.env;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine m;
	struct stage_device_list list;
	struct chain_error err = { 0 };
	uint64_t sectors = SECTORS;

	if (size < 2)
		return 0;
	bool net = data[0] & 1;
	fake_init(&m.fake, net ? MODERN_NET : MODERN_BLK, FAKE_GOOD, net ? F_MANY_NET : F_MANY_BLK, device);
	memcpy(m.fake.bar + FAKE_CONFIG,
	       net ? "\x52\x54\x00\x12\x34\x56\x01\x00\x01\x00\xdc\x05" : (const char *)&sectors, net ? 12 : 8);
	if (!net)
		memcpy(m.fake.bar + FAKE_CONFIG + 8, "\x00\x00\x01\x00\x7e\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00",
		       16);
	if ((data[0] & 6) == 4) /* a called kernel is shown PCI devices only */
		fake_use_mmio(&m.fake, net ? VIRTIO_TYPE_NET : VIRTIO_TYPE_BLOCK);
	m.input = (struct fuzz_input){ data, size, 2 };
	m.allocations = 0;
	memset(m.pieces, 0, sizeof(m.pieces));
	m.fail_at = data[1];
	m.fake.env.pci_read = pci_read;
	m.fake.env.mmio_read = mmio_read;
	m.fake.env.mmio_write = mmio_write;
	m.fake.env.idle = idle;
	m.fake.env.dma_alloc = dma_alloc;
	m.fake.env.dma_free = dma_free;
	const struct stage_device_env *env = data[0] & 2 ? called_env(&m) : &m.fake.env;
	(void)fuzz_status(stage_device_list_open(env, net ? STAGE_CLASS_NET : STAGE_CLASS_BLOCK, &list, &err), &err);
	for (struct stage_netdev *dev = list.net; dev; dev = dev->next)
		use_net(&m, dev);
	for (struct stage_block *dev = list.block; dev; dev = dev->next)
		fuzz_disk_use(dev, &m.input, 5);
	stage_device_list_close(&list);
	FUZZ_HOLDS(m.fake.dma_live == 0);
	FUZZ_HOLDS(m.fake.now_us < 300 * 1000000 && m.fake.accesses < 10 * 1000 * 1000);
	return 0;
}
