"""What an answer is from, by the vendors' own clients: from every provider, whole and streamed. What a client's dialect
has no place for is said in a header.
"""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from tests.kit.gateway_process import TRANSPORTS
from tests.kit.vendors import cited
from tests.kit.vendors.bedrock import SIGNING
from tests.kit.vendors.server import VendorServer
from tests.kit.whole import Whole

HELLO: Any = [{"role": "user", "content": "hello"}]
PLACES = {"gemini": "/v1beta", "cohere": "/v2", "bedrock": ""}
PAGE = (cited.URL, cited.PAGE)


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorServer]:
    with VendorServer(cited.answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, vendor: VendorServer
) -> Iterator[Whole]:
    said = ""
    for name in cited.VENDORS:
        credential = SIGNING if name == "bedrock" else 'api_key = "env:KPGATE_TEST_UPSTREAM"'
        said += (
            f'[[providers]]\nname = "{name}"\ndialect = "{name}"\nbase_url = "{vendor.url}{PLACES.get(name, "/v1")}"\n'
            f'{credential}\n[[models]]\nname = "{name}"\n'
            f'deployments = [{{provider = "{name}", model = "up"}}]\n'
        )
    with Whole(tmp_path_factory.mktemp("citations"), said, transport=request.param) as gate:
        yield gate


@pytest.mark.parametrize("name", cited.VENDORS)
def test_openai_s_client_reads_annotations(gate: Whole, name: str) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{gate.port}/v1", api_key=gate.key(), max_retries=0) as one:
        raw = one.chat.completions.with_raw_response.create(model=name, messages=HELLO)
        message = raw.parse().choices[0].message
        (note,) = message.annotations or ()
        assert (note.url_citation.url, note.url_citation.title) == PAGE
        place = slice(note.url_citation.start_index, note.url_citation.end_index)
        assert (message.content or "")[place] == cited.FIRST
        books = len(cited.CITES[name]) > 1
        assert raw.headers.get("x-kpgate-dropped") == ("citations" if books else None)
        found: list[Any] = []
        for chunk in one.chat.completions.create(model=name, messages=HELLO, stream=True):
            found += (
                (chunk.choices[0].delta.model_extra or {}).get("annotations", ()) if chunk.choices else ()
            )
        assert [(note["url_citation"]["url"], note["url_citation"]["title"]) for note in found] == [PAGE]
        reply = one.responses.create(model=name, input="hello")
        notes = [
            note
            for item in reply.output
            if item.type == "message"
            for part in item.content
            if part.type == "output_text"
            for note in part.annotations
            if note.type == "url_citation"
        ]
        assert [(note.url, note.title) for note in notes] == [PAGE]
        added: list[Any] = []
        for event in one.responses.create(model=name, input="hello", stream=True):
            if event.type == "response.output_text.annotation.added":
                added.append(event.annotation)
        assert [(note.url, note.title) for note in added if note.type == "url_citation"] == [PAGE]


@pytest.mark.parametrize("name", cited.VENDORS)
def test_anthropic_s_client_reads_cited_blocks(gate: Whole, name: str) -> None:
    with anthropic.Anthropic(
        base_url=f"http://127.0.0.1:{gate.port}", api_key=gate.key(), max_retries=0
    ) as one:
        whole = one.messages.create(model=name, max_tokens=50, messages=HELLO)
        with one.messages.stream(model=name, max_tokens=50, messages=HELLO) as events:
            streamed = events.get_final_message()
    for message in (whole, streamed):
        blocks = [block for block in message.content if block.type == "text"]
        assert "".join(block.text for block in blocks) == cited.TEXT
        found = [said for block in blocks for said in block.citations or ()]
        pages = [said for said in found if said.type == "web_search_result_location"]
        assert [(said.url, said.title) for said in pages] == [PAGE]


@pytest.mark.parametrize("name", cited.VENDORS)
def test_google_s_client_reads_grounds(gate: Whole, name: str) -> None:
    options = types.HttpOptions(base_url=f"http://127.0.0.1:{gate.port}")
    with genai.Client(api_key=gate.key(), http_options=options) as one:
        whole = one.models.generate_content(model=name, contents="hello")
        *_, last = one.models.generate_content_stream(model=name, contents="hello")
    for reply in (whole, last):
        assert reply.candidates is not None
        grounds = reply.candidates[0].grounding_metadata
        assert grounds is not None and grounds.grounding_chunks is not None
        web = grounds.grounding_chunks[0].web
        assert web is not None and (web.uri, web.title) == PAGE
        books = [one.retrieved_context for one in grounds.grounding_chunks if one.retrieved_context]
        assert [book.title for book in books] == [one.title for one in cited.CITES[name][1:]]
