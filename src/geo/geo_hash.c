#include "src/geo/geo_hash.h"

#include "engine/base/check.h"

#define TWO_TO_63 9223372036854775808.0
#define TWO_TO_64 18446744073709551616.0

/* ------------------------------------------------------------------------------------------
 * Bits: x in the odd positions, y in the even ones.
 */

/* Bit i goes to bit 2i: each line moves half of what is left by as much. */
static uint64_t bits_spread(uint32_t value)
{
    uint64_t bits = value;
    bits = (bits | bits << 16) & 0x0000FFFF0000FFFFu;
    bits = (bits | bits << 8) & 0x00FF00FF00FF00FFu;
    bits = (bits | bits << 4) & 0x0F0F0F0F0F0F0F0Fu;
    bits = (bits | bits << 2) & 0x3333333333333333u;
    return (bits | bits << 1) & 0x5555555555555555u;
}

/* Bit 2i goes to bit i. */
static uint32_t bits_gather(uint64_t bits)
{
    bits &= 0x5555555555555555u;
    bits = (bits | bits >> 1) & 0x3333333333333333u;
    bits = (bits | bits >> 2) & 0x0F0F0F0F0F0F0F0Fu;
    bits = (bits | bits >> 4) & 0x00FF00FF00FF00FFu;
    bits = (bits | bits >> 8) & 0x0000FFFF0000FFFFu;
    return (uint32_t)(bits | bits >> 16);
}

static uint64_t cell_bits(struct geo_cell cell)
{
    return bits_spread(cell.x) << 1 | bits_spread(cell.y);
}

static struct geo_cell cell_of_bits(uint64_t bits)
{
    return (struct geo_cell){
        .x = bits_gather(bits >> 1), .y = bits_gather(bits), .steps = GEO_STEPS_MAX};
}

/* ------------------------------------------------------------------------------------------
 * Degrees.
 */

/* In which of 2^steps equal parts of [-limit, limit] the angle lies; the limit lies behind them. */
static uint32_t axis_part(double angle, double limit, unsigned steps)
{
    double share = (angle + limit) / (limit + limit);
    return (uint32_t)(share * (double)(1u << steps));
}

/* Where a part begins. */
static double axis_angle(uint64_t part, double limit, unsigned steps)
{
    double share = (double)part / (double)(1u << steps);
    return -limit + share * (limit + limit);
}

static double within(double angle, double limit)
{
    return angle > limit ? limit : angle < -limit ? -limit : angle;
}

bool geo_point_valid(struct geo_point point)
{
    return point.longitude >= -GEO_LONGITUDE_MAX && point.longitude <= GEO_LONGITUDE_MAX &&
           point.latitude >= -GEO_LATITUDE_MAX && point.latitude <= GEO_LATITUDE_MAX;
}

/* ------------------------------------------------------------------------------------------
 * Cells.
 */

struct geo_cell geo_cell_of(struct geo_point point, unsigned steps)
{
    CHECK(geo_point_valid(point) && steps >= 1 && steps <= GEO_STEPS_MAX);
    return (struct geo_cell){.x = axis_part(point.longitude, GEO_LONGITUDE_MAX, steps),
                             .y = axis_part(point.latitude, GEO_LATITUDE_MAX, steps),
                             .steps = steps};
}

struct geo_bounds geo_cell_bounds(struct geo_cell cell)
{
    uint64_t x = cell.x, y = cell.y;
    return (struct geo_bounds){.west = axis_angle(x, GEO_LONGITUDE_MAX, cell.steps),
                               .east = axis_angle(x + 1, GEO_LONGITUDE_MAX, cell.steps),
                               .south = axis_angle(y, GEO_LATITUDE_MAX, cell.steps),
                               .north = axis_angle(y + 1, GEO_LATITUDE_MAX, cell.steps)};
}

struct geo_cell geo_cell_beside(struct geo_cell cell, int columns, int rows)
{
    uint32_t mask = (1u << cell.steps) - 1;
    if (columns != 0) { /* A place on the eastern edge only leaves it by moving. */
        cell.x = (cell.x + (uint32_t)columns) & mask;
    }
    if (rows != 0) {
        cell.y = (cell.y + (uint32_t)rows) & mask;
    }
    return cell;
}

void geo_cell_scores(struct geo_cell cell, double *first_out, double *end_out)
{
    unsigned shift = 2 * (GEO_STEPS_MAX - cell.steps);
    uint64_t bits = cell_bits(cell);
    *first_out = (double)(bits << shift);
    *end_out = (double)((bits + 1) << shift);
}

/* ------------------------------------------------------------------------------------------
 * Points.
 */

double geo_score(struct geo_point point)
{
    return (double)cell_bits(geo_cell_of(point, GEO_STEPS_MAX));
}

/* Whole part, modulo 2^64 where it fits 64 bits with or without a sign. Beyond, what x86-64 makes
 * of the conversion, which C leaves open: 0 above, 2^63 below. */
static uint64_t score_bits(double score)
{
    if (score >= TWO_TO_64) {
        return 0;
    }
    if (score >= 0) {
        return (uint64_t)score;
    }
    return score >= -TWO_TO_63 ? (uint64_t)(int64_t)score : 1ull << 63;
}

struct geo_point geo_point_of_score(double score)
{
    struct geo_bounds bounds = geo_cell_bounds(cell_of_bits(score_bits(score)));
    return (struct geo_point){
        .longitude = within((bounds.west + bounds.east) / 2, GEO_LONGITUDE_MAX),
        .latitude = within((bounds.south + bounds.north) / 2, GEO_LATITUDE_MAX)};
}

void geo_hash_text(struct geo_point point, char *text)
{
    static const char letters[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    struct geo_cell cell = {.x = axis_part(point.longitude, GEO_LONGITUDE_MAX, GEO_STEPS_MAX),
                            .y = axis_part(point.latitude, 90, GEO_STEPS_MAX),
                            .steps = GEO_STEPS_MAX};
    uint64_t bits = cell_bits(cell);
    for (unsigned i = 0; i < GEO_TEXT_SIZE - 2; i++) {
        text[i] = letters[bits >> (2 * GEO_STEPS_MAX - 5 * (i + 1)) & 31];
    }
    text[GEO_TEXT_SIZE - 2] = '0';
    text[GEO_TEXT_SIZE - 1] = '\0';
}
