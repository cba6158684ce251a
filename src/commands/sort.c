/* SORT and SORT_RO: the elements of a list or set, in an order of their own or of other keys.
 *
 *     plan      the key, STORE's destination; the whole keyspace if BY or GET name keys by pattern
 *     collect   the elements, or only the wanted range of them where nothing is to be ordered (a
 *               list is then taken from its right end if the order descends)
 *     weigh     what each is ordered by: itself, or what BY leads to
 *     order, then reply or store what GET leads to
 *
 * A pattern names a key: its first * stands for the element. Keys found so are read as they are
 * needed; a read that must wait begins all of it anew, before anything has changed.
 */
#include "src/dispatch/call.h"

#include "engine/base/check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define NUMBER_TEXT_MAX 128

struct options {
    struct bytes by; /* Of the last BY. */
    bool has_by, unordered, descending, alpha;
    int64_t start, count; /* count negative: all. */
    bool stores;
    struct bytes destination;
    size_t get_count;
    bool patterns; /* Something names keys by pattern. */
};

/* ------------------------------------------------------------------------------------------
 * Options.
 */

/* Patterns end at a NUL, as Redis reads them. Gives the index of the star; size: there is none. */
static size_t star_of(struct bytes pattern)
{
    const char *text = pattern.data;
    for (size_t i = 0; i < pattern.size && text[i] != '\0'; i++) {
        if (text[i] == '*') {
            return i;
        }
    }
    return pattern.size;
}

static bool has_star(struct bytes pattern)
{
    return star_of(pattern) < pattern.size;
}

/* Whether a GET asks for the element itself. */
static bool is_itself(struct bytes pattern)
{
    return bytes_equal(pattern, bytes_of("#", 1));
}

static const char *limit_read(const struct call *call, size_t at, struct options *options)
{
    return bytes_to_int64(call->argv[at], &options->start) &&
                   bytes_to_int64(call->argv[at + 1], &options->count)
               ? NULL
               : "ERR value is not an integer or out of range";
}

/* NULL, or the error. */
static const char *options_read(const struct call *call, bool may_store, struct options *options)
{
    *options = (struct options){.count = -1};
    for (size_t i = 2; i < call->argc; i++) {
        struct bytes word = call->argv[i];
        size_t left = call->argc - i - 1;
        const char *error = NULL;
        if (argument_is(word, "asc") || argument_is(word, "desc")) {
            options->descending = argument_is(word, "desc");
        } else if (argument_is(word, "alpha")) {
            options->alpha = true;
        } else if (argument_is(word, "limit") && left >= 2) {
            error = limit_read(call, i + 1, options);
            i += 2;
        } else if (argument_is(word, "store") && left >= 1 && may_store) {
            options->stores = true;
            options->destination = call->argv[++i];
        } else if (argument_is(word, "by") && left >= 1) {
            options->by = call->argv[++i];
            options->has_by = true;
            options->unordered = options->unordered || !has_star(options->by);
            options->patterns = options->patterns || has_star(options->by);
        } else if (argument_is(word, "get") && left >= 1) {
            options->get_count++;
            i++;
            options->patterns = options->patterns || has_star(call->argv[i]);
        } else {
            error = "ERR syntax error";
        }
        if (error != NULL) {
            return error;
        }
    }
    return NULL;
}

/* The GET pattern behind this argument index, which moves to it; the options are known to be fine.
 */
static struct bytes next_get(const struct call *call, size_t *at)
{
    for (size_t i = *at + 1; i < call->argc; i++) {
        struct bytes word = call->argv[i];
        if (argument_is(word, "get")) {
            *at = i + 1;
            return call->argv[i + 1];
        }
        i += argument_is(word, "limit")                              ? 2
             : argument_is(word, "by") || argument_is(word, "store") ? 1
                                                                     : 0;
    }
    CHECK(false); /* There are get_count of them. */
}

static enum status plan(struct call *call, bool may_store)
{
    struct options options;
    if (options_read(call, may_store, &options) != NULL) {
        return ST_OK; /* The handler says so. */
    }
    if (options.patterns) {
        txn_plan_all(call->txn);
    }
    enum status status = call_plan_key(call, call->database, call->argv[1]);
    return status == ST_OK && options.stores
               ? call_plan_key(call, call->database, options.destination)
               : status;
}

static enum status sort_plan(struct call *call)
{
    return plan(call, true);
}

static enum status sort_ro_plan(struct call *call)
{
    return plan(call, false);
}

/* ------------------------------------------------------------------------------------------
 * Keys by pattern.
 */

