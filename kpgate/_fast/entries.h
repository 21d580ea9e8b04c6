/* The slots of a vocabulary's tokens, and those of at most sixteen bytes found without a branch for how many they are.
   Owns no state; whoever asks lets sixteen bytes be read. */
#ifndef KPGATE_ENTRIES_H
#define KPGATE_ENTRIES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && !defined(KPGATE_PORTABLE)
#include <emmintrin.h>
#define KPGATE_ENTRIES_SSE2 1
#endif

typedef struct {
    /* The token's bytes where they are at most 8, else where they stand in the blob. */
    uint64_t data;
    /* One more than the rank; 0 is an empty slot. */
    uint32_t rank;
    /* The length in the low byte, bits of the hash above. */
    uint32_t meta;
} kpgate_entry;

typedef struct {
    const kpgate_entry *slots;
    uint64_t mask;
    /* What leaves a hash as many bits as the mask has. */
    uint32_t shift;
    /* Eight bytes behind it may be read. */
    const uint8_t *blob;
} kpgate_entries;

static const uint8_t kpgate_kept[32] = {
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
};

/* `size` bytes at `p`, at most sixteen, with zeros behind them. */
static inline void kpgate_load_piece(const uint8_t *p, size_t size, uint64_t *first, uint64_t *last) {
#ifdef KPGATE_ENTRIES_SSE2
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

/* A hash of up to sixteen bytes, of which the high bits are the better ones. */
static inline uint64_t kpgate_hash(uint64_t first, uint64_t last) {
    return first * 0x9E3779B97F4A7C15ULL + last * 0xD6E8FEB86659FD93ULL;
}

static inline uint32_t kpgate_meta(uint64_t hash, size_t size) {
    return ((uint32_t)hash & ~0xFFu) | (uint32_t)size;
}

/* The token of a piece that was loaded; NULL for none. */
static inline const kpgate_entry *kpgate_find_token(
    const kpgate_entries *entries, uint64_t first, uint64_t last, size_t size
) {
    const uint64_t hash = kpgate_hash(first, last);
    const uint32_t meta = kpgate_meta(hash, size);
    uint64_t slot = hash >> entries->shift;
    for (;; slot = (slot + 1) & entries->mask) {
        const kpgate_entry *entry = entries->slots + slot;
        if (entry->meta == meta) {
            uint64_t begin, end;
            if (size <= 8) {
                if (entry->data == first)
                    return entry;
                continue;
            }
            kpgate_load_piece(entries->blob + entry->data, size, &begin, &end);
            if (begin == first && end == last)
                return entry;
        }
        else if (entry->rank == 0)
            return NULL;
    }
}

#endif
