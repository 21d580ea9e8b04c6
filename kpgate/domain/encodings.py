"""Which encoding counts a model's tokens, and how far the count can be trusted.

Source: tiktoken's table of models (checked November 2026); its `o200k_harmony` is `o200k_base` for ordinary text.
"""

EXACT, CALIBRATED = "exact", "calibrated"
DEFAULT = "o200k_base"

ENCODINGS = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
"""Encodings by name, each with the SHA-256 of its ranks."""

_PREFIXES = (
    ("gpt-4o", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-4.5", "o200k_base"),
    ("gpt-5", "o200k_base"),
    ("gpt-oss", "o200k_base"),
    ("chatgpt-4o", "o200k_base"),
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4", "o200k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-3.5", "cl100k_base"),
    ("gpt-35-turbo", "cl100k_base"),
    ("davinci-002", "cl100k_base"),
    ("babbage-002", "cl100k_base"),
    ("text-embedding-3", "cl100k_base"),
    ("text-embedding-ada-002", "cl100k_base"),
)


def encoding_for_model(model: str) -> tuple[str, str]:
    """The encoding of a model's tokens and the grade of a count by it: `exact` or `calibrated`.

    Shape: `model` is a provider's name for it, or an encoding's own name; what stands before a slash is ignored,
    as is `ft:` before a fine-tuned model.
    """
    if model in ENCODINGS:
        return model, EXACT
    name = model.rsplit("/", 1)[-1].removeprefix("ft:").lower()
    for prefix, encoding in _PREFIXES:
        if name == prefix or name.startswith((f"{prefix}-", f"{prefix}:", f"{prefix}.")):
            return encoding, EXACT
    return DEFAULT, CALIBRATED
