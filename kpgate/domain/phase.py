"""The phases of a request, in order. The same word names the file, the metric, the log field and the test."""

from enum import StrEnum


class Phase(StrEnum):
    """Where in its life a request is. Order: as listed."""

    RECEIVE = "receive"
    DECODE = "decode"
    AUTH = "auth"
    ADMIT = "admit"
    ROUTE = "route"
    HOLD = "hold"
    UPSTREAM = "upstream"
    SETTLE = "settle"
    RESPOND = "respond"
