/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: turning a source ("fs:/map", "module:NAME") into checked bytes. One row of a table per scheme, the same on the
 * host and in the stage.
 * Must not know: how the bytes came into memory, what they will be used for. */
#ifndef CHAIN_SOURCE_H
#define CHAIN_SOURCE_H

#include "chain/bootinfo.h"
#include "chain/digest.h"
#include "chain/image.h"
#include "chain/plan.h"
#include "chain/self.h"

/* Where sources are looked up. All borrowed. */
struct chain_sources {
	const struct chain_image *image;       /* the running or inspected image */
	uint64_t fs_phys;                      /* where its filesystem lies in target memory; CHAIN_PHYS_UNKNOWN on a host without one */
	const struct chain_bootinfo *bootinfo; /* its modules are what "module:" names */
	/* The bytes of module `index`, readable here; null when this side can't read them (a host planning for a machine). */
	const uint8_t *(*module_bytes)(void *ctx, size_t index);
	void *ctx;
	const struct chain_self *self;         /* the image as what can be started again; null: not on this side */
};

/* What the pipeline says of a source beyond its name. */
struct chain_source_pin {
	const uint8_t *sha256;  /* 32 bytes, or null */
	bool unverified;        /* a source without a digest of its own may be used unpinned */
};

struct chain_source_bytes {
	struct chain_blob blob;
	uint8_t sha256[CHAIN_SHA256_BYTES];
};

/* Opens `source` and checks its digest: fs: against the manifest, module: against the pin. A baked image is
 * verified wholly whatever the pin says. Errors: CHAIN_E_SOURCE_SCHEME, CHAIN_E_SOURCE_NO_MODULE, CHAIN_E_SOURCE_UNPINNED,
 * CHAIN_E_SOURCE_DIGEST, CHAIN_E_SOURCE_ELSEWHERE (the module's bytes can't be read on this side), those of image.h. */
enum chain_status chain_source_open(const struct chain_sources *sources, const char *source, const struct chain_source_pin *pin,
				    struct chain_source_bytes *out, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
