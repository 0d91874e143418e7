/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "fault_places.h"

#include "chain/config.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "chain/source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, FAULTS_MAX = 512, PLACE_BYTES = SYMBOL_NAME_BYTES + SYMBOL_FILE_BYTES + 40 };

/* --- folders --- */

static void add_folder(struct fault_places *p, const char *path)
{
	for (size_t i = 0; i < p->places.count; i++)
		if (strcmp(p->places.folders[i], path) == 0)
			return;
	char *own = p->places.count < SYMBOLS_FOLDERS_MAX ? strdup(path) : NULL;
	if (own)
		p->places.folders[p->places.count++] = p->owned[p->owned_count++] = own;
}

static void add_folder_of(struct fault_places *p, const char *path)
{
	char folder[PATH_BYTES];
	const char *slash = strrchr(path, '/');
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	add_folder(p, *folder ? folder : "/");
}

/* Where the files of a pipeline come from. */
static void add_folders_of_pipeline(struct fault_places *p, const char *pipeline)
{
	struct cmd_file file;
	struct chain_config config;
	char host[PATH_BYTES];
	const char *slash = strrchr(pipeline, '/');
	if (cmd_file_load(pipeline, CHAIN_CONFIG_MAX_BYTES, &file, NULL))
		return;
	if (!chain_config_parse((const char *)file.bytes, file.bytes_count, pipeline, false, &config, NULL)) {
		for (size_t i = 0; i < config.file_count; i++) {
			const char *from = config.files[i].from;
			int folder = !from || from[0] == '/' || !slash ? 0 : (int)(slash - pipeline) + 1;
			if (from && snprintf(host, sizeof(host), "%.*s%s", folder, pipeline, from) < (int)sizeof(host))
				add_folder_of(p, host);
		}
		chain_config_free(&config);
	}
	cmd_file_free(&file);
}

static void add_folders_of_stage(struct fault_places *p)
{
	static const char *const PLACES[] = { "/stage", "/../stage", "/../lib/kchain" };
	char own[PATH_BYTES / 2], path[PATH_BYTES];
	ssize_t bytes = readlink("/proc/self/exe", own, sizeof(own) - 1);
	own[bytes > 0 ? bytes : 0] = '\0';
	char *slash = strrchr(own, '/');
	for (size_t i = 0; slash && i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
		snprintf(path, sizeof(path), "%.*s%s", (int)(slash - own), own, PLACES[i]);
		add_folder(p, path);
	}
}

void fault_places_init(struct fault_places *p, const struct cmd_list *folders, const char *operand,
		       const struct run_input *input)
{
	char pipeline[PATH_BYTES];
	struct stat about;
	*p = (struct fault_places){ .input = input };
	for (size_t i = 0; i < folders->count && p->places.count < SYMBOLS_FOLDERS_MAX; i++)
		p->places.folders[p->places.count++] = folders->v[i];
	bool folder = operand && stat(operand, &about) == 0 && S_ISDIR(about.st_mode);
	if (folder)
		add_folder(p, operand);
	else if (operand)
		add_folder_of(p, operand);
	if (operand && input && input->baked &&
	    snprintf(pipeline, sizeof(pipeline), "%s%s", operand, folder ? "/pipeline.json" : "") <
		    (int)sizeof(pipeline))
		add_folders_of_pipeline(p, pipeline);
	add_folders_of_stage(p);
	if (input && input->kind == CHAIN_KERNEL_IMAGE) {
		p->images[p->image_count++] = input->image;
		p->image = &p->images[0];
	}
}

void fault_places_free(struct fault_places *p)
{
	for (size_t i = 0; i < p->owned_count; i++)
		free(p->owned[i]);
	*p = (struct fault_places){ .input = NULL };
}

/* --- which kernel it was --- */

static const char *text_of(const json_t *doc, const char *key)
{
	const char *text = json_string_value(json_object_get(doc, key));
	return text ? text : "";
}

static void note_step(struct fault_step *step, const json_t *doc)
{
	snprintf(step->source, sizeof(step->source), "%s", text_of(doc, "source"));
	record_digest(doc, "digest", "sha256", step->digest);
}

