/* Hashes, as clients see them. What fields with a time to live do follows the documentation of
 * Redis 7.4 and 8.0, as the redis-server at hand knows none. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NOT_INTEGER "-ERR value is not an integer or out of range"
#define NOT_FLOAT "-ERR value is not a valid float"
#define SYNTAX "-ERR syntax error"

static void sleep_ms(unsigned ms)
{
    usleep(ms * 1000);
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Words for the fields first … first + count - 1, each followed by its value if those are asked
 * for; at most GROUP_MAX. */
#define GROUP_MAX 50
static const char *words_of(int first, int count, bool values)
{
    static char text[GROUP_MAX * 32];
    size_t size = 0;
    for (int i = first; i < first + count; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, " f%d", i);
        if (values) {
            size += (size_t)snprintf(text + size, sizeof(text) - size, " v%d", i);
        }
    }
    return text;
}

/* A hash of so many fields f0 … with the values v0 … */
static void make_hash(const char *key, int count)
{
    char question[64 + GROUP_MAX * 32];
    for (int i = 0; i < count; i += GROUP_MAX) {
        int some = count - i < GROUP_MAX ? count - i : GROUP_MAX;
        snprintf(question, sizeof(question), "HSET %s%s", key, words_of(i, some, true));
        EXPECT_INT(ask_integer(question), some);
    }
}

/* ------------------------------------------------------------------------------------------
 * Fields.
 */

TEST(hset_counts_new_fields_and_replaces_old_ones)
{
    dialog_begin();
    EXPECT_TEXT(ask("HSET h a 1 b 2"), "(2)");
    EXPECT_TEXT(ask("HSET h a 3 c 4 c 5"), "(1)");
    EXPECT_TEXT(ask("HMSET h d 6"), "OK");
    EXPECT_TEXT(ask("HGETALL h"), "[a 3 b 2 c 5 d 6]");
    EXPECT_TEXT(ask("HKEYS h"), "[a b c d]");
    EXPECT_TEXT(ask("HVALS h"), "[3 2 5 6]");
    EXPECT_TEXT(ask("HLEN h"), "(4)");
    EXPECT_TEXT(ask("HGET h c"), "5");
    EXPECT_TEXT(ask("HGET h none"), "(nil)");
    EXPECT_TEXT(ask("HMGET h a none b"), "[3 (nil) 2]");
    EXPECT_TEXT(ask("HMGET none a b"), "[(nil) (nil)]");
    EXPECT_TEXT(ask("HSTRLEN h a"), "(1)");
    EXPECT_TEXT(ask("HSTRLEN h none"), "(0)");
    EXPECT_TEXT(ask("HEXISTS h a"), "(1)");
    EXPECT_TEXT(ask("HEXISTS h none"), "(0)");
    EXPECT_TEXT(ask("HSETNX h a 9"), "(0)");
    EXPECT_TEXT(ask("HSETNX h e 9"), "(1)");
    EXPECT_TEXT(ask("HSET h a"), "-ERR wrong number of arguments for 'hset' command");
    EXPECT_TEXT(ask("HSET h a 1 b"), "-ERR wrong number of arguments for 'hset' command");
    EXPECT_TEXT(ask("HMSET h a 1 b"), "-ERR wrong number of arguments for 'hmset' command");
    EXPECT_TEXT(ask("TYPE h"), "hash");
}

TEST(hdel_counts_what_was_there_and_an_emptied_hash_is_gone)
{
    dialog_begin();
    EXPECT_TEXT(ask("HSET h a 1 b 2 c 3"), "(3)");
    EXPECT_TEXT(ask("HDEL h a none a"), "(1)");
    EXPECT_TEXT(ask("HDEL h b c"), "(2)");
    EXPECT_TEXT(ask("EXISTS h"), "(0)");
    EXPECT_TEXT(ask("HDEL h a"), "(0)");
    EXPECT_TEXT(ask("HGETALL h"), "[]");
    EXPECT_TEXT(ask("HLEN h"), "(0)");
}

