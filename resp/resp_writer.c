/* The chain:
 *
 *     first → [block: bytes] → [reference: somebody's bytes] → [small block: bytes] → … ← last
 *              start…end         start…end                      start…end…capacity
 *
 * Bytes are only ever written at the end of the last element, and consumed at the start of the
 * first. Nothing in the chain is empty, so an idle chain holds nothing. A reference is an element
 * without room, so whatever follows it opens a block, a small one: a reply of many referenced
 * values has but a header between any two of them.
 *
 * Emptied blocks go to a stack of spares of the thread rather than to free: a block is as large as
 * malloc's slow classes, and every batch of replies needs one. What is written in one piece (a
 * header, a number) never straddles two blocks; a few bytes stay unused at a block's end instead.
 *
 * Our own promises are kept by assert, since resp stands on libc alone.
 */
#include "resp/resp_writer.h"

#include "resp/resp_memory.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_BLOCK_SIZE 512
/* Room for any header or number with its sign, type byte and line ends. */
#define PIECE_MAX 32

struct resp_block {
    struct resp_block *next;
    char *data;      /* The bytes behind this struct, or those referenced. */
    size_t start;    /* Up to here consumed. */
    size_t end;      /* Up to here written. */
    size_t capacity; /* Equal to end in a reference. */
    size_t memory;   /* What it adds to resp_out's. */
    void (*release)(void *ctx);
    void *ctx;
    bool referenced;
};

/* ------------------------------------------------------------------------------------------
 * Spare blocks of a thread.
 */

static _Thread_local struct resp_block *spares;
static _Thread_local unsigned spare_count;
static _Thread_local bool spares_end_with_thread;
static pthread_key_t spare_key;
static pthread_once_t spare_once = PTHREAD_ONCE_INIT;
static bool spare_key_made;

static void spares_free(void *ctx)
{
    (void)ctx;
    while (spares != NULL) {
        struct resp_block *next = spares->next;
        free(spares);
        spares = next;
    }
    spare_count = 0;
    spares_end_with_thread = false;
}

static void spare_key_make(void)
{
    spare_key_made = pthread_key_create(&spare_key, spares_free) == 0;
}

/* Makes sure that the thread's spares are freed when it ends; without that it keeps none. */
static bool spares_prepare(void)
{
    if (!spares_end_with_thread) {
        pthread_once(&spare_once, spare_key_make);
        spares_end_with_thread = spare_key_made && pthread_setspecific(spare_key, &spare_key) == 0;
    }
    return spares_end_with_thread;
}

static struct resp_block *block_new(size_t size)
{
    struct resp_block *block = spares;
    if (size == RESP_BLOCK_SIZE && block != NULL) {
        spares = block->next;
        spare_count--;
    } else {
        block = resp_realloc(NULL, size);
        if (block == NULL) {
            return NULL;
        }
    }
    block->next = NULL;
    block->data = (char *)(block + 1);
    block->start = 0;
    block->end = 0;
    block->capacity = size - sizeof(*block);
    block->memory = size;
    block->release = NULL;
    block->ctx = NULL;
    block->referenced = false;
    return block;
}

static void block_free(struct resp_out *out, struct resp_block *block)
{
    out->memory -= block->memory;
    if (block->release != NULL) {
        block->release(block->ctx);
    }
    if (block->memory == RESP_BLOCK_SIZE && !block->referenced && spare_count < RESP_SPARE_MAX &&
        spares_prepare()) {
        block->next = spares;
        spares = block;
        spare_count++;
        return;
    }
    free(block);
}

static void block_append(struct resp_out *out, struct resp_block *block)
{
    if (out->last != NULL) {
        out->last->next = block;
    } else {
        out->first = block;
    }
    out->last = block;
    out->memory += block->memory;
}

/* ------------------------------------------------------------------------------------------
 * The chain.
 */

void resp_out_init(struct resp_out *out)
{
    memset(out, 0, sizeof(*out));
    out->version = 2;
}

static void chain_free(struct resp_out *out, struct resp_block *block)
{
    while (block != NULL) {
        struct resp_block *next = block->next;
        block_free(out, block);
        block = next;
    }
}

void resp_out_deinit(struct resp_out *out)
{
    if (out == NULL) {
        return;
    }
    chain_free(out, out->first);
    resp_out_init(out);
}

