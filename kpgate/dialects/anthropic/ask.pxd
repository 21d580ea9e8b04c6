# The compiled form of `ask.py`: what a chat's parts and the pen are asked for goes by their fields.

cimport cython

from kpgate._fast.pen cimport Pen
from kpgate.domain.chat cimport Chat, File, Image, Reasoning, Refusal, Text, Thinking, Tool, ToolCall, ToolResult, Turn
from kpgate.domain.dialect cimport Aim


cpdef bytes encode_chat(Chat chat, Aim aim)

cdef _write(Pen pen, list blocks)

@cython.locals(turn=Turn)
cdef tuple _messages(Chat chat, object able, Aim aim)

cdef list _blocks(list parts, object role, Aim aim)
