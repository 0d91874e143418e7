/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "machine.h"
#include "machine_fds.h"

#include "chain/cmd/run/qemu_channels.h"
#include "chain/cmd/run/run_memory.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

/* --- the command line --- */

static void add_machine(struct words *words, const struct machine_options *options)
{
	const bool tcg = strcmp(options->accel, "tcg") == 0;
	const unsigned long long kib = options->memory_bytes / 1024;
	/* No screen, no clock of the real time, no ACPI where there is one processor: nobody asks for them. */
	static const char *const FIRST[] = { "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none" };
	words_add(words, "%s", options->program);
	for (size_t i = 0; i < sizeof(FIRST) / sizeof(FIRST[0]); i++)
		words_add(words, "%s", FIRST[i]);
	words_add(words, "-machine");
	words_add(words, "microvm,rtc=off%s,memory-backend=ram", options->cpus == 1 ? ",acpi=off" : "");
	words_add(words, "-object");
	words_add(words, "memory-backend-file,id=ram,share=off,merge=off,size=%lluK,mem-path=/proc/self/fd/%d", kib,
		  MACHINE_FD_RAM);
	words_add(words, "-m");
	words_add(words, "%lluK", kib);
	words_add(words, "-smp");
	words_add(words, "%llu", (unsigned long long)options->cpus);
	words_add(words, "-cpu");
	words_add(words, "max");
	words_add(words, "-accel");
	words_add(words, "%s%s", options->accel, tcg && options->cpus == 1 ? ",thread=single" : "");
	words_add(words, "-kernel");
	words_add(words, "/proc/self/fd/%d", MACHINE_FD_KERNEL);
	words_add(words, "-initrd");
	words_add(words, "/proc/self/fd/%d", MACHINE_FD_HANDOFF);
}

static void add_devices(struct words *words, const struct machine_options *options)
{
	qemu_add_channels(words, MACHINE_FD_CONSOLE, MACHINE_FD_RECORDS);
	if (options->net || options->extra_count) {
		words_add(words, "-global");
		words_add(words, "virtio-mmio.force-legacy=false");
	}
	if (options->net) {
		words_add(words, "-netdev");
		words_add(words, "user,id=kchain-net");
		words_add(words, "-device");
		words_add(words, "virtio-net-device,netdev=kchain-net");
	}
	for (size_t i = 0; i < options->extra_count; i++)
		words_add(words, "%s", options->extra[i]);
}

/* --- the template --- */

