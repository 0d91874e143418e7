/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the files that an image gets for its root: the kernel, the initial file system, the root itself. */

#include "bake_job.h"
#include "bake_root.h"
#include "chain/door.h"
#include "chain/json_write.h"
#include "chain/linux_format.h"
#include "chain/plan.h"
#include "chain/cmd/cmd.h"
#include "chain/cmd/linux_payload.h"
#include "rootfs/initrd.h"
#include "rootfs/write.h"
#include "chain/cmd/kernel/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- the kernel --- */

/* A kernel's file, and its modules; either may be in the root. */
struct kernel {
	uint8_t *bytes; /* owned */
	size_t count;
	struct kernel_files files;
	char *modules; /* owned: the folder */
};

static const char *write_name(const struct bake_root *root)
{
	static const char *const names[] = { "overlay", "tmp", "none" };

	return names[root->spec.write];
}

static const char *fs_of(const struct bake_root *root)
{
	return root->rootfs.image_type ? root->rootfs.image_type : "erofs";
}

/* The root's own: /boot/vmlinuz-RELEASE. *out_name is borrowed from its node; null: it has none. */
static enum chain_status own_find(const struct rootfs *rootfs, const char *subject, const char **out_name,
				  struct chain_error *err)
{
	static const char begin[] = "/boot/vmlinuz-";
	char names[CHAIN_SUBJECT_BYTES] = "";
	size_t count = 0, used = 0;

	*out_name = NULL;
	for (size_t i = 0; i < rootfs->node_count; i++) {
		const struct fs_spec *spec = &rootfs->nodes[i].spec;

		if (strncmp(spec->path, begin, sizeof(begin) - 1) != 0 || spec->type != FS_REGULAR)
			continue;
		*out_name = spec->path;
		count++;
		if (used < sizeof(names) - 1)
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
						 spec->path + 6);
	}
	if (count > 1)
		return CHAIN_FAIL(err, ROOT_MANY_KERNELS, .subject = subject, .detail = names, .count = count);
	return CHAIN_OK;
}

static bool is_there(const char *path)
{
	struct stat about;

	return stat(path, &about) == 0;
}

/* What `kchain kernel fetch` got; new texts. */
static bool fetched_find(char **kernel, char **modules)
{
	char folder[4096];

	if (!cmd_cache_path("kernels/" FETCH_KERNEL, folder, sizeof(folder)) ||
	    asprintf(kernel, "%s/vmlinuz", folder) < 0 || asprintf(modules, "%s/modules", folder) < 0)
		return false;
	return is_there(*kernel) && is_there(*modules);
}

/* Whoever asked for packages has asked for a kernel, too. */
static void fetch_where_asked(const struct bake_root *root)
{
	char folder[4096], kernel[4096 + 64];

	if (!rootfs_scheme(root->spec.from) || !cmd_cache_path("kernels", folder, sizeof(folder)))
		return;
	(void)snprintf(kernel, sizeof(kernel), "%s/" FETCH_KERNEL "/vmlinuz", folder);
	if (!is_there(kernel))
		(void)fetch_kernel(folder, FETCH_KERNEL); /* that it is not there is said behind this */
}

/* Beside a file that says its release: where distributions have it. */
static char *modules_beside(const char *kernel)
{
	const char *slash = strrchr(kernel, '/'), *base = slash ? slash + 1 : kernel;
	const int folder = slash ? (int)(slash - kernel) : 1;
	char *path = NULL;

	if (strncmp(base, "vmlinuz-", 8) != 0 ||
	    asprintf(&path, "%.*s/../lib/modules/%s", folder, slash ? kernel : ".", base + 8) < 0)
		return NULL;
	return path;
}

static enum chain_status named_load(struct bake_root *root, const char *path, const char *modules, struct kernel *out,
				    struct chain_error *err)
{
	root->kernel_name = strdup(path);
	out->modules = modules ? strdup(modules) : modules_beside(path);
	enum chain_status status = kernel_file_read(NULL, path, &out->bytes, &out->count, err);

	if (status || (out->modules && is_there(out->modules)))
		return status;
	if (!modules)
		return CHAIN_FAIL(err, ROOT_MODULE, .subject = path,
				  .detail = "where its modules are is not said: --modules FOLDER");
	root->at[0] = "modules";
	return CHAIN_FAIL(err, IO, .subject = modules, .detail = strerror(ENOENT));
}

static enum chain_status own_load(struct bake_root *root, const char *name, struct kernel *out, struct chain_error *err)
{
	const char *release = name + sizeof("/boot/vmlinuz-") - 1;

