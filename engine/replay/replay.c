/* The reader's work a record is small on purpose: walk the header, hash the key, copy the bytes
 * into the committer's batch. A batch that is full goes into the committer's queue, which is short,
 * so that a slow committer holds the reader up instead of filling memory.
 */
#include "engine/replay/replay.h"

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/replay/apply.h"

#include <stdlib.h>
#include <unistd.h>

#define BATCH_SIZE (256 * 1024)
#define QUEUE_MAX 8
#define COMMITTERS_MAX 64

struct batch_row {
    uint64_t lsn, hash;
    size_t size; /* Of what follows, padded to 8: a record, */
    bool seals;  /* or the key of one whose group ends with this LSN. */
    uint32_t namespace_id;
};

struct batch {
    struct batch *next;
    struct buf data; /* (batch_row, record or key) … */
};

struct committer {
    struct basin *basin;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct batch *first, *last; /* To be applied. */
    struct batch *spare;        /* Applied, to be filled again. */
    unsigned queued;            /* Waiting or being applied. */
    bool end;
    enum status status;    /* The first failure. */
    struct batch *filling; /* The reader's. */
};

struct replay {
    struct basin *basin;
    struct committer *committers;
    unsigned committer_count;
    struct buf rest;  /* The beginning of a record that goes on in the next piece. */
    struct buf group; /* Records of a group whose last is yet to come. */
    uint64_t lsn;     /* Of the first byte in rest. */
    uint64_t group_lsn;
    uint64_t end_lsn;
    uint64_t records;
};

/* -- Committers ------------------------------------------------------------------------------ */

static enum status apply_batch(struct basin *basin, const struct batch *batch, struct buf *scratch,
                               struct load_room *room)
{
    size_t offset = 0;
    while (offset < batch->data.size) {
        struct batch_row row;
        memcpy(&row, batch->data.data + offset, sizeof(row));
        offset += sizeof(row);
        struct bytes in = bytes_of(batch->data.data + offset, row.size);
        offset += (row.size + 7) & ~(size_t)7;
        if (row.seals) {
            apply_seal(basin, row.namespace_id, in, row.hash, row.lsn);
            continue;
        }
        struct record record;
        size_t size = 0;
        enum status status = record_take(&in, &record, &size);
        if (status == ST_OK) {
            status = apply_record(basin, &record, row.hash, row.lsn, scratch, room);
        }
        if (status != ST_OK) {
            log_line(
                LOG_WARNING,
                "write log: the record that ends at LSN %llu cannot be applied (%s). Its frame "
                "is sound. Where a line above names a damaged stratum, that is why: basin-check "
                "--repair saves the rest. Else start the version of the server that wrote it, "
                "and report this line.",
                (unsigned long long)row.lsn, status_name(status));
            return status == ST_NOMEM || status == ST_IO ? status : ST_CORRUPT;
        }
    }
    return ST_OK;
}

static void *commit(void *arg)
{
    struct committer *committer = arg;
    struct buf scratch = BUF_EMPTY;
    struct load_room room;
    enum status ready = load_room_init(&room, committer->basin);
    pthread_mutex_lock(&committer->mutex);
    committer->status = ready;
    for (;;) {
        while (committer->first == NULL && !committer->end) {
            pthread_cond_wait(&committer->changed, &committer->mutex);
        }
        struct batch *batch = committer->first;
        if (batch == NULL) {
            break;
        }
        committer->first = batch->next;
        enum status status = committer->status;
        pthread_mutex_unlock(&committer->mutex);
        if (status == ST_OK) {
            status = apply_batch(committer->basin, batch, &scratch, &room);
        }
        batch->data.size = 0;
        pthread_mutex_lock(&committer->mutex);
        committer->status = status;
        batch->next = committer->spare;
        committer->spare = batch;
        committer->queued--;
        pthread_cond_broadcast(&committer->changed);
    }
    pthread_mutex_unlock(&committer->mutex);
    buf_deinit(&scratch);
    load_room_deinit(&room);
    return NULL;
}

/* Hands the filled batch over, waiting while the queue is full. */
static enum status batch_send(struct committer *committer)
{
    struct batch *batch = committer->filling;
    if (batch == NULL || batch->data.size == 0) {
        return ST_OK;
    }
    committer->filling = NULL;
    batch->next = NULL;
    pthread_mutex_lock(&committer->mutex);
    while (committer->queued >= QUEUE_MAX) {
        pthread_cond_wait(&committer->changed, &committer->mutex);
    }
    if (committer->first == NULL) {
        committer->first = batch;
    } else {
        committer->last->next = batch;
    }
    committer->last = batch;
    committer->queued++;
    committer->filling = committer->spare;
    if (committer->filling != NULL) {
        committer->spare = committer->filling->next;
        committer->filling->next = NULL;
    }
    enum status status = committer->status;
    pthread_cond_broadcast(&committer->changed);
    pthread_mutex_unlock(&committer->mutex);
    return status;
}

/* -- Reader ---------------------------------------------------------------------------------- */

