/* maxmemory and its policies, as clients see them: of a store without a disk, beside redis-server
 * where what comes out is certain, and of stores with one. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OOM "OOM command not allowed when used memory > 'maxmemory'."
#define BATCH 100

struct side {
    const char *name;
    struct process *process;
    redisContext *link;
};

static struct side sides[2] = {{.name = "basin"}, {.name = "redis"}};
#define OURS (&sides[0])
#define THEIRS (&sides[1])

/* ------------------------------------------------------------------------------------------
 * Talking.
 */

static void sides_close(void)
{
    for (int i = 0; i < 2; i++) {
        if (sides[i].link != NULL) {
            redisFree(sides[i].link);
        }
        process_free(sides[i].process);
    }
}

/* Asks, and expects a reply that is no null pointer. */
static redisReply *said(struct side *side, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    redisReply *reply = redisvCommand(side->link, format, list);
    va_end(list);
    if (reply == NULL) {
        test_fail(__FILE__, __LINE__, "%s: no reply: %s", side->name, side->link->errstr);
    }
    return reply;
}

/* The reply's text, or its number as text; lent until the next call. */
static const char *text_of(redisReply *reply)
{
    static char text[4096];
    if (reply->type == REDIS_REPLY_INTEGER) {
        snprintf(text, sizeof(text), "(%lld)", reply->integer);
    } else {
        snprintf(text, sizeof(text), "%s%s", reply->type == REDIS_REPLY_ERROR ? "-" : "",
                 reply->type == REDIS_REPLY_NIL ? "(nil)" : reply->str);
    }
    freeReplyObject(reply);
    return text;
}

static void expect_ok(struct side *side, const char *command)
{
    EXPECT_TEXT(text_of(said(side, command)), "OK");
}

/* Both servers, empty, with the defaults, and a new link to each. */
static void begin(void)
{
    static const char *const ours[] = {"--appendonly", "no", "--workers", "2", NULL};
    static const char *const theirs[] = {"--save", "", "--appendonly", "no", NULL};
    for (int i = 0; i < 2; i++) {
        struct side *side = &sides[i];
        if (side->process == NULL) {
            side->process = process_start(&(struct process_options){
                .binary = i == 0 ? NULL : "redis-server", .arguments = i == 0 ? ours : theirs});
            EXPECT(side->process != NULL);
            if (i == 0) {
                atexit(sides_close);
            }
        }
        if (side->link != NULL) {
            redisFree(side->link);
        }
        side->link = redisConnect("127.0.0.1", process_port(side->process));
        EXPECT(side->link != NULL && side->link->err == 0);
        redisSetTimeout(side->link, (struct timeval){120, 0});
        expect_ok(side, "CONFIG SET maxmemory 0 maxmemory-policy noeviction maxmemory-samples 5 "
                        "lfu-log-factor 10 lfu-decay-time 1 maxmemory-eviction-tenacity 10");
        expect_ok(side, "FLUSHALL");
        expect_ok(side, "CONFIG RESETSTAT");
    }
}

/* Basin says word for word what redis-server says. */
static const char *both(const char *command)
{
    static char ours[4096];
    snprintf(ours, sizeof(ours), "%s", text_of(said(OURS, command)));
    const char *theirs = text_of(said(THEIRS, command));
    if (strcmp(ours, theirs) != 0) {
        test_fail(__FILE__, __LINE__, "%s: %s, but redis-server: %s", command, ours, theirs);
    }
    return ours;
}

static long long info(struct side *side, const char *section, const char *field)
{
    redisReply *reply = said(side, "INFO %s", section);
    char pattern[128];
    snprintf(pattern, sizeof(pattern), "\n%s:", field);
    const char *at = strstr(reply->str, pattern);
    if (at == NULL) {
        test_fail(__FILE__, __LINE__, "%s has no %s", side->name, field);
    }
    long long value = atoll(at + strlen(pattern));
    freeReplyObject(reply);
    return value;
}

static long long used(struct side *side)
{
    return info(side, "memory", "used_memory");
}

