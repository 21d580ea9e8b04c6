# The compiled form of `neutral.py`: what it makes is made of fields.

from kpgate.domain.call cimport Call
from kpgate.domain.chat cimport Chat, Text, Turn


cpdef Chat neutral(bytes body, Call call)
cdef list _plain_turns(object asked, object offsets)
