/* Jumps over bytes that mean nothing to a scanner: sixteen at a time with SSE2, eight without; over long text by 128,
   where the processor has AVX2. Owns no state, allocates nothing, never reads at or past `end`. */
#ifndef KPGATE_JUMP_H
#define KPGATE_JUMP_H

#include <stdint.h>
#include <string.h>
#include <Python.h>

#if defined(__SSE2__) && !defined(KPGATE_PORTABLE)
#include <immintrin.h>
#define KPGATE_SSE2 1
#endif

/* Most jumps are over a few words: what comes behind so many bytes is long. */
#define KPGATE_NEAR 64

#define KPGATE_ONES 0x0101010101010101ULL
#define KPGATE_HIGH 0x8080808080808080ULL

/* The high bit of every byte of `word` that equals `byte` is set; higher neighbours of a hit may be set too. */
static inline uint64_t kpgate_equal(uint64_t word, uint8_t byte) {
    uint64_t x = word ^ (KPGATE_ONES * byte);
    return (x - KPGATE_ONES) & ~x & KPGATE_HIGH;
}

static inline Py_ssize_t kpgate_near_text(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) {
#ifdef KPGATE_SSE2
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i slash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(0x20);
    while (end - at >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(p + at));
        /* Signed: below 0x20 are the controls and everything from 0x80 on. */
        __m128i hit = _mm_or_si128(_mm_cmplt_epi8(x, space),
                                   _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)));
        int mask = _mm_movemask_epi8(hit);
        if (mask)
            return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#endif
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, p + at, 8);
        if (((word - KPGATE_ONES * 0x20) | word) & KPGATE_HIGH)
            break;
        if (kpgate_equal(word, '"') | kpgate_equal(word, '\\'))
            break;
        at += 8;
    }
    while (at < end && p[at] >= 0x20 && p[at] < 0x80 && p[at] != '"' && p[at] != '\\')
        at++;
    return at;
}

#ifdef KPGATE_SSE2
typedef int8_t kpgate_lanes __attribute__((vector_size(32), aligned(1), may_alias));

/* Signed: below 0x20 are the controls and everything from 0x80 on. */
#define KPGATE_ENDS_TEXT(x) (((x) < 0x20) | ((x) == '"') | ((x) == '\\'))
#define KPGATE_MASK(hits) ((unsigned)_mm256_movemask_epi8((__m256i)(hits)))

__attribute__((target("avx2"), noinline, unused))
static Py_ssize_t kpgate_wide_text(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) {
    const kpgate_lanes *x;
    for (; end - at >= 128; at += 128) {
        x = (const kpgate_lanes *)(p + at);
        if (KPGATE_MASK(KPGATE_ENDS_TEXT(x[0]) | KPGATE_ENDS_TEXT(x[1]) | KPGATE_ENDS_TEXT(x[2]) | KPGATE_ENDS_TEXT(x[3])))
            break;
    }
    for (; end - at >= 32; at += 32) {
        x = (const kpgate_lanes *)(p + at);
        unsigned mask = KPGATE_MASK(KPGATE_ENDS_TEXT(x[0]));
        if (mask)
            return at + __builtin_ctz(mask);
    }
    return kpgate_near_text(p, at, end);
}
#endif

/* First byte that ends plain ASCII string text: a quote, a backslash, a control, or a byte from 0x80 on. */
static inline Py_ssize_t kpgate_jump_text(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) {
#ifdef KPGATE_SSE2
    if (end - at > KPGATE_NEAR && __builtin_cpu_supports("avx2")) {
        const Py_ssize_t stop = at + KPGATE_NEAR;
        at = kpgate_near_text(p, at, stop);
        return at < stop ? at : kpgate_wide_text(p, at, end);
    }
#endif
    return kpgate_near_text(p, at, end);
}

/* First control: a byte below 0x20, a tab too, or 0x7F. It is what ends a header's value. */
static inline Py_ssize_t kpgate_jump_value(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) {
#ifdef KPGATE_SSE2
    const __m128i lowest = _mm_set1_epi8((char)0x80);
    const __m128i space = _mm_set1_epi8((char)(0x80 + 0x20));
    const __m128i erased = _mm_set1_epi8(0x7F);
    while (end - at >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(p + at));
        /* Moved so that bytes from 0x80 on are no longer the least. */
        __m128i hit = _mm_or_si128(_mm_cmplt_epi8(_mm_add_epi8(x, lowest), space), _mm_cmpeq_epi8(x, erased));
        int mask = _mm_movemask_epi8(hit);
        if (mask)
            return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#endif
    while (at < end && p[at] >= 0x20 && p[at] != 0x7F)
        at++;
    return at;
}

/* First of two bytes. */
static inline Py_ssize_t kpgate_jump_either(
    const uint8_t *p, Py_ssize_t at, Py_ssize_t end, uint8_t one, uint8_t other
) {
#ifdef KPGATE_SSE2
    const __m128i ones = _mm_set1_epi8((char)one);
    const __m128i others = _mm_set1_epi8((char)other);
    while (end - at >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(p + at));
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(x, ones), _mm_cmpeq_epi8(x, others)));
        if (mask)
            return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#else
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, p + at, 8);
        if (kpgate_equal(word, one) | kpgate_equal(word, other))
            break;
        at += 8;
    }
#endif
    while (at < end && p[at] != one && p[at] != other)
        at++;
    return at;
}

/* First CR or LF. */
static inline Py_ssize_t kpgate_jump_line(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) {
    return kpgate_jump_either(p, at, end, '\r', '\n');
}

/* The length of the UTF-8 sequence at `p` with `left` bytes readable, 0 if it is not one (RFC 3629 table). */
static inline int kpgate_utf8(const uint8_t *p, Py_ssize_t left) {
    uint8_t a = p[0];
    if (a < 0x80)
        return 1;
    if (a >= 0xE1 && a <= 0xEF && left >= 3) {
        if ((p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
            return 0;
        return (a == 0xED && p[1] >= 0xA0) ? 0 : 3;
    }
    if (a >= 0xC2 && a <= 0xDF && left >= 2)
        return (p[1] & 0xC0) == 0x80 ? 2 : 0;
    if (a == 0xE0 && left >= 3)
        return (p[1] >= 0xA0 && p[1] <= 0xBF && (p[2] & 0xC0) == 0x80) ? 3 : 0;
    if (a >= 0xF0 && a <= 0xF4 && left >= 4) {
        if ((p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80)
            return 0;
        if (a == 0xF0 && p[1] < 0x90)
            return 0;
        return (a == 0xF4 && p[1] >= 0x90) ? 0 : 4;
    }
    return 0;
}

/* Past letters, digits, hyphens and underscores, as far as sixteen at a time show it: others may follow. */
static inline Py_ssize_t kpgate_jump_name(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) {
#ifdef KPGATE_SSE2
    while (end - at >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(p + at));
        /* Signed: what begins at 0x80 is below all of them. */
        __m128i small = _mm_or_si128(x, _mm_set1_epi8(0x20));
        __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(small, _mm_set1_epi8('a' - 1)),
                                       _mm_cmplt_epi8(small, _mm_set1_epi8('z' + 1)));
        __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(x, _mm_set1_epi8('0' - 1)),
                                      _mm_cmplt_epi8(x, _mm_set1_epi8('9' + 1)));
        __m128i mark = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('-')), _mm_cmpeq_epi8(x, _mm_set1_epi8('_')));
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), mark));
        if (mask != 0xFFFF)
            return at + __builtin_ctz(~(unsigned)mask);
        at += 16;
    }
#endif
    return at;
}

#endif