/* Sets keys first … first + count - 1 to values of that size, a batch at a time. How many of them
 * were refused. */
static int fill(struct side *side, int first, int count, size_t size, const char *options)
{
    int refused = 0;
    char *value = strdup(dialog_filler(size, 7));
    for (int done = 0; done < count; done += BATCH) {
        int batch = count - done < BATCH ? count - done : BATCH;
        for (int i = 0; i < batch; i++) {
            char format[64];
            snprintf(format, sizeof(format), "SET k%%d %%s%s", options);
            redisAppendCommand(side->link, format, first + done + i, value);
        }
        for (int i = 0; i < batch; i++) {
            redisReply *reply;
            EXPECT_INT(redisGetReply(side->link, (void **)&reply), REDIS_OK);
            if (reply->type == REDIS_REPLY_ERROR) {
                EXPECT_TEXT(reply->str, OOM);
                refused++;
            }
            freeReplyObject(reply);
        }
    }
    free(value);
    return refused;
}

/* How many of the keys first, first + step, … below end are there; GET them if touch. */
static int present(struct side *side, int first, int end, int step, const char *command)
{
    int there = 0;
    for (int i = first; i < end; i += step) {
        redisReply *reply = said(side, "%s k%d", command, i);
        there += reply->type == REDIS_REPLY_INTEGER ? reply->integer != 0
                                                    : reply->type == REDIS_REPLY_STRING;
        freeReplyObject(reply);
    }
    return there;
}

/* Sets the limit to so many hundredths of what is used, and waits until it is kept. */
static void limit_to(struct side *side, int hundredths)
{
    long long max = used(side) * hundredths / 100;
    EXPECT_TEXT(text_of(said(side, "CONFIG SET maxmemory %lld", max)), "OK");
    for (int i = 0; i < 1000 && used(side) > max + max / 100; i++) {
        usleep(10000);
    }
    if (used(side) > max + max / 100) { /* The buffers of this dialog come and go. */
        test_fail(__FILE__, __LINE__, "%s uses %lld of %lld", side->name, used(side), max);
    }
}

/* ------------------------------------------------------------------------------------------
 * What is certain.
 */

TEST(directives_of_memory_are_taken_shown_and_refused_as_redis_does)
{
    static const char *const settings[][2] = {
        {"maxmemory", "100mb"},
        {"maxmemory", "1g"},
        {"maxmemory", "1gb"},
        {"maxmemory", "100000k"},
        {"maxmemory", "100000KB"},
        {"maxmemory", "100m"},
        {"maxmemory", "123456789"},
        {"maxmemory", "123456789b"},
        {"maxmemory", "10%%"},
        {"maxmemory", "1.5gb"},
        {"maxmemory", "1tb"},
        {"maxmemory", "-1"},
        {"maxmemory", "x"},
        {"maxmemory", "0"},
        {"maxmemory-samples", "0"},
        {"maxmemory-samples", "1"},
        {"maxmemory-samples", "64"},
        {"maxmemory-samples", "x"},
        {"lfu-log-factor", "-1"},
        {"lfu-log-factor", "0"},
        {"lfu-log-factor", "2147483648"},
        {"lfu-decay-time", "-1"},
        {"lfu-decay-time", "100"},
        {"maxmemory-eviction-tenacity", "-1"},
        {"maxmemory-eviction-tenacity", "101"},
        {"maxmemory-eviction-tenacity", "100"},
        {"maxmemory-policy", "nope"},
        {"maxmemory-policy", "noeviction"},
        {"maxmemory-policy", "allkeys-lru"},
        {"maxmemory-policy", "ALLKEYS-LFU"},
        {"maxmemory-policy", "allkeys-random"},
        {"maxmemory-policy", "volatile-lru"},
        {"maxmemory-policy", "volatile-lfu"},
        {"maxmemory-policy", "volatile-random"},
        {"maxmemory-policy", "volatile-ttl"},
    };
    begin();
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        char command[256];
        snprintf(command, sizeof(command), "CONFIG SET %s %s", settings[i][0], settings[i][1]);
        both(command);
        for (int j = 0; j < 2; j++) {
            redisReply *reply = said(&sides[j], "CONFIG GET %s", settings[i][0]);
            EXPECT_INT(reply->elements, 2);
            static char first[64];
            if (j == 0) {
                snprintf(first, sizeof(first), "%s", reply->element[1]->str);
            } else {
                EXPECT_TEXT(first, reply->element[1]->str);
            }
            freeReplyObject(reply);
        }
    }
    redisReply *reply = said(OURS, "INFO memory");
    EXPECT(strstr(reply->str, "\nmaxmemory_policy:volatile-ttl\r") != NULL);
    EXPECT(strstr(reply->str, "\nmaxmemory:0\r\nmaxmemory_human:0B\r") != NULL);
    freeReplyObject(reply);
}

