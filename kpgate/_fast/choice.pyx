# cython: language_level=3str, auto_pickle=False, autotestdict=False
"""In which order the candidates of one call are tried, where that is more than weights: by price, latency, load,
session, and by how each is doing.

Frozen once made but for whose turn it is among the credentials of one deployment. Knows places in the
configuration's lists, not what stands there; the random number, who is eligible, and the call's size are passed in.
"""

cimport cython
from cpython.long cimport PyLong_FromLong
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.math cimport ceil, log
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free

from kpgate._fast.commit cimport load
from kpgate._fast.pulse cimport (
    IS_BACK, IS_HALF_OPEN, IS_SPENT, KINDS, Pulse, Rules, Sign, latency_of, open_of, state_of, take_probe,
)

cdef enum:
    CANDIDATES_MAX = 64
    BY_WEIGHT = 0
    BY_COST = 1
    BY_LATENCY = 2
    BY_LOAD = 3
    BACK_PERCENT_MIN = 10
    CANARY_WHOLE = 10_000
    # Where nobody knows yet what answers come to. Units: tokens.
    OUTPUT_UNKNOWN = 256

# Whom nobody has measured is tried, but by one call at a time.
cdef double UNKNOWN_US = 1e12

WEIGHTED, COST, LATENCY, LEAST_BUSY = BY_WEIGHT, BY_COST, BY_LATENCY, BY_LOAD


cdef inline uint64_t mix(uint64_t x) noexcept nogil:
    """One to one, and every bit of it depends on every bit of `x` (splitmix64's end)."""
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline uint64_t draw(uint64_t *state) noexcept nogil:
    state[0] += <uint64_t>0x9E3779B97F4A7C15
    return mix(state[0])


cdef inline double fraction(uint64_t x) noexcept nogil:
    """Above 0 and below 1, evenly."""
    return ((x >> 11) + 0.5) / 9007199254740992.0


cdef struct Candidate:
    Sign *sign
    # The credential's own, where a provider has several; else NULL.
    Sign *key
    uint64_t seats
    uint64_t identity
    double weight
    double input
    double output
    double request
    # Above so many prompt tokens the call costs what these say.
    int64_t long_above
    double long_input
    double long_output
    int priority
    # Hundredths of a percent of keys or sessions, 0 for no canary.
    int canary
    # The first candidate of the same deployment: those of one group differ in the credential alone.
    int group


cdef struct Asked:
    uint64_t random
    uint64_t session
    # What canaries go by where there is no session.
    uint64_t key
    int64_t now_us
    int64_t prompt_tokens
    int64_t output_cap
    int64_t choices
    int kind
    bint streamed


@cython.final
cdef class Size:
    """How large a call is. Units: tokens; `output_cap` a choice. `kind` is the caller's, below `CALLER_KINDS`."""

    cdef readonly int64_t prompt_tokens
    cdef readonly int64_t output_cap
    cdef readonly int64_t choices
    cdef readonly int kind
    cdef readonly bint streamed

    def __cinit__(
        self, int64_t prompt_tokens=0, int64_t output_cap=0, int64_t choices=1, int kind=0, bint streamed=False
    ):
        if not 0 <= kind < KINDS:
            raise ValueError(f"no kind {kind}")
        self.prompt_tokens = prompt_tokens
        self.output_cap = output_cap
        self.choices = choices
        self.kind = kind
        self.streamed = streamed


cdef void fill_in(Asked *asked, Size size, int64_t now_us) noexcept:
    asked.now_us = now_us
    asked.random = asked.session = asked.key = 0
    asked.prompt_tokens = asked.output_cap = asked.choices = 0
    asked.kind = 0
    asked.streamed = False
    if size is not None:
        asked.prompt_tokens = size.prompt_tokens
        asked.output_cap = size.output_cap
        asked.choices = size.choices
        asked.kind = size.kind
        asked.streamed = size.streamed


