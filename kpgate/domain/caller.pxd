# The compiled form of `caller.py`: who asks is read by fields.

cdef class Party:
    cdef readonly long long number
    cdef readonly str name
    cdef readonly object limits
    cdef readonly long long account
    cdef readonly long long budget
    cdef readonly long long credit_line
    cdef readonly object tier
    cdef readonly str plan


cdef class Caller:
    cdef readonly str key_id
    cdef readonly long long number
    cdef readonly Party party
    cdef readonly str role
    cdef readonly str label
    cdef readonly tuple models
    cdef readonly tuple networks
    cdef readonly object limits
    cdef readonly long long expires_us
    cdef readonly long long budget
    cdef readonly str token
    cdef readonly long long cell
    cdef readonly long long tag
