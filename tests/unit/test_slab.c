#include "engine/shard/slab.h"

#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static struct slab *slab_made(void)
{
    struct slab *slab = NULL;
    EXPECT_INT(slab_new(&slab), ST_OK);
    return slab;
}

static void *taken(struct slab *slab, size_t size)
{
    void *memory = slab_take(slab, size);
    EXPECT(memory != NULL);
    EXPECT((uintptr_t)memory % 8 == 0);
    return memory;
}

static uint64_t resident_size(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    EXPECT(file != NULL);
    unsigned long total = 0;
    unsigned long resident = 0;
    EXPECT_INT(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return (uint64_t)resident * (uint64_t)getpagesize();
}

static unsigned mapping_count(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    EXPECT(file != NULL);
    unsigned count = 0;
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        count += c == '\n';
    }
    fclose(file);
    return count;
}

TEST(slab_rooms_are_eight_apart_up_to_the_step_limit)
{
    struct slab *slab = slab_made();
    for (size_t size = 1; size <= SLAB_STEP_MAX; size++) {
        void *memory = taken(slab, size);
        EXPECT_INT(slab_used(slab), (size + 7) / 8 * 8);
        EXPECT(slab_same_class(size, (size + 7) / 8 * 8));
        EXPECT(!slab_same_class(size, (size + 7) / 8 * 8 + 1));
        slab_give(slab, memory, size);
    }
    EXPECT_INT(slab_used(slab), 0);
    slab_free(slab);
}

TEST(slab_rooms_above_waste_an_eighth_at_most)
{
    struct slab *slab = slab_made();
    for (size_t size = SLAB_STEP_MAX + 1; size <= SLAB_SIZE_MAX; size++) {
        void *memory = taken(slab, size);
        size_t room = slab_used(slab);
        EXPECT(room >= size && room % 8 == 0);
        EXPECT(room - size <= (size <= 4096 ? size / 10 : size / 8 + 8));
        /* The page has room for whole objects only, and loses no more than rounding. */
        EXPECT(SLAB_PAGE_SIZE % room < 8 * (SLAB_PAGE_SIZE / room));
        EXPECT(slab_same_class(size, room));
        EXPECT(!slab_same_class(size, room + 1));
        memset(memory, 1, room);
        slab_give(slab, memory, size);
    }
    slab_free(slab);
}

TEST(slab_takes_sizes_beyond_its_classes_from_malloc)
{
    struct slab *slab = slab_made();
    EXPECT(!slab_same_class(SLAB_SIZE_MAX, SLAB_SIZE_MAX + 1));
    EXPECT(slab_same_class(10000, 10001));
    EXPECT(!slab_same_class(10000, 20000));
    unsigned char *memory = taken(slab, 1000000);
    memset(memory, 7, 1000000);
    EXPECT(slab_used(slab) >= 1000000);
    EXPECT(slab_held(slab) >= 1000000);
    slab_give(slab, memory, 1000000);
    EXPECT_INT(slab_used(slab), 0);
    EXPECT_INT(slab_held(slab), 0);
    /* A piece may grow in place to all of its room. */
    size_t size = 10001;
    memory = taken(slab, size);
    while (slab_same_class(size, size + 1)) {
        size++;
    }
    memset(memory, 7, size);
    slab_give(slab, memory, size);
    EXPECT_INT(slab_used(slab), 0);
    EXPECT(slab_take(slab, SIZE_MAX) == NULL);
    EXPECT(slab_take(slab, SIZE_MAX / 2 + 1) == NULL);
    EXPECT_INT(slab_used(slab), 0);
    slab_free(slab);
}

struct piece {
    unsigned char *memory;
    size_t size;
    unsigned char fill;
};

static void piece_take(struct slab *slab, struct piece *piece, size_t size, unsigned char fill)
{
    *piece = (struct piece){taken(slab, size), size, fill};
    memset(piece->memory, fill, size);
}

static void piece_give(struct slab *slab, struct piece *piece)
{
    for (size_t i = 0; i < piece->size; i++) {
        EXPECT(piece->memory[i] == piece->fill);
    }
    slab_give(slab, piece->memory, piece->size);
    piece->memory = NULL;
}

TEST(slab_pieces_never_overlap_whatever_the_order_of_takes_and_gives)
{
    enum { PIECES = 4000, STEPS = 200000 };
    uint64_t random = test_seed();
    struct slab *slab = slab_made();
    struct piece *pieces = calloc(PIECES, sizeof(*pieces));
    for (unsigned step = 0; step < STEPS; step++) {
        /* Waves of growth and decline, so that pages empty and fill again. */
        uint64_t span = 1 + (step / 10000 % 4) * (PIECES / 4);
        struct piece *piece = &pieces[test_random_below(&random, PIECES)];
        bool want = (uint64_t)(piece - pieces) < span;
        if (piece->memory != NULL) {
            piece_give(slab, piece);
        }
        if (want) {
            uint64_t kind = test_random_below(&random, 100);
            uint64_t bound = kind < 80 ? 200 : kind < 99 ? SLAB_SIZE_MAX : 40000;
            piece_take(slab, piece, 1 + test_random_below(&random, bound), (unsigned char)step);
        }
        EXPECT(slab_held(slab) >= slab_used(slab));
    }
    for (unsigned i = 0; i < PIECES; i++) {
        if (pieces[i].memory != NULL) {
            piece_give(slab, &pieces[i]);
        }
    }
    EXPECT_INT(slab_used(slab), 0);
    EXPECT(slab_held(slab) <= 3 * SLAB_PAGE_SIZE);
    free(pieces);
    slab_free(slab);
}

