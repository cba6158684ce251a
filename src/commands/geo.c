/* Places: sorted sets whose scores are geohashes. */
#include "src/commands/geo_private.h"

#include "src/geo/geo_text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* ------------------------------------------------------------------------------------------
 * Shared by the family.
 */

bool geo_fits(struct call *call, const struct value *value)
{
    if (value->type == VALUE_ZSET || value->type == VALUE_NONE) {
        return true;
    }
    reply_wrong_type(call);
    return false;
}

bool geo_unit_read(struct call *call, struct bytes word, double *metres_out)
{
    static const struct {
        const char *name;
        double metres;
    } units[] = {{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (argument_is(word, units[i].name)) {
            *metres_out = units[i].metres;
            return true;
        }
    }
    resp_error(call->out, "ERR unsupported unit provided. please use M, KM, FT, MI");
    return false;
}

bool geo_point_read(struct call *call, const struct bytes *pair, struct geo_point *point_out)
{
    struct geo_point point;
    if (!double_parse(pair[0], &point.longitude) || !double_parse(pair[1], &point.latitude)) {
        resp_error(call->out, "ERR value is not a valid float");
        return false;
    }
    if (!geo_point_valid(point)) {
        resp_error_format(call->out, "ERR invalid longitude,latitude pair %f,%f", point.longitude,
                          point.latitude);
        return false;
    }
    *point_out = point;
    return true;
}

void geo_reply_distance(struct call *call, double distance)
{
    char text[GEO_NUMBER_MAX];
    resp_bulk(call->out, text, geo_distance_text(distance, text));
}

static void reply_degrees(struct call *call, double degrees)
{
    char text[GEO_NUMBER_MAX];
    size_t size = geo_degrees_text(degrees, text);
    if (call->out->version == 2) {
        resp_bulk(call->out, text, size);
        return;
    }
    resp_raw(call->out, ",", 1);
    resp_raw(call->out, text, size);
    resp_raw(call->out, "\r\n", 2);
}

void geo_reply_point(struct call *call, struct geo_point point)
{
    resp_array(call->out, 2);
    reply_degrees(call, point.longitude);
    reply_degrees(call, point.latitude);
}

/* ------------------------------------------------------------------------------------------
 * GEOADD.
 */

struct add_options {
    unsigned when; /* Bits of enum zset_when. */
    bool changed;  /* CH: scores that changed count too. */
    size_t first;  /* Index of the first longitude. */
};

static void add_options_read(struct call *call, struct add_options *options_out)
{
    *options_out = (struct add_options){.when = ZSET_ALWAYS, .first = 2};
    for (; options_out->first < call->argc; options_out->first++) {
        struct bytes word = call->argv[options_out->first];
        if (argument_is(word, "nx")) {
            options_out->when |= ZSET_IF_NEW;
        } else if (argument_is(word, "xx")) {
            options_out->when |= ZSET_IF_THERE;
        } else if (argument_is(word, "ch")) {
            options_out->changed = true;
        } else {
            return;
        }
    }
}

/* NULL: no memory, or the error is written. */
static struct zset_member *read_places(struct call *call, const struct bytes *triples, size_t count,
                                       bool *fine_out)
{
    struct zset_member *members = arena_alloc(call->arena, count * sizeof(*members));
    *fine_out = members != NULL;
    for (size_t i = 0; *fine_out && i < count; i++) {
        struct geo_point point;
        *fine_out = geo_point_read(call, triples + 3 * i, &point);
        if (*fine_out) {
            members[i] =
                (struct zset_member){.name = triples[3 * i + 2], .score = geo_score(point)};
        }
    }
    return members;
}

static enum status geoadd(struct call *call)
{
    struct add_options options;
    add_options_read(call, &options);
    size_t count = (call->argc - options.first) / 3;
    if (count == 0 || (call->argc - options.first) % 3 != 0 ||
        options.when == (ZSET_IF_NEW | ZSET_IF_THERE)) {
        reply_syntax_error(call);
        return ST_OK;
    }
    bool fine;
    struct zset_member *members = read_places(call, call->argv + options.first, count, &fine);
    if (!fine) {
        return members == NULL ? ST_NOMEM : ST_OK;
    }
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !geo_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE && (options.when & ZSET_IF_THERE) != 0) {
        resp_integer(call->out, 0);
        return ST_OK;
    }
    uint64_t added;
    uint64_t updated;
    status = txn_zset_add(call->txn, 0, options.when, members, count, &added, &updated);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)(options.changed ? added + updated : added));
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Of single members.
 */

