# cython: language_level=3str, auto_pickle=False, autotestdict=False
"""What a text is like, in one pass: how often the words of a lexicon occur, its scripts, its marks of code and lists.

Knows no language and judges nothing: which words count for what is passed in.
"""

cimport cython
from cpython.unicode cimport (
    PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ, Py_UNICODE_ISALPHA, Py_UNICODE_TOLOWER,
)
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

cdef enum:
    WORD_LENGTH_MAX = 32

cdef uint64_t BASIS = <uint64_t>0xCBF29CE484222325
cdef uint64_t PRIME = <uint64_t>0x100000001B3


cdef struct Entry:
    uint64_t hashed
    uint32_t kinds


cdef struct Script:
    Py_UCS4 first
    Py_UCS4 last
    int place


@cython.final
cdef class Prose:
    """What one pass over the beginning of a text counted.

    Shape: `fences` are of three backquotes, `code_lines` end as code does, `items` are lines that begin as a list's do.
    """

    cpdef int64_t of_script(self, int place) except -1:
        """How many letters are of a script, by its place in the lexicon."""
        if not 0 <= place < self.script_count:
            raise IndexError(f"no script {place}")
        return self.in_scripts[place]

    cpdef int64_t of_kind(self, int place) except -1:
        """How many words are of a kind, by its place in the lexicon."""
        if not 0 <= place < self.kind_count:
            raise IndexError(f"no kind {place}")
        return self.in_kinds[place]

    @property
    def scripts(self) -> tuple:
        """Letters of each script."""
        return tuple([self.in_scripts[i] for i in range(self.script_count)])

    @property
    def kinds(self) -> tuple:
        """Words of each kind."""
        return tuple([self.in_kinds[i] for i in range(self.kind_count)])


@cython.final
cdef class Lexicon:
    """Words, each of some kinds, and scripts by their ranges of code points.

    Shape: `words` is a sequence for each kind, at most 32, lower case; `scripts` is a sequence for each script, at most
    16, of (first, last) code points.
    Errors: ValueError for more, or for words that cannot be told apart.
    """

    cdef Entry *table
    cdef uint64_t mask
    cdef Script scripts[SCRIPTS_MAX * 2]
    cdef int ranges
    cdef readonly int kinds
    cdef readonly int script_count

    def __cinit__(self, words, scripts):
        cdef dict found = {}
        cdef uint64_t size = 64
        cdef uint64_t hashed
        cdef int kind
        if len(words) > KINDS_MAX or len(scripts) > SCRIPTS_MAX:
            raise ValueError(f"at most {KINDS_MAX} kinds of words and {SCRIPTS_MAX} scripts")
        self.kinds = <int>len(words)
        self.script_count = <int>len(scripts)
        for kind in range(self.kinds):
            for word in words[kind]:
                if not word.isalpha() or word.lower() != word or len(word) > WORD_LENGTH_MAX:
                    raise ValueError(f"{word!r} is no word in lower case")
                hashed = hash_of(word)
                kept = found.setdefault(hashed, [word, 0])
                if kept[0] != word:
                    raise ValueError(f"{word!r} cannot be told from {kept[0]!r}")
                kept[1] |= 1 << kind
        while size < 4 * <uint64_t>len(found):
            size *= 2
        self.mask = size - 1
        self.table = <Entry *>calloc(size, sizeof(Entry))
        if self.table == NULL:
            raise MemoryError()
        for hashed, (_, kinds) in found.items():
            self.place(hashed).hashed = hashed
            self.place(hashed).kinds = kinds
        for kind in range(self.script_count):
            for first, last in scripts[kind]:
                if self.ranges == SCRIPTS_MAX * 2:
                    raise ValueError("too many ranges of code points")
                self.scripts[self.ranges] = Script(first, last, kind)
                self.ranges += 1

    def __dealloc__(self):
        free(self.table)

    cdef Entry *place(self, uint64_t hashed) noexcept nogil:
        """Where a word stands, or would."""
        cdef uint64_t at = hashed & self.mask
        while self.table[at].hashed != 0 and self.table[at].hashed != hashed:
            at = (at + 1) & self.mask
        return self.table + at

    cdef int script_of(self, Py_UCS4 c) noexcept nogil:
        cdef int i
        for i in range(self.ranges):
            if self.scripts[i].first <= c <= self.scripts[i].last:
                return self.scripts[i].place
        return -1

    def read(self, str text not None, Py_ssize_t length_max):
        """Read the beginning of a text."""
        cdef Prose found = Prose.__new__(Prose)
        cdef int kind_of_text = PyUnicode_KIND(text)
        cdef const void *data = PyUnicode_DATA(text)
        cdef Py_ssize_t end = min(PyUnicode_GET_LENGTH(text), length_max)
        cdef uint32_t ticks = 0
        cdef uint64_t hashed = BASIS
        cdef uint32_t bits
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t line = 0
        cdef Py_UCS4 c
        cdef Py_UCS4 last = 0
        cdef int script, i
        cdef bint in_word = False
        found.script_count = self.script_count
        found.kind_count = self.kinds
        while at <= end:
            c = PyUnicode_READ(kind_of_text, <void *>data, at) if at < end else c"\n"
            if (c"a" <= c <= c"z") or (c"A" <= c <= c"Z") or (c > 127 and Py_UNICODE_ISALPHA(c)):
                found.letters += 1
                if c <= 127:
                    hashed = (hashed ^ (<uint64_t>c | 32)) * PRIME
                else:
                    hashed = (hashed ^ <uint64_t>Py_UNICODE_TOLOWER(c)) * PRIME
                    script = self.script_of(c)
                    if script >= 0:
                        found.in_scripts[script] += 1
                in_word = True
                ticks = 0
                last = c
                at += 1
                continue
            if in_word:
                found.words += 1
                bits = self.place(hashed).kinds
                i = 0
                while bits:
                    found.in_kinds[i] += bits & 1
                    bits >>= 1
                    i += 1
                hashed = BASIS
                in_word = False
            ticks = ticks + 1 if c == c"`" else 0
            if ticks == 3:
                found.fences += 1
                ticks = 0
            if c == c"\n":
                found.code_lines += last == c"{" or last == c"}" or last == c";"
                found.items += is_item(kind_of_text, data, line, at)
                line = at + 1
                last = 0
            elif c != c" " and c != c"\t" and c != c"\r":
                last = c
            at += 1
        return found


cdef uint64_t hash_of(str word):
    cdef uint64_t hashed = BASIS
    cdef Py_UCS4 c
    for c in word:
        hashed = (hashed ^ <uint64_t>c) * PRIME
    return hashed or 1


cdef bint is_item(int kind, const void *data, Py_ssize_t at, Py_ssize_t end) noexcept:
    """Whether a line begins with a dash, a bullet, or a number with a dot or bracket, and a space."""
    cdef Py_UCS4 c = 0
    cdef Py_ssize_t digits = 0
    while at < end:
        c = PyUnicode_READ(kind, <void *>data, at)
        if c != c" " and c != c"\t":
            break
        at += 1
    if at + 1 >= end:
        return False
    if c == c"-" or c == c"*" or c == 0x2022:
        return PyUnicode_READ(kind, <void *>data, at + 1) == c" "
    while at < end and digits < 4 and c"0" <= PyUnicode_READ(kind, <void *>data, at) <= c"9":
        digits += 1
        at += 1
    if digits == 0 or at + 1 >= end:
        return False
    c = PyUnicode_READ(kind, <void *>data, at)
    return (c == c"." or c == c")") and PyUnicode_READ(kind, <void *>data, at + 1) == c" "
