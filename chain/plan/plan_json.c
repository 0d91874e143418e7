/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/plan_json.h"

#include "chain/json_memory.h"
#include "chain/json_write.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *range_json(struct chain_range range)
{
	return chain_json_object(CHAIN_HEX("base", range.base), CHAIN_HEX("end", range.end));
}

static json_t *move_json(const struct chain_move *move)
{
	bool known = move->kind == CHAIN_MOVE_COPY && move->source_phys != CHAIN_PHYS_UNKNOWN;
	return chain_json_object(CHAIN_TEXT("kind", move->kind == CHAIN_MOVE_COPY ? "copy" : "zero"),
				 CHAIN_TEXT("owner", chain_owner_name(move->owner)),
				 CHAIN_INT("tag", (json_int_t)move->tag),
				 CHAIN_STEAL("source", known ? chain_json_hex(move->source_phys) : json_null()),
				 CHAIN_HEX("base", move->dest.base), CHAIN_HEX("end", move->dest.end));
}

static json_t *moves_json(const struct chain_plan *plan)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < plan->move_count; i++)
		if (json_array_append_new(array, move_json(&plan->moves[i])) != 0) {
			json_decref(array);
			array = NULL;
		}
	return array;
}

static json_t *claims_json(const struct chain_plan *plan)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < plan->claims.count; i++) {
		const struct chain_claim *claim = &plan->claims.v[i];
		json_t *row = chain_json_object(
			CHAIN_TEXT("owner", chain_owner_name(claim->owner)), CHAIN_INT("tag", (json_int_t)claim->tag),
			CHAIN_HEX("base", claim->range.base), CHAIN_HEX("end", claim->range.end));
		if (json_array_append_new(array, row) != 0) {
			json_decref(array);
			array = NULL;
		}
	}
	return array;
}

static json_t *memory_json(const struct chain_plan *plan)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < plan->mem_count; i++) {
		const struct chain_mem_entry *entry = &plan->mem[i];
		json_t *row =
			chain_json_object(CHAIN_HEX("base", entry->range.base), CHAIN_HEX("end", entry->range.end),
					  CHAIN_INT("type", (json_int_t)entry->type));
		if (json_array_append_new(array, row) != 0) {
			json_decref(array);
			array = NULL;
		}
	}
	return array;
}

/* Those that are not zero. */
static json_t *registers_json(const struct chain_entry *entry)
{
	json_t *object = json_object();
	for (unsigned i = 0; object && i < CHAIN_REGISTERS; i++) {
		if (!entry->registers[i] ||
		    !json_object_set_new(object, chain_register_name(i), chain_json_hex(entry->registers[i])))
			continue;
		json_decref(object);
		object = NULL;
	}
	return object;
}

enum chain_status chain_plan_to_json(const struct chain_plan *plan, json_t **out, struct chain_error *err)
{
	bool handoff = plan->handoff.base != plan->handoff.end;
	json_t *totals = chain_json_object(CHAIN_INT("copied", (json_int_t)plan->bytes_copied),
					   CHAIN_INT("zeroed", (json_int_t)plan->bytes_zeroed),
					   CHAIN_INT("in_place", (json_int_t)plan->bytes_in_place));
	/* Every `o` is let go of also when it fails, a null among them included. */
	json_t *doc = chain_json_object(
		CHAIN_TEXT("mode", chain_entry_mode_name(plan->entry.mode)), CHAIN_HEX("entry", plan->entry.address),
		CHAIN_STEAL("registers", registers_json(&plan->entry)), CHAIN_STEAL("info", range_json(plan->info)),
		CHAIN_STEAL("handoff", handoff ? range_json(plan->handoff) : json_null()),
		CHAIN_STEAL("totals", totals), CHAIN_STEAL("moves", moves_json(plan)),
		CHAIN_STEAL("claims", claims_json(plan)), CHAIN_STEAL("memory", memory_json(plan)));
	if (!doc)
		return chain_json_no_memory(err, "plan as JSON");
	*out = doc;
	return CHAIN_OK;
}

/* A string that grows. After a failure `text` is null and stays so. */
struct text {
	char *text;
	size_t used, capacity;
	size_t lacking; /* bytes that there were not; 0: no failure */
};

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *format, ...)
{
	char line[256]; /* every line is made of numbers and names of our own: it fits */
	va_list args;
	va_start(args, format);
	int bytes = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (text->lacking || bytes < 0)
		return;
	size_t wanted = text->used + (size_t)bytes + 1;
	if (wanted > text->capacity) {
		size_t capacity = 2 * wanted + 256;
		char *grown = realloc(text->text, capacity);
		if (!grown) {
			free(text->text);
			*text = (struct text){ .lacking = capacity };
			return;
		}
		text->text = grown;
		text->capacity = capacity;
	}
	for (int i = 0; i <= bytes; i++)
		text->text[text->used + (size_t)i] = line[i];
	text->used += (size_t)bytes;
}

static void add_move(struct text *text, size_t index, const struct chain_move *move)
{
	char source[24] = "-";
	if (move->kind == CHAIN_MOVE_COPY && move->source_phys != CHAIN_PHYS_UNKNOWN)
		snprintf(source, sizeof(source), "0x%" PRIx64, move->source_phys);
	else if (move->kind == CHAIN_MOVE_COPY)
		snprintf(source, sizeof(source), "buffer");
	add(text, "  %3zu %s %-16s %3" PRIu32 " %12s -> 0x%08" PRIx64 " %12" PRIu64 "\n", index,
	    move->kind == CHAIN_MOVE_COPY ? "copy" : "zero", chain_owner_name(move->owner), move->tag, source,
	    move->dest.base, chain_range_bytes(move->dest));
}

enum chain_status chain_plan_format(const struct chain_plan *plan, char **out, struct chain_error *err)
{
	struct text text = { 0 };
	add(&text, "entry 0x%" PRIx64 " (%s)", plan->entry.address, chain_entry_mode_name(plan->entry.mode));
	for (unsigned i = 0; i < CHAIN_REGISTERS; i++)
		if (plan->entry.registers[i])
			add(&text, ", %s 0x%" PRIx64, chain_register_name(i), plan->entry.registers[i]);
	add(&text, "\n");
	add(&text, "moves: %" PRIu64 " bytes copied, %" PRIu64 " zeroed, %" PRIu64 " in place\n", plan->bytes_copied,
	    plan->bytes_zeroed, plan->bytes_in_place);
	for (size_t i = 0; i < plan->move_count; i++)
		add_move(&text, i, &plan->moves[i]);
	add(&text, "memory at entry:\n");
	for (size_t i = 0; i < plan->claims.count; i++) {
		const struct chain_claim *claim = &plan->claims.v[i];
		add(&text, "  0x%08" PRIx64 " 0x%08" PRIx64 " %12" PRIu64 " %s %" PRIu32 "\n", claim->range.base,
		    claim->range.end, chain_range_bytes(claim->range), chain_owner_name(claim->owner), claim->tag);
	}
	add(&text, "memory map given to the kernel:\n");
	for (size_t i = 0; i < plan->mem_count; i++)
		add(&text, "  0x%016" PRIx64 " 0x%016" PRIx64 " type %" PRIu32 "\n", plan->mem[i].range.base,
		    plan->mem[i].range.end, plan->mem[i].type);
	if (text.lacking)
		return chain_fail_no_memory(err, "plan as text", text.lacking);
	*out = text.text;
	return CHAIN_OK;
}