/* The string that a pattern leads to with this element. */
static enum status look_up(struct call *call, struct bytes pattern, struct bytes element,
                           struct value *value_out)
{
    *value_out = (struct value){.type = VALUE_NONE};
    size_t star = star_of(pattern);
    if (star == pattern.size) {
        return ST_OK;
    }
    struct bytes rest = bytes_slice(pattern, star + 1, pattern.size);
    struct bytes name = {NULL, star + element.size + rest.size};
    char *memory = arena_alloc(call->arena, name.size);
    if (memory == NULL) {
        return ST_NOMEM;
    }
    memcpy(memory, pattern.data, star);
    if (element.size > 0) {
        memcpy(memory + star, element.data, element.size);
    }
    if (rest.size > 0) {
        memcpy(memory + star + element.size, rest.data, rest.size);
    }
    name.data = memory;
    enum status status = txn_read_late(call->txn, call->database, name, value_out);
    if (status == ST_OK && value_out->type != VALUE_STRING) {
        value_out->type = VALUE_NONE;
    }
    return status;
}

static enum status append_piece(void *ctx, struct value_piece piece)
{
    unsigned char **to = ctx;
    memcpy(*to, piece.data.data, piece.data.size);
    *to += piece.data.size;
    return ST_OK;
}

/* A string value in one piece, lent until the call ends. */
static enum status whole_text(struct call *call, const struct value *value, struct bytes *text_out)
{
    if (value->shape == VALUE_PACKED) {
        *text_out = value->packed;
        return ST_OK;
    }
    uint64_t size = text_size(value);
    unsigned char *memory = arena_alloc(call->arena, size);
    if (memory == NULL) {
        return ST_NOMEM;
    }
    *text_out = bytes_of(memory, size);
    return text_pieces(value, 0, size, append_piece, &memory);
}

/* ------------------------------------------------------------------------------------------
 * Collect.
 */

struct row {
    struct bytes element;
    struct bytes text; /* What it is ordered by, if alpha. */
    double number;     /* … if not. */
    bool weighed;      /* There is such a text. */
    size_t index;
};

struct rows {
    struct call *call;
    struct row *rows;
    size_t count;
};

static enum status collect_element(void *ctx, struct value_piece piece)
{
    struct rows *rows = ctx;
    struct bytes element = piece.data;
    if (piece.part == NULL) { /* Perhaps written for this one call. */
        char *copy = arena_alloc(rows->call->arena, element.size);
        if (copy == NULL) {
            return ST_NOMEM;
        }
        if (element.size > 0) {
            memcpy(copy, element.data, element.size);
        }
        element.data = copy;
    }
    rows->rows[rows->count] = (struct row){.element = element, .index = rows->count};
    rows->count++;
    return ST_OK;
}

/* LIMIT, cut to what is there. */
static void range_of(const struct options *options, uint64_t all, uint64_t *start, uint64_t *count)
{
    uint64_t first = options->start < 0 ? 0 : (uint64_t)options->start;
    *start = first < all ? first : all;
    uint64_t left = all - *start;
    *count =
        options->count >= 0 && (uint64_t)options->count < left ? (uint64_t)options->count : left;
}

/* backwards: start counts from the right end. */
static enum status collect(struct call *call, const struct value *value, uint64_t start,
                           uint64_t count, bool backwards, struct rows *rows)
{
    *rows = (struct rows){.call = call};
    if (count == 0) {
        return ST_OK;
    }
    if (count > SIZE_MAX / sizeof(struct row)) {
        return ST_LIMIT;
    }
    rows->rows = arena_alloc(call->arena, count * sizeof(struct row));
    if (rows->rows == NULL) {
        return ST_NOMEM;
    }
    if (value->type == VALUE_SET) {
        return set_walk(value, start, count, collect_element, rows);
    }
    uint64_t first = backwards ? list_count(value) - 1 - start : start;
    return list_walk(value, first, count, backwards, collect_element, rows);
}

/* ------------------------------------------------------------------------------------------
 * Weigh and order.
 */

/* As C's strtod reads the text up to a NUL, all of it. */
static enum status number_read(struct call *call, struct bytes text, double *number, bool *fine)
{
    char small[NUMBER_TEXT_MAX];
    char *copy = text.size < sizeof(small) ? small : arena_alloc(call->arena, text.size + 1);
    if (copy == NULL) {
        return ST_NOMEM;
    }
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    copy[text.size] = '\0';
    char *end;
    errno = 0;
    *number = strtod(copy, &end);
    *fine = *end == '\0' && errno != ERANGE && !isnan(*number);
    return ST_OK;
}

