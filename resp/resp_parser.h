/* resp_parser: bytes from a client → requests. Multibulk ("*2\r\n$3\r\nGET\r\n…") and inline (one
 * line, with Redis's quoting).
 *
 * The caller keeps one buffer a connection and shows it from the first byte of the current request
 * on; while the answer is RESP_MORE it reads further bytes behind (the buffer may move) and calls
 * again, and the parser goes on where it was: no byte is looked at twice. Any split of the stream
 * gives the same requests. Arguments are ranges of that buffer: nothing is copied. (Inline
 * arguments are unquoted in place, which only shortens them.)
 *
 * What Redis 7 does with odd bytes is done here too: a header ends at CR and the byte behind it is
 * not looked at, nor are the two behind a bulk; a NUL in a header or an inline line hides its end,
 * so that such a line can only become too long. Lines and headers hold at most RESP_INLINE_MAX
 * bytes, however they arrive.
 *
 * Limits come with every call, so that AUTH or CONFIG SET acts on the next byte. Error texts are
 * Redis's. After RESP_ERROR the connection is to be closed once the text is sent; further calls
 * give the same error. Lack of memory for the argument array is such an error too.
 * Thread: a connection's. Memory: the argument array, kept between requests up to a bound.
 */
#ifndef BASIN_RESP_PARSER_H
#define BASIN_RESP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESP_ARGUMENTS_MAX 1048576
#define RESP_INLINE_MAX 65536

struct resp_limits {
    int64_t arguments_max; /* RESP_ARGUMENTS_MAX; 10 before AUTH. */
    int64_t bulk_max;      /* proto-max-bulk-len; 16384 before AUTH. */
    bool unauthenticated;  /* Words the errors as Redis does before AUTH. */
};

struct resp_argument {
    size_t offset; /* From the first byte of the request. */
    size_t size;
};

enum resp_result {
    RESP_REQUEST, /* argument_count and arguments are valid; 0 arguments: an empty line, skip it. */
    RESP_MORE,    /* Show more bytes. needed is a lower bound of the request's whole size. */
    RESP_ERROR,   /* error holds "-ERR Protocol error: …" without CRLF. */
};

struct resp_parser {
    struct resp_argument *arguments;
    size_t argument_count;
    size_t consumed;   /* RESP_REQUEST: the request's size in the buffer. */
    size_t needed;     /* RESP_MORE: see there; always above the size shown. */
    const char *error; /* Lent forever or until the next call. */
    /* The rest is the parser's own. */
    size_t argument_capacity;
    size_t position;
    size_t line; /* Where the header or inline line in hand starts. */
    int64_t arguments_left;
    int64_t bulk_size;
    int state;
    char error_text[96];
};

void resp_parser_init(struct resp_parser *parser);
void resp_parser_deinit(struct resp_parser *parser);

/* data[0 .. size) starts at the current request's first byte. After RESP_REQUEST the next call
 * starts a new request at data + consumed. */
enum resp_result resp_parse(struct resp_parser *parser, const struct resp_limits *limits,
                            char *data, size_t size);

#endif
