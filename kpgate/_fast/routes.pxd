"""What other compiled modules may use of the routing table."""

cimport cython


@cython.final
cdef class Router:
    cdef dict exact
    cdef dict memo
    cdef list patterns
    cdef readonly Py_ssize_t default
    cdef readonly Py_ssize_t memo_max

    cpdef Py_ssize_t match(self, str name) except -2
    cdef object search(self, str name)
