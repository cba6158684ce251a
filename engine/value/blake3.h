/* blake3: the BLAKE3 hash, 256-bit output, unkeyed, plus extended output for the official vectors.
 * Portable C and SIMD (SSE4.1, AVX2, chosen once at run time); all give the same bytes.
 * Source: J. O'Connor, J.-P. Aumasson, S. Neves, Z. Wilcox-O'Hearn, "BLAKE3: one function, fast
 * everywhere". Thread: any; no state but the caller's.
 */
#ifndef BASIN_ENGINE_VALUE_BLAKE3_H
#define BASIN_ENGINE_VALUE_BLAKE3_H

#include "engine/base/bytes.h"

#define BLAKE3_SIZE 32

enum blake3_road { BLAKE3_PORTABLE, BLAKE3_SSE41, BLAKE3_AVX2 };

/* Hashes all of input; writes out_size bytes (BLAKE3_SIZE is the digest, more extends it). */
void blake3(struct bytes input, unsigned char *out, size_t out_size);

/* The modes of the paper, for the official vectors: keyed with 32 bytes, or deriving a key. */
void blake3_keyed(const unsigned char key[32], struct bytes input, unsigned char *out,
                  size_t out_size);
void blake3_derive_key(struct bytes context, struct bytes material, unsigned char *out,
                       size_t out_size);

enum blake3_road blake3_road(void); /* The best this processor has. */
/* Uses this road from now on; false: the processor has not got it. For tests. */
bool blake3_set_road(enum blake3_road road);

#endif