/* Waits until every committer has applied all it was given. */
static enum status barrier(struct replay *replay)
{
    enum status result = ST_OK;
    for (unsigned i = 0; i < replay->committer_count; i++) {
        struct committer *committer = &replay->committers[i];
        enum status status = batch_send(committer);
        pthread_mutex_lock(&committer->mutex);
        while (committer->queued > 0) {
            pthread_cond_wait(&committer->changed, &committer->mutex);
        }
        if (status == ST_OK) {
            status = committer->status;
        }
        pthread_mutex_unlock(&committer->mutex);
        if (status != ST_OK) {
            result = status;
        }
    }
    return result;
}

/* Puts the row and what follows it into its committer's batch. */
static enum status batch_add(struct replay *replay, struct batch_row row, const void *follows)
{
    unsigned shard = replay->basin->partition_shard[hash_partition(row.hash)];
    struct committer *committer = &replay->committers[shard % replay->committer_count];
    if (committer->filling == NULL) {
        committer->filling = calloc(1, sizeof(*committer->filling));
        if (committer->filling == NULL ||
            buf_reserve(&committer->filling->data, BATCH_SIZE) != ST_OK) {
            return ST_NOMEM;
        }
    }
    struct buf *data = &committer->filling->data;
    size_t padded = (row.size + 7) & ~(size_t)7;
    unsigned char *room = buf_extend(data, sizeof(row) + padded);
    if (room == NULL) {
        return ST_NOMEM;
    }
    memcpy(room, &row, sizeof(row));
    memcpy(room + sizeof(row), follows, row.size);
    return data->size >= BATCH_SIZE - 4096 ? batch_send(committer) : ST_OK;
}

static enum status deal(struct replay *replay, const struct record *record, struct bytes whole,
                        uint64_t lsn)
{
    struct basin *basin = replay->basin;
    replay->records++;
    if (record->op == RECORD_NAMESPACES) {
        enum status status = barrier(replay);
        return status == ST_OK ? apply_namespaces(basin, record, lsn) : status;
    }
    struct batch_row row = {.lsn = lsn,
                            .hash = hash_key(&basin->secret, record->namespace_id, record->key),
                            .size = whole.size};
    return batch_add(replay, row, whole.data);
}

/* Once all effects of a group are made its keys have the LSN of its end, as they had when it was
 * first run (txn.c): in strata that were written before and after the crash the same effects have
 * the same LSN. Not sooner: the LSN tells the next effect on the key whether it was made. */
static enum status seal(struct replay *replay, const struct record *record, uint64_t group_end)
{
    if (record->op == RECORD_NAMESPACES) {
        return ST_OK;
    }
    struct bytes key = record->key;
    struct batch_row row = {.lsn = group_end,
                            .hash = hash_key(&replay->basin->secret, record->namespace_id, key),
                            .size = key.size,
                            .seals = true,
                            .namespace_id = record->namespace_id};
    return batch_add(replay, row, key.data);
}

static enum status deal_group(struct replay *replay)
{
    uint64_t end = replay->group_lsn + replay->group.size;
    for (unsigned pass = 0; pass < 2; pass++) {
        struct bytes in = buf_bytes(&replay->group);
        uint64_t lsn = replay->group_lsn;
        while (in.size > 0) {
            const void *start = in.data;
            struct record record;
            size_t size = 0;
            enum status status = record_take(&in, &record, &size);
            CHECK(status == ST_OK); /* It was taken once before. */
            lsn += size;
            status = pass == 0 ? deal(replay, &record, bytes_of(start, size), lsn)
                               : seal(replay, &record, end);
            if (status != ST_OK) {
                return status;
            }
        }
    }
    buf_clear(&replay->group, BATCH_SIZE);
    return ST_OK;
}

/* One record whose first byte has this LSN. */
static enum status take(struct replay *replay, const struct record *record, struct bytes whole,
                        uint64_t lsn)
{
    bool first = (record->flags & RECORD_FIRST) != 0;
    bool last = (record->flags & RECORD_LAST) != 0;
    if (first != (replay->group.size == 0)) {
        log_line(LOG_WARNING, "write log: a record group is broken at LSN %llu",
                 (unsigned long long)lsn);
        return ST_CORRUPT;
    }
    enum status status = ST_OK;
    if (first && last) {
        status = deal(replay, record, whole, lsn + whole.size);
    } else {
        if (first) {
            replay->group_lsn = lsn;
        }
        status = buf_append(&replay->group, whole);
        if (status == ST_OK && last) {
            status = deal_group(replay);
        }
    }
    if (last) {
        replay->end_lsn = lsn + whole.size;
    }
    return status;
}

/* Takes all whole records of in, whose first byte has this LSN; in becomes what is left.
 * needed_out: the size of the record that is cut short. */
