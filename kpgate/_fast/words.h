/* Finds plain pieces: words, marks, numbers and white space of ASCII that end within sixteen bytes, without a branch
   for each character. Owns no state; says 0 for whatever could be anything else, never reads at or past `end`.
   Source: the patterns of tiktoken 0.14, tiktoken_ext/openai_public.py, as `pieces.pxd` has them for all of Unicode. */
#ifndef KPGATE_WORDS_H
#define KPGATE_WORDS_H

#include <stdint.h>
#include <string.h>
#include "entries.h"

#if defined(__SSE2__) && !defined(KPGATE_PORTABLE)
#include <emmintrin.h>
#define KPGATE_WORDS_SSE2 1
#endif

#define KPGATE_WINDOW 16

/* A bit for each of sixteen bytes, by what it is. */
typedef struct {
    uint32_t capital, small, digit, space, line, slash, wide;
} kpgate_kinds;

#ifdef KPGATE_WORDS_SSE2
/* Bytes from `first` on, `count` of them: moved so that they are the least of all signed bytes. */
static inline uint32_t kpgate_among(__m128i x, uint8_t first, uint8_t count) {
    const __m128i moved = _mm_add_epi8(x, _mm_set1_epi8((char)(0x80 - first)));
    return (uint32_t)_mm_movemask_epi8(_mm_cmplt_epi8(moved, _mm_set1_epi8((char)(0x80 + count))));
}
#define KPGATE_EQUAL(x, c) ((uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8(c))))
#endif

static inline void kpgate_find_letters(const uint8_t *p, kpgate_kinds *kinds) {
#ifdef KPGATE_WORDS_SSE2
    const __m128i x = _mm_loadu_si128((const __m128i *)p);
    kinds->capital = kpgate_among(x, 'A', 26);
    kinds->small = kpgate_among(x, 'a', 26);
    kinds->wide = (uint32_t)_mm_movemask_epi8(x);
#else
    kinds->capital = kinds->small = kinds->wide = 0;
    for (int i = 0; i < KPGATE_WINDOW; i++) {
        kinds->capital |= (uint32_t)((uint8_t)(p[i] - 'A') < 26) << i;
        kinds->small |= (uint32_t)((uint8_t)(p[i] - 'a') < 26) << i;
        kinds->wide |= (uint32_t)(p[i] >> 7) << i;
    }
#endif
}

static inline void kpgate_find_others(const uint8_t *p, kpgate_kinds *kinds) {
#ifdef KPGATE_WORDS_SSE2
    const __m128i x = _mm_loadu_si128((const __m128i *)p);
    kinds->digit = kpgate_among(x, '0', 10);
    kinds->space = kpgate_among(x, '\t', 5) | KPGATE_EQUAL(x, ' ');
    kinds->line = KPGATE_EQUAL(x, '\n') | KPGATE_EQUAL(x, '\r');
    kinds->slash = KPGATE_EQUAL(x, '/');
#else
    kinds->digit = kinds->space = kinds->line = kinds->slash = 0;
    for (int i = 0; i < KPGATE_WINDOW; i++) {
        kinds->digit |= (uint32_t)((uint8_t)(p[i] - '0') < 10) << i;
        kinds->space |= (uint32_t)((uint8_t)(p[i] - '\t') < 5 || p[i] == ' ') << i;
        kinds->line |= (uint32_t)(p[i] == '\n' || p[i] == '\r') << i;
        kinds->slash |= (uint32_t)(p[i] == '/') << i;
    }
#endif
}

/* Where the run of set bits ends that begins at bit `at`. A mask has sixteen bits. */
static inline uint32_t kpgate_run_end(uint32_t mask, uint32_t at) {
    return at + (uint32_t)__builtin_ctz(~(mask >> at));
}

/* The piece that ends at `size` is plain if that is within the window and nothing wide could go on with it. */
static inline uint32_t kpgate_plain(const kpgate_kinds *kinds, uint32_t size) {
    return size < KPGATE_WINDOW && !(kinds->wide >> size & 1) ? size : 0;
}

/* What begins with no word: white space, a number of at most three digits, or marks with the lines behind them. */
static inline uint32_t kpgate_no_word(const uint8_t *p, kpgate_kinds *kinds, uint32_t ends_marks) {
    const uint32_t letter = kinds->capital | kinds->small;
    uint32_t lead, size, other;
    kpgate_find_others(p, kinds);
    if (kinds->digit & 1) {
        size = kpgate_run_end(kinds->digit, 0);
        return size >= 3 ? 3 : kpgate_plain(kinds, size);
    }
    size = kpgate_run_end(kinds->space, 0);
    if (size > 1 || kinds->line & 1) {
        const uint32_t lines = kinds->line & ((1u << size) - 1);
        if (!kpgate_plain(kinds, size))
            return 0;
        /* Up to the last line's end; else the last space goes with what follows. */
        return lines ? 32 - (uint32_t)__builtin_clz(lines) : size - 1;
    }
    lead = size;
    if (lead && kinds->digit & 2)
        return 1;
    other = ~(letter | kinds->digit | kinds->space | kinds->wide);
    size = kpgate_run_end(other & 0xFFFF, lead);
    if (size == lead || (lead && p[0] != ' ') || (size == 1 && letter & 2) || !kpgate_plain(kinds, size))
        return 0;
    size = kpgate_run_end(kinds->line | (kinds->slash & ends_marks), size);
    return size < KPGATE_WINDOW ? size : 0;
}