	out->files.rootfs = &root->rootfs;
	root->kernel_name = strdup(name);
	if (asprintf(&out->modules, "/lib/modules/%s", release) < 0)
		out->modules = NULL;
	if (!out->modules || !root->kernel_name)
		return chain_fail_no_memory(err, name, strlen(name));
	return kernel_file_read(&root->rootfs, name, &out->bytes, &out->count, err);
}

static enum chain_status kernel_load(struct bake_root *root, struct kernel *out, struct chain_error *err)
{
	const char *own = NULL;
	char *kernel = NULL, *modules = NULL;
	enum chain_status status = CHAIN_OK;

	*out = (struct kernel){ .bytes = NULL };
	root->at[0] = root->spec.kernel ? "kernel" : "from";
	if (root->spec.modules && !root->spec.kernel) {
		root->at[0] = "modules";
		return CHAIN_FAIL(err, ROOT_MODULE, .subject = root->spec.modules,
				  .detail = "whose modules they are is not said: --kernel FILE");
	}
	if (root->spec.kernel)
		status = named_load(root, root->spec.kernel, root->spec.modules, out, err);
	else
		status = own_find(&root->rootfs, root->spec.from, &own, err);
	if (!status && own)
		status = own_load(root, own, out, err);
	if (!status && !own && !root->spec.kernel) {
		fetch_where_asked(root);
		status = fetched_find(&kernel, &modules) ?
				 named_load(root, kernel, modules, out, err) :
				 chain_fail_subject(err, CHAIN_E_ROOT_NO_KERNEL, root->spec.from);
	}
	out->files.modules = out->modules;
	free(kernel);
	free(modules);
	return status;
}

/* What is packed in it is quicker to start, where it can be unpacked; always if nobody hashes it before. */
static enum chain_status kernel_unpack(struct kernel *io, const char *name, bool hashed, struct chain_error *err)
{
	struct linux_payload payload;
	uint8_t *bytes;

	if (!chain_linux_is_bzimage(io->bytes, io->count))
		return CHAIN_OK;
	enum chain_status status = linux_payload_find(io->bytes, io->count, name, &payload, err);

	if (status || !linux_payload_can_unpack(&payload) || (hashed && !linux_payload_is_quicker(&payload)))
		return status;
	status = linux_payload_unpack(&payload, name, &bytes, err);
	if (!status) {
		free(io->bytes);
		io->bytes = bytes;
		io->count = payload.promised;
	}
	return status;
}

/* Where a kernel ends that can't be moved: the root lies behind it. */
static enum chain_status floor_find(struct bake_root *root, const struct kernel *kernel, struct chain_error *err)
{
	const struct chain_door *door = chain_door_probe(kernel->bytes, kernel->count);
	struct chain_kernel read;

	if (!door || strcmp(door->name, "linux") != 0)
		return CHAIN_FAIL(err, ROOT_PROGRAM, .subject = root->kernel_name, .detail = "is no Linux kernel");
	const enum chain_status status = door->read(kernel->bytes, kernel->count, root->kernel_name, &read, err);

	for (size_t i = 0; !status && !read.movable && i < read.segment_count; i++)
		if (read.segments[i].phys.end > root->floor)
			root->floor = read.segments[i].phys.end;
	return status;
}

/* --- the initial file system --- */

/* stage_blob.S */
extern const unsigned char cmd_root_init[], cmd_root_init_end[], cmd_root_next[], cmd_root_next_end[];

static bool can_dax(const struct bake_root *root)
{
	/* ext4 does it with blocks of a page alone (s_log_block_size at 24 of the superblock) */
	uint32_t log_block = 0;

	if (root->rootfs.image < 0 || strcmp(fs_of(root), "erofs") == 0 || strcmp(fs_of(root), "xfs") == 0)
		return true;
	return strcmp(fs_of(root), "ext4") == 0 &&
	       pread(root->rootfs.image, &log_block, sizeof(log_block), 1024 + 24) == sizeof(log_block) &&
	       log_block == 2;
}

static json_t *modules_json(const struct bake_root *root)
{
	json_t *list = json_array();
	char path[256];

	for (size_t i = 0; i < root->modules.count; i++) {
		(void)snprintf(path, sizeof(path), "/kchain/modules/%s", root->modules.v[i].name);
		json_array_append_new(list, json_string(path));
	}
	return list;
}

