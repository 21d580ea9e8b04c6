# The compiled form of `life.py`: what serves calls, and what the phases of one share, as fields.

cimport cython
from kpgate._fast.head cimport Head
from kpgate._fast.limit cimport Verdict
from kpgate._fast.wait cimport Wheel
from kpgate.domain.call cimport Call, Record
from kpgate.domain.caller cimport Caller
from kpgate.domain.dialect cimport Endpoint, Way
from kpgate.domain.usage cimport Usage
from kpgate.services.admit cimport Admit
from kpgate.services.auth cimport Auth
from kpgate.services.hold cimport Hold, Holds
from kpgate.services.meters cimport Meters
from kpgate.services.receive cimport Ids, Inflight
from kpgate.services.record cimport Recorder, excerpt
from kpgate.services.route cimport Plan, Routes
from kpgate.services.upstream cimport Attempt


cdef class Equipment:
    cdef readonly Ids ids
    cdef readonly Inflight inflight
    cdef readonly object inflight_max
    cdef readonly object queue_wait_us
    cdef readonly Auth auth
    cdef readonly Routes routes
    cdef readonly Admit admit
    cdef readonly Holds holds
    cdef readonly object retrying
    cdef readonly object health
    cdef readonly object offload
    cdef readonly Wheel wheel
    cdef readonly Meters meters
    cdef readonly Recorder recorder
    cdef readonly object alarm
    cdef readonly object body_bytes_max
    cdef readonly object json_depth_max
    cdef readonly long long long_bytes
    cdef readonly bint log_bodies
    cdef readonly object top_ups
    cdef readonly tuple checks
    cdef readonly object shadows

    cpdef Plan plan(self, Call call, Caller caller)


cdef class Life:
    cdef public object exchange
    cdef public Endpoint endpoint
    cdef public Record record
    cdef public object turned
    cdef public Usage used
    cdef public Verdict verdict
    cdef public Way way
    cdef public Attempt attempt
    cdef public object framer
    cdef public Hold hold
    cdef public object ended
    cdef public Head head
    cdef public Call call
    cdef public Plan plan
    cdef public object decision
    cdef public object race
    cdef public object upload
    cdef public bint placed
    cdef public long long admitted_us
    cdef public long tokens
    cdef public long spoken

    cpdef bint place(self, Equipment kit) except -1
    cpdef object find(self, Equipment kit, Caller caller)
    cpdef object note(self, bytes body, bint keeps)
    cpdef bint admit(self, Equipment kit, Caller caller, long long now_us, tuple order) except -1
    @cython.locals(chosen=Py_ssize_t)
    cpdef tuple line_up(self, Equipment kit, tuple order, bytes body)
    cpdef object fail(self, object error)
    cpdef object release(self)