TEST(directives_of_memory_are_taken_from_file_and_command_line)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/test.conf", test_dir());
    FILE *file = fopen(path, "w");
    EXPECT(file != NULL);
    fprintf(file, "maxmemory 100mb\nmaxmemory-policy volatile-lfu\nmaxmemory-samples 9\n"
                  "lfu-log-factor 3\nlfu-decay-time 4\nmaxmemory-eviction-tenacity 50\n");
    fclose(file);
    const char *arguments[] = {"--include", path, "--appendonly", "no", "--maxmemory", "1gb", NULL};
    struct side side = {.name = "basin from a file"};
    side.process = process_start(&(struct process_options){.arguments = arguments});
    EXPECT(side.process != NULL);
    side.link = redisConnect("127.0.0.1", process_port(side.process));
    static const char *const shown[][2] = {
        {"maxmemory", "1073741824"}, {"maxmemory-policy", "volatile-lfu"},
        {"maxmemory-samples", "9"},  {"lfu-log-factor", "3"},
        {"lfu-decay-time", "4"},     {"maxmemory-eviction-tenacity", "50"},
    };
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        redisReply *reply = said(&side, "CONFIG GET %s", shown[i][0]);
        EXPECT_TEXT(reply->element[1]->str, shown[i][1]);
        freeReplyObject(reply);
    }
    EXPECT_TEXT(text_of(said(&side, "SET k v")), "OK");
    EXPECT_TEXT(text_of(said(&side, "OBJECT FREQ k")), "(5)");
    redisFree(side.link);
    process_free(side.process);
}

static bool has_flag(const redisReply *row, const char *flag)
{
    const redisReply *flags = row->element[2];
    for (size_t i = 0; i < flags->elements; i++) {
        if (strcmp(flags->element[i]->str, flag) == 0) {
            return true;
        }
    }
    return false;
}

/* A row of COMMAND and those of its subcommands. How many were compared. */
static int compare_denyoom(const redisReply *ours, const redisReply *theirs)
{
    if (has_flag(ours, "denyoom") != has_flag(theirs, "denyoom")) {
        test_fail(__FILE__, __LINE__, "%s: denyoom only on one side", ours->element[0]->str);
    }
    int count = 1;
    const redisReply *our_subs = ours->element[9];
    const redisReply *their_subs = theirs->element[9];
    for (size_t i = 0; i < our_subs->elements; i++) {
        for (size_t j = 0; j < their_subs->elements; j++) {
            if (strcmp(our_subs->element[i]->element[0]->str,
                       their_subs->element[j]->element[0]->str) == 0) {
                count += compare_denyoom(our_subs->element[i], their_subs->element[j]);
            }
        }
    }
    return count;
}

TEST(the_commands_that_may_need_memory_are_those_of_redis)
{
    begin();
    redisReply *ours = said(OURS, "COMMAND");
    redisReply *theirs = said(THEIRS, "COMMAND");
    int count = 0;
    for (size_t i = 0; i < ours->elements; i++) {
        for (size_t j = 0; j < theirs->elements; j++) {
            if (strcmp(ours->element[i]->element[0]->str, theirs->element[j]->element[0]->str) ==
                0) {
                count += compare_denyoom(ours->element[i], theirs->element[j]);
            }
        }
    }
    EXPECT(count > 150);
    freeReplyObject(ours);
    freeReplyObject(theirs);
}

