/* The whole engine on the simulated disk, against a model: whatever the disk does, what comes back
 * after a power cut is the state after some command between the last acknowledged and the last
 * issued one (W1, W3), with groups whole (W2). */
#include "engine/basin.h"
#include "tests/lib/session.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS 6 /* Of each type. */
#define STATES_MAX 512

struct trial {
    struct sim_disk *disk;
    struct basin *basin;
    struct session session;
    uint64_t chance;
    /* What the store held after each command since the last acknowledged one: [0] is that. */
    struct buf states[STATES_MAX];
    unsigned state_count;
};

static enum status store_open(struct trial *trial)
{
    struct basin_options options = basin_options_default();
    options.dir = "store";
    options.io = sim_disk_io(trial->disk);
    options.shards = 4;
    options.replay_threads = 2;
    options.segment_size = 32 << 10; /* Many rotations. */
    options.flushes_max = 1 + (unsigned)test_random_below(&trial->chance, 4);
    enum status status = basin_open(&options, &trial->basin);
    if (status == ST_OK) {
        session_open(&trial->session, trial->basin);
        trial->session.pump = true;
    }
    return status;
}

static void store_close(struct trial *trial)
{
    session_close(&trial->session);
    basin_close(trial->basin);
    trial->basin = NULL;
}

/* -- The state as text ------------------------------------------------------------------------- */

static enum status piece_append(void *ctx, struct value_piece piece)
{
    enum status status = buf_append(ctx, piece.data);
    return status == ST_OK ? buf_append(ctx, bytes_of(",", 1)) : status;
}

