#include "resp/resp_memory.h"
#include "resp/resp_writer.h"
#include "tests/lib/test.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All that is pending, in one piece; given. */
static char *pending_copy(const struct resp_out *out, size_t *size_out)
{
    static struct iovec pieces[4096];
    int count = resp_out_peek(out, out->written, pieces, 4096);
    char *text = malloc(out->written - out->consumed + 1);
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        EXPECT(pieces[i].iov_len > 0);
        memcpy(text + size, pieces[i].iov_base, pieces[i].iov_len);
        size += pieces[i].iov_len;
    }
    EXPECT_INT(size, out->written - out->consumed);
    text[size] = 0;
    *size_out = size;
    return text;
}

static void expect_pending(int line, struct resp_out *out, const char *expected, size_t size)
{
    size_t actual_size = 0;
    char *actual = pending_copy(out, &actual_size);
    if (actual_size != size || memcmp(actual, expected, size) != 0) {
        test_fail(__FILE__, line, "got \"%s\", expected \"%s\"", actual, expected);
    }
    free(actual);
    resp_out_consume(out, size);
    EXPECT(out->first == NULL && out->last == NULL && out->memory == 0);
}

/* The same call in both versions. */
#define WRITES(call, resp2, resp3)                                                                 \
    do {                                                                                           \
        out.version = 2;                                                                           \
        call;                                                                                      \
        expect_pending(__LINE__, &out, resp2, sizeof(resp2) - 1);                                  \
        out.version = 3;                                                                           \
        call;                                                                                      \
        expect_pending(__LINE__, &out, resp3, sizeof(resp3) - 1);                                  \
    } while (0)
#define WRITES_ALIKE(call, both) WRITES(call, both, both)

TEST(resp_writer_writes_simple_strings_and_errors_on_one_line)
{
    struct resp_out out;
    resp_out_init(&out);
    EXPECT_INT(out.version, 2);
    WRITES_ALIKE(resp_simple(&out, "OK"), "+OK\r\n");
    WRITES_ALIKE(resp_simple(&out, "O"), "+O\r\n");
    WRITES_ALIKE(resp_simple(&out, ""), "+\r\n");
    WRITES_ALIKE(resp_simple(&out, "Background\r\nsaving"), "+Background  saving\r\n");
    WRITES_ALIKE(resp_error(&out, "ERR unknown command"), "-ERR unknown command\r\n");
    WRITES_ALIKE(resp_error(&out, "-ERR Protocol error: x"), "-ERR Protocol error: x\r\n");
    WRITES_ALIKE(resp_error(&out, "ERR a\nb\r\nc\n"), "-ERR a b  c \r\n");
    WRITES_ALIKE(resp_error_format(&out, "ERR '%s' has %d\n", "x", 7), "-ERR 'x' has 7\r\n");
    char text[2000];
    char expected[2100];
    memset(text, 'e', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    int size = snprintf(expected, sizeof(expected), "-ERR %s\r\n", text);
    resp_error_format(&out, "ERR %s", text);
    expect_pending(__LINE__, &out, expected, (size_t)size);
    resp_out_deinit(&out);
}

TEST(resp_writer_counts_errors_and_knows_the_code_of_the_last)
{
    struct resp_out out;
    resp_out_init(&out);
    EXPECT_INT(out.errors, 0);
    resp_error(&out, "WRONGTYPE Operation against a key");
    EXPECT_TEXT(out.error_code, "WRONGTYPE");
    resp_error(&out, "-NOAUTH\r\n");
    EXPECT_TEXT(out.error_code, "NOAUTH");
    resp_error_format(&out, "%s", "ACODETHATISFARTOOLONGTOBEKEPT x");
    EXPECT_TEXT(out.error_code, "ACODETHATISFARTOOLONGTO");
    resp_out_rollback(&out, 0);
    EXPECT_INT(out.errors, 3);
    resp_out_deinit(&out);
}

TEST(resp_writer_writes_integers)
{
    struct resp_out out;
    resp_out_init(&out);
    WRITES_ALIKE(resp_integer(&out, 0), ":0\r\n");
    WRITES_ALIKE(resp_integer(&out, -1), ":-1\r\n");
    WRITES_ALIKE(resp_integer(&out, INT64_MAX), ":9223372036854775807\r\n");
    WRITES_ALIKE(resp_integer(&out, INT64_MIN), ":-9223372036854775808\r\n");
    WRITES_ALIKE(resp_bulk_integer(&out, 12345), "$5\r\n12345\r\n");
    WRITES_ALIKE(resp_bulk_integer(&out, INT64_MIN), "$20\r\n-9223372036854775808\r\n");
    uint64_t random = test_seed();
    for (int i = 0; i < 20000; i++) {
        int64_t value = (int64_t)test_random(&random) >> test_random_below(&random, 64);
        char expected[40];
        int size = snprintf(expected, sizeof(expected), ":%lld\r\n", (long long)value);
        resp_integer(&out, value);
        expect_pending(__LINE__, &out, expected, (size_t)size);
    }
    resp_out_deinit(&out);
}

TEST(resp_writer_writes_bulk_strings)
{
    struct resp_out out;
    resp_out_init(&out);
    WRITES_ALIKE(resp_bulk(&out, NULL, 0), "$0\r\n\r\n");
    WRITES_ALIKE(resp_bulk(&out, "a\0\r\n", 4), "$4\r\na\0\r\n\r\n");
    WRITES_ALIKE(resp_bulk_text(&out, "hello, world"), "$12\r\nhello, world\r\n");
    WRITES_ALIKE((resp_bulk_header(&out, 4), resp_raw(&out, "ab", 2),
                  resp_reference(&out, "cd", 2, NULL, NULL), resp_bulk_end(&out)),
                 "$4\r\nabcd\r\n");
    static char data[100000];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (char)(i * 7 + i / 251);
    }
    for (size_t size = 1; size < sizeof(data); size += size < 1200 ? 1 : 1009) {
        char *expected = malloc(size + 32);
        size_t header = (size_t)sprintf(expected, "$%zu\r\n", size);
        memcpy(expected + header, data, size);
        memcpy(expected + header + size, "\r\n", 2);
        resp_bulk(&out, data, size);
        expect_pending(__LINE__, &out, expected, header + size + 2);
        free(expected);
    }
    resp_out_deinit(&out);
}

