/* gen_arguments: the kinds of arguments that templates name, by chance. Part of gen; only its
 * files include this. Thread: one. */
#ifndef BASIN_REDIS_TESTS_GEN_ARGUMENTS_H
#define BASIN_REDIS_TESTS_GEN_ARGUMENTS_H

#include "redis-tests/differential/gen.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Lent until gen_reset; ends the program when there is no memory. */
unsigned char *gen_room(struct gen *gen, size_t size);

/* Adds an argument; does nothing when there are GEN_ARGUMENTS_MAX. Keeps it until gen_reset. */
void gen_put(struct gen *gen, struct bytes argument);
void gen_put_text(struct gen *gen, const char *text);
/* Adds one that brings out what a careless parser does. */
void gen_put_hostile(struct gen *gen);
/* Adds what the format gives. */
[[gnu::format(printf, 2, 3)]] void gen_put_format(struct gen *gen, const char *format, ...);
/* Adds a payload of DUMP, right or damaged: gen_payloads.c. */
void gen_put_payload(struct gen *gen);
/* Adds one of the kind (some kinds: several). False: no such kind. */
bool gen_put_kind(struct gen *gen, struct bytes kind);
/* The same of the kinds that only sorted sets have: gen_arguments_zset.c. */
bool gen_put_zset_kind(struct gen *gen, struct bytes kind);
/* The kinds in gen_arguments_sets.c; only gen_put_kind calls this. */
bool gen_put_set_kind(struct gen *gen, struct bytes kind);

#endif
