/* geo_area: circles and boxes on the earth: which points lie in them, and where to look for those.
 *
 * The earth is a ball of GEO_EARTH_RADIUS_M; distances go along great circles (haversine). A circle
 * holds the points at most its radius away. A box holds those whose parallel is at most half its
 * height from the centre's, and that are, along their own parallel, at most half its width from the
 * centre's meridian; so it is as wide at the top as at the bottom, in metres.
 *
 * geo_area_ranges covers an area with cells: the centre's, at a precision where a cell is about as
 * large as the area, and its eight neighbours, without those that lie beyond the area's bounds:
 *
 *     ┌────┬────┬────┐
 *     │ nw │ n  │ ne │    Each cell is one range of scores. The map is closed from east to west
 * (and ├────┼──●─┼────┤    from north to south, where it does no good): the neighbour past the date
 *     │ w  │ c ○│ e  │    line is the one on the map's other side. Every point of the area lies in
 *     ├────┼────┼────┤    one of the cells, but for two cases that Redis has too, and whose answers
 *     │ sw │ s  │ se │    must be the same: areas that reach over a pole, and those whose centre is
 *     └────┴────┴────┘    on the very edge of the map (180° E, 85.05112878° N), may miss some.
 * Thread: pure functions.
 */
#ifndef BASIN_SRC_GEO_GEO_AREA_H
#define BASIN_SRC_GEO_GEO_AREA_H

#include "src/geo/geo_hash.h"

#include <stddef.h>

#define GEO_EARTH_RADIUS_M 6372797.560856

enum geo_shape { GEO_CIRCLE, GEO_BOX };

struct geo_area {
    enum geo_shape shape;
    struct geo_point center;
    double radius_m;          /* GEO_CIRCLE: ≥ 0 */
    double width_m, height_m; /* GEO_BOX: ≥ 0 */
};

double geo_distance_m(struct geo_point a, struct geo_point b);

/* Whether the point lies in the area; then also how far from its centre. */
bool geo_area_holds(const struct geo_area *area, struct geo_point point, double *distance_m_out);

struct geo_range {
    double first, end; /* first ≤ score < end */
};

/* Ranges of scores, no two alike, in the order in which Redis looks at them: centre, n, s, e, w,
 * ne, nw, se, sw. Gives how many. */
#define GEO_RANGES_MAX 9
size_t geo_area_ranges(const struct geo_area *area, struct geo_range *ranges_out);

#endif
