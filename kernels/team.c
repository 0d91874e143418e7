/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A kernel with several processors ("cpus" of a fan-out):
 *   team sum FROM TO      adds up FROM, FROM + 1, … TO - 1, each processor its share,
 *                         and leaves {"sum", "cpus", "processors"}
 *   team many TIMES       as many regions one after another, each counted by every processor, and leaves {"counts"}
 *   team heap TIMES       each processor allocates, fills, checks and frees; leaves {"wrong"}
 *   team libc             what is each processor's own in the C library, and what is refused:
 *                         leaves {"errno", "thread", "nested"}
 *   team say LINES        each processor writes lines
 *   team services         asks the caller for what it must refuse: leaves {"wrong"}
 *   team wild             starts its further processors where nothing is
 * or what goes wrong on the processor numbered CPU, the others doing their part:
 *   team fault CPU [ATTEMPT]   a write to address 8; ends well from the second attempt on
 *   team hang CPU [ATTEMPT]    interrupts off, for ever
 *   team exit CPU              exits with 7
 *   team leave                 main returns while all others hang: by a longjmp out of the region */

#include <kchain.h>

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CPUS_MAX = 64 };

static unsigned cpus;
static uint64_t from, to;
static uint64_t sums[CPUS_MAX];
static unsigned processors[CPUS_MAX], counts[CPUS_MAX], errnos[CPUS_MAX], threads[CPUS_MAX];
static _Atomic unsigned wrong, came;
static unsigned victim;
static void (*mishap)(void);
static jmp_buf out;

static __thread unsigned begins_as_seven = 7, begins_as_zero;

static void list(char *text, const char *name, const unsigned *values)
{
	text += sprintf(text, ",\"%s\":[", name);
	for (unsigned i = 0; i < cpus; i++)
		text += sprintf(text, "%s%u", i ? "," : "", values[i]);
	sprintf(text, "]");
}

static int leave(const char *first, const char *name, const unsigned *values)
{
	char text[128 + 24 * CPUS_MAX];
	int used = sprintf(text, "{%s", first);
	list(text + used, name, values);
	strcat(text, "}");
	return kchain_result(text) ? 0 : 1;
}

/* --- what each processor does --- */

static void add(unsigned cpu, void *arg)
{
	uint64_t share = (to - from + cpus - 1) / cpus, begin = from + cpu * share,
		 end = begin + share < to ? begin + share : to;
	(void)arg;
	for (uint64_t n = begin; n < end; n++)
		sums[cpu] += n;
	processors[cpu] = kchain_processor();
}

static void count(unsigned cpu, void *arg)
{
	(void)arg;
	counts[cpu]++;
}

static void use_heap(unsigned cpu, void *arg)
{
	unsigned char *held[16] = { 0 };
	for (unsigned i = 0; i < *(unsigned *)arg; i++) {
		size_t at = i % 16, bytes = 16 + (i * 37 + cpu * 11) % 500;
		for (size_t b = 0; held[at] && b < 16; b++)
			wrong += held[at][b] != (unsigned char)(cpu + at);
		free(held[at]);
		held[at] = malloc(bytes);
		if (held[at])
			memset(held[at], (int)(cpu + at), bytes);
		wrong += !held[at];
	}
	for (size_t at = 0; at < 16; at++)
		free(held[at]);
}

static void use_libc(unsigned cpu, void *arg)
{
	(void)arg;
	threads[cpu] = begins_as_seven * 10 + begins_as_zero;
	begins_as_seven++;
	begins_as_zero++;
	errno = (int)cpu + 100;
	came++;
	while (came < cpus) /* all have set theirs */
		__asm__ volatile("pause" : : : "memory");
	errnos[cpu] = (unsigned)errno;
	wrong += kchain_parallel(use_libc, NULL);
	if (cpu) {
		char byte;
		wrong += readlink("/x", &byte, 1) != -1 || errno != ENOSYS;
	}
}

static void say(unsigned cpu, void *arg)
{
	for (unsigned i = 0; i < *(unsigned *)arg; i++) {
		char line[128];
		int bytes = snprintf(line, sizeof(line), "line %u of cpu %u of kernel %u, all of it in one piece\n", i,
				     cpu, kchain_index());
		write(1, line, (size_t)bytes);
	}
}

static uint64_t service(uint64_t number, uint64_t first, uint64_t second)
{
	uint64_t result;
	__asm__ volatile("int $0xf0" : "=a"(result) : "a"(number), "D"(first), "S"(second) : "memory");
	return result;
}

