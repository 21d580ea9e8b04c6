/* Up to sixteen bytes as two numbers, without a branch for how many they are. Owns no state. */
#ifndef KPGATE_LOAD_H
#define KPGATE_LOAD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && !defined(KPGATE_PORTABLE)
#include <emmintrin.h>
#define KPGATE_LOAD_SSE2 1
#endif

static const uint8_t kpgate_kept[32] = {
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
};

/* `size` bytes at `p`, at most sixteen, with zeros behind them; sixteen are read. */
static inline void kpgate_load_piece(const uint8_t *p, size_t size, uint64_t *first, uint64_t *last) {
#ifdef KPGATE_LOAD_SSE2
    const __m128i kept = _mm_loadu_si128((const __m128i *)(kpgate_kept + 16 - size));
    const __m128i x = _mm_and_si128(_mm_loadu_si128((const __m128i *)p), kept);
    *first = (uint64_t)_mm_cvtsi128_si64(x);
    *last = (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(x, x));
#else
    uint64_t kept;
    memcpy(first, p, 8);
    memcpy(&kept, kpgate_kept + 16 - size, 8);
    *first &= kept;
    memcpy(last, p + 8, 8);
    memcpy(&kept, kpgate_kept + 24 - size, 8);
    *last &= kept;
#endif
}

#endif
