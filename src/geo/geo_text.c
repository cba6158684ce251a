#include "src/geo/geo_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PARTS_PER_UNIT 10000
/* Far beyond any distance on earth in any unit; products stay exact integers of 64 bits. */
#define DISTANCE_MAX 1e14

size_t geo_distance_text(double distance, char *text)
{
    if (!(fabs(distance) < DISTANCE_MAX)) {
        return (size_t)snprintf(text, GEO_NUMBER_MAX, "%.4f", distance);
    }
    int64_t parts = llrint(distance * PARTS_PER_UNIT);
    int64_t size = llabs(parts);
    return (size_t)snprintf(text, GEO_NUMBER_MAX, "%s%" PRId64 ".%04d", parts < 0 ? "-" : "",
                            size / PARTS_PER_UNIT, (int)(size % PARTS_PER_UNIT));
}

size_t geo_degrees_text(double degrees, char *text)
{
    size_t size = (size_t)snprintf(text, GEO_NUMBER_MAX, "%.17Lf", (long double)degrees);
    while (text[size - 1] == '0') {
        size--;
    }
    return text[size - 1] == '.' ? size - 1 : size;
}
