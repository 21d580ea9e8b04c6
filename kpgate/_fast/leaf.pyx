# cython: auto_pickle=False, autotestdict=False
"""The leaves of a log, spelled and hashed one after the other, for there are as many as charges.

Owns the spelling of a leaf, as docs/receipts.md has it. Decides nothing. Hashes are the interpreter's.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from hashlib import blake2b, sha256
from json.encoder import encode_basestring_ascii

from kpgate._fast.charge cimport COUNTS_MAX, Charge
from kpgate._fast.digits cimport DIGITS_MAX, number_back

cdef enum:
    SALT_BYTES = 16
    # A call's id as people see it.
    CALL_CHARACTERS = 20
    # What a leaf has beside its texts: names, numbers, hashes.
    LEAF_ROOM = 2048
    # So many characters are spelled of a byte at most.
    SPELLED_MAX = 6
    NAME_MAX = 128

cdef const char *HEXADECIMAL = b"0123456789abcdef"


cdef inline char *put(char *at, bytes text) noexcept:
    memcpy(at, PyBytes_AS_STRING(text), <size_t>PyBytes_GET_SIZE(text))
    return at + PyBytes_GET_SIZE(text)


cdef inline char *put_number(char *at, int64_t number) noexcept nogil:
    cdef char digits[DIGITS_MAX]
    cdef char *begin = number_back(digits + DIGITS_MAX, number)
    memcpy(at, begin, digits + DIGITS_MAX - begin)
    return at + (digits + DIGITS_MAX - begin)


cdef inline char *put_call(char *at, uint64_t call) noexcept nogil:
    cdef int i
    memcpy(at, b"kp1-", 4)
    for i in range(16):
        at[4 + i] = HEXADECIMAL[call >> (60 - 4 * i) & 15]
    return at + CALL_CHARACTERS


cdef char *put_quoted(char *at, const char *p, Py_ssize_t size) except NULL:
    """A text of a note as JSON in ASCII."""
    cdef Py_ssize_t i
    for i in range(size):
        if p[i] < 0x20 or p[i] > 0x7E or p[i] == c'"' or p[i] == c"\\":
            return put(at, encode_basestring_ascii(p[:size].decode("utf-8")).encode("ascii"))
    at[0] = c'"'
    memcpy(at + 1, p, <size_t>size)
    at[size + 1] = c'"'
    return at + size + 2


cdef bytes named(object text):
    """What a party is called or terms are hashed to. Errors: ValueError for what is no such thing."""
    cdef bytes found = (<str?>text).encode("ascii")
    if len(found) > NAME_MAX:
        raise ValueError("a name is too long for a leaf")
    return found


@cython.final
cdef class Speller:
    """Spells the leaves of one log, and hashes them. Order: one thread at a time.

    Shape: `kinds` are the names of the counts that a POST has, in their order; `salting` is what salts are made with.
    """

    cdef bytes _log
    cdef bytes _end
    cdef list _kinds
    cdef list _places
    cdef object _salting
    cdef char *_begin
    cdef Py_ssize_t _room

    def __init__(self, str origin not None, kinds, int64_t version, bytes salting not None):
        names = sorted(zip(kinds, range(COUNTS_MAX)))
        self._log = b',"log":' + encode_basestring_ascii(origin).encode() + b',"model":'
        self._end = b'},"v":%d}' % version
        self._kinds = [f'"{name}":'.encode() for name, _ in names]
        self._places = [place for _, place in names]
        if max(map(len, self._kinds)) > 32 or len(self._log) > 128:
            raise ValueError("a name is too long for a leaf")
        if not salting:
            raise ValueError("what salts are made with is not empty")
        self._salting = blake2b(key=salting, person=b"salt", digest_size=SALT_BYTES)

    def __dealloc__(self):
        free(self._begin)

    def leaf(self, Charge charge not None, party, terms):
        """The canonical receipt of a charge. Shape: what the party is called, and a hash of its price, in ASCII."""
        cdef char *end = self.spell(charge, named(party), named(terms))
        return PyBytes_FromStringAndSize(self._begin + 1, end - self._begin - 1)

    def hashes(self, list charges not None, party, terms):
        """The hashes of charges' leaves, one after the other.

        Shape: `party` says what a party of a number is called, `terms` the hash of a price of a version; each is asked
        once.
        """
        cdef list found = []
        cdef dict parties = {}
        cdef dict prices = {}
        cdef Charge charge
        cdef char *end
        for charge in charges:
            called = parties.get(charge.party)
            if called is None:
                called = parties[charge.party] = named(party(charge.party))
            priced = prices.get(charge.price_version)
            if priced is None:
                priced = prices[charge.price_version] = named(terms(charge.price_version))
            end = self.spell(charge, <bytes>called, <bytes>priced)
            found.append(sha256(PyBytes_FromStringAndSize(self._begin, end - self._begin)).digest())
        return b"".join(found)

    cdef char *spell(self, Charge charge, bytes party, bytes terms) except NULL:
        """Write a leaf behind the byte that tells its hash from a node's. Returns where it ends."""
        cdef const char *hold = PyBytes_AS_STRING(charge.hold)
        cdef char *at = self.have(LEAF_ROOM + SPELLED_MAX * (charge.model_size + charge.request_size))
        cdef char *call
        cdef int i
        cdef int64_t count
        cdef bint first = True
        at[0] = 0
        at = put_number(put(at + 1, b'{"amount_microkpt":'), charge.amount)
        call = put(at, b',"call":"')
        at = put_number(put(put_call(call, <uint64_t>charge.call), b'","factor_basis_points":'), charge.factor)
        at = put_quoted(put(at, self._log), hold + charge.model_at, charge.model_size)
        at = put_number(put(at, b',"overrun_microkpt":'), charge.overrun)
        at = put(put(put(at, b',"party":"'), party), b'","price":')
        at = put_number(at, charge.price_version)
        at = put(put(put(at, b',"price_sha256":"'), terms), b'","reason":')
        at = put(put_number(at, charge.reason), b',"request":')
        at = put(put_quoted(at, hold + charge.request_at, charge.request_size), b',"salt":"')
        salting = self._salting.copy()
        salting.update(PyBytes_FromStringAndSize(call, CALL_CHARACTERS))
        at = put(at, (<str>salting.hexdigest()).encode("ascii"))
        at = put_number(put(at, b'","time_us":'), charge.time_us)
        at = put(at, b',"usage":{')
        for i in range(<int>len(self._kinds)):
            count = charge.counts[<int>self._places[i]]
            if count:
                if not first:
                    at[0] = c","
                    at += 1
                first = False
                at = put_number(put(at, <bytes>self._kinds[i]), count)
        return put(at, self._end)

    cdef char *have(self, Py_ssize_t room) except NULL:
        """So much room, from the beginning."""
        cdef char *found
        if room > self._room:
            found = <char *>realloc(self._begin, <size_t>room)
            if found is NULL:
                raise MemoryError
            self._begin = found
            self._room = room
        return self._begin
