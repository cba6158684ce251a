/* Places, as clients see them. Figures are those of redis-server 7.0.15. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define SYNTAX "-ERR syntax error"
#define NOT_FLOAT "-ERR value is not a valid float"
#define UNIT "-ERR unsupported unit provided. please use M, KM, FT, MI"

static void sicily(void)
{
    dialog_begin();
    EXPECT_TEXT(ask("GEOADD k 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"), "(2)");
    EXPECT_TEXT(ask("GEOADD k 13.5 38 Altofonte"), "(1)");
}

TEST(geoadd_counts_new_members_and_with_ch_moved_ones)
{
    sicily();
    EXPECT_TEXT(ask("TYPE k"), "zset");
    EXPECT_TEXT(ask("GEOADD k 13.361389 38.115556 Palermo 1 1 new"), "(1)");
    EXPECT_TEXT(ask("GEOADD k CH 13.361389 38.115556 Palermo 2 2 new 3 3 newer"), "(2)");
    EXPECT_TEXT(ask("GEOADD k NX CH 5 5 new 6 6 newest"), "(1)");
    EXPECT_TEXT(ask("GEOPOS k new"), "[[2.00000256299972534 2.0000001856465488]]");
    EXPECT_TEXT(ask("GEOADD k XX CH 5 5 new 6 6 none"), "(1)");
    EXPECT_TEXT(ask("GEOPOS k none"), "[(nil)]");
    EXPECT_TEXT(ask("GEOADD absent XX 5 5 new"), "(0)");
    EXPECT_TEXT(ask("EXISTS absent"), "(0)");
    EXPECT_TEXT(ask("GEOADD k 1 1 twice 2 2 twice"), "(1)");
    EXPECT_TEXT(ask("GEOPOS k twice"), "[[2.00000256299972534 2.0000001856465488]]");
}

TEST(geoadd_refuses_what_is_no_place_and_then_adds_nothing)
{
    dialog_begin();
    EXPECT_TEXT(ask("GEOADD k 1 1 a 180.1 0 b"),
                "-ERR invalid longitude,latitude pair 180.100000,0.000000");
    EXPECT_TEXT(ask("GEOADD k 1 1 a 0 85.05112879 b"),
                "-ERR invalid longitude,latitude pair 0.000000,85.051129");
    EXPECT_TEXT(ask("GEOADD k inf 0 a"), "-ERR invalid longitude,latitude pair inf,0.000000");
    EXPECT_TEXT(ask("GEOADD k 1 1 a nan 0 b"), NOT_FLOAT);
    EXPECT_TEXT(ask("GEOADD k 1 x a"), NOT_FLOAT);
    EXPECT_TEXT(ask("GEOADD k 1 1 a 2"), SYNTAX);
    EXPECT_TEXT(ask("GEOADD k NX XX 1 1 a"), SYNTAX);
    EXPECT_TEXT(ask("GEOADD k CH CH CH"), SYNTAX);
    EXPECT_TEXT(ask("GEOADD k INCR 1 1 a"), SYNTAX);
    EXPECT_TEXT(ask("GEOADD k 1 1"), "-ERR wrong number of arguments for 'geoadd' command");
    EXPECT_TEXT(ask("EXISTS k"), "(0)");
}

TEST(members_tell_their_place_hash_and_distance)
{
    sicily();
    EXPECT_TEXT(ask("GEOPOS k Palermo none Catania"),
                "[[13.36138933897018433 38.11555639549629859] (nil) "
                "[15.08726745843887329 37.50266842333162032]]");
    EXPECT_TEXT(ask("GEOHASH k Palermo none Catania"), "[sqc8b49rny0 (nil) sqdtr74hyu0]");
    EXPECT_TEXT(ask("GEOPOS absent a b"), "[(nil) (nil)]");
    EXPECT_TEXT(ask("GEOHASH absent a"), "[(nil)]");
    EXPECT_TEXT(ask("GEOPOS k"), "[]");
    EXPECT_TEXT(ask("GEODIST k Palermo Catania"), "166274.1516");
    EXPECT_TEXT(ask("GEODIST k Palermo Catania km"), "166.2742");
    EXPECT_TEXT(ask("GEODIST k Palermo Catania MI"), "103.3182");
    EXPECT_TEXT(ask("GEODIST k Palermo Catania ft"), "545518.8700");
    EXPECT_TEXT(ask("GEODIST k Palermo Palermo"), "0.0000");
    EXPECT_TEXT(ask("GEODIST k Palermo none"), "(nil)");
    EXPECT_TEXT(ask("GEODIST absent a b"), "(nil)");
    EXPECT_TEXT(ask("GEODIST absent a b yd"), UNIT);
    EXPECT_TEXT(ask("GEODIST k Palermo Catania km 1"), SYNTAX);
}

TEST(geosearch_finds_in_circles_and_boxes)
{
    sicily();
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km ASC"),
                "[Catania Altofonte Palermo]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km DESC"),
                "[Palermo Altofonte Catania]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 100 km"), "[Catania]");
    EXPECT_TEXT(ask("GEOSEARCH k BYRADIUS 20 km FROMMEMBER Palermo ASC"), "[Palermo Altofonte]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMMEMBER Catania BYBOX 400 400 km ASC"),
                "[Catania Altofonte Palermo]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMMEMBER Catania BYBOX 400 100 km ASC"), "[Catania]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMMEMBER Catania BYBOX 100 400 km ASC"), "[Catania]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS inf m ASC COUNT 1"), "[Catania]");
    EXPECT_TEXT(ask("GEOSEARCH absent FROMMEMBER none BYRADIUS 1 m"), "[]");
}

TEST(geosearch_answers_with_what_is_asked_for_in_one_order)
{
    sicily();
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHCOORD WITHHASH WITHDIST"),
                "[[Catania 56.4413 (3479447370796909) [15.08726745843887329 37.50266842333162032]] "
                "[Altofonte 172.8860 (3479097324432493) [13.50000053644180298 38.0000009925631943]]"
                " [Palermo 190.4424 (3479099956230698) "
                "[13.36138933897018433 38.11555639549629859]]]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMMEMBER Palermo BYRADIUS 1 ft WITHDIST"), "[[Palermo 0.0000]]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMMEMBER Palermo BYRADIUS 1 ft WITHHASH"),
                "[[Palermo (3479099956230698)]]");
}

TEST(count_takes_the_nearest_and_with_any_the_first_that_are_met)
{
    sicily();
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km COUNT 2"), "[Catania Altofonte]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km COUNT 2 DESC"),
                "[Palermo Altofonte]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 ANY"), "[Altofonte]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km ANY COUNT 2 DESC"),
                "[Palermo Altofonte]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km COUNT 9223372036854775807"),
                "[Catania Altofonte Palermo]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km COUNT 0"),
                "-ERR COUNT must be > 0");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km COUNT x"),
                "-ERR value is not an integer or out of range");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km ANY"),
                "-ERR the ANY argument requires COUNT argument");
}

TEST(geosearch_says_what_is_wrong_in_the_order_of_its_arguments)
{
    sicily();
    static const char *const said[][2] = {
        {"FROMMEMBER none BYRADIUS x m", "-ERR could not decode requested zset member"},
        {"BYRADIUS x m FROMMEMBER none", "-ERR need numeric radius"},
        {"BYRADIUS -1 yd FROMMEMBER none", "-ERR radius cannot be negative"},
        {"BYRADIUS 1 yd FROMMEMBER none", UNIT},
        {"FROMLONLAT 1 1 BYBOX x x m", "-ERR need numeric width"},
        {"FROMLONLAT 1 1 BYBOX -1 x m", "-ERR need numeric height"},
        {"FROMLONLAT 1 1 BYBOX -1 1 yd", "-ERR height or width cannot be negative"},
        {"FROMLONLAT 200 1 BYBOX x x m",
         "-ERR invalid longitude,latitude pair 200.000000,1.000000"},
        {"FROMLONLAT 200 x BYBOX x x m", NOT_FLOAT},
        {"FROMLONLAT 1 1 FROMMEMBER Palermo BYRADIUS 1 m", SYNTAX},
        {"FROMMEMBER Palermo BYRADIUS 1 m BYBOX 1 1 m", SYNTAX},
        {"FROMMEMBER Palermo BYRADIUS 1 m STOREDIST", SYNTAX},
        {"FROMMEMBER Palermo BYRADIUS 1 m STORE d", SYNTAX},
        {"FROMMEMBER Palermo BYRADIUS 1 m COUNT", SYNTAX},
        {"FROMMEMBER Palermo ASC ASC ANY",
         "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH"},
        {"BYRADIUS 1 m ASC ASC ANY",
         "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH"},
    };
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        char text[200];
        snprintf(text, sizeof(text), "GEOSEARCH k %s", said[i][0]);
        EXPECT_TEXT(ask(text), said[i][1]);
    }
    EXPECT_TEXT(ask("GEOSEARCH k FROMMEMBER Palermo FROMMEMBER Catania BYRADIUS 1 m BYRADIUS 2 m"),
                "[Catania]");
}

TEST(geosearchstore_stores_hashes_or_distances)
{
    sicily();
    EXPECT_TEXT(ask("SET d text"), "OK");
    EXPECT_TEXT(ask("GEOSEARCHSTORE d k FROMLONLAT 15 37 BYRADIUS 200 km"), "(3)");
    EXPECT_TEXT(ask("ZRANGE d 0 -1 WITHSCORES"), "[Altofonte 3479097324432493 Palermo "
                                                 "3479099956230698 Catania 3479447370796909]");
    EXPECT_TEXT(ask("EXPIRE d 1000"), "(1)");
    EXPECT_TEXT(ask("GEOSEARCHSTORE d k FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST COUNT 2"),
                "(2)");
    EXPECT_TEXT(ask("TTL d"), "(-1)");
    EXPECT_TEXT(ask("ZRANGE d 0 -1 WITHSCORES"),
                "[Catania 56.441257870158204 Altofonte 172.88599581603299]");
    EXPECT_TEXT(ask("GEOSEARCHSTORE d k FROMLONLAT 15 37 BYRADIUS 1 m WITHDIST"),
                "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD "
                "options");
    EXPECT_TEXT(ask("EXISTS d"), "(1)");
    EXPECT_TEXT(ask("GEOSEARCHSTORE d k FROMLONLAT 0 0 BYRADIUS 1 m"), "(0)");
    EXPECT_TEXT(ask("EXISTS d"), "(0)");
    EXPECT_TEXT(ask("SET d text"), "OK");
    EXPECT_TEXT(ask("GEOSEARCHSTORE d absent FROMLONLAT 0 0 BYRADIUS 1 m"), "(0)");
    EXPECT_TEXT(ask("EXISTS d"), "(0)");
    EXPECT_TEXT(ask("GEOSEARCHSTORE k k FROMLONLAT 15 37 BYRADIUS 200 km COUNT 2"), "(2)");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km ASC"), "[Catania Altofonte]");
    EXPECT_TEXT(ask("GEOSEARCHSTORE k k FROMLONLAT 0 0 BYRADIUS 1 m"), "(0)");
    EXPECT_TEXT(ask("EXISTS k"), "(0)");
}

TEST(georadius_and_its_kin_search_circles_and_store_them)
{
    sicily();
    EXPECT_TEXT(ask("GEORADIUS k 15 37 200 km ASC"), "[Catania Altofonte Palermo]");
    EXPECT_TEXT(ask("GEORADIUS_RO k 15 37 200 km COUNT 1 WITHDIST"), "[[Catania 56.4413]]");
    EXPECT_TEXT(ask("GEORADIUSBYMEMBER k Palermo 20 km DESC"), "[Altofonte Palermo]");
    EXPECT_TEXT(ask("GEORADIUSBYMEMBER_RO k Palermo 20 km WITHDIST DESC"),
                "[[Altofonte 17.6793] [Palermo 0.0000]]");
    EXPECT_TEXT(ask("GEORADIUS k 15 37 200 km STORE d"), "(3)");
    EXPECT_TEXT(ask("ZCARD d"), "(3)");
    EXPECT_TEXT(ask("GEORADIUSBYMEMBER k Palermo 20 km STORE d STOREDIST e"), "(2)");
    EXPECT_TEXT(ask("ZRANGE e 0 0 WITHSCORES"), "[Palermo 0]");
    EXPECT_TEXT(ask("ZCARD d"), "(3)");
    EXPECT_TEXT(ask("GEORADIUS k 15 37 200 km STOREDIST d STORE e COUNT 1"), "(1)");
    EXPECT_TEXT(ask("ZRANGE e 0 -1 WITHSCORES"), "[Catania 3479447370796909]");
    EXPECT_TEXT(ask("GEORADIUS k 15 37 200 km STORE k COUNT 1"), "(1)");
    EXPECT_TEXT(ask("ZCARD k"), "(1)");
    EXPECT_TEXT(ask("GEORADIUS absent 15 37 200 km STORE d"), "(0)");
    EXPECT_TEXT(ask("EXISTS d"), "(0)");
}

TEST(georadius_says_what_is_wrong)
{
    sicily();
    EXPECT_TEXT(ask("GEORADIUS k 15 37 200 km WITHDIST STORE d"),
                "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and "
                "WITHCOORD options");
    EXPECT_TEXT(ask("GEORADIUS_RO k 15 37 200 km STORE d"), SYNTAX);
    EXPECT_TEXT(ask("GEORADIUSBYMEMBER_RO k Palermo 200 km STOREDIST d"), SYNTAX);
    EXPECT_TEXT(ask("GEORADIUS k 15 37 200 km STORE"), SYNTAX);
    EXPECT_TEXT(ask("GEORADIUS k 15 37 200 km FROMMEMBER Palermo"), SYNTAX);
    EXPECT_TEXT(ask("GEORADIUS k 215 37 x km"),
                "-ERR invalid longitude,latitude pair 215.000000,37.000000");
    EXPECT_TEXT(ask("GEORADIUS k 15 37 x km"), "-ERR need numeric radius");
    EXPECT_TEXT(ask("GEORADIUS k 15 37 1 yd"), UNIT);
    EXPECT_TEXT(ask("GEORADIUSBYMEMBER k none x yd"),
                "-ERR could not decode requested zset member");
    EXPECT_TEXT(ask("GEORADIUSBYMEMBER absent none x yd"), "[]");
    EXPECT_TEXT(ask("GEORADIUSBYMEMBER absent none x yd junk"), SYNTAX);
}

/* A wall of members along the date line: half of what is near it lies on the other side. */
TEST(a_circle_over_the_date_line_finds_both_sides)
{
    dialog_begin();
    for (int i = 0; i < 100; i++) {
        EXPECT_TEXT(ask("GEOADD k 179.%d %d east%d -179.%d %d west%d", 90 + i % 10, i / 5 - 10, i,
                        90 + i % 10, i / 5 - 10, i),
                    "(2)");
    }
    EXPECT_TEXT(ask("GEOSEARCHSTORE d k FROMLONLAT 179.99 0 BYRADIUS 2000 km"), "(200)");
    EXPECT_TEXT(ask("GEOSEARCHSTORE d k FROMLONLAT -179.99 0 BYBOX 100 4000 km"), "(200)");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT -179.99 0.0 BYRADIUS 15 km COUNT 2 ASC"),
                "[west54 west53]");
}

