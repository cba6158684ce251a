/* The table is built once: rows of all families are copied into one array ordered by name, their
 * subcommands into arrays of their own, and a hash of the lower-cased name leads to a row. Copies,
 * because rows in the families are constant and gain pointers here. */
#include "src/dispatch/command.h"

#include "engine/base/check.h"
#include "src/config/config.h"
#include "src/dispatch/families.h"
#include "src/stats/stats.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* Twice the names or more, so that a probe or two find any. */
#define SLOT_COUNT 1024
#define NAME_MAX_SIZE 32

static const struct command *const families[] = {
    connection_commands,    clients_commands, durability_commands,  administration_commands,
    introspection_commands, strings_commands, lists_commands,       bitmaps_commands,
    hyperloglog_commands,   keys_commands,    collections_commands, hashes_commands,
    sets_commands,          sort_commands,    sorted_sets_commands, geo_commands,
    streams_commands,       dump_commands,    storage_commands,
};

static struct command *table;
static size_t table_count;
static uint16_t slots[SLOT_COUNT]; /* Index in the table + 1; 0: free. */
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static uint32_t name_hash(const unsigned char *name, size_t size)
{
    uint32_t hash = (uint32_t)size;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ (name[i] | 0x20u)) * 0x9e3779b1u;
        hash ^= hash >> 15;
    }
    return hash % SLOT_COUNT;
}

/* Whether bytes from outside are this lower-case name in any case. */
static bool name_equal(const char *name, const unsigned char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = text[i];
        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;
        }
        if ((unsigned char)name[i] != c) { /* A shorter name differs at its NUL. */
            return false;
        }
    }
    return name[size] == '\0';
}

/* ------------------------------------------------------------------------------------------
 * Building.
 */

static size_t rows_count(const struct command *rows)
{
    size_t count = 0;
    while (rows[count].name != NULL) {
        count++;
    }
    return count;
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    CHECK(memory != NULL);
    return memory;
}

static bool name_is_fine(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < size; i++) {
        if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) &&
            name[i] != '-' && name[i] != '.' && name[i] != '_') {
            return false;
        }
    }
    return size > 0 && size <= NAME_MAX_SIZE;
}

static void row_check(const struct command *row)
{
    CHECK(name_is_fine(row->name));
    CHECK(row->handler != NULL || row->subcommands != NULL);
    CHECK(row->arity != 0);
    CHECK(row->group != NULL && row->since != NULL && row->summary != NULL);
    CHECK(row->complexity != NULL || row->subcommands != NULL);
    CHECK((row->flags & CMD_WRITE) == 0 || (row->flags & CMD_READONLY) == 0);
    for (size_t i = 0; i < KEY_SPECS_MAX; i++) {
        const struct key_spec *spec = &row->keys[i];
        bool somewhere = spec->find == KEY_FIND_RANGE || spec->find == KEY_FIND_KEYNUM;
        CHECK(!somewhere || spec->keyword != NULL || spec->begin > 0);
        CHECK(!somewhere || spec->step > 0);
        CHECK((spec->flags & KEY_VARIABLE) == 0 || row->key_flags != NULL);
        CHECK(i == 0 || spec->find == KEY_FIND_NONE || row->keys[i - 1].find != KEY_FIND_NONE);
    }
}

static bool has_one_key(const struct command *row)
{
    const struct key_spec *spec = &row->keys[0];
    return row->plan == NULL && spec->find == KEY_FIND_RANGE && spec->keyword == NULL &&
           spec->last == 0 && (spec->flags & KEY_NOT_KEY) == 0 &&
           row->keys[1].find == KEY_FIND_NONE &&
           spec->begin < (row->arity < 0 ? -row->arity : row->arity);
}

/* Fills in what command.h says is set at start. */
static void row_finish(struct command *row, const struct command *parent)
{
    row_check(row);
    row->parent = parent;
    row->full_name = row->name;
    if (parent != NULL) {
        size_t size = strlen(parent->name) + strlen(row->name) + 2;
        char *name = allocate(size, 1);
        snprintf(name, size, "%s|%s", parent->name, row->name);
        row->full_name = name;
    }
    row->one_key = has_one_key(row);
    /* One more for CONFIG RESETSTAT. Most of it is never touched and costs address space only. */
    row->stats = allocate(CONFIG_WORKERS_MAX + 1, sizeof(*row->stats));
}

