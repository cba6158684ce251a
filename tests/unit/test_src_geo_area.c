/* Areas against brute force: every point of a cloud is asked whether it lies in the area, and those
 * that do must lie in the ranges too. */
#include "src/geo/geo_area.h"

#include "tests/lib/test.h"

#include <math.h>

#define CLOUD 2000

struct cloud {
    double scores[CLOUD];
};

static double between(uint64_t *state, double low, double high)
{
    return low + (double)(test_random(state) >> 11) / 0x1p53 * (high - low);
}

static struct geo_point at(double longitude, double latitude)
{
    return (struct geo_point){.longitude = longitude, .latitude = latitude};
}

/* Longitudes beyond the date line come back on the other side. */
static struct geo_point around(uint64_t *state, struct geo_point center, double degrees)
{
    struct geo_point point = at(center.longitude + between(state, -degrees, degrees),
                                center.latitude + between(state, -degrees, degrees));
    point.longitude += point.longitude < -180 ? 360 : point.longitude > 180 ? -360 : 0;
    point.latitude = fmax(-85, fmin(85, point.latitude));
    return point;
}

static void cloud_fill(struct cloud *cloud, uint64_t *state, struct geo_point center,
                       double degrees)
{
    for (size_t i = 0; i < CLOUD; i++) {
        cloud->scores[i] = geo_score(around(state, center, degrees));
    }
}

static bool in_ranges(const struct geo_range *ranges, size_t count, double score)
{
    size_t holding = 0;
    for (size_t i = 0; i < count; i++) {
        holding += score >= ranges[i].first && score < ranges[i].end;
    }
    EXPECT(holding <= 1); /* Ranges are disjoint: nothing is found twice. */
    return holding == 1;
}

/* How many points lie in the area; the first that the ranges miss fails the test. */
static size_t expect_found(const struct cloud *cloud, const struct geo_area *area)
{
    struct geo_range ranges[GEO_RANGES_MAX];
    size_t count = geo_area_ranges(area, ranges), held = 0;
    EXPECT(count >= 1 && count <= GEO_RANGES_MAX);
    for (size_t i = 0; i < CLOUD; i++) {
        double distance_m;
        bool found = in_ranges(ranges, count, cloud->scores[i]);
        if (geo_area_holds(area, geo_point_of_score(cloud->scores[i]), &distance_m)) {
            held++;
            EXPECT(found);
        }
    }
    return held;
}

/* Centres up to this latitude; the areas of a few kilometres to a few hundred, on clouds of the
 * same size, that often lie over the date line. */
static void expect_all_found(enum geo_shape shape, double latitude_max)
{
    static struct cloud cloud;
    uint64_t state = test_seed();
    size_t held = 0;
    for (int round = 0; round < 400; round++) {
        double longitude = round % 4 == 0 ? between(&state, 179, 180) * (round % 8 == 0 ? 1 : -1)
                                          : between(&state, -180, 180);
        struct geo_point center = at(longitude, between(&state, -latitude_max, latitude_max));
        double radius_m = pow(10, between(&state, 0, 5.6));
        cloud_fill(&cloud, &state, center, radius_m / 80000);
        struct geo_area area = {.shape = shape,
                                .center = center,
                                .radius_m = radius_m,
                                .width_m = 2 * radius_m,
                                .height_m = radius_m * pow(10, between(&state, -1, 0.3))};
        held += expect_found(&cloud, &area);
    }
    EXPECT(held > 10000);
}

TEST(every_point_of_a_circle_is_found)
{
    expect_all_found(GEO_CIRCLE, 75);
}

TEST(every_point_of_a_box_is_found)
{
    expect_all_found(GEO_BOX, 75);
}

/* Most of the map must be left alone, or a search would cost what the set holds. */
TEST(small_areas_look_at_little_of_the_map)
{
    uint64_t state = test_seed();
    for (int round = 0; round < 10000; round++) {
        struct geo_range ranges[GEO_RANGES_MAX];
        double radius_m = pow(10, between(&state, -1, 5));
        struct geo_area area = {.center = at(between(&state, -180, 180), between(&state, -60, 60)),
                                .radius_m = radius_m};
        size_t count = geo_area_ranges(&area, ranges);
        double scores = 0;
        for (size_t i = 0; i < count; i++) {
            scores += ranges[i].end - ranges[i].first;
        }
        /* Nine cells, each at most eight radii wide, of a map that is 40,000 km wide. */
        double share = scores / 0x1p52, width = 8 * fmax(radius_m, 1) / 40000000;
        EXPECT(share <= 9 * width * width);
    }
}

