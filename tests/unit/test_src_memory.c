/* What counts against maxmemory beside the keys: how much of the resident size nothing explains. */
#include "src/stats/memory.h"
#include "tests/lib/test.h"

#define MEBI ((uint64_t)1 << 20)

TEST(nothing_is_unexplained_while_the_program_the_keys_and_some_noise_explain_it)
{
    EXPECT(memory_share(0, 0, 0) == 0.0);
    EXPECT(memory_share(0, 10 * MEBI, 100 * MEBI) == 0.0);
    EXPECT(memory_share(110 * MEBI, 10 * MEBI, 100 * MEBI) == 0.0);
    EXPECT(memory_share(126 * MEBI, 10 * MEBI, 100 * MEBI) == 0.0);
}

TEST(the_rest_is_a_share_of_what_is_counted_and_at_most_a_quarter)
{
    EXPECT(memory_share(136 * MEBI, 10 * MEBI, 100 * MEBI) == 0.1);
    EXPECT(memory_share(151 * MEBI, 10 * MEBI, 100 * MEBI) == 0.25);
    EXPECT(memory_share(1000 * MEBI, 10 * MEBI, 100 * MEBI) == 0.25);
    EXPECT(memory_share(1000 * MEBI, 10 * MEBI, 0) == 0.25);
}

TEST(the_resident_size_grows_with_what_is_touched)
{
    static volatile unsigned char room[64 * 1024 * 1024];
    uint64_t before = memory_resident();
    EXPECT(before > 0);
    for (size_t i = 0; i < sizeof(room); i += 4096) {
        room[i] = 1;
    }
    EXPECT(memory_resident() >= before + 60 * MEBI);
}