static enum status weigh(struct call *call, const struct options *options, struct row *row,
                         bool *fine)
{
    struct bytes text = row->element;
    if (options->has_by) {
        struct value value;
        enum status status = look_up(call, options->by, row->element, &value);
        if (status != ST_OK || value.type == VALUE_NONE) {
            return status; /* It counts as 0, or comes first. */
        }
        status = whole_text(call, &value, &text);
        if (status != ST_OK) {
            return status;
        }
    }
    row->weighed = true;
    row->text = text;
    return options->alpha ? ST_OK : number_read(call, text, &row->number, fine);
}

static int order_numbers(const struct row *a, const struct row *b)
{
    int order = (a->number > b->number) - (a->number < b->number);
    return order != 0 ? order : bytes_compare(a->element, b->element);
}

/* What is replied is ordered as C compares strings, which end at a NUL; what is stored, by all of
 * its bytes. */
static int order_texts(const struct options *options, const struct row *a, const struct row *b)
{
    if (!a->weighed || !b->weighed) {
        return a->weighed - b->weighed;
    }
    struct bytes x = a->text;
    struct bytes y = b->text;
    if (!options->stores) {
        x.size = x.size == 0 ? 0 : strnlen(x.data, x.size);
        y.size = y.size == 0 ? 0 : strnlen(y.data, y.size);
    }
    return bytes_compare(x, y);
}

static int row_order(const void *x, const void *y, void *ctx)
{
    const struct options *options = ctx;
    const struct row *a = x;
    const struct row *b = y;
    int order = options->alpha ? order_texts(options, a, b) : order_numbers(a, b);
    order = options->descending ? -order : order;
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

/* *fine false: some weight is no number. */
static enum status order(struct call *call, struct options *options, struct rows *rows, bool *fine)
{
    enum status status = ST_OK;
    for (size_t i = 0; i < rows->count && status == ST_OK && *fine; i++) {
        status = weigh(call, options, &rows->rows[i], fine);
    }
    if (status == ST_OK && *fine && rows->count > 0) {
        qsort_r(rows->rows, rows->count, sizeof(struct row), row_order, options);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Give.
 */

static enum status reply_got(struct call *call, struct bytes pattern, struct bytes element)
{
    if (is_itself(pattern)) {
        resp_bulk(call->out, element.data, element.size);
        return ST_OK;
    }
    struct value value;
    enum status status = look_up(call, pattern, element, &value);
    if (status == ST_OK && value.type == VALUE_NONE) {
        resp_null(call->out);
        return ST_OK;
    }
    return status == ST_OK ? reply_text(call, &value) : status;
}

static enum status reply_rows(struct call *call, const struct options *options,
                              const struct row *rows, uint64_t count)
{
    size_t each = options->get_count > 0 ? options->get_count : 1;
    enum status status = ST_OK;
    resp_array(call->out, count * each);
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        struct bytes element = rows[i].element;
        if (options->get_count == 0) {
            resp_bulk(call->out, element.data, element.size);
        }
        size_t at = 1;
        for (size_t j = 0; j < options->get_count && status == ST_OK; j++) {
            status = reply_got(call, next_get(call, &at), element);
        }
    }
    return status;
}

static enum status got(struct call *call, struct bytes pattern, struct bytes element,
                       struct bytes *text_out)
{
    *text_out = is_itself(pattern) ? element : BYTES_NONE;
    if (is_itself(pattern)) {
        return ST_OK;
    }
    struct value value;
    enum status status = look_up(call, pattern, element, &value);
    return status == ST_OK && value.type != VALUE_NONE ? whole_text(call, &value, text_out)
                                                       : status;
}

/* The texts that STORE makes a list of; what GET finds nothing for is an empty one. */
static enum status texts_of(struct call *call, const struct options *options,
                            const struct row *rows, uint64_t count, struct bytes *texts)
{
    size_t each = options->get_count;
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        if (each == 0) {
            texts[i] = rows[i].element;
        }
        size_t at = 1;
        for (size_t j = 0; j < each && status == ST_OK; j++) {
            status = got(call, next_get(call, &at), rows[i].element, &texts[i * each + j]);
        }
    }
    return status;
}

static enum status store_rows(struct call *call, const struct options *options,
                              const struct row *rows, uint64_t count)
{
    uint64_t all = count * (options->get_count > 0 ? options->get_count : 1);
    struct bytes *texts = arena_alloc(call->arena, all * sizeof(*texts));
    if (texts == NULL) {
        return ST_NOMEM;
    }
    enum status status = texts_of(call, options, rows, count, texts);
    if (status != ST_OK) {
        return status;
    }
    if (all == 0) {
        status = txn_delete(call->txn, 1, NULL);
    } else {
        struct buf scratch = BUF_EMPTY;
        struct value list = list_empty();
        status = list_push(&list, LIST_RIGHT, texts, all, txn_limits(call->txn), &scratch);
        if (status == ST_OK) {
            status = txn_put(call->txn, 1, &list, BASIN_NO_EXPIRY);
        }
        buf_deinit(&scratch);
    }
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)all);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * The commands.
 */