/* Starting while others are at work, or by one of them; being done without having been started; a service that is none.
 */
static void ask_in_vain(unsigned cpu, void *arg)
{
	enum { START = 4, DONE = 5 };
	wrong += service(START, (uintptr_t)ask_in_vain, 0) != UINT64_MAX;
	wrong += !cpu && service(DONE, 0, 0) != UINT64_MAX;
	wrong += service(6, 0, 0) != UINT64_MAX;
	wrong += service(2, (uintptr_t)&wrong, 4) != UINT64_MAX; /* text from outside the window */
	came++;
	while (came < cpus)
		__asm__ volatile("pause" : : : "memory");
	(void)arg;
}

static void go_wrong(unsigned cpu, void *arg)
{
	add(cpu, arg);
	if (cpu == victim)
		mishap();
}

static void hang_all_but_first(unsigned cpu, void *arg)
{
	(void)arg;
	came++;
	while (came < cpus)
		__asm__ volatile("pause" : : : "memory");
	if (!cpu)
		longjmp(out, 1);
	for (;;)
		__asm__ volatile("cli\n\tpause" : : : "memory");
}

/* --- mishaps --- */

static void fault(void)
{
	*(volatile int *)(volatile uintptr_t){ 8 } = 1;
}
static void exit_with_7(void)
{
	exit(7);
}
static void hang(void)
{
	for (;;)
		__asm__ volatile("cli\n\tpause" : : : "memory");
}

/* --- what the kernel does --- */

static int sum(void)
{
	char first[32 + 20 + 16];
	uint64_t total = 0;
	memset(sums, 0, sizeof(sums));
	if (!kchain_parallel(add, NULL))
		return 1;
	for (unsigned i = 0; i < cpus; i++)
		total += sums[i];
	sprintf(first, "\"sum\":%" PRIu64 ",\"cpus\":%u", total, cpus);
	return leave(first, "processors", processors);
}

static int many(unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		if (!kchain_parallel(count, NULL))
			return 1;
	return leave("\"many\":true", "counts", counts);
}

static int leave_wrong(void)
{
	char text[64];
	sprintf(text, "{\"wrong\":%u}", wrong);
	return kchain_result(text) ? 0 : 1;
}

static _Noreturn void wild(void)
{
	service(4, 8, 0);
	for (;;)
		__asm__ volatile("pause" : : : "memory");
}

static int libc(void)
{
	char first[64 + 12 * CPUS_MAX];
	for (int twice = 0; twice < 2;
	     twice++) { /* what is thread-local is as new in the second region, too, but for the first processor's */
		came = 0;
		if (!kchain_parallel(use_libc, NULL))
			return 1;
	}
	sprintf(first, "\"wrong\":%u", wrong);
	list(first + strlen(first), "errno", errnos);
	return leave(first, "thread", threads);
}

static int parallel(void (*work)(unsigned cpu, void *arg), void *arg)
{
	return kchain_parallel(work, arg) ? 0 : 1;
}
static int count_wrong(void (*work)(unsigned cpu, void *arg), void *arg)
{
	return kchain_parallel(work, arg) ? leave_wrong() : 1;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *word;
		void (*mishap)(void);
	} mishaps[] = { { "fault", fault }, { "hang", hang }, { "exit", exit_with_7 } };
	const char *what = argc > 1 ? argv[1] : "sum";
	unsigned number = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 0,
		 attempt = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
	cpus = kchain_cpus();
	from = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
	to = argc > 3 ? strtoull(argv[3], NULL, 0) : from + 1000;
	if (cpus > CPUS_MAX)
		return 2;
	if (!strcmp(what, "many"))
		return many(number);
	if (!strcmp(what, "heap"))
		return count_wrong(use_heap, &number);
	if (!strcmp(what, "services"))
		return count_wrong(ask_in_vain, NULL);
	if (!strcmp(what, "wild"))
		wild();
	if (!strcmp(what, "libc"))
		return libc();
	if (!strcmp(what, "say"))
		return parallel(say, &number);
	if (!strcmp(what, "leave"))
		return setjmp(out) ? leave("\"left\":true", "counts", counts) : parallel(hang_all_but_first, NULL);
	for (size_t i = 0; i < sizeof(mishaps) / sizeof(mishaps[0]); i++) {
		if (strcmp(what, mishaps[i].word))
			continue;
		victim = attempt ? UINT32_MAX : number;
		mishap = mishaps[i].mishap;
		from = kchain_index() * 1000;
		to = from + 1000;
		return parallel(go_wrong, NULL) ? 1 : sum();
	}
	return sum();
}
