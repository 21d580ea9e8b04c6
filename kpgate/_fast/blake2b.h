/* BLAKE2b under a key, of texts that fit into a block: what the salts of leaves are made by. The key's own block is
   taken in once. Takes as long for one text and key as for another. Owns no state, allocates nothing.
   Source: RFC 7693, sections 2 and 3; BLAKE2, "BLAKE2: simpler, smaller, fast as MD5", section 2.5, for the parameters
   beyond those (checked November 2026). */
#ifndef KPGATE_BLAKE2B_H
#define KPGATE_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KPGATE_BLAKE_BLOCK 128
#define KPGATE_BLAKE_KEY_MAX 64
#define KPGATE_BLAKE_PURPOSE 16

static const uint64_t kpgate_blake_iv[8] = {
    0x6a09e667f3bcc908ULL, 0xbb67ae8584caa73bULL, 0x3c6ef372fe94f82bULL, 0xa54ff53a5f1d36f1ULL,
    0x510e527fade682d1ULL, 0x9b05688c2b3e6c1fULL, 0x1f83d9abfb41bd6bULL, 0x5be0cd19137e2179ULL,
};

static const uint8_t kpgate_blake_order[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static inline uint64_t kpgate_blake_turn(uint64_t word, int by) { return word >> by | word << (64 - by); }

static inline void kpgate_blake_mix(uint64_t *a, uint64_t *b, uint64_t *c, uint64_t *d, uint64_t x, uint64_t y) {
    *a += *b + x;
    *d = kpgate_blake_turn(*d ^ *a, 32);
    *c += *d;
    *b = kpgate_blake_turn(*b ^ *c, 24);
    *a += *b + y;
    *d = kpgate_blake_turn(*d ^ *a, 16);
    *c += *d;
    *b = kpgate_blake_turn(*b ^ *c, 63);
}

/* Takes a block in. `reached` is how many bytes that makes. */
static void kpgate_blake_take(uint64_t state[8], const uint8_t block[KPGATE_BLAKE_BLOCK], uint64_t reached, int last) {
    uint64_t m[16], v[16];
    for (int i = 0; i < 16; i++) {
        m[i] = 0;
        for (int j = 7; j >= 0; j--) m[i] = m[i] << 8 | block[8 * i + j];
    }
    memcpy(v, state, 64);
    memcpy(v + 8, kpgate_blake_iv, 64);
    v[12] ^= reached;
    if (last) v[14] = ~v[14];
    #pragma GCC unroll 12
    for (int round = 0; round < 12; round++) {
        const uint8_t *s = kpgate_blake_order[round % 10];
        for (int i = 0; i < 4; i++) kpgate_blake_mix(v + i, v + 4 + i, v + 8 + i, v + 12 + i, m[s[2 * i]], m[s[2 * i + 1]]);
        for (int i = 0; i < 4; i++)
            kpgate_blake_mix(
                v + i, v + 4 + (i + 1) % 4, v + 8 + (i + 2) % 4, v + 12 + (i + 3) % 4, m[s[8 + 2 * i]], m[s[9 + 2 * i]]
            );
    }
    for (int i = 0; i < 8; i++) state[i] ^= v[i] ^ v[i + 8];
}

/* Begins under a key and for a purpose. Sizes: at most KPGATE_BLAKE_KEY_MAX, not 0, and KPGATE_BLAKE_PURPOSE; a hash's,
   at most 64. */
static void kpgate_blake_begin(
    uint64_t state[8], const uint8_t *key, size_t key_size, const uint8_t *purpose, size_t purpose_size, size_t hash_size
) {
    uint8_t block[KPGATE_BLAKE_BLOCK] = {0}, padded[KPGATE_BLAKE_PURPOSE] = {0};
    memcpy(padded, purpose, purpose_size);
    memcpy(state, kpgate_blake_iv, 64);
    state[0] ^= 0x01010000 ^ (uint64_t)key_size << 8 ^ (uint64_t)hash_size;
    for (int i = 0; i < 16; i++) state[6 + i / 8] ^= (uint64_t)padded[i] << 8 * (i % 8);
    memcpy(block, key, key_size);
    kpgate_blake_take(state, block, sizeof(block), 0);
}

/* The hash of a text of 1 to KPGATE_BLAKE_BLOCK bytes, on top of what was begun. */
static void kpgate_blake_end(const uint64_t begun[8], const uint8_t *text, size_t size, uint8_t *out, size_t hash_size) {
    uint8_t block[KPGATE_BLAKE_BLOCK] = {0};
    uint64_t state[8];
    memcpy(state, begun, sizeof(state));
    memcpy(block, text, size);
    kpgate_blake_take(state, block, KPGATE_BLAKE_BLOCK + size, 1);
    for (size_t i = 0; i < hash_size; i++) out[i] = (uint8_t)(state[i / 8] >> 8 * (i % 8));
}

#endif
