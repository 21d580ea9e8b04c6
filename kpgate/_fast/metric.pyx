# cython: auto_pickle=False, autotestdict=False
"""Counters, gauges and histograms in shared memory: one shard a process, one writer a shard, read by any.

Owns the shards' layout, the bounded directory of series and the Prometheus text. It must not know what is
measured: names, labels and bounds come from the caller.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kpgate._fast.commit cimport AREA_METRIC, Area, Region, load, load_acquire, store_bare, store_bare_release

import re

cdef enum:
    OF_COUNTER = 0
    OF_GAUGE = 1
    OF_HISTOGRAM = 2
    TEXT_BYTES_A_SERIES = 160
    CELLS_A_SERIES = 12
    # Places kept for the series that take what found no place of its own.
    SPARE_SHARE = 16
    BOUNDS_MAX = 64

_TYPES = ("counter", "gauge", "histogram")
_VALUE = re.compile(r'="(?:[^"\\]|\\.)*"')


cdef struct Series:
    uint32_t kind
    uint32_t name_bytes
    uint32_t labels_bytes
    uint32_t bounds
    uint64_t text_at
    # A histogram's cells: bounds, a count a bucket and one beyond, sum. Others have one.
    uint64_t cell_at
    uint64_t scale
    uint64_t gap


cdef struct ShardHead:
    uint64_t series_max
    uint64_t series
    uint64_t text_used
    uint64_t cells_used
    uint64_t overflows
    uint64_t gap[3]


cdef uint64_t text_offset(uint64_t series_max) noexcept nogil:
    return sizeof(ShardHead) + series_max * sizeof(Series)


cdef uint64_t cells_offset(uint64_t series_max) noexcept nogil:
    return text_offset(series_max) + series_max * TEXT_BYTES_A_SERIES


cdef struct View:
    ShardHead *head
    Series *series
    char *text
    uint64_t *cells
    uint64_t series_max


cdef int look(Region region, uint64_t index, View *view) except -1:
    cdef Area *area = region.area(AREA_METRIC)
    cdef char *at
    if index >= area.count:
        raise IndexError(f"no shard {index}")
    at = <char *>region.head + area.offset_bytes + index * area.stride_bytes
    view.head = <ShardHead *>at
    view.series_max = (area.stride_bytes - sizeof(ShardHead)) // (
        sizeof(Series) + TEXT_BYTES_A_SERIES + 8 * CELLS_A_SERIES
    )
    view.series = <Series *>(at + sizeof(ShardHead))
    view.text = at + text_offset(view.series_max)
    view.cells = <uint64_t *>(at + cells_offset(view.series_max))
    return 0


cdef inline void bump(uint64_t *cell, uint64_t more) noexcept nogil:
    # One writer a shard: no lock, and no atomic addition.
    store_bare(cell, load(cell) + more)


@cython.final
cdef class Counter:
    """A number that only rises. Made by `Shard.counter`."""

    cpdef int add(self, uint64_t more) except -1:
        """Raise it."""
        bump(self.cell, more)
        return 0

    @property
    def value(self):
        """What this shard has counted."""
        return load(self.cell)


@cython.final
cdef class Gauge:
    """A number that goes up and down; shown as the sum over all shards. Made by `Shard.gauge`."""

    cpdef int add(self, int64_t more) except -1:
        """Raise it, or lower it by less than none."""
        bump(self.cell, <uint64_t>more)
        return 0

    def set(self, int64_t value):
        """Make it this."""
        store_bare(self.cell, <uint64_t>value)

    @property
    def value(self):
        """What stands in this shard."""
        return <int64_t>load(self.cell)


@cython.final
cdef class Histogram:
    """Counts of values up to each bound. Made by `Shard.histogram`."""

    cdef void note(self, int64_t value) noexcept nogil:
        cdef uint32_t low = 0
        cdef uint32_t high = self.bounds
        cdef uint32_t middle
        if value < 0:
            value = 0
        while low < high:
            middle = (low + high) >> 1
            if <int64_t>load(self.cells + middle) < value:
                low = middle + 1
            else:
                high = middle
        bump(self.cells + self.bounds + low, 1)
        bump(self.cells + 2 * self.bounds + 1, <uint64_t>value)

    cpdef int observe(self, int64_t value) except -1:
        """Count a value in its own unit: microseconds for times. Below 0 counts as 0."""
        self.note(value)
        return 0

    @property
    def counts(self):
        """How many values fell in each bucket of this shard, the last without bound."""
        return [load(self.cells + self.bounds + i) for i in range(self.bounds + 1)]

    @property
    def total(self):
        """The sum of all values of this shard."""
        return load(self.cells + 2 * self.bounds + 1)


@cython.final
cdef class RequestCells:
    """Everything that one finished request bumps, under one set of labels, in one call.

    Shape: a tuple of cells for each figure, so that one figure may stand under several names. Keep one a set
    of labels.
    """

    def __cinit__(
        self,
        *,
        tuple requests=(),
        tuple total=(),
        tuple overhead=(),
        tuple first_byte=(),
        tuple prompt_tokens=(),
        tuple completion_tokens=(),
    ):
        for cells, kind in (
            (requests, Counter),
            (total, Histogram),
            (overhead, Histogram),
            (first_byte, Histogram),
            (prompt_tokens, Counter),
            (completion_tokens, Counter),
        ):
            for cell in cells:
                if type(cell) is not kind:
                    raise TypeError(f"expected a {kind.__name__}, not {cell!r}")
        self.requests = requests
        self.total = total
        self.overhead = overhead
        self.first_byte = first_byte
        self.prompt = prompt_tokens
        self.completion = completion_tokens

    cdef void add_all(self, tuple cells, int64_t more) noexcept:
        if more > 0:
            for cell in cells:
                bump((<Counter>cell).cell, <uint64_t>more)

    cdef void note_all(self, tuple cells, int64_t value) noexcept:
        if value >= 0:
            for cell in cells:
                (<Histogram>cell).note(value)

    cpdef int record(self, int64_t total_us, int64_t overhead_us, int64_t first_byte_us, int64_t prompt_tokens,
                     int64_t completion_tokens) except -1:
        """Count one request.

        Units: microseconds and tokens; a figure below 0 is not known and not counted.
        """
        self.add_all(self.requests, 1)
        self.note_all(self.total, total_us)
        self.note_all(self.overhead, overhead_us)
        self.note_all(self.first_byte, first_byte_us)
        self.add_all(self.prompt, prompt_tokens)
        self.add_all(self.completion, completion_tokens)
        return 0


@cython.final
cdef class Shard:
    """One process's own part of the metrics. Whoever claims a seat anew goes on with its counters; gauges
    start at 0.

    Shape: labels come rendered, as `path="/v1/models",model="x"`, each value through `escape`. The directory
    is bounded: what finds no place is counted under the same label names with the value `other`.
    Errors: IndexError for a shard that the region does not have.
    """

    cdef Region region
    cdef View view
    cdef readonly int index
    cdef dict found

    def __cinit__(self, Region region not None, int index):
        cdef uint64_t i
        cdef Series *series
        look(region, index, &self.view)
        self.region = region
        self.index = index
        self.found = {}
        store_bare(&self.view.head.series_max, self.view.series_max)
        zero_gauges(region, index)
        for i in range(load(&self.view.head.series)):
            series = self.view.series + i
            key = key_of(&self.view, series)
            self.found[key] = i

    cdef Series *find(self, str name, str labels, int kind, tuple bounds, uint64_t scale) except NULL:
        cdef Series *series
        cdef uint32_t i
        key = (name, labels)
        place = self.found.get(key)
        if place is None:
            if not self.append(name, labels, kind, bounds, scale, self.view.series_max // SPARE_SHARE):
                bump(&self.view.head.overflows, 1)
                key = (name, _VALUE.sub('="other"', labels))
                if key not in self.found and not self.append(name, key[1], kind, bounds, scale, 0):
                    raise MemoryError(f"no place for {name}")
                # Not kept under its own labels: whoever sends ever new ones must not fill memory.
            place = self.found[key]
        series = self.view.series + <uint64_t>place
        if series.kind != <uint32_t>kind or (kind == OF_HISTOGRAM and series.bounds != len(bounds)):
            raise ValueError(f"{name} is another kind of metric already")
        for i in range(series.bounds):
            if <int64_t>self.view.cells[series.cell_at + i] != <int64_t>bounds[i]:
                raise ValueError(f"{name} has other bounds already")
        return series

    cdef bint append(self, str name, str labels, int kind, tuple bounds, uint64_t scale,
                     uint64_t spare) except -1:
        """Write a new series, visible to others by one store; False when there is no place."""
        cdef ShardHead *head = self.view.head
        cdef uint64_t place = load(&head.series)
        cdef bytes text = name.encode() + labels.encode()
        cdef uint64_t text_bytes = len(text)
        cdef uint64_t cells = 1 if kind != OF_HISTOGRAM else 2 * len(bounds) + 2
        cdef uint64_t used = load(&head.cells_used)
        cdef Series *series = self.view.series + place
        cdef uint64_t i
        if (
            place + spare >= self.view.series_max
            or head.text_used + text_bytes > (self.view.series_max - spare) * TEXT_BYTES_A_SERIES
            or used + cells > (self.view.series_max - spare) * CELLS_A_SERIES
        ):
            return False
        memcpy(self.view.text + head.text_used, <char *>text, text_bytes)
        series.kind = kind
        series.name_bytes = len(name.encode())
        series.labels_bytes = text_bytes - series.name_bytes
        series.bounds = len(bounds)
        series.text_at = head.text_used
        series.cell_at = used
        series.scale = scale
        for i in range(cells):
            self.view.cells[used + i] = <uint64_t><int64_t>bounds[i] if i < series.bounds else 0
        # A writer killed up to the last line has appended nothing.
        store_bare_release(&head.text_used, head.text_used + text_bytes)
        store_bare_release(&head.cells_used, used + cells)
        store_bare_release(&head.series, place + 1)
        self.found[(name, labels)] = place
        return True

    def counter(self, str name not None, str labels not None=""):
        """The counter of that name and labels, made at its first use.

        Errors: ValueError if it is another kind.
        """
        cdef Counter counter = Counter.__new__(Counter)
        counter.cell = self.view.cells + self.find(name, labels, OF_COUNTER, (), 1).cell_at
        counter.region = self.region
        return counter

    def gauge(self, str name not None, str labels not None=""):
        """The gauge of that name and labels, made at its first use.

        Errors: ValueError if it is another kind.
        """
        cdef Gauge gauge = Gauge.__new__(Gauge)
        gauge.cell = self.view.cells + self.find(name, labels, OF_GAUGE, (), 1).cell_at
        gauge.region = self.region
        return gauge

    def histogram(self, str name not None, str labels not None, tuple bounds not None,
                  uint64_t scale=1_000_000):
        """The histogram of that name and labels, made at its first use.

        Shape: `bounds` rise, whole numbers in the unit that is observed; shown divided by `scale`: as it
        stands, observed in microseconds and shown in seconds.
        Errors: ValueError for bounds that do not rise or are others than before.
        """
        cdef Histogram histogram = Histogram.__new__(Histogram)
        cdef Series *series
        rising = list(bounds) == sorted(set(bounds))
        if not 1 <= len(bounds) <= BOUNDS_MAX or not rising or bounds[0] < 0 or not scale:
            raise ValueError(f"{name}: bounds must rise, 1 to {BOUNDS_MAX} of them")
        series = self.find(name, labels, OF_HISTOGRAM, bounds, scale)
        histogram.cells = self.view.cells + series.cell_at
        histogram.bounds = series.bounds
        histogram.region = self.region
        return histogram

    @property
    def overflows(self):
        """How often a series found no place of its own."""
        return load(&self.view.head.overflows)

    def __repr__(self):
        return f"<Shard {self.index}, {load(&self.view.head.series)} of {self.view.series_max} series>"


cdef tuple key_of(View *view, Series *series):
    cdef char *at = view.text + series.text_at
    name = at[:series.name_bytes].decode()
    return name, at[series.name_bytes:series.name_bytes + series.labels_bytes].decode()


def zero_gauges(Region region not None, int index):
    """Set the gauges of a dead process's shard to 0. Order: its life lock is held."""
    cdef View view
    cdef uint64_t i
    look(region, index, &view)
    for i in range(load_acquire(&view.head.series)):
        if view.series[i].kind == OF_GAUGE:
            store_bare(view.cells + view.series[i].cell_at, 0)


