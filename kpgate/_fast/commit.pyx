# cython: auto_pickle=False, autotestdict=False
"""The one lock of a node and its shared memory: whoever holds the lock decides, and one store commits.

Owns the region, its layout, the lock, the redo list, repair, life locks and the ring of changes. It must not
know what limits, credits or metrics mean: they are areas to it.
Source: docs/decisions/0001-one-lock.md.
"""

cimport cython
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memset
from posix.fcntl cimport O_CLOEXEC, O_RDWR, open as c_open
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, nanosleep, timespec
from posix.unistd cimport close as c_close

import os

cdef extern from "<sys/file.h>" nogil:
    int flock(int descriptor, int operation) noexcept
    enum:
        LOCK_EX
        LOCK_NB

cdef extern from *:
    """
    #include <sys/mman.h>
    static int kp_keep_resident(void *at, size_t size) {
    #ifdef MLOCK_ONFAULT
        return mlock2(at, size, MLOCK_ONFAULT);
    #else
        (void)at; (void)size;
        return -1;
    #endif
    }
    """
    int keep_resident "kp_keep_resident"(void *at, size_t size) noexcept nogil

cdef enum:
    PAGE_BYTES = 4096
    # Spin as long as an owner that is running may hold the lock; then sleep, for it is not running.
    SPIN_NS = 5_000
    NAP_NS_MIN = 20_000
    # An owner is suspected after this long on one and the same lock word.
    SUSPECT_NS = 1_000_000
    PATIENCE_US = 1_000

cdef uint64_t MAGIC = 0x6B706761_74653031
cdef uint64_t NUMBER_MASK = (<uint64_t>1 << 48) - 1

KEY = AREA_KEY
PARTY = AREA_PARTY
MODEL = AREA_MODEL
DEPLOYMENT = AREA_DEPLOYMENT
CALL = AREA_CALL
METRIC = AREA_METRIC
ACCOUNT = AREA_ACCOUNT
BUDGET = AREA_BUDGET
HOLD = AREA_HOLD
JOURNAL = AREA_JOURNAL
PULSE = AREA_PULSE


cdef uint64_t monotonic_ns() noexcept nogil:
    # The lock's own patience, never a decision's time: that is passed in.
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * 1_000_000_000 + <uint64_t>now.tv_nsec


cdef void nap(uint64_t salt) noexcept nogil:
    cdef timespec pause
    pause.tv_sec = 0
    pause.tv_nsec = NAP_NS_MIN + <long>((salt * 7919) % 30_001)
    nanosleep(&pause, NULL)


