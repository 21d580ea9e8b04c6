"""A text's UTF-8 where it stands, inline: most texts of a call are ASCII, and nothing is asked of Python for those.

Source: Python's C API, "Unicode Objects".
"""

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    const void *PyUnicode_1BYTE_DATA(object text)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL


cdef inline const char *utf8_of(str text, Py_ssize_t *size) except NULL:
    """The bytes of a text, which live as long as it does.

    Errors: TypeError for None; UnicodeEncodeError for half a character.
    """
    if text is None:
        raise TypeError("expected a text")
    if not PyUnicode_IS_COMPACT_ASCII(text):
        return PyUnicode_AsUTF8AndSize(text, size)
    size[0] = PyUnicode_GET_LENGTH(text)
    return <const char *>PyUnicode_1BYTE_DATA(text)
