# The compiled form of `count.py`: what every prompt is counted by, summed as a machine's number.

cimport cython
from kpgate.domain.call cimport Call


cpdef object count_chat(Call call, object vocabulary, str model)
@cython.locals(total=cython.longlong, messages=list, role=str)
cpdef object count_request(object request, object vocabulary, str model)
