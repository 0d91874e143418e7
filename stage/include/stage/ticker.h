/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a periodic non-maskable interrupt, so that a kernel which turned interrupts off can still be taken back: the
 * 8254's channel 0 through the I/O APIC with delivery mode NMI. Must not know: what is done at a tick. */
#ifndef STAGE_TICKER_H
#define STAGE_TICKER_H

#include "chain/error.h"

#include <stdint.h>

enum { STAGE_TICKER_PERIOD_US = 10000 };

/* Before the others. CHAIN_E_NO_MEMORY: its registers cannot be mapped. */
enum chain_status stage_ticker_open(struct chain_error *err) CHAIN_MUST_CHECK;
void stage_ticker_start(void); /* NMIs every STAGE_TICKER_PERIOD_US on this processor */
void stage_ticker_stop(void);  /* none after this but one that is under way */

#endif
