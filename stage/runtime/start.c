/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What a process gets from Linux, for musl's own start-up code: arguments, auxiliary vector, program headers for the
 * thread-local storage. Then set-up, the command line split into argv, and main. */

#include "stage/start.h"

#include "chain/args.h"
#include "stage/boot.h"
#include "stage/clock.h"
#include "stage/console.h"
#include "stage/cpu.h"
#include "stage/random.h"
#include "stage/runtime.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 128, AUX_PAIRS = 10 };

extern const uint8_t stage_tls_start[], stage_tls_bytes[], stage_tls_file_bytes[], stage_tls_align[];

int main(int argc, char **argv, char **envp);
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
		      void (*ldso)(void));
/* In libcrypto; there only when something of it was linked. It reads CPUID, so AVX must be on by now. */
void OPENSSL_cpuid_setup(void) __attribute__((weak));

static stage_set_up *machine_set_up;
static const char *program_name = "kernel";

void stage_set_name(const char *name)
{
	program_name = name;
}
const char *stage_name(void)
{
	return program_name;
}

/* argv[0] is the kernel's name. QEMU and iPXE begin the command line with it; kchain and GRUB 2 hand over the arguments
 * alone. */
static bool loader_names_kernel(void)
{
	const char *loader = stage_bootinfo()->loader;
	return loader && (!strncmp(loader, "qemu", 4) || !strncmp(loader, "iPXE", 4));
}

/* As chain_bootinfo_init does, but without a JSON array of devices: a kernel that has no use for JSON is not given
 * jansson. */
static void init_bootinfo(struct chain_bootinfo *info)
{
	*info = (struct chain_bootinfo){ .cpus = 1, .loader = strdup(""), .cmdline = strdup("") };
	if (!info->loader || !info->cmdline)
		stage_panic("no memory to start with");
}

STAGE_BOOT_TEXT static void start_machine(void)
{
	struct chain_error err = { 0 };
	init_bootinfo(stage_bootinfo());
	if (machine_set_up(&err))
		stage_cannot_start(&err);
}

/* The command line, to be cut up. A short one needs no heap: a thousand kernels may start a second. */
static char *own_command_line(void)
{
	static char line[LINE_BYTES];
	const char *passed = stage_boot.face->args();
	size_t bytes = strlen(passed) + 1;
	char *own = bytes <= sizeof(line) ? line : malloc(bytes);
	if (!own)
		stage_panic("no memory for the command line");
	return memcpy(own, passed, bytes);
}

static int run(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	if (machine_set_up)
		start_machine();
	if (OPENSSL_cpuid_setup)
		OPENSSL_cpuid_setup();
	static char *args[CHAIN_ARGS_MAX + 2];
	char *text = own_command_line();
	int count = 0;
	if (!loader_names_kernel())
		args[count++] = (char *)(uintptr_t)program_name;
	size_t words = chain_args_split(text, args + count, CHAIN_ARGS_MAX);
	if (words > CHAIN_ARGS_MAX)
		stage_panic("more than %d arguments", CHAIN_ARGS_MAX);
	count += (int)words;
	args[count] = NULL;
	return main(count, args, envp);
}

_Noreturn void stage_start(stage_set_up *set_up)
{
	static char name[] = "kernel";
	static uint64_t random_bytes[2];
	static Elf64_Phdr tls;
	static struct {
		char *argv[2], *envp[1];
		uint64_t aux[AUX_PAIRS][2];
	} start;
	tls = (Elf64_Phdr){ .p_type = PT_TLS,
			    .p_vaddr = (uint64_t)stage_tls_start,
			    .p_memsz = (uint64_t)stage_tls_bytes,
			    .p_filesz = (uint64_t)stage_tls_file_bytes,
			    .p_align = (uint64_t)stage_tls_align };
	stage_random_fill(random_bytes, sizeof(random_bytes[0])); /* musl takes 8 of the 16 bytes */
	const uint64_t aux[AUX_PAIRS][2] = {
		{ AT_PHDR, (uint64_t)&tls },
		{ AT_PHENT, sizeof(tls) },
		{ AT_PHNUM, tls.p_memsz ? 1 : 0 },
		{ AT_PAGESZ, 4096 },
		{ AT_RANDOM, (uint64_t)random_bytes },
		{ AT_HWCAP, stage_cpuid(1, 0).d },
		{ AT_SECURE, 0 },
		{ AT_NULL, 0 },
	};
	memcpy(start.aux, aux, sizeof(aux));
	start.argv[0] = name;
	machine_set_up = set_up;
	exit(__libc_start_main(run, 1, start.argv, NULL, NULL, NULL));
}
