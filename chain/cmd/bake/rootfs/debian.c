/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Packages of Debian ("debian:nginx-light,php-fpm") and all that they depend on: fetched once, by apt, and then
 * a folder of the user's cache, in which everything is to belong to root. */

#include "archives.h"
#include "chain/cmd/kernel/fetch.h"

#include <string.h>

extern const struct rootfs_source rootfs_source_folder;

#define SCHEME "debian:"

static bool probe(const struct rootfs_request *request, const struct rootfs_head *head)
{
	(void)head;
	return strncmp(request->source, SCHEME, sizeof(SCHEME) - 1) == 0;
}

static enum chain_status open_debian(const struct rootfs_request *request, struct rootfs *out, struct chain_error *err)
{
	char folder[FETCH_PATH_BYTES];
	struct rootfs_request within = *request;
	enum chain_status status = probe(request, NULL) ?
					   fetch_root(request->source + sizeof(SCHEME) - 1, folder, err) :
					   chain_fail_subject(err, CHAIN_E_ROOT_PACKAGES, request->source);

	within.path = folder;
	within.owner_said = true; /* nobody else's numbers are there, and 0:0 unless it was said otherwise */
	return status ? status : rootfs_source_folder.open(&within, out, err);
}

const struct rootfs_source rootfs_source_debian = {
	.name = "debian",
	.about = "packages of Debian, fetched by apt into the user's cache",
	.scheme = SCHEME,
	.probe = probe,
	.open = open_debian,
};
