#include "tests/lib/census.h"

#include "engine/value/parts.h"
#include "tests/lib/value_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* -- Words: "size:bytes " ---------------------------------------------------------------------- */

static enum status put_word(struct buf *out, struct bytes word)
{
    char head[24];
    int size = snprintf(head, sizeof(head), "%zu:", word.size);
    enum status status = buf_append(out, bytes_of(head, (size_t)size));
    if (status == ST_OK) {
        status = buf_append(out, word);
    }
    return status == ST_OK ? buf_append(out, bytes_of(" ", 1)) : status;
}

static enum status put_numbers(struct buf *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static enum status put_numbers(struct buf *out, const char *format, ...)
{
    char text[160];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    return buf_append(out, bytes_of(text, (size_t)size));
}

static enum status put_piece(void *ctx, struct value_piece piece)
{
    return put_word(ctx, piece.data);
}

static enum status put_raw(void *ctx, struct value_piece piece)
{
    return buf_append(ctx, piece.data);
}

/* -- Sorting: of elements whose order is the store's affair --------------------------------------
 */

struct sorting {
    struct buf text;
    struct buf ends; /* size_t */
};

static enum status sorting_next(struct sorting *sorting)
{
    return buf_append(&sorting->ends, bytes_of(&sorting->text.size, sizeof(size_t)));
}

static enum status sort_member(void *ctx, struct value_piece piece)
{
    struct sorting *sorting = ctx;
    enum status status = put_word(&sorting->text, piece.data);
    return status == ST_OK ? sorting_next(sorting) : status;
}

static enum status sort_field(void *ctx, const struct field_item *item)
{
    struct sorting *sorting = ctx;
    enum status status = put_word(&sorting->text, item->field.data);
    if (status == ST_OK) {
        status = put_word(&sorting->text, item->value.data);
    }
    if (status == ST_OK) {
        status = put_numbers(&sorting->text, "%" PRId64 " ", item->expiry_ms);
    }
    return status == ST_OK ? sorting_next(sorting) : status;
}

static int bytes_order(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

static enum status sorting_put(struct sorting *sorting, struct buf *out)
{
    size_t count = sorting->ends.size / sizeof(size_t);
    struct bytes *elements = calloc(count + 1, sizeof(*elements));
    enum status status = elements == NULL ? ST_NOMEM : ST_OK;
    size_t begin = 0;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        size_t end;
        memcpy(&end, sorting->ends.data + i * sizeof(end), sizeof(end));
        elements[i] = bytes_of(sorting->text.data + begin, end - begin);
        begin = end;
    }
    if (status == ST_OK) {
        qsort(elements, count, sizeof(*elements), bytes_order);
    }
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = buf_append(out, elements[i]);
    }
    free(elements);
    return status;
}

/* -- Types ------------------------------------------------------------------------------------- */

static enum status put_hashed(const struct value *value, struct buf *out)
{
    struct sorting sorting = {BUF_EMPTY, BUF_EMPTY};
    enum status status = value->type == VALUE_SET
                             ? set_walk(value, 0, set_count(value), sort_member, &sorting)
                             : fields_walk(value, 0, sort_field, &sorting);
    if (status == ST_OK) {
        status = sorting_put(&sorting, out);
    }
    buf_deinit(&sorting.text);
    buf_deinit(&sorting.ends);
    return status;
}

static enum status put_member(void *ctx, struct value_piece member, double score)
{
    enum status status = put_numbers(ctx, "%.17g ", score);
    return status == ST_OK ? put_word(ctx, member.data) : status;
}

static enum status put_id(struct buf *out, const char *before, struct stream_id id)
{
    return put_numbers(out, "%s%" PRIu64 "-%" PRIu64 " ", before, id.ms, id.seq);
}

static enum status put_entry(void *ctx, struct stream_entry *entry)
{
    struct bytes name;
    struct bytes field;
    enum status status = put_id(ctx, "", entry->id);
    while (status == ST_OK && stream_entry_next(entry, &name, &field)) {
        status = put_word(ctx, name);
        if (status == ST_OK) {
            status = put_word(ctx, field);
        }
    }
    return status;
}

static enum status put_pending(void *ctx, const struct stream_pending *pending, bool *more)
{
    enum status status = put_id(ctx, "pending ", pending->id);
    if (status == ST_OK) {
        status = put_word(ctx, stream_consumer_view(pending->consumer).name);
    }
    return status == ST_OK ? put_numbers(ctx, "%" PRId64 " %" PRIu64 " ", pending->delivered_ms,
                                         pending->deliveries)
                           : status;
}

