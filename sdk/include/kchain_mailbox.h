/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what a plain Multiboot 1 kernel needs to leave a result where kchain calls it without isolation
 *(docs/PIPELINE.md, "Fixed addresses"). Three headers, no library, 32 or 64 bits, at home in any freestanding kernel:
 *
 *	struct kchain_mailbox *box = kchain_mailbox_find(ebx);
 *	if (box)
 *		kchain_mailbox_leave(box, 0, "{\"sum\": 42}", 11); // this processor is taken away now
 *	for (;;)
 *		__asm__ volatile("cli; hlt");
 *
 * Must not know: what else a handoff says. */
#ifndef KCHAIN_MAILBOX_H
#define KCHAIN_MAILBOX_H

#include "abi/mailbox.h"
#include "abi/module_name.h"

/* Behind the string that begins at `at`; `end` where it does not end. */
static inline const char *kchain_json_skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\')
			at++;
	return at < end ? at + 1 : end;
}

/* Behind the value that begins at `at`: at the comma or bracket that ends it. */
static inline const char *kchain_json_skip(const char *at, const char *end)
{
	unsigned long depth = 0;
	while (at < end && (depth || (*at != ',' && *at != '}' && *at != ']'))) {
		if (*at == '"') {
			at = kchain_json_skip_string(at, end);
			continue;
		}
		depth += *at == '{' || *at == '[';
		depth -= *at == '}' || *at == ']';
		at++;
	}
	return at;
}

/* Where the member's value begins, in the object that begins at `at`; `end`: it has none. Names are compared as they
 * are written. */
static inline const char *kchain_json_member(const char *at, const char *end, const char *name)
{
	if (at >= end || *at != '{')
		return end;
	for (at++; at < end && *at != '}'; at += at < end && *at == ',') {
		const char *key, *wanted = name;
		while (at < end && *at != '"')
			at++;
		key = at + 1;
		at = kchain_json_skip_string(at, end);
		while (key < at && *wanted && *key == *wanted)
			key++, wanted++;
		while (at < end && (*at == ':' || *at == ' '))
			at++;
		if (!*wanted && key < at && *key == '"')
			return at;
		at = kchain_json_skip(at, end);
	}
	return end;
}

/* The mailbox that a handoff (the text of the module "kchain-handoff") names; null: none. */
static inline struct kchain_mailbox *kchain_mailbox_in(const char *handoff, const char *end)
{
	uintptr_t address = 0;
	const char *at = kchain_json_member(
		kchain_json_member(kchain_json_member(handoff, end, "self"), end, "mailbox"), end, "phys");
	if (end - at < 4 || at[0] != '"' || at[1] != '0' || at[2] != 'x')
		return 0;
	for (at += 3; at < end && *at != '"'; at++)
		address = address << 4 | (uintptr_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
	return ((struct kchain_mailbox *)address)->magic == KCHAIN_MAILBOX_MAGIC ? (struct kchain_mailbox *)address : 0;
}

/* `info`: the Multiboot information structure's address, as EBX had it at the kernel's entry. */
static inline struct kchain_mailbox *kchain_mailbox_find(uint32_t info)
{
	const uint32_t *words = (const uint32_t *)(uintptr_t)
		info; /* flags, …, at 20 and 24 the modules: start, end, string, reserved */
	uint32_t count = words[0] & 8 ? words[5] : 0, i;
	for (i = 0; i < count; i++) {
		const uint32_t *module = (const uint32_t *)(uintptr_t)words[6] + 4 * i;
		if (kchain_module_is_handoff((const char *)(uintptr_t)module[2]))
			return kchain_mailbox_in((const char *)(uintptr_t)module[0],
						 (const char *)(uintptr_t)module[1]);
	}
	return 0;
}

/* The last thing a kernel does, besides halting. `json`: one value of at most KCHAIN_MAILBOX_TEXT_BYTES, more is not
 * copied, and the caller says so; `bytes` 0: no result. */
static inline void kchain_mailbox_leave(struct kchain_mailbox *box, uint32_t exit_status, const char *json,
					uint32_t bytes)
{
	uint32_t i;
	for (i = 0; i < bytes && i < KCHAIN_MAILBOX_TEXT_BYTES; i++)
		box->text[i] = json[i];
	box->exit_status = exit_status;
	box->text_bytes = bytes;
	__asm__ volatile("" : : : "memory"); /* x86 keeps the order of writes; so must the compiler */
	*(volatile uint32_t *)&box->state = KCHAIN_MAILBOX_DONE;
}

#endif
