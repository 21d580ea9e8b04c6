"""What other compiled modules may use of the notes of a call."""

from libc.stdint cimport int64_t


cpdef bytes pack_hold(
    str request_id, str model, int64_t price_version, int64_t input_bound, int64_t output_bound, int64_t factor
)
cpdef bytes pack_end(
    str provider, str deployment, int64_t attempts, int64_t status, int64_t price_version, int64_t prompt,
    int64_t output, int64_t cached, int64_t reasoning, int64_t heard, int64_t spoken, int64_t seen, int64_t written,
    int64_t kept, int64_t units, str source,
)
