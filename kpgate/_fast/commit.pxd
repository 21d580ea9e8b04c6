"""The region's layout and the one-store commit, inline, for those who decide under the lock.

Order: `seat.take()`, read, `plan(...)` each word that changes, `commit`, `seat.give()`. Between take and
give: no allocation, no system call, no Python.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport abort
from libc.string cimport memcpy

cdef extern from *:
    """
    #ifndef KPGATE_ATOMIC
    #define KPGATE_ATOMIC
    #include <stdatomic.h>
    #include <stdint.h>
    #if defined(__x86_64__) || defined(__i386__)
    #define kp_relax() __builtin_ia32_pause()
    #elif defined(__aarch64__)
    #define kp_relax() __asm__ volatile("yield")
    #else
    #define kp_relax() ((void)0)
    #endif
    typedef _Atomic uint64_t kp_word;
    #define kp_load(at) atomic_load_explicit((kp_word *)(at), memory_order_relaxed)
    #define kp_load_acquire(at) atomic_load_explicit((kp_word *)(at), memory_order_acquire)
    #define kp_store(at, value) atomic_store_explicit((kp_word *)(at), (value), memory_order_relaxed)
    #define kp_store_release(at, value) atomic_store_explicit((kp_word *)(at), (value), memory_order_release)
    #define kp_fence() atomic_thread_fence(memory_order_acq_rel)
    static inline int kp_swap(uint64_t *at, uint64_t from, uint64_t to) {
        return atomic_compare_exchange_strong_explicit(
            (kp_word *)at, &from, to, memory_order_acquire, memory_order_relaxed);
    }
    #endif
    """
    void relax "kp_relax"() noexcept nogil
    uint64_t load "kp_load"(const uint64_t *at) noexcept nogil
    uint64_t load_acquire "kp_load_acquire"(const uint64_t *at) noexcept nogil
    void store_bare "kp_store"(uint64_t *at, uint64_t value) noexcept nogil
    void store_bare_release "kp_store_release"(uint64_t *at, uint64_t value) noexcept nogil
    void fence "kp_fence"() noexcept nogil
    bint swap_word "kp_swap"(uint64_t *at, uint64_t old, uint64_t new) noexcept nogil


cdef enum:
    REDO_MAX = 64
    RING_RECORDS = 4096
    AREAS_MAX = 16
    SEATS_MAX = 1024
    REDO_IDLE = 0
    REDO_COMMIT = 1

# The areas of a region: dense arrays whose index is the number given by the store.
cdef enum:
    AREA_KEY = 0
    AREA_PARTY = 1
    AREA_MODEL = 2
    AREA_DEPLOYMENT = 3
    AREA_CALL = 4
    AREA_METRIC = 5
    AREA_ACCOUNT = 6
    AREA_BUDGET = 7
    AREA_HOLD = 8
    AREA_JOURNAL = 9
    AREA_PULSE = 10


cdef struct Area:
    uint64_t offset_bytes
    uint64_t stride_bytes
    uint64_t count


cdef struct Head:
    uint64_t magic
    uint64_t size_bytes
    uint64_t seats
    uint64_t gap0[5]
    Area areas[AREAS_MAX]
    # The lock word has a cache line of its own: waiters poll it.
    uint64_t lock
    uint64_t gap1[7]
    uint64_t redo_state
    uint64_t redo_count
    uint64_t redo[2 * REDO_MAX]
    uint64_t takeovers
    uint64_t repairs
    uint64_t gap2[4]
    # Written by commits alone.
    uint64_t last_us
    uint64_t generation
    uint64_t call_free
    uint64_t call_high
    uint64_t calls_open
    uint64_t calls_stale
    uint64_t gap3[2]
    uint64_t incarnations[SEATS_MAX]
    # One record more than may be read: the one being written is never one that is wanted.
    uint64_t changes[RING_RECORDS + 1]


cdef struct Hand:
    Head *head
    uint64_t *words
    uint64_t word
    uint64_t planned
    # Tests: stores still done before this hand dies, -1 for no end. A branch that is always predicted buys
    # that what is tested at every store is the very code that ships.
    int64_t stores_left


cdef inline bint dying(Hand *hand) noexcept nogil:
    """Whether the store at hand is one that a killed process never did."""
    if hand.stores_left == 0:
        return True
    hand.stores_left -= 1
    return False


cdef inline void store(Hand *hand, uint64_t *at, uint64_t value) noexcept nogil:
    """Store one word directly: into the redo list, or into what nobody owns before the commit."""
    if hand.stores_left >= 0 and dying(hand):
        return
    store_bare(at, value)


cdef inline void store_words(Hand *hand, uint64_t *at, const uint64_t *words, uint64_t count) noexcept nogil:
    """Store words one after the other into what nobody owns before the commit."""
    cdef uint64_t i
    if hand.stores_left < 0:
        memcpy(at, words, count * 8)
        return
    for i in range(count):
        store(hand, at + i, words[i])


cdef inline void store_release(Hand *hand, uint64_t *at, uint64_t value) noexcept nogil:
    """Store one word after everything stored before it."""
    if hand.stores_left >= 0 and dying(hand):
        return
    store_bare_release(at, value)


cdef inline void plan(Hand *hand, uint64_t *at, uint64_t value) noexcept nogil:
    """Enter a word's new value into the redo list. Order: at most once a word and commit."""
    cdef uint64_t *entry
    if load(at) == value:
        return
    if hand.planned == REDO_MAX:
        abort()
    entry = &hand.head.redo[2 * hand.planned]
    store(hand, entry, <uint64_t>(at - hand.words))
    store(hand, entry + 1, value)
    hand.planned += 1


