#include "src/geo/geo_area.h"

#include <math.h>

/* Half the equator on the map: a square of this half-width shows all there is. */
#define MERCATOR_MAX_M 20037726.37

#define RADIANS_PER_DEGREE (M_PI / 180.0)

static double radians(double degrees)
{
    return degrees * RADIANS_PER_DEGREE;
}

static double degrees(double angle)
{
    return angle / RADIANS_PER_DEGREE;
}

/* ------------------------------------------------------------------------------------------
 * Distances.
 */

/* Along a meridian. */
static double distance_of_latitudes_m(double a, double b)
{
    return GEO_EARTH_RADIUS_M * fabs(radians(b) - radians(a));
}

double geo_distance_m(struct geo_point a, struct geo_point b)
{
    double v = sin((radians(b.longitude) - radians(a.longitude)) / 2);
    if (v == 0) {
        return distance_of_latitudes_m(a.latitude, b.latitude);
    }
    double latitude_a = radians(a.latitude), latitude_b = radians(b.latitude);
    double u = sin((latitude_b - latitude_a) / 2);
    double haversine = u * u + cos(latitude_a) * cos(latitude_b) * v * v;
    /* Of opposite points, rounding may lift it above 1, where asin is NaN. */
    return 2.0 * GEO_EARTH_RADIUS_M * asin(sqrt(haversine > 1 ? 1 : haversine));
}

bool geo_area_holds(const struct geo_area *area, struct geo_point point, double *distance_m_out)
{
    if (area->shape == GEO_BOX) {
        double up = distance_of_latitudes_m(area->center.latitude, point.latitude);
        struct geo_point across = {.longitude = area->center.longitude, .latitude = point.latitude};
        if (up > area->height_m / 2 || geo_distance_m(across, point) > area->width_m / 2) {
            return false;
        }
        *distance_m_out = geo_distance_m(area->center, point);
        return true;
    }
    *distance_m_out = geo_distance_m(area->center, point);
    return !(*distance_m_out > area->radius_m);
}

/* ------------------------------------------------------------------------------------------
 * Cells.
 */

/* A rectangle of degrees around the area. On the side nearer to the pole the same metres are more
 * degrees of longitude; that side decides for both. Not cut at the map's edges. */
static struct geo_bounds bounds_of(const struct geo_area *area)
{
    bool circle = area->shape == GEO_CIRCLE;
    double up_m = circle ? area->radius_m : area->height_m / 2;
    double across_m = circle ? area->radius_m : area->width_m / 2;
    double latitude = area->center.latitude, longitude = area->center.longitude;
    double up = degrees(up_m / GEO_EARTH_RADIUS_M);
    double nearer_pole = latitude < 0 ? latitude - up : latitude + up;
    double across = degrees(across_m / GEO_EARTH_RADIUS_M / cos(radians(nearer_pole)));
    return (struct geo_bounds){.west = longitude - across,
                               .east = longitude + across,
                               .south = latitude - up,
                               .north = latitude + up};
}

/* The precision at which a cell and its neighbours are sure to cover so large a circle at the
 * equator; towards the poles cells become narrower, so they must be larger. */
static unsigned steps_for(double radius_m, double latitude)
{
    if (radius_m == 0) {
        return GEO_STEPS_MAX;
    }
    int steps = -1;
    for (; radius_m < MERCATOR_MAX_M && steps < GEO_STEPS_MAX + 2; radius_m *= 2) {
        steps++;
    }
    steps -= (fabs(latitude) > 66) + (fabs(latitude) > 80);
    return steps < 1 ? 1 : steps > GEO_STEPS_MAX ? GEO_STEPS_MAX : (unsigned)steps;
}

/* Whether the four neighbours reach as far as the bounds. */
static bool neighbours_cover(struct geo_cell cell, const struct geo_bounds *bounds)
{
    return geo_cell_bounds(geo_cell_beside(cell, 0, 1)).north >= bounds->north &&
           geo_cell_bounds(geo_cell_beside(cell, 0, -1)).south <= bounds->south &&
           geo_cell_bounds(geo_cell_beside(cell, 1, 0)).east >= bounds->east &&
           geo_cell_bounds(geo_cell_beside(cell, -1, 0)).west <= bounds->west;
}

/* Whether the neighbour on that side may be left out: the centre's own cell reaches past the
 * bounds. */
static bool needless(const struct geo_bounds *cell, const struct geo_bounds *bounds, int columns,
                     int rows)
{
    return (rows < 0 && cell->south < bounds->south) || (rows > 0 && cell->north > bounds->north) ||
           (columns < 0 && cell->west < bounds->west) || (columns > 0 && cell->east > bounds->east);
}

size_t geo_area_ranges(const struct geo_area *area, struct geo_range *ranges_out)
{
    static const struct {
        int columns, rows;
    } places[GEO_RANGES_MAX] = {{0, 0}, {0, 1},  {0, -1}, {1, 0},  {-1, 0},
                                {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
    struct geo_bounds bounds = bounds_of(area);
    double radius_m =
        area->shape == GEO_CIRCLE ? area->radius_m : hypot(area->width_m / 2, area->height_m / 2);
    unsigned steps = steps_for(radius_m, area->center.latitude);
    struct geo_cell center = geo_cell_of(area->center, steps);
    if (steps > 1 && !neighbours_cover(center, &bounds)) {
        steps--;
        center = geo_cell_of(area->center, steps);
    }
    struct geo_bounds own = geo_cell_bounds(center);
    size_t count = 0;
    for (size_t i = 0; i < GEO_RANGES_MAX; i++) {
        struct geo_cell cell = geo_cell_beside(center, places[i].columns, places[i].rows);
        if (steps >= 2 && needless(&own, &bounds, places[i].columns, places[i].rows)) {
            continue;
        }
        struct geo_range range;
        geo_cell_scores(cell, &range.first, &range.end);
        size_t same = 0;
        while (same < count && ranges_out[same].first != range.first) {
            same++;
        }
        if (same == count) {
            ranges_out[count++] = range;
        }
    }
    return count;
}
