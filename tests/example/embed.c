/* An example of the engine without the server: a program that keeps a counter and a list of its
 * runs, and says "done" only once both are on disk.
 *
 *     build/release/tests/example/embed DIRECTORY
 *
 * make test runs it twice and compares what it prints.
 */
#include "engine/basin.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A program with one thread never meets a locked shard; it may still be told to wait for log space.
 * Then wake is called from the log's thread. */
static void wake(void *ctx)
{
    atomic_store((_Atomic bool *)ctx, true);
}

/* What one run does: read, then change. Called again from the start if it answers ST_WAIT. */
static enum status count_run(struct txn *txn, int64_t *runs_out)
{
    struct value value;
    enum status status = txn_read(txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    int64_t runs = 0;
    if (value.type == VALUE_STRING && !bytes_to_int64(value.packed, &runs)) {
        return ST_INVALID;
    }
    runs++;
    char text[INT64_TEXT_MAX];
    struct bytes number = bytes_of(text, int64_to_text(runs, text));
    status = txn_text_set(txn, 0, number, BASIN_NO_EXPIRY);
    if (status == ST_OK) {
        status = txn_list_push(txn, 1, LIST_RIGHT, &number, 1);
    }
    *runs_out = runs;
    return status;
}

static enum status run(struct basin *basin, int64_t *runs_out)
{
    _Atomic bool woken = false;
    struct txn *txn = NULL;
    enum status status = txn_new(basin, wake, &woken, &txn);
    if (status != ST_OK) {
        return status;
    }
    txn_begin(txn, (uint64_t)time(NULL) * 1000, 1);
    status = txn_plan(txn, 0, bytes_of_text("runs"));
    if (status == ST_OK) {
        status = txn_plan(txn, 0, bytes_of_text("history"));
    }
    while (status == ST_OK) {
        status = txn_lock(txn);
        if (status == ST_OK) {
            status = txn_reserve(txn, 1024);
        }
        if (status == ST_OK) {
            status = count_run(txn, runs_out);
        }
        if (status != ST_WAIT) {
            uint64_t lsn = 0;
            txn_end(txn, &lsn);
            status = status == ST_OK ? basin_wait(basin, lsn) : status;
            break;
        }
        txn_retry(txn);
        while (!atomic_exchange(&woken, false)) {
            usleep(100);
        }
        status = ST_OK;
    }
    txn_free(txn);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: embed DIRECTORY\n");
        return 2;
    }
    struct basin_options options = basin_options_default();
    options.dir = argv[1];
    struct basin *basin = NULL;
    enum status status = basin_open(&options, &basin);
    int64_t runs = 0;
    if (status == ST_OK) {
        status = run(basin, &runs);
        basin_close(basin);
    }
    if (status != ST_OK) {
        fprintf(stderr, "embed: %s\n", status_name(status));
        return 1;
    }
    printf("done: run %lld\n", (long long)runs);
    return 0;
}
