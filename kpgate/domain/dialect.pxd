# The compiled form of `dialect.py`: a way is read by its fields.

cdef class Way:
    cdef public bytes head
    cdef public bytes stream_head
    cdef public object forward
    cdef public object framer
    cdef public object decode_usage
    cdef public object cut
    cdef public object find_usage
    cdef public object decode_text
    cdef public object turn
    cdef public object passes
    cdef public object sign
    cdef public object stream_type
    cdef public object begin
    cdef public object tongue
