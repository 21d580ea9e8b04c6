# The compiled form of `admit.py`: a record is read by its fields.

from kpgate.domain.call cimport Record
