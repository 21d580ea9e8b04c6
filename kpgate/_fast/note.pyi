__pyx_capi__: dict[str, object]

def pack_hold(
    request_id: str, model: str, price_version: int, input_bound: int, output_bound: int, factor: int
) -> bytes: ...
def pack_end(
    provider: str,
    deployment: str,
    attempts: int,
    status: int,
    price_version: int,
    prompt: int,
    output: int,
    cached: int,
    reasoning: int,
    heard: int,
    spoken: int,
    seen: int,
    written: int,
    kept: int,
    units: int,
    source: str,
) -> bytes: ...
