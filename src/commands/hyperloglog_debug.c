/* PFDEBUG: a HyperLogLog as it is stored. GETREG makes it dense on the way, as in Redis. */
#include "src/commands/hyperloglog_private.h"

#include <stdio.h>

#define RUN_TEXT_MAX 16

/* Z:n and z:n for long and short runs of zeros, v:value,n for the others. */
static enum status reply_runs(struct call *call, struct bytes sketch)
{
    struct hll_run run;
    size_t size = 0;
    char *text = arena_alloc(call->arena, sketch.size * RUN_TEXT_MAX);
    if (text == NULL) {
        return ST_NOMEM;
    }
    for (size_t at = HLL_HEADER_SIZE; hll_run_at(sketch, at, &run); at += run.size) {
        char *to = text + size;
        const char *space = size == 0 ? "" : " ";
        int length = run.value > 0
                         ? snprintf(to, RUN_TEXT_MAX, "%sv:%u,%u", space, run.value, run.length)
                         : snprintf(to, RUN_TEXT_MAX, "%s%c:%u", space, run.size == 1 ? 'z' : 'Z',
                                    run.length);
        size += (size_t)length;
    }
    resp_bulk(call->out, text, size);
    return ST_OK;
}

static enum status reply_registers(struct call *call, struct bytes sketch)
{
    unsigned char *registers = arena_alloc(call->arena, HLL_REGISTERS);
    if (registers == NULL) {
        return ST_NOMEM;
    }
    memset(registers, 0, HLL_REGISTERS);
    enum status status = hll_merge(sketch, registers);
    if (status != ST_OK) {
        return status;
    }
    resp_array(call->out, HLL_REGISTERS);
    for (size_t i = 0; i < HLL_REGISTERS; i++) {
        resp_integer(call->out, registers[i]);
    }
    return ST_OK;
}

static enum status make_dense(struct call *call, const struct sketch *sketch)
{
    struct hll hll;
    enum status status = hyperloglog_edit(call, sketch, &hll);
    if (status == ST_OK) {
        status = hll_make_dense(&hll);
    }
    return status == ST_OK ? hyperloglog_store(call, sketch, &hll) : status;
}

/* ST_CORRUPT: the sketch is, and nothing was replied. */
static enum status show(struct call *call, const struct sketch *sketch)
{
    struct bytes word = call->argv[1];
    bool sparse = hll_encoding(sketch->bytes) == HLL_SPARSE;
    if (argument_is(word, "encoding")) {
        resp_simple(call->out, sparse ? "sparse" : "dense");
        return ST_OK;
    }
    if (argument_is(word, "decode")) {
        if (sparse) {
            return reply_runs(call, sketch->bytes);
        }
        resp_error(call->out, "ERR HLL encoding is not sparse");
        return ST_OK;
    }
    if (argument_is(word, "getreg")) {
        enum status status = reply_registers(call, sketch->bytes);
        return status == ST_OK && sparse ? make_dense(call, sketch) : status;
    }
    if (argument_is(word, "todense")) {
        enum status status = sparse ? make_dense(call, sketch) : ST_OK;
        if (status == ST_OK) {
            resp_integer(call->out, sparse);
        }
        return status;
    }
    resp_error_format(call->out, "ERR Unknown PFDEBUG subcommand '%.*s'",
                      (int)(word.size < ERROR_WORD_MAX ? word.size : ERROR_WORD_MAX),
                      (const char *)word.data);
    return ST_OK;
}

enum status hyperloglog_pfdebug(struct call *call)
{
    struct value value;
    struct sketch sketch = {0};
    enum status status = txn_read(call->txn, 0, &value);
    if (status == ST_OK) {
        status = hyperloglog_sketch(call, &value, &sketch);
    }
    if (status != ST_OK || !sketch.fits) {
        return status;
    }
    if (!sketch.present) {
        resp_error(call->out, "ERR The specified key does not exist");
        return ST_OK;
    }
    status = show(call, &sketch);
    if (status == ST_CORRUPT) {
        hyperloglog_reply_corrupt(call);
        return ST_OK;
    }
    return status;
}