static enum status dump(struct txn *txn, void *ctx)
{
    struct buf *out = ctx;
    out->size = 0;
    for (unsigned i = 0; i < 2 * KEYS; i++) {
        struct value value;
        enum status status = txn_read(txn, i, &value);
        if (status != ST_OK) {
            return status;
        }
        if (value.type == VALUE_STRING) {
            status = text_pieces(&value, 0, text_size(&value), piece_append, out);
        } else if (value.type == VALUE_LIST) {
            status = list_walk(&value, 0, list_count(&value), false, piece_append, out);
        }
        if (status == ST_OK) {
            status = buf_append(out, bytes_of(";", 1));
        }
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

static char key_names[2 * KEYS][8];

static void keys_of(struct bytes keys[2 * KEYS])
{
    for (unsigned i = 0; i < 2 * KEYS; i++) {
        snprintf(key_names[i], sizeof(key_names[i]), "%s%u", i < KEYS ? "t" : "l", i % KEYS);
        keys[i] = bytes_of_text(key_names[i]);
    }
}

static void state_take(struct trial *trial, struct buf *out)
{
    struct bytes keys[2 * KEYS];
    keys_of(keys);
    EXPECT_INT(session_run(&trial->session, 0, keys, 2 * KEYS, false, 0, dump, out), ST_OK);
}

/* -- Commands --------------------------------------------------------------------------------- */

struct command {
    unsigned kind;
    uint64_t chance;
    char text[1400];
};

/* A group over two keys: what moves from one list to another is nowhere or in one of them. */
static enum status move(struct txn *txn)
{
    struct value value;
    enum status status = txn_read(txn, 0, &value);
    if (status != ST_OK || value.type == VALUE_NONE) {
        return status;
    }
    struct value_piece piece;
    status = list_at(&value, 0, &piece);
    struct bytes element = {malloc(piece.data.size + 1), piece.data.size};
    memcpy((void *)element.data, piece.data.data, element.size);
    if (status == ST_OK) {
        status = txn_reserve(txn, element.size + 2048);
    }
    if (status == ST_OK) {
        status = txn_list_pop(txn, 0, LIST_LEFT, 1);
    }
    if (status == ST_OK) {
        status = txn_list_push(txn, 1, LIST_RIGHT, &element, 1);
    }
    free((void *)element.data);
    return status;
}

static enum status command_run(struct txn *txn, void *ctx)
{
    struct command *command = ctx;
    struct bytes text = bytes_of_text(command->text);
    struct value value;
    enum status status = txn_read(txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    uint64_t count = value.type == VALUE_LIST ? list_count(&value) : 0;
    uint64_t index = count == 0 ? 0 : command->chance % count;
    switch (command->kind) {
    case 0:
        return txn_text_set(txn, 0, text, BASIN_NO_EXPIRY);
    case 1:
        return txn_text_write(txn, 0, value.type == VALUE_NONE ? 0 : text_size(&value), text);
    case 2:
        return txn_delete(txn, 0, NULL);
    case 3:
        return txn_list_push(txn, 0, command->chance & 1, &text, 1);
    case 4:
        return count == 0 ? ST_OK : txn_list_pop(txn, 0, command->chance & 1, 1 + index / 4);
    case 5:
        return count == 0 ? ST_OK : txn_list_set(txn, 0, index, text);
    case 6:
        return count == 0 ? ST_OK : txn_list_insert(txn, 0, index, text);
    case 7:
        return count == 0 ? ST_OK : txn_list_trim(txn, 0, index / 2, count - index / 2);
    default:
        return move(txn);
    }
}

static enum status command_issue(struct trial *trial)
{
    struct bytes keys[2 * KEYS];
    keys_of(keys);
    struct command command = {.kind = (unsigned)test_random_below(&trial->chance, 10),
                              .chance = test_random(&trial->chance) >> 8};
    command.kind = command.kind > 8 ? 3 : command.kind;
    size_t size = test_random_below(&trial->chance, 8) == 0
                      ? test_random_below(&trial->chance, sizeof(command.text) - 1)
                      : 1 + test_random_below(&trial->chance, 12);
    for (size_t i = 0; i < size; i++) {
        command.text[i] = (char)('a' + test_random_below(&trial->chance, 26));
    }
    command.text[size] = 0;
    unsigned base = command.kind <= 1 ? 0 : command.kind == 2 ? (command.chance & 1) * KEYS : KEYS;
    struct bytes used[2] = {keys[base + test_random_below(&trial->chance, KEYS)],
                            keys[base + test_random_below(&trial->chance, KEYS)]};
    size_t key_count = command.kind == 8 && !bytes_equal(used[0], used[1]) ? 2 : 1;
    if (command.kind == 8 && key_count == 1) {
        command.kind = 3;
    }
    return session_run(&trial->session, 0, used, key_count, false, 4096, command_run, &command);
}

/* Issues commands until one fails, a number is reached, or the disk is to be cut; some are waited
 * for (acknowledged), most are not. */
static void work(struct trial *trial, unsigned commands)
{
    for (unsigned i = 0; i < commands && trial->state_count < STATES_MAX; i++) {
        enum status status = command_issue(trial);
        if (status != ST_OK) {
            EXPECT(status == ST_IO || status == ST_FULL);
            return;
        }
        state_take(trial, &trial->states[trial->state_count++]);
        switch (test_random_below(&trial->chance, 8)) {
        case 0:
            if (basin_wait(trial->basin, basin_end(trial->basin)) != ST_OK) {
                return;
            }
            /* Acknowledged: earlier states are out of the question. */
            struct buf first = trial->states[0];
            trial->states[0] = trial->states[trial->state_count - 1];
            trial->states[trial->state_count - 1] = first;
            trial->state_count = 1;
            break;
        case 1:
        case 2:
            basin_flush(trial->basin);
            break;
        case 3:
            basin_reap(trial->basin);
            break;
        default:
            break;
        }
    }
}

static void expect_a_state(struct trial *trial)
{
    struct buf now = BUF_EMPTY;
    state_take(trial, &now);
    bool found = false;
    for (unsigned i = 0; i < trial->state_count && !found; i++) {
        found = bytes_equal(buf_bytes(&now), buf_bytes(&trial->states[i]));
    }
    if (!found) {
        printf("recovered %.*s\n", (int)now.size, (const char *)now.data);
        for (unsigned i = 0; i < trial->state_count; i++) {
            printf("state %u   %.*s\n", i, (int)trial->states[i].size,
                   (const char *)trial->states[i].data);
        }
    }
    EXPECT(found);
    /* From here on only this one. */
    buf_deinit(&trial->states[0]);
    trial->states[0] = now;
    trial->state_count = 1;
}

static void trial_begin(struct trial *trial, struct sim_disk *disk, uint64_t seed)
{
    memset(trial, 0, sizeof(*trial));
    trial->disk = disk;
    trial->chance = seed * 2 + 1;
    struct bytes empty = bytes_of_text(";;;;;;;;;;;;");
    EXPECT(buf_append(&trial->states[0], empty) == ST_OK);
    trial->state_count = 1;
}

static void trial_end(struct trial *trial)
{
    for (unsigned i = 0; i < STATES_MAX; i++) {
        buf_deinit(&trial->states[i]);
    }
}

static void power_cuts(unsigned rounds, unsigned lives)
{
    static struct trial trial;
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t seed = test_seed() + round;
        struct sim_disk *disk = sim_disk_new(seed);
        trial_begin(&trial, disk, seed);
        for (unsigned life = 0; life < lives; life++) {
            EXPECT_INT(store_open(&trial), ST_OK);
            expect_a_state(&trial);
            work(&trial, 1 + (unsigned)test_random_below(&trial.chance, 60));
            sim_disk_crash(disk);
            store_close(&trial);
        }
        trial_end(&trial);
        sim_disk_free(disk);
    }
}

TEST(after_any_power_cut_the_store_is_as_it_was_after_some_command_not_before_the_last_acknowledged)
{
    power_cuts(150, 6);
}

TEST(a_power_cut_during_recovery_loses_nothing_either)
{
    static struct trial trial;
    for (unsigned round = 0; round < 100; round++) {
        uint64_t seed = test_seed() + 7000 + round;
        struct sim_disk *disk = sim_disk_new(seed);
        trial_begin(&trial, disk, seed);
        for (unsigned life = 0; life < 4; life++) {
            EXPECT_INT(store_open(&trial), ST_OK);
            expect_a_state(&trial);
            work(&trial, 30);
            sim_disk_crash(disk);
            store_close(&trial);
            /* Recoveries that do not get far. */
            for (unsigned cut = 0; cut < 3; cut++) {
                sim_disk_fail_from(disk, 1 + (unsigned)test_random_below(&trial.chance, 25), ST_IO);
                if (store_open(&trial) == ST_OK) {
                    sim_disk_crash(disk);
                    store_close(&trial);
                } else {
                    sim_disk_crash(disk);
                }
            }
        }
        trial_end(&trial);
        sim_disk_free(disk);
    }
}

TEST(whichever_io_call_fails_no_acknowledged_command_is_lost)
{
    static struct trial trial;
    FOR_EACH_FAULT(disk)
    {
        trial_begin(&trial, disk, test_seed());
        if (store_open(&trial) == ST_OK) {
            work(&trial, 40);
            if (basin_dead(trial.basin)) {
                /* W4: writes are refused for good, reads go on. */
                EXPECT_INT(session_set(&trial.session, "t0", bytes_of_text("x")), ST_IO);
                struct buf now = BUF_EMPTY;
                state_take(&trial, &now);
                buf_deinit(&now);
            }
            store_close(&trial);
        }
        sim_disk_crash(disk);
        EXPECT_INT(store_open(&trial), ST_OK);
        expect_a_state(&trial);
        store_close(&trial);
        trial_end(&trial);
    }
}
