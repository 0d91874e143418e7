/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* NVM Express Base Specification 1.4, over PCI: the first namespace of a controller as a disk. Polled, one command at a
 * time: a queue for administration and one for reads, each of the two entries that every controller has. The device is
 * not trusted: what it says is checked before it is used, and every wait has a deadline. */
#include "stage/nvme.h"

#include "buffered_disk.h"
#include "stage/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, ENTRIES = 2, READY_MS_MOST = 30000, VERSION_1_1 = 0x00010100 };
/* The queues, the list of the buffer's pages, and the buffer: a page each but for the last. */
enum { ADMIN, READS, QUEUES };
enum { LIST_AT = 2 * QUEUES * PAGE, BUFFER_AT = LIST_AT + PAGE, MEMORY_BYTES = BUFFER_AT + BUFFERED_DISK_BYTES };

extern const struct stage_driver stage_nvme;

struct queue {
	unsigned at; /* next entry of both rings, for one command at a time */
	bool phase;  /* that a new completion has */
};

struct nvme {
	struct buffered_disk disk; /* first: the interface's pointer is ours */
	struct stage_held_device held;
	char subject[40];
	volatile uint8_t *doorbells;
	uint32_t doorbell_bytes, namespace;
	uint8_t *memory;
	uint64_t phys;
	struct queue queues[QUEUES];
	uint16_t last_id;
};

/* --- registers --- */

static uint32_t get(const struct stage_held_device *held, uint32_t offset)
{
	return held->env->mmio_read(held->env->ctx, held->registers + offset, 4);
}

static void set(const struct stage_held_device *held, uint32_t offset, uint32_t value)
{
	held->env->mmio_write(held->env->ctx, held->registers + offset, 4, value);
}

static void set64(const struct stage_held_device *held, uint32_t offset, uint64_t value)
{
	set(held, offset, (uint32_t)value);
	set(held, offset + 4, (uint32_t)(value >> 32));
}

/* How long it may take to start or to stop (1.4, section 3.1.1): at most 127 s, of which we wait no more than 30. */
static uint32_t ready_ms(const struct stage_held_device *held)
{
	uint32_t ms = ((get(held, NVME_CAP) >> NVME_CAP_TIMEOUT_SHIFT) + 1) * NVME_CAP_TIMEOUT_MS;
	return ms < READY_MS_MOST ? ms : READY_MS_MOST;
}

static bool wait_ready(const struct stage_held_device *held, bool ready)
{
	const struct stage_device_env *env = held->env;
	uint64_t deadline = env->now_us(env->ctx) + ready_ms(held) * UINT64_C(1000);
	for (;;) {
		uint32_t state = get(held, NVME_CSTS);
		/* One that is not there any more reads as ones. */
		if (state != UINT32_MAX && (state & NVME_CSTS_READY) == (ready ? NVME_CSTS_READY : 0))
			return true;
		if (state & NVME_CSTS_FATAL && ready)
			return false;
		if (env->now_us(env->ctx) >= deadline)
			return false;
		env->idle(env->ctx);
	}
}

static bool reset(struct stage_held_device *held)
{
	set(held, NVME_CC, 0);
	return wait_ready(held, false);
}

static enum chain_status map_registers(struct stage_held_device *held, uint64_t offset, uint64_t bytes,
				       volatile uint8_t **out, struct chain_error *err)
{
	struct stage_pci_bar bar;
	enum chain_status status = stage_pci_bar(held->env, &held->device.pci, 0, &bar, err);
	if (status)
		return status;
	if (bytes > bar.bytes || offset > bar.bytes - bytes)
		return CHAIN_FAIL(err, NVME_CONTROLLER, .subject = held->device.place,
				  .detail = "its registers are longer than where they lie", .value = bar.bytes);
	*out = held->env->map(held->env->ctx, bar.phys + offset, bytes);
	return *out ? CHAIN_OK : chain_fail_no_memory(err, held->device.place, bytes);
}

static enum chain_status hold(struct stage_held_device *held, struct chain_error *err)
{
	enum chain_status status = map_registers(held, 0, NVME_DOORBELLS, &held->registers, err);
	if (!status)
		held->device.bus->attach(held->env, &held->device);
	return status;
}

/* --- commands --- */

/* The device may write yet what was asked for: it must let go of the memory before anybody else gets it. */
static enum chain_status stop_broken(struct nvme *nvme, const struct chain_error *fault, struct chain_error *err)
{
	stage_device_quiesce(&nvme->held);
	nvme->disk.dev.fault = *fault;
	return chain_fail_again(err, fault, NULL);
}

