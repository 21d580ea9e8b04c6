"""What other compiled modules may use of the head of a request to a provider."""

from libc.stdint cimport int64_t

from kpgate._fast.head cimport Head


cpdef bytes write_head(bytes opening, Head head, str request_id, int64_t body_bytes, bytes parent=*)
