/* Split-invariance of the parser: whatever the bytes, showing them at once and showing them in
 * pieces must tell the same story. The first byte of the input chooses the pieces and limits.
 * Each view lies in a block of exactly its size, so that the address sanitizer sees a look beyond.
 */
#include "resp/resp_parser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001B3ull;
    }
    return hash;
}

static uint64_t request_mix(uint64_t story, const struct resp_parser *parser, const char *view)
{
    story = mix(story, &parser->argument_count, sizeof(parser->argument_count));
    size_t behind = 0;
    for (size_t i = 0; i < parser->argument_count; i++) {
        struct resp_argument argument = parser->arguments[i];
        PROMISE(argument.offset >= behind && argument.offset + argument.size <= parser->consumed);
        behind = argument.offset + argument.size;
        story = mix(story, &argument.size, sizeof(argument.size));
        story = mix(story, view + argument.offset, argument.size);
    }
    return mix(story, &parser->consumed, sizeof(parser->consumed));
}

/* step 0: all at once. Otherwise pieces of 1 … step bytes. */
static uint64_t tell(const struct resp_limits *limits, const uint8_t *data, size_t size,
                     size_t step)
{
    struct resp_parser parser;
    resp_parser_init(&parser);
    uint64_t story = 0xCBF29CE484222325ull;
    uint64_t chance = step;
    size_t start = 0;
    size_t shown = step == 0 ? size : 0;
    size_t needed = 0;
    for (;;) {
        size_t visible = shown - start;
        char *view = malloc(visible);
        if (visible > 0) {
            memcpy(view, data + start, visible);
        }
        enum resp_result result = resp_parse(&parser, limits, view, visible);
        if (result == RESP_REQUEST) {
            PROMISE(parser.consumed > 0 && parser.consumed <= visible);
            PROMISE(parser.consumed >= needed);
            story = request_mix(story, &parser, view);
            start += parser.consumed;
            needed = 0;
        } else if (result == RESP_ERROR) {
            story = mix(story, parser.error, strlen(parser.error));
        } else {
            PROMISE(parser.needed > visible);
            needed = parser.needed;
        }
        free(view);
        if (result == RESP_ERROR || (result == RESP_MORE && shown == size)) {
            break;
        }
        if (result == RESP_MORE) {
            chance = chance * 6364136223846793005ull + 1442695040888963407ull;
            shown += 1 + (step > 1 ? (size_t)(chance >> 33) % step : 0);
            shown = shown < size ? shown : size;
        }
    }
    resp_parser_deinit(&parser);
    return story;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct resp_limits limits = {RESP_ARGUMENTS_MAX, 512ll * 1024 * 1024, false};
    if (data[0] & 0x80) {
        limits = (struct resp_limits){10, 100, true};
    }
    size_t step = data[0] & 0x7F;
    data++;
    size--;
    uint64_t whole = tell(&limits, data, size, 0);
    PROMISE(tell(&limits, data, size, 1) == whole || size > 20000);
    PROMISE(tell(&limits, data, size, step + 2) == whole);
    return 0;
}
