# The compiled form of `traits.py`: what was read of a call, and what rules ask about it, as fields.

cimport cython
from kpgate._fast.prose cimport Prose
from kpgate.domain.language cimport language_of


cdef class Traits:
    cdef public long long turns
    cdef public bint tools
    cdef public bint images
    cdef public bint json_schema
    cdef public bint reasoning
    cdef public str text
    cdef public str opening
    cdef public str user
    cdef public dict metadata


cpdef Prose see(str text)
@cython.locals(
    tokens=cython.longlong, doublings=cython.longlong, code=cython.longlong, questions=cython.longlong,
    lists=cython.longlong, turns=cython.longlong, total=cython.longlong,
)
cpdef tuple complexity(Traits traits, Prose seen, cython.py_int prompt_tokens)
cdef object _points(cython.py_int place, cython.py_int count, list[str] made_of)


cdef class Facts:
    cdef public object _headers
    cdef public object _read
    cdef public Traits _traits
    cdef public tuple _complexity
    cdef public Prose _seen
    cdef public str _language
    cdef public str party
    cdef public str tier
    cdef public str key
    cdef public str model
    cdef public long long prompt_tokens
    cdef public long long output_cap
    cdef public bint stream

    cpdef Traits read(self)
    cpdef Prose seen(self)
    cpdef bint has(self, str name) except -1
    cpdef long long count(self, str name) except? -1
    cpdef str word(self, str name)
    cpdef str made_of(self)
    @cython.locals(one=bytes)
    cpdef str header(self, bytes name)
    @cython.locals(metadata=dict)
    cpdef str metadata(self, str key)
    cdef tuple _complexities(self)
