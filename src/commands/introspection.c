/* What the server knows of its commands and of the memory of keys: COMMAND and MEMORY. All answers
 * of COMMAND come from the command table. */
#include "engine/base/glob.h"
#include "src/dispatch/call.h"
#include "src/dispatch/syntax.h"
#include "src/server.h"

#include <stdio.h>

/* Flags, categories and key flags all fit 25 bits. */
#define BITS_MAX 25

static unsigned subcommand_count(const struct command *command)
{
    unsigned count = 0;
    while (command->subcommands != NULL && command->subcommands[count].name != NULL) {
        count++;
    }
    return count;
}

/* A command by its name, or "container|subcommand". */
static const struct command *find_by_full_name(struct bytes name)
{
    const char *bar = name.size == 0 ? NULL : memchr(name.data, '|', name.size);
    if (bar == NULL) {
        return command_find(name);
    }
    size_t size = (size_t)(bar - (const char *)name.data);
    const struct command *container = command_find(bytes_of(name.data, size));
    return container == NULL ? NULL
                             : command_find_sub(container, bytes_slice(name, size + 1, name.size));
}

/* ------------------------------------------------------------------------------------------
 * COMMAND, COMMAND INFO.
 */

/* A set of the names of bits, as simple strings. */
static void reply_bits(struct resp_out *out, unsigned bits, const char *(*name_of)(unsigned bit),
                       const char *prefix)
{
    unsigned count = 0;
    for (unsigned i = 0; i < BITS_MAX; i++) {
        count += (bits & 1u << i) != 0 && name_of(1u << i) != NULL;
    }
    resp_set(out, count);
    for (unsigned i = 0; i < BITS_MAX; i++) {
        const char *name = name_of(1u << i);
        if ((bits & 1u << i) != 0 && name != NULL) {
            char text[48];
            snprintf(text, sizeof(text), "%s%s", prefix, name);
            resp_simple(out, text);
        }
    }
}

/* First, last, step as before key specs: what ranges from fixed places on cover together. */
static void legacy_range(const struct command *command, int *first, int *last, int *step)
{
    *first = *last = *step = 0;
    for (size_t i = 0; i < KEY_SPECS_MAX && command->keys[i].find != KEY_FIND_NONE; i++) {
        const struct key_spec *spec = &command->keys[i];
        if (spec->find != KEY_FIND_RANGE || spec->keyword != NULL) {
            continue;
        }
        int spec_last = spec->last >= 0 ? spec->begin + spec->last : spec->last;
        if (*first == 0) {
            *first = spec->begin;
            *last = spec_last;
            *step = spec->step;
        } else if (*step == 1 && spec->step == 1 && spec->begin == *last + 1) {
            *last = spec_last;
        }
    }
}

static void reply_unknown(struct resp_out *out, const char *name)
{
    resp_bulk_text(out, name);
    resp_map(out, 2);
    resp_bulk_text(out, "type");
    resp_bulk_text(out, "unknown");
    resp_bulk_text(out, "spec");
    resp_map(out, 0);
}

static void reply_key_spec(struct resp_out *out, const struct key_spec *spec)
{
    resp_map(out, 3);
    resp_bulk_text(out, "flags");
    reply_bits(out, spec->flags, key_flag_name, "");
    if (spec->find == KEY_FIND_UNKNOWN) {
        reply_unknown(out, "begin_search");
        reply_unknown(out, "find_keys");
        return;
    }
    resp_bulk_text(out, "begin_search");
    resp_map(out, 2);
    resp_bulk_text(out, "type");
    resp_bulk_text(out, spec->keyword == NULL ? "index" : "keyword");
    resp_bulk_text(out, "spec");
    if (spec->keyword == NULL) {
        resp_map(out, 1);
        resp_bulk_text(out, "index");
        resp_integer(out, spec->begin);
    } else {
        resp_map(out, 2);
        resp_bulk_text(out, "keyword");
        resp_bulk_text(out, spec->keyword);
        resp_bulk_text(out, "startfrom");
        resp_integer(out, spec->start_from);
    }
    bool range = spec->find == KEY_FIND_RANGE;
    resp_bulk_text(out, "find_keys");
    resp_map(out, 2);
    resp_bulk_text(out, "type");
    resp_bulk_text(out, range ? "range" : "keynum");
    resp_bulk_text(out, "spec");
    resp_map(out, 3);
    resp_bulk_text(out, range ? "lastkey" : "keynumidx");
    resp_integer(out, range ? spec->last : spec->keynum);
    resp_bulk_text(out, range ? "keystep" : "firstkey");
    resp_integer(out, range ? spec->step : spec->first);
    resp_bulk_text(out, range ? "limit" : "keystep");
    resp_integer(out, range ? spec->limit : spec->step);
}

