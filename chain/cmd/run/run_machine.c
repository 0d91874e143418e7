/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the machine that `kchain run` starts: its kernel, modules, handoff, memory and devices. */

#include "run.h"

#include "qemu_large.h"
#include "run_memory.h"

#include "chain/bake.h"
#include "chain/handoff.h"
#include "chain/json.h"
#include "chain/json_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

static enum chain_status add_module(struct run *run, const char *path, const char *string, struct chain_error *err)
{
	if (run->module_count == RUN_MODULES_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = "--module", .detail = "modules",
				  .value = run->modules.count + 1, .limit = RUN_MODULES_MAX);
	if (access(path, R_OK) < 0)
		return chain_fail_text(err, CHAIN_E_IO, path, strerror(errno));
	run->module_list[run->module_count++] = (struct qemu_module){ .path = path, .string = string };
	return CHAIN_OK;
}

static enum chain_status make_boot_id(char out[2 * CHAIN_BOOT_ID_BYTES + 1], const char *path, struct chain_error *err)
{
	uint8_t seed[CHAIN_BOOT_ID_BYTES];
	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return chain_fail_text(err, CHAIN_E_IO, path, strerror(errno));
	for (size_t i = 0; i < sizeof(seed); i++)
		snprintf(out + 2 * i, 3, "%02x", seed[i]);
	return CHAIN_OK;
}

/* The completed handoff lies in a file without a name, which QEMU opens by our process's number. */
static enum chain_status write_handoff(struct run *run, const json_t *doc, struct chain_error *err)
{
	char *text = json_dumps(doc, JSON_COMPACT);
	size_t count = text ? strlen(text) : 0;
	enum chain_status status = text ? CHAIN_OK : chain_json_no_memory(err, "handoff");
	if (!status) {
		run->handoff_fd = memfd_create("kchain-handoff", MFD_CLOEXEC);
		if (run->handoff_fd < 0 || write(run->handoff_fd, text, count) != (ssize_t)count)
			status = chain_fail_text(err, CHAIN_E_IO, "handoff", strerror(errno));
		snprintf(run->handoff_path, sizeof(run->handoff_path), "/proc/%ld/fd/%d", (long)getpid(),
			 run->handoff_fd);
	}
	free(text);
	return status;
}

static enum chain_status make_handoff(struct run *run, struct chain_error *err)
{
	char boot_id[2 * CHAIN_BOOT_ID_BYTES + 1];
	json_t *doc = NULL;
	enum chain_status status = make_boot_id(boot_id, "handoff", err);
	if (!status)
		status = cmd_handoff_load(run->handoff, boot_id, run->shell ? "shell" : NULL, &doc, err);
	if (!status)
		status = write_handoff(run, doc, err);
	json_decref(doc);
	return status;
}

static enum chain_status collect_modules(struct run *run, struct chain_error *err)
{
	for (size_t i = 0; i < run->modules.count; i++) {
		const char *text = run->modules.v[i], *equals = strchr(text, '='), *slash = strrchr(text, '/');
		size_t path_bytes = equals ? (size_t)(equals - text) : strlen(text);
		if (i >= RUN_MODULES_MAX)
			return CHAIN_FAIL(err, LIMIT, .subject = "--module", .detail = "modules",
					  .value = run->modules.count, .limit = RUN_MODULES_MAX);
		char *path = run->module_paths[i] = strndup(text, path_bytes);
		if (!path)
			return chain_fail_no_memory(err, text, path_bytes);
		cmd_file_note_input(path);
		enum chain_status status = add_module(run, path, equals ? equals + 1 : slash ? slash + 1 : text, err);
		if (status)
			return status;
	}
	if (!run->handoff && !run->shell)
		return CHAIN_OK;
	enum chain_status status = make_handoff(run, err);
	return status ? status : add_module(run, run->handoff_path, CHAIN_HANDOFF_STRING, err);
}

/* The user's own network devices take the place of ours. */
static bool extra_has_net(const struct run *run)
{
	for (size_t i = 0; i < run->operands.rest_count; i++)
		if (strcmp(run->operands.rest[i], "-netdev") == 0 || strcmp(run->operands.rest[i], "-nic") == 0)
			return true;
	return false;
}

static bool takes_one_file(const struct run *run)
{
	return run->loader_fd < 0 && run->input.kernel.door && run->input.kernel.door->lone_file;
}

static enum chain_status check_modules(const struct run *run, struct chain_error *err)
{
	return takes_one_file(run) && run->modules.count ?
		       chain_fail_text(err, CHAIN_E_CMD_ONE_FILE, run->operands.v[0], run->modules.v[0]) :
		       CHAIN_OK;
}

/* The form of an image that is baked for this run: the first one, which takes modules, or the soonest. */
static const char *quickest_format(const struct run *run)
{
	return run->modules.count ? NULL : chain_bake_format_soonest(run->machine);
}

