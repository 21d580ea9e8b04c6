"""How many tokens a Gemini request's prompt has, by our own count: text exactly by our vocabulary, media roughly.

Google's own vocabulary is not public, so this is near, not exact: money is settled on what the provider says.
Source: ai.google.dev, "Understand and count tokens", "Image understanding", "Media resolution" (checked November
2026).
"""

import msgspec

from kpgate.dialects.gemini.forms import Part, declarations_of, parts_of
from kpgate.domain.call import Call
from kpgate.domain.dialect import Counter

PER_TURN = 3
PER_CALL = 3
PER_FUNCTION = 8
PER_IMAGE = 1120
"""The most that a picture takes at the default resolution; also for what only a URI leads to."""
MEDIA_BYTES_PER_TOKEN = 250
"""Sound is 32 tokens a second, film about 300, a page 258 to 560: near this at usual rates."""


def count_request(call: Call, vocabulary: Counter, model: str) -> int:
    """The prompt tokens of a request."""
    request, count = call.content.request, vocabulary.count
    total = 0
    contents = request.turns()
    if request.system_instruction is not None:
        contents = [request.system_instruction, *contents]
    for content in contents:
        total += PER_TURN
        for piece in parts_of(content):
            total += count(piece.text) if piece.text is not None else _other(piece, vocabulary)
    for tool in request.all_tools():
        for one in declarations_of(tool):
            shape = one.parameters_json_schema if one.parameters is None else one.parameters
            told = "" if shape is None else msgspec.json.encode(shape).decode()
            total += PER_FUNCTION + count(one.name) + count(one.description) + count(told)
    return total


def _other(piece: Part, vocabulary: Counter) -> int:
    count = vocabulary.count
    if piece.function_call is not None:
        call = piece.function_call
        return PER_CALL + count(call.name) + count(bytes(call.args).decode())
    if piece.function_response is not None:
        response = piece.function_response
        media = sum(_media(one.inline_data) for one in response.parts or ())
        return PER_CALL + count(response.name) + count(bytes(response.response).decode()) + media
    if piece.inline_data is not None:
        return _media(piece.inline_data)
    return PER_IMAGE if piece.file_data is not None else 0


def _media(blob: object) -> int:
    """What stands there as base64."""
    data = getattr(blob, "data", "")
    if getattr(blob, "mime_type", "image/").startswith("image/"):
        return PER_IMAGE
    return max(1, len(data) * 3 // 4 // MEDIA_BYTES_PER_TOKEN)
