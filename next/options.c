/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char help[] = "Usage: kchain-next [OPTION]... IMAGE\n"
			   "\n"
			   "Ends this Linux and starts IMAGE in its place, by kexec: an image of `kchain\n"
			   "bake`, or another kernel that kchain can boot. An image is verified first. The\n"
			   "handoff that this Linux received goes on to it, with this Linux as one link\n"
			   "more. What will be done is said, and asked for.\n"
			   "\n"
			   "Options:\n"
			   "  -y, --yes               do not ask\n"
			   "  -n, --dry-run           say what would be done, and end\n"
			   "      --load              hand IMAGE to Linux, and leave the start to\n"
			   "                          `systemctl kexec` or another program\n"
			   "      --now               start it at once, without systemd's stopping what runs\n"
			   "      --handoff FILE      the handoff that this Linux received; without it\n"
			   "                          /run/kchain/handoff.json, if it is there\n"
			   "      --handoff-at WHERE  last, first or none: where among its modules IMAGE is\n"
			   "                          given the handoff (default last)\n"
			   "      --name NAME         what the handoff calls this link (default linux)\n"
			   "      --result FILE       JSON that goes to \"results\", under this link's name;\n"
			   "                          without it /run/kchain/result.json, if it is there\n"
			   "      --state FILE        a JSON object that goes over \"state\"\n"
			   "      --args TEXT         IMAGE's command line\n"
			   "      --module FILE[=STRING]\n"
			   "                          a module of IMAGE (of a Linux: its initrd); may be\n"
			   "                          given many times; STRING is FILE's name without it\n"
			   "      --signed            have Linux load IMAGE, a bzImage, and look at its signature\n"
			   "                          itself; always so where Linux is locked down\n"
			   "      --digest DIGEST     refuse an IMAGE with another id or digest than this:\n"
			   "                          sha256:… or fsverity:…, as `kchain inspect` says it\n"
			   "      --json              print what would be done, or an error, as JSON\n"
			   "  -h, --help              print this help\n"
			   "      --version           print the version\n";

enum option_code {
	LOAD = 256,
	NOW,
	HANDOFF,
	HANDOFF_AT,
	NAME,
	RESULT,
	STATE,
	ARGS,
	MODULE,
	SIGNED,
	DIGEST,
	JSON,
	VERSION
};

static const struct option options[] = {
	{ "yes", no_argument, NULL, 'y' },
	{ "dry-run", no_argument, NULL, 'n' },
	{ "load", no_argument, NULL, LOAD },
	{ "now", no_argument, NULL, NOW },
	{ "handoff", required_argument, NULL, HANDOFF },
	{ "handoff-at", required_argument, NULL, HANDOFF_AT },
	{ "name", required_argument, NULL, NAME },
	{ "result", required_argument, NULL, RESULT },
	{ "state", required_argument, NULL, STATE },
	{ "args", required_argument, NULL, ARGS },
	{ "module", required_argument, NULL, MODULE },
	{ "signed", no_argument, NULL, SIGNED },
	{ "digest", required_argument, NULL, DIGEST },
	{ "json", no_argument, NULL, JSON },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, VERSION },
	{ NULL, 0, NULL, 0 },
};

static int __attribute__((format(printf, 1, 2))) usage(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("kchain-next: ", stderr);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\ntry `kchain-next --help`\n", stderr);
	return NEXT_USAGE;
}

static int take_place(const char *word, struct next_options *out)
{
	static const char *const words[] = {
		[CHAIN_HANDOFF_NONE] = "none", [CHAIN_HANDOFF_FIRST] = "first", [CHAIN_HANDOFF_LAST] = "last"
	};
	for (int i = CHAIN_HANDOFF_NONE; i <= CHAIN_HANDOFF_LAST; i++)
		if (!strcmp(word, words[i])) {
			out->handoff_at = (enum chain_handoff_at)i;
			return -1;
		}
	return usage("--handoff-at: '%s' is not last, first or none", word);
}

static int take_module(const char *word, struct next_options *out)
{
	if (out->module_count == NEXT_MODULES_MAX)
		return usage("--module: more than %d", NEXT_MODULES_MAX);
	out->modules[out->module_count++] = word;
	return -1;
}

static bool *flag_of(struct next_options *out, int code)
{
	return code == 'y'    ? &out->yes :
	       code == 'n'    ? &out->dry_run :
	       code == LOAD   ? &out->load :
	       code == NOW    ? &out->now :
	       code == SIGNED ? &out->by_file :
	       code == JSON   ? &out->json :
				NULL;
}

static const char **text_of(struct next_options *out, int code)
{
	return code == HANDOFF ? &out->handoff :
	       code == NAME    ? &out->name :
	       code == ARGS    ? &out->args :
	       code == RESULT  ? &out->result :
	       code == STATE   ? &out->state :
	       code == DIGEST  ? &out->digest :
				 NULL;
}

static int take(int code, struct next_options *out)
{
	if (flag_of(out, code)) {
		*flag_of(out, code) = true;
		return -1;
	}
	if (text_of(out, code)) {
		*text_of(out, code) = optarg;
		return -1;
	}
	switch (code) {
	case HANDOFF_AT:
		return take_place(optarg, out);
	case MODULE:
		return take_module(optarg, out);
	case VERSION:
		puts("kchain-next " KCHAIN_VERSION);
		return NEXT_OK;
	case 'h':
		fputs(help, stdout);
		return NEXT_OK;
	default: /* getopt_long has said why */
		fputs("try `kchain-next --help`\n", stderr);
		return NEXT_USAGE;
	}
}

int next_options_read(int argc, char **argv, struct next_options *out)
{
	*out = (struct next_options){ .handoff_at = CHAIN_HANDOFF_LAST };
	for (int code; (code = getopt_long(argc, argv, "ynh", options, NULL)) != -1;) {
		int end = take(code, out);
		if (end >= 0)
			return end;
	}
	if (optind == argc)
		return usage("IMAGE is missing");
	if (argc - optind > 1)
		return usage("'%s' is one operand too many", argv[optind + 1]);
	if (out->dry_run && out->load)
		return usage("--dry-run and --load exclude each other");
	out->image = argv[optind];
	return -1;
}