static enum chain_status wrong_completion(const struct nvme *nvme, const char *what, uint64_t value, uint64_t wanted,
					  struct chain_error *err)
{
	return CHAIN_FAIL(err, NVME_COMPLETION, .subject = nvme->subject, .detail = what, .value = value,
			  .wanted = wanted);
}

static void put(struct nvme *nvme, unsigned which, const struct nvme_command *command)
{
	const struct stage_device_env *env = nvme->held.env;
	struct queue *q = &nvme->queues[which];
	struct nvme_command *ring = (void *)(nvme->memory + 2 * which * PAGE);

	ring[q->at] = *command;
	q->at = (q->at + 1) % ENTRIES;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	env->mmio_write(env->ctx, nvme->doorbells + 2 * which * nvme->doorbell_bytes, 4, q->at);
}

/* The completion of that command, of which there is one at a time; false: there is none yet, or `fault`. */
static bool take(struct nvme *nvme, unsigned which, uint16_t id, uint16_t *out_status, struct chain_error *fault)
{
	const struct stage_device_env *env = nvme->held.env;
	struct queue *q = &nvme->queues[which];
	const volatile struct nvme_completion *ring = (void *)(nvme->memory + (2 * which + 1) * PAGE);
	const volatile struct nvme_completion *done = &ring[(q->at + ENTRIES - 1) % ENTRIES];
	uint16_t status = done->status, got_id, queue, head;

	if ((status & 1) != q->phase)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* the phase before the rest */
	got_id = done->id;
	queue = done->queue;
	head = done->head;
	if (got_id != id)
		(void)!wrong_completion(nvme, "command", got_id, id, fault);
	else if (queue != which)
		(void)!wrong_completion(nvme, "queue", queue, which, fault);
	else if (head != q->at)
		(void)!wrong_completion(nvme, "entry", head, q->at, fault);
	if (fault->status)
		return false;
	if (q->at == 0) /* the ring begins anew */
		q->phase = !q->phase;
	env->mmio_write(env->ctx, nvme->doorbells + (2 * which + 1) * nvme->doorbell_bytes, 4, q->at);
	*out_status = status >> 1;
	return true;
}

/* Puts one command on a queue and waits for it. The device is stopped where `err` is not about the command's own
 * failure: then *out_status is that, which is not 0. */
static enum chain_status run(struct nvme *nvme, unsigned which, struct nvme_command *command,
			     const struct chain_error *late, uint16_t *out_status, struct chain_error *err)
{
	const struct stage_device_env *env = nvme->held.env;
	uint64_t deadline = env->now_us(env->ctx) + BUFFERED_DISK_MS * 1000;
	struct chain_error fault = { 0 };

	command->id = ++nvme->last_id; /* an earlier one's completion is not taken for it */
	put(nvme, which, command);
	while (!take(nvme, which, command->id, out_status, &fault)) {
		uint32_t state = fault.status ? 0 : get(&nvme->held, NVME_CSTS);
		if (state & NVME_CSTS_FATAL)
			(void)!CHAIN_FAIL(&fault, NVME_CONTROLLER, .subject = nvme->subject, .detail = "it has failed",
					  .value = state);
		else if (!fault.status && env->now_us(env->ctx) >= deadline)
			(void)!chain_fail_again(&fault, late, NULL);
		if (fault.status)
			return stop_broken(nvme, &fault, err);
		env->idle(env->ctx);
	}
	return CHAIN_OK;
}

static enum chain_status administer(struct nvme *nvme, struct nvme_command *command, const char *what,
				    struct chain_error *err)
{
	struct chain_error late = { 0 };
	uint16_t result = 0;

	(void)!CHAIN_FAIL(&late, NVME_TIMEOUT, .subject = nvme->subject, .detail = what, .limit = BUFFERED_DISK_MS);
	enum chain_status status = run(nvme, ADMIN, command, &late, &result, err);
	if (status || !result)
		return status;
	return CHAIN_FAIL(err, NVME_COMMAND, .subject = nvme->subject, .detail = what, .value = result);
}

static enum chain_status identify(struct nvme *nvme, uint32_t namespace, uint32_t what, const char *name,
				  struct chain_error *err)
{
	struct nvme_command command = {
		.opcode = NVME_ADMIN_IDENTIFY,
		.namespace = namespace,
		.prp = { nvme->phys + BUFFER_AT },
		.word = { what },
	};
	memset(nvme->memory + BUFFER_AT, 0, PAGE);
	return administer(nvme, &command, name, err);
}

