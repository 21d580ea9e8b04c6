"""What is said of a provider's API fits the dialect that it speaks."""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from kpgate.app.settings_tree import Path
from kpgate.domain.provider import Provider
from kpgate.domain.surface import SIGNED, is_v1, region_of

Say = Callable[[Path, str], None]

_VERSION = re.compile(r"[0-9A-Za-z.-]{1,40}")
_REGION = re.compile(r"[a-z0-9-]{1,40}")


def check_surface(path: Path, provider: Provider, report: Say) -> None:
    """Versions and further paths are for the dialects that have them."""
    azure, version = provider.dialect == "azure", provider.api_version
    if version and not azure:
        report((*path, "api_version"), "is for providers of the dialect azure")
    elif version and not _VERSION.fullmatch(version):
        report((*path, "api_version"), "expected a version such as 2024-10-21 or preview")
    elif azure and not version and provider.base_url and not _is_v1(provider.base_url):
        report((*path, "api_version"), "missing: what a base_url that does not end with /openai/v1 needs")
    if provider.responses and provider.dialect not in ("openai", "azure"):
        report((*path, "responses"), "is for providers of the dialects openai and azure")
    if provider.dialect == "bedrock" and provider.checks is not None and provider.checks.kind == "models":
        report(
            (*path, "checks", "kind"),
            "is tcp with the dialect bedrock: Bedrock's runtime has no list of models",
        )
    if provider.signing is not None:
        _check_signing(path, provider, report)


def _check_signing(path: Path, provider: Provider, report: Say) -> None:
    """Who signs sends no credential, and says for which region."""
    signing = provider.signing
    assert signing is not None, "it was looked for"
    if provider.dialect not in SIGNED:
        report((*path, "signing"), "is for providers of the dialect bedrock")
        return
    if provider.api_key is not None or provider.api_keys:
        report((*path, "api_key"), "is sent instead of what signing signs with: give one of the two")
    for name in provider.headers:
        if name.lower() in ("authorization", "x-amz-date", "x-amz-security-token"):
            report((*path, "headers", name), "is what signing sends: leave it out")
    if signing.region and not _REGION.fullmatch(signing.region):
        report((*path, "signing", "region"), "expected a region such as us-east-1")
    elif provider.base_url and not _region(provider):
        report((*path, "signing", "region"), "missing: base_url does not name one")


def secrets_of(path: Path, provider: Provider) -> Iterator[tuple[Path, str]]:
    """Every setting of a provider that is a secret and nothing else."""
    if provider.api_key is not None:
        yield (*path, "api_key"), provider.api_key
    for place, one in enumerate(provider.api_keys):
        yield (*path, "api_keys", place), one
    signing = provider.signing
    if signing is not None:
        yield (*path, "signing", "access_key"), signing.access_key
        yield (*path, "signing", "secret_key"), signing.secret_key
        if signing.session_token is not None:
            yield (*path, "signing", "session_token"), signing.session_token


def _region(provider: Provider) -> str:
    try:
        return region_of(provider)
    except ValueError:
        # An address that is none is told of elsewhere.
        return "unknown"


def _is_v1(base_url: str) -> bool:
    return is_v1(urlsplit(base_url).path.rstrip("/"))
