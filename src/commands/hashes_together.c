/* What other commands do one after the other, in one: HGETDEL, HGETEX, HSETEX. */
#include "src/commands/hashes_private.h"

/* ------------------------------------------------------------------------------------------
 * HGETDEL.
 */

/* The values of `count` fields from argv[at] on. Where `leaves` is set a field that is named again
 * is found gone. */
static enum status reply_values(struct call *call, const struct value *value, size_t at,
                                size_t count, bool leaves)
{
    const size_t *repeats = leaves ? hashes_repeats(call, call->argv + at, count) : NULL;
    if (leaves && repeats == NULL) {
        return ST_NOMEM;
    }
    enum status status = ST_OK;
    resp_array(call->out, count);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        if (leaves && repeats[i] > 0) {
            resp_null(call->out);
        } else {
            status = hashes_reply_field(call, value, call->argv[at + i]);
        }
    }
    return status;
}

enum status hashes_hgetdel(struct call *call)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value)) {
        return status;
    }
    int64_t count;
    if (!argument_is(call->argv[2], "fields")) {
        resp_error(call->out,
                   "ERR Mandatory argument FIELDS is missing or not at the right position");
        return ST_OK;
    }
    if (!bytes_to_int64(call->argv[3], &count) || count <= 0) {
        resp_error(call->out, "ERR Number of fields must be a positive integer");
        return ST_OK;
    }
    if ((uint64_t)count != call->argc - 4) {
        resp_error(call->out, "ERR The `numfields` parameter must match the number of arguments");
        return ST_OK;
    }
    status = reply_values(call, &value, 4, (size_t)count, true);
    if (status == ST_OK && value.type != VALUE_NONE) {
        status = txn_hash_remove(call->txn, 0, call->argv + 4, (size_t)count, NULL);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Options of HGETEX and HSETEX.
 */

struct options {
    bool setting;  /* HSETEX: FNX, FXX, KEEPTTL; else PERSIST. */
    bool timed;    /* time_ms is set. */
    bool untimed;  /* KEEPTTL, PERSIST */
    bool only_new; /* FNX */
    bool only_old; /* FXX */
    int64_t time_ms;
    size_t first, count; /* Fields, or pairs. */
};

struct time_word {
    const char *word;
    bool absolute, seconds;
};

static const struct time_word time_words[] = {
    {"ex", false, true}, {"px", false, false}, {"exat", true, true}, {"pxat", true, false}};

static const struct time_word *time_word_find(struct bytes word)
{
    for (size_t i = 0; i < sizeof(time_words) / sizeof(time_words[0]); i++) {
        if (argument_is(word, time_words[i].word)) {
            return &time_words[i];
        }
    }
    return NULL;
}

/* FIELDS at index `at`. False: the error is written. */
static bool options_fields(struct call *call, struct options *options, size_t at)
{
    int64_t count;
    size_t words = call->argc - at - 2;
    if (at + 1 >= call->argc || !bytes_to_int64(call->argv[at + 1], &count) || count <= 0) {
        resp_error(call->out, "ERR invalid number of fields");
        return false;
    }
    size_t stride = options->setting ? 2 : 1;
    if (words % stride != 0 || words / stride != (uint64_t)count) {
        resp_error(call->out, "ERR The `numfields` parameter must match the number of arguments");
        return false;
    }
    options->first = at + 2;
    options->count = (size_t)count;
    return true;
}

/* Takes the option at *at, which moves to the last word of it. False: the error is written. */
static bool option_take(struct call *call, struct options *options, size_t *at)
{
    struct bytes word = call->argv[*at];
    const struct time_word *time = time_word_find(word);
    bool untimed = argument_is(word, options->setting ? "keepttl" : "persist");
    if (time != NULL || untimed) {
        if (options->timed || options->untimed) {
            resp_error_format(call->out,
                              "ERR Only one of EX, PX, EXAT, PXAT or %s arguments can be specified",
                              options->setting ? "KEEPTTL" : "PERSIST");
            return false;
        }
        options->untimed = untimed;
        options->timed = time != NULL;
        if (time == NULL) {
            return true;
        }
        if (++*at == call->argc) {
            resp_error(call->out, "ERR missing expire time");
            return false;
        }
        return hashes_time(call, call->argv[*at], time->absolute, time->seconds, &options->time_ms);
    }
    bool only_new = options->setting && argument_is(word, "fnx");
    bool only_old = options->setting && argument_is(word, "fxx");
    if (only_new || only_old) {
        if (options->only_new || options->only_old) {
            resp_error(call->out, "ERR Only one of FXX or FNX arguments can be specified");
            return false;
        }
        options->only_new = only_new;
        options->only_old = only_old;
        return true;
    }
    resp_error_format(call->out, "ERR unknown argument: %.*s",
                      (int)(word.size < ERROR_WORD_MAX ? word.size : ERROR_WORD_MAX),
                      (const char *)word.data);
    return false;
}

/* False: the error is written. */
static bool options_read(struct call *call, bool setting, struct options *options)
{
    *options = (struct options){.setting = setting};
    for (size_t i = 2; i < call->argc; i++) {
        if (argument_is(call->argv[i], "fields")) {
            return options_fields(call, options, i);
        }
        if (!option_take(call, options, &i)) {
            return false;
        }
    }
    resp_error(call->out, "ERR missing FIELDS argument");
    return false;
}

/* ------------------------------------------------------------------------------------------
 * HGETEX.
 */

enum status hashes_hgetex(struct call *call)
{
    struct value value;
    struct options options;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value) || !options_read(call, false, &options)) {
        return status;
    }
    bool past = options.timed && options.time_ms <= (int64_t)call->now_ms;
    status = reply_values(call, &value, options.first, options.count, past);
    if (status != ST_OK || value.type == VALUE_NONE || (!options.timed && !options.untimed)) {
        return status;
    }
    const struct bytes *fields = call->argv + options.first;
    return past ? txn_hash_remove(call->txn, 0, fields, options.count, NULL)
                : txn_hash_expire(call->txn, 0, fields, options.count,
                                  options.timed ? options.time_ms : BASIN_NO_EXPIRY);
}

