"""Receipts of a real ledger hold, and nothing in one can be changed: two verifiers find it, and ours names it."""

import copy
import dataclasses
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kpgate._fast.credit import DONE, Decision, Purse
from kpgate._fast.wait import clock
from kpgate.app.bank import Bank, opened
from kpgate.app.cli import cli
from kpgate.app.control import wall_us
from kpgate.app.directory import Directory
from kpgate.app.signing import Keyring, Signer, endorsement, key_id
from kpgate.app.verify import Unusable, growth_problems, problems, read, read_older
from kpgate.domain.ledger import Reason, note_end, note_hold, show_call
from kpgate.domain.merkle import leaf_hash
from kpgate.domain.money import Refund, SetCreditLine
from kpgate.domain.price import Price, Share, terms_hash
from kpgate.domain.price_step import fill, read_terms
from kpgate.domain.receipt import canonical, follower, head_bytes
from kpgate.domain.settings import Ledger
from kpgate.domain.usage import Usage
from kpgate.stores.sqlite import SqliteStore
from tests.kit.receipt_verifier import DoesNotHold, verify_growth, verify_head, verify_receipt

Json = dict[str, Any]
RATES = (250_000_003, 1_000_000_000, 125_000_000, 2_000_000_000, 4_000_000_000, 8_000_000_000, 300_000_000)
PRICE = Price(
    *RATES, request=7, shares=(Share("wríter", 100),), cache_write=312_500_001, cache_write_long=500_000_009
)
EVERY_KIND = Usage(1_000, 500, 100, 50, "provider", 30, 20, 10, 70, 60)
ODD_NAME = 'm"\\\x7f\x01\n/\u00e9\u2028\U0001f600'


class Shop:
    """A ledger in which calls are charged."""

    def __init__(self, bank: Bank, store: SqliteStore) -> None:
        self.bank = bank
        self.store = store
        bank.treasury.answer(SetCreditLine(id=f"line-{wall_us()}", party="payer", line=10**12))
        account = bank.ledger.number_of("spend:payer")
        assert account is not None
        self.purse = Purse(account, (), party=1, key=1)

    def charge(
        self,
        usage: Usage,
        *,
        factor: int = 10_000,
        held: int = 10**9,
        reason: Reason = Reason.DONE,
        model: str = "m",
        metered: int = 0,
        price: Price = PRICE,
    ) -> str:
        """A call that is charged and posted; its id."""
        version = self.store.number("price", [price.terms])[price.terms]
        asked = note_hold(f"req-{model}", model, version, 1, 1, factor)
        decision = Decision()
        assert self.bank.credit.hold(clock(), 0, self.purse, held, asked, decision) == DONE
        said, charged = b"", metered
        if not metered:
            said = note_end("p", "d", 1, 200, version, usage)
            charged = price.charge(usage, factor)
        assert self.bank.credit.post(clock(), decision.handle, charged, reason, said) == DONE
        self.bank.poster.post_all()
        return show_call(decision.call)

    def show(self, call: str) -> Json:
        """A receipt, as a pipe has it."""
        return as_read(self.bank.receipts.show(self.bank.ledger, call, None))

    def log(self, before: int) -> Json:
        """What is said of the log."""
        return as_read(self.bank.receipts.show_log(before, 0))


def as_read(value: Json) -> Json:
    found: Json = json.loads(json.dumps(value))
    return found


