/* resp_writer: replies → bytes, RESP2 or RESP3.
 *
 * A resp_out is a chain of blocks and of references to bytes that live elsewhere (large values),
 * to be sent with writev. A position in it is the count of bytes ever written to it, so a reply
 * can be gated by its end position and taken back by its start.
 * The typed functions write what the client's version knows: a map is an array of twice the length
 * in RESP2, a double or big number a bulk string, null "$-1", a boolean an integer, and so on.
 * Lack of memory sets `failed`; later writes do nothing; the connection is then closed.
 * Thread: a connection's worker. Memory: blocks of RESP_BLOCK_SIZE (small ones between references),
 * freed as they are consumed; an idle chain keeps none. Each thread keeps up to RESP_SPARE_MAX
 * freed blocks for its next chain, and gives them back when it ends.
 */
#ifndef BASIN_RESP_WRITER_H
#define BASIN_RESP_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define RESP_BLOCK_SIZE 16384
#define RESP_SPARE_MAX 64
/* Bytes that this long or longer are better referenced than copied, if their owner can. */
#define RESP_REFERENCE_MIN 4096

#define RESP_ERROR_CODE_SIZE 24

struct resp_block;

struct resp_out {
    struct resp_block *first, *last;
    uint64_t written;  /* Bytes ever written: the end position. */
    uint64_t consumed; /* Bytes ever consumed; written - consumed are pending. */
    size_t memory;     /* Bytes of blocks and of referenced data that are held. */
    bool failed;
    int version; /* 2 or 3 */
    /* Error replies ever written, taken back or not, and the first word of the last, cut to fit;
     * for whoever counts. */
    uint64_t errors;
    char error_code[RESP_ERROR_CODE_SIZE];
};

void resp_out_init(struct resp_out *out);
void resp_out_deinit(struct resp_out *out); /* Releases all references. */

/* -- For the sender ------------------------------------------------------------------------ */

/* Describes pending bytes up to position `end` in at most `count` pieces; gives how many. */
int resp_out_peek(const struct resp_out *out, uint64_t end, struct iovec *pieces, int count);
void resp_out_consume(struct resp_out *out, size_t size);
/* Takes back everything written from `position` on (position ≥ consumed). Clears `failed`. */
void resp_out_rollback(struct resp_out *out, uint64_t position);

/* -- For the writer of replies ------------------------------------------------------------- */

void resp_raw(struct resp_out *out, const void *data, size_t size); /* Ready-made RESP. */
/* Bytes that are not copied; release(ctx) is called exactly once, when they are sent or dropped
 * (at once if size is 0 or the chain has failed). It must not touch the chain. NULL: nothing to
 * release. */
void resp_reference(struct resp_out *out, const void *data, size_t size, void (*release)(void *ctx),
                    void *ctx);

void resp_simple(struct resp_out *out, const char *text); /* +OK; CR and LF become spaces. */
/* "-" text CRLF; text starts with its code: "ERR unknown command". CR and LF become spaces. A "-"
 * that the text brings along (resp_parser's errors do) is not doubled. */
void resp_error(struct resp_out *out, const char *text);
[[gnu::format(printf, 2, 3)]] void resp_error_format(struct resp_out *out, const char *format, ...);
void resp_integer(struct resp_out *out, int64_t value);
void resp_bulk(struct resp_out *out, const void *data, size_t size);
void resp_bulk_text(struct resp_out *out, const char *text);
/* A bulk string in pieces: header, then size bytes by resp_raw or resp_reference, then end. */
void resp_bulk_header(struct resp_out *out, uint64_t size);
void resp_bulk_end(struct resp_out *out);
void resp_bulk_integer(struct resp_out *out, int64_t value); /* Its decimal text as a bulk. */
void resp_null(struct resp_out *out);                        /* $-1 or _ */
void resp_null_array(struct resp_out *out);                  /* *-1 or _ */
void resp_array(struct resp_out *out, uint64_t count);
void resp_map(struct resp_out *out, uint64_t pairs);
void resp_set(struct resp_out *out, uint64_t count);
void resp_push(struct resp_out *out, uint64_t count);
void resp_attribute(struct resp_out *out, uint64_t pairs); /* RESP3 only; CHECKed by the caller. */
void resp_double(struct resp_out *out, double value);      /* As resp_double_text. */
void resp_boolean(struct resp_out *out, bool value);
void resp_big_number(struct resp_out *out, const char *text);
/* format: "txt" or "mkd". */
void resp_verbatim(struct resp_out *out, const char *format, const void *data, size_t size);

/* The text of a double as Redis 7.0 writes it, "%.17g", which always reads back as the same
 * double; inf, -inf, nan. No NUL; gives its length. text holds RESP_DOUBLE_MAX bytes. */
#define RESP_DOUBLE_MAX 32
size_t resp_double_text(double value, char *text);

#endif
