"""Every way a request can be refused or fail: one class a code, registered on definition.

A leaf knows its code, status, fault and retry rule; an instance knows what was wrong and where. Dialects
spell it, transports send it. Nothing here holds a secret, a key or a prompt.
"""

from enum import StrEnum
from typing import ClassVar


class Fault(StrEnum):
    """Whose doing it was; the log's `end=` says the same."""

    CALLER = "caller"
    GATEWAY = "gateway"
    UPSTREAM = "upstream"


class Retry(StrEnum):
    """What a caller may do next: nothing, try at once (kpgate has tried elsewhere already), or wait."""

    NEVER = "never"
    ELSEWHERE = "elsewhere"
    LATER = "later"


REGISTRY: "dict[str, type[GatewayError]]" = {}


class GatewayError(Exception):
    """A refusal or a failure that a caller is told about.

    Units: `retry_after_us` microseconds, 0 when waiting is not known to help.
    """

    code: ClassVar[str] = ""
    status: ClassVar[int] = 500
    fault: ClassVar[Fault] = Fault.GATEWAY
    retry: ClassVar[Retry] = Retry.NEVER
    meaning: ClassVar[str] = ""
    remedy: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        phase: str | None = None,
        retry_after_us: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.phase = phase
        self.retry_after_us = retry_after_us

    def __init_subclass__(cls) -> None:
        if cls.code in REGISTRY:
            raise TypeError(f"error code {cls.code!r} is defined twice")
        if not (cls.code and cls.meaning and cls.remedy):
            raise TypeError(f"{cls.__name__} needs a code, a meaning and a remedy")
        REGISTRY[cls.code] = cls

    def at(self, phase: str) -> "GatewayError":
        """The same error, with the phase it arose in unless it already had one.

        It forgets where it was raised: a record that keeps it would keep the call, its connection too, until the
        collector comes round.
        """
        if self.phase is None:
            self.phase = phase
        self.__traceback__ = self.__context__ = None
        return self


class InvalidRequest(GatewayError):
    code, status, fault, retry = "invalid_request", 400, Fault.CALLER, Retry.NEVER
    meaning = "The request is malformed: bad JSON, a wrong type, a duplicate or missing field."
    remedy = "Mend what the message names; sending the same bytes again gives the same answer."


class InvalidApiKey(GatewayError):
    code, status, fault, retry = "invalid_api_key", 401, Fault.CALLER, Retry.NEVER
    meaning = "No API key was sent, or it is unknown, expired or revoked."
    remedy = "Send a valid key as `Authorization: Bearer`, `x-api-key` or `x-goog-api-key`."


class InsufficientCredit(GatewayError):
    code, status, fault, retry = "insufficient_credit", 402, Fault.CALLER, Retry.NEVER
    meaning = "The party's credit is less than the call may cost."
    remedy = "Top the account up, ask for fewer output tokens, or use a cheaper model."


class BudgetExhausted(GatewayError):
    code, status, fault, retry = "budget_exhausted", 402, Fault.CALLER, Retry.NEVER
    meaning = "A budget of the key or its party for this day, month or in total has less left than the call may cost."
    remedy = "Wait for the next period, or have the budget raised."


class MaxCostExceeded(GatewayError):
    code, status, fault, retry = "max_cost_exceeded", 402, Fault.CALLER, Retry.NEVER
    meaning = (
        "The call is expected to cost more than a rule, the model or `x-kpgate-max-cost-microkpt` allows."
    )
    remedy = "Allow more, send a shorter prompt, or ask for fewer output tokens; `POST /kp/v1/route` shows the costs."


class NoCapableModel(GatewayError):
    code, status, fault, retry = "no_capable_model", 400, Fault.CALLER, Retry.NEVER
    meaning = "None of the model's candidates can do what the call asks for, or a rule leaves none."
    remedy = "Ask for less, or for another model; the message and `POST /kp/v1/route` say what is missing."


class InvalidSignature(GatewayError):
    code, status, fault, retry = "invalid_signature", 401, Fault.CALLER, Retry.NEVER
    meaning = "A webhook is not signed by the secret of its source, or was not signed just now."
    remedy = "Sign the very bytes that are sent, with the secret that kpgate has, and send them at once."


