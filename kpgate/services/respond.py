"""RESPOND: the head and the body of what the client gets. One place writes kpgate's headers."""

from kpgate._fast.digits import decimal
from kpgate._fast.heading import Heading, no_headers
from kpgate._fast.limit import Verdict
from kpgate.domain.call import Record
from kpgate.domain.dialect import Endpoint, Framing
from kpgate.domain.durations import whole_ms, whole_seconds
from kpgate.domain.errors import GatewayError, MethodNotAllowed, Retry
from kpgate.services.exchange import Exchange, Header

JSON = (b"content-type", b"application/json")


def describe(record: Record) -> Heading:
    """The headers on every reply: ids, who answered, time spent in kpgate, what it cost."""
    headers = no_headers()
    headers.say(b"x-request-id", record.request_id)
    headers.count(b"x-kpgate-attempts", record.attempts)
    headers.count(b"x-kpgate-overhead-us", record.overhead_us)
    if record.model:
        headers.say(b"x-kpgate-model", record.model)
    if record.provider:
        headers.say(b"x-kpgate-provider", record.provider)
    if record.held_as:
        headers.say(b"x-kpgate-receipt", record.held_as)
        if not record.head_us and not record.stream:
            headers.count(b"x-kpgate-cost-microkpt", record.cost)
    if record.route:
        headers.add(b"x-kpgate-route", record.route.encode("latin-1", "replace"))
        if record.expected >= 0:
            headers.count(b"x-kpgate-expected-cost-microkpt", record.expected)
    if record.checked:
        headers.say(b"x-kpgate-output", record.checked)
    if record.dropped:
        headers.say(b"x-kpgate-dropped", record.dropped)
    return headers


def address(record: Record, endpoint: Endpoint, verdict: Verdict | None) -> Heading:
    """The same on the replies of an endpoint, with what is left of the caller's limits, in its dialect."""
    headers = describe(record)
    if verdict is not None:
        endpoint.encode_limits(verdict, headers)
    if endpoint.id_header:
        headers.say(endpoint.id_header, record.request_id)
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
    headers: Heading,
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
    headers.extend(refusal(error))
    exchange.reply(error.status, headers, body)
