/* command: the command table, the single truth about what Basin answers.
 *
 * Each family file in src/commands/ ends with its rows; command.c knows the families and builds one
 * hash table of names (case-insensitive) at start. COMMAND and COMMAND DOCS answer from it, the
 * planner reads its key specs, COMMANDS.md is checked against it.
 * Thread: constant after command_table_init.
 */
#ifndef BASIN_SRC_DISPATCH_COMMAND_H
#define BASIN_SRC_DISPATCH_COMMAND_H

#include "engine/base/bytes.h"

struct call;

/* As COMMAND INFO names them. */
enum command_flag {
    CMD_WRITE = 1 << 0,
    CMD_READONLY = 1 << 1,
    CMD_DENYOOM = 1 << 2,
    CMD_ADMIN = 1 << 3,
    CMD_PUBSUB = 1 << 4,
    CMD_NOSCRIPT = 1 << 5,
    CMD_BLOCKING = 1 << 6,
    CMD_LOADING = 1 << 7,
    CMD_STALE = 1 << 8,
    CMD_SKIP_MONITOR = 1 << 9,
    CMD_SKIP_SLOWLOG = 1 << 10,
    CMD_ASKING = 1 << 11,
    CMD_FAST = 1 << 12,
    CMD_NO_AUTH = 1 << 13,
    CMD_MOVABLEKEYS = 1 << 14,
    CMD_NO_MULTI = 1 << 15,
    CMD_ALLOW_BUSY = 1 << 16,
    CMD_NO_ASYNC_LOADING = 1 << 17,
    CMD_MAY_REPLICATE = 1 << 18,
    /* Ours, not shown: the handler needs the whole keyspace locked; it needs no txn at all. */
    CMD_WHOLE = 1 << 24,
};

/* ACL categories, as ACL CAT names them. */
enum command_category {
    CAT_KEYSPACE = 1 << 0,
    CAT_READ = 1 << 1,
    CAT_WRITE = 1 << 2,
    CAT_SET = 1 << 3,
    CAT_SORTEDSET = 1 << 4,
    CAT_LIST = 1 << 5,
    CAT_HASH = 1 << 6,
    CAT_STRING = 1 << 7,
    CAT_BITMAP = 1 << 8,
    CAT_HYPERLOGLOG = 1 << 9,
    CAT_GEO = 1 << 10,
    CAT_STREAM = 1 << 11,
    CAT_PUBSUB = 1 << 12,
    CAT_ADMIN = 1 << 13,
    CAT_FAST = 1 << 14,
    CAT_SLOW = 1 << 15,
    CAT_BLOCKING = 1 << 16,
    CAT_DANGEROUS = 1 << 17,
    CAT_CONNECTION = 1 << 18,
    CAT_TRANSACTION = 1 << 19,
    CAT_SCRIPTING = 1 << 20,
    CAT_CHUNKS = 1 << 21,
};

/* Key spec flags, as Redis 7 names them. */
enum key_flag {
    KEY_RO = 1 << 0,
    KEY_RW = 1 << 1,
    KEY_OW = 1 << 2,
    KEY_RM = 1 << 3,
    KEY_ACCESS = 1 << 4,
    KEY_UPDATE = 1 << 5,
    KEY_INSERT = 1 << 6,
    KEY_DELETE = 1 << 7,
    KEY_NOT_KEY = 1 << 8,
    KEY_INCOMPLETE = 1 << 9,
    KEY_VARIABLE = 1 << 10, /* variable_flags: see command_key_flags */
};

enum key_find {
    KEY_FIND_NONE,
    KEY_FIND_RANGE,
    KEY_FIND_KEYNUM,
    KEY_FIND_UNKNOWN, /* It follows `keyword` among the options of SORT; NULL: nobody can tell. */
};

/* Where keys stand. Begin: at index `begin`, or after the keyword searched from start_from
 * (negative: from the end). Range: up to `last` (relative to begin; negative: from the end), every
 * `step`-th, limit as in Redis. Keynum: the count stands `keynum` after begin, the first key
 * `first` after. */
