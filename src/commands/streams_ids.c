/* IDs and intervals in arguments, entries in replies. */
#include "src/commands/streams_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Redis looks at no longer text. */
#define ID_TEXT_MAX 127

const char *const streams_tips[] = {"nondeterministic_output", NULL};

bool streams_fits(struct call *call, const struct value *value)
{
    if (value->type == VALUE_STREAM || value->type == VALUE_NONE) {
        return true;
    }
    reply_wrong_type(call);
    return false;
}

/* ------------------------------------------------------------------------------------------
 * IDs in arguments.
 */

/* A number as Redis reads it here: what strtoull takes to its end, but nothing below zero that is
 * written the usual way. text ends with NUL. */
static bool number_read(const char *text, uint64_t *value_out)
{
    int64_t value;
    if (bytes_to_int64(bytes_of_text(text), &value)) {
        *value_out = (uint64_t)value;
        return value >= 0;
    }
    char *end;
    errno = 0;
    *value_out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

bool streams_id_read(struct bytes argument, bool edges, uint64_t missing_seq,
                     struct stream_id *id_out)
{
    char text[ID_TEXT_MAX + 1];
    if (argument.size > ID_TEXT_MAX) {
        return false;
    }
    if (argument.size > 0) {
        memcpy(text, argument.data, argument.size);
    }
    text[argument.size] = '\0';
    if (edges && (strcmp(text, "-") == 0 || strcmp(text, "+") == 0)) {
        *id_out = text[0] == '-' ? STREAM_ID_MIN : STREAM_ID_MAX;
        return true;
    }
    id_out->seq = missing_seq;
    char *dash = strchr(text, '-');
    if (dash != NULL) {
        *dash = '\0';
    }
    return number_read(text, &id_out->ms) && (dash == NULL || number_read(dash + 1, &id_out->seq));
}

void streams_reply_invalid_id(struct call *call)
{
    resp_error(call->out, "ERR Invalid stream ID specified as stream command argument");
}

bool streams_id(struct call *call, struct bytes argument, bool edges, uint64_t missing_seq,
                struct stream_id *id_out)
{
    if (!streams_id_read(argument, edges, missing_seq, id_out)) {
        streams_reply_invalid_id(call);
        return false;
    }
    return true;
}

bool streams_id_after(struct stream_id *id)
{
    if (id->seq == UINT64_MAX && id->ms == UINT64_MAX) {
        return false;
    }
    id->ms += id->seq == UINT64_MAX;
    id->seq++;
    return true;
}

bool streams_id_before(struct stream_id *id)
{
    if (id->seq == 0 && id->ms == 0) {
        return false;
    }
    id->ms -= id->seq == 0;
    id->seq--;
    return true;
}

static bool bound_read(struct call *call, struct bytes argument, uint64_t missing_seq,
                       bool *excluded_out, struct stream_id *id_out)
{
    *excluded_out = argument.size > 1 && *(const char *)argument.data == '(';
    return *excluded_out
               ? streams_id(call, bytes_slice(argument, 1, SIZE_MAX), false, missing_seq, id_out)
               : streams_id(call, argument, true, missing_seq, id_out);
}

bool streams_start(struct call *call, struct bytes argument, struct stream_id *id_out)
{
    bool excluded;
    if (!bound_read(call, argument, 0, &excluded, id_out)) {
        return false;
    }
    if (excluded && !streams_id_after(id_out)) {
        resp_error(call->out, "ERR invalid start ID for the interval");
        return false;
    }
    return true;
}

bool streams_end(struct call *call, struct bytes argument, struct stream_id *id_out)
{
    bool excluded;
    if (!bound_read(call, argument, UINT64_MAX, &excluded, id_out)) {
        return false;
    }
    if (excluded && !streams_id_before(id_out)) {
        resp_error(call->out, "ERR invalid end ID for the interval");
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------
 * Replies.
 */

void streams_reply_id(struct call *call, struct stream_id id)
{
    char text[2 * INT64_TEXT_MAX + 2];
    int size = snprintf(text, sizeof(text), "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
    resp_bulk(call->out, text, (size_t)size);
}

/* Integers are lent by the entry, not by the part. */
static void reply_field(struct call *call, const struct stream_entry *entry, struct bytes field)
{
    bool own = field.data == entry->rooms[0] || field.data == entry->rooms[1];
    reply_piece(call, (struct value_piece){field, own ? NULL : entry->part});
}

enum status streams_reply_entry(void *ctx, struct stream_entry *entry)
{
    struct call *call = ctx;
    struct bytes name;
    struct bytes value;
    resp_array(call->out, 2);
    streams_reply_id(call, entry->id);
    resp_array(call->out, entry->field_count * 2);
    while (stream_entry_next(entry, &name, &value)) {
        reply_field(call, entry, name);
        reply_field(call, entry, value);
    }
    return ST_OK;
}

enum status streams_reply_range(struct call *call, const struct value *value, struct stream_id from,
                                struct stream_id to, uint64_t count, bool backwards)
{
    uint64_t found;
    enum status status = stream_count(value, from, to, count, &found);
    if (status != ST_OK) {
        return status;
    }
    resp_array(call->out, found);
    return stream_walk(value, from, to, found, backwards, streams_reply_entry, call);
}

/* ------------------------------------------------------------------------------------------
 * Shared by commands on groups.
 */

static const char *word_text(struct call *call, struct bytes word)
{
    struct bytes shown = bytes_slice(word, 0, ERROR_WORD_MAX);
    char *text = arena_alloc(call->arena, shown.size + 1);
    if (text == NULL) {
        return "?";
    }
    if (shown.size > 0) {
        memcpy(text, shown.data, shown.size);
    }
    text[shown.size] = '\0';
    return text;
}

enum status streams_read_group(struct call *call, struct bytes name, struct value *value_out,
                               const struct stream_group **group_out)
{
    *group_out = NULL;
    enum status status = txn_read(call->txn, 0, value_out);
    if (status != ST_OK || !streams_fits(call, value_out)) {
        return status;
    }
    *group_out = value_out->type == VALUE_NONE ? NULL : stream_group(value_out, name);
    if (*group_out == NULL) {
        resp_error_format(call->out, "NOGROUP No such key '%s' or consumer group '%s'",
                          word_text(call, call->argv[1]), word_text(call, name));
    }
    return ST_OK;
}

int64_t streams_since(const struct call *call, int64_t time_ms)
{
    return (uint64_t)time_ms < call->now_ms ? (int64_t)(call->now_ms - (uint64_t)time_ms) : 0;
}

void streams_reply_wrong_options(struct call *call)
{
    resp_error_format(call->out,
                      "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s "
                      "HELP.",
                      (int)call->argv[1].size, (const char *)call->argv[1].data,
                      call->command->parent->name[1] == 'g' ? "XGROUP" : "XINFO");
}

void *streams_array_add(struct call *call, struct streams_array *array, size_t item_size)
{
    if (array->count == array->capacity) {
        size_t capacity = array->capacity == 0 ? 16 : array->capacity * 2;
        void *items = arena_alloc(call->arena, capacity * item_size);
        if (items == NULL) {
            return NULL;
        }
        if (array->count > 0) {
            memcpy(items, array->items, array->count * item_size);
        }
        array->items = items;
        array->capacity = capacity;
    }
    return (char *)array->items + item_size * array->count++;
}
