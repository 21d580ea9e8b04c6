# The compiled form of `ledger.py`: what every held call asks of it, called without a look-up.

from kpgate._fast.digits cimport numbered
from kpgate._fast.note cimport pack_end, pack_hold
from kpgate.domain.usage cimport Usage

# What bounds notes, as words: no call looks them up.
cdef Py_ssize_t NAME_MAX
cdef Py_ssize_t PROVIDER_BYTES_MAX
cdef Py_ssize_t DEPLOYMENT_BYTES_MAX
cdef int _DONE


cpdef long long reason_of(object error) except? -1
cpdef str show_call(long long call)
cpdef bytes note_hold(
    str request_id, str model, long long price_version, long long input_bound, long long output_bound, long long factor
)
cpdef bytes note_end(
    str provider, str deployment, long long attempts, long long status, long long price_version, Usage usage
)
