# The compiled form of `auth.py`: the attributes of what every request asks as fields.


cdef class Keyring:
    cdef public object wall_us
    cdef public object _reader
    cdef public object _changes
    cdef public bytes _pepper
    cdef public long _cache_keys
    cdef public object _cache
    cdef public dict _digests
    cdef public dict _tokens
    cdef public dict _parents
    cdef public object _eyes
    cdef public object _revoked
    cdef public object _known
    cdef public set _unread
    cdef public long long _generation
    cdef public long long _retry_us

    cpdef object find(self, bytes credential)


cdef class Auth:
    cdef public bint _enabled
    cdef public tuple _trusted
    cdef public Keyring _keyring
    cdef public dict _sources
    cdef public dict _addresses
    cdef public dict _allowed

    cpdef object source(self, str peer, bytes forwarded_for)
    cpdef object identify(self, str credential, str source)
    cpdef object authorise(self, object caller, str model)