/* COUNT pieces of 144 bytes: 288 pages of 455 each, in five regions. */
enum { PAGE_PIECES = SLAB_PAGE_SIZE / 144, COUNT = 288 * PAGE_PIECES };

static void **filled(struct slab *slab)
{
    void **memory = calloc(COUNT, sizeof(*memory));
    for (unsigned i = 0; i < COUNT; i++) {
        memory[i] = taken(slab, 144);
        memset(memory[i], 1, 144);
    }
    return memory;
}

TEST(slab_gives_empty_pages_back_to_the_system)
{
    struct slab *slab = slab_made();
    uint64_t resident_before = resident_size();
    void **memory = filled(slab);
    uint64_t used = slab_used(slab);
    EXPECT_INT(used, (uint64_t)COUNT * 144);
    EXPECT(slab_held(slab) < used + used / 200);
    EXPECT(resident_size() > resident_before + used * 9 / 10);

    /* As long as each page holds one, none goes. */
    for (unsigned i = 0; i < COUNT; i++) {
        if (i % PAGE_PIECES != 0) {
            slab_give(slab, memory[i], 144);
        }
    }
    EXPECT(slab_held(slab) >= used);
    for (unsigned i = 0; i < COUNT; i += PAGE_PIECES) {
        slab_give(slab, memory[i], 144);
    }
    EXPECT_INT(slab_used(slab), 0);
    EXPECT(slab_held(slab) <= 3 * SLAB_PAGE_SIZE);
    free(memory);
    if (!SANITIZED) { /* A sanitizer's own memory for these pages stays. */
        EXPECT(resident_size() < resident_before + used / 20 + 1024 * 1024);
    }
    slab_free(slab);
}

TEST(slab_does_not_cut_the_address_space_when_every_other_page_goes)
{
    struct slab *slab = slab_made();
    void **memory = filled(slab);
    unsigned before = mapping_count();
    uint64_t held = slab_held(slab);
    for (unsigned i = 0; i < COUNT; i++) {
        if (i / PAGE_PIECES % 2 == 0) {
            slab_give(slab, memory[i], 144);
        }
    }
    EXPECT(slab_held(slab) < held / 2 + 3 * SLAB_PAGE_SIZE);
    EXPECT(mapping_count() <= before + 4);
    /* What went comes again. */
    for (unsigned i = 0; i < COUNT; i++) {
        if (i / PAGE_PIECES % 2 == 0) {
            memory[i] = taken(slab, 144);
            memset(memory[i], 2, 144);
        }
    }
    EXPECT_INT(slab_held(slab), held);
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT(*(unsigned char *)memory[i] == (i / PAGE_PIECES % 2 == 0 ? 2 : 1));
    }
    free(memory);
    slab_free(slab); /* With all of it still taken. */
}

TEST(slab_fills_holes_before_it_takes_new_pages)
{
    uint64_t random = test_seed();
    struct slab *slab = slab_made();
    void **memory = filled(slab);
    uint64_t held = slab_held(slab);
    for (unsigned i = 0; i < COUNT; i++) {
        if (test_random_below(&random, 2) == 0) {
            slab_give(slab, memory[i], 144);
            memory[i] = NULL;
        }
    }
    for (unsigned i = 0; i < COUNT; i++) {
        if (memory[i] == NULL) {
            memory[i] = taken(slab, 144);
        }
    }
    EXPECT_INT(slab_held(slab), held);
    free(memory);
    slab_free(slab);
}

TEST(slab_keeps_a_page_warm_for_a_piece_that_comes_and_goes)
{
    struct slab *slab = slab_made();
    slab_give(slab, taken(slab, 100), 100);
    slab_give(slab, taken(slab, 200), 200);
    uint64_t held = slab_held(slab);
    for (unsigned i = 0; i < 1000; i++) {
        slab_give(slab, taken(slab, 100), 100);
        slab_give(slab, taken(slab, 200), 200);
        EXPECT_INT(slab_held(slab), held);
    }
    slab_free(slab);
}

TEST(slab_without_memory_gives_nothing_and_goes_on)
{
    if (SANITIZED) {
        return; /* A sanitizer needs terabytes of addresses, so they cannot be limited. */
    }
    struct slab *slab = slab_made();
    void *first = taken(slab, 64);
    struct rlimit before;
    EXPECT_INT(getrlimit(RLIMIT_AS, &before), 0);
    /* Nothing more than what is mapped. */
    EXPECT_INT(setrlimit(RLIMIT_AS, &(struct rlimit){1, before.rlim_max}), 0);
    unsigned count = 0;
    while (slab_take(slab, 8192) != NULL) {
        count++;
    }
    uint64_t used = slab_used(slab);
    bool none = slab_take(slab, 8000) == NULL && slab_take(slab, 1 << 26) == NULL;
    EXPECT_INT(setrlimit(RLIMIT_AS, &before), 0);
    EXPECT(none);
    EXPECT_INT(count, 62 * 8); /* The rest of the region. */
    EXPECT_INT(slab_used(slab), used);
    EXPECT(slab_take(slab, 8192) != NULL);
    slab_give(slab, first, 64);
    slab_free(slab);
}