static bool kernel_bytes(const struct fault_places *p, const struct fault_step *step, const uint8_t **bytes,
			 uint64_t *count)
{
	const char *path = chain_source_path(step->source);
	return p->image && path && !chain_image_file(p->image, path, bytes, count, NULL, NULL);
}

/* The image that entered is the one that was booted, out of the one before, if it says so. */
static void note_entered(struct fault_places *p, const json_t *doc)
{
	const char *id = text_of(doc, "image");
	char hex[7 + CHAIN_SHA256_HEX + 1] = "sha256:";
	const uint8_t *bytes;
	uint64_t count;
	if (*p->booted.source && p->image_count < FAULT_IMAGES_MAX && kernel_bytes(p, &p->booted, &bytes, &count) &&
	    !chain_image_open(&p->images[p->image_count], bytes, count, NULL))
		p->image_count++;
	p->image = NULL;
	for (size_t i = p->image_count; i-- > 0 && !p->image;) {
		chain_sha256_to_hex(p->images[i].header.id, hex + 7);
		if (strcmp(hex, id) == 0)
			p->image = &p->images[i];
	}
	p->step = p->booted = (struct fault_step){ .source = "" };
}

static struct symbols_kernel kernel_of_step(const struct fault_places *p, const struct fault_step *step)
{
	const char *slash = strrchr(step->source, '/'), *colon = strrchr(step->source, ':');
	struct symbols_kernel kernel = { .name = slash ? slash + 1 :
						 colon ? colon + 1 :
							 step->source,
					 .digest = *step->digest ? step->digest : NULL };
	if (!kernel_bytes(p, step, &kernel.bytes, &kernel.bytes_count))
		kernel.bytes = NULL;
	return kernel;
}

/* The build-id of the stage that an image begins with: the note is in its first pages, as the linker made it (ELF gABI,
 * GNU's type 3). */
static bool stage_build_id(const struct chain_image *image, char out[SYMBOLS_ID_HEX])
{
	enum { WITHIN = 65536, ID_BYTES = 20 };
	static const uint8_t head[] = { 4, 0, 0, 0, ID_BYTES, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0 };
	const uint64_t bytes = image->bytes_count < WITHIN ? image->bytes_count : WITHIN;
	const uint8_t *found = memmem(image->bytes, bytes, head, sizeof(head));
	if (!found || (uint64_t)(found - image->bytes) + sizeof(head) + ID_BYTES > bytes)
		return false;
	chain_hex_of(found + sizeof(head), ID_BYTES, out);
	return true;
}

/* A fault that no call ended with is the booted kernel's, or the stage's own. `id` has room for what the answer
 * borrows. */
static struct symbols_kernel kernel_that_stopped(const struct fault_places *p, char id[SYMBOLS_ID_HEX])
{
	if (*p->booted.source)
		return kernel_of_step(p, &p->booted);
	if (p->input && p->input->kind != CHAIN_KERNEL_IMAGE)
		return (struct symbols_kernel){ .name = "kernel",
						.bytes = p->input->file.bytes,
						.bytes_count = p->input->file.bytes_count };
	return (struct symbols_kernel){ .name = "stage.elf",
					.build_id = p->image && stage_build_id(p->image, id) ? id : NULL };
}

/* --- what is added --- */

static bool address_of(const json_t *fault, uint64_t *out)
{
	const char *rip = json_string_value(json_object_get(fault, "rip"));
	return rip && cmd_address_parse(rip, out);
}

static int set_text(json_t *object, const char *key, const char *text)
{
	char shown[PLACE_BYTES * 4];
	if (!*text)
		return 0;
	cmd_text_escape(text, strlen(text), shown,
			sizeof(shown)); /* what is cut in the middle of a character is no UTF-8 */
	return json_object_set_new(object, key, json_string(shown));
}