struct key_spec {
    unsigned flags;
    int begin;
    const char *keyword; /* NULL: begin is an index */
    int start_from;
    enum key_find find;
    int last, step, limit; /* KEY_FIND_RANGE */
    int keynum, first;     /* KEY_FIND_KEYNUM, with step */
};

#define KEY_SPECS_MAX 3

/* One key at index 1; all keys from 1 on; pairs; two keys at 1 and 2. */
#define KEYS_ONE(key_flags)                                                                        \
    {                                                                                              \
        {                                                                                          \
            .flags = (key_flags), .begin = 1, .find = KEY_FIND_RANGE, .last = 0, .step = 1         \
        }                                                                                          \
    }
#define KEYS_REST(key_flags)                                                                       \
    {                                                                                              \
        {                                                                                          \
            .flags = (key_flags), .begin = 1, .find = KEY_FIND_RANGE, .last = -1, .step = 1        \
        }                                                                                          \
    }

/* ST_OK: the reply is written (an error reply included). ST_WAIT: a txn function or call_park
 * said so; what was written of the reply is taken back, and the handler runs again from its start.
 * Any other status of a txn function may be returned as it is; the dispatcher words the error. */
typedef enum status (*command_handler)(struct call *call);

/* Plans the keys in place of the specs, by call_plan_key: those of COPY and MOVE may lie in another
 * database. What it cannot make out it leaves unplanned; the handler will say why. */
typedef enum status (*command_plan)(struct call *call);

/* What the flags of a KEY_VARIABLE spec are for these arguments, all of which are as yet unjudged.
 */
typedef unsigned (*command_key_flags)(const struct bytes *argv, size_t argc);

struct command {
    const char *name; /* Lower case; of a subcommand its own word ("get" of CONFIG GET). */
    command_handler handler;
    int arity; /* With the name; negative: at least that many. Subcommands count the container. */
    unsigned flags, categories;
    struct key_spec keys[KEY_SPECS_MAX];
    const char *group, *since, *complexity, *summary;
    const char *arguments; /* Syntax in one line, for COMMANDS.md and DOCS; own words. */
    const struct command *subcommands; /* Ends with a NULL name. */
    const char *const *tips;           /* Ends with NULL; may be NULL. */
    command_plan plan;                 /* NULL: by the specs. */
    command_key_flags key_flags;       /* With KEY_VARIABLE. */
    /* Set by command_table_init: */
    struct command_stats *stats;  /* One for each worker and what RESETSTAT hides, see stats.h. */
    const struct command *parent; /* Of a subcommand its container. */
    const char *full_name;        /* "config|get"; the name itself where there is no parent. */
    bool one_key;                 /* Exactly one key, at the index keys[0].begin. */
};

/* Fills the table from all families; once a process, later calls do nothing. Aborts on a malformed
 * row: that is our own mistake. */
void command_table_init(void);

/* NULL: unknown. subcommand lookup is done by the dispatcher through command_find_sub. */
const struct command *command_find(struct bytes name);
const struct command *command_find_sub(const struct command *container, struct bytes name);
size_t command_count(void);
const struct command *command_at(size_t index); /* 0 … count - 1, ordered by name. */

/* Finds the keys of a request by the specs. Gives argument indexes in order into indexes (room for
 * argc). ST_INVALID: the numbers in the request make no sense (numkeys). */
struct command_key {
    size_t index;
    unsigned flags;
};
enum status command_keys(const struct command *command, const struct bytes *argv, size_t argc,
                         struct command_key *keys_out, size_t *count_out);

/* Whether argc fits the arity. */
static inline bool command_arity_fits(const struct command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity : argc >= (size_t)-command->arity;
}

/* Names of the bits that COMMAND INFO shows, in its order; NULL: no such bit, or one of ours. */
const char *command_flag_name(unsigned bit);
const char *command_category_name(unsigned bit); /* Without "@". */
const char *key_flag_name(unsigned bit);

#endif
