/* Lists by content: LINSERT, LREM, LPOS look for an element; LTRIM keeps a range. */
#include "src/commands/lists_private.h"

/* A walk in search of equal elements. */
struct search {
    struct bytes wanted;
    bool backwards;
    uint64_t skip;        /* Matches to pass over first. */
    uint64_t matches_max; /* 0: no limit */
    struct buf found;     /* uint64_t indexes, in the order met */
    uint64_t found_count;
    bool over; /* The walk was ended on purpose. */
};

static enum status search_found(void *ctx, uint64_t index)
{
    struct search *search = ctx;
    if (search->skip > 0) {
        search->skip--;
        return ST_OK;
    }
    enum status status = buf_append(&search->found, bytes_of(&index, sizeof(index)));
    if (status != ST_OK) {
        return status;
    }
    search->found_count++;
    search->over = search->found_count == search->matches_max;
    return search->over ? ST_BUSY : ST_OK; /* Any failure ends the walk. */
}

/* Looks through at most `most` elements of a list from its start, or backwards from its end. The
 * caller deinits search->found, also when this fails. */
static enum status search_run(struct search *search, const struct value *value, uint64_t most)
{
    uint64_t count = list_count(value);
    if (count == 0) {
        return ST_OK;
    }
    enum status status =
        list_search(value, search->backwards ? count - 1 : 0, most < count ? most : count,
                    search->backwards, search->wanted, search_found, search);
    return search->over ? ST_OK : status;
}

/* found never moves between the last append and the reads. */
static uint64_t *found_indexes(const struct search *search)
{
    return (uint64_t *)(void *)search->found.data;
}

enum status lists_linsert(struct call *call)
{
    bool after = argument_is(call->argv[2], "after");
    if (!after && !argument_is(call->argv[2], "before")) {
        reply_syntax_error(call);
        return ST_OK;
    }
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !lists_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        resp_integer(call->out, 0);
        return ST_OK;
    }
    uint64_t count = list_count(&value);
    struct search search = {.wanted = call->argv[3], .matches_max = 1};
    status = search_run(&search, &value, count);
    if (status == ST_OK && search.found_count == 0) {
        resp_integer(call->out, -1);
    } else if (status == ST_OK) {
        status = txn_list_insert(call->txn, 0, found_indexes(&search)[0] + after, call->argv[4]);
        if (status == ST_OK) {
            resp_integer(call->out, (int64_t)count + 1);
        }
    }
    buf_deinit(&search.found);
    return status;
}

static void reverse(uint64_t *indexes, uint64_t count)
{
    for (uint64_t i = 0; i < count / 2; i++) {
        uint64_t swap = indexes[i];
        indexes[i] = indexes[count - 1 - i];
        indexes[count - 1 - i] = swap;
    }
}

enum status lists_lrem(struct call *call)
{
    int64_t limit;
    if (!argument_int64(call, call->argv[2], &limit)) {
        return ST_OK;
    }
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !lists_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        resp_integer(call->out, 0);
        return ST_OK;
    }
    struct search search = {
        .wanted = call->argv[3],
        .backwards = limit < 0,
        .matches_max = limit < 0 ? -(uint64_t)limit : (uint64_t)limit,
    };
    status = search_run(&search, &value, UINT64_MAX);
    if (status == ST_OK && search.found_count > 0) {
        if (search.backwards) {
            reverse(found_indexes(&search), search.found_count);
        }
        status = txn_list_remove(call->txn, 0, found_indexes(&search), search.found_count);
    }
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)search.found_count);
    }
    buf_deinit(&search.found);
    return status;
}

enum status lists_ltrim(struct call *call)
{
    int64_t start;
    int64_t stop;
    if (!argument_int64(call, call->argv[2], &start) ||
        !argument_int64(call, call->argv[3], &stop)) {
        return ST_OK;
    }
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !lists_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_LIST) {
        uint64_t first;
        uint64_t count = lists_range(start, stop, list_count(&value), &first);
        if (count == 0) {
            status = txn_delete(call->txn, 0, NULL);
        } else if (count < list_count(&value)) {
            status = txn_list_trim(call->txn, 0, first, count);
        }
    }
    if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * LPOS.
 */

struct position_options {
    int64_t rank, count, length_max;
    bool counted;
};

/* The same words for what is no number at all. */
static bool amount_read(struct call *call, struct bytes text, const char *error, int64_t *amount)
{
    if (!bytes_to_int64(text, amount) || *amount < 0) {
        resp_error(call->out, error);
        return false;
    }
    return true;
}

static bool position_options_read(struct call *call, struct position_options *options)
{
    *options = (struct position_options){.rank = 1, .count = 1};
    for (size_t i = 3; i < call->argc; i += 2) {
        struct bytes word = call->argv[i];
        if (i + 1 == call->argc) {
            reply_syntax_error(call);
            return false;
        }
        struct bytes amount = call->argv[i + 1];
        if (argument_is(word, "rank")) {
            if (!argument_int64_range(call, amount, -INT64_MAX, INT64_MAX,
                                      "ERR value is out of range, value must between "
                                      "-9223372036854775807 and 9223372036854775807",
                                      &options->rank)) {
                return false;
            }
            if (options->rank == 0) {
                resp_error(call->out,
                           "ERR RANK can't be zero: use 1 to start from the first match, 2 from "
                           "the second ... or use negative to start from the end of the list");
                return false;
            }
        } else if (argument_is(word, "count")) {
            if (!amount_read(call, amount, "ERR COUNT can't be negative", &options->count)) {
                return false;
            }
            options->counted = true;
        } else if (argument_is(word, "maxlen")) {
            if (!amount_read(call, amount, "ERR MAXLEN can't be negative", &options->length_max)) {
                return false;
            }
        } else {
            reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

static void reply_positions(struct call *call, const struct position_options *options,
                            const struct search *search)
{
    if (options->counted) {
        resp_array(call->out, search->found_count);
        for (uint64_t i = 0; i < search->found_count; i++) {
            resp_integer(call->out, (int64_t)found_indexes(search)[i]);
        }
    } else if (search->found_count > 0) {
        resp_integer(call->out, (int64_t)found_indexes(search)[0]);
    } else {
        resp_null(call->out);
    }
}

enum status lists_lpos(struct call *call)
{
    struct position_options options;
    if (!position_options_read(call, &options)) {
        return ST_OK;
    }
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !lists_fits(call, &value)) {
        return status;
    }
    struct search search = {
        .wanted = call->argv[2],
        .backwards = options.rank < 0,
        .skip = (uint64_t)(options.rank < 0 ? -options.rank : options.rank) - 1,
        .matches_max = (uint64_t)options.count,
    };
    if (value.type == VALUE_LIST) {
        uint64_t most = options.length_max == 0 ? UINT64_MAX : (uint64_t)options.length_max;
        status = search_run(&search, &value, most);
    }
    if (status == ST_OK) {
        reply_positions(call, &options, &search);
    }
    buf_deinit(&search.found);
    return status;
}
