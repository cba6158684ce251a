/* strata_repair: an index built anew, damaged strata and logs repaired, and servers on what is
 * left.
 *
 * A repair keeps all that is sound, names each key that it gives up, and leaves a store that goes
 * on: no value is half of what it was, and none is older than what is acknowledged after it.
 */
#include "tests/crash/specimen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- Mending ----------------------------------------------------------------------------------- */

static void expect_same_content(const char *dir)
{
    redisContext *context = NULL;
    struct process *server = serve_for(dir, &context);
    for (unsigned i = 1; i < KEYS; i += 6) { /* Before they are read, and so set. */
        char command[64];
        snprintf(command, sizeof(command), "PEXPIRETIME k:%u", i);
        if (kind_of(i) == EXPIRING) {
            EXPECT_INT(number_asked(context, command), EXPIRY_MS + i);
        }
    }
    EXPECT_INT(number_asked(context, "DBSIZE"), keys_alive());
    EXPECT_INT(read_all(context, PASSES - 1).right, KEYS);
    EXPECT_INT(number_asked(context, "DBSIZE"), keys_alive());
    redisFree(context);
    EXPECT_INT(process_stop(server), 0);
    process_free(server);
    expect_check(dir, "", 0, "sound");
}

TEST(an_index_that_is_built_anew_has_the_same_content)
{
    for (int orderly = 0; orderly <= 1; orderly++) {
        shell("rm -rf '%s'", base_dir());
        base_make(orderly == 1);
        work_make();
        expect_check(work_dir(), "--rebuild-index", 0, "nothing was changed");
        shell("diff -r '%s' '%s' -x server.log -x LOCK", base_dir(), work_dir());
        expect_check(work_dir(), "--rebuild-index --yes", 0, "done");
        shell("cmp '%s/MANIFEST' '%s/MANIFEST.before-rebuild'", base_dir(), work_dir());
        expect_check(work_dir(), "", 0, "sound");
        expect_same_content(work_dir());
    }
}

/* Deleted keys come back where their tombstones are gone; all others are as they were. */
TEST(an_index_built_from_grains_alone_has_every_key)
{
    base_make(true);
    work_make();
    expect_check(work_dir(), "--rebuild-index --from-grains --yes", 0, "done");
    expect_check(work_dir(), "", 0, "sound");
    redisContext *context = NULL;
    struct process *server = serve_for(work_dir(), &context);
    for (unsigned i = 0; i < KEYS; i++) {
        append_read(context, i);
        redisReply *reply = reply_next(context);
        struct bytes value = expected(i, PASSES - 1);
        if (kind_of(i) == DELETED) {
            EXPECT(reply->type == REDIS_REPLY_NIL || strcmp(reply->str, "gone") == 0);
        } else {
            EXPECT(reply->type == REDIS_REPLY_STRING);
            EXPECT(bytes_equal(bytes_of(reply->str, reply->len), value));
        }
        freeReplyObject(reply);
    }
    redisFree(context);
    process_free(server);
}

TEST(a_repair_saves_all_that_is_sound)
{
    base_make(true);
    uint64_t state = test_seed();
    size_t count = strata_list(base_dir(), strata, STRATA_MAX);
    unsigned lost = 0;
    for (unsigned n = 0; n < 18; n++) {
        work_make();
        flip_some(&state, count, 1 + n % 4, 4, 0x10);
        expect_check(work_dir(), "--repair", 1, "nothing was changed");
        expect_check(work_dir(), "--repair --yes", 0, "done");
        unsigned named = 0;
        for (const char *p = output; (p = strstr(p, "lost: ")) != NULL; p++) {
            named++;
        }
        expect_check(work_dir(), "", 0, "sound");
        redisContext *context = NULL;
        struct process *server = serve_for(work_dir(), &context);
        for (unsigned i = 0; i < KEYS; i++) {
            append_read(context, i);
        }
        unsigned missing = 0;
        for (unsigned i = 0; i < KEYS; i++) {
            redisReply *reply = reply_next(context);
            bool fine = reply->type == REDIS_REPLY_STRING &&
                        bytes_equal(bytes_of(reply->str, reply->len), expected(i, PASSES - 1));
            if (reply->type == REDIS_REPLY_STRING && !fine && kind_of(i) != DELETED) {
                test_fail(__FILE__, __LINE__, "k:%u is \"%.40s\"", i, reply->str);
            }
            missing += kind_of(i) != DELETED && !fine;
            freeReplyObject(reply);
        }
        EXPECT(missing <= named);
        lost += missing;
        redisFree(context);
        process_free(server);
    }
    printf("%u keys were lost in 18 repairs, each named\n", lost);
}

