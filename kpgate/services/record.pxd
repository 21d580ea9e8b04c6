# The compiled form of `record.py`: a record is read by its fields.

from kpgate.domain.call cimport Record
