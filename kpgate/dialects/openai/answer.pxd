# The compiled form of `answer.py`: what is written of a reply, and what with, goes by their fields.

cimport cython

from kpgate._fast.pen cimport Pen
from kpgate.domain.call cimport Call
from kpgate.domain.chat cimport Audio, Refusal, Text, Thinking, ToolCall
from kpgate.domain.reply cimport Choice, Reply
from kpgate.domain.usage cimport Usage


cpdef bytes encode_reply(Reply reply, Call call)
cdef _write_choice(Pen pen, cython.py_int index, Choice choice, Call call)
cdef _write_words(Pen pen, str words)
cpdef write_usage(Pen pen, Usage usage)
