/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the agreement with a called Multiboot kernel that is not isolated (docs/FIXED.md): where its
 * result lies and how it says that it is done. C99 and C++, 32 and 64 bits; nothing else of kchain is needed.
 * Must not know: how the kernel found it (kchain_mailbox.h does that), what is done with the result. */
#ifndef KCHAIN_ABI_MAILBOX_H
#define KCHAIN_ABI_MAILBOX_H

#include <stdint.h>

enum {
	KCHAIN_MAILBOX_MAGIC = 0x784d636b, /* "kcMx": there from the start, and left alone by the kernel */
	/* `state`. The kernel writes DONE last of all, and halts; from then on its processor is not its own. */
	KCHAIN_MAILBOX_OPEN = 0,
	KCHAIN_MAILBOX_DONE = 1,
	KCHAIN_MAILBOX_TEXT_BYTES = 16384,
	KCHAIN_MAILBOX_BYTES = 16 + KCHAIN_MAILBOX_TEXT_BYTES, /* what `self.mailbox` says as `bytes` */
};

struct kchain_mailbox {
	uint32_t magic;
	uint32_t state;
	uint32_t exit_status; /* 0: it went well; what is above 255 counts as 255 */
	uint32_t text_bytes;  /* of the result behind this header: one JSON value. 0: none */
	char text[KCHAIN_MAILBOX_TEXT_BYTES];
};

#endif