TEST(past_the_limit_without_a_policy_what_may_add_is_refused_and_all_else_goes_on)
{
    static const char *const refused[] = {
        "SET b 2",
        "APPEND a x",
        "INCR n",
        "RPUSH l 3",
        "HSET h f v",
        "SADD s m",
        "ZADD z 1 m",
        "XADD x * f v",
        "SETRANGE a 9 x",
        "COPY a c",
        "PFADD p 1",
        "SETBIT bits 7 1",
        "LINSERT l BEFORE 1 0",
        "BITOP NOT d a",
        "GETSET a 1",
        "MSET a 1",
        "SINTERSTORE t s s",
        "SORT l STORE m",
    };
    static const char *const allowed[] = {
        "GET a",    "EXISTS a", "EXPIRE a 100", "PERSIST a", "LPOP l",  "RENAME a e",
        "GETDEL e", "STRLEN a", "TYPE l",       "DEL l",     "FLUSHDB",
    };
    begin();
    both("SET a 1");
    both("RPUSH l 1 2");
    both("CONFIG SET maxmemory 1");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        EXPECT_TEXT(both(refused[i]), "-" OOM);
    }
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        EXPECT(strncmp(both(allowed[i]), "-OOM", 4) != 0);
    }
    EXPECT_TEXT(both("SET b 2"), "-" OOM);
    /* Errors of the request itself come first. */
    EXPECT_TEXT(both("SET"), "-ERR wrong number of arguments for 'set' command");
    /* No key that could go. */
    both("CONFIG SET maxmemory-policy volatile-lru");
    EXPECT_TEXT(both("SET b 2 EX 100"), "-" OOM);
    both("CONFIG SET maxmemory 0");
    EXPECT_TEXT(both("SET b 2"), "OK");
    EXPECT_INT(info(OURS, "stats", "evicted_keys"), 0);
}

TEST(object_freq_and_idletime_answer_by_policy)
{
    static const char *const policies[] = {"noeviction",   "allkeys-lru",     "allkeys-random",
                                           "volatile-ttl", "volatile-random", "volatile-lru"};
    begin();
    both("SET a xxx");
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        char command[128];
        snprintf(command, sizeof(command), "CONFIG SET maxmemory-policy %s", policies[i]);
        EXPECT_TEXT(both(command), "OK");
        EXPECT(strncmp(both("OBJECT FREQ a"), "-ERR An LFU maxmemory policy is not", 35) == 0);
        EXPECT_TEXT(both("OBJECT FREQ none"), "(nil)");
        both("TOUCH a");
        EXPECT_TEXT(both("OBJECT IDLETIME a"), "(0)");
    }
    both("CONFIG SET maxmemory-policy volatile-lfu");
    EXPECT(strncmp(both("OBJECT IDLETIME a"), "-ERR An LFU maxmemory policy is selected", 40) == 0);
    EXPECT_TEXT(both("OBJECT IDLETIME none"), "(nil)");
    EXPECT_TEXT(both("OBJECT FREQ none"), "(nil)");
}

