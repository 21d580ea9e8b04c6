"""Whole answers proved against the schema that was asked for, before they are settled; and the one repair.

For models that ask for it (`[models.output]`). What is not looked at passes as it came, and a header says why.
Source: docs/output.md.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from kpgate.domain.call import Call
from kpgate.domain.chat import Refusal, Text, ToolCall
from kpgate.domain.dialect import Endpoint, Turned
from kpgate.domain.errors import GatewayError, InvalidRequest, OutputInvalid
from kpgate.domain.reply import MALFORMED, Finish
from kpgate.domain.usage import Usage
from kpgate.life import Equipment, Life
from kpgate.services.admit import reserve
from kpgate.services.route import Target
from kpgate.services.schemas import Fault, Schemas, Unused
from kpgate.services.settle import counted, whole_usage

LONG_BYTES = 32_768
"""From here on a look is taken off the loop."""
ENDED = frozenset((Finish.STOP, Finish.STOP_SEQUENCE))


class Asking(Protocol):
    """What asks a deployment: the gateway."""

    clock: Callable[[], int]

    async def attempt(self, kit: Equipment, life: Life, target: Target, body: bytes) -> bytes: ...


class Finding(msgspec.Struct, gc=False):
    """What was found of an answer.

    Shape: `told` is for the header, empty where no schema was asked for; `bad` are the choices that do not fit, of so
    many; `text` and `fault` are those of the first of them.
    """

    told: str
    choices: int = 0
    bad: tuple[int, ...] = ()
    text: str = ""
    fault: Fault | None = None


NOT_ASKED = Finding("")


class Proof:
    """What the answers of one model have to stand."""

    def __init__(self, schemas: Schemas, repairs: bool) -> None:
        self._schemas = schemas
        self._repairs = repairs

    async def check(self, gateway: Asking, kit: Equipment, life: Life, body: bytes, first: bytes) -> bytes:
        """The answer that is to be given: the one that came, or a repaired one.

        Order: before SETTLE; what a call with two answers used is noted in `life.turned`.
        Errors: OutputInvalid, after what was used is charged.
        """
        found = await self._see(kit, life, body, first)
        life.record.checked = found.told
        if found.fault is None:
            return first
        used = _used(life, first)
        if not self._repairs:
            raise await _refused(gateway, life, found, used, "")
        return await self._repair(gateway, kit, life, (body, first, found))

    async def _repair(
        self, gateway: Asking, kit: Equipment, life: Life, asked: tuple[bytes, bytes, Finding]
    ) -> bytes:
        """Ask once more, with the answer and what is wrong with it: for the choices that do not fit alone."""
        (body, first, found), record, attempt, endpoint = asked, life.record, life.attempt, life.endpoint
        assert attempt is not None and endpoint.amend is not None and found.fault is not None
        used, target, prompt_tokens = _used(life, first), attempt.target, record.prompt_tokens
        wanted = len(found.bad) if endpoint.amend.merge is not None and found.choices > len(found.bad) else 0
        again = endpoint.amend.ask(body, found.text, complaint(found.fault), wanted)
        call = endpoint.decode(again, kit.json_depth_max)
        call.cost_max, vocabulary = life.call.cost_max, life.plan.vocabulary
        tokens = endpoint.count(call, vocabulary, life.plan.name) if vocabulary is not None else 0
        if not await self._afford(gateway, kit, life, (used, tokens, call.choices)):
            raise await _refused(
                gateway, life, found, used, "; there is no credit for a repair, or its cost is capped"
            )
        assert record.caller is not None, "somebody asked"
        most = reserve(tokens, call, life.plan.output_cap)
        try:
            taken = await kit.admit.take_again(gateway.clock(), record.caller, life.plan, target, most)
        except GatewayError as error:
            raise await _refused(gateway, life, found, used, f"; no repair: {error.message}") from None
        attempt.close()
        choices, life.call, life.turned = life.call.choices, call, None
        # Whoever leaves now has the provider work on.
        record.usage, record.prompt_tokens = used.plus(Usage(tokens, source="counted")), tokens
        try:
            second = await gateway.attempt(kit, life, target, again)
        except GatewayError as error:
            if life.ended is not None:
                raise
            raise await _refused(
                gateway, life, found, used, f"; its repair failed: {error.message}"
            ) from None
        finally:
            kit.admit.give_back(gateway.clock(), taken)
        connection = life.attempt.connection if life.attempt is not None else None
        if connection is None or connection.status >= 300:
            raise await _refused(gateway, life, found, used, "; its repair was refused")
        used = used.plus(_used(life, second))
        record.prompt_tokens = prompt_tokens
        better = await self._see_again(gateway, kit, life, (again, second, found, used), wanted)
        call.choices = choices
        if wanted:
            second = _merged(endpoint, first, second, found)
        record.checked = "repaired" if better.told in ("valid", "invalid") else better.told
        life.turned = Turned(second, used, "")
        return second

    async def _see_again(
        self,
        gateway: Asking,
        kit: Equipment,
        life: Life,
        asked: tuple[bytes, bytes, Finding, Usage],
        wanted: int,
    ) -> Finding:
        """What was found of a second answer; where so many choices were `wanted`, by their numbers in the first."""
        again, second, before, used = asked
        found = await self._see(kit, life, again, second)
        if wanted and found.choices < wanted:
            raise await _refused(
                gateway, life, before, used, "; its repair has too few choices, or none that is understood"
            )
        if wanted:
            # More than were asked for are nobody's.
            found.bad = tuple([before.bad[place] for place in found.bad if place < wanted])
        if found.bad:
            raise await _refused(gateway, life, found, used, "; a repair was tried")
        return found

    async def _afford(
        self, gateway: Asking, kit: Equipment, life: Life, asked: tuple[Usage, int, int]
    ) -> bool:
        """Hold what a second answer may cost beside the first."""
        hold, tariff, attempt, (used, tokens, choices) = life.hold, life.plan.tariff, life.attempt, asked
        price = attempt.target.price if attempt is not None else None
        if hold is None or tariff is None or price is None:
            return True
        if price.at(used.input) != price.at(used.input - (-tokens * tariff.margin // 100)):
            # Both are charged as one call, which would be a long one where neither prompt may be.
            return False
        spent = price.charge(used, hold.factor)
        most = spent + tariff.bound(tokens, choices * hold.cap, hold.factor)
        if 0 <= life.call.cost_max < most:
            return False
        if not hold.extend(gateway.clock(), kit.auth.generation_of(life.record.caller), spent, most):
            return False
        if not hold.may_send():
            await hold.write()
        return True

    async def _see(self, kit: Equipment, life: Life, body: bytes, answer: bytes) -> Finding:
        endpoint, connection = life.endpoint, life.attempt.connection if life.attempt is not None else None
        if endpoint.neutral is None or b"chema" not in body or connection is None or connection.status >= 300:
            return NOT_ASKED
        if len(body) + len(answer) > LONG_BYTES:
            return await kit.offload.run(self._look, endpoint, life.call, body, answer)
        return self._look(endpoint, life.call, body, answer)

    def _look(self, endpoint: Endpoint, call: Call, body: bytes, answer: bytes) -> Finding:
        """Hold an answer against the schema that its request has."""
        assert endpoint.neutral is not None and endpoint.tongue is not None, "it is a chat"
        try:
            wanted = endpoint.neutral(body, call).format
            if wanted is None or wanted.schema is None:
                return NOT_ASKED
            schema = self._schemas.find(wanted.schema)
            choices = endpoint.tongue.decode_reply(answer).choices
            found = Finding("unvalidated;reason=unfinished", len(choices))
            for number, choice in enumerate(choices):
                if choice.finish not in ENDED or any(
                    isinstance(one, Refusal | ToolCall) for one in choice.parts
                ):
                    continue
                text = "".join(part.text for part in choice.parts if isinstance(part, Text))
                fault = schema.fault(text)
                if fault is not None:
                    found.bad += (number,)
                    if found.fault is None:
                        found.told, found.text, found.fault = "invalid", text, fault
                elif found.fault is None:
                    found.told = "valid"
        except Unused as error:
            return Finding(f"unvalidated;reason={error.why}")
        except InvalidRequest:
            # A provider of the caller's own dialect may well understand it.
            return Finding("unvalidated;reason=request")
        except MALFORMED:
            return Finding("unvalidated;reason=answer")
        return found


def _merged(endpoint: Endpoint, first: bytes, second: bytes, found: Finding) -> bytes:
    """The first answer's choices that fit, and the second's for the others."""
    assert endpoint.amend is not None and endpoint.amend.merge is not None, "it may have several"
    return endpoint.amend.merge(first, second, found.bad)


def complaint(fault: Fault) -> str:
    """What the model is told."""
    where = f" at {fault.where}" if fault.where else ""
    return (
        f"That answer does not fit the JSON schema that was asked for{where} ({fault.rule}): {fault.said}\n"
        "Answer again, with the corrected JSON and nothing else."
    )


def _used(life: Life, body: bytes) -> Usage:
    """What the answer that is here used."""
    turned, vocabulary = life.turned, life.plan.vocabulary
    if turned is None:
        return whole_usage(life.way, life.record, body, life.used, vocabulary)
    return turned.usage or counted(life.record, turned.text, vocabulary)


async def _refused(gateway: Asking, life: Life, found: Finding, used: Usage, more: str) -> Any:
    """The error for an answer that does not fit, once what was used is charged. It quotes nothing of the answer."""
    record, hold, fault = life.record, life.hold, found.fault
    assert fault is not None, "there is something wrong"
    record.usage, record.checked, record.status = used, "invalid", OutputInvalid.status
    if hold is not None:
        hold.end(gateway.clock(), record, life.attempt.target if life.attempt is not None else None)
        if not hold.may_reply():
            await hold.keep()
    which = f"choice {found.bad[0]}" if found.bad and found.bad[0] else "the answer"
    where = f"{fault.where or 'its whole'} breaks the rule {fault.rule!r}"
    if fault.rule == "json":
        where = "it is not JSON"
    return OutputInvalid(f"{which} does not fit the schema that was asked for: {where}{more}")
