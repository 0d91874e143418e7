/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "qemu_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_BYTES = 512 };

char *qemu_double_commas(const char *text)
{
	char *out = malloc(2 * strlen(text) + 1), *at = out;
	for (; out && *text; text++) {
		*at++ = *text;
		if (*text == ',')
			*at++ = ',';
	}
	if (out)
		*at = '\0';
	return out;
}

/* --- the format --- */

static uint64_t big_endian(const uint8_t *at, size_t bytes)
{
	uint64_t value = 0;
	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

/* QEMU's docs/interop/qcow2.txt: a backing file's name, or, from version 3 on, an incompatible feature: a data file. */
static bool qcow2_has_files(const uint8_t *head)
{
	enum { BACKING = 8, VERSION = 4, FEATURES = 72, DATA_FILE = 1 << 2 };
	return big_endian(head + BACKING, 8) ||
	       (big_endian(head + VERSION, 4) >= 3 && (big_endian(head + FEATURES, 8) & DATA_FILE));
}

static bool qcow_has_files(const uint8_t *head)
{
	return big_endian(head + 8, 8) != 0;
}

/* The extents that a sparse one's embedded descriptor names need not be its own. */
static bool always(const uint8_t *head)
{
	(void)head;
	return true;
}

static const struct format {
	const char *name;
	size_t offset;
	const char *magic;
	size_t magic_bytes;
	bool (*has_files)(const uint8_t *head); /* null: it can't name any */
} FORMATS[] = {
	{ "qcow2", 0, "QFI\xfb\0\0\0\2", 8, qcow2_has_files },
	{ "qcow2", 0, "QFI\xfb\0\0\0\3", 8, qcow2_has_files },
	{ "qcow", 0, "QFI\xfb\0\0\0\1", 8, qcow_has_files },
	{ "qed", 0, "QED\0", 4, always },
	{ "vmdk", 0, "KDMV", 4, always },
	{ "vmdk", 0, "COWD", 4, always },
	{ "vmdk", 0, "# Disk DescriptorFile", 21, always },
	{ "vhdx", 0, "vhdxfile", 8, NULL },
	{ "vpc", 0, "conectix", 8, NULL },
	{ "vdi", 64, "\x7f\x10\xda\xbe", 4, NULL },
	{ "parallels", 0, "WithoutFreeSpace", 16, NULL },
	{ "parallels", 0, "WithouFreSpacExt", 16, NULL },
};
/* What may be named besides. */
static const char RAW[] = "raw";

static const char *format_named(const char *name)
{
	for (size_t i = 0; i < sizeof(FORMATS) / sizeof(FORMATS[0]); i++)
		if (strcmp(FORMATS[i].name, name) == 0)
			return FORMATS[i].name;
	return strcmp(name, RAW) == 0 ? RAW : NULL;
}

/* Null: raw. */
static const struct format *format_of(const uint8_t *head, size_t bytes)
{
	for (size_t i = 0; i < sizeof(FORMATS) / sizeof(FORMATS[0]); i++) {
		const struct format *format = &FORMATS[i];
		if (format->offset + format->magic_bytes <= bytes &&
		    memcmp(head + format->offset, format->magic, format->magic_bytes) == 0)
			return format;
	}
	return NULL;
}

static enum chain_status detect(const char *path, const char **out, struct chain_error *err)
{
	uint8_t head[HEAD_BYTES] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
	int number = errno;
	if (fd >= 0)
		close(fd);
	if (got < 0)
		return chain_fail_text(err, CHAIN_E_IO, path, strerror(number));
	const struct format *format = format_of(head, (size_t)got);
	*out = format ? format->name : RAW;
	if (format && format->has_files && format->has_files(head))
		return chain_fail_text(err, CHAIN_E_CMD_DISK_FILES, path, format->name);
	return CHAIN_OK;
}

/* --- the whole --- */

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_SNAPSHOT };

struct options {
	enum access access;
	const char *serial, *format, *bus; /* borrowed; null: not said */
};

/* False: it is no option, but a part of the file's name. */
static bool take_option(const char *word, struct options *out)
{
	static const struct {
		const char *word;
		enum access access;
	} WORDS[] = { { "ro", ACCESS_READ }, { "rw", ACCESS_WRITE }, { "snapshot", ACCESS_SNAPSHOT } };
	for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
		if (strcmp(word, WORDS[i].word) == 0) {
			out->access = WORDS[i].access;
			return true;
		}
	if (strncmp(word, "serial=", 7) == 0)
		out->serial = word + 7;
	else if (strncmp(word, "format=", 7) == 0)
		out->format = word + 7;
	else if (strncmp(word, "bus=", 4) == 0)
		out->bus = word + 4;
	else
		return false;
	return true;
}

static enum chain_status make(const char *file, const struct options *options, size_t index, struct qemu_disk *out,
			      struct chain_error *err)
{
	static const char *const HOW[] = {
		[ACCESS_READ] = ",readonly=on", [ACCESS_WRITE] = "", [ACCESS_SNAPSHOT] = ",snapshot=on"
	};
	const char *format = options->format ? format_named(options->format) : NULL;
	char *full = realpath(file, NULL), *path = NULL;
	enum chain_status status = CHAIN_OK;
	out->nvme = options->bus && strcmp(options->bus, "nvme") == 0;
	if (options->bus && !out->nvme && strcmp(options->bus, "virtio") != 0)
		status = chain_fail_text(err, CHAIN_E_CMD_DISK_BUS, file, options->bus);
	else if (!full || access(full, options->access == ACCESS_WRITE ? R_OK | W_OK : R_OK) < 0)
		status = chain_fail_text(err, CHAIN_E_IO, file, strerror(errno));
	else if (options->format && !format)
		status = chain_fail_text(err, CHAIN_E_CMD_DISK_FORMAT, file, options->format);
	else if (!format)
		status = detect(full, &format, err);
	if (!status) {
		path = qemu_double_commas(full);
		if (!path || asprintf(&out->drive, "if=none,id=kchain-disk%zu,format=%s,file=%s%s", index, format, path,
				      HOW[options->access]) < 0)
			out->drive = NULL;
		const char *serial = options->serial ? options->serial : out->nvme ? "kchain" : NULL; /* NVMe has one */
		if (asprintf(&out->device, "drive=kchain-disk%zu%s%s", index, serial ? ",serial=" : "",
			     serial ? serial : "") < 0)
			out->device = NULL;
		if (!out->drive || !out->device)
			status = chain_fail_no_memory(err, file, 2 * strlen(full));
	}
	free(path);
	free(full);
	return status;
}

enum chain_status qemu_disk_parse(const char *text, size_t index, struct qemu_disk *out, struct chain_error *err)
{
	struct options options = { .access = ACCESS_READ };
	char *file = strdup(text), *comma;
	*out = (struct qemu_disk){ 0 };
	if (!file)
		return chain_fail_no_memory(err, text, strlen(text));
	while ((comma = strrchr(file, ',')) != NULL && take_option(comma + 1, &options))
		*comma = '\0';
	enum chain_status status = make(file, &options, index, out, err);
	if (status)
		qemu_disk_free(out);
	free(file);
	return status;
}

void qemu_disk_free(struct qemu_disk *disk)
{
	free(disk->drive);
	free(disk->device);
	*disk = (struct qemu_disk){ 0 };
}