class Files:
    """What a ledger gave out, under an older key and a newer one."""

    def __init__(self, folder: Path) -> None:
        directory = Directory(folder)
        directory.prepare()
        directory.pepper()
        settings = Ledger(enabled=True)
        with self._open(directory, settings) as shop:
            shop.charge(Usage(5, 6, source="provider"))
            shop.charge(Usage(7, 8, source="counted"))
            self.first = shop.log(0)
            shop.charge(Usage(9, source="provider"))
            self.third = shop.log(2)
        Keyring(folder / "signing").make()
        with self._open(directory, settings) as shop:
            calls = {
                "every kind": shop.charge(EVERY_KIND),
                "dear": shop.charge(EVERY_KIND, factor=12_345),
                "free": shop.charge(EVERY_KIND, factor=0),
                "overrun": shop.charge(EVERY_KIND, held=1_000),
                "odd name": shop.charge(EVERY_KIND, model=ODD_NAME),
                "more parts than whole": shop.charge(Usage(3, 3, 9, 9, "provider", 9, 9, 9, 9, 9)),
                "cut at its hold": shop.charge(EVERY_KIND, reason=Reason.CREDIT),
                "worker died": shop.charge(EVERY_KIND, reason=Reason.WORKER_DIED, metered=77),
                "lost": shop.charge(EVERY_KIND, reason=Reason.LOST, metered=78),
            }
            refund = Refund(id=f"refund-{wall_us()}", call=calls["dear"], amount=5)
            shop.bank.treasury.answer(refund)
            shop.bank.poster.post_all()
            self.receipts = {name: shop.show(call) for name, call in calls.items()}
            self.twelfth = shop.log(3)
            self.since_first = shop.log(2)
            self.same = shop.log(12)
        self.signers = Keyring(folder / "signing").signers()

    def _open(self, directory: Directory, settings: Ledger) -> Any:
        return _Opened(directory, settings)


class _Opened:
    def __init__(self, directory: Directory, settings: Ledger) -> None:
        self._store = SqliteStore(directory.store)
        self._opened = opened(directory, settings, self._store, wall_us)

    def __enter__(self) -> Shop:
        return Shop(self._opened.__enter__(), self._store)

    def __exit__(self, *how: Any) -> None:
        self._opened.__exit__(*how)
        self._store.close()