/* ------------------------------------------------------------------------------------------
 * HSETEX.
 */

/* Whether FNX or FXX allow it. */
static enum status condition_met(struct call *call, const struct value *value,
                                 const struct options *options, bool *met_out)
{
    *met_out = true;
    if (!options->only_new && !options->only_old) {
        return ST_OK;
    }
    enum status status = ST_OK;
    for (size_t i = 0; i < options->count && *met_out && status == ST_OK; i++) {
        struct field_item item;
        bool found;
        status = hashes_find(call, value, call->argv[options->first + 2 * i], &item, &found);
        *met_out = found == options->only_old;
    }
    return status;
}

/* Fields set to a time that has passed are gone at once. */
static enum status set_past(struct call *call, const struct value *value,
                            const struct options *options)
{
    if (value->type == VALUE_NONE) {
        return ST_OK;
    }
    struct bytes *fields = arena_alloc(call->arena, options->count * sizeof(*fields));
    if (fields == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < options->count; i++) {
        fields[i] = call->argv[options->first + 2 * i];
    }
    return txn_hash_remove(call->txn, 0, fields, options->count, NULL);
}

enum status hashes_hsetex(struct call *call)
{
    struct value value;
    struct options options;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value) || !options_read(call, true, &options)) {
        return status;
    }
    bool met;
    status = condition_met(call, &value, &options, &met);
    if (status == ST_OK && met) {
        bool past = options.timed && options.time_ms <= (int64_t)call->now_ms;
        int64_t expiry_ms = options.timed     ? options.time_ms
                            : options.untimed ? BASIN_KEEP_EXPIRY
                                              : BASIN_NO_EXPIRY;
        status = past ? set_past(call, &value, &options)
                      : txn_hash_set(call->txn, 0, call->argv + options.first, options.count,
                                     expiry_ms, NULL);
    }
    if (status == ST_OK) {
        resp_integer(call->out, met);
    }
    return status;
}
