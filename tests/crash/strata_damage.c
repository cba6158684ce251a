/* strata_damage: a real store's files flipped byte by byte, basin-check on each, and servers.
 *
 * Of each flip two things are wanted. basin-check tells of it, or the byte belongs to nothing. And
 * a server (S3) refuses the store, or what it serves of each key is the right value or an error,
 * never another value and never "there is no such key". What is mended is in strata_repair.c.
 */
#include "engine/base/hash.h"
#include "tests/crash/specimen.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- Sound stores ------------------------------------------------------------------------------ */

TEST(a_store_that_was_stopped_in_order_is_sound)
{
    base_make(true);
    expect_check(base_dir(), "", 0, "sound");
}

/* In the middle of settling and merging, again and again over the same store. */
TEST(a_store_is_sound_whenever_its_server_is_killed)
{
    uint64_t state = test_seed();
    for (unsigned round = 0; round < 8; round++) {
        redisContext *context = NULL;
        struct process *server = serve_for(base_dir(), &context);
        write_pass(context, round);
        for (unsigned i = 0; i < KEYS; i++) {
            append_write(context, i, round + 1);
        }
        kill_amid(server, context, &state, 60000);
        process_free(server);
        expect_check(base_dir(), "", 0, "sound");
    }
}

TEST(databases_that_are_flushed_and_swapped_leave_a_sound_store)
{
    redisContext *context = NULL;
    struct process *server = serve_for(base_dir(), &context);
    for (unsigned pass = 0; pass < 6; pass++) {
        write_pass(context, pass);
        freeReplyObject(redisCommand(context, pass % 3 == 2 ? "FLUSHDB" : "SWAPDB 0 1"));
        expect_check(base_dir(), "", 2, "a server has this store open");
    }
    redisFree(context);
    process_kill(server);
    process_free(server);
    expect_check(base_dir(), "", 0, "sound");
}

/* A round captures what is written to a database that was emptied after the round began. */
TEST(keys_of_databases_that_are_emptied_while_the_store_settles_are_counted)
{
    uint64_t state = test_seed();
    for (unsigned round = 0; round < 8; round++) {
        redisContext *context = NULL;
        struct process *server = serve_for(base_dir(), &context);
        for (unsigned burst = 0; burst < 300; burst++) {
            uint64_t count = 20 + test_random_below(&state, 100);
            for (uint64_t i = 0; i < count; i++) {
                append_write(context, (unsigned)test_random_below(&state, KEYS), 0);
            }
            redisAppendCommand(context, "FLUSHDB");
        }
        kill_amid(server, context, &state, 50000);
        expect_check(base_dir(), "", 0, "sound");
        process_restart(server);
        context = ledger_connect(server);
        long long size = number_asked(context, "DBSIZE");
        redisReply *reply = redisCommand(context, "KEYS *");
        EXPECT(reply != NULL && reply->type == REDIS_REPLY_ARRAY);
        EXPECT_INT(size, reply->elements);
        freeReplyObject(reply);
        redisFree(context);
        process_kill(server);
        process_free(server);
        expect_check(base_dir(), "", 0, "sound");
    }
}

TEST(what_is_no_store_is_said_to_be_none)
{
    shell("mkdir -p '%s'", base_dir());
    expect_check(base_dir(), "", 2, "no store is there");
    expect_check(base_dir(), "--repair --yes", 2, "no store is there");
    expect_check(base_dir(), "--from-grains", 2, "basin-check DIR");
    shell("test -z \"$(ls -A '%s')\"", base_dir()); /* Nothing was made. */
}

/* What was deleted may be merged away by then. */
TEST(a_dump_shows_every_key_and_the_log)
{
    base_make(true);
    EXPECT_INT(check_run(base_dir(), "--dump"), 0);
    for (unsigned i = 0; i < KEYS; i++) {
        char text[64];
        snprintf(text, sizeof(text), " key \"k:%u\" ", i);
        if (kind_of(i) != DELETED && strstr(output, text) == NULL) {
            test_fail(__FILE__, __LINE__, "%s is not shown", text);
        }
    }
    EXPECT_INT(check_run(base_dir(), "--dump log"), 0);
    EXPECT(strstr(output, "stratum") == NULL);
}

/* -- Flips ------------------------------------------------------------------------------------- */

TEST(every_flipped_byte_of_the_manifest_is_told)
{
    base_make(true);
    uint64_t state = test_seed();
    uint64_t size = file_size(base_dir(), "MANIFEST");
    for (unsigned n = 0; n < 60; n++) {
        uint64_t offset = n < 20 ? n : test_random_below(&state, size);
        unsigned char mask = (unsigned char)(1 + test_random_below(&state, 255));
        flip(base_dir(), "MANIFEST", offset, mask);
        expect_check(base_dir(), "", 1, "damaged: MANIFEST");
        flip(base_dir(), "MANIFEST", offset, mask);
    }
    expect_check(base_dir(), "", 0, "sound");
}

