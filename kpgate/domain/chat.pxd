# The compiled form of `chat.py`: what a chat says as fields. None of it ever leads back to itself.

cimport cython


@cython.final
@cython.no_gc
cdef class Text:
    cdef public str text
    cdef public bint cached
    cdef public str ttl


@cython.final
@cython.no_gc
cdef class Image:
    cdef public str media_type
    cdef public str data
    cdef public str url
    cdef public str detail
    cdef public bint cached
    cdef public str ttl


@cython.final
@cython.no_gc
cdef class Audio:
    cdef public str format
    cdef public str data
    cdef public str id
    cdef public str transcript


@cython.final
@cython.no_gc
cdef class File:
    cdef public str media_type
    cdef public str data
    cdef public str url
    cdef public str id
    cdef public str name
    cdef public bint cached
    cdef public str ttl


@cython.final
@cython.no_gc
cdef class Thinking:
    cdef public str text
    cdef public str signature
    cdef public str redacted
    cdef public str vendor


@cython.final
@cython.no_gc
cdef class Refusal:
    cdef public str text


@cython.final
@cython.no_gc
cdef class ToolCall:
    cdef public str id
    cdef public str name
    cdef public str arguments
    cdef public str signature
    cdef public bint cached
    cdef public str ttl


@cython.final
@cython.no_gc
cdef class ToolResult:
    cdef public str id
    cdef public list parts
    cdef public str name
    cdef public bint failed
    cdef public bint cached
    cdef public str ttl


@cython.final
@cython.no_gc
cdef class Turn:
    cdef public object role
    cdef public list parts
    cdef public str name


@cython.final
@cython.no_gc
cdef class Tool:
    cdef public str name
    cdef public str description
    cdef public object parameters
    cdef public object strict
    cdef public bint cached
    cdef public str ttl


@cython.final
@cython.no_gc
cdef class ToolChoice:
    cdef public object how
    cdef public str name


@cython.final
@cython.no_gc
cdef class Format:
    cdef public object schema
    cdef public str name
    cdef public str description
    cdef public object strict


@cython.final
@cython.no_gc
cdef class Reasoning:
    cdef public str effort
    cdef public object budget
    cdef public object shown
    cdef public bint most


@cython.final
@cython.no_gc
cdef class Chat:
    cdef public list turns
    cdef public list tools
    cdef public object tool_choice
    cdef public object parallel_tools
    cdef public object format
    cdef public object output_cap
    cdef public object temperature
    cdef public object top_p
    cdef public object top_k
    cdef public object frequency_penalty
    cdef public object presence_penalty
    cdef public object seed
    cdef public list stop
    cdef public object logit_bias
    cdef public object logprobs
    cdef public object top_logprobs
    cdef public object choices
    cdef public object reasoning
    cdef public list modalities
    cdef public object voice
    cdef public str verbosity
    cdef public bint stream
    cdef public str user
    cdef public object metadata
    cdef public dict hints
    cdef public list unknown

    cpdef __post_init__(self)
    cpdef bint asks_more(self)