def test_a_long_call_s_receipt_holds_by_its_step_alone(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.prepare()
    directory.pepper()
    price = fill(PRICE, 999, {"input": 500_000_003, "output": 1_500_000_001, "cached": 250_000_001})
    with _Opened(directory, Ledger(enabled=True)) as shop:
        long = shop.show(shop.charge(EVERY_KIND, price=price))
        edge = shop.show(shop.charge(dataclasses.replace(EVERY_KIND, input=999), price=price))
    for shown in (long, edge):
        assert not ours(shown) and not theirs(shown)
        assert json.loads(shown["price_terms"])["long_above"] == 999
    amounts = [one["leaf"]["amount_microkpt"] for one in (long, edge)]
    assert amounts == [
        price.beyond.charge(EVERY_KIND),
        PRICE.charge(dataclasses.replace(EVERY_KIND, input=999)),
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("ledger"))


def ours(value: Json, trusted: str = "") -> list[str]:
    """What `kpgate verify` finds."""
    try:
        shown = read(json.dumps(value).encode())
    except Unusable as error:
        return [str(error)]
    return list(problems(shown, trusted))  # type: ignore[arg-type]


def theirs(value: Json, trusted: str = "") -> list[str]:
    """What the independent verifier finds."""
    try:
        verify_receipt(json.dumps(value).encode(), trusted)
    except DoesNotHold as problem:
        return [str(problem)]
    return []


def ours_grown(value: Json, older: Json, trusted: str = "") -> list[str]:
    try:
        head, first = read_older(json.dumps(older).encode())
        return list(growth_problems(read(json.dumps(value).encode()), head, trusted or first))  # type: ignore[arg-type]
    except Unusable as error:
        return [str(error)]


def theirs_grown(value: Json, older: Json, trusted: str = "") -> list[str]:
    try:
        verify_growth(json.dumps(value).encode(), older["head"], trusted or older["signers"][0]["public"])
    except DoesNotHold as problem:
        return [str(problem)]
    return []


Place = tuple[str | int, ...]


def places(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every scalar in a document, and where it is."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from places(one, (*at, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from places(one, (*at, number))
    else:
        yield at, value


def changed(value: Any) -> list[Any]:
    """Other values of the same kind, and of others."""
    if isinstance(value, int):
        return [value + 1, value - 1, value + (1 << 32), str(value), float(value), None, True, 1 << 70]
    flips = [value[:at] + ("0" if one != "0" else "1") + value[at + 1 :] for at, one in enumerate(value)]
    return [*flips, value + "0", value + "00", value + "\n", value[:-1] if value else "x", 7, None]


def replaced(value: Json, at: Place, one: Any) -> Json:
    """A document in which one place says something else."""
    found = copy.deepcopy(value)
    inner: Any = found
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = one
    return found


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


@pytest.mark.parametrize(
    "name",
    [
        "every kind",
        "dear",
        "free",
        "overrun",
        "odd name",
        "more parts than whole",
        "cut at its hold",
        "worker died",
        "lost",
    ],
)
def test_every_receipt_holds(files: Files, name: str) -> None:
    receipt = files.receipts[name]
    assert ours(receipt) == theirs(receipt) == []
    pinned = files.signers[0].public.hex()
    assert ours(receipt, pinned) == theirs(receipt, pinned) == []


def test_receipts_are_of_all_sorts(files: Files) -> None:
    assert files.receipts["overrun"]["leaf"]["overrun_microkpt"] > 0
    assert files.receipts["odd name"]["leaf"]["model"] == ODD_NAME
    assert files.receipts["dear"]["refunded_microkpt"] == 5
    assert files.receipts["worker died"]["leaf"]["usage"] == {}
    assert len(files.receipts["every kind"]["signers"]) == 2
    assert len(files.receipts["every kind"]["leaf"]["usage"]) == 9


TAMPERED = {
    "leaf": ("proof:", "leaf", "not a receipt: "),
    "index": ("proof:", "not a receipt: "),
    "proof": ("proof:", "not a receipt: "),
    "head": ("head.", "proof:", "leaf.log", "not a receipt: "),
    "signers": ("signers", "head.key", "not a receipt: "),
    "price_terms": ("price_terms:", "not a receipt: "),
    "refunded_microkpt": ("refunded_microkpt:", "not a receipt: "),
}


@pytest.mark.parametrize("name", ["every kind", "odd name", "worker died"])
def test_nothing_in_a_receipt_can_be_changed_unseen(files: Files, name: str) -> None:
    receipt = files.receipts[name]
    tried = 0
    for at, value in places(receipt):
        for other in changed(value):
            bad = replaced(receipt, at, other)
            # What was given back is no part of the leaf: what can be is believed.
            believed = at == ("refunded_microkpt",) and same(other, 1)
            if same(value, other) or believed:
                continue
            found, also = ours(bad), theirs(bad)
            assert found and also, (at, value, other, found, also)
            assert any(one.startswith(TAMPERED[str(at[0])]) for one in found), (at, other, found)
            tried += 1
    assert tried > 1_000


def test_no_field_of_a_receipt_can_be_left_out_or_added_to_the_leaf(files: Files) -> None:
    receipt = files.receipts["every kind"]
    for part in ("leaf", "head"):
        for name in receipt[part]:
            bad = copy.deepcopy(receipt)
            del bad[part][name]
            assert ours(bad) and theirs(bad), (part, name)
    for part in ("index", "proof", "head", "signers", "price_terms", "leaf"):
        bad = copy.deepcopy(receipt)
        del bad[part]
        assert ours(bad) and theirs(bad), part
    for bad in (
        replaced(receipt, ("leaf", "more"), 1),
        replaced(receipt, ("leaf", "usage", "more"), 1),
    ):
        assert ours(bad) and theirs(bad)


def test_a_proof_is_neither_longer_nor_shorter_nor_in_another_order(files: Files) -> None:
    receipt = files.receipts["every kind"]
    proof = receipt["proof"]
    assert len(proof) > 2
    others = [proof[:-1], proof[1:], [*proof, proof[0]], [proof[0], *proof], proof[::-1], [], proof * 30]
    for other in others:
        bad = replaced(receipt, ("proof",), other)
        assert ours(bad) and theirs(bad)


class Forger:
    """An operator who signs what is not so: a log of one leaf under the newest key."""

    def __init__(self, files: Files) -> None:
        self._signer: Signer = files.signers[-1]

    def sign(self, receipt: Json) -> Json:
        """The receipt as the one leaf of a tree, truly signed."""
        found = copy.deepcopy(receipt)
        root = leaf_hash(canonical(found["leaf"]))
        head = found["head"] | {"size": 1, "root": root.hex(), "log": found["leaf"]["log"]}
        said = head_bytes(head["log"], 1, root, head["time_us"], self._signer.id)
        head |= {"key": self._signer.id, "signature": self._signer.sign(said).hex()}
        return found | {"head": head, "index": 0, "proof": []}


FORGED: list[tuple[Place, Any, str]] = [
    (("leaf", "amount_microkpt"), 1, "leaf.amount_microkpt: usage and price come to"),
    (("leaf", "overrun_microkpt"), 1, "leaf.amount_microkpt: usage and price come to"),
    (("leaf", "factor_basis_points"), 20_000, "leaf.amount_microkpt: usage and price come to"),
    (("leaf", "usage", "input"), 1, "leaf.amount_microkpt: usage and price come to"),
    (("leaf", "usage", "input"), -1, "leaf: Expected `int` >= 0"),
    (("leaf", "reason"), 3, "leaf.usage: with reason 3 nothing is said of it"),
    (("leaf", "reason"), 11, "leaf: Expected `int` <= 10"),
    (("leaf", "v"), 2, "leaf.v: expected 1"),
    (("leaf", "price_sha256"), "00" * 32, "price_terms: they are not those of leaf.price_sha256"),
    (("leaf", "amount_microkpt"), True, "leaf: Expected `int`, got `bool`"),
    (("leaf", "call"), "kp1-1", "leaf: Expected `str` matching"),
]


@pytest.mark.parametrize(("at", "value", "named"), FORGED)
def test_a_leaf_that_is_wrong_is_named_though_it_is_signed(
    files: Files, at: Place, value: Any, named: str
) -> None:
    forger = Forger(files)
    receipt = files.receipts["every kind"]
    assert ours(forger.sign(receipt)) == theirs(forger.sign(receipt)) == []
    bad = forger.sign(replaced(receipt, at, value))
    assert theirs(bad)
    (found,) = ours(bad)
    assert found.startswith(named)


def test_a_receipt_of_another_log_is_named(files: Files) -> None:
    bad = Forger(files).sign(files.receipts["every kind"])
    other = replaced(bad, ("head", "log"), "00" * 16)
    said = head_bytes(
        "00" * 16, 1, bytes.fromhex(bad["head"]["root"]), bad["head"]["time_us"], bad["head"]["key"]
    )
    other["head"]["signature"] = files.signers[-1].sign(said).hex()
    assert ours(other) == ["leaf.log: the head is of another log"]
    assert theirs(other)


def test_a_pinned_key_vouches_onwards_and_not_backwards(files: Files) -> None:
    old, new = files.first, files.receipts["every kind"]
    first, second = (signer.public.hex() for signer in files.signers)
    assert ours(new, second) == theirs(new, second) == []
    late = {"head": old["head"], "signers": new["signers"], "before": 2, "proof": []}
    assert ours_grown(late, old, first) == theirs_grown(late, old, first) == []
    found = ours_grown(late, old, second)
    assert found[0] == "head.key: it cannot be traced to a key that is trusted"
    assert theirs_grown(late, old, second)


def test_a_key_that_is_pinned_and_not_shown_is_said(files: Files) -> None:
    stranger = Signer(b"s" * 32).public.hex()
    receipt = files.receipts["every kind"]
    assert ours(receipt, stranger) == [
        "signers: the key that is trusted is not among them",
        "head.key: it cannot be traced to a key that is trusted",
    ]
    assert theirs(receipt, stranger)


def test_a_stranger_cannot_get_among_the_signers(files: Files) -> None:
    stranger = Signer(b"s" * 32)
    receipt = copy.deepcopy(files.receipts["every kind"])
    alone = {"id": stranger.id, "public": stranger.public.hex(), "endorsed_by": "", "endorsement": ""}
    head = receipt["head"] | {"key": stranger.id}
    said = head_bytes(head["log"], head["size"], bytes.fromhex(head["root"]), head["time_us"], stranger.id)
    receipt["head"] = head | {"signature": stranger.sign(said).hex()}
    own = stranger.sign(endorsement(stranger.public)).hex()
    pinned = files.signers[0].public.hex()
    for entry in (
        alone,
        alone | {"endorsed_by": files.signers[0].id, "endorsement": own},
        alone | {"endorsed_by": stranger.id, "endorsement": own},
        alone | {"id": files.signers[0].id},
    ):
        for signers in ([*receipt["signers"], entry], [entry, *receipt["signers"]]):
            bad = receipt | {"signers": signers}
            assert ours(bad, pinned) and theirs(bad, pinned)
    assert key_id(stranger.public) == stranger.id


def test_a_signer_that_did_not_sign_is_checked_too(files: Files) -> None:
    answer = files.first | {"signers": files.receipts["lost"]["signers"], "before": 2}
    assert ours_grown(answer, files.first) == theirs_grown(answer, files.first) == []
    renamed = replaced(answer, ("signers", 1, "id"), "00" * 8)
    assert ours_grown(renamed, files.first) == ["signers[1].id: it is not its public key's"]
    assert theirs_grown(renamed, files.first)
    twice = answer | {"signers": [*answer["signers"], answer["signers"][1]]}
    assert ours_grown(twice, files.first) == ["signers[2].id: it is listed twice"]
    assert theirs_grown(twice, files.first)
    unsigned = replaced(answer, ("signers", 1, "endorsement"), "00" * 64)
    assert ours_grown(unsigned, files.first) == [
        f"signers[1].endorsement: it is not a signature of {files.signers[0].id}"
    ]
    assert theirs_grown(unsigned, files.first)


def test_two_logs_are_not_one_though_their_leaves_are(files: Files) -> None:
    signer, head = files.signers[0], files.first["head"]
    said = head_bytes("00" * 16, 2, bytes.fromhex(head["root"]), head["time_us"], signer.id)
    other = files.first | {
        "head": head | {"log": "00" * 16, "signature": signer.sign(said).hex()},
        "before": 2,
    }
    (found,) = ours_grown(other, files.first)
    assert found.startswith("head.log: the heads are of different logs")
    assert theirs_grown(other, files.first)


def test_a_log_that_grew_holds_over_a_change_of_keys(files: Files) -> None:
    for newer, older in (
        (files.third, files.first),
        (files.twelfth, files.third),
        (files.since_first, files.first),
        (files.same, files.twelfth),
    ):
        assert ours_grown(newer, older) == theirs_grown(newer, older) == []
    assert ours_grown(files.since_first, files.first["head"]) == []
    assert ours_grown(files.same, files.receipts["lost"]) == []


def test_nothing_in_the_proof_that_a_log_grew_can_be_changed_unseen(files: Files) -> None:
    newer, older = files.twelfth, files.third
    for at, value in places(newer):
        for other in changed(value):
            bad = replaced(newer, at, other)
            if not same(value, other):
                assert ours_grown(bad, older) and theirs_grown(bad, older), (at, value, other)
    for at, value in places(older["head"], ("head",)):
        for other in changed(value):
            bad = replaced(older, at, other)
            if not same(value, other):
                assert ours_grown(newer, bad) and theirs_grown(newer, bad), (at, value, other)


def test_a_log_that_was_rewritten_is_named(files: Files) -> None:
    signer = files.signers[0]
    older = copy.deepcopy(files.third)
    head = older["head"]
    said = head_bytes(head["log"], 3, b"r" * 32, head["time_us"], signer.id)
    older["head"] = head | {"root": (b"r" * 32).hex(), "signature": signer.sign(said).hex(), "key": signer.id}
    assert ours_grown(files.twelfth, older) == [
        "proof: the older log is not shown to be the beginning of the newer one"
    ]
    assert theirs_grown(files.twelfth, older)


def test_the_older_file_is_the_one_the_answer_is_about(files: Files) -> None:
    assert ours_grown(files.twelfth, files.first) == [
        "before: the proof is about 3 leaves, the older head about 2"
    ]


# The command


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["verify", *arguments], prog_name="kpgate")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[str, Any], str]:
    def keep(name: str, value: Any) -> str:
        path = tmp_path / name
        path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        return str(path)

    return keep


