"""The OpenAI API's inference endpoints: one row each."""

from kpgate.dialects.openai import count, reply, request
from kpgate.domain.dialect import Endpoint


def _endpoint(path: str, generates: bool, name: str) -> Endpoint:
    return Endpoint(
        path=f"/v1{path}",
        upstream_path=path,
        generates=generates,
        decode=getattr(request, f"decode_{name}"),
        count=getattr(count, f"count_{name}"),
        forward=request.forward,
        decode_usage=reply.decode_usage,
        decode_text=reply.decode_text,
        encode_error=reply.encode_error,
        encode_error_event=reply.encode_error_event,
        encode_cut=reply.encode_cut_chat if name == "chat" else reply.encode_cut_completion,
    )


ENDPOINTS = (
    _endpoint("/chat/completions", True, "chat"),
    _endpoint("/completions", True, "completion"),
    _endpoint("/embeddings", False, "embedding"),
)
