/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a device as its bus shows it, and what there is to do with it there, whatever it is.
 * Must not know: any driver. */
#ifndef STAGE_DEVICE_H
#define STAGE_DEVICE_H

#include "stage/pci.h"

enum { STAGE_PLACE_BYTES = STAGE_PCI_NAME_BYTES };

/* What a device is recognised by. */
enum stage_device_key {
	STAGE_KEY_NONE,
	STAGE_KEY_PCI_ID,      /* vendor << 16 | device */
	STAGE_KEY_PCI_CLASS,   /* class << 16 | subclass << 8 | interface */
	STAGE_KEY_VIRTIO_MMIO, /* its type (Virtual I/O Device 1.1, section 5) */
	STAGE_DEVICE_KEYS
};

struct stage_bus;

struct stage_device {
	const struct stage_bus *bus;
	char place[STAGE_PLACE_BYTES];    /* on its bus: "0000:00:03.0", "0xfeb02e00": no two buses
					     write a place in the same way */
	uint32_t keys[STAGE_DEVICE_KEYS]; /* 0: its bus has no such key */
	union {
		struct stage_pci_function pci; /* on stage_bus_pci */
		struct stage_mmio_place mmio;  /* on stage_bus_mmio */
	};
};

/* Each function takes a device of that bus. */
struct stage_bus {
	const char *name; /* what a place is called in the handoff: "pci", "mmio" */
	/* The device at that place; false: there is none. */
	bool (*find)(const struct stage_device_env *env, const char *place, struct stage_device *out);
	/* Lets its registers be read and written, and lets the device reach memory. */
	void (*attach)(const struct stage_device_env *env, const struct stage_device *device);
	/* Keeps it from reaching memory. */
	void (*detach)(const struct stage_device_env *env, const struct stage_device *device);
	/* Takes its registers away from whoever has them mapped. */
	void (*hide)(const struct stage_device_env *env, const struct stage_device *device);
};

extern const struct stage_bus stage_bus_pci, stage_bus_mmio;
extern const struct stage_bus *const stage_buses[]; /* all of them; a null pointer ends them */

/* Which buses there are, and how far they have been looked at. */
struct stage_bus_scan {
	struct stage_pci_buses pci;
	bool present; /* false: this machine has no PCI, and none of the other devices */
};

/* Calls `visit` for each device that is found at little cost: on bus 0 of PCI and on the buses behind its bridges, in
 * bus order, then in the places of virtio-mmio; false stops the walk. */
typedef bool stage_device_visit(void *ctx, const struct stage_device *device);
void stage_bus_scan(const struct stage_device_env *env, struct stage_bus_scan *scan, stage_device_visit *visit,
		    void *ctx);
/* Then for those on all further root buses of PCI (see stage_pci_scan_others). */
void stage_bus_scan_others(const struct stage_device_env *env, struct stage_bus_scan *scan, stage_device_visit *visit,
			   void *ctx);

/* The device at that place, on whichever bus; false: there is none. The second one finds a PCI function by its number.
 */
bool stage_device_find(const struct stage_device_env *env, const char *place, struct stage_device *out);
bool stage_device_at(const struct stage_device_env *env, uint32_t bdf, struct stage_device *out);

#endif