def test_a_pipe_gets_one_line_of_json(files: Files, kept: Callable[[str, Any], str]) -> None:
    first = files.signers[0].public.hex()
    receipt = kept("r", files.receipts["odd name"])
    code, output = run(receipt)
    assert (code, output.count("\n")) == (0, 1)
    assert json.loads(output) == {"holds": True, "problems": [], "trusted": first, "pinned": False}
    code, output = run(receipt, "--key", first.upper())
    assert (code, json.loads(output)["pinned"]) == (0, True)
    code, output = run(kept("b", replaced(files.receipts["lost"], ("leaf", "party"), "00" * 16)))
    assert (code, output.count("\n")) == (1, 1)
    (problem,) = json.loads(output)["problems"]
    assert problem.startswith("proof:")


def test_heads_are_verified_alone_and_with_an_older_one(
    files: Files, kept: Callable[[str, Any], str]
) -> None:
    newer, older = kept("n", files.twelfth), kept("o", files.third)
    assert run(kept("f", files.first))[0] == 0
    assert run(newer, older)[0] == 0
    assert run(newer, kept("h", files.third["head"]))[0] == 0
    code, output = run(newer)
    assert code == 1 and "give the older file too" in output
    code, output = run(kept("r", files.receipts["lost"]), older)
    assert code == 1 and "checked alone" in output


