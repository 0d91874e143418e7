/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what of a guest's text, a stream that may be cut anywhere, is shown to people.
 * Must not know: where it comes from, where it goes. */
#ifndef KCHAIN_PLAIN_TEXT_H
#define KCHAIN_PLAIN_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* UTF-8 without control characters but tab and newline. Escape sequences (ECMA-48: CSI, OSC and other strings, two
 * bytes) and controls (00 to 1f, 7f to 9f, U+0080 to U+009F) are left out; what is no character becomes U+FFFD. All
 * zero: the beginning. */
struct plain_text {
	enum { PLAIN_GROUND, PLAIN_ESCAPE, PLAIN_CSI, PLAIN_STRING, PLAIN_STRING_ESCAPE } state;
	unsigned char pending[4]; /* of a character */
	uint8_t have, want;
};
enum { PLAIN_TEXT_MOST = 8 }; /* bytes that one byte can bring to an end */
/* Returns how many bytes it put into `out`. */
size_t plain_text_take(struct plain_text *plain, unsigned char byte, char out[PLAIN_TEXT_MOST]);

#endif
