"""The phases of a request, in order. The same word names the file, the metric, the log field and the test."""


class Phase:
    """Where in its life a request is. Plain text, not an enumeration's members: every call looks at nine of them."""

    RECEIVE = "receive"
    DECODE = "decode"
    AUTH = "auth"
    ADMIT = "admit"
    ROUTE = "route"
    HOLD = "hold"
    UPSTREAM = "upstream"
    SETTLE = "settle"
    RESPOND = "respond"
