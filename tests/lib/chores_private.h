/* chores_private: one change of one key, in two halves. For the files of chores alone. */
#ifndef BASIN_TESTS_LIB_CHORES_PRIVATE_H
#define BASIN_TESTS_LIB_CHORES_PRIVATE_H

#include "tests/lib/chores.h"

#define STEP_WORDS 12
#define STEP_WORD_MAX 800 /* Of most. */
#define STEP_LARGE_SIZE 2600
#define STEP_IDS 6
#define FAR_AHEAD_MS 4000000000000ll

struct step {
    enum value_type type;
    unsigned op;    /* Of the type, as the file that draws it numbers them. */
    unsigned which; /* A choice within it. */
    unsigned growth;
    bool large; /* Given. */
    uint64_t at, count;
    int64_t expiry_ms;
    uint64_t word_count;
    struct bytes words[STEP_WORDS];
    double scores[STEP_WORDS];
    struct stream_id ids[STEP_IDS];
    size_t id_count;
    char texts[STEP_WORDS][STEP_LARGE_SIZE + 1];
};

/* Reads the key and decides; an absent key is to become a value of the type. Words are lent as long
 * as the step stays where it is. */
enum status step_draw(struct txn *txn, unsigned number, enum value_type type, unsigned growth,
                      uint64_t *chance, struct step *step);
/* Does it; after all reads of the txn. */
enum status step_do(struct txn *txn, unsigned number, struct step *step);

/* -- chores_stream.c ----------------------------------------------------------------------------
 */

enum status step_draw_stream(const struct value *value, uint64_t *chance, struct step *step);
enum status step_do_stream(struct txn *txn, unsigned number, struct step *step);

/* -- For both -----------------------------------------------------------------------------------
 */

static inline unsigned step_below(uint64_t *chance, unsigned bound)
{
    uint64_t z = *chance += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return (unsigned)((z ^ (z >> 31)) >> 33) % bound;
}
/* Appends a word to the step: one of a few names, or, more rarely, a long one. */
void step_add_name(struct step *step, uint64_t *chance);
/* Any text. */
void step_add_text(struct step *step, uint64_t *chance);

#endif
