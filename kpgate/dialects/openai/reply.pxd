# The compiled form of `reply.py`: what is read of every reply, and the limits on it.

from kpgate._fast.digits cimport decimal, spell
from kpgate._fast.limit cimport Verdict
from kpgate.domain.usage cimport Usage


cpdef Usage decode_usage(bytes raw)
cpdef Usage read_usage(bytes body)
cpdef list encode_limits(Verdict verdict)
