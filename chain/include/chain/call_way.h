/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the ways in which a kernel can be called. Must not know: which kernel is called in which (chain/step.h), how
 * that is done (stage/call.h). */
#ifndef CHAIN_CALL_WAY_H
#define CHAIN_CALL_WAY_H

enum chain_call_way {
	CHAIN_CALL_NATIVE, /* in a window of its own, shown to it by page tables */
	CHAIN_CALL_FIXED,  /* a Multiboot 1 kernel where its addresses say, on a processor of its own */
	CHAIN_CALL_SVM,    /* in a machine of its own */
	CHAIN_CALL_WAYS,
};

#endif