TEST(hincrby_adds_within_64_bits)
{
    dialog_begin();
    EXPECT_TEXT(ask("HINCRBY h n 5"), "(5)");
    EXPECT_TEXT(ask("HINCRBY h n -7"), "(-2)");
    EXPECT_TEXT(ask("HINCRBY h n x"), NOT_INTEGER);
    EXPECT_TEXT(ask("HSET h s abc big 9223372036854775807"), "(2)");
    EXPECT_TEXT(ask("HINCRBY h s 1"), "-ERR hash value is not an integer");
    EXPECT_TEXT(ask("HINCRBY h big 1"), "-ERR increment or decrement would overflow");
    EXPECT_TEXT(ask("HGET h big"), "9223372036854775807");
    EXPECT_TEXT(ask("HINCRBYFLOAT h f 10.5"), "10.5");
    EXPECT_TEXT(ask("HINCRBYFLOAT h f 0.1"), "10.6");
    EXPECT_TEXT(ask("HINCRBYFLOAT h f -5.0e3"), "-4989.39999999999999991");
    EXPECT_TEXT(ask("HINCRBYFLOAT h s 1"), "-ERR hash value is not a float");
    EXPECT_TEXT(ask("HINCRBYFLOAT h f x"), NOT_FLOAT);
    EXPECT_TEXT(ask("HINCRBYFLOAT h f inf"), "-ERR value is NaN or Infinity");
    EXPECT_TEXT(ask("HGET h f"), "-4989.39999999999999991");
}

TEST(hash_commands_refuse_other_types)
{
    static const char *const questions[] = {
        "HSET s a 1",
        "HSETNX s a 1",
        "HMSET s a 1",
        "HGET s a",
        "HMGET s a",
        "HGETALL s",
        "HKEYS s",
        "HVALS s",
        "HLEN s",
        "HSTRLEN s a",
        "HEXISTS s a",
        "HDEL s a",
        "HINCRBY s a 1",
        "HINCRBYFLOAT s a 1",
        "HRANDFIELD s",
        "HRANDFIELD s 1",
        "HSCAN s 0",
        "HEXPIRE s 1 FIELDS 1 a",
        "HTTL s FIELDS 1 a",
        "HPERSIST s FIELDS 1 a",
        "HGETDEL s FIELDS 1 a",
        "HGETEX s FIELDS 1 a",
        "HSETEX s FIELDS 1 a 1",
    };
    dialog_begin();
    EXPECT_TEXT(ask("SET s v"), "OK");
    EXPECT_TEXT(ask("HSET h a 1"), "(1)");
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        EXPECT_TEXT(ask(questions[i]), WRONGTYPE);
    }
    EXPECT_TEXT(ask("GET h"), WRONGTYPE);
    EXPECT_TEXT(ask("LPUSH h a"), WRONGTYPE);
}

