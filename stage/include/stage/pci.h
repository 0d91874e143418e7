/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: finding PCI functions, their base address registers and capabilities (PCI Local Bus 3.0, chapter 6; PCI-to-PCI
 * Bridge 1.2, chapter 3). Every walk is bounded: by 256 buses, each looked at once, and by the room of the capability
 * list. Must not know: what the functions are for. */
#ifndef STAGE_PCI_H
#define STAGE_PCI_H

#include "stage/device_env.h"

enum {
	STAGE_PCI_COMMAND = 0x04,
	STAGE_PCI_STATUS = 0x06,
	STAGE_PCI_BAR0 = 0x10,
	STAGE_PCI_SUBSYSTEM = 0x2e,
	STAGE_PCI_CAPABILITIES = 0x34,
};
enum { STAGE_PCI_COMMAND_IO = 1, STAGE_PCI_COMMAND_MEMORY = 2, STAGE_PCI_COMMAND_MASTER = 4 };
enum { STAGE_PCI_BARS = 6, STAGE_PCI_NAME_BYTES = 16 };

struct stage_pci_function {
	uint32_t bdf;
	uint16_t vendor, device;
	uint32_t class_code;             /* class << 16 | subclass << 8 | interface */
	uint8_t header;                  /* header type without the multi-function bit */
	char name[STAGE_PCI_NAME_BYTES]; /* "0000:00:03.0" */
};

/* bytes == 0: not implemented, an I/O register, or the upper half of the one before. */
struct stage_pci_bar {
	uint64_t phys, bytes;
};

enum { STAGE_PCI_BUSES = 256 };
struct stage_pci_buses {
	bool present; /* false: there is no PCI here */
	bool seen[STAGE_PCI_BUSES];
};

/* Calls `visit` for each function of bus 0 and of the buses behind its bridges, in bus order; false stops the walk. */
typedef bool stage_pci_visit(void *ctx, const struct stage_pci_function *function);
void stage_pci_scan(const struct stage_device_env *env, struct stage_pci_buses *buses, stage_pci_visit *visit,
		    void *ctx);
/* Then, of all further root buses: those that no bridge leads to. That takes 32 reads for each number that no bus has,
 * so it is for what was not found before. */
void stage_pci_scan_others(const struct stage_device_env *env, struct stage_pci_buses *buses, stage_pci_visit *visit,
			   void *ctx);

/* The function at that place; false: there is none. The second one takes the place as a name, "0000:00:03.0". */
bool stage_pci_function_at(const struct stage_device_env *env, uint32_t bdf, struct stage_pci_function *out);
bool stage_pci_find(const struct stage_device_env *env, const char *name, struct stage_pci_function *out);

/* Decodes memory register `index`; sizes it by writing ones with decoding turned off (3.0, section 6.2.5.1).
 * CHAIN_E_PCI_BAD_BAR: not a memory register, no address, or one beyond STAGE_MMIO_LIMIT. */
enum chain_status stage_pci_bar(const struct stage_device_env *env, const struct stage_pci_function *function,
				unsigned index, struct stage_pci_bar *out, struct chain_error *err) CHAIN_MUST_CHECK;

/* The next capability with `id` behind offset `after` (0: the first). *out is 0 when there is none.
 * CHAIN_E_PCI_BAD_CAPABILITIES: the list loops or leaves the configuration space. */
enum chain_status stage_pci_capability(const struct stage_device_env *env, const struct stage_pci_function *function,
				       uint8_t id, uint32_t after, uint32_t *out,
				       struct chain_error *err) CHAIN_MUST_CHECK;

/* Sets and clears bits of the command register. */
void stage_pci_command(const struct stage_device_env *env, uint32_t bdf, uint16_t set, uint16_t clear);

#endif