static enum status read_member(const struct value *value, struct bytes member, bool *found_out,
                               struct geo_point *point_out)
{
    double score;
    *found_out = false;
    enum status status =
        value->type == VALUE_NONE ? ST_OK : zset_score(value, member, found_out, &score);
    if (status == ST_OK && *found_out) {
        *point_out = geo_point_of_score(score);
    }
    return status;
}

/* A reply for each member, by one of two functions. */
static enum status each_member(struct call *call,
                               void (*reply)(struct call *call, struct geo_point point),
                               void (*reply_absent)(struct resp_out *out))
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !geo_fits(call, &value)) {
        return status;
    }
    resp_array(call->out, call->argc - 2);
    for (size_t i = 2; status == ST_OK && i < call->argc; i++) {
        bool found;
        struct geo_point point;
        status = read_member(&value, call->argv[i], &found, &point);
        if (status == ST_OK && found) {
            reply(call, point);
        } else if (status == ST_OK) {
            reply_absent(call->out);
        }
    }
    return status;
}

static enum status geopos(struct call *call)
{
    return each_member(call, geo_reply_point, resp_null_array);
}

static void reply_hash(struct call *call, struct geo_point point)
{
    char text[GEO_TEXT_SIZE];
    geo_hash_text(point, text);
    resp_bulk_text(call->out, text);
}

static enum status geohash(struct call *call)
{
    return each_member(call, reply_hash, resp_null);
}

static enum status geodist(struct call *call)
{
    double unit_m = 1;
    if (call->argc == 5 && !geo_unit_read(call, call->argv[4], &unit_m)) {
        return ST_OK;
    }
    if (call->argc > 5) {
        reply_syntax_error(call);
        return ST_OK;
    }
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !geo_fits(call, &value)) {
        return status;
    }
    bool found[2];
    struct geo_point points[2];
    for (size_t i = 0; status == ST_OK && i < 2; i++) {
        status = read_member(&value, call->argv[2 + i], &found[i], &points[i]);
    }
    if (status != ST_OK) {
        return status;
    }
    if (found[0] && found[1]) {
        geo_reply_distance(call, geo_distance_m(points[0], points[1]) / unit_m);
    } else {
        resp_null(call->out);
    }
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

#define UNIT "<M | KM | FT | MI>"
#define AREA                                                                                       \
    "<FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius " UNIT " | "             \
    "BYBOX width height " UNIT ">"
#define ORDER "[ASC | DESC]"
#define WITH "[WITHCOORD] [WITHDIST] [WITHHASH]"
#define SEARCH_COMPLEXITY                                                                          \
    "O(log N + M) where N is the size of the set and M the number of members in the cells around " \
    "the area."

/* What is searched, and where the result goes if a word says so. */
#define KEYS_RADIUS(first_option)                                                                  \
    {                                                                                              \
        {.flags = KEY_RO | KEY_ACCESS, .begin = 1, .find = KEY_FIND_RANGE, .last = 0, .step = 1},  \
            {.flags = KEY_OW | KEY_UPDATE,                                                         \
             .keyword = "STORE",                                                                   \
             .start_from = (first_option),                                                         \
             .find = KEY_FIND_RANGE,                                                               \
             .last = 0,                                                                            \
             .step = 1},                                                                           \
        {                                                                                          \
            .flags = KEY_OW | KEY_UPDATE, .keyword = "STOREDIST", .start_from = (first_option),    \
            .find = KEY_FIND_RANGE, .last = 0, .step = 1                                           \
        }                                                                                          \
    }