int resp_out_peek(const struct resp_out *out, uint64_t end, struct iovec *pieces, int count)
{
    uint64_t left = end < out->written ? end : out->written;
    left = left > out->consumed ? left - out->consumed : 0;
    int used = 0;
    for (struct resp_block *block = out->first; block != NULL && left > 0 && used < count;
         block = block->next) {
        size_t size = block->end - block->start;
        if (size > left) {
            size = (size_t)left;
        }
        pieces[used].iov_base = block->data + block->start;
        pieces[used].iov_len = size;
        used++;
        left -= size;
    }
    return used;
}

void resp_out_consume(struct resp_out *out, size_t size)
{
    assert(size <= out->written - out->consumed);
    out->consumed += size;
    while (size > 0) {
        struct resp_block *block = out->first;
        size_t pending = block->end - block->start;
        if (size < pending) {
            block->start += size;
            return;
        }
        size -= pending;
        out->first = block->next;
        if (out->first == NULL) {
            out->last = NULL;
        }
        block_free(out, block);
    }
}

static void block_truncate(struct resp_block *block, size_t end)
{
    block->end = end;
    if (block->referenced) {
        block->capacity = end;
    }
}

void resp_out_rollback(struct resp_out *out, uint64_t position)
{
    assert(position >= out->consumed && position <= out->written);
    uint64_t dropped = out->written - position;
    uint64_t kept = position - out->consumed;
    out->written = position;
    out->failed = false;
    if (dropped == 0) {
        return;
    }
    struct resp_block *last = out->last;
    if (dropped < last->end - last->start) { /* A reply of one block, as nearly all are. */
        block_truncate(last, last->end - (size_t)dropped);
        return;
    }
    struct resp_block *keep = NULL;
    struct resp_block *block = out->first;
    while (kept > 0) {
        size_t pending = block->end - block->start;
        if (kept < pending) {
            block_truncate(block, block->start + (size_t)kept);
            pending = (size_t)kept;
        }
        kept -= pending;
        keep = block;
        block = block->next;
    }
    if (keep == NULL) {
        out->first = NULL;
    } else {
        keep->next = NULL;
    }
    out->last = keep;
    chain_free(out, block);
}

/* ------------------------------------------------------------------------------------------
 * Bytes.
 */

static bool block_open(struct resp_out *out)
{
    bool small = out->last != NULL && out->last->referenced;
    struct resp_block *block = block_new(small ? SMALL_BLOCK_SIZE : RESP_BLOCK_SIZE);
    if (block == NULL) {
        out->failed = true;
        return false;
    }
    block_append(out, block);
    return true;
}

static inline size_t room(const struct resp_out *out)
{
    return out->last != NULL ? out->last->capacity - out->last->end : 0;
}

/* Lends room for at least PIECE_MAX bytes in one piece, or NULL; piece_end takes what is used. */
static inline char *piece_begin(struct resp_out *out)
{
    if (out->failed || (room(out) < PIECE_MAX && !block_open(out))) {
        return NULL;
    }
    return out->last->data + out->last->end;
}

static inline void piece_end(struct resp_out *out, const char *end)
{
    struct resp_block *last = out->last;
    size_t size = (size_t)(end - (last->data + last->end));
    last->end += size;
    out->written += size;
}

void resp_raw(struct resp_out *out, const void *data, size_t size)
{
    const char *from = data;
    while (size > 0 && !out->failed) {
        size_t fits = room(out);
        if (fits == 0) {
            if (!block_open(out)) {
                return;
            }
            continue;
        }
        if (fits > size) {
            fits = size;
        }
        struct resp_block *last = out->last;
        memcpy(last->data + last->end, from, fits);
        last->end += fits;
        out->written += fits;
        from += fits;
        size -= fits;
    }
}

void resp_reference(struct resp_out *out, const void *data, size_t size, void (*release)(void *ctx),
                    void *ctx)
{
    struct resp_block *block = NULL;
    if (size > 0 && !out->failed) {
        block = block_new(sizeof(*block));
        out->failed = block == NULL;
    }
    if (block == NULL) {
        if (release != NULL) {
            release(ctx);
        }
        return;
    }
    block->data = (char *)data; /* Only ever read: it has no room. */
    block->end = size;
    block->capacity = size;
    block->memory = sizeof(*block) + size;
    block->release = release;
    block->ctx = ctx;
    block->referenced = true;
    block_append(out, block);
    out->written += size;
}

