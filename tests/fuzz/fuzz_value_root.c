/* Any bytes as a root form: value_root_load refuses them, or gives a value with all parts absent
 * that answers what needs no part, waits for the rest, is captured without a row, and stores to the
 * very bytes it came from. The first byte says the type. */
#include "engine/base/check.h"
#include "engine/value/root.h"
#include "engine/value/value_class.h"
#include "tests/lib/value_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A size may be claimed that no memory would hold. */
#define ENCODED_MAX (1u << 20)

static const struct value_limits limits = {.hash_seed = 1};

static enum status check_table(void *ctx, struct parts *parts)
{
    CHECK(parts_check(parts) && parts->absent == parts->live && !parts_dirty(parts));
    return ST_OK;
}

static void expect_waits(struct value *value)
{
    struct buf scratch = BUF_EMPTY;
    struct value copy;
    enum status status = ST_OK;
    if (value_encoded_max(value) < ENCODED_MAX) {
        status = value_encode(value, &scratch);
        CHECK(status == ST_OK || status == ST_WAIT);
    }
    status = value_copy(value, &scratch, &copy);
    CHECK(status == ST_OK || status == ST_WAIT);
    if (status == ST_OK) {
        value_free(&copy);
    }
    struct parts_miss misses[64];
    size_t count = parts_take_misses(misses, 64);
    for (size_t i = 0; i < count; i++) {
        CHECK(misses[i].clast == 5 && misses[i].parts != NULL);
    }
    buf_deinit(&scratch);
}

static void expect_same(struct value *value, struct bytes form)
{
    struct value_capture capture;
    struct buf stored = BUF_EMPTY;
    CHECK(!value_dirty(value) && value_clast(value) == 5);
    CHECK(value_root_store(value, &stored) == ST_OK);
    CHECK(bytes_equal(buf_bytes(&stored), form));
    stored.size = 0;
    CHECK(value_capture(value, 5, &stored, &capture) == ST_OK);
    CHECK(capture.row_count == 0 && capture.dropped_count == 0);
    CHECK(bytes_equal(buf_bytes(&stored), form));
    value_capture_deinit(&capture);
    CHECK(value_evict_some(value, 10) == 0);
    buf_deinit(&stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct value value;
    if (size == 0) {
        return 0;
    }
    enum value_type type = data[0] % (VALUE_TYPES + 1);
    struct bytes form = bytes_of(data + 1, size - 1);
    enum status status = value_root_load(form, type, 5, &limits, &value);
    CHECK(status == ST_OK || status == ST_CORRUPT);
    if (status != ST_OK) {
        return 0;
    }
    CHECK(value.type == type && value.shape == VALUE_CLAST && !value_vanishes(&value));
    CHECK(value_encoding(&value, &limits) != NULL && value_memory(&value) > 0);
    CHECK(value_class_of(type)->tables(value.root, check_table, NULL) == ST_OK);
    (void)value_encoded_max(&value);
    expect_same(&value, form);
    expect_waits(&value);
    value_free(&value);
    return 0;
}
