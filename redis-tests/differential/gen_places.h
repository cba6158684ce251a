/* gen_places: the kinds of arguments of the geo family. Part of gen; only gen_arguments.c includes
 * this. Thread: one. */
#ifndef BASIN_REDIS_TESTS_GEN_PLACES_H
#define BASIN_REDIS_TESTS_GEN_PLACES_H

#include "redis-tests/differential/gen.h"

void gen_put_gkey(struct gen *gen);         /* A set of places. */
void gen_put_hgkey(struct gen *gen);        /* One of the large ones. */
void gen_put_rkey(struct gen *gen);         /* A set of places that were found. */
void gen_put_dkey(struct gen *gen);         /* A set of distances. */
void gen_put_gmember(struct gen *gen);      /* A member of any of them. */
void gen_put_hgmember(struct gen *gen);     /* … of the large ones. */
void gen_put_place(struct gen *gen);        /* Longitude and latitude. */
void gen_put_place_member(struct gen *gen); /* The same, and a member. */
void gen_put_place_hgmember(struct gen *gen);
void gen_put_unit(struct gen *gen);
void gen_put_radius(struct gen *gen);       /* And its unit. */
void gen_put_circle(struct gen *gen);       /* BYRADIUS … */
void gen_put_box(struct gen *gen);          /* BYBOX … */
void gen_put_place_center(struct gen *gen); /* FROMLONLAT … */
void gen_put_center(struct gen *gen);       /* FROMLONLAT … or FROMMEMBER … */
void gen_put_limit(struct gen *gen);        /* A positive count. */

#endif