@cython.final
cdef class Region:
    """The shared memory of a node. Made by the supervisor, opened by its workers by path; no descriptor is
    inherited.

    Shape: a head (lock, redo list, ring of changes), then areas, each a dense array. Memory is sparse: what
    was never touched takes none.
    """

    def __cinit__(self):
        self.head = NULL
        self.words = NULL
        self.descriptor = -1

    def __dealloc__(self):
        if self.head != NULL:
            munmap(self.head, self.size_bytes)
        if self.descriptor >= 0:
            c_close(self.descriptor)

    @staticmethod
    def create(areas, seats, path=None):
        """Make an empty region: in memory alone, or in a file where the system has no memfd.

        Shape: `areas` maps an area's number to (bytes an entry, entries). `region.path` is what others open.
        Errors: ValueError for a shape that cannot be; OSError.
        """
        cdef Region region = Region.__new__(Region)
        cdef Head *head
        cdef uint64_t offset_bytes = sizeof(Head)
        cdef int descriptor
        if not 1 <= seats <= SEATS_MAX:
            raise ValueError(f"seats: from 1 to {SEATS_MAX}, not {seats}")
        shape = []
        for kind, (stride_bytes, count) in sorted(areas.items()):
            if not 0 <= kind < AREAS_MAX or stride_bytes < 8 or stride_bytes % 8 or not 1 <= count < 2**40:
                raise ValueError(f"area {kind}: cannot be {count} entries of {stride_bytes} bytes")
            offset_bytes = (offset_bytes + PAGE_BYTES - 1) // PAGE_BYTES * PAGE_BYTES
            shape.append((kind, offset_bytes, stride_bytes, count))
            offset_bytes += stride_bytes * count
        if path is None:
            descriptor = os.memfd_create("kpgate-region")
            region.path = f"/proc/{os.getpid()}/fd/{descriptor}"
        else:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            region.path = str(path)
        # Kept for life: it is what /proc names.
        region.descriptor = descriptor
        os.ftruncate(descriptor, offset_bytes)
        region.map(descriptor)
        head = region.head
        for kind, at_bytes, stride_bytes, count in shape:
            head.areas[<int>kind].offset_bytes = at_bytes
            head.areas[<int>kind].stride_bytes = stride_bytes
            head.areas[<int>kind].count = count
        head.size_bytes = offset_bytes
        head.seats = seats
        store_bare_release(&head.magic, MAGIC)
        region.prepare()
        return region

    @staticmethod
    def open(path):
        """Open the region that another process made.

        Errors: OSError when it is gone; ValueError when what stands there is no region of this build.
        """
        cdef Region region = Region.__new__(Region)
        cdef int descriptor = os.open(path, os.O_RDWR)
        region.path = str(path)
        try:
            region.map(descriptor)
        finally:
            os.close(descriptor)
        if load_acquire(&region.head.magic) != MAGIC or region.head.size_bytes != region.size_bytes:
            raise ValueError(f"{path}: not a region of this build")
        region.prepare()
        return region

    cdef void map(self, int descriptor) except *:
        cdef size_t size_bytes = os.fstat(descriptor).st_size
        cdef void *at
        if size_bytes < sizeof(Head):
            raise ValueError("not a region: too short")
        at = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        if at == MAP_FAILED:
            raise OSError(errno, "cannot map the region")
        self.head = <Head *>at
        self.words = <uint64_t *>at
        self.size_bytes = size_bytes

    cdef void prepare(self) noexcept:
        # Under the lock no page may fault from a disk, and the pages every call needs are mapped beforehand.
        cdef Area *calls = &self.head.areas[AREA_CALL]
        cdef uint64_t at = 0
        self.resident = keep_resident(self.head, self.size_bytes) == 0
        while at < sizeof(Head):
            load(self.words + at // 8)
            at += PAGE_BYTES
        at = calls.offset_bytes
        while at < calls.offset_bytes + calls.stride_bytes * calls.count:
            load(self.words + at // 8)
            at += PAGE_BYTES

    cdef Area *area(self, int kind) except NULL:
        if not 0 <= kind < AREAS_MAX or self.head.areas[kind].count == 0:
            raise ValueError(f"the region has no area {kind}")
        return &self.head.areas[kind]

    @property
    def seats(self):
        """How many processes may decide here."""
        return self.head.seats

    @property
    def generation(self):
        """The number of the newest published change. Order: load it before reading the row it tags."""
        return load_acquire(&self.head.generation)

    @property
    def owner(self):
        """Who holds the lock, and which hold it is: (seat, incarnation, sequence); None when it is free."""
        cdef uint64_t word = load(&self.head.lock)
        if word == 0:
            return None
        return (word >> 52) - 1, (word >> 32) & 0xFFFFF, word & 0xFFFFFFFF

    @property
    def takeovers(self):
        """How often the lock was taken over from a dead owner."""
        return load(&self.head.takeovers)

    @property
    def repairs(self):
        """How often a takeover found a commit to finish."""
        return load(&self.head.repairs)

    def changes(self, uint64_t since):
        """The changes published after generation `since`, oldest first; None when it is too long ago to know.

        Shape: (generation reached, list of (kind, number)), or (generation reached, None): then all is stale.
        """
        cdef Head *head = self.head
        cdef uint64_t reached = load_acquire(&head.generation)
        cdef uint64_t g, record
        if since > reached or reached - since > RING_RECORDS:
            return reached, None
        found = []
        for g in range(since + 1, reached + 1):
            record = load_acquire(&head.changes[g % (RING_RECORDS + 1)])
            found.append((record >> 48, record & NUMBER_MASK))
        fence()
        # A writer may have come round meanwhile.
        if load_acquire(&head.generation) - since > RING_RECORDS:
            return reached, None
        return reached, found

    def dump(self, int kind):
        """A copy of one area's bytes, torn where others write: for tests and diagnosis."""
        cdef Area *area = self.area(kind)
        cdef char *at = <char *>self.head + area.offset_bytes
        return at[:area.stride_bytes * area.count]

    def __repr__(self):
        return f"<Region {self.path} {self.size_bytes} bytes, generation {self.generation}>"


@cython.final
cdef class Life:
    """A lock on `<folder>/<index>.life`, held for as long as its process lives: the only test of who is dead.

    Whoever obtains it knows that its last owner can never store again. A process that holds one never forks
    without exec.
    """

    def __cinit__(self):
        self.descriptor = -1

    def __dealloc__(self):
        if self.descriptor >= 0:
            c_close(self.descriptor)

    @staticmethod
    def obtain(folder, index, uint64_t patience_us=0):
        """Take the life lock of one seat: None when its owner lives.

        Order: who is to live there has some patience, for a waiter or a reaper may be holding the lock to see
        whether the last owner is dead.
        Errors: OSError other than the lock being held.
        """
        cdef Life life = Life.__new__(Life)
        cdef uint64_t start_ns = monotonic_ns()
        # Absolute: a waiter must find it wherever its process stands.
        life.folder = os.path.abspath(os.fsencode(folder))
        life.index = index
        life.descriptor = os.open(life.folder + b"/%d.life" % index, os.O_RDWR | os.O_CREAT, 0o600)
        while flock(life.descriptor, LOCK_EX | LOCK_NB) != 0:
            if monotonic_ns() - start_ns >= patience_us * 1_000:
                return None
            with nogil:
                nap(start_ns)
        # For people, and for who ends a stuck owner; never a proof of anything.
        os.ftruncate(life.descriptor, 0)
        os.pwrite(life.descriptor, b"%d\n" % os.getpid(), 0)
        return life

    @staticmethod
    def claim(folder, first, count):
        """Take the first free life lock of seats `first` to `first + count - 1`.

        Order: then `Seat`, then end what the last owner left (`Limits.end_dead`), then serve.
        Errors: BlockingIOError when all are held.
        """
        for index in range(first, first + count):
            life = Life.obtain(folder, index)
            if life is not None:
                return life
        raise BlockingIOError(f"all {count} seats from {first} are taken")

    @property
    def held(self):
        """Whether the lock is still held."""
        return self.descriptor >= 0

    def close(self):
        """Give the lock back. Order: the owner never stores into the region again."""
        if self.descriptor >= 0:
            c_close(self.descriptor)
            self.descriptor = -1


@cython.final
cdef class Seat:
    """A process's right to decide in a region: a life lock's index and how often that was claimed.

    `patience_us` is how long a call tries for the lock before it answers "busy"; the caller then tries again
    off its event loop. `timed` measures how long the lock is held. `stores_left` is the tests': after so
    many stores this seat stores nothing more, as if killed; -1 is no end.
    Errors: ValueError for an index that the region has no seat for, or a life lock that was given back.
    """

    def __cinit__(self, Region region not None, Life life not None):
        cdef Head *head = region.head
        if life.descriptor < 0 or life.index >= head.seats:
            raise ValueError(f"no seat {life.index} in {region!r}")
        self.region = region
        self.life = life
        self.index = life.index
        # The life lock makes this process the only one to store here.
        self.incarnation = <uint32_t>((load(&head.incarnations[life.index]) + 1) & 0xFFFFF)
        store_bare_release(&head.incarnations[life.index], self.incarnation)
        self.hand.head = head
        self.hand.words = region.words
        self.hand.stores_left = -1
        self.patience_us = PATIENCE_US
        memset(&self.wait_counts[0], 0, sizeof(self.wait_counts))

    cdef bint take(self) noexcept:
        """Take the lock: False when it was not to be had in time. Order: give it back with `give`."""
        cdef Hand *hand = &self.hand
        cdef uint64_t word
        self.sequence += 1
        word = (<uint64_t>(self.index + 1) << 52) | (<uint64_t>self.incarnation << 32) | self.sequence
        if hand.stores_left >= 0 and dying(hand):
            return False
        if not swap_word(&hand.head.lock, 0, word) and not self.await_lock(word):
            return False
        hand.planned = 0
        if self.timed:
            self.taken_ns = monotonic_ns()
        return True

    cdef void give(self) noexcept:
        """Give the lock back."""
        cdef uint64_t held_ns
        if self.timed:
            held_ns = monotonic_ns() - self.taken_ns
            if held_ns > self.hold_ns_max:
                self.hold_ns_max = held_ns
        store_release(&self.hand, &self.hand.head.lock, 0)

    cdef bint await_lock(self, uint64_t word) noexcept:
        cdef Head *head = self.hand.head
        cdef uint64_t start_ns = monotonic_ns()
        cdef uint64_t now_ns = start_ns
        cdef uint64_t patience_ns = self.patience_us * 1_000
        cdef uint64_t seen
        cdef bint taken = False
        cdef int bucket = 0
        while not taken:
            seen = load(&head.lock)
            if seen == 0:
                taken = swap_word(&head.lock, 0, word)
                continue
            now_ns = monotonic_ns()
            if seen != self.stuck_word:
                self.stuck_word = seen
                self.stuck_since_ns = now_ns
            if now_ns - self.stuck_since_ns >= SUSPECT_NS:
                self.stuck_since_ns = now_ns
                if self.is_dead(seen):
                    taken = swap_word(&head.lock, seen, word)
                    if taken:
                        self.repair()
                    continue
            if now_ns - start_ns >= patience_ns:
                break
            if now_ns - start_ns < SPIN_NS:
                relax()
            else:
                with nogil:
                    nap(now_ns)
        now_ns = monotonic_ns() - start_ns
        if now_ns > self.wait_ns_max:
            self.wait_ns_max = now_ns
        while now_ns > 1 and bucket < 39:
            now_ns >>= 1
            bucket += 1
        self.wait_counts[bucket] += 1
        return taken

    cdef bint is_dead(self, uint64_t word) noexcept:
        """Whether the owner that a lock word names can never store again, proved by its life lock."""
        cdef Head *head = self.hand.head
        cdef uint32_t owner = <uint32_t>(word >> 52) - 1
        cdef char path[4096]
        cdef int descriptor, obtained
        if owner >= SEATS_MAX:
            return False
        if owner + 1 == self.known_dead:
            return True
        # Whoever raised the incarnation held that life lock.
        if load_acquire(&head.incarnations[owner]) != ((word >> 32) & 0xFFFFF):
            return True
        if snprintf(path, sizeof(path), b"%s/%u.life", <char *>self.life.folder, owner) >= <int>sizeof(path):
            return False
        descriptor = c_open(path, O_RDWR | O_CLOEXEC)
        if descriptor < 0:
            return False
        obtained = flock(descriptor, LOCK_EX | LOCK_NB)
        c_close(descriptor)
        return obtained == 0

    cdef void repair(self) noexcept:
        """Finish the commit that a dead owner left, or find that nothing happened."""
        cdef Hand *hand = &self.hand
        cdef Head *head = hand.head
        store(hand, &head.takeovers, head.takeovers + 1)
        if load_acquire(&head.redo_state) == REDO_COMMIT:
            store(hand, &head.repairs, head.repairs + 1)
            apply(hand, load(&head.redo_count))

    def heal(self):
        """Take the lock and give it back, so that what a dead owner left is finished.

        False when it was busy.
        """
        if not self.take():
            return False
        self.give()
        return True

    def publish(self, uint64_t kind, uint64_t number):
        """Tell every process that (kind, number) has changed. False when the lock was busy: try again.

        Shape: `kind` below 65,536, `number` below 2**48.
        """
        cdef Hand *hand = &self.hand
        cdef Head *head = hand.head
        cdef uint64_t generation
        if kind >= 1 << 16 or number > NUMBER_MASK:
            raise ValueError(f"cannot publish ({kind}, {number})")
        if not self.take():
            return False
        generation = head.generation + 1
        # Order: the record stands before the generation that names it.
        plan(hand, &head.changes[generation % (RING_RECORDS + 1)], kind << 48 | number)
        plan(hand, &head.generation, generation)
        commit(hand)
        self.give()
        return True

    @property
    def stores_left(self):
        return self.hand.stores_left

    @stores_left.setter
    def stores_left(self, int64_t count):
        self.hand.stores_left = count

    @property
    def waits(self):
        """How long this seat waited, where it had to.

        Shape: 40 counts; the n-th is of 2**n to 2**(n+1) ns.
        """
        return [self.wait_counts[i] for i in range(40)]

    def __repr__(self):
        return f"<Seat {self.index}.{self.incarnation}>"


def life_is_free(folder, index):
    """Whether nobody lives at a seat. Order: only a hint, unless the lock is kept (`Life.obtain`)."""
    cdef int descriptor = os.open(os.fsencode(folder) + b"/%d.life" % index, os.O_RDWR | os.O_CREAT, 0o600)
    cdef int answer = flock(descriptor, LOCK_EX | LOCK_NB)
    c_close(descriptor)
    return answer == 0
