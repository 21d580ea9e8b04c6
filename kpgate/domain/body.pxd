# The compiled form of `body.py`: what every request is read by.

cimport cython
from kpgate._fast.body cimport Keys, Scan, scan


cpdef tuple read_body(object decoder, bytes body, Keys keys, cython.py_int depth_max)
cpdef tuple read_outlined(
    object decoder, bytes body, Keys keys, cython.py_int depth_max, cython.py_int member, object shape
)
cdef tuple _read(
    object decoder, bytes body, Keys keys, cython.py_int depth_max, cython.py_int member=*, object shape=*
)