static enum status take_all(struct replay *replay, struct bytes *in, uint64_t lsn,
                            size_t *needed_out)
{
    for (;;) {
        struct bytes before = *in;
        struct record record;
        size_t size = 0;
        enum status status = record_take(in, &record, &size);
        if (status == ST_WAIT) {
            *needed_out = size;
            return ST_OK;
        }
        if (status != ST_OK) {
            log_line(
                LOG_WARNING,
                "write log: no record of ours at LSN %llu, in a sound frame: start the version "
                "of the server that wrote it",
                (unsigned long long)lsn);
            return status;
        }
        status = take(replay, &record, bytes_of(before.data, size), lsn);
        if (status != ST_OK) {
            return status;
        }
        lsn += size;
    }
}

static enum status piece(void *ctx, uint64_t lsn, struct bytes in)
{
    struct replay *replay = ctx;
    if (replay->rest.size == 0) {
        replay->lsn = lsn;
    }
    CHECK(replay->lsn + replay->rest.size == lsn); /* The log hands out a gap-free stream. */
    /* First the record that began in an earlier piece: just what it lacks is copied. */
    while (replay->rest.size > 0 && in.size > 0) {
        struct bytes rest = buf_bytes(&replay->rest);
        size_t needed = 0;
        enum status status = take_all(replay, &rest, replay->lsn, &needed);
        if (status != ST_OK) {
            return status;
        }
        size_t taken = replay->rest.size - rest.size;
        if (taken > 0) {
            CHECK(rest.size == 0);
            replay->lsn += taken;
            buf_clear(&replay->rest, BATCH_SIZE);
            break;
        }
        size_t lacking = needed - replay->rest.size;
        struct bytes part = bytes_slice(in, 0, lacking);
        if (buf_append(&replay->rest, part) != ST_OK) {
            return ST_NOMEM;
        }
        in = bytes_slice(in, part.size, in.size);
    }
    size_t needed = 0;
    if (replay->rest.size > 0) { /* The piece ended first, perhaps with the record. */
        struct bytes rest = buf_bytes(&replay->rest);
        enum status status = take_all(replay, &rest, replay->lsn, &needed);
        if (status == ST_OK && rest.size < replay->rest.size) {
            replay->lsn += replay->rest.size;
            buf_clear(&replay->rest, BATCH_SIZE);
        }
        return status;
    }
    struct bytes before = in;
    enum status status = take_all(replay, &in, replay->lsn, &needed);
    replay->lsn += before.size - in.size;
    if (status == ST_OK && in.size > 0) {
        status = buf_append(&replay->rest, in);
    }
    return status;
}

/* -- Run ------------------------------------------------------------------------------------- */

static enum status committers_start(struct replay *replay)
{
    for (unsigned i = 0; i < replay->committer_count; i++) {
        struct committer *committer = &replay->committers[i];
        committer->basin = replay->basin;
        pthread_mutex_init(&committer->mutex, NULL);
        pthread_cond_init(&committer->changed, NULL);
        if (pthread_create(&committer->thread, NULL, commit, committer) != 0) {
            return ST_NOMEM;
        }
        committer->started = true;
    }
    return ST_OK;
}

static void batch_list_free(struct batch *batch)
{
    while (batch != NULL) {
        struct batch *next = batch->next;
        buf_deinit(&batch->data);
        free(batch);
        batch = next;
    }
}

static void committers_stop(struct replay *replay)
{
    for (unsigned i = 0; i < replay->committer_count; i++) {
        struct committer *committer = &replay->committers[i];
        if (!committer->started) {
            continue;
        }
        pthread_mutex_lock(&committer->mutex);
        committer->end = true;
        pthread_cond_broadcast(&committer->changed);
        pthread_mutex_unlock(&committer->mutex);
        pthread_join(committer->thread, NULL);
        batch_list_free(committer->spare);
        batch_list_free(committer->filling);
        pthread_mutex_destroy(&committer->mutex);
        pthread_cond_destroy(&committer->changed);
    }
}

enum status replay_run(struct basin *basin, unsigned committers, uint64_t *end_lsn_out)
{
    if (committers == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        committers = cores > 0 ? (unsigned)cores : 1;
    }
    committers = committers > basin->shard_count ? basin->shard_count : committers;
    committers = committers > COMMITTERS_MAX ? COMMITTERS_MAX : committers;
    struct replay replay = {.basin = basin, .committer_count = committers};
    replay.end_lsn = basin->manifest.trim_lsn;
    replay.committers = calloc(committers, sizeof(*replay.committers));
    if (replay.committers == NULL) {
        return ST_NOMEM;
    }
    uint64_t start_us = io_now_us(basin->io);
    enum status status = committers_start(&replay);
    if (status == ST_OK) {
        status = wlog_replay(basin->log, piece, &replay);
    }
    if (status == ST_OK) {
        status = barrier(&replay);
    }
    committers_stop(&replay);
    free(replay.committers);
    buf_deinit(&replay.rest);
    buf_deinit(&replay.group);
    basin->replayed_records = replay.records;
    basin->replay_us = io_now_us(basin->io) - start_us;
    *end_lsn_out = replay.end_lsn;
    return status;
}