def test_an_answer_of_other_signers_does_not_follow_an_older_one(
    files: Files, kept: Callable[[str, Any], str]
) -> None:
    other = replaced(files.twelfth, ("signers",), files.twelfth["signers"][1:])
    code, output = run(kept("n", other), kept("o", files.third))
    assert code == 1
    assert "signers: the key that is trusted is not among them" in json.loads(output)["problems"]


def test_what_a_head_says_that_its_log_follows_is_checked_of_a_head_alone(
    files: Files, kept: Callable[[str, Any], str]
) -> None:
    said = f"{'a' * 32}:7:{'b' * 64}:{'c' * 32}"
    signer: Signer = files.signers[0]
    head = files.first["head"] | {"log": follower(said), "key": signer.id}
    signed = signer.sign(
        head_bytes(head["log"], head["size"], bytes.fromhex(head["root"]), head["time_us"], signer.id)
    )
    answer = files.first | {"head": head | {"signature": signed.hex()}, "continues": said}
    assert run(kept("n", answer))[0] == 0
    verify_head(json.dumps(answer).encode())
    for other in (said.replace(":7:", ":8:"), said.replace("a", "d"), said[:-1] + "d"):
        code, output = run(kept("n", answer | {"continues": other}))
        assert code == 1 and json.loads(output)["problems"][0].startswith("continues: ")
        with pytest.raises(DoesNotHold, match="continues"):
            verify_head(json.dumps(answer | {"continues": other}).encode())
    # A log that follows none may be said to follow any: it is not this one.
    code, output = run(kept("n", files.first | {"continues": said}))
    assert code == 1 and json.loads(output)["problems"][0].startswith("continues: ")


