"""ADMIT: every limit of a call, taken in one commit or not at all; and given back when it ends.

Deciding is `_fast.limit`'s; here are the words around it: what is reserved, what a refusal is called.
"""

from collections import deque
from collections.abc import Sequence
from time import sleep

from kpgate._fast.commit import DEPLOYMENT, KEY, MODEL, PARTY
from kpgate._fast.limit import BUSY, CONCURRENCY, DONE, FULL, NEVER, REQUESTS, STALE, Gate, Limits, Verdict
from kpgate.domain.call import Call, Record
from kpgate.domain.caller import Caller
from kpgate.domain.dialect import Counter
from kpgate.domain.errors import (
    ConcurrencyLimited,
    GatewayError,
    Internal,
    InvalidRequest,
    Overloaded,
    RateLimited,
    StoreUnavailable,
    TokensLimited,
)
from kpgate.domain.limits import UNLIMITED, parse_rate
from kpgate.domain.limits import Limits as Terms
from kpgate.domain.whole import Whole
from kpgate.services.offload import Offload
from kpgate.services.route import Plan, Target

FIXED_MAX = 100_000
Fixed = int | tuple[str, int]
"""A key's or a party token's gates for a plan are found by both: the key's number stands above the plan's, of which
there are fewer than a million."""
PATIENCE_US = 50_000
STEP_S = 0.002
UNKNOWN_WAIT_US = 250_000
Taken = Verdict
"""What a coroutine gives says so by another name: compiled, the coroutine itself would be taken for it."""
COUNTED_BYTES_MAX = 64 * 1024
"""From here on a prompt is counted off the loop."""
RECALLED_BYTES_MAX = 4 * 1024 * 1024
"""From here on it takes long to look up which of its texts were counted lately."""
SCOPES = {KEY: "key", PARTY: "party", MODEL: "model", DEPLOYMENT: "deployment"}


def takes_long(call: Call, vocabulary: Counter | None, body_bytes: Whole) -> bool:
    """Whether counting a prompt would hold the loop: what was counted lately takes no time."""
    if vocabulary is None or body_bytes < COUNTED_BYTES_MAX:
        return False
    if call.texts is None or body_bytes >= RECALLED_BYTES_MAX:
        return True
    return vocabulary.unseen(call.texts) >= COUNTED_BYTES_MAX


def gate(scope: int, number: int, terms: Terms) -> Gate:
    """The gate of one key, party, model or deployment."""
    requests = parse_rate(terms.requests) if terms.requests else None
    tokens = parse_rate(terms.tokens) if terms.tokens else None
    return Gate(
        scope,
        number,
        request_units=requests.units if requests else 0,
        request_window_us=requests.window_us if requests else 0,
        request_burst=(terms.requests_burst or requests.units) if requests else 0,
        token_units=tokens.units if tokens else 0,
        token_window_us=tokens.window_us if tokens else 0,
        token_burst=(terms.tokens_burst or tokens.units) if tokens else 0,
        concurrency_max=terms.concurrency or 0,
    )


NO_GATE = gate(DEPLOYMENT, 0, UNLIMITED)


def reserve(prompt_tokens: Whole, call: Call, output_cap: Whole) -> Whole:
    """Tokens to reserve: the prompt and, for each choice, the caller's output cap, else `output_cap`."""
    cap = (call.output_cap or output_cap) if output_cap else 0
    return prompt_tokens + call.choices * cap


def _gates_of(plan: Plan, order: Sequence[Target]) -> tuple[Gate, ...]:
    return plan.gates if order is plan.targets else tuple([target.gate for target in order])


