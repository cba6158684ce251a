/* HyperLogLog: sketches that are kept in strings. The algorithm is src/hll; here is how it meets
 * keys.
 *
 *   - A sketch is looked at in place and copied only when it changes, and only the bytes that
 * differ afterwards are written, so that an element more in a dense sketch costs the log a few
 * bytes.
 *   - PFCOUNT of one key keeps its estimate in the sketch, as Redis does. That is a write like any
 *     other: it is logged, and the reply waits for it (W1). Where it cannot be made, because the
 *     log is dead or the disk full, the estimate is answered all the same.
 */
#include "src/commands/hyperloglog_private.h"

#include "src/config/config.h"
#include "src/server.h"

/* Bytes that are equal for less than this lie in the same write as what differs around them. */
#define RUN_GAP 32
/* Of such a size or below the log has the whole value in any case. */
#define WHOLE_MAX 256
/* What the log has for a write besides its bytes. */
#define EFFECT_OVERHEAD 128
#define EFFECTS_OVERHEAD 4096

/* ------------------------------------------------------------------------------------------
 * Reading.
 */

struct gathering {
    struct arena *arena;
    unsigned char *copy;
    size_t size, total;
    struct bytes whole;
};

static enum status gather_piece(void *ctx, struct value_piece piece)
{
    struct gathering *gathering = ctx;
    if (piece.data.size == gathering->total) {
        gathering->whole = piece.data;
        return ST_OK;
    }
    if (gathering->copy == NULL) {
        gathering->copy = arena_alloc(gathering->arena, gathering->total);
        if (gathering->copy == NULL) {
            return ST_NOMEM;
        }
        gathering->whole = bytes_of(gathering->copy, gathering->total);
    }
    memcpy(gathering->copy + gathering->size, piece.data.data, piece.data.size);
    gathering->size += piece.data.size;
    return ST_OK;
}

/* The first bytes of a string, at most HLL_SPARSE_SIZE_MAX + 1: enough to see that it is too long.
 * Lent until the key's next write where they lie in one piece, else a copy. */
static enum status text_gather(struct call *call, const struct value *value, struct bytes *text_out)
{
    uint64_t size = text_size(value);
    size = size > HLL_SPARSE_SIZE_MAX + 1 ? HLL_SPARSE_SIZE_MAX + 1 : size;
    struct gathering gathering = {.arena = call->arena, .total = (size_t)size};
    enum status status = text_pieces(value, 0, size, gather_piece, &gathering);
    *text_out = gathering.whole;
    return status;
}

void hyperloglog_reply_corrupt(struct call *call)
{
    resp_error(call->out, "INVALIDOBJ Corrupted HLL object detected");
}

enum status hyperloglog_sketch(struct call *call, const struct value *value, struct sketch *sketch)
{
    *sketch = (struct sketch){.present = value->type != VALUE_NONE, .fits = true};
    if (!sketch->present) {
        return ST_OK;
    }
    if (value->type != VALUE_STRING) {
        sketch->fits = false;
        reply_wrong_type(call);
        return ST_OK;
    }
    enum status status = text_gather(call, value, &sketch->bytes);
    if (status == ST_OK && !hll_is_sketch(sketch->bytes)) {
        sketch->fits = false;
        resp_error(call->out, "WRONGTYPE Key is not a valid HyperLogLog string value.");
    }
    return status;
}

/* Reads all keys of the call; misses are noted at once. */
static enum status keys_read(struct call *call, struct value **values_out)
{
    struct value *values = arena_alloc(call->arena, call->key_count * sizeof(*values));
    if (values == NULL) {
        return ST_NOMEM;
    }
    enum status wait = ST_OK;
    for (unsigned i = 0; i < call->key_count; i++) {
        enum status status = txn_read(call->txn, i, &values[i]);
        if (status == ST_WAIT) {
            wait = ST_WAIT;
        } else if (status != ST_OK) {
            return status;
        }
    }
    *values_out = values;
    return wait;
}