/* Hashes lie in strata with one field, and the log adds another one. */
TEST(a_repair_leaves_no_value_of_which_only_what_the_log_adds_is_there)
{
    base_make(true);
    struct process *server = serve_lazily(base_dir());
    EXPECT(server != NULL);
    redisContext *context = ledger_connect(server);
    freeReplyObject(redisCommand(context, "BASIN.SETTLE"));
    for (unsigned i = 2; i < KEYS; i += 6) {
        if (kind_of(i) == HASH) {
            freeReplyObject(redisCommand(context, "HSET k:%u g added", i));
        }
    }
    redisFree(context);
    process_kill(server);
    process_free(server);
    uint64_t state = test_seed();
    size_t count = strata_list(base_dir(), strata, STRATA_MAX);
    for (unsigned flips = 0; flips < 60; flips++) {
        const struct file_facts *file = &strata[test_random_below(&state, count)];
        if (file->grains_end > BLOCK) {
            flip(base_dir(), file->name,
                 BLOCK + test_random_below(&state, file->grains_end - BLOCK), 0x08);
        }
    }
    expect_check(base_dir(), "--repair --yes", 0, "done");
    server = serve_lazily(base_dir());
    EXPECT(server != NULL);
    context = ledger_connect(server);
    unsigned lost = 0;
    for (unsigned i = 2; i < KEYS; i += 6) {
        if (kind_of(i) == HASH) {
            char command[64];
            snprintf(command, sizeof(command), "HLEN k:%u", i);
            long long fields = number_asked(context, command);
            EXPECT(fields == 2 || fields == 0);
            lost += fields == 0;
        }
    }
    redisFree(context);
    process_free(server);
    printf("%u hashes were lost, none was left with half its fields\n", lost);
}

/* The store serves what it has, and what is written from now on is there after a kill. */
static void expect_goes_on(const char *dir)
{
    redisContext *context = NULL;
    struct process *server = serve_for(dir, &context);
    write_pass(context, PASSES + 1);
    redisFree(context);
    process_kill(server);
    process_restart(server);
    context = ledger_connect(server);
    EXPECT_INT(read_all(context, PASSES + 1).right, KEYS);
    EXPECT_INT(number_asked(context, "DBSIZE"), keys_alive());
    redisFree(context);
    EXPECT_INT(process_stop(server), 0);
    process_free(server);
    expect_check(dir, "", 0, "sound");
}

static void frame_damage(const struct frame *frame)
{
    flip(base_dir(), frame->name, frame->offset + 64 + frame->size / 2, 0x40);
    expect_check(base_dir(), "", 1, "damaged: txlogs");
    EXPECT(serve(base_dir()) == NULL);
}

/* The log holds the last pass once more: whatever is cut off it, all values are right. */
TEST(a_repair_cuts_a_damaged_log_and_the_store_goes_on)
{
    logged_make(true);
    size_t count = frames_list(base_dir());
    EXPECT(count > 4);
    frame_damage(&frames[count * 4 / 5]);
    expect_check(base_dir(), "--repair", 1, "plan: the log is cut at LSN");
    expect_check(base_dir(), "--repair --yes", 0, "done");
    expect_check(base_dir(), "", 0, "sound");
    redisContext *context = NULL;
    struct process *server = serve_for(base_dir(), &context);
    EXPECT_INT(read_all(context, PASSES - 1).right, KEYS);
    redisFree(context);
    process_free(server);
    expect_goes_on(base_dir());
}

/* Killed while it writes and settles. Gives the first frame that is needed and is followed by
 * enough others to prove it was durable; NULL: there is none. */
static const struct frame *busy_make(uint64_t *state)
{
    shell("rm -rf '%s'", base_dir());
    redisContext *context = NULL;
    struct process *server = serve_for(base_dir(), &context);
    write_pass(context, 0);
    for (unsigned i = 0; i < 4 * KEYS; i++) {
        append_write(context, i % KEYS, 1 + i / KEYS);
    }
    kill_amid(server, context, state, 60000);
    process_free(server);
    unsigned long long needed = 0;
    EXPECT_INT(check_run(base_dir(), ""), 0);
    const char *words = strstr(output, "log needed from LSN ");
    EXPECT(words != NULL && sscanf(words, "log needed from LSN %llu", &needed) == 1);
    size_t count = frames_list(base_dir());
    for (size_t i = 0; i + 8 < count; i++) {
        if (frames[i].start_lsn >= needed) {
            return &frames[i];
        }
    }
    return NULL;
}

/* S4: strata hold effects from beyond the cut. Their LSNs must not be given once more, or what is
 * written after the repair would be taken for what is there already. */
TEST(a_repair_cuts_the_log_below_what_strata_hold_and_the_store_goes_on)
{
    uint64_t state = test_seed();
    for (unsigned round = 0; round < 8; round++) {
        const struct frame *frame = busy_make(&state);
        if (frame == NULL) {
            continue;
        }
        frame_damage(frame);
        bool beyond =
            check_run(base_dir(), "--repair") == 1 && strstr(output, "strata hold effects") != NULL;
        expect_check(base_dir(), "--repair --yes", 0, "done");
        expect_check(base_dir(), "", 0, "sound");
        expect_goes_on(base_dir());
        if (beyond) {
            return;
        }
    }
    printf("no strata held effects from beyond the cut: that was not tested\n");
}