def test_what_the_page_says_of_members_both_verifiers_do(files: Files) -> None:
    receipt, forger = files.receipts["every kind"], Forger(files)
    absent = copy.deepcopy(receipt)
    del absent["refunded_microkpt"]
    for signer in absent["signers"]:
        for name in ("endorsed_by", "endorsement"):
            if not signer[name]:
                del signer[name]
    ignored = receipt | {"more": [-1, 1 << 80, {"x": None}]}
    for good in (absent, ignored):
        assert ours(good) == theirs(good) == []
    amount = receipt["leaf"]["amount_microkpt"]
    for bad in (
        receipt | {"refunded_microkpt": amount + 1},
        receipt | {"more": 1.5},
        receipt | {"more": "\ud800"},
        receipt | {"proof": [*receipt["proof"], *["00" * 32] * 64]},
        receipt | {"more": "x" * (1 << 20)},
    ):
        text = json.dumps(bad).encode()
        assert theirs(bad) and (ours(bad) or len(text) > 1 << 20)
    terms = json.loads(receipt["price_terms"])
    leaf = receipt["leaf"]
    free = {name: value for name, value in terms.items() if name != "request"}
    charged = read_terms(json.dumps(free)).charge(Usage(**leaf["usage"]), leaf["factor_basis_points"])
    for spelled, holds in (
        (json.dumps(terms), True),
        (json.dumps(free), True),
        (json.dumps(terms | {"more": "x"}), True),
        (json.dumps(terms)[:-1] + ', "input": 7}', False),
        (json.dumps(terms | {"unit": -1}), False),
        (json.dumps(terms | {"unit": 1 << 63}), False),
        (json.dumps(terms | {"unit": 0.0}), False),
        (json.dumps({name: value for name, value in terms.items() if name != "image"}), False),
        ("[]", False),
    ):
        other = replaced(receipt, ("leaf", "price_sha256"), terms_hash(spelled)) | {"price_terms": spelled}
        if spelled == json.dumps(free):
            assert charged < amount
            other = replaced(other, ("leaf", "amount_microkpt"), charged)
        signed = forger.sign(other)
        assert (ours(signed) == [], theirs(signed) == []) == (holds, holds), (spelled, ours(signed))


