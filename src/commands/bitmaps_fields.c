/* BITFIELD: integers of 1 to 64 bits anywhere in a string, any number of them in one command, each
 * seeing what those before it did. But all reads come before the first write, so the fields work on
 * copies of the bytes they lie in:
 *
 *     string    ......[..][...]..............[....]...........
 *     islands         ^^^^^^^^               ^^^^^^     copied, changed in memory, then written
 * back
 *
 * Fields whose bytes lie less than ISLAND_GAP apart share an island: a few bytes more in one effect
 * cost less than a second effect. Sorting the fields by their place makes the islands, so that a
 * request of a hundred thousand fields costs no more than its sort.
 */
#include "src/commands/bitmaps_private.h"

#include <stdlib.h>

#define ISLAND_GAP 64
/* What the log has for a change besides its bytes: two headers, two numbers. */
#define EFFECT_OVERHEAD 128
/* Of a small string it takes the whole, but a small string has few islands. */
#define EFFECTS_OVERHEAD 4096

enum field_kind { FIELD_GET, FIELD_SET, FIELD_INCRBY };
enum overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL };

/* Bytes of the string from `start` on; `dirty_from` to `dirty_to` have changed. */
struct island {
    uint64_t start, end;
    uint64_t dirty_from, dirty_to;
    unsigned char *data;
};

struct field {
    enum field_kind kind;
    enum overflow overflow;
    bool is_signed;
    unsigned bits;
    uint64_t offset; /* Of its first bit. */
    int64_t operand;
    struct island *island;
};

struct fields {
    struct field *fields; /* In the order of the request. */
    size_t count;
    struct field **by_place;
    struct island *islands; /* By their start. */
    size_t island_count;
    uint64_t write_end; /* The bytes that the string will have at least; 0: only reads. */
};

/* The bytes of the string that a field lies in. */
static uint64_t field_first(const struct field *field)
{
    return field->offset / 8;
}
static uint64_t field_end(const struct field *field)
{
    return (field->offset + field->bits + 7) / 8;
}

/* ------------------------------------------------------------------------------------------
 * The request.
 */

/* i1 … i64, u1 … u63. False: the error is written. */
static bool type_read(struct call *call, struct bytes argument, struct field *field)
{
    int64_t bits = 0;
    char letter = argument.size > 1 ? *(const char *)argument.data : '\0';
    field->is_signed = letter == 'i';
    if ((letter == 'i' || letter == 'u') &&
        bytes_to_int64(bytes_slice(argument, 1, argument.size), &bits) && bits >= 1 &&
        bits <= (letter == 'i' ? 64 : 63)) {
        field->bits = (unsigned)bits;
        return true;
    }
    resp_error(call->out, "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is "
                          "not supported but i64 is.");
    return false;
}

static bool overflow_read(struct call *call, struct bytes argument, enum overflow *overflow_out)
{
    static const char *const words[] = {"wrap", "sat", "fail"};
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (argument_is(argument, words[i])) {
            *overflow_out = (enum overflow)i;
            return true;
        }
    }
    resp_error(call->out, "ERR Invalid OVERFLOW type specified");
    return false;
}

/* The kind of the subcommand at argv[index], if all its arguments are there. */
static bool kind_read(const struct call *call, size_t index, enum field_kind *kind_out)
{
    static const struct {
        const char *word;
        enum field_kind kind;
        size_t arguments;
    } kinds[] = {{"get", FIELD_GET, 2}, {"set", FIELD_SET, 3}, {"incrby", FIELD_INCRBY, 3}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (argument_is(call->argv[index], kinds[i].word)) {
            *kind_out = kinds[i].kind;
            return call->argc - index > kinds[i].arguments;
        }
    }
    return false;
}

/* Type, offset and operand behind argv[index]; moves index to the last of them. */
static bool field_read(struct call *call, size_t *index, struct field *field)
{
    if (!type_read(call, call->argv[*index + 1], field) ||
        !bitmaps_offset(call, call->argv[*index + 2], true, field->bits, &field->offset)) {
        return false;
    }
    *index += 2;
    return field->kind == FIELD_GET || argument_int64(call, call->argv[++*index], &field->operand);
}

