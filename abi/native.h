/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the agreement between a stage that calls a native kernel and the runtime inside that kernel (docs/NATIVE.md).
 * C only, no other header of ours. An author of a native kernel does not need it: see kchain.h.
 *
 * A native kernel is an ELF64 x86-64 executable linked at KCHAIN_NATIVE_VIRT with text, read-only data and data on
 * separate pages, carrying a Multiboot 1 header (with the address fields, so that every loader takes it) and an ELF
 * note
 * ("KCHAIN", type KCHAIN_NOTE_NATIVE) whose descriptor is struct kchain_native_note.
 *
 * Call: the stage maps the kernel's segments at their virtual addresses (text and read-only data where they lie in the
 * baked file, uncopied), a window of private memory at KCHAIN_WINDOW_VIRT, and the baked filesystem read-only at
 * KCHAIN_FS_VIRT; it enters note.entry in 64-bit mode, interrupts off, RDI = virtual address of struct kchain_call
 * (inside the window), RSP = 16-byte aligned stack inside the window with a zero return address pushed. GDT, IDT, TSS
 * and GS stay the stage's; the kernel sets FS, MSR_LSTAR, MSR_STAR, MSR_SFMASK for itself and must not touch the rest.
 */
#ifndef KCHAIN_ABI_NATIVE_H
#define KCHAIN_ABI_NATIVE_H

#ifndef __ASSEMBLER__
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#endif

#define KCHAIN_DIRECT_VIRT 0xffff800000000000 /* all physical memory: stages and booted kernels only */
#define KCHAIN_WINDOW_VIRT 0xffffc00000000000 /* a called kernel's private window */
#define KCHAIN_DEVICE_VIRT                                                                                             \
	0xffffc80000000000 /* the devices assigned to it: their list, then their registers, uncached  \
					       */
#define KCHAIN_FS_VIRT     0xffffd00000000000 /* the baked filesystem, read-only */
#define KCHAIN_STAGE_VIRT  0xffffffff80000000 /* stage: text and data */
#define KCHAIN_NATIVE_VIRT 0xffffffffc0000000 /* native kernels: text and data, up to KCHAIN_ENTRY_VIRT */
#define KCHAIN_ENTRY_VIRT  0xffffffffff000000 /* what the processors need of a stage to trap into it */

/* In a segment's p_flags (a bit that the ELF specification leaves to the operating system): a kernel needs it only when
 * it was booted, so a calling stage neither maps it nor gives memory for it. */
#define KCHAIN_SEGMENT_BOOT_ONLY 0x00100000

#define KCHAIN_SERVICE_VECTOR                                                                                          \
	0xf0 /* int $0xf0: RAX service, RDI and RSI arguments, result in RAX; other registers kept */

#ifndef __ASSEMBLER__
enum { KCHAIN_NOTE_NATIVE = 1, KCHAIN_NATIVE_ABI = 1 };
#define KCHAIN_NOTE_NAME "KCHAIN"

struct kchain_native_note {
	uint32_t abi;         /* KCHAIN_NATIVE_ABI */
	uint32_t stack_bytes; /* least stack wanted; 0: 32 KiB */
	uint64_t entry;       /* virtual address of the 64-bit entry */
	uint64_t heap_bytes;  /* least heap wanted beyond the stack */
};
static_assert(sizeof(struct kchain_native_note) == 24, "native note");

enum kchain_service {
	KCHAIN_SERVICE_EXIT = 1,  /* RDI: status 0 to 255; does not return. The result lies in the mailbox */
	KCHAIN_SERVICE_WRITE = 2, /* RDI: virtual address inside the window, RSI: bytes (at most 4096); console text */
	KCHAIN_SERVICE_CLOCK = 3, /* microseconds since the first link's entry */
	/* RDI: entry, RSI: argument. All further processors of the kernel begin there: RDI the number (from 1), RSI the
	 * argument, RSP a stack of its own as at the kernel's entry, FS base 0, syscall MSRs the stage's. Not 0:
	 * refused, since there are none, some are still at work, or one of them asked */
	KCHAIN_SERVICE_START = 4,
	KCHAIN_SERVICE_DONE = 5, /* of a further processor: it has done its part; does not return. When it is the last,
				    the first one is interrupted */
};

/* A device that a called kernel has to itself. Its registers are where `registers` says, and it reaches all of the
 * window by DMA; its configuration space is the caller's business, and was so when the device was assigned. */
enum { KCHAIN_DEVICE_REGISTERS = 6, KCHAIN_DEVICE_CONFIG_BYTES = 256 };
struct kchain_device {
	char name[64];    /* the pipeline's, terminated */
	char reason[256]; /* why it is not there, terminated; "": it is, reset and with nothing to do */
	uint32_t is_net;  /* an interface, else a disk */
	uint32_t bdf;     /* PCI bus << 8 | device << 3 | function */
	struct {
		uint64_t phys, virt, bytes; /* bytes 0: no memory register of that number */
	} registers[KCHAIN_DEVICE_REGISTERS];
	uint8_t config[KCHAIN_DEVICE_CONFIG_BYTES];
};
static_assert(sizeof(struct kchain_device) == 728, "native device");

/* A kernel with several processors sees this, read-only. */
enum { KCHAIN_TEAM_MAX = 1023 };
struct kchain_team {
	uint32_t busy;                        /* further processors at work */
	uint32_t processors[KCHAIN_TEAM_MAX]; /* which ones the kernel has, by their numbers in it; 0 is where it was
						 entered */
};
static_assert(sizeof(struct kchain_team) == 4096, "a page");

/* All addresses are virtual in the called kernel unless they say phys. */
struct kchain_call {
	uint32_t abi;                    /* KCHAIN_NATIVE_ABI */
	uint32_t bytes;                  /* sizeof(struct kchain_call) */
	uint64_t handoff, handoff_bytes; /* JSON text, not terminated */
	uint64_t args;                   /* terminated command line */
	uint64_t fs, fs_bytes;           /* EROFS image of the caller; 0: none */
	uint64_t fs_phys;
	uint64_t heap, heap_bytes;       /* free memory of the window for the kernel to use, page-aligned */
	uint64_t mailbox, mailbox_bytes; /* room for the JSON result */
	uint64_t window_phys, window_bytes;
	uint64_t mailbox_used; /* written by the kernel before KCHAIN_SERVICE_EXIT: bytes of JSON, 0: no result */
	uint64_t tsc_hz;       /* 0: not calibrated */
	uint32_t processor;    /* index of the processor it runs on */
	uint32_t index;        /* of a fan-out; 0 */
	uint32_t heap_is_zero; /* 1: all of the heap is zero; 0: it may hold anything */
	uint32_t device_count;
	uint64_t devices;   /* array of struct kchain_device */
	uint64_t heap_phys; /* where the heap lies in physical memory, in one piece */
	uint64_t team;      /* struct kchain_team; 0: the kernel has one processor */
	uint64_t cpus;      /* how many it has */
};
static_assert(sizeof(struct kchain_call) == 168, "native call");
#endif
#endif
