/* What INFO storage, BASIN.SHARDS and BASIN.STRATA say of a store on disk, held against its files,
 * and BASIN.SETTLE and BASIN.COMPACT. */
#include "redis-tests/process.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS 1000
#define VALUE_SIZE 200
#define BLOCK 4096
#define PARTITIONS 1024
/* Tries until the server does nothing in the background for a while. */
#define TRIES 2000

static struct process *server;
static redisContext *link_;

/* ------------------------------------------------------------------------------------------
 * Talking.
 */

static void end(void)
{
    if (link_ != NULL) {
        redisFree(link_);
        link_ = NULL;
    }
    process_free(server);
    server = NULL;
}

static void connect_again(void)
{
    if (link_ != NULL) {
        redisFree(link_);
    }
    link_ = redisConnect("127.0.0.1", process_port(server));
    EXPECT(link_ != NULL && link_->err == 0);
    redisSetTimeout(link_, (struct timeval){60, 0});
}

/* A fresh store. */
static void begin_with(const char *const *arguments)
{
    static bool registered;
    end();
    if (!registered) {
        atexit(end);
        registered = true;
    }
    server = process_start(&(struct process_options){.arguments = arguments});
    EXPECT(server != NULL);
    connect_again();
}

static void begin(void)
{
    static const char *const arguments[] = {"--settle-log-size", "16kb", "--workers", "2",
                                            "--appendfsync",     "no",   NULL};
    begin_with(arguments);
}

static redisReply *said(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    redisReply *reply = redisvCommand(link_, format, list);
    va_end(list);
    if (reply == NULL) {
        test_fail(__FILE__, __LINE__, "%s: no reply: %s", format, link_->errstr);
    }
    return reply;
}

static void expect_ok(const char *command)
{
    redisReply *reply = said(command);
    EXPECT_TEXT(reply->str, "OK");
    freeReplyObject(reply);
}

static void settle_and_compact(void)
{
    expect_ok("BASIN.SETTLE");
    expect_ok("BASIN.COMPACT");
}

static long long integer(const char *command)
{
    redisReply *reply = said(command);
    EXPECT_INT(reply->type, REDIS_REPLY_INTEGER);
    long long value = reply->integer;
    freeReplyObject(reply);
    return value;
}

/* The field's text in INFO storage. */
static void field_text(const char *field, char *text, size_t capacity)
{
    redisReply *reply = said("INFO storage");
    char pattern[128];
    snprintf(pattern, sizeof(pattern), "\n%s:", field);
    const char *at = strstr(reply->str, pattern);
    if (at == NULL) {
        test_fail(__FILE__, __LINE__, "no %s in: %s", field, reply->str);
    }
    at += strlen(pattern);
    snprintf(text, capacity, "%.*s", (int)strcspn(at, "\r"), at);
    freeReplyObject(reply);
}

static long long figure(const char *field)
{
    char text[64];
    field_text(field, text, sizeof(text));
    return atoll(text);
}

static double ratio(const char *field)
{
    char text[64];
    field_text(field, text, sizeof(text));
    return atof(text);
}

/* Keys first … first + KEYS - 1; the values of another seed differ. */
static void keys_write(int first, int seed)
{
    char value[VALUE_SIZE + 1];
    memset(value, 'a' + seed, VALUE_SIZE);
    value[VALUE_SIZE] = '\0';
    for (int i = 0; i < KEYS; i++) {
        redisAppendCommand(link_, "SET key:%d %s", first + i, value);
    }
    for (int i = 0; i < KEYS; i++) {
        redisReply *reply = NULL;
        EXPECT(redisGetReply(link_, (void **)&reply) == REDIS_OK);
        EXPECT_TEXT(reply->str, "OK");
        freeReplyObject(reply);
    }
}

static void keys_read(int first, int count)
{
    for (int i = 0; i < count; i++) {
        redisReply *reply = said("GET key:%d", first + i);
        EXPECT_INT(reply->len, VALUE_SIZE);
        freeReplyObject(reply);
    }
}

/* ------------------------------------------------------------------------------------------
 * BASIN.STRATA beside the files.
 */

/* The value of a field in a flat array of pairs. */
static const redisReply *pair(const redisReply *map, const char *name)
{
    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        if (strcmp(map->element[i]->str, name) == 0) {
            return map->element[i + 1];
        }
    }
    test_fail(__FILE__, __LINE__, "no %s", name);
}

static long long number(const redisReply *map, const char *name)
{
    const redisReply *value = pair(map, name);
    EXPECT_INT(value->type, REDIS_REPLY_INTEGER);
    return value->integer;
}

