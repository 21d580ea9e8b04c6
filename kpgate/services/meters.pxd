# The compiled form of `meters.py`: a record is read by its fields.

from kpgate.domain.call cimport Record
