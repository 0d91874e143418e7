/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any text as arguments with {{…}} and, behind a zero byte, any handoff to expand them from. What a
 * pipeline's check lets through finds its facts in a handoff that has what that pipeline makes sure of. */
#include "fuzz.h"

#include "chain/handoff.h"
#include "chain/pipeline/config_internal.h"
#include "chain/template.h"

static const char pipeline[] =
	"{\"kchain\":1,\"name\":\"fuzz\",\"state\":{\"a\":\"text\",\"n\":-7,\"yes\":true,\"none\":null,\"list\":[1],"
	"\"deep\":{\"er\":\"x\"}},"
	"\"net\":{\"lan\":{\"dhcp\":true},\"wan\":{\"dhcp\":true,\"need\":\"optional\"}},"
	"\"block\":{\"data\":{},\"more\":{\"need\":\"optional\"}},\"steps\":[{\"name\":\"one\",\"call\":\"fs:/one\"}]}";
/* All that is sure, nothing that is not. */
static const char sure[] =
	"{\"kchain_handoff\":1,\"boot_id\":\"7d0c\",\"self\":{\"step\":\"one\"},\"links\":[],\"clock\":{},"
	"\"net\":{\"lan\":{\"status\":\"configured\",\"mac\":\"52:54:00:12:34:56\",\"addresses\":[\"10.0.2.15/"
	"24\"]},\"wan\":{\"status\":\"absent\"}},"
	"\"block\":{\"data\":{\"status\":\"present\",\"bytes\":4096,\"sector_bytes\":512},\"more\":{\"status\":"
	"\"absent\"}},"
	"\"platform\":{\"cpus\":2,\"door\":\"multiboot1\"},"
	"\"state\":{\"a\":\"text\",\"n\":-7,\"yes\":true,\"none\":null,\"list\":[1],\"deep\":{\"er\":\"x\"}}}";

/* As a value of `state`: refused for the same reason as in arguments, or taken because a fact alone may be of any kind
 * and length. */
static void fill(const char *text, const json_t *handoff, enum chain_status expanded)
{
	struct chain_error err = { 0 };
	json_t *value = json_string(text), *filled = NULL; /* null: no UTF-8, which no pipeline holds */
	if (!value)
		return;
	enum chain_status status = fuzz_status(chain_template_fill(value, handoff, "fuzz", &filled, &err), &err);
	FUZZ_HOLDS(status == expanded ||
		   (!status && (expanded == CHAIN_E_TEMPLATE_VALUE || expanded == CHAIN_E_LIMIT)));
	FUZZ_HOLDS(status || filled);
	FUZZ_HOLDS(chain_template_in(value) || json_equal(value, filled));
	json_decref(filled);
	json_decref(value);
}

static enum chain_status expand(const char *text, const json_t *handoff)
{
	struct chain_error err = { 0 };
	char *out = NULL;
	enum chain_status status = fuzz_status(chain_template_expand(text, handoff, "fuzz", &out, &err), &err);
	fill(text, handoff, status);
	if (status)
		return status;
	FUZZ_HOLDS(strlen(out) <= CHAIN_TEMPLATE_MAX_BYTES);
	FUZZ_HOLDS(strstr(text, "{{") || !strcmp(out, text));
	/* Facts bring no control characters in, so there are none that the text had not. */
	for (size_t i = 0; out[i]; i++)
		FUZZ_HOLDS(fuzz_printable(out + i, 1) || strchr(text, out[i]));
	free(out);
	return status;
}

/* As the arguments of the pipeline's step. */
static enum chain_status check(struct chain_config *config, char *text)
{
	struct chain_error err = { 0 };
	struct chain_json_path path = { .errors = NULL };
	char *own = config->steps[0].args;
	config->steps[0].args = text;
	enum chain_status status = fuzz_status(chain_config_check_templates(config, &path, &err), &err);
	config->steps[0].args = own;
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct chain_config config;
	static json_t *known;
	struct chain_error err = { 0 };
	size_t bytes = strnlen((const char *)data, size);
	json_t *handoff = NULL;
	char *text = calloc(1, bytes + 1);

	if (!known) {
		FUZZ_HOLDS(!chain_config_parse(pipeline, sizeof(pipeline) - 1, "fuzz", false, &config, &err));
		FUZZ_HOLDS(!chain_handoff_parse(sure, sizeof(sure) - 1, &known, &err));
	}
	FUZZ_HOLDS(text);
	memcpy(text, data, bytes);
	enum chain_status checked = check(&config, text);
	enum chain_status expanded = expand(text, known);
	/* Refused only for being too long. */
	FUZZ_HOLDS(checked || !expanded || expanded == CHAIN_E_LIMIT);
	FUZZ_HOLDS(checked != CHAIN_E_TEMPLATE_SYNTAX || expanded);
	err = (struct chain_error){ 0 };
	if (bytes < size &&
	    !fuzz_text_status(chain_handoff_parse((const char *)data + bytes + 1, size - bytes - 1, &handoff, &err),
			      &err)) {
		expanded = expand(text, handoff);
		FUZZ_HOLDS(checked || !expanded || expanded == CHAIN_E_LIMIT || expanded == CHAIN_E_TEMPLATE_ABSENT ||
			   expanded == CHAIN_E_TEMPLATE_VALUE);
	}
	json_decref(handoff);
	free(text);
	return 0;
}
