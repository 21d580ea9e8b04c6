"""What is read of a call: the features of its complexity, its language, and what it needs of a model."""

import pytest

from kpgate.domain.chat import Chat, Format, Image, Reasoning, Role, Text, Tool, Turn
from kpgate.domain.language import language_of
from kpgate.domain.traits import NO_TRAITS, TEXT_MAX, Facts, Traits, complexity, read_chat, see


def said(text: str, role: Role = Role.USER) -> Turn:
    return Turn(role, [Text(text)])


def test_the_traits_of_a_chat() -> None:
    chat = Chat(
        turns=[
            said("Be brief.", Role.SYSTEM),
            Turn(Role.USER, [Text("First"), Image(url="https://x/y.png")]),
            said("Yes?", Role.ASSISTANT),
            said("Last " + "x" * 10_000),
        ],
        tools=[Tool("look")],
        format=Format(schema={"type": "object"}),
        reasoning=Reasoning(effort="high"),
        user="u",
        metadata={"k": "v"},
    )
    found = read_chat(chat)
    assert (found.turns, found.tools, found.images, found.json_schema, found.reasoning) == (
        4,
        True,
        True,
        True,
        True,
    )
    assert found.text.startswith("Last ") and len(found.text) == TEXT_MAX
    assert (found.opening, found.user, found.metadata) == ("Be brief.First", "u", {"k": "v"})
    plain = read_chat(Chat(turns=[said("hi")], format=Format(), reasoning=Reasoning(effort="none")))
    assert (plain.json_schema, plain.reasoning, plain.images, plain.tools) == (False, False, False, False)


@pytest.mark.parametrize(
    ("traits", "tokens", "points", "made_of"),
    [
        (NO_TRAITS, 20, 0, ""),
        (NO_TRAITS, 32, 6, "tokens=6"),
        (NO_TRAITS, 4_096, 48, "tokens=48"),
        (Traits(text="Why? And how?"), 9, 12, "questions=12"),
        (Traits(text="```c\nint f() {\n  g();\n```"), 9, 24, "code=24"),
        (Traits(text="```py\ndef f(): pass\n```"), 9, 16, "code=16"),
        (Traits(text="- one\n- two\n1. three"), 9, 6, "lists=6"),
        (Traits(turns=5, tools=True, images=True), 9, 26, "turns=6,tools=10,images=10"),
        (Traits(reasoning=True, json_schema=True), 9, 36, "json_schema=6,reasoning=30"),
    ],
)
def test_complexity_is_the_sum_of_what_is_documented(
    traits: Traits, tokens: int, points: int, made_of: str
) -> None:
    assert complexity(traits, see(traits.text), tokens) == (points, made_of)


def test_complexity_ends_at_a_hundred() -> None:
    most = Traits(40, True, True, True, True, "why how prove compare explain\n```\n```\n```\n" + "- a\n" * 20)
    assert complexity(most, see(most.text), 10**9)[0] == 100


def test_facts_are_read_when_they_are_asked_for() -> None:
    reads: list[int] = []

    def read() -> Traits:
        reads.append(1)
        return Traits(2, metadata={"a": "b", "n": 5}, text="Wie ist das Wetter in Berlin?")

    facts = Facts([(b"x-a", b"1")], read)
    assert (facts.header(b"x-a"), facts.header(b"x-b"), reads, facts.made_of()) == ("1", "", [], "")
    assert (facts.metadata("a"), facts.metadata("n"), facts.metadata("z")) == ("b", "", "")
    assert (facts.word("language"), facts.count("turns"), facts.count("complexity")) == ("de", 2, 0)
    assert (facts.made_of(), len(reads)) == ("0:", 1)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of France?", "en"),
        ("Wie ist das Wetter in Berlin?", "de"),
        ("Quelle est la capitale de la France ?", "fr"),
        ("¿Cuál es la capital de España y por qué?", "es"),
        ("Qual è la capitale d'Italia e come si arriva?", "it"),
        ("Qual é a capital de Portugal e como se chega?", "pt"),
        ("Wat is de hoofdstad van Nederland?", "nl"),
        ("Hur är vädret i Stockholm och vad kan jag göra?", "sv"),
        ("Jak jest pogoda w Warszawie i co mam zabrać?", "pl"),
        ("Как это работает и что для этого нужно?", "ru"),
        ("日本の首都はどこですか", "ja"),
        ("中国的首都是哪里", "zh"),
        ("대한민국의 수도는 어디입니까", "ko"),
        ("ما هي عاصمة مصر", "ar"),
        ("hi", ""),
        ("SELECT * FROM x", ""),
        ("1 + 1 = 2", ""),
        ("", ""),
    ],
)
def test_a_language_is_told_or_nothing_is_said(text: str, language: str) -> None:
    assert language_of(see(text)) == language
