/* BLAKE2b under a key, of messages that are at hand as a whole. What the key alone comes to is kept: a message of up to
   128 bytes then takes one compression. Allocates nothing; its running time depends on the message's length alone.
   Source: RFC 7693, sections 2 and 3 (checked November 2026). */
#ifndef KPGATE_BLAKE2B_H
#define KPGATE_BLAKE2B_H

#include <stdint.h>
#include <string.h>

#define KPGATE_BLAKE2B_BLOCK 128

static const uint64_t kpgate_blake2b_start[8] = {
    0x6A09E667F3BCC908ULL, 0xBB67AE8584CAA73BULL, 0x3C6EF372FE94F82BULL, 0xA54FF53A5F1D36F1ULL,
    0x510E527FADE682D1ULL, 0x9B05688C2B3E6C1FULL, 0x1F83D9ABFB41BD6BULL, 0x5BE0CD19137E2179ULL,
};

static const uint8_t kpgate_blake2b_order[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

static inline uint64_t kpgate_turn(uint64_t word, int bits) { return word >> bits | word << (64 - bits); }

static inline uint64_t kpgate_little(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

#define KPGATE_MIX(a, b, c, d, x, y) \
    a += b + (x); d = kpgate_turn(d ^ a, 32); c += d; b = kpgate_turn(b ^ c, 24); \
    a += b + (y); d = kpgate_turn(d ^ a, 16); c += d; b = kpgate_turn(b ^ c, 63)

/* The order's places are known when this is compiled: written out, a round looks nothing up. */
#define KPGATE_WORD(r, i) m[kpgate_blake2b_order[r][i]]
#define KPGATE_ROUND(r) \
    KPGATE_MIX(v0, v4, v8, v12, KPGATE_WORD(r, 0), KPGATE_WORD(r, 1)); \
    KPGATE_MIX(v1, v5, v9, v13, KPGATE_WORD(r, 2), KPGATE_WORD(r, 3)); \
    KPGATE_MIX(v2, v6, v10, v14, KPGATE_WORD(r, 4), KPGATE_WORD(r, 5)); \
    KPGATE_MIX(v3, v7, v11, v15, KPGATE_WORD(r, 6), KPGATE_WORD(r, 7)); \
    KPGATE_MIX(v0, v5, v10, v15, KPGATE_WORD(r, 8), KPGATE_WORD(r, 9)); \
    KPGATE_MIX(v1, v6, v11, v12, KPGATE_WORD(r, 10), KPGATE_WORD(r, 11)); \
    KPGATE_MIX(v2, v7, v8, v13, KPGATE_WORD(r, 12), KPGATE_WORD(r, 13)); \
    KPGATE_MIX(v3, v4, v9, v14, KPGATE_WORD(r, 14), KPGATE_WORD(r, 15))

/* Take in a block, `total` bytes with it, which is the last one or not. */
static void kpgate_blake2b_block(uint64_t *h, const uint8_t *block, uint64_t total, int last) {
    const uint64_t *iv = kpgate_blake2b_start;
    uint64_t v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3], v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7];
    uint64_t v8 = iv[0], v9 = iv[1], v10 = iv[2], v11 = iv[3], v12 = iv[4] ^ total, v13 = iv[5];
    uint64_t v14 = last ? ~iv[6] : iv[6], v15 = iv[7], m[16];
    for (int i = 0; i < 16; i++)
        m[i] = kpgate_little(block + 8 * i);
    KPGATE_ROUND(0); KPGATE_ROUND(1); KPGATE_ROUND(2); KPGATE_ROUND(3); KPGATE_ROUND(4); KPGATE_ROUND(5);
    KPGATE_ROUND(6); KPGATE_ROUND(7); KPGATE_ROUND(8); KPGATE_ROUND(9); KPGATE_ROUND(10); KPGATE_ROUND(11);
    h[0] ^= v0 ^ v8; h[1] ^= v1 ^ v9; h[2] ^= v2 ^ v10; h[3] ^= v3 ^ v11;
    h[4] ^= v4 ^ v12; h[5] ^= v5 ^ v13; h[6] ^= v6 ^ v14; h[7] ^= v7 ^ v15;
}

/* Begin with a key of 1 to 64 bytes, for hashes of 1 to 64: `keyed` is what that comes to. */
static void kpgate_blake2b_key(uint64_t *keyed, const uint8_t *key, size_t key_size, size_t hash_size) {
    uint8_t block[KPGATE_BLAKE2B_BLOCK] = {0};
    memcpy(block, key, key_size);
    memcpy(keyed, kpgate_blake2b_start, sizeof(kpgate_blake2b_start));
    keyed[0] ^= 0x01010000ULL ^ (uint64_t)key_size << 8 ^ (uint64_t)hash_size;
    kpgate_blake2b_block(keyed, block, KPGATE_BLAKE2B_BLOCK, 0);
}

/* The hash of a message of at least one byte, eight words of which the first are wanted. */
static void kpgate_blake2b_hash(const uint64_t *keyed, const uint8_t *p, size_t size, uint64_t *h) {
    uint64_t total = KPGATE_BLAKE2B_BLOCK;
    uint8_t block[KPGATE_BLAKE2B_BLOCK] = {0};
    memcpy(h, keyed, 8 * sizeof(*h));
    for (; size > KPGATE_BLAKE2B_BLOCK; size -= KPGATE_BLAKE2B_BLOCK, p += KPGATE_BLAKE2B_BLOCK)
        kpgate_blake2b_block(h, p, total += KPGATE_BLAKE2B_BLOCK, 0);
    memcpy(block, p, size);
    kpgate_blake2b_block(h, block, total + size, 1);
    for (int i = 0; i < 8; i++)
        h[i] = kpgate_little((const uint8_t *)&h[i]);
}

#endif
