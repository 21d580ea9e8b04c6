"""Whose seal is on a thought, and how a seal travels through a dialect that is another vendor's.

A vendor takes back the seals that it made and refuses all others, so each is named by its vendor: in the neutral form
by a field, in what a caller keeps of an answer by a mark before it, where the dialect alone does not say it. A mark is
kpgate's own and never goes to a provider. Claude's seals are the same wherever Claude runs.
Source: platform.claude.com, "Thinking" (signatures work on its own API, Amazon Bedrock and Google Cloud alike);
ai.google.dev, "Thought signatures"; OpenAI, "Reasoning models" (checked November 2026). Of Bedrock's models Claude
alone seals: Nova signs nothing, gpt-oss refuses the field (can1357/oh-my-pi#9086, August 2026; earendil-works/pi#686,
January 2026). What Google answers to another's: badrisnarayanan/antigravity-claude-proxy#18 (December 2025).
"""

from typing import NamedTuple

ANTHROPIC, GOOGLE, OPENAI = "anthropic", "google", "openai"
UNKNOWN = "unknown"
"""Of a seal under a mark that nobody can read: nobody gets it."""
MARK = "kpgate:"
REDACTED = "kpgate:redacted:"
"""Before what stands instead of a thought, where a dialect has one place for that and for a seal."""
MARKED = b'"kpgate:'
"""How a text begins in JSON that is under a mark."""
_VENDORS = frozenset((ANTHROPIC, GOOGLE, OPENAI))


class Seal(NamedTuple):
    """A seal and whose it is. Shape: `redacted` says that it stands instead of the thought."""

    text: str
    vendor: str
    redacted: bool = False


def wrap(seal: str, vendor: str, own: str) -> str:
    """A seal as a caller keeps it. Shape: `own` is the vendor whose dialect the caller speaks; its seals stand bare."""
    return seal if not seal or vendor in ("", own) else f"{MARK}{vendor}:{seal}"


def wrap_redacted(seal: str, vendor: str) -> str:
    """What stands instead of a thought, where seals stand."""
    return f"{REDACTED}{vendor or UNKNOWN}:{seal}"


def unwrap(kept: str, own: str) -> Seal:
    """What a caller gives back: its own vendor's, unless a mark says another."""
    if not kept.startswith(MARK):
        return Seal(kept, own if kept else "")
    redacted = kept.startswith(REDACTED)
    vendor, _, seal = kept.removeprefix(REDACTED if redacted else MARK).partition(":")
    return Seal(seal, vendor, redacted) if vendor in _VENDORS else Seal(kept, UNKNOWN, redacted)