/* The highest of each register over all keys. *fits_out false: the error is written. */
static enum status keys_merge(struct call *call, const struct value *values,
                              unsigned char *registers, bool *dense_out, bool *fits_out)
{
    *dense_out = false;
    memset(registers, 0, HLL_REGISTERS);
    for (size_t i = 0; i < call->key_count; i++) {
        struct sketch sketch;
        enum status status = hyperloglog_sketch(call, &values[i], &sketch);
        *fits_out = sketch.fits;
        if (status != ST_OK || !sketch.fits) {
            return status;
        }
        if (!sketch.present) {
            continue;
        }
        *dense_out = *dense_out || hll_encoding(sketch.bytes) == HLL_DENSE;
        if (hll_merge(sketch.bytes, registers) != ST_OK) {
            *fits_out = false;
            hyperloglog_reply_corrupt(call);
            return ST_OK;
        }
    }
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Writing.
 */

struct difference {
    size_t from, to;
};

/* Where a text of at least the old one's size differs from it, up to `most` places. Gives how many
 * bytes that is. */
static size_t differences_find(struct bytes old, struct bytes text, struct difference *found,
                               size_t most, size_t *count_out)
{
    const unsigned char *a = old.data;
    const unsigned char *b = text.data;
    struct difference *last = NULL;
    size_t count = 0;
    for (size_t at = 0; at < text.size; at++) {
        while (at + 8 <= old.size && load_u64(a + at) == load_u64(b + at)) {
            at += 8;
        }
        if (at >= text.size || (at < old.size && a[at] == b[at])) {
            continue;
        }
        if (last == NULL || (at > last->to + RUN_GAP && count < most)) {
            last = &found[count++];
            last->from = at;
        }
        last->to = at + 1;
    }
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += found[i].to - found[i].from;
    }
    *count_out = count;
    return size;
}

#define DIFFERENCES_MAX 64

/* Writes what a present key has become; its time to live stays. */
static enum status store_changed(struct call *call, struct bytes old, struct bytes text)
{
    struct difference found[DIFFERENCES_MAX];
    size_t count = 0;
    size_t size = text.size;
    if (text.size >= old.size && text.size > WHOLE_MAX) {
        size = differences_find(old, text, found, DIFFERENCES_MAX, &count);
    }
    if (size > text.size / 2) {
        return txn_text_set(call->txn, 0, text, BASIN_KEEP_EXPIRY);
    }
    enum status status = ST_OK;
    if (count > 1) {
        status = txn_reserve(call->txn,
                             size + count * (EFFECT_OVERHEAD + call->key_size) + EFFECTS_OVERHEAD);
    }
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = txn_text_write(call->txn, 0, found[i].from,
                                bytes_slice(text, found[i].from, found[i].to - found[i].from));
    }
    return status;
}

enum status hyperloglog_edit(struct call *call, const struct sketch *sketch, struct hll *hll)
{
    uint64_t sparse_max = (uint64_t)config_get(&call->server->config->hll_sparse_max_bytes);
    unsigned char *data = arena_alloc(call->arena, hll_room(sketch->bytes.size, sparse_max));
    if (data == NULL) {
        return ST_NOMEM;
    }
    if (sketch->present) {
        return hll_init_copy(hll, data, sketch->bytes, sparse_max);
    }
    hll_init(hll, data, sparse_max);
    return ST_OK;
}

enum status hyperloglog_store(struct call *call, const struct sketch *sketch, const struct hll *hll)
{
    struct bytes bytes = bytes_of(hll->data, hll->size);
    return sketch->present ? store_changed(call, sketch->bytes, bytes)
                           : txn_text_set(call->txn, 0, bytes, BASIN_NO_EXPIRY);
}

/* ------------------------------------------------------------------------------------------
 * The commands.
 */

