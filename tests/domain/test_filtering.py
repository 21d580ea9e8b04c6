"""What a filter took, of whole replies in the neutral form."""

from kpgate.domain.chat import Refusal, Text, Thinking, ToolCall
from kpgate.domain.filtering import is_taken
from kpgate.domain.reply import Choice, Finish, Reply


def taken(*choices: Choice) -> bool:
    return is_taken(Reply("", "", list(choices)))


def test_only_a_reply_without_an_answer_is_taken() -> None:
    empty, blank = Choice([], Finish.FILTERED), Choice([Text(" \n")], Finish.FILTERED)
    assert taken(empty) and taken(blank) and taken(empty, blank)
    assert taken(Choice([Refusal("no"), Thinking("hm")], Finish.FILTERED))
    assert taken(Choice([Text("It was")], Finish.REFUSED)), "what was begun is to be thrown away"
    assert not taken(Choice([Text("It was")], Finish.FILTERED))
    assert not taken(Choice([ToolCall("1", "f")], Finish.FILTERED))
    assert not taken(Choice([Text("yes")]), empty), "another choice answers"
    assert not taken(Choice([Refusal("no")], Finish.STOP)), (
        "a model's own refusal in OpenAI's form is an answer"
    )