static int row_order(const void *a, const void *b)
{
    return strcmp(((const struct command *)a)->name, ((const struct command *)b)->name);
}

static struct command *rows_copy(const struct command *rows, size_t count)
{
    struct command *copy = allocate(count + 1, sizeof(*copy));
    memcpy(copy, rows, count * sizeof(*copy));
    qsort(copy, count, sizeof(*copy), row_order);
    return copy;
}

static void slot_enter(size_t index)
{
    const char *name = table[index].name;
    uint32_t slot = name_hash((const unsigned char *)name, strlen(name));
    while (slots[slot] != 0) {
        CHECK(strcmp(table[slots[slot] - 1].name, name) != 0);
        slot = (slot + 1) % SLOT_COUNT;
    }
    slots[slot] = (uint16_t)(index + 1);
}

static void table_build(void)
{
    const size_t family_count = sizeof(families) / sizeof(families[0]);
    for (size_t i = 0; i < family_count; i++) {
        table_count += rows_count(families[i]);
    }
    CHECK(table_count * 2 <= SLOT_COUNT);
    table = allocate(table_count + 1, sizeof(*table));
    size_t used = 0;
    for (size_t i = 0; i < family_count; i++) {
        size_t count = rows_count(families[i]);
        memcpy(table + used, families[i], count * sizeof(*table));
        used += count;
    }
    qsort(table, table_count, sizeof(*table), row_order);
    for (size_t i = 0; i < table_count; i++) {
        row_finish(&table[i], NULL);
        slot_enter(i);
        if (table[i].subcommands != NULL) {
            size_t count = rows_count(table[i].subcommands);
            struct command *copies = rows_copy(table[i].subcommands, count);
            for (size_t j = 0; j < count; j++) {
                row_finish(&copies[j], &table[i]);
            }
            table[i].subcommands = copies;
        }
    }
}

void command_table_init(void)
{
    pthread_once(&table_once, table_build);
}

/* ------------------------------------------------------------------------------------------
 * Looking up.
 */

const struct command *command_find(struct bytes name)
{
    if (name.size > NAME_MAX_SIZE || name.size == 0) {
        return NULL;
    }
    uint32_t slot = name_hash(name.data, name.size);
    while (slots[slot] != 0) {
        const struct command *row = &table[slots[slot] - 1];
        if (name_equal(row->name, name.data, name.size)) {
            return row;
        }
        slot = (slot + 1) % SLOT_COUNT;
    }
    return NULL;
}

const struct command *command_find_sub(const struct command *container, struct bytes name)
{
    if (container->subcommands == NULL || name.size > NAME_MAX_SIZE) {
        return NULL;
    }
    for (const struct command *row = container->subcommands; row->name != NULL; row++) {
        if (name_equal(row->name, name.data, name.size)) {
            return row;
        }
    }
    return NULL;
}

size_t command_count(void)
{
    return table_count;
}

const struct command *command_at(size_t index)
{
    CHECK(index < table_count);
    return &table[index];
}

/* ------------------------------------------------------------------------------------------
 * Finding keys.
 */

static bool is_word(struct bytes argument, const char *word)
{
    return argument.size == strlen(word) && strncasecmp(argument.data, word, argument.size) == 0;
}

/* The index where a spec's keys begin; 0: the keyword is not there. */
static size_t spec_begin(const struct key_spec *spec, const struct bytes *argv, size_t argc)
{
    if (spec->keyword == NULL) {
        return (size_t)spec->begin;
    }
    if (spec->start_from >= 0) {
        for (size_t i = (size_t)spec->start_from; i + 1 < argc; i++) {
            if (is_word(argv[i], spec->keyword)) {
                return i + 1;
            }
        }
        return 0;
    }
    size_t back = (size_t)-spec->start_from;
    for (size_t i = argc > back ? argc - back : 0; i > 0; i--) {
        if (i + 1 < argc && is_word(argv[i], spec->keyword)) {
            return i + 1;
        }
    }
    return 0;
}

