/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: where bytes come from ("fs:/map", "module:NAME"): the table of schemes, each with its grammar, what vouches for
 * its bytes and how they are opened, the same on the host and in the stage. A scheme is one file in sources/ and one
 * row of sources/table.c. Must not know: what the bytes will be used for. */
#ifndef CHAIN_SOURCE_H
#define CHAIN_SOURCE_H

#include "chain/bootinfo.h"
#include "chain/hash.h"
#include "chain/image.h"
#include "chain/plan.h"
#include "chain/self.h"
#include "chain/stream.h"

/* How a side that has devices reaches bytes that are not in memory, and memory to put them in. */
struct chain_transport {
	/* A source of that scheme; `rest`: what follows it, checked by its row. CHAIN_E_SOURCE_ELSEWHERE: not on this
	 * side; CHAIN_E_SOURCE_DEVICE, CHAIN_E_SOURCE_PIECE. */
	enum chain_status (*open)(void *ctx, const char *scheme, const char *source, const char *rest,
				  struct chain_stream *out, struct chain_error *err);
	/* Readable and writable here, at *out_phys in target memory. Null: CHAIN_E_NO_SPACE is in `err`. */
	uint8_t *(*take_memory)(void *ctx, uint64_t bytes, const char *subject, uint64_t *out_phys,
				struct chain_error *err);
	void (*give_memory)(void *ctx, uint64_t phys, uint64_t bytes);
	void *ctx;
};

/* Where sources are looked up. All borrowed. */
struct chain_sources {
	const struct chain_image *image; /* the running or inspected image */
	uint64_t fs_phys; /* where its filesystem lies in target memory; CHAIN_PHYS_UNKNOWN on a host without one */
	const struct chain_bootinfo *bootinfo; /* its modules are what "module:" names */
	/* The bytes of module `index`, readable here; null when this side can't read them (a host planning for a
	 * machine). */
	const uint8_t *(*module_bytes)(void *ctx, size_t index);
	void *ctx;
	const struct chain_self *self;           /* the image as what can be started again; null: not on this side */
	const struct chain_transport *transport; /* null: this side has no devices */
};

/* What the pipeline says of a source beyond its name. */
struct chain_source_pin {
	struct chain_pin pin;
	bool unverified; /* a source without a digest of its own may be used unpinned; an image's files are not hashed
			  */
};

struct chain_source_bytes {
	struct chain_blob blob; /* `bytes` is null for an image that is started again where it lies, and for what is not
				   in memory */
	struct chain_stream stream;    /* `read` is not null: the bytes come from there */
	bool loaded;                   /* they were read to memory that was taken for them */
	const struct chain_self *self; /* borrowed: that image's pieces; null for all others */
	struct chain_digest digest;    /* what they are called by: of an image's own file as its manifest has it */
};

/* What is true of all sources of a scheme. */
enum chain_source_trait {
	CHAIN_SOURCE_BOOT_ONLY = 1, /* it names a kernel to boot, nothing else */
	CHAIN_SOURCE_NEEDS_PIN = 2, /* only a pin vouches for its bytes */
	CHAIN_SOURCE_TAKES_NO_PIN = 4,
};

enum { CHAIN_SOURCE_DISK_BYTES = 64 };
struct chain_source_row {
	const char *scheme; /* with its colon */
	unsigned traits;    /* enum chain_source_trait */
	/* The grammar of what follows the scheme; the status says what is wrong. */
	enum chain_status (*check)(const char *rest);
	/* The path in the image, borrowed from `rest`. Null: its bytes are not in the image, so they are not known when
	 * it is baked. */
	const char *(*path)(const char *rest);
	/* The pipeline's name of the disk that its bytes are on, into a text of CHAIN_SOURCE_DISK_BYTES. Null: they are
	 * on none. */
	void (*disk)(const char *rest, char *out);
	/* Errors: see chain_source_open. Bytes in memory and their digest are checked by the caller where the traits
	 * say that only a pin vouches for them; else the row says the digest. */
	enum chain_status (*open)(const struct chain_sources *sources, const char *source, const char *rest,
				  struct chain_source_bytes *out, struct chain_error *err);
};

/* The row of a source's scheme; null where there is none. `out_rest` (nullable): what follows. */
const struct chain_source_row *chain_source_row(const char *source, const char **out_rest);
/* Whether a source can be written so: CHAIN_OK, CHAIN_E_CONFIG_SCHEME, CHAIN_E_CONFIG_SCHEME_LATER for those to come,
 * or what the row says. */
enum chain_status chain_source_check(const char *source) CHAIN_MUST_CHECK;
bool chain_source_has(const char *source, enum chain_source_trait trait);
/* The path of a source whose bytes are in the image; null for others. Borrows. */
const char *chain_source_path(const char *source);

/* Opens `source` and checks its digest: what is in the image against the manifest, what is pinned against the pin. A
 * baked image is verified wholly whatever the pin says. Errors: CHAIN_E_SOURCE_SCHEME, CHAIN_E_SOURCE_NO_MODULE,
 * CHAIN_E_SOURCE_UNPINNED, CHAIN_E_SOURCE_DIGEST, CHAIN_E_SOURCE_ELSEWHERE (the bytes can't be read on this side),
 * those of image.h. */
enum chain_status chain_source_open(const struct chain_sources *sources, const char *source,
				    const struct chain_source_pin *pin, struct chain_source_bytes *out,
				    struct chain_error *err) CHAIN_MUST_CHECK;

/* Has the bytes of an open source in memory: reads what is not there yet, into memory taken for it, and checks the
 * digest. */
enum chain_status chain_source_load(const struct chain_sources *sources, const char *source,
				    const struct chain_source_pin *pin, struct chain_source_bytes *io,
				    struct chain_error *err) CHAIN_MUST_CHECK;
/* Closes its stream and gives the memory back that was taken for it, if any. */
void chain_source_close(const struct chain_sources *sources, struct chain_source_bytes *source);

#endif
