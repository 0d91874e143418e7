/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how a boot module is called, and which one is the handoff. C99 and C++, 32 and 64 bits; nothing else of kchain
 * is needed. Must not know: what is in a module. */
#ifndef KCHAIN_ABI_MODULE_NAME_H
#define KCHAIN_ABI_MODULE_NAME_H

#define KCHAIN_HANDOFF_NAME "kchain-handoff"

/* A module's name, and its length: what follows the last slash in the first word of its string, since loaders put the
 * file's path there. Slashes behind that word belong to its arguments. */
static inline const char *kchain_module_name(const char *string, unsigned *bytes)
{
	const char *name = string, *end = string;
	for (; *end && *end != ' ' && *end != '\t'; end++)
		if (*end == '/')
			name = end + 1;
	*bytes = (unsigned)(end - name);
	return name;
}

/* Whether it is the handoff: whether its name begins so. */
static inline int kchain_module_is_handoff(const char *string)
{
	static const char wanted[] = KCHAIN_HANDOFF_NAME;
	unsigned bytes, same = 0;
	const char *name = kchain_module_name(string, &bytes);
	while (wanted[same] && same < bytes && name[same] == wanted[same])
		same++;
	return !wanted[same];
}

#endif