@pytest.mark.parametrize("key", ["x", "00", "zz" * 32, "00" * 33])
def test_what_is_no_key_is_wrong_usage(files: Files, kept: Callable[[str, Any], str], key: str) -> None:
    code, output = run(kept("r", files.receipts["lost"]), "--key", key)
    assert code == 2 and "64 hexadecimal digits" in output


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"no",
        b"null",
        b"[]",
        b"{}",
        b'{"leaf": 1}',
        b"[" * 100_000,
        b'{"leaf":' * 50_000,
        b'{"leaf": {}, "leaf": {}}',
        b'{"leaf": NaN}',
        b'{"leaf": 1e999}',
        b'{"index": ' + b"9" * 10_000 + b"}",
        b'{"leaf": "\\ud800"}',
        b" " * (1 << 20) + b"{}",
        b"\x1b]0;title\x07",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_file_that_is_no_receipt_is_said_to_be_none(text: bytes, kept: Callable[[str, Any], str]) -> None:
    path = kept("r", text)
    code, output = run(path)
    assert code == 1
    assert output.startswith(f"Error: {path}: ") and output.count("\n") == 1
    with pytest.raises(DoesNotHold):
        verify_receipt(text)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert run(str(tmp_path / "none")) == (1, f"Error: {tmp_path}/none: No such file or directory\n")
    assert run(str(tmp_path)) == (1, f"Error: {tmp_path}: Is a directory\n")


def test_whatever_stands_in_the_place_of_a_value_there_is_no_traceback(files: Files) -> None:
    receipt = files.receipts["every kind"]
    for at in {whole[:depth] for whole, _ in places(receipt) for depth in range(1, len(whole) + 1)}:
        for other in (None, [], {}, "", "\x00", "é", [1], {"a": 1}, -1, 1 << 63, [[]], False):
            ours(replaced(receipt, at, other))
            theirs(replaced(receipt, at, other))


def test_a_terminal_gets_words_and_no_control_characters(
    files: Files, kept: Callable[[str, Any], str]
) -> None:
    path = kept("r", files.receipts["odd name"])
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "kpgate", "verify", path]
    done = subprocess.run(command, stdout=follower, stderr=subprocess.PIPE, check=True)
    os.close(follower)
    output = os.read(leader, 65536).decode()
    os.close(leader)
    assert done.stderr == b""
    assert "The receipt holds: call kp1-" in output
    assert "Trusted without being asked" in output
    assert "\x01" not in output and "\x7f" not in output