/* False: the error is written. */
static bool fields_read(struct call *call, struct fields *fields)
{
    enum overflow overflow = OVERFLOW_WRAP;
    for (size_t i = 2; i < call->argc; i++) {
        struct field field = {.overflow = overflow};
        if (argument_is(call->argv[i], "overflow") && i + 1 < call->argc) {
            if (!overflow_read(call, call->argv[++i], &overflow)) {
                return false;
            }
            continue;
        }
        if (!kind_read(call, i, &field.kind)) {
            reply_syntax_error(call);
            return false;
        }
        if (!field_read(call, &i, &field)) {
            return false;
        }
        if (field.kind != FIELD_GET && field_end(&field) > fields->write_end) {
            fields->write_end = field_end(&field);
        }
        fields->fields[fields->count++] = field;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------
 * Islands.
 */

static int place_order(const void *a, const void *b)
{
    uint64_t left = (*(struct field *const *)a)->offset;
    uint64_t right = (*(struct field *const *)b)->offset;
    return (left > right) - (left < right);
}

static void islands_lay_out(struct fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        fields->by_place[i] = &fields->fields[i];
    }
    qsort(fields->by_place, fields->count, sizeof(fields->by_place[0]), place_order);
    struct island *last = NULL;
    for (size_t i = 0; i < fields->count; i++) {
        struct field *field = fields->by_place[i];
        if (last == NULL || field_first(field) > last->end + ISLAND_GAP) {
            last = &fields->islands[fields->island_count++];
            *last = (struct island){.start = field_first(field), .dirty_from = UINT64_MAX};
        }
        last->end = field_end(field) > last->end ? field_end(field) : last->end;
        field->island = last;
    }
}

static enum status islands_load(struct call *call, struct fields *fields, const struct value *value)
{
    for (size_t i = 0; i < fields->island_count; i++) {
        struct island *island = &fields->islands[i];
        size_t size = (size_t)(island->end - island->start);
        island->data = arena_alloc(call->arena, size);
        if (island->data == NULL) {
            return ST_NOMEM;
        }
        enum status status = bitmaps_read(value, island->start, size, island->data);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

static void island_dirty(struct island *island, uint64_t from, uint64_t to)
{
    island->dirty_from = from < island->dirty_from ? from : island->dirty_from;
    island->dirty_to = to > island->dirty_to ? to : island->dirty_to;
}

/* The string grows to its new end, whatever becomes of the fields there. */
static void islands_grow(struct fields *fields, uint64_t size)
{
    for (size_t i = 0; i < fields->island_count && fields->write_end > size; i++) {
        struct island *island = &fields->islands[i];
        if (island->start < fields->write_end && fields->write_end <= island->end) {
            island_dirty(island, fields->write_end - 1, fields->write_end);
        }
    }
}

static enum status islands_store(struct call *call, const struct fields *fields)
{
    uint64_t size = 0;
    size_t count = 0;
    for (size_t i = 0; i < fields->island_count; i++) {
        const struct island *island = &fields->islands[i];
        if (island->dirty_to > 0) {
            size += island->dirty_to - island->dirty_from + call->key_size + EFFECT_OVERHEAD;
            count++;
        }
    }
    enum status status = count > 1 ? txn_reserve(call->txn, size + EFFECTS_OVERHEAD) : ST_OK;
    for (size_t i = 0; i < fields->island_count && status == ST_OK; i++) {
        const struct island *island = &fields->islands[i];
        if (island->dirty_to > 0) {
            struct bytes dirty = bytes_of(island->data + (island->dirty_from - island->start),
                                          (size_t)(island->dirty_to - island->dirty_from));
            status = txn_text_write(call->txn, 0, island->dirty_from, dirty);
        }
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Integers. Fields and what they are asked to become fit 128 bits with room to spare, so that
 * overflow is a plain comparison.
 */

/* All bytes of the field, at most nine, as one number; *below_out: the bits behind the field. */
static unsigned __int128 window_load(const struct field *field, unsigned *below_out)
{
    const unsigned char *data = field->island->data + (field_first(field) - field->island->start);
    unsigned __int128 window = 0;
    for (uint64_t i = 0; i < field_end(field) - field_first(field); i++) {
        window = window << 8 | data[i];
    }
    *below_out = (unsigned)(field_end(field) * 8 - field->offset - field->bits);
    return window;
}

static uint64_t field_mask(const struct field *field)
{
    return UINT64_MAX >> (64 - field->bits);
}

/* The number that these bits are for a field of this type. */
static __int128 number_of(const struct field *field, uint64_t raw)
{
    bool negative = field->is_signed && (raw >> (field->bits - 1) & 1) != 0;
    return negative ? (__int128)raw - ((__int128)1 << field->bits) : (__int128)raw;
}

static uint64_t field_load(const struct field *field)
{
    unsigned below;
    unsigned __int128 window = window_load(field, &below);
    return (uint64_t)(window >> below) & field_mask(field);
}

static void field_store(struct field *field, uint64_t raw)
{
    unsigned below;
    unsigned __int128 window = window_load(field, &below);
    window &= ~((unsigned __int128)field_mask(field) << below);
    window |= (unsigned __int128)raw << below;
    unsigned char *data = field->island->data + (field_first(field) - field->island->start);
    for (uint64_t i = field_end(field) - field_first(field); i > 0; i--) {
        data[i - 1] = (unsigned char)window;
        window >>= 8;
    }
    island_dirty(field->island, field_first(field), field_end(field));
}

/* Whether what is wanted lies above the field's range rather than below it. Redis subtracts in 64
 * bits: a SET so far below that the distance does not fit there counts as above, and saturates to
 * the maximum. */
static bool beyond_max(__int128 wanted, __int128 min, __int128 max)
{
    return wanted > max || (wanted < min && max - wanted > INT64_MAX);
}

/* The bits a field gets; false: it overflows and should not. An unsigned field that is set to a
 * negative number takes it for a huge one, as Redis does. */
static bool field_result(const struct field *field, uint64_t old, uint64_t *raw_out)
{
    __int128 one = 1;
    __int128 min = field->is_signed ? -(one << (field->bits - 1)) : 0;
    __int128 max = (one << (field->bits - (field->is_signed ? 1 : 0))) - 1;
    __int128 wanted = field->operand;
    bool set = field->kind == FIELD_SET;
    if (!set) {
        wanted += number_of(field, old);
    } else if (!field->is_signed) {
        wanted = (uint64_t)field->operand;
    }
    if (wanted < min || wanted > max) {
        if (field->overflow == OVERFLOW_FAIL) {
            return false;
        }
        if (field->overflow == OVERFLOW_SAT) {
            bool above = set ? beyond_max(wanted, min, max) : wanted > max;
            wanted = above ? max : min;
        }
    }
    *raw_out = (uint64_t)wanted & field_mask(field);
    return true;
}

/* Does it on the island, and replies. */
static void field_run(struct call *call, struct field *field)
{
    uint64_t old = field_load(field);
    uint64_t raw = old;
    if (field->kind != FIELD_GET) {
        if (!field_result(field, old, &raw)) {
            resp_null(call->out);
            return;
        }
        if (raw != old) {
            field_store(field, raw);
        }
    }
    resp_integer(call->out, (int64_t)number_of(field, field->kind == FIELD_SET ? old : raw));
}

/* ------------------------------------------------------------------------------------------
 * The commands.
 */

static enum status run_fields(struct call *call, struct fields *fields)
{
    struct value value;
    enum status status =
        fields->write_end > 0 ? txn_peek(call->txn, 0, &value) : txn_read(call->txn, 0, &value);
    if (status != ST_OK || !bitmaps_fits(call, &value)) {
        return status;
    }
    islands_lay_out(fields);
    status = islands_load(call, fields, &value);
    if (status != ST_OK) {
        return status;
    }
    resp_array(call->out, fields->count);
    for (size_t i = 0; i < fields->count; i++) {
        field_run(call, &fields->fields[i]);
    }
    islands_grow(fields, bitmaps_size(&value));
    return islands_store(call, fields);
}

static enum status bitfield(struct call *call, bool only_reads)
{
    size_t room = call->argc / 3 + 1; /* No field has fewer words. */
    struct fields fields = {
        .fields = arena_alloc(call->arena, room * sizeof(struct field)),
        .by_place = arena_alloc(call->arena, room * sizeof(struct field *)),
        .islands = arena_alloc(call->arena, room * sizeof(struct island)),
    };
    if (fields.fields == NULL || fields.by_place == NULL || fields.islands == NULL) {
        return ST_NOMEM;
    }
    if (!fields_read(call, &fields)) {
        return ST_OK;
    }
    if (only_reads && fields.write_end > 0) {
        resp_error(call->out, "ERR BITFIELD_RO only supports the GET subcommand");
        return ST_OK;
    }
    return run_fields(call, &fields);
}

enum status bitmaps_bitfield(struct call *call)
{
    return bitfield(call, false);
}

enum status bitmaps_bitfield_ro(struct call *call)
{
    return bitfield(call, true);
}

unsigned bitmaps_bitfield_key_flags(const struct bytes *argv, size_t argc)
{
    size_t i = 2;
    while (i < argc) {
        size_t words = argument_is(argv[i], "get") ? 3 : argument_is(argv[i], "overflow") ? 2 : 0;
        if (words == 0 || argc - i < words) {
            return KEY_RW | KEY_ACCESS | KEY_UPDATE;
        }
        i += words;
    }
    return KEY_RO | KEY_ACCESS;
}
