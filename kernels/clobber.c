/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Writes where a kernel has no business, upwards from the address its argument gives, until something stops it; without
 * one, over the stage's own image. A stage that called it is unharmed; a kernel that was booted harms itself. */

#include "abi/native.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	enum { STEP = 4096, LIMIT_PAGES = 1 << 20 };
	uint64_t at = argc > 1 ? strtoull(argv[1], NULL, 0) : KCHAIN_STAGE_VIRT;
	printf("clobber: from %#llx on\n", (unsigned long long)at);
	for (unsigned i = 0; i < LIMIT_PAGES; i++, at += STEP)
		*(volatile uint64_t *)at = 0x5a5a5a5a5a5a5a5a;
	printf("clobber: nothing stopped it before %#llx\n", (unsigned long long)at);
	return 1;
}
