/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What the init of a root reads that others wrote: up to five texts with zero bytes between them: root.json, the
 * kernel's command line, a handoff, passwd, group. */
#include "init/dhcp.h"
#include "init/spec.h"
#include "init/tail.h"
#include "init/users.h"

#include "chain/handoff.h"
#include "chain/tests/fuzz.h"

enum { TEXTS = 5 };

static void check_network(const char *text)
{
	struct init_interfaces net;
	struct chain_error err = { 0 };
	json_t *handoff;
	if (chain_handoff_parse(text, strlen(text), &handoff, NULL))
		return;
	if (!fuzz_text_status(init_interfaces_read(handoff, &net, &err), &err)) {
		FUZZ_HOLDS(net.count <= INIT_INTERFACES_MAX);
		char *resolv = init_resolv_conf(&net);
		FUZZ_HOLDS(!resolv || strlen(resolv) <= 3 * 32);
		free(resolv);
	}
	json_decref(handoff);
}

/* Times follow on each other, whatever the answer says. */
static void check_lease(const uint8_t *data, size_t size)
{
	struct init_interface interface = { .mac = { 0 }, .lease = { 1, 2, 1000, 0 } };
	struct init_renewal renewal;
	bool kept = false;
	init_renewal_begin(&renewal, &interface, 5, 0, 0);
	if (!init_renewal_answer(&renewal, data, size, 100, &kept))
		return;
	FUZZ_HOLDS(kept != renewal.ended);
	FUZZ_HOLDS(!kept || (renewal.renew_s <= renewal.rebind_s && renewal.rebind_s <= renewal.end_s));
	FUZZ_HOLDS(!kept || renewal.end_s > 100);
}

static void check_spec(const char *text, const char *cmdline)
{
	struct init_spec spec;
	struct chain_error err = { 0 };
	json_t *nothing = json_object();
	if (!fuzz_text_status(init_spec_parse(text, strlen(text), &spec, &err), &err)) {
		FUZZ_HOLDS(spec.argc > 0 && spec.argv[0] && spec.device && spec.type);
		FUZZ_HOLDS(spec.stop_signal > 0 && spec.stop_signal < INIT_SIGNALS);
		FUZZ_HOLDS(spec.write <= INIT_WRITE_NONE && spec.end <= INIT_END_REBOOT);
		(void)!init_spec_cmdline(cmdline, &spec, NULL);
		FUZZ_HOLDS(spec.write <= INIT_WRITE_NONE && spec.end <= INIT_END_REBOOT);
		(void)!init_spec_expand(&spec, nothing, NULL);
	}
	init_spec_free(&spec);
	json_decref(nothing);
}

static void check_user(const char *who, const char *passwd, const char *group)
{
	struct init_user user;
	struct chain_error err = { 0 };
	if (!fuzz_status(init_user_find(who, passwd, group, &user, &err), &err))
		FUZZ_HOLDS(user.group_count <= INIT_GROUPS_MAX && strlen(user.home) > 0);
	char *hosts = init_hosts(passwd, "box");
	FUZZ_HOLDS(hosts && strlen(hosts) >= strlen(passwd));
	free(hosts);
}

static void check_tail(const uint8_t *data, size_t size)
{
	struct init_tail tail = { .total = 0 };
	init_tail_add(&tail, (const char *)data, size);
	json_t *lines = init_tail_lines(&tail);
	FUZZ_HOLDS(lines && json_array_size(lines) <= INIT_TAIL_LINES && (json_array_size(lines) > 0) == (size > 0));
	char *text = json_dumps(lines, 0);
	FUZZ_HOLDS(text);
	free(text);
	json_decref(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *texts[TEXTS];
	size_t at = 0;
	for (int i = 0; i < TEXTS; i++) {
		size_t left = size - at, bytes = strnlen((const char *)data + at, left);
		texts[i] = strndup((const char *)data + at, bytes);
		at += bytes + (bytes < left);
	}
	check_spec(texts[0], texts[1]);
	check_network(texts[2]);
	check_user(texts[1], texts[3], texts[4]);
	check_user("www-data", texts[3], texts[4]);
	check_lease(data, size);
	check_tail(data, size);
	for (int i = 0; i < TEXTS; i++)
		free(texts[i]);
	return 0;
}
