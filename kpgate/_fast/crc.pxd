"""CRC-32C (Castagnoli), inline. Source: RFC 3720, appendix B.4; polynomial 0x1EDC6F41, reflected."""

from libc.stdint cimport uint32_t

cdef extern from *:
    """
    #ifndef KPGATE_CRC
    #define KPGATE_CRC
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    static uint32_t kp_crc_table[8][256];
    static void kp_crc_prepare(void) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t crc = i;
            for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1)));
            kp_crc_table[0][i] = crc;
        }
        for (int row = 1; row < 8; row++)
            for (uint32_t i = 0; i < 256; i++) {
                uint32_t before = kp_crc_table[row - 1][i];
                kp_crc_table[row][i] = (before >> 8) ^ kp_crc_table[0][before & 0xFF];
            }
    }
    #if defined(__x86_64__)
    #include <immintrin.h>
    __attribute__((target("sse4.2")))
    static uint32_t kp_crc_fast(uint32_t crc, const uint8_t *at, size_t size) {
        uint64_t wide = crc;
        for (; size >= 8; at += 8, size -= 8) {
            uint64_t word;
            memcpy(&word, at, 8);
            wide = _mm_crc32_u64(wide, word);
        }
        crc = (uint32_t)wide;
        for (; size; at++, size--) crc = _mm_crc32_u8(crc, *at);
        return crc;
    }
    #endif
    static uint32_t kp_crc32c(const void *start, size_t size) {
        const uint8_t *at = (const uint8_t *)start;
        uint32_t crc = 0xFFFFFFFFu;
    #if defined(__x86_64__)
        if (__builtin_cpu_supports("sse4.2")) return ~kp_crc_fast(crc, at, size);
    #endif
        for (; size >= 8; at += 8, size -= 8) {
            crc = kp_crc_table[7][(crc ^ at[0]) & 0xFF] ^ kp_crc_table[6][((crc >> 8) ^ at[1]) & 0xFF]
                ^ kp_crc_table[5][((crc >> 16) ^ at[2]) & 0xFF] ^ kp_crc_table[4][((crc >> 24) ^ at[3]) & 0xFF]
                ^ kp_crc_table[3][at[4]] ^ kp_crc_table[2][at[5]] ^ kp_crc_table[1][at[6]] ^ kp_crc_table[0][at[7]];
        }
        for (; size; at++, size--) crc = (crc >> 8) ^ kp_crc_table[0][(crc ^ *at) & 0xFF];
        return ~crc;
    }
    #endif
    """
    void prepare_crc "kp_crc_prepare"() noexcept nogil
    uint32_t crc32c "kp_crc32c"(const void *start, size_t size) noexcept nogil
