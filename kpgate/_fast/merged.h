/* How many tokens short pieces came to that were merged lately: names in code, and all that is said again and again.
   Owns a table for each thread, found by all of a piece's bytes and its vocabulary's number. */
#ifndef KPGATE_MERGED_H
#define KPGATE_MERGED_H

#include <stdint.h>
#include <string.h>
#include "load.h"

#define KPGATE_MERGED 1024

typedef struct {
    uint64_t first, last;
    /* 0 where nothing is kept. */
    uint32_t vocabulary;
    uint16_t size, tokens;
} kpgate_merged;

static __thread kpgate_merged kpgate_merged_lately[KPGATE_MERGED];

/* The place of a piece of 1 to 15 bytes, of which 16 may be read: `tokens` is 0 if it is not known, to be set. */
static inline kpgate_merged *kpgate_find_merged(const uint8_t *p, uint32_t size, uint32_t vocabulary) {
    kpgate_merged *place;
    uint64_t first, last, hash;
    kpgate_load_piece(p, size, &first, &last);
    hash = (first ^ (last * 31)) * 0x9E3779B97F4A7C15ULL;
    place = &kpgate_merged_lately[hash >> 54];
    if (place->first != first || place->last != last || place->size != size || place->vocabulary != vocabulary) {
        place->first = first;
        place->last = last;
        place->vocabulary = vocabulary;
        place->size = (uint16_t)size;
        place->tokens = 0;
    }
    return place;
}

#endif
