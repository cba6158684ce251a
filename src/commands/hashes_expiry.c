/* The lives of fields. A request names several; its answer has a number for each, as if they were
 * dealt with one after the other, so a field that is named twice is met in its new state. */
#include "src/commands/hashes_private.h"

#include <stdlib.h>

#define NO_FIELD (-2)
#define NO_EXPIRY (-1)
#define NOT_MET 0
#define SET 1
#define DELETED 2

/* ------------------------------------------------------------------------------------------
 * Arguments.
 */

struct spelled {
    struct bytes word;
    size_t index;
};

static int spelled_compare(const void *a, const void *b)
{
    const struct spelled *left = a;
    const struct spelled *right = b;
    int order = bytes_compare(left->word, right->word);
    return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

const size_t *hashes_repeats(struct call *call, const struct bytes *fields, size_t count)
{
    size_t *repeats = arena_alloc(call->arena, count * sizeof(*repeats));
    struct spelled *sorted = arena_alloc(call->arena, count * sizeof(*sorted));
    if (repeats == NULL || sorted == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = (struct spelled){fields[i], i};
    }
    qsort(sorted, count, sizeof(*sorted), spelled_compare);
    for (size_t i = 0; i < count; i++) {
        bool again = i > 0 && bytes_equal(sorted[i].word, sorted[i - 1].word);
        repeats[sorted[i].index] = again ? sorted[i - 1].index + 1 : 0;
    }
    return repeats;
}

bool hashes_time(struct call *call, struct bytes word, bool absolute, bool seconds,
                 int64_t *time_ms_out)
{
    int64_t time;
    if (!argument_int64(call, word, &time)) {
        return false;
    }
    if (time < 0) {
        resp_error(call->out, "ERR invalid expire time, must be >= 0");
        return false;
    }
    if ((seconds && __builtin_mul_overflow(time, 1000, &time)) ||
        (!absolute && __builtin_add_overflow(time, (int64_t)call->now_ms, &time)) ||
        time > FIELD_TIME_MAX_MS) {
        resp_error_format(call->out, "ERR invalid expire time in '%s' command",
                          call->command->full_name);
        return false;
    }
    *time_ms_out = time;
    return true;
}

/* FIELDS numfields field …, from index `at` to the end. False: the error is written. */
static bool fields_read(struct call *call, size_t at)
{
    int64_t count;
    if (at >= call->argc || !argument_is(call->argv[at], "fields")) {
        resp_error(call->out,
                   "ERR Mandatory argument FIELDS is missing or not at the right position");
        return false;
    }
    if (at + 1 >= call->argc || !bytes_to_int64(call->argv[at + 1], &count) || count <= 0) {
        resp_error(call->out, "ERR Parameter `numFields` should be greater than 0");
        return false;
    }
    if ((uint64_t)count != call->argc - at - 2) {
        resp_error(call->out, "ERR The `numfields` parameter must match the number of arguments");
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------
 * Expire.
 */

enum condition { ALWAYS, ONLY_WITHOUT, ONLY_WITH, ONLY_LATER, ONLY_SOONER };

/* Any other word is left for who reads FIELDS to complain of. */
static enum condition condition_read(struct bytes word)
{
    static const char *const words[] = {
        [ONLY_WITHOUT] = "nx", [ONLY_WITH] = "xx", [ONLY_LATER] = "gt", [ONLY_SOONER] = "lt"};
    for (enum condition condition = ONLY_WITHOUT; condition <= ONLY_SOONER; condition++) {
        if (argument_is(word, words[condition])) {
            return condition;
        }
    }
    return ALWAYS;
}

static bool condition_met(enum condition condition, int64_t old_ms, int64_t new_ms)
{
    bool forever = old_ms == BASIN_NO_EXPIRY;
    switch (condition) {
    case ONLY_WITHOUT:
        return forever;
    case ONLY_WITH:
        return !forever;
    case ONLY_LATER:
        return !forever && new_ms > old_ms;
    case ONLY_SOONER:
        return forever || new_ms < old_ms;
    default:
        return true;
    }
}

struct expiring {
    enum condition condition;
    int64_t time_ms;
    bool past;
    size_t first, count;  /* Arguments that are fields. */
    struct bytes *chosen; /* Fields to be changed. */
    size_t chosen_count;
    int *answers;
};

/* What a field that was named before meets, by what it was answered then. */
static int answer_again(const struct expiring *expiring, int before)
{
    if (before == DELETED) {
        return NO_FIELD;
    }
    bool again = expiring->condition == ALWAYS || expiring->condition == ONLY_WITH;
    return before == SET && !again ? NOT_MET : before;
}

static enum status answer_first(struct call *call, const struct value *value,
                                struct expiring *expiring, struct bytes field, int *answer_out)
{
    struct field_item item;
    bool found;
    enum status status = hashes_find(call, value, field, &item, &found);
    if (status != ST_OK) {
        return status;
    }
    *answer_out = NO_FIELD;
    if (found) {
        bool met = condition_met(expiring->condition, item.expiry_ms, expiring->time_ms);
        *answer_out = !met ? NOT_MET : expiring->past ? DELETED : SET;
        if (met) {
            expiring->chosen[expiring->chosen_count++] = field;
        }
    }
    return ST_OK;
}

static enum status answers_find(struct call *call, const struct value *value,
                                struct expiring *expiring)
{
    const struct bytes *fields = call->argv + expiring->first;
    const size_t *repeats = hashes_repeats(call, fields, expiring->count);
    expiring->chosen = arena_alloc(call->arena, expiring->count * sizeof(struct bytes));
    expiring->answers = arena_alloc(call->arena, expiring->count * sizeof(int));
    if (repeats == NULL || expiring->chosen == NULL || expiring->answers == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < expiring->count; i++) {
        if (repeats[i] > 0) {
            expiring->answers[i] = answer_again(expiring, expiring->answers[repeats[i] - 1]);
            continue;
        }
        enum status status = answer_first(call, value, expiring, fields[i], &expiring->answers[i]);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

static enum status expire(struct call *call, bool absolute, bool seconds)
{
    struct expiring expiring = {.condition = ALWAYS};
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value) ||
        !hashes_time(call, call->argv[2], absolute, seconds, &expiring.time_ms)) {
        return status;
    }
    expiring.condition = condition_read(call->argv[3]);
    size_t at = expiring.condition == ALWAYS ? 3 : 4;
    if (!fields_read(call, at)) {
        return ST_OK;
    }
    expiring.first = at + 2;
    expiring.count = call->argc - expiring.first;
    expiring.past = expiring.time_ms <= (int64_t)call->now_ms;
    status = answers_find(call, &value, &expiring);
    if (status == ST_OK && expiring.chosen_count > 0) {
        status = expiring.past
                     ? txn_hash_remove(call->txn, 0, expiring.chosen, expiring.chosen_count, NULL)
                     : txn_hash_expire(call->txn, 0, expiring.chosen, expiring.chosen_count,
                                       expiring.time_ms);
    }
    if (status != ST_OK) {
        return status;
    }
    resp_array(call->out, expiring.count);
    for (size_t i = 0; i < expiring.count; i++) {
        resp_integer(call->out, expiring.answers[i]);
    }
    return ST_OK;
}

enum status hashes_hexpire(struct call *call)
{
    return expire(call, false, true);
}

enum status hashes_hpexpire(struct call *call)
{
    return expire(call, false, false);
}

enum status hashes_hexpireat(struct call *call)
{
    return expire(call, true, true);
}

enum status hashes_hpexpireat(struct call *call)
{
    return expire(call, true, false);
}

/* ------------------------------------------------------------------------------------------
 * Ask, persist.
 */

/* Seconds are rounded up: a field with some life left does not have 0 of it. */
static enum status reply_times(struct call *call, bool left, bool seconds)
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value) || !fields_read(call, 2)) {
        return status;
    }
    resp_array(call->out, call->argc - 4);
    for (size_t i = 4; i < call->argc; i++) {
        struct field_item item;
        bool found;
        status = hashes_find(call, &value, call->argv[i], &item, &found);
        if (status != ST_OK) {
            return status;
        }
        if (!found || item.expiry_ms == BASIN_NO_EXPIRY) {
            resp_integer(call->out, found ? NO_EXPIRY : NO_FIELD);
            continue;
        }
        int64_t time_ms = item.expiry_ms - (left ? (int64_t)call->now_ms : 0);
        resp_integer(call->out, seconds ? (time_ms + 999) / 1000 : time_ms);
    }
    return ST_OK;
}