static void reply_command(struct resp_out *out, const struct command *command)
{
    int first;
    int last;
    int step;
    legacy_range(command, &first, &last, &step);
    resp_array(out, 10);
    resp_bulk_text(out, command->full_name);
    resp_integer(out, command->arity);
    reply_bits(out, command->flags, command_flag_name, "");
    resp_integer(out, first);
    resp_integer(out, last);
    resp_integer(out, step);
    reply_bits(out, command->categories, command_category_name, "@");
    unsigned count = 0;
    while (command->tips != NULL && command->tips[count] != NULL) {
        count++;
    }
    resp_set(out, count);
    for (unsigned i = 0; i < count; i++) {
        resp_bulk_text(out, command->tips[i]);
    }
    count = 0;
    while (count < KEY_SPECS_MAX && command->keys[count].find != KEY_FIND_NONE) {
        count++;
    }
    resp_set(out, count);
    for (unsigned i = 0; i < count; i++) {
        reply_key_spec(out, &command->keys[i]);
    }
    count = subcommand_count(command);
    if (count == 0) {
        resp_set(out, 0); /* As Redis, which answers an array only where there are some. */
        return;
    }
    resp_array(out, count);
    for (unsigned i = 0; i < count; i++) {
        reply_command(out, &command->subcommands[i]);
    }
}

static void reply_all(struct call *call)
{
    resp_array(call->out, command_count());
    for (size_t i = 0; i < command_count(); i++) {
        reply_command(call->out, command_at(i));
    }
}

static enum status command_command(struct call *call)
{
    reply_all(call);
    return ST_OK;
}

static enum status command_info(struct call *call)
{
    if (call->argc == 2) {
        reply_all(call);
        return ST_OK;
    }
    resp_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++) {
        const struct command *command = find_by_full_name(call->argv[i]);
        if (command == NULL) {
            resp_null(call->out);
        } else {
            reply_command(call->out, command);
        }
    }
    return ST_OK;
}

