/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: an input as what a device answers: a byte for each answer, and where its top bit is set the answer itself; so
 * an input that ends early is a device that behaves from there on. Must not know: which device. */
#ifndef STAGE_TESTS_FUZZ_DEVICE_H
#define STAGE_TESTS_FUZZ_DEVICE_H

#include <stddef.h>
#include <stdint.h>

enum { LIE = 0x80 };

struct fuzz_input {
	const uint8_t *data;
	size_t count, at;
};

static inline uint8_t fuzz_next(struct fuzz_input *input)
{
	return input->at < input->count ? input->data[input->at++] : 0;
}

/* `answer`, or of that many bytes what the input has in its place. */
static inline uint32_t fuzz_spoil(struct fuzz_input *input, uint32_t answer, unsigned width)
{
	if (!(fuzz_next(input) & LIE))
		return answer;
	answer = 0;
	for (unsigned i = 0; i < width; i++)
		answer |= (uint32_t)fuzz_next(input) << 8 * i;
	return answer;
}

#endif