TEST(the_encoding_follows_the_thresholds_and_never_goes_back)
{
    dialog_begin();
    EXPECT_TEXT(ask("CONFIG SET hash-max-listpack-entries 3 hash-max-listpack-value 5"), "OK");
    EXPECT_TEXT(ask("HSET h a 1 b 2 c 12345"), "(3)");
    EXPECT_TEXT(ask("OBJECT ENCODING h"), "listpack");
    EXPECT_TEXT(ask("HSET h a 2"), "(0)");
    EXPECT_TEXT(ask("OBJECT ENCODING h"), "listpack");
    EXPECT_TEXT(ask("HSET h d 4"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING h"), "hashtable");
    EXPECT_TEXT(ask("HDEL h a b c"), "(3)");
    EXPECT_TEXT(ask("OBJECT ENCODING h"), "hashtable");
    EXPECT_TEXT(ask("HSET v a 123456"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING v"), "hashtable");
    EXPECT_TEXT(ask("HSET n a 1"), "(1)");
    EXPECT_TEXT(ask("HSETNX n a 123456"), "(0)");
    EXPECT_TEXT(ask("OBJECT ENCODING n"), "listpack");
    EXPECT_TEXT(ask("HINCRBY n toolong 1"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING n"), "hashtable");
    EXPECT_TEXT(ask("CONFIG SET hash-max-listpack-entries 512 hash-max-listpack-value 64"), "OK");
}

TEST(hashes_are_keys_like_others)
{
    dialog_begin();
    make_hash("big", 1000);
    EXPECT_TEXT(ask("HSET h a 1"), "(1)");
    EXPECT_TEXT(ask("COPY big copy"), "(1)");
    EXPECT_TEXT(ask("HDEL big f500"), "(1)");
    EXPECT_TEXT(ask("HGET copy f500"), "v500");
    EXPECT_TEXT(ask("HLEN copy"), "(1000)");
    EXPECT_TEXT(ask("RENAME copy h"), "OK");
    EXPECT_TEXT(ask("HLEN h"), "(1000)");
    EXPECT_TEXT(ask("EXPIRE h 100"), "(1)");
    EXPECT_TEXT(ask("HSET h new 1"), "(1)");
    EXPECT_TEXT(ask("TTL h"), "(100)");
    EXPECT_TEXT(ask("DEL h big"), "(2)");
    EXPECT_TEXT(ask("DBSIZE"), "(0)");
}

TEST(large_fields_and_values_come_back_whole_and_survive_kill_9)
{
    static const size_t sizes[] = {100, 3000, 5000, 20000, 200000};
    dialog_begin();
    for (size_t i = 0; i < 5; i++) {
        const char *field = dialog_filler(sizes[i % 4], i + 100);
        EXPECT_TEXT(ask("HSET h %s %s", field, dialog_filler(sizes[i], i)), "(1)");
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 5; i++) {
            const char *field = dialog_filler(sizes[i % 4], i + 100);
            EXPECT_TEXT(ask("HGET h %s", field), dialog_filler(sizes[i], i));
        }
        dialog_crash();
    }
    /* A reply that names parts of the hash while they are taken out of it. */
    const char *value = dialog_filler(200000, 4);
    const char *reply = ask("HGETDEL h FIELDS 1 %s", dialog_filler(sizes[0], 104));
    EXPECT(strlen(reply) == 200002 && strncmp(reply + 1, value, 200000) == 0);
    EXPECT_TEXT(ask("HLEN h"), "(4)");
}

TEST(a_hash_of_thousands_survives_kill_9_field_by_field)
{
    dialog_begin();
    make_hash("h", 3000);
    EXPECT_TEXT(ask("OBJECT ENCODING h"), "hashtable");
    for (int i = 0; i < 3000; i += 6) {
        EXPECT_INT(ask_integer("HDEL h f%d f%d", i, i + 3), 2);
        EXPECT_INT(ask_integer("HSET h f%d changed f%d changed", i + 1, i + 4), 0);
    }
    for (int round = 0; round < 2; round++) {
        char changed[16];
        EXPECT_TEXT(ask("HLEN h"), "(2000)");
        for (int i = 0; i < 3000; i += 30) {
            snprintf(changed, sizeof(changed), "v%d", i + 2);
            EXPECT_TEXT(ask("HGET h f%d", i), "(nil)");
            EXPECT_TEXT(ask("HGET h f%d", i + 1), "changed");
            EXPECT_TEXT(ask("HGET h f%d", i + 2), changed);
        }
        dialog_crash();
    }
}

/* ------------------------------------------------------------------------------------------
 * Scans and picks.
 */

TEST(hscan_gives_a_small_hash_at_once)
{
    dialog_begin();
    EXPECT_TEXT(ask("HSET h a 1 ab 2 b 3"), "(3)");
    EXPECT_TEXT(ask("HSCAN h 0"), "[0 [a 1 ab 2 b 3]]");
    EXPECT_TEXT(ask("HSCAN h 0 MATCH a* COUNT 1"), "[0 [a 1 ab 2]]");
    EXPECT_TEXT(ask("HSCAN h 0 NOVALUES"), "[0 [a ab b]]");
    EXPECT_TEXT(ask("HSCAN none 0 FOO"), "[0 []]");
    EXPECT_TEXT(ask("HSCAN h x"), "-ERR invalid cursor");
    EXPECT_TEXT(ask("HSCAN h 0 COUNT 0"), SYNTAX);
    EXPECT_TEXT(ask("HSCAN h 0 COUNT x"), NOT_INTEGER);
    EXPECT_TEXT(ask("HSCAN h 0 COUNT"), SYNTAX);
    EXPECT_TEXT(ask("HSCAN h 0 TYPE hash"), SYNTAX);
}

/* The fields "fN" in a reply of HSCAN NOVALUES are marked; gives the cursor. */
static unsigned long long scan_mark(const char *reply, bool *seen, int count)
{
    unsigned long long cursor;
    int read;
    EXPECT(sscanf(reply, "[%llu [%n", &cursor, &read) == 1);
    for (const char *at = reply + read; *at != '\0';) {
        int number;
        if (sscanf(at, "f%d", &number) == 1 && number < count) {
            seen[number] = true;
        }
        at += strcspn(at, " ]");
        at += strspn(at, " ]");
    }
    return cursor;
}

TEST(hscan_gives_every_field_that_is_there_throughout_while_others_come_and_go)
{
    enum { COUNT = 3000 };
    static bool seen[COUNT];
    dialog_begin();
    memset(seen, 0, sizeof(seen));
    make_hash("h", COUNT);
    unsigned long long cursor = 0;
    int steps = 0;
    int next = 0;
    do {
        cursor = scan_mark(ask("HSCAN h %llu COUNT 5 NOVALUES", cursor), seen, COUNT);
        for (int i = 0; i < 10; i++, next += 5) {
            ask("HSET h other%d 1 other%d 1 other%d 1 other%d 1 other%d 1", next, next + 1,
                next + 2, next + 3, next + 4);
            if (steps % 3 == 2) {
                ask("HDEL h other%d other%d other%d", next - 200, next - 150, next - 90);
            }
        }
    } while (cursor != 0 && ++steps < 10000);
    EXPECT(cursor == 0 && steps > 10);
    for (int i = 0; i < COUNT; i++) {
        EXPECT(seen[i]);
    }
}

TEST(hrandfield_answers_in_every_form)
{
    dialog_begin();
    EXPECT_TEXT(ask("HRANDFIELD none"), "(nil)");
    EXPECT_TEXT(ask("HRANDFIELD none 3"), "[]");
    EXPECT_TEXT(ask("HSET h a 1"), "(1)");
    EXPECT_TEXT(ask("HRANDFIELD h"), "a");
    EXPECT_TEXT(ask("HRANDFIELD h 5"), "[a]");
    EXPECT_TEXT(ask("HRANDFIELD h 5 WITHVALUES"), "[a 1]");
    EXPECT_TEXT(ask("HRANDFIELD h -3"), "[a a a]");
    EXPECT_TEXT(ask("HRANDFIELD h -2 WITHVALUES"), "[a 1 a 1]");
    EXPECT_TEXT(ask("HRANDFIELD h 0"), "[]");
    EXPECT_TEXT(ask("HRANDFIELD h x"), NOT_INTEGER);
    EXPECT_TEXT(ask("HRANDFIELD h 1 FOO"), SYNTAX);
    EXPECT_TEXT(ask("HRANDFIELD h -4611686018427387905 WITHVALUES"), "-ERR value is out of range");
    EXPECT_TEXT(ask("HRANDFIELD h -9223372036854775807"),
                "-ERR the request passes a limit of this server");
    EXPECT_TEXT(ask("HRANDFIELD h -9223372036854775808"),
                "-ERR value is out of range, value must between -9223372036854775807 and "
                "9223372036854775807");
}

#define WAITING 40000
#define WAITING_EACH 1000 /* In one request. */

/* Fields whose time has come lie there until they are removed, some hundreds at a time: as long as
 * they are most of the hash, a pick that finds one would be made again and again. */
TEST(hrandfield_is_quick_and_fair_while_most_fields_wait_for_their_removal)
{
    dialog_begin();
    EXPECT_TEXT(ask("CONFIG SET hz 1"), "OK");
    EXPECT_TEXT(ask("HSET h a 1 b 2 c 3"), "(3)");
    long long at_ms = now_ms() + 3000;
    static char texts[WAITING_EACH + 1][24];
    const char *words[6 + 2 * WAITING_EACH] = {"HSETEX", "h",   "PXAT", texts[WAITING_EACH],
                                               "FIELDS", "1000"};
    snprintf(texts[WAITING_EACH], sizeof(texts[0]), "%lld", at_ms);
    for (int i = 0; i < WAITING; i++) {
        snprintf(texts[i % WAITING_EACH], sizeof(texts[0]), "f%d", i);
        words[6 + 2 * (i % WAITING_EACH)] = texts[i % WAITING_EACH];
        words[7 + 2 * (i % WAITING_EACH)] = "v";
        if (i % WAITING_EACH == WAITING_EACH - 1) {
            EXPECT_TEXT(ask_argv(6 + 2 * WAITING_EACH, words, NULL), "(1)");
        }
    }
    EXPECT_INT(ask_integer("HLEN h"), WAITING + 3);
    while (ask_integer("HLEN h") > 3) {
    }
    long long begun_ms = now_ms();
    const char *picks = ask("HRANDFIELD h -3000");
    EXPECT(now_ms() - begun_ms < 1000); /* It was some 5 s. */
    int seen[3] = {0};
    for (const char *at = picks + 1; *at != '\0'; at += 2) {
        EXPECT(*at >= 'a' && *at <= 'c');
        seen[*at - 'a']++;
    }
    EXPECT(seen[0] + seen[1] + seen[2] == 3000);
    EXPECT(seen[0] > 800 && seen[1] > 800 && seen[2] > 800);
    EXPECT_TEXT(ask("CONFIG SET hz 10"), "OK");
}

/* How often each of `count` fields was picked in `picks` requests for `some` of them. */
static void expect_fair(int count, int picks, int some)
{
    int *hits = calloc((size_t)count, sizeof(*hits));
    EXPECT(hits != NULL);
    for (int n = 0; n < picks; n++) {
        const char *at = ask("HRANDFIELD h %d", some) + 1;
        int number;
        while (sscanf(at, "f%d", &number) == 1) {
            EXPECT(number >= 0 && number < count);
            hits[number]++;
            at += strcspn(at, " ]");
            at += strspn(at, " ]");
        }
    }
    long long all = 0;
    int expected = picks * abs(some) / count;
    for (int i = 0; i < count; i++) {
        EXPECT(hits[i] > expected / 3 && hits[i] < expected * 3);
        all += hits[i];
    }
    EXPECT_INT(all, (long long)picks * abs(some));
    free(hits);
}

TEST(hrandfield_picks_every_field_about_as_often)
{
    dialog_begin();
    make_hash("h", 20);
    expect_fair(20, 400, -10);
    expect_fair(20, 800, 5);
    EXPECT_TEXT(ask("DEL h"), "(1)");
    make_hash("h", 1000);
    expect_fair(1000, 200, -300);
    expect_fair(1000, 600, 100);
    expect_fair(1000, 100, 600);
}

TEST(a_pick_of_many_different_fields_has_none_twice)
{
    static bool seen[1000];
    dialog_begin();
    make_hash("h", 1000);
    for (int some = 100; some <= 1000; some += 150) {
        memset(seen, 0, sizeof(seen));
        int count = 0;
        const char *at = ask("HRANDFIELD h %d", some) + 1;
        int number;
        while (sscanf(at, "f%d", &number) == 1) {
            EXPECT(!seen[number]);
            seen[number] = true;
            count++;
            at += strcspn(at, " ]");
            at += strspn(at, " ]");
        }
        EXPECT_INT(count, some);
    }
}

/* ------------------------------------------------------------------------------------------
 * Fields that expire. Documented: HEXPIRE answers -2 for no such field or key, 0 where the
 * condition is not met, 1 where the time was set, 2 where it has passed and the field is deleted.
 */

TEST(hexpire_answers_for_each_field)
{
    dialog_begin();
    EXPECT_TEXT(ask("HSET h a 1 b 2"), "(2)");
    EXPECT_TEXT(ask("HEXPIRE h 100 FIELDS 3 a b none"), "[(1) (1) (-2)]");
    EXPECT_TEXT(ask("HTTL h FIELDS 3 a b none"), "[(100) (100) (-2)]");
    EXPECT_TEXT(ask("HEXPIRE none 100 FIELDS 2 a b"), "[(-2) (-2)]");
    EXPECT_TEXT(ask("HTTL none FIELDS 2 a b"), "[(-2) (-2)]");
    EXPECT_TEXT(ask("HEXPIRE h 0 FIELDS 2 a a"), "[(2) (-2)]");
    EXPECT_TEXT(ask("HGETALL h"), "[b 2]");
    EXPECT_TEXT(ask("HEXPIREAT h 1 FIELDS 1 b"), "[(2)]");
    EXPECT_TEXT(ask("EXISTS h"), "(0)");
}

TEST(hexpire_heeds_its_conditions)
{
    dialog_begin();
    EXPECT_TEXT(ask("HSET h a 1 b 2 c 3"), "(3)");
    EXPECT_TEXT(ask("HEXPIREAT h 5000000000 FIELDS 1 b"), "[(1)]");
    EXPECT_TEXT(ask("HEXPIREAT h 5000000001 NX FIELDS 2 a b"), "[(1) (0)]");
    EXPECT_TEXT(ask("HEXPIREAT h 5000000002 XX FIELDS 2 b c"), "[(1) (0)]");
    EXPECT_TEXT(ask("HEXPIREAT h 5000000001 GT FIELDS 3 a b c"), "[(0) (0) (0)]");
    EXPECT_TEXT(ask("HEXPIREAT h 5000000003 gt FIELDS 3 a b c"), "[(1) (1) (0)]");
    EXPECT_TEXT(ask("HEXPIREAT h 5000000002 LT FIELDS 3 a b c"), "[(1) (1) (1)]");
    EXPECT_TEXT(ask("HEXPIREAT h 5000000002 LT FIELDS 1 a"), "[(0)]");
    EXPECT_TEXT(ask("HEXPIRETIME h FIELDS 3 a b c"), "[(5000000002) (5000000002) (5000000002)]");
    EXPECT_TEXT(ask("HPEXPIRETIME h FIELDS 1 a"), "[(5000000002000)]");
    EXPECT_TEXT(ask("HPERSIST h FIELDS 3 a a none"), "[(1) (-1) (-2)]");
    EXPECT_TEXT(ask("HEXPIRE h 100 NX FIELDS 2 a a"), "[(1) (0)]");
    EXPECT_TEXT(ask("HPERSIST none FIELDS 1 a"), "[(-2)]");
}

TEST(hexpire_refuses_what_makes_no_sense)
{
    dialog_begin();
    EXPECT_TEXT(ask("HSET h a 1"), "(1)");
    EXPECT_TEXT(ask("HEXPIRE h x FIELDS 1 a"), NOT_INTEGER);
    EXPECT_TEXT(ask("HEXPIRE h -1 FIELDS 1 a"), "-ERR invalid expire time, must be >= 0");
    EXPECT_TEXT(ask("HEXPIRE h 9223372036854775807 FIELDS 1 a"),
                "-ERR invalid expire time in 'hexpire' command");
    EXPECT_TEXT(ask("HPEXPIREAT h 281474976710655 FIELDS 1 a"),
                "-ERR invalid expire time in 'hpexpireat' command");
    EXPECT_TEXT(ask("HEXPIRE h 1 FIELD 1 a"),
                "-ERR Mandatory argument FIELDS is missing or not at the right position");
    EXPECT_TEXT(ask("HEXPIRE h 1 FIELDS 0 a"),
                "-ERR Parameter `numFields` should be greater than 0");
    EXPECT_TEXT(ask("HEXPIRE h 1 FIELDS 2 a"),
                "-ERR The `numfields` parameter must match the number of arguments");
    EXPECT_TEXT(ask("HTTL h FIELDS 9223372036854775807 a"),
                "-ERR The `numfields` parameter must match the number of arguments");
    EXPECT_TEXT(ask("HEXPIRE h 1 FIELDS 1"),
                "-ERR wrong number of arguments for 'hexpire' command");
    EXPECT_TEXT(ask("HTTL h FIELDS 1 a"), "[(-1)]");
}

/* Documented: overwriting a field clears its time, altering it leaves the time untouched. */
TEST(hset_clears_the_time_of_a_field_and_hincrby_keeps_it)
{
    dialog_begin();
    EXPECT_TEXT(ask("HSET h a 1 b 1 c 1"), "(3)");
    EXPECT_TEXT(ask("HEXPIRE h 100 FIELDS 3 a b c"), "[(1) (1) (1)]");
    EXPECT_TEXT(ask("HSET h a 2"), "(0)");
    EXPECT_TEXT(ask("HINCRBY h b 1"), "(2)");
    EXPECT_TEXT(ask("HINCRBYFLOAT h c 0.5"), "1.5");
    EXPECT_TEXT(ask("HSETNX h c 9"), "(0)");
    EXPECT_TEXT(ask("HTTL h FIELDS 3 a b c"), "[(-1) (100) (100)]");
}

/* A field whose time has come is absent to every command at once, whether or not it is removed. */
static void expect_field_gone(const char *key)
{
    EXPECT_TEXT(ask("HGET %s a", key), "(nil)");
    EXPECT_TEXT(ask("HMGET %s a b", key), "[(nil) 2]");
    EXPECT_TEXT(ask("HEXISTS %s a", key), "(0)");
    EXPECT_TEXT(ask("HSTRLEN %s a", key), "(0)");
    EXPECT_TEXT(ask("HTTL %s FIELDS 1 a", key), "[(-2)]");
    EXPECT_TEXT(ask("HPERSIST %s FIELDS 1 a", key), "[(-2)]");
    EXPECT_TEXT(ask("HEXPIRE %s 9 FIELDS 1 a", key), "[(-2)]");
    EXPECT_TEXT(ask("HGETEX %s PERSIST FIELDS 1 a", key), "[(nil)]");
    EXPECT_TEXT(ask("HDEL %s a", key), "(0)");
}

TEST(a_field_whose_time_has_come_is_absent_at_once)
{
    dialog_begin();
    for (int large = 0; large < 2; large++) {
        EXPECT_TEXT(ask("FLUSHALL"), "OK");
        EXPECT_TEXT(ask("HSET h a 1 b 2"), "(2)");
        make_hash("h", large == 1 ? 600 : 0);
        long long count = ask_integer("HLEN h");
        long long at_ms = now_ms() + 60;
        EXPECT_TEXT(ask("HPEXPIREAT h %lld FIELDS 1 a", at_ms), "[(1)]");
        EXPECT_TEXT(ask("OBJECT ENCODING h"), large == 1 ? "hashtable" : "listpackex");
        while (now_ms() <= at_ms) {
            sleep_ms(1);
        }
        EXPECT_INT(ask_integer("HLEN h"), count - 1);
        expect_field_gone("h");
        EXPECT_TEXT(ask("HSETNX h a 5"), "(1)");
        EXPECT_TEXT(ask("HINCRBY h a 1"), "(6)");
        EXPECT_TEXT(ask("HTTL h FIELDS 1 a"), "[(-1)]");
    }
}

TEST(a_hash_vanishes_with_its_last_field_without_being_asked_for)
{
    dialog_begin();
    EXPECT_TEXT(ask("HSET h a 1 b 2"), "(2)");
    EXPECT_TEXT(ask("HPEXPIRE h 30 FIELDS 1 a"), "[(1)]");
    EXPECT_TEXT(ask("HPEXPIRE h 60 FIELDS 1 b"), "[(1)]");
    EXPECT_TEXT(ask("SET other 1"), "OK");
    EXPECT_TEXT(ask("DBSIZE"), "(2)");
    for (int i = 0; i < 300 && ask_integer("DBSIZE") > 1; i++) {
        sleep_ms(10);
    }
    EXPECT_TEXT(ask("DBSIZE"), "(1)");
    EXPECT_TEXT(ask("EXISTS h"), "(0)");
    EXPECT_TEXT(ask("TYPE h"), "none");
    dialog_crash();
    EXPECT_TEXT(ask("KEYS *"), "[other]");
}

/* Thousands with one time are removed slice by slice, others stay. */
TEST(thousands_of_fields_expire_in_the_background)
{
    enum { COUNT = 4000 };
    dialog_begin();
    make_hash("h", COUNT);
    long long at_ms = now_ms() + 4000;
    for (int i = 0; i < COUNT; i += 4) {
        EXPECT_TEXT(ask("HPEXPIREAT h %lld FIELDS 3 f%d f%d f%d", at_ms, i + 1, i + 2, i + 3),
                    "[(1) (1) (1)]");
    }
    long long memory = ask_integer("MEMORY USAGE h");
    while (now_ms() <= at_ms) {
        sleep_ms(1);
    }
    EXPECT_INT(ask_integer("HLEN h"), COUNT / 4);
    for (int i = 0; i < 500 && ask_integer("MEMORY USAGE h") > memory / 2; i++) {
        sleep_ms(10);
    }
    EXPECT(ask_integer("MEMORY USAGE h") < memory / 2);
    for (int round = 0; round < 2; round++) {
        EXPECT_INT(ask_integer("HLEN h"), COUNT / 4);
        EXPECT_TEXT(ask("HMGET h f0 f1 f2 f3 f4"), "[v0 (nil) (nil) (nil) v4]");
        dialog_crash();
    }
}

TEST(times_of_fields_survive_kill_9_copy_and_rename)
{
    dialog_begin();
    make_hash("big", 1000);
    EXPECT_TEXT(ask("HSET h a 1 b 2"), "(2)");
    EXPECT_TEXT(ask("HPEXPIREAT h 5000000000123 FIELDS 1 a"), "[(1)]");
    EXPECT_TEXT(ask("HPEXPIREAT big 5000000000456 FIELDS 2 f1 f999"), "[(1) (1)]");
    EXPECT_TEXT(ask("COPY h h2"), "(1)");
    EXPECT_TEXT(ask("COPY big big2"), "(1)");
    EXPECT_TEXT(ask("RENAME h2 h3"), "OK");
    EXPECT_TEXT(ask("RENAME big2 big3"), "OK");
    for (int round = 0; round < 2; round++) {
        EXPECT_TEXT(ask("HPEXPIRETIME h FIELDS 2 a b"), "[(5000000000123) (-1)]");
        EXPECT_TEXT(ask("HPEXPIRETIME h3 FIELDS 2 a b"), "[(5000000000123) (-1)]");
        EXPECT_TEXT(ask("HPEXPIRETIME big FIELDS 2 f1 f2"), "[(5000000000456) (-1)]");
        EXPECT_TEXT(ask("HPEXPIRETIME big3 FIELDS 2 f999 f2"), "[(5000000000456) (-1)]");
        dialog_crash();
    }
}

/* Replay gives the heap of times what it needs. */
TEST(fields_expire_after_a_restart_too)
{
    dialog_begin();
    make_hash("big", 1000);
    EXPECT_TEXT(ask("HSET h a 1"), "(1)");
    EXPECT_TEXT(ask("HPEXPIRE h 1500 FIELDS 1 a"), "[(1)]");
    EXPECT_TEXT(ask("HPEXPIRE big 1500 FIELDS 1 f1"), "[(1)]");
    dialog_crash();
    for (int i = 0; i < 500 && ask_integer("DBSIZE") > 1; i++) {
        sleep_ms(10);
    }
    EXPECT_TEXT(ask("DBSIZE"), "(1)");
    EXPECT_TEXT(ask("HLEN big"), "(999)");
}

/* ------------------------------------------------------------------------------------------
 * Several things at once.
 */

TEST(hgetdel_gives_values_and_takes_the_fields_out)
{
    dialog_begin();
    EXPECT_TEXT(ask("HSET h a 1 b 2 c 3"), "(3)");
    EXPECT_TEXT(ask("HGETDEL h FIELDS 3 a none a"), "[1 (nil) (nil)]");
    EXPECT_TEXT(ask("HGETALL h"), "[b 2 c 3]");
    EXPECT_TEXT(ask("HGETDEL h FIELDS 2 b c"), "[2 3]");
    EXPECT_TEXT(ask("EXISTS h"), "(0)");
    EXPECT_TEXT(ask("HGETDEL h FIELDS 1 a"), "[(nil)]");
    EXPECT_TEXT(ask("HGETDEL h FIELDS 0 a"), "-ERR Number of fields must be a positive integer");
    EXPECT_TEXT(ask("HGETDEL h FOO 1 a"),
                "-ERR Mandatory argument FIELDS is missing or not at the right position");
    EXPECT_TEXT(ask("HGETDEL h FIELDS 2 a"),
                "-ERR The `numfields` parameter must match the number of arguments");
}

TEST(hgetex_gives_values_and_sets_times)
{
    dialog_begin();
    EXPECT_TEXT(ask("HSET h a 1 b 2"), "(2)");
    EXPECT_TEXT(ask("HGETEX h EX 100 FIELDS 2 a none"), "[1 (nil)]");
    EXPECT_TEXT(ask("HTTL h FIELDS 2 a b"), "[(100) (-1)]");
    EXPECT_TEXT(ask("HGETEX h FIELDS 2 a b"), "[1 2]");
    EXPECT_TEXT(ask("HTTL h FIELDS 1 a"), "[(100)]");
    EXPECT_TEXT(ask("HGETEX h PERSIST FIELDS 1 a"), "[1]");
    EXPECT_TEXT(ask("HTTL h FIELDS 1 a"), "[(-1)]");
    EXPECT_TEXT(ask("HGETEX h PXAT 5000000000001 FIELDS 1 b"), "[2]");
    EXPECT_TEXT(ask("HPEXPIRETIME h FIELDS 1 b"), "[(5000000000001)]");
    EXPECT_TEXT(ask("HGETEX h EXAT 1 FIELDS 2 b b"), "[2 (nil)]");
    EXPECT_TEXT(ask("HLEN h"), "(1)");
    EXPECT_TEXT(ask("HGETEX none EX 1 FIELDS 1 b"), "[(nil)]");
    EXPECT_TEXT(ask("HGETEX h EX 1 PX 1 FIELDS 1 b"),
                "-ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified");
}

/* Documented with these very examples. */
TEST(hsetex_sets_fields_with_their_time)
{
    dialog_begin();
    EXPECT_TEXT(ask("HSETEX h EXAT 5000000000 FIELDS 2 a 1 b 2"), "(1)");
    EXPECT_TEXT(ask("HEXPIRETIME h FIELDS 2 a b"), "[(5000000000) (5000000000)]");
    EXPECT_TEXT(ask("HSETEX h FNX EX 60 FIELDS 2 a 3 c 4"), "(0)");
    EXPECT_TEXT(ask("HSETEX h FXX EX 60 KEEPTTL FIELDS 2 a 3 b 4"),
                "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
    EXPECT_TEXT(ask("HSETEX h FXX KEEPTTL FIELDS 2 a 5 b 6"), "(1)");
    EXPECT_TEXT(ask("HEXPIRETIME h FIELDS 2 a b"), "[(5000000000) (5000000000)]");
    EXPECT_TEXT(ask("HSETEX h FXX FIELDS 2 a 7 c 8"), "(0)");
    EXPECT_TEXT(ask("HGETALL h"), "[a 5 b 6]");
    EXPECT_TEXT(ask("HSETEX h FIELDS 1 a 9"), "(1)");
    EXPECT_TEXT(ask("HTTL h FIELDS 1 a"), "[(-1)]");
    EXPECT_TEXT(ask("HSETEX h PXAT 1 FIELDS 2 a 9 b 9"), "(1)");
    EXPECT_TEXT(ask("EXISTS h"), "(0)");
    EXPECT_TEXT(ask("HSETEX none FXX FIELDS 1 a 1"), "(0)");
    EXPECT_TEXT(ask("HSETEX h FIELDS 2 a 1"),
                "-ERR The `numfields` parameter must match the number of arguments");
}
