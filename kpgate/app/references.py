"""References to secrets, as configuration writes them: `env:NAME` or `file:PATH`. Never the secret itself.

No message made here holds a value: only the reference, and only where it is one.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from kpgate.domain.secret import Secret

SECRET_BYTES_MAX = 64 * 1024
_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
# By what it has not: a class that names the rest of Unicode takes 5 ms to compile.
_SHOWN = re.compile(r"[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?")


class ReferenceFailed(ValueError):
    """A reference that leads to no usable secret; the message says why and never what was found."""


def is_reference(text: str) -> bool:
    """Whether a text points at a secret instead of being one."""
    return text.startswith(("env:", "file:"))


def env_name(reference: str) -> str | None:
    """The variable that an `env:` reference names."""
    match = _ENV.fullmatch(reference)
    return match[1] if match else None


def resolve(reference: str, environ: Mapping[str, str]) -> Secret:
    """The secret behind `env:NAME` or `file:PATH`; the blanks and line ends around it are dropped.

    Errors: ReferenceFailed.
    """
    if reference.startswith("env:"):
        name = env_name(reference)
        if name is None:
            raise ReferenceFailed("env: must be followed by the name of an environment variable")
        if name not in environ:
            raise ReferenceFailed(f"the environment variable {name} is not set")
        return _usable(environ[name], f"the environment variable {name}")
    if reference.startswith("file:"):
        path = Path(reference.removeprefix("file:")).expanduser()
        try:
            with path.open("rb") as file:
                raw = file.read(SECRET_BYTES_MAX + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            raise ReferenceFailed(f"the file {path} cannot be read: {reason}") from error
        if len(raw) > SECRET_BYTES_MAX:
            raise ReferenceFailed(f"the file {path} is too large for a secret")
        try:
            return _usable(raw.decode(), f"the file {path}")
        except UnicodeDecodeError:
            # The decoder's error carries the bytes: it must not become a cause.
            raise ReferenceFailed(f"the file {path} is not UTF-8 text") from None
    raise ReferenceFailed("a secret is written env:NAME or file:PATH, never in clear")


def shown(value: str, environ: Mapping[str, str]) -> str:
    """A setting that may be a reference, in clear: for what is sent, never for what is printed.

    Errors: ReferenceFailed.
    """
    return resolve(value, environ).reveal() if is_reference(value) else value


def exposure(reference: str) -> str | None:
    """What is unsafe about where a secret rests, or None."""
    if not reference.startswith("file:"):
        return None
    path = Path(reference.removeprefix("file:")).expanduser()
    try:
        mode = os.stat(path).st_mode & 0o777
    except (OSError, ValueError):
        return None
    if mode & 0o077:
        return f"the file {path} can be read by others (mode {mode:04o}): chmod 600 it"
    return None


def _usable(text: str, where: str) -> Secret:
    text = text.strip(" \t\r\n")
    if not text:
        raise ReferenceFailed(f"{where} is empty")
    if not _SHOWN.fullmatch(text):
        raise ReferenceFailed(f"{where} holds a character that no header can carry, such as a line end")
    return Secret(text)
