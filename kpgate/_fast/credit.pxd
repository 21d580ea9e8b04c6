"""The layout of an open hold and of what its journal entries say, and the classes that others cimport."""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kpgate._fast.commit cimport Region, Seat, load
from kpgate._fast.journal cimport Journal
from kpgate._fast.purse cimport BUDGETS_MAX, LOTS, Account, Asked, Budget, Windows, entry_bytes

cdef enum:
    END_NOTE_MAX = 256

cdef extern from *:
    """
    #define KP_SENT ((uint64_t)1 << 53)
    #define KP_AMOUNT_MASK (KP_SENT - 1)
    #define KP_NUMBERS_MAX ((uint64_t)0xFFFFFFFF)
    """
    const uint64_t SENT "KP_SENT"
    const uint64_t AMOUNT_MASK "KP_AMOUNT_MASK"
    const uint64_t NUMBERS_MAX "KP_NUMBERS_MAX"


cdef struct Hold:
    uint64_t state             # generation * 2, + 1 while open
    uint64_t next              # the next free slot; 0: none
    uint64_t seat              # index << 32 | incarnation
    uint64_t call              # the LSN of its HOLD
    uint64_t expires_us
    uint64_t account           # number | how many budgets << 32
    uint64_t amount
    uint64_t lots[LOTS]        # of the amount
    uint64_t windows           # day << 32 | month
    uint64_t budgets[2]        # numbers, two a word
    uint64_t progress          # stored by the owner alone, without the lock
    uint64_t gap


cdef struct Slab:
    # Where a hold of slot 0 would be.
    uint64_t free
    uint64_t high
    uint64_t open
    uint64_t stale
    uint64_t gap[12]


cdef struct HoldBody:
    uint64_t time_us
    int64_t amount
    uint32_t account
    uint32_t party
    uint32_t key
    uint32_t seat
    int64_t lots[LOTS]
    uint32_t budgets_count
    uint32_t note_bytes


cdef struct BudgetBody:
    uint32_t budget
    uint32_t day
    uint32_t month
    uint32_t tag


cdef struct ExtendBody:
    uint64_t call
    uint64_t time_us
    int64_t amount
    int64_t lots[LOTS]


cdef struct MeterBody:
    uint64_t call
    uint64_t time_us
    int64_t amount


cdef struct PostBody:
    uint64_t call
    uint64_t time_us
    int64_t charged
    int64_t overrun
    int64_t lots[LOTS]
    uint32_t reason
    uint32_t note_bytes


cdef struct VoidBody:
    uint64_t call
    uint64_t time_us
    uint32_t reason
    uint32_t note_bytes


cdef struct Ending:
    # How a hold ends. actual -1: nothing is charged.
    int64_t actual
    uint32_t reason
    uint32_t note_bytes
    const char *note


cdef inline uint64_t end_bytes() noexcept nogil:
    """What a hold keeps of the journal for its end."""
    return entry_bytes(sizeof(PostBody) + END_NOTE_MAX)


cdef inline uint64_t tag(uint64_t state) noexcept nogil:
    """A hold's generation, in its progress: what a late owner stores there is nothing to the next hold."""
    return (state >> 1) << 54


cdef inline uint64_t number_at(const uint64_t *pairs, int i) noexcept nogil:
    return (load(pairs + (i >> 1)) >> (32 * (i & 1))) & NUMBERS_MAX


cdef inline Windows windows_in(uint64_t word) noexcept nogil:
    cdef Windows windows
    windows.day = <uint32_t>(word >> 32)
    windows.month = <uint32_t>word
    return windows


@cython.final
cdef class Purse:
    cdef readonly uint32_t account
    cdef readonly uint32_t party
    cdef readonly uint32_t key
    cdef readonly tuple budgets
    cdef uint32_t numbers[BUDGETS_MAX]
    cdef uint64_t tags[BUDGETS_MAX]
    cdef int count


@cython.final
cdef class Decision:
    cdef public int64_t call
    cdef public int64_t handle
    cdef public int64_t budget
    cdef public int period
    cdef public int64_t free
    cdef public int64_t held
    cdef public int64_t more
    cdef void clear(self) noexcept


@cython.final
cdef class Credit:
    cdef Seat seat
    cdef Region region
    cdef Journal journal
    cdef Account *accounts
    cdef uint64_t accounts_count
    cdef Budget *budgets
    cdef uint64_t budgets_count
    cdef Hold *holds
    cdef Slab *slab
    cdef uint64_t slots
    cdef readonly int64_t life_us
    # The windows of a day, and when it ends: nearly every hold is of the same.
    cdef Windows windows
    cdef int64_t until_us
    cpdef int hold(self, int64_t now_us, uint64_t generation, Purse purse, int64_t amount, bytes note,
                   Decision decision) except -1
    cpdef int extend(self, int64_t now_us, uint64_t generation, int64_t handle, int64_t amount,
                     Decision decision=*, int64_t least=*) except -1
    cpdef bint sent(self, int64_t handle) except -1
    cpdef bint meter(self, int64_t handle, int64_t amount) except -1
    cpdef int post(self, int64_t now_us, int64_t handle, int64_t actual, uint32_t reason, bytes note) except -1
    cpdef int void(self, int64_t now_us, int64_t handle, uint32_t reason, bytes note) except -1
    cdef Account *account_of(self, uint64_t number) except NULL
    cdef Budget *budget_of(self, uint64_t number) except NULL
    cdef Hold *find(self, int64_t handle) noexcept
    cdef void warm(self, Hold *hold) noexcept
    cdef int room(self, uint64_t body_bytes, uint64_t reserve_bytes) noexcept
    cdef int decide(self, Asked *asked, Decision decision) noexcept
    cdef Hold *open_hold(self, int64_t *handle) noexcept
    cdef void plan_end(self, Hold *hold, int64_t ledger_us, Ending *ending) noexcept
    cdef int describe(self, Ending *ending, uint32_t reason, bytes note) except -1
    cdef int end(self, int64_t now_us, int64_t handle, Ending *ending) noexcept
    cdef int reap(self, int64_t now_us, uint64_t slot, uint64_t state, int reason, bint void_sent) noexcept
    cdef void note_progress(self, Hold *hold, int64_t handle, int64_t amount) noexcept
    cdef int refuse(self, int code) noexcept
    cdef int refuse_stale(self) noexcept
    cdef void finish(self) noexcept