static int add_symbol(json_t *fault, const struct symbol *symbol, const char *build_id)
{
	char place[PLACE_BYTES];
	symbol_text(symbol, place, sizeof(place));
	int bad = set_text(fault, "place", place) | set_text(fault, "function", symbol->function) |
		  set_text(fault, "file", symbol->file) | set_text(fault, "build_id", build_id);
	if (*symbol->function)
		bad |= json_object_set_new(fault, "offset", json_integer((json_int_t)symbol->offset));
	if (symbol->line)
		bad |= json_object_set_new(fault, "line", json_integer((json_int_t)symbol->line));
	return bad;
}

enum chain_status fault_places_add(const struct symbols_places *places, const struct symbols_kernel *kernel,
				   json_t *const *faults, size_t count, struct chain_error *err)
{
	uint64_t *addresses = calloc(count + 1, sizeof(*addresses));
	struct symbol *symbols = calloc(count + 1, sizeof(*symbols));
	struct symbols_answer answer;
	enum chain_status status = addresses && symbols ?
					   CHAIN_OK :
					   chain_fail_no_memory(err, kernel->name, (count + 1) * sizeof(*symbols));
	for (size_t i = 0; i < count && !status; i++)
		if (!address_of(faults[i], &addresses[i]))
			addresses[i] = 0;
	if (!status)
		status = symbols_look_up(places, kernel, addresses, count, symbols, &answer, err);
	for (size_t i = 0; i < count && !status; i++)
		if (add_symbol(faults[i], &symbols[i], answer.build_id))
			status = chain_json_no_memory(err, kernel->name);
	free(addresses);
	free(symbols);
	return status;
}

/* A copy of the member, put in its place, to be changed. Borrowed; null: there is none, or no memory. */
static json_t *own(json_t *object, const char *key)
{
	json_t *copy =
		json_is_object(json_object_get(object, key)) ? chain_json_deep(json_object_get(object, key)) : NULL;
	return copy && !json_object_set_new(object, key, copy) ? copy : NULL;
}

/* The copied record's own `fault`, and those of its groups of failures. */
static size_t gather(json_t *copy, json_t *faults[FAULTS_MAX])
{
	size_t count = 0;
	json_t *fault = own(copy, "fault"), *groups = json_is_array(json_object_get(copy, "failures")) ?
							      chain_json_deep(json_object_get(copy, "failures")) :
							      NULL;
	if (fault)
		faults[count++] = fault;
	if (groups && json_object_set_new(copy, "failures", groups))
		groups = NULL;
	for (size_t i = 0; i < json_array_size(groups) && count < FAULTS_MAX; i++) {
		fault = json_object_get(json_array_get(groups, i), "fault");
		if (json_is_object(fault))
			faults[count++] = fault;
	}
	return count;
}

static enum chain_status resolve(struct fault_places *p, enum record_event event, const json_t *doc, json_t **out,
				 struct chain_error *err)
{
	json_t *faults[FAULTS_MAX], *copy = chain_json_shallow(doc);
	char id[SYMBOLS_ID_HEX];
	size_t count = 1;
	if (!copy)
		return chain_json_no_memory(err, "records");
	struct symbols_kernel kernel = event == RECORD_FAULT ? kernel_that_stopped(p, id) : kernel_of_step(p, &p->step);
	if (event == RECORD_FAULT)
		faults[0] = copy;
	else
		count = gather(copy, faults);
	if (count && p->lookups++ >= FAULT_LOOKUPS_MAX)
		count = 0;
	enum chain_status status = count ? fault_places_add(&p->places, &kernel, faults, count, err) : CHAIN_OK;
	if (status || !count)
		json_decref(copy);
	else
		*out = copy;
	return status;
}

enum chain_status fault_places_record(struct fault_places *p, enum record_event event, const json_t *doc, json_t **out,
				      struct chain_error *err)
{
	*out = NULL;
	if (event == RECORD_ENTERED)
		note_entered(p, doc);
	else if (event == RECORD_STEP)
		note_step(&p->step, doc);
	else if (event == RECORD_BOOT)
		p->booted = p->step;
	else if (event == RECORD_FAULT ||
		 (event == RECORD_RESULT &&
		  (json_object_get(doc, "fault") || json_array_size(json_object_get(doc, "failures")))))
		return resolve(p, event, doc, out, err);
	return CHAIN_OK;
}
