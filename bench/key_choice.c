#include "bench/key_choice.h"

#include <math.h>

#define ZETA_TERMS 10000
#define GOLDEN 0.6180339887498949

/* Term by term at first, then Euler and Maclaurin's formula: true to 1e-9 for any count at once. */
static double zeta(uint64_t count, double theta)
{
    uint64_t terms = count < ZETA_TERMS ? count : ZETA_TERMS;
    double sum = 0;
    for (uint64_t rank = 1; rank <= terms; rank++) {
        sum += pow((double)rank, -theta);
    }
    if (count > terms) {
        double low = (double)terms;
        double high = (double)count;
        sum += (pow(high, 1 - theta) - pow(low, 1 - theta)) / (1 - theta);
        sum += (pow(high, -theta) - pow(low, -theta)) / 2;
    }
    return sum;
}

static uint64_t divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

void key_choice_init(struct key_choice *choice)
{
    choice->random = choice->random == 0 ? 1 : choice->random;
    choice->scatter = (uint64_t)((double)choice->count * GOLDEN) | 1;
    while (divisor(choice->scatter, choice->count) != 1) {
        choice->scatter += 2;
    }
    if (choice->theta > 0) {
        choice->zeta = zeta(choice->count, choice->theta);
        choice->zeta_two = zeta(2, choice->theta);
        choice->eta = (1 - pow(2 / (double)choice->count, 1 - choice->theta)) /
                      (1 - choice->zeta_two / choice->zeta);
    }
}

uint64_t key_choice_at(const struct key_choice *choice, uint64_t index)
{
    return choice->first + index % choice->count;
}

static uint64_t zipf_rank(const struct key_choice *choice, double uniform)
{
    double scaled = uniform * choice->zeta;
    if (scaled < 1) {
        return 0;
    }
    if (scaled < choice->zeta_two) {
        return 1 % choice->count;
    }
    double share = pow(choice->eta * uniform - choice->eta + 1, 1 / (1 - choice->theta));
    uint64_t rank = (uint64_t)((double)choice->count * share);
    return rank < choice->count ? rank : choice->count - 1;
}

uint64_t key_choice_random(struct key_choice *choice)
{
    choice->random ^= choice->random << 13;
    choice->random ^= choice->random >> 7;
    choice->random ^= choice->random << 17;
    if (choice->theta == 0) {
        return choice->first +
               (uint64_t)(((unsigned __int128)choice->random * choice->count) >> 64);
    }
    uint64_t rank = zipf_rank(choice, (double)(choice->random >> 11) * 0x1p-53);
    return choice->first + (uint64_t)((unsigned __int128)rank * choice->scatter % choice->count);
}