static enum status sort_value(struct call *call, struct options *options, const struct value *value)
{
    uint64_t all = value->type == VALUE_LIST  ? list_count(value)
                   : value->type == VALUE_SET ? set_count(value)
                                              : 0;
    if (options->unordered && value->type == VALUE_SET && options->stores) {
        /* What is stored has an order of its own. */
        options->unordered = false;
        options->alpha = true;
        options->has_by = false;
    }
    uint64_t start;
    uint64_t count;
    range_of(options, all, &start, &count);
    struct rows rows;
    bool fine = true;
    enum status status = options->unordered
                             ? collect(call, value, start, count, options->descending, &rows)
                             : collect(call, value, 0, all, false, &rows);
    if (status == ST_OK && !options->unordered) {
        status = order(call, options, &rows, &fine);
    }
    if (status != ST_OK) {
        return status;
    }
    if (!fine) {
        resp_error(call->out, "ERR One or more scores can't be converted into double");
        return ST_OK;
    }
    const struct row *first = rows.rows;
    if (!options->unordered && first != NULL) {
        first += start;
    }
    return options->stores ? store_rows(call, options, first, count)
                           : reply_rows(call, options, first, count);
}

static enum status sort_any(struct call *call, bool may_store)
{
    struct options options;
    const char *error = options_read(call, may_store, &options);
    if (error != NULL) {
        resp_error(call->out, error);
        return ST_OK;
    }
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    if (value.type != VALUE_NONE && value.type != VALUE_LIST && value.type != VALUE_SET) {
        reply_wrong_type(call);
        return ST_OK;
    }
    return sort_value(call, &options, &value);
}

static enum status sort(struct call *call)
{
    return sort_any(call, true);
}

static enum status sort_ro(struct call *call)
{
    return sort_any(call, false);
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

#define KEY_SORTED                                                                                 \
    {                                                                                              \
        .flags = KEY_RO | KEY_ACCESS, .begin = 1, .find = KEY_FIND_RANGE, .last = 0, .step = 1     \
    }
#define KEYS_BY_PATTERN                                                                            \
    {                                                                                              \
        .flags = KEY_RO | KEY_ACCESS, .find = KEY_FIND_UNKNOWN                                     \
    }
#define KEY_STORED                                                                                 \
    {                                                                                              \
        .flags = KEY_OW | KEY_UPDATE, .find = KEY_FIND_UNKNOWN, .keyword = "store"                 \
    }

const struct command sort_commands[] = {
    {.name = "sort",
     .handler = sort,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLEKEYS,
     .categories = CAT_WRITE | CAT_SET | CAT_SORTEDSET | CAT_LIST | CAT_SLOW | CAT_DANGEROUS,
     .keys = {KEY_SORTED, KEYS_BY_PATTERN, KEY_STORED},
     .group = "generic",
     .since = "1.0.0",
     .complexity = "O(N log N) where N is the number of elements; O(N) if they stay unordered.",
     .summary = "Gives the elements of a list or set in an order, or stores them.",
     .arguments = "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] "
                  "[ASC | DESC] [ALPHA] [STORE destination]",
     .plan = sort_plan},
    {.name = "sort_ro",
     .handler = sort_ro,
     .arity = -2,
     .flags = CMD_READONLY | CMD_MOVABLEKEYS,
     .categories = CAT_READ | CAT_SET | CAT_SORTEDSET | CAT_LIST | CAT_SLOW | CAT_DANGEROUS,
     .keys = {KEY_SORTED, KEYS_BY_PATTERN},
     .group = "generic",
     .since = "7.0.0",
     .complexity = "As SORT.",
     .summary = "Gives the elements of a list or set in an order.",
     .arguments = "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] "
                  "[ASC | DESC] [ALPHA]",
     .plan = sort_ro_plan},
    {.name = NULL},
};