static bool write_at(int fd, const void *bytes, uint64_t count, uint64_t at)
{
	for (const char *from = bytes; count;) {
		ssize_t got = pwrite(fd, from, count, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		from += got;
		at += (uint64_t)got;
		count -= (uint64_t)got;
	}
	return true;
}

static enum chain_status check_memory(const struct run_input *input, const char *subject, uint64_t bytes,
				      struct chain_error *err)
{
	const uint64_t low = run_memory_low("microvm", bytes);
	if (input->memory_bytes + PAGE > bytes)
		return CHAIN_FAIL(err, CMD_MEMORY, .subject = subject, .end_kib = input->memory_bytes >> 10,
				  .memory_kib = bytes >> 10);
	if (input->memory_bytes + PAGE > low)
		return CHAIN_FAIL(err, CMD_LOW_MEMORY, .subject = subject, .detail = "microvm",
				  .end_mib = input->memory_bytes >> 20, .memory_mib = bytes >> 20,
				  .limit_mib = low >> 20);
	return CHAIN_OK;
}

/* Whatever the image's form, its stage has the note that names its entry by PVH (stage/boot/headers.S). */
static bool find_entry(const struct run_input *input, uint64_t *out)
{
	static const unsigned char NOTE[] = { 4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0 };
	const struct cmd_file *file = &input->file;
	const uint8_t *at =
		memmem(file->bytes, file->bytes_count < 8192 ? file->bytes_count : 8192, NOTE, sizeof(NOTE));
	if (!at || (uint64_t)(at - file->bytes) + sizeof(NOTE) + 8 > file->bytes_count)
		return false;
	memcpy(out, at + sizeof(NOTE), 8);
	for (size_t i = 0; i < input->kernel.segment_count; i++)
		if (*out >= input->kernel.segments[i].phys.base && *out < input->kernel.segments[i].phys.end)
			return true;
	return false;
}

static enum chain_status make_ram(const struct run_input *input, const char *subject, uint64_t bytes, int *out_fd,
				  struct chain_error *err)
{
	*out_fd = memfd_create("kchain-ram", MFD_CLOEXEC);
	bool good = *out_fd >= 0 && ftruncate(*out_fd, (off_t)bytes) == 0;
	for (size_t i = 0; good && i < input->kernel.segment_count; i++) {
		const struct chain_segment *s = &input->kernel.segments[i];
		good = write_at(*out_fd, input->file.bytes + s->file_offset, s->file_bytes, s->phys.base);
	}
	return good ? CHAIN_OK : chain_fail_text(err, CHAIN_E_IO, subject, strerror(errno));
}

/* An ELF file with the note, and one segment of the note's bytes, since QEMU wants one: in the page behind the
 * image. */
static enum chain_status make_kernel(uint64_t entry, uint64_t place, const char *subject, int *out_fd,
				     struct chain_error *err)
{
	struct {
		Elf64_Ehdr head;
		Elf64_Phdr parts[2];
		Elf64_Nhdr note;
		char name[4];
		uint64_t entry;
	} file = { .head = { .e_ident = ELFMAG "\2\1\1",
			     .e_type = ET_EXEC,
			     .e_machine = EM_X86_64,
			     .e_version = EV_CURRENT,
			     .e_entry = entry,
			     .e_phoff = sizeof(Elf64_Ehdr),
			     .e_ehsize = sizeof(Elf64_Ehdr),
			     .e_phentsize = sizeof(Elf64_Phdr),
			     .e_phnum = 2 },
		   .note = { .n_namesz = 4, .n_descsz = 8, .n_type = 18 /* XEN_ELFNOTE_PHYS32_ENTRY */ },
		   .name = "Xen",
		   .entry = entry };
	const uint64_t at = sizeof(file.head) + sizeof(file.parts), bytes = sizeof(file) - at;
	file.parts[0] = (Elf64_Phdr){ .p_type = PT_NOTE,
				      .p_flags = PF_R,
				      .p_offset = at,
				      .p_vaddr = place,
				      .p_paddr = place,
				      .p_filesz = bytes,
				      .p_memsz = bytes,
				      .p_align = 4 };
	file.parts[1] = file.parts[0];
	file.parts[1].p_type = PT_LOAD;
	*out_fd = memfd_create("kchain-entry", MFD_CLOEXEC);
	return *out_fd >= 0 && write_at(*out_fd, &file, sizeof(file), 0) ?
		       CHAIN_OK :
		       chain_fail_text(err, CHAIN_E_IO, subject, strerror(errno));
}

enum chain_status machine_template_make(const struct run_input *input, const char *subject,
					const struct machine_options *options, struct machine_template *out,
					struct chain_error *err)
{
	uint64_t entry = 0;
	const uint64_t place = (input->memory_bytes + PAGE - 1) / PAGE * PAGE;
	*out = (struct machine_template){ .ram_fd = -1, .kernel_fd = -1, .server = { .pid = -1, .fd = -1 } };
	enum chain_status status = check_memory(input, subject, options->memory_bytes, err);
	if (!status && !find_entry(input, &entry))
		status = chain_fail_subject(err, CHAIN_E_SWEEP_NO_ENTRY, subject);
	if (!status)
		status = make_ram(input, subject, options->memory_bytes, &out->ram_fd, err);
	if (!status)
		status = make_kernel(entry, place, subject, &out->kernel_fd, err);
	add_machine(&out->words, options);
	add_devices(&out->words, options);
	if (!status && out->words.lacking)
		status = chain_fail_no_memory(err, "QEMU's command line", out->words.lacking);
	if (status)
		machine_template_free(out);
	else if (!options->load_each)
		machine_load(out);
	return status;
}

void machine_template_free(struct machine_template *made)
{
	forkserver_end(&made->server);
	if (made->ram_fd >= 0)
		close(made->ram_fd);
	if (made->kernel_fd >= 0)
		close(made->kernel_fd);
	words_free(&made->words);
	*made = (struct machine_template){ .ram_fd = -1, .kernel_fd = -1, .server = { .pid = -1, .fd = -1 } };
}
