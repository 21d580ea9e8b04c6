"""RESPOND: the head and the body of what the client gets. One place writes kpgate's headers."""

from kpgate._fast.digits import decimal
from kpgate.domain.call import Record
from kpgate.domain.dialect import Endpoint, Framing
from kpgate.domain.durations import whole_ms, whole_seconds
from kpgate.domain.errors import GatewayError, MethodNotAllowed, Retry
from kpgate.services.exchange import Exchange, Header

JSON = (b"content-type", b"application/json")
_TALLIES = tuple(b"%d" % count for count in range(16))


def describe(record: Record) -> list[Header]:
    """The headers on every reply: ids, who answered, time spent in kpgate, what it cost."""
    headers: list[Header] = [
        (b"x-request-id", record.request_id.encode()),
        (b"x-kpgate-attempts", _TALLIES[record.attempts]),
        (b"x-kpgate-overhead-us", decimal(record.overhead_us)),
    ]
    if record.model:
        headers.append((b"x-kpgate-model", record.model.encode()))
    if record.provider:
        headers.append((b"x-kpgate-provider", record.provider.encode()))
    if record.held_as:
        headers.append((b"x-kpgate-receipt", record.held_as.encode()))
        if not record.head_us and not record.stream:
            headers.append((b"x-kpgate-cost-microkpt", decimal(record.cost)))
    if record.route:
        headers.append((b"x-kpgate-route", record.route.encode("latin-1", "replace")))
        if record.expected >= 0:
            headers.append((b"x-kpgate-expected-cost-microkpt", decimal(record.expected)))
    if record.checked:
        headers.append((b"x-kpgate-output", record.checked.encode()))
    if record.dropped:
        headers.append((b"x-kpgate-dropped", record.dropped.encode()))
    return headers


def refusal(error: GatewayError) -> list[Header]:
    """The headers that tell a client what to do about an error."""
    headers: list[Header] = [JSON]
    if error.retry_after_us > 0:
        headers.append((b"retry-after", decimal(whole_seconds(error.retry_after_us))))
        headers.append((b"retry-after-ms", decimal(whole_ms(error.retry_after_us))))
    headers.append((b"x-should-retry", b"false" if error.retry is Retry.NEVER else b"true"))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    return headers


def refuse(
    exchange: Exchange,
    record: Record,
    endpoint: Endpoint,
    headers: list[Header],
    framer: Framing | None = None,
) -> None:
    """Send the record's error: whole before the first byte, else as the stream's last event."""
    error = record.error
    assert error is not None, "only an error is refused"
    if record.head_us:
        if endpoint.encode_break is not None and framer is not None:
            exchange.write(endpoint.encode_break(framer, error, record.request_id))
        else:
            exchange.write(endpoint.encode_error_event(error, record.request_id))
        exchange.finish()
        return
    body = endpoint.encode_error(error, record.request_id)
    record.status = error.status
    record.reply_bytes = len(body)
    exchange.reply(error.status, headers + refusal(error), body)