TEST(resp_writer_writes_each_aggregate_as_the_version_knows_it)
{
    struct resp_out out;
    resp_out_init(&out);
    WRITES_ALIKE(resp_array(&out, 0), "*0\r\n");
    WRITES_ALIKE(resp_array(&out, 1048576), "*1048576\r\n");
    WRITES_ALIKE(resp_array(&out, UINT64_MAX), "*18446744073709551615\r\n");
    WRITES(resp_map(&out, 3), "*6\r\n", "%3\r\n");
    WRITES(resp_set(&out, 12), "*12\r\n", "~12\r\n");
    WRITES(resp_push(&out, 3), "*3\r\n", ">3\r\n");
    resp_attribute(&out, 1);
    expect_pending(__LINE__, &out, "|1\r\n", 4);
    resp_out_deinit(&out);
}

TEST(resp_writer_writes_each_scalar_as_the_version_knows_it)
{
    struct resp_out out;
    resp_out_init(&out);
    WRITES(resp_null(&out), "$-1\r\n", "_\r\n");
    WRITES(resp_null_array(&out), "*-1\r\n", "_\r\n");
    WRITES(resp_boolean(&out, true), ":1\r\n", "#t\r\n");
    WRITES(resp_boolean(&out, false), ":0\r\n", "#f\r\n");
    WRITES(resp_big_number(&out, "-1234567999999999999999999999999999999"),
           "$38\r\n-1234567999999999999999999999999999999\r\n",
           "(-1234567999999999999999999999999999999\r\n");
    WRITES(resp_verbatim(&out, "txt", "some\nlines", 10), "$10\r\nsome\nlines\r\n",
           "=14\r\ntxt:some\nlines\r\n");
    WRITES(resp_verbatim(&out, "mkd", "", 0), "$0\r\n\r\n", "=4\r\nmkd:\r\n");
    resp_out_deinit(&out);
}

