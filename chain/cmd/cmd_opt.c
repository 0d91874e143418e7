/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading a command line by a table, and the help that the same table gives. */

#include "cmd.h"
#include "chain/json_walk.h"

#include <stdlib.h>
#include <string.h>

enum { OPTION_MAX = 64 };

struct parse {
	const struct cmd_spec *spec;
	struct cmd_args *out;
	char **argv;
	int argc, at;
	bool seen[OPTION_MAX];
	const char *loose;                 /* the first operand behind an option that takes a value after "=" only */
	const struct cmd_opt *loose_after; /* that option; null: there was none */
};

static const char *placeholder(const struct cmd_opt *opt)
{
	return opt->arg ? opt->arg : "";
}

enum { WIDTH = 80 };

static size_t columns_of(const char *text, size_t bytes)
{
	size_t columns = 0;
	for (size_t i = 0; i < bytes; i++)
		columns += ((unsigned char)text[i] & 0xc0) != 0x80;
	return columns;
}

/* A paragraph in lines that fit: `at` columns of the first are used, the others begin with `indent` blanks. The
 * paragraph ends with the text, at an empty line, or before a line that begins with a blank, which is one of its own.
 * Returns its end. */
static const char *paragraph_put(const char *text, size_t at, size_t indent, FILE *to)
{
	bool begun = false;
	while (*text && *text != '\n') {
		size_t word = strcspn(text, " \n"), columns = columns_of(text, word);
		if (begun && at + 1 + columns > WIDTH) {
			fprintf(to, "\n%*s", (int)indent, "");
			at = indent;
		} else if (begun) {
			fputc(' ', to);
			at++;
		}
		fwrite(text, 1, word, to);
		begun = true;
		at += columns;
		text += word + strspn(text + word, " ");
		if (*text == '\n' && text[1] != '\n' && text[1] != ' ')
			text++;
	}
	fputc('\n', to);
	return text + (*text == '\n');
}

/* Any number of paragraphs. */
static void text_put(const char *text, FILE *to)
{
	while (*text) {
		size_t indent = strspn(text, " ");
		if (text[indent] == '\n') {
			fputc('\n', to);
			text += indent + 1;
			continue;
		}
		fprintf(to, "%*s", (int)indent, "");
		text = paragraph_put(text + indent, indent, indent, to);
	}
}

static void option_print(const struct cmd_opt *opt, FILE *to)
{
	enum { COLUMN = 26 };
	int used = opt->letter ? fprintf(to, "  -%c, ", opt->letter) : fprintf(to, "      ");
	bool optional = opt->kind == CMD_OPT_OPTIONAL;
	used += fprintf(to, "--%s%s%s%s", opt->name,
			optional ? "[=" :
			opt->arg ? " " :
				   "",
			placeholder(opt), optional ? "]" : "");
	if (used > COLUMN - 2) {
		fputc('\n', to);
		used = 0;
	}
	fprintf(to, "%*s", COLUMN - used, "");
	paragraph_put(opt->help, COLUMN, COLUMN, to);
}

static void print_help(const struct cmd_spec *spec, FILE *to)
{
	fprintf(to, "usage: kchain %s [OPTION]…%s%s%s%s%s\n\n", spec->command, *spec->operands ? " " : "",
		spec->operands, spec->rest ? " [-- " : "", spec->rest ? spec->rest : "", spec->rest ? "]" : "");
	text_put(spec->about, to);
	fputc('\n', to);
	for (size_t i = 0; i < spec->opt_count; i++)
		option_print(&spec->opts[i], to);
	static const struct cmd_opt HELP = { "help", 'h', CMD_OPT_FLAG, NULL, "print this", NULL };
	option_print(&HELP, to);
	if (!spec->epilog)
		return;
	fputc('\n', to);
	text_put(spec->epilog, to);
}

static int unknown(const struct cmd_spec *spec, const char *name)
{
	const char *names[OPTION_MAX + 1];
	size_t count = 0;
	for (; count < spec->opt_count && count < OPTION_MAX; count++)
		names[count] = spec->opts[count].name;
	names[count] = "help";
	const char *near = chain_nearest(name, names, count + 1);
	if (near)
		return cmd_usage(spec->command, "unknown option '--%s' (did you mean '--%s'?)", name, near);
	return cmd_usage(spec->command, "unknown option '--%s'", name);
}

static const struct cmd_opt *find_long(const struct cmd_spec *spec, const char *name, size_t count)
{
	for (size_t i = 0; i < spec->opt_count; i++)
		if (strlen(spec->opts[i].name) == count && strncmp(spec->opts[i].name, name, count) == 0)
			return &spec->opts[i];
	return NULL;
}

static const struct cmd_opt *find_letter(const struct cmd_spec *spec, char letter)
{
	for (size_t i = 0; i < spec->opt_count; i++)
		if (spec->opts[i].letter == letter)
			return &spec->opts[i];
	return NULL;
}

static int bad_value(const struct parse *p, const struct cmd_opt *opt, const char *value, const char *wanted)
{
	return cmd_usage(p->spec->command, "--%s: '%s' is not %s", opt->name, value, wanted);
}