static long long sum(const redisReply *maps, const char *name)
{
    long long total = 0;
    for (size_t i = 0; i < maps->elements; i++) {
        total += number(maps->element[i], name);
    }
    return total;
}

static unsigned files_count(void)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/strata", process_dir(server));
    DIR *dir = opendir(path);
    EXPECT(dir != NULL);
    unsigned count = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

static long long file_size(const char *id)
{
    char path[4096];
    struct stat facts;
    snprintf(path, sizeof(path), "%s/strata/%s.stratum", process_dir(server), id);
    return stat(path, &facts) == 0 ? (long long)facts.st_size : -1;
}

/* What the background has done so far; negative: something is under way. */
static long long work_done(void)
{
    if (figure("storage_settle_in_progress") != 0 || figure("storage_merge_in_progress") != 0) {
        return -1;
    }
    return figure("storage_settle_rounds") + figure("storage_merge_passes");
}

/* BASIN.STRATA agrees with the files, byte for byte, and INFO with BASIN.STRATA. */
static bool agrees(const redisReply *strata)
{
    unsigned count = files_count();
    if (count != strata->elements || figure("storage_strata") != (long long)count) {
        return false;
    }
    long long disk = 0;
    for (size_t i = 0; i < count; i++) {
        const redisReply *stratum = strata->element[i];
        long long expected =
            number(stratum, "grain-bytes") + number(stratum, "index-bytes") + 2LL * BLOCK;
        long long size = file_size(pair(stratum, "id")->str);
        bool bare = number(stratum, "bare") != 0;
        if (size != number(stratum, "file-bytes") || (bare ? size <= expected : size != expected)) {
            return false;
        }
        disk += expected;
    }
    return figure("storage_disk_bytes") == disk &&
           figure("storage_live_bytes") == sum(strata, "live-bytes") &&
           figure("storage_live_bytes") + figure("storage_dead_bytes") ==
               sum(strata, "grain-bytes") &&
           figure("storage_index_bytes") == sum(strata, "index-bytes");
}

/* Asked while nothing went on in the background, given. */
static redisReply *strata_at_rest(void)
{
    for (int i = 0; i < TRIES; i++) {
        long long before = work_done();
        redisReply *strata = said("BASIN.STRATA");
        EXPECT_INT(strata->type, REDIS_REPLY_ARRAY);
        bool agreed = agrees(strata);
        if (before >= 0 && work_done() == before) {
            EXPECT(agreed);
            return strata;
        }
        freeReplyObject(strata);
        usleep(5000);
    }
    test_fail(__FILE__, __LINE__, "the server does not come to rest");
}

static void expect_agreement(void)
{
    freeReplyObject(strata_at_rest());
}

/* ------------------------------------------------------------------------------------------
 */

TEST(settling_moves_the_figures_as_much_as_was_written)
{
    begin();
    EXPECT_INT(figure("storage_settled_grains"), 0);
    keys_write(0, 0);
    expect_ok("BASIN.SETTLE");
    EXPECT(figure("storage_settle_rounds") >= 1);
    EXPECT(figure("storage_settled_grains") >= KEYS);
    EXPECT(figure("storage_settled_bytes") >= (long long)KEYS * VALUE_SIZE);
    EXPECT(figure("storage_settle_written_bytes") > figure("storage_settled_bytes"));
    EXPECT(figure("storage_live_bytes") >= (long long)KEYS * VALUE_SIZE);
    EXPECT_INT(figure("storage_unsettled_bytes"), 0);
    EXPECT(figure("storage_index_memory") > 0);
    expect_agreement();
}

TEST(settling_again_without_a_write_settles_nothing)
{
    begin();
    keys_write(0, 0);
    expect_ok("BASIN.SETTLE");
    expect_agreement();
    long long grains = figure("storage_settled_grains");
    long long written = figure("storage_settle_written_bytes");
    expect_ok("BASIN.SETTLE");
    EXPECT_INT(figure("storage_settled_grains"), grains);
    EXPECT_INT(figure("storage_settle_written_bytes"), written);
}

TEST(a_pass_finds_what_was_overwritten_dead_and_frees_it)
{
    begin();
    keys_write(0, 0);
    settle_and_compact();
    long long live = figure("storage_live_bytes");
    for (int seed = 1; seed <= 3; seed++) {
        keys_write(0, seed);
        expect_ok("BASIN.SETTLE");
    }
    long long passes = figure("storage_merge_passes");
    long long rows = figure("storage_merged_rows");
    expect_ok("BASIN.COMPACT");
    EXPECT(figure("storage_merge_passes") > passes);
    EXPECT(figure("storage_merged_rows") >= rows + KEYS);
    EXPECT(figure("storage_merge_written_bytes") > figure("storage_moved_bytes"));
    EXPECT_INT(figure("storage_live_bytes"), live);
    EXPECT(figure("storage_dead_bytes") <= live);
    expect_agreement();
}

