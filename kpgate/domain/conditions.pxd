# The compiled form of `conditions.py`: a rule's parts ask each other, and the facts of a call, without a look-up.

cimport cython
from kpgate.domain.traits cimport Facts


cdef class Condition:
    cpdef bint holds(self, Facts facts) except -1
    cpdef double number(self, Facts facts) except? -1
    cpdef str text(self, Facts facts)


cdef class Constant(Condition):
    cdef bint _holds
    cdef double _number
    cdef str _text


cdef class Variable(Condition):
    cdef str _name


cdef class Header(Condition):
    cdef bytes _name


cdef class Metadata(Condition):
    cdef str _key


cdef class Not(Condition):
    cdef Condition _one


cdef class Any(Condition):
    cdef tuple _parts

    @cython.locals(part=Condition)
    cpdef bint holds(self, Facts facts) except -1


cdef class All(Condition):
    cdef tuple _parts

    @cython.locals(part=Condition)
    cpdef bint holds(self, Facts facts) except -1


cdef class Same(Condition):
    cdef Condition _one
    cdef Condition _other
    cdef bint _texts


cdef class Ordered(Condition):
    cdef Condition _one
    cdef Condition _other
    cdef bint _less
    cdef bint _equal
    cdef bint _greater

    @cython.locals(one=double, other=double)
    cpdef bint holds(self, Facts facts) except -1


cdef class Among(Condition):
    cdef Condition _one
    cdef frozenset _values
    cdef bint _texts


cdef class Part(Condition):
    cdef Condition _one
    cdef Condition _other


cdef class Edge(Condition):
    cdef Condition _one
    cdef str _value
    cdef bint _ends

    @cython.locals(text=str)
    cpdef bint holds(self, Facts facts) except -1