/* With a log factor of 0 each use counts. */
TEST(uses_are_counted_as_redis_counts_them)
{
    static const char *const commands[] = {
        "SET s xxx",      "GET s",          "SET s yyy", "APPEND s z",        "STRLEN s",
        "TTL s",          "TYPE s",         "EXISTS s",  "TOUCH s",           "EXPIRE s 100",
        "GETRANGE s 0 1", "SETRANGE s 1 x", "PERSIST s", "OBJECT REFCOUNT s",
    };
    begin();
    both("CONFIG SET maxmemory-policy allkeys-lfu");
    both("CONFIG SET lfu-log-factor 0");
    both("CONFIG SET lfu-decay-time 0");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        both(commands[i]);
        both("OBJECT FREQ s");
    }
    both("COPY s copy");
    EXPECT_TEXT(both("OBJECT FREQ copy"), "(5)");
    both("RENAME copy renamed");
    both("OBJECT FREQ renamed");
    both("RPUSH l a b c");
    both("LRANGE l 0 -1");
    both("LPOP l");
    both("OBJECT FREQ l");
    both("HSET h f v");
    both("HGETALL h");
    both("OBJECT FREQ h");
    both("ZADD z 1 m");
    both("ZINCRBY z 1 m");
    both("OBJECT FREQ z");
    for (int i = 0; i < 300; i++) {
        both("GET s");
    }
    EXPECT_TEXT(both("OBJECT FREQ s"), "(255)");
    /* Writes that find nothing to change are uses too. */
    both("SETNX renamed x");
    both("HSETNX h f w");
    both("SREM none m");
    both("PERSIST renamed");
    both("LPUSHX l x");
    EXPECT_TEXT(both("OBJECT FREQ renamed"), "(8)");
    both("OBJECT FREQ h");
    both("OBJECT FREQ l");
}

static void restore_both(const redisReply *payload, const char *key, const char *option,
                         const char *value)
{
    for (int i = 0; i < 2; i++) {
        const char *argv[] = {"RESTORE", key, "0", payload->str, "REPLACE", option, value};
        size_t sizes[] = {7, strlen(key), 1, payload->len, 7, strlen(option), strlen(value)};
        redisReply *reply = redisCommandArgv(sides[i].link, 7, argv, sizes);
        EXPECT(reply != NULL && reply->type == REDIS_REPLY_STATUS);
        freeReplyObject(reply);
    }
}

TEST(restore_sets_frequency_or_idle_time_as_the_policy_wants)
{
    begin();
    both("SET a xxx");
    redisReply *payload = said(THEIRS, "DUMP a");
    both("CONFIG SET maxmemory-policy allkeys-lfu");
    restore_both(payload, "b", "FREQ", "77");
    EXPECT_TEXT(both("OBJECT FREQ b"), "(77)");
    restore_both(payload, "c", "IDLETIME", "77");
    EXPECT_TEXT(both("OBJECT FREQ c"), "(5)");
    both("CONFIG SET maxmemory-policy allkeys-lru");
    restore_both(payload, "d", "IDLETIME", "77");
    EXPECT_TEXT(both("OBJECT IDLETIME d"), "(77)");
    restore_both(payload, "e", "FREQ", "77");
    EXPECT_TEXT(both("OBJECT IDLETIME e"), "(0)");
    freeReplyObject(payload);
}

/* ------------------------------------------------------------------------------------------
 * Filling up.
 */

TEST(a_store_that_is_filled_far_beyond_its_limit_stays_within_it_under_every_policy)
{
    static const struct {
        const char *policy, *options;
    } cases[] = {
        {"allkeys-lru", ""},          {"allkeys-lfu", ""},          {"allkeys-random", ""},
        {"volatile-lru", " EX 1000"}, {"volatile-lfu", " EX 1000"}, {"volatile-random", " EX 1000"},
        {"volatile-ttl", " EX 1000"},
    };
    const long long max = 8 << 20;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        EXPECT_TEXT(text_of(said(OURS, "CONFIG SET maxmemory %lld maxmemory-policy %s", max,
                                 cases[i].policy)),
                    "OK");
        EXPECT_TEXT(text_of(said(OURS, "SET keep v")), "OK");
        for (int first = 0; first < 40000; first += 2000) {
            EXPECT_INT(fill(OURS, first, 2000, 500, cases[i].options), 0);
            EXPECT(used(OURS) < max + max / 20);
        }
        long long keys = atoll(text_of(said(OURS, "DBSIZE")) + 1);
        long long evicted = info(OURS, "stats", "evicted_keys");
        EXPECT(keys > 10000 && keys < 20000);
        EXPECT_INT(keys + evicted, 40001);
        if (cases[i].options[0] != '\0') {
            EXPECT_TEXT(text_of(said(OURS, "GET keep")), "v");
        }
    }
}