/* What may stand behind a word of small letters and is no part of its piece: ASCII but letters and the apostrophe. And
   what is a mark: ASCII that is seen, but letters and digits. */
enum { KPGATE_WORD_ENDS = 1, KPGATE_MARK = 2 };
static const uint8_t kpgate_sorts[256] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 3, 3, 3, 3, 3, 3, 2, 3, 3, 3, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3,
    3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3, 3, 3,
    3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3, 3, 1,
};

/* The commonest piece of all, of either encoding: a space and a word of small letters, but that the first may be a
   capital. 0 for any other; sixteen bytes may be read. */
static inline uint32_t kpgate_common_word(const uint8_t *p) {
    uint32_t small, size;
    if (p[0] != ' ')
        return 0;
#ifdef KPGATE_WORDS_SSE2
    small = kpgate_among(_mm_or_si128(_mm_loadu_si128((const __m128i *)p), _mm_cvtsi32_si128(0x2000)), 'a', 26);
#else
    small = (uint32_t)((uint8_t)((p[1] | 0x20) - 'a') < 26) << 1;
    for (int i = 2; i < KPGATE_WINDOW; i++)
        small |= (uint32_t)((uint8_t)(p[i] - 'a') < 26) << i;
#endif
    size = kpgate_run_end(small, 1);
    return size - 2 < KPGATE_WINDOW - 2 && kpgate_sorts[p[size]] & KPGATE_WORD_ENDS ? size : 0;
}

/* Counts such words as long as they are tokens, and marks by themselves between them. Returns where the first piece
   begins that is neither. Not inline, so that all it needs stays in registers. */
static __attribute__((noinline)) const uint8_t *kpgate_count_words(
    const kpgate_entries *entries, const uint8_t *p, const uint8_t *end, int64_t *count
) {
    int64_t found = 0;
    for (; end - p >= KPGATE_WINDOW; found++) {
        const uint32_t size = kpgate_common_word(p);
        uint64_t first, last;
        if (size == 0) {
            /* A byte by itself is a token. */
            if (!(kpgate_sorts[p[0]] & KPGATE_MARK) || p[1] != ' ')
                break;
            p++;
            continue;
        }
        kpgate_load_piece(p, size, &first, &last);
        if (kpgate_find_token(entries, first, last, size) == NULL)
            break;
        p += size;
    }
    *count += found;
    return p;
}

/* The bytes of the piece of o200k_base that begins here. A word is capitals, then small letters. */
static inline uint32_t kpgate_piece_o200k(const uint8_t *p, const uint8_t *end) {
    kpgate_kinds kinds;
    uint32_t lead, size;
    if (end - p < KPGATE_WINDOW || p[0] >= 0x80)
        return 0;
    kpgate_find_letters(p, &kinds);
    lead = !((kinds.capital | kinds.small) & 1);
    size = kpgate_run_end(kinds.small, kpgate_run_end(kinds.capital, lead));
    if (size == lead || (lead && (p[0] == '\n' || p[0] == '\r' || (uint8_t)(p[0] - '0') < 10)))
        return size == lead && kinds.wide & 2 ? 0 : kpgate_no_word(p, &kinds, ~0u);
    /* Before an apostrophe: it may be a contraction. */
    return p[size & 15] == '\'' ? 0 : kpgate_plain(&kinds, size);
}

/* The same of cl100k_base: a word's letters are of any case, and a contraction is a piece by itself. */
static inline uint32_t kpgate_piece_cl100k(const uint8_t *p, const uint8_t *end) {
    kpgate_kinds kinds;
    uint32_t lead, size;
    if (end - p < KPGATE_WINDOW || p[0] >= 0x80)
        return 0;
    kpgate_find_letters(p, &kinds);
    lead = !((kinds.capital | kinds.small) & 1);
    size = kpgate_run_end(kinds.capital | kinds.small, lead);
    if (size == lead || (lead && (p[0] == '\n' || p[0] == '\r' || (uint8_t)(p[0] - '0') < 10)))
        return size == lead && kinds.wide & 2 ? 0 : kpgate_no_word(p, &kinds, 0);
    return lead && p[0] == '\'' ? 0 : kpgate_plain(&kinds, size);
}

#endif