class Admit:
    """Takes and gives back the limits of calls in one worker. `default_*` serve keys and parties without their own."""

    def __init__(self, limits: Limits, default_key: Terms, default_party: Terms, offload: Offload) -> None:
        self._limits = limits
        self._default_key = default_key
        self._default_party = default_party
        self._offload = offload
        self._fixed: dict[Fixed, tuple[Caller, tuple[Gate, ...]]] = {}
        self._owed: deque[tuple[int, int]] = deque()

    def take(
        self, now_us: Whole, caller: Caller, plan: Plan, order: Sequence[Target], tokens: Whole
    ) -> Verdict | None:
        """Take every limit of a call. None: the lock was not to be had at once, `await take_patiently`.

        Errors: RateLimited, TokensLimited, ConcurrencyLimited, InvalidRequest for more tokens than a burst,
        Overloaded.
        """
        verdict = Verdict()
        outcome = self._limits.admit(
            now_us, self._gates(caller, plan), _gates_of(plan, order), tokens, verdict
        )
        if outcome == BUSY:
            return None
        if outcome != DONE:
            raise self._refusal(outcome, verdict)
        return verdict

    async def take_patiently(
        self, now_us: int, caller: Caller, plan: Plan, order: Sequence[Target], tokens: int
    ) -> Taken:
        """The same on a thread that may wait for the lock.

        Errors: as `take`; StoreUnavailable when it is not to be had in time.
        """
        verdict = Verdict()
        fixed, candidates = self._gates(caller, plan), _gates_of(plan, order)
        outcome = await self._offload.run(self._patiently, now_us, fixed, candidates, tokens, verdict)
        if outcome != DONE:
            raise self._refusal(outcome, verdict)
        return verdict

    async def take_again(self, now_us: int, caller: Caller, plan: Plan, target: Target, tokens: int) -> Taken:
        """Take tokens for a call that is asked once more where it was answered: it is the same request, in the same
        place. Order: `give_back`, once what both used is to be settled.

        Errors: as `take_patiently`.
        """
        alone = [one.tokens_alone() for one in (*self._gates(caller, plan), target.gate)]
        fixed, candidates = tuple([one for one in alone[:-1] if one.limited]), (alone[-1],)
        verdict = Verdict()
        outcome = self._limits.admit(now_us, fixed, candidates, tokens, verdict)
        if outcome == BUSY:
            outcome = await self._offload.run(self._patiently, now_us, fixed, candidates, tokens, verdict)
        if outcome != DONE:
            raise self._refusal(outcome, verdict)
        return verdict

    def give_back(self, now_us: int, verdict: Verdict) -> None:
        """Give back all that was taken. A second time has no effect."""
        call, verdict.call = verdict.call, 0
        if call and self._limits.cancel(now_us, call) == BUSY:
            self._owed.append((call, 0))

    def move(self, now_us: int, verdict: Verdict, target: Target, tokens: int) -> None:
        """Take the limits of another deployment instead.

        Errors: as `take`; the call then stays where it was.
        """
        moved = Verdict()
        outcome = self._limits.move(now_us, verdict.call, target.gate, tokens, moved)
        if outcome != DONE:
            raise self._refusal(outcome, moved)
        verdict.call = moved.call

    def beside(self, now_us: int, target: Target, tokens: int) -> Verdict | None:
        """Take the limits of another deployment as well: an attempt goes there beside one under way. Order: `end`.

        None: it has no room, or the lock was not to be had at once.
        """
        verdict = Verdict()
        outcome = self._limits.move(now_us, 0, target.gate, tokens, verdict)
        return verdict if outcome == DONE else None

    def leave(self, now_us: int, verdict: Verdict) -> None:
        """Give back what a call took of its deployment: another one answers, whose limits it has taken as well.

        Where the lock is not to be had at once that is left to `end`.
        """
        self._limits.move(now_us, verdict.call, NO_GATE, 0, Verdict())

    def end(self, now_us: Whole, verdict: Verdict, record: Record) -> None:
        """Give back what the call took, its tokens corrected to what it used. A second time has no effect.

        A call that no provider answered is given back its tokens, but not its request.
        """
        if verdict.call:
            usage = record.usage
            used = usage.input + usage.output
            call, verdict.call = verdict.call, 0
            if self._limits.settle(now_us, call, used) == BUSY:
                self._owed.append((call, used))

    def retry(self, now_us: int) -> None:
        """Give back what could not be given back because the lock was taken. Order: once a tick."""
        for _ in range(len(self._owed)):
            call, used = self._owed.popleft()
            if self._limits.settle(now_us, call, used) == BUSY:
                self._owed.append((call, used))

    def _patiently(
        self,
        now_us: int,
        fixed: tuple[Gate, ...],
        candidates: tuple[Gate, ...],
        tokens: int,
        verdict: Verdict,
    ) -> int:
        """Try for as long as LEDGER allows, on a thread that may wait."""
        outcome = BUSY
        for _ in range(PATIENCE_US // int(STEP_S * 1_000_000)):
            sleep(STEP_S)
            outcome = self._limits.admit(now_us, fixed, candidates, tokens, verdict)
            if outcome != BUSY:
                break
        return outcome

    def _gates(self, caller: Caller, plan: Plan) -> tuple[Gate, ...]:
        key: Fixed = (caller.number << 20) + plan.number
        if caller.token:
            key = (caller.token, plan.number)
        kept = self._fixed.get(key)
        if kept is not None and kept[0] is caller:
            return kept[1]
        if len(self._fixed) >= FIXED_MAX:
            self._fixed.clear()
        own, party, terms = caller.limits, caller.party, caller.party.terms
        gates = (
            gate(KEY, caller.number, own if own != UNLIMITED else self._default_key),
            gate(PARTY, party.number, terms if terms != UNLIMITED else self._default_party),
            plan.gate,
        )
        fixed = tuple(one for one in gates if one.limited)
        self._fixed[key] = (caller, fixed)
        return fixed

    def _refusal(self, outcome: int, verdict: Verdict) -> GatewayError:
        if outcome == FULL:
            return Overloaded("this node keeps track of as many open calls as it can", retry_after_us=500_000)
        if outcome == STALE:
            return Internal("the call was open for longer than any call may be")
        if outcome == BUSY:
            return StoreUnavailable("the node's limits could not be read in time", retry_after_us=100_000)
        scope = SCOPES[verdict.refused_scope]
        if outcome == NEVER:
            return InvalidRequest(
                f"the prompt and the output cap are more tokens than the {scope}'s limit ever allows at once",
                param="max_tokens",
            )
        wait_us = verdict.wait_us or UNKNOWN_WAIT_US
        if verdict.refused_kind == REQUESTS:
            return RateLimited(f"the {scope}'s limit on requests is reached", retry_after_us=wait_us)
        if verdict.refused_kind == CONCURRENCY:
            return ConcurrencyLimited(
                f"the {scope} has as many open calls as it may have", retry_after_us=wait_us
            )
        return TokensLimited(f"the {scope}'s limit on tokens is reached", retry_after_us=wait_us)