@cython.final
cdef class Choice:
    """The candidates of one model.

    Shape: a candidate is (pulse, pulse of its credential or None, priority, weight, canary, group, identity, input,
    output, request, long_above, long_input, long_output): `canary` hundredths of a percent, `group` the place of the
    first candidate of its deployment, `identity` 64 bits that are the same for the same deployment in every
    configuration, its prices for a million tokens and a call, and those for tokens of a call with more than
    `long_above` in its prompt. At most 64.
    Errors: ValueError.
    """

    cdef Candidate *one
    cdef tuple kept
    cdef Rules rules
    cdef readonly int count
    cdef readonly int strategy
    cdef readonly bint sticky
    cdef readonly bint grouped
    cdef readonly bint tracked
    cdef uint64_t turn

    def __cinit__(self, candidates, Rules rules not None, int strategy=BY_WEIGHT, bint sticky=False):
        cdef Pulse pulse
        cdef Pulse key
        cdef Candidate *at
        cdef int i
        if not 1 <= len(candidates) <= CANDIDATES_MAX:
            raise ValueError(f"a model has 1 to {CANDIDATES_MAX} candidates, each credential counted")
        self.one = <Candidate *>calloc(len(candidates), sizeof(Candidate))
        if self.one == NULL:
            raise MemoryError()
        self.kept = tuple(candidates)
        self.rules = rules
        self.count = <int>len(candidates)
        self.strategy = strategy
        self.sticky = sticky
        self.tracked = strategy in (BY_LATENCY, BY_LOAD)
        for i in range(self.count):
            at = &self.one[i]
            pulse, key, at.priority, at.weight, at.canary, at.group, at.identity = self.kept[i][:7]
            at.input, at.output, at.request, at.long_above, at.long_input, at.long_output = self.kept[i][7:]
            if not 1 <= at.weight or not 0 <= at.canary <= CANARY_WHOLE or not 0 <= at.group <= i:
                raise ValueError(f"candidate {i} has no such weight, canary or group")
            at.sign, at.seats = pulse.at, pulse.seats
            at.key = key.at if key is not None else NULL
            self.grouped = self.grouped or at.group != i

    def __dealloc__(self):
        free(self.one)

    cdef int state(self, int i, int64_t now_us) noexcept nogil:
        """How a candidate is doing, its credential included."""
        cdef int found = state_of(self.one[i].sign, now_us, self.rules.slow_us)
        cdef int of_key
        if self.one[i].key != NULL:
            of_key = state_of(self.one[i].key, now_us, self.rules.slow_us)
            if of_key > found:
                return of_key
        return found

    cdef double cost(self, int i, Asked *asked) noexcept nogil:
        """What the call is expected to cost there: the prompt, and as much output as its answers come to."""
        cdef Candidate *at = &self.one[i]
        cdef int64_t output = (<int64_t>load(&at.sign.spoken[asked.kind]) + 8) >> 4
        if output == 0:
            output = OUTPUT_UNKNOWN
        if output > asked.output_cap:
            output = asked.output_cap
        output *= asked.choices
        if asked.prompt_tokens > at.long_above:
            return asked.prompt_tokens * at.long_input + <double>output * at.long_output + at.request * 1e6
        return asked.prompt_tokens * at.input + <double>output * at.output + at.request * 1e6

    cdef double score(self, int i, Asked *asked) noexcept nogil:
        """The less the better."""
        cdef Candidate *at = &self.one[i]
        cdef double opened, latency
        if self.strategy == BY_COST:
            return self.cost(i, asked)
        opened = open_of(at.sign, at.seats)
        if self.strategy == BY_LOAD:
            return (opened + 1) / at.weight
        latency = latency_of(at.sign, asked.streamed, asked.now_us)
        if latency < 1:
            latency = UNKNOWN_US if opened else 0
        return latency * (opened + 1)

    cdef void sort(self, int *out, double *by, int count) noexcept nogil:
        """Put in order by a score; equals stay as they are."""
        cdef int i, j, held
        cdef double score
        for i in range(1, count):
            held, score, j = out[i], by[out[i]], i
            while j > 0 and by[out[j - 1]] > score:
                out[j] = out[j - 1]
                j -= 1
            out[j] = held

    cdef void arrange(self, int *out, int count, Asked *asked, uint64_t *state) noexcept nogil:
        """Put the candidates of one priority in order."""
        cdef double by[CANDIDATES_MAX]
        cdef int i, held
        cdef bint seeded = self.sticky and asked.session != 0
        if count < 2:
            return
        # A draw by weight: the least of -ln(u) / w comes first. By session it is a rendezvous: who leaves moves
        # nobody else.
        for i in range(count):
            held = out[i]
            if seeded:
                by[held] = -log(fraction(mix(asked.session ^ self.one[held].identity))) / self.one[held].weight
            else:
                by[held] = -log(fraction(draw(state))) / self.one[held].weight
        self.sort(out, by, count)
        if seeded or self.strategy == BY_WEIGHT:
            return
        if self.strategy == BY_LATENCY:
            # The better of two that chance chose: the best of all would draw everybody at once.
            if self.score(out[1], asked) < self.score(out[0], asked):
                out[0], out[1] = out[1], out[0]
            return
        for i in range(count):
            by[out[i]] = self.score(out[i], asked)
        self.sort(out, by, count)

    cdef int fill(self, int *out, int count, uint64_t mask, Asked *asked, uint64_t *state) noexcept nogil:
        """Add those of a mask to `out`, by priority; returns how many it holds then."""
        cdef int begin, i, priority
        while mask:
            priority = 1 << 30
            for i in range(self.count):
                if (mask >> i) & 1 and self.one[i].priority < priority:
                    priority = self.one[i].priority
            begin = count
            for i in range(self.count):
                if (mask >> i) & 1 and self.one[i].priority == priority:
                    out[count] = i
                    count += 1
                    mask &= ~(<uint64_t>1 << i)
            self.arrange(out + begin, count - begin, asked, state)
        return count

    cdef uint64_t take_turns(self, uint64_t mask, uint64_t well) noexcept:
        """Of each deployment's credentials the one whose turn it is, of those that are well if any is."""
        cdef uint64_t chosen = 0
        cdef uint64_t members, turn
        cdef int i, j, size
        self.turn += 1
        for i in range(self.count):
            if self.one[i].group != i:
                continue
            members, size = 0, 0
            for j in range(i, self.count):
                if self.one[j].group == i and (mask >> j) & 1:
                    members |= <uint64_t>1 << j
            if members & well:
                members &= well
            for j in range(i, self.count):
                size += (members >> j) & 1
            turn = self.turn % size if size else 0
            for j in range(i, self.count):
                if (members >> j) & 1:
                    if turn == 0:
                        chosen |= <uint64_t>1 << j
                        break
                    turn -= 1
        return chosen

    cdef int decide(self, int *out, uint64_t eligible, uint64_t shy, Asked *asked) noexcept:
        """Everybody who is eligible, in order.

        Order: who is well; then who waits for its share (just back, or a canary for others); then who is out.
        `shy` are treated as out.
        """
        cdef uint64_t first = 0
        cdef uint64_t well = 0
        cdef uint64_t waiting = 0
        cdef uint64_t away = 0
        cdef uint64_t bit, rest
        cdef uint64_t state = asked.random
        cdef int i, count, found, percent
        cdef int ill = 0
        cdef int total = 0
        for i in range(self.count):
            bit = <uint64_t>1 << i
            if not eligible & bit:
                continue
            found = self.state(i, asked.now_us)
            total += 1
            if found > IS_HALF_OPEN or (shy & bit):
                away |= bit
                ill += found > IS_SPENT
            elif found == IS_BACK and not self.in_share(i, asked.now_us, draw(&state)):
                waiting |= bit
            else:
                well |= bit
            if self.one[i].canary and well & bit:
                well &= ~bit
                percent = <int>(mix(asked.key ^ self.one[i].identity ^ <uint64_t>0xCA4A41) % CANARY_WHOLE)
                if percent < self.one[i].canary:
                    first |= bit
                else:
                    waiting |= bit
        if ill and (total - ill) * 100 < <int>self.rules.panic_percent * total:
            # So many out are more likely a fault of ours, and the rest would not bear it.
            for i in range(self.count):
                bit = <uint64_t>1 << i
                if away & bit and self.state(i, asked.now_us) > IS_SPENT:
                    away &= ~bit
                    well |= bit
        rest = 0
        if self.grouped:
            bit = self.take_turns(first | well | waiting | away, first | well)
            rest = (first | well | waiting) & ~bit
            first, well, waiting, away = first & bit, well & bit, waiting & bit, away & ~rest
        count = self.fill(out, 0, first, asked, &state)
        count = self.fill(out, count, well, asked, &state)
        count = self.fill(out, count, rest, asked, &state)
        count = self.fill(out, count, waiting, asked, &state)
        return self.fill(out, count, away, asked, &state)

    cdef bint in_share(self, int i, int64_t now_us, uint64_t random) noexcept nogil:
        """Whether this call is of the share that one just back takes, which grows with the time since."""
        cdef int64_t since_us = now_us - <int64_t>load(&self.one[i].sign.back_us)
        cdef int64_t share = since_us * 100 // self.rules.slow_us if self.rules.slow_us else 100
        if share < BACK_PERCENT_MIN:
            share = BACK_PERCENT_MIN
        return <int64_t>(random % 100) < share

    def order(self, uint64_t random, uint64_t eligible, int64_t now_us, Size size=None, uint64_t session=0,
              uint64_t key=0, bint asks=True):
        """The candidates to try, first to last.

        Shape: `random` is 64 random bits; bit i of `eligible` is candidate i; `session` is a hash that is the same
        for one conversation, 0 for none, and `key` for one caller. Where the first of them is half open, this call
        takes the right to probe it; where it only `asks` what would be, it does not.
        """
        cdef int[CANDIDATES_MAX] out
        cdef Asked asked
        cdef uint64_t shy = 0
        cdef int count, i
        fill_in(&asked, size, now_us)
        asked.random = random
        asked.session = session
        asked.key = session if session else key
        while True:
            count = self.decide(out, eligible, shy, &asked)
            if not count or asks or (shy >> out[0]) & 1:
                break
            if self.state(out[0], now_us) != IS_HALF_OPEN or self.may_probe(out[0], now_us):
                break
            shy |= <uint64_t>1 << out[0]
        result = PyTuple_New(count)
        for i in range(count):
            value = PyLong_FromLong(out[i])
            Py_INCREF(value)
            PyTuple_SET_ITEM(result, i, value)
        return result

    cdef bint may_probe(self, int i, int64_t now_us) noexcept:
        cdef Candidate *at = &self.one[i]
        if state_of(at.sign, now_us, 0) == IS_HALF_OPEN and not take_probe(at.sign, now_us, self.rules.probe_us):
            return False
        return at.key == NULL or state_of(at.key, now_us, 0) != IS_HALF_OPEN or take_probe(
            at.key, now_us, self.rules.probe_us
        )

    def within(self, uint64_t eligible, Size size not None, int64_t cost_max, int64_t factor):
        """Those of a mask that the call is expected to cost no more than `cost_max`.

        Units: microKPT; `factor` basis points of the price.
        """
        cdef Asked asked
        cdef int i
        cdef double most = <double>cost_max * 1e10 / factor
        fill_in(&asked, size, 0)
        for i in range(self.count):
            if (eligible >> i) & 1 and self.cost(i, &asked) > most:
                eligible &= ~(<uint64_t>1 << i)
        return eligible

    def expected(self, int i, Size size not None, int64_t factor):
        """What the call is expected to cost at candidate i. Units: microKPT; `factor` basis points of the price."""
        cdef Asked asked
        if not 0 <= i < self.count:
            raise IndexError(f"no candidate {i}")
        fill_in(&asked, size, 0)
        return <int64_t>ceil(self.cost(i, &asked) * factor / 1e10)

    def states(self, int64_t now_us):
        """How each is doing, its credential included: numbers as `pulse` names them."""
        return [self.state(i, now_us) for i in range(self.count)]

    def scores(self, int64_t now_us, Size size not None):
        """What each is judged by where the strategy judges: the less the better. Units: the strategy's own."""
        cdef Asked asked
        fill_in(&asked, size, now_us)
        return [self.score(i, &asked) for i in range(self.count)]
