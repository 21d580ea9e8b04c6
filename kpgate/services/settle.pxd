# The compiled form of `settle.py`: a record is read by its fields.

cimport cython
from kpgate.domain.call cimport Record
from kpgate.domain.dialect cimport Way
from kpgate.domain.usage cimport Usage


@cython.locals(said=Usage)
cpdef Usage read_used(Way way, Record record, bytes body)
cpdef Usage whole_usage(Way way, Record record, bytes body, Usage said, object vocabulary)
cpdef Usage counted(Record record, str text, object vocabulary)
cpdef Usage turned_usage(object turned, Record record, object vocabulary)
cpdef Usage measured(Usage usage, Record record)
