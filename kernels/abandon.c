/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Leaves its disk in the middle of reads, or looks whether another did: abandon fault | hang | exit | wait puts reads
 * of the first disk assigned to it on its ring, and ends in that way while they are under way, or waits for them
 * (abandon ATTEMPT and several of them: by the attempt); abandon watch MILLISECONDS looks whether anything writes to
 * its memory. It drives the ring itself: kchain.h has no read that is not waited for. */

#include <kchain.h>

#include "stage/boot.h"
#include "stage/called_env.h"
#include "stage/virtio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	READS = 16,
	READ_BYTES = 32 * 1024,
	STRIDE_BYTES = READ_BYTES + 4096,
	MEMORY_BYTES = READS * STRIDE_BYTES,
	ROOM_BYTES = 128 * 1024
};

static struct stage_called_env called;
static struct stage_virtio virtio;
static struct stage_virtqueue queue;
static uint8_t *reads;

/* The end of the heap, where nothing else is. What is read goes to pages that the processor never writes to. */
static bool find_memory(void)
{
	const struct kchain_call *call = stage_boot.call;
	reads = (uint8_t *)call->heap + call->heap_bytes - MEMORY_BYTES;
	return call->heap_bytes >= MEMORY_BYTES + ROOM_BYTES;
}

static bool start_reads(void)
{
	const struct kchain_call *call = stage_boot.call;
	const struct kchain_device *device = (const struct kchain_device *)call->devices;
	struct stage_device function;
	struct chain_error err = { 0 };
	if (!call->device_count || *device->reason)
		return false;
	stage_called_env_init(&called, stage_native_env(), device, call->heap, call->heap_bytes, call->heap_phys);
	if (!find_memory() || !stage_device_at(&called.env, device->bdf, &function) ||
	    stage_virtio_open(&called.env, &function, "abandon", &virtio, &err) ||
	    stage_virtio_begin(&virtio, 0, &err) || stage_virtqueue_open(&queue, &virtio, 0, VIRTIO_SEGMENTS, &err))
		return false;
	stage_virtio_ready(&virtio);
	for (uint16_t i = 0; i < READS; i++) { /* the header, all zero, asks for a read from sector 0 on */
		uint64_t at = call->heap_phys + (uint64_t)reads - call->heap + i * STRIDE_BYTES;
		memset(reads + i * STRIDE_BYTES + READ_BYTES, 0, 16);
		const struct stage_virtio_segment segments[] = { { at + READ_BYTES, 16, false },
								 { at, READ_BYTES, true },
								 { at + READ_BYTES + 16, 1, true } };
		stage_virtqueue_put(&queue, i, segments, 3);
	}
	stage_virtqueue_kick(&queue);
	return true;
}

/* All of them, and what the first byte of each is. */
static int wait(void)
{
	char result[64];
	unsigned sum = 0;
	for (unsigned done = 0; done < READS;) {
		struct chain_error err = { 0 };
		uint16_t slot;
		uint32_t bytes;
		if (stage_virtqueue_take(&queue, &slot, &bytes, &err)) {
			sum += reads[slot * STRIDE_BYTES];
			done++;
		} else if (err.status) {
			return 1;
		}
	}
	snprintf(result, sizeof(result), "{\"reads\": %d, \"sum\": %u}", READS, sum);
	return kchain_result(result) ? 0 : 1;
}

static int abandon(const char *way)
{
	if (!start_reads()) {
		printf("abandon: no disk\n");
		return 3;
	}
	if (!strcmp(way, "fault"))
		__builtin_trap();
	while (!strcmp(way, "hang"))
		;
	return strcmp(way, "wait") ? 0 : wait();
}

/* The same memory in another kernel: zero as it was given, and it stays so. */
static int watch(uint64_t milliseconds)
{
	const struct kchain_call *call = stage_boot.call;
	size_t changed = 0;
	char result[64];
	if (!find_memory())
		return 3;
	if (!call->heap_is_zero)
		memset(reads, 0, MEMORY_BYTES);
	for (uint64_t end = kchain_clock_us() + milliseconds * 1000; kchain_clock_us() < end && !changed;)
		for (size_t word = 0; word < MEMORY_BYTES / 8; word++)
			changed += ((volatile uint64_t *)(void *)reads)[word] != 0;
	snprintf(result, sizeof(result), "{\"bytes\": %d, \"changed\": %zu}", MEMORY_BYTES, changed);
	printf("abandon: %zu words changed\n", changed);
	return kchain_result(result) ? changed != 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "watch"))
		return watch(strtoull(argv[2], NULL, 10));
	if (argc == 2 && kchain_is_called())
		return abandon(argv[1]);
	int attempt = argc > 2 ? atoi(argv[1]) : -1;
	if (attempt >= 0 && attempt < argc - 2 && kchain_is_called())
		return abandon(argv[2 + attempt]);
	printf("usage: abandon fault | hang | exit | wait | watch MILLISECONDS, or ATTEMPT and what to do at each\n");
	return 2;
}
