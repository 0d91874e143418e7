/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the numbers of the Linux/x86 boot protocol (Documentation/arch/x86/boot.rst and zero-page.rst, protocol 2.15):
 * offsets into a bzImage's first sectors and into struct boot_params ("zero page"), which has the setup header at the
 * same offsets. Must not know: how they are read or filled in. */
#ifndef CHAIN_LINUX_FORMAT_H
#define CHAIN_LINUX_FORMAT_H

#include "chain/reader.h"

enum {
	CHAIN_LINUX_SECTOR = 512,
	CHAIN_LINUX_PARAMS_BYTES = 4096,

	/* setup header: offset in the file and in boot_params */
	CHAIN_LINUX_SETUP_SECTS = 0x1f1,
	CHAIN_LINUX_HEADER_START = 0x1f1,
	CHAIN_LINUX_ROOT_FLAGS = 0x1f2,
	CHAIN_LINUX_SYSSIZE = 0x1f4, /* of the protected-mode code, in units of 16 bytes */
	CHAIN_LINUX_BOOT_FLAG = 0x1fe,
	CHAIN_LINUX_JUMP_BYTES = 0x201,
	CHAIN_LINUX_MAGIC = 0x202,
	CHAIN_LINUX_VERSION = 0x206,
	CHAIN_LINUX_LOADER_TYPE = 0x210,
	CHAIN_LINUX_LOADFLAGS = 0x211,
	CHAIN_LINUX_CODE32_START = 0x214,
	CHAIN_LINUX_RAMDISK_IMAGE = 0x218,
	CHAIN_LINUX_RAMDISK_SIZE = 0x21c,
	CHAIN_LINUX_CMD_LINE_PTR = 0x228,
	CHAIN_LINUX_INITRD_ADDR_MAX = 0x22c,
	CHAIN_LINUX_ALIGNMENT = 0x230,
	CHAIN_LINUX_RELOCATABLE = 0x234,
	CHAIN_LINUX_XLOADFLAGS = 0x236,
	CHAIN_LINUX_CMDLINE_SIZE = 0x238,
	CHAIN_LINUX_PAYLOAD_OFFSET = 0x248,
	CHAIN_LINUX_PAYLOAD_LENGTH = 0x24c,
	CHAIN_LINUX_SETUP_DATA = 0x250,
	CHAIN_LINUX_PREF_ADDRESS = 0x258,
	CHAIN_LINUX_INIT_SIZE = 0x260,
	CHAIN_LINUX_HEADER_END_MAX = 0x290,

	CHAIN_LINUX_BOOT_FLAG_VALUE = 0xaa55,
	CHAIN_LINUX_LOADED_HIGH = 1,
	CHAIN_LINUX_KERNEL_64 = 1,
	CHAIN_LINUX_ABOVE_4G = 2,
	CHAIN_LINUX_LOADER_OTHER = 0xff,
	CHAIN_LINUX_ENTRY_64 = 0x200, /* from where the protected-mode code lies */
	CHAIN_LINUX_HIGH = 0x100000,  /* where a bzImage lies that does not say otherwise */

	/* boot_params besides */
	CHAIN_LINUX_SCREEN_COLUMNS = 0x07,
	CHAIN_LINUX_SCREEN_MODE = 0x06,
	CHAIN_LINUX_SCREEN_LINES = 0x0e,
	CHAIN_LINUX_SCREEN_TYPE = 0x0f,
	CHAIN_LINUX_SCREEN_POINTS = 0x10,
	CHAIN_LINUX_LFB_WIDTH = 0x12,
	CHAIN_LINUX_LFB_HEIGHT = 0x14,
	CHAIN_LINUX_LFB_DEPTH = 0x16,
	CHAIN_LINUX_LFB_BASE = 0x18,
	CHAIN_LINUX_LFB_SIZE = 0x1c,
	CHAIN_LINUX_LFB_PITCH = 0x24,
	CHAIN_LINUX_LFB_COLORS = 0x26,
	CHAIN_LINUX_LFB_BASE_HIGH = 0x3a,
	CHAIN_LINUX_LFB_CAPABILITIES = 0x36,
	CHAIN_LINUX_RSDP = 0x070,
	CHAIN_LINUX_RAMDISK_IMAGE_HIGH = 0x0c0,
	CHAIN_LINUX_RAMDISK_SIZE_HIGH = 0x0c4,
	CHAIN_LINUX_CMD_LINE_PTR_HIGH = 0x0c8,
	CHAIN_LINUX_E820_COUNT = 0x1e8,
	CHAIN_LINUX_E820 = 0x2d0,
	CHAIN_LINUX_E820_MAX = 128,
	CHAIN_LINUX_E820_BYTES = 20,
	CHAIN_LINUX_SCREEN_TEXT = 1,
	CHAIN_LINUX_SCREEN_FRAMEBUFFER = 0x23,
	CHAIN_LINUX_LFB_64BIT = 2,

	/* struct setup_data: next, type, length, bytes */
	CHAIN_LINUX_DATA_HEADER = 16,
	CHAIN_LINUX_DATA_E820 = 1,
};
#define CHAIN_LINUX_MAGIC_VALUE 0x53726448u /* "HdrS" */

/* Whether a file begins as a bzImage or a zImage does. */
static inline bool chain_linux_is_bzimage(const uint8_t *file, uint64_t file_bytes)
{
	return file_bytes >= CHAIN_LINUX_HEADER_END_MAX &&
	       chain_le32(file + CHAIN_LINUX_MAGIC) == CHAIN_LINUX_MAGIC_VALUE &&
	       chain_le16(file + CHAIN_LINUX_BOOT_FLAG) == CHAIN_LINUX_BOOT_FLAG_VALUE;
}

#endif