class ModelNotAllowed(GatewayError):
    code, status, fault, retry = "model_not_allowed", 403, Fault.CALLER, Retry.NEVER
    meaning = "The key is valid but may not use this model."
    remedy = "Use a model listed by `GET /v1/models`, or ask for a key that allows it."


class SourceNotAllowed(GatewayError):
    code, status, fault, retry = "source_not_allowed", 403, Fault.CALLER, Retry.NEVER
    meaning = "The key may not be used from this network address."
    remedy = "Call from an allowed network, or check `[server] trusted_proxies` behind a load balancer."


class RoleRequired(GatewayError):
    code, status, fault, retry = "role_required", 403, Fault.CALLER, Retry.NEVER
    meaning = "The key does not carry the role this path asks for."
    remedy = "Use an admin key for `/admin/v1` and an ordinary key for calls."


class ModelNotFound(GatewayError):
    code, status, fault, retry = "model_not_found", 404, Fault.CALLER, Retry.NEVER
    meaning = "No configured model, alias or wildcard matches the model asked for."
    remedy = "Use a model listed by `GET /v1/models`, or configure one."


class NotFound(GatewayError):
    code, status, fault, retry = "not_found", 404, Fault.CALLER, Retry.NEVER
    meaning = "The path is not one that kpgate serves, or the thing it names does not exist."
    remedy = "See `/openapi.json` for the paths."


class MethodNotAllowed(GatewayError):
    code, status, fault, retry = "method_not_allowed", 405, Fault.CALLER, Retry.NEVER
    meaning = "The path exists but not for this HTTP method."
    remedy = "Use a method that the `allow` header names."

    def __init__(self, method: str, *allowed: str) -> None:
        super().__init__(f"{method} is not served on this path, but {' and '.join(allowed)}")
        self.allowed = allowed


class RequestTimeout(GatewayError):
    code, status, fault, retry = "request_timeout", 408, Fault.CALLER, Retry.ELSEWHERE
    meaning = "The request's body stopped arriving."
    remedy = "Send the body without pausing for longer than `[server] body_idle_s`."


class Conflict(GatewayError):
    code, status, fault, retry = "conflict", 409, Fault.CALLER, Retry.NEVER
    meaning = "The change contradicts the state of what it names."
    remedy = "Read the current state and decide again."


class IdReused(GatewayError):
    code, status, fault, retry = "id_reused", 409, Fault.CALLER, Retry.NEVER
    meaning = "The id of this operation was used for another one, with other content."
    remedy = "Use a new id for each operation, and the same one only to repeat it."


class HoldingTooSmall(GatewayError):
    code, status, fault, retry = "holding_too_small", 403, Fault.CALLER, Retry.NEVER
    meaning = "The model, or the tier of the key's party, asks for a balance that the party does not have."
    remedy = "Top the account up to what the message names, or ask for another tier or model."


class InvalidCode(GatewayError):
    code, status, fault, retry = "invalid_code", 404, Fault.CALLER, Retry.NEVER
    meaning = "The redemption code is not known, was redeemed by somebody else, was revoked, or has expired."
    remedy = "Type it as it was given to you; where it still fails, ask whoever gave it."


class BodyTooLarge(GatewayError):
    code, status, fault, retry = "body_too_large", 413, Fault.CALLER, Retry.NEVER
    meaning = "The body is larger than this path accepts."
    remedy = "Send less, or raise `[server] body_bytes_max`."


class UnsupportedEncoding(GatewayError):
    code, status, fault, retry = "unsupported_encoding", 415, Fault.CALLER, Retry.NEVER
    meaning = "The body is compressed or not JSON."
    remedy = "Send plain JSON without `content-encoding`."


class HeadersTooLarge(GatewayError):
    code, status, fault, retry = "headers_too_large", 431, Fault.CALLER, Retry.NEVER
    meaning = "The request has more than 100 headers or more than 64 KiB of them."
    remedy = "Send fewer or shorter headers."


class RateLimited(GatewayError):
    code, status, fault, retry = "rate_limited", 429, Fault.CALLER, Retry.LATER
    meaning = "A limit on requests was reached, kpgate's or the provider's."
    remedy = "Wait for `retry-after-ms`."


