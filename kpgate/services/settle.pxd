# The compiled form of `settle.py`: a record is read by its fields.

from kpgate.domain.call cimport Record
from kpgate.domain.dialect cimport Way
