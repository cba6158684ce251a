#include "tests/lib/wlog_world.h"

#include <stdlib.h>

static void count_wake(void *ctx)
{
    struct world *world = ctx;
    world->wakes++;
}

void world_init(struct world *world, struct io *io, const char *dir, uint64_t seed)
{
    *world = (struct world){.chance = seed * 2 + 1, .trim_lsn = WLOG_LSN_FIRST};
    world->promised = WLOG_LSN_FIRST;
    world->options = (struct wlog_options){
        .io = io,
        .dir = dir,
        .sync = WLOG_SYNC_ALWAYS,
        .segment_size = 64 << 10,
        .flushes_max = 4,
        .unflushed_max = 1 << 20,
    };
}

void world_deinit(struct world *world)
{
    wlog_close(world->log);
    buf_deinit(&world->stream);
    buf_deinit(&world->ends);
}

static uint64_t model_end(const struct world *world)
{
    return WLOG_LSN_FIRST + world->stream.size;
}

static enum status compare_piece(void *ctx, uint64_t lsn, struct bytes piece)
{
    struct world *world = ctx;
    world->pieces++;
    EXPECT_INT(lsn, world->replay_lsn);
    EXPECT(piece.size > 0);
    EXPECT(lsn + piece.size <= model_end(world)); /* Nothing unasked appears. */
    EXPECT(memcmp(world->stream.data + (lsn - WLOG_LSN_FIRST), piece.data, piece.size) == 0);
    world->replay_lsn += piece.size;
    return ST_OK;
}

/* The end of the last append that ends at lsn or before; WLOG_LSN_FIRST: there is none. */
static uint64_t last_end(const struct world *world, uint64_t lsn, size_t *count_out)
{
    size_t count = world->ends.size / sizeof(uint64_t);
    while (count > 0) {
        uint64_t end = load_u64(world->ends.data + (count - 1) * sizeof(uint64_t));
        if (end <= lsn) {
            *count_out = count;
            return end;
        }
        count--;
    }
    *count_out = 0;
    return WLOG_LSN_FIRST;
}

/* What was appended and not replayed whole is gone from the model, too. */
static void model_cut(struct world *world)
{
    size_t count;
    uint64_t end = last_end(world, world->replay_lsn, &count);
    EXPECT(end >= world->trim_lsn);
    world->ends.size = count * sizeof(uint64_t);
    world->stream.size = (size_t)(end - WLOG_LSN_FIRST);
}

enum status world_recover(struct world *world)
{
    struct wlog_history history = {
        .generations = world->generations,
        .generation_count = world->generation_count,
        .trim_lsn = world->trim_lsn,
        .durable_lsn = world->durable_lsn,
    };
    EXPECT(world->log == NULL);
    enum status status = wlog_open(&world->options, &history, &world->log);
    if (status != ST_OK) {
        world->log = NULL;
        return status;
    }
    world->replay_lsn = world->trim_lsn;
    world->pieces = 0;
    status = wlog_replay(world->log, compare_piece, world);
    if (status != ST_OK) {
        wlog_close(world->log);
        world->log = NULL;
        return status;
    }
    EXPECT(world->replay_lsn >= world->promised); /* W1. */
    EXPECT_INT(wlog_end(world->log), world->replay_lsn);
    model_cut(world);
    return ST_OK;
}

enum status world_start(struct world *world)
{
    EXPECT(world->generation_count < WORLD_GENERATIONS_MAX);
    size_t count = world->generation_count;
    uint32_t number = count == 0 ? 1 : world->generations[count - 1].number + 1;
    world->generations[count] = (struct wlog_generation){number, model_end(world)};
    world->generation_count++;
    world->promised = model_end(world); /* The manifest now builds on it. */
    enum status status = wlog_start(world->log, number, model_end(world));
    if (status == ST_OK) {
        wlog_set_waker(world->log, count_wake, world);
    }
    return status;
}

void world_go(struct world *world)
{
    EXPECT_INT(world_recover(world), ST_OK);
    EXPECT_INT(world_start(world), ST_OK);
}

uint64_t world_look(struct world *world)
{
    uint64_t durable = wlog_durable(world->log);
    EXPECT(durable >= world->promised);
    EXPECT(durable <= wlog_end(world->log));
    world->promised = durable;
    return durable;
}

enum status world_append(struct world *world, uint64_t size)
{
    enum status status = wlog_reserve(world->log, size);
    if (status != ST_OK) {
        return status;
    }
    uint64_t lsn = model_end(world);
    unsigned char *room = buf_extend(&world->stream, size);
    EXPECT(room != NULL);
    for (uint64_t i = 0; i < size; i++) {
        room[i] = (unsigned char)test_random(&world->chance);
    }
    /* In parts, one of them empty. */
    uint64_t cut = test_random_below(&world->chance, size + 1);
    struct bytes parts[] = {bytes_of(room, cut), BYTES_NONE, bytes_of(room + cut, size - cut)};
    EXPECT_INT(wlog_append(world->log, size, parts, 3), lsn);
    EXPECT_INT(wlog_end(world->log), lsn + size);
    uint64_t end = lsn + size;
    EXPECT(buf_append(&world->ends, bytes_of(&end, sizeof(end))) == ST_OK);
    return ST_OK;
}

void world_write(struct world *world, uint64_t size)
{
    enum status status;
    for (unsigned i = 0; (status = world_append(world, size)) == ST_WAIT; i++) {
        EXPECT(i < 10000);
        wlog_flush(world->log);
        wlog_reap(world->log);
        wlog_tick(world->log);
    }
    EXPECT_INT(status, ST_OK);
}

void world_trim(struct world *world)
{
    size_t count;
    world->trim_lsn = last_end(world, world_look(world), &count);
    wlog_trim(world->log, world->trim_lsn);
}

void world_settle(struct world *world)
{
    struct wlog_stats stats;
    do {
        wlog_flush(world->log);
        wlog_reap(world->log);
        wlog_get_stats(world->log, &stats);
        world_look(world);
    } while (stats.in_flight > 0);
}

void world_close(struct world *world, bool clean)
{
    if (clean) {
        EXPECT_INT(wlog_sync_now(world->log), ST_OK);
        world->promised = world->durable_lsn = wlog_end(world->log);
        EXPECT_INT(wlog_durable(world->log), model_end(world));
    }
    wlog_close(world->log);
    world->log = NULL;
}