/* Whether any of the elements would raise a register of a present sketch. */
static enum status elements_raise(struct call *call, struct bytes sketch, bool *raise_out)
{
    *raise_out = false;
    for (size_t i = 2; i < call->argc && !*raise_out; i++) {
        unsigned value;
        struct hll_point point = hll_point(call->argv[i]);
        enum status status = hll_register(sketch, point.index, &value);
        if (status != ST_OK) {
            return status;
        }
        *raise_out = point.rank > value;
    }
    return ST_OK;
}

static enum status elements_add(struct call *call, const struct sketch *sketch)
{
    struct hll hll;
    enum status status = hyperloglog_edit(call, sketch, &hll);
    for (size_t i = 2; i < call->argc && status == ST_OK; i++) {
        bool raised;
        status = hll_raise(&hll, hll_point(call->argv[i]), &raised);
    }
    return status == ST_OK ? hyperloglog_store(call, sketch, &hll) : status;
}

static enum status pfadd(struct call *call)
{
    struct value value;
    struct sketch sketch = {0};
    bool change = true;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status == ST_OK) {
        status = hyperloglog_sketch(call, &value, &sketch);
    }
    if (status != ST_OK || !sketch.fits) {
        return status;
    }
    if (sketch.present) {
        status = elements_raise(call, sketch.bytes, &change);
    }
    if (status == ST_OK && change) {
        status = elements_add(call, &sketch);
    }
    if (status == ST_CORRUPT) {
        hyperloglog_reply_corrupt(call);
        return ST_OK;
    }
    if (status == ST_OK) {
        resp_integer(call->out, change);
    }
    return status;
}

static enum status count_many(struct call *call)
{
    struct value *values;
    bool dense;
    bool fits;
    enum status status = keys_read(call, &values);
    if (status != ST_OK) {
        return status;
    }
    unsigned char *registers = arena_alloc(call->arena, HLL_REGISTERS);
    if (registers == NULL) {
        return ST_NOMEM;
    }
    status = keys_merge(call, values, registers, &dense, &fits);
    if (status == ST_OK && fits) {
        resp_integer(call->out, (int64_t)hll_count_registers(registers));
    }
    return status;
}

/* Keeps the estimate of key 0 in its sketch. */
static enum status cache_store(struct call *call, uint64_t count)
{
    unsigned char cache[HLL_CACHE_SIZE];
    hll_cache_encode(count, cache);
    enum status status =
        txn_text_write(call->txn, 0, HLL_CACHE_OFFSET, bytes_of(cache, sizeof(cache)));
    return status == ST_WAIT ? ST_WAIT : ST_OK; /* Otherwise the next one estimates again. */
}

static enum status pfcount(struct call *call)
{
    if (call->key_count > 1) {
        return count_many(call);
    }
    struct value value;
    struct sketch sketch = {0};
    uint64_t count = 0;
    enum status status = txn_read(call->txn, 0, &value);
    if (status == ST_OK) {
        status = hyperloglog_sketch(call, &value, &sketch);
    }
    if (status != ST_OK || !sketch.fits) {
        return status;
    }
    if (sketch.present && !hll_cached(sketch.bytes, &count)) {
        if (hll_count(sketch.bytes, &count) != ST_OK) {
            hyperloglog_reply_corrupt(call);
            return ST_OK;
        }
        status = cache_store(call, count);
    }
    resp_integer(call->out, (int64_t)count);
    return status;
}

/* Raises all registers of key 0 to those of the others. */
static enum status merge_into(struct call *call, const struct sketch *sketch,
                              const unsigned char *registers, bool dense)
{
    struct hll hll;
    enum status status = hyperloglog_edit(call, sketch, &hll);
    if (status == ST_OK && dense) {
        status = hll_make_dense(&hll);
    }
    for (unsigned i = 0; i < HLL_REGISTERS && status == ST_OK; i++) {
        bool raised;
        if (registers[i] > 0) {
            struct hll_point point = {(uint16_t)i, registers[i]};
            status = hll_raise(&hll, point, &raised);
        }
    }
    if (status != ST_OK) {
        return status;
    }
    hll_invalidate(&hll);
    return hyperloglog_store(call, sketch, &hll);
}

