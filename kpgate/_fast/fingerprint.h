/* A fingerprint of bytes under secret keys: two texts share one by a chance below 2^-90, whoever chose them.
   Blocks of 1 KiB are folded by NH, twice by keys two words apart, and what they come to by two polynomials over
   2^61 - 1. Owns no state, allocates nothing.
   Source: J. Black et al., "UMAC: Fast and Secure Message Authentication", CRYPTO 1999, sections 4 and 5. */
#ifndef KPGATE_FINGERPRINT_H
#define KPGATE_FINGERPRINT_H

#include <stdint.h>
#include <string.h>

#define KPGATE_BLOCK_WORDS 128
/* For each word of a block, two for the second folding, and a point for each polynomial. */
#define KPGATE_KEY_WORDS (KPGATE_BLOCK_WORDS + 4)
#define KPGATE_PRIME ((1ULL << 61) - 1)

typedef unsigned __int128 kpgate_wide;

static inline uint64_t kpgate_step(uint64_t sum, uint64_t point, uint32_t limb) {
    kpgate_wide product = (kpgate_wide)sum * point + limb;
    uint64_t low = ((uint64_t)product & KPGATE_PRIME) + (uint64_t)(product >> 61);
    return low >= KPGATE_PRIME ? low - KPGATE_PRIME : low;
}

static inline uint64_t kpgate_take(uint64_t sum, uint64_t point, kpgate_wide folded) {
    sum = kpgate_step(sum, point, (uint32_t)folded);
    sum = kpgate_step(sum, point, (uint32_t)(folded >> 32));
    sum = kpgate_step(sum, point, (uint32_t)(folded >> 64));
    return kpgate_step(sum, point, (uint32_t)(folded >> 96));
}

/* Folds `words` words, an even number, at `p`. */
static inline void kpgate_fold(const uint8_t *p, size_t words, const uint64_t *key, kpgate_wide folded[2]) {
    kpgate_wide first = 0, second = 0;
    for (size_t i = 0; i < words; i += 2) {
        uint64_t a, b;
        memcpy(&a, p + 8 * i, 8);
        memcpy(&b, p + 8 * i + 8, 8);
        first += (kpgate_wide)(a + key[i]) * (b + key[i + 1]);
        second += (kpgate_wide)(a + key[i + 2]) * (b + key[i + 3]);
    }
    folded[0] = first;
    folded[1] = second;
}

static inline void kpgate_fingerprint(const uint8_t *p, size_t size, const uint64_t *key, uint64_t out[2]) {
    const uint64_t one = key[KPGATE_BLOCK_WORDS + 2] & KPGATE_PRIME, two = key[KPGATE_BLOCK_WORDS + 3] & KPGATE_PRIME;
    uint64_t sums[2] = {0, 0};
    kpgate_wide folded[2];
    uint8_t last[8 * KPGATE_BLOCK_WORDS];
    size_t left = size;
    for (; left >= sizeof(last); left -= sizeof(last), p += sizeof(last)) {
        kpgate_fold(p, KPGATE_BLOCK_WORDS, key, folded);
        sums[0] = kpgate_take(sums[0], one, folded[0]);
        sums[1] = kpgate_take(sums[1], two, folded[1]);
    }
    if (left) {
        size_t words = (left + 15) / 16 * 2;
        memcpy(last, p, left);
        memset(last + left, 0, 8 * words - left);
        kpgate_fold(last, words, key, folded);
        sums[0] = kpgate_take(sums[0], one, folded[0]);
        sums[1] = kpgate_take(sums[1], two, folded[1]);
    }
    /* What was filled up with zeros is told from what ended with them. */
    sums[0] = kpgate_step(kpgate_step(sums[0], one, (uint32_t)size), one, (uint32_t)((uint64_t)size >> 32));
    sums[1] = kpgate_step(kpgate_step(sums[1], two, (uint32_t)size), two, (uint32_t)((uint64_t)size >> 32));
    out[0] = sums[0];
    out[1] = sums[1];
}

#endif
