"""What a provider's address and dialect say of its API, before any call: the region, dated paths, other paths' model.

Nouns only: it knows no dialect's words, so that a configuration is judged without loading them.
"""

import re

from kpgate.domain.provider import Provider
from kpgate.domain.upstream import Origin, parse_origin

V1_PATHS = ("/openai/v1", "/v1")
SIGNED = ("bedrock",)
"""Dialects whose providers want each request signed."""
ANYTHING = "*"
"""What a provider's other paths are called as its deployment: it is no model's name there."""
_REGION = re.compile(r"(?:^|\.)bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")


def origin_of(provider: Provider) -> Origin:
    """Where a provider is. Errors: ValueError for an address that is none."""
    return Origin("http", "echo", 80) if provider.dialect == "echo" else parse_origin(provider.base_url)


def region_of(provider: Provider) -> str:
    """The region that a provider's calls are signed for; empty where nothing says which."""
    if provider.signing is not None and provider.signing.region:
        return provider.signing.region
    found = _REGION.search(origin_of(provider).host)
    return found[1] if found is not None else ""


def is_v1(base_path: str) -> bool:
    """Whether a base URL's path is that of Azure's undated API. Shape: without a last slash."""
    return base_path.endswith(V1_PATHS)


def name_of(provider: str) -> str:
    """The model that a provider's other paths are, for keys, limits, prices and records."""
    return f"providers/{provider}"
