/* geo_hash: places on the earth as 52-bit numbers, so that a sorted set can hold them as scores.
 *
 * The map, 360° of longitude by the 170.1° of latitude that Web Mercator shows, is halved again and
 * again, in turn by longitude and latitude. Each halving gives a bit, longitude's first; n steps
 * give 2n bits, interleaved, and name one of 4^n equal cells. 26 steps make 52 bits, which a double
 * holds exactly, and cells of some 0.6 m.
 *
 *      steps 1          steps 2 within cell 1
 *     ┌────┬────┐       ┌──┬──┐
 *     │ 01 │ 11 │       │01│11│         a cell's places are one range of scores,
 *     ├────┼────┤       ├──┼──┤         whatever its size: [bits, bits + 1) << (52 - 2n)
 *     │ 00 │ 10 │       │00│10│
 *     └────┴────┘       └──┴──┘
 *
 * The upper edges (180° E and 85.05112878° N) belong to the map; a place on one of them gets the
 * number behind the last, so a hash has up to 54 bits. That is what Redis stores too.
 * The algorithm is Gustavo Niemeyer's geohash (public domain, 2008) over Mercator's limits.
 * Thread: pure functions.
 */
#ifndef BASIN_SRC_GEO_GEO_HASH_H
#define BASIN_SRC_GEO_GEO_HASH_H

#include <stdbool.h>
#include <stdint.h>

#define GEO_LONGITUDE_MAX 180.0      /* And its negative: WGS 84. */
#define GEO_LATITUDE_MAX 85.05112878 /* And its negative: EPSG:3857, a square map. */
#define GEO_STEPS_MAX 26

struct geo_point {
    double longitude, latitude; /* Degrees. */
};

/* Within the limits; NaN is not. */
bool geo_point_valid(struct geo_point point);

/* The score of a valid point. */
double geo_score(struct geo_point point);
/* The middle of the score's cell, within the limits. Any score is fine, those that no point has
 * too: what stands behind the point and above 64 bits does not count. Not NaN. */
struct geo_point geo_point_of_score(double score);

/* The geohash of 11 letters that other programs know: these see the latitude from -90° to 90°. The
 * last letter is always 0, as 52 bits are 10.4 letters. text gets a NUL. */
#define GEO_TEXT_SIZE 12
void geo_hash_text(struct geo_point point, char *text);

/* -- Cells ------------------------------------------------------------------------------------- */

struct geo_cell {
    uint32_t x, y;  /* Column from the west, row from the south; below 2^steps but on the edges. */
    unsigned steps; /* 1 … GEO_STEPS_MAX */
};

struct geo_bounds {
    double west, east, south, north; /* Degrees. */
};

/* The cell of a valid point. */
struct geo_cell geo_cell_of(struct geo_point point, unsigned steps);
struct geo_bounds geo_cell_bounds(struct geo_cell cell);
/* The cell that many columns to the east and rows to the north (-1, 0, 1); over an edge of the map
 * it comes back on the opposite one. */
struct geo_cell geo_cell_beside(struct geo_cell cell, int columns, int rows);
/* Its places have the scores [*first_out, *end_out). */
void geo_cell_scores(struct geo_cell cell, double *first_out, double *end_out);

#endif
