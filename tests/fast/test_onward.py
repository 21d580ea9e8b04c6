"""The head of a request to a provider."""

from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.head import gather
from kpgate._fast.onward import write_head

VALUES = st.none() | st.binary(max_size=40)


@given(
    st.binary(max_size=300),
    st.text(max_size=130),
    st.integers(-1, 2**63 - 1),
    VALUES,
    st.tuples(VALUES, VALUES, VALUES),
)
def test_a_head_has_its_lines_in_order_and_no_others(
    opening: bytes, request_id: str, body_bytes: int, parent: bytes | None, passed: tuple[bytes | None, ...]
) -> None:
    names = (b"tracestate", b"idempotency-key", b"openai-beta")
    sent = [(name, value) for name, value in zip(names, passed, strict=True) if value is not None]
    head = gather([(b"host", b"kpgate"), (b"cookie", b"secret"), *sent])
    length = b"content-length: %d" % body_bytes if body_bytes >= 0 else b"transfer-encoding: chunked"
    lines = [length, b"x-request-id: " + request_id.encode()]
    if parent is not None:
        lines.append(b"traceparent: " + parent)
    lines += [name + b": " + value for name, value in sent if parent is not None or name != b"tracestate"]
    assert (
        write_head(opening, head, request_id, body_bytes, parent)
        == opening + b"\r\n".join(lines) + b"\r\n\r\n"
    )