static enum status command_count_command(struct call *call)
{
    resp_integer(call->out, (int64_t)command_count());
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * COMMAND DOCS.
 */

static void reply_docs_pair(struct resp_out *out, const char *name, const char *text)
{
    resp_bulk_text(out, name);
    resp_bulk_text(out, text);
}

static void reply_docs(struct resp_out *out, const struct command *command)
{
    unsigned count = subcommand_count(command);
    bool has_complexity = command->complexity != NULL;
    bool has_arguments = command->arguments != NULL;
    resp_bulk_text(out, command->full_name);
    resp_map(out, 3 + (has_complexity ? 1 : 0) + (has_arguments ? 1 : 0) + (count > 0 ? 1 : 0));
    reply_docs_pair(out, "summary", command->summary);
    reply_docs_pair(out, "since", command->since);
    reply_docs_pair(out, "group", command->group);
    if (has_complexity) {
        reply_docs_pair(out, "complexity", command->complexity);
    }
    if (has_arguments) {
        resp_bulk_text(out, "arguments");
        syntax_reply(out, command->arguments);
    }
    if (count > 0) {
        resp_bulk_text(out, "subcommands");
        resp_map(out, count);
        for (unsigned i = 0; i < count; i++) {
            reply_docs(out, &command->subcommands[i]);
        }
    }
}

static enum status command_docs(struct call *call)
{
    if (call->argc == 2) {
        resp_map(call->out, command_count());
        for (size_t i = 0; i < command_count(); i++) {
            reply_docs(call->out, command_at(i));
        }
        return ST_OK;
    }
    unsigned known = 0;
    for (size_t i = 2; i < call->argc; i++) {
        known += find_by_full_name(call->argv[i]) != NULL;
    }
    resp_map(call->out, known);
    for (size_t i = 2; i < call->argc; i++) {
        const struct command *command = find_by_full_name(call->argv[i]);
        if (command != NULL) {
            reply_docs(call->out, command);
        }
    }
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * COMMAND LIST.
 */

struct filter {
    bool module;                 /* No command comes from a module. */
    unsigned category;           /* 0: any */
    const struct bytes *pattern; /* NULL: any */
};

static bool passes(const struct filter *filter, const struct command *command)
{
    if (filter->module) {
        return false;
    }
    if (filter->pattern != NULL &&
        !glob_match(*filter->pattern, bytes_of_text(command->full_name), true)) {
        return false;
    }
    return filter->category == 0 || (command->categories & filter->category) != 0;
}

/* Replies with the names, or counts them where out is NULL. */
static uint64_t list_names(struct resp_out *out, const struct filter *filter)
{
    uint64_t count = 0;
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *command = command_at(i);
        unsigned subcommands = subcommand_count(command);
        for (unsigned j = 0; j <= subcommands; j++) {
            const struct command *row = j == 0 ? command : &command->subcommands[j - 1];
            if (passes(filter, row)) {
                count++;
                if (out != NULL) {
                    resp_bulk_text(out, row->full_name);
                }
            }
        }
    }
    return count;
}

static unsigned category_of(struct bytes name)
{
    for (unsigned i = 0; i < BITS_MAX; i++) {
        const char *known = command_category_name(1u << i);
        if (known != NULL && argument_is(name, known)) {
            return 1u << i;
        }
    }
    return 0;
}

static enum status command_list(struct call *call)
{
    struct filter filter = {0};
    if (call->argc != 2) {
        if (call->argc != 5 || !argument_is(call->argv[2], "filterby")) {
            reply_syntax_error(call);
            return ST_OK;
        }
        if (argument_is(call->argv[3], "module")) {
            filter.module = true;
        } else if (argument_is(call->argv[3], "aclcat")) {
            filter.category = category_of(call->argv[4]);
            filter.module = filter.category == 0; /* No command is of an unknown category. */
        } else if (argument_is(call->argv[3], "pattern")) {
            filter.pattern = &call->argv[4];
        } else {
            reply_syntax_error(call);
            return ST_OK;
        }
    }
    resp_array(call->out, list_names(NULL, &filter));
    list_names(call->out, &filter);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * COMMAND GETKEYS, GETKEYSANDFLAGS.
 */

/* Finds the keys of the request that follows. keys_out NULL: the error is written. */
static enum status find_keys(struct call *call, struct command_key **keys_out, size_t *count_out)
{
    const struct bytes *argv = call->argv + 2;
    size_t argc = call->argc - 2;
    *keys_out = NULL;
    const struct command *command = command_find(argv[0]);
    if (command != NULL && command->subcommands != NULL && argc > 1) {
        command = command_find_sub(command, argv[1]);
    }
    if (command == NULL) {
        resp_error(call->out, "ERR Invalid command specified");
        return ST_OK;
    }
    if (command->keys[0].find == KEY_FIND_NONE) {
        resp_error(call->out, "ERR The command has no key arguments");
        return ST_OK;
    }
    if (!command_arity_fits(command, argc)) {
        resp_error(call->out, "ERR Invalid number of arguments specified for command");
        return ST_OK;
    }
    struct command_key *keys = arena_alloc(call->arena, argc * sizeof(*keys));
    if (keys == NULL) {
        return ST_NOMEM;
    }
    /* Without the word that keys stand behind, the request makes no sense. */
    if (command_keys(command, argv, argc, keys, count_out) != ST_OK ||
        (*count_out == 0 && command->keys[0].keyword != NULL)) {
        resp_error(call->out, "ERR Invalid arguments specified for command");
        return ST_OK;
    }
    *keys_out = keys;
    return ST_OK;
}

static enum status command_getkeys(struct call *call)
{
    struct command_key *keys;
    size_t count;
    enum status status = find_keys(call, &keys, &count);
    if (status != ST_OK || keys == NULL) {
        return status;
    }
    resp_array(call->out, count);
    for (size_t i = 0; i < count; i++) {
        struct bytes key = call->argv[2 + keys[i].index];
        resp_bulk(call->out, key.data, key.size);
    }
    return ST_OK;
}

static enum status command_getkeysandflags(struct call *call)
{
    struct command_key *keys;
    size_t count;
    enum status status = find_keys(call, &keys, &count);
    if (status != ST_OK || keys == NULL) {
        return status;
    }
    resp_array(call->out, count);
    for (size_t i = 0; i < count; i++) {
        struct bytes key = call->argv[2 + keys[i].index];
        resp_array(call->out, 2);
        resp_bulk(call->out, key.data, key.size);
        reply_bits(call->out, keys[i].flags, key_flag_name, "");
    }
    return ST_OK;
}

static enum status command_help(struct call *call)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    Tells about all commands.",
        "COUNT",
        "    Tells how many commands there are.",
        "DOCS [<command-name> ...]",
        "    Tells what commands are for.",
        "GETKEYS <full-command>",
        "    Tells which of a request's arguments are keys.",
        "GETKEYSANDFLAGS <full-command>",
        "    The same, and what becomes of each key.",
        "INFO [<command-name> ...]",
        "    Tells arity, flags and key positions of commands.",
        "LIST [FILTERBY (MODULE|ACLCAT|PATTERN) <value>]",
        "    Tells the names of commands.",
        NULL,
    };
    reply_help(call, lines);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * MEMORY.
 */

static enum status memory_usage(struct call *call)
{
    int64_t samples;
    for (size_t i = 3; i < call->argc; i += 2) {
        if (i + 1 == call->argc || !argument_is(call->argv[i], "samples")) {
            reply_syntax_error(call);
            return ST_OK;
        }
        if (!argument_int64(call, call->argv[i + 1], &samples)) {
            return ST_OK;
        }
        if (samples < 0) { /* Otherwise without meaning: the engine knows the exact size. */
            reply_syntax_error(call);
            return ST_OK;
        }
    }
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        resp_null(call->out);
    } else {
        resp_integer(call->out, (int64_t)txn_memory(call->txn, 0));
    }
    return ST_OK;
}

