from kpgate._fast.head import Head

__pyx_capi__: dict[str, object]

def write_head(
    opening: bytes, head: Head, request_id: str, body_bytes: int, parent: bytes | None = None
) -> bytes: ...
