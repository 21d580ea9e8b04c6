"""Where a provider that speaks OpenAI differs from OpenAI: the noun, and how each difference is said in words.

Which provider has which is in `presets`; who forwards calls honours them.
"""

from typing import Literal

import msgspec

HINTS = frozenset(
    (
        *("user", "metadata", "store", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"),
        "service_tier",
    )
)
"""Fields that do not change what is answered, or hardly: where a provider refuses one it is left out, and named."""


class Quirks(msgspec.Struct, frozen=True, gc=False):
    """What is said to a provider, and read from it, otherwise than with OpenAI.

    Shape: `stream_options` is False where the provider refuses the field: usage is then not asked for, and counted
    where it does not come by itself. `cap` is the only field in which a chat's output cap is known; empty, either is.
    `usage_in` is where the last event of a stream has the usage, where that is not the event's own `usage`. `cached`
    is the usage's own name for prompt tokens that were in the cache. `reasoning_apart` says that reasoning is no part
    of the completion's tokens. `choices` is False where `n` may not be more than 1.

    `developer` is False where that role is not known to be taken: `system` stands for it, which all know. `flat` says
    that a message's texts are one string. `refused` are fields of a request that are an error there, `unsaid` members
    of its messages. `seed` is that field's own name. `top_k` says that there is one. `ids` is how many letters and
    digits the id of a call must have. `stops` is how many stop sequences there may be, 0 for any. `forces` are the
    ways in which a tool can be made to be called, `schema` whether a format may have a schema. `thinks_back` says that
    what was thought before calls is wanted back, as `reasoning_content`; `none` that an effort of that name is known.
    """

    stream_options: bool = True
    cap: Literal["", "max_tokens"] = ""
    usage_in: Literal["", "x_groq", "choice"] = ""
    cached: Literal["", "prompt_cache_hit_tokens", "cached_tokens"] = ""
    reasoning_apart: bool = False
    choices: bool = True
    developer: bool = True
    flat: bool = False
    refused: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()
    seed: str = "seed"
    top_k: bool = False
    ids: int = 0
    stops: int = 0
    forces: tuple[Literal["required", "named"], ...] = ("required", "named")
    schema: bool = True
    thinks_back: bool = False
    none: bool = False

    @property
    def said(self) -> list[str]:
        """What is done about it, in words."""
        refused, unsaid = _listed(self.refused), _listed(self.unsaid)
        return [
            words
            for there, words in (
                (not self.stream_options, "is not asked for usage on streams"),
                (bool(self.cap), f"takes the output cap as `{self.cap}` alone"),
                (self.usage_in == "x_groq", "has a stream's usage in `x_groq`"),
                (self.usage_in == "choice", "has a stream's usage in its last choice"),
                (bool(self.cached), f"reports cached tokens as `{self.cached}`"),
                (self.reasoning_apart, "reports reasoning beside the completion's tokens"),
                (not self.choices, "answers one choice: `n` above 1 is refused"),
                (not self.developer, "gets `developer` messages as `system`"),
                (self.flat, "takes a message's texts as one string"),
                (bool(refused), f"has no {refused}"),
                (bool(unsaid), f"has no {unsaid} in messages"),
                (self.seed != "seed", f"takes `seed` as `{self.seed}`"),
                (self.top_k, "takes `top_k`"),
                (bool(self.ids), f"takes ids of calls of {self.ids} letters and digits"),
                (bool(self.stops), f"takes {self.stops} stop sequence{'s' if self.stops > 1 else ''}"),
                (self.forces == (), "can be made to call no tool"),
                (self.forces == ("required",), "cannot be made to call one tool by its name"),
                (self.forces == ("named",), "can be made to call a tool by its name alone"),
                (not self.schema, "has no JSON schema as a format"),
                (self.thinks_back, "wants thoughts before calls back"),
                (self.none, "takes the effort `none`"),
            )
            if there
        ]


NONE = Quirks()


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