static enum status put_group(const struct stream_group *group, struct buf *out)
{
    struct stream_group_view view = stream_group_view(group);
    enum status status = put_word(out, view.name);
    if (status == ST_OK) {
        status = put_id(out, "last ", view.last);
    }
    if (status == ST_OK) {
        status = put_numbers(out, "read %" PRId64 " ", view.entries_read);
    }
    for (size_t i = 0; i < view.consumers && status == ST_OK; i++) {
        struct stream_consumer_view consumer = stream_consumer_view(stream_consumer_at(group, i));
        status = put_word(out, consumer.name);
        if (status == ST_OK) {
            status = put_numbers(out, "seen %" PRId64 " active %" PRId64 " has %" PRIu64 " ",
                                 consumer.seen_ms, consumer.active_ms, consumer.pending);
        }
    }
    return status == ST_OK
               ? stream_pending_walk(group, NULL, STREAM_ID_MIN, STREAM_ID_MAX, put_pending, out)
               : status;
}

static enum status put_stream(const struct value *value, struct buf *out)
{
    struct stream_summary summary = stream_summary(value);
    enum status status = put_id(out, "last ", summary.last);
    if (status == ST_OK) {
        status = put_id(out, "deleted ", summary.max_deleted);
    }
    if (status == ST_OK) {
        status = put_numbers(out, "added %" PRIu64 " ", summary.added);
    }
    if (status == ST_OK) {
        status =
            stream_walk(value, STREAM_ID_MIN, STREAM_ID_MAX, UINT64_MAX, false, put_entry, out);
    }
    for (size_t i = 0; i < summary.groups && status == ST_OK; i++) {
        status = put_group(stream_group_at(value, i), out);
    }
    return status;
}

enum status census_value(const struct value *value, struct buf *out)
{
    switch (value->type) {
    case VALUE_STRING:
        return text_pieces(value, 0, text_size(value), put_raw, out);
    case VALUE_LIST:
        return list_walk(value, 0, list_count(value), false, put_piece, out);
    case VALUE_CHUNKS:
        return chunks_walk(value, 0, chunks_count(value), put_piece, out);
    case VALUE_HASH:
    case VALUE_SET:
        return put_hashed(value, out);
    case VALUE_ZSET:
        return zset_walk(value, 0, zset_count(value), false, put_member, out);
    case VALUE_STREAM:
        return put_stream(value, out);
    default:
        return ST_OK;
    }
}

/* -- All keys ---------------------------------------------------------------------------------- */

struct census {
    const struct bytes *keys;
    size_t count;
    struct buf *out;
};

static enum status put_key(struct txn *txn, unsigned number, struct bytes key, struct buf *out)
{
    struct value value;
    enum status status = txn_read(txn, number, &value);
    if (status == ST_OK && !value_check(&value)) {
        if (parts_missed() > 0) {
            return ST_WAIT; /* Checks look at every part. */
        }
        printf("the %s at %.*s fails its check\n", value_type_name(value.type), (int)key.size,
               (const char *)key.data);
        status = ST_CORRUPT;
    }
    if (status == ST_OK) {
        int64_t expiry = value.type == VALUE_NONE ? BASIN_NO_EXPIRY : txn_expiry(txn, number);
        status = put_numbers(out, "%.*s %s %" PRId64 " ", (int)key.size, (const char *)key.data,
                             value_type_name(value.type), expiry);
    }
    if (status == ST_OK) {
        status = census_value(&value, out);
    }
    return status == ST_OK ? buf_append(out, bytes_of("\n", 1)) : status;
}

static enum status take(struct txn *txn, void *ctx)
{
    struct census *census = ctx;
    enum status status = ST_OK;
    census->out->size = 0;
    for (size_t i = 0; i < census->count && status == ST_OK; i++) {
        status = put_key(txn, (unsigned)i, census->keys[i], census->out);
    }
    return status;
}

enum status census_take(struct session *session, const struct bytes *keys, size_t count,
                        struct buf *out)
{
    struct census census = {keys, count, out};
    return session_run(session, 0, keys, count, false, 0, take, &census);
}

static struct bytes line_take(struct bytes *text)
{
    const char *end = text->size == 0 ? NULL : memchr(text->data, '\n', text->size);
    size_t size = end == NULL ? text->size : (size_t)(end - (const char *)text->data);
    struct bytes line = bytes_of(text->data, size);
    *text = bytes_slice(*text, end == NULL ? size : size + 1, SIZE_MAX);
    return line;
}

static void tell(const char *what, struct bytes line, size_t at)
{
    size_t from = at < 60 ? 0 : at - 60;
    struct bytes shown = bytes_slice(line, from, 160);
    printf("    %s: %.*s … %.*s\n", what, (int)(line.size < 20 ? line.size : 20),
           (const char *)line.data, (int)shown.size, (const char *)shown.data);
}

void census_differ(struct bytes expected, struct bytes actual)
{
    while (expected.size > 0 || actual.size > 0) {
        struct bytes a = line_take(&expected);
        struct bytes b = line_take(&actual);
        if (!bytes_equal(a, b)) {
            size_t at = 0;
            while (at < a.size && at < b.size &&
                   ((const char *)a.data)[at] == ((const char *)b.data)[at]) {
                at++;
            }
            tell("expected", a, at);
            tell("found   ", b, at);
        }
    }
}