enum status hashes_httl(struct call *call)
{
    return reply_times(call, true, true);
}

enum status hashes_hpttl(struct call *call)
{
    return reply_times(call, true, false);
}

enum status hashes_hexpiretime(struct call *call)
{
    return reply_times(call, false, true);
}

enum status hashes_hpexpiretime(struct call *call)
{
    return reply_times(call, false, false);
}

enum status hashes_hpersist(struct call *call)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value) || !fields_read(call, 2)) {
        return status;
    }
    size_t count = call->argc - 4;
    const size_t *repeats = hashes_repeats(call, call->argv + 4, count);
    if (repeats == NULL) {
        return ST_NOMEM;
    }
    bool any = false;
    resp_array(call->out, count);
    for (size_t i = 0; i < count; i++) {
        struct field_item item;
        bool found;
        status = hashes_find(call, &value, call->argv[4 + i], &item, &found);
        if (status != ST_OK) {
            return status;
        }
        bool expires = found && item.expiry_ms != BASIN_NO_EXPIRY && repeats[i] == 0;
        any |= expires;
        resp_integer(call->out, !found ? NO_FIELD : expires ? SET : NO_EXPIRY);
    }
    return any ? txn_hash_expire(call->txn, 0, call->argv + 4, count, BASIN_NO_EXPIRY) : ST_OK;
}
