/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A guest's access to a port, for tests of the isolated machine. */
#ifndef STAGE_TESTS_SVM_PORTS_H
#define STAGE_TESTS_SVM_PORTS_H

#include "stage/dispatch/svm/svm_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static inline enum svm_verdict out(struct svm_machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
	return svm_machine_port(m, false, port, bytes, &value);
}

static inline uint32_t in(struct svm_machine *m, uint16_t port, unsigned bytes)
{
	uint32_t value = 0;
	assert_int_equal(svm_machine_port(m, true, port, bytes, &value), SVM_GO_ON);
	return value;
}

#endif
