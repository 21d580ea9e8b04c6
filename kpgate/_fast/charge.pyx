# cython: auto_pickle=False, autotestdict=False
"""A charged call as its two entries say it: read as bytes, for there are as many as charges.

Owns the layout of a HOLD and a POST on this side, as `domain/ledger` has it for everybody else. Decides nothing. Knows
no price and no store.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef enum:
    HOLD_BYTES = 72
    POST_BYTES = 72
    BUDGET_BYTES = 16
    WHOLE = 10_000


cdef struct Cursor:
    const uint8_t *at
    const uint8_t *end


cdef inline uint64_t little(const uint8_t *at, int size) noexcept nogil:
    cdef uint64_t found = 0
    while size:
        size -= 1
        found = found << 8 | at[size]
    return found


cdef inline int64_t signed(const uint8_t *at) noexcept nogil:
    return <int64_t>little(at, 8)


cdef uint64_t take_big(Cursor *cursor, int size) except? 0:
    """A number of so many bytes, the greatest first."""
    cdef uint64_t found = 0
    if cursor.end - cursor.at < size:
        raise ValueError("a note ends too soon")
    while size:
        size -= 1
        found = found << 8 | cursor.at[0]
        cursor.at += 1
    return found


cdef int64_t take_number(Cursor *cursor) except? -1:
    """A whole number, none of which is below 0. Source: MessagePack, "int format family" (checked November 2026)."""
    cdef uint64_t mark = take_big(cursor, 1)
    if mark < 0x80:
        return <int64_t>mark
    if 0xCC <= mark <= 0xCF:
        mark = take_big(cursor, 1 << (mark - 0xCC))
        if mark >> 63 == 0:
            return <int64_t>mark
    raise ValueError("a note has no number where one is expected")


cdef Py_ssize_t take_text(Cursor *cursor) except -1:
    """Pass over a text; its size. Source: the same, "str format family"."""
    cdef uint64_t size = take_big(cursor, 1)
    if 0xA0 <= size <= 0xBF:
        size &= 0x1F
    elif 0xD9 <= size <= 0xDB:
        size = take_big(cursor, 1 << (size - 0xD9))
    else:
        raise ValueError("a note has no text where one is expected")
    if <uint64_t>(cursor.end - cursor.at) < size:
        raise ValueError("a note ends too soon")
    cursor.at += size
    return <Py_ssize_t>size


cdef uint64_t take_array(Cursor *cursor) except? 0:
    """How many members an array has. None has more than 15."""
    cdef uint64_t mark = take_big(cursor, 1)
    if mark & 0xF0 != 0x90:
        raise ValueError("a note is no array")
    return mark & 0x0F


cpdef int64_t call_of(bytes body) except -1:
    """The call that a POST or VOID ends. Errors: ValueError for a body that is too short."""
    if PyBytes_GET_SIZE(body) < 8:
        raise ValueError("an entry ends too soon")
    return signed(<const uint8_t *>PyBytes_AS_STRING(body))


@cython.final
cdef class Charge:
    """A POST and the HOLD that it ends, by their bodies.

    Shape: `held` is the most that it might come to; `from_lots` says that lots gave some of it; `price_version` is that
    of who answered, else the one it was held for. `whole` is for whoever knows its price to say: one transfer, of its
    amount to the house, is all it comes to.
    Errors: ValueError for what no entry is.
    """

    def __init__(self, int64_t lsn, bytes hold not None, bytes post not None):
        self.lsn = lsn
        self.hold = hold
        self.post = post
        self.read_hold()
        self.read_post()

    cdef int read_hold(self) except -1:
        cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(self.hold)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.hold)
        cdef Py_ssize_t note
        cdef Cursor cursor
        cdef uint64_t members
        if size < HOLD_BYTES:
            raise ValueError("an entry ends too soon")
        self.held = signed(p + 8)
        self.account = <int64_t>little(p + 16, 4)
        self.party = <int64_t>little(p + 20, 4)
        note = HOLD_BYTES + BUDGET_BYTES * <Py_ssize_t>little(p + 64, 4)
        if size - note < <Py_ssize_t>little(p + 68, 4):
            raise ValueError("an entry ends too soon")
        cursor.at = p + note
        cursor.end = cursor.at + little(p + 68, 4)
        members = take_array(&cursor)
        if members < 5:
            raise ValueError("a note says too little")
        self.request_size = take_text(&cursor)
        self.request_at = cursor.at - p - self.request_size
        self.model_size = take_text(&cursor)
        self.model_at = cursor.at - p - self.model_size
        self.price_version = take_number(&cursor)
        take_number(&cursor)
        take_number(&cursor)
        self.factor = take_number(&cursor) if members > 5 else WHOLE
        return 0

    cdef int read_post(self) except -1:
        cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(self.post)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.post)
        cdef Cursor cursor
        cdef int count, i
        cdef int64_t version
        if size < POST_BYTES or size - POST_BYTES < <Py_ssize_t>little(p + 68, 4):
            raise ValueError("an entry ends too soon")
        self.call = signed(p)
        self.time_us = signed(p + 8)
        self.amount = signed(p + 16)
        self.overrun = signed(p + 24)
        for i in range(LOTS):
            if signed(p + 32 + 8 * i):
                self.from_lots = True
        self.reason = <int64_t>little(p + 64, 4)
        cursor.at = p + POST_BYTES
        cursor.end = cursor.at + little(p + 68, 4)
        if cursor.at == cursor.end:
            # Its worker could say nothing.
            return 0
        if take_array(&cursor) < 7:
            raise ValueError("a note says too little")
        take_text(&cursor)
        take_text(&cursor)
        take_number(&cursor)
        take_number(&cursor)
        version = take_number(&cursor)
        if version:
            self.price_version = version
        count = <int>take_array(&cursor)
        if count > COUNTS_MAX:
            raise ValueError("a note counts what nobody knows")
        for i in range(count):
            self.counts[i] = take_number(&cursor)
        return 0

    @property
    def posted(self) -> bool:
        """A POST is."""
        return True

    @property
    def lots(self) -> tuple:
        """What each of the account's lots gave."""
        cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(self.post)
        return tuple([signed(p + 32 + 8 * i) for i in range(LOTS)])

    cpdef bytes budgets(self):
        """The windows of budgets that it counts in, as the HOLD has them."""
        cdef const char *p = PyBytes_AS_STRING(self.hold)
        return PyBytes_FromStringAndSize(p + HOLD_BYTES, BUDGET_BYTES * <Py_ssize_t>little(<const uint8_t *>p + 64, 4))


def rows_of(list charges not None, int64_t leaf):
    """What is kept of charges, whose leaves begin with one: the values of all rows, one after the other.

    Shape: (of each call, LSN, party, account, amount, leaf, the bodies of both; of those that are whole LSN, account,
    amount, time, call).
    """
    cdef list rows = []
    cdef list moves = []
    cdef Charge one
    for one in charges:
        call, lsn, account, amount = one.call, one.lsn, one.account, one.amount
        rows.append(call)
        rows.append(lsn)
        rows.append(one.party)
        rows.append(account)
        rows.append(amount)
        rows.append(leaf)
        rows.append(one.hold)
        rows.append(one.post)
        leaf += 1
        if one.whole:
            moves.append(lsn)
            moves.append(account)
            moves.append(amount)
            moves.append(one.time_us)
            moves.append(call)
    return rows, moves