static enum status memory_help(struct call *call)
{
    static const char *const lines[] = {
        "USAGE <key> [SAMPLES <count>]",
        "    Tells how many bytes a key takes with its value; exact, whatever SAMPLES says.",
        NULL,
    };
    reply_help(call, lines);
    return ST_OK;
}

static const char *const unordered[] = {"nondeterministic_output_order", NULL};

#define PLAIN(text, function, count, version)                                                      \
    .name = (text), .handler = (function), .arity = (count), .flags = CMD_LOADING | CMD_STALE,     \
    .categories = CAT_SLOW | CAT_CONNECTION, .group = "server", .since = (version)

static const struct command command_subcommands[] = {
    {PLAIN("count", command_count_command, 2, "2.8.13"), .complexity = "O(1)",
     .summary = "Tells how many commands there are."},
    {PLAIN("docs", command_docs, -2, "7.0.0"), .complexity = "O(N) with N commands asked for",
     .summary = "Tells what commands are for.", .arguments = "[command-name [command-name ...]]",
     .tips = unordered},
    {PLAIN("getkeys", command_getkeys, -3, "2.8.13"), .complexity = "O(N) with N arguments",
     .summary = "Tells which arguments of a request are keys.",
     .arguments = "command [arg [arg ...]]"},
    {PLAIN("getkeysandflags", command_getkeysandflags, -3, "7.0.0"),
     .complexity = "O(N) with N arguments",
     .summary = "Tells which arguments of a request are keys, and what becomes of them.",
     .arguments = "command [arg [arg ...]]"},
    {PLAIN("help", command_help, 2, "5.0.0"), .complexity = "O(1)",
     .summary = "Tells what COMMAND can do."},
    {PLAIN("info", command_info, -2, "2.8.13"), .complexity = "O(N) with N commands asked for",
     .summary = "Tells arity, flags and key positions of commands.",
     .arguments = "[command-name [command-name ...]]", .tips = unordered},
    {PLAIN("list", command_list, -2, "7.0.0"), .complexity = "O(N) with N commands",
     .summary = "Tells the names of commands.",
     .arguments = "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
     .tips = unordered},
    {.name = NULL},
};

static const struct command memory_subcommands[] = {
    {.name = "help",
     .handler = memory_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .categories = CAT_SLOW,
     .group = "server",
     .since = "4.0.0",
     .complexity = "O(1)",
     .summary = "Tells what MEMORY can do."},
    {.name = "usage",
     .handler = memory_usage,
     .arity = -3,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SLOW,
     .keys = {{.flags = KEY_RO, .begin = 2, .find = KEY_FIND_RANGE, .last = 0, .step = 1}},
     .group = "server",
     .since = "4.0.0",
     .complexity = "O(1)",
     .summary = "Tells how many bytes a key takes with its value.",
     .arguments = "key [SAMPLES count]"},
    {.name = NULL},
};

const struct command introspection_commands[] = {
    {PLAIN("command", command_command, -1, "2.8.13"), .complexity = "O(N) with N commands",
     .summary = "Tells about all commands.", .tips = unordered, .subcommands = command_subcommands},
    {.name = "memory",
     .arity = -2,
     .categories = CAT_SLOW,
     .group = "server",
     .since = "4.0.0",
     .complexity = "Depends on the subcommand.",
     .summary = "Holds commands about memory.",
     .subcommands = memory_subcommands},
    {.name = NULL},
};
