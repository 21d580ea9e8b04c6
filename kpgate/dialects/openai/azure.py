"""Azure OpenAI: OpenAI's API at other addresses, by another header. What is said there is OpenAI's.

Shape: under a base URL that ends with `/openai/v1` the paths are OpenAI's own; under any other a path names the
deployment, and `api-version` a dated version of the API.
Source: Microsoft Learn, "Azure OpenAI REST API reference" and "API version lifecycle" (checked November 2026).
"""

from urllib.parse import quote

from msgspec.structs import replace

from kpgate.dialects.openai import endpoints
from kpgate.domain.dialect import Endpoint

CREDENTIAL = (b"api-key", b"")


def _path(endpoint: Endpoint, model: str, stream: bool) -> str:
    if endpoint not in endpoints.VENDOR.endpoints:
        # The Responses API has no deployment in its path there either.
        return "/openai" + endpoint.upstream_path
    return f"/openai/deployments/{quote(model, safe='')}{endpoint.upstream_path}"


def _chat_path(model: str, streamed: bool) -> str:
    return _path(endpoints.CHAT, model, streamed)


V1 = replace(endpoints.VENDOR, credential=CREDENTIAL)
DATED = replace(V1, native_path=_path, tongue=replace(endpoints.TONGUE, name="Azure OpenAI", path=_chat_path))