static enum chain_status read_sectors(struct buffered_disk *disk, uint64_t lba, uint32_t sectors,
				      struct chain_error *err)
{
	struct nvme *nvme = (struct nvme *)disk;
	uint32_t bytes = sectors * disk->dev.sector_bytes;
	uint64_t second = nvme->phys + (bytes > 2 * PAGE ? LIST_AT : BUFFER_AT + PAGE);
	struct nvme_command command = {
		.opcode = NVME_READ,
		.namespace = nvme->namespace,
		.prp = { nvme->phys + BUFFER_AT,
			 bytes > PAGE ? second : 0 }, /* 4.3: two pages, or a list of further ones */
		.word = { (uint32_t)lba, (uint32_t)(lba >> 32), sectors - 1 },
	};
	struct chain_error late = { 0 };
	char why[48];
	uint16_t result = 0;

	(void)!CHAIN_FAIL(&late, BLOCK_TIMEOUT, .subject = nvme->subject, .lba = lba, .count = sectors,
			  .limit_ms = BUFFERED_DISK_MS);
	enum chain_status status = run(nvme, READS, &command, &late, &result, err);
	if (status || !result)
		return status;
	snprintf(why, sizeof(why), "the device reports status 0x%x", result);
	return CHAIN_FAIL(err, BLOCK_REQUEST, .subject = nvme->subject, .detail = why, .lba = lba, .count = sectors);
}

/* --- starting --- */

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static enum chain_status lacks(const struct nvme *nvme, const char *what, uint64_t value, struct chain_error *err)
{
	return CHAIN_FAIL(err, NVME_CONTROLLER, .subject = nvme->subject, .detail = what, .value = value);
}

/* 7.6.1 up to step 5. */
static enum chain_status enable(struct nvme *nvme, struct chain_error *err)
{
	const struct stage_held_device *held = &nvme->held;
	uint32_t high = get(held, NVME_CAP + 4);

	if (!(high & NVME_CAP_HIGH_NVM) || high == UINT32_MAX)
		return lacks(nvme, "it does not know the commands of disks", high, err);
	if (high >> NVME_CAP_HIGH_PAGE_LEAST_SHIFT & 0xf)
		return lacks(nvme, "it does not know pages of 4 KiB", high, err);
	nvme->doorbell_bytes = UINT32_C(4) << (high & NVME_CAP_HIGH_STRIDE);
	enum chain_status status =
		map_registers(&nvme->held, NVME_DOORBELLS, 2 * QUEUES * nvme->doorbell_bytes, &nvme->doorbells, err);
	if (status)
		return status;
	if (!reset(&nvme->held))
		return CHAIN_FAIL(err, DEVICE_RESET, .subject = nvme->subject, .limit_ms = ready_ms(held));
	set(held, NVME_MASK_INTERRUPTS, UINT32_MAX);
	set(held, NVME_AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	set64(held, NVME_ASQ, nvme->phys);
	set64(held, NVME_ACQ, nvme->phys + PAGE);
	set(held, NVME_CC, NVME_CC_ENTRIES | NVME_CC_ENABLE);
	if (!wait_ready(held, true))
		return CHAIN_FAIL(err, NVME_TIMEOUT, .subject = nvme->subject, .detail = "its start",
				  .limit = ready_ms(held));
	return CHAIN_OK;
}

/* The namespace with the lowest number: a controller of before version 1.1 does not list them. */
static enum chain_status find_namespace(struct nvme *nvme, struct chain_error *err)
{
	nvme->namespace = 1;
	if (get(&nvme->held, NVME_VERSION) < VERSION_1_1)
		return CHAIN_OK;
	enum chain_status status = identify(nvme, 0, NVME_IDENTIFY_NAMESPACES, "the list of namespaces", err);
	if (status)
		return status;
	nvme->namespace = get32(nvme->memory + BUFFER_AT);
	return nvme->namespace ? CHAIN_OK : lacks(nvme, "it has no namespace", 0, err);
}

/* `page_shift`: the most of a transfer is that many times doubled 4 KiB; 0: there is no limit. */
static enum chain_status read_size(struct nvme *nvme, unsigned page_shift, struct chain_error *err)
{
	const uint8_t *about = nvme->memory + BUFFER_AT;
	enum chain_status status = identify(nvme, nvme->namespace, NVME_IDENTIFY_NAMESPACE, "the namespace", err);
	if (status)
		return status;
	unsigned format = about[NVME_NAMESPACE_FORMAT] & 0xf;
	if (format > about[NVME_NAMESPACE_FORMATS])
		return lacks(nvme, "its namespace has a format that it does not list", format, err);
	uint32_t about_format = get32(about + NVME_NAMESPACE_FORMAT_LIST + 4 * format);
	unsigned shift = about_format >> 16 & 0xff;
	if (about_format & 0xffff)
		return lacks(nvme, "its sectors have metadata", about_format & 0xffff, err);
	nvme->disk.dev.read_only = about[NVME_NAMESPACE_ATTRIBUTES] & 1;
	return buffered_disk_size(&nvme->disk,
				  get32(about + NVME_NAMESPACE_SECTORS) |
					  (uint64_t)get32(about + NVME_NAMESPACE_SECTORS + 4) << 32,
				  shift < 32 ? UINT64_C(1) << shift : 0,
				  page_shift && page_shift < 16 ? (uint64_t)PAGE << page_shift : 0, err);
}

static enum chain_status create_queues(struct nvme *nvme, struct chain_error *err)
{
	struct nvme_command command = {
		.opcode = NVME_ADMIN_CREATE_CQ,
		.prp = { nvme->phys + (2 * READS + 1) * PAGE },
		.word = { (ENTRIES - 1) << 16 | READS, NVME_QUEUE_CONTIGUOUS },
	};
	enum chain_status status = administer(nvme, &command, "the creation of a completion queue", err);
	if (status)
		return status;
	command = (struct nvme_command){
		.opcode = NVME_ADMIN_CREATE_SQ,
		.prp = { nvme->phys + 2 * READS * PAGE },
		.word = { (ENTRIES - 1) << 16 | READS, READS << 16 | NVME_QUEUE_CONTIGUOUS },
	};
	return administer(nvme, &command, "the creation of a submission queue", err);
}

static enum chain_status start(struct nvme *nvme, struct chain_error *err)
{
	const struct stage_device_env *env = nvme->held.env;
	enum chain_status status = CHAIN_OK;

