/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The stage's small stand-ins for parts of the C library: what an error number says, and where a text stands in
 * another. */
#include "stage/instructions.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

/* stage/libc/brief/, by the names that their objects have here (tests.mk). */
size_t stage_strlen(const char *text);
char *stage_strerror(int number);
char *stage_strstr(const char *text, const char *wanted);
uint64_t stage_rdtsc(void)
{
	return 1;
}

static void each_error_has_a_text_of_its_own(void **state)
{
	/* Those that stage/runtime/ returns. */
	static const int numbers[] = { EBADF,  EINVAL, EIO,     EISDIR, ELOOP,  EMFILE, ENAMETOOLONG, ENOENT,
				       ENOMEM, ENOSYS, ENOTDIR, ENOTTY, ERANGE, EROFS,  ESPIPE };
	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const char *text = stage_strerror(numbers[i]);
		assert_true(strlen(text) >= 8 && strlen(text) < 22);
		assert_int_not_equal(strncmp(text, "error ", 6), 0); /* that would be one without a text */
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(text, stage_strerror(numbers[k]));
	}
	assert_string_equal(stage_strerror(EROFS), "read-only file system");
	assert_string_equal(stage_strerror(0), "no error");
	assert_string_equal(stage_strerror(EPERM), "error 1");
	assert_string_equal(stage_strerror(256 + ENOENT), "error 258");
	assert_string_equal(stage_strerror(INT32_MIN), "error -2147483648");
}

static void spell(unsigned number, char out[8])
{
	for (; number > 1; number /= 2)
		*out++ = (char)('a' + number % 2);
	*out = '\0';
}

/* All texts of up to six letters, of two different ones, in each other. */
static void texts_are_found_as_by_the_host(void **state)
{
	(void)state;
	for (unsigned a = 1; a < 128; a++)
		for (unsigned b = 1; b < 128; b++) {
			char text[8], wanted[8];
			spell(a, text);
			spell(b, wanted);
			assert_ptr_equal(stage_strstr(text, wanted), strstr(text, wanted));
		}
}

/* Every length up to some blocks, at every place in one, against the end of the last page there is; bytes before and
 * behind the text are zero or not. */
static void lengths_are_the_hosts(void **state)
{
	enum { PAGE = 4096, LENGTHS = 70 };
	(void)state;
	char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
	for (int around = 0; around < 2; around++)
		for (size_t length = 0; length < LENGTHS; length++)
			for (size_t behind = 0; behind < 40; behind++) {
				char *text = pages + PAGE - behind - 1 - length;
				memset(pages, around ? 'x' : 0, PAGE);
				memset(text, 'a' | (int)(0x80 * (length % 2)), length);
				text[length] = '\0';
				assert_int_equal(stage_strlen(text), length);
			}
	assert_int_equal(munmap(pages, 2 * PAGE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(lengths_are_the_hosts),
					    cmocka_unit_test(each_error_has_a_text_of_its_own),
					    cmocka_unit_test(texts_are_found_as_by_the_host) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
