# The compiled form of `language.py`: counts are looked at as they were counted.

cimport cython
from kpgate._fast.prose cimport Prose


@cython.locals(
    own=cython.longlong, most=cython.longlong, second=cython.longlong, count=cython.longlong, found=cython.int,
    place=cython.int,
)
cpdef str language_of(Prose prose)