/* docs/ROOTS.md. New; null: see `err`. */
static char *root_json(const struct bake_root *root, struct chain_error *err)
{
	json_t *entry = NULL, *doc;
	char *text;

	if (bake_entry_make(root, &entry, err))
		return NULL;
	json_t *mount = chain_json_object(CHAIN_TEXT("device", "pmem0"), CHAIN_TEXT("type", fs_of(root)),
					  CHAIN_TEXT("options", can_dax(root) ? "ro,dax=always" : "ro"),
					  CHAIN_TEXT("write", write_name(root)));

	doc = chain_json_object(CHAIN_STEAL("modules", modules_json(root)), CHAIN_STEAL("root", mount),
				CHAIN_STEAL("entry", entry), CHAIN_TEXT("end", root->spec.end ? "reboot" : "poweroff"));
	if (doc && root->spec.hostname)
		json_object_set_new(doc, "hostname", json_string(root->spec.hostname));
	text = doc ? chain_json_text(doc, CHAIN_JSON_SORTED, NULL) : NULL;
	json_decref(doc);
	if (!text)
		(void)chain_fail_no_memory(err, root->spec.from, 1);
	return text;
}

static enum chain_status initrd_make(const struct bake_root *root, struct initrd *out, struct chain_error *err)
{
	static const char *const folders[] = { "dev", "proc", "sys", "run", "root", "kchain", "kchain/modules" };
	char name[256], *text = root_json(root, err);

	*out = (struct initrd){ .bytes = NULL };
	if (!text)
		return err->status;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		initrd_folder(out, folders[i]);
	initrd_char_device(out, "dev/console", 0600, 5, 1);
	initrd_file(out, "init", 0755, cmd_root_init, (size_t)(cmd_root_init_end - cmd_root_init));
	if (root->spec.next)
		initrd_file(out, "kchain/kchain-next", 0555, cmd_root_next,
			    (size_t)(cmd_root_next_end - cmd_root_next));
	for (size_t i = 0; i < root->modules.count; i++) {
		(void)snprintf(name, sizeof(name), "kchain/modules/%s", root->modules.v[i].name);
		initrd_file(out, name, 0644, root->modules.v[i].bytes, root->modules.v[i].count);
	}
	initrd_file(out, "kchain/root.json", 0644, text, strlen(text));
	free(text);
	return initrd_end(out, err);
}

/* --- into the tree --- */

static enum chain_status path_check(const struct bake_tree *tree, const char *path, struct chain_error *err)
{
	for (size_t i = 0; i < tree->count; i++)
		if (strcmp(tree->v[i]->path, path) == 0)
			return CHAIN_FAIL(err, ROOT_TWICE, .subject = "files", .detail = path);
	return CHAIN_OK;
}

/* Takes `bytes`. */
static enum chain_status bytes_add(struct bake_tree *tree, const char *path, uint8_t *bytes, size_t count,
				   struct chain_error *err)
{
	struct bake_node *node = !path_check(tree, path, err) ? bake_node_new(tree, strdup(path), NULL, err) : NULL;

	if (!node) {
		free(bytes);
		return err->status;
	}
	node->text = (char *)bytes;
	node->spec.size_bytes = count;
	return CHAIN_OK;
}

/* Whether anything comes behind the root in the image, which then has to begin outside of its last 2 MiB. */
static bool is_last(const struct bake_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++)
		if (strcmp(tree->v[i]->path, BAKE_ROOT_IMAGE) > 0)
			return false;
	return true;
}

/* A file that is read when the image is written, by this process's own name for it. */
static enum chain_status file_add(struct bake_tree *tree, int fd, uint64_t bytes, struct chain_error *err)
{
	struct stat about;
	char *host = NULL;

	if (path_check(tree, BAKE_ROOT_IMAGE, err))
		return err->status;
	if (fstat(fd, &about) < 0)
		return CHAIN_FAIL(err, IO, .subject = "root", .detail = strerror(errno));
	if (asprintf(&host, "/proc/self/fd/%d", fd) < 0)
		return chain_fail_no_memory(err, "root", 1);
	const bool last = is_last(tree);
	struct bake_node *node = bake_node_new(tree, strdup(BAKE_ROOT_IMAGE), host, err);

	if (!node)
		return CHAIN_E_NO_MEMORY;
	node->identity = bake_identity_of(&about);
	node->unpacked = true; /* no file of the host's that another run could meet again */
	node->spec.size_bytes = bytes;
	node->spec.align_bytes = CHAIN_ROOT_ALIGN;
	node->spec.reserve_bytes = last ? 0 : -bytes & (CHAIN_ROOT_ALIGN - 1);
	return CHAIN_OK;
}

static enum chain_status image_add(struct bake_root *root, struct bake_tree *tree, const char *unnamed,
				   struct chain_error *err)
{
	uint64_t bytes;

	if (root->rootfs.image >= 0)
		return file_add(tree, root->rootfs.image, root->rootfs.image_bytes, err);
	root->made = rootfs_unnamed(unnamed, err);
	if (root->made < 0)
		return err->status;
	const enum chain_status status = rootfs_write(&root->rootfs, root->made, &bytes, err);

