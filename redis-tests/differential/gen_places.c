/* Places lie in a few neighbourhoods, so that small circles find something, and all over the earth.
 * No two are alike but by great chance: members at equal distances have no order in Redis. */
#include "redis-tests/differential/gen_places.h"

#include "redis-tests/differential/gen_arguments.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static void put_format(struct gen *gen, const char *format,
                                                             ...)
{
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    unsigned char *data = gen_room(gen, (size_t)size);
    memcpy(data, text, (size_t)size);
    gen_put(gen, bytes_of(data, (size_t)size));
}

static double between(struct gen *gen, double low, double high)
{
    return low + (double)(gen_random(gen) >> 11) / 0x1p53 * (high - low);
}

/* -- Keys and members ------------------------------------------------------------------------ */

/* Now and then a string, or nothing. */
void gen_put_gkey(struct gen *gen)
{
    if (gen_chance(gen, 2)) {
        put_format(gen, "s:%u", gen_below(gen, 40));
    } else {
        put_format(gen, "g:%u", gen_below(gen, 6));
    }
}

void gen_put_hgkey(struct gen *gen)
{
    put_format(gen, "gh:%u", gen_below(gen, 2));
}

void gen_put_rkey(struct gen *gen)
{
    put_format(gen, "gr:%u", gen_below(gen, 4));
}

void gen_put_dkey(struct gen *gen)
{
    put_format(gen, "gd:%u", gen_below(gen, 4));
}

/* Most are few, so that they are met again; some are too long for a packed set, or binary. */
void gen_put_gmember(struct gen *gen)
{
    unsigned chance = gen_below(gen, 1000);
    if (chance < 940) {
        put_format(gen, "m%u", gen_below(gen, 40));
    } else if (chance < 960) {
        put_format(gen, "m%u", gen_below(gen, 400));
    } else if (chance < 970) {
        put_format(gen, "%c", (char)('\0' + gen_below(gen, 256)));
    } else if (chance < 974) {
        put_format(gen, "%063u", gen_below(gen, 20)); /* Of 63, 64, 65 bytes: see the limit. */
    } else if (chance < 978) {
        put_format(gen, "%064u", gen_below(gen, 20));
    } else if (chance < 979) {
        put_format(gen, "%065u", gen_below(gen, 20));
    } else {
        put_format(gen, "m%u\r\n", gen_below(gen, 40));
    }
}

void gen_put_hgmember(struct gen *gen)
{
    put_format(gen, "m%u", gen_below(gen, 6000));
}

/* -- Places ---------------------------------------------------------------------------------- */

#define SOUTH_MAX 85.0511287
#define TOWN 0.01 /* Degrees: a thousand metres. */

/* One coordinate lies on an edge or an axis of the map, the other one anywhere. */
static void put_edge(struct gen *gen)
{
    static const char *const longitudes[] = {"180", "-180", "0", "90", "-1e-7", "179.99999999"};
    static const char *const latitudes[] = {"85.05112878", "-85.05112878", "0",
                                            "66.5",        "80",           "-66"};
    if (gen_chance(gen, 50)) {
        put_format(gen, "%s", longitudes[gen_below(gen, COUNT_OF(longitudes))]);
        put_format(gen, "%.12f", between(gen, -SOUTH_MAX, SOUTH_MAX));
    } else {
        put_format(gen, "%.12f", between(gen, -180, 180));
        put_format(gen, "%s", latitudes[gen_below(gen, COUNT_OF(latitudes))]);
    }
}

static void put_wrong_place(struct gen *gen)
{
    static const char *const wrong[] = {"180.0001", "-1000", "85.0511288", "inf", "nan",
                                        "1e400",    " 1",    "1 ",         "",    "0x1p9"};
    bool longitude = gen_chance(gen, 50);
    const char *text = wrong[gen_below(gen, COUNT_OF(wrong))];
    if (longitude) {
        put_format(gen, "%s", text);
    }
    put_format(gen, "%.9f", between(gen, -85, 85));
    if (!longitude) {
        put_format(gen, "%s", text);
    }
}

