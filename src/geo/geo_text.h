/* geo_text: distances and coordinates as Redis prints them.
 * Thread: pure functions. */
#ifndef BASIN_SRC_GEO_GEO_TEXT_H
#define BASIN_SRC_GEO_GEO_TEXT_H

#include <stddef.h>

#define GEO_NUMBER_MAX 352 /* The longest double before the point, and what comes after it. */

/* With four digits after the point, which is rounded as a binary number: ten-thousandths to the
 * nearest, halves to the even one, whatever the decimal digits beyond would say. Gives the length;
 * no NUL counts. text holds GEO_NUMBER_MAX bytes. */
size_t geo_distance_text(double distance, char *text);

/* With up to seventeen digits after the point, without zeros at the end. */
size_t geo_degrees_text(double degrees, char *text);

#endif