	return status ? status : file_add(tree, root->made, bytes, err);
}

/* What is written to single folders is laid over them as well. */
static enum chain_status modules_pick(struct bake_root *root, const struct kernel *kernel, struct chain_error *err)
{
	enum { MORE_MAX = 64, WRITE_NONE = 2 };
	const char *more[MORE_MAX + 1] = { json_string_value(root->spec.more) };
	const struct kernel_wanted wanted = { fs_of(root), root->spec.write != WRITE_NONE, more };

	for (size_t i = 0; i < json_array_size(root->spec.more) && i < MORE_MAX; i++)
		more[i] = json_string_value(json_array_get(root->spec.more, i));

	root->at[0] = "load";
	if (json_array_size(root->spec.more) > MORE_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = "load", .detail = "modules",
				  .value = json_array_size(root->spec.more), .limit = MORE_MAX);
	root->at[0] = root->spec.modules ? "modules" : root->spec.kernel ? "kernel" : "from";
	const enum chain_status status = kernel_modules_pick(&kernel->files, &wanted, &root->modules, err);

	if (status == CHAIN_E_ROOT_KERNEL_LACKS && root->spec.fs && strcmp(err->detail, root->spec.fs) == 0)
		root->at[0] = "fs";
	for (size_t i = 0; status && more[i]; i++)
		if (strcmp(err->subject, more[i]) == 0)
			root->at[0] = "load";
	return status;
}

/* What is started is the pipeline's, or the source's; if neither says it, all of "root" lacks it. */
static const char *program_key(const struct bake_root *root, enum chain_status status)
{
	if (root->spec.entrypoint)
		return "entrypoint";
	return status == CHAIN_E_ROOT_NO_ENTRY ? NULL : "from";
}

enum chain_status bake_root_add(struct bake_root *root, struct bake_tree *tree, const char *unnamed,
				struct chain_error *err)
{
	struct kernel kernel;
	struct initrd initrd = { .bytes = NULL };

	root->at[1] = NULL;
	enum chain_status status = kernel_load(root, &kernel, err);

	if (!status)
		status = kernel_unpack(&kernel, root->kernel_name, !root->spec.unverified, err);
	if (!status)
		status = floor_find(root, &kernel, err);
	if (!status)
		status = modules_pick(root, &kernel, err);
	if (!status) {
		status = initrd_make(root, &initrd, err);
		root->at[0] = status ? program_key(root, status) : "from";
	}
	if (!status) {
		status = bytes_add(tree, BAKE_ROOT_KERNEL, kernel.bytes, kernel.count, err);
		kernel.bytes = NULL;
	}
	if (!status) {
		status = bytes_add(tree, BAKE_ROOT_INITRD, initrd.bytes, initrd.count, err);
		initrd.bytes = NULL;
	}
	if (!status)
		status = image_add(root, tree, unnamed, err);
	initrd_free(&initrd);
	free(kernel.bytes);
	free(kernel.modules);
	return status;
}

/* --- what came of it --- */

json_t *bake_root_json(const struct bake_root *root)
{
	json_t *modules = json_array();

	for (size_t i = 0; i < root->modules.count; i++)
		json_array_append_new(
			modules, chain_json_object(CHAIN_TEXT("name", root->modules.v[i].name),
						   CHAIN_INT("bytes", (json_int_t)root->modules.v[i].count),
						   CHAIN_INT("file_bytes", (json_int_t)root->modules.v[i].file_bytes)));
	return chain_json_object(CHAIN_TEXT("source", root->rootfs.source->name), CHAIN_TEXT("fs", fs_of(root)),
				 CHAIN_TEXT("origin", root->rootfs.origin), CHAIN_TEXT("kernel", root->kernel_name),
				 CHAIN_STEAL("modules", modules));
}

void bake_root_print(const struct bake_root *root)
{
	size_t used = 0, bytes = 0;

	printf("  root       %s, from %s %s\n", fs_of(root), root->rootfs.source->name,
	       root->rootfs.origin ? root->rootfs.origin : "");
	fputs("  kernel     ", stdout);
	cmd_text_put(stdout, root->kernel_name);
	putchar('\n');
	for (size_t i = 0; i < root->modules.count; i++) {
		used += root->modules.v[i].count;
		bytes += root->modules.v[i].file_bytes;
		printf("%s%s", i == 0 ? "  modules    " : " ", root->modules.v[i].name);
	}
	if (root->modules.count > 0)
		printf("\n             %zu KiB of %zu: without signatures and debug data\n", used / 1024, bytes / 1024);
}
