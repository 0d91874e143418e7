/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what a native kernel's author needs beyond the C library (docs/NATIVE.md). Write an ordinary main(argc, argv):
 * printf goes to the console, malloc to the kernel's memory, fopen to the baked filesystem; what main returns is the
 * exit status. Must not know: how the kernel was started. Everything here works the same whether it was called or
 * booted. */
#ifndef KCHAIN_H
#define KCHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The handoff document: JSON text, terminated by a zero byte behind *bytes. False when there is none (a kernel that
 * was booted by something else than kchain). Borrowed for the kernel's life. `bytes` is nullable. */
bool kchain_handoff(const char **text, size_t *bytes);

/* The result: one JSON value. Copied; the last one counts. False when it is larger than there is room for; nothing
 * changed then. A caller finds it in the handoff's `results`; booted, it is in the exit record. */
bool kchain_result(const char *json);
size_t kchain_result_room(void);

/* The command line as it was given, with its quotes and backslashes: argv has its words (docs/PIPELINE.md,
 * "Arguments"). */
const char *kchain_args(void);

/* Called by a stage: main's return goes back to it. Otherwise booted: the machine ends with main. */
bool kchain_is_called(void);

/* Which of a fan-out's kernels this is, and the processor this is asked on; 0 and 0 otherwise. */
unsigned kchain_index(void);
unsigned kchain_processor(void);

/* How many processors the kernel has for itself: the "cpus" of its fan-out; 1 otherwise. */
unsigned kchain_cpus(void);

/* Calls work(0, arg) here, and work(1, arg) to work(kchain_cpus() - 1, arg) on the kernel's other processors at the
 * same time, which are halted between whiles. Returns when all have returned. False, and nothing was called: asked for
 * from inside of such a function. docs/NATIVE.md, "Several processors", says what `work` may use: no stdio, not
 * kchain_result. */
bool kchain_parallel(void (*work)(unsigned cpu, void *arg), void *arg);

/* Microseconds since the first link of the chain was entered. */
uint64_t kchain_clock_us(void);

/* One machine record: a JSON object on a line of its own (see docs/NATIVE.md for where it goes). */
void kchain_record(const char *json);

/* The bytes of a baked file where they lie, uncopied. False: no such file. Borrowed for the kernel's life. */
bool kchain_file(const char *path, const void **bytes, size_t *count);

/* --- the machine of a booted kernel, as its loader told of it; one that was called has its handoff, and none of these
 * --- */

struct kchain_boot {
	const char *door, *loader; /* the boot protocol, as in the handoff; the loader's name for itself */
	uint64_t acpi_rsdp;        /* physical; 0: not known */
};
bool kchain_boot(struct kchain_boot *out);

/* Boot module `index`, in the loader's order; its bytes where they lie. False: there are no more. Borrowed. */
struct kchain_module {
	const char *string;
	const void *bytes;
	uint64_t count, phys;
};
bool kchain_module(unsigned index, struct kchain_module *out);

/* Entry `index` of the memory map, sorted, without overlaps. False: there are no more. */
struct kchain_memory {
	uint64_t phys, end;
	uint32_t type; /* 1: available; others as ACPI numbers them */
};
bool kchain_memory(unsigned index, struct kchain_memory *out);

/* --- SHA-256, in pieces --- */

enum { KCHAIN_SHA256_HEX = 64 };
struct kchain_sha256 {
	uint64_t state[14];
};
void kchain_sha256_begin(struct kchain_sha256 *hash);
void kchain_sha256_add(struct kchain_sha256 *hash, const void *bytes, uint64_t count);
/* Lower-case hexadecimal, terminated. */
void kchain_sha256_end(struct kchain_sha256 *hash, char hex[KCHAIN_SHA256_HEX + 1]);

/* --- devices, by the pipeline's names: those that the step's "devices" assign to this kernel; booted, all of the
 * handoff's --- */

/* Nothing interrupts: a device is asked, and every wait has an end. Of a kernel's processors one at a time may ask.
 * Devices that are left open are stopped by the caller. */

/* Why the last of the calls below failed, in English. Never null. */
const char *kchain_device_error(void);

/* Null: it can't be had; each device can be open once. */
struct kchain_disk *kchain_disk_open(const char *name);
uint64_t kchain_disk_sectors(const struct kchain_disk *disk);
uint32_t kchain_disk_sector_bytes(const struct kchain_disk *disk);
/* Reads `count` sectors from number `first` on. False: past the end, or the disk failed. */
bool kchain_disk_read(struct kchain_disk *disk, uint64_t first, uint64_t count, void *buf);
void kchain_disk_close(struct kchain_disk *disk); /* null is allowed */

/* A network card: whole Ethernet frames, from the destination's address on, without the checksum. Whatever address the
 * caller got there, it does not answer for it meanwhile. */
enum { KCHAIN_NET_FRAME_BYTES = 1514 };
struct kchain_net *kchain_net_open(const char *name);
const uint8_t *kchain_net_mac(const struct kchain_net *net); /* 6 bytes */
bool kchain_net_link_up(struct kchain_net *net);
/* Copies the frame and returns; false: it is too long, or the card takes none. */
bool kchain_net_send(struct kchain_net *net, const void *frame, size_t bytes);
/* The next frame, into KCHAIN_NET_FRAME_BYTES of room: its bytes; 0: none came in that time, or the card failed. */
size_t kchain_net_receive(struct kchain_net *net, void *frame, uint64_t timeout_us);
void kchain_net_close(struct kchain_net *net); /* null is allowed */

#endif