TEST(large_values_go_as_fast_as_others_come)
{
    begin();
    const long long max = 64 << 20;
    EXPECT_TEXT(text_of(said(OURS, "CONFIG SET maxmemory %lld maxmemory-policy allkeys-lru", max)),
                "OK");
    for (int i = 0; i < 30; i++) {
        EXPECT_INT(fill(OURS, i * 10, 10, 1 << 20, ""), 0);
        EXPECT(used(OURS) < max + (12 << 20)); /* A batch of requests is in memory too. */
    }
    EXPECT(info(OURS, "stats", "evicted_keys") > 200);
    EXPECT_INT(present(OURS, 290, 300, 1, "EXISTS"), 10);
}

TEST(under_lru_as_few_of_the_keys_just_read_go_as_with_redis)
{
    const int count = 10000;
    begin();
    for (int i = 0; i < 2; i++) {
        EXPECT_INT(fill(&sides[i], 0, count, 100, ""), 0);
    }
    sleep(2);
    int hot_lost[2];
    for (int i = 0; i < 2; i++) {
        struct side *side = &sides[i];
        expect_ok(side, "CONFIG SET maxmemory-policy allkeys-lru");
        EXPECT_INT(present(side, 0, count, 2, "GET"), count / 2);
        limit_to(side, 75);
        int cold_lost = count / 2 - present(side, 1, count, 2, "EXISTS");
        hot_lost[i] = count / 2 - present(side, 0, count, 2, "EXISTS");
        EXPECT(cold_lost > count / 10);
    }
    EXPECT(hot_lost[0] <= 2 * hot_lost[1] + count / 100);
}

TEST(under_lfu_keys_in_frequent_use_stay_and_policies_change_while_running)
{
    const int count = 5000;
    begin();
    expect_ok(OURS, "CONFIG SET maxmemory-policy allkeys-lfu lfu-log-factor 0");
    EXPECT_INT(fill(OURS, 0, count, 100, ""), 0);
    for (int use = 0; use < 10; use++) {
        EXPECT_INT(present(OURS, 0, count, 10, "GET"), count / 10);
    }
    limit_to(OURS, 70);
    EXPECT(present(OURS, 0, count, 10, "EXISTS") >= count / 10 - count / 100);
    /* Now only what expires may go, then nothing. */
    expect_ok(OURS, "CONFIG SET maxmemory 0 maxmemory-policy volatile-ttl");
    EXPECT_INT(fill(OURS, count, count, 100, " EX 5000"), 0);
    EXPECT_INT(fill(OURS, 2 * count, count, 100, " EX 500"), 0);
    int before = present(OURS, 0, count, 1, "EXISTS");
    limit_to(OURS, 80);
    EXPECT_INT(present(OURS, 0, count, 1, "EXISTS"), before);
    EXPECT(present(OURS, count, 2 * count, 1, "EXISTS") > count - count / 20);
    EXPECT(present(OURS, 2 * count, 3 * count, 1, "EXISTS") < count);
    expect_ok(OURS, "CONFIG SET maxmemory-policy noeviction");
    EXPECT(fill(OURS, 3 * count, count, 500, "") > 0);
    expect_ok(OURS, "CONFIG SET maxmemory 0");
    EXPECT_INT(fill(OURS, 3 * count, count, 500, ""), 0);
}

TEST(a_flush_makes_room_at_once)
{
    begin();
    expect_ok(OURS, "CONFIG SET maxmemory 10mb");
    for (int i = 0; i < 5; i++) {
        EXPECT_INT(fill(OURS, 0, 12000, 500, ""), 0);
        expect_ok(OURS, i % 2 == 0 ? "FLUSHALL" : "FLUSHDB");
    }
}

/* ------------------------------------------------------------------------------------------
 * With a disk.
 */

