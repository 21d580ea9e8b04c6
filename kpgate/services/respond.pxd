# The compiled form of `respond.py`: a record is read by its fields.

cimport cython
from kpgate._fast.digits cimport decimal
from kpgate._fast.heading cimport Heading, no_headers
from kpgate._fast.limit cimport Verdict
from kpgate.domain.call cimport Record
from kpgate.domain.dialect cimport Endpoint


@cython.locals(headers=Heading)
cpdef Heading describe(Record record)
@cython.locals(headers=Heading)
cpdef Heading address(Record record, Endpoint endpoint, Verdict verdict)
