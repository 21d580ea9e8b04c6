/* How many tokens pieces came to that were merged lately: names in code, words of most languages, ruled lines.
   Owns tables for each thread, found by all of a piece's bytes and its vocabulary's number. */
#ifndef KPGATE_MERGED_H
#define KPGATE_MERGED_H

#include <stdint.h>
#include <string.h>
#include "entries.h"

#define KPGATE_MERGED_BITS 10
#define KPGATE_MERGED_LONG_BITS 9

typedef struct {
    uint64_t first, last;
    /* 0 where nothing is kept. */
    uint32_t vocabulary;
    uint16_t size, tokens;
} kpgate_merged;

/* Of the pieces of 17 to 32 bytes: what lies between, too. */
typedef struct {
    kpgate_merged ends;
    uint64_t second, third;
} kpgate_merged_long;

static __thread kpgate_merged kpgate_merged_lately[1 << KPGATE_MERGED_BITS];
static __thread kpgate_merged_long kpgate_merged_long_lately[1 << KPGATE_MERGED_LONG_BITS];

static inline uint64_t kpgate_merged_hash(uint64_t first, uint64_t last) {
    return (first ^ (last * 31)) * 0x9E3779B97F4A7C15ULL;
}

/* The place of a piece of 1 to 16 bytes as they were loaded: `tokens` is 0 if it is not known, to be set. */
static inline kpgate_merged *kpgate_find_merged(uint64_t first, uint64_t last, uint32_t size, uint32_t vocabulary) {
    kpgate_merged *place = &kpgate_merged_lately[kpgate_merged_hash(first, last + size) >> (64 - KPGATE_MERGED_BITS)];
    if (place->first != first || place->last != last || place->size != size || place->vocabulary != vocabulary) {
        place->first = first;
        place->last = last;
        place->vocabulary = vocabulary;
        place->size = (uint16_t)size;
        place->tokens = 0;
    }
    return place;
}

/* The same of 17 to 65,535 bytes, of which all are alike between the first seven and the last seven. */
static inline kpgate_merged *kpgate_find_merged_line(const uint8_t *p, uint32_t size, uint32_t vocabulary) {
    uint64_t first, last;
    memcpy(&first, p, 8);
    memcpy(&last, p + size - 8, 8);
    return kpgate_find_merged(first, last, size, vocabulary);
}

/* The same of 17 to 32 bytes. */
static inline kpgate_merged *kpgate_find_merged_long(const uint8_t *p, uint32_t size, uint32_t vocabulary) {
    kpgate_merged_long *place;
    uint64_t words[4];
    memcpy(words, p, 16);
    memcpy(words + 2, p + size - 16, 16);
    place = &kpgate_merged_long_lately[
        kpgate_merged_hash(words[0] ^ kpgate_merged_hash(words[1], words[2]), words[3]) >> (64 - KPGATE_MERGED_LONG_BITS)
    ];
    if (place->ends.first != words[0] || place->second != words[1] || place->third != words[2]
        || place->ends.last != words[3] || place->ends.size != size || place->ends.vocabulary != vocabulary) {
        place->ends = (kpgate_merged){words[0], words[3], vocabulary, (uint16_t)size, 0};
        place->second = words[1];
        place->third = words[2];
    }
    return &place->ends;
}

#endif