TEST(every_flipped_byte_of_a_stratum_is_told)
{
    base_make(true);
    uint64_t state = test_seed();
    size_t count = strata_list(base_dir(), strata, STRATA_MAX);
    EXPECT(count > 0);
    for (unsigned n = 0; n < 250; n++) {
        uint64_t offset;
        const struct file_facts *file = byte_pick(&state, count, 3, &offset);
        unsigned char mask = (unsigned char)(1 + test_random_below(&state, 255));
        flip(base_dir(), file->name, offset, mask);
        expect_check(base_dir(), "", 1, file->name);
        flip(base_dir(), file->name, offset, mask);
    }
    expect_check(base_dir(), "", 0, "sound");
}

/* -- Flips in the log -------------------------------------------------------------------------- */

/* Padding, and frames that are not needed any more, hold nothing. */
TEST(every_flipped_byte_of_the_log_is_told_or_changes_no_record)
{
    static char before[OUTPUT_MAX];
    logged_make(true);
    uint64_t state = test_seed();
    EXPECT_INT(check_run(base_dir(), "--dump log"), 0);
    strcpy(before, output);
    size_t count = frames_list(base_dir());
    EXPECT(count > 0);
    unsigned told = 0;
    for (unsigned n = 0; n < 100; n++) {
        const struct frame *frame = &frames[test_random_below(&state, count)];
        uint64_t offset = frame->offset + test_random_below(&state, n % 4 == 0 ? 64 : frame->total);
        flip(base_dir(), frame->name, offset, 0x40);
        if (check_run(base_dir(), "") == 1) {
            told++;
            EXPECT(strstr(output, "damaged: txlogs") != NULL);
        } else {
            EXPECT_INT(check_run(base_dir(), "--dump log"), 0);
            EXPECT_TEXT(output, before);
        }
        flip(base_dir(), frame->name, offset, 0x40);
    }
    EXPECT(told > 0);
    printf("%u of 100 flips in the log were told, the others changed nothing\n", told);
}

/* -- Servers on damaged stores (S3) ------------------------------------------------------------ */

/* Refuses with a word about it, or serves nothing that is wrong. */
static void expect_right_or_refused(unsigned *refused, unsigned *errors)
{
    struct process *server = serve(work_dir());
    if (server == NULL) {
        char path[512];
        snprintf(path, sizeof(path), "%s/server.log", work_dir());
        FILE *log = fopen(path, "r");
        EXPECT(log != NULL);
        output[fread(output, 1, sizeof(output) - 1, log)] = 0;
        fclose(log);
        EXPECT(strstr(output, "corrupt") != NULL && strstr(output, "check failed") == NULL);
        ++*refused;
        return;
    }
    redisContext *context = ledger_connect(server);
    struct reading reading = read_all(context, PASSES - 1);
    EXPECT_INT(reading.absent, 0);
    EXPECT_INT(reading.right + reading.errors, KEYS);
    redisReply *reply = redisCommand(context, "DBSIZE");
    EXPECT(reply != NULL);
    if (reply->type == REDIS_REPLY_INTEGER) {
        EXPECT_INT(reply->integer, keys_alive());
    }
    *errors += reading.errors;
    freeReplyObject(reply);
    redisFree(context);
    EXPECT(!process_ended(server));
    process_free(server);
}

TEST(a_server_on_flipped_strata_refuses_or_serves_right_values_and_errors)
{
    base_make(true);
    uint64_t state = test_seed();
    size_t count = strata_list(base_dir(), strata, STRATA_MAX);
    unsigned refused = 0;
    unsigned errors = 0;
    for (unsigned n = 0; n < 70; n++) {
        work_make();
        flip_some(&state, count, 1 + n % 3, 12, 0);
        expect_right_or_refused(&refused, &errors);
    }
    printf("refused %u of 70, errors %u\n", refused, errors);
}

/* -- Versions ---------------------------------------------------------------------------------- */

/* Raises the version at 16 (a stratum's header) or 8 (the manifest) and seals the bytes anew. */
static void version_raise(const char *name, bool manifest)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", work_dir(), name);
    uint64_t size = manifest ? file_size(work_dir(), name) : BLOCK;
    unsigned char *bytes = malloc(size);
    int fd = open(path, O_RDWR);
    EXPECT(fd >= 0 && bytes != NULL);
    EXPECT_INT(pread(fd, bytes, size, 0), size);
    bytes[manifest ? 8 : 16]++;
    if (manifest) {
        store_u64(bytes + size - 8, hash_checksum(bytes_of(bytes, size - 8)));
    } else {
        store_u64(bytes, hash_checksum(bytes_of(bytes + 8, size - 8)));
    }
    EXPECT_INT(pwrite(fd, bytes, size, 0), size);
    close(fd);
    free(bytes);
}

TEST(files_of_a_newer_version_are_refused)
{
    base_make(true);
    EXPECT(strata_list(base_dir(), strata, STRATA_MAX) > 0);
    for (int manifest = 0; manifest <= 1; manifest++) {
        work_make();
        version_raise(manifest ? "MANIFEST" : strata[0].name, manifest);
        expect_check(work_dir(), "", 2, "newer version");
        expect_check(work_dir(), "--repair --yes", 2, "newer version");
        EXPECT(serve(work_dir()) == NULL);
    }
}
