# The compiled form of `ledger.py`: what every held call asks of it, called without a look-up.

cimport cython
from kpgate._fast.digits cimport hexadecimal
from kpgate._fast.note cimport pack_end, pack_hold
from kpgate.domain.usage cimport Usage


cpdef str show_call(cython.py_int call)
cpdef bytes note_hold(
    str request_id, str model, cython.py_int price_version, cython.py_int input_bound, cython.py_int output_bound, cython.py_int factor
)
cpdef bytes note_end(
    str provider, str deployment, cython.py_int attempts, cython.py_int status, cython.py_int price_version, Usage usage
)