class TokensLimited(GatewayError):
    code, status, fault, retry = "tokens_limited", 429, Fault.CALLER, Retry.LATER
    meaning = "A limit on tokens was reached."
    remedy = "Wait for `retry-after-ms`, or ask for fewer output tokens."


class ConcurrencyLimited(GatewayError):
    code, status, fault, retry = "concurrency_limited", 429, Fault.CALLER, Retry.LATER
    meaning = "Too many calls are open at once for this key, party, model or deployment."
    remedy = "Wait for one of them to end."


class TooManyTokens(GatewayError):
    code, status, fault, retry = "too_many_tokens", 429, Fault.CALLER, Retry.LATER
    meaning = "The key has as many live party tokens as a key may have, or the node has no room for more."
    remedy = "Use the tokens that there are, revoke some, or wait for `retry-after-ms` until one ends."


class CreditHeld(GatewayError):
    code, status, fault, retry = "credit_held", 429, Fault.CALLER, Retry.LATER
    meaning = "There is credit for the call, but calls under way hold it."
    remedy = "Wait for `retry-after-ms`: what they do not use comes back when they end."


class Internal(GatewayError):
    code, status, fault, retry = "internal", 500, Fault.GATEWAY, Retry.ELSEWHERE
    meaning = "kpgate failed. The log has the cause under the request's id."
    remedy = "Retry; report it with the request id if it persists."


class UpstreamFailed(GatewayError):
    code, status, fault, retry = "upstream_failed", 502, Fault.UPSTREAM, Retry.ELSEWHERE
    meaning = "No candidate deployment gave a usable answer."
    remedy = "Retry; look at `kpgate_upstream_attempts_total` and the log."


class ContentFiltered(GatewayError):
    code, status, fault, retry = "content_filtered", 400, Fault.CALLER, Retry.ELSEWHERE
    meaning = "A filter of the provider's, or its model, refused the content, and no fallback could be asked."
    remedy = "Change what is asked, or ask for another model."


class OutputInvalid(GatewayError):
    code, status, fault, retry = "output_invalid", 502, Fault.UPSTREAM, Retry.ELSEWHERE
    meaning = "The model's answer does not fit the JSON schema that was asked for, nor does a repaired one."
    remedy = "Retry, loosen the schema, or ask a more able model; the message says where it does not fit."


class Overloaded(GatewayError):
    code, status, fault, retry = "overloaded", 503, Fault.GATEWAY, Retry.LATER
    meaning = "More calls are in flight than this gateway takes, and the queue is full or too slow."
    remedy = "Wait for `retry-after-ms`; add workers or replicas."


class Draining(GatewayError):
    code, status, fault, retry = "draining", 503, Fault.GATEWAY, Retry.LATER
    meaning = "This gateway is shutting down."
    remedy = "Retry; a load balancer that reads `/health/ready` sends you elsewhere."


class StoreUnavailable(GatewayError):
    code, status, fault, retry = "store_unavailable", 503, Fault.GATEWAY, Retry.LATER
    meaning = "The store of keys and limits did not answer in time."
    remedy = "Wait for `retry-after-ms`; run `kpgate doctor`."


class UpstreamTimeout(GatewayError):
    code, status, fault, retry = "upstream_timeout", 504, Fault.UPSTREAM, Retry.ELSEWHERE
    meaning = "The provider did not connect, answer or go on within its time-out."
    remedy = "Retry, or raise the deployment's time-outs."


class HedgeLost(GatewayError):
    """Another attempt at the same call was the first to answer. The one that lost ends by this."""

    code, status, fault, retry = "hedge_lost", 500, Fault.GATEWAY, Retry.NEVER
    meaning = (
        "Another attempt at the same call was the first to answer. Only metrics say so: no caller is told."
    )
    remedy = "Nothing: it is what became of an attempt, in `kpgate_upstream_attempts_total`."


class ClientGone(GatewayError):
    """The client left: nobody reads this, the record and the metrics do. 499 is nginx's."""

    code, status, fault, retry = "client_gone", 499, Fault.CALLER, Retry.NEVER
    meaning = "The client closed its connection before the reply was complete. Only logs and metrics say so."
    remedy = "Raise the client's time-out if it left too early."


UNTOLD = frozenset(("client_gone", "hedge_lost"))
"""Codes that no client ever reads: logs and metrics have them."""