/* The specs ask for a source, but the command does without. */
static enum status pfmerge_plan(struct call *call)
{
    enum status status = ST_OK;
    for (size_t i = 1; i < call->argc && status == ST_OK; i++) {
        status = call_plan_key(call, call->database, call->argv[i]);
    }
    return status;
}

static enum status pfmerge(struct call *call)
{
    struct value *values;
    struct sketch sketch = {0};
    bool dense;
    bool fits;
    enum status status = keys_read(call, &values);
    if (status != ST_OK) {
        return status;
    }
    unsigned char *registers = arena_alloc(call->arena, HLL_REGISTERS);
    if (registers == NULL) {
        return ST_NOMEM;
    }
    status = keys_merge(call, values, registers, &dense, &fits);
    if (status != ST_OK || !fits) {
        return status;
    }
    status = hyperloglog_sketch(call, &values[0], &sketch);
    if (status == ST_OK) {
        status = merge_into(call, &sketch, registers, dense);
    }
    if (status == ST_CORRUPT) {
        hyperloglog_reply_corrupt(call);
        return ST_OK;
    }
    if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

/* The target at 1, what goes into it behind. */
#define KEYS_PFMERGE                                                                               \
    {                                                                                              \
        {.flags = KEY_RW | KEY_ACCESS | KEY_INSERT,                                                \
         .begin = 1,                                                                               \
         .find = KEY_FIND_RANGE,                                                                   \
         .last = 0,                                                                                \
         .step = 1},                                                                               \
        {                                                                                          \
            .flags = KEY_RO | KEY_ACCESS, .begin = 2, .find = KEY_FIND_RANGE, .last = -1,          \
            .step = 1                                                                              \
        }                                                                                          \
    }

const struct command hyperloglog_commands[] = {
    {.name = "pfadd",
     .handler = pfadd,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_HYPERLOGLOG | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_INSERT),
     .group = "hyperloglog",
     .since = "2.8.9",
     .complexity = "O(N) where N is the number of elements.",
     .summary = "Adds elements to a HyperLogLog; gives whether that has changed it.",
     .arguments = "key [element [element ...]]"},
    {.name = "pfcount",
     .handler = pfcount,
     .arity = -2,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_HYPERLOGLOG | CAT_SLOW,
     .keys = KEYS_REST(KEY_RW | KEY_ACCESS),
     .group = "hyperloglog",
     .since = "2.8.9",
     .complexity = "O(1) for one key that has not changed since, else O(N) for N keys with a large "
                   "constant.",
     .summary = "Estimates how many different elements the HyperLogLogs have seen together.",
     .arguments = "key [key ...]"},
    {.name = "pfdebug",
     .handler = hyperloglog_pfdebug,
     .arity = 3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_ADMIN,
     .categories = CAT_WRITE | CAT_HYPERLOGLOG | CAT_ADMIN | CAT_SLOW | CAT_DANGEROUS,
     .keys =
         {{.flags = KEY_RW | KEY_ACCESS, .begin = 2, .find = KEY_FIND_RANGE, .last = 0, .step = 1}},
     .group = "hyperloglog",
     .since = "2.8.9",
     .complexity = "O(N) where N is the size of the HyperLogLog.",
     .summary = "Shows how a HyperLogLog is stored, or makes it dense.",
     .arguments = "(GETREG | DECODE | ENCODING | TODENSE) key"},
    {.name = "pfmerge",
     .handler = pfmerge,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_HYPERLOGLOG | CAT_SLOW,
     .keys = KEYS_PFMERGE,
     .group = "hyperloglog",
     .since = "2.8.9",
     .complexity = "O(N) where N is the number of keys, with a large constant.",
     .summary = "Merges HyperLogLogs into one that has seen all that they have.",
     .arguments = "destkey [sourcekey [sourcekey ...]]",
     .plan = pfmerge_plan},
    {.name = NULL},
};