TEST(what_strata_holds_by_rows_adds_up_to_what_was_written)
{
    begin();
    keys_write(0, 0);
    settle_and_compact();
    redisReply *strata = strata_at_rest();
    EXPECT_INT(sum(strata, "rows"), KEYS);
    EXPECT_INT(sum(strata, "partitions"), PARTITIONS); /* One run for each. */
    for (size_t i = 0; i < strata->elements; i++) {
        const redisReply *stratum = strata->element[i];
        EXPECT(number(stratum, "live-bytes") <= number(stratum, "grain-bytes"));
        EXPECT(number(stratum, "dead-percent") <= 100);
        EXPECT(number(stratum, "least-lsn") <= number(stratum, "greatest-lsn"));
        EXPECT(number(stratum, "first-partition") <= number(stratum, "last-partition"));
        EXPECT((number(stratum, "partitions") == 0) == (number(stratum, "bare") == 1));
    }
    freeReplyObject(strata);
}

TEST(compacting_after_deleting_everything_leaves_no_grains_on_disk)
{
    begin();
    keys_write(0, 0);
    settle_and_compact();
    for (int i = 0; i < KEYS; i++) {
        redisReply *reply = said("DEL key:%d", i);
        EXPECT_INT(reply->integer, 1);
        freeReplyObject(reply);
    }
    settle_and_compact();
    redisReply *strata = strata_at_rest();
    EXPECT_INT(sum(strata, "grain-bytes"), 0);
    freeReplyObject(strata);
    EXPECT_INT(figure("storage_live_bytes"), 0);
    EXPECT_INT(figure("storage_dead_bytes"), 0);
    EXPECT_INT(integer("DBSIZE"), 0);
}

TEST(flushing_everything_leaves_no_grains_on_disk_either)
{
    begin();
    keys_write(0, 0);
    settle_and_compact();
    expect_ok("FLUSHALL");
    settle_and_compact();
    redisReply *strata = strata_at_rest();
    EXPECT_INT(sum(strata, "grain-bytes"), 0);
    freeReplyObject(strata);
}

TEST(loads_are_counted_once_and_later_reads_find_memory)
{
    begin();
    keys_write(0, 0);
    settle_and_compact();
    EXPECT_INT(process_stop(server), 0);
    process_restart(server);
    connect_again();
    expect_agreement();
    EXPECT_INT(figure("storage_loaded_keys"), 0);
    keys_read(0, 100);
    EXPECT_INT(figure("storage_loaded_keys"), 100);
    EXPECT(ratio("storage_cache_hit_rate") == 0);
    EXPECT_INT(figure("storage_grain_reads"), 100);
    EXPECT(figure("storage_page_reads") >= 100);
    EXPECT(figure("storage_read_bytes") >= 100 * (BLOCK + VALUE_SIZE));
    EXPECT(ratio("storage_read_amplification") >= 2 && ratio("storage_read_amplification") < 4);
    keys_read(0, 100);
    EXPECT_INT(figure("storage_loaded_keys"), 100);
    EXPECT(ratio("storage_cache_hit_rate") == 0.5);
    EXPECT_INT(figure("storage_load_failures"), 0);
}

TEST(moving_grains_is_no_read_of_a_look_up)
{
    begin();
    keys_write(0, 0);
    expect_ok("BASIN.SETTLE");
    /* Every second key changes: the first files are half dead and worth emptying. */
    for (int i = 0; i < KEYS; i += 2) {
        redisReply *reply = said("SET key:%d other", i);
        freeReplyObject(reply);
    }
    settle_and_compact();
    EXPECT(figure("storage_moved_bytes") > 0);
    EXPECT_INT(figure("storage_grain_reads"), 0);
}

TEST(write_amplification_counts_log_settling_and_merging)
{
    begin();
    keys_write(0, 0);
    expect_ok("BASIN.SETTLE");
    double settled = ratio("storage_write_amplification");
    EXPECT(settled > 2 && settled < 100); /* The log once, grains and rows once. */
    expect_ok("BASIN.COMPACT");
    EXPECT(ratio("storage_write_amplification") > settled);
}

/* -- Shards ------------------------------------------------------------------------------------ */

TEST(shards_add_up_to_the_whole)
{
    begin();
    keys_write(0, 0);
    settle_and_compact();
    redisReply *shards = said("BASIN.SHARDS");
    EXPECT_INT(sum(shards, "partitions"), PARTITIONS);
    EXPECT_INT(sum(shards, "keys"), integer("DBSIZE"));
    EXPECT_INT(integer("DBSIZE"), KEYS);
    for (size_t i = 0; i < shards->elements; i++) {
        EXPECT_INT(number(shards->element[i], "index"), i);
        EXPECT(number(shards->element[i], "memory") > 0);
        EXPECT(number(shards->element[i], "last-lsn") > 0);
        EXPECT(number(shards->element[i], "lock-waits") >= 0);
    }
    freeReplyObject(shards);
}