	nvme->memory = env->dma_alloc(env->ctx, MEMORY_BYTES, &nvme->phys);
	if (!nvme->memory)
		return chain_fail_no_memory(err, nvme->subject, MEMORY_BYTES);
	nvme->disk.buffer = nvme->memory + BUFFER_AT;
	for (unsigned i = 1; i < BUFFERED_DISK_BYTES / PAGE; i++)
		((uint64_t *)(void *)(nvme->memory + LIST_AT))[i - 1] = nvme->phys + BUFFER_AT + i * PAGE;
	for (unsigned i = 0; i < QUEUES; i++)
		nvme->queues[i].phase = true;
	status = enable(nvme, err);
	if (!status)
		status = identify(nvme, 0, NVME_IDENTIFY_CONTROLLER, "the identification", err);
	if (status)
		return status;
	unsigned page_shift = nvme->disk.buffer[NVME_CONTROLLER_TRANSFER_MOST];
	buffered_disk_serial(&nvme->disk, nvme->disk.buffer + NVME_CONTROLLER_SERIAL);
	status = find_namespace(nvme, err);
	if (!status)
		status = read_size(nvme, page_shift, err);
	return status ? status : create_queues(nvme, err);
}

static void close_nvme(struct stage_block *dev)
{
	struct nvme *nvme = (struct nvme *)dev;
	const struct stage_device_env *env = nvme->held.env;

	stage_device_quiesce(&nvme->held);
	if (nvme->memory)
		env->dma_free(env->ctx, nvme->memory, nvme->phys, MEMORY_BYTES);
	free(nvme);
}

static enum chain_status open_nvme(const struct stage_device_env *env, const struct stage_device *device,
				   struct stage_block **out, struct chain_error *err)
{
	static const struct stage_block_ops ops = { .read = buffered_disk_read, .close = close_nvme };
	struct nvme *nvme = calloc(1, sizeof(*nvme));

	if (!nvme)
		return chain_fail_no_memory(err, device->place, sizeof(*nvme));
	snprintf(nvme->subject, sizeof(nvme->subject), "%s %s", stage_nvme.name, device->place);
	nvme->disk.subject = nvme->subject;
	nvme->disk.request = read_sectors;
	buffered_disk_init(&nvme->disk, &ops, stage_nvme.name, device);
	nvme->held = (struct stage_held_device){ .env = env, .driver = &stage_nvme, .device = *device };
	enum chain_status status = hold(&nvme->held, err);
	if (status) {
		free(nvme);
		return status;
	}
	status = start(nvme, err);
	if (status)
		close_nvme(&nvme->disk.dev);
	else
		*out = &nvme->disk.dev;
	return status;
}

const struct stage_driver stage_nvme = {
	.name = "nvme",
	.ids = (const struct stage_device_id[]){ { STAGE_KEY_PCI_CLASS, 0x010802 }, { STAGE_KEY_NONE, 0 } },
	.open.block = open_nvme,
	.hold = hold,
	.reset = reset,
};
