/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what ap_start.S and processors.c agree on: the page a processor starts in. processors.c asserts the offsets. */
#ifndef STAGE_AP_LAYOUT_H
#define STAGE_AP_LAYOUT_H

#define AP_PARAMS 0xf00 /* in the page, behind the code */
#define AP_CR3 0
#define AP_CR4 4
#define AP_EFER 8
#define AP_CR0 12
#define AP_STACK 16
#define AP_ENTRY 24
#define AP_ARGUMENT 32
#define AP_ID 40

#endif