/* Members that stand in a grid, so that it is known which ones a search must give. */
TEST(a_large_set_finds_what_a_small_one_would_and_outlives_a_crash)
{
    enum { SIDE = 100 };
    dialog_begin();
    for (int x = 0; x < SIDE; x++) {
        for (int y = 0; y < SIDE; y++) {
            EXPECT_TEXT(ask("GEOADD k %d.%02d %d.%02d m%d-%d", x / 10, x % 10 * 10, y / 10,
                            y % 10 * 10, x, y),
                        "(1)");
        }
    }
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 5 5 BYRADIUS 1 km"), "[m50-50]");
    EXPECT_TEXT(ask("GEOSEARCHSTORE d k FROMLONLAT 5 5 BYBOX 23 23 km"), "(9)");
    EXPECT_TEXT(ask("GEOSEARCHSTORE d k FROMLONLAT 5 5 BYRADIUS 5000 km"), "(10000)");
    EXPECT_TEXT(ask("GEOSEARCHSTORE d k FROMLONLAT 5 5 BYRADIUS 5000 km COUNT 700 ANY"), "(700)");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 9.91 9.92 BYRADIUS 5000 km COUNT 3"),
                "[m99-99 m98-99 m99-98]");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT -1 -1 BYRADIUS 5000 km COUNT 2 DESC"),
                "[m99-99 m99-98]");
    EXPECT_TEXT(ask("GEOSEARCHSTORE d k FROMLONLAT 5 5 BYRADIUS 5000 km COUNT 4000"), "(4000)");
    EXPECT_TEXT(ask("GEOSEARCHSTORE d k FROMLONLAT 5 5 BYBOX 23 23 km STOREDIST"), "(9)");
    dialog_crash();
    EXPECT_TEXT(ask("ZCARD k"), "(10000)");
    EXPECT_TEXT(ask("ZRANGE d 0 0"), "[m50-50]");
    EXPECT_TEXT(ask("ZCARD d"), "(9)");
    EXPECT_TEXT(ask("GEOSEARCH k FROMLONLAT 5 5 BYRADIUS 1 km"), "[m50-50]");
}

TEST(no_geo_command_touches_a_string)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET s v"), "OK");
    static const char *const commands[] = {
        "GEOADD s 1 1 a",
        "GEOPOS s a",
        "GEOPOS s",
        "GEOHASH s a",
        "GEODIST s a b",
        "GEOSEARCH s junk junk junk junk junk",
        "GEOSEARCHSTORE d s junk junk junk junk junk",
        "GEORADIUS s 500 1 1 km",
        "GEORADIUS_RO s x 1 1 km",
        "GEORADIUSBYMEMBER s a 1 km",
        "GEORADIUSBYMEMBER_RO s a 1 km",
    };
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        EXPECT_TEXT(ask(commands[i]), WRONGTYPE);
    }
    EXPECT_TEXT(ask("GET s"), "v");
    EXPECT_TEXT(ask("GEOADD s 500 1 a"),
                "-ERR invalid longitude,latitude pair 500.000000,1.000000");
    EXPECT_TEXT(ask("GEODIST s a b yd"), UNIT);
}