/* A kernel that copies large ones goes on by Multiboot, and so at the entry that the ELF header has. */
static enum chain_status make_loader(struct run *run, struct chain_error *err)
{
	const struct cmd_file *file = &run->input.file;
	struct chain_kernel kernel = run->input.kernel;
	struct chain_elf elf;
	enum chain_status status = CHAIN_OK;
	if (run->input.kind == CHAIN_KERNEL_IMAGE) {
		status = chain_elf_open(&elf, file->bytes, file->bytes_count, run->operands.v[0], err);
		if (!status)
			status = chain_elf_entry(&elf, kernel.segments, kernel.segment_count, &kernel.entry, err);
	}
	return status ? status : qemu_large_make(&kernel, file->bytes_count, run->operands.v[0], &run->loader_fd, err);
}

static enum chain_status choose_memory(struct run *run, struct chain_error *err)
{
	uint64_t least = run->input.memory_bytes, need = run_memory_needed(&run->input, run->cpus);
	if (run->memory_bytes && least > run->memory_bytes)
		return CHAIN_FAIL(err, CMD_MEMORY, .subject = run->operands.v[0], .end_kib = least >> 10,
				  .memory_kib = run->memory_bytes >> 10);
	if (!run->memory_bytes)
		run->memory_bytes = run_memory_usual(need);
	uint64_t low = run_memory_low(run->machine, run->memory_bytes);
	if (least > low)
		return CHAIN_FAIL(err, CMD_LOW_MEMORY, .subject = run->operands.v[0], .detail = run->machine,
				  .end_mib = least >> 20, .memory_mib = run->memory_bytes >> 20,
				  .limit_mib = low >> 20);
	if (run->input.file.bytes_count < QEMU_LARGE_LEAST || !run->input.kernel.segment_count)
		return CHAIN_OK;
	return make_loader(run, err);
}

static enum chain_status resolve(struct run *run, struct chain_error *err)
{
	enum chain_status status = choose_memory(run, err);
	if (!status)
		status = check_modules(run, err);
	const bool own_net = run->input.wants_net && !run->no_net && !extra_has_net(run);
	if (!status && own_net)
		status = run_ports_add(run, err);
	if (status)
		return status;
	if (own_net || run->ports.count)
		run->net = true;
	if (run->icount ||
	    (run->gdb && strcmp(run->accel, "auto") == 0)) /* which takes breakpoints where nothing is mapped yet */
		run->accel = "tcg";
	else if (strcmp(run->accel, "auto") == 0)
		run->accel = qemu_accel_choose(run->program);
	return CHAIN_OK;
}

enum chain_status run_prepare(struct run *run, struct chain_error *err)
{
	enum chain_status status = run_input_open(run->operands.v[0], quickest_format(run), &run->input, err);
	if (!status)
		status = collect_modules(run, err);
	if (!status)
		status = qemu_find(run->program, err);
	if (!status)
		status = resolve(run, err);
	if (!status && run->gdb)
		status = run_gdb_listen(run, err);
	if (!status && run->screenshot && (run->shot_fd = memfd_create("kchain-screen", 0)) < 0)
		status = chain_fail_text(err, CHAIN_E_IO, run->screenshot, strerror(errno));
	return status;
}

enum chain_status run_start(struct run *run, struct chain_error *err)
{
	const struct qemu_config config = {
		.program = run->program,
		.machine = run->machine,
		.accel = run->accel,
		.cpu = run->cpu,
		.memory_bytes = run->memory_bytes,
		.cpus = run->cpus,
		.icount = run->icount,
		.display = run->display,
		.net = run->net,
		.keep_screen = run->screenshot != NULL,
		.halted = run->gdb != NULL,
		.gdb_fd = run->gdb_fd,
		.kernel_fd = run->loader_fd >= 0 ? run->loader_fd : run->input.fd,
		.item_fd = run->loader_fd >= 0 ? run->input.fd : -1,
		.args = run->args,
		.ports = run->ports,
		.disks = run->disks,
		.modules = run->module_list,
		.module_count = run->module_count,
		.extra = run->operands.rest,
		.extra_count = run->operands.rest_count,
	};
	return qemu_start(&config, &run->qemu, err);
}

void run_release(struct run *run)
{
	for (size_t i = 0; i < RUN_MODULES_MAX; i++)
		free(run->module_paths[i]);
	for (size_t i = 0; i < run->port_count; i++)
		free(run->port_texts[i]);
	if (run->shot_fd >= 0)
		close(run->shot_fd);
	if (run->handoff_fd >= 0)
		close(run->handoff_fd);
	if (run->loader_fd >= 0)
		close(run->loader_fd);
	if (run->gdb_fd >= 0)
		close(run->gdb_fd);
	run_shell_end(run);
	run_input_close(&run->input);
	free(run->ports.v);
	free(run->disks.v);
	free(run->modules.v);
	free(run->symbols.v);
	cmd_args_free(&run->operands);
}
