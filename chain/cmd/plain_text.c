/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "plain_text.h"

#include "cmd.h"

#include <string.h>

enum { ESC = 0x1b, BEL = 0x07, DEL = 0x7f };

/* How many bytes a character has that begins with this one (RFC 3629 section 3); 0: none does. */
static uint8_t bytes_from(unsigned char first)
{
	return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

static bool is_control(unsigned char byte)
{
	return byte < ' ' || byte == DEL;
}
static bool is_high_control(unsigned char byte)
{
	return byte >= 0x80 && byte < 0xa0;
}

static size_t put(char *out, const void *bytes, size_t count)
{
	memcpy(out, bytes, count);
	return count;
}

static size_t put_wrong(char *out)
{
	return put(out, "\xef\xbf\xbd", 3);
}

/* The character that has come as far as it will. */
static size_t put_pending(struct plain_text *plain, char *out)
{
	const char *pending = (const char *)plain->pending;
	const size_t count = plain->have;
	const bool wide_control = count == 2 && plain->pending[0] == 0xc2 && is_high_control(plain->pending[1]);
	plain->have = 0;
	if (wide_control)
		return 0;
	return cmd_text_printable(pending, count) == count ? put(out, pending, count) : put_wrong(out);
}

static size_t take_ground(struct plain_text *plain, unsigned char byte, char *out)
{
	if (byte == ESC) {
		plain->state = PLAIN_ESCAPE;
		return 0;
	}
	if (byte == '\t' || byte == '\n')
		return put(out, &byte, 1);
	if (is_control(byte) || is_high_control(byte))
		return 0;
	plain->want = bytes_from(byte);
	if (plain->want == 0)
		return put_wrong(out);
	if (plain->want == 1)
		return put(out, &byte, 1);
	plain->pending[0] = byte;
	plain->have = 1;
	return 0;
}

/* ECMA-48 sections 5.3, 5.4 and 5.6: false where `byte` is no part of the sequence, which it breaks off. */
static bool take_escape(struct plain_text *plain, unsigned char byte)
{
	bool string = plain->state == PLAIN_STRING || plain->state == PLAIN_STRING_ESCAPE;
	if (byte == '\n' || (!string && (is_control(byte) || byte >= 0x80)))
		return false;
	if (plain->state == PLAIN_ESCAPE && byte == '[')
		plain->state = PLAIN_CSI;
	else if (plain->state == PLAIN_ESCAPE && strchr("]PX^_", byte))
		plain->state = PLAIN_STRING;
	else if (string)
		plain->state = byte == ESC ? PLAIN_STRING_ESCAPE :
			       byte == BEL || (byte == '\\' && plain->state == PLAIN_STRING_ESCAPE) ? PLAIN_GROUND :
												      PLAIN_STRING;
	else if (byte >= (plain->state == PLAIN_CSI ? '@' : '0')) /* the last byte */
		plain->state = PLAIN_GROUND;
	return true;
}

size_t plain_text_take(struct plain_text *plain, unsigned char byte, char out[PLAIN_TEXT_MOST])
{
	size_t used = 0;
	if (plain->state != PLAIN_GROUND && take_escape(plain, byte))
		return 0;
	plain->state = PLAIN_GROUND;
	if (plain->have && (byte & 0xc0) != 0x80)
		used = put_pending(plain, out);
	if (!plain->have)
		return used + take_ground(plain, byte, out + used);
	plain->pending[plain->have++] = byte;
	return plain->have == plain->want ? put_pending(plain, out) : 0;
}
