/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which ports of the machine are reached from this one: those of the command line, and those that the root's
 * program serves (docs/ROOTS.md), at ports that are free here. */

#include "run.h"

#include "chain/config.h"
#include "chain/json_write.h"
#include "chain/cmd/show/inspect.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UNPRIVILEGED = 1024, HIGHER = 8000, TRIES = 16 };

/* The port, where it is free on 127.0.0.1; of 0: any. 0: it is not. */
static uint16_t port_try(uint16_t wanted)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(wanted),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(at);
	uint16_t got = 0;

	if (fd < 0)
		return 0;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 1) == 0 &&
	    getsockname(fd, (struct sockaddr *)&at, &bytes) == 0)
		got = ntohs(at.sin_port);
	(void)close(fd);
	return got;
}

/* Whether another port inside has this one of 127.0.0.1: QEMU binds it later than it is tried here. */
static bool is_taken(const struct run *run, uint16_t host)
{
	for (size_t i = 0; i < run->ports.count; i++)
		if (strtoul(run->ports.v[i], NULL, 10) == host)
			return true;
	return false;
}

static bool is_mapped(const struct run *run, uint64_t guest)
{
	for (size_t i = 0; i < run->ports.count; i++) {
		const char *colon = strchr(run->ports.v[i], ':');
		uint64_t to;

		if (colon && cmd_count_parse(colon + 1, &to) && to == guest)
			return true;
	}
	return false;
}

/* The same number, 8000 more for those that a user may not have, else what is free. 0: nothing is. */
static uint16_t port_choose(const struct run *run, uint16_t guest)
{
	uint16_t wanted = guest < UNPRIVILEGED ? (uint16_t)(guest + HIGHER) : guest;

	for (unsigned i = 0; i < TRIES; i++) {
		const uint16_t got = is_taken(run, wanted) ? 0 : port_try(wanted);

		if (got && !is_taken(run, got))
			return got;
		wanted = 0;
	}
	return 0;
}

static enum chain_status port_add(struct run *run, const char *text, struct chain_error *err)
{
	const uint64_t guest = strtoul(text, NULL, 10);
	const char **grown;
	char *mapped = NULL;

	if (strstr(text, "/udp") || guest < 1 || guest > UINT16_MAX || is_mapped(run, guest))
		return CHAIN_OK;
	if (run->port_count + run->portless_count == RUN_PORTS_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = "ports", .detail = "forwarded ports",
				  .value = RUN_PORTS_MAX + 1, .limit = RUN_PORTS_MAX);
	const uint16_t host = port_choose(run, (uint16_t)guest);

	if (!host) {
		run->portless[run->portless_count++] = (uint16_t)guest;
		return CHAIN_OK;
	}
	grown = realloc(run->ports.v, (run->ports.count + 1) * sizeof(*grown));
	if (grown)
		run->ports.v = grown;
	if (!grown || asprintf(&mapped, "%u:%u", (unsigned)host, (unsigned)guest) < 0)
		return chain_fail_no_memory(err, "-p", sizeof("65535:65535"));
	run->ports.v[run->ports.count++] = run->port_texts[run->port_count++] = mapped;
	return CHAIN_OK;
}

enum chain_status run_ports_add(struct run *run, struct chain_error *err)
{
	const struct chain_image *image = &run->input.image;
	enum chain_status status = CHAIN_OK;
	struct chain_config config;
	const uint8_t *text;
	uint64_t count;

	if (run->input.kind != CHAIN_KERNEL_IMAGE ||
	    chain_image_file(image, CHAIN_FS_PIPELINE, &text, &count, NULL, NULL) ||
	    chain_config_parse((const char *)text, count, CHAIN_FS_PIPELINE, true, &config, NULL))
		return CHAIN_OK; /* the stage will say what is wrong with it */
	for (size_t i = 0; i < config.step_count; i++) {
		json_t *root = inspect_root_json(image, &config.steps[i]), *port;
		size_t at;

		json_array_foreach (json_object_get(json_object_get(root, "entry"), "ports"), at, port)
			if (!status && json_is_string(port))
				status = port_add(run, json_string_value(port), err);
		json_decref(root);
	}
	chain_config_free(&config);
	return status;
}

void run_ports_print(const struct run *run)
{
	for (size_t i = 0; i < run->ports.count; i++) {
		const char *colon = strchr(run->ports.v[i], ':');

		fprintf(stderr, "  127.0.0.1:%.*s is port %s inside\n", colon ? (int)(colon - run->ports.v[i]) : 0,
			run->ports.v[i], colon ? colon + 1 : "");
	}
	for (size_t i = 0; i < run->portless_count; i++)
		fprintf(stderr, "  port %u inside is not reached: 127.0.0.1 has no free port for it\n",
			(unsigned)run->portless[i]);
}

json_t *run_ports_json(const struct run *run)
{
	json_t *list = json_array();

	for (size_t i = 0; i < run->ports.count; i++) {
		const char *colon = strchr(run->ports.v[i], ':');

		json_array_append_new(list,
				      chain_json_object(CHAIN_INT("host", strtol(run->ports.v[i], NULL, 10)),
							CHAIN_INT("guest", colon ? strtol(colon + 1, NULL, 10) : 0)));
	}
	return list;
}
