#include "redis-tests/differential/reply.h"

#include <stdio.h>
#include <stdlib.h>

/* The line at offset without its end; *next_out is behind it. False: its end is not there yet. */
static bool line_at(struct bytes bytes, size_t offset, struct bytes *line_out, size_t *next_out)
{
    const char *start = (const char *)bytes.data + offset;
    const char *end = memchr(start, '\n', bytes.size - offset);
    if (end == NULL) {
        return false;
    }
    size_t size = (size_t)(end - start);
    *next_out = offset + size + 1;
    *line_out = bytes_of(start, size > 0 && start[size - 1] == '\r' ? size - 1 : size);
    return true;
}

static bool line_number(struct bytes line, int64_t *value_out)
{
    return bytes_to_int64(bytes_slice(line, 1, line.size), value_out);
}

static bool type_is_bulk(char type)
{
    return type == '$' || type == '=' || type == '!';
}

/* How many replies follow in a collection; false: none, or malformed. */
static bool type_items(char type, int64_t number, size_t *count_out)
{
    if (number < 0) {
        *count_out = 0;
        return true;
    }
    switch (type) {
    case '*':
    case '~':
    case '>':
        *count_out = (size_t)number;
        return true;
    case '%':
        *count_out = 2 * (size_t)number;
        return true;
    default:
        return false;
    }
}

/* One element; the children of a collection become pending. */
static enum reply_progress meter_element(struct reply_meter *meter, struct bytes received)
{
    struct bytes line;
    size_t next;
    if (meter->offset >= received.size || !line_at(received, meter->offset, &line, &next)) {
        return REPLY_MORE;
    }
    if (line.size == 0) {
        return REPLY_BAD;
    }
    char type = *(const char *)line.data;
    if (memchr("+-:,#(_", type, 7) != NULL) {
        meter->offset = next;
        meter->pending--;
        return REPLY_DONE;
    }
    int64_t number;
    if (!line_number(line, &number)) {
        return REPLY_BAD;
    }
    if (type_is_bulk(type)) {
        size_t size = number < 0 ? 0 : (size_t)number + 2;
        if (received.size - next < size) {
            return REPLY_MORE;
        }
        meter->offset = next + size;
        meter->pending--;
        return REPLY_DONE;
    }
    size_t count;
    if (!type_items(type, number, &count)) {
        return REPLY_BAD;
    }
    meter->offset = next;
    meter->pending += count - 1;
    return REPLY_DONE;
}

enum reply_progress reply_meter_run(struct reply_meter *meter, struct bytes received)
{
    if (meter->offset == 0 && meter->pending == 0) {
        meter->pending = 1;
    }
    while (meter->pending > 0) {
        enum reply_progress progress = meter_element(meter, received);
        if (progress != REPLY_DONE) {
            return progress;
        }
    }
    return REPLY_DONE;
}

/* Parses the element at *offset, and with it all its children. */
static bool parse_element(struct bytes whole, size_t *offset, struct arena *arena,
                          struct reply *reply)
{
    struct bytes line;
    size_t next;
    *reply = (struct reply){0};
    if (*offset >= whole.size || !line_at(whole, *offset, &line, &next) || line.size == 0) {
        return false;
    }
    reply->type = *(const char *)line.data;
    reply->text = bytes_slice(line, 1, line.size);
    *offset = next;
    if (memchr("+-:,#(_", reply->type, 7) != NULL) {
        reply->null = reply->type == '_';
        return true;
    }
    int64_t number;
    if (!line_number(line, &number)) {
        return false;
    }
    if (type_is_bulk(reply->type)) {
        reply->null = number < 0;
        size_t size = number < 0 ? 0 : (size_t)number;
        if (number >= 0 && whole.size - next < size + 2) {
            return false;
        }
        reply->text = bytes_of((const char *)whole.data + next, size);
        *offset = number < 0 ? next : next + size + 2;
        return true;
    }
    if (!type_items(reply->type, number, &reply->count)) {
        return false;
    }
    reply->null = number < 0;
    reply->text = BYTES_NONE;
    reply->items = arena_alloc(arena, reply->count * sizeof(struct reply));
    bool fits = reply->items != NULL;
    for (size_t i = 0; i < reply->count && fits; i++) {
        fits = parse_element(whole, offset, arena, &reply->items[i]);
    }
    return fits;
}

bool reply_parse(struct bytes whole, struct arena *arena, struct reply *reply_out)
{
    size_t offset = 0;
    return parse_element(whole, &offset, arena, reply_out) && offset == whole.size;
}

static void append_text(struct buf *out, const char *text)
{
    status_ignore(buf_append(out, bytes_of_text(text)), "a message cut short is still a message");
}

void reply_bytes_text(struct bytes bytes, size_t limit, struct buf *out)
{
    const unsigned char *p = bytes.data;
    char piece[48];
    append_text(out, "\"");
    for (size_t i = 0; i < bytes.size && i < limit; i++) {
        bool plain = p[i] >= ' ' && p[i] < 127 && p[i] != '"' && p[i] != '\\';
        snprintf(piece, sizeof(piece), plain ? "%c" : "\\x%02x", p[i]);
        append_text(out, piece);
    }
    append_text(out, "\"");
    if (bytes.size > limit) {
        snprintf(piece, sizeof(piece), "… (%zu bytes)", bytes.size);
        append_text(out, piece);
    }
}

void reply_text(const struct reply *reply, size_t limit, struct buf *out)
{
    char type[2] = {reply->type, 0};
    append_text(out, type);
    if (reply->null) {
        append_text(out, "nil");
        return;
    }
    if (type_is_bulk(reply->type)) {
        reply_bytes_text(reply->text, limit, out);
        return;
    }
    if (memchr("*~>%", reply->type, 4) == NULL) {
        struct bytes text = bytes_slice(reply->text, 0, limit);
        status_ignore(buf_append(out, text), "a message cut short is still a message");
        return;
    }
    append_text(out, "[");
    size_t start = out->size;
    for (size_t i = 0; i < reply->count; i++) {
        if (out->size - start > limit) {
            append_text(out, " …");
            break;
        }
        append_text(out, i == 0 ? "" : " ");
        reply_text(&reply->items[i], limit, out);
    }
    append_text(out, "]");
}

int reply_compare(const void *a, const void *b)
{
    const struct reply *left = a, *right = b;
    if (left->type != right->type) {
        return left->type < right->type ? -1 : 1;
    }
    if (left->null != right->null) {
        return left->null ? -1 : 1;
    }
    int order = bytes_compare(left->text, right->text);
    if (order == 0 && left->count != right->count) {
        order = left->count < right->count ? -1 : 1;
    }
    for (size_t i = 0; order == 0 && i < left->count; i++) {
        order = reply_compare(&left->items[i], &right->items[i]);
    }
    return order;
}

bool reply_equal(const struct reply *a, const struct reply *b)
{
    return reply_compare(a, b) == 0;
}

bool reply_integer(const struct reply *reply, int64_t *value_out)
{
    return reply->type == ':' && bytes_to_int64(reply->text, value_out);
}

bool reply_is_error(const struct reply *reply)
{
    return reply->type == '-' || reply->type == '!';
}
