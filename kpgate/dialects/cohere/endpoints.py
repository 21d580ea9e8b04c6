"""How a provider that speaks Cohere's API is asked. No caller speaks it: there is no endpoint of its own."""

from kpgate.dialects.cohere import ask, reply
from kpgate.dialects.cohere.stream import StreamReader
from kpgate.domain.dialect import Tongue, only_tongue
from kpgate.domain.events import Events


def _path(model: str, stream: bool) -> str:
    return "/chat"


TONGUE = Tongue(
    name="cohere",
    path=_path,
    encode_chat=ask.encode_chat,
    decode_reply=reply.decode_reply,
    decode_failure=reply.decode_failure,
    reader=StreamReader,
    split=Events,
)
VENDOR = only_tongue(TONGUE)
