#include "src/geo/geo_hash.h"
#include "src/geo/geo_text.h"

#include "tests/lib/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CELL_LONGITUDE (360.0 / (1 << GEO_STEPS_MAX))
#define CELL_LATITUDE (2 * GEO_LATITUDE_MAX / (1 << GEO_STEPS_MAX))

static struct geo_point at(double longitude, double latitude)
{
    return (struct geo_point){.longitude = longitude, .latitude = latitude};
}

/* In [-limit, limit), down to the last bits. */
static double random_angle(uint64_t *state, double limit)
{
    return ((double)(test_random(state) >> 11) / 0x1p53 * 2 - 1) * limit;
}

static struct geo_point random_point(uint64_t *state)
{
    return at(random_angle(state, GEO_LONGITUDE_MAX), random_angle(state, GEO_LATITUDE_MAX));
}

static const char *degrees(double value)
{
    static char texts[4][GEO_NUMBER_MAX];
    static unsigned turn;
    char *text = texts[turn++ % 4];
    text[geo_degrees_text(value, text)] = '\0';
    return text;
}

static const char *distance(double value)
{
    static char text[GEO_NUMBER_MAX];
    text[geo_distance_text(value, text)] = '\0';
    return text;
}

/* Figures of redis-server 7.0.15. */
TEST(known_places_have_their_known_scores)
{
    EXPECT(geo_score(at(13.361389, 38.115556)) == 3479099956230698);
    EXPECT(geo_score(at(15.087269, 37.502669)) == 3479447370796909);
    EXPECT(geo_score(at(0, 0)) == 3377699720527872);
    EXPECT(geo_score(at(-180, -85.05112878)) == 0);
    EXPECT(geo_score(at(179.9999999, 85.051128)) == 4503599627370495);
}

TEST(the_upper_edges_get_the_number_behind_the_last)
{
    EXPECT(geo_score(at(180, 85.05112878)) == 13510798882111488);
    EXPECT(geo_score(at(180, 0)) == 10133099161583616);
    EXPECT(geo_score(at(0, 85.05112878)) == 6755399441055744);
    EXPECT(geo_score(at(180, 0.1)) == 10133100256559440); /* Rounded: a double has 53 bits. */
    struct geo_point corner = geo_point_of_score(13510798882111488);
    EXPECT(corner.longitude == 180 && corner.latitude == 85.05112878);
}

TEST(known_scores_are_their_known_places)
{
    struct geo_point point = geo_point_of_score(3479099956230698);
    EXPECT_TEXT(degrees(point.longitude), "13.36138933897018433");
    EXPECT_TEXT(degrees(point.latitude), "38.11555639549629859");
    point = geo_point_of_score(0);
    EXPECT_TEXT(degrees(point.longitude), "-179.99999731779098511");
    EXPECT_TEXT(degrees(point.latitude), "-85.05112751263942528");
}

TEST(a_place_comes_back_within_half_a_cell_and_then_stays)
{
    uint64_t state = test_seed();
    for (int i = 0; i < 100000; i++) {
        struct geo_point point = random_point(&state);
        double score = geo_score(point);
        struct geo_point back = geo_point_of_score(score);
        EXPECT(fabs(back.longitude - point.longitude) <= CELL_LONGITUDE * 0.50001);
        EXPECT(fabs(back.latitude - point.latitude) <= CELL_LATITUDE * 0.50001);
        EXPECT(geo_score(back) == score);
    }
}

TEST(any_score_is_some_place_on_the_map)
{
    static const double odd[] = {-5,     1.5,    9007199254740992, 1e300,    -1e300,    0x1p55,
                                 0x1p63, 0x1p64, -0x1p63,          INFINITY, -INFINITY, -0.0,
                                 5e-324};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        EXPECT(geo_point_valid(geo_point_of_score(odd[i])));
    }
    EXPECT(geo_point_of_score(-5).longitude == 180);
    EXPECT(geo_point_of_score(INFINITY).longitude == geo_point_of_score(0).longitude);
    EXPECT(geo_point_of_score(-INFINITY).longitude == 180);
    EXPECT(geo_point_of_score(1.5).latitude == geo_point_of_score(1).latitude);
}

