/* call: one request on its way: gate → plan → reserve → lock → handler → end.
 *
 *     call_start ─┬→ CALL_DONE: reply written, gate it by wait_lsn
 *                 └→ CALL_WAIT: … ready is called from any thread … call_resume → DONE or WAIT …
 *
 * gate: is the command known, its arity right, the client authenticated, memory left (or made, by
 * evicting keys)? plan: the keys of its specs, in order, become txn keys 0, 1, … Handlers of
 * CMD_WHOLE commands have the whole keyspace locked. Write commands have log reserved for the
 * request's bytes and a little for each key; handlers whose effects carry more (content of other
 * keys) call txn_reserve first.
 * A client has one call at a time; its arguments stay where they are until CALL_DONE.
 * Thread: the client's worker.
 */
#ifndef BASIN_SRC_DISPATCH_CALL_H
#define BASIN_SRC_DISPATCH_CALL_H

#include "src/dispatch/client.h"
#include "src/dispatch/command.h"

enum call_result { CALL_DONE, CALL_WAIT };

struct call {
    struct client *client;
    struct server *server;
    struct txn *txn;
    struct resp_out *out;          /* &client->out */
    struct arena *arena;           /* &client->arena; reset when the call is done */
    const struct command *command; /* The subcommand where there is one. */
    const struct bytes *argv;
    size_t argc;
    uint64_t now_ms;        /* Drawn once, kept over retries. */
    unsigned database;      /* The client's, when the call began. */
    size_t key_count;       /* Keys planned from the specs: txn keys 0 … key_count - 1. */
    uint64_t reply_start;   /* Position in out where this reply begins. */
    uint64_t key_size;      /* Bytes of those keys. */
    uint64_t started_ns;    /* Of this run; monotonic. */
    uint64_t busy_ns;       /* Of the runs before. */
    uint64_t errors_before; /* out->errors at the start. */
    uint64_t wait_lsn;      /* CALL_DONE: the reply leaves once basin_durable() ≥ this. */
    bool no_reply;          /* The handler wants none (CLIENT REPLY OFF). */
    bool rejected;          /* By the gate. */
    bool begun;             /* It has a txn. */
    unsigned retries;
    uint64_t awaited; /* The handler's own, from one run to the next. */
    /* call_park: */
    bool parked;
    uint64_t park_lsn;      /* Woken once basin_synced() ≥ this … */
    uint64_t park_until_ms; /* … or at this time; 0: no end. */
    bool park_over; /* Set by the worker when it resumes a parked call whose wait has ended. */
};

/* Runs a request of at least one argument for the client. The arguments and `call` stay valid until
 * CALL_DONE. client->txn is a fresh txn of the worker; after CALL_DONE it can serve another. */
enum call_result call_start(struct call *call, struct client *client, const struct bytes *argv,
                            size_t argc);
enum call_result call_resume(struct call *call);
/* The connection has gone while the call waits. */
void call_cancel(struct call *call);

/* From a handler that has changed nothing: park until the log is synced to lsn, or until_ms; then
 * return ST_WAIT. The handler runs again with park_over. lsn UINT64_MAX: time only. */
void call_park(struct call *call, uint64_t lsn, uint64_t until_ms);

/* For command_plan: the next txn key. */
enum status call_plan_key(struct call *call, unsigned database, struct bytes key);

/* Words an engine status as Redis would. */
void call_reply_status(struct call *call, enum status status);

/* -- Small things that handlers share: src/dispatch/arguments.c ------------------------------ */

bool argument_is(struct bytes argument, const char *word); /* Case-insensitive. */
/* How much of an argument an error repeats where Redis repeats all of it. */
#define ERROR_WORD_MAX (1 << 20)
/* One word of visible ASCII, as names in CLIENT LIST must be; nothing is fine too. */
bool argument_is_visible(struct bytes argument);
/* Timeouts as blocking commands take them, in milliseconds: a whole number, 0 for no end. Gives the
 * Unix time of the end, 0: none. False: the error is written. */
bool argument_timeout_ms(struct call *call, struct bytes argument, uint64_t *until_ms_out);
/* Replies "ERR value is not an integer or out of range" and gives false otherwise. */
bool argument_int64(struct call *call, struct bytes argument, int64_t *value_out);
/* The same, with bounds and its own error text ("ERR value is out of range, must be positive"). */
bool argument_int64_range(struct call *call, struct bytes argument, int64_t min, int64_t max,
                          const char *error, int64_t *value_out);
/* A cursor of SCAN and its like: unsigned decimal. Replies "ERR invalid cursor" and gives false
 * otherwise. */
bool argument_cursor(struct call *call, struct bytes argument, uint64_t *cursor_out);
/* MATCH and COUNT, as they follow the cursor of SSCAN, HSCAN and ZSCAN. */
struct scan_options {
    struct bytes pattern;
    bool everything; /* The pattern matches all. */
    uint64_t count;
};
/* Reads them from argv[first] on. False: the error is written. */
bool argument_scan_options(struct call *call, size_t first, struct scan_options *options_out);
/* long double text as Redis reads it: no spaces, no nan; false with "ERR value is not a valid
 * float". */
bool argument_long_double(struct call *call, struct bytes argument, long double *value_out);
/* The same without a call, and without a word. */
bool long_double_parse(struct bytes text, long double *value_out);
/* A double as Redis reads it: no spaces, no nan, no overflow. */
bool double_parse(struct bytes text, double *value_out);
/* numkeys key … FIRST | SECOND [COUNT count], as LMPOP and ZMPOP have it; *second_out: which of the
 * two words. False: the error is written; otherwise the keys are planned. */
bool argument_pop_options(struct call *call, const char *first, const char *second,
                          bool *second_out, int64_t *count_out);
/* Longer text is no number to Redis. */
#define LONG_DOUBLE_TEXT_MAX (5 * 1024)
/* Writes without an exponent, without needless zeros; gives the length, 0 if there is no room. */
size_t long_double_text(long double number, char *text, size_t capacity);
void reply_ok(struct call *call);
void reply_syntax_error(struct call *call);
void reply_wrong_type(struct call *call);
/* HELP of a container: its name, then lines (ending with NULL) of subcommands and what they do. */
void reply_help(struct call *call, const char *const *lines);
/* A bulk reply of a whole piece: by reference to its part when large, else copied. */
void reply_piece(struct call *call, struct value_piece piece);
/* A reply may hold no more memory than this when its size is only the client's word: members by
 * chance that come again and again. Beyond it ST_LIMIT. */
#define REPLY_DRAWN_MAX (1u << 29)
static inline enum status reply_drawn_check(const struct call *call)
{
    return call->out->memory > REPLY_DRAWN_MAX ? ST_LIMIT : ST_OK;
}
/* A whole string value as one bulk reply. */
enum status reply_text(struct call *call, const struct value *value);

#endif
