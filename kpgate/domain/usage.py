"""What a call used, in tokens by kind, and where the figure comes from."""

import msgspec


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one call. Units: tokens; `cached`, `audio_input` and `image` are parts of `input`, `reasoning` and
    `audio_output` of `output`. `units` are no tokens: what an endpoint counts beside them, as images or seconds.

    `source` is `provider` (reported upstream), `counted` (ours, where the provider said nothing) or `none`.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    source: str = "none"
    audio_input: int = 0
    audio_output: int = 0
    image: int = 0
    units: int = 0

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input + self.output


NOTHING = Usage()