def escape(str value not None):
    """A label's value as it may stand between quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


cdef dict gather(Region region):
    """All shards' series summed. Shape: name -> (kind, {labels: (bounds, scale, [figures])})."""
    cdef Area *area = region.area(AREA_METRIC)
    cdef View view
    cdef Series *series
    cdef uint64_t shard, i, j, cells
    cdef dict names = {}
    for shard in range(area.count):
        look(region, shard, &view)
        for i in range(load_acquire(&view.head.series)):
            series = view.series + i
            name, labels = key_of(&view, series)
            kind = series.kind
            bounds = tuple([<int64_t>view.cells[series.cell_at + j] for j in range(series.bounds)])
            cells = 1 if kind != OF_HISTOGRAM else series.bounds + 2
            figures = [load(view.cells + series.cell_at + series.bounds + j) for j in range(cells)]
            if kind == OF_GAUGE:
                figures = [<int64_t><uint64_t>figures[0]]
            # Two builds' workers may disagree for the length of a roll: their series stand apart.
            family = names.setdefault(name, (kind, {}))[1]
            before = family.get((labels, bounds))
            if before is None:
                family[labels, bounds] = (series.scale, figures)
            else:
                family[labels, bounds] = (before[0], [a + b for a, b in zip(before[1], figures, strict=True)])
    return names


