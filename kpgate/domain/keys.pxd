# The compiled form of `keys.py`: a key's hash, called without a look-up.

cpdef bytes digest(bytes pepper, bytes credential)