TEST(with_a_log_no_key_goes_whatever_the_policy_and_values_move_to_disk)
{
    begin();
    struct side side = {.name = "basin with a log"};
    side.process = process_start(&(struct process_options){.dir = NULL});
    EXPECT(side.process != NULL);
    side.link = redisConnect("127.0.0.1", process_port(side.process));
    EXPECT_INT(fill(&side, 0, 2000, 500, " EX 1000"), 0);
    expect_ok(&side, "CONFIG SET maxmemory 1mb maxmemory-policy allkeys-lru");
    EXPECT_INT(fill(&side, 2000, 20000, 500, ""), 0);
    EXPECT_INT(present(&side, 0, 22000, 1, "EXISTS"), 22000);
    EXPECT_INT(info(&side, "stats", "evicted_keys"), 0);
    EXPECT(info(&side, "basin", "loads") > 10000); /* Most of them had left memory. */
    EXPECT_INT(present(&side, 0, 2000, 1, "GET"), 2000);
    expect_ok(&side, "CONFIG SET maxmemory 0");
    /* What is read from the log counts as used when the server started. */
    static const char *const lfu[] = {"--maxmemory-policy", "allkeys-lfu", NULL};
    for (int counts = 0; counts < 2; counts++) {
        redisFree(side.link);
        process_kill(side.process);
        process_restart_with(side.process, counts ? lfu : NULL);
        side.link = redisConnect("127.0.0.1", process_port(side.process));
        redisReply *reply = said(&side, counts ? "OBJECT FREQ k1" : "OBJECT IDLETIME k1");
        EXPECT_INT(reply->type, REDIS_REPLY_INTEGER);
        EXPECT(counts ? reply->integer == 5 : reply->integer < 60);
        freeReplyObject(reply);
    }
    redisFree(side.link);
    process_free(side.process);
}

TEST(with_a_log_that_never_settles_writes_are_refused_past_the_limit_and_nothing_goes)
{
    begin();
    struct side side = {.name = "basin that does not settle"};
    static const char *const never[] = {"--settle-log-size", "0", NULL};
    side.process = process_start(&(struct process_options){.arguments = never});
    EXPECT(side.process != NULL);
    side.link = redisConnect("127.0.0.1", process_port(side.process));
    EXPECT_INT(fill(&side, 0, 2000, 500, " EX 1000"), 0);
    EXPECT_TEXT(text_of(said(&side, "BASIN.SETTLE")), "OK");
    EXPECT_INT(info(&side, "storage", "storage_strata"), 0);
    expect_ok(&side, "CONFIG SET maxmemory 1mb maxmemory-policy allkeys-lru");
    EXPECT_INT(fill(&side, 2000, 2000, 500, ""), 2000);
    for (int restart = 0; restart < 2; restart++) {
        EXPECT_INT(present(&side, 0, 4000, 1, "GET"), 2000);
        EXPECT_INT(info(&side, "basin", "loads"), 0);
        EXPECT_INT(info(&side, "stats", "evicted_keys"), 0);
        redisFree(side.link);
        process_kill(side.process);
        process_restart(side.process);
        side.link = redisConnect("127.0.0.1", process_port(side.process));
    }
    /* A store that has settled goes on with what it has. */
    static const char *const settles[] = {"--settle-log-size", "16kb", NULL};
    for (int settled = 1; settled >= 0; settled--) {
        redisFree(side.link);
        EXPECT_INT(process_stop(side.process), 0);
        process_restart_with(side.process, settled ? settles : never);
        side.link = redisConnect("127.0.0.1", process_port(side.process));
        EXPECT_TEXT(text_of(said(&side, "BASIN.SETTLE")), "OK");
        EXPECT(info(&side, "storage", "storage_strata") > 0);
        EXPECT_INT(present(&side, 0, 4000, 1, "GET"), 2000);
    }
    EXPECT_INT(fill(&side, 2000, 100, 500, ""), 0);
    EXPECT_TEXT(text_of(said(&side, "BASIN.SETTLE")), "OK");
    EXPECT_INT(info(&side, "storage", "storage_settled_grains"), 100);
    redisFree(side.link);
    process_free(side.process);
}
