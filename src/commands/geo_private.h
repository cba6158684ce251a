/* geo_private: what the files of the geo commands share.
 *
 *     geo.c          GEOADD, GEOPOS, GEODIST, GEOHASH; the rows of the family
 *     geo_options.c  what a search is asked for: area, order, count, answer
 *     geo_search.c   GEOSEARCH, GEOSEARCHSTORE, GEORADIUS and its kin
 *
 * Places live in sorted sets, their scores are hashes (src/geo/geo_hash.h). Any sorted set will do:
 * every score is some place.
 */
#ifndef BASIN_SRC_COMMANDS_GEO_PRIVATE_H
#define BASIN_SRC_COMMANDS_GEO_PRIVATE_H

#include "src/dispatch/call.h"
#include "src/geo/geo_area.h"

/* -- Shared by the family ---------------------------------------------------------------------- */

/* Whether a key that was read is absent or a sorted set; if not, the error is written. */
bool geo_fits(struct call *call, const struct value *value);
/* A unit's length in metres. False: the error is written. */
bool geo_unit_read(struct call *call, struct bytes word, double *metres_out);
/* Longitude and latitude, two arguments. False: the error is written. */
bool geo_point_read(struct call *call, const struct bytes *pair, struct geo_point *point_out);
void geo_reply_distance(struct call *call, double distance);
void geo_reply_point(struct call *call, struct geo_point point);

/* -- Searches: geo_options.c ------------------------------------------------------------------- */

enum geo_from { GEO_FROM_OPTION, GEO_FROM_POINT, GEO_FROM_MEMBER };

/* How a command of the family is spelt. */
struct geo_form {
    enum geo_from from;  /* GEO_FROM_OPTION: an area by FROM… and BY…; else at fixed places. */
    unsigned source;     /* The txn key of the set that is searched; its argument is the next. */
    size_t first_option; /* Index of the first argument that is an option. */
    bool store_words;    /* It knows STORE key and STOREDIST key. */
    bool stores;         /* It stores whatever its options, and knows a mere STOREDIST. */
};

enum geo_order { GEO_AS_FOUND, GEO_NEAREST, GEO_FARTHEST };

struct geo_search {
    struct geo_area area;
    double unit_m; /* Metres of the unit that the request speaks in. */
    enum geo_order order;
    uint64_t count_max; /* 0: no limit. */
    bool any;           /* The first count_max that are found will do. */
    bool with_distance, with_hash, with_point;
    bool store_distance;  /* … instead of hashes. */
    size_t store_index;   /* Argument that names the destination; 0: a reply is wanted. */
    bool center, shape;   /* Both have been given. */
    bool center_a_member; /* … by FROMMEMBER. */
};

/* Reads what stands behind the key(s). source is what was read of the set. *fine_out false with
 * ST_OK: the error is written. A member that is looked up may answer ST_WAIT. */
enum status geo_search_read(struct call *call, const struct geo_form *form,
                            const struct value *source, struct geo_search *search_out,
                            bool *fine_out);

/* -- Handlers, as command_handler, and a plan, as command_plan ------------------------------------
 */

enum status geo_geosearch(struct call *call);
enum status geo_geosearchstore(struct call *call);
enum status geo_georadius(struct call *call);
enum status geo_georadius_ro(struct call *call);
enum status geo_georadiusbymember(struct call *call);
enum status geo_georadiusbymember_ro(struct call *call);
enum status geo_radius_plan(struct call *call);

#endif
