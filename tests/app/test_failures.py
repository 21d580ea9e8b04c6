"""What failed in a background loop is told of, and does not fill a log."""

from typing import Any

from kpgate.app.failures import WINDOW_US, Failures


def failing(text: str) -> Exception:
    try:
        raise OSError(text)
    except OSError as error:
        return error


def test_a_failure_that_goes_on_is_told_of_once_a_while_with_how_often_it_was_met():
    said: list[tuple[str, dict[str, Any]]] = []
    now_us = [0]
    failures = Failures(lambda event, **fields: said.append((event, fields)), lambda: now_us[0])
    for now_us[0] in range(0, 2 * WINDOW_US, WINDOW_US // 10):
        failures.note(failing("of sk-kp-secret"))
    assert [fields.get("missed", 0) for _, fields in said] == [0, 9], "told at once, and again with the count"
    assert all(event == "OSError" and fields["file"] == "test_failures.py" for event, fields in said)
    assert "secret" not in str(said)


def test_another_failure_is_told_of_at_once():
    said: list[str] = []
    failures = Failures(lambda event, **fields: said.append(event), lambda: 0)
    failures.note(failing("one"))
    try:
        raise KeyError("another")
    except KeyError as error:
        failures.note(error)
    assert said == ["OSError", "KeyError"]
