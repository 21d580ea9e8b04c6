# The compiled form of `auth.py`: the attributes of what every request asks as fields.


from kpgate.domain.caller cimport Caller


cdef class Entry:
    cdef public Caller caller
    cdef public long long until_us
    cdef public tuple networks
    cdef public str gone
    cdef public long long token
    cdef public bint used


cdef class Keyring:
    cdef public object wall_us
    cdef public object _reader
    cdef public object _changes
    cdef public object _peppered
    cdef public long _cache_keys
    cdef public dict _cache
    cdef public dict _digests
    cdef public dict _tokens
    cdef public dict _parents
    cdef public object _eyes
    cdef public object _revoked
    cdef public object _known
    cdef public set _unread
    cdef public long long _generation
    cdef public long long _retry_us

    cpdef long long generation(self) except? -2
    cpdef Entry find(self, bytes credential)
    cdef Entry _read(self, bytes credential, bytes hashed)


cdef class Auth:
    cdef public bint _enabled
    cdef public tuple _trusted
    cdef public Keyring _keyring
    cdef public dict _sources
    cdef public dict _addresses
    cdef public dict _allowed

    cpdef long long generation(self) except? -2
    cpdef object source(self, str peer, bytes forwarded_for)
    cpdef Caller identify(self, bytes credential, str source)
    cpdef object authorise(self, Caller caller, str model)
