"""The admin API: paths, methods, roles and bodies, over management in memory."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from kpgate.app.admin import Admin
from kpgate.app.control import AsyncControl
from kpgate.app.directory import Directory
from kpgate.app.money_api import MoneyApi
from kpgate.domain.audit import GATEWAY, Actor, NoteAct
from kpgate.domain.caller import ADMIN, CALL
from kpgate.domain.errors import (
    BodyTooLarge,
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RoleRequired,
    StoreUnavailable,
)
from kpgate.domain.management import Answer, Operation
from tests.kit.keyrings import Keys

BOSS = Actor("http", ADMIN, "boss", "house")


class Desk:
    """The admin API over keys in memory."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.reloads = 0
        self.notes: list[tuple[NoteAct, Actor]] = []
        self.admin = Admin(self, MoneyApi(self), self.reload, dict, dict)

    async def ask(self, operation: Operation | NoteAct, actor: Actor = GATEWAY) -> Answer:
        if isinstance(operation, NoteAct):
            self.notes.append((operation, actor))
            return {"noted": True}
        return self.keys.management.answer(operation, actor)

    async def reload(self) -> Answer:
        self.reloads += 1
        return {"reloaded": True}

    def send(self, method: str, path: str, body: Any = b"", who: Actor = BOSS) -> tuple[int, Any]:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()

        async def read() -> bytes:
            return sent

        status, said = asyncio.run(self.admin.handle(method, "/admin/v1" + path, who, read))
        return status, json.loads(said)


def test_a_key_is_made_shown_rotated_and_revoked() -> None:
    desk = Desk()
    status, made = desk.send(
        "POST",
        "/keys",
        {"party": "acme", "models": ["gpt-*"], "limits": {"requests": "60/min"}, "expires": "30d"},
    )
    assert status == 201 and made["key"].startswith("sk-kp-" + made["id"]) and made["expires_at"]
    assert desk.keys.auth().identify(made["key"].encode(), "").limits.requests == "60/min"
    status, shown = desk.send("GET", f"/keys/{made['id']}")
    assert (status, shown) == (200, {name: value for name, value in made.items() if name != "key"})
    status, rotated = desk.send("POST", f"/keys/{made['id']}/rotate", {"grace": "1h"})
    assert status == 200 and rotated["key"] != made["key"] and rotated["old_secret_until"]
    assert desk.send("POST", f"/keys/{made['id']}/rotate")[0] == 200
    status, revoked = desk.send("DELETE", f"/keys/{made['id']}")
    assert status == 200 and revoked["revoked_at"]


def test_keys_are_listed_by_page_party_and_state() -> None:
    desk = Desk()
    made = [desk.send("POST", "/keys", {"party": f"p{at % 2}"})[1]["id"] for at in range(4)]
    desk.send("DELETE", f"/keys/{made[3]}")
    ids = [key["id"] for key in desk.send("GET", "/keys")[1]["keys"]]
    assert ids == made[:3]
    page = desk.send("GET", "/keys?count=2")[1]
    assert desk.send("GET", f"/keys?after={page['after']}&revoked=true")[1]["keys"][0]["id"] == made[2]
    assert len(desk.send("GET", "/keys?party=p1")[1]["keys"]) == 1


def test_a_partys_limits_are_set_by_its_name() -> None:
    desk = Desk()
    status, party = desk.send("PUT", "/parties/acme%20inc", {"limits": {"concurrency": 3}})
    assert (status, party["name"], party["limits"]) == (200, "acme inc", {"concurrency": 3})


def test_reload_is_passed_on() -> None:
    desk = Desk()
    assert desk.send("POST", "/reload") == (200, {"reloaded": True}) and desk.reloads == 1


def test_a_caller_without_the_role_gets_nowhere() -> None:
    desk = Desk()
    for path in ("/keys", "/reload", "/nothing"):
        with pytest.raises(RoleRequired):
            desk.send("POST", path, who=Actor("http", CALL, "x", "p"))
    assert desk.reloads == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "error", "said"),
    [
        ("GET", "/nothing", b"", NotFound, "/admin/v1/nothing"),
        ("GET", "/keys/../x", b"", NotFound, "path"),
        ("GET", "/keys/aaaaaaaaaa", b"", NotFound, "aaaaaaaaaa"),
        ("PATCH", "/keys", b"", MethodNotAllowed, "PATCH"),
        ("POST", "/keys/aaaaaaaaaa", b"", MethodNotAllowed, "POST"),
        ("GET", "/reload", b"", MethodNotAllowed, "GET"),
        ("POST", "/keys", b"", InvalidRequest, ""),
        ("POST", "/keys", b"{", InvalidRequest, ""),
        ("POST", "/keys", b"\xff", InvalidRequest, ""),
        ("POST", "/keys", b"[" * 60_000, InvalidRequest, ""),
        ("POST", "/keys", b"[]", InvalidRequest, "object"),
        ("POST", "/keys", {}, InvalidRequest, "party"),
        ("POST", "/keys", {"party": 5}, InvalidRequest, "party: expected `str`"),
        ("POST", "/keys", {"party": "a", "surprise": 1}, InvalidRequest, "surprise"),
        ("POST", "/keys", {"party": "a", "models": "gpt"}, InvalidRequest, "models"),
        ("POST", "/keys", {"party": "a", "expires": "soon"}, InvalidRequest, "expires: 'soon'"),
        ("POST", "/keys", {"party": "a", "expires": "2030-01-01T00:00:00"}, InvalidRequest, "expires"),
        ("POST", "/keys", {"party": "a", "limits": {"requests": "x"}}, InvalidRequest, "limits.requests"),
        ("POST", "/keys", {"party": "a", "limits": {"x": 1}}, InvalidRequest, "x"),
        ("POST", "/keys/aaaaaaaaaa/rotate", {"grace": "-1h"}, InvalidRequest, "grace"),
        ("GET", "/keys?count=x", b"", InvalidRequest, "count"),
        ("GET", "/keys?count=99999", b"", InvalidRequest, "count"),
        ("GET", "/keys?nonsense=1", b"", InvalidRequest, "nonsense"),
        ("PUT", "/parties/a%0ab", {}, InvalidRequest, "party"),
        ("POST", "/keys", b"x" * 70_000, BodyTooLarge, "65536"),
    ],
)
def test_what_is_wrong_is_named(
    method: str, path: str, body: Any, error: type[GatewayError], said: str
) -> None:
    with pytest.raises(error) as caught:
        Desk().send(method, path, body)
    assert said in caught.value.message


def test_without_a_clerk_management_is_unavailable(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.prepare()
    admin = Admin(AsyncControl(directory, 0.1), MoneyApi(Desk()), Desk().reload, dict, dict)

    async def read() -> bytes:
        return b""

    with pytest.raises(StoreUnavailable):
        asyncio.run(admin.handle("GET", "/admin/v1/keys", BOSS, read))