/* ------------------------------------------------------------------------------------------
 * Numbers.
 */

static const char digit_pairs[] = "00010203040506070809"
                                  "10111213141516171819"
                                  "20212223242526272829"
                                  "30313233343536373839"
                                  "40414243444546474849"
                                  "50515253545556575859"
                                  "60616263646566676869"
                                  "70717273747576777879"
                                  "80818283848586878889"
                                  "90919293949596979899";

/* Writes decimal digits; gives where they end. */
static inline char *digits_put(char *to, uint64_t value)
{
    if (value < 10) {
        *to = (char)('0' + value);
        return to + 1;
    }
    if (value < 100) {
        memcpy(to, digit_pairs + value * 2, 2);
        return to + 2;
    }
    if (value < 1000) {
        *to = (char)('0' + value / 100);
        memcpy(to + 1, digit_pairs + value % 100 * 2, 2);
        return to + 3;
    }
    char digits[20];
    char *first = digits + sizeof(digits);
    while (value >= 100) {
        first -= 2;
        memcpy(first, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        first -= 2;
        memcpy(first, digit_pairs + value * 2, 2);
    } else {
        *--first = (char)('0' + value);
    }
    size_t size = (size_t)(digits + sizeof(digits) - first);
    memcpy(to, first, size);
    return to + size;
}

static inline char *integer_put(char *to, int64_t value)
{
    if (value < 0) {
        *to++ = '-';
        return digits_put(to, 0 - (uint64_t)value);
    }
    return digits_put(to, (uint64_t)value);
}

static inline char *line_end_put(char *to)
{
    to[0] = '\r';
    to[1] = '\n';
    return to + 2;
}

static inline char *header_put(char *to, char kind, uint64_t size)
{
    *to = kind;
    return line_end_put(digits_put(to + 1, size));
}

size_t resp_double_text(double value, char *text)
{
    if (isnan(value)) {
        memcpy(text, "nan", 3);
        return 3;
    }
    if (isinf(value)) {
        memcpy(text, value < 0 ? "-inf" : "inf", 4); /* The NUL of "inf" is not counted. */
        return value < 0 ? 4 : 3;
    }
    /* Below 1e17 "%.17g" writes a whole number without exponent; minus zero keeps its sign. */
    if (value > -1e17 && value < 1e17 && value == (double)(int64_t)value &&
        !(value == 0 && signbit(value))) {
        return (size_t)(integer_put(text, (int64_t)value) - text);
    }
    return (size_t)snprintf(text, RESP_DOUBLE_MAX, "%.17g", value);
}

/* ------------------------------------------------------------------------------------------
 * Replies.
 */

static void header_write(struct resp_out *out, char kind, uint64_t size)
{
    char *to = piece_begin(out);
    if (to != NULL) {
        piece_end(out, header_put(to, kind, size));
    }
}

/* A reply whose whole text is known. */
static void piece_write(struct resp_out *out, const char *text, size_t size)
{
    char *to = piece_begin(out);
    if (to != NULL) {
        memcpy(to, text, size);
        piece_end(out, to + size);
    }
}

/* kind, the text on one line, CRLF. */
static void line_write(struct resp_out *out, char kind, const char *text)
{
    resp_raw(out, &kind, 1);
    while (*text != 0) {
        size_t size = strcspn(text, "\r\n");
        resp_raw(out, text, size);
        text += size;
        if (*text != 0) {
            resp_raw(out, " ", 1);
            text++;
        }
    }
    resp_raw(out, "\r\n", 2);
}

void resp_simple(struct resp_out *out, const char *text)
{
    if (text[0] == 'O' && text[1] == 'K' && text[2] == 0) {
        piece_write(out, "+OK\r\n", 5);
        return;
    }
    line_write(out, '+', text);
}

void resp_error(struct resp_out *out, const char *text)
{
    text += text[0] == '-';
    size_t size = strcspn(text, " \r\n");
    size = size < RESP_ERROR_CODE_SIZE ? size : RESP_ERROR_CODE_SIZE - 1;
    memcpy(out->error_code, text, size);
    out->error_code[size] = '\0';
    out->errors++;
    line_write(out, '-', text);
}

void resp_error_format(struct resp_out *out, const char *format, ...)
{
    char short_text[512];
    char *text = short_text;
    va_list list;
    va_list again;
    va_start(list, format);
    va_copy(again, list);
    int size = vsnprintf(short_text, sizeof(short_text), format, list);
    if (size >= (int)sizeof(short_text)) {
        text = resp_realloc(NULL, (size_t)size + 1);
        if (text != NULL) {
            vsnprintf(text, (size_t)size + 1, format, again);
        }
    }
    va_end(again);
    va_end(list);
    if (size < 0 || text == NULL) {
        out->failed = true;
        return;
    }
    /* Arguments that an error repeats may end in a line break: it would show as spaces. */
    while (size > 0 && (text[size - 1] == '\r' || text[size - 1] == '\n')) {
        text[--size] = '\0';
    }
    resp_error(out, text);
    if (text != short_text) {
        free(text);
    }
}

void resp_integer(struct resp_out *out, int64_t value)
{
    char *to = piece_begin(out);
    if (to != NULL) {
        *to = ':';
        piece_end(out, line_end_put(integer_put(to + 1, value)));
    }
}

void resp_bulk(struct resp_out *out, const void *data, size_t size)
{
    size_t fits = room(out);
    if (!out->failed && fits >= PIECE_MAX && size <= fits - PIECE_MAX) {
        char *to = header_put(out->last->data + out->last->end, '$', size);
        if (size > 0) { /* An empty value may come as NULL. */
            memcpy(to, data, size);
        }
        piece_end(out, line_end_put(to + size));
        return;
    }
    header_write(out, '$', size);
    resp_raw(out, data, size);
    resp_raw(out, "\r\n", 2);
}

void resp_bulk_text(struct resp_out *out, const char *text)
{
    resp_bulk(out, text, strlen(text));
}

void resp_bulk_header(struct resp_out *out, uint64_t size)
{
    header_write(out, '$', size);
}

void resp_bulk_end(struct resp_out *out)
{
    resp_raw(out, "\r\n", 2);
}

void resp_bulk_integer(struct resp_out *out, int64_t value)
{
    char text[PIECE_MAX];
    resp_bulk(out, text, (size_t)(integer_put(text, value) - text));
}

void resp_null(struct resp_out *out)
{
    if (out->version == 3) {
        piece_write(out, "_\r\n", 3);
    } else {
        piece_write(out, "$-1\r\n", 5);
    }
}

void resp_null_array(struct resp_out *out)
{
    if (out->version == 3) {
        piece_write(out, "_\r\n", 3);
    } else {
        piece_write(out, "*-1\r\n", 5);
    }
}

void resp_array(struct resp_out *out, uint64_t count)
{
    header_write(out, '*', count);
}

void resp_map(struct resp_out *out, uint64_t pairs)
{
    if (out->version == 3) {
        header_write(out, '%', pairs);
    } else {
        header_write(out, '*', pairs * 2);
    }
}

void resp_set(struct resp_out *out, uint64_t count)
{
    header_write(out, out->version == 3 ? '~' : '*', count);
}

void resp_push(struct resp_out *out, uint64_t count)
{
    header_write(out, out->version == 3 ? '>' : '*', count);
}

void resp_attribute(struct resp_out *out, uint64_t pairs)
{
    assert(out->version == 3);
    header_write(out, '|', pairs);
}

void resp_double(struct resp_out *out, double value)
{
    char text[RESP_DOUBLE_MAX + 3];
    size_t size = resp_double_text(value, text + 1);
    if (out->version == 3) {
        text[0] = ',';
        piece_write(out, text, (size_t)(line_end_put(text + 1 + size) - text));
    } else {
        resp_bulk(out, text + 1, size);
    }
}

void resp_boolean(struct resp_out *out, bool value)
{
    if (out->version == 3) {
        piece_write(out, value ? "#t\r\n" : "#f\r\n", 4);
    } else {
        piece_write(out, value ? ":1\r\n" : ":0\r\n", 4);
    }
}

void resp_big_number(struct resp_out *out, const char *text)
{
    if (out->version == 3) {
        line_write(out, '(', text);
    } else {
        resp_bulk_text(out, text);
    }
}

void resp_verbatim(struct resp_out *out, const char *format, const void *data, size_t size)
{
    if (out->version != 3) {
        resp_bulk(out, data, size);
        return;
    }
    assert(strlen(format) == 3);
    header_write(out, '=', (uint64_t)size + 4);
    resp_raw(out, format, 3);
    resp_raw(out, ":", 1);
    resp_raw(out, data, size);
    resp_raw(out, "\r\n", 2);
}