/* First and last index of a spec's keys. */
static enum status spec_range(const struct key_spec *spec, const struct bytes *argv, size_t argc,
                              size_t begin, size_t *first_out, size_t *last_out)
{
    if (spec->find == KEY_FIND_KEYNUM) {
        size_t at = begin + (size_t)spec->keynum;
        int64_t number;
        if (at >= argc || !bytes_to_int64(argv[at], &number) || number <= 0 ||
            number > (int64_t)argc) {
            return ST_INVALID;
        }
        *first_out = begin + (size_t)spec->first;
        *last_out = *first_out + (size_t)(number - 1) * (size_t)spec->step;
        return ST_OK;
    }
    *first_out = begin;
    if (spec->last >= 0) {
        *last_out = begin + (size_t)spec->last;
        return ST_OK;
    }
    size_t end = argc;
    if (spec->limit > 1) {
        if (begin > argc) {
            return ST_INVALID;
        }
        end = begin + (argc - begin) / (size_t)spec->limit;
    }
    size_t back = (size_t)-spec->last;
    if (end < back) {
        return ST_INVALID;
    }
    *last_out = end - back;
    return ST_OK;
}

/* The index of the key behind the last such keyword among SORT's options; 0: it is not there. */
static size_t option_key(const char *keyword, const struct bytes *argv, size_t argc)
{
    size_t found = 0;
    for (size_t i = 2; i < argc; i++) {
        if (is_word(argv[i], "limit")) {
            i += 2;
        } else if (is_word(argv[i], "by") || is_word(argv[i], "get")) {
            i++;
        } else if (is_word(argv[i], keyword) && i + 1 < argc) {
            found = i + 1;
        }
    }
    return found;
}

enum status command_keys(const struct command *command, const struct bytes *argv, size_t argc,
                         struct command_key *keys_out, size_t *count_out)
{
    size_t count = 0;
    for (size_t i = 0; i < KEY_SPECS_MAX && command->keys[i].find != KEY_FIND_NONE; i++) {
        const struct key_spec *spec = &command->keys[i];
        if ((spec->flags & KEY_NOT_KEY) != 0) {
            continue;
        }
        if (spec->find == KEY_FIND_UNKNOWN) {
            size_t at = spec->keyword != NULL ? option_key(spec->keyword, argv, argc) : 0;
            if (at > 0 && count < argc) {
                keys_out[count++] = (struct command_key){.index = at, .flags = spec->flags};
            }
            continue;
        }
        size_t begin = spec_begin(spec, argv, argc);
        if (begin == 0) {
            continue;
        }
        size_t first;
        size_t last;
        enum status status = spec_range(spec, argv, argc, begin, &first, &last);
        if (status != ST_OK) {
            return status;
        }
        if (first >= argc || last >= argc) {
            return ST_INVALID;
        }
        unsigned flags =
            (spec->flags & KEY_VARIABLE) == 0 ? spec->flags : command->key_flags(argv, argc);
        for (size_t at = first; at <= last; at += (size_t)spec->step) {
            if (count == argc) { /* Specs that overlap would be a mistake of a row. */
                return ST_INVALID;
            }
            keys_out[count++] = (struct command_key){.index = at, .flags = flags};
        }
    }
    *count_out = count;
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Names of bits.
 */

static const char *bit_name(const char *const *names, size_t count, unsigned bit)
{
    for (size_t i = 0; i < count; i++) {
        if (bit == 1u << i) {
            return names[i];
        }
    }
    return NULL;
}

const char *command_flag_name(unsigned bit)
{
    static const char *const names[] = {
        "write",      "readonly",         "denyoom",       "admin",
        "pubsub",     "noscript",         "blocking",      "loading",
        "stale",      "skip_monitor",     "skip_slowlog",  "asking",
        "fast",       "no_auth",          "movablekeys",   "no_multi",
        "allow_busy", "no_async_loading", "may_replicate",
    };
    return bit_name(names, sizeof(names) / sizeof(names[0]), bit);
}

const char *command_category_name(unsigned bit)
{
    static const char *const names[] = {
        "keyspace",   "read",        "write",     "set",         "sortedset", "list",
        "hash",       "string",      "bitmap",    "hyperloglog", "geo",       "stream",
        "pubsub",     "admin",       "fast",      "slow",        "blocking",  "dangerous",
        "connection", "transaction", "scripting", "chunks",
    };
    return bit_name(names, sizeof(names) / sizeof(names[0]), bit);
}

const char *key_flag_name(unsigned bit)
{
    static const char *const names[] = {
        "RO",     "RW",     "OW",      "RM",         "access",         "update",
        "insert", "delete", "not_key", "incomplete", "variable_flags",
    };
    return bit_name(names, sizeof(names) / sizeof(names[0]), bit);
}
