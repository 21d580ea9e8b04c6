# The compiled form of `request.py`: what every request is read by, and how it is sent on.

cimport cython
from kpgate._fast.body cimport Scan
from kpgate.domain.body cimport read_body, read_outlined
from kpgate.domain.call cimport Call


cpdef Call decode_chat(bytes body, cython.py_int depth_max)
cdef Call _call(object request, Scan offsets, cython.py_int cap, cython.py_int choices, object texts=*)
cpdef bytes forward(bytes body, Call call, str upstream_model, cython.py_int cap=*)
cpdef object bound(object edits, Call call, cython.py_int cap)