static int store(struct parse *p, const struct cmd_opt *opt, const char *value)
{
	size_t index = (size_t)(opt - p->spec->opts);
	if (p->seen[index] && opt->kind != CMD_OPT_LIST && opt->kind != CMD_OPT_FLAG)
		return cmd_usage(p->spec->command, "--%s is given twice", opt->name);
	p->seen[index] = true;
	struct cmd_list *list = opt->out;
	switch (opt->kind) {
	case CMD_OPT_FLAG:
		*(bool *)opt->out = true;
		return -1;
	case CMD_OPT_TEXT:
	case CMD_OPT_OPTIONAL:
		*(const char **)opt->out = value;
		return -1;
	case CMD_OPT_SIZE:
		return cmd_size_parse(value, opt->out) ? -1 :
							 bad_value(p, opt, value, "a size such as 64K, 128M or 1G");
	case CMD_OPT_TIME:
		return cmd_time_parse(value, opt->out) ? -1 :
							 bad_value(p, opt, value, "a time such as 250ms, 5s or 2m");
	case CMD_OPT_COUNT:
		return cmd_count_parse(value, opt->out) ? -1 : bad_value(p, opt, value, "a number");
	case CMD_OPT_LIST:
		break;
	}
	const char **grown = realloc(list->v, (list->count + 1) * sizeof(*grown));
	if (!grown)
		return cmd_usage(p->spec->command, "out of memory");
	list->v = grown;
	list->v[list->count++] = value;
	return -1;
}

/* `attached` is the value within the same word, or null. */
static int take(struct parse *p, const struct cmd_opt *opt, const char *attached)
{
	if (opt->kind == CMD_OPT_FLAG) {
		if (attached)
			return cmd_usage(p->spec->command, "--%s takes no value", opt->name);
		return store(p, opt, NULL);
	}
	if (attached || opt->kind == CMD_OPT_OPTIONAL)
		return store(p, opt, attached ? attached : "");
	if (p->at + 1 >= p->argc || strcmp(p->argv[p->at + 1], "--") == 0)
		return cmd_usage(p->spec->command, "--%s wants %s", opt->name, placeholder(opt));
	return store(p, opt, p->argv[++p->at]);
}

static int take_long(struct parse *p, const char *word)
{
	size_t count = strcspn(word, "=");
	const char *value = word[count] ? word + count + 1 : NULL;
	if (strcmp(word, "help") == 0) {
		print_help(p->spec, stdout);
		return CMD_OK;
	}
	const struct cmd_opt *opt = find_long(p->spec, word, count);
	if (opt)
		return take(p, opt, value);
	char name[64];
	snprintf(name, sizeof(name), "%.*s", (int)(count < 60 ? count : 60), word);
	return unknown(p->spec, name);
}

static int take_letters(struct parse *p, const char *word)
{
	for (; *word; word++) {
		if (*word == 'h') {
			print_help(p->spec, stdout);
			return CMD_OK;
		}
		const struct cmd_opt *opt = find_letter(p->spec, *word);
		if (!opt)
			return cmd_usage(p->spec->command, "unknown option '-%c'", *word);
		if (opt->kind != CMD_OPT_FLAG)
			return take(p, opt, word[1] ? word + 1 : NULL);
		int code = take(p, opt, NULL);
		if (code >= 0)
			return code;
	}
	return -1;
}

static int check_counts(const struct parse *p)
{
	const struct cmd_spec *spec = p->spec;
	const struct cmd_args *args = p->out;
	if (args->count < spec->least)
		return cmd_usage(spec->command, "%s is missing", spec->operands);
	if (args->count > spec->most && p->loose)
		return cmd_usage(spec->command, "'%s' is taken as an operand: write --%s=%s", p->loose,
				 p->loose_after->name, p->loose);
	if (args->count > spec->most)
		return cmd_usage(spec->command, "'%s' is one operand too many", args->v[spec->most]);
	if (args->rest_count && !spec->rest)
		return cmd_usage(spec->command, "nothing may follow '--'");
	return -1;
}

static void take_operand(struct parse *p, const char *word)
{
	const char *before = p->argv[p->at - 1];
	const struct cmd_opt *opt =
		p->at > 1 && strncmp(before, "--", 2) == 0 ? find_long(p->spec, before + 2, strlen(before + 2)) : NULL;
	if (!p->loose && opt && opt->kind == CMD_OPT_OPTIONAL) {
		p->loose = word;
		p->loose_after = opt;
	}
	p->out->v[p->out->count++] = word;
}

static int parse(struct parse *p)
{
	for (p->at = 1; p->at < p->argc; p->at++) {
		const char *word = p->argv[p->at];
		int code = -1;
		if (strcmp(word, "--") == 0) {
			p->out->rest = p->argv + p->at + 1;
			p->out->rest_count = (size_t)(p->argc - p->at - 1);
			break;
		}
		if (strncmp(word, "--", 2) == 0)
			code = take_long(p, word + 2);
		else if (word[0] == '-' && word[1] != '\0')
			code = take_letters(p, word + 1);
		else
			take_operand(p, word);
		if (code >= 0)
			return code;
	}
	return check_counts(p);
}

int cmd_parse(const struct cmd_spec *spec, int argc, char **argv, struct cmd_args *out)
{
	*out = (struct cmd_args){ .spec = spec, .v = calloc((size_t)argc + 1, sizeof(*out->v)) };
	if (!out->v)
		return cmd_usage(spec->command, "out of memory");
	struct parse p = { .spec = spec, .out = out, .argv = argv, .argc = argc };
	int code = parse(&p);
	if (code >= 0)
		cmd_args_free(out);
	return code;
}

void cmd_args_free(struct cmd_args *args)
{
	for (size_t i = 0; args->spec && i < args->spec->opt_count; i++) {
		if (args->spec->opts[i].kind != CMD_OPT_LIST)
			continue;
		struct cmd_list *list = args->spec->opts[i].out;
		free(list->v);
		*list = (struct cmd_list){ 0 };
	}
	free(args->v);
	*args = (struct cmd_args){ 0 };
}