/* The texts are those that redis-server 7.0.15 gave for these scores. */
TEST(resp_writer_writes_doubles_as_redis_7_prints_them)
{
    struct resp_out out;
    resp_out_init(&out);
    WRITES(resp_double(&out, 0), "$1\r\n0\r\n", ",0\r\n");
    WRITES(resp_double(&out, -0.0), "$2\r\n-0\r\n", ",-0\r\n");
    WRITES(resp_double(&out, 3.141), "$5\r\n3.141\r\n", ",3.141\r\n");
    WRITES(resp_double(&out, 17), "$2\r\n17\r\n", ",17\r\n");
    WRITES(resp_double(&out, 0.1), "$19\r\n0.10000000000000001\r\n", ",0.10000000000000001\r\n");
    WRITES(resp_double(&out, 1e16), "$17\r\n10000000000000000\r\n", ",10000000000000000\r\n");
    WRITES(resp_double(&out, 1e17), "$5\r\n1e+17\r\n", ",1e+17\r\n");
    WRITES(resp_double(&out, -1.5e-300), "$24\r\n-1.5000000000000001e-300\r\n",
           ",-1.5000000000000001e-300\r\n");
    WRITES(resp_double(&out, 5e-324), "$23\r\n4.9406564584124654e-324\r\n",
           ",4.9406564584124654e-324\r\n");
    WRITES(resp_double(&out, -DBL_MAX), "$24\r\n-1.7976931348623157e+308\r\n",
           ",-1.7976931348623157e+308\r\n");
    WRITES(resp_double(&out, 123456.789), "$10\r\n123456.789\r\n", ",123456.789\r\n");
    WRITES(resp_double(&out, (double)INFINITY), "$3\r\ninf\r\n", ",inf\r\n");
    WRITES(resp_double(&out, (double)-INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    WRITES(resp_double(&out, (double)NAN), "$3\r\nnan\r\n", ",nan\r\n");
    WRITES(resp_double(&out, -(double)NAN), "$3\r\nnan\r\n", ",nan\r\n");
    resp_out_deinit(&out);
}

TEST(resp_writer_writes_doubles_that_read_back)
{
    uint64_t random = test_seed();
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = test_random(&random);
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (i % 2 == 0) { /* Whole numbers around the end of the plain notation. */
            value = (double)((int64_t)bits >> test_random_below(&random, 64));
        }
        if (isnan(value)) {
            continue;
        }
        char text[RESP_DOUBLE_MAX + 1];
        char expected[64];
        size_t size = resp_double_text(value, text);
        text[size] = 0;
        snprintf(expected, sizeof(expected), "%.17g", value);
        EXPECT_TEXT(text, expected);
        double back = strtod(text, NULL);
        EXPECT(memcmp(&back, &value, sizeof(back)) == 0);
    }
}

/* ------------------------------------------------------------------------------------------
 * The chain.
 */

static void release_count(void *ctx)
{
    ++*(int *)ctx;
}

TEST(resp_writer_releases_each_reference_once_when_it_is_sent)
{
    struct resp_out out;
    resp_out_init(&out);
    int released[3] = {0, 0, 0};
    resp_bulk_header(&out, 5000);
    static const char large[5000] = "large";
    resp_reference(&out, large, sizeof(large), release_count, &released[0]);
    resp_bulk_end(&out);
    resp_reference(&out, large, 10, release_count, &released[1]);
    resp_reference(&out, large, 0, release_count, &released[2]);
    EXPECT_INT(released[2], 1); /* Nothing to send: at once. */
    EXPECT(out.memory > 5000);
    struct iovec pieces[8];
    EXPECT_INT(resp_out_peek(&out, out.written, pieces, 8), 4);
    EXPECT(pieces[1].iov_base == (const void *)large && pieces[1].iov_len == 5000);
    EXPECT_INT(resp_out_peek(&out, out.written, pieces, 2), 2);
    resp_out_consume(&out, 7 + 4999);
    EXPECT_INT(released[0], 0);
    EXPECT_INT(resp_out_peek(&out, out.written, pieces, 1), 1);
    EXPECT_INT(pieces[0].iov_len, 1);
    resp_out_consume(&out, 1);
    EXPECT_INT(released[0], 1);
    EXPECT_INT(released[1], 0);
    resp_out_consume(&out, 12);
    EXPECT_INT(released[0] + released[1] + released[2], 3);
    EXPECT(out.first == NULL && out.memory == 0);
    resp_out_deinit(&out);
    EXPECT_INT(released[0] + released[1] + released[2], 3);
    resp_out_deinit(NULL);
}

TEST(resp_writer_releases_references_that_are_rolled_back_or_dropped)
{
    struct resp_out out;
    resp_out_init(&out);
    int kept = 0;
    int dropped = 0;
    resp_simple(&out, "OK");
    resp_reference(&out, "0123456789", 10, release_count, &kept);
    uint64_t position = out.written;
    resp_bulk(&out, "abc", 3);
    resp_reference(&out, "0123456789", 10, release_count, &dropped);
    resp_integer(&out, 5);
    resp_out_rollback(&out, position);
    EXPECT_INT(dropped, 1);
    EXPECT_INT(kept, 0);
    resp_out_rollback(&out, position - 4); /* Within a reference: its beginning stays. */
    EXPECT_INT(kept, 0);
    resp_simple(&out, "NEXT");
    size_t size;
    char *text = pending_copy(&out, &size);
    EXPECT_TEXT(text, "+OK\r\n012345+NEXT\r\n");
    free(text);
    resp_out_deinit(&out);
    EXPECT_INT(kept, 1);
    EXPECT_INT(dropped, 1);
}

TEST(resp_writer_keeps_little_memory_between_references)
{
    struct resp_out out;
    resp_out_init(&out);
    static const char value[RESP_REFERENCE_MIN] = "value";
    for (int i = 0; i < 1000; i++) {
        resp_bulk_header(&out, sizeof(value));
        resp_reference(&out, value, sizeof(value), NULL, NULL);
        resp_bulk_end(&out);
    }
    EXPECT(out.memory < out.written * 5 / 4);
    resp_out_deinit(&out);
}

static size_t allocations_refused;
static size_t allocations_left;

static void *realloc_scarce(void *memory, size_t size)
{
    if (allocations_left == 0) {
        allocations_refused++;
        return NULL;
    }
    allocations_left--;
    return realloc(memory, size);
}

/* A few replies of every road that needs memory. */
static void write_for_fault(struct resp_out *out, int *released)
{
    static char large[40000];
    memset(large, 'x', sizeof(large));
    resp_simple(out, "OK");
    resp_bulk(out, large, sizeof(large));
    resp_reference(out, large, 5000, release_count, released);
    resp_error_format(out, "ERR %.*s", 3000, large);
    resp_double(out, 0.25);
    resp_bulk(out, large, 20000);
}

static void *fault_loop(void *ctx)
{
    const char **complaint = ctx;
    resp_realloc = realloc_scarce;
    bool met = true;
    for (size_t allowed = 0; met; allowed++) {
        struct resp_out out;
        resp_out_init(&out);
        int released = 0;
        allocations_refused = 0;
        allocations_left = allowed;
        write_for_fault(&out, &released);
        met = allocations_refused > 0;
        if (met != out.failed || released > 1) {
            *complaint = "a refused allocation does not show, or a reference is released wrongly";
            break;
        }
        uint64_t written = out.written;
        resp_integer(&out, 1);
        resp_raw(&out, "x", 1);
        if (out.failed && out.written != written) {
            *complaint = "a failed chain goes on writing";
            break;
        }
        resp_out_rollback(&out, 0);
        allocations_left = 1;
        resp_simple(&out, "OK");
        struct iovec piece;
        if (out.failed || released != 1 || resp_out_peek(&out, out.written, &piece, 1) != 1 ||
            piece.iov_len != 5 || memcmp(piece.iov_base, "+OK\r\n", 5) != 0) {
            *complaint = "a chain does not recover by rollback";
            break;
        }
        resp_out_deinit(&out);
        if (allowed > 100) {
            *complaint = "the faults do not end";
            break;
        }
    }
    return NULL;
}

/* In a thread, whose end also gives its spare blocks back. */
TEST(resp_writer_fails_and_recovers_whichever_allocation_is_refused)
{
    pthread_t thread;
    const char *complaint = NULL;
    EXPECT(pthread_create(&thread, NULL, fault_loop, &complaint) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    resp_realloc = realloc;
    if (complaint != NULL) {
        test_fail(__FILE__, __LINE__, "%s", complaint);
    }
}

/* ------------------------------------------------------------------------------------------
 * Against a plain model: one array of all bytes ever written.
 */

#define MODEL_SIZE (1u << 21)
#define MODEL_REFERENCES 4096

struct model {
    unsigned char *bytes; /* By position. */
    uint64_t written, consumed;
    struct {
        uint64_t start, end; /* Of its bytes; equal once all are taken back. */
        int released;
    } references[MODEL_REFERENCES];
    int reference_count;
};

static void model_add(struct model *model, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(model->bytes + model->written, data, size);
    }
    model->written += size;
}

static void expect_like_model(const struct resp_out *out, const struct model *model, uint64_t end,
                              int count)
{
    static struct iovec pieces[4096];
    int used = resp_out_peek(out, end, pieces, count);
    EXPECT(used <= count);
    uint64_t position = model->consumed;
    for (int i = 0; i < used; i++) {
        EXPECT(pieces[i].iov_len > 0 && position + pieces[i].iov_len <= end);
        EXPECT(memcmp(model->bytes + position, pieces[i].iov_base, pieces[i].iov_len) == 0);
        position += pieces[i].iov_len;
    }
    EXPECT(position == end || used == count || end < model->consumed);
    EXPECT(out->written == model->written && out->consumed == model->consumed);
    EXPECT((out->first == NULL) == (out->written == out->consumed));
    EXPECT((out->memory == 0) == (out->first == NULL));
}

/* A reference cut by a rollback ends where it was cut; one whose bytes are all gone is released. */
static void expect_releases_like_model(struct model *model)
{
    for (int i = 0; i < model->reference_count; i++) {
        bool pending = model->references[i].end > model->consumed;
        EXPECT_INT(model->references[i].released, pending ? 0 : 1);
    }
}

static void model_write(struct resp_out *out, struct model *model, uint64_t *random,
                        const unsigned char *source)
{
    char text[80];
    size_t size = test_random_below(random, test_random_below(random, 6) == 0 ? 40000 : 200);
    const unsigned char *data = source + test_random_below(random, 1000);
    int64_t number = (int64_t)test_random(random) >> test_random_below(random, 64);
    switch (test_random_below(random, 4)) {
    case 0:
        resp_raw(out, data, size);
        model_add(model, data, size);
        break;
    case 1:
        resp_bulk(out, data, size);
        model_add(model, text, (size_t)sprintf(text, "$%zu\r\n", size));
        model_add(model, data, size);
        model_add(model, "\r\n", 2);
        break;
    case 2:
        resp_integer(out, number);
        model_add(model, text, (size_t)sprintf(text, ":%lld\r\n", (long long)number));
        break;
    default:
        if (model->reference_count < MODEL_REFERENCES) {
            int index = model->reference_count++;
            model->references[index].released = 0;
            resp_reference(out, data, size, release_count, &model->references[index].released);
            model_add(model, data, size);
            model->references[index].start = model->written - size;
            model->references[index].end = size == 0 ? 0 : model->written;
        }
    }
}

static void model_rollback(struct resp_out *out, struct model *model, uint64_t position)
{
    resp_out_rollback(out, position);
    for (int i = 0; i < model->reference_count; i++) {
        if (model->references[i].end > position) {
            bool cut = model->references[i].start < position;
            model->references[i].end = cut ? position : 0;
        }
    }
    model->written = position;
}

TEST(resp_writer_behaves_like_one_array_under_random_operations)
{
    uint64_t random = test_seed();
    static unsigned char source[42000];
    for (size_t i = 0; i < sizeof(source); i++) {
        source[i] = (unsigned char)test_random(&random);
    }
    static struct model model;
    model.bytes = malloc(MODEL_SIZE);
    for (int round = 0; round < 20; round++) {
        struct resp_out out;
        resp_out_init(&out);
        model.written = model.consumed = 0;
        model.reference_count = 0;
        while (model.written < MODEL_SIZE - 50000 && model.reference_count < MODEL_REFERENCES) {
            uint64_t pending = model.written - model.consumed;
            uint64_t some = test_random_below(&random, pending + 1);
            switch (test_random_below(&random, 8)) {
            case 0: /* Near the end, as replies are, or anywhere. */
                some = some % 2 == 0 && some > 100 ? some % 100 : some;
                model_rollback(&out, &model, model.written - some);
                break;
            case 1:
                resp_out_consume(&out, (size_t)some);
                model.consumed += some;
                break;
            case 2:
                resp_out_consume(&out, (size_t)pending);
                model.consumed += pending;
                break;
            default:
                model_write(&out, &model, &random, source);
            }
            expect_like_model(&out, &model, model.written, 4096);
            uint64_t end = model.consumed + some % 50;
            expect_like_model(&out, &model, end < model.written ? end : model.written, 3);
            expect_releases_like_model(&model);
        }
        model_rollback(&out, &model, model.consumed);
        expect_releases_like_model(&model);
        resp_out_deinit(&out);
    }
    free(model.bytes);
}
