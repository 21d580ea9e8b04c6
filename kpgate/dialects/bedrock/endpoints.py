"""How Bedrock is asked for a chat. No caller speaks Converse: there is no endpoint of its own."""

from urllib.parse import quote

from msgspec.structs import replace

from kpgate.dialects.bedrock import ask, reply, signing
from kpgate.dialects.bedrock.framing import Messages
from kpgate.dialects.bedrock.stream import StreamReader
from kpgate.domain.dialect import Tongue, only_tongue


def _path(model: str, stream: bool) -> str:
    """A model's id may be an ARN, with slashes: it is one segment of the path."""
    return f"/model/{quote(model, safe='')}/{'converse-stream' if stream else 'converse'}"


TONGUE = Tongue(
    name="bedrock",
    path=_path,
    encode_chat=ask.encode_chat,
    decode_reply=reply.decode_reply,
    decode_failure=reply.decode_failure,
    reader=StreamReader,
    split=Messages,
    stream_type=b"application/vnd.amazon.eventstream",
)
VENDOR = replace(only_tongue(TONGUE), signer=signing.signer)