cdef str decimal(object value, object scale):
    """An exact quotient in decimal figures, without a float's noise."""
    whole, rest = divmod(value, scale)
    if not rest:
        return str(whole)
    if scale == 1_000_000:
        return f"{whole}.{rest:06d}".rstrip("0")
    return repr(value / scale)


cdef void write_histogram(list lines, str name, str labels, tuple bounds, object scale,
                          list figures) except *:
    cdef int i
    cdef object running = 0
    comma = "," if labels else ""
    braced = "{" + labels + "}" if labels else ""
    for i in range(len(bounds)):
        running += figures[i]
        lines.append(f'{name}_bucket{{{labels}{comma}le="{decimal(bounds[i], scale)}"}} {running}\n')
    running += figures[len(bounds)]
    lines.append(f'{name}_bucket{{{labels}{comma}le="+Inf"}} {running}\n')
    lines.append(f"{name}_sum{braced} {decimal(figures[len(bounds) + 1], scale)}\n")
    lines.append(f"{name}_count{braced} {running}\n")


def render(Region region not None, dict helps not None):
    """All processes' metrics as Prometheus text 0.0.4, in order of names and labels.

    Shape: `helps` maps a metric's name to its help line.
    """
    cdef list lines = []
    names = gather(region)
    for name in sorted(names):
        kind, family = names[name]
        help_line = helps.get(name)
        if help_line:
            escaped = help_line.replace("\\", "\\\\").replace("\n", "\\n")
            lines.append(f"# HELP {name} {escaped}\n")
        lines.append(f"# TYPE {name} {_TYPES[kind]}\n")
        for (labels, bounds), (scale, figures) in sorted(family.items()):
            if kind == OF_HISTOGRAM:
                write_histogram(lines, name, labels, bounds, scale, figures)
            else:
                braced = "{" + labels + "}" if labels else ""
                lines.append(f"{name}{braced} {figures[0]}\n")
    return "".join(lines).encode()


def overflows(Region region not None):
    """How often a series found no place of its own, in all shards."""
    cdef Area *area = region.area(AREA_METRIC)
    cdef View view
    cdef uint64_t shard
    total = 0
    for shard in range(area.count):
        look(region, shard, &view)
        total += load(&view.head.overflows)
    return total


def areas(shards, series=4096):
    """The area a region needs for metrics.

    Shape: for `Region.create`; one shard a seat, `series` bounded each.
    """
    if not 1 <= series <= 1 << 20:
        raise ValueError(f"series: from 1 to {1 << 20}, not {series}")
    stride_bytes = sizeof(ShardHead) + series * (sizeof(Series) + TEXT_BYTES_A_SERIES + 8 * CELLS_A_SERIES)
    return {AREA_METRIC: (stride_bytes, shards)}
