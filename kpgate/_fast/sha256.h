/* SHA-256 of short texts that lie in one place: what a leaf of the log and a node of its tree are hashed by, tens of
   thousands of times a second. By the processor's own instructions where it has them. Owns no state, allocates nothing,
   keeps no secret: nothing here hides how long it takes.
   Source: FIPS 180-4, sections 4.1.2, 5.1.1 and 6.2; Intel, "Intel SHA Extensions", 2013 (checked November 2026). */
#ifndef KPGATE_SHA256_H
#define KPGATE_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && !defined(KPGATE_PORTABLE)
#include <cpuid.h>
#include <immintrin.h>
#define KPGATE_SHA_NI 1
#endif

static const uint32_t kpgate_sha_k[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t kpgate_sha_turn(uint32_t word, int by) { return word >> by | word << (32 - by); }

/* Words change their names instead of their places; turns within turns take fewer copies. */
#define KPGATE_SHA_ROUND(a, b, c, d, e, f, g, h, i) \
    one = kpgate_sha_turn(kpgate_sha_turn(kpgate_sha_turn(e, 14) ^ e, 5) ^ e, 6); \
    two = kpgate_sha_turn(kpgate_sha_turn(kpgate_sha_turn(a, 9) ^ a, 11) ^ a, 2); \
    h += one + (g ^ (e & (f ^ g))) + kpgate_sha_k[i] + w[i]; \
    d += h; \
    h += two + ((a & b) | (c & (a | b)));

static void kpgate_sha_blocks_plain(uint32_t state[8], const uint8_t *p, size_t blocks) {
    for (; blocks; blocks--, p += 64) {
        uint32_t w[64], one, two;
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
        for (int i = 16; i < 64; i++) {
            one = kpgate_sha_turn(w[i - 15], 7) ^ kpgate_sha_turn(w[i - 15], 18) ^ w[i - 15] >> 3;
            two = kpgate_sha_turn(w[i - 2], 17) ^ kpgate_sha_turn(w[i - 2], 19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16] + one + w[i - 7] + two;
        }
        for (int i = 0; i < 64; i += 8) {
            KPGATE_SHA_ROUND(a, b, c, d, e, f, g, h, i)
            KPGATE_SHA_ROUND(h, a, b, c, d, e, f, g, i + 1)
            KPGATE_SHA_ROUND(g, h, a, b, c, d, e, f, i + 2)
            KPGATE_SHA_ROUND(f, g, h, a, b, c, d, e, i + 3)
            KPGATE_SHA_ROUND(e, f, g, h, a, b, c, d, i + 4)
            KPGATE_SHA_ROUND(d, e, f, g, h, a, b, c, i + 5)
            KPGATE_SHA_ROUND(c, d, e, f, g, h, a, b, i + 6)
            KPGATE_SHA_ROUND(b, c, d, e, f, g, h, a, i + 7)
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#ifdef KPGATE_SHA_NI
/* Four rounds, and the words of those that come sixteen later. */
#define KPGATE_SHA_FOUR(w0, w1, w2, w3, i) \
    sum = _mm_add_epi32(w0, _mm_load_si128((const __m128i *)(kpgate_sha_k + i))); \
    cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum); \
    abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E)); \
    w0 = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4)); \
    w0 = _mm_sha256msg2_epu32(w0, w3);

__attribute__((target("sha,sse4.1")))
static inline __m128i kpgate_sha_load(const uint8_t *p) {
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)p), order);
}

__attribute__((target("sha,sse4.1")))
static void kpgate_sha_blocks_quick(uint32_t state[8], const uint8_t *p, size_t blocks) {
    __m128i dcba = _mm_loadu_si128((const __m128i *)state), hgfe = _mm_loadu_si128((const __m128i *)(state + 4));
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1), efgh = _mm_shuffle_epi32(hgfe, 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
    for (; blocks; blocks--, p += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i sum, w0 = kpgate_sha_load(p), w1 = kpgate_sha_load(p + 16);
        __m128i w2 = kpgate_sha_load(p + 32), w3 = kpgate_sha_load(p + 48);
        for (int i = 0; i < 64; i += 16) {
            KPGATE_SHA_FOUR(w0, w1, w2, w3, i)
            KPGATE_SHA_FOUR(w1, w2, w3, w0, i + 4)
            KPGATE_SHA_FOUR(w2, w3, w0, w1, i + 8)
            KPGATE_SHA_FOUR(w3, w0, w1, w2, i + 12)
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* What the compilers' own test for it is called differs: so it is asked of the processor. */
static int kpgate_sha_is_quick(void) {
    static int known = -1;
    if (known < 0) {
        unsigned a, b = 0, c, d;
        known = __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
    }
    return known;
}
#endif

static inline void kpgate_sha_blocks(uint32_t state[8], const uint8_t *p, size_t blocks) {
#ifdef KPGATE_SHA_NI
    if (kpgate_sha_is_quick()) {
        kpgate_sha_blocks_quick(state, p, blocks);
        return;
    }
#endif
    kpgate_sha_blocks_plain(state, p, blocks);
}

static void kpgate_sha256(const uint8_t *p, size_t size, uint8_t out[32]) {
    uint32_t state[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    const size_t whole = size / 64, rest = size % 64, ends = rest < 56 ? 64 : 128;
    uint8_t last[128];
    kpgate_sha_blocks(state, p, whole);
    memcpy(last, p + 64 * whole, rest);
    last[rest] = 0x80;
    memset(last + rest + 1, 0, ends - rest - 1);
    for (int i = 0; i < 8; i++) last[ends - 1 - i] = (uint8_t)((uint64_t)size << 3 >> 8 * i);
    kpgate_sha_blocks(state, last, ends / 64);
    for (int i = 0; i < 32; i++) out[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i & 3)));
}

#endif