/* In a town of that many degrees, or elsewhere. */
static void put_place(struct gen *gen, double town)
{
    unsigned chance = gen_below(gen, 100);
    double longitude = between(gen, -180, 180), latitude = between(gen, -SOUTH_MAX, SOUTH_MAX);
    if (chance < 5) {
        put_edge(gen);
        return;
    }
    if (chance < 7) {
        put_wrong_place(gen);
        return;
    }
    if (chance < 27) { /* A town: metres count. */
        longitude = between(gen, 13.36, 13.36 + town);
        latitude = between(gen, 38.11, 38.11 + town);
    } else if (chance < 55) {
        longitude = between(gen, 12, 16);
        latitude = between(gen, 36, 39);
    } else if (chance < 67) { /* The date line. */
        double east = between(gen, 178, 182);
        longitude = east > 180 ? east - 360 : east;
        latitude = between(gen, -20, 20);
    } else if (chance < 75) {
        latitude = between(gen, 75, SOUTH_MAX) * (gen_chance(gen, 50) ? 1 : -1);
    } else if (chance < 83) { /* Where the four largest cells meet. */
        longitude = between(gen, -2, 2);
        latitude = between(gen, -2, 2);
    }
    int digits = 7 + (int)gen_below(gen, 10);
    put_format(gen, "%.*f", digits, longitude);
    put_format(gen, "%.*f", digits, latitude);
}

void gen_put_place(struct gen *gen)
{
    put_place(gen, TOWN);
}

void gen_put_place_member(struct gen *gen)
{
    gen_put_place(gen);
    gen_put_gmember(gen);
}

/* So many members that two of them would meet in a small town. */
void gen_put_place_hgmember(struct gen *gen)
{
    put_place(gen, 100 * TOWN);
    gen_put_hgmember(gen);
}

/* -- Areas ----------------------------------------------------------------------------------- */

void gen_put_unit(struct gen *gen)
{
    static const char *const units[] = {"m", "km", "ft", "mi", "M", "Km", "FT", "mI"};
    static const char *const wrong[] = {"cm", "", "kms", "yd", "1"};
    put_format(gen, "%s",
               gen_chance(gen, 98) ? units[gen_below(gen, COUNT_OF(units))]
                                   : wrong[gen_below(gen, COUNT_OF(wrong))]);
}

/* From centimetres to beyond the earth, in metres or what the unit makes of it. */
static void put_length(struct gen *gen)
{
    static const char *const odd[] = {"0",   "-0",  "1e300", "inf",   "-1",         "nan",
                                      "abc", "0x1", "1e-9",  "1e400", "20037726.37"};
    unsigned chance = gen_below(gen, 100);
    if (chance < 4) {
        put_format(gen, "%s", odd[gen_below(gen, COUNT_OF(odd))]);
    } else {
        double size = gen_chance(gen, 70) ? between(gen, 2, 6) : between(gen, -1, 7.5);
        put_format(gen, "%.*f", (int)gen_below(gen, 4), pow(10, size));
    }
}

void gen_put_radius(struct gen *gen)
{
    put_length(gen);
    gen_put_unit(gen);
}

void gen_put_circle(struct gen *gen)
{
    put_format(gen, "%s", gen_chance(gen, 50) ? "BYRADIUS" : "byradius");
    gen_put_radius(gen);
}

void gen_put_box(struct gen *gen)
{
    put_format(gen, "%s", gen_chance(gen, 50) ? "BYBOX" : "ByBox");
    put_length(gen);
    put_length(gen);
    gen_put_unit(gen);
}

void gen_put_place_center(struct gen *gen)
{
    put_format(gen, "%s", gen_chance(gen, 50) ? "FROMLONLAT" : "fromlonlat");
    gen_put_place(gen);
}

void gen_put_center(struct gen *gen)
{
    if (gen_chance(gen, 60)) {
        gen_put_place_center(gen);
    } else {
        put_format(gen, "%s", gen_chance(gen, 50) ? "FROMMEMBER" : "FromMember");
        gen_put_gmember(gen);
    }
}

void gen_put_limit(struct gen *gen)
{
    put_format(gen, "%u", 1 + gen_below(gen, gen_chance(gen, 80) ? 8 : 200));
}
