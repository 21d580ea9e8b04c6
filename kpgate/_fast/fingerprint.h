/* A fingerprint of bytes under secret keys: two texts share one by a chance below 2^-90, whoever chose them.
   Blocks of 1 KiB are folded by NH, twice by keys two words apart, and what they come to by two polynomials over
   2^61 - 1. Where the processor multiplies two pairs of words at once without carries, they are folded so, which tells
   texts apart as well: a fingerprint is for its own process. Owns no state, allocates nothing.
   Source: J. Black et al., "UMAC: Fast and Secure Message Authentication", CRYPTO 1999, sections 4 and 5; D. Lemire and
   O. Kaser, "Faster 64-bit universal hashing using carry-less multiplications", 2016, section 5 (November 2026). */
#ifndef KPGATE_FINGERPRINT_H
#define KPGATE_FINGERPRINT_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && !defined(KPGATE_PORTABLE)
#include <immintrin.h>
#define KPGATE_CARRYLESS 1
#endif

#define KPGATE_BLOCK_WORDS 128
/* For each word of a block, two for the second folding, and a point for each polynomial. */
#define KPGATE_KEY_WORDS (KPGATE_BLOCK_WORDS + 4)
#define KPGATE_PRIME ((1ULL << 61) - 1)

typedef unsigned __int128 kpgate_wide;

static inline uint64_t kpgate_step(uint64_t sum, uint64_t point, uint64_t limb) {
    kpgate_wide product = (kpgate_wide)sum * point + limb;
    uint64_t low = ((uint64_t)product & KPGATE_PRIME) + (uint64_t)(product >> 61);
    return low >= KPGATE_PRIME ? low - KPGATE_PRIME : low;
}

/* What a block comes to, in three limbs. */
static inline uint64_t kpgate_take(uint64_t sum, uint64_t point, kpgate_wide folded) {
    const uint64_t lowest = (1ULL << 43) - 1;
    sum = kpgate_step(sum, point, (uint64_t)folded & lowest);
    sum = kpgate_step(sum, point, (uint64_t)(folded >> 43) & lowest);
    return kpgate_step(sum, point, (uint64_t)(folded >> 86));
}

#ifdef KPGATE_CARRYLESS
__attribute__((target("avx2,vpclmulqdq")))
static void kpgate_fold_carryless(const uint8_t *p, size_t words, const uint64_t *key, kpgate_wide folded[2]) {
    __m256i first = _mm256_setzero_si256(), second = first;
    for (size_t i = 0; i < words; i += 4) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)(p + 8 * i));
        const __m256i a = _mm256_xor_si256(x, _mm256_loadu_si256((const __m256i *)(key + i)));
        const __m256i b = _mm256_xor_si256(x, _mm256_loadu_si256((const __m256i *)(key + i + 2)));
        first = _mm256_xor_si256(first, _mm256_clmulepi64_epi128(a, a, 0x10));
        second = _mm256_xor_si256(second, _mm256_clmulepi64_epi128(b, b, 0x10));
    }
    kpgate_wide halves[4];
    memcpy(halves, &first, 32);
    memcpy(halves + 2, &second, 32);
    folded[0] = halves[0] ^ halves[1];
    folded[1] = halves[2] ^ halves[3];
}
#endif

/* Folds `words` words, four or a multiple of it, at `p`. */
static inline void kpgate_fold(const uint8_t *p, size_t words, const uint64_t *key, kpgate_wide folded[2]) {
#ifdef KPGATE_CARRYLESS
    if (__builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx2")) {
        kpgate_fold_carryless(p, words, key, folded);
        return;
    }
#endif
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
        size_t words = (left + 31) / 32 * 4;
        memcpy(last, p, left);
        memset(last + left, 0, 8 * words - left);
        kpgate_fold(last, words, key, folded);
        sums[0] = kpgate_take(sums[0], one, folded[0]);
        sums[1] = kpgate_take(sums[1], two, folded[1]);
    }
    /* What was filled up with zeros is told from what ended with them. */
    out[0] = kpgate_step(sums[0], one, size);
    out[1] = kpgate_step(sums[1], two, size);
}

#endif
