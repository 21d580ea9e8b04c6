# The compiled form of `respond.py`: a record is read by its fields.

from kpgate._fast.digits cimport decimal
from kpgate.domain.call cimport Record


cpdef list describe(Record record)
