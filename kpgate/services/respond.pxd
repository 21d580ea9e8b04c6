# The compiled form of `respond.py`: a record is read by its fields.

from kpgate.domain.call cimport Record