/* -- Small things ------------------------------------------------------------------------------ */

TEST(a_store_in_memory_has_no_storage)
{
    static const char *const arguments[] = {"--appendonly", "no", NULL};
    begin_with(arguments);
    char text[64];
    keys_write(0, 0);
    settle_and_compact();
    field_text("storage_state", text, sizeof(text));
    EXPECT_TEXT(text, "off");
    redisReply *strata = said("BASIN.STRATA");
    EXPECT_INT(strata->type, REDIS_REPLY_ARRAY);
    EXPECT_INT(strata->elements, 0);
    freeReplyObject(strata);
    redisReply *shards = said("BASIN.SHARDS");
    EXPECT_INT(sum(shards, "keys"), KEYS);
    freeReplyObject(shards);
}

TEST(a_client_that_does_not_wait_for_the_end_leaves_the_server_well)
{
    begin();
    for (int i = 0; i < 20; i++) {
        keys_write(0, i % 2);
        redisContext *other = redisConnect("127.0.0.1", process_port(server));
        EXPECT(other != NULL && other->err == 0);
        int done = 0;
        redisAppendCommand(other, i % 2 == 0 ? "BASIN.SETTLE" : "BASIN.COMPACT");
        while (done == 0) {
            EXPECT(redisBufferWrite(other, &done) == REDIS_OK);
        }
        redisFree(other);
    }
    settle_and_compact();
    EXPECT_INT(integer("DBSIZE"), KEYS);
    expect_agreement();
}

/* A round under which a database is dropped does not count, and a pass gives up: what was asked for
 * comes with the next. */
TEST(what_was_asked_for_comes_though_databases_go_meanwhile)
{
    static const char *const commands[] = {"BASIN.SETTLE", "BASIN.COMPACT"};
    /* Nothing else has a round begin. */
    static const char *const arguments[] = {"--settle-log-size", "64mb", "--appendfsync", "no",
                                            NULL};
    begin_with(arguments);
    redisContext *other = redisConnect("127.0.0.1", process_port(server));
    EXPECT(other != NULL && other->err == 0);
    redisSetTimeout(other, (struct timeval){60, 0});
    for (int i = 0; i < 40; i++) {
        redisReply *reply = NULL;
        int done = 0;
        for (int part = 0; part < 5; part++) { /* So that a round takes a while. */
            keys_write(part * KEYS, i % 2);
        }
        redisAppendCommand(other, commands[i / 2 % 2]);
        while (done == 0) {
            EXPECT(redisBufferWrite(other, &done) == REDIS_OK);
        }
        usleep((useconds_t)(i * 137 % 4000));
        expect_ok(i % 2 == 0 ? "FLUSHALL" : "SWAPDB 0 1");
        EXPECT(redisGetReply(other, (void **)&reply) == REDIS_OK);
        EXPECT_TEXT(reply->str, "OK");
        freeReplyObject(reply);
    }
    redisFree(other);
    expect_ok("FLUSHALL");
    settle_and_compact();
    redisReply *strata = strata_at_rest();
    EXPECT_INT(sum(strata, "grain-bytes"), 0);
    freeReplyObject(strata);
}

static bool is_documented(const char *page, const char *field, size_t size)
{
    char row[128];
    snprintf(row, sizeof(row), "| `%.*s` |", (int)size, field);
    return strstr(page, row) != NULL;
}

TEST(the_page_on_storage_has_every_field_and_no_other)
{
    static char page[64 << 10];
    FILE *file = fopen("docs/STORAGE.md", "r");
    EXPECT(file != NULL);
    page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
    fclose(file);
    begin();
    redisReply *info = said("INFO storage");
    unsigned fields = 0;
    for (const char *at = strstr(info->str, "\nstorage_"); at != NULL;
         at = strstr(at + 1, "\nstorage_")) {
        size_t size = strcspn(at + 1, ":");
        if (!is_documented(page, at + 1, size)) {
            test_fail(__FILE__, __LINE__, "%.*s is not on the page", (int)size, at + 1);
        }
        fields++;
    }
    unsigned rows = 0;
    for (const char *at = strstr(page, "\n| `storage_"); at != NULL;
         at = strstr(at + 1, "\n| `storage_")) {
        rows++;
    }
    EXPECT_INT(rows, fields);
    freeReplyObject(info);
}
