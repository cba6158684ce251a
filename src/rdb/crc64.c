#include "src/rdb/crc64.h"

#include <pthread.h>

#define POLYNOMIAL 0x95ac9329ac4bc9b5u /* Reflected. */
#define SLICES 8

/* tables[k][b]: what byte b does when k further bytes follow it. */
static uint64_t tables[SLICES][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void tables_make(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t crc = byte;
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
        }
        tables[0][byte] = crc;
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        for (unsigned slice = 1; slice < SLICES; slice++) {
            uint64_t crc = tables[slice - 1][byte];
            tables[slice][byte] = tables[0][crc & 0xff] ^ (crc >> 8);
        }
    }
}

uint64_t crc64(uint64_t before, struct bytes bytes)
{
    pthread_once(&tables_once, tables_make);
    uint64_t crc = before;
    const unsigned char *at = bytes.data;
    size_t left = bytes.size;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word = load_u64(at) ^ crc;
        crc = 0;
        for (unsigned i = 0; i < SLICES; i++) {
            crc ^= tables[SLICES - 1 - i][word & 0xff];
            word >>= 8;
        }
    }
    for (; left > 0; left--, at++) {
        crc = tables[0][(crc ^ *at) & 0xff] ^ (crc >> 8);
    }
    return crc;
}