TEST(points_beyond_the_map_are_not_valid)
{
    EXPECT(geo_point_valid(at(-180, 85.05112878)));
    EXPECT(!geo_point_valid(at(180.0000001, 0)));
    EXPECT(!geo_point_valid(at(0, -85.05112879)));
    EXPECT(!geo_point_valid(at(NAN, 0)));
    EXPECT(!geo_point_valid(at(0, NAN)));
    EXPECT(!geo_point_valid(at(INFINITY, 0)));
}

TEST(geohashes_are_those_that_other_programs_write)
{
    char text[GEO_TEXT_SIZE];
    static const struct {
        double longitude, latitude;
        const char *text;
    } known[] = {
        {13.361389, 38.115556, "sqc8b49rny0"},
        {15.087269, 37.502669, "sqdtr74hyu0"},
        {0, 0, "s0000000000"},
        {180, 85.05112878, "bp05b5048p0"},
        {-180, -85.05112878, "00bh0hbj200"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        geo_hash_text(geo_point_of_score(geo_score(at(known[i].longitude, known[i].latitude))),
                      text);
        EXPECT_TEXT(text, known[i].text);
    }
}

TEST(a_cell_holds_its_points_in_degrees_and_in_scores)
{
    uint64_t state = test_seed();
    for (int i = 0; i < 100000; i++) {
        struct geo_point point = random_point(&state);
        unsigned steps = 1 + (unsigned)test_random_below(&state, GEO_STEPS_MAX);
        struct geo_cell cell = geo_cell_of(point, steps);
        struct geo_bounds bounds = geo_cell_bounds(cell);
        EXPECT(point.longitude >= bounds.west - 1e-12 && point.longitude <= bounds.east + 1e-12);
        EXPECT(point.latitude >= bounds.south - 1e-12 && point.latitude <= bounds.north + 1e-12);
        double first, end, score = geo_score(point);
        geo_cell_scores(cell, &first, &end);
        EXPECT(score >= first && score < end);
        EXPECT(end - first == ldexp(1, (int)(2 * (GEO_STEPS_MAX - steps))));
    }
}

TEST(neighbours_share_an_edge_and_the_map_is_closed)
{
    uint64_t state = test_seed();
    for (int i = 0; i < 100000; i++) {
        unsigned steps = 2 + (unsigned)test_random_below(&state, GEO_STEPS_MAX - 1);
        struct geo_cell cell = geo_cell_of(random_point(&state), steps);
        struct geo_cell east = geo_cell_beside(cell, 1, 0), north = geo_cell_beside(cell, 0, 1);
        bool last_column = cell.x == (1u << steps) - 1, last_row = cell.y == (1u << steps) - 1;
        EXPECT(last_column ? east.x == 0
                           : geo_cell_bounds(east).west == geo_cell_bounds(cell).east);
        EXPECT(last_row ? north.y == 0
                        : geo_cell_bounds(north).south == geo_cell_bounds(cell).north);
        struct geo_cell back = geo_cell_beside(geo_cell_beside(cell, 1, -1), -1, 1);
        EXPECT(back.x == cell.x && back.y == cell.y && back.steps == steps);
    }
}

TEST(distances_are_rounded_as_binary_numbers)
{
    EXPECT_TEXT(distance(0), "0.0000");
    EXPECT_TEXT(distance(166274.15156960033), "166274.1516");
    EXPECT_TEXT(distance(0.00004), "0.0000");
    EXPECT_TEXT(distance(0.00006), "0.0001");
    EXPECT_TEXT(distance(-1.5), "-1.5000");
    EXPECT_TEXT(distance(-0.25), "-0.2500");
    EXPECT_TEXT(distance(6655473.57545), "6655473.5754");
    EXPECT_TEXT(distance(15411782.25235), "15411782.2524");
    EXPECT_TEXT(distance(1e15), "1000000000000000.0000");
    EXPECT(strlen(distance(1e308)) < GEO_NUMBER_MAX);
}

TEST(degrees_have_no_zeros_at_their_end)
{
    EXPECT_TEXT(degrees(180), "180");
    EXPECT_TEXT(degrees(-10.5), "-10.5");
    EXPECT_TEXT(degrees(0), "0");
    EXPECT_TEXT(degrees(100), "100");
    EXPECT_TEXT(degrees(0.00000268220901489), "0.00000268220901489");
}
