# The compiled form of `keys.py`: the hash of a key is asked for by every call.

cpdef bytes digest(bytes pepper, bytes credential)
