# cython: auto_pickle=False, autotestdict=False
"""One journal a node: entries are born in a ring in shared memory, under the lock, and flushed to prepared files.

Owns the format, the ring, the watermarks, writing, syncing and reading back. It must not know what entries mean.
An LSN is a byte position in the journal, and is never used again.
Source: docs/decisions/0007-one-journal.md.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport close as c_close

from kpgate._fast.commit cimport (
    AREA_JOURNAL, Area, Hand, Region, Seat, commit, load, load_acquire, plan, relax, store_bare_release, store_words,
    swap_word,
)
from kpgate._fast.crc cimport crc32c, prepare_crc
from kpgate._fast.segment cimport SegmentFile

import os

cdef enum:
    CONTROL_BYTES = 4096
    PAGE_BYTES = 4096
    HEAD_BYTES = 24
    ALIGN = 16
    # No entry is smaller, so less than this is never left over in a segment.
    ENTRY_MIN = 32
    SEGMENT_ENTRY_BYTES = 48
    SEGMENT_BYTES_MIN = 1 << 16
    PEN_PATIENCE_NS = 100_000
    # A file system may keep in one piece what was written at once, and goes through all its blocks at each write to it:
    # after writes of a MB it took three times as long.
    ZEROS_BYTES = 1 << 16
    READ_BYTES = 1 << 20
    IS_SEGMENT = 1
    IS_PAD = 2
    IS_SYNC = 3

SEGMENT, PAD, SYNC = IS_SEGMENT, IS_PAD, IS_SYNC
HOLD, EXTEND, METER, POST, VOID, TRANSFER = 4, 5, 6, 7, 8, 9

MISSING = "the file is missing"

prepare_crc()


cdef uint64_t monotonic_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * 1_000_000_000 + <uint64_t>now.tv_nsec


cdef inline uint64_t entry_bytes_of(uint64_t body_bytes) noexcept nogil:
    cdef uint64_t size = (HEAD_BYTES + body_bytes + ALIGN - 1) & ~<uint64_t>(ALIGN - 1)
    return size if size > ENTRY_MIN else ENTRY_MIN


def entry_bytes(uint64_t body_bytes):
    """How long the entry of a body is in the journal."""
    return entry_bytes_of(body_bytes)


def segment_name(uint64_t first):
    """The file of the segment that begins at an LSN."""
    return f"{first:016x}.kpj"


@cython.final
cdef class Journal:
    """A node's journal, as one process writes and reads it. `folder` holds its files.

    Errors: ValueError when the region has none.
    """

    def __cinit__(self, Region region not None, Seat seat not None, folder):
        cdef Area *area = region.area(AREA_JOURNAL)
        cdef uint64_t at
        self.region = region
        self.seat = seat
        self.folder = os.fsencode(folder)
        self.file = SegmentFile(folder)
        self.control = <Control *>(<char *>region.head + area.offset_bytes)
        self.ring = <uint64_t *>(<char *>self.control + CONTROL_BYTES)
        self.ring_bytes = area.stride_bytes - CONTROL_BYTES
        self.segment_bytes = load(&self.control.segment_bytes)
        if seat.region is not region or self.ring_bytes & (self.ring_bytes - 1):
            raise ValueError("the region was made for another build")
        # Every page of the ring faults here, not under the lock.
        for at in range(0, self.ring_bytes // 8, PAGE_BYTES // 8):
            load(self.ring + at)

    # Under the lock

    cdef bint has_room(self, uint64_t entry_bytes, uint64_t reserve_bytes) noexcept:
        """Whether an entry fits, and later ones of so many bytes as well, whatever the disk says then."""
        cdef Control *control = self.control
        cdef uint64_t tail = load(&control.tail)
        cdef uint64_t prepared = load_acquire(&control.prepared)
        cdef uint64_t wanted = entry_bytes + reserve_bytes + load(&control.reserved)
        # At each border an entry that does not fit leaves its place empty, and a segment's own entry follows.
        cdef uint64_t lost = ENTRY_MAX + SEGMENT_ENTRY_BYTES
        if not self.knows_segments() or prepared <= tail or load(&control.failed):
            return False
        lost *= (prepared - tail) // self.segment_bytes + 1
        if tail + wanted + lost > prepared:
            return False
        # What is kept for ends is kept in the ring as well: they never wait for a disk.
        return tail + wanted + lost - load_acquire(&control.written) <= self.ring_bytes

    cdef int64_t ledger_us(self, int64_t now_us) noexcept:
        """The time that money goes by, which never goes back. Units: microseconds since 1970, UTC."""
        cdef int64_t last_us = <int64_t>load(&self.control.ledger_us)
        cdef int64_t time_us = now_us + <int64_t>load(&self.control.anchor_us)
        if time_us < last_us:
            time_us = last_us
        plan(&self.seat.hand, &self.control.ledger_us, <uint64_t>time_us)
        return time_us

    cdef void plan_reserved(self, Hand *hand, int64_t delta) noexcept:
        """Plan that more bytes are kept for entries to come, or fewer."""
        if delta:
            plan(hand, &self.control.reserved, load(&self.control.reserved) + <uint64_t>delta)

    cdef uint64_t begin(self, Hand *hand, int kind, uint64_t body_bytes) noexcept:
        """Begin an entry, in the next segment if it does not fit into this one; its LSN. One entry a commit."""
        cdef uint64_t size = entry_bytes_of(body_bytes)
        cdef uint64_t left
        cdef uint64_t body[3]
        self.at = load(&self.control.tail)
        left = self.segment_bytes - self.at % self.segment_bytes
        if size > left or (left != size and left - size < ENTRY_MIN and size + ALIGN > ENTRY_MAX):
            self.filled = HEAD_BYTES
            self.seal(hand, IS_PAD, self.at, left)
        if self.at % self.segment_bytes == 0:
            body[0] = self.at
            body[1] = self.at
            body[2] = load(&self.control.start)
            self.filled = HEAD_BYTES
            self.put(body, sizeof(body))
            self.seal(hand, IS_SEGMENT, self.at, SEGMENT_ENTRY_BYTES)
        self.kind = kind
        self.filled = HEAD_BYTES
        return self.at

    cdef void put(self, const void *at, uint64_t size) noexcept:
        """Add a piece of the body. Order: not more in all than `begin` was told."""
        memcpy(<char *>self.draft + self.filled, at, size)
        self.filled += size

    cdef void end(self, Hand *hand) noexcept:
        """Finish the entry and plan the journal's new tail."""
        cdef uint64_t size = entry_bytes_of(self.filled - HEAD_BYTES)
        cdef uint64_t left = self.segment_bytes - self.at % self.segment_bytes
        if left - size < ENTRY_MIN:
            size = left
        self.seal(hand, self.kind, self.at, size)
        plan(hand, &self.control.tail, self.at)

    cdef void seal(self, Hand *hand, int kind, uint64_t lsn, uint64_t length) noexcept:
        """Write the draft's head, and the entry into the ring. Of padding only the head's words are written."""
        cdef EntryHead *head = <EntryHead *>self.draft
        cdef uint64_t words = length // 8
        cdef uint64_t place = (lsn & (self.ring_bytes - 1)) // 8
        cdef uint64_t left = self.ring_bytes // 8 - place
        cdef uint64_t whole = length if kind != IS_PAD else ENTRY_MIN
        memset(<char *>self.draft + self.filled, 0, whole - self.filled)
        head.length = <uint32_t>length
        head.lsn = lsn
        head.kind = <uint8_t>kind
        head.flags = 0
        head.zero[0] = head.zero[1] = 0
        head.body_bytes = <uint32_t>(self.filled - HEAD_BYTES)
        head.crc = 0
        # What pads out a segment is not looked at: its sum is of the head alone.
        head.crc = crc32c(<char *>self.draft + 8, whole - 8)
        if kind == IS_PAD:
            words = ENTRY_MIN // 8
        # The ring's end comes within an entry now and then.
        left = words if words < left else left
        store_words(hand, self.ring + place, self.draft, left)
        store_words(hand, self.ring, self.draft + left, words - left)
        self.at = lsn + length

    # Writing

    cpdef bint flush_all(self) except -1:
        """Have the files hold all that is committed by now. False: as `flush`."""
        return self.flush(load_acquire(&self.control.tail))

    cpdef bint flush(self, uint64_t position) except -1:
        """Have the files hold all that was committed before a position (a tail that was read).

        False: others are writing just now, try again off the event loop; or the disk has failed for good.
        """
        cdef uint64_t tail
        if load_acquire(&self.control.written) >= position:
            return True
        if load(&self.control.failed) or not self.knows_segments() or not self.take_pen(position):
            return load_acquire(&self.control.written) >= position
        tail = load_acquire(&self.control.tail)
        # Without the GIL to the very end: a disk that stalls stops this thread alone.
        with nogil:
            self.write_out(tail)
            store_bare_release(&self.control.pen, 0)
        return load_acquire(&self.control.written) >= position

    cdef bint take_pen(self, uint64_t position) except -1:
        """Be the one who writes. False: somebody else is, or has written it meanwhile."""
        cdef uint64_t word, seen
        cdef uint64_t start_ns = 0
        self.strokes += 1
        word = (<uint64_t>(self.seat.index + 1) << 52) | (<uint64_t>self.seat.incarnation << 32) | self.strokes
        while not swap_word(&self.control.pen, 0, word):
            seen = load(&self.control.pen)
            if load_acquire(&self.control.written) >= position:
                return False
            if start_ns == 0:
                start_ns = monotonic_ns()
            elif monotonic_ns() - start_ns > PEN_PATIENCE_NS:
                # What a dead one wrote is written again: the same bytes at the same place.
                return seen != 0 and self.seat.is_dead(seen) and swap_word(&self.control.pen, seen, word)
            relax()
        return True

    cdef void write_out(self, uint64_t position) noexcept nogil:
        """Write the ring's bytes up to a position where they belong. An error is for good."""
        cdef Control *control = self.control
        cdef uint64_t at = load_acquire(&control.written)
        cdef uint64_t size, offset
        cdef int64_t wrote
        cdef char *ring
        while at < position:
            offset = at % self.segment_bytes
            size = position - at
            if size > self.segment_bytes - offset:
                size = self.segment_bytes - offset
            if size > self.ring_bytes - at % self.ring_bytes:
                size = self.ring_bytes - at % self.ring_bytes
            ring = <char *>self.ring + at % self.ring_bytes
            wrote = self.file.write(at - offset, self.segment_bytes, offset, ring, size)
            if wrote < 0:
                store_bare_release(&control.failed, <uint64_t>-wrote)
                return
            at += <uint64_t>wrote
            store_bare_release(&control.written, at)

    cdef bint knows_segments(self) noexcept:
        """Whether the journal stands by now: one may be opened before that."""
        if not self.segment_bytes:
            self.segment_bytes = load(&self.control.segment_bytes)
        return self.segment_bytes != 0

    def append(self, int kind, bytes body not None, int64_t now_us):
        """Put an entry of one's own: its LSN, 0 when there is no room, -1 when the lock was busy."""
        cdef Hand *hand = &self.seat.hand
        cdef const char *at = body
        cdef uint64_t size = len(body)
        cdef uint64_t lsn
        if entry_bytes_of(size) + ALIGN > ENTRY_MAX:
            raise ValueError(f"an entry's body has at most {ENTRY_MAX - HEAD_BYTES - ALIGN} bytes")
        if not self.seat.take():
            return -1
        if not self.has_room(entry_bytes_of(size), 0):
            self.seat.give()
            return 0
        self.ledger_us(now_us)
        lsn = self.begin(hand, kind, size)
        self.put(at, size)
        self.end(hand)
        commit(hand)
        self.seat.give()
        return lsn

    # The clerk's

    def sync(self):
        """Have all that is written survive a power loss; how far that is. Any process may, several at once.

        Errors: OSError, after which nothing is held any more: what the disk has is not known.
        """
        cdef Control *control = self.control
        cdef uint64_t reached = load_acquire(&control.written)
        cdef uint64_t first = load(&control.durable)
        cdef int descriptor
        if reached <= first or load(&control.failed):
            return load(&control.durable)
        first -= first % self.segment_bytes
        while first < reached:
            try:
                descriptor = os.open(segment_path(self.folder, first), os.O_RDWR | os.O_CLOEXEC)
                try:
                    os.fdatasync(descriptor)
                finally:
                    c_close(descriptor)
            except OSError as error:
                store_bare_release(&control.failed, error.errno or 5)
                raise
            first += self.segment_bytes
        first = load(&control.durable)
        while first < reached and not swap_word(&control.durable, first, reached):
            first = load(&control.durable)
        return reached

    def prepare(self, uint64_t ahead_bytes):
        """Make one more segment if less than so much is ready: zeros on the disk. Whether one was made.

        Errors: OSError, as for a full disk: what is ready stays so, and it may be tried again.
        """
        cdef Control *control = self.control
        cdef uint64_t first = load(&control.prepared)
        if first - load(&control.tail) >= ahead_bytes:
            return False
        make_segment(self.folder, first, self.segment_bytes, b"")
        store_bare_release(&control.prepared, first + self.segment_bytes)
        return True

    def stand(self, uint64_t first, uint64_t previous_end, uint64_t start, uint64_t segment_bytes, int64_t last_us,
              int64_t anchor_us):
        """Begin the journal of this start in a new segment beyond every one there is.

        Shape: `previous_end` is where what is valid of the journal before it ended, 0 if there was none. The
        segment lies beyond that in any case, even where files are gone: no LSN comes twice.
        Errors: ValueError for what is no segment; OSError.
        """
        cdef Control *control = self.control
        cdef uint64_t tail
        if segment_bytes < SEGMENT_BYTES_MIN or segment_bytes & (segment_bytes - 1) or first % segment_bytes:
            raise ValueError(f"no segment of {segment_bytes} bytes begins at {first:#x}")
        if first < previous_end or not first:
            first = (previous_end // segment_bytes + 1) * segment_bytes
        self.segment_bytes = segment_bytes
        self.at = first
        body = b"".join(value.to_bytes(8, "little") for value in (first, previous_end, start))
        entry = spell_entry(SEGMENT, first, body)
        make_segment(self.folder, first, segment_bytes, entry)
        tail = first + len(entry)
        control.segment_bytes = segment_bytes
        control.ring_bytes = self.ring_bytes
        control.start = start
        control.tail = control.written = control.durable = control.posted = tail
        control.trimmed = 0
        control.prepared = first + segment_bytes
        control.ledger_us = <uint64_t>last_us
        control.anchor_us = <uint64_t>anchor_us

    def open(self):
        """Say that the start has come to its end: now there is something to serve by."""
        store_bare_release(&self.control.standing, 1)

    def note_posted(self, uint64_t lsn):
        """The store has all entries before it."""
        if lsn > load(&self.control.posted):
            store_bare_release(&self.control.posted, lsn)

    def set_anchor(self, int64_t anchor_us):
        """What is added to the monotonic clock to tell the time by. Order: the clerk's alone."""
        store_bare_release(&self.control.anchor_us, <uint64_t>anchor_us)

    def fail(self):
        """Say that nothing may be held any more: readiness falls, and only a new start mends it."""
        store_bare_release(&self.control.failed, 1)

    def trim(self, uint64_t lsn):
        """Delete the segments that lie before an LSN as a whole; how many. What is not posted stays.

        Errors: OSError.
        """
        cdef uint64_t first
        cdef uint64_t limit = min(lsn, load(&self.control.posted))
        gone = 0
        for first in segments(self.folder):
            if first + self.segment_bytes <= limit:
                os.unlink(segment_path(self.folder, first))
                gone += 1
        if limit > load(&self.control.trimmed):
            store_bare_release(&self.control.trimmed, limit)
        return gone

    def entries(self, uint64_t since, uint64_t until, count=10_000):
        """Entries from the files, oldest first, at most so many, and where to go on.

        Shape: (list of (LSN, kind, body), position). Order: `until` is written.
        Errors: ValueError where one is not whole; OSError.
        """
        found = []
        while since < until and len(found) < count:
            more, since, problem = read_entries(
                self.folder, since, until, self.segment_bytes, count - len(found)
            )
            found += more
            if problem:
                raise ValueError(f"the journal is damaged at {since:#x}: {problem}")
        return found, since

    @property
    def tail(self):
        """Where the next entry begins."""
        return load_acquire(&self.control.tail)

    @property
    def written(self):
        """Up to where the files hold it."""
        return load_acquire(&self.control.written)

    @property
    def durable(self):
        """Up to where the disk holds it."""
        return load_acquire(&self.control.durable)

    @property
    def posted(self):
        """Up to where the store holds it."""
        return load_acquire(&self.control.posted)

    @property
    def trimmed(self):
        """Up to where it may be gone."""
        return load_acquire(&self.control.trimmed)

    @property
    def prepared(self):
        """Up to where there are files."""
        return load_acquire(&self.control.prepared)

    @property
    def reserved(self):
        """Bytes kept for the ends of what is open."""
        return load(&self.control.reserved)

    @property
    def failed(self):
        """The system's number of the error that ended writing; 0: none did."""
        return load(&self.control.failed)

    @property
    def standing(self):
        """Whether a start has come to its end in this region."""
        return load_acquire(&self.control.standing) != 0

    @property
    def anchor_us(self):
        return <int64_t>load(&self.control.anchor_us)

    @property
    def time_us(self):
        """The time of the newest commit. Units: microseconds since 1970."""
        return <int64_t>load(&self.control.ledger_us)

    def __repr__(self):
        return f"<Journal {self.written:#x} written, {self.posted:#x} posted>"


# Files


def spell_entry(int kind, uint64_t lsn, bytes body not None):
    """The bytes of an entry."""
    size = entry_bytes_of(len(body))
    image = bytearray(size)
    image[0:4] = (<uint32_t>size).to_bytes(4, "little")
    image[8:16] = lsn.to_bytes(8, "little")
    image[16] = kind
    image[20:24] = len(body).to_bytes(4, "little")
    image[24 : 24 + len(body)] = body
    cdef const uint8_t[::1] view = image
    image[4:8] = crc32c(&view[8], size - 8).to_bytes(4, "little")
    return bytes(image)


cdef bytes segment_path(bytes folder, uint64_t first):
    return folder + b"/%016x.kpj" % first


def make_segment(folder, uint64_t first, uint64_t size, bytes beginning not None):
    """Make a segment's file: whole, of zeros but for its beginning, and on the disk, or not at all.

    Errors: OSError.
    """
    folder = os.fsencode(folder)
    path = segment_path(folder, first)
    draft = path + b".new"
    zeros = bytes(ZEROS_BYTES)
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        left = size
        while left:
            left -= os.write(descriptor, zeros[:left] if left < ZEROS_BYTES else zeros)
        os.pwrite(descriptor, beginning, 0)
        os.fsync(descriptor)
        os.rename(draft, path)
    except OSError:
        os.unlink(draft)
        raise
    finally:
        os.close(descriptor)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def segments(folder):
    """The LSNs at which the segments of a folder begin, in order."""
    names = (name for name in os.listdir(os.fsdecode(folder)) if len(name) == 20 and name.endswith(".kpj"))
    return sorted(int(name[:16], 16) for name in names)


cdef uint64_t span_of(const EntryHead *head, uint64_t lsn, uint64_t border) noexcept nogil:
    """How many bytes from its head on an entry's checksum speaks for; 0: no entry begins here."""
    cdef uint64_t length = head.length
    if length < ENTRY_MIN or length % ALIGN or lsn + length > border or head.lsn != lsn:
        return 0
    if head.kind == IS_PAD:
        return ENTRY_MIN if lsn + length == border else 0
    return length if length <= ENTRY_MAX and HEAD_BYTES + <uint64_t>head.body_bytes <= length else 0


def read_entries(folder, uint64_t since, uint64_t until, uint64_t segment_bytes, Py_ssize_t count):
    """Entries of one segment: a list of (LSN, kind, body), where it ended, and why, if not because of `until`.

    Order: `since` is where an entry begins.
    Errors: OSError.
    """
    cdef uint64_t first = since - since % segment_bytes
    cdef uint64_t at, length
    cdef uint64_t border = first + segment_bytes
    cdef const EntryHead *head
    cdef const uint8_t *start
    cdef uint64_t held, stop
    cdef bytes image
    cdef list found = []
    path = segment_path(os.fsencode(folder), first)
    stop = until if until < border else border
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return found, since, MISSING
    problem = ""
    try:
        while since < stop and len(found) < count and not problem:
            # No more than there is: most of a segment may be zeros as yet.
            length = min(border - since, stop - since + ENTRY_MAX, <uint64_t>READ_BYTES)
            image = os.pread(descriptor, length, since - first)
            start, held, at = image, len(image), 0
            while since + at < stop and len(found) < count:
                # What pads out a segment goes beyond what was read.
                if at + HEAD_BYTES > held:
                    break
                head = <const EntryHead *>(start + at)
                length = span_of(head, since + at, border)
                if length == 0:
                    problem = "no entry begins here"
                    break
                if at + length > held:
                    break
                if crc32c(start + at + 8, length - 8) != head.crc:
                    problem = "an entry's checksum is wrong"
                    break
                if head.kind != IS_PAD:
                    body = PyBytes_FromStringAndSize(<const char *>start + at + HEAD_BYTES, head.body_bytes)
                    found.append((head.lsn, head.kind, body))
                at += head.length
            if at == 0 and not problem:
                problem = "the file ends within an entry"
            since += at
    finally:
        os.close(descriptor)
    return found, since, problem


def recover(folder, uint64_t since, uint64_t segment_bytes, each, bint rebooted=True):
    """Read the past's journal from a position on: where what is valid ends, and what is wrong, if anything is.

    Shape: `each` is called with lists of (LSN, kind, body), and where they end; (end, problem). A tail that was
    cut is no problem; a damaged entry that had reached the disk is. `rebooted`: the machine may have lost what was
    not synced; else any whole entry further on proves damage.
    Errors: OSError.
    """
    firsts = segments(folder)
    if not since:
        if not firsts:
            return 0, ""
        # A segment that was made ahead and never used may be the oldest one left.
        since = next((one for one in firsts if read_entries(folder, one, one + 1, segment_bytes, 1)[0]), firsts[0])
    while True:
        found, since, problem = read_entries(folder, since, 1 << 62, segment_bytes, 10_000)
        if found:
            each(found, since)
        if not problem:
            continue
        follower = 0
        for first in firsts:
            if first > since:
                begun, _, _ = read_entries(folder, first, first + SEGMENT_ENTRY_BYTES, segment_bytes, 1)
                if begun and begun[0][1] == SEGMENT and int.from_bytes(begun[0][2][8:16], "little") == since:
                    follower = first
        if follower:
            since = follower
            continue
        if problem == MISSING and since % segment_bytes:
            return since, f"{problem} that held what came before {since:#x}"
        proof = find_sync(folder, since, segment_bytes)
        if proof and (read_entries(folder, since, 1 << 62, segment_bytes, 1)[1] > since or segments(folder) != firsts):
            # The journal of a gateway that runs: it went on writing meanwhile.
            firsts = segments(folder)
            continue
        if proof:
            return since, f"{problem} at {since:#x}, and {proof:#x} says that it had reached the disk"
        proof = 0 if rebooted else find_whole(folder, since, segment_bytes, False)
        if proof:
            return since, f"{problem} at {since:#x}, and there is a whole one at {proof:#x}"
        return since, ""


def find_sync(folder, uint64_t since, uint64_t segment_bytes):
    """Where a SYNC from a position on tells that what was before it reached the disk; 0: nowhere. Errors: OSError."""
    return find_whole(folder, since, segment_bytes, True)


cdef find_whole(folder, uint64_t since, uint64_t segment_bytes, bint is_sync):
    """Where the next whole entry is, of any kind or a SYNC that speaks for the position; 0: nowhere."""
    cdef const EntryHead *head
    cdef const uint8_t *start
    cdef uint64_t at, first, length, proved
    cdef bytes image
    for name in segments(folder):
        first = name
        if first + segment_bytes <= since:
            continue
        with open(segment_path(os.fsencode(folder), first), "rb") as file:
            image = file.read()
        start = image
        at = 0 if first >= since else since - first
        while at + ENTRY_MIN <= <uint64_t>len(image):
            head = <const EntryHead *>(start + at)
            length = span_of(head, first + at, first + segment_bytes)
            if is_sync and (head.kind != IS_SYNC or head.body_bytes != 8):
                length = 0
            if length and at + length <= <uint64_t>len(image) and crc32c(start + at + 8, length - 8) == head.crc:
                memcpy(&proved, start + at + HEAD_BYTES, 8)
                if not is_sync or proved > since:
                    return first + at
            at += ALIGN
    return 0


def torn_bytes(folder, uint64_t since, uint64_t segment_bytes):
    """How many bytes lie beyond where what is valid ends: what a start cuts off. Order: before it stands.

    Errors: OSError.
    """
    cdef uint64_t last = since
    for first in segments(folder):
        if first + segment_bytes > since:
            with open(segment_path(os.fsencode(folder), first), "rb") as file:
                used = len(file.read().rstrip(b"\0"))
                last = max(last, first + used if used else 0)
    return last - since


def areas(uint64_t ring_bytes=16 << 20):
    """The area a region needs for the journal.

    Shape: for `Region.create`. Units: `ring_bytes` is a power of two.
    """
    if ring_bytes & (ring_bytes - 1) or ring_bytes < 4 * ENTRY_MAX:
        raise ValueError(f"ring_bytes: a power of two from {4 * ENTRY_MAX}, not {ring_bytes}")
    return {AREA_JOURNAL: (CONTROL_BYTES + ring_bytes, 1)}
