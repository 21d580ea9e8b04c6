/* The least of some numbers, four at a time with SSE2. Owns no state. */
#ifndef KPGATE_LEAST_H
#define KPGATE_LEAST_H

#include <stdint.h>

#if defined(__SSE2__) && !defined(KPGATE_PORTABLE)
#include <emmintrin.h>
#define KPGATE_LEAST_SSE2 1
static inline __m128i kpgate_lesser(__m128i a, __m128i b) {
    const __m128i more = _mm_cmpgt_epi32(a, b);
    return _mm_or_si128(_mm_and_si128(more, b), _mm_andnot_si128(more, a));
}
#endif

/* Of `count` numbers, one at least; up to three behind them are read and must be no less than all of them. */
static inline int32_t kpgate_least(const int32_t *keys, uint32_t count) {
#ifdef KPGATE_LEAST_SSE2
    __m128i least = _mm_loadu_si128((const __m128i *)keys);
    for (uint32_t i = 4; i < count; i += 4)
        least = kpgate_lesser(least, _mm_loadu_si128((const __m128i *)(keys + i)));
    least = kpgate_lesser(least, _mm_shuffle_epi32(least, 0x4E));
    least = kpgate_lesser(least, _mm_shuffle_epi32(least, 0xB1));
    return _mm_cvtsi128_si32(least);
#else
    int32_t least = keys[0];
    for (uint32_t i = 1; i < count; i++)
        least = keys[i] < least ? keys[i] : least;
    return least;
#endif
}

#endif