cdef inline void apply(Hand *hand, uint64_t count) noexcept nogil:
    """Do what a committed redo list says: absolute values, so any number of times."""
    cdef Head *head = hand.head
    cdef uint64_t i
    for i in range(count):
        store(hand, hand.words + load(&head.redo[2 * i]), load(&head.redo[2 * i + 1]))
    store_release(hand, &head.redo_state, REDO_IDLE)


cdef inline void commit(Hand *hand) noexcept nogil:
    """Make everything planned happen, by one store."""
    store(hand, &hand.head.redo_count, hand.planned)
    store_release(hand, &hand.head.redo_state, REDO_COMMIT)
    # Nothing below may be stored before the line above.
    fence()
    apply(hand, hand.planned)


@cython.final
cdef class Region:
    cdef Head *head
    cdef uint64_t *words
    cdef int descriptor
    cdef readonly str path
    cdef readonly size_t size_bytes
    cdef readonly bint resident
    cdef void map(self, int descriptor) except *
    cdef void prepare(self) noexcept
    cdef Area *area(self, int kind) except NULL


@cython.final
cdef class Life:
    cdef int descriptor
    cdef readonly uint32_t index
    cdef bytes folder


@cython.final
cdef class Seat:
    cdef Hand hand
    cdef readonly Region region
    cdef readonly Life life
    cdef readonly uint32_t index
    cdef readonly uint32_t incarnation
    cdef uint32_t sequence
    # A seat, plus 1, whose life lock this process holds though it is not its own: a reaper's proof.
    cdef uint32_t known_dead
    cdef uint64_t stuck_word
    cdef uint64_t stuck_since_ns
    cdef uint64_t taken_ns
    cdef public uint64_t patience_us
    cdef public bint timed
    cdef readonly uint64_t hold_ns_max
    cdef readonly uint64_t wait_ns_max
    cdef uint64_t wait_counts[40]
    cdef bint await_lock(self, uint64_t word) noexcept
    cdef bint is_dead(self, uint64_t word) noexcept
    cdef void repair(self) noexcept
    cdef bint take(self) noexcept
    cdef void give(self) noexcept