const struct command geo_commands[] = {
    {.name = "geoadd",
     .handler = geoadd,
     .arity = -5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_GEO | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "geo",
     .since = "3.2.0",
     .complexity = "O(log N) for each member, where N is the size of the set.",
     .summary = "Puts members at places on the earth.",
     .arguments = "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]"},
    {.name = "geodist",
     .handler = geodist,
     .arity = -4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_GEO | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "geo",
     .since = "3.2.0",
     .complexity = "O(1)",
     .summary = "Tells how far two members are from each other.",
     .arguments = "key member1 member2 [M | KM | FT | MI]"},
    {.name = "geohash",
     .handler = geohash,
     .arity = -2,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_GEO | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "geo",
     .since = "3.2.0",
     .complexity = "O(1) for each member.",
     .summary = "Gives the places of members as geohashes of 11 letters.",
     .arguments = "key [member [member ...]]"},
    {.name = "geopos",
     .handler = geopos,
     .arity = -2,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_GEO | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "geo",
     .since = "3.2.0",
     .complexity = "O(1) for each member.",
     .summary = "Gives the places of members as longitude and latitude.",
     .arguments = "key [member [member ...]]"},
    {.name = "georadius",
     .handler = geo_georadius,
     .arity = -6,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLEKEYS,
     .categories = CAT_WRITE | CAT_GEO | CAT_SLOW,
     .keys = KEYS_RADIUS(6),
     .group = "geo",
     .since = "3.2.0",
     .complexity = SEARCH_COMPLEXITY,
     .summary = "Finds the members within a circle around a point, or stores them.",
     .arguments = "key longitude latitude radius " UNIT " " WITH " [COUNT count [ANY]] " ORDER
                  " [STORE key | STOREDIST key]",
     .plan = geo_radius_plan},
    {.name = "georadius_ro",
     .handler = geo_georadius_ro,
     .arity = -6,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_GEO | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "geo",
     .since = "3.2.10",
     .complexity = SEARCH_COMPLEXITY,
     .summary = "Finds the members within a circle around a point.",
     .arguments = "key longitude latitude radius " UNIT " " WITH " [COUNT count [ANY]] " ORDER},
    {.name = "georadiusbymember",
     .handler = geo_georadiusbymember,
     .arity = -5,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLEKEYS,
     .categories = CAT_WRITE | CAT_GEO | CAT_SLOW,
     .keys = KEYS_RADIUS(5),
     .group = "geo",
     .since = "3.2.0",
     .complexity = SEARCH_COMPLEXITY,
     .summary = "Finds the members within a circle around one of them, or stores them.",
     .arguments = "key member radius " UNIT " " WITH " [COUNT count [ANY]] " ORDER
                  " [STORE key | STOREDIST key]",
     .plan = geo_radius_plan},
    {.name = "georadiusbymember_ro",
     .handler = geo_georadiusbymember_ro,
     .arity = -5,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_GEO | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "geo",
     .since = "3.2.10",
     .complexity = SEARCH_COMPLEXITY,
     .summary = "Finds the members within a circle around one of them.",
     .arguments = "key member radius " UNIT " " WITH " [COUNT count [ANY]] " ORDER},
    {.name = "geosearch",
     .handler = geo_geosearch,
     .arity = -7,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_GEO | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "geo",
     .since = "6.2.0",
     .complexity = SEARCH_COMPLEXITY,
     .summary = "Finds the members within a circle or a box.",
     .arguments = "key " AREA " " ORDER " [COUNT count [ANY]] " WITH},
    {.name = "geosearchstore",
     .handler = geo_geosearchstore,
     .arity = -8,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_GEO | CAT_SLOW,
     .keys =
         {{.flags = KEY_OW | KEY_UPDATE, .begin = 1, .find = KEY_FIND_RANGE, .last = 0, .step = 1},
          {.flags = KEY_RO | KEY_ACCESS, .begin = 2, .find = KEY_FIND_RANGE, .last = 0, .step = 1}},
     .group = "geo",
     .since = "6.2.0",
     .complexity = SEARCH_COMPLEXITY,
     .summary = "Stores the members within a circle or a box in another set.",
     .arguments = "destination source " AREA " " ORDER " [COUNT count [ANY]] [STOREDIST]"},
    {.name = NULL},
};