TEST(an_area_over_the_whole_earth_looks_everywhere_once)
{
    static const double radii[] = {2e7, 1e9, 1e300, INFINITY};
    static struct cloud cloud;
    uint64_t state = test_seed();
    cloud_fill(&cloud, &state, at(0, 0), 180);
    for (size_t i = 0; i < sizeof(radii) / sizeof(radii[0]); i++) {
        struct geo_area circle = {.center = at(12, 34), .radius_m = radii[i]};
        struct geo_area box = {.shape = GEO_BOX,
                               .center = at(-150, -60),
                               .width_m = 2 * radii[i],
                               .height_m = 2 * radii[i]};
        size_t held = expect_found(&cloud, &circle);
        EXPECT(i == 0 || held == CLOUD);
        EXPECT_INT(expect_found(&cloud, &box), CLOUD);
    }
}

TEST(a_circle_without_a_radius_holds_its_centre)
{
    struct geo_point center = geo_point_of_score(geo_score(at(13.361389, 38.115556)));
    struct geo_area area = {.center = center};
    double distance_m;
    EXPECT(geo_area_holds(&area, center, &distance_m) && distance_m == 0);
    EXPECT(!geo_area_holds(&area, at(13.3614, 38.115556), &distance_m));
    struct geo_range ranges[GEO_RANGES_MAX];
    size_t count = geo_area_ranges(&area, ranges);
    EXPECT(in_ranges(ranges, count, geo_score(center)));
    EXPECT(ranges[0].end - ranges[0].first == 1);
}

/* The middle of a box's upper edge is as far from the corners as that of its lower edge. */
TEST(a_box_is_as_wide_at_the_top_as_at_the_bottom)
{
    struct geo_area area = {
        .shape = GEO_BOX, .center = at(10, 60), .width_m = 400000, .height_m = 1000000};
    double distance_m, edge = 200000 / (GEO_EARTH_RADIUS_M * M_PI / 180);
    for (double latitude = 55.6; latitude < 64.4; latitude += 0.4) {
        double across = edge / cos(latitude * M_PI / 180);
        EXPECT(geo_area_holds(&area, at(10 + across * 0.995, latitude), &distance_m));
        EXPECT(geo_area_holds(&area, at(10 - across * 0.995, latitude), &distance_m));
        EXPECT(!geo_area_holds(&area, at(10 + across * 1.005, latitude), &distance_m));
    }
    EXPECT(!geo_area_holds(&area, at(10, 65), &distance_m));
    EXPECT(!geo_area_holds(&area, at(10, 55), &distance_m));
}

TEST(distances_are_those_of_a_ball)
{
    struct geo_point palermo = geo_point_of_score(3479099956230698);
    struct geo_point catania = geo_point_of_score(3479447370796909);
    EXPECT(fabs(geo_distance_m(palermo, catania) - 166274.1516) < 0.00005);
    EXPECT(geo_distance_m(palermo, catania) == geo_distance_m(catania, palermo));
    EXPECT(geo_distance_m(palermo, palermo) == 0);
    double degree_m = GEO_EARTH_RADIUS_M * M_PI / 180;
    EXPECT(fabs(geo_distance_m(at(5, 10), at(5, 11)) - degree_m) < 0.001);
    EXPECT(fabs(geo_distance_m(at(5, 0), at(6, 0)) - degree_m) < 0.001);
    EXPECT(fabs(geo_distance_m(at(179.5, 0), at(-179.5, 0)) - degree_m) < 0.001);
}

/* Rounding must not make NaN of the longest way there is. */
TEST(opposite_points_are_half_the_earth_apart)
{
    uint64_t state = test_seed();
    for (int i = 0; i < 200000; i++) {
        double longitude = between(&state, 0, 180), latitude = between(&state, -85, 85);
        double distance_m = geo_distance_m(at(longitude, latitude), at(longitude - 180, -latitude));
        EXPECT(fabs(distance_m - GEO_EARTH_RADIUS_M * M_PI) < 1);
    }
}
