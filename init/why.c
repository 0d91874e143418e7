/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* execve's errors are few: what is wrong with a program stands in the program. */

#include "app.h"

#include "chain/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_BYTES = 4096 };
/* ELF's gABI, "ELF Header" and "Program Header". */
enum {
	E_MACHINE = 18,
	E_PHOFF = 32,
	E_PHENTSIZE = 54,
	E_PHNUM = 56,
	EHDR_BYTES = 64,
	PHDR_BYTES = 56,
	P_OFFSET = 8,
	P_FILESZ = 32
};
enum { EI_CLASS = 4, CLASS_64 = 2, MACHINE_X86_64 = 62, MACHINE_386 = 3, PT_INTERP = 3 };

/* The path of a program's dynamic linker, within its first bytes. */
static bool elf_interpreter(const struct chain_reader *head, char *out, size_t size)
{
	if (!chain_reader_has(head, 0, EHDR_BYTES) || chain_le16(head->bytes + E_PHENTSIZE) != PHDR_BYTES)
		return false;
	uint64_t phoff = chain_le64(head->bytes + E_PHOFF), count = chain_le16(head->bytes + E_PHNUM);
	for (uint64_t i = 0; phoff < HEAD_BYTES && i < count; i++, phoff += PHDR_BYTES) {
		if (!chain_reader_has(head, phoff, PHDR_BYTES))
			return false;
		const uint8_t *header = head->bytes + phoff;
		uint64_t offset = chain_le64(header + P_OFFSET), bytes = chain_le64(header + P_FILESZ);
		if (chain_le32(header) != PT_INTERP)
			continue;
		if (bytes >= size || !bytes || !chain_reader_has(head, offset, bytes))
			return false;
		memcpy(out, head->bytes + offset, bytes);
		out[bytes] = '\0';
		return true;
	}
	return false;
}

static void elf_why(const struct chain_reader *head, int error, char *out, size_t size)
{
	char interpreter[200];
	const uint8_t *start = head->bytes;
	unsigned machine = head->count > E_MACHINE + 1 ? chain_le16(start + E_MACHINE) : 0;
	if (machine != MACHINE_X86_64 && machine != MACHINE_386)
		snprintf(out, size, "a program for another architecture (ELF machine %u)", machine);
	else if (error == ENOENT && start[EI_CLASS] == CLASS_64 &&
		 elf_interpreter(head, interpreter, sizeof(interpreter)))
		snprintf(out, size, "its dynamic linker, %s, is not in the root", interpreter);
	else
		snprintf(out, size, "%s", strerror(error));
}

static void script_why(const char *head, size_t bytes, int error, char *out, size_t size)
{
	size_t begin = 2, end;
	while (begin < bytes && (head[begin] == ' ' || head[begin] == '\t'))
		begin++;
	for (end = begin; end < bytes && !strchr(" \t\n", head[end]); end++)
		;
	if (end < bytes && end > begin && head[end - 1] == '\r')
		snprintf(out, size, "a script whose first line ends in CR LF, so its interpreter is not found");
	else if (error == ENOENT)
		snprintf(out, size, "a script, whose interpreter, %.*s, is not in the root", (int)(end - begin),
			 head + begin);
	else
		snprintf(out, size, "%s", strerror(error));
}

void init_exec_why(const char *path, int error, char *out, size_t size)
{
	static char head[HEAD_BYTES];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t bytes = fd >= 0 ? read(fd, head, sizeof(head)) : -1;
	if (fd >= 0)
		close(fd);
	if (stat(path, &st))
		snprintf(out, size, "%s", errno == ENOENT ? "not in the root" : strerror(errno));
	else if (S_ISDIR(st.st_mode))
		snprintf(out, size, "a folder");
	else if (!(st.st_mode & 0111))
		snprintf(out, size, "not executable (mode 0%u%u%u)", st.st_mode >> 6 & 7, st.st_mode >> 3 & 7,
			 st.st_mode & 7);
	else if (bytes >= 20 && !memcmp(head,
					"\x7f"
					"ELF",
					4))
		elf_why(&(struct chain_reader){ (const uint8_t *)head, (uint64_t)bytes, path }, error, out, size);
	else if (bytes > 2 && !memcmp(head, "#!", 2))
		script_why(head, (size_t)bytes, error, out, size);
	else if (error == ENOEXEC)
		snprintf(out, size, "neither a program nor a script that begins with #!");
	else
		snprintf(out, size, "%s", strerror(error));
}
